// A device as a host program uses it: memory, one stream that all work is queued on, copies, events and graphs.
//
// Nothing but `wait`, `wait_for` and what frees memory waits for the device. What goes wrong is a Failure with the
// words of the CUDA runtime, and where they were said; a device that is lost says so in every call from then on.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "arguments.hpp"
#include "current.hpp"
#include "launch.hpp"
#include "memory.hpp"

namespace edgefuse::cuda {

class Device : public Memory {
 public:
  static int count() {
    int found = 0;
    must(cudaGetDeviceCount(&found), "looking for devices");
    return found;
  }

  explicit Device(int index) : Memory(index) {
    const Current here(index_);
    must(cudaEventCreateWithFlags(&taken_, cudaEventDisableTiming), "an event");
    processors_ = facts().processors;
  }

  ~Device() {
    int before = index_;
    cudaGetDevice(&before);
    cudaSetDevice(index_);
    for (cudaGraphExec_t graph : graphs_) cudaGraphExecDestroy(graph);
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
    cudaEventDestroy(taken_);
    cudaSetDevice(before);
  }
  Device(const Device&) = delete;

  Facts facts() const {
    cudaDeviceProp own;
    must(cudaGetDeviceProperties(&own, index_), "asking for its properties");
    int runtime = 0, driver = 0;
    cudaRuntimeGetVersion(&runtime);
    cudaDriverGetVersion(&driver);
    return {own.name,       own.major, own.minor,           own.multiProcessorCount,
            runtime,        driver,    own.integrated != 0, static_cast<int64_t>(own.totalGlobalMem),
            own.l2CacheSize};
  }

  int64_t free_bytes() const {
    const Current here(index_);
    size_t left = 0, total = 0;
    must(cudaMemGetInfo(&left, &total), "asking for its memory");
    return static_cast<int64_t>(left);
  }

  uintptr_t stream() const { return reinterpret_cast<uintptr_t>(stream_); }

  void upload(void* to, const void* from, size_t bytes) { move(to, from, bytes, cudaMemcpyHostToDevice); }
  void download(void* to, const void* from, size_t bytes) { move(to, from, bytes, cudaMemcpyDeviceToHost); }
  void copy(void* to, const void* from, size_t bytes) { move(to, from, bytes, cudaMemcpyDeviceToDevice); }
  // Rows that lie `stride` bytes apart, one after the other.
  void copy_rows(void* to, const void* from, size_t row_bytes, size_t stride, size_t rows) {
    const Current here(index_);
    rows_on(stream_, to, from, row_bytes, stride, rows);
  }

  // The same from somebody else's memory, past whatever is queued here: after what its owner has queued on `owner`, and
  // before what the owner queues next. Of an owner without a stream the host waits until the copy is made.
  void take_rows(void* to, const void* from, size_t row_bytes, size_t stride, size_t rows, bool has_owner,
                 uintptr_t owner) {
    const Current here(index_);
    const std::lock_guard<std::mutex> alone(taking_);
    const auto theirs = reinterpret_cast<cudaStream_t>(owner);
    if (has_owner) follow(aside_, theirs);
    rows_on(aside_, to, from, row_bytes, stride, rows);
    follow(stream_, aside_);
    if (has_owner) return follow(theirs, aside_);
    must(cudaStreamSynchronize(aside_), "waiting for a copy");
  }
  void clear(void* at, size_t bytes) {
    const Current here(index_);
    must(cudaMemsetAsync(at, 0, bytes, stream_), "clearing memory");
  }

  // What others have queued on a stream of theirs comes before what is queued here from now on.
  void after(uintptr_t other) {
    const Current here(index_);
    const std::lock_guard<std::mutex> alone(taking_);
    follow(stream_, reinterpret_cast<cudaStream_t>(other));
  }

  // And the other way round: what is queued here by now comes before what others queue on a stream of theirs next.
  void before(uintptr_t other) {
    const Current here(index_);
    const std::lock_guard<std::mutex> alone(taking_);
    follow(reinterpret_cast<cudaStream_t>(other), stream_);
  }

  void wait() {
    const Current here(index_);
    must(cudaStreamSynchronize(stream_), "waiting for the device");
  }

  // A point of the stream that can be waited for and timed; `again` is one to be moved here, or -1.
  int mark(int again) {
    const Current here(index_);
    if (again < 0) {
      cudaEvent_t made = nullptr;
      must(cudaEventCreate(&made), "an event");
      const std::lock_guard<std::mutex> alone(marking_);
      events_.push_back(made);
      again = static_cast<int>(events_.size()) - 1;
    }
    must(cudaEventRecord(event(again), stream_), "an event");
    return again;
  }
  void wait_for(int mark) {
    const Current here(index_);
    must(cudaEventSynchronize(event(mark)), "waiting for the device");
  }
  float elapsed_ms(int from, int to) {
    float ms = 0.0f;
    must(cudaEventElapsedTime(&ms, event(from), event(to)), "timing");
    return ms;
  }

  // All that is queued between the two becomes a graph, which `launch` queues as a whole.
  void begin_graph() {
    const Current here(index_);
    must(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "capturing a graph");
  }
  int end_graph() {
    cudaGraph_t graph = nullptr;
    must(cudaStreamEndCapture(stream_, &graph), "capturing a graph");
    cudaGraphExec_t made = nullptr;
    const cudaError_t error = cudaGraphInstantiateWithFlags(&made, graph, 0);
    cudaGraphDestroy(graph);
    must(error, "making a graph");
    graphs_.push_back(made);
    return static_cast<int>(graphs_.size()) - 1;
  }
  void launch(int graph) {
    const Current here(index_);
    must(cudaGraphLaunch(graphs_.at(graph), stream_), "launching a graph");
  }

  int64_t processors() const { return processors_; }
  int64_t tiles(const ProjectArgs& a, Weights w) const { return tiles_of(a, w); }

  void project(const ProjectArgs& a, Weights w) {
    queue([&] { return fuse_project(a, w, stream_); }, "fuse_project");
  }
  void maps(const MapsArgs& a) {
    queue([&] { return fuse_maps(a, processors_, stream_); }, "fuse_maps");
  }
  void gate(const GateArgs& a) {
    queue([&] { return fuse_gate(a, stream_); }, "fuse_gate");
  }
  void subsets(const SubsetsArgs& a, int64_t count) {
    queue([&] { return subset_head(a, count, stream_); }, "subset_head");
  }
  void area(const Area& a) {
    queue([&] { return picture_area(a, stream_); }, "picture_area");
  }
  void nearest(const Nearest& a) {
    queue([&] { return depth_nearest(a, stream_); }, "depth_nearest");
  }
  void grid(const GridArgs& a) {
    queue([&] { return lidar_grid(a, processors_, stream_); }, "lidar_grid");
  }
  void bad(const float* at, int64_t n, int64_t* out) {
    queue([&] { return count_bad(at, n, out, processors_, stream_); }, "count_bad");
  }

  void look(const Looks& looks, int64_t* numbers, int64_t count) {
    queue([&] { return cuda::look(looks, numbers, count, stream_); }, "a look");
  }

 private:
  cudaEvent_t event(int mark) {
    const std::lock_guard<std::mutex> alone(marking_);
    return events_.at(mark);
  }
  // What is queued on one stream from now on comes after what the other has.
  void follow(cudaStream_t one, cudaStream_t other) {
    must(cudaEventRecord(taken_, other), "waiting for another stream");
    must(cudaStreamWaitEvent(one, taken_, 0), "waiting for another stream");
  }
  static void rows_on(cudaStream_t stream, void* to, const void* from, size_t row_bytes, size_t stride, size_t rows) {
    const auto kind = cudaMemcpyDeviceToDevice;
    if (stride == row_bytes) return must(cudaMemcpyAsync(to, from, row_bytes * rows, kind, stream), "a copy");
    must(cudaMemcpy2DAsync(to, row_bytes, from, stride, row_bytes, rows, kind, stream), "a copy");
  }
  template <class Launch>
  void queue(Launch launch, const char* what) const {
    const Current here(index_);
    must(launch(), what);
  }
  void move(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    const Current here(index_);
    must(cudaMemcpyAsync(to, from, bytes, kind, stream_), "a copy");
  }

  int processors_ = 1;
  cudaEvent_t taken_ = nullptr;  // moved each time
  std::mutex taking_, marking_;  // sensors push from threads of their own
  std::vector<cudaEvent_t> events_;
  std::vector<cudaGraphExec_t> graphs_;
};

}  // namespace edgefuse::cuda
