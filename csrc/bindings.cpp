// The Python face of the kernels: checks what could read or write out of bounds, releases the GIL, calls the table.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cmath>

#include "dispatch.hpp"

namespace py = pybind11;

namespace edgefuse {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

// Only here to stay within bounds: edgefuse.kernels explains a refusal with the names and shapes.
void require(bool good, const char* what) {
  if (!good) throw py::value_error(what);
}

// Refuses an array that is not aligned or not of this shape; -1 stands for any length.
void want(const char* name, const py::array& a, std::initializer_list<py::ssize_t> shape) {
  bool same = a.ndim() == static_cast<py::ssize_t>(shape.size());
  py::ssize_t axis = 0;
  for (py::ssize_t length : shape) {
    same = same && (length < 0 || length == a.shape(axis));
    ++axis;
  }
  if (!same) throw py::value_error(std::string(name) + " has the wrong shape");
  if (!(a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_))
    throw py::value_error(std::string(name) + " is unaligned");
}

void want_output(const py::array& out, std::initializer_list<const py::array*> others) {
  require(out.writeable(), "an output is read-only");
  const auto begin = reinterpret_cast<uintptr_t>(out.data()), end = begin + static_cast<uintptr_t>(out.nbytes());
  for (const py::array* other : others) {
    const auto start = reinterpret_cast<uintptr_t>(other->data());
    const bool apart = end <= start || start + static_cast<uintptr_t>(other->nbytes()) <= begin;
    require(apart || other->size() == 0, "an output overlaps an argument");
  }
}

void want_streams(int64_t streams, int64_t width) {
  require(streams >= 1 && streams <= kMaxStreams, "there must be 1 to 16 streams");
  require(width >= 1, "the width must be at least 1");
}

// The small arrays, copied before they are checked: another thread may write to the caller's while the kernel runs.
struct Layout {
  int64_t dims[kMaxStreams], offsets[kMaxStreams], weight_offsets[kMaxStreams];
  uint8_t select[kMaxStreams];
};

void copy_select(const Array<uint8_t>& from, uint8_t* to) {
  std::copy_n(from.data(), from.size(), to);
  require(std::all_of(to, to + from.size(), [](uint8_t s) { return s <= kSubstituted; }), "select must be 0, 1 or 2");
}

// [offset, offset + rows * width) must lie in an array of `size`; written so that no sum or product overflows.
bool inside(int64_t offset, int64_t rows, int64_t width, int64_t size) {
  return offset >= 0 && offset <= size && rows <= (size - offset) / width;
}

void check_layout(const Layout& l, int64_t streams, int64_t width, int64_t x_size, int64_t weights_size) {
  for (int64_t i = 0; i < streams; ++i) {
    const int64_t d = l.dims[i];
    require(d >= 1 && d <= x_size && inside(l.offsets[i], d, 1, x_size), "dims or offsets point outside x");
    require(inside(l.weight_offsets[i], d + 1, width, weights_size), "weight_offsets point outside weights");
  }
}

void fuse_project(const Array<float>& x, const Array<int64_t>& dims, const Array<int64_t>& offsets,
                  const Array<float>& weights, const Array<int64_t>& weight_offsets, const Array<float>& substitutes,
                  const Array<uint8_t>& select, int activation, int reduce, bool concat, Array<float>& out) {
  want("x", x, {-1});
  want("weights", weights, {-1});
  want("substitutes", substitutes, {-1, -1});
  const py::ssize_t n = substitutes.shape(0), width = substitutes.shape(1);
  want_streams(n, width);
  want("dims", dims, {n});
  want("offsets", offsets, {n});
  want("weight_offsets", weight_offsets, {n});
  want("select", select, {n});
  require(activation >= 0 && activation <= 1, "activation must be 0 or 1");
  require(reduce >= 0 && reduce <= 4, "reduce must be 0 to 4");
  require(concat || reduce != 0, "reduce is none and concat is off: nothing to compute");
  want("out", out, {(concat ? n * width : 0) + (reduce ? width : 0)});
  want_output(out, {&x, &dims, &offsets, &weights, &weight_offsets, &substitutes, &select});
  Layout l;
  std::copy_n(dims.data(), n, l.dims);
  std::copy_n(offsets.data(), n, l.offsets);
  std::copy_n(weight_offsets.data(), n, l.weight_offsets);
  copy_select(select, l.select);
  check_layout(l, n, width, x.size(), weights.size());
  const Project p{x.data(),          l.dims, l.offsets, weights.data(),         l.weight_offsets, substitutes.data(),
                  l.select,          n,      width,     Activation(activation), Reduce(reduce),   concat,
                  out.mutable_data()};
  py::gil_scoped_release unlocked;
  active().load()->fuse_project(p);
}

void fuse_gate(const Array<float>& h, const Array<uint8_t>& select, const Array<float>& gate_weight,
               const Array<float>& gate_bias, Array<float>& out, Array<float>& alpha) {
  want("h", h, {-1, -1});
  const py::ssize_t n = h.shape(0), width = h.shape(1);
  want_streams(n, width);
  want("select", select, {n});
  want("gate_weight", gate_weight, {n, width});
  want("gate_bias", gate_bias, {n});
  want("out", out, {width});
  want("alpha", alpha, {n});
  want_output(out, {&h, &select, &gate_weight, &gate_bias, &alpha});
  want_output(alpha, {&h, &select, &gate_weight, &gate_bias});
  Layout l;
  copy_select(select, l.select);
  const Gate g{h.data(), l.select, gate_weight.data(), gate_bias.data(),
               n,        width,    out.mutable_data(), alpha.mutable_data()};
  py::gil_scoped_release unlocked;
  active().load()->fuse_gate(g);
}

int64_t lidar_grid(const Array<float>& points, double x_min_m, double y_min_m, double cell_m,
                   const Array<float>& z_edges_m, int64_t count_cap, Array<float>& out) {
  constexpr int64_t limit = int64_t{1} << 24;
  want("points", points, {-1, 4});
  want("z_edges_m", z_edges_m, {-1});
  const py::ssize_t bands = z_edges_m.size() - 1;
  require(bands >= 1, "z_edges_m must hold at least 2 edges");
  want("out", out, {bands + 2, -1, -1});
  require(out.shape(1) >= 1 && out.shape(1) <= limit && out.shape(2) >= 1 && out.shape(2) <= limit, "out is empty");
  require(count_cap >= 1 && count_cap <= limit, "count_cap must be 1 to 2^24");
  want_output(out, {&points, &z_edges_m});
  const auto x_min = static_cast<float>(x_min_m), y_min = static_cast<float>(y_min_m);
  const auto cell = static_cast<float>(cell_m);
  require(std::isfinite(x_min) && std::isfinite(y_min), "x_min_m and y_min_m must be finite");
  require(std::isfinite(cell) && cell > 0.0f, "cell_m must be positive and finite");
  for (py::ssize_t b = 0; b < bands; ++b) {
    const float low = z_edges_m.data()[b], high = z_edges_m.data()[b + 1];
    require(std::isfinite(low) && std::isfinite(high) && low < high, "z_edges_m must ascend and be finite");
  }
  const Grid g{points.data(), points.shape(0),   x_min, y_min, cell, z_edges_m.data(), bands, count_cap, out.shape(1),
               out.shape(2),  out.mutable_data()};
  py::gil_scoped_release unlocked;
  return active().load()->lidar_grid(g);
}

py::list isas() {
  py::list names;
  for (const Kernels* table : available()) names.append(table->isa);
  return names;
}

}  // namespace

PYBIND11_MODULE(_kernels, m) {
  using py::arg;
  m.doc() = "The C++ kernels; use them through edgefuse.kernels.";
  m.def("fuse_project", &fuse_project, arg("x").noconvert(), arg("dims").noconvert(), arg("offsets").noconvert(),
        arg("weights").noconvert(), arg("weight_offsets").noconvert(), arg("substitutes").noconvert(),
        arg("select").noconvert(), arg("activation"), arg("reduce"), arg("concat"), arg("out").noconvert());
  m.def("fuse_gate", &fuse_gate, arg("h").noconvert(), arg("select").noconvert(), arg("gate_weight").noconvert(),
        arg("gate_bias").noconvert(), arg("out").noconvert(), arg("alpha").noconvert());
  m.def("lidar_grid", &lidar_grid, arg("points").noconvert(), arg("x_min_m"), arg("y_min_m"), arg("cell_m"),
        arg("z_edges_m").noconvert(), arg("count_cap"), arg("out").noconvert());
  m.def("isa", [] { return active().load()->isa; }, "The instruction set in use.");
  m.def("isas", &isas, "The instruction sets that this machine can run, widest last.");
  m.def("set_isa", [](const std::string& name) { active() = find_isa(name); }, "Use this one from now on.");
  active();  // a wrong EDGEFUSE_ISA is told at import, not at the first tick
}

}  // namespace edgefuse
