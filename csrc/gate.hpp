// fuse_gate for one instruction set: scalar logits, a softmax over the streams present, one weighted sum.
#pragma once

#include <math.h>

#include "kernels.hpp"

namespace edgefuse::EDGEFUSE_ISA {

constexpr int64_t kLanes = 16;

// <a, b> in kLanes partial sums joined in a fixed tree: it vectorises without reordering, so every run agrees.
inline float dot(const float* a, const float* b, int64_t width) {
  alignas(64) float lane[kLanes] = {};
  int64_t j = 0;
  for (; j + kLanes <= width; j += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) lane[l] += a[j + l] * b[j + l];
  }
  for (int64_t l = 0; j + l < width; ++l) lane[l] += a[j + l] * b[j + l];
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t l = 0; l < half; ++l) lane[l] += lane[l + half];
  }
  return lane[0];
}

// alpha = softmax over the selected streams of the logits in alpha, in place; 0 for the others.
inline void masked_softmax(const uint8_t* select, int64_t streams, float* alpha) {
  float peak = -__builtin_inff(), total = 0.0f;
  for (int64_t i = 0; i < streams; ++i) {
    if (select[i] != kAbsent && alpha[i] > peak) peak = alpha[i];
  }
  for (int64_t i = 0; i < streams; ++i) {
    alpha[i] = select[i] != kAbsent ? expf(alpha[i] - peak) : 0.0f;
    total += alpha[i];
  }
  for (int64_t i = 0; i < streams; ++i) {
    if (select[i] != kAbsent) alpha[i] /= total;
  }
}

inline void fuse_gate(const Gate& g) {
  for (int64_t i = 0; i < g.streams; ++i) {
    const int64_t row = i * g.width;
    g.alpha[i] = g.select[i] != kAbsent ? dot(g.gate_weight + row, g.h + row, g.width) + g.gate_bias[i] : 0.0f;
  }
  masked_softmax(g.select, g.streams, g.alpha);
  float* __restrict out = g.out;
  for (int64_t j = 0; j < g.width; ++j) out[j] = 0.0f;
  for (int64_t i = 0; i < g.streams; ++i) {
    if (g.select[i] == kAbsent) continue;
    const float weight = g.alpha[i];
    const float* h = g.h + i * g.width;
    for (int64_t j = 0; j < g.width; ++j) out[j] += weight * h[j];
  }
}

}  // namespace edgefuse::EDGEFUSE_ISA
