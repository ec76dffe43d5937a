// The checks that the bindings share: whatever could make a kernel read or write out of bounds is refused.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>

#include "kernels.hpp"

namespace py = pybind11;

namespace edgefuse {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

// Only here to stay within bounds: edgefuse.kernels explains a refusal with the names and shapes.
inline void require(bool good, const char* what) {
  if (!good) throw py::value_error(what);
}

// Refuses an array that is not aligned or not of this shape; -1 stands for any length.
inline void want(const char* name, const py::array& a, std::initializer_list<py::ssize_t> shape) {
  bool same = a.ndim() == static_cast<py::ssize_t>(shape.size());
  py::ssize_t axis = 0;
  for (py::ssize_t length : shape) {
    same = same && (length < 0 || length == a.shape(axis));
    ++axis;
  }
  if (!same) throw py::value_error(std::string(name) + " has the wrong shape");
  if (!(a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_))
    throw py::value_error(std::string(name) + " is unaligned");
}

// An array of this many axes and of just this dtype, with any strides.
template <class T>
inline const uint8_t* data_of(const char* name, const py::array& a, py::ssize_t axes) {
  if (!py::isinstance<py::array_t<T>>(a) || a.ndim() != axes) {
    throw py::value_error(std::string(name) + " has the wrong dtype or shape");
  }
  if (!(a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_))
    throw py::value_error(std::string(name) + " is unaligned");
  return static_cast<const uint8_t*>(a.data());
}

inline void want_output(const py::array& out, std::initializer_list<const py::array*> others) {
  require(out.writeable(), "an output is read-only");
  const auto begin = reinterpret_cast<uintptr_t>(out.data()), end = begin + static_cast<uintptr_t>(out.nbytes());
  for (const py::array* other : others) {
    const auto start = reinterpret_cast<uintptr_t>(other->data());
    const bool apart = end <= start || start + static_cast<uintptr_t>(other->nbytes()) <= begin;
    require(apart || other->size() == 0, "an output overlaps an argument");
  }
}

inline void want_streams(int64_t streams, int64_t width) {
  require(streams >= 1 && streams <= kMaxStreams, "there must be 1 to 16 streams");
  require(width >= 1, "the width must be at least 1");
}

inline void want_join(int activation, int reduce, bool concat) {
  require(activation >= 0 && activation <= 1, "activation must be 0 or 1");
  require(reduce >= 0 && reduce <= 5, "reduce must be 0 to 5");
  require(concat || reduce != 0, "reduce is none and concat is off: nothing to compute");
}

// The small arrays, copied before they are checked: another thread may write to the caller's while the kernel runs.
struct Layout {
  int64_t dims[kMaxStreams], offsets[kMaxStreams], weight_offsets[kMaxStreams];
  uint8_t select[kMaxStreams];
};

inline void copy_select(const Array<uint8_t>& from, uint8_t* to) {
  std::copy_n(from.data(), from.size(), to);
  require(std::all_of(to, to + from.size(), [](uint8_t s) { return s <= kSubstituted; }), "select must be 0, 1 or 2");
}

// [offset, offset + rows * width) must lie in an array of `size`; written so that no sum or product overflows.
inline bool inside(int64_t offset, int64_t rows, int64_t width, int64_t size) {
  return offset >= 0 && offset <= size && rows <= (size - offset) / width;
}

}  // namespace edgefuse
