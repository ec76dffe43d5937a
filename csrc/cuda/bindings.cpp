// The Python face of a device. Addresses are plain numbers here: edgefuse.device, the one importer, gives them shapes.
#include "bindings.hpp"

namespace edgefuse::cuda {
namespace {

py::dict facts(const Device& device) {
  const Facts f = device.facts();
  py::dict told;
  told["name"] = f.name;
  told["compute_capability"] = std::to_string(f.major) + "." + std::to_string(f.minor);
  told["processors"] = f.processors;
  told["memory_bytes"] = f.memory_bytes;
  told["cache_bytes"] = f.cache_bytes;
  told["unified_memory"] = f.unified;
  told["runtime"] = f.runtime;
  told["driver"] = f.driver;
  return told;
}

// Pinned memory as an array of bytes, that goes when nobody holds it any more.
py::array pinned(const Shared& device, size_t bytes) {
  struct Held {
    Shared device;
    void* memory;
  };
  auto held = std::make_unique<Held>(Held{device, device->pin(bytes)});
  void* memory = held->memory;
  py::capsule owner(held.release(), [](void* it) {
    std::unique_ptr<Held> mine(static_cast<Held*>(it));
    mine->device->unpin(mine->memory);
  });
  return py::array_t<uint8_t>(static_cast<py::ssize_t>(bytes), static_cast<uint8_t*>(memory), owner);
}

void dense(const py::array& host) {
  if (!(host.flags() & py::array::c_style)) throw py::value_error("the host's array is not contiguous");
}

void upload(Device& device, Address to, const py::array& host) {
  dense(host);
  const void* from = host.data();
  const auto bytes = static_cast<size_t>(host.nbytes());
  py::gil_scoped_release unlocked;  // of memory that is not pinned it waits
  device.upload(at<void>(to), from, bytes);
}

void download(Device& device, py::array& host, Address from) {
  dense(host);
  void* to = host.mutable_data();
  const auto bytes = static_cast<size_t>(host.nbytes());
  py::gil_scoped_release unlocked;
  device.download(to, at<void>(from), bytes);
}

template <class Class>
void bind_memory(Class& device) {
  const auto unlocked = py::call_guard<py::gil_scoped_release>();
  device.def(
      "allocate", [](Device& d, size_t bytes) { return reinterpret_cast<Address>(d.allocate(bytes)); }, unlocked);
  device.def("release", [](Device& d, Address address) { d.release(at<void>(address)); }, unlocked);
  device.def("lend", [](Device& d, size_t bytes) { return reinterpret_cast<Address>(d.lend(bytes)); }, unlocked);
  device.def("give_back", [](Device& d, Address address) { d.give_back(at<void>(address)); }, unlocked);
  device.def("pinned", &pinned);
  device.def("upload", &upload);
  device.def("download", &download);
  device.def("copy", [](Device& d, Address to, Address from, size_t n) { d.copy(at<void>(to), at<void>(from), n); });
  device.def("copy_rows", [](Device& d, Address to, Address from, size_t row_bytes, size_t stride, size_t rows) {
    d.copy_rows(at<void>(to), at<void>(from), row_bytes, stride, rows);
  });
  device.def(
      "take_rows",
      [](Device& d, Address to, Address from, size_t row_bytes, size_t stride, size_t rows, bool has_owner,
         uintptr_t owner) { d.take_rows(at<void>(to), at<void>(from), row_bytes, stride, rows, has_owner, owner); },
      py::call_guard<py::gil_scoped_release>());
  device.def("holds", [](const Device& d, Address address) { return d.holds(at<void>(address)); });
  device.def("clear", [](Device& d, Address to, size_t bytes) { d.clear(at<void>(to), bytes); });
}

template <class Class>
void bind_order(Class& device) {
  device.def("after", &Device::after, py::call_guard<py::gil_scoped_release>());
  device.def("before", &Device::before, py::call_guard<py::gil_scoped_release>());
  device.def("wait", &Device::wait, py::call_guard<py::gil_scoped_release>());
  device.def("mark", &Device::mark);
  device.def("wait_for", &Device::wait_for, py::call_guard<py::gil_scoped_release>());
  device.def("elapsed_ms", &Device::elapsed_ms);
  device.def("begin_graph", &Device::begin_graph);
  device.def("end_graph", &Device::end_graph);
  device.def("launch", &Device::launch);
}

}  // namespace

PYBIND11_MODULE(EDGEFUSE_MODULE, m) {
  py::register_exception<Failure>(m, "Error");
  m.def("count", &Device::count);
  py::class_<Device, Shared> device(m, "Device");
  device.def(py::init<int>());
  device.def_property_readonly("stream", &Device::stream);
  device.def_property_readonly("facts", &facts);
  device.def_property_readonly("free_bytes", &Device::free_bytes);
  bind_memory(device);
  bind_order(device);
  bind_kernels(m, device);
  bind_looks(m, device);
#if defined(EDGEFUSE_EMULATED)
  device.def("break_in", &Device::break_in);
  device.def("call", [](Device& d, py::function work) {  // in its turn, whoever waits for that
    const std::shared_ptr<py::function> held(new py::function(std::move(work)), [](py::function* it) {
      py::gil_scoped_acquire locked;
      delete it;
    });
    d.call([held] {
      py::gil_scoped_acquire locked;
      (*held)();
    });
  });
#endif
}

}  // namespace edgefuse::cuda
