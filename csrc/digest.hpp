// A number that tells whether an array still holds the same bytes, for one instruction set; see `Digest`.
#pragma once

#include <cstring>

#include "look.hpp"

namespace edgefuse::EDGEFUSE_ISA {

constexpr int64_t kWords = kBlockBytes / 4;

// Adds the mixed words of a block, each to its own sum, so that they stay in the lanes of registers.
inline void mix(const uint8_t* block, uint32_t first, uint64_t* sums) {
  uint32_t words[kWords];
  std::memcpy(words, block, kBlockBytes);
  for (int64_t j = 0; j < kWords; ++j) {
    uint32_t w = words[j] ^ ((first + static_cast<uint32_t>(j)) * 0x9e3779b1u);
    w *= 0x85ebca6bu;
    w ^= w >> 16;
    w *= 0xc2b2ae35u;
    sums[j] += w ^ (w >> 16);
  }
}

inline void digest(const Digest& d) {
  const int64_t blocks = d.size / kBlockBytes, rest = d.size % kBlockBytes;
  const int64_t looked = blocks < kDigestBlocks ? blocks : kDigestBlocks;
  uint64_t sums[kWords] = {};
  for (int64_t i = 0; i < looked; ++i) {
    const int64_t at = blocks == looked ? i : spread_over(i, blocks, kDigestBlocks);
    mix(d.bytes + kBlockBytes * at, static_cast<uint32_t>(i * kWords), sums);
  }
  if (rest > 0) {
    uint8_t last[kBlockBytes] = {};
    std::memcpy(last, d.bytes + kBlockBytes * blocks, static_cast<size_t>(rest));
    mix(last, static_cast<uint32_t>(looked * kWords), sums);
  }
  uint64_t sum = static_cast<uint64_t>(d.size);
  for (int64_t j = 0; j < kWords; ++j) sum += sums[j];
  *d.out = sum;
}

}  // namespace edgefuse::EDGEFUSE_ISA
