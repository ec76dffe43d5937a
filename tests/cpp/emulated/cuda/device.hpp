// Stands in for csrc/cuda/device.hpp: a device on this host, whose stream does nothing until somebody waits for it.
//
// So what is read too early, or overwritten too early, is seen; memory is poisoned when it is given out and when it is
// given back. Kernels run as emulated/dispatch.hpp has them. `break_in(n)` makes the n-th call from now, and all after
// it, fail as they do on a device that is lost.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/arguments.hpp"

namespace edgefuse::cuda {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Weights : int { kFloat = 0, kHalf = 1, kBFloat = 2 };

struct Facts {
  std::string name;
  int major, minor, processors, runtime, driver;
  bool unified;
  int64_t memory_bytes, cache_bytes;
};

class Device {
 public:
  static constexpr int kPoison = 0xff;  // floats of it are NaN
  static int count() { return 1; }

  explicit Device(int index) {
    if (index != 0) throw Failure("using the device: invalid device ordinal");
  }
  ~Device() {
    for (auto& own : sizes_) std::free(own.first);
  }
  Device(const Device&) = delete;

  Facts facts() const { return {"emulated", 0, 0, 3, 0, 0, true, kMemory, 1 << 12}; }
  int64_t free_bytes() const { return kMemory - taken_; }
  uintptr_t stream() const { return 0; }

  void* allocate(size_t bytes) {
    count_call("memory for tensors");
    if (taken_ + static_cast<int64_t>(bytes) > kMemory) throw Failure("memory for tensors: out of memory");
    void* at = std::aligned_alloc(64, (bytes + 127) / 64 * 64);
    std::memset(at, kPoison, bytes);
    sizes_[at] = bytes;
    taken_ += static_cast<int64_t>(bytes);
    return at;
  }
  void release(void* at) noexcept {
    try {
      run();
    } catch (...) {  // told to whoever waits next, on a device
    }
    const auto found = sizes_.find(at);
    if (found == sizes_.end()) std::abort();
    std::memset(at, kPoison, found->second);
    taken_ -= static_cast<int64_t>(found->second);
    sizes_.erase(found);
    std::free(at);
  }
  void* lend(size_t bytes) { return allocate(bytes); }
  // Goes when the queue gets there: what is queued after that finds poison.
  void give_back(void* at) {
    queued_.push_back([=] {
      std::memset(at, kPoison, sizes_[at]);
      taken_ -= static_cast<int64_t>(sizes_[at]);
      sizes_.erase(at);
      std::free(at);
    });
  }
  void* pin(size_t bytes) { return allocate(bytes); }
  void unpin(void* at) noexcept { release(at); }

  void upload(void* to, const void* from, size_t bytes) { move(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) { move(to, from, bytes); }
  void copy(void* to, const void* from, size_t bytes) { move(to, from, bytes); }
  void copy_rows(void* to, const void* from, size_t row_bytes, size_t stride, size_t rows) {
    queue("a copy", [=] {
      for (size_t r = 0; r < rows; ++r) {
        std::memcpy(static_cast<char*>(to) + r * row_bytes, static_cast<const char*>(from) + r * stride, row_bytes);
      }
    });
  }
  // At once: it is past whatever is queued here, and its owner may write again.
  void take_rows(void* to, const void* from, size_t row_bytes, size_t stride, size_t rows, bool, uintptr_t) {
    count_call("a copy");
    for (size_t r = 0; r < rows; ++r) {
      std::memcpy(static_cast<char*>(to) + r * row_bytes, static_cast<const char*>(from) + r * stride, row_bytes);
    }
  }
  bool holds(const void* at) const {
    const auto next = sizes_.upper_bound(const_cast<void*>(at));
    if (next == sizes_.begin()) return false;
    const auto& own = *std::prev(next);
    return static_cast<const char*>(at) < static_cast<const char*>(own.first) + own.second;
  }
  void clear(void* at, size_t bytes) {
    queue("clearing memory", [=] { std::memset(at, 0, bytes); });
  }
  void before(uintptr_t) { count_call("waiting for another stream"); }
  void after(uintptr_t) { count_call("waiting for another stream"); }

  void wait() {
    count_call("waiting for the device");
    run();
  }
  void run() {
    std::vector<std::function<void()>> all;
    all.swap(queued_);
    for (const auto& step : all) step();
  }

  int mark(int again) { return again < 0 ? marks_++ : again; }
  void wait_for(int) { wait(); }
  float elapsed_ms(int, int) { return 0.0f; }

  void begin_graph() {
    count_call("capturing a graph");
    run();
    capturing_ = true;
  }
  int end_graph() {
    capturing_ = false;
    graphs_.push_back(captured_);
    captured_.clear();
    return static_cast<int>(graphs_.size()) - 1;
  }
  void launch(int graph) {
    const auto all = graphs_.at(static_cast<size_t>(graph));
    queue("launching a graph", [all] {
      for (const auto& step : all) step();
    });
  }

  int64_t processors() const { return 3; }
  int64_t tiles(const ProjectArgs& a, Weights w) const {
    const int64_t vec = w == Weights::kFloat ? vec_of<float>(a) : vec_of<Half>(a);
    return (a.width + kLanes * vec - 1) / (kLanes * vec);
  }

  void project(const ProjectArgs& a, Weights w) {
    queue("fuse_project", [=] {
      if (w == Weights::kFloat) return project_as<float>(a);
      if (w == Weights::kHalf) return project_as<Half>(a);
      project_as<BFloat>(a);
    });
  }
  void maps(const MapsArgs& a) {
    queue("fuse_maps",
          [=] { on_blocks([&](const Block& b) { maps_fit(a) ? maps_block<4>(b, a) : maps_block<1>(b, a); }); });
  }
  void gate(const GateArgs& a) {
    queue("fuse_gate", [=] {
      GateSums shared;
      on_blocks([&](const Block& b) { gate_block(b, a, shared); });
    });
  }
  void subsets(const SubsetsArgs& a, int64_t count) {
    queue("subset_head", [=] {
      Logits shared;
      for (int64_t y = 0; y < (a.classes + kClasses - 1) / kClasses; ++y) {
        for (int64_t x = 0; x < count; ++x) subset_block({x, y, count}, a, shared);
      }
    });
  }
  void area(const Area& a) {
    queue("picture_area", [=] { on_blocks([&](const Block& b) { area_block(b, a); }); });
  }
  void nearest(const Nearest& a) {
    queue("depth_nearest", [=] { on_blocks([&](const Block& b) { nearest_block(b, a); }); });
  }
  void grid(const GridArgs& a) {
    queue("lidar_grid", [=] {
      on_blocks([&](const Block& b) { clear_block(b, a); });
      on_blocks([&](const Block& b) { scatter_block(b, a); });
      on_blocks([&](const Block& b) { share_block(b, a); });
    });
  }
  void bad(const float* at, int64_t n, int64_t* out) {
    queue("count_bad", [=] {
      *out = 0;
      on_blocks([&](const Block& b) { finite_block(b, at, n, out); });
    });
  }

  void look(const Looks& looks, int64_t* numbers, int64_t count) {
    queue("a look", [=] {
      std::fill_n(numbers, count, int64_t{0});
      Counted shared;
      on_rows(looks.count, [&](const Block& b) { look_block(b, looks, shared); });
      if (in_two(looks)) on_rows(looks.count, [&](const Block& b) { look_again_block(b, looks, shared); });
    });
  }

  // Something else that the stream does, such as another library's graph.
  void call(std::function<void()> work) { queue("a call", std::move(work)); }
  void break_in(int calls) { left_ = calls; }

 private:
  static constexpr int64_t kMemory = int64_t{1} << 28;

  template <class W>
  static int64_t vec_of(const ProjectArgs& a) {
    return rows_fit(a, a.weights, sizeof(W)) ? 16 / static_cast<int64_t>(sizeof(W)) : 1;
  }
  template <class W, int kVec>
  static void project_in(const ProjectArgs& a) {
    Sums<kVec> sums;
    const int64_t tiles = (a.width + kTileWidth<kVec> - 1) / kTileWidth<kVec>;
    for (int64_t y = a.streams * a.splits - 1; y >= 0; --y) {
      for (int64_t x = tiles - 1; x >= 0; --x) project_block<W, kVec>({x, y, tiles}, a, sums);
    }
  }
  template <class W>
  static void project_as(const ProjectArgs& a) {
    vec_of<W>(a) == 1 ? project_in<W, 1>(a) : project_in<W, 16 / sizeof(W)>(a);
  }
  template <class F>
  static void on_rows(int64_t rows, F f) {
    for (int64_t y = rows - 1; y >= 0; --y) {
      for (int64_t x = 2; x >= 0; --x) f(Block{x, y, 3});
    }
  }
  template <class F>
  static void on_blocks(F f) {
    on_rows(1, f);
  }

  void count_call(const char* what) {
    if (left_ > 0) --left_;
    if (left_ != 0) return;
    queued_.clear();
    throw Failure(std::string(what) + ": the device is lost");
  }
  void queue(const char* what, std::function<void()> work) {
    count_call(what);
    (capturing_ ? captured_ : queued_).push_back(std::move(work));
  }
  void move(void* to, const void* from, size_t bytes) {
    queue("a copy", [=] { std::memcpy(to, from, bytes); });
  }

  int left_ = -1, marks_ = 0;
  int64_t taken_ = 0;
  bool capturing_ = false;
  std::map<void*, size_t> sizes_;
  std::vector<std::function<void()>> queued_, captured_;
  std::vector<std::vector<std::function<void()>>> graphs_;
};

}  // namespace edgefuse::cuda
