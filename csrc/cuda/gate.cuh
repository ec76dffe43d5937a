// fuse_gate on a device, in one launch: the joins by weights and gates of `fuse_join`, for rows u_i [columns].
//
//   gate     sum a_i u_i, a = softmax of w_i . u_i + c_i; theta: w [N, D], c [N]
//   channel  sum a_i u_i, a softmax for every channel; theta: logits [N, D]; UniBEV, arXiv 2309.14516
//   share    sum a_i u_i, a = softmax of one logit a stream; theta: logits [N]; EmbraceNet, arXiv 1904.09078
//   gmu      z tanh(v_0) + (1 - z) tanh(v_1), z = sigmoid(g_0 + g_1), u = [v | g]; one alone: tanh(v); arXiv 1702.01992
//   gmu_n    sum sigmoid(G_i) tanh(v_i), G_i = sum_j g_j[i], u_j = [v | g for stream 0 | ...]; arXiv 1702.01992
//   pair     sigmoid(u_0) u_1; one alone: u; Kiela et al. 2018, arXiv 1802.02892
//   pairs    sum v_i prod_{j != i} sigmoid(s_j), u = [v | s]
//   experts  [sum T_i m_i / T | 1 / T], T = 1 + sum T_i, T_i = exp(-l_i), u = [m | l], l clamped to [-6, 6];
//            Wu and Goodman 2018, arXiv 1802.05335
//   cosine   the rows at unit length, summed, at unit length again
//
// Blocks share the columns. What needs whole rows first (gate, cosine) every block works out for itself: rows are
// short, blocks need not wait for each other then, and the bits do not depend on how many there are. Sums are float32
// in a fixed order. Rows that are not taken are never read, and nothing taken gives zeros.
// Aliasing: out overlaps nothing. Assumes one of the kinds above, and two streams for gmu and pair.
#pragma once

#include <math.h>

#include "fold.cuh"

namespace edgefuse::cuda {

constexpr int kWarp = 32, kWarps = kThreads / kWarp;
constexpr float kLeast = 1e-12f;  // of a length

// Whether fuse_gate has that join.
inline bool is_gate(JoinKind kind) {
  return (kind >= JoinKind::kGate && kind <= JoinKind::kExperts) || kind == JoinKind::kCosine;
}

// Device pointers, and everything that is fixed when a model is loaded, by value.
struct GateArgs {
  const float* u;        // [streams, columns]; the substitute of a stream that is substituted lies in its row
  const uint32_t* mask;  // see select_of
  const float* theta;
  float* out;  // [dim], of kExperts [2 dim]
  JoinKind kind;
  int64_t streams;
  int64_t columns;
  int64_t dim;
};

struct GateSums {
  float part[kMaxStreams][kWarp + 1];  // one more, so that the threads that add up rows meet in no bank
  float rows[kMaxStreams];             // over each row taken: w_i . u_i, or the square of its length
  float squares[kWarps];               // over the joined vector, in parts
};
static_assert(kWarps <= kMaxStreams);

// What a column is joined from: the rows that are taken, bit i for row i, and what was summed over whole rows.
struct Gates {
  const GateArgs& a;
  uint32_t taken;
  const GateSums& sums;
};

EDGEFUSE_DEVICE uint32_t taken_of(uint32_t mask, int64_t streams) {
  uint32_t taken = 0;
  for (int64_t i = 0; i < streams; ++i) taken |= (select_of(mask, i) != kAbsent ? 1u : 0u) << i;
  return taken;
}

// f(i) for every row taken, ascending.
template <class F>
EDGEFUSE_DEVICE void each_taken(const Gates& g, F f) {
  for (int64_t i = 0; i < g.a.streams; ++i) {
    if (g.taken >> i & 1) f(i);
  }
}

EDGEFUSE_DEVICE float at(const Gates& g, int64_t i, int64_t k) { return g.a.u[i * g.a.columns + k]; }

EDGEFUSE_DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

EDGEFUSE_DEVICE float length_of(float square) {
  const float length = sqrtf(square);
  return length < kLeast ? kLeast : length;  // in this order a NaN stays one
}

// to[i] = the sum of part(i, lane) over the lanes of a warp, for each of `rows` rows.
template <class Part>
EDGEFUSE_DEVICE void sum_lanes(const Block& block, GateSums& shared, int64_t rows, float* to, Part part) {
  block.each([&](int t) {
    const int lane = t % kWarp;
    for (int64_t i = t / kWarp; i < rows; i += kWarps) shared.part[i][lane] = part(i, lane);
  });
  block.each([&](int t) {
    if (t >= rows) return;
    float sum = 0.0f;
    for (int lane = 0; lane < kWarp; ++lane) sum += shared.part[t][lane];
    to[t] = sum;
  });
}

// sums.rows[i] = the sum of v_i[k] u_i[k] over the columns; v is `with`, or u itself.
EDGEFUSE_DEVICE void sum_rows(const Block& block, const Gates& g, GateSums& shared, const float* with) {
  sum_lanes(block, shared, g.a.streams, shared.rows, [&](int64_t i, int lane) {
    float sum = 0.0f;
    if (!(g.taken >> i & 1)) return sum;
    for (int64_t k = lane; k < g.a.dim; k += kWarp) sum += (with ? with[i * g.a.dim + k] : at(g, i, k)) * at(g, i, k);
    return sum;
  });
}

// sum a_i u_i, a = softmax of logit(i) over the rows taken.
template <class Logit>
EDGEFUSE_DEVICE float softmax_sum(const Gates& g, int64_t k, Logit logit) {
  float peak = -infinity(), total = 0.0f, z = 0.0f;
  each_taken(g, [&](int64_t i) { peak = logit(i) > peak ? logit(i) : peak; });
  each_taken(g, [&](int64_t i) { total += expf(logit(i) - peak); });
  each_taken(g, [&](int64_t i) { z += expf(logit(i) - peak) / total * at(g, i, k); });
  return z;
}

EDGEFUSE_DEVICE float gate_column(const Gates& g, int64_t k) {
  const float* bias = g.a.theta + g.a.streams * g.a.dim;
  return softmax_sum(g, k, [&](int64_t i) { return g.sums.rows[i] + bias[i]; });
}

// One of two streams, or both.
EDGEFUSE_DEVICE float gmu_column(const Gates& g, int64_t k) {
  if (g.taken != 3) return tanhf(at(g, g.taken >> 1, k));
  const float z = sigmoid(at(g, 0, g.a.dim + k) + at(g, 1, g.a.dim + k));
  return z * tanhf(at(g, 0, k)) + (1.0f - z) * tanhf(at(g, 1, k));
}

EDGEFUSE_DEVICE float gmu_n_column(const Gates& g, int64_t k) {
  float z = 0.0f;
  each_taken(g, [&](int64_t i) {
    float gate = 0.0f;
    each_taken(g, [&](int64_t j) { gate += at(g, j, g.a.dim * (1 + i) + k); });
    z += sigmoid(gate) * tanhf(at(g, i, k));
  });
  return z;
}

EDGEFUSE_DEVICE float pair_column(const Gates& g, int64_t k) {
  if (g.taken != 3) return at(g, g.taken >> 1, k);
  return sigmoid(at(g, 0, k)) * at(g, 1, k);
}

// Row by row: a new row gates all that came before it, and they gate it.
EDGEFUSE_DEVICE float pairs_column(const Gates& g, int64_t k) {
  float z = 0.0f, gates = 1.0f;
  bool first = true;
  each_taken(g, [&](int64_t i) {
    const float v = at(g, i, k), gate = sigmoid(at(g, i, g.a.dim + k));
    z = first ? v : z * gate + v * gates;  // one alone is gated by nothing, not even by a NaN of its own
    gates *= gate;
    first = false;
  });
  return z;
}

EDGEFUSE_DEVICE void experts_column(const Gates& g, int64_t k) {
  float total = 1.0f, mean = 0.0f;
  each_taken(g, [&](int64_t i) {
    const float l = at(g, i, g.a.dim + k);
    const float precision = expf(-(l < -6.0f ? -6.0f : l > 6.0f ? 6.0f : l));  // a NaN stays one
    total += precision;
    mean += precision * at(g, i, k);
  });
  g.a.out[k] = mean / total;
  g.a.out[g.a.dim + k] = 1.0f / total;
}

EDGEFUSE_DEVICE float unit_rows_sum(const Gates& g, int64_t k) {
  float z = 0.0f;
  each_taken(g, [&](int64_t i) { z += at(g, i, k) / length_of(g.sums.rows[i]); });
  return z;
}

EDGEFUSE_DEVICE float cosine_column(const Gates& g, int64_t k) {
  float square = 0.0f;
  for (int w = 0; w < kWarps; ++w) square += g.sums.squares[w];
  return unit_rows_sum(g, k) / length_of(square);
}

// The squares of each row's length, then that of the joined vector's, a part of its columns a warp.
EDGEFUSE_DEVICE void sum_squares(const Block& block, const Gates& g, GateSums& shared) {
  sum_rows(block, g, shared, nullptr);
  sum_lanes(block, shared, kWarps, shared.squares, [&](int64_t warp, int lane) {
    float sum = 0.0f;
    for (int64_t k = warp * kWarp + lane; k < g.a.dim; k += kThreads) {
      const float z = unit_rows_sum(g, k);
      sum += z * z;
    }
    return sum;
  });
}

EDGEFUSE_DEVICE float column_of(const Gates& g, int64_t k) {
  switch (g.a.kind) {
    case JoinKind::kGate:
      return gate_column(g, k);
    case JoinKind::kChannel:
      return softmax_sum(g, k, [&](int64_t i) { return g.a.theta[i * g.a.dim + k]; });
    case JoinKind::kShare:
      return softmax_sum(g, k, [&](int64_t i) { return g.a.theta[i]; });
    case JoinKind::kGmu:
      return gmu_column(g, k);
    case JoinKind::kGmuN:
      return gmu_n_column(g, k);
    case JoinKind::kPair:
      return pair_column(g, k);
    case JoinKind::kPairs:
      return pairs_column(g, k);
    case JoinKind::kCosine:
      return cosine_column(g, k);
    default:
      return 0.0f;  // of two numbers a column, or no gate
  }
}

EDGEFUSE_DEVICE void join_gates(const Gates& g, int64_t k) {
  const bool experts = g.a.kind == JoinKind::kExperts;
  if (g.taken != 0 && experts) return experts_column(g, k);
  g.a.out[k] = g.taken == 0 ? 0.0f : column_of(g, k);
  if (experts) g.a.out[g.a.dim + k] = 0.0f;
}

// One block's work; a grid of any number of columns covers all of out.
EDGEFUSE_DEVICE void gate_block(const Block& block, const GateArgs& a, GateSums& shared) {
  const Gates g{a, taken_of(*a.mask, a.streams), shared};
  if (a.kind == JoinKind::kGate) sum_rows(block, g, shared, a.theta);
  if (a.kind == JoinKind::kCosine) sum_squares(block, g, shared);
  const int64_t step = block.columns() * kThreads;
  block.each([&](int t) {
    for (int64_t k = block.x() * kThreads + t; k < a.dim; k += step) join_gates(g, k);
  });
}

}  // namespace edgefuse::cuda
