// The kernels as plain functions over pointers and counts, and the table that each instruction set fills with them.
#pragma once

#include <stdint.h>

namespace edgefuse {

constexpr int64_t kMaxStreams = 16;

enum Select : uint8_t { kAbsent = 0, kPresent = 1, kSubstituted = 2 };
enum class Activation : int { kIdentity = 0, kRelu = 1 };
enum class Reduce : int { kNone = 0, kSum = 1, kAverage = 2, kMax = 3, kProduct = 4 };

// Projects N embeddings to one width and joins them: all of MultConcat (arXiv 2406.04349), concat, sum, average, max
// and product in one pass over the weights.
//
//   u_i = act(W_i^T x_i + b_i)   select[i] = 1 (present)
//       = substitutes[i]         select[i] = 2 (substituted)
//       = left out               select[i] = 0 (absent: neither x, weights nor substitutes of stream i are read)
//   out = [u_0 ... u_{N-1}] if concat (zeros where absent), then reduce_i u_i if reduce is not kNone
//
// The empty reduction is 0, and 1 for the product; the average divides by the streams taken, at least 1.
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
  float* out;  // [(concat ? N * D : 0) + (reduce ? D : 0)]
};

// Weighs the selected rows of h by a softmax over one scalar logit a row; renormalised over those present.
//
//   g_i = <gate_weight_i, h_i> + gate_bias_i,  alpha = softmax(g) over select[i] != 0,  out = sum_i alpha_i h_i
//
// Nothing selected gives zeros. Rows that are not selected are never read. out and alpha overlap nothing.
struct Gate {
  const float* h;            // [N, D]
  const uint8_t* select;     // [N]
  const float* gate_weight;  // [N, D]
  const float* gate_bias;    // [N]
  int64_t streams;           // N, 1 to kMaxStreams
  int64_t width;             // D
  float* out;                // [D]
  float* alpha;              // [N]
};

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

// One instruction set's kernels.
struct Kernels {
  const char* isa;
  void (*fuse_project)(const Project&);
  void (*fuse_gate)(const Gate&);
  int64_t (*lidar_grid)(const Grid&);  // returns the number of points used
};

}  // namespace edgefuse
