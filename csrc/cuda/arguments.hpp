// From the arguments of a CPU kernel to those of its CUDA twin, and how it is to be launched.
#pragma once

#include "gate.cuh"
#include "grid.cuh"
#include "looks.cuh"
#include "maps.cuh"
#include "project.cuh"
#include "resize.cuh"
#include "subset.cuh"

namespace edgefuse::cuda {

inline uint32_t mask_of(const uint8_t* select, int64_t streams) {
  uint32_t mask = 0;
  for (int64_t i = 0; i < streams; ++i) {
    if (select[i] == kPresent) mask |= 1u << i;
    if (select[i] == kSubstituted) mask |= 1u << (kMaxStreams + i);
  }
  return mask;
}

// Everything of a projection but the pointers.
inline ProjectArgs layout_of(const Project& p, int64_t splits) {
  ProjectArgs a{};
  for (int64_t i = 0; i < p.streams; ++i) {
    a.dims[i] = p.dims[i];
    a.offsets[i] = p.offsets[i];
    a.weight_offsets[i] = p.weight_offsets[i];
  }
  a.streams = p.streams;
  a.width = p.width;
  a.splits = splits;
  a.activation = p.activation;
  a.reduce = p.reduce;
  a.concat = p.concat;
  return a;
}

inline MapsArgs layout_of(const Maps& m) {
  MapsArgs a{};
  for (int64_t i = 0; i < m.streams; ++i) a.offsets[i] = m.offsets[i];
  a.streams = m.streams;
  a.width = m.width;
  a.cells = m.cells;
  a.activation = m.activation;
  a.reduce = m.reduce;
  a.concat = m.concat;
  return a;
}

// Everything of a join by gates but the pointers.
inline GateArgs layout_of(const Join& j) {
  return {nullptr, nullptr, nullptr, nullptr, j.kind, j.streams, j.columns, j.dim};
}

inline SubsetsArgs layout_of(const Subsets& s) {
  return {s.h, s.masks, s.weight, s.bias, s.out, s.streams, s.width, s.classes, s.reduce, s.concat};
}

// Everything but where the used points are counted.
inline GridArgs layout_of(const Grid& g) {
  GridArgs a{g.points, g.out,  nullptr,   g.count,   g.bands,  g.count_cap,
             g.rows,   g.cols, g.x_min_m, g.y_min_m, g.cell_m, {}};
  for (int64_t b = 0; b <= g.bands; ++b) a.z_edges_m[b] = g.z_edges_m[b];
  return a;
}

// Parts of at least 32 rows each, so many that every one of `blocks` processors has a block.
inline int64_t splits_of(const ProjectArgs& a, int64_t tiles, int64_t blocks) {
  int64_t longest = 1;
  for (int64_t i = 0; i < a.streams; ++i) longest = a.dims[i] > longest ? a.dims[i] : longest;
  const int64_t wanted = (blocks + tiles * a.streams - 1) / (tiles * a.streams), most = (longest + 31) / 32;
  return wanted < 1 ? 1 : wanted < most ? wanted : most;
}

inline bool on_16_bytes(const void* at) { return reinterpret_cast<uintptr_t>(at) % 16 == 0; }

// Whether rows of weights of so many bytes each can be read 16 bytes at a time.
inline bool rows_fit(const ProjectArgs& a, const void* weights, int64_t bytes) {
  bool fit = on_16_bytes(weights) && a.width * bytes % 16 == 0;
  for (int64_t i = 0; i < a.streams; ++i) fit = fit && a.weight_offsets[i] * bytes % 16 == 0;
  return fit;
}

inline bool maps_fit(const MapsArgs& a) {
  bool fit = a.cells % 4 == 0 && on_16_bytes(a.x) && on_16_bytes(a.out);
  for (int64_t i = 0; i < a.streams; ++i) fit = fit && a.offsets[i] % 4 == 0;
  return fit;
}

}  // namespace edgefuse::cuda
