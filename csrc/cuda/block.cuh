// A block of threads as the CUDA kernels see it: on a device its threads, on a host without one a loop over them.
//
// A kernel is a sequence of steps, `block.each(f)`: every thread t does f(t), and none goes on before all have. What a
// thread keeps from one step to the next lies in shared memory. So the text that is tested on a host is the text that
// runs on the device.
#pragma once

#include <stdint.h>

#include <cstring>

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#define EDGEFUSE_DEVICE __device__ __forceinline__
#define EDGEFUSE_ANYWHERE __host__ __device__ __forceinline__
#else
#define EDGEFUSE_DEVICE inline
#define EDGEFUSE_ANYWHERE inline
#endif

namespace edgefuse::cuda {

constexpr int kThreads = 256;  // of every block

#if defined(__CUDACC__)
struct Block {
  template <class F>
  EDGEFUSE_DEVICE void each(F f) const {
    f(static_cast<int>(threadIdx.x));
    __syncthreads();
  }

  // Whether this block is the last of `count` to come here; `counter` is zero before and after.
  EDGEFUSE_DEVICE bool last(unsigned* counter, unsigned count) const {
    __shared__ bool is_last;
    __threadfence();  // what this block has written is there for whoever counts later
    __syncthreads();
    if (threadIdx.x == 0) {
      is_last = atomicAdd(counter, 1u) + 1 == count;
      if (is_last) *counter = 0;
    }
    __syncthreads();
    __threadfence();
    return is_last;
  }

  EDGEFUSE_DEVICE int64_t x() const { return blockIdx.x; }
  EDGEFUSE_DEVICE int64_t y() const { return blockIdx.y; }
  EDGEFUSE_DEVICE int64_t columns() const { return gridDim.x; }
};
#else
struct Block {
  int64_t at_x, at_y, across;

  template <class F>
  void each(F f) const {
    for (int t = 0; t < kThreads; ++t) f(t);
  }

  bool last(unsigned* counter, unsigned count) const {
    const bool is_last = ++*counter == count;
    if (is_last) *counter = 0;
    return is_last;
  }

  int64_t x() const { return at_x; }
  int64_t y() const { return at_y; }
  int64_t columns() const { return across; }
};
#endif

// Sixteen-bit weights, as they lie in memory.
struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};

EDGEFUSE_ANYWHERE float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

EDGEFUSE_DEVICE float value_of(float v) { return v; }

EDGEFUSE_DEVICE float value_of(BFloat v) { return float_of_bits(static_cast<uint32_t>(v.bits) << 16); }

EDGEFUSE_DEVICE float value_of(Half v) {
#if defined(__CUDACC__)
  return __half2float(__ushort_as_half(v.bits));
#else
  const uint32_t sign = static_cast<uint32_t>(v.bits & 0x8000) << 16, rest = v.bits & 0x7fff;
  if (rest >= 0x7c00) return float_of_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  const float scaled = float_of_bits(sign | rest << 13);  // its exponent is 112 too small, subnormal or not
  return scaled * float_of_bits((127 + 112) << 23);
#endif
}

// kVec neighbours, in one access where they fill 16 bytes; from is aligned to as much then.
template <int kVec, class W>
EDGEFUSE_DEVICE void load(const W* from, float (&to)[kVec]) {
  if constexpr (kVec * sizeof(W) == 16) {
    alignas(16) W held[kVec];
#if defined(__CUDACC__)
    *reinterpret_cast<uint4*>(held) = __ldg(reinterpret_cast<const uint4*>(from));
#else
    memcpy(held, from, sizeof held);
#endif
    for (int v = 0; v < kVec; ++v) to[v] = value_of(held[v]);
  } else {
    for (int v = 0; v < kVec; ++v) to[v] = value_of(from[v]);
  }
}

template <int kVec>
EDGEFUSE_DEVICE void store(const float (&from)[kVec], float* to) {
  if constexpr (kVec == 4) {
#if defined(__CUDACC__)
    *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
#else
    memcpy(to, from, sizeof from);
#endif
  } else {
    for (int v = 0; v < kVec; ++v) to[v] = from[v];
  }
}

// Whole numbers that many threads add to or raise, in whatever order: the sum and the largest are the same.
EDGEFUSE_DEVICE void add(int32_t* to, int32_t value) {
#if defined(__CUDACC__)
  atomicAdd(to, value);
#else
  *to += value;
#endif
}

EDGEFUSE_DEVICE void add(int64_t* to, int64_t value) {
#if defined(__CUDACC__)
  atomicAdd(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(value));
#else
  *to += value;
#endif
}

EDGEFUSE_DEVICE void raise(int32_t* to, int32_t value) {
#if defined(__CUDACC__)
  atomicMax(to, value);
#else
  *to = value > *to ? value : *to;
#endif
}

// What another block has written in this launch, past the caches of this one's processor.
EDGEFUSE_DEVICE float written_elsewhere(const float* from) {
#if defined(__CUDACC__)
  return __ldcg(from);
#else
  return *from;
#endif
}

}  // namespace edgefuse::cuda
