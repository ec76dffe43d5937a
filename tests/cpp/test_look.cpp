// Tests of the kernels that look at payloads: a loop over the definition is the truth, exactly, on every instruction
// set.
#include <algorithm>

#include "check.hpp"

using edgefuse::Kernels;

namespace {

std::vector<uint8_t> bytes(size_t count, int low, int high) {
  std::vector<uint8_t> values(count);
  std::uniform_int_distribution<int> draw(low, high);
  for (uint8_t& v : values) v = static_cast<uint8_t>(draw(check::engine()));
  return values;
}

void grain(const Kernels& kernels, int64_t rows, int64_t width, int64_t fine, int64_t coarse, int64_t step) {
  const std::vector<uint8_t> image = bytes(static_cast<size_t>(3 * rows * width), 0, 255);
  const auto g = [&](int64_t r, int64_t c) { return int64_t{image[static_cast<size_t>(3 * (r * width + c) + 1)]}; };
  const auto down = [&](int64_t r, int64_t c) { return 2 * g(r, c) - g(r - fine, c) - g(r + fine, c); };
  const auto square = [](int64_t v) { return v * v; };
  int64_t want[6] = {}, out[6];
  for (int64_t r = fine; r < rows - coarse; r += step) {
    for (int64_t c = 0; c < width; ++c) {
      want[3] += square(down(r, c));
      want[5] += square(g(r + coarse, c) - g(r, c));
      if (c + coarse < width) want[4] += square(g(r, c + coarse) - g(r, c));
      if (c < fine || c + fine >= width) continue;
      const int64_t residue = 2 * down(r, c) - down(r, c - fine) - down(r, c + fine);
      want[0] += residue < 0 ? -residue : residue;
      want[1] += square(residue);
      want[2] += square(2 * g(r, c) - g(r, c - fine) - g(r, c + fine));
    }
  }
  kernels.picture_grain({image.data() + 1, 3 * width, 3, fine, rows - coarse, step, width, fine, coarse, out});
  check::that(std::equal(out, out + 6, want), "%s grain %dx%d: sums differ", kernels.isa, int(rows), int(width));
}

void levels(const Kernels& kernels, int64_t rows, int64_t width, int64_t step) {
  const std::vector<uint8_t> image = bytes(static_cast<size_t>(3 * rows * width), 0, 5);
  int64_t want[2] = {}, out[2];
  for (int64_t r = 0; r < rows; r += step) {
    for (int64_t c = 0; c < width; c += step) {
      const uint8_t* p = image.data() + 3 * (r * width + c);
      want[0] += std::all_of(p, p + 3, [](uint8_t v) { return v <= 3; });
      want[1] += std::all_of(p, p + 3, [](uint8_t v) { return v >= 3; });
    }
  }
  kernels.picture_levels({image.data(), 3 * width, 3, 1, rows, width, step, 3, 3, out});
  check::that(std::equal(out, out + 2, want), "%s levels %dx%d: counts differ", kernels.isa, int(rows), int(width));
}

void depth(const Kernels& kernels, int64_t rows, int64_t width, int64_t step, int32_t limit) {
  std::vector<uint16_t> mm(static_cast<size_t>(rows * width));
  std::uniform_int_distribution<int> draw(0, 8);
  for (uint16_t& v : mm) v = static_cast<uint16_t>(draw(check::engine()) * 8000);
  std::vector<uint16_t> some;
  for (int64_t r = 0; r < rows; r += step)
    some.insert(some.end(), &mm[size_t(r * width)], &mm[size_t(r * width)] + width);
  const int32_t most = some.empty() ? 0 : *std::max_element(some.begin(), some.end()), at = std::min(most, limit);
  int64_t want[4] = {}, out[4];
  for (uint16_t v : some) want[0] += v > 0, want[1] += v >= at;
  for (int64_t r = 0; r < rows; r += step) {
    for (int64_t c = 1; c < width; ++c) {
      const int a = mm[static_cast<size_t>(r * width + c - 1)], b = mm[static_cast<size_t>(r * width + c)];
      want[2] += a > 0 && b > 0;
      want[3] += a > 0 && b > 0 && std::max(a, b) - std::min(a, b) > std::min(a, b) / 2;
    }
  }
  const auto* data = reinterpret_cast<const uint8_t*>(mm.data());
  kernels.depth_counts({data, 2 * width, 2, rows, width, step, limit, out});
  check::that(std::equal(out, out + 4, want), "%s depth %dx%d: counts differ", kernels.isa, int(rows), int(width));
}

void finite(const Kernels& kernels) {
  for (size_t count : {1, 3, 64, 1021, 5000}) {
    check::Floats points(4 * count, 1, 1.0f);
    int64_t out[4];
    const edgefuse::Cloud asked{points.data(), static_cast<int64_t>(count), 1e-30f, 0.05f, 100.0f, out};
    kernels.cloud_counts(asked);
    check::that(out[0] == 1 && out[1] == out[2] && out[3] == 0, "%s: a sound cloud", kernels.isa);
    check::that(kernels.all_finite(points.data(), 4 * static_cast<int64_t>(count)), "%s: all finite", kernels.isa);
    for (float bad : {check::kNaN, check::kInf, -check::kInf}) {
      for (size_t at : {size_t{0}, 2 * count, 4 * count - 1}) {
        points[at] = bad;
        kernels.cloud_counts(asked);
        check::that(out[0] == 0 && !kernels.all_finite(points.data(), 4 * static_cast<int64_t>(count)),
                    "%s: a value that is not finite at %d of %d", kernels.isa, int(at), int(count));
        points[at] = 1.0f;
      }
    }
  }
}

void digest(const Kernels& kernels, int64_t size) {
  const std::vector<uint8_t> values = bytes(static_cast<size_t>(size) + 1, 0, 255);
  const int64_t blocks = size / 32, most = 1021, looked = std::min(blocks, most), tail = size % 32;
  uint64_t want = static_cast<uint64_t>(size), out = 0;
  for (int64_t k = 0; k < 8 * (looked + (tail > 0)); ++k) {
    const int64_t i = k / 8, exact = int64_t(double(i) * (double(blocks) / double(most)));
    const int64_t block = i == looked ? blocks : blocks <= most ? i : exact;
    uint32_t word = 0;
    for (int64_t b = 3; b >= 0; --b) {
      const int64_t at = 32 * block + 4 * (k % 8) + b;
      word = word << 8 | (at < size ? values[static_cast<size_t>(at) + 1] : 0u);
    }
    word = (word ^ static_cast<uint32_t>(k) * 0x9e3779b1u) * 0x85ebca6bu;
    word = (word ^ word >> 16) * 0xc2b2ae35u;
    want += word ^ word >> 16;
  }
  kernels.digest({values.data() + 1, size, &out});
  check::that(out == want, "%s digest of %d bytes differs", kernels.isa, int(size));
}

void sweep(const Kernels& kernels, size_t count) {
  check::Floats points(4 * count, 1, 0.0f);
  points.randomise();
  float slopes[edgefuse::kSlopes];
  for (int j = 0; j < edgefuse::kSlopes; ++j) slopes[j] = static_cast<float>(std::tan(5.0 * (j + 1) * M_PI / 180.0));
  std::vector<double> out(1 + edgefuse::kSectors + edgefuse::kElevations, -1.0), want(out.size(), 0.0);
  kernels.sweep_counts({points.data(), static_cast<int64_t>(count), slopes, out.data()});
  for (size_t i = 0; i < count; ++i) {
    const double x = points[4 * i], y = points[4 * i + 1], z = points[4 * i + 2];
    const double sector = std::floor((std::atan2(y, x) * 180.0 / M_PI + 180.0) / 5.0);
    want[0] += 1.0;
    want[1 + static_cast<size_t>(sector)] += 1.0;
    const double row = std::min(std::max(z / std::hypot(x, y) / 1.6 + 0.5, 0.0), 1.0 - 1e-6) * 256.0;
    want[1 + edgefuse::kSectors + static_cast<size_t>(row)] += 1.0;
  }
  double apart = 0.0;
  for (size_t k = 0; k < out.size(); ++k) apart += std::abs(out[k] - want[k]);
  // A point that lies on a border to the last bit may fall to either side.
  check::that(apart <= 4.0, "%s sweep of %d: %d points elsewhere", kernels.isa, int(count), int(apart));
}

}  // namespace

int main() {
  for (const Kernels* kernels : edgefuse::available()) {
    for (int64_t width : {24, 25, 63, 64, 65, 129, 1024}) {
      for (int64_t fine : {1, 2, 4}) grain(*kernels, 40, width, fine, fine + 3, 2);
      levels(*kernels, 9, width, 1 + width % 3);
      for (int32_t limit : {9000, 65535}) depth(*kernels, 9, width, 1 + width % 3, limit);
    }
    depth(*kernels, 0, 0, 1, 65535);
    finite(*kernels);
    for (int64_t size : {0, 1, 31, 32, 33, 95, 32672, 32673, 70000, 921600}) digest(*kernels, size);
    for (size_t count : {0, 1, 2, 63, 64, 65, 1000, 8191}) sweep(*kernels, count);
  }
  return check::finish("look", 80);
}
