// Joins through a residual block: a small dense layer on each row, or on their sum.
#pragma once

#include "join_rows.hpp"

namespace edgefuse::EDGEFUSE_ISA {

constexpr int64_t kBlockTile = 128;

// acc[k] = bias[k] + sum_m h[m] weight[m, k], over `width` columns of a row-major weight.
inline void dense(const float* h, int64_t dim, const float* weight, int64_t stride, const float* bias, int64_t width,
                  float* __restrict acc) {
  for (int64_t k = 0; k < width; ++k) acc[k] = bias[k];
  for (int64_t m = 0; m < dim; ++m) {
    const float* w = weight + m * stride;
    for (int64_t k = 0; k < width; ++k) acc[k] += h[m] * w[k];
  }
}

// to = h + relu(V h + c), or h + sigmoid(G h + g) relu(V h + c); weight [D, V | G], bias [c | g]. h is not `to`.
inline void residual(const float* h, int64_t dim, const float* weight, const float* bias, bool gated,
                     float* __restrict to) {
  const int64_t stride = gated ? 2 * dim : dim;
  for (int64_t begin = 0; begin < dim; begin += kBlockTile) {
    const int64_t width = dim - begin < kBlockTile ? dim - begin : kBlockTile;
    alignas(64) float block[kBlockTile], gate[kBlockTile];
    dense(h, dim, weight + begin, stride, bias + begin, width, block);
    if (gated) dense(h, dim, weight + dim + begin, stride, bias + dim + begin, width, gate);
    for (int64_t k = 0; k < width; ++k) {
      const float f = block[k] < 0.0f ? 0.0f : block[k];  // in this order relu(NaN) is NaN
      to[begin + k] = h[begin + k] + (gated ? sigmoid(gate[k]) * f : f);
    }
  }
}

// Each row through a block of its own, side by side, zeros where left out; theta: weights [N, D, .], biases [N, .].
inline void join_residual_late(const Join& j, const Taken& t, bool gated) {
  const int64_t columns = gated ? 2 * j.dim : j.dim;
  const float* biases = j.theta + j.streams * j.dim * columns;
  for (int64_t p = 0; p < t.count; ++p) {
    const int64_t i = t.rows[p];
    residual(row(j, t, p), j.dim, j.theta + i * j.dim * columns, biases + i * columns, gated, j.out + i * j.dim);
  }
}

// relu of the sum of the rows, through one block; theta: weight [D, .], bias [.]. The sum lives in scratch [D].
inline void join_residual_early(const Join& j, const Taken& t, bool gated) {
  float* __restrict h = j.scratch;
  for (int64_t k = 0; k < j.dim; ++k) h[k] = row(j, t, 0)[k];
  for (int64_t p = 1; p < t.count; ++p) {
    for (int64_t k = 0; k < j.dim; ++k) h[k] += row(j, t, p)[k];
  }
  for (int64_t k = 0; k < j.dim; ++k) h[k] = h[k] < 0.0f ? 0.0f : h[k];
  residual(h, j.dim, j.theta, j.theta + j.dim * (gated ? 2 * j.dim : j.dim), gated, j.out);
}

}  // namespace edgefuse::EDGEFUSE_ISA
