// The CUDA kernels as calls from a host, on a stream of the caller's; nothing here waits for the device.
#pragma once

#include <cuda_runtime_api.h>

#include "../kernels.hpp"

namespace edgefuse::cuda {

struct ProjectArgs;
struct MapsArgs;

enum class Weights : int { kFloat = 0, kHalf = 1, kBFloat = 2 };

// Tiles of columns that a projection of these arguments is launched in: so many counters it needs.
int64_t tiles_of(const ProjectArgs& a, Weights weights);

// Each launches once; an error is the one of the launch itself. scratch and counters as `ProjectArgs` says.
cudaError_t fuse_project(const ProjectArgs& a, Weights weights, cudaStream_t stream);
cudaError_t fuse_maps(const MapsArgs& a, int64_t processors, cudaStream_t stream);

}  // namespace edgefuse::cuda
