// The looks at a payload on a device as Python asks for them: gathered, then queued together. Arrays are dense; where
// numbers go, and the room to add them up in, are addresses there, too.
#include "bindings.hpp"

namespace edgefuse::cuda {
namespace python {  // where they may be called as the kernels are

void gather(Looks& looks, const Look& own) {
  if (looks.count == kMostLooks) throw py::value_error("too many looks at one payload");
  looks.own[looks.count++] = own;
}

void picture_grain(Looks& looks, Address image, int64_t width, int64_t left, int64_t columns, int64_t first,
                   int64_t end, int64_t step, int64_t fine, int64_t coarse, Address out) {
  Picture p{};
  p.green = at<uint8_t>(image) + 3 * left + 1;
  p.row_stride = 3 * width;
  p.column_stride = 3;
  p.first = first;
  p.end = end;
  p.step = step;
  p.columns = columns;
  p.fine = fine;
  p.coarse = coarse;
  p.out = at<int64_t>(out);
  gather(looks, look_at(p));
}

void picture_levels(Looks& looks, Address image, int64_t rows, int64_t columns, int64_t step, int dark, int bright,
                    Address out) {
  gather(looks,
         look_at(Levels{at<uint8_t>(image), 3 * columns, 3, 1, rows, columns, step, dark, bright, at<int64_t>(out)}));
}

void depth_counts(Looks& looks, Address mm, int64_t rows, int64_t columns, int64_t step, int limit_mm, Address out,
                  Address room) {
  gather(looks, look_at(Depth{at<uint8_t>(mm), 2 * columns, 2, rows, columns, step, limit_mm, at<int64_t>(out)},
                        at<int64_t>(room)));
}

void cloud_counts(Looks& looks, Address points, int64_t count, float smallest, float min_range_m, float max_range_m,
                  Address out, Address room) {
  gather(looks, look_at(Cloud{at<float>(points), count, smallest, min_range_m, max_range_m, at<int64_t>(out)},
                        at<int64_t>(room)));
}

void sweep_counts(Looks& looks, Address points, int64_t count, Address slopes, Address out, Address room) {
  gather(looks, look_at(Sweep{at<float>(points), count, at<float>(slopes), at<double>(out)}, at<int64_t>(room)));
}

void digest(Looks& looks, Address bytes, int64_t size, Address out) {
  gather(looks, look_at(Digest{at<uint8_t>(bytes), size, at<uint64_t>(out)}));
}

void look(Device& device, const Looks& looks, Address numbers, int64_t count) {
  device.look(looks, at<int64_t>(numbers), count);
}

}  // namespace python

void bind_looks(py::module_& m, py::class_<Device, Shared>& device) {
  py::class_<Looks>(m, "Looks")
      .def(py::init([] { return Looks{}; }))
      .def("picture_grain", &python::picture_grain)
      .def("picture_levels", &python::picture_levels)
      .def("depth_counts", &python::depth_counts)
      .def("cloud_counts", &python::cloud_counts)
      .def("sweep_counts", &python::sweep_counts)
      .def("digest", &python::digest);
  device.def("look", &python::look);
}

}  // namespace edgefuse::cuda
