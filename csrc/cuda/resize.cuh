// Pictures to the size that an encoder takes, on a device: see `Area` and `Nearest`; the same bits as on a processor.
//
// A thread makes one pixel of out; sums are whole numbers, and the scratch of the arguments is not used. Aliasing: out
// overlaps nothing.
#pragma once

#include "../kernels.hpp"
#include "block.cuh"

namespace edgefuse::cuda {

// What of the unit [at * to, (at + 1) * to) lies in [i * from, (i + 1) * from).
EDGEFUSE_DEVICE int64_t overlap(int64_t i, int64_t at, int64_t from, int64_t to) {
  const int64_t low = i * from, high = low + from, begin = at * to, end = begin + to;
  const int64_t first = low > begin ? low : begin, last = high < end ? high : end;
  return last > first ? last - first : 0;
}

EDGEFUSE_DEVICE void area_pixel(const Area& a, int64_t i, int64_t j) {
  int64_t sums[3] = {};  // at most 255 rows columns, 2^36
  for (int64_t r = i * a.rows / a.out_rows; r < a.rows && r * a.out_rows < (i + 1) * a.rows; ++r) {
    const int64_t p = overlap(i, r, a.rows, a.out_rows);
    for (int64_t c = j * a.columns / a.out_columns; c < a.columns && c * a.out_columns < (j + 1) * a.columns; ++c) {
      const int64_t part = p * overlap(j, c, a.columns, a.out_columns);
      const uint8_t* pixel = a.pixels + r * a.row_stride + 3 * c;
      for (int k = 0; k < 3; ++k) sums[k] += part * pixel[k];
    }
  }
  const int64_t area = a.rows * a.columns;
  uint8_t* out = a.out + 3 * (i * a.out_columns + j);
  for (int k = 0; k < 3; ++k) out[k] = static_cast<uint8_t>((2 * sums[k] + area) / (2 * area));
}

EDGEFUSE_DEVICE void area_block(const Block& block, const Area& a) {
  const int64_t size = a.out_rows * a.out_columns, step = block.columns() * kThreads;
  block.each([&](int t) {
    for (int64_t e = block.x() * kThreads + t; e < size; e += step) area_pixel(a, e / a.out_columns, e % a.out_columns);
  });
}

EDGEFUSE_DEVICE void nearest_block(const Block& block, const Nearest& a) {
  const int64_t size = a.out_rows * a.out_columns, step = block.columns() * kThreads;
  block.each([&](int t) {
    for (int64_t e = block.x() * kThreads + t; e < size; e += step) {
      const int64_t row = e / a.out_columns * a.rows / a.out_rows;
      const int64_t column = e % a.out_columns * a.columns / a.out_columns;
      a.out[e] = *reinterpret_cast<const uint16_t*>(a.mm + row * a.row_stride + column * a.column_stride);
    }
  });
}

}  // namespace edgefuse::cuda
