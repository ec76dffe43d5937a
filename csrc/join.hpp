// fuse_join for one instruction set: what the joins share, and the one switch that picks a formula.
//
// Loops run over the columns and, inside, over the streams taken, in ascending order: every run gives the same bits.
// No std:: templates here: a weak symbol compiled for a wide instruction set could be linked into the narrow one.
#pragma once

#include "join_gates.hpp"
#include "join_pool.hpp"
#include "join_residual.hpp"
#include "join_vote.hpp"

namespace edgefuse::EDGEFUSE_ISA {

inline void fuse_join(const Join& j) {
  Taken t;
  for (int64_t i = 0; i < j.streams; ++i) {
    if (j.select[i] != kAbsent) t.rows[t.count++] = i;
  }
  for (int64_t k = 0; k < j.out_size; ++k) j.out[k] = 0.0f;
  if (t.count == 0) return;
  switch (j.kind) {
    case JoinKind::kGate:
      return join_gate(j, t);
    case JoinKind::kChannel:
      return join_channel(j, t);
    case JoinKind::kShare:
      return join_share(j, t);
    case JoinKind::kGmu:
      return join_gmu(j, t);
    case JoinKind::kGmuN:
      return join_gmu_n(j, t);
    case JoinKind::kPair:
      return join_pair(j, t);
    case JoinKind::kPairs:
      return join_pairs(j, t);
    case JoinKind::kExperts:
      return join_experts(j, t);
    case JoinKind::kLmf:
      return join_lmf(j, t);
    case JoinKind::kMfb:
      return join_pooled(j, t, j.rank, 1);
    case JoinKind::kMutan:
      return join_pooled(j, t, 1, j.dim);
    case JoinKind::kResidualLate:
      return join_residual_late(j, t, false);
    case JoinKind::kResidualGatedLate:
      return join_residual_late(j, t, true);
    case JoinKind::kResidualEarly:
      return join_residual_early(j, t, false);
    case JoinKind::kResidualGatedEarly:
      return join_residual_early(j, t, true);
    case JoinKind::kVoteMean:
      return join_vote_mean(j, t, nullptr);
    case JoinKind::kVoteShare:
      return join_vote_mean(j, t, j.theta);
    case JoinKind::kVoteProduct:
      return join_vote_product(j, t);
    case JoinKind::kVoteMajority:
      return join_vote_majority(j, t);
    case JoinKind::kStack:
      return join_stack(j, t);
    case JoinKind::kCosine:
      return join_cosine(j, t);
  }
}

}  // namespace edgefuse::EDGEFUSE_ISA
