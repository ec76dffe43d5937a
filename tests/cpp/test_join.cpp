// Tests of fuse_join: poison, stray writes, the empty set, every instruction set against the narrowest, joins by gates
// against float64, and hand-made values; all formulas are held against a float64 truth from Python too. The CUDA kernel
// joins by gates only: with emulated/ or device/ in front of csrc/ nothing else is run.
#include "check.hpp"
#include "join_truth.hpp"

using edgefuse::Join;
using edgefuse::JoinKind;
using edgefuse::JoinSizes;
using edgefuse::Kernels;

namespace {

constexpr int kKinds = static_cast<int>(JoinKind::kCosine), kGates = 9;

bool of_two(JoinKind kind) { return kind == JoinKind::kGmu || kind == JoinKind::kPair; }

bool on_cuda(const Kernels& kernels) { return std::strncmp(kernels.isa, "cuda", 4) == 0; }

bool has(const Kernels& kernels, JoinKind kind) { return !on_cuda(kernels) || truth::has(kind); }

const Kernels& narrowest() {
  static const Kernels* first = edgefuse::available().front();
  return *first;
}

struct Case {
  Case(JoinKind k, int64_t streams, int64_t d, int64_t r, size_t shift)
      : kind(k),
        n(streams),
        dim(d),
        rank(r),
        sizes(edgefuse::join_sizes(k, streams, d, r)),
        u(static_cast<size_t>(n * sizes.columns), shift, 0.0f),
        theta(static_cast<size_t>(sizes.theta), shift, 0.0f),
        scratch(static_cast<size_t>(d), shift, check::kNaN),
        select(static_cast<size_t>(streams), 1) {
    u.randomise();
    theta.randomise();
  }

  JoinKind kind;
  int64_t n, dim, rank;
  JoinSizes sizes;
  check::Floats u, theta, scratch;
  std::vector<uint8_t> select;

  Join join(float* out) {
    return {kind, u.data(), select.data(), theta.data(), n, sizes.columns, dim, rank, out, sizes.out, scratch.data()};
  }

  void run(const Kernels& kernels, float* out) { kernels.fuse_join(join(out)); }
};

bool next_pattern(std::vector<uint8_t>& select) {
  for (uint8_t& s : select) {
    if (s < 2) return ++s, true;
    s = 0;
  }
  return false;
}

bool none(const std::vector<uint8_t>& select) {
  for (uint8_t s : select) {
    if (s) return false;
  }
  return true;
}

// Against the narrowest instruction set, the same bits where it is that one; cancelling terms make a relative bound per
// value meaningless, so the bound is on the largest value of the vector.
void agrees(const Kernels& kernels, Case& c, size_t shift) {
  const size_t size = static_cast<size_t>(c.sizes.out);
  check::Floats out(size, shift, check::kNaN), first(size, 0, check::kNaN);
  c.run(kernels, out.data());
  c.run(narrowest(), first.data());
  check::that(out.intact() && c.scratch.intact(), "%s: kind %d writes past its output", kernels.isa, int(c.kind));
  double largest = 0.0, apart = 0.0;
  for (size_t k = 0; k < size; ++k) {
    check::that(std::isfinite(out[k]), "%s: kind %d is not finite", kernels.isa, int(c.kind));
    largest = std::fmax(largest, std::fabs(first[k]));
    apart = std::fmax(apart, std::fabs(static_cast<double>(out[k]) - first[k]));
  }
  const double bound = 64 * check::kEps * static_cast<double>(c.dim + c.rank + 8) * (1.0 + largest);
  check::that(apart <= bound, "%s: kind %d D %d: %g apart", kernels.isa, int(c.kind), int(c.dim), apart);
  check::that(&kernels != &narrowest() || check::same_bits(out.data(), first.data(), size),
              "%s: kind %d: two runs differ", kernels.isa, int(c.kind));
}

// Rounding of one column's terms, none of which is larger than 1 and the values of u (1 of unit rows); where whole rows
// are summed first, of as many terms as a row has, and a gate's logits carry that into every weight.
double bound_of(Case& c) {
  const bool unit_rows = c.kind == JoinKind::kCosine;
  const int64_t whole_rows = c.kind == JoinKind::kGate ? 4 * c.dim : unit_rows ? c.dim : 0;
  double largest = 1.0;
  for (size_t k = 0; !unit_rows && k < c.u.size(); ++k) largest = std::fmax(largest, std::fabs(c.u[k]));
  return 2 * check::kEps * static_cast<double>(c.n + 8 + whole_rows) * largest;
}

void is_true(const Kernels& kernels, Case& c) {
  check::Floats out(static_cast<size_t>(c.sizes.out), 0, check::kNaN);
  c.run(kernels, out.data());
  const std::vector<double> wanted = truth::join(c.join(nullptr));
  const double bound = bound_of(c);
  for (size_t k = 0; k < out.size(); ++k) {
    check::that(std::fabs(out[k] - wanted[k]) <= bound, "%s: kind %d D %d: column %d is %g, not %g", kernels.isa,
                int(c.kind), int(c.dim), int(k), double(out[k]), wanted[k]);
  }
}

// Values of a wider spread, so that log variances are clamped and gates close.
void every_pattern_is_true(const Kernels& kernels, JoinKind kind, int64_t n, int64_t dim) {
  Case c(kind, n, dim, 1, static_cast<size_t>(n % 2));
  for (size_t k = 0; k < c.u.size(); ++k) c.u[k] *= 4.0f;
  do is_true(kernels, c);
  while (next_pattern(c.select));
}

void against_truth(const Kernels& kernels, JoinKind kind) {
  for (int64_t dim : {1, 2, 31, 33, 255, 256, 300, 900}) {
    if (kind == JoinKind::kCosine && dim < 3) continue;  // unit rows of few columns may cancel: no direction is left
    const bool short_rows = dim <= 33;
    const int64_t least = of_two(kind) ? 2 : short_rows ? 1 : 3, most = of_two(kind) ? 2 : short_rows ? 4 : 3;
    for (int64_t n = least; n <= most; ++n) every_pattern_is_true(kernels, kind, n, dim);
  }
  if (of_two(kind)) return;
  Case most(kind, edgefuse::kMaxStreams, 40, 1, 0);
  for (size_t i = 0; i < most.select.size(); ++i) most.select[i] = static_cast<uint8_t>((i + 2) % 3);
  is_true(kernels, most);
}

void sizes_and_patterns(const Kernels& kernels, JoinKind kind) {
  size_t shift = 0;
  for (int64_t dim : {2, 3, 15, 16, 17, 63, 65, 130, 257}) {
    for (int64_t n = of_two(kind) ? 2 : 1; n <= (of_two(kind) ? 2 : 4); ++n) {
      Case c(kind, n, dim, 3, ++shift % 2);
      do agrees(kernels, c, shift % 3);
      while (next_pattern(c.select));
      if (dim > 17) break;
    }
  }
}

void absent_is_never_read(const Kernels& kernels, JoinKind kind) {
  Case c(kind, of_two(kind) ? 2 : 4, 19, 2, 0);
  c.select.assign(c.select.size(), 0);
  const size_t size = static_cast<size_t>(c.sizes.out);
  do {
    check::Floats clean(size, 0, 1.0f), poisoned(size, 0, check::kNaN), kept(c.u.size(), 0, 0.0f);
    std::memcpy(kept.data(), c.u.data(), c.u.size() * sizeof(float));
    c.run(kernels, clean.data());
    for (int64_t i = 0; i < c.n; ++i) {
      for (int64_t k = 0; c.select[i] == 0 && k < c.sizes.columns; ++k) c.u[i * c.sizes.columns + k] = check::kNaN;
    }
    c.run(kernels, poisoned.data());
    check::that(check::same_bits(clean.data(), poisoned.data(), size), "%s: kind %d reads poison", kernels.isa,
                int(kind));
    for (size_t k = 0; none(c.select) && k < size; ++k) {
      check::that(poisoned[k] == 0.0f, "%s: kind %d: the empty set is not 0", kernels.isa, int(kind));
    }
    std::memcpy(c.u.data(), kept.data(), c.u.size() * sizeof(float));
  } while (next_pattern(c.select));
}

void nan_reaches_the_output(const Kernels& kernels, JoinKind kind) {
  Case c(kind, 2, 5, 2, 0);
  for (int64_t k = 0; k < c.sizes.columns; ++k) c.u[c.sizes.columns + k] = check::kNaN;
  check::Floats out(static_cast<size_t>(c.sizes.out), 0, 0.0f);
  c.run(kernels, out.data());
  bool found = false;
  for (size_t k = 0; k < out.size(); ++k) found = found || std::isnan(out[k]);
  check::that(found, "%s: kind %d swallows NaN", kernels.isa, int(kind));
}

void pooled(const Kernels& kernels) {
  check::Floats out(2, 0, 0.0f);
  Case mfb(JoinKind::kMfb, 1, 2, 2, 0), mutan(JoinKind::kMutan, 1, 2, 2, 0);
  for (Case* c : {&mfb, &mutan}) {
    for (int k = 0; k < 4; ++k) c->u[static_cast<size_t>(k)] = static_cast<float>(k * k);  // 0 1 4 9
  }
  mfb.run(kernels, out.data());  // sums 1 and 13: the factor is minor
  check::that(std::fabs(out[1] / out[0] - std::sqrt(13.0)) < 1e-5, "%s: MFB layout", kernels.isa);
  mutan.run(kernels, out.data());  // sums 4 and 10: the rank is major
  check::that(std::fabs(out[1] / out[0] - std::sqrt(10.0 / 4.0)) < 1e-5, "%s: MUTAN layout", kernels.isa);
}

void hand_made(const Kernels& kernels) {
  check::Floats out(2, 0, 0.0f);
  Case pair(JoinKind::kPair, 2, 2, 1, 0);
  for (int k = 0; k < 4; ++k) pair.u[static_cast<size_t>(k)] = static_cast<float>(k);
  pair.run(kernels, out.data());  // sigmoid(0) * 2, sigmoid(1) * 3
  check::that(out[0] == 1.0f && std::fabs(out[1] - 3.0 / (1.0 + std::exp(-1.0))) < 1e-6, "%s: pair", kernels.isa);
  Case still(JoinKind::kCosine, 2, 2, 1, 0);
  for (int k = 0; k < 4; ++k) still.u[static_cast<size_t>(k)] = 0.0f;
  still.run(kernels, out.data());  // no direction
  check::that(out[0] == 0.0f && out[1] == 0.0f, "%s: the direction of zeros", kernels.isa);
  Case alone(JoinKind::kPairs, 1, 1, 1, 0);
  alone.u[0] = 3.0f;
  alone.u[1] = check::kNaN;  // its own gate is for others
  alone.run(kernels, out.data());
  check::that(out[0] == 3.0f, "%s: pairs, one alone", kernels.isa);
}

int all_of(const Kernels& kernels, JoinKind kind) {
  if (!has(kernels, kind)) return 0;
  sizes_and_patterns(kernels, kind);
  if (truth::has(kind)) against_truth(kernels, kind);
  absent_is_never_read(kernels, kind);
  nan_reaches_the_output(kernels, kind);
  return 1;
}

}  // namespace

int main() {
  for (const Kernels* kernels : edgefuse::available()) {
    int ran = 0;
    for (int kind = 1; kind <= kKinds; ++kind) ran += all_of(*kernels, JoinKind(kind));
    hand_made(*kernels);
    if (!on_cuda(*kernels)) pooled(*kernels);
    check::that(ran == (on_cuda(*kernels) ? kGates : kKinds), "%s: only %d kinds ran", kernels->isa, ran);
    std::printf("%s: %d kinds of %d\n", kernels->isa, ran, kKinds);
  }
  return check::finish("join", 100000);
}
