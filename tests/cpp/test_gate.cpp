// Tests of fuse_gate: a softmax in double is the truth; rows left out are poisoned; every run agrees.
#include "check.hpp"

using edgefuse::Kernels;

namespace {

struct Case {
  Case(size_t streams, size_t d, size_t shift)
      : n(streams),
        width(d),
        h(n * d, shift, 0),
        weight(n * d, shift, 0),
        bias(n, shift, 0),
        out(d, shift, check::kNaN),
        alpha(n, shift, check::kNaN),
        select(n, 1) {
    h.randomise();
    weight.randomise();
    bias.randomise();
  }
  void run(const Kernels& kernels) {
    kernels.fuse_gate({h.data(), select.data(), weight.data(), bias.data(), static_cast<int64_t>(n),
                       static_cast<int64_t>(width), out.data(), alpha.data()});
  }
  size_t n, width;
  check::Floats h, weight, bias, out, alpha;
  std::vector<uint8_t> select;
};

// Logits in double, and in `slack` what float rounding may have moved them by.
std::vector<double> logits(Case& c, double& slack) {
  std::vector<double> g(c.n, 0.0);
  slack = 0;
  for (size_t i = 0; i < c.n; ++i) {
    if (!c.select[i]) continue;
    double size = std::fabs(c.bias[i]);
    g[i] = c.bias[i];
    for (size_t j = 0; j < c.width; ++j) {
      const double term = static_cast<double>(c.weight[i * c.width + j]) * c.h[i * c.width + j];
      g[i] += term;
      size += std::fabs(term);
    }
    slack = std::fmax(slack, static_cast<double>(c.width + 2) * check::kEps * size);
  }
  return g;
}

void agrees(const Kernels& kernels, Case& c) {
  double slack = 0, total = 0;
  const std::vector<double> g = logits(c, slack);
  for (size_t i = 0; i < c.n; ++i) total += c.select[i] ? std::exp(g[i]) : 0.0;
  c.run(kernels);
  check::that(c.out.intact() && c.alpha.intact(), "%s: a write past the output", kernels.isa);
  // exp turns an absolute error of its argument into a relative one, numerator and denominator both; a margin for expf.
  const double relative = 4 * slack + 64 * check::kEps;
  for (size_t i = 0; i < c.n; ++i) {
    const double truth = c.select[i] ? std::exp(g[i]) / total : 0.0;
    check::that(std::fabs(c.alpha[i] - truth) <= relative * truth + 1e-37, "%s: alpha %g, not %g", kernels.isa,
                c.alpha[i], truth);
  }
  for (size_t j = 0; j < c.width; ++j) {
    double truth = 0, size = 0;
    for (size_t i = 0; i < c.n; ++i) {
      if (!c.select[i]) continue;
      truth += std::exp(g[i]) / total * c.h[i * c.width + j];
      size += std::exp(g[i]) / total * std::fabs(c.h[i * c.width + j]);
    }
    check::that(std::fabs(c.out[j] - truth) <= (relative + 32 * check::kEps) * size + 1e-37, "%s: out %g, not %g",
                kernels.isa, c.out[j], truth);
  }
}

void sizes_and_patterns(const Kernels& kernels) {
  size_t shift = 0;
  for (size_t width : {1, 3, 7, 8, 15, 16, 17, 63, 64, 65, 130}) {
    for (size_t n = 1; n <= 6; ++n) {
      for (unsigned mask = 0; mask < (1u << n); ++mask) {
        Case c(n, width, shift++ % 2);
        for (size_t i = 0; i < n; ++i) c.select[i] = (mask >> i & 1) ? 1 + i % 2 : 0;
        agrees(kernels, c);
      }
    }
  }
}

void absent_is_never_read(const Kernels& kernels) {
  for (unsigned mask = 0; mask < 16; ++mask) {
    Case c(4, 37, 0);
    for (size_t i = 0; i < 4; ++i) c.select[i] = mask >> i & 1;
    c.run(kernels);
    const std::vector<float> out(c.out.data(), c.out.data() + 37), alpha(c.alpha.data(), c.alpha.data() + 4);
    for (size_t i = 0; i < 4; ++i) {
      for (size_t j = 0; !c.select[i] && j < 37; ++j) c.h[i * 37 + j] = c.weight[i * 37 + j] = check::kNaN;
      if (!c.select[i]) c.bias[i] = check::kInf;
    }
    c.run(kernels);
    const bool same =
        check::same_bits(out.data(), c.out.data(), 37) && check::same_bits(alpha.data(), c.alpha.data(), 4);
    check::that(same, "%s: an absent row was read", kernels.isa);
  }
}

void large_logits_stay_finite(const Kernels& kernels) {
  Case c(3, 4, 0);
  for (size_t i = 0; i < 3; ++i) c.bias[i] = 1e30f * static_cast<float>(i);
  c.run(kernels);
  check::that(c.alpha[2] == 1.0f && c.alpha[0] == 0.0f, "%s: large logits", kernels.isa);
  check::that(check::same_bits(c.out.data(), c.h.data() + 8, 4), "%s: one row must pass unchanged", kernels.isa);
}

}  // namespace

int main() {
  for (const Kernels* kernels : edgefuse::available()) {
    sizes_and_patterns(*kernels);
    absent_is_never_read(*kernels);
    large_logits_stay_finite(*kernels);
  }
  return check::finish("gate", 50000);
}
