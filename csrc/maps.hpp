// fuse_maps for one instruction set: every map is read once, every output written once, in runs that suit memory.
//
// No std:: templates here: a weak symbol compiled for a wide instruction set could be linked into the narrow one.
#pragma once

#include "fold.hpp"
#include "kernels.hpp"
#include "lanes.hpp"

namespace edgefuse::EDGEFUSE_ISA {

// Floats of one run: the reduction of a run (4 KiB) stays in L1 while the streams pass, each with a page to itself.
constexpr int64_t kRun = 1024;

// An output larger than this many bytes cannot stay in L2, so it is stored past the caches.
constexpr int64_t kStreamedBytes = int64_t{2} << 20;

enum class To { kNowhere, kCache, kMemory };

// Elements [begin, end) of one stream's run, which end in whole V: u = act(x), stored in its block and joined to z.
template <class V, Reduce kReduce, To kTo>
inline int64_t pass(const float* x, float floor, int64_t begin, int64_t end, float* block, float* z) {
  for (; begin + kFloats<V> <= end; begin += kFloats<V>) {
    const V u = at_least(floor, load<V>(x + begin));
    if constexpr (kTo == To::kCache) store(u, block + begin);
    if constexpr (kTo == To::kMemory) stream(u, block + begin);
    if constexpr (kReduce != Reduce::kNone) store(joined(kReduce, load<V>(z + begin), u), z + begin);
  }
  return begin;
}

// Floats until `to` is aligned for streamed stores, at most n.
inline int64_t to_alignment(const float* to, int64_t n) {
  const int64_t head = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(to) / sizeof(float) % kFloats<Wide>);
  return head < n ? head : n;
}

template <Reduce kReduce>
inline void run_of_stream(const float* x, float floor, int64_t n, float* block, bool streamed, float* z) {
  int64_t at = 0;
  if (!block) {
    at = pass<Wide, kReduce, To::kNowhere>(x, floor, 0, n, block, z);
    pass<float, kReduce, To::kNowhere>(x, floor, at, n, block, z);
    return;
  }
  if (streamed) {
    at = pass<float, kReduce, To::kCache>(x, floor, 0, to_alignment(block, n), block, z);
    at = pass<Wide, kReduce, To::kMemory>(x, floor, at, n, block, z);
  } else {
    at = pass<Wide, kReduce, To::kCache>(x, floor, 0, n, block, z);
  }
  pass<float, kReduce, To::kCache>(x, floor, at, n, block, z);
}

inline void copy_run(const float* from, int64_t n, bool streamed, float* to) {
  run_of_stream<Reduce::kNone>(from, floor_of(Activation::kIdentity), n, to, streamed, nullptr);
}

// A stand-in [D] spread over the cells of its channels: elements [begin, begin + n) of the map.
inline const float* spread(const float* row, int64_t cells, int64_t begin, int64_t n, float* to) {
  for (int64_t t = 0; t < n;) {
    const int64_t channel = (begin + t) / cells, end = (channel + 1) * cells - begin;
    for (; t < n && t < end; ++t) to[t] = row[channel];
  }
  return to;
}

inline void finish_run(Reduce reduce, int64_t taken, int64_t n, float* z) {
  for (int64_t t = 0; t < n; ++t) z[t] = finished(reduce, z[t], taken);
}

// Elements [begin, begin + n) of every block and of the reduction.
template <Reduce kReduce>
inline void fuse_run(const Maps& m, int64_t begin, int64_t n, bool streamed) {
  alignas(64) float z[kRun], given[kRun];
  const int64_t size = m.width * m.cells;
  for (int64_t t = 0; t < n; ++t) z[t] = identity(kReduce);
  int64_t taken = 0;
  for (int64_t i = 0; i < m.streams; ++i) {
    float* block = m.concat ? m.out + i * size + begin : nullptr;
    if (m.select[i] == kAbsent) {
      for (int64_t t = 0; block && t < n; ++t) given[t] = 0.0f;
      if (block) copy_run(given, n, streamed, block);
      continue;
    }
    ++taken;
    const bool present = m.select[i] == kPresent;
    const float* x =
        present ? m.x + m.offsets[i] + begin : spread(m.substitutes + i * m.width, m.cells, begin, n, given);
    const float floor = floor_of(present ? m.activation : Activation::kIdentity);
    run_of_stream<kReduce>(x, floor, n, block, streamed, z);
  }
  if (kReduce == Reduce::kNone) return;
  finish_run(kReduce, taken, n, z);
  copy_run(z, n, streamed, m.out + (m.concat ? m.streams * size : 0) + begin);
}

template <Reduce kReduce>
inline void fuse_all(const Maps& m) {
  const int64_t size = m.width * m.cells, blocks = (m.concat ? m.streams : 0) + (kReduce == Reduce::kNone ? 0 : 1);
  const bool streamed = blocks * size * static_cast<int64_t>(sizeof(float)) > kStreamedBytes;
  // The first run is shorter, so that later ones begin where blocks of whole vectors are aligned.
  int64_t n = kRun - kFloats<Wide> + to_alignment(m.out, kFloats<Wide>);
  for (int64_t begin = 0; begin < size; begin += n, n = kRun) {
    fuse_run<kReduce>(m, begin, size - begin < n ? size - begin : n, streamed);
  }
  if (streamed) finish_stream();
}

inline void fuse_maps(const Maps& m) {
  switch (m.reduce) {
    case Reduce::kNone:
      return fuse_all<Reduce::kNone>(m);
    case Reduce::kSum:
      return fuse_all<Reduce::kSum>(m);
    case Reduce::kAverage:
      return fuse_all<Reduce::kAverage>(m);
    case Reduce::kMax:
      return fuse_all<Reduce::kMax>(m);
    case Reduce::kProduct:
      return fuse_all<Reduce::kProduct>(m);
    case Reduce::kJointProduct:
      return fuse_all<Reduce::kJointProduct>(m);
  }
}

}  // namespace edgefuse::EDGEFUSE_ISA
