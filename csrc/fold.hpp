// The reductions over streams, element by element, as the kernels of one instruction set share them.
#pragma once

#include "kernels.hpp"
#include "lanes.hpp"

namespace edgefuse::EDGEFUSE_ISA {

// relu is the larger of u and 0, the identity that of u and -infinity; comparing in this order keeps NaN.
inline float floor_of(Activation activation) { return activation == Activation::kRelu ? 0.0f : -__builtin_inff(); }

template <class V>
inline V at_least(float floor, V u) {
  return u < floor ? V{} + floor : u;
}

constexpr float identity(Reduce reduce) {
  if (reduce == Reduce::kProduct || reduce == Reduce::kJointProduct) return 1.0f;
  return reduce == Reduce::kMax ? -__builtin_inff() : 0.0f;
}

// The reduction so far, z, with one more stream's u. Called with a constant, it is one or two instructions.
template <class V>
inline V joined(Reduce reduce, V z, V u) {
  if (reduce == Reduce::kProduct || reduce == Reduce::kJointProduct) return z * u;
  if (reduce == Reduce::kMax) return ((u > z) | (u != u)) ? u : z;
  return z + u;
}

// The reduction of `taken` streams, from what joining them gave.
template <class V>
inline V finished(Reduce reduce, V z, int64_t taken) {
  if (reduce == Reduce::kMax && taken == 0) return V{};
  if (reduce == Reduce::kJointProduct && taken < 2) return V{};
  if (reduce != Reduce::kAverage || taken < 2) return z;
  return z / static_cast<float>(taken);
}

}  // namespace edgefuse::EDGEFUSE_ISA
