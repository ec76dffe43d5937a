// Memory of a device, and the two streams that use it: one for all work, one aside for what others hand over.
#pragma once

#include <cstdint>

#include "current.hpp"

namespace edgefuse::cuda {

class Memory {
 public:
  explicit Memory(int index) : index_(index) {
    const Current here(index_);
    must(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
    must(cudaStreamCreateWithFlags(&aside_, cudaStreamNonBlocking), "making a stream");
    pool_ = own_pool();
  }
  ~Memory() {
    if (pool_) cudaMemPoolDestroy(pool_);  // once all of it has been given back
    cudaStreamDestroy(aside_);
    cudaStreamDestroy(stream_);
  }
  Memory(const Memory&) = delete;

  void* allocate(size_t bytes) {
    const Current here(index_);
    void* at = nullptr;
    must(cudaMalloc(&at, bytes), "memory for tensors");
    return at;
  }
  void release(void* at) noexcept {
    quietly(index_, [&] { cudaFree(at); });
  }

  // Memory for what comes and goes, out of a pool where the device has one: neither taking nor giving it back waits.
  // It may be used on `take_rows`'s side at once, and is given back once all that is queued here by then is done.
  void* lend(size_t bytes) {
    if (!pool_) return allocate(bytes);
    const Current here(index_);
    void* at = nullptr;
    must(cudaMallocFromPoolAsync(&at, bytes, pool_, aside_), "memory for a payload");
    return at;
  }
  void give_back(void* at) noexcept {
    if (!pool_) return release(at);
    quietly(index_, [&] { cudaFreeAsync(at, stream_); });
  }

  // Is this memory of this device, or managed?
  bool holds(const void* at) const {
    cudaPointerAttributes own{};
    const bool known = cudaPointerGetAttributes(&own, at) == cudaSuccess;
    cudaGetLastError();
    return known && own.device == index_ && (own.type == cudaMemoryTypeDevice || own.type == cudaMemoryTypeManaged);
  }

  void* pin(size_t bytes) {
    const Current here(index_);
    void* at = nullptr;
    must(cudaMallocHost(&at, bytes), "pinned memory");
    return at;
  }
  void unpin(void* at) noexcept {
    quietly(index_, [&] { cudaFreeHost(at); });
  }

 protected:
  const int index_;
  cudaStream_t stream_ = nullptr, aside_ = nullptr;

 private:
  // Null where the device has none. It keeps some of what is given back, and never makes one stream wait for the other:
  // memory that is still in use here is no reason for a sensor's copy to come later.
  cudaMemPool_t own_pool() const {
    int there = 0, no = 0;
    uint64_t kept = uint64_t{1} << 28;
    cudaMemPoolProps props{};
    props.allocType = cudaMemAllocationTypePinned;
    props.location.type = cudaMemLocationTypeDevice;
    props.location.id = index_;
    cudaMemPool_t pool = nullptr;
    const bool made = cudaDeviceGetAttribute(&there, cudaDevAttrMemoryPoolsSupported, index_) == cudaSuccess && there &&
                      cudaMemPoolCreate(&pool, &props) == cudaSuccess;
    if (made) {
      cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &kept);
      cudaMemPoolSetAttribute(pool, cudaMemPoolReuseAllowInternalDependencies, &no);
    }
    cudaGetLastError();
    return pool;
  }

  cudaMemPool_t pool_ = nullptr;
};

}  // namespace edgefuse::cuda
