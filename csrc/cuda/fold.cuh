// The reductions over streams and the presence of streams, as the CUDA kernels share them; meanings as in fold.hpp.
#pragma once

#include "../kernels.hpp"
#include "block.cuh"

namespace edgefuse::cuda {

// Presence in device memory, so that a captured graph serves every subset: bit i is set where stream i is present, bit
// 16 + i where it is substituted.
EDGEFUSE_DEVICE Select select_of(uint32_t mask, int64_t i) {
  return mask >> i & 1 ? kPresent : mask >> (kMaxStreams + i) & 1 ? kSubstituted : kAbsent;
}

EDGEFUSE_ANYWHERE float infinity() { return float_of_bits(0x7f800000); }

// Comparing in this order keeps NaN.
EDGEFUSE_DEVICE float activated(Activation activation, float u) {
  return activation == Activation::kRelu && u < 0.0f ? 0.0f : u;
}

EDGEFUSE_DEVICE float identity(Reduce reduce) {
  if (reduce == Reduce::kProduct || reduce == Reduce::kJointProduct) return 1.0f;
  return reduce == Reduce::kMax ? -infinity() : 0.0f;
}

EDGEFUSE_DEVICE float joined(Reduce reduce, float z, float u) {
  if (reduce == Reduce::kProduct || reduce == Reduce::kJointProduct) return z * u;
  if (reduce == Reduce::kMax) return u > z || u != u ? u : z;
  return z + u;
}

EDGEFUSE_DEVICE float finished(Reduce reduce, float z, int64_t taken) {
  if (reduce == Reduce::kMax && taken == 0) return 0.0f;
  if (reduce == Reduce::kJointProduct && taken < 2) return 0.0f;
  if (reduce != Reduce::kAverage || taken < 2) return z;
  return z / static_cast<float>(taken);
}

}  // namespace edgefuse::cuda
