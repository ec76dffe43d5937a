// Launches of the CUDA kernels that fuse: how many blocks, and how wide their accesses are.
#include "arguments.hpp"
#include "launch.hpp"

#if CUDART_VERSION >= 11070
#define EDGEFUSE_CONSTANT __grid_constant__
#else
#define EDGEFUSE_CONSTANT  // older compilers do not know it, and may copy the arguments for each thread
#endif

namespace edgefuse::cuda {
namespace {

template <class W, int kVec>
__global__ void __launch_bounds__(kThreads) project_kernel(const EDGEFUSE_CONSTANT ProjectArgs a) {
  __shared__ Sums<kVec> sums;
  project_block<W, kVec>(Block{}, a, sums);
}

template <int kVec>
__global__ void __launch_bounds__(kThreads) maps_kernel(const EDGEFUSE_CONSTANT MapsArgs a) {
  maps_block<kVec>(Block{}, a);
}

__global__ void __launch_bounds__(kThreads) gate_kernel(const EDGEFUSE_CONSTANT GateArgs a) {
  __shared__ GateSums sums;
  gate_block(Block{}, a, sums);
}

__global__ void __launch_bounds__(kThreads) subset_kernel(const EDGEFUSE_CONSTANT SubsetsArgs a) {
  __shared__ Logits logits;
  subset_block(Block{}, a, logits);
}

template <class W>
constexpr int kWide = 16 / sizeof(W);

template <class W>
int vec_of(const ProjectArgs& a) {
  return rows_fit(a, a.weights, sizeof(W)) ? kWide<W> : 1;
}

int64_t tiles(const ProjectArgs& a, int vec) { return (a.width + kLanes * vec - 1) / (kLanes * vec); }

template <class W>
cudaError_t project(const ProjectArgs& a, cudaStream_t stream) {
  const int vec = vec_of<W>(a);
  const dim3 grid(static_cast<unsigned>(tiles(a, vec)), static_cast<unsigned>(a.streams * a.splits));
  if (vec == 1) {
    project_kernel<W, 1><<<grid, kThreads, 0, stream>>>(a);
  } else {
    project_kernel<W, kWide<W>><<<grid, kThreads, 0, stream>>>(a);
  }
  return cudaGetLastError();
}

}  // namespace

int64_t tiles_of(const ProjectArgs& a, Weights weights) {
  if (weights == Weights::kFloat) return tiles(a, vec_of<float>(a));
  return tiles(a, vec_of<Half>(a));
}

cudaError_t fuse_project(const ProjectArgs& a, Weights weights, cudaStream_t stream) {
  switch (weights) {
    case Weights::kFloat:
      return project<float>(a, stream);
    case Weights::kHalf:
      return project<Half>(a, stream);
    case Weights::kBFloat:
      return project<BFloat>(a, stream);
  }
  return cudaErrorInvalidValue;
}

cudaError_t fuse_maps(const MapsArgs& a, int64_t processors, cudaStream_t stream) {
  constexpr int64_t kBlocksEach = 8;  // of kThreads: as many threads as a processor holds
  const int vec = maps_fit(a) ? 4 : 1;
  const int64_t needed = (a.width * a.cells + int64_t{kThreads} * vec - 1) / (int64_t{kThreads} * vec);
  const int64_t most = processors * kBlocksEach, blocks = needed < most ? needed : most;
  if (blocks == 0) return cudaSuccess;
  const auto grid = static_cast<unsigned>(blocks);
  if (vec == 1) {
    maps_kernel<1><<<grid, kThreads, 0, stream>>>(a);
  } else {
    maps_kernel<4><<<grid, kThreads, 0, stream>>>(a);
  }
  return cudaGetLastError();
}

cudaError_t fuse_gate(const GateArgs& a, cudaStream_t stream) {
  constexpr int64_t kMost = 64;  // blocks; each may read every row once more
  if (!is_gate(a.kind)) return cudaErrorInvalidValue;
  const int64_t needed = (a.dim + kThreads - 1) / kThreads, blocks = needed < kMost ? needed : kMost;
  if (blocks == 0) return cudaSuccess;
  gate_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(a);
  return cudaGetLastError();
}

cudaError_t subset_head(const SubsetsArgs& a, int64_t count, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  const dim3 grid(static_cast<unsigned>(count), static_cast<unsigned>((a.classes + kClasses - 1) / kClasses));
  subset_kernel<<<grid, kThreads, 0, stream>>>(a);
  return cudaGetLastError();
}

}  // namespace edgefuse::cuda
