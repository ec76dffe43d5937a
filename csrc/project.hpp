// fuse_project for one instruction set: a tile of the output stays at hand while the weights stream past once.
//
// The weights are read once, row by row, and nothing else is large: reading them is the whole cost, so halfs take half.
// No std:: templates here: a weak symbol compiled for a wide instruction set could be linked into the narrow one.
#pragma once

#include "fold.hpp"
#include "kernels.hpp"
#include "lanes.hpp"

namespace edgefuse::EDGEFUSE_ISA {

// A tile of an output row, 8 KiB, which stays in L1. Narrower tiles would read the rows of wide weights in pieces, each
// in a page of its own: at D = 1024 that costs two fifths more.
constexpr int64_t kTile = 2048;

// Rows of weights that are taken strip by strip: the strip's columns of these rows are read, then the next strip's, so
// that memory is read in long runs while the sums go to L1 and back only once in so many rows.
constexpr int64_t kGroup = 16;

inline void copy(const float* from, int64_t width, float* __restrict to) {
  for (int64_t j = 0; j < width; ++j) to[j] = from[j];
}

inline void fill(float value, int64_t width, float* __restrict to) {
  for (int64_t j = 0; j < width; ++j) to[j] = value;
}

// sum[v] += x^T w[:, v], for kCount registers of columns. A narrow strip takes several rows at once, in sums of their
// own joined in a fixed order, because it would wait for each addition otherwise; every run rounds alike.
template <class V, int kCount, class W>
inline void multiply(const float* x, int64_t rows, const W* w, int64_t stride, V (&sum)[kCount]) {
  constexpr int kRows = kCount < 8 ? 8 / kCount : 1;
  V part[kRows][kCount] = {};
  for (int v = 0; v < kCount; ++v) part[0][v] = sum[v];
  int64_t k = 0;
  for (; k + kRows <= rows; k += kRows) {
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kCount; ++v) part[r][v] += x[k + r] * load<V>(w + (k + r) * stride + v * kFloats<V>);
    }
  }
  for (; k < rows; ++k) {
    for (int v = 0; v < kCount; ++v) part[0][v] += x[k] * load<V>(w + k * stride + v * kFloats<V>);
  }
  for (int r = 1; r < kRows; ++r) {
    for (int v = 0; v < kCount; ++v) part[0][v] += part[r][v];
  }
  for (int v = 0; v < kCount; ++v) sum[v] = part[0][v];
}

// As many strips of this size as fit into columns [begin, width); gives where they end.
template <class V, int kCount, class W>
inline int64_t strips(const float* x, int64_t rows, const W* w, int64_t stride, int64_t begin, int64_t width,
                      float* u) {
  for (; begin + kCount * kFloats<V> <= width; begin += kCount * kFloats<V>) {
    V sum[kCount];
    for (int v = 0; v < kCount; ++v) sum[v] = load<V>(u + begin + v * kFloats<V>);
    multiply(x, rows, w + begin, stride, sum);
    for (int v = 0; v < kCount; ++v) store(sum[v], u + begin + v * kFloats<V>);
  }
  return begin;
}

// u[j] += sum_k x[k] w[k, j], over a tile.
template <class W>
inline void multiply_tile(const float* x, int64_t d, const W* w, int64_t stride, int64_t width, float* u) {
  for (int64_t k = 0; k < d; k += kGroup) {
    const int64_t rows = d - k < kGroup ? d - k : kGroup;
    int64_t at = strips<Wide, kStrip>(x + k, rows, w + k * stride, stride, 0, width, u);
    at = strips<Wide, 4>(x + k, rows, w + k * stride, stride, at, width, u);
    at = strips<Wide, 1>(x + k, rows, w + k * stride, stride, at, width, u);
    at = strips<Float4, 1>(x + k, rows, w + k * stride, stride, at, width, u);
    strips<float, 1>(x + k, rows, w + k * stride, stride, at, width, u);
  }
}

// Columns [begin, begin + width) of u_i, for a stream that is present or substituted.
template <class W>
inline void embed(const Project& p, const W* weights, int64_t i, int64_t begin, int64_t width, float* u) {
  if (p.select[i] == kSubstituted) return copy(p.substitutes + i * p.width + begin, width, u);
  const W* w = weights + p.weight_offsets[i] + begin;
  const float one = 1.0f;
  fill(0.0f, width, u);
  multiply_tile(p.x + p.offsets[i], p.dims[i], w, p.width, width, u);
  multiply_tile(&one, 1, w + p.dims[i] * p.width, p.width, width, u);  // the bias lies where the prefetcher has got to
  const float floor = floor_of(p.activation);
  for (int64_t j = 0; j < width; ++j) u[j] = at_least(floor, u[j]);
}

template <class W>
inline void project_tile(const Project& p, const W* weights, int64_t begin, int64_t width) {
  alignas(64) float u[kTile];
  alignas(64) float z[kTile];
  int64_t taken = 0;
  fill(identity(p.reduce), width, z);
  for (int64_t i = 0; i < p.streams; ++i) {
    float* block = p.out + i * p.width + begin;
    if (p.select[i] == kAbsent) {
      if (p.concat) fill(0.0f, width, block);
      continue;
    }
    ++taken;
    embed(p, weights, i, begin, width, u);
    if (p.concat) copy(u, width, block);
    for (int64_t j = 0; j < width; ++j) z[j] = joined(p.reduce, z[j], u[j]);
  }
  if (p.reduce == Reduce::kNone) return;
  float* out = p.out + (p.concat ? p.streams * p.width : 0) + begin;
  for (int64_t j = 0; j < width; ++j) out[j] = finished(p.reduce, z[j], taken);
}

template <class W>
inline void project(const Project& p, const W* weights) {
  for (int64_t begin = 0; begin < p.width; begin += kTile) {
    project_tile(p, weights, begin, p.width - begin < kTile ? p.width - begin : kTile);
  }
}

inline void fuse_project(const Project& p) {
  if (p.half) return project(p, p.half);
  project(p, p.weights);
}

}  // namespace edgefuse::EDGEFUSE_ISA
