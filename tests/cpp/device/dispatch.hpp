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

inline Kernels table() {
  Kernels kernels{};
  kernels.isa = "cuda";
  kernels.fuse_project = fuse_project;
  kernels.fuse_maps = fuse_maps;
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
