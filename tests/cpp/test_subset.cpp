// Tests of subset_head: each subset's logits in double, over sizes, operators, orders of masks and instruction sets.
#include <algorithm>

#include "check.hpp"

using edgefuse::Kernels;
using edgefuse::Reduce;

namespace {

struct Case {
  Case(int64_t streams, int64_t d, int64_t k, Reduce r, bool blocks, size_t shift)
      : n(streams),
        width(d),
        classes(k),
        reduce(r),
        concat(blocks),
        rows((blocks ? streams * d : 0) + (r == Reduce::kNone ? 0 : d)),
        h(static_cast<size_t>(streams * d), shift, 0.0f),
        weight(static_cast<size_t>(rows * k), shift, 0.0f),
        bias(static_cast<size_t>(k), shift, 0.0f) {
    h.randomise();
    weight.randomise();
    bias.randomise();
    for (int m = 0; m < 1 << streams; ++m) masks.push_back(static_cast<uint16_t>(m));
  }

  size_t out_size() const { return masks.size() * static_cast<size_t>(classes); }

  void run(const Kernels& kernels, float* out) {
    kernels.subset_head({h.data(), masks.data(), weight.data(), bias.data(), n, width,
                         static_cast<int64_t>(masks.size()), classes, reduce, concat, out});
  }

  int64_t n, width, classes;
  Reduce reduce;
  bool concat;
  int64_t rows;
  check::Floats h, weight, bias;
  std::vector<uint16_t> masks;
};

// The reduction of column j over a subset, and in `size` the magnitudes that its rounding is measured by.
double reduction(Case& c, uint16_t mask, int64_t j, double& size) {
  const bool product = c.reduce == Reduce::kProduct || c.reduce == Reduce::kJointProduct;
  double z = product ? 1.0 : 0.0, sum = 0.0;
  int taken = 0;
  for (int64_t i = 0; i < c.n; ++i) {
    if (!(mask >> i & 1)) continue;
    const double u = c.h[i * c.width + j];
    if (c.reduce == Reduce::kMax) z = taken ? std::fmax(z, u) : u;
    if (product) z *= u;
    if (c.reduce == Reduce::kSum || c.reduce == Reduce::kAverage) z += u;
    sum += std::fabs(u);
    ++taken;
  }
  if (c.reduce == Reduce::kJointProduct && taken < 2) z = 0.0;
  if (c.reduce == Reduce::kAverage && taken) z /= taken, sum /= taken;
  size = product ? std::fabs(z) : sum;
  return z;
}

void agrees(const Kernels& kernels, Case& c, size_t shift) {
  check::Floats out(c.out_size(), shift, check::kNaN);
  c.run(kernels, out.data());
  check::that(out.intact(), "%s: a write past the output", kernels.isa);
  std::vector<double> value, size;
  for (size_t m = 0; m < c.masks.size(); ++m) {
    value.clear(), size.clear();
    for (int64_t i = 0; c.concat && i < c.n; ++i) {
      for (int64_t j = 0; j < c.width; ++j) {
        value.push_back(c.masks[m] >> i & 1 ? c.h[i * c.width + j] : 0.0);
        size.push_back(std::fabs(value.back()));
      }
    }
    for (int64_t j = 0; c.reduce != Reduce::kNone && j < c.width; ++j) {
      size.push_back(0.0);
      value.push_back(reduction(c, c.masks[m], j, size.back()));
    }
    for (int64_t k = 0; k < c.classes; ++k) {
      double expected = c.bias[k], magnitude = std::fabs(expected);
      for (size_t j = 0; j < value.size(); ++j) {
        const double w = c.weight[static_cast<int64_t>(j) * c.classes + k];
        expected += value[j] * w;
        magnitude += size[j] * std::fabs(w);
      }
      const double slack = static_cast<double>(c.rows + 2 * c.n + 4) * check::kEps * magnitude;
      const double actual = out[static_cast<int64_t>(m) * c.classes + k];
      check::that(std::fabs(actual - expected) <= slack, "%s: N %d D %d K %d reduce %d subset %x class %d: %g, not %g",
                  kernels.isa, int(c.n), int(c.width), int(c.classes), int(c.reduce), c.masks[m], int(k), actual,
                  expected);
    }
  }
}

void sizes(const Kernels& kernels) {
  size_t shift = 0;
  for (int64_t width : {1, 3, 7, 16, 127, 128, 129, 258}) {
    for (int64_t classes : {1, 3, 4, 7, 8, 15, 16, 17, 33, 130}) {
      for (int reduce = 0; reduce <= 5; ++reduce) {
        for (int concat = reduce ? 0 : 1; concat <= 1; ++concat) {
          Case c(3, width, classes, Reduce(reduce), concat != 0, shift % 3);
          agrees(kernels, c, ++shift % 3);
        }
      }
    }
  }
  for (int64_t n = 1; n <= 9; ++n) {
    Case c(n, 20, 5, Reduce::kProduct, true, 0);
    agrees(kernels, c, 0);
  }
}

// One subset's bits are the same whichever others are asked for, in whatever order, repeated or not.
void subsets_do_not_depend_on_each_other(const Kernels& kernels) {
  for (int reduce = 0; reduce <= 5; ++reduce) {
    Case c(6, 131, 21, Reduce(reduce), true, 0);
    check::Floats all(c.out_size(), 0, 0.0f);
    c.run(kernels, all.data());
    std::vector<uint16_t> order = c.masks;
    order.insert(order.end(), {5, 5, 63, 0});
    std::shuffle(order.begin(), order.end(), check::engine());
    for (size_t first = 0; first < order.size(); first += 11) {
      c.masks.assign(order.begin() + first, order.begin() + std::min(first + 11, order.size()));
      check::Floats some(c.out_size(), 0, 0.0f);
      c.run(kernels, some.data());
      for (size_t m = 0; m < c.masks.size(); ++m) {
        check::that(check::same_bits(some.data() + m * 21, all.data() + c.masks[m] * 21, 21),
                    "%s: subset %x changed with its company", kernels.isa, c.masks[m]);
      }
    }
  }
}

void sixteen_streams(const Kernels& kernels) {
  Case c(16, 5, 3, Reduce::kMax, true, 0);
  c.masks = {0xffff, 0x8000, 1, 0, 0x8001, 0x7fff, 0x5555};
  agrees(kernels, c, 0);
}

// A stream in no subset is never read, and one that is NaN shows in its own subsets alone.
void poison_stays_where_it_belongs(const Kernels& kernels) {
  for (int reduce = 0; reduce <= 5; ++reduce) {
    Case c(4, 37, 6, Reduce(reduce), true, 0);
    check::Floats clean(c.out_size(), 0, 0.0f), poisoned(c.out_size(), 0, 0.0f);
    c.run(kernels, clean.data());
    for (int64_t j = 0; j < c.width; ++j) c.h[2 * c.width + j] = check::kNaN;
    c.run(kernels, poisoned.data());
    for (size_t m = 0; m < c.masks.size(); ++m) {
      const float *a = clean.data() + m * 6, *b = poisoned.data() + m * 6;
      const bool good = m >> 2 & 1 ? std::isnan(b[0]) && std::isnan(b[5]) : check::same_bits(a, b, 6);
      check::that(good, "%s: poison in stream 2 and subset %x", kernels.isa, int(m));
    }
  }
}

}  // namespace

int main() {
  for (const Kernels* kernels : edgefuse::available()) {
    sizes(*kernels);
    subsets_do_not_depend_on_each_other(*kernels);
    sixteen_streams(*kernels);
    poison_stays_where_it_belongs(*kernels);
  }
  return check::finish("subset", 100000);
}
