// What payloads show of themselves, for the content checks, for one instruction set: counts and sums of whole numbers,
// so that every instruction set and NumPy agree bit for bit, in whatever order they add.
//
// No std:: templates here: a weak symbol compiled for a wide instruction set could be linked into the narrow one.
#pragma once

#include <cmath>

#include "kernels.hpp"

namespace edgefuse::EDGEFUSE_ISA {

// Elements whose squares are added in 32 bits before they are carried on: 64 * 2040^2 < 2^31.
constexpr int64_t kSquares = 64;

struct Sums {
  int64_t absolute = 0, squares = 0;
};

inline int32_t magnitude(int32_t v) { return v < 0 ? -v : v; }

// Sums over d(c) for c in [0, n).
template <class Difference>
inline Sums summed(int64_t n, Difference d) {
  Sums sums;
  for (int64_t begin = 0; begin < n; begin += kSquares) {
    const int64_t end = begin + kSquares < n ? begin + kSquares : n;
    int32_t absolute = 0, squares = 0;
    for (int64_t c = begin; c < end; ++c) {
      const int32_t v = d(c);
      absolute += magnitude(v);
      squares += v * v;
    }
    sums.absolute += absolute;
    sums.squares += squares;
  }
  return sums;
}

inline void green_row(const Picture& p, int64_t row, int16_t* to) {
  const uint8_t* from = p.green + row * p.row_stride;
  if (p.column_stride == 3) {  // a constant, so that the compiler may use shuffles
    for (int64_t c = 0; c < p.columns; ++c) to[c] = from[3 * c];
  } else {
    for (int64_t c = 0; c < p.columns; ++c) to[c] = from[c * p.column_stride];
  }
}

inline void picture_grain(const Picture& p) {
  alignas(64) int16_t here[kPictureColumns], above[kPictureColumns], below[kPictureColumns], far[kPictureColumns];
  alignas(64) int16_t down[kPictureColumns];
  const int64_t m = p.columns, fine = p.fine, coarse = p.coarse, inner = m - 2 * fine;
  int64_t sums[6] = {};
  for (int64_t row = p.first; row < p.end; row += p.step) {
    green_row(p, row, here);
    green_row(p, row - fine, above);
    green_row(p, row + fine, below);
    green_row(p, row + coarse, far);
    for (int64_t c = 0; c < m; ++c) down[c] = static_cast<int16_t>(2 * here[c] - above[c] - below[c]);
    const Sums residue = summed(inner, [&](int64_t c) { return 2 * down[c + fine] - down[c] - down[c + 2 * fine]; });
    sums[0] += residue.absolute;
    sums[1] += residue.squares;
    sums[2] += summed(inner, [&](int64_t c) { return 2 * here[c + fine] - here[c] - here[c + 2 * fine]; }).squares;
    sums[3] += summed(m, [&](int64_t c) { return int32_t{down[c]}; }).squares;
    sums[4] += summed(m - coarse, [&](int64_t c) { return here[c + coarse] - here[c]; }).squares;
    sums[5] += summed(m, [&](int64_t c) { return far[c] - here[c]; }).squares;
  }
  for (int64_t k = 0; k < 6; ++k) p.out[k] = sums[k];
}

inline void picture_levels(const Levels& l) {
  int64_t dark = 0, bright = 0;
  for (int64_t row = 0; row < l.rows; row += l.step) {
    const uint8_t* at = l.pixels + row * l.row_stride;
    for (int64_t column = 0; column < l.columns; column += l.step) {
      const uint8_t* pixel = at + column * l.column_stride;
      const int32_t red = pixel[0], green = pixel[l.channel_stride], blue = pixel[2 * l.channel_stride];
      dark += (red <= l.dark) & (green <= l.dark) & (blue <= l.dark);
      bright += (red >= l.bright) & (green >= l.bright) & (blue >= l.bright);
    }
  }
  l.out[0] = dark;
  l.out[1] = bright;
}

inline uint16_t depth_at(const uint8_t* row, int64_t column_stride, int64_t column) {
  return *reinterpret_cast<const uint16_t*>(row + column * column_stride);
}

// Looks at every step-th row of d with f(row, stride); the usual stride is a constant, so that the compiler may use
// lanes.
template <class Look>
inline void rows_of(const Depth& d, Look f) {
  for (int64_t r = 0; r < d.rows; r += d.step) {
    const uint8_t* row = d.mm + r * d.row_stride;
    if (d.column_stride == 2) {
      f(row, int64_t{2});
    } else {
      f(row, d.column_stride);
    }
  }
}

inline void depth_counts(const Depth& d) {
  int32_t measured = 0, far = 0, pairs = 0, torn = 0, most = 0;
  rows_of(d, [&](const uint8_t* row, int64_t stride) {
    for (int64_t c = 0; c < d.columns; ++c) {
      const int32_t v = depth_at(row, stride, c);
      measured += v > 0;
      most = v > most ? v : most;
    }
    for (int64_t c = 1; c < d.columns; ++c) {
      const int32_t a = depth_at(row, stride, c - 1), b = depth_at(row, stride, c);
      const int32_t near = a < b ? a : b, farther = a < b ? b : a;
      pairs += near > 0;
      torn += (near > 0) & (farther - near > near / 2);
    }
  });
  const int32_t limit = most < d.limit_mm ? most : d.limit_mm;
  rows_of(d, [&](const uint8_t* row, int64_t stride) {
    for (int64_t c = 0; c < d.columns; ++c) far += depth_at(row, stride, c) >= limit;
  });
  const int64_t found[4] = {measured, far, pairs, torn};
  for (int64_t k = 0; k < 4; ++k) d.out[k] = found[k];
}

inline float size_of(float v) { return v < 0.0f ? -v : v; }

// Of `count` things the i-th of at most `most` that are spread evenly over them.
inline int64_t spread_over(int64_t i, int64_t count, int64_t most) {
  if (count <= most) return i;
  return static_cast<int64_t>(static_cast<double>(i) * (static_cast<double>(count) / static_cast<double>(most)));
}

inline bool all_finite(const float* values, int64_t n) {
  int32_t bad = 0;
  for (int64_t k = 0; k < n; ++k) bad |= !(values[k] - values[k] == 0.0f);
  return bad == 0;
}

inline void cloud_counts(const Cloud& c) {
  for (int64_t k = 0; k < 4; ++k) c.out[k] = 0;
  if (!all_finite(c.points, 4 * c.count)) return;
  const int64_t values = 4 * c.count, some = values < kCloudValues ? values : kCloudValues;
  int64_t nonzero = 0, sound = 0, outside = 0;
  for (int64_t i = 0; i < some; ++i) {
    const float size = size_of(c.points[spread_over(i, values, kCloudValues)]);
    nonzero += size > 0.0f;
    sound += size >= c.smallest;
  }
  const int64_t looked = c.count < kCloudPoints ? c.count : kCloudPoints;
  for (int64_t i = 0; i < looked; ++i) {
    const float* p = c.points + 4 * spread_over(i, c.count, kCloudPoints);
    const float x = size_of(p[0]), y = size_of(p[1]), z = size_of(p[2]);
    const float level = x > y ? x : y, range = level > z ? level : z;
    outside += ((range < c.min_range_m) & (range > 0.0f)) | (range > c.max_range_m);
  }
  c.out[0] = 1;
  c.out[1] = nonzero;
  c.out[2] = sound;
  c.out[3] = outside;
}

// The 5-degree sector of a direction, counted from -180 degrees: by its octant, and by how many of the slopes
// tan(5 j degrees), j = 1 to 8, it reaches; comparisons of single divisions are the same everywhere.
inline int32_t sector_of(const float* slopes, float x, float y) {
  const float along = size_of(x), across = size_of(y);
  const bool steep = across > along;
  const float near = steep ? along : across, far = steep ? across : along;
  const float slope = near / (far > 0.0f ? far : 1.0f);
  int32_t reached = 0;
  for (int64_t j = 0; j < kSlopes; ++j) reached += slope >= slopes[j];
  constexpr int32_t half = kSectors / 2, diagonal = 2 * kSlopes + 1;
  const int32_t from_x = steep ? diagonal - reached : reached;
  const int32_t from_front = x < 0.0f ? half - 1 - from_x : from_x;
  return y < 0.0f ? half - 1 - from_front : half + from_front;
}

// The elevation row of a point at `level` from the axis; any row for one that lies on it.
inline int32_t elevation_of(double z, double level) {
  const double at = z / (level > 0.0 ? level : 1.0) / (2.0 * kSteepest) + 0.5;
  const double row = at < 0.0 ? 0.0 : at > kLastElevation ? kLastElevation : at;
  return static_cast<int32_t>(row * static_cast<double>(kElevations));
}

inline void sweep_counts(const Sweep& s) {
  constexpr int64_t kSome = 64;  // points at a time: what is computed of them side by side is counted one by one
  float x[kSome], y[kSome], z[kSome];
  int32_t sector[kSome], elevation[kSome], hit[kSome];
  int64_t sectors[kSectors] = {}, elevations[kElevations] = {}, hits = 0;
  const int64_t looked = s.count < kSweepPoints ? s.count : kSweepPoints;
  for (int64_t begin = 0; begin < looked; begin += kSome) {
    const int64_t some = looked - begin < kSome ? looked - begin : kSome;
    for (int64_t i = 0; i < some; ++i) {
      const float* p = s.points + 4 * spread_over(begin + i, s.count, kSweepPoints);
      x[i] = p[0], y[i] = p[1], z[i] = p[2];
    }
    for (int64_t i = 0; i < some; ++i) {
      const double along = x[i], across = y[i];
      const double level = std::sqrt(along * along + across * across);  // products of floats are exact in doubles
      hit[i] = level > 0.0;
      elevation[i] = elevation_of(z[i], level);
    }
    for (int64_t i = 0; i < some; ++i) sector[i] = sector_of(s.slopes, x[i], y[i]);
    for (int64_t i = 0; i < some; ++i) {
      hits += hit[i];
      sectors[sector[i]] += hit[i];
      elevations[elevation[i]] += hit[i];
    }
  }
  s.out[0] = looked == 0 ? 0.0 : static_cast<double>(s.count) * static_cast<double>(hits) / static_cast<double>(looked);
  for (int64_t k = 0; k < kSectors; ++k) s.out[1 + k] = static_cast<double>(sectors[k]);
  for (int64_t k = 0; k < kElevations; ++k) s.out[1 + kSectors + k] = static_cast<double>(elevations[k]);
}

}  // namespace edgefuse::EDGEFUSE_ISA
