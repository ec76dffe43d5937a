// The kernels as plain functions over pointers and counts, and the table that each instruction set fills with them.
#pragma once

#include <stdint.h>

#include "look_arguments.hpp"

namespace edgefuse {

constexpr int64_t kMaxStreams = 16;

enum Select : uint8_t { kAbsent = 0, kPresent = 1, kSubstituted = 2 };
enum class Activation : int { kIdentity = 0, kRelu = 1 };
enum class Reduce : int { kNone = 0, kSum = 1, kAverage = 2, kMax = 3, kProduct = 4, kJointProduct = 5 };

// Projects N embeddings to one width and joins them: all of MultConcat (arXiv 2406.04349), concat, sum, average, max
// and product in one pass over the weights.
//
//   u_i = act(W_i^T x_i + b_i)   select[i] = 1 (present)
//       = substitutes[i]         select[i] = 2 (substituted)
//       = left out               select[i] = 0 (absent: neither x, weights nor substitutes of stream i are read)
//   out = [u_0 ... u_{N-1}] if concat (zeros where absent), then reduce_i u_i if reduce is not kNone
//
// The empty reduction is 0, and 1 for the product; the average divides by the streams taken, at least 1; the joint
// product is the product of two streams or more, and 0 of fewer: one stream alone says nothing about both.
// NaN in a stream that is taken reaches every output it enters, through relu and max too.
// out must not overlap an input; any alignment to sizeof(float) is fine; the caller has checked every offset.
struct Project {
  const float* x;                 // packed embeddings: stream i at offsets[i], dims[i] long
  const int64_t* dims;            // [N]
  const int64_t* offsets;         // [N]
  const float* weights;           // at weight_offsets[i]: W_i [dims[i], D] row by row, then b_i [D]
  const int64_t* weight_offsets;  // [N]
  const float* substitutes;       // [N, D]
  const uint8_t* select;          // [N]
  int64_t streams;                // N, 1 to kMaxStreams
  int64_t width;                  // D
  Activation activation;
  Reduce reduce;
  bool concat;
  float* out;            // [(concat ? N * D : 0) + (reduce ? D : 0)]
  const uint16_t* half;  // not null: the weights as IEEE halfs, at the same offsets; then `weights` is not read
};

// Joins N feature maps that are projected already: fuse_project's join at every cell of a grid.
//
//   u_i = act(x_i)                             select[i] = 1 (present)
//       = substitutes[i], the same everywhere  select[i] = 2 (substituted; act is not applied)
//       = left out                             select[i] = 0 (absent: never read)
//   out = [u_0 ... u_{N-1}] if concat (zeros where absent), then reduce_i u_i if reduce is not kNone
//
// Empty reductions, averages and NaN are as in fuse_project. out must not overlap an input; any alignment to
// sizeof(float) is fine. A large out is stored past the caches, so it is not in them afterwards.
struct Maps {
  const float* x;            // packed maps: stream i at offsets[i], [D, cells] in C order
  const int64_t* offsets;    // [N]
  const float* substitutes;  // [N, D]
  const uint8_t* select;     // [N]
  int64_t streams;           // N, 1 to kMaxStreams
  int64_t width;             // D
  int64_t cells;             // rows times columns of the grid
  Activation activation;
  Reduce reduce;
  bool concat;
  float* out;  // [(concat ? N : 0) + (reduce ? 1 : 0), D, cells]
};

// The logits that a linear head gives for many subsets of the streams, as exact Shapley values need them.
//
//   fused_m = [h_i if i in m, else 0, for each i] if concat, then reduce_{i in m} h_i if reduce is not kNone
//   out[m] = fused_m^T weight + bias
//
// A stream in none of the subsets is never read. The logits of a subset do not depend on the other subsets asked for.
// Masks in ascending order share the most work: one fold a subset. Empty reductions and averages as in fuse_project.
struct Subsets {
  const float* h;         // [N, D], the projections u_i
  const uint16_t* masks;  // [M]: bit i is set where stream i is taken; bits from N on are ignored
  const float* weight;    // [(concat ? N * D : 0) + (reduce ? D : 0), K]
  const float* bias;      // [K]
  int64_t streams;        // N, 1 to kMaxStreams
  int64_t width;          // D
  int64_t count;          // M, from 0
  int64_t classes;        // K
  Reduce reduce;
  bool concat;
  float* out;  // [M, K]; overlaps nothing
};

enum class JoinKind : int {
  kGate = 1,
  kChannel = 2,
  kShare = 3,
  kGmu = 4,
  kGmuN = 5,
  kPair = 6,
  kPairs = 7,
  kExperts = 8,
  kLmf = 9,
  kMfb = 10,
  kMutan = 11,
  kResidualLate = 12,
  kResidualGatedLate = 13,
  kResidualEarly = 14,
  kResidualGatedEarly = 15,
  kVoteMean = 16,
  kVoteShare = 17,
  kVoteProduct = 18,
  kVoteMajority = 19,
  kStack = 20,
  kCosine = 21,
};

// Joins the selected rows of u into one vector by the formula of `kind` (join_*.hpp states each, with its paper).
//
// Nothing selected gives zeros. Rows that are not selected are never read. NaN in a row that is taken reaches what it
// enters. out and scratch overlap nothing; any alignment to sizeof(float) is fine.
struct Join {
  JoinKind kind;
  const float* u;         // [N, W]
  const uint8_t* select;  // [N], 0 leaves the row out
  const float* theta;     // the join's own parameters
  int64_t streams;        // N, 1 to kMaxStreams; 2 for kGmu and kPair
  int64_t columns;        // W
  int64_t dim;            // D
  int64_t rank;           // R
  float* out;             // [M]
  int64_t out_size;       // M
  float* scratch;         // [D]
};

// What a join needs and gives: W, the length of theta, and M.
struct JoinSizes {
  int64_t columns, theta, out;
};

inline JoinSizes join_sizes(JoinKind kind, int64_t n, int64_t d, int64_t r) {
  switch (kind) {
    case JoinKind::kGate:
      return {d, n * d + n, d};
    case JoinKind::kChannel:
      return {d, n * d, d};
    case JoinKind::kShare:
    case JoinKind::kVoteShare:
      return {d, n, d};
    case JoinKind::kGmu:
    case JoinKind::kPairs:
      return {2 * d, 0, d};
    case JoinKind::kGmuN:
      return {d + n * d, 0, d};
    case JoinKind::kExperts:
      return {2 * d, 0, 2 * d};
    case JoinKind::kLmf:
      return {r * d, r + d, d};
    case JoinKind::kMfb:
    case JoinKind::kMutan:
      return {r * d, 0, d};
    case JoinKind::kResidualLate:
      return {d, n * (d * d + d), n * d};
    case JoinKind::kResidualGatedLate:
      return {d, 2 * n * (d * d + d), n * d};
    case JoinKind::kResidualEarly:
      return {d, d * d + d, d};
    case JoinKind::kResidualGatedEarly:
      return {d, 2 * (d * d + d), d};
    case JoinKind::kVoteProduct:
      return {d, d, d};
    case JoinKind::kStack:
      return {d, 0, n * d};
    default:
      return {d, 0, d};  // kPair, kVoteMean, kVoteMajority, kCosine
  }
}

// Turns a point cloud into a bird's-eye grid: saturated counts per height band, greatest height, greatest reflectance.
//
//   row = floor((x - x_min) / cell), col = floor((y - y_min) / cell), band b: z_edges[b] <= z < z_edges[b + 1]
//   out[b] = min(points in band b, cap) / cap;  out[B] = max(z - z_edges[0]);  out[B + 1] = max(clip(reflectance, 0,
//   1))
//
// Points outside the area or the bands, or with any value that is not finite, are skipped. All of out is written.
struct Grid {
  const float* points;  // [n, 4]: x, y, z in metres, reflectance
  int64_t count;        // n
  float x_min_m;
  float y_min_m;
  float cell_m;
  const float* z_edges_m;  // [B + 1], ascending
  int64_t bands;           // B
  int64_t count_cap;       // 1 to 2^24, so that a float counts exactly
  int64_t rows;            // up to 2^24
  int64_t cols;            // up to 2^24
  float* out;              // [B + 2, rows, cols]
};

// A picture made smaller, each pixel the mean of the area that it covers, rounded half up:
//
//   out[i, j] = floor(sum over r, c of p(i, r) q(j, c) pixel(r, c) / (rows columns) + 1 / 2)
//   p(i, r)   = length of [i rows, (i + 1) rows) and [r out_rows, (r + 1) out_rows) in common; q likewise of columns
//
// out must not overlap pixels. rows and columns are at most 2^14, and not less than those of out.
struct Area {
  const uint8_t* pixels;  // [rows, columns, 3], pixels of a row side by side
  int64_t row_stride;     // bytes
  int64_t rows;
  int64_t columns;
  int64_t out_rows;
  int64_t out_columns;
  int64_t taps;    // columns that one of out covers at most, those in part among them; up to columns
  float* sums;     // [3 columns], scratch
  double* wide;    // [3 columns + 1], scratch; the last one is read, and not used
  int64_t* first;  // [out_columns], scratch
  double* parts;   // [out_columns, taps], scratch
  uint8_t* out;    // [out_rows, out_columns, 3]
};

// A depth picture at another size, out[i, j] = mm(floor(i rows / out_rows), floor(j columns / out_columns)).
struct Nearest {
  const uint8_t* mm;   // uint16, aligned
  int64_t row_stride;  // bytes
  int64_t column_stride;
  int64_t rows;
  int64_t columns;
  int64_t out_rows;
  int64_t out_columns;
  int64_t* offsets;  // [out_columns], scratch
  uint16_t* out;     // [out_rows, out_columns]
};

// One instruction set's kernels.
struct Kernels {
  const char* isa;
  void (*fuse_project)(const Project&);
  void (*fuse_join)(const Join&);
  void (*fuse_maps)(const Maps&);
  void (*subset_head)(const Subsets&);
  int64_t (*lidar_grid)(const Grid&);  // returns the number of points used
  void (*picture_grain)(const Picture&);
  void (*picture_levels)(const Levels&);
  void (*depth_counts)(const Depth&);
  void (*cloud_counts)(const Cloud&);
  void (*sweep_counts)(const Sweep&);
  void (*digest)(const Digest&);
  bool (*all_finite)(const float* values, int64_t n);
  void (*picture_area)(const Area&);
  void (*depth_nearest)(const Nearest&);
};

}  // namespace edgefuse
