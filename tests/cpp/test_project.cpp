// Tests of fuse_project: a scalar loop in double is the truth, over sizes, patterns, operators and instruction sets.
#include "check.hpp"

using edgefuse::Activation;
using edgefuse::Kernels;
using edgefuse::Reduce;

namespace {

// What IEEE half bits stand for, by the definition of the format.
double value_of(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double sign = half & 0x8000 ? -1.0 : 1.0;
  if (exponent == 31) return fraction ? double(check::kNaN) : sign * double(check::kInf);
  return sign * (exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24));
}

constexpr uint16_t kHalfInf = 0x7c00;

struct Case {
  Case(std::vector<int64_t> widths, int64_t d_out, size_t shift)
      : dims(std::move(widths)),
        n(static_cast<int64_t>(dims.size())),
        width(d_out),
        x(place(offsets, 0, 1), shift, check::kNaN),
        weights(place(weight_offsets, 1, d_out), shift, check::kNaN),
        substitutes(static_cast<size_t>(n * d_out), shift, 0.0f),
        select(dims.size(), 1) {
    x.randomise();
    weights.randomise();
    substitutes.randomise();
  }

  // Lays blocks of (dims + extra) * step floats out with a gap of three between them.
  size_t place(std::vector<int64_t>& starts, int64_t extra, int64_t step) const {
    int64_t end = 3;
    for (int64_t d : dims) {
      starts.push_back(end);
      end += (d + extra) * step + 3;
    }
    return static_cast<size_t>(end);
  }

  std::vector<int64_t> dims, offsets, weight_offsets;
  int64_t n, width;
  check::Floats x, weights, substitutes;
  std::vector<uint8_t> select;
  Activation activation = Activation::kIdentity;
  Reduce reduce = Reduce::kNone;
  bool concat = true;
  std::vector<uint16_t> halfs;  // not empty: what the kernel reads instead of the weights, which are their values

  // Random halfs, one in eight of them subnormal.
  void use_halfs(size_t shift) {
    halfs.resize(shift + weights.size());
    half = halfs.data() + shift;
    for (size_t k = 0; k < weights.size(); ++k) {
      const uint32_t bits = check::engine()();
      half[k] = static_cast<uint16_t>(bits % 8 ? (bits & 0x83ff) | ((bits >> 16) % 17) << 10 : bits & 0x83ff);
      weights[k] = static_cast<float>(value_of(half[k]));
    }
  }

  size_t out_size() const { return static_cast<size_t>(width * ((concat ? n : 0) + (reduce != Reduce::kNone))); }

  void run(const Kernels& kernels, float* out) {
    kernels.fuse_project({x.data(), dims.data(), offsets.data(), weights.data(), weight_offsets.data(),
                          substitutes.data(), select.data(), n, width, activation, reduce, concat, out, half});
  }

  uint16_t* half = nullptr;
};

struct Truth {
  double value, error;  // error bounds what float arithmetic in any order may add
};

Truth embedding(Case& c, int64_t i, int64_t j) {
  if (c.select[i] == 2) return {c.substitutes[i * c.width + j], 0.0};
  const float* w = c.weights.data() + c.weight_offsets[i];
  double sum = w[c.dims[i] * c.width + j], size = std::fabs(sum);
  for (int64_t k = 0; k < c.dims[i]; ++k) {
    const double term = static_cast<double>(c.x[c.offsets[i] + k]) * w[k * c.width + j];
    sum += term;
    size += std::fabs(term);
  }
  if (c.activation == Activation::kRelu && sum < 0) sum = 0;
  return {sum, static_cast<double>(c.dims[i] + 2) * check::kEps * size};
}

Truth join(Reduce reduce, Truth a, Truth b) {
  const double product = a.value * b.value;
  const double slack = std::fabs(a.value) * b.error + std::fabs(b.value) * a.error + a.error * b.error;
  if (reduce == Reduce::kProduct || reduce == Reduce::kJointProduct)
    return {product, slack + 2 * check::kEps * (std::fabs(product) + slack)};
  if (reduce == Reduce::kMax) return {std::fmax(a.value, b.value), std::fmax(a.error, b.error)};
  return {a.value + b.value, a.error + b.error + check::kEps * (std::fabs(a.value) + std::fabs(b.value))};
}

Truth reduction(Case& c, int64_t j) {
  Truth all{c.reduce == Reduce::kProduct ? 1.0 : 0.0, 0.0};
  int64_t taken = 0;
  for (int64_t i = 0; i < c.n; ++i) {
    if (c.select[i] == 0) continue;
    const Truth u = embedding(c, i, j);
    all = taken++ ? join(c.reduce, all, u) : u;
  }
  if (c.reduce == Reduce::kJointProduct && taken < 2) return {0.0, 0.0};
  if (c.reduce != Reduce::kAverage || taken == 0) return all;
  const double count = static_cast<double>(taken);
  return {all.value / count, all.error / count + check::kEps * std::fabs(all.value / count)};
}

void near(const char* isa, const char* what, float actual, Truth truth, Case& c, int64_t j) {
  check::that(std::fabs(actual - truth.value) <= truth.error, "%s %s: D %d d %d N %d j %d reduce %d: %g, not %g", isa,
              what, int(c.width), int(c.dims[0]), int(c.n), int(j), int(c.reduce), actual, truth.value);
}

void agrees(const Kernels& kernels, Case& c, size_t shift) {
  check::Floats out(c.out_size(), shift, check::kNaN);
  c.run(kernels, out.data());
  check::that(out.intact(), "%s: a write past the output, D %d", kernels.isa, int(c.width));
  for (int64_t j = 0; j < c.width; ++j) {
    for (int64_t i = 0; c.concat && i < c.n; ++i) {
      const Truth truth = c.select[i] ? embedding(c, i, j) : Truth{0, 0};
      near(kernels.isa, "block", out[i * c.width + j], truth, c, j);
    }
    if (c.reduce == Reduce::kNone) continue;
    near(kernels.isa, "reduction", out[(c.concat ? c.n * c.width : 0) + j], reduction(c, j), c, j);
  }
}

void every_operator(const Kernels& kernels, Case& c, size_t shift) {
  for (int reduce = 0; reduce <= 5; ++reduce) {
    for (int concat = reduce ? 0 : 1; concat <= 1; ++concat) {
      c.reduce = Reduce(reduce);
      c.concat = concat != 0;
      c.activation = Activation((reduce + concat) % 2);
      agrees(kernels, c, shift);
    }
  }
}

void sizes(const Kernels& kernels) {
  const std::vector<int64_t> lengths{1, 3, 7, 8, 15, 16, 17, 31, 63, 64, 65, 130};
  size_t shift = 0;
  for (int64_t width : lengths) {
    for (int64_t d : lengths) {
      Case c({d, 5, d}, width, shift++ % 2);
      c.select = {1, 2, 1};
      every_operator(kernels, c, shift % 2);
      c.use_halfs(shift % 2);
      every_operator(kernels, c, shift % 2);
    }
  }
  Case wide({9, 20}, 2100, 1);  // more than one tile
  every_operator(kernels, wide, 1);
  wide.use_halfs(1);
  every_operator(kernels, wide, 0);
}

bool next_pattern(std::vector<uint8_t>& select) {
  for (uint8_t& s : select) {
    if (s < 2) return ++s, true;
    s = 0;
  }
  return false;
}

void patterns(const Kernels& kernels) {
  for (size_t n = 1; n <= 6; ++n) {
    Case c(std::vector<int64_t>(n, 3), 17, 1);
    c.select.assign(n, 0);
    do every_operator(kernels, c, 0);
    while (next_pattern(c.select));
  }
}

// Poison in all that belongs to absent streams must not change one bit.
void absent_is_never_read(const Kernels& kernels) {
  std::vector<uint8_t> select(4, 0);
  do {
    for (int reduce = 0; reduce <= 5; ++reduce) {
      Case c({5, 16, 33, 8}, 40, 0);
      c.select = select;
      c.reduce = Reduce(reduce);
      if (reduce % 2) c.use_halfs(1);
      check::Floats clean(c.out_size(), 0, 1.0f), poisoned(c.out_size(), 0, check::kNaN);
      c.run(kernels, clean.data());
      for (int64_t i = 0; i < c.n; ++i) {
        const int64_t d = c.dims[i], w = c.weight_offsets[i];
        for (int64_t k = 0; select[i] != 1 && k < d; ++k) c.x[c.offsets[i] + k] = check::kNaN;
        for (int64_t k = 0; select[i] != 1 && k < (d + 1) * c.width; ++k) {
          c.weights[w + k] = check::kInf;
          if (c.half) c.half[w + k] = kHalfInf;
        }
        for (int64_t j = 0; select[i] != 2 && j < c.width; ++j) c.substitutes[i * c.width + j] = check::kNaN;
      }
      c.run(kernels, poisoned.data());
      check::that(check::same_bits(clean.data(), poisoned.data(), clean.size()), "%s: poison was read", kernels.isa);
    }
  } while (next_pattern(select));
}

// Leaving a stream out gives the bits that its operator's identity would give.
void skip_is_identity(const Kernels& kernels, Reduce reduce, float identity) {
  Case c({7, 9, 12}, 33, 0);
  c.reduce = reduce;
  c.concat = false;
  check::Floats skipped(33, 0, 0.0f), replaced(33, 0, 0.0f);
  for (size_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 33; ++j) c.substitutes[i * 33 + j] = identity;
    c.select.assign(3, 1);
    c.select[i] = 0;
    c.run(kernels, skipped.data());
    c.select[i] = 2;
    c.run(kernels, replaced.data());
    check::that(check::same_bits(skipped.data(), replaced.data(), 33), "%s: skip is not identity", kernels.isa);
  }
}

// Each of the 65,536 halfs, read as a weight in rows of every width up to two vectors, is the value that it stands for.
void every_half_is_exact(const Kernels& kernels) {
  std::vector<uint16_t> halfs(1 << 16);
  for (size_t h = 0; h < halfs.size(); ++h) halfs[h] = static_cast<uint16_t>(h);
  const float one = 1.0f;
  const int64_t zero = 0, row = 1;
  const uint8_t present = 1;
  std::vector<uint16_t> weights;
  for (int64_t width : {1, 3, 4, 7, 15, 31, 32, 512}) {
    std::vector<float> out(static_cast<size_t>(width)), none(static_cast<size_t>(width));
    for (int64_t first = 0; first + width <= 1 << 16; first += width) {
      weights.assign(halfs.begin() + first, halfs.begin() + first + width);
      weights.resize(static_cast<size_t>(2 * width));  // the bias is 0
      kernels.fuse_project({&one, &row, &zero, nullptr, &zero, none.data(), &present, 1, width, Activation::kIdentity,
                            Reduce::kNone, true, out.data(), weights.data()});
      for (int64_t j = 0; j < width; ++j) {
        const double expected = value_of(halfs[first + j]), actual = out[j];
        check::that(actual == expected || (std::isnan(actual) && std::isnan(expected)), "%s: half %04x is %g, not %g",
                    kernels.isa, halfs[first + j], actual, expected);
      }
    }
  }
}

void nan_propagates(const Kernels& kernels) {
  for (int reduce = 1; reduce <= 5; ++reduce) {
    for (size_t bad = 0; bad < 3; ++bad) {
      Case c({6, 6, 6}, 20, 0);
      c.reduce = Reduce(reduce);
      c.activation = Activation::kRelu;
      c.x[c.offsets[bad] + 2] = check::kNaN;
      check::Floats out(c.out_size(), 0, 0.0f);
      c.run(kernels, out.data());
      for (size_t j = 0; j < 20; ++j) check::that(std::isnan(out[60 + j]), "%s: NaN was swallowed", kernels.isa);
    }
  }
}

}  // namespace

int main() {
  for (const Kernels* kernels : edgefuse::available()) {
    sizes(*kernels);
    patterns(*kernels);
    absent_is_never_read(*kernels);
    skip_is_identity(*kernels, Reduce::kSum, 0.0f);
    skip_is_identity(*kernels, Reduce::kMax, -check::kInf);
    skip_is_identity(*kernels, Reduce::kProduct, 1.0f);
    skip_is_identity(*kernels, Reduce::kJointProduct, 1.0f);
    every_half_is_exact(*kernels);
    nan_propagates(*kernels);
  }
  return check::finish("project", 1000000);
}
