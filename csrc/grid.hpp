// lidar_grid for one instruction set: places a block of points without branches, then scatters it; equals NumPy
// bitwise.
#pragma once

#include "kernels.hpp"

namespace edgefuse::EDGEFUSE_ISA {

constexpr int64_t kBlock = 256;

// Where each point of a block falls; band is -1 for a point that is to be skipped.
struct Places {
  alignas(64) int32_t band[kBlock];
  alignas(64) int32_t row[kBlock];
  alignas(64) int32_t col[kBlock];
};

inline bool all_finite(const float* point) {
  // v - v is NaN for infinities and NaN, and 0 otherwise.
  return (point[0] - point[0]) + (point[1] - point[1]) + (point[2] - point[2]) + (point[3] - point[3]) == 0.0f;
}

// Floats are compared before any is turned into an int; from 0 on, truncation is the floor.
inline void place(const Grid& g, const float* points, int64_t count, Places& to) {
  const float rows = static_cast<float>(g.rows), cols = static_cast<float>(g.cols);
  const float bottom = g.z_edges_m[0], top = g.z_edges_m[g.bands];
  for (int64_t n = 0; n < count; ++n) {
    const float* point = points + 4 * n;
    const float row = (point[0] - g.x_min_m) / g.cell_m, col = (point[1] - g.y_min_m) / g.cell_m;
    const bool inside = (row >= 0.0f) & (row < rows) & (col >= 0.0f) & (col < cols) & (point[2] >= bottom) &
                        (point[2] < top) & all_finite(point);
    to.band[n] = inside ? 0 : -1;
    to.row[n] = static_cast<int32_t>(inside ? row : 0.0f);
    to.col[n] = static_cast<int32_t>(inside ? col : 0.0f);
  }
  for (int64_t b = 1; b < g.bands; ++b) {
    const float edge = g.z_edges_m[b];
    for (int64_t n = 0; n < count; ++n) to.band[n] += (to.band[n] >= 0) & (points[4 * n + 2] >= edge);
  }
}

inline void raise(float* to, float value) { *to = value > *to ? value : *to; }

// Adds a placed block to the grid; returns how many of its points were used.
inline int64_t scatter(const Grid& g, const float* points, int64_t count, const Places& at) {
  const int64_t plane = g.rows * g.cols;
  const float cap = static_cast<float>(g.count_cap);
  int64_t used = 0;
  for (int64_t n = 0; n < count; ++n) {
    if (at.band[n] < 0) continue;
    const int64_t cell = at.row[n] * g.cols + at.col[n];
    float* counter = g.out + at.band[n] * plane + cell;
    const float reflectance = points[4 * n + 3];
    *counter += *counter < cap ? 1.0f : 0.0f;
    raise(g.out + g.bands * plane + cell, points[4 * n + 2] - g.z_edges_m[0]);
    raise(g.out + (g.bands + 1) * plane + cell, reflectance < 1.0f ? reflectance : 1.0f);
    ++used;
  }
  return used;
}

inline int64_t lidar_grid(const Grid& g) {
  const int64_t counters = g.bands * g.rows * g.cols;
  const float cap = static_cast<float>(g.count_cap);
  for (int64_t c = 0; c < counters + 2 * g.rows * g.cols; ++c) g.out[c] = 0.0f;
  Places at;
  int64_t used = 0;
  for (int64_t begin = 0; begin < g.count; begin += kBlock) {
    const int64_t count = g.count - begin < kBlock ? g.count - begin : kBlock;
    place(g, g.points + 4 * begin, count, at);
    used += scatter(g, g.points + 4 * begin, count, at);
  }
  for (int64_t c = 0; c < counters; ++c) g.out[c] /= cap;
  return used;
}

}  // namespace edgefuse::EDGEFUSE_ISA
