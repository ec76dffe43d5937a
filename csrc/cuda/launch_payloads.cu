// Launches of the CUDA kernels that prepare payloads and look at them.
#include "arguments.hpp"
#include "launch.hpp"

namespace edgefuse::cuda {
namespace {

constexpr int64_t kMany = 1 << 16;  // blocks, where each thread is to have one thing
constexpr int64_t kFew = 64;        // where all add to the same numbers

// A kernel from what one of its blocks does.
template <auto kWork, class... Args>
__global__ void __launch_bounds__(kThreads) kernel(const Args... args) {
  kWork(Block{}, args...);
}

template <auto kWork>
__global__ void __launch_bounds__(kThreads) looking(const Looks looks) {
  __shared__ Counted shared;
  kWork(Block{}, looks, shared);
}

template <auto kWork, class... Args>
cudaError_t launch(int64_t things, int64_t most_blocks, cudaStream_t stream, const Args&... args) {
  const int64_t needed = (things + kThreads - 1) / kThreads, some = needed < most_blocks ? needed : most_blocks;
  kernel<kWork><<<static_cast<unsigned>(some < 1 ? 1 : some), kThreads, 0, stream>>>(args...);
  return cudaGetLastError();
}

template <auto kWork>
cudaError_t launch_looks(const Looks& looks, cudaStream_t stream) {
  const dim3 blocks(static_cast<unsigned>(kFew), static_cast<unsigned>(looks.count));
  looking<kWork><<<blocks, kThreads, 0, stream>>>(looks);
  return cudaGetLastError();
}

// Does one after the other until one fails.
template <class... Steps>
cudaError_t in_turn(const Steps&... steps) {
  cudaError_t error = cudaSuccess;
  ((error = error == cudaSuccess ? steps() : error), ...);
  return error;
}

template <class T>
auto cleared(T* at, int64_t count, cudaStream_t stream) {
  return [=] { return cudaMemsetAsync(at, 0, static_cast<size_t>(count) * sizeof(T), stream); };
}

}  // namespace

cudaError_t picture_area(const Area& a, cudaStream_t stream) {
  return launch<area_block>(a.out_rows * a.out_columns, kMany, stream, a);
}

cudaError_t depth_nearest(const Nearest& a, cudaStream_t stream) {
  return launch<nearest_block>(a.out_rows * a.out_columns, kMany, stream, a);
}

cudaError_t lidar_grid(const GridArgs& a, int64_t processors, cudaStream_t stream) {
  const int64_t cells = (a.bands + 2) * a.rows * a.cols, blocks = 8 * processors;
  return in_turn([&] { return launch<clear_block>(cells, blocks, stream, a); },
                 [&] { return launch<scatter_block>(a.count, blocks, stream, a); },
                 [&] { return launch<share_block>(cells, blocks, stream, a); });
}

cudaError_t count_bad(const float* values, int64_t n, int64_t* out, int64_t processors, cudaStream_t stream) {
  return in_turn(cleared(out, 1, stream),
                 [&] { return launch<finite_block>(n, 8 * processors, stream, values, n, out); });
}

cudaError_t look(const Looks& looks, int64_t* numbers, int64_t count, cudaStream_t stream) {
  return in_turn(
      cleared(numbers, count, stream), [&] { return launch_looks<look_block>(looks, stream); },
      [&] { return in_two(looks) ? launch_looks<look_again_block>(looks, stream) : cudaSuccess; });
}

}  // namespace edgefuse::cuda
