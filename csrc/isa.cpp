// Fills the kernel table of one instruction set; CMake compiles this file once for each, naming it by EDGEFUSE_ISA.
#include "digest.hpp"
#include "grid.hpp"
#include "join.hpp"
#include "look.hpp"
#include "maps.hpp"
#include "project.hpp"
#include "resize.hpp"
#include "subset.hpp"

#define EDGEFUSE_QUOTE_(name) #name
#define EDGEFUSE_QUOTE(name) EDGEFUSE_QUOTE_(name)

namespace edgefuse::EDGEFUSE_ISA {

extern const Kernels kernels;
const Kernels kernels{EDGEFUSE_QUOTE(EDGEFUSE_ISA),
                      fuse_project,
                      fuse_join,
                      fuse_maps,
                      subset_head,
                      lidar_grid,
                      picture_grain,
                      picture_levels,
                      depth_counts,
                      cloud_counts,
                      sweep_counts,
                      digest,
                      all_finite,
                      picture_area,
                      depth_nearest};

}  // namespace edgefuse::EDGEFUSE_ISA
