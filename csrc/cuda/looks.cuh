// All looks at one payload as one launch, and a second one for those that first have to know something of the whole.
//
// Each look has a row of blocks of its own. Numbers and room are zero before, and overlap nothing.
#pragma once

#include "cloud.cuh"

namespace edgefuse::cuda {

constexpr int kMostLooks = 8;  // at one payload

// One look. room: of a depth picture [1], the farthest; of a cloud [1], how many values are not finite; of a sweep
// [1 + kSectors + kElevations], counts.
struct Look {
  enum Kind : int32_t { kGrain, kLevels, kDepth, kCloud, kSweep, kDigest } kind;
  union {
    Picture picture;
    Levels levels;
    Depth depth;
    Cloud cloud;
    Sweep sweep;
    Digest digest;
  };
  int64_t* room;
};

struct Looks {
  int64_t count;
  Look own[kMostLooks];
};

inline Look look_at(const Picture& p) {
  Look look{Look::kGrain, {}, nullptr};
  look.picture = p;
  return look;
}
inline Look look_at(const Levels& l) {
  Look look{Look::kLevels, {}, nullptr};
  look.levels = l;
  return look;
}
inline Look look_at(const Depth& d, int64_t* farthest) {
  Look look{Look::kDepth, {}, farthest};
  look.depth = d;
  return look;
}
inline Look look_at(const Cloud& c, int64_t* bad) {
  Look look{Look::kCloud, {}, bad};
  look.cloud = c;
  return look;
}
inline Look look_at(const Sweep& s, int64_t* counts) {
  Look look{Look::kSweep, {}, counts};
  look.sweep = s;
  return look;
}
inline Look look_at(const Digest& d) {
  Look look{Look::kDigest, {}, nullptr};
  look.digest = d;
  return look;
}

// Whether any of them has to know what the first launch has found.
inline bool in_two(const Looks& looks) {
  bool found = false;
  for (int64_t i = 0; i < looks.count; ++i) {
    const Look::Kind kind = looks.own[i].kind;
    found = found || kind == Look::kDepth || kind == Look::kCloud || kind == Look::kSweep;
  }
  return found;
}

EDGEFUSE_DEVICE int32_t* farthest_in(const Look& look) { return reinterpret_cast<int32_t*>(look.room); }

EDGEFUSE_DEVICE void look_block(const Block& block, const Looks& looks, Counted& shared) {
  const Look& look = looks.own[block.y()];
  switch (look.kind) {
    case Look::kGrain:
      return grain_block(block, look.picture, shared);
    case Look::kLevels:
      return levels_block(block, look.levels, shared);
    case Look::kDepth:
      return depth_block(block, look.depth, farthest_in(look), shared);
    case Look::kCloud:
      return finite_block(block, look.cloud.points, 4 * look.cloud.count, look.room);
    case Look::kSweep:
      return sweep_block(block, look.sweep, look.room, shared);
    case Look::kDigest:
      return digest_block(block, look.digest, shared);
  }
}

EDGEFUSE_DEVICE void look_again_block(const Block& block, const Looks& looks, Counted& shared) {
  const Look& look = looks.own[block.y()];
  switch (look.kind) {
    case Look::kDepth:
      return limit_block(block, look.depth, farthest_in(look), shared);
    case Look::kCloud:
      return cloud_block(block, look.cloud, look.room, shared);
    case Look::kSweep:
      return sweep_end(block, look.sweep, look.room);
    default:
      return;
  }
}

}  // namespace edgefuse::cuda
