"""A device's arrays, copies and order, on one that is emulated: nothing has happened there before somebody waits."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

import emulated
from edgefuse import device as devices
from edgefuse.device import Device
from edgefuse.errors import DeviceError
from edgefuse.fuse_device import mask_of


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return emulated.module()


@pytest.fixture
def device(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    monkeypatch.setattr(devices, "_module", lambda: module)
    return Device(0)


def test_a_copy_is_there_and_back_after_waiting_and_not_before(device: Device) -> None:
    values, back = np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((2, 3), np.float32)
    there = device.empty((2, 3), np.float32)
    device.upload(there, values)
    device.download(back, there)
    assert not back.any()
    device.wait()
    np.testing.assert_array_equal(back, values)


def test_the_traffic_is_counted(device: Device) -> None:
    there = device.put(np.zeros(8, np.float32))
    device.download(np.zeros(8, np.float32), there)
    traffic = device.traffic
    assert (traffic.uploads, traffic.uploaded_bytes, traffic.downloads, traffic.waits) == (1, 32, 1, 1)


def test_a_part_begins_where_it_is_said_to_and_ends_within(device: Device) -> None:
    there, back = device.put(np.arange(6, dtype=np.float32)), np.zeros((1, 2), np.float32)
    device.download(back, there.part(3, (1, 2)))
    device.wait()
    assert back.tolist() == [[3.0, 4.0]]
    for begin, shape in ((5, (2,)), (-1, (1,))):
        with pytest.raises(ValueError, match="of 6"):
            there.part(begin, shape)


@pytest.mark.parametrize("wrong", [np.zeros(3, np.float32), np.zeros(2, np.float64), np.zeros((2, 2), np.float32)])
def test_what_does_not_fit_is_not_copied(device: Device, wrong: np.ndarray) -> None:  # type: ignore[type-arg]
    there = device.empty((2,), np.float32)
    with pytest.raises(ValueError, match="on the device"):
        device.upload(there, wrong)


def test_memory_is_given_back_when_nobody_holds_it(device: Device) -> None:
    before = device._own.free_bytes
    there = device.empty((1000,), np.float32)
    part = there.part(0, (10,))
    pinned = device.pinned((1000,), np.uint8)
    assert before - device._own.free_bytes == 5000
    del there
    gc.collect()
    assert before - device._own.free_bytes == 5000  # the part holds it
    del part, pinned
    gc.collect()
    assert before == device._own.free_bytes


def test_lent_memory_stays_for_what_is_queued_and_is_given_back_then(device: Device) -> None:
    before, values, back = device._own.free_bytes, np.arange(100, dtype=np.float32), np.zeros(100, np.float32)
    there = device.empty((100,), np.float32, lent=True)
    device.upload(there, values)
    device.download(back, there)
    del there
    gc.collect()
    assert before - device._own.free_bytes == 400
    device.wait()
    np.testing.assert_array_equal(back, values)
    assert before == device._own.free_bytes


def test_pinned_memory_is_zero_and_of_any_shape(device: Device) -> None:
    for shape in ((2, 3), (0,), ()):
        pinned = device.pinned(shape, np.uint16)
        assert pinned.shape == shape and pinned.dtype == np.uint16 and not pinned.any()


def test_a_graph_is_queued_as_a_whole_and_reads_what_is_there_then(device: Device) -> None:
    values, back = np.ones(4, np.float32), np.zeros(4, np.float32)
    there = device.put(np.zeros(4, np.float32))
    launch = device.captured(lambda: device.upload(there, values))
    values[:] = 7.0
    launch()
    device.download(back, there)
    device.wait()
    assert back.tolist() == [7.0] * 4


def test_what_is_not_finite_is_counted(device: Device) -> None:
    there, count, back = device.put(np.array([1, np.nan, np.inf], np.float32)), device.empty((1,), np.int64), None
    device.queue("count_bad", there, 3, count)
    back = np.zeros(1, np.int64)
    device.download(back, count)
    device.wait()
    assert back.tolist() == [2]


def test_out_of_memory_and_a_lost_device_are_told_in_its_words(device: Device) -> None:
    with pytest.raises(DeviceError, match=r"^cuda:0: memory for tensors: out of memory$"):
        device.empty((1 << 30,), np.float32)
    device._own.break_in(3)
    device.clear(device.empty((4,), np.float32))
    for _ in range(2):
        with pytest.raises(DeviceError, match="waiting for the device: the device is lost"):
            device.wait()


def test_a_device_that_is_not_there_is_named(device: Device) -> None:
    with pytest.raises(DeviceError, match=r"^cuda:3: using the device: invalid device ordinal$"):
        Device(3)


def test_where_the_kernels_were_not_built_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "edgefuse._cuda", None)
    with pytest.raises(DeviceError, match=r"^cuda: the CUDA kernels were not built"):
        Device(0)


def test_the_module_of_the_cuda_compiler_loads_without_a_gpu_and_says_that_there_is_none() -> None:
    built = sorted((emulated.ROOT / "build" / "tests").glob("_cuda*"))
    if not built:
        pytest.skip("`make test-cpp` has not built it: no CUDA compiler")
    code = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("_cuda", {str(built[0])!r})
cuda = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cuda)
try:
    print(cuda.count(), cuda.Device(0).facts["name"] != "")
except cuda.Error as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.match(r"looking for devices: .*CUDA|[1-9]\d* True", done.stdout), done.stdout


def test_the_mask_has_a_bit_for_what_is_present_and_one_for_what_stands_in() -> None:
    assert mask_of([1, 0, 2, 1]) == 0b1001 | 1 << 18
    assert mask_of([0, 0]) == 0


def test_a_graph_that_cannot_be_captured_takes_no_traffic_along(device: Device) -> None:
    for calls in (1, 2):
        traffic = device.traffic
        device._own.break_in(calls)  # type: ignore[attr-defined]
        with pytest.raises(DeviceError, match="lost"):
            device.captured(lambda: device.clear(device.empty((1,), np.uint8)))
        assert device.traffic is traffic
        device._own.break_in(-1)  # type: ignore[attr-defined]
