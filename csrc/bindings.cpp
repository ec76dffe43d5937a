// The Python face of the kernels: checks what could read or write out of bounds, releases the GIL, calls the table.
#include <cmath>

#include "checks.hpp"
#include "dispatch.hpp"

namespace edgefuse {

void bind_look(py::module_& m);    // in bindings_look.cpp
void bind_resize(py::module_& m);  // in bindings_resize.cpp
void bind_maps(py::module_& m);    // in bindings_maps.cpp

namespace {

// Whether an array holds IEEE halfs as the kernels read them.
bool is_half(const py::array& a) {
  constexpr int numpy_half = 23;
  return a.dtype().num() == numpy_half && a.dtype().byteorder() == '=' && (a.flags() & py::array::c_style);
}

void check_layout(const Layout& l, int64_t streams, int64_t width, int64_t x_size, int64_t weights_size) {
  for (int64_t i = 0; i < streams; ++i) {
    const int64_t d = l.dims[i];
    require(d >= 1 && d <= x_size && inside(l.offsets[i], d, 1, x_size), "dims or offsets point outside x");
    require(inside(l.weight_offsets[i], d + 1, width, weights_size), "weight_offsets point outside weights");
  }
}

// fuse_project with its arguments checked once: on every tick only the mask has changed, and is looked at again.
// The arrays are held here, so that none of them can go away.
class Projection {
 public:
  Projection(Array<float> x, const Array<int64_t>& dims, const Array<int64_t>& offsets, py::array weights,
             const Array<int64_t>& weight_offsets, Array<float> substitutes, Array<uint8_t> select, int activation,
             int reduce, bool concat, Array<float> out) {
    want("x", x, {-1});
    want("weights", weights, {-1});
    const bool half = is_half(weights);
    require(half || py::isinstance<Array<float>>(weights), "weights must be float32 or float16, in C order");
    want("substitutes", substitutes, {-1, -1});
    const py::ssize_t n = substitutes.shape(0), width = substitutes.shape(1);
    want_streams(n, width);
    want("dims", dims, {n});
    want("offsets", offsets, {n});
    want("weight_offsets", weight_offsets, {n});
    want("select", select, {n});
    want_join(activation, reduce, concat);
    want("out", out, {(concat ? n * width : 0) + (reduce ? width : 0)});
    want_output(out, {&x, &dims, &offsets, &weights, &weight_offsets, &substitutes, &select});
    std::copy_n(dims.data(), n, layout_.dims);
    std::copy_n(offsets.data(), n, layout_.offsets);
    std::copy_n(weight_offsets.data(), n, layout_.weight_offsets);
    check_layout(layout_, n, width, x.size(), weights.size());
    select_ = select;
    project_ = {x.data(),
                layout_.dims,
                layout_.offsets,
                half ? nullptr : static_cast<const float*>(weights.data()),
                layout_.weight_offsets,
                substitutes.data(),
                layout_.select,
                n,
                width,
                Activation(activation),
                Reduce(reduce),
                concat,
                out.mutable_data(),
                half ? static_cast<const uint16_t*>(weights.data()) : nullptr};
    held_ = py::make_tuple(x, weights, substitutes, out);
  }
  Projection(const Projection&) = delete;

  void run() {
    copy_select(select_, layout_.select);
    py::gil_scoped_release unlocked;
    active().load()->fuse_project(project_);
  }

 private:
  Layout layout_;
  Project project_;
  Array<uint8_t> select_;
  py::tuple held_;
};

void fuse_project(const Array<float>& x, const Array<int64_t>& dims, const Array<int64_t>& offsets,
                  const py::array& weights, const Array<int64_t>& weight_offsets, const Array<float>& substitutes,
                  const Array<uint8_t>& select, int activation, int reduce, bool concat, const Array<float>& out) {
  Projection(x, dims, offsets, weights, weight_offsets, substitutes, select, activation, reduce, concat, out).run();
}

void fuse_join(int kind, const Array<float>& u, const Array<uint8_t>& select, const Array<float>& theta, int64_t dim,
               int64_t rank, Array<float>& out) {
  constexpr int64_t limit = int64_t{1} << 16;
  require(kind >= 1 && kind <= int(JoinKind::kCosine), "kind must be a join");
  require(dim >= 1 && dim <= limit && rank >= 1 && rank <= limit, "dim and rank must be 1 to 65536");
  want("u", u, {-1, -1});
  const py::ssize_t n = u.shape(0);
  want_streams(n, u.shape(1));
  require(n == 2 || (kind != int(JoinKind::kGmu) && kind != int(JoinKind::kPair)), "this join is of two streams");
  const JoinSizes sizes = join_sizes(JoinKind(kind), n, dim, rank);
  want("u", u, {n, sizes.columns});
  want("select", select, {n});
  want("theta", theta, {sizes.theta});
  want("out", out, {sizes.out});
  want_output(out, {&u, &select, &theta});
  Layout l;
  copy_select(select, l.select);
  std::vector<float> scratch(static_cast<size_t>(dim));
  const Join j{JoinKind(kind), u.data(),           l.select,  theta.data(),  n, sizes.columns, dim,
               rank,           out.mutable_data(), sizes.out, scratch.data()};
  py::gil_scoped_release unlocked;
  active().load()->fuse_join(j);
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
  py::class_<Projection>(m, "Projection", "fuse_project with its arguments checked and held; call it to run.")
      .def(py::init<Array<float>, Array<int64_t>, Array<int64_t>, py::array, Array<int64_t>, Array<float>,
                    Array<uint8_t>, int, int, bool, Array<float>>(),
           arg("x").noconvert(), arg("dims").noconvert(), arg("offsets").noconvert(), arg("weights").noconvert(),
           arg("weight_offsets").noconvert(), arg("substitutes").noconvert(), arg("select").noconvert(),
           arg("activation"), arg("reduce"), arg("concat"), arg("out").noconvert())
      .def("__call__", &Projection::run);
  m.def("fuse_join", &fuse_join, arg("kind"), arg("u").noconvert(), arg("select").noconvert(), arg("theta").noconvert(),
        arg("dim"), arg("rank"), arg("out").noconvert());
  m.def("lidar_grid", &lidar_grid, arg("points").noconvert(), arg("x_min_m"), arg("y_min_m"), arg("cell_m"),
        arg("z_edges_m").noconvert(), arg("count_cap"), arg("out").noconvert());
  bind_look(m);
  bind_maps(m);
  bind_resize(m);
  m.def("isa", [] { return active().load()->isa; }, "The instruction set in use.");
  m.def("isas", &isas, "The instruction sets that this machine can run, widest last.");
  m.def("set_isa", [](const std::string& name) { active() = find_isa(name); }, "Use this one from now on.");
  active();  // a wrong EDGEFUSE_ISA is told at import, not at the first tick
}

}  // namespace edgefuse
