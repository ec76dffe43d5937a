// fuse_maps on a device: see `Maps`. Every map is read once and every output written once, 16 bytes a thread.
//
// Aliasing: out overlaps nothing. Assumes, where kVec is more than 1, that cells is a multiple of it and that every map
// and out begin on 16 bytes.
#pragma once

#include "fold.cuh"

namespace edgefuse::cuda {

struct MapsArgs {
  const float* x;
  const float* substitutes;
  const uint32_t* mask;  // see select_of
  float* out;
  int64_t offsets[kMaxStreams];
  int64_t streams;
  int64_t width;
  int64_t cells;
  Activation activation;
  Reduce reduce;
  bool concat;
};

constexpr int kAhead = 4;  // streams that are read before the first of them is used, so that memory is kept busy

// u_i at elements [e, e + kVec); zeros of a stream that is absent, which is not read.
template <int kVec>
EDGEFUSE_DEVICE void read(const MapsArgs& a, Select select, int64_t i, int64_t e, float (&u)[kVec]) {
  if (select == kPresent) {
    load<kVec>(a.x + a.offsets[i] + e, u);
    for (int v = 0; v < kVec; ++v) u[v] = activated(a.activation, u[v]);
    return;
  }
  const float given = select == kSubstituted ? a.substitutes[i * a.width + e / a.cells] : 0.0f;
  for (int v = 0; v < kVec; ++v) u[v] = given;
}

template <int kVec>
EDGEFUSE_DEVICE void join_elements(const MapsArgs& a, uint32_t mask, int64_t e) {
  const int64_t size = a.width * a.cells;
  float z[kVec], u[kAhead][kVec];
  int64_t taken = 0;
  for (int v = 0; v < kVec; ++v) z[v] = identity(a.reduce);
  for (int64_t first = 0; first < a.streams; first += kAhead) {
    for (int k = 0; k < kAhead; ++k) {
      if (first + k < a.streams) read<kVec>(a, select_of(mask, first + k), first + k, e, u[k]);
    }
    for (int k = 0; k < kAhead && first + k < a.streams; ++k) {
      if (a.concat) store<kVec>(u[k], a.out + (first + k) * size + e);
      if (select_of(mask, first + k) == kAbsent) continue;
      ++taken;
      for (int v = 0; v < kVec; ++v) z[v] = joined(a.reduce, z[v], u[k][v]);
    }
  }
  if (a.reduce == Reduce::kNone) return;
  for (int v = 0; v < kVec; ++v) z[v] = finished(a.reduce, z[v], taken);
  store<kVec>(z, a.out + (a.concat ? a.streams * size : 0) + e);
}

// One block's work; a grid of any number of columns covers all elements.
template <int kVec>
EDGEFUSE_DEVICE void maps_block(const Block& block, const MapsArgs& a) {
  const uint32_t mask = *a.mask;
  const int64_t size = a.width * a.cells, step = block.columns() * kThreads * kVec;
  block.each([&](int t) {
    for (int64_t e = (block.x() * kThreads + t) * kVec; e < size; e += step) join_elements<kVec>(a, mask, e);
  });
}

}  // namespace edgefuse::cuda
