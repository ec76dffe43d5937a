// lidar_grid on a device: see `Grid`; the same bits as on a processor.
//
// Three launches: out is cleared, the points are scattered, the counts become shares. Counts are whole numbers, and the
// heights and reflectances that are raised are not negative, so their bits compare as they do: the order of points does
// not matter. Aliasing: out and used overlap nothing.
#pragma once

#include "../kernels.hpp"
#include "block.cuh"

namespace edgefuse::cuda {

constexpr int64_t kMostBands = 64;

struct GridArgs {
  const float* points;  // [n, 4]
  float* out;           // [B + 2, rows, cols]
  int64_t* used;        // points that fell into the grid
  int64_t count;
  int64_t bands;  // up to kMostBands
  int64_t count_cap;
  int64_t rows;
  int64_t cols;
  float x_min_m;
  float y_min_m;
  float cell_m;
  float z_edges_m[kMostBands + 1];
};

EDGEFUSE_DEVICE int32_t bits_of(float value) {
  int32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

EDGEFUSE_DEVICE bool all_finite(const float* point) {
  return (point[0] - point[0]) + (point[1] - point[1]) + (point[2] - point[2]) + (point[3] - point[3]) == 0.0f;
}

// Places a point; true where it fell into the grid. Floats are compared before any is turned into an int.
EDGEFUSE_DEVICE bool scatter(const GridArgs& g, const float* point) {
  const float row = (point[0] - g.x_min_m) / g.cell_m, col = (point[1] - g.y_min_m) / g.cell_m, z = point[2];
  const bool inside = row >= 0.0f && row < static_cast<float>(g.rows) && col >= 0.0f &&
                      col < static_cast<float>(g.cols) && z >= g.z_edges_m[0] && z < g.z_edges_m[g.bands];
  if (!inside || !all_finite(point)) return false;
  int64_t band = 0;
  for (int64_t b = 1; b < g.bands; ++b) band += z >= g.z_edges_m[b];
  const int64_t plane = g.rows * g.cols, cell = static_cast<int64_t>(row) * g.cols + static_cast<int64_t>(col);
  int32_t* out = reinterpret_cast<int32_t*>(g.out);
  add(out + band * plane + cell, 1);
  const float height = z - g.z_edges_m[0], reflectance = point[3] < 1.0f ? point[3] : 1.0f;
  if (height > 0.0f) raise(out + g.bands * plane + cell, bits_of(height));
  if (reflectance > 0.0f) raise(out + (g.bands + 1) * plane + cell, bits_of(reflectance));
  return true;
}

EDGEFUSE_DEVICE void clear_block(const Block& block, const GridArgs& g) {
  const int64_t size = (g.bands + 2) * g.rows * g.cols, step = block.columns() * kThreads;
  block.each([&](int t) {
    if (block.x() == 0 && t == 0) *g.used = 0;
    for (int64_t e = block.x() * kThreads + t; e < size; e += step) g.out[e] = 0.0f;
  });
}

EDGEFUSE_DEVICE void scatter_block(const Block& block, const GridArgs& g) {
  const int64_t step = block.columns() * kThreads;
  block.each([&](int t) {
    int64_t used = 0;
    for (int64_t n = block.x() * kThreads + t; n < g.count; n += step) used += scatter(g, g.points + 4 * n);
    if (used > 0) add(g.used, used);
  });
}

EDGEFUSE_DEVICE void share_block(const Block& block, const GridArgs& g) {
  const int64_t size = g.bands * g.rows * g.cols, step = block.columns() * kThreads;
  const float cap = static_cast<float>(g.count_cap);
  block.each([&](int t) {
    for (int64_t e = block.x() * kThreads + t; e < size; e += step) {
      const int64_t count = bits_of(g.out[e]);
      g.out[e] = static_cast<float>(count < g.count_cap ? count : g.count_cap) / cap;
    }
  });
}

}  // namespace edgefuse::cuda
