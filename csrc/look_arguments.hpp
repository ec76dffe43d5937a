// What the kernels that look at payloads are asked, and what they answer: counts and sums of whole numbers.
#pragma once

#include <stdint.h>

namespace edgefuse {

constexpr int64_t kPictureColumns = 1024;

// Some rows of the green plane of a picture: row = first, first + step, ... < end; g(r, c) is a grey level.
//
//   across = 2 g(r, c) - g(r, c - fine) - g(r, c + fine),  down = 2 g(r, c) - g(r - fine, c) - g(r + fine, c)
//   residue = 2 down(c) - down(c - fine) - down(c + fine): Immerkaer (1996), "Fast noise variance estimation"
//   out = sum |residue|, and the sums of squares of residue, across, down, g(r, c + coarse) - g(r, c) and
//         g(r + coarse, c) - g(r, c), each over all columns for which it exists
struct Picture {
  const uint8_t* green;  // of pixel (0, 0)
  int64_t row_stride;    // bytes
  int64_t column_stride;
  int64_t first;    // at least fine
  int64_t end;      // rows - coarse, at most
  int64_t step;     // at least 1
  int64_t columns;  // 2 fine + 1 and coarse + 1 at least, kPictureColumns at most
  int64_t fine;
  int64_t coarse;  // at least fine
  int64_t* out;    // [6]
};

// Every step-th pixel of every step-th row: how many are at most `dark`, and at least `bright`, in all three channels.
struct Levels {
  const uint8_t* pixels;
  int64_t row_stride;  // bytes
  int64_t column_stride;
  int64_t channel_stride;
  int64_t rows;
  int64_t columns;
  int64_t step;
  int32_t dark;
  int32_t bright;
  int64_t* out;  // [2]
};

// Of every step-th row: out = pixels that hold a measurement; those at min(the farthest, limit_mm) or beyond; the pairs
// of neighbours that both hold one, and those of them that differ by more than half of the nearer one.
struct Depth {
  const uint8_t* mm;   // uint16, 0 = nothing measured; aligned; fewer than 2^31 pixels
  int64_t row_stride;  // bytes
  int64_t column_stride;
  int64_t rows;
  int64_t columns;
  int64_t step;
  int32_t limit_mm;
  int64_t* out;  // [4]
};

// At most so many of a cloud are looked at, evenly spread; primes, as points come in columns of so many beams.
constexpr int64_t kCloudValues = 16381, kCloudPoints = 1021, kSweepPoints = 8191;

// out = 1 if every value is finite, else all 0; of some values those that are not 0, and those of at least `smallest`;
// of some points those nearer than min_range_m, but not at 0, or farther than max_range_m, by their largest coordinate.
struct Cloud {
  const float* points;  // [n, 4]
  int64_t count;        // n
  float smallest;
  float min_range_m;
  float max_range_m;
  int64_t* out;  // [4]
};

constexpr int64_t kSectors = 72, kElevations = 256, kSlopes = 8;
constexpr double kSteepest = 0.8, kLastElevation = 1.0 - 1e-6;

// out = points that hit something, estimated from some of them; then their counts by sector of azimuth (5 degrees, from
// -180) and by row of elevation (equal steps of rise per metre from -0.8 to 0.8, the outermost rows taking the rest).
struct Sweep {
  const float* points;  // [n, 4], finite
  int64_t count;        // n
  const float* slopes;  // [kSlopes]: tan(5 j degrees), j = 1 to 8
  double* out;          // [1 + kSectors + kElevations]
};

// Bytes are digested in blocks, of which at most a prime number is looked at, evenly spread.
constexpr int64_t kBlockBytes = 32, kDigestBlocks = 1021;

// out = size + sum over the 32-bit words w(k) looked at of mix(w(k) xor k * 0x9e3779b1), modulo 2^64, where mix
// multiplies by 0x85ebca6b, folds the upper half in, and does so again with 0xc2b2ae35, as the last step of MurmurHash3
// does (Appleby 2011). One word that changes always changes the sum. A last block that is not whole counts with zeros.
struct Digest {
  const uint8_t* bytes;  // need not be aligned
  int64_t size;
  uint64_t* out;
};

}  // namespace edgefuse
