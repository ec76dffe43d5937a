// What payloads show of themselves, on a device: see look_arguments.hpp; sums of whole numbers, so the same bits as on
// a processor, in whatever order threads add.
//
// out is zero before, and overlaps nothing.
#pragma once

#include "../kernels.hpp"
#include "block.cuh"

namespace edgefuse::cuda {

// What the threads of a block have counted, in shared memory, before the block adds it to what others have.
struct Counted {
  int64_t counts[6];
  int32_t most;
};

// Lets every thread count, f(thread, counts, most), and adds that to `out` [kCount], and to the largest in `most`.
template <int kCount, class F>
EDGEFUSE_DEVICE void count_all(const Block& block, Counted& shared, int64_t* out, int32_t* most, F f) {
  block.each([&](int t) {
    if (t < kCount) shared.counts[t] = 0;
    if (t == 0) shared.most = 0;
  });
  block.each([&](int t) {
    int64_t counts[kCount] = {};
    int32_t largest = 0;
    f(block.x() * kThreads + t, block.columns() * kThreads, counts, largest);
    for (int k = 0; k < kCount; ++k) {
      if (counts[k] != 0) add(shared.counts + k, counts[k]);
    }
    if (largest > 0) raise(&shared.most, largest);
  });
  block.each([&](int t) {
    if (t < kCount && shared.counts[t] != 0) add(out + t, shared.counts[t]);
    if (t == 0 && shared.most > 0) raise(most, shared.most);
  });
}

EDGEFUSE_DEVICE int64_t magnitude(int64_t v) { return v < 0 ? -v : v; }

EDGEFUSE_ANYWHERE int64_t rows_looked_at(int64_t first, int64_t end, int64_t step) {
  return end > first ? (end - first + step - 1) / step : 0;
}

// The six sums of `Picture` at one pixel (r, c).
EDGEFUSE_DEVICE void grain_at(const Picture& p, int64_t r, int64_t c, int64_t (&sums)[6]) {
  const auto g = [&](int64_t row, int64_t column) {
    return int64_t{p.green[row * p.row_stride + column * p.column_stride]};
  };
  const auto down = [&](int64_t column) { return 2 * g(r, column) - g(r - p.fine, column) - g(r + p.fine, column); };
  const int64_t here = down(c), far = g(r + p.coarse, c) - g(r, c);
  sums[3] += here * here;
  sums[5] += far * far;
  if (c + p.coarse < p.columns) {
    const int64_t beside = g(r, c + p.coarse) - g(r, c);
    sums[4] += beside * beside;
  }
  if (c < p.fine || c + p.fine >= p.columns) return;
  const int64_t residue = 2 * here - down(c - p.fine) - down(c + p.fine);
  const int64_t across = 2 * g(r, c) - g(r, c - p.fine) - g(r, c + p.fine);
  sums[0] += magnitude(residue);
  sums[1] += residue * residue;
  sums[2] += across * across;
}

EDGEFUSE_DEVICE void grain_block(const Block& block, const Picture& p, Counted& shared) {
  const int64_t size = rows_looked_at(p.first, p.end, p.step) * p.columns;
  count_all<6>(block, shared, p.out, nullptr, [&](int64_t from, int64_t step, int64_t (&sums)[6], int32_t&) {
    for (int64_t e = from; e < size; e += step) {
      grain_at(p, p.first + e / p.columns * p.step, e % p.columns, sums);
    }
  });
}

EDGEFUSE_DEVICE void levels_block(const Block& block, const Levels& l, Counted& shared) {
  const int64_t across = rows_looked_at(0, l.columns, l.step), size = rows_looked_at(0, l.rows, l.step) * across;
  count_all<2>(block, shared, l.out, nullptr, [&](int64_t from, int64_t step, int64_t (&counts)[2], int32_t&) {
    for (int64_t e = from; e < size; e += step) {
      const uint8_t* pixel = l.pixels + e / across * l.step * l.row_stride + e % across * l.step * l.column_stride;
      const int32_t red = pixel[0], green = pixel[l.channel_stride], blue = pixel[2 * l.channel_stride];
      counts[0] += red <= l.dark && green <= l.dark && blue <= l.dark;
      counts[1] += red >= l.bright && green >= l.bright && blue >= l.bright;
    }
  });
}

EDGEFUSE_DEVICE int32_t depth_at(const Depth& d, int64_t e, int64_t column) {
  const uint8_t* row = d.mm + e / d.columns * d.step * d.row_stride;
  return *reinterpret_cast<const uint16_t*>(row + column * d.column_stride);
}

// First measured, pairs, torn, and the farthest; then, in a launch of its own, how many are at the limit.
EDGEFUSE_DEVICE void depth_block(const Block& block, const Depth& d, int32_t* most, Counted& shared) {
  const int64_t size = rows_looked_at(0, d.rows, d.step) * d.columns;
  count_all<4>(block, shared, d.out, most, [&](int64_t from, int64_t step, int64_t (&counts)[4], int32_t& farthest) {
    for (int64_t e = from; e < size; e += step) {
      const int64_t column = e % d.columns;
      const int32_t b = depth_at(d, e, column), a = column > 0 ? depth_at(d, e, column - 1) : 0;
      const int32_t near = a < b ? a : b, farther = a < b ? b : a;
      counts[0] += b > 0;
      counts[2] += near > 0;
      counts[3] += near > 0 && farther - near > near / 2;
      farthest = b > farthest ? b : farthest;
    }
  });
}

EDGEFUSE_DEVICE void limit_block(const Block& block, const Depth& d, const int32_t* most, Counted& shared) {
  const int64_t size = rows_looked_at(0, d.rows, d.step) * d.columns;
  const int32_t limit = *most < d.limit_mm ? *most : d.limit_mm;
  count_all<1>(block, shared, d.out + 1, nullptr, [&](int64_t from, int64_t step, int64_t (&far)[1], int32_t&) {
    for (int64_t e = from; e < size; e += step) far[0] += depth_at(d, e, e % d.columns) >= limit;
  });
}

}  // namespace edgefuse::cuda
