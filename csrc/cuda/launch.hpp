// The CUDA kernels as calls from a host, on a stream of the caller's; nothing here waits for the device.
//
// Every pointer in the arguments is one to device memory. Each call gives the error of its launches.
#pragma once

#include <cuda_runtime_api.h>

#include "../kernels.hpp"

namespace edgefuse::cuda {

struct ProjectArgs;
struct MapsArgs;
struct GateArgs;
struct SubsetsArgs;
struct GridArgs;
struct Looks;

enum class Weights : int { kFloat = 0, kHalf = 1, kBFloat = 2 };

// Tiles of columns that a projection of these arguments is launched in: so many counters it needs.
int64_t tiles_of(const ProjectArgs& a, Weights weights);

// scratch and counters as `ProjectArgs` says; processors: of the device, which large work is spread over.
cudaError_t fuse_project(const ProjectArgs& a, Weights weights, cudaStream_t stream);
cudaError_t fuse_maps(const MapsArgs& a, int64_t processors, cudaStream_t stream);

// The joins that is_gate names; cudaErrorInvalidValue of the others, and nothing is written then.
cudaError_t fuse_gate(const GateArgs& a, cudaStream_t stream);

cudaError_t subset_head(const SubsetsArgs& a, int64_t count, cudaStream_t stream);

cudaError_t picture_area(const Area& a, cudaStream_t stream);
cudaError_t depth_nearest(const Nearest& a, cudaStream_t stream);
cudaError_t lidar_grid(const GridArgs& a, int64_t processors, cudaStream_t stream);

// How many of n values are not finite.
cudaError_t count_bad(const float* values, int64_t n, int64_t* out, int64_t processors, cudaStream_t stream);

// numbers: [count], where all numbers and all room of the looks lie; cleared first.
cudaError_t look(const Looks& looks, int64_t* numbers, int64_t count, cudaStream_t stream);

}  // namespace edgefuse::cuda
