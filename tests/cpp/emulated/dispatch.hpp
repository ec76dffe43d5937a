// Stands in for csrc/dispatch.hpp: the one table is that of the CUDA kernels, block by block on this host, so that the
// tests of the kernels hold the device's text to the same contracts where there is no device.
#pragma once

#include <algorithm>
#include <cstring>
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

// On one block, two and three in turn: the bits do not depend on how many there are.
inline void fuse_join(const Join& j) {
  static int64_t calls = 0;
  cuda::GateArgs a = cuda::layout_of(j);
  const uint32_t mask = cuda::mask_of(j.select, j.streams);
  a.u = j.u;
  a.mask = &mask;
  a.theta = j.theta;
  a.out = j.out;
  const int64_t blocks = 1 + calls++ % 3;
  for (int64_t x = blocks - 1; x >= 0; --x) {
    cuda::GateSums sums;
    std::memset(&sums, 0xff, sizeof sums);  // NaN, as nothing is there when a block begins
    cuda::gate_block({x, 0, blocks}, a, sums);
  }
}

constexpr int64_t kBlocks = 3;  // of kernels that any number of them may share

template <class F>
void on_blocks(F f) {
  for (int64_t x = kBlocks - 1; x >= 0; --x) f(cuda::Block{x, 0, kBlocks});
}

inline void subset_head(const Subsets& s) {
  const cuda::SubsetsArgs a = cuda::layout_of(s);
  cuda::Logits shared;
  for (int64_t y = (s.classes + cuda::kClasses - 1) / cuda::kClasses - 1; y >= 0; --y) {
    for (int64_t x = s.count - 1; x >= 0; --x) cuda::subset_block({x, y, s.count}, a, shared);
  }
}

inline void picture_area(const Area& a) {
  on_blocks([&](const cuda::Block& block) { cuda::area_block(block, a); });
}

inline void depth_nearest(const Nearest& n) {
  on_blocks([&](const cuda::Block& block) { cuda::nearest_block(block, n); });
}

inline int64_t lidar_grid(const Grid& g) {
  int64_t used = -1;
  cuda::GridArgs args = cuda::layout_of(g);
  args.used = &used;
  on_blocks([&](const cuda::Block& block) { cuda::clear_block(block, args); });
  on_blocks([&](const cuda::Block& block) { cuda::scatter_block(block, args); });
  on_blocks([&](const cuda::Block& block) { cuda::share_block(block, args); });
  return used;
}

// One look, whose numbers and room lie where they like.
inline void look(const cuda::Look& look) {
  const cuda::Looks looks{1, {look}};
  cuda::Counted shared;
  std::memset(&shared, 0xff, sizeof shared);  // poisoned
  on_blocks([&](const cuda::Block& block) { cuda::look_block(block, looks, shared); });
  if (cuda::in_two(looks)) on_blocks([&](const cuda::Block& block) { cuda::look_again_block(block, looks, shared); });
}

inline void picture_grain(const Picture& p) {
  std::fill_n(p.out, 6, int64_t{0});
  look(cuda::look_at(p));
}

inline void picture_levels(const Levels& l) {
  std::fill_n(l.out, 2, int64_t{0});
  look(cuda::look_at(l));
}

inline void depth_counts(const Depth& d) {
  int64_t farthest = 0;
  std::fill_n(d.out, 4, int64_t{0});
  look(cuda::look_at(d, &farthest));
}

inline void cloud_counts(const Cloud& c) {
  int64_t bad = 0;
  std::fill_n(c.out, 4, int64_t{0});
  look(cuda::look_at(c, &bad));
}

inline void sweep_counts(const Sweep& s) {
  std::vector<int64_t> counts(1 + kSectors + kElevations, 0);
  look(cuda::look_at(s, counts.data()));
}

inline void digest(const Digest& d) {
  *d.out = 0;
  look(cuda::look_at(d));
}

inline bool all_finite(const float* values, int64_t n) {
  int64_t bad = 0;
  on_blocks([&](const cuda::Block& block) { cuda::finite_block(block, values, n, &bad); });
  return bad == 0;
}

inline Kernels table() {
  Kernels kernels{};
  kernels.isa = "cuda, emulated";
  kernels.fuse_project = fuse_project;
  kernels.fuse_join = fuse_join;
  kernels.fuse_maps = fuse_maps;
  kernels.subset_head = subset_head;
  kernels.lidar_grid = lidar_grid;
  kernels.picture_grain = picture_grain;
  kernels.picture_levels = picture_levels;
  kernels.depth_counts = depth_counts;
  kernels.cloud_counts = cloud_counts;
  kernels.sweep_counts = sweep_counts;
  kernels.digest = digest;
  kernels.all_finite = all_finite;
  kernels.picture_area = picture_area;
  kernels.depth_nearest = depth_nearest;
  return kernels;
}

inline const Kernels kernels = table();

}  // namespace emulated

using emulated::fuse_project_bfloat;

inline std::vector<const Kernels*> available() { return {&emulated::kernels}; }

}  // namespace edgefuse
