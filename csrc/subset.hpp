// subset_head for one instruction set: the logits of many subsets of streams, sharing what the subsets share.
//
// No std:: templates here: a weak symbol compiled for a wide instruction set could be linked into the narrow one.
#pragma once

#include "fold.hpp"
#include "kernels.hpp"
#include "lanes.hpp"
#include "project.hpp"

namespace edgefuse::EDGEFUSE_ISA {

constexpr int64_t kColumns = 128;  // of the reduction at a time: all folds of one chain then fit in L1
constexpr int kSubsets = 8;        // that share each load of the head's weights: sums for two adders of four cycles

// The folds of {highest stream of the subset}, {two highest}, ..., the subset, over some columns.
struct Chain {
  alignas(64) float fold[kMaxStreams + 1][kColumns];
  uint32_t subset;
};

inline int64_t size_of(uint32_t subset) {
  int64_t n = 0;
  for (; subset; subset &= subset - 1) ++n;
  return n;
}

inline uint32_t subset_of(const Subsets& s, int64_t m) { return s.masks[m] & ((1u << s.streams) - 1); }

// Makes the chain that of `subset`, from where the two part on: one fold where masks ascend through all subsets.
inline void follow(const Subsets& s, uint32_t subset, int64_t begin, int64_t n, Chain& chain) {
  int bit = kMaxStreams;
  while (bit > 0 && chain.subset >> (bit - 1) == subset >> (bit - 1)) --bit;
  int64_t level = size_of(subset >> bit);
  for (int i = bit - 1; i >= 0; --i) {
    if (!(subset >> i & 1)) continue;
    const float *z = chain.fold[level], *h = s.h + i * s.width + begin;
    float* next = chain.fold[++level];
    for (int64_t j = 0; j < n; ++j) next[j] = joined(s.reduce, z[j], h[j]);
  }
  chain.subset = subset;
}

// out[m, k] += sum_j z[m, j] w[j, k], for `count` subsets and the columns k of one V.
template <class V>
inline void add_product(const float (&z)[kSubsets][kColumns], int64_t n, const float* w, int64_t stride, int64_t count,
                        float* out) {
  V sum[kSubsets] = {};
  for (int64_t j = 0; j < n; ++j) {
    const V weight = load<V>(w + j * stride);
    for (int m = 0; m < kSubsets; ++m) sum[m] += z[m][j] * weight;
  }
  for (int m = 0; m < kSubsets; ++m) {
    if (m < count) store(load<V>(out + m * stride) + sum[m], out + m * stride);
  }
}

// The part of the reduction's columns [begin, begin + n) in every logit.
inline void add_reduction(const Subsets& s, const float* weight, int64_t begin, int64_t n) {
  Chain chain;
  alignas(64) float z[kSubsets][kColumns] = {};
  for (int64_t j = 0; j < n; ++j) chain.fold[0][j] = identity(s.reduce);
  chain.subset = 0;
  const float* w = weight + begin * s.classes;
  for (int64_t first = 0; first < s.count; first += kSubsets) {
    const int64_t count = s.count - first < kSubsets ? s.count - first : kSubsets;
    for (int64_t m = 0; m < count; ++m) {
      const uint32_t subset = subset_of(s, first + m);
      follow(s, subset, begin, n, chain);
      const int64_t taken = size_of(subset);
      for (int64_t j = 0; j < n; ++j) z[m][j] = finished(s.reduce, chain.fold[taken][j], taken);
    }
    float* out = s.out + first * s.classes;
    int64_t k = 0;
    for (; k + kFloats<Wide> <= s.classes; k += kFloats<Wide>)
      add_product<Wide>(z, n, w + k, s.classes, count, out + k);
    for (; k + kFloats<Float4> <= s.classes; k += kFloats<Float4>)
      add_product<Float4>(z, n, w + k, s.classes, count, out + k);
    for (; k < s.classes; ++k) add_product<float>(z, n, w + k, s.classes, count, out + k);
  }
}

// The part of stream i's block in classes [k, k + kFloats<V>), computed once and added where the stream is taken.
template <class V>
inline int64_t add_block(const Subsets& s, int64_t i, int64_t k) {
  for (; k + kFloats<V> <= s.classes; k += kFloats<V>) {
    V part[1] = {};
    multiply(s.h + i * s.width, s.width, s.weight + i * s.width * s.classes + k, s.classes, part);
    for (int64_t m = 0; m < s.count; ++m) {
      float* out = s.out + m * s.classes + k;
      if (subset_of(s, m) >> i & 1) store(load<V>(out) + part[0], out);
    }
  }
  return k;
}

inline void add_blocks(const Subsets& s) {
  uint32_t used = 0;
  for (int64_t m = 0; m < s.count; ++m) used |= subset_of(s, m);
  for (int64_t i = 0; i < s.streams; ++i) {
    if (!(used >> i & 1)) continue;
    const int64_t k = add_block<Float4>(s, i, add_block<Wide>(s, i, 0));
    add_block<float>(s, i, k);
  }
}

inline void subset_head(const Subsets& s) {
  for (int64_t m = 0; m < s.count; ++m) copy(s.bias, s.classes, s.out + m * s.classes);
  if (s.concat) add_blocks(s);
  if (s.reduce == Reduce::kNone) return;
  const float* weight = s.weight + (s.concat ? s.streams * s.width * s.classes : 0);
  for (int64_t begin = 0; begin < s.width; begin += kColumns) {
    add_reduction(s, weight, begin, s.width - begin < kColumns ? s.width - begin : kColumns);
  }
}

}  // namespace edgefuse::EDGEFUSE_ISA
