// fuse_project on a device, in one launch: see `Project` for the formula (MultConcat, arXiv 2406.04349, and the folds).
//
// Block (tile, stream, split) multiplies a part of one stream's weights with its embedding; the last block of a tile of
// columns adds the parts in a fixed order, activates, and joins the streams, so that the same input gives the same
// bits. Weights are read once, 16 bytes a thread, and nothing else is large. Sums are float32, whatever the weights
// are. Aliasing: out, scratch and counters overlap nothing. Assumes weights, and width, such that rows begin on 16
// bytes where kVec is more than 1.
#pragma once

#include "fold.cuh"

namespace edgefuse::cuda {

constexpr int kLanes = 32, kRows = kThreads / kLanes;

// Device pointers, and everything that is fixed when a model is loaded, by value.
struct ProjectArgs {
  const float* x;
  const void* weights;  // float, Half or BFloat
  const float* substitutes;
  const uint32_t* mask;  // see select_of
  float* out;
  float* scratch;      // [splits, streams, width]
  unsigned* counters;  // [tiles], zero
  int64_t dims[kMaxStreams];
  int64_t offsets[kMaxStreams];
  int64_t weight_offsets[kMaxStreams];
  int64_t streams;
  int64_t width;
  int64_t splits;  // parts that the rows of weights of each stream are taken in
  Activation activation;
  Reduce reduce;
  bool concat;
};

template <int kVec>
struct Sums {
  float at[kRows][kLanes * kVec];
};

template <int kVec>
constexpr int64_t kTileWidth = int64_t{kLanes} * kVec;  // columns of a tile

// A part of x_i^T W_i for the columns of a tile, into scratch.
template <class W, int kVec>
EDGEFUSE_DEVICE void multiply_part(const Block& block, const ProjectArgs& a, int64_t i, int64_t split,
                                   Sums<kVec>& sums) {
  const int64_t first = block.x() * kTileWidth<kVec>, rows = (a.dims[i] + a.splits - 1) / a.splits;
  const int64_t begin = split * rows, end = begin + rows < a.dims[i] ? begin + rows : a.dims[i];
  const W* weights = static_cast<const W*>(a.weights) + a.weight_offsets[i];
  const float* x = a.x + a.offsets[i];
  block.each([&](int t) {
    const int lane = t % kLanes, row = t / kLanes;
    const int64_t column = first + int64_t{lane} * kVec;
    float sum[kVec] = {};
    if (column < a.width) {
      for (int64_t k = begin + row; k < end; k += kRows) {
        float w[kVec];
        load<kVec>(weights + k * a.width + column, w);
        for (int v = 0; v < kVec; ++v) sum[v] += x[k] * w[v];
      }
    }
    for (int v = 0; v < kVec; ++v) sums.at[row][lane * kVec + v] = sum[v];
  });
  block.each([&](int t) {
    float* part = a.scratch + (split * a.streams + i) * a.width + first;
    for (int64_t c = t; c < kTileWidth<kVec> && first + c < a.width; c += kThreads) {
      float sum = 0.0f;
      for (int row = 0; row < kRows; ++row) sum += sums.at[row][c];
      part[c] = sum;
    }
  });
}

// u_i in one column, of a stream that is taken.
template <class W>
EDGEFUSE_DEVICE float embedded(const ProjectArgs& a, Select select, int64_t i, int64_t column) {
  if (select == kSubstituted) return a.substitutes[i * a.width + column];
  float sum = 0.0f;
  for (int64_t split = 0; split < a.splits; ++split) {
    sum += written_elsewhere(a.scratch + (split * a.streams + i) * a.width + column);
  }
  const W* bias = static_cast<const W*>(a.weights) + a.weight_offsets[i] + a.dims[i] * a.width;
  return activated(a.activation, sum + value_of(bias[column]));
}

template <class W>
EDGEFUSE_DEVICE void join_column(const ProjectArgs& a, uint32_t mask, int64_t column) {
  float z = identity(a.reduce);
  int64_t taken = 0;
  for (int64_t i = 0; i < a.streams; ++i) {
    const Select select = select_of(mask, i);
    const float u = select == kAbsent ? 0.0f : embedded<W>(a, select, i, column);
    if (a.concat) a.out[i * a.width + column] = u;
    if (select == kAbsent) continue;
    ++taken;
    z = joined(a.reduce, z, u);
  }
  if (a.reduce == Reduce::kNone) return;
  a.out[(a.concat ? a.streams * a.width : 0) + column] = finished(a.reduce, z, taken);
}

// One block's work; the grid has a column of blocks for each tile, and streams * splits of them.
template <class W, int kVec>
EDGEFUSE_DEVICE void project_block(const Block& block, const ProjectArgs& a, Sums<kVec>& sums) {
  const uint32_t mask = *a.mask;
  const int64_t i = block.y() % a.streams, split = block.y() / a.streams;
  if (select_of(mask, i) == kPresent) multiply_part<W, kVec>(block, a, i, split, sums);
  if (!block.last(a.counters + block.x(), static_cast<unsigned>(a.streams * a.splits))) return;
  const int64_t first = block.x() * kTileWidth<kVec>;
  block.each([&](int t) {
    for (int64_t c = t; c < kTileWidth<kVec> && first + c < a.width; c += kThreads) {
      join_column<W>(a, mask, first + c);
    }
  });
}

}  // namespace edgefuse::cuda
