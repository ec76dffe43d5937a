// What the files of the Python face of a device share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>

#include "cuda/device.hpp"

namespace py = pybind11;

namespace edgefuse::cuda {

using Address = uintptr_t;
using Shared = std::shared_ptr<Device>;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

void bind_kernels(py::module_& m, py::class_<Device, Shared>& device);  // in bindings_kernels.cpp
void bind_looks(py::module_& m, py::class_<Device, Shared>& device);    // in bindings_looks.cpp

}  // namespace edgefuse::cuda
