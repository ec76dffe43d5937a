// A device as a host program uses it: memory, one stream that all work is queued on, copies, events and graphs.
//
// Nothing but `wait`, `wait_for` and what frees memory waits for the device. What goes wrong is a Failure with the
// words of the CUDA runtime, and where they were said; a device that is lost says so in every call from then on.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "launch.hpp"

namespace edgefuse::cuda {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void must(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // else the next launch would be told of it again
  throw Failure(std::string(what) + ": " + cudaGetErrorString(error));
}

struct Facts {
  std::string name;
  int major, minor, processors, runtime, driver;
  bool unified;
  int64_t memory_bytes;
};

class Device {
 public:
  static int count() {
    int found = 0;
    must(cudaGetDeviceCount(&found), "looking for devices");
    return found;
  }

  explicit Device(int index) : index_(index) {
    use();
    must(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
    processors_ = facts().processors;
  }

  ~Device() {
    cudaSetDevice(index_);
    for (cudaGraphExec_t graph : graphs_) cudaGraphExecDestroy(graph);
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
    cudaStreamDestroy(stream_);
  }
  Device(const Device&) = delete;

  Facts facts() const {
    cudaDeviceProp own;
    must(cudaGetDeviceProperties(&own, index_), "asking for its properties");
    int runtime = 0, driver = 0;
    cudaRuntimeGetVersion(&runtime);
    cudaDriverGetVersion(&driver);
    return {own.name, own.major, own.minor,           own.multiProcessorCount,
            runtime,  driver,    own.integrated != 0, static_cast<int64_t>(own.totalGlobalMem)};
  }

  int64_t free_bytes() const {
    use();
    size_t left = 0, total = 0;
    must(cudaMemGetInfo(&left, &total), "asking for its memory");
    return static_cast<int64_t>(left);
  }

  uintptr_t stream() const { return reinterpret_cast<uintptr_t>(stream_); }

  void* allocate(size_t bytes) {
    use();
    void* at = nullptr;
    must(cudaMalloc(&at, bytes), "memory for tensors");
    return at;
  }
  void release(void* at) noexcept {
    cudaSetDevice(index_);
    cudaFree(at);
  }

  void* pin(size_t bytes) {
    use();
    void* at = nullptr;
    must(cudaMallocHost(&at, bytes), "pinned memory");
    return at;
  }
  void unpin(void* at) noexcept { cudaFreeHost(at); }

  void upload(void* to, const void* from, size_t bytes) { move(to, from, bytes, cudaMemcpyHostToDevice); }
  void download(void* to, const void* from, size_t bytes) { move(to, from, bytes, cudaMemcpyDeviceToHost); }
  void copy(void* to, const void* from, size_t bytes) { move(to, from, bytes, cudaMemcpyDeviceToDevice); }
  // Rows that lie `stride` bytes apart, one after the other.
  void copy_rows(void* to, const void* from, size_t row_bytes, size_t stride, size_t rows) {
    use();
    must(cudaMemcpy2DAsync(to, row_bytes, from, stride, row_bytes, rows, cudaMemcpyDeviceToDevice, stream_), "a copy");
  }
  void clear(void* at, size_t bytes) {
    use();
    must(cudaMemsetAsync(at, 0, bytes, stream_), "clearing memory");
  }

  // What others have queued on a stream of theirs comes before what is queued here from now on.
  void after(uintptr_t other) {
    use();
    cudaEvent_t event;
    must(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event");
    cudaError_t error = cudaEventRecord(event, reinterpret_cast<cudaStream_t>(other));
    if (error == cudaSuccess) error = cudaStreamWaitEvent(stream_, event, 0);
    cudaEventDestroy(event);
    must(error, "waiting for another stream");
  }

  void wait() {
    use();
    must(cudaStreamSynchronize(stream_), "waiting for the device");
  }

  // A point of the stream that can be waited for and timed; `again` is one to be moved here, or -1.
  int mark(int again) {
    use();
    if (again < 0) {
      events_.emplace_back();
      must(cudaEventCreate(&events_.back()), "an event");
      again = static_cast<int>(events_.size()) - 1;
    }
    must(cudaEventRecord(events_.at(again), stream_), "an event");
    return again;
  }
  void wait_for(int event) { must(cudaEventSynchronize(events_.at(event)), "waiting for the device"); }
  float elapsed_ms(int from, int to) {
    float ms = 0.0f;
    must(cudaEventElapsedTime(&ms, events_.at(from), events_.at(to)), "timing");
    return ms;
  }

  // All that is queued between the two becomes a graph, which `launch` queues as a whole.
  void begin_graph() {
    use();
    must(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "capturing a graph");
  }
  int end_graph() {
    cudaGraph_t graph = nullptr;
    must(cudaStreamEndCapture(stream_, &graph), "capturing a graph");
    cudaGraphExec_t made = nullptr;
    const cudaError_t error = cudaGraphInstantiate(&made, graph, 0);
    cudaGraphDestroy(graph);
    must(error, "making a graph");
    graphs_.push_back(made);
    return static_cast<int>(graphs_.size()) - 1;
  }
  void launch(int graph) {
    use();
    must(cudaGraphLaunch(graphs_.at(graph), stream_), "launching a graph");
  }

  int64_t processors() const { return processors_; }
  int64_t tiles(const ProjectArgs& a, Weights w) const { return tiles_of(a, w); }

  void project(const ProjectArgs& a, Weights w) { queue(fuse_project(a, w, stream_), "fuse_project"); }
  void maps(const MapsArgs& a) { queue(fuse_maps(a, processors_, stream_), "fuse_maps"); }
  void gate(const GateArgs& a) { queue(fuse_gate(a, stream_), "fuse_gate"); }
  void subsets(const SubsetsArgs& a, int64_t count) { queue(subset_head(a, count, stream_), "subset_head"); }
  void area(const Area& a) { queue(picture_area(a, stream_), "picture_area"); }
  void nearest(const Nearest& a) { queue(depth_nearest(a, stream_), "depth_nearest"); }
  void grid(const GridArgs& a) { queue(lidar_grid(a, processors_, stream_), "lidar_grid"); }
  void bad(const float* at, int64_t n, int64_t* out) { queue(count_bad(at, n, out, stream_), "count_bad"); }

  void look(const Picture& p) { queue(picture_grain(p, stream_), "picture_grain"); }
  void look(const Levels& l) { queue(picture_levels(l, stream_), "picture_levels"); }
  void look(const Depth& d, int32_t* most) { queue(depth_counts(d, most, stream_), "depth_counts"); }
  void look(const Cloud& c, int64_t* bad) { queue(cloud_counts(c, bad, stream_), "cloud_counts"); }
  void look(const Sweep& s, int64_t* counts) { queue(sweep_counts(s, counts, stream_), "sweep_counts"); }
  void look(const Digest& d) { queue(digest(d, stream_), "digest"); }

 private:
  void use() const { must(cudaSetDevice(index_), "using the device"); }
  void queue(cudaError_t error, const char* what) const { must(error, what); }
  void move(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    use();
    must(cudaMemcpyAsync(to, from, bytes, kind, stream_), "a copy");
  }

  int index_, processors_ = 1;
  cudaStream_t stream_ = nullptr;
  std::vector<cudaEvent_t> events_;
  std::vector<cudaGraphExec_t> graphs_;
};

}  // namespace edgefuse::cuda
