// fuse_project for one instruction set: a tile of the output stays in cache while the weights stream past once.
//
// No std:: templates here: a weak symbol compiled for a wide instruction set could be linked into the narrow one.
#pragma once

#include "kernels.hpp"

namespace edgefuse::EDGEFUSE_ISA {

// A tile's accumulators are 1 KiB: they live in L1, and a row of weights is read in runs long enough to prefetch.
constexpr int64_t kTile = 256;

// acc[j] += sum_k x[k] w[k, j], eight rows at a time, so that an accumulator is loaded once for eight products.
inline void multiply(const float* x, int64_t rows, const float* w, int64_t stride, int64_t width,
                     float* __restrict acc) {
  int64_t k = 0;
  for (; k + 8 <= rows; k += 8) {
    const float* w0 = w + k * stride;
    const float *w1 = w0 + stride, *w2 = w1 + stride, *w3 = w2 + stride, *w4 = w3 + stride;
    const float *w5 = w4 + stride, *w6 = w5 + stride, *w7 = w6 + stride;
    const float x0 = x[k], x1 = x[k + 1], x2 = x[k + 2], x3 = x[k + 3];
    const float x4 = x[k + 4], x5 = x[k + 5], x6 = x[k + 6], x7 = x[k + 7];
    for (int64_t j = 0; j < width; ++j) {
      const float low = x0 * w0[j] + x1 * w1[j] + x2 * w2[j] + x3 * w3[j];
      const float high = x4 * w4[j] + x5 * w5[j] + x6 * w6[j] + x7 * w7[j];
      acc[j] += low + high;
    }
  }
  for (; k < rows; ++k) {
    for (int64_t j = 0; j < width; ++j) acc[j] += x[k] * w[k * stride + j];
  }
}

inline void copy(const float* from, int64_t width, float* __restrict to) {
  for (int64_t j = 0; j < width; ++j) to[j] = from[j];
}

inline void fill(float value, int64_t width, float* __restrict to) {
  for (int64_t j = 0; j < width; ++j) to[j] = value;
}

// Columns [begin, begin + width) of u_i, for a stream that is present or substituted.
inline void embed(const Project& p, int64_t i, int64_t begin, int64_t width, float* __restrict u) {
  if (p.select[i] == kSubstituted) return copy(p.substitutes + i * p.width + begin, width, u);
  const float* w = p.weights + p.weight_offsets[i];
  copy(w + p.dims[i] * p.width + begin, width, u);
  multiply(p.x + p.offsets[i], p.dims[i], w + begin, p.width, width, u);
  if (p.activation == Activation::kIdentity) return;
  for (int64_t j = 0; j < width; ++j) u[j] = u[j] < 0.0f ? 0.0f : u[j];  // in this order relu(NaN) is NaN
}

inline float identity(Reduce reduce) {
  if (reduce == Reduce::kProduct) return 1.0f;
  return reduce == Reduce::kMax ? -__builtin_inff() : 0.0f;
}

inline void fold(Reduce reduce, const float* u, int64_t width, float* __restrict z) {
  if (reduce == Reduce::kProduct) {
    for (int64_t j = 0; j < width; ++j) z[j] *= u[j];
  } else if (reduce == Reduce::kMax) {
    for (int64_t j = 0; j < width; ++j) z[j] = (u[j] > z[j]) | (u[j] != u[j]) ? u[j] : z[j];
  } else {
    for (int64_t j = 0; j < width; ++j) z[j] += u[j];
  }
}

inline void finish(const Project& p, int64_t taken, int64_t width, const float* z, float* __restrict to) {
  if (p.reduce == Reduce::kMax && taken == 0) return fill(0.0f, width, to);
  if (p.reduce != Reduce::kAverage || taken < 2) return copy(z, width, to);
  const float n = static_cast<float>(taken);
  for (int64_t j = 0; j < width; ++j) to[j] = z[j] / n;
}

inline void project_tile(const Project& p, int64_t begin, int64_t width) {
  alignas(64) float u[kTile];
  alignas(64) float z[kTile];
  const bool reduces = p.reduce != Reduce::kNone;
  int64_t taken = 0;
  fill(identity(p.reduce), width, z);
  for (int64_t i = 0; i < p.streams; ++i) {
    float* block = p.out + i * p.width + begin;
    if (p.select[i] == kAbsent) {
      if (p.concat) fill(0.0f, width, block);
      continue;
    }
    ++taken;
    embed(p, i, begin, width, u);
    if (p.concat) copy(u, width, block);
    if (reduces) fold(p.reduce, u, width, z);
  }
  if (reduces) finish(p, taken, width, z, p.out + (p.concat ? p.streams * p.width : 0) + begin);
}

inline void fuse_project(const Project& p) {
  for (int64_t begin = 0; begin < p.width; begin += kTile) {
    project_tile(p, begin, p.width - begin < kTile ? p.width - begin : kTile);
  }
}

}  // namespace edgefuse::EDGEFUSE_ISA
