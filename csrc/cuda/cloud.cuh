// What clouds show of themselves, and digests of bytes, on a device: see look_arguments.hpp; the same bits as on a
// processor, as all that is added are whole numbers. Aliasing: outputs overlap nothing; they are zero before.
#pragma once

#include "../kernels.hpp"
#include "block.cuh"
#include "fold.cuh"
#include "look.cuh"

namespace edgefuse::cuda {

EDGEFUSE_DEVICE float size_of(float v) { return v < 0.0f ? -v : v; }

// Of `count` things the i-th of at most `most` that are spread evenly over them.
EDGEFUSE_DEVICE int64_t spread_over(int64_t i, int64_t count, int64_t most) {
  if (count <= most) return i;
  return static_cast<int64_t>(static_cast<double>(i) * (static_cast<double>(count) / static_cast<double>(most)));
}

EDGEFUSE_DEVICE int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

// How many values are not finite.
EDGEFUSE_DEVICE void finite_block(const Block& block, const float* values, int64_t count, int64_t* bad) {
  block.each([&](int t) {
    int64_t found = 0;
    for (int64_t e = block.x() * kThreads + t; e < count; e += block.columns() * kThreads) {
      found += !(values[e] - values[e] == 0.0f);
    }
    if (found > 0) add(bad, found);
  });
}

// The rest of `Cloud`, in a launch of its own; all stays 0 where a value was not finite.
EDGEFUSE_DEVICE void cloud_block(const Block& block, const Cloud& c, const int64_t* bad, Counted& shared) {
  if (*bad != 0) return;
  const int64_t values = 4 * c.count, some = at_most(values, kCloudValues), looked = at_most(c.count, kCloudPoints);
  count_all<4>(block, shared, c.out, nullptr, [&](int64_t from, int64_t step, int64_t (&counts)[4], int32_t&) {
    counts[0] = from == 0;
    for (int64_t e = from; e < some; e += step) {
      const float size = size_of(c.points[spread_over(e, values, kCloudValues)]);
      counts[1] += size > 0.0f;
      counts[2] += size >= c.smallest;
    }
    for (int64_t e = from; e < looked; e += step) {
      const float* p = c.points + 4 * spread_over(e, c.count, kCloudPoints);
      const float x = size_of(p[0]), y = size_of(p[1]), z = size_of(p[2]);
      const float level = x > y ? x : y, range = level > z ? level : z;
      counts[3] += (range < c.min_range_m && range > 0.0f) || range > c.max_range_m;
    }
  });
}

EDGEFUSE_DEVICE int64_t sector_of(const float* slopes, float x, float y) {
  const float along = size_of(x), across = size_of(y);
  const bool steep = across > along;
  const float slope = steep ? along / across : across / along;
  int64_t reached = 0;
  for (int64_t j = 0; j < kSlopes; ++j) reached += slope >= slopes[j];
  const int64_t from_x = steep ? 2 * kSlopes + 1 - reached : reached, half = kSectors / 2;
  const int64_t from_front = x < 0.0f ? half - 1 - from_x : from_x;
  return y < 0.0f ? half - 1 - from_front : half + from_front;
}

// Points that hit, by sector and by row of elevation: counts [1 + kSectors + kElevations].
EDGEFUSE_DEVICE void sweep_block(const Block& block, const Sweep& s, int64_t* counts, Counted& shared) {
  const int64_t looked = at_most(s.count, kSweepPoints);
  count_all<1>(block, shared, counts, nullptr, [&](int64_t from, int64_t step, int64_t (&hits)[1], int32_t&) {
    for (int64_t e = from; e < looked; e += step) {
      const float* p = s.points + 4 * spread_over(e, s.count, kSweepPoints);
      const double x = p[0], y = p[1], level = sqrt(x * x + y * y);  // products of floats are exact in doubles
      if (!(level > 0.0)) continue;
      const double at = static_cast<double>(p[2]) / level / (2.0 * kSteepest) + 0.5;
      const double row = at < 0.0 ? 0.0 : at > kLastElevation ? kLastElevation : at;
      ++hits[0];
      add(counts + 1 + sector_of(s.slopes, p[0], p[1]), int64_t{1});
      add(counts + 1 + kSectors + static_cast<int64_t>(row * static_cast<double>(kElevations)), int64_t{1});
    }
  });
}

// The counts as `Sweep` gives them, in a launch of its own; the first block does it.
EDGEFUSE_DEVICE void sweep_end(const Block& block, const Sweep& s, const int64_t* counts) {
  if (block.x() != 0) return;
  const int64_t looked = at_most(s.count, kSweepPoints);
  block.each([&](int t) {
    for (int64_t k = t; k < 1 + kSectors + kElevations; k += kThreads) s.out[k] = static_cast<double>(counts[k]);
    if (t == 0 && looked > 0) {
      s.out[0] = static_cast<double>(s.count) * static_cast<double>(counts[0]) / static_cast<double>(looked);
    }
  });
}

EDGEFUSE_DEVICE uint32_t mixed(uint32_t word, int64_t k) {
  uint32_t w = (word ^ static_cast<uint32_t>(k) * 0x9e3779b1u) * 0x85ebca6bu;
  w = (w ^ w >> 16) * 0xc2b2ae35u;
  return w ^ w >> 16;
}

EDGEFUSE_DEVICE void digest_block(const Block& block, const Digest& d, Counted& shared) {
  constexpr int64_t kWords = kBlockBytes / 4;
  const int64_t blocks = d.size / kBlockBytes, looked = at_most(blocks, kDigestBlocks);
  const int64_t words = kWords * (looked + (d.size % kBlockBytes > 0));
  auto* out = reinterpret_cast<int64_t*>(d.out);
  count_all<1>(block, shared, out, nullptr, [&](int64_t begin, int64_t step, int64_t (&sum)[1], int32_t&) {
    sum[0] = begin == 0 ? d.size : 0;
    for (int64_t k = begin; k < words; k += step) {
      const int64_t from = k / kWords == looked ? blocks : spread_over(k / kWords, blocks, kDigestBlocks);
      uint32_t word = 0;
      for (int64_t b = 3; b >= 0; --b) {
        const int64_t at = kBlockBytes * from + 4 * (k % kWords) + b;
        word = word << 8 | (at < d.size ? d.bytes[at] : 0u);
      }
      sum[0] += mixed(word, k);
    }
  });
}

}  // namespace edgefuse::cuda
