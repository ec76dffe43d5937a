// Joins by products that are then pooled over a rank: LMF, MFB, MUTAN.
#pragma once

#include "join_rows.hpp"

namespace edgefuse::EDGEFUSE_ISA {

// Column k of the product of the rows taken.
inline float product(const Join& j, const Taken& t, int64_t k) {
  float p = row(j, t, 0)[k];
  for (int64_t q = 1; q < t.count; ++q) p *= row(j, t, q)[k];
  return p;
}

// out_k = sum_q w_q prod_i u_i[q D + k] + b_k; theta: w [R], b [D]. Eq. 8 of Liu et al. 2018, arXiv 1806.00064.
inline void join_lmf(const Join& j, const Taken& t) {
  for (int64_t q = 0; q < j.rank; ++q) {
    for (int64_t k = 0; k < j.dim; ++k) j.out[k] += j.theta[q] * product(j, t, q * j.dim + k);
  }
  for (int64_t k = 0; k < j.dim; ++k) j.out[k] += j.theta[j.rank + k];
}

// s_k = sum_q prod_i u_i[k column_step + q rank_step]; its signed root, at unit length.
// MFB, arXiv 1708.01471: steps (R, 1), the factor minor. MUTAN, arXiv 1705.06676: steps (1, D), the rank major.
inline void join_pooled(const Join& j, const Taken& t, int64_t column_step, int64_t rank_step) {
  for (int64_t k = 0; k < j.dim; ++k) {
    float s = 0.0f;
    for (int64_t q = 0; q < j.rank; ++q) s += product(j, t, k * column_step + q * rank_step);
    const float size = fabsf(s);
    j.out[k] = s / sqrtf(size < kLeast ? kLeast : size);  // sign(s) sqrt|s|; a NaN stays one
  }
  to_unit_length(j.out, j.dim);
}

}  // namespace edgefuse::EDGEFUSE_ISA
