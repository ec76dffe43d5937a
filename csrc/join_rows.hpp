// What every join starts from: the rows that are taken, small vector arithmetic, and a softmax over the rows taken.
#pragma once

#include <math.h>

#include "kernels.hpp"

namespace edgefuse::EDGEFUSE_ISA {

constexpr float kLeast = 1e-12f;  // of a probability, a norm, and under a root

// The rows that are selected, ascending.
struct Taken {
  int64_t count = 0;
  int64_t rows[kMaxStreams];
};

inline const float* row(const Join& j, const Taken& t, int64_t p) { return j.u + t.rows[p] * j.columns; }

inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

constexpr int64_t kLanes = 16;

// <a, b> in kLanes partial sums joined in a fixed tree: it vectorises without reordering, so every run agrees.
inline float dot(const float* a, const float* b, int64_t width) {
  alignas(64) float lane[kLanes] = {};
  int64_t k = 0;
  for (; k + kLanes <= width; k += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) lane[l] += a[k + l] * b[k + l];
  }
  for (int64_t l = 0; k + l < width; ++l) lane[l] += a[k + l] * b[k + l];
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t l = 0; l < half; ++l) lane[l] += lane[l + half];
  }
  return lane[0];
}

// weights[0 .. count) = their softmax, in place.
inline void softmax(float* weights, int64_t count, int64_t stride = 1) {
  float peak = weights[0], total = 0.0f;
  for (int64_t p = 1; p < count; ++p) peak = weights[p * stride] > peak ? weights[p * stride] : peak;
  for (int64_t p = 0; p < count; ++p) total += weights[p * stride] = expf(weights[p * stride] - peak);
  for (int64_t p = 0; p < count; ++p) weights[p * stride] /= total;
}

// out += sum over the rows taken of weight_p u_p, over `dim` columns.
inline void weighted_sum(const Join& j, const Taken& t, const float* weights) {
  float* __restrict out = j.out;
  for (int64_t p = 0; p < t.count; ++p) {
    const float weight = weights[p];
    const float* u = row(j, t, p);
    for (int64_t k = 0; k < j.dim; ++k) out[k] += weight * u[k];
  }
}

// x / max(|x|, least), in place.
inline void to_unit_length(float* __restrict x, int64_t width) {
  const float norm = sqrtf(dot(x, x, width));
  const float by = norm < kLeast ? kLeast : norm;  // in this order a NaN stays one
  for (int64_t k = 0; k < width; ++k) x[k] /= by;
}

}  // namespace edgefuse::EDGEFUSE_ISA
