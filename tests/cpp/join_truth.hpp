// The joins by weights and gates in float64, as their formulas are written: csrc/join_gates.hpp states each.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels.hpp"

namespace truth {

using edgefuse::Join;
using edgefuse::JoinKind;

inline bool has(JoinKind kind) {
  switch (kind) {
    case JoinKind::kGate:
    case JoinKind::kChannel:
    case JoinKind::kShare:
    case JoinKind::kGmu:
    case JoinKind::kGmuN:
    case JoinKind::kPair:
    case JoinKind::kPairs:
    case JoinKind::kExperts:
    case JoinKind::kCosine:
      return true;
    default:
      return false;
  }
}

inline double at(const Join& j, int64_t i, int64_t k) { return j.u[i * j.columns + k]; }

inline double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

inline std::vector<int64_t> taken(const Join& j) {
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < j.streams; ++i) {
    if (j.select[i]) rows.push_back(i);
  }
  return rows;
}

inline double logit(const Join& j, int64_t i, int64_t k) {
  if (j.kind == JoinKind::kShare) return j.theta[i];
  if (j.kind == JoinKind::kChannel) return j.theta[i * j.dim + k];
  double sum = j.theta[j.streams * j.dim + i];
  for (int64_t m = 0; m < j.dim; ++m) sum += double{j.theta[i * j.dim + m]} * at(j, i, m);
  return sum;
}

inline double weighted(const Join& j, int64_t k) {
  double total = 0.0, z = 0.0;
  for (int64_t i : taken(j)) {
    const double weight = std::exp(logit(j, i, k));
    total += weight;
    z += weight * at(j, i, k);
  }
  return z / total;
}

inline double gmu(const Join& j, int64_t k) {
  const std::vector<int64_t> rows = taken(j);
  if (rows.size() < 2) return std::tanh(at(j, rows[0], k));
  const double z = sigmoid(at(j, 0, j.dim + k) + at(j, 1, j.dim + k));
  return z * std::tanh(at(j, 0, k)) + (1.0 - z) * std::tanh(at(j, 1, k));
}

inline double gmu_n(const Join& j, int64_t k) {
  double z = 0.0;
  for (int64_t i : taken(j)) {
    double gate = 0.0;
    for (int64_t of : taken(j)) gate += at(j, of, j.dim * (1 + i) + k);
    z += sigmoid(gate) * std::tanh(at(j, i, k));
  }
  return z;
}

inline double pair(const Join& j, int64_t k) {
  const std::vector<int64_t> rows = taken(j);
  return rows.size() < 2 ? at(j, rows[0], k) : sigmoid(at(j, 0, k)) * at(j, 1, k);
}

inline double pairs(const Join& j, int64_t k) {
  double z = 0.0;
  for (int64_t i : taken(j)) {
    double gate = 1.0;
    for (int64_t by : taken(j)) gate *= by == i ? 1.0 : sigmoid(at(j, by, j.dim + k));
    z += at(j, i, k) * gate;
  }
  return z;
}

// The mean for k under D, then the variance.
inline double experts(const Join& j, int64_t k) {
  double total = 1.0, mean = 0.0;
  for (int64_t i : taken(j)) {
    const double precision = std::exp(-std::fmin(std::fmax(at(j, i, j.dim + k % j.dim), -6.0), 6.0));
    total += precision;
    mean += precision * at(j, i, k % j.dim);
  }
  return k < j.dim ? mean / total : 1.0 / total;
}

inline double unit_rows_sum(const Join& j, int64_t k) {
  double z = 0.0;
  for (int64_t i : taken(j)) {
    double square = 0.0;
    for (int64_t m = 0; m < j.dim; ++m) square += at(j, i, m) * at(j, i, m);
    z += at(j, i, k) / std::sqrt(square);
  }
  return z;
}

inline std::vector<double> cosine(const Join& j) {
  std::vector<double> z;
  double square = 0.0;
  for (int64_t k = 0; k < j.dim; ++k) {
    z.push_back(unit_rows_sum(j, k));
    square += z.back() * z.back();
  }
  for (double& v : z) v /= std::sqrt(square);
  return z;
}

inline double column(const Join& j, int64_t k) {
  switch (j.kind) {
    case JoinKind::kGmu:
      return gmu(j, k);
    case JoinKind::kGmuN:
      return gmu_n(j, k);
    case JoinKind::kPair:
      return pair(j, k);
    case JoinKind::kPairs:
      return pairs(j, k);
    case JoinKind::kExperts:
      return experts(j, k);
    default:
      return weighted(j, k);
  }
}

inline std::vector<double> join(const Join& j) {
  std::vector<double> out(static_cast<size_t>(j.out_size), 0.0);
  if (taken(j).empty()) return out;
  if (j.kind == JoinKind::kCosine) return cosine(j);
  for (size_t k = 0; k < out.size(); ++k) out[k] = column(j, static_cast<int64_t>(k));
  return out;
}

}  // namespace truth
