// Pictures to the size that an encoder takes, for one instruction set: exact means of areas, or the nearest pixel.
//
// All sums are whole numbers that their types hold exactly, so every instruction set and NumPy agree bit for bit.
#pragma once

#include "kernels.hpp"

namespace edgefuse::EDGEFUSE_ISA {

// What of the unit [at * to, (at + 1) * to) lies in [i * from, (i + 1) * from): a pixel's part of the i-th mean.
inline int64_t overlap(int64_t i, int64_t at, int64_t from, int64_t to) {
  const int64_t low = i * from, high = low + from, begin = at * to, end = begin + to;
  const int64_t first = low > begin ? low : begin, last = high < end ? high : end;
  return last > first ? last - first : 0;
}

// sums[c] = sum over the rows of output row i of their part in it; at most 255 * rows, which floats hold.
inline void weigh_rows(const Area& a, int64_t i) {
  const int64_t values = 3 * a.columns, first = i * a.rows / a.out_rows;
  float* sums = a.sums;
  for (int64_t c = 0; c < values; ++c) sums[c] = 0.0f;
  for (int64_t r = first; r < a.rows && r * a.out_rows < (i + 1) * a.rows; ++r) {
    const uint8_t* pixels = a.pixels + r * a.row_stride;
    const float part = static_cast<float>(overlap(i, r, a.rows, a.out_rows));
    for (int64_t c = 0; c < values; ++c) sums[c] += part * static_cast<float>(pixels[c]);
  }
}

// Of each output column the first column that it takes part of, and the parts of that and the next ones.
inline void weigh_columns(const Area& a) {
  for (int64_t j = 0; j < a.out_columns; ++j) {
    const int64_t first = j * a.columns / a.out_columns, last = a.columns - a.taps;
    a.first[j] = first < last ? first : last;
    for (int64_t t = 0; t < a.taps; ++t) {
      a.parts[j * a.taps + t] = static_cast<double>(overlap(j, a.first[j] + t, a.columns, a.out_columns));
    }
  }
}

// One row of out from the sums; kTaps, where it is not 0, is `taps`, known to the compiler.
//
// Half of the area is added for rounding. What is left of a whole number is a multiple of 1 / (2 rows columns), at
// least 2^-29, and the product's own error is far below 2^-30: adding that makes truncation the floor, exactly.
template <int64_t kTaps>
inline void weigh(const Area& a, double half, double scale, uint8_t* out) {
  constexpr double kHair = 1.0 / (1 << 30);
  const int64_t taps = kTaps ? kTaps : a.taps;
  for (int64_t j = 0; j < a.out_columns; ++j) {
    const float* from = a.sums + 3 * a.first[j];
    const double* parts = a.parts + j * taps;
    double red = half, green = half, blue = half;
    for (int64_t t = 0; t < taps; ++t) {
      red += parts[t] * static_cast<double>(from[3 * t]);
      green += parts[t] * static_cast<double>(from[3 * t + 1]);
      blue += parts[t] * static_cast<double>(from[3 * t + 2]);
    }
    out[3 * j] = static_cast<uint8_t>(red * scale + kHair);
    out[3 * j + 1] = static_cast<uint8_t>(green * scale + kHair);
    out[3 * j + 2] = static_cast<uint8_t>(blue * scale + kHair);
  }
}

inline void picture_area(const Area& a) {
  weigh_columns(a);
  const double area = static_cast<double>(a.rows) * static_cast<double>(a.columns), half = 0.5 * area;
  for (int64_t i = 0; i < a.out_rows; ++i) {
    weigh_rows(a, i);
    uint8_t* out = a.out + 3 * i * a.out_columns;
    switch (a.taps) {
      case 2:
        weigh<2>(a, half, 1.0 / area, out);
        break;
      case 3:
        weigh<3>(a, half, 1.0 / area, out);
        break;
      case 4:
        weigh<4>(a, half, 1.0 / area, out);
        break;
      default:
        weigh<0>(a, half, 1.0 / area, out);
    }
  }
}

inline void depth_nearest(const Nearest& n) {
  for (int64_t j = 0; j < n.out_columns; ++j) n.offsets[j] = j * n.columns / n.out_columns * n.column_stride;
  for (int64_t i = 0; i < n.out_rows; ++i) {
    const uint8_t* row = n.mm + i * n.rows / n.out_rows * n.row_stride;
    uint16_t* out = n.out + i * n.out_columns;
    for (int64_t j = 0; j < n.out_columns; ++j) out[j] = *reinterpret_cast<const uint16_t*>(row + n.offsets[j]);
  }
}

}  // namespace edgefuse::EDGEFUSE_ISA
