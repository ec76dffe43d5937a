// Stands in for csrc/dispatch.hpp: the one table is that of the CUDA kernels on a device, with copies there and back,
// so that the tests of the kernels hold it to the same contracts. Without a device there is no table, and nothing is
// tested.
#pragma once

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cuda/arguments.hpp"
#include "cuda/launch.hpp"

namespace edgefuse {
namespace device {

inline void must(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::printf("CUDA: %s\n", cudaGetErrorString(error));
  std::exit(1);
}

// `count` values in device memory, as far after a 16-byte boundary as they lie on the host.
template <class T>
class Copy {
 public:
  Copy(const T* from, int64_t count) : host_(from), count_(count) {
    const auto shift = reinterpret_cast<uintptr_t>(from) % 16;
    must(cudaMalloc(&all_, static_cast<size_t>(count) * sizeof(T) + 32));
    data_ = reinterpret_cast<T*>(static_cast<char*>(all_) + shift);
    must(cudaMemcpy(data_, from, bytes(), cudaMemcpyDefault));
  }
  ~Copy() { cudaFree(all_); }
  Copy(const Copy&) = delete;
  T* data() const { return data_; }
  void back(T* to) const { must(cudaMemcpy(to, data_, bytes(), cudaMemcpyDefault)); }

 private:
  size_t bytes() const { return static_cast<size_t>(count_) * sizeof(T); }
  const T* host_;
  int64_t count_;
  void* all_ = nullptr;
  T* data_ = nullptr;
};

inline int64_t end_of(const int64_t* starts, const int64_t* sizes, int64_t n, int64_t extra, int64_t step) {
  int64_t end = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t own = starts[i] + (sizes[i] + extra) * step;
    end = own > end ? own : end;
  }
  return end;
}

template <class W>
void project_as(const Project& p, const W* weights, cuda::Weights kind) {
  const Copy<float> x(p.x, end_of(p.offsets, p.dims, p.streams, 0, 1));
  const Copy<W> held(weights, end_of(p.weight_offsets, p.dims, p.streams, 1, p.width));
  const Copy<float> substitutes(p.substitutes, p.streams * p.width);
  const int64_t blocks = (p.concat ? p.streams : 0) + (p.reduce == Reduce::kNone ? 0 : 1);
  const Copy<float> out(p.out, blocks * p.width);
  const uint32_t bits = cuda::mask_of(p.select, p.streams);
  const Copy<uint32_t> mask(&bits, 1);
  cuda::ProjectArgs a = cuda::layout_of(p, 1 + (p.width + p.dims[0]) % 4);
  const std::vector<float> poison(static_cast<size_t>(a.splits * a.streams * a.width), __builtin_nanf(""));
  const std::vector<unsigned> zeros(static_cast<size_t>(a.width), 0);
  const Copy<float> scratch(poison.data(), static_cast<int64_t>(poison.size()));
  const Copy<unsigned> counters(zeros.data(), static_cast<int64_t>(zeros.size()));
  a.x = x.data();
  a.weights = held.data();
  a.substitutes = substitutes.data();
  a.mask = mask.data();
  a.out = out.data();
  a.scratch = scratch.data();
  a.counters = counters.data();
  must(cuda::fuse_project(a, kind, nullptr));
  out.back(p.out);
}

inline void fuse_project(const Project& p) {
  if (p.half) return project_as(p, p.half, cuda::Weights::kHalf);
  project_as(p, p.weights, cuda::Weights::kFloat);
}

// The weights as bfloat16, which no processor's table has.
inline void fuse_project_bfloat(const Project& p) { project_as(p, p.half, cuda::Weights::kBFloat); }

inline void fuse_maps(const Maps& m) {
  cuda::MapsArgs a = cuda::layout_of(m);
  const int64_t size = m.width * m.cells, blocks = (m.concat ? m.streams : 0) + (m.reduce == Reduce::kNone ? 0 : 1);
  int64_t end = 0;
  for (int64_t i = 0; i < m.streams; ++i) end = m.offsets[i] + size > end ? m.offsets[i] + size : end;
  const Copy<float> x(m.x, end), substitutes(m.substitutes, m.streams * m.width), out(m.out, blocks * size);
  const uint32_t bits = cuda::mask_of(m.select, m.streams);
  const Copy<uint32_t> mask(&bits, 1);
  a.x = x.data();
  a.substitutes = substitutes.data();
  a.mask = mask.data();
  a.out = out.data();
  must(cuda::fuse_maps(a, 2, nullptr));
  out.back(m.out);
}

inline void fuse_join(const Join& j) {
  const int64_t theta_size = join_sizes(j.kind, j.streams, j.dim, j.rank).theta;
  const Copy<float> u(j.u, j.streams * j.columns), theta(j.theta, theta_size), out(j.out, j.out_size);
  const uint32_t bits = cuda::mask_of(j.select, j.streams);
  const Copy<uint32_t> mask(&bits, 1);
  cuda::GateArgs a = cuda::layout_of(j);
  a.u = u.data();
  a.mask = mask.data();
  a.theta = theta.data();
  a.out = out.data();
  must(cuda::fuse_gate(a, nullptr));
  out.back(j.out);
}

inline void subset_head(const Subsets& s) {
  const int64_t inner = ((s.concat ? s.streams : 0) + (s.reduce == Reduce::kNone ? 0 : 1)) * s.width;
  const Copy<float> h(s.h, s.streams * s.width), weight(s.weight, inner * s.classes), bias(s.bias, s.classes);
  const Copy<uint16_t> masks(s.masks, s.count);
  const Copy<float> out(s.out, s.count * s.classes);
  cuda::SubsetsArgs a = cuda::layout_of(s);
  a.h = h.data();
  a.masks = masks.data();
  a.weight = weight.data();
  a.bias = bias.data();
  a.out = out.data();
  must(cuda::subset_head(a, s.count, nullptr));
  out.back(s.out);
}

// Bytes from the first of some rows of some columns to the end of the last.
inline int64_t extent(int64_t rows, int64_t row_stride, int64_t columns, int64_t column_stride, int64_t bytes) {
  return rows < 1 || columns < 1 ? 0 : (rows - 1) * row_stride + (columns - 1) * column_stride + bytes;
}

inline void picture_area(const Area& area) {
  const Copy<uint8_t> pixels(area.pixels, extent(area.rows, area.row_stride, area.columns, 3, 3));
  const Copy<uint8_t> out(area.out, 3 * area.out_rows * area.out_columns);
  Area a = area;
  a.pixels = pixels.data();
  a.out = out.data();
  must(cuda::picture_area(a, nullptr));
  out.back(area.out);
}

inline void depth_nearest(const Nearest& n) {
  const Copy<uint8_t> mm(n.mm, extent(n.rows, n.row_stride, n.columns, n.column_stride, 2));
  const Copy<uint16_t> out(n.out, n.out_rows * n.out_columns);
  Nearest a = n;
  a.mm = mm.data();
  a.out = out.data();
  must(cuda::depth_nearest(a, nullptr));
  out.back(n.out);
}

inline int64_t lidar_grid(const Grid& g) {
  int64_t used = -1;
  const Copy<float> points(g.points, 4 * g.count), out(g.out, (g.bands + 2) * g.rows * g.cols);
  const Copy<int64_t> counted(&used, 1);
  cuda::GridArgs a = cuda::layout_of(g);
  a.points = points.data();
  a.out = out.data();
  a.used = counted.data();
  must(cuda::lidar_grid(a, 2, nullptr));
  out.back(g.out);
  counted.back(&used);
  return used;
}

// Numbers of a look and room to add them up in, poisoned, side by side on the device.
class Numbers {
 public:
  Numbers(int64_t numbers, int64_t room) : numbers_(numbers), poison_(static_cast<size_t>(numbers + room), -1) {}
  int64_t* data() const { return there_.data(); }
  int64_t* room() const { return there_.data() + numbers_; }
  template <class T>
  void look(const cuda::Look& look, T* out) const {
    static_assert(sizeof(T) == sizeof(int64_t), "numbers are of 8 bytes");
    must(cuda::look({1, {look}}, data(), static_cast<int64_t>(poison_.size()), nullptr));
    must(cudaMemcpy(out, data(), static_cast<size_t>(numbers_) * sizeof(T), cudaMemcpyDefault));
  }

 private:
  int64_t numbers_;
  std::vector<int64_t> poison_;
  Copy<int64_t> there_{poison_.data(), static_cast<int64_t>(poison_.size())};
};

inline void picture_grain(const Picture& p) {
  const int64_t above = p.fine * p.row_stride, rows = p.end + p.coarse;
  const Copy<uint8_t> green(p.green + p.first * p.row_stride - above,
                            extent(rows - p.first + p.fine, p.row_stride, p.columns, p.column_stride, 1));
  const Numbers numbers(6, 0);
  Picture a = p;
  a.green = green.data() + above - p.first * p.row_stride;
  a.out = numbers.data();
  numbers.look(cuda::look_at(a), p.out);
}

inline void picture_levels(const Levels& l) {
  const Copy<uint8_t> pixels(l.pixels,
                             extent(l.rows, l.row_stride, l.columns, l.column_stride, 2 * l.channel_stride + 1));
  const Numbers numbers(2, 0);
  Levels a = l;
  a.pixels = pixels.data();
  a.out = numbers.data();
  numbers.look(cuda::look_at(a), l.out);
}

inline void depth_counts(const Depth& d) {
  const Copy<uint8_t> mm(d.mm, extent(d.rows, d.row_stride, d.columns, d.column_stride, 2));
  const Numbers numbers(4, 1);
  Depth a = d;
  a.mm = mm.data();
  a.out = numbers.data();
  numbers.look(cuda::look_at(a, numbers.room()), d.out);
}

inline void cloud_counts(const Cloud& c) {
  const Copy<float> points(c.points, 4 * c.count);
  const Numbers numbers(4, 1);
  Cloud a = c;
  a.points = points.data();
  a.out = numbers.data();
  numbers.look(cuda::look_at(a, numbers.room()), c.out);
}

inline void sweep_counts(const Sweep& s) {
  const Copy<float> points(s.points, 4 * s.count), slopes(s.slopes, kSlopes);
  const Numbers numbers(1 + kSectors + kElevations, 1 + kSectors + kElevations);
  Sweep a = s;
  a.points = points.data();
  a.slopes = slopes.data();
  a.out = reinterpret_cast<double*>(numbers.data());
  numbers.look(cuda::look_at(a, numbers.room()), s.out);
}

inline void digest(const Digest& d) {
  const Copy<uint8_t> bytes(d.bytes, d.size);
  const Numbers numbers(1, 0);
  Digest a = d;
  a.bytes = bytes.data();
  a.out = reinterpret_cast<uint64_t*>(numbers.data());
  numbers.look(cuda::look_at(a), d.out);
}

inline bool all_finite(const float* values, int64_t n) {
  const Copy<float> there(values, n);
  int64_t bad = 0;
  const Copy<int64_t> out(&bad, 1);
  must(cuda::count_bad(there.data(), n, out.data(), 2, nullptr));
  out.back(&bad);
  return bad == 0;
}

inline Kernels table() {
  Kernels kernels{};
  kernels.isa = "cuda";
  kernels.fuse_project = fuse_project;
  kernels.fuse_join = fuse_join;
  kernels.fuse_maps = fuse_maps;
  kernels.subset_head = subset_head;
  kernels.lidar_grid = lidar_grid;
  kernels.picture_grain = picture_grain;
  kernels.picture_levels = picture_levels;
  kernels.depth_counts = depth_counts;
  kernels.cloud_counts = cloud_counts;
  kernels.sweep_counts = sweep_counts;
  kernels.digest = digest;
  kernels.all_finite = all_finite;
  kernels.picture_area = picture_area;
  kernels.depth_nearest = depth_nearest;
  return kernels;
}

inline const Kernels kernels = table();

}  // namespace device

using device::fuse_project_bfloat;

inline std::vector<const Kernels*> available() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) {
    std::printf("skipped: there is no CUDA device\n");
    std::exit(77);  // CTest's SKIP_RETURN_CODE
  }
  return {&device::kernels};
}

}  // namespace edgefuse
