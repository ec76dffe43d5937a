// One instruction set's vector registers of floats: load, store, widen IEEE halfs, and store past the caches.
//
// No std:: templates here: a weak symbol compiled for a wide instruction set could be linked into the narrow one.
#pragma once

#include <stdint.h>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace edgefuse::EDGEFUSE_ISA {

typedef float Float4 __attribute__((vector_size(16)));
typedef uint16_t Half4 __attribute__((vector_size(8)));
typedef uint32_t Bits4 __attribute__((vector_size(16)));
typedef int32_t Ints4 __attribute__((vector_size(16)));

// Wide is the widest register; kStrip of them hold sums with registers to spare for weights and inputs.
#if defined(__AVX512F__)
typedef float Float8 __attribute__((vector_size(32)));
typedef float Float16 __attribute__((vector_size(64)));
typedef Float16 Wide;
constexpr int kStrip = 16;
#elif defined(__AVX2__)
typedef float Float8 __attribute__((vector_size(32)));
typedef Float8 Wide;
constexpr int kStrip = 8;
#elif defined(__aarch64__)
typedef Float4 Wide;
constexpr int kStrip = 16;
#else
typedef Float4 Wide;
constexpr int kStrip = 8;
#endif

// Floats in a V, which is a register or a plain float: the ends of a row run through the same code, one by one.
template <class V>
constexpr int64_t kFloats = sizeof(V) / sizeof(float);

template <class V>
inline V load(const float* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <class V>
inline void store(V v, float* to) {
  __builtin_memcpy(to, &v, sizeof v);
}

// The values of four IEEE halfs, subnormal ones too, by integer arithmetic: right whatever the flush-to-zero mode is.
inline Float4 widen(Half4 halfs) {
  const Bits4 h = __builtin_convertvector(halfs, Bits4);
  const Bits4 magnitude = (h & 0x7fffu) << 13, rebias = Bits4{} + (112u << 23), one = Bits4{} + (1u << 23);
  const Ints4 infinite = (Ints4)magnitude >= (Ints4)(Bits4{} + (0x7c00u << 13));
  const Ints4 subnormal = (Ints4)magnitude < (Ints4)one;
  const Bits4 normal = magnitude + rebias + ((Bits4)infinite & rebias);
  // A subnormal is the fraction of a float in [2^-14, 2^-13), less that float's leading 1.
  const Bits4 leading = rebias + one;
  const Bits4 small = (Bits4)((Float4)(magnitude + leading) - (Float4)leading);
  const Bits4 bits = (small & (Bits4)subnormal) | (normal & ~(Bits4)subnormal);
  return (Float4)(bits | (h & 0x8000u) << 16);
}

// The same call for float weights and for IEEE halfs, which become floats on the way.
template <class V>
inline V load(const uint16_t* from);

#if defined(__AVX512F__)
template <>
inline Float16 load<Float16>(const uint16_t* from) {
  // Masked with all lanes on: it is the same instruction, and GCC 12 warns about its own header otherwise.
  return (Float16)_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256((const __m256i*)from));
}
#endif

#if defined(__F16C__)
template <>
inline Float8 load<Float8>(const uint16_t* from) {
  return (Float8)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from));
}
template <>
inline Float4 load<Float4>(const uint16_t* from) {
  return (Float4)_mm_cvtph_ps(_mm_loadl_epi64((const __m128i*)from));
}
template <>
inline float load<float>(const uint16_t* from) {
  return _cvtsh_ss(*from);
}
#else
template <>
inline Float4 load<Float4>(const uint16_t* from) {
#if defined(__aarch64__)
  return (Float4)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from)));
#else
  Half4 halfs;
  __builtin_memcpy(&halfs, from, sizeof halfs);
  return widen(halfs);
#endif
}
template <>
inline float load<float>(const uint16_t* from) {
  return widen(Half4{*from})[0];
}
#endif

// Stores a Wide, aligned to its size, without reading the line first or keeping it; plain where there is no such store.
inline void stream(Wide v, float* to) {
#if defined(__AVX512F__)
  _mm512_stream_ps(to, (__m512)v);
#elif defined(__AVX2__)
  _mm256_stream_ps(to, (__m256)v);
#elif defined(__SSE2__)
  _mm_stream_ps(to, (__m128)v);
#else
  store(v, to);
#endif
}

// Streamed stores are ordered with what other threads see only after this.
inline void finish_stream() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace edgefuse::EDGEFUSE_ISA
