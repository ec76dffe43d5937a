// The Python face of the kernels that look at payloads: any strides are taken, so that no view has to be copied first.
#include "checks.hpp"
#include "dispatch.hpp"

namespace edgefuse {
namespace {

py::tuple picture_grain(const py::array& image, int64_t left, int64_t columns, int64_t first, int64_t end, int64_t step,
                        int64_t fine, int64_t coarse) {
  const uint8_t* pixels = data_of<uint8_t>("image", image, 3);
  require(image.shape(2) == 3, "image must have three channels");
  require(fine >= 1 && coarse >= fine && step >= 1 && first >= fine, "fine, coarse, step or first is too small");
  require(end <= image.shape(0) - coarse && columns <= kPictureColumns, "end or columns is too large");
  require(columns > 2 * fine && columns > coarse && inside(left, columns, 1, image.shape(1)),
          "columns lie outside image");
  int64_t out[6];
  const Picture p{pixels + left * image.strides(1) + image.strides(2),
                  image.strides(0),
                  image.strides(1),
                  first,
                  end,
                  step,
                  columns,
                  fine,
                  coarse,
                  out};
  {
    py::gil_scoped_release unlocked;
    active().load()->picture_grain(p);
  }
  return py::make_tuple(out[0], out[1], out[2], out[3], out[4], out[5]);
}

py::tuple picture_levels(const py::array& image, int64_t step, int dark, int bright) {
  const uint8_t* pixels = data_of<uint8_t>("image", image, 3);
  require(image.shape(2) == 3 && step >= 1, "image must have three channels, step must be at least 1");
  int64_t out[2];
  const Levels l{
      pixels, image.strides(0), image.strides(1), image.strides(2), image.shape(0), image.shape(1), step, dark, bright,
      out};
  {
    py::gil_scoped_release unlocked;
    active().load()->picture_levels(l);
  }
  return py::make_tuple(out[0], out[1]);
}

py::tuple depth_counts(const py::array& depth_mm, int64_t step, int limit_mm) {
  const uint8_t* mm = data_of<uint16_t>("depth_mm", depth_mm, 2);
  require(step >= 1 && depth_mm.size() < int64_t{1} << 31, "step must be at least 1, and depth_mm smaller");
  int64_t out[4];
  const Depth d{mm, depth_mm.strides(0), depth_mm.strides(1), depth_mm.shape(0), depth_mm.shape(1), step, limit_mm,
                out};
  {
    py::gil_scoped_release unlocked;
    active().load()->depth_counts(d);
  }
  return py::make_tuple(out[0], out[1], out[2], out[3]);
}

py::tuple cloud_counts(const Array<float>& points, float smallest, float min_range_m, float max_range_m) {
  want("points", points, {-1, 4});
  int64_t out[4];
  const Cloud c{points.data(), points.shape(0), smallest, min_range_m, max_range_m, out};
  {
    py::gil_scoped_release unlocked;
    active().load()->cloud_counts(c);
  }
  return py::make_tuple(out[0], out[1], out[2], out[3]);
}

void sweep_counts(const Array<float>& points, const Array<float>& slopes, Array<double>& out) {
  want("points", points, {-1, 4});
  want("slopes", slopes, {kSlopes});
  want("out", out, {1 + kSectors + kElevations});
  want_output(out, {&points, &slopes});
  const Sweep s{points.data(), points.shape(0), slopes.data(), out.mutable_data()};
  py::gil_scoped_release unlocked;
  active().load()->sweep_counts(s);
}

uint64_t digest(const py::array& values) {
  const py::array dense = py::array::ensure(values, py::array::c_style);
  require(bool(dense), "values must be an array");
  uint64_t out = 0;
  const Digest d{static_cast<const uint8_t*>(dense.data()), dense.nbytes(), &out};
  py::gil_scoped_release unlocked;
  active().load()->digest(d);
  return out;
}

bool all_finite(const Array<float>& values) {
  require(values.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_, "values are unaligned");
  const float* data = values.data();
  const int64_t n = values.size();
  py::gil_scoped_release unlocked;
  return active().load()->all_finite(data, n);
}

}  // namespace

void bind_look(py::module_& m) {
  using py::arg;
  m.def("picture_grain", &picture_grain, arg("image"), arg("left"), arg("columns"), arg("first"), arg("end"),
        arg("step"), arg("fine"), arg("coarse"));
  m.def("picture_levels", &picture_levels, arg("image"), arg("step"), arg("dark"), arg("bright"));
  m.def("depth_counts", &depth_counts, arg("depth_mm"), arg("step"), arg("limit_mm"));
  m.def("cloud_counts", &cloud_counts, arg("points").noconvert(), arg("smallest"), arg("min_range_m"),
        arg("max_range_m"));
  m.def("sweep_counts", &sweep_counts, arg("points").noconvert(), arg("slopes").noconvert(), arg("out").noconvert());
  m.def("digest", &digest, arg("values").noconvert());
  m.def("all_finite", &all_finite, arg("values").noconvert());
}

}  // namespace edgefuse
