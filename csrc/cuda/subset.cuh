// subset_head on a device: the logits that a linear head gives for many subsets of the streams, see `Subsets`.
//
// Block (subset, eight classes) folds the streams of its subset element by element and multiplies with the head's
// weights; nothing is shared between subsets but what the caches hold, so the logits of one do not depend on the
// others. Aliasing: out overlaps nothing.
#pragma once

#include "fold.cuh"

namespace edgefuse::cuda {

constexpr int kClasses = 8;  // of a block

struct SubsetsArgs {
  const float* h;
  const uint16_t* masks;
  const float* weight;
  const float* bias;
  float* out;
  int64_t streams;
  int64_t width;
  int64_t classes;
  Reduce reduce;
  bool concat;
};

struct Logits {
  float part[kThreads][kClasses];
  float few[kThreads / 32][kClasses];
};

EDGEFUSE_DEVICE float folded(const SubsetsArgs& a, uint32_t subset, int64_t j) {
  float z = identity(a.reduce);
  int64_t taken = 0;
  for (int64_t i = a.streams - 1; i >= 0; --i) {
    if (!(subset >> i & 1)) continue;
    ++taken;
    z = joined(a.reduce, z, a.h[i * a.width + j]);
  }
  return finished(a.reduce, z, taken);
}

// Adds value times a row of the head's weights.
EDGEFUSE_DEVICE void add_row(const SubsetsArgs& a, int64_t row, int64_t first, float value, float* sums) {
  const float* w = a.weight + row * a.classes + first;
  for (int c = 0; c < kClasses; ++c) {
    if (first + c < a.classes) sums[c] += value * w[c];
  }
}

EDGEFUSE_DEVICE void subset_block(const Block& block, const SubsetsArgs& a, Logits& shared) {
  const uint32_t subset = a.masks[block.x()] & ((1u << a.streams) - 1);
  const int64_t first = block.y() * kClasses, blocks = a.concat ? a.streams : 0;
  block.each([&](int t) {
    float sums[kClasses] = {};
    for (int64_t j = t; j < a.width; j += kThreads) {
      for (int64_t i = 0; i < blocks; ++i) {
        if (subset >> i & 1) add_row(a, i * a.width + j, first, a.h[i * a.width + j], sums);
      }
      if (a.reduce != Reduce::kNone) add_row(a, blocks * a.width + j, first, folded(a, subset, j), sums);
    }
    for (int c = 0; c < kClasses; ++c) shared.part[t][c] = sums[c];
  });
  block.each([&](int t) {  // in two steps of a fixed order
    const int c = t % kClasses, of = t / kClasses;
    if (of >= kThreads / 32) return;
    float sum = 0.0f;
    for (int k = 0; k < 32; ++k) sum += shared.part[32 * of + k][c];
    shared.few[of][c] = sum;
  });
  block.each([&](int t) {
    if (t >= kClasses || first + t >= a.classes) return;
    float sum = a.bias[first + t];
    for (int k = 0; k < kThreads / 32; ++k) sum += shared.few[k][t];
    a.out[block.x() * a.classes + first + t] = sum;
  });
}

}  // namespace edgefuse::cuda
