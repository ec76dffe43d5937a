// Launches of the CUDA kernels that prepare payloads and look at them.
#include "arguments.hpp"
#include "launch.hpp"

namespace edgefuse::cuda {
namespace {

// A kernel from what one of its blocks does.
template <auto kWork, class... Args>
__global__ void __launch_bounds__(kThreads) kernel(const Args... args) {
  kWork(Block{}, args...);
}

template <auto kWork, class... Args>
cudaError_t launch(int64_t things, int64_t most_blocks, cudaStream_t stream, const Args&... args) {
  const int64_t needed = (things + kThreads - 1) / kThreads, some = needed < most_blocks ? needed : most_blocks;
  kernel<kWork><<<static_cast<unsigned>(some < 1 ? 1 : some), kThreads, 0, stream>>>(args...);
  return cudaGetLastError();
}

// Does one after the other until one fails.
template <class... Steps>
cudaError_t in_turn(const Steps&... steps) {
  cudaError_t error = cudaSuccess;
  ((error = error == cudaSuccess ? steps() : error), ...);
  return error;
}

constexpr int64_t kMany = 1 << 16;  // blocks, where each thread is to have one thing
constexpr int64_t kFew = 64;        // where threads add to the same numbers

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

cudaError_t picture_grain(const Picture& p, cudaStream_t stream) {
  const int64_t size = rows_looked_at(p.first, p.end, p.step) * p.columns;
  return in_turn(cleared(p.out, 6, stream), [&] { return launch<grain_block>(size, kFew, stream, p); });
}

cudaError_t picture_levels(const Levels& l, cudaStream_t stream) {
  const int64_t size = rows_looked_at(0, l.rows, l.step) * rows_looked_at(0, l.columns, l.step);
  return in_turn(cleared(l.out, 2, stream), [&] { return launch<levels_block>(size, kFew, stream, l); });
}

cudaError_t depth_counts(const Depth& d, int32_t* most, cudaStream_t stream) {
  const int64_t size = rows_looked_at(0, d.rows, d.step) * d.columns;
  return in_turn(
      cleared(d.out, 4, stream), cleared(most, 1, stream),
      [&] { return launch<depth_block>(size, kFew, stream, d, most); },
      [&] { return launch<limit_block>(size, kFew, stream, d, static_cast<const int32_t*>(most)); });
}

cudaError_t cloud_counts(const Cloud& c, int64_t* bad, cudaStream_t stream) {
  return in_turn(
      cleared(c.out, 4, stream), cleared(bad, 1, stream),
      [&] { return launch<finite_block>(4 * c.count, kMany, stream, c.points, 4 * c.count, bad); },
      [&] { return launch<cloud_block>(kCloudValues, kFew, stream, c, static_cast<const int64_t*>(bad)); });
}

cudaError_t count_bad(const float* values, int64_t n, int64_t* out, cudaStream_t stream) {
  return in_turn(cleared(out, 1, stream), [&] { return launch<finite_block>(n, kFew, stream, values, n, out); });
}

cudaError_t sweep_counts(const Sweep& s, int64_t* counts, cudaStream_t stream) {
  return in_turn(
      cleared(counts, 1 + kSectors + kElevations, stream),
      [&] { return launch<sweep_block>(kSweepPoints, kFew, stream, s, counts); },
      [&] { return launch<sweep_end>(1, 1, stream, s, static_cast<const int64_t*>(counts)); });
}

cudaError_t digest(const Digest& d, cudaStream_t stream) {
  auto* sum = reinterpret_cast<int64_t*>(d.out);
  return in_turn([&] { return cudaMemcpyAsync(sum, &d.size, sizeof d.size, cudaMemcpyHostToDevice, stream); },
                 [&] { return launch<digest_block>(8 * kDigestBlocks, kFew, stream, d, sum); });
}

}  // namespace edgefuse::cuda
