# The CUDA kernels as a library, for the devices that this compiler knows of those we want, their Python module, and
# their tests on a device.
execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-arch OUTPUT_VARIABLE known OUTPUT_STRIP_TRAILING_WHITESPACE)
string(REGEX MATCHALL "[0-9]+" known "${known}")
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(newest)
  # Xavier; Turing; A100; Orin; Ada; Hopper; Blackwell; Thor.
  foreach(arch 72 75 80 87 89 90 100 110)
    if(arch IN_LIST known)
      list(APPEND CMAKE_CUDA_ARCHITECTURES ${arch}-real)
      set(newest ${arch})
    endif()
  endforeach()
  list(APPEND CMAKE_CUDA_ARCHITECTURES ${newest}-virtual) # PTX, for what comes after
endif()
message(STATUS "CUDA kernels for ${CMAKE_CUDA_ARCHITECTURES}")

set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

add_library(edgefuse_cuda STATIC csrc/cuda/launch.cu csrc/cuda/launch_payloads.cu)
target_include_directories(edgefuse_cuda PUBLIC csrc)
target_link_libraries(edgefuse_cuda PUBLIC CUDA::cudart_static)

if(EDGEFUSE_CUDA_PYTHON)
  pybind11_add_module(_cuda MODULE csrc/cuda/bindings.cpp csrc/cuda/bindings_kernels.cpp
                      csrc/cuda/bindings_looks.cpp)
  target_compile_definitions(_cuda PRIVATE EDGEFUSE_MODULE=_cuda)
  target_link_libraries(_cuda PRIVATE edgefuse_cuda)
  set_target_properties(_cuda PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${EDGEFUSE_OUTPUT_DIR}")
endif()

if(NOT EDGEFUSE_TESTS)
  return()
endif()

foreach(name project join maps subset grid look resize cuda)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/device_${name}.cu)
  configure_file(tests/cpp/test_${name}.cpp ${source} COPYONLY)
  add_executable(device_${name} ${source})
  target_include_directories(device_${name} PRIVATE tests/cpp/device tests/cpp)
  target_link_libraries(device_${name} PRIVATE edgefuse_cuda)
  # It holds no kernel: one architecture is as good as all.
  list(GET CMAKE_CUDA_ARCHITECTURES -1 one)
  set_target_properties(device_${name} PROPERTIES CUDA_ARCHITECTURES ${one})
  add_test(NAME device_${name} COMMAND device_${name})
  set_tests_properties(device_${name} PROPERTIES SKIP_RETURN_CODE 77)
endforeach()
