// Tests of fuse_maps: element by element in double, over sizes around every run and alignment, patterns and operators.
#include "check.hpp"

using edgefuse::Activation;
using edgefuse::Kernels;
using edgefuse::Reduce;

namespace {

struct Case {
  Case(int64_t streams, int64_t d, int64_t c, size_t shift)
      : n(streams),
        width(d),
        cells(c),
        x(static_cast<size_t>(streams * (d * c + 3)), shift, check::kNaN),
        substitutes(static_cast<size_t>(streams * d), shift, 0.0f),
        select(static_cast<size_t>(streams), 1) {
    x.randomise();
    substitutes.randomise();
    for (int64_t i = 0; i < n; ++i) offsets.push_back(i * (d * c + 3) + 1);
  }

  int64_t size() const { return width * cells; }
  size_t out_size() const { return static_cast<size_t>(size() * ((concat ? n : 0) + (reduce != Reduce::kNone))); }

  void run(const Kernels& kernels, float* out) {
    kernels.fuse_maps({x.data(), offsets.data(), substitutes.data(), select.data(), n, width, cells, activation, reduce,
                       concat, out});
  }

  int64_t n, width, cells;
  check::Floats x, substitutes;
  std::vector<int64_t> offsets;
  std::vector<uint8_t> select;
  Activation activation = Activation::kRelu;
  Reduce reduce = Reduce::kProduct;
  bool concat = true;
};

double element(Case& c, int64_t i, int64_t t) {
  if (c.select[i] == 0) return 0.0;
  if (c.select[i] == 2) return c.substitutes[i * c.width + t / c.cells];
  const double u = c.x[c.offsets[i] + t];
  return c.activation == Activation::kRelu && u < 0 ? 0.0 : u;
}

double joined(Reduce reduce, double z, double u) {
  if (reduce == Reduce::kProduct || reduce == Reduce::kJointProduct) return z * u;
  return reduce == Reduce::kMax ? std::fmax(z, u) : z + u;
}

// The reduction at element t, and the sum of magnitudes that its rounding errors are measured by.
double reduction(Case& c, int64_t t, double& magnitude) {
  int64_t taken = 0;
  double z = c.reduce == Reduce::kProduct ? 1.0 : 0.0;
  magnitude = 0.0;
  for (int64_t i = 0; i < c.n; ++i) {
    if (c.select[i] == 0) continue;
    const double u = element(c, i, t);
    z = taken++ ? joined(c.reduce, z, u) : u;
    magnitude += std::fabs(u);
  }
  if (c.reduce == Reduce::kJointProduct && taken < 2) z = 0.0;
  if (c.reduce == Reduce::kAverage && taken > 0) z /= static_cast<double>(taken);
  if (c.reduce == Reduce::kProduct || c.reduce == Reduce::kJointProduct) magnitude = std::fabs(z);
  return z;
}

void agrees(const Kernels& kernels, Case& c, size_t shift) {
  check::Floats out(c.out_size(), shift, check::kNaN);
  c.run(kernels, out.data());
  check::that(out.intact(), "%s: a write past the output, D %d, cells %d", kernels.isa, int(c.width), int(c.cells));
  for (int64_t i = 0; c.concat && i < c.n; ++i) {
    for (int64_t t = 0; t < c.size(); ++t) {
      check::that(out[i * c.size() + t] == element(c, i, t), "%s: block %d at %d of %d", kernels.isa, int(i), int(t),
                  int(c.size()));
    }
  }
  const float* z = out.data() + (c.concat ? c.n * c.size() : 0);
  for (int64_t t = 0; c.reduce != Reduce::kNone && t < c.size(); ++t) {
    double magnitude;
    const double expected = reduction(c, t, magnitude);
    check::that(std::fabs(z[t] - expected) <= double(c.n) * check::kEps * magnitude, "%s: reduction %d at %d: %g, %g",
                kernels.isa, int(c.reduce), int(t), z[t], expected);
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

bool next_pattern(std::vector<uint8_t>& select) {
  for (uint8_t& s : select) {
    if (s < 2) return ++s, true;
    s = 0;
  }
  return false;
}

void sizes(const Kernels& kernels) {
  size_t shift = 0;
  for (int64_t cells : {1, 3, 7, 8, 15, 16, 17, 130, 1007, 1008, 1023, 1024, 1025, 2050}) {
    for (int64_t width : {1, 2, 5}) {
      Case c(3, width, cells, shift++ % 16);
      c.select = {1, 2, 1};
      every_operator(kernels, c, shift * 7 % 16);
    }
  }
}

// Outputs beyond 2 MiB are stored past the caches: at every alignment, with blocks aligned alike and not.
void large_outputs(const Kernels& kernels) {
  for (size_t shift = 0; shift < 16; ++shift) {
    Case c(2, 3, 59000 + static_cast<int64_t>(shift % 3), shift * 5 % 16);
    c.select = {static_cast<uint8_t>(shift % 3), 1};
    c.reduce = Reduce(1 + static_cast<int>(shift % 5));
    agrees(kernels, c, shift);
  }
}

void patterns(const Kernels& kernels) {
  for (int64_t n = 1; n <= 4; ++n) {
    Case c(n, 2, 9, 1);
    c.select.assign(static_cast<size_t>(n), 0);
    do every_operator(kernels, c, 0);
    while (next_pattern(c.select));
  }
}

void absent_is_never_read(const Kernels& kernels) {
  std::vector<uint8_t> select(3, 0);
  do {
    for (int reduce = 0; reduce <= 5; ++reduce) {
      Case c(3, 2, 21, 0);
      c.select = select;
      c.reduce = Reduce(reduce);
      check::Floats clean(c.out_size(), 0, 1.0f), poisoned(c.out_size(), 0, check::kNaN);
      c.run(kernels, clean.data());
      for (int64_t i = 0; i < c.n; ++i) {
        for (int64_t t = 0; select[i] != 1 && t < c.size(); ++t) c.x[c.offsets[i] + t] = check::kNaN;
        for (int64_t j = 0; select[i] != 2 && j < c.width; ++j) c.substitutes[i * c.width + j] = check::kInf;
      }
      c.run(kernels, poisoned.data());
      check::that(check::same_bits(clean.data(), poisoned.data(), clean.size()), "%s: poison was read", kernels.isa);
    }
  } while (next_pattern(select));
}

void nan_propagates(const Kernels& kernels) {
  for (int reduce = 1; reduce <= 5; ++reduce) {
    for (int64_t t = 0; t < 40; ++t) {
      Case c(3, 2, 20, 0);
      c.reduce = Reduce(reduce);
      c.x[c.offsets[1] + t] = check::kNaN;
      check::Floats out(c.out_size(), 0, 0.0f);
      c.run(kernels, out.data());
      for (int64_t s = 0; s < 160; ++s) {
        const bool expected = s == 40 + t || s == 120 + t;
        check::that(std::isnan(out[s]) == expected, "%s: NaN at %d shows at %d", kernels.isa, int(t), int(s));
      }
    }
  }
}

}  // namespace

int main() {
  for (const Kernels* kernels : edgefuse::available()) {
    sizes(*kernels);
    large_outputs(*kernels);
    patterns(*kernels);
    absent_is_never_read(*kernels);
    nan_propagates(*kernels);
  }
  return check::finish("maps", 1000000);
}
