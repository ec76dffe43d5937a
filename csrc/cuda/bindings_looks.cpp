// The looks at payloads on a device as Python calls them. Arrays are dense; `out` and scratch are addresses there, too.
#include "bindings.hpp"

namespace edgefuse::cuda {
namespace python {  // where they may be called as the kernels are

void picture_grain(Device& device, Address image, int64_t width, int64_t left, int64_t columns, int64_t first,
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
  device.look(p);
}

void picture_levels(Device& device, Address image, int64_t rows, int64_t columns, int64_t step, int dark, int bright,
                    Address out) {
  device.look(Levels{at<uint8_t>(image), 3 * columns, 3, 1, rows, columns, step, dark, bright, at<int64_t>(out)});
}

void depth_counts(Device& device, Address mm, int64_t rows, int64_t columns, int64_t step, int limit_mm, Address out,
                  Address most) {
  device.look(Depth{at<uint8_t>(mm), 2 * columns, 2, rows, columns, step, limit_mm, at<int64_t>(out)},
              at<int32_t>(most));
}

void cloud_counts(Device& device, Address points, int64_t count, float smallest, float min_range_m, float max_range_m,
                  Address out, Address bad) {
  device.look(Cloud{at<float>(points), count, smallest, min_range_m, max_range_m, at<int64_t>(out)}, at<int64_t>(bad));
}

void sweep_counts(Device& device, Address points, int64_t count, Address slopes, Address out, Address counts) {
  device.look(Sweep{at<float>(points), count, at<float>(slopes), at<double>(out)}, at<int64_t>(counts));
}

void digest(Device& device, Address bytes, int64_t size, Address out) {
  device.look(Digest{at<uint8_t>(bytes), size, at<uint64_t>(out)});
}

}  // namespace python

void bind_looks(py::class_<Device, Shared>& device) {
  device.def("picture_grain", &python::picture_grain);
  device.def("picture_levels", &python::picture_levels);
  device.def("depth_counts", &python::depth_counts);
  device.def("cloud_counts", &python::cloud_counts);
  device.def("sweep_counts", &python::sweep_counts);
  device.def("digest", &python::digest);
}

}  // namespace edgefuse::cuda
