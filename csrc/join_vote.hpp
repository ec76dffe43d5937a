// Joins of late fusion: each row holds the logits of one stream's own classifier, and the rows vote.
#pragma once

#include "join_rows.hpp"

namespace edgefuse::EDGEFUSE_ISA {

// The largest of `width` values; a NaN among them is the largest.
inline float largest(const float* x, int64_t width) {
  float peak = x[0];
  for (int64_t k = 1; k < width; ++k) peak = (x[k] > peak) | (x[k] != x[k]) ? x[k] : peak;
  return peak;
}

// log sum exp of `width` values.
inline float log_sum_exp(const float* x, int64_t width) {
  const float peak = largest(x, width);
  float total = 0.0f;
  for (int64_t k = 0; k < width; ++k) total += expf(x[k] - peak);
  return peak + logf(total);
}

// out += weight softmax(x).
inline void add_probabilities(const float* x, int64_t width, float weight, float* __restrict out) {
  const float peak = largest(x, width);
  float total = 0.0f;
  for (int64_t k = 0; k < width; ++k) total += expf(x[k] - peak);
  for (int64_t k = 0; k < width; ++k) out[k] += weight * (expf(x[k] - peak) / total);
}

// Log of the mean probability, or of the mean weighted by a softmax of one logit a stream; logits [N] or null.
inline void join_vote_mean(const Join& j, const Taken& t, const float* logits) {
  float weights[kMaxStreams];
  for (int64_t p = 0; p < t.count; ++p) weights[p] = logits ? logits[t.rows[p]] : 0.0f;
  softmax(weights, t.count);
  for (int64_t p = 0; p < t.count; ++p) add_probabilities(row(j, t, p), j.dim, weights[p], j.out);
  for (int64_t k = 0; k < j.dim; ++k) j.out[k] = logf(j.out[k] < kLeast ? kLeast : j.out[k]);
}

// log softmax of sum log q_i - (P - 1) log prior; theta: log prior [K].
inline void join_vote_product(const Join& j, const Taken& t) {
  const float floor = logf(kLeast);
  for (int64_t p = 0; p < t.count; ++p) {
    const float* u = row(j, t, p);
    const float total = log_sum_exp(u, j.dim);
    for (int64_t k = 0; k < j.dim; ++k) {
      const float log_q = u[k] - total;
      j.out[k] += log_q < floor ? floor : log_q;
    }
  }
  for (int64_t k = 0; k < j.dim; ++k) j.out[k] -= static_cast<float>(t.count - 1) * j.theta[k];
  const float total = log_sum_exp(j.out, j.dim);
  for (int64_t k = 0; k < j.dim; ++k) j.out[k] -= total;
}

// One vote a row for its largest logit, the first of equals; half the mean probability decides between equal votes.
inline void join_vote_majority(const Join& j, const Taken& t) {
  for (int64_t p = 0; p < t.count; ++p) {
    const float* u = row(j, t, p);
    int64_t best = 0;
    for (int64_t k = 1; k < j.dim; ++k) best = u[k] > u[best] ? k : best;
    add_probabilities(u, j.dim, 0.5f / static_cast<float>(t.count), j.out);
    j.out[best] += 1.0f;
  }
}

// Probabilities side by side, zeros where left out.
inline void join_stack(const Join& j, const Taken& t) {
  for (int64_t p = 0; p < t.count; ++p) add_probabilities(row(j, t, p), j.dim, 1.0f, j.out + t.rows[p] * j.dim);
}

}  // namespace edgefuse::EDGEFUSE_ISA
