// Tests of lidar_grid: a map from cell to points is the truth, bit for bit, with points that tempt a wild cast.
#include <algorithm>

#include "check.hpp"

using edgefuse::Kernels;

namespace {

constexpr int64_t kRows = 11, kCols = 7, kCap = 3;
constexpr float kXMin = -2.5f, kYMin = 1.25f, kCell = 0.7f;
const std::vector<float> kEdges{-1.0f, -0.0f, 0.5f, 2.0f};
constexpr size_t kBands = 3, kPlane = kRows * kCols;

// What the cell (band, row, col) must hold, found by asking each point whether it falls there.
struct Truth {
  std::vector<float> out = std::vector<float>((kBands + 2) * kPlane, 0.0f);
  int64_t used = 0;
};

bool finite(const float* p) {
  return std::all_of(p, p + 4, [](float v) { return std::isfinite(v); });
}

Truth brute_force(const std::vector<float>& points) {
  Truth truth;
  std::vector<int64_t> counts(kBands * kPlane, 0);
  for (size_t n = 0; n < points.size(); n += 4) {
    const float* p = points.data() + n;
    if (!finite(p)) continue;
    const float row = std::floor((p[0] - kXMin) / kCell), col = std::floor((p[1] - kYMin) / kCell);
    if (row < 0 || row > kRows - 1 || col < 0 || col > kCols - 1 || p[2] < kEdges[0] || p[2] >= kEdges[3]) continue;
    const size_t band = p[2] < kEdges[1] ? 0 : p[2] < kEdges[2] ? 1 : 2;
    const size_t cell = static_cast<size_t>(row) * kCols + static_cast<size_t>(col);
    ++truth.used;
    const int64_t count = std::min(++counts[band * kPlane + cell], kCap);
    float &height = truth.out[kBands * kPlane + cell], &bright = truth.out[(kBands + 1) * kPlane + cell];
    truth.out[band * kPlane + cell] = static_cast<float>(count) / static_cast<float>(kCap);
    height = std::max(height, p[2] - kEdges[0]);
    bright = std::max(bright, std::min(std::max(p[3], 0.0f), 1.0f));
  }
  return truth;
}

void equals(const Kernels& kernels, const std::vector<float>& points, const char* what) {
  const Truth truth = brute_force(points);
  check::Floats cloud(points.size(), 1, 0.0f), out(truth.out.size(), 1, check::kNaN);
  std::copy(points.begin(), points.end(), cloud.data());
  const int64_t used = kernels.lidar_grid({cloud.data(), static_cast<int64_t>(points.size() / 4), kXMin, kYMin, kCell,
                                           kEdges.data(), kBands, kCap, kRows, kCols, out.data()});
  check::that(used == truth.used, "%s %s: used %d, not %d", kernels.isa, what, int(used), int(truth.used));
  check::that(out.intact(), "%s %s: a write past the grid", kernels.isa, what);
  check::that(check::same_bits(out.data(), truth.out.data(), out.size()), "%s %s: cells differ", kernels.isa, what);
}

std::vector<float> cloud(size_t count) {
  std::vector<float> points(4 * count);
  std::uniform_real_distribution<float> x(-4.0f, 7.0f), y(0.0f, 8.0f), z(-1.5f, 2.5f), bright(-0.5f, 1.5f);
  for (size_t n = 0; n < points.size(); n += 4) {
    points[n] = x(check::engine());
    points[n + 1] = y(check::engine());
    points[n + 2] = z(check::engine());
    points[n + 3] = bright(check::engine());
  }
  return points;
}

// Each coordinate in turn takes values at which a cast to int is undefined or a comparison is easily wrong.
void temptations(const Kernels& kernels) {
  const float top = std::nextafter(kXMin + 11 * kCell, 0.0f), denormal = 1e-42f;
  for (float v : {check::kNaN, check::kInf, -check::kInf, 3e38f, -3e38f, 1e10f, -1e10f, 2147483648.0f, -0.0f, denormal,
                  kXMin, kYMin, top, -1.0f, 2.0f, 0.5f, std::nextafter(kXMin, -9.0f)}) {
    for (size_t axis = 0; axis < 4; ++axis) {
      std::vector<float> points = cloud(40);
      for (size_t n = axis; n < points.size(); n += 8) points[n] = v;
      equals(kernels, points, "temptation");
    }
  }
}

}  // namespace

int main() {
  for (const Kernels* kernels : edgefuse::available()) {
    for (size_t count : {0, 1, 2, 255, 256, 257, 5000}) equals(*kernels, cloud(count), "cloud");
    temptations(*kernels);
  }
  return check::finish("grid", 150);
}
