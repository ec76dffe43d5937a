"""Looks at payloads on a device give what the host's give, and a tick finds those done that could be foreseen."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import edgefuse
import emulated
from edgefuse import Engine, RunConfig, kernels
from edgefuse.device import Device
from edgefuse.device_looks import MOST, DeviceLooks
from edgefuse.device_payload import DevicePayload
from edgefuse.doctor import shipped_bundle
from edgefuse.modalities.sweep import SLOPES
from edgefuse.reference_looks import ELEVATIONS, SECTORS
from edgefuse.types import NS_PER_MS, Array
from test_device_payload import OnGpu, device_of, payloads
from test_on_device import same

RNG = np.random.default_rng(0)
CONFIG = RunConfig(device="cuda", cuda_graphs=False, providers=("cuda", "cpu"))


emulated_only = pytest.mark.parametrize("device", ["emulated"], indirect=True)


@pytest.fixture(autouse=True, params=emulated.EACH)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    emulated.choose(request.param, monkeypatch)


@pytest.fixture
def engine() -> Engine:
    return edgefuse.load(shipped_bundle(), CONFIG)


def moved(moment: dict[str, Array]) -> dict[str, Array]:
    """The same scene a moment later; a cloud has another number of points."""
    camera, depth, lidar = moment["camera"], moment["depth"], moment["lidar"]
    noise = RNG.integers(0, 2, camera.shape).astype(np.uint8)
    fewer = (lidar + RNG.normal(0, 1e-3, lidar.shape).astype(np.float32))[int(RNG.integers(0, 9)) :]
    return {
        **moment,
        "camera": camera + noise,
        "depth": depth + noise[: len(depth), : depth.shape[1], 0],
        "lidar": fewer,
    }


def pushed(engine: Engine, moment: dict[str, Array], t_ns: int) -> None:
    device = device_of(engine)
    for name in ("camera", "depth", "lidar"):
        engine.push(name, t_ns, OnGpu(device, moment[name]))


def test_looks_count_what_the_host_counts() -> None:
    device = Device(0)
    looks = DeviceLooks(device)

    def there(values: Array) -> Any:
        return DevicePayload(device.put(values), looks)

    picture = RNG.integers(0, 255, (60, 77, 3)).astype(np.uint8)
    depth = RNG.integers(0, 3, (50, 61)).astype(np.uint16) * np.uint16(2000)
    cloud = RNG.normal(0, 10, (3000, 4)).astype(np.float32)
    asked: tuple[tuple[Any, Array, tuple[Any, ...]], ...] = (
        (kernels.picture_grain, picture, (5, 64, 1, 57, 2, 1, 3)),
        (kernels.picture_levels, picture, (2, 20, 220)),
        (kernels.depth_counts, depth, (3, 3500)),
        (kernels.cloud_counts, cloud, (1e-30, 0.5, 12.0)),
        (kernels.digest, picture, ()),
    )
    for look, values, limits in asked:
        assert look(there(values), *limits) == look(values, *limits)
    sweeps = np.zeros(1 + SECTORS + ELEVATIONS), np.zeros(1 + SECTORS + ELEVATIONS)
    kernels.sweep_counts(there(cloud), SLOPES, sweeps[0])
    kernels.sweep_counts(cloud, SLOPES, sweeps[1])
    np.testing.assert_array_equal(*sweeps)


def test_a_tick_waits_for_its_answer_and_for_no_look(engine: Engine) -> None:
    moment, waits = payloads(), []
    for k in range(6):
        moment, t_ns = moved(moment), k * 100 * NS_PER_MS
        pushed(engine, moment, t_ns)
        before = device_of(engine).traffic.waits
        assert engine.step(t_ns).used == ("camera", "depth", "lidar")
        waits.append(device_of(engine).traffic.waits - before)
    assert waits[0] > 4
    assert waits[2:] == [1] * 4  # the second is the first with another sample before it, which is compared


def test_what_was_queued_on_arrival_is_of_that_sample(engine: Engine) -> None:
    host, moment = edgefuse.load(shipped_bundle()), payloads()
    for k in range(24):
        moment, t_ns = moved(moment), k * 100 * NS_PER_MS
        shown = dict(moment)
        if k in (9, 15):
            shown["camera"] = np.zeros_like(moment["camera"])
        if k in (11, 15):
            shown["depth"] = np.zeros_like(moment["depth"])
        if k in (13, 14):
            shown["lidar"] = moment["lidar"][:100]
        if k == 17:
            shown["camera"] = np.ascontiguousarray(moment["camera"][::2, ::2])  # another camera mode
        pushed(engine, shown, t_ns)
        for name in ("camera", "depth", "lidar"):
            host.push(name, t_ns, shown[name])
        here, there = host.step(t_ns), engine.step(t_ns)
        same(here, there)
        assert {n: (t.state, t.reason) for n, t in here.streams.items()} == {
            n: (t.state, t.reason) for n, t in there.streams.items()
        }


def test_what_nobody_looks_at_gives_its_places_back(engine: Engine) -> None:
    device, moment = device_of(engine), payloads()
    for k in range(3):
        moment = moved(moment)
        pushed(engine, moment, k)
        engine.step(k)
    gc.collect()
    looks: Any = engine.parts._made.looks
    at_rest = len(looks._free)
    for k in range(300):  # of which no more than a few dozen wait for the next tick
        engine.push("camera", 10 + k, OnGpu(device, moment["camera"]))
    engine.reset()
    gc.collect()
    assert at_rest < len(looks._free) < 300
    engine.push("camera", 0, OnGpu(device, moved(moment)["camera"]))
    assert engine.step(0).streams["camera"].state == "fresh"


def test_looks_on_their_way_share_no_place() -> None:
    looks = DeviceLooks(Device(0))
    pictures = [RNG.integers(0, 255, (40, 50, 3)).astype(np.uint8) for _ in range(6)]
    first: Any = DevicePayload(looks.device.put(pictures[0]), looks)
    kernels.digest(first), kernels.picture_levels(first, 1, 60, 200)
    payloads: list[Any] = [DevicePayload(looks.device.put(own), looks) for own in pictures]
    places = {(place.slot.there.address, place.at) for own in payloads for place in own.queued.values()}
    assert len(places) == 2 * 6
    assert len({address for address, _ in places}) == 6
    for there, here in reversed(list(zip(payloads, pictures, strict=True))):
        assert kernels.digest(there) == kernels.digest(here)
        assert kernels.picture_levels(there, 1, 60, 200) == kernels.picture_levels(here, 1, 60, 200)


def test_a_place_that_another_thread_takes_meanwhile_is_no_error() -> None:
    class Fleeting(list[Any]):
        def __len__(self) -> int:
            return 1  # it was there when asked for

    looks = DeviceLooks(Device(0))
    looks._free = Fleeting()
    picture = RNG.integers(0, 255, (40, 50, 3)).astype(np.uint8)
    there: Any = DevicePayload(looks.device.put(picture), looks)
    assert kernels.digest(there) == kernels.digest(picture)


def test_sizes_that_come_and_go_are_not_remembered_for_ever() -> None:
    device = Device(0)
    looks = DeviceLooks(device)
    for side in range(30, 30 + 3 * MOST):
        picture = RNG.integers(0, 255, (side, side, 3)).astype(np.uint8)
        there: Any = DevicePayload(device.put(picture), looks)
        for dark in range(2 * MOST):
            assert kernels.picture_levels(there, 1, dark, 250) == kernels.picture_levels(picture, 1, dark, 250)
    assert len(looks._usual) == MOST
    assert {len(known) for known in looks._usual.values()} == {MOST}


@emulated_only
@pytest.mark.parametrize("after", range(1, 46, 2))
def test_a_device_that_is_lost_over_a_look_is_a_reason(after: int, engine: Engine) -> None:
    device, moment = device_of(engine), payloads()
    for k in range(2):
        moment = moved(moment)
        pushed(engine, moment, k)
        engine.step(k)
    there = {name: OnGpu(device, own) for name, own in moved(moment).items() if name != "gps"}
    device._own.break_in(after)  # type: ignore[attr-defined]
    for name, payload in there.items():
        engine.push(name, 2, payload)
    result = engine.step(2)
    if engine.parts.provider == "cpu":
        assert {trust.reason for trust in result.streams.values()} <= {"device_lost", "bad_type", "no_data"}
        engine.push("gps", 3, moment["gps"])
        assert engine.step(3).used == ("gps",)
    else:
        assert result.used == ("camera", "depth", "lidar")
