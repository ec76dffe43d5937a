// Stands in for csrc/dispatch.hpp: the one table is that of the CUDA kernels, block by block on this host, so that the
// tests of the kernels hold the device's text to the same contracts where there is no device.
#pragma once

#include <vector>

#include "cuda/arguments.hpp"

namespace edgefuse {
namespace emulated {

template <class W, int kVec>
void run_project(cuda::ProjectArgs a) {
  const int64_t tiles = (a.width + cuda::kTileWidth<kVec> - 1) / cuda::kTileWidth<kVec>;
  std::vector<float> scratch(static_cast<size_t>(a.splits * a.streams * a.width), __builtin_nanf(""));
  std::vector<unsigned> counters(static_cast<size_t>(tiles), 0);
  a.scratch = scratch.data();
  a.counters = counters.data();
  cuda::Sums<kVec> sums;
  // Backwards, so that nothing leans on the order of blocks.
  for (int64_t y = a.streams * a.splits - 1; y >= 0; --y) {
    for (int64_t x = tiles - 1; x >= 0; --x) cuda::project_block<W, kVec>({x, y, tiles}, a, sums);
  }
}

template <class W>
void project_as(cuda::ProjectArgs a) {
  constexpr int kVec = 16 / sizeof(W);
  if (cuda::rows_fit(a, a.weights, sizeof(W))) return run_project<W, kVec>(a);
  run_project<W, 1>(a);
}

template <class W>
void project_with(const Project& p, const void* weights) {
  cuda::ProjectArgs a = cuda::layout_of(p, 1 + (p.width + p.dims[0]) % 4);  // every number of splits has its turn
  const uint32_t mask = cuda::mask_of(p.select, p.streams);
  a.x = p.x;
  a.weights = weights;
  a.substitutes = p.substitutes;
  a.mask = &mask;
  a.out = p.out;
  project_as<W>(a);
}

inline void fuse_project(const Project& p) {
  if (p.half) return project_with<cuda::Half>(p, p.half);
  project_with<float>(p, p.weights);
}

// The weights as bfloat16, which no processor's table has.
inline void fuse_project_bfloat(const Project& p) { project_with<cuda::BFloat>(p, p.half); }

template <int kVec>
void run_maps(const cuda::MapsArgs& a, int64_t blocks) {
  for (int64_t x = blocks - 1; x >= 0; --x) cuda::maps_block<kVec>({x, 0, blocks}, a);
}

inline void fuse_maps(const Maps& m) {
  static int64_t calls = 0;
  cuda::MapsArgs a = cuda::layout_of(m);
  const uint32_t mask = cuda::mask_of(m.select, m.streams);
  a.x = m.x;
  a.substitutes = m.substitutes;
  a.mask = &mask;
  a.out = m.out;
  const int64_t blocks = 1 + calls++ % 3;
  if (cuda::maps_fit(a)) return run_maps<4>(a, blocks);
  run_maps<1>(a, blocks);
}

inline Kernels table() {
  Kernels kernels{};
  kernels.isa = "cuda, emulated";
  kernels.fuse_project = fuse_project;
  kernels.fuse_maps = fuse_maps;
  return kernels;
}

inline const Kernels kernels = table();

}  // namespace emulated

using emulated::fuse_project_bfloat;

inline std::vector<const Kernels*> available() { return {&emulated::kernels}; }

}  // namespace edgefuse
