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

// Adds kRows rows of pixels, each times its part, to sums [values], which begin with them where kFirst.
template <int64_t kRows, bool kFirst>
inline void add_rows(const uint8_t* __restrict pixels, int64_t stride, const float* parts, int64_t values,
                     float* __restrict sums) {
  for (int64_t c = 0; c < values; ++c) {
    float sum = kFirst ? 0.0f : sums[c];
    for (int64_t r = 0; r < kRows; ++r) sum += parts[r] * static_cast<float>(pixels[r * stride + c]);
    sums[c] = sum;
  }
}

constexpr int64_t kTogether = 4;  // rows, whose sums stay in registers

template <bool kFirst>
inline void add_some(int64_t rows, const uint8_t* pixels, int64_t stride, const float* parts, int64_t values,
                     float* sums) {
  switch (rows) {
    case 1:
      return add_rows<1, kFirst>(pixels, stride, parts, values, sums);
    case 2:
      return add_rows<2, kFirst>(pixels, stride, parts, values, sums);
    case 3:
      return add_rows<3, kFirst>(pixels, stride, parts, values, sums);
    default:
      return add_rows<kTogether, kFirst>(pixels, stride, parts, values, sums);
  }
}

// sums[c] = sum over the rows of output row i of their part in it; at most 255 * rows, which floats hold.
inline void weigh_rows(const Area& a, int64_t i) {
  const int64_t values = 3 * a.columns, first = i * a.rows / a.out_rows;
  const int64_t end = ((i + 1) * a.rows + a.out_rows - 1) / a.out_rows;
  for (int64_t r = first; r < end; r += kTogether) {
    const int64_t rows = end - r < kTogether ? end - r : kTogether;
    float parts[kTogether];
    for (int64_t k = 0; k < rows; ++k) parts[k] = static_cast<float>(overlap(i, r + k, a.rows, a.out_rows));
    const uint8_t* pixels = a.pixels + r * a.row_stride;
    const auto add = r == first ? add_some<true> : add_some<false>;
    add(rows, pixels, a.row_stride, parts, values, a.sums);
  }
  for (int64_t c = 0; c < values; ++c) a.wide[c] = static_cast<double>(a.sums[c]);
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

typedef double Double4 __attribute__((vector_size(32)));
typedef int32_t Int4 __attribute__((vector_size(16)));
typedef uint8_t Byte16 __attribute__((vector_size(16)));

// The lowest bytes of three numbers. Where there is room for four, the last of them is to be written over.
inline void put_pixel(Int4 numbers, bool room, uint8_t* to) {
#if !defined(__clang__) && (defined(__SSSE3__) || defined(__aarch64__))
  const Byte16 bytes = __builtin_shuffle((Byte16)numbers, Byte16{0, 4, 8, 12});
  __builtin_memcpy(to, &bytes, room ? 4 : 3);
#else
  (void)room;
  for (int64_t k = 0; k < 3; ++k) to[k] = static_cast<uint8_t>(numbers[k]);
#endif
}

// One row of out from the sums, a pixel at a time in four lanes, of which the last is the next pixel's, and unused;
// kTaps, where it is not 0, is `taps`, known to the compiler.
//
// Half of the area is added for rounding. What is left of a whole number is a multiple of 1 / (2 rows columns), at
// least 2^-29, and the product's own error is far below 2^-30: adding that makes truncation the floor, exactly.
template <int64_t kTaps>
inline void weigh(const Area& a, double half, double scale, uint8_t* __restrict out) {
  constexpr double kHair = 1.0 / (1 << 30);
  const int64_t taps = kTaps ? kTaps : a.taps, columns = a.out_columns;
  const int64_t* __restrict first = a.first;
  const double* __restrict sums = a.wide, * __restrict parts = a.parts;
  for (int64_t j = 0; j < columns; ++j, parts += taps) {
    const double* from = sums + 3 * first[j];
    Double4 pixel = Double4{} + half;
    for (int64_t t = 0; t < taps; ++t) {
      Double4 some;
      __builtin_memcpy(&some, from + 3 * t, sizeof some);
      pixel += parts[t] * some;
    }
    put_pixel(__builtin_convertvector(pixel * scale + kHair, Int4), j + 1 < columns, out + 3 * j);
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
