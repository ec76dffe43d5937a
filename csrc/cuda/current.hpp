// What the CUDA runtime tells, as an exception; and which device a thread works with.
#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace edgefuse::cuda {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void must(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // else the next launch would be told of it again
  throw Failure(std::string(what) + ": " + cudaGetErrorString(error));
}

// What this thread does is no part of what another one is capturing, such as another engine that is being loaded.
class Apart {
 public:
  Apart() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~Apart() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  Apart(const Apart&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;  // and then what it was before
};

// A device made current for a while; the thread may be somebody else's, who goes on with another.
class Current {
 public:
  explicit Current(int index) {
    if (cudaGetDevice(&before_) != cudaSuccess) before_ = index;
    if (before_ != index) must(cudaSetDevice(index), "using the device");
    changed_ = before_ != index;
  }
  ~Current() {
    if (changed_) cudaSetDevice(before_);
  }
  Current(const Current&) = delete;

 private:
  const Apart apart_;
  int before_ = 0;
  bool changed_ = false;
};

// For destructors: does what it can.
template <class Work>
void quietly(int index, Work work) noexcept {
  try {
    const Current here(index);
    work();
  } catch (const Failure&) {
  }
  cudaGetLastError();
}

struct Facts {
  std::string name;
  int major, minor, processors, runtime, driver;
  bool unified;
  int64_t memory_bytes, cache_bytes;
};

}  // namespace edgefuse::cuda
