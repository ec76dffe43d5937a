"""Payloads on a device are taken and looked at there, and answered as the same on the host; no picture crosses over."""

from __future__ import annotations

import ctypes
import gc
import threading
import weakref
from typing import Any, cast

import numpy as np
import pytest

import edgefuse
import emulated
from edgefuse import Engine, RunConfig, device_payload, front
from edgefuse.device import Device, DeviceArray
from edgefuse.device_looks import DeviceLooks
from edgefuse.device_payload import DevicePayload
from edgefuse.doctor import shipped_bundle
from edgefuse.modalities.agreement import Agreement
from edgefuse.reference_looks import ELEVATIONS, SECTORS
from edgefuse.sources import open_source
from edgefuse.types import Array
from test_on_device import same

RNG = np.random.default_rng(0)


emulated_only = pytest.mark.parametrize("device", ["emulated"], indirect=True)


@pytest.fixture(autouse=True, params=emulated.EACH)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    emulated.choose(request.param, monkeypatch)


class OnGpu:
    """What a framework's array on a GPU shows of itself."""

    def __init__(self, device: Device, values: Array, pitch: int = 0, **more: Any) -> None:
        rows = np.ascontiguousarray(values).reshape(len(values), -1).view(np.uint8)
        padded = np.full((rows.shape[0], rows.shape[1] + pitch), 0xFF, np.uint8)
        padded[:, : rows.shape[1]] = rows
        self.there: DeviceArray = device.put(padded)
        dense = np.empty(values.shape, values.dtype).strides
        told = {"shape": values.shape, "typestr": values.dtype.str, "data": (self.there.address, False), "version": 3}
        strides = (padded.shape[1], *dense[1:]) if pitch else None
        self.__cuda_array_interface__ = {**told, "strides": strides, **more}


@pytest.fixture
def engine() -> Engine:
    return edgefuse.load(shipped_bundle(), RunConfig(device="cuda", cuda_graphs=False))


def device_of(engine: Engine) -> Device:
    device = engine.parts.on.device
    assert device is not None
    return device


def payloads(size: tuple[int, int] = (96, 128)) -> dict[str, Array]:
    moment: dict[str, Array] = {}
    for sample in open_source("site:seed=3&duration_s=1").samples():
        moment[sample.stream] = sample.payload
    moment["camera"] = RNG.integers(0, 255, (*size, 3)).astype(np.uint8) // 4 + np.uint8(60)
    return moment


@pytest.mark.parametrize("pitch", [0, 12])
@pytest.mark.parametrize("size", [(96, 128), (48, 64), (30, 40)])
def test_they_are_answered_as_the_same_on_the_host(engine: Engine, size: tuple[int, int], pitch: int) -> None:
    host = edgefuse.load(shipped_bundle())
    here = payloads(size)
    there = {name: OnGpu(device_of(engine), own, pitch if own.ndim > 1 else 0) for name, own in here.items()}
    same(host.answer(here), engine.answer(there))
    for one, given in ((host, here), (engine, there)):
        for name, payload in given.items():
            one.push(name, 0, payload)
    same(host.step(0), engine.step(0))


@emulated_only
def test_of_pictures_and_clouds_only_what_is_counted_comes_back(engine: Engine) -> None:
    there = {name: OnGpu(device_of(engine), own) for name, own in payloads().items() if name != "gps"}
    engine.answer(there)
    before = device_of(engine).traffic.uploaded_bytes, device_of(engine).traffic.downloaded_bytes
    engine.answer(there)
    uploaded, downloaded = device_of(engine).traffic.uploaded_bytes, device_of(engine).traffic.downloaded_bytes
    assert uploaded - before[0] == 4  # the mask
    looks = 8 * (1 + SECTORS + ELEVATIONS)
    assert downloaded - before[1] < 6 * looks + 2000


@emulated_only
def test_our_copy_is_made_in_order_and_the_owner_may_write_again(engine: Engine) -> None:
    device, picture = device_of(engine), payloads()["camera"]
    own = OnGpu(device, picture)
    engine.push("camera", 0, own)
    device.clear(device.empty((8,), np.uint8))  # something waits in our own queue
    ctypes.memset(own.there.address, 0, own.there.nbytes)  # what comes next on the owner's stream
    assert engine.step(0).streams["camera"].state == "fresh"


def test_without_a_copy_the_owner_is_held_until_it_is_not_needed(engine: Engine) -> None:
    own = OnGpu(device_of(engine), payloads()["camera"])
    alive = weakref.ref(own)
    engine.push("camera", 0, own, copy=False)
    del own
    gc.collect()
    assert alive() is not None
    assert engine.step(0).streams["camera"].state == "fresh"
    engine.reset()
    gc.collect()
    assert alive() is None


def bad(device: Device) -> dict[str, tuple[Any, str]]:
    picture = payloads()["camera"]
    reversed_rows = OnGpu(device, picture)
    reversed_rows.__cuda_array_interface__["strides"] = (-384, 3, 1)
    return {
        "dtype": (OnGpu(device, picture.astype(np.uint16)), "bad_dtype"),
        "shape": (OnGpu(device, picture[..., 0]), "bad_shape"),
        "black": (OnGpu(device, np.zeros_like(picture)), "blackout"),
        "backwards": (reversed_rows, "bad_type"),
        "of nobody": (OnGpu(device, picture, data=(0xDEADBEEF00, False)), "bad_type"),
        "cut off": (OnGpu(device, picture, shape=(4000, 4000, 3)), "bad_type"),
        "masked": (OnGpu(device, picture, mask=OnGpu(device, picture)), "bad_type"),
        "no address": (OnGpu(device, picture, data=None), "bad_type"),
        "no shape": (OnGpu(device, picture, shape=None), "bad_type"),
        "strange": (OnGpu(device, picture, typestr="|O9"), "bad_type"),
        "no interface": (type("X", (), {"__cuda_array_interface__": 3})(), "bad_type"),
    }


CASES = (
    *("of nobody", "cut off", "dtype", "shape", "black", "backwards"),
    *("masked", "no address", "no shape", "strange", "no interface"),
)


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_with_them_is_a_reason(case: str, engine: Engine) -> None:
    payload, reason = bad(device_of(engine))[case]
    engine.push("camera", 0, payload)
    assert engine.step(0).streams["camera"].reason == reason


def test_a_part_of_a_larger_picture_may_end_where_its_memory_ends(engine: Engine) -> None:
    device, whole = device_of(engine), payloads()["camera"]
    owner = device.put(whole)
    own = OnGpu(device, np.ascontiguousarray(whole[:, 28:]))
    row = whole.strides[0]
    told = {"data": (owner.address + 28 * 3, False), "strides": (row, 3, 1)}
    own.__cuda_array_interface__ = {**own.__cuda_array_interface__, **told}
    same(edgefuse.load(shipped_bundle()).answer({"camera": whole[:, 28:]}), engine.answer({"camera": own}))


def test_of_nothing_there_is_no_address_and_the_reason_is_the_hosts(engine: Engine) -> None:
    host = edgefuse.load(shipped_bundle())
    for name, nothing in (("lidar", np.zeros((0, 4), np.float32)), ("camera", np.zeros((0, 64, 3), np.uint8))):
        told = {"shape": nothing.shape, "typestr": nothing.dtype.str, "data": (0, False), "version": 3}
        there = type("Nothing", (), {"__cuda_array_interface__": told})()
        here = host.answer({name: nothing}).streams[name].reason
        assert engine.answer({name: there}).streams[name].reason == here is not None


@pytest.mark.parametrize("shift", [1, 2])
def test_what_is_not_aligned_is_not_touched(shift: int, engine: Engine) -> None:
    cloud = payloads()["lidar"]
    own = OnGpu(device_of(engine), np.zeros((len(cloud) + 1, 4), np.float32))
    told = {"shape": cloud.shape, "data": (own.there.address + shift, False)}
    own.__cuda_array_interface__ = {**own.__cuda_array_interface__, **told}
    for copy in (True, False):
        engine.push("lidar", 0, own, copy=copy)
        assert engine.step(0).streams["lidar"].reason == "bad_type"
        engine.reset()


@emulated_only
def test_what_cannot_be_compared_as_its_device_is_lost_contradicts_nobody(engine: Engine) -> None:
    device = device_of(engine)
    payload: Any = DevicePayload(device.put(payloads()["depth"]), DeviceLooks(device))
    device._own.break_in(1)  # type: ignore[attr-defined]
    assert front._error(payload, payload, cast(Agreement, None)) is None


@emulated_only
def test_a_device_that_is_lost_takes_what_lay_on_it_along(engine: Engine) -> None:
    engine = edgefuse.load(shipped_bundle(), RunConfig(device="cuda", cuda_graphs=False, providers=("cuda", "cpu")))
    device, here = device_of(engine), payloads()
    engine.push("camera", 0, OnGpu(device, here["camera"]))
    engine.push("lidar", 0, here["lidar"])
    assert engine.step(0).used == ("camera", "lidar")
    engine.push("depth", 10, OnGpu(device, here["depth"]))
    device._own.break_in(1)  # type: ignore[attr-defined]
    result = engine.step(10)
    assert engine.parts.provider == "cpu"
    assert result.used == ("lidar",)
    assert {name: result.streams[name].reason for name in ("camera", "depth")} == dict.fromkeys(
        ("camera", "depth"), "device_lost"
    )
    engine.push("camera", 200_000_000, here["camera"])
    assert engine.step(200_000_000).streams["camera"].reason != "device_lost"


@emulated_only
def test_on_the_host_what_is_on_a_device_is_no_array(engine: Engine) -> None:
    host = edgefuse.load(shipped_bundle())
    host.push("camera", 0, OnGpu(device_of(engine), payloads()["camera"]))
    assert host.step(0).streams["camera"].reason == "bad_type"


def test_what_still_reads_an_owners_memory_comes_before_what_they_do_with_it_next(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(Device, "before", lambda self, stream: told.append(stream))
    for stream in (1, None):
        device_payload.taken(
            own := OnGpu(device_of(engine), payloads()["camera"]),
            {**own.__cuda_array_interface__, "stream": stream},
            DeviceLooks(device_of(engine)),
            copy=False,
        )
    gc.collect()
    assert told == [1]


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda"], indirect=True)
@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("aside", [False, True])
def test_tensors_of_torch_pushed_by_another_thread_are_answered_as_on_the_host(aside: bool, copy: bool) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
    engine, host = edgefuse.load(shipped_bundle(), RunConfig(device="cuda")), edgefuse.load(shipped_bundle())
    stream = torch.cuda.Stream() if aside else torch.cuda.current_stream()
    for k in range(20):
        here, t_ns, kept = payloads(), k * 50_000_000, list[Any]()

        def push(here: dict[str, Array] = here, t_ns: int = t_ns, kept: list[Any] = kept) -> None:
            with torch.cuda.stream(stream):
                for name, own in here.items():
                    there = torch.as_tensor(own, device="cuda")
                    stream.synchronize()  # of a stream that no interface names its owner has to see to that
                    engine.push(name, t_ns, there, copy=copy)
                    kept += [there, torch.full_like(there, 1)]

        thread = threading.Thread(target=push)
        thread.start()
        thread.join()
        for name, own in here.items():
            host.push(name, t_ns, own)
        same(host.step(t_ns), engine.step(t_ns))


@pytest.mark.parametrize("config", [{}, {"device": "cuda", "cuda_graphs": False}])
def test_what_the_host_can_read_through_dlpack_counts_as_numpys(config: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
    engine, here = edgefuse.load(shipped_bundle(), RunConfig(**config)), payloads()
    there = {name: torch.from_numpy(own.copy()) for name, own in here.items()}
    same(engine.answer(here), engine.answer(there))
    engine.push("camera", 0, there["camera"])
    there["camera"][:] = 0  # ours is a copy
    assert engine.step(0).streams["camera"].state == "fresh"
    engine.push("gps", 0, there["gps"].requires_grad_())  # which gives no array
    assert engine.step(1).streams["gps"].reason == "bad_type"
