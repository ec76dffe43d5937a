// Tests of the kernels that bring pictures to another size: a loop over the definition in whole numbers is the truth,
// exactly, on every instruction set.
#include <algorithm>

#include "check.hpp"

using edgefuse::Kernels;

namespace {

template <class T>
std::vector<T> drawn(int64_t count, int most) {
  std::vector<T> values(static_cast<size_t>(count));
  std::uniform_int_distribution<int> draw(0, most);
  for (T& v : values) v = static_cast<T>(draw(check::engine()));
  return values;
}

int64_t common(int64_t i, int64_t at, int64_t from, int64_t to) {
  return std::max<int64_t>(0, std::min((i + 1) * from, (at + 1) * to) - std::max(i * from, at * to));
}

void area(const Kernels& kernels, int64_t rows, int64_t columns, int64_t h, int64_t w, int64_t gap) {
  const int64_t stride = 3 * columns + gap, taps = std::min(columns, columns / w + (columns % w == 0 ? 0 : 2));
  const std::vector<uint8_t> image = drawn<uint8_t>(rows * stride, 255);
  std::vector<uint8_t> out(static_cast<size_t>(3 * h * w + 1), 77);
  std::vector<float> sums(static_cast<size_t>(3 * columns));
  std::vector<double> wide(static_cast<size_t>(3 * columns + 1), check::kNaN);
  std::vector<int64_t> first(static_cast<size_t>(w));
  std::vector<double> parts(static_cast<size_t>(w * taps));
  kernels.picture_area({image.data(), stride, rows, columns, h, w, taps, sums.data(), wide.data(), first.data(),
                        parts.data(), out.data()});
  bool same = out.back() == 77;  // nothing is written behind it
  for (int64_t i = 0; i < h; ++i) {
    for (int64_t j = 0; j < w; ++j) {
      for (int64_t k = 0; k < 3; ++k) {
        int64_t sum = 0;
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t c = 0; c < columns; ++c) {
            sum +=
                common(i, r, rows, h) * common(j, c, columns, w) * image[static_cast<size_t>(r * stride + 3 * c + k)];
          }
        }
        const int64_t want = (2 * sum + rows * columns) / (2 * rows * columns);
        same = same && out[static_cast<size_t>(3 * (i * w + j) + k)] == want;
      }
    }
  }
  check::that(same, "%s area %dx%d to %dx%d", kernels.isa, int(rows), int(columns), int(h), int(w));
}

void nearest(const Kernels& kernels, int64_t rows, int64_t columns, int64_t h, int64_t w) {
  const std::vector<uint16_t> mm = drawn<uint16_t>(rows * columns, 65535);
  std::vector<uint16_t> out(static_cast<size_t>(h * w));
  std::vector<int64_t> offsets(static_cast<size_t>(w));
  const auto* data = reinterpret_cast<const uint8_t*>(mm.data());
  kernels.depth_nearest({data, 2 * columns, 2, rows, columns, h, w, offsets.data(), out.data()});
  bool same = true;
  for (int64_t i = 0; i < h; ++i) {
    for (int64_t j = 0; j < w; ++j) {
      same = same &&
             out[static_cast<size_t>(i * w + j)] == mm[static_cast<size_t>(i * rows / h * columns + j * columns / w)];
    }
  }
  check::that(same, "%s nearest %dx%d to %dx%d", kernels.isa, int(rows), int(columns), int(h), int(w));
}

}  // namespace

int main() {
  const int64_t sizes[][4] = {{1, 1, 1, 1},     {2, 2, 1, 1},    {9, 7, 9, 3},    {9, 7, 4, 7},   {12, 16, 6, 8},
                              {31, 33, 10, 11}, {40, 64, 7, 63}, {17, 101, 5, 1}, {33, 50, 1, 17}};
  for (const Kernels* kernels : edgefuse::available()) {
    for (const auto& s : sizes) {
      for (int64_t gap : {0, 5}) area(*kernels, s[0], s[1], s[2], s[3], gap);
      nearest(*kernels, s[0], s[1], s[2], s[3]);
      nearest(*kernels, s[2], s[3], s[0], s[1]);
    }
  }
  return check::finish("resize", 36);
}
