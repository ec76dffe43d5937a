// Joins by weights and gates: scalar and channel softmax, GMU, gated fusion, experts, and the mean direction.
#pragma once

#include "join_rows.hpp"

namespace edgefuse::EDGEFUSE_ISA {

// sum a_i u_i, a = softmax of w_i . u_i + c_i; theta: w [N, D], c [N]. A row that is lost changes no other logit.
inline void join_gate(const Join& j, const Taken& t) {
  float weights[kMaxStreams];
  for (int64_t p = 0; p < t.count; ++p) {
    const int64_t i = t.rows[p];
    weights[p] = dot(j.theta + i * j.dim, row(j, t, p), j.dim) + j.theta[j.streams * j.dim + i];
  }
  softmax(weights, t.count);
  weighted_sum(j, t, weights);
}

// sum a_i u_i, a softmax for every channel; theta: logits [N, D]. UniBEV, arXiv 2309.14516.
inline void join_channel(const Join& j, const Taken& t) {
  for (int64_t k = 0; k < j.dim; ++k) {
    float weights[kMaxStreams];
    for (int64_t p = 0; p < t.count; ++p) weights[p] = j.theta[t.rows[p] * j.dim + k];
    softmax(weights, t.count);
    for (int64_t p = 0; p < t.count; ++p) j.out[k] += weights[p] * row(j, t, p)[k];
  }
}

// sum a_i u_i, a = softmax of one logit a stream; theta: logits [N]. What EmbraceNet expects, arXiv 1904.09078.
inline void join_share(const Join& j, const Taken& t) {
  float weights[kMaxStreams];
  for (int64_t p = 0; p < t.count; ++p) weights[p] = j.theta[t.rows[p]];
  softmax(weights, t.count);
  weighted_sum(j, t, weights);
}

// z tanh(v_0) + (1 - z) tanh(v_1), z = sigmoid(g_0 + g_1), u = [v | g]; one alone: tanh(v). arXiv 1702.01992.
inline void join_gmu(const Join& j, const Taken& t) {
  const float *a = row(j, t, 0), *b = row(j, t, t.count - 1);
  for (int64_t k = 0; k < j.dim; ++k) {
    const float z = t.count == 2 ? sigmoid(a[j.dim + k] + b[j.dim + k]) : 1.0f;
    j.out[k] = t.count == 2 ? z * tanhf(a[k]) + (1.0f - z) * tanhf(b[k]) : tanhf(a[k]);
  }
}

// sum sigmoid(G_i) tanh(v_i), G_i = sum_j g_j[i], u_j = [v | g for stream 0 | g for stream 1 | ...]. arXiv 1702.01992.
inline void join_gmu_n(const Join& j, const Taken& t) {
  for (int64_t p = 0; p < t.count; ++p) {
    const int64_t block = j.dim * (1 + t.rows[p]);
    for (int64_t k = 0; k < j.dim; ++k) {
      float gate = 0.0f;
      for (int64_t q = 0; q < t.count; ++q) gate += row(j, t, q)[block + k];
      j.out[k] += sigmoid(gate) * tanhf(row(j, t, p)[k]);
    }
  }
}

// sigmoid(u_0) u_1: the first gates the second; one alone: u, ungated. Kiela et al. 2018, arXiv 1802.02892.
inline void join_pair(const Join& j, const Taken& t) {
  const float *a = row(j, t, 0), *b = row(j, t, t.count - 1);
  for (int64_t k = 0; k < j.dim; ++k) j.out[k] = t.count == 2 ? sigmoid(a[k]) * b[k] : a[k];
}

// sum v_i prod_{j != i} sigmoid(s_j), u = [v | s]: every stream gated by all the others.
inline void join_pairs(const Join& j, const Taken& t) {
  for (int64_t k = 0; k < j.dim; ++k) {
    float gates[kMaxStreams];
    for (int64_t p = 0; p < t.count; ++p) gates[p] = sigmoid(row(j, t, p)[j.dim + k]);
    for (int64_t p = 0; p < t.count; ++p) {
      float gate = 1.0f;
      for (int64_t q = 0; q < t.count; ++q) gate *= q == p ? 1.0f : gates[q];
      j.out[k] += row(j, t, p)[k] * gate;
    }
  }
}

// [sum T_i m_i / T | 1 / T], T = 1 + sum T_i, T_i = exp(-l_i), u = [m | l]: Gaussian experts and a prior N(0, 1).
// Log variances are clamped to [-6, 6]. Wu and Goodman 2018, arXiv 1802.05335.
inline void join_experts(const Join& j, const Taken& t) {
  for (int64_t k = 0; k < j.dim; ++k) {
    float total = 1.0f, mean = 0.0f;
    for (int64_t p = 0; p < t.count; ++p) {
      const float l = row(j, t, p)[j.dim + k];
      const float precision = expf(-(l < -6.0f ? -6.0f : l > 6.0f ? 6.0f : l));  // a NaN stays one
      total += precision;
      mean += precision * row(j, t, p)[k];
    }
    j.out[k] = mean / total;
    j.out[j.dim + k] = 1.0f / total;
  }
}

// The rows at unit length, summed, at unit length again.
inline void join_cosine(const Join& j, const Taken& t) {
  float weights[kMaxStreams];
  for (int64_t p = 0; p < t.count; ++p) {
    const float norm = sqrtf(dot(row(j, t, p), row(j, t, p), j.dim));
    weights[p] = 1.0f / (norm < kLeast ? kLeast : norm);
  }
  weighted_sum(j, t, weights);
  to_unit_length(j.out, j.dim);
}

}  // namespace edgefuse::EDGEFUSE_ISA
