// Tests of what the CUDA kernels have and the others do not: accesses of 16 bytes where a layout allows them, bfloat16,
// presence as a mask of bits. Built with emulated/ or device/ in front of csrc/, whose dispatch.hpp stands in.
#include <memory>

#include "check.hpp"

using edgefuse::Activation;
using edgefuse::Kernels;
using edgefuse::Reduce;

namespace {

enum class As { kFloat, kHalf, kBFloat };

uint16_t bfloat_of(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return static_cast<uint16_t>(bits >> 16);  // towards zero
}

float of_bfloat(uint16_t bits) {
  const uint32_t wide = uint32_t{bits} << 16;
  float v;
  std::memcpy(&v, &wide, 4);
  return v;
}

// A model whose rows of weights all begin on 16 bytes.
struct Aligned {
  Aligned(std::vector<int64_t> sizes, int64_t d, As how)
      : dims(std::move(sizes)), n(static_cast<int64_t>(dims.size())), width(d), as(how) {
    int64_t x_end = 0, w_end = 0;
    for (int64_t k : dims) {
      offsets.push_back(x_end);
      weight_offsets.push_back(w_end);
      x_end += k;
      w_end += (k + 1) * width + 8 * width;
    }
    x.resize(static_cast<size_t>(x_end));
    for (float& v : x) v = check::number();
    weights = std::make_unique<check::Floats>(static_cast<size_t>(w_end), 0, check::kNaN);
    halfs.resize(static_cast<size_t>(w_end) + 8);
    const auto address = reinterpret_cast<uintptr_t>(halfs.data());
    half = halfs.data() + (16 - address % 16) % 16 / 2;
    for (size_t k = 0; k < weights->size(); ++k) {
      const float drawn = static_cast<float>(static_cast<int>(check::engine()() % 65) - 32) / 32.0f;  // exact in all
      (*weights)[k] = drawn;
      half[k] = as == As::kBFloat ? bfloat_of(drawn) : half_of(drawn);
    }
    substitutes.resize(static_cast<size_t>(n * width));
    for (float& v : substitutes) v = check::number();
    select.assign(dims.size(), 1);
  }

  // Of k / 32 with |k| <= 32, all of which are normal halfs or zero.
  static uint16_t half_of(float v) {
    if (v == 0.0f) return 0;
    int exponent;
    const float fraction = std::frexp(std::fabs(v), &exponent);  // v = fraction * 2^exponent, fraction in [1/2, 1)
    const auto mantissa = static_cast<uint16_t>((fraction * 2.0f - 1.0f) * 1024.0f);
    return static_cast<uint16_t>((v < 0 ? 0x8000 : 0) | (exponent + 14) << 10 | mantissa);
  }

  void run(const Kernels& kernels, float* out) {
    const edgefuse::Project p{x.data(),
                              dims.data(),
                              offsets.data(),
                              weights->data(),
                              weight_offsets.data(),
                              substitutes.data(),
                              select.data(),
                              n,
                              width,
                              activation,
                              reduce,
                              true,
                              out,
                              as == As::kFloat ? nullptr : half};
    if (as == As::kBFloat) return edgefuse::fuse_project_bfloat(p);
    kernels.fuse_project(p);
  }

  double embedding(int64_t i, int64_t j, double& size) const {
    size = 0.0;
    if (select[i] != 1) return select[i] == 2 ? substitutes[i * width + j] : 0.0;
    double sum = (*weights)[weight_offsets[i] + dims[i] * width + j];
    for (int64_t k = 0; k < dims[i]; ++k) {
      const double term = double(x[offsets[i] + k]) * (*weights)[weight_offsets[i] + k * width + j];
      sum += term;
      size += std::fabs(term);
    }
    return activation == Activation::kRelu && sum < 0 ? 0.0 : sum;
  }

  std::vector<int64_t> dims, offsets, weight_offsets;
  int64_t n, width;
  As as;
  std::vector<float> x, substitutes;
  std::unique_ptr<check::Floats> weights;
  std::vector<uint16_t> halfs;
  uint16_t* half;
  std::vector<uint8_t> select;
  Activation activation = Activation::kRelu;
  Reduce reduce = Reduce::kSum;
};

void agrees(const Kernels& kernels, Aligned& c) {
  check::Floats out(static_cast<size_t>((c.n + 1) * c.width), 0, check::kNaN);
  c.run(kernels, out.data());
  check::that(out.intact(), "%s: a write past the output", kernels.isa);
  for (int64_t j = 0; j < c.width; ++j) {
    double all = 0.0, sizes = 0.0;
    for (int64_t i = 0; i < c.n; ++i) {
      double size;
      const double u = c.embedding(i, j, size), most = double(c.dims[i] + 2) * check::kEps * (size + 1.0);
      check::that(std::fabs(out[i * c.width + j] - u) <= most, "%s: as %d, D %d, stream %d column %d: %g, not %g",
                  kernels.isa, int(c.as), int(c.width), int(i), int(j), out[i * c.width + j], u);
      all += u;
      sizes += most + check::kEps * std::fabs(u);
    }
    check::that(std::fabs(out[c.n * c.width + j] - all) <= double(c.n) * sizes, "%s: as %d: sum %d: %g, not %g",
                kernels.isa, int(c.as), int(j), out[c.n * c.width + j], all);
  }
}

void every_select(const Kernels& kernels, Aligned& c) {
  const int patterns = 81;  // of four streams that are absent, present or substituted
  for (int pattern = 0; pattern < patterns; ++pattern) {
    for (int64_t i = 0, rest = pattern; i < c.n; ++i, rest /= 3) c.select[i] = static_cast<uint8_t>(rest % 3);
    agrees(kernels, c);
  }
}

void repeats(const Kernels& kernels, Aligned& c) {
  c.select.assign(c.dims.size(), 1);
  check::Floats first(static_cast<size_t>((c.n + 1) * c.width), 0, 0.0f), again(first.size(), 0, 1.0f);
  c.run(kernels, first.data());
  c.run(kernels, again.data());
  check::that(check::same_bits(first.data(), again.data(), first.size()), "%s: two runs differ", kernels.isa);
}

// Cells in fours that begin on 16 bytes.
void aligned_maps(const Kernels& kernels, int64_t cells) {
  const int64_t n = 6, width = 3, size = width * cells;
  check::Floats x(static_cast<size_t>(n * size), 0, 0.0f), out(static_cast<size_t>((n + 1) * size), 0, check::kNaN);
  std::vector<float> substitutes(static_cast<size_t>(n * width));
  for (float& v : substitutes) v = check::number();
  x.randomise();
  std::vector<int64_t> offsets;
  for (int64_t i = 0; i < n; ++i) offsets.push_back(i * size);
  const uint8_t select[] = {1, 0, 2, 1, 0, 1};
  for (int64_t t = 0; t < size; ++t) x[static_cast<size_t>(size + t)] = check::kNaN;  // of one that is absent
  kernels.fuse_maps({x.data(), offsets.data(), substitutes.data(), select, n, width, cells, Activation::kRelu,
                     Reduce::kMax, true, out.data()});
  check::that(out.intact(), "%s: a write past the maps", kernels.isa);
  for (int64_t t = 0; t < size; ++t) {
    float most = -check::kInf;
    for (int64_t i = 0; i < n; ++i) {
      const float raw = select[i] == 1 ? x[static_cast<size_t>(i * size + t)] : 0.0f;
      const float u = select[i] == 2 ? substitutes[static_cast<size_t>(i * width + t / cells)] : raw < 0 ? 0.0f : raw;
      check::that(out[static_cast<size_t>(i * size + t)] == u, "%s: map %d at %d", kernels.isa, int(i), int(t));
      if (select[i] && u > most) most = u;
    }
    check::that(out[static_cast<size_t>(n * size + t)] == most, "%s: largest at %d", kernels.isa, int(t));
  }
}

}  // namespace

int main() {
  for (const Kernels* kernels : edgefuse::available()) {
    for (As as : {As::kFloat, As::kHalf, As::kBFloat}) {
      for (int64_t width : {8, 64, 136, 256, 520}) {
        Aligned c({40, 7, 128, 1}, width, as);
        every_select(*kernels, c);
        repeats(*kernels, c);
      }
    }
    for (int64_t cells : {4, 8, 252, 1024, 1028, 4096}) aligned_maps(*kernels, cells);
  }
  check::that(of_bfloat(bfloat_of(0.75f)) == 0.75f, "the test's own bfloat16 is wrong");
  return check::finish("cuda", 100000);
}
