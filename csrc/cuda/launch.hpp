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
cudaError_t count_bad(const float* values, int64_t n, int64_t* out, cudaStream_t stream);

// out is cleared first. most, bad: [1], scratch; counts: [1 + kSectors + kElevations], scratch.
cudaError_t picture_grain(const Picture& p, cudaStream_t stream);
cudaError_t picture_levels(const Levels& l, cudaStream_t stream);
cudaError_t depth_counts(const Depth& d, int32_t* most, cudaStream_t stream);
cudaError_t cloud_counts(const Cloud& c, int64_t* bad, cudaStream_t stream);
cudaError_t sweep_counts(const Sweep& s, int64_t* counts, cudaStream_t stream);
cudaError_t digest(const Digest& d, cudaStream_t stream);

}  // namespace edgefuse::cuda
