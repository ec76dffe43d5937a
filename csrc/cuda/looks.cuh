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

template <class T>
inline Look look_of(Look::Kind kind, T Look::* member, const T& asked, int64_t* room = nullptr) {
  Look look{kind, {}, room};
  look.*member = asked;
  return look;
}
inline Look look_at(const Picture& p) { return look_of(Look::kGrain, &Look::picture, p); }
inline Look look_at(const Levels& l) { return look_of(Look::kLevels, &Look::levels, l); }
inline Look look_at(const Depth& d, int64_t* farthest) { return look_of(Look::kDepth, &Look::depth, d, farthest); }
inline Look look_at(const Cloud& c, int64_t* bad) { return look_of(Look::kCloud, &Look::cloud, c, bad); }
inline Look look_at(const Sweep& s, int64_t* counts) { return look_of(Look::kSweep, &Look::sweep, s, counts); }
inline Look look_at(const Digest& d) { return look_of(Look::kDigest, &Look::digest, d); }

// Whether any of them has to know what the first launch has found: those with room do.
inline bool in_two(const Looks& looks) {
  bool found = false;
  for (int64_t i = 0; i < looks.count; ++i) found = found || looks.own[i].room != nullptr;
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
