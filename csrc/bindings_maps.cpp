// The Python face of the kernels for feature maps and for subsets of streams.
#include "checks.hpp"
#include "dispatch.hpp"

namespace edgefuse {
namespace {

void fuse_maps(const Array<float>& x, const Array<int64_t>& offsets, const Array<float>& substitutes,
               const Array<uint8_t>& select, int64_t cells, int activation, int reduce, bool concat,
               Array<float>& out) {
  want("x", x, {-1});
  want("substitutes", substitutes, {-1, -1});
  const py::ssize_t n = substitutes.shape(0), width = substitutes.shape(1);
  want_streams(n, width);
  want("offsets", offsets, {n});
  want("select", select, {n});
  want_join(activation, reduce, concat);
  require(cells >= 1 && inside(0, cells, width, x.size()), "x is shorter than one map");
  want("out", out, {((concat ? n : 0) + (reduce ? 1 : 0)) * width * cells});
  want_output(out, {&x, &offsets, &substitutes, &select});
  Layout l;
  std::copy_n(offsets.data(), n, l.offsets);
  copy_select(select, l.select);
  for (py::ssize_t i = 0; i < n; ++i) {
    require(inside(l.offsets[i], cells, width, x.size()), "offsets point outside x");
  }
  const Maps m{x.data(),       l.offsets, substitutes.data(), l.select, n, width, cells, Activation(activation),
               Reduce(reduce), concat,    out.mutable_data()};
  py::gil_scoped_release unlocked;
  active().load()->fuse_maps(m);
}

void subset_head(const Array<float>& h, const Array<uint16_t>& masks, bool concat, int reduce,
                 const Array<float>& weight, const Array<float>& bias, Array<float>& out) {
  want("h", h, {-1, -1});
  const py::ssize_t n = h.shape(0), width = h.shape(1);
  want_streams(n, width);
  want_join(0, reduce, concat);
  want("masks", masks, {-1});
  want("bias", bias, {-1});
  const py::ssize_t count = masks.size(), classes = bias.size();
  require(classes >= 1, "bias must not be empty");
  want("weight", weight, {(concat ? n * width : 0) + (reduce ? width : 0), classes});
  require(std::all_of(masks.data(), masks.data() + count, [n](uint16_t m) { return m >> n == 0; }),
          "masks name streams that there are not");
  want("out", out, {count, classes});
  want_output(out, {&h, &masks, &weight, &bias});
  const Subsets s{h.data(), masks.data(),   weight.data(), bias.data(),       n, width, count,
                  classes,  Reduce(reduce), concat,        out.mutable_data()};
  py::gil_scoped_release unlocked;
  active().load()->subset_head(s);
}

}  // namespace

void bind_maps(py::module_& m) {
  using py::arg;
  m.def("fuse_maps", &fuse_maps, arg("x").noconvert(), arg("offsets").noconvert(), arg("substitutes").noconvert(),
        arg("select").noconvert(), arg("cells"), arg("activation"), arg("reduce"), arg("concat"),
        arg("out").noconvert());
  m.def("subset_head", &subset_head, arg("h").noconvert(), arg("masks").noconvert(), arg("concat"), arg("reduce"),
        arg("weight").noconvert(), arg("bias").noconvert(), arg("out").noconvert());
}

}  // namespace edgefuse
