// A tiny test harness: checks that go on after a failure, seeded numbers, poison, and buffers at odd alignments.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "dispatch.hpp"

namespace check {

inline int checks = 0;
inline int failures = 0;

template <class... Args>
void that(bool good, const char* format, Args... args) {
  ++checks;
  if (good || ++failures > 20) return;
  std::printf("FAILED: ");
  std::printf(format, args...);
  std::printf("\n");
}

inline int finish(const char* name, int at_least) {
  that(checks >= at_least, "only %d checks ran", checks);
  std::printf("%s: %d checks, %d failures\n", name, checks, failures);
  return failures ? 1 : 0;
}

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr double kEps = 1.0 / (1 << 24);  // the unit roundoff of float

inline std::mt19937& engine() {
  static std::mt19937 generator{20240601};
  return generator;
}

inline float number() { return std::normal_distribution<float>{}(engine()); }

// `size` floats that start `shift` floats after a 64-byte boundary, between guards that a stray write would change.
class Floats {
 public:
  Floats(size_t size, size_t shift, float value) : size_(size), all_(size + shift + 48, kGuard) {
    const auto address = reinterpret_cast<uintptr_t>(all_.data() + 16);
    data_ = all_.data() + 16 + ((64 - address % 64) % 64) / 4 + shift;
    std::fill(data_, data_ + size, value);
  }
  Floats(const Floats&) = delete;
  float* data() { return data_; }
  float& operator[](size_t i) { return data_[i]; }
  size_t size() const { return size_; }
  void randomise() {
    for (size_t i = 0; i < size_; ++i) data_[i] = number();
  }
  bool intact() const {
    bool good = true;
    for (const float* p = all_.data(); p < all_.data() + all_.size(); ++p) {
      good = good && ((p >= data_ && p < data_ + size_) || *p == kGuard);
    }
    return good;
  }

 private:
  static constexpr float kGuard = -12345.5f;
  size_t size_;
  std::vector<float> all_;
  float* data_;
};

inline bool same_bits(const float* a, const float* b, size_t size) { return std::memcmp(a, b, size * 4) == 0; }

}  // namespace check
