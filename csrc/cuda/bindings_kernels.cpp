// The kernels on a device as Python calls them: addresses and sizes, put into the arguments of each.
#include <algorithm>

#include "bindings.hpp"

namespace edgefuse::cuda {
namespace python {  // where they may be called as the kernels are

// A projection whose arguments are fixed but for what lies behind the addresses.
class Projection {
 public:
  Projection(Shared device, Address x, const std::vector<int64_t>& dims, const std::vector<int64_t>& offsets,
             Address weights, int kind, const std::vector<int64_t>& weight_offsets, Address substitutes, Address mask,
             int64_t width, int activation, int reduce, bool concat, Address out)
      : device_(std::move(device)), kind_(static_cast<Weights>(kind)) {
    const size_t n = dims.size();
    if (n < 1 || n > kMaxStreams || offsets.size() != n || weight_offsets.size() != n) {
      throw py::value_error("dims, offsets and weight_offsets must be of 1 to 16 streams each");
    }
    std::copy_n(dims.data(), n, a_.dims);
    std::copy_n(offsets.data(), n, a_.offsets);
    std::copy_n(weight_offsets.data(), n, a_.weight_offsets);
    a_.x = at<float>(x);
    a_.weights = at<void>(weights);
    a_.substitutes = at<float>(substitutes);
    a_.mask = at<uint32_t>(mask);
    a_.out = at<float>(out);
    a_.streams = static_cast<int64_t>(n);
    a_.width = width;
    a_.activation = static_cast<Activation>(activation);
    a_.reduce = static_cast<Reduce>(reduce);
    a_.concat = concat;
    const int64_t tiles = device_->tiles(a_, kind_);
    a_.splits = splits_of(a_, tiles, device_->processors());
    const auto floats = static_cast<size_t>(a_.splits * a_.streams * a_.width);
    a_.scratch = static_cast<float*>(device_->allocate(floats * sizeof(float)));
    a_.counters = static_cast<unsigned*>(device_->allocate(static_cast<size_t>(tiles) * sizeof(unsigned)));
    device_->clear(a_.counters, static_cast<size_t>(tiles) * sizeof(unsigned));
  }
  ~Projection() {
    device_->release(a_.scratch);
    if (a_.counters) device_->release(a_.counters);
  }
  Projection(const Projection&) = delete;

  void run() { device_->project(a_, kind_); }

 private:
  Shared device_;
  Weights kind_;
  ProjectArgs a_{};
};

void fuse_maps(Device& device, Address x, const std::vector<int64_t>& offsets, Address substitutes, Address mask,
               int64_t width, int64_t cells, int activation, int reduce, bool concat, Address out) {
  MapsArgs a{};
  if (offsets.empty() || offsets.size() > kMaxStreams) throw py::value_error("offsets must be of 1 to 16 streams");
  std::copy(offsets.begin(), offsets.end(), a.offsets);
  a.x = at<float>(x);
  a.substitutes = at<float>(substitutes);
  a.mask = at<uint32_t>(mask);
  a.out = at<float>(out);
  a.streams = static_cast<int64_t>(offsets.size());
  a.width = width;
  a.cells = cells;
  a.activation = static_cast<Activation>(activation);
  a.reduce = static_cast<Reduce>(reduce);
  a.concat = concat;
  device.maps(a);
}

void fuse_gate(Device& device, int kind, Address u, Address mask, Address theta, int64_t streams, int64_t columns,
               int64_t dim, Address out) {
  GateArgs a{};
  a.kind = static_cast<JoinKind>(kind);
  a.u = at<float>(u);
  a.mask = at<uint32_t>(mask);
  a.theta = at<float>(theta);
  a.out = at<float>(out);
  a.streams = streams;
  a.columns = columns;
  a.dim = dim;
  if (!is_gate(a.kind)) throw py::value_error("this join is no gate");
  device.gate(a);
}

void subset_head(Device& device, Address h, Address masks, int64_t count, int64_t streams, int64_t width, bool concat,
                 int reduce, Address weight, Address bias, int64_t classes, Address out) {
  const SubsetsArgs a{at<float>(h),
                      at<uint16_t>(masks),
                      at<float>(weight),
                      at<float>(bias),
                      at<float>(out),
                      streams,
                      width,
                      classes,
                      Reduce(reduce),
                      concat};
  device.subsets(a, count);
}

void picture_area(Device& device, Address pixels, int64_t row_stride, int64_t rows, int64_t columns, Address out,
                  int64_t out_rows, int64_t out_columns) {
  Area a{};
  a.pixels = at<uint8_t>(pixels);
  a.row_stride = row_stride;
  a.rows = rows;
  a.columns = columns;
  a.out = at<uint8_t>(out);
  a.out_rows = out_rows;
  a.out_columns = out_columns;
  device.area(a);
}

void depth_nearest(Device& device, Address mm, int64_t row_stride, int64_t rows, int64_t columns, Address out,
                   int64_t out_rows, int64_t out_columns) {
  Nearest a{};
  a.mm = at<uint8_t>(mm);
  a.row_stride = row_stride;
  a.column_stride = 2;
  a.rows = rows;
  a.columns = columns;
  a.out = at<uint16_t>(out);
  a.out_rows = out_rows;
  a.out_columns = out_columns;
  device.nearest(a);
}

void lidar_grid(Device& device, Address points, int64_t count, float x_min_m, float y_min_m, float cell_m,
                const std::vector<float>& z_edges_m, int64_t count_cap, Address out, int64_t rows, int64_t cols,
                Address used) {
  const auto bands = static_cast<int64_t>(z_edges_m.size()) - 1;
  if (bands < 1 || bands > kMostBands) throw py::value_error("z_edges_m must be of 1 to 64 bands");
  GridArgs a{at<float>(points),
             at<float>(out),
             at<int64_t>(used),
             count,
             bands,
             count_cap,
             rows,
             cols,
             x_min_m,
             y_min_m,
             cell_m,
             {}};
  std::copy(z_edges_m.begin(), z_edges_m.end(), a.z_edges_m);
  device.grid(a);
}

void count_bad(Device& device, Address values, int64_t n, Address out) {
  device.bad(at<float>(values), n, at<int64_t>(out));
}

}  // namespace python

void bind_kernels(py::module_& m, py::class_<Device, Shared>& device) {
  device.def("fuse_maps", &python::fuse_maps);
  device.def("fuse_gate", &python::fuse_gate);
  device.def("subset_head", &python::subset_head);
  device.def("picture_area", &python::picture_area);
  device.def("depth_nearest", &python::depth_nearest);
  device.def("lidar_grid", &python::lidar_grid);
  device.def("count_bad", &python::count_bad);
  py::class_<python::Projection>(m, "Projection")
      .def(py::init<Shared, Address, const std::vector<int64_t>&, const std::vector<int64_t>&, Address, int,
                    const std::vector<int64_t>&, Address, Address, int64_t, int, int, bool, Address>())
      .def("run", &python::Projection::run);
}

}  // namespace edgefuse::cuda
