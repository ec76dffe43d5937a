// The Python face of the kernels that bring pictures to an encoder's size.
#include <memory>

#include "checks.hpp"
#include "dispatch.hpp"

namespace edgefuse {
namespace {

constexpr py::ssize_t kMaxSide = 1 << 14;

void want_size(py::ssize_t side, py::ssize_t out_side) {
  require(side >= 1 && side <= kMaxSide, "the picture must have 1 to 16384 rows and columns");
  require(out_side >= 1, "out must have rows and columns");
}

void picture_area(const py::array& image, Array<uint8_t>& out) {
  const uint8_t* pixels = data_of<uint8_t>("image", image, 3);
  want("out", out, {-1, -1, 3});
  require(image.shape(2) == 3 && image.strides(2) == 1 && image.strides(1) == 3, "pixels must lie side by side");
  for (int axis = 0; axis < 2; ++axis) {
    want_size(image.shape(axis), out.shape(axis));
    require(out.shape(axis) <= image.shape(axis), "out is larger than the picture");
  }
  want_output(out, {&image});
  const int64_t columns = image.shape(1), out_columns = out.shape(1);
  const int64_t in_part = columns % out_columns == 0 ? 0 : 2;
  const int64_t taps = std::min(columns, columns / out_columns + in_part);
  const std::unique_ptr<float[]> sums(new float[static_cast<size_t>(3 * columns)]);
  const std::unique_ptr<double[]> wide(new double[static_cast<size_t>(3 * columns + 1)]);
  wide[static_cast<size_t>(3 * columns)] = 0.0;
  const std::unique_ptr<int64_t[]> first(new int64_t[static_cast<size_t>(out_columns)]);
  const std::unique_ptr<double[]> parts(new double[static_cast<size_t>(out_columns * taps)]);
  const Area a{pixels, image.strides(0), image.shape(0), columns,     out.shape(0), out_columns,
               taps,   sums.get(),       wide.get(),     first.get(), parts.get(),  out.mutable_data()};
  py::gil_scoped_release unlocked;
  active().load()->picture_area(a);
}

void depth_nearest(const py::array& depth_mm, Array<uint16_t>& out) {
  const uint8_t* mm = data_of<uint16_t>("depth_mm", depth_mm, 2);
  want("out", out, {-1, -1});
  for (int axis = 0; axis < 2; ++axis) want_size(depth_mm.shape(axis), out.shape(axis));
  want_output(out, {&depth_mm});
  const std::unique_ptr<int64_t[]> offsets(new int64_t[static_cast<size_t>(out.shape(1))]);
  const Nearest n{mm,           depth_mm.strides(0), depth_mm.strides(1), depth_mm.shape(0), depth_mm.shape(1),
                  out.shape(0), out.shape(1),        offsets.get(),       out.mutable_data()};
  py::gil_scoped_release unlocked;
  active().load()->depth_nearest(n);
}

}  // namespace

void bind_resize(py::module_& m) {
  using py::arg;
  m.def("picture_area", &picture_area, arg("image"), arg("out").noconvert());
  m.def("depth_nearest", &depth_nearest, arg("depth_mm"), arg("out").noconvert());
}

}  // namespace edgefuse
