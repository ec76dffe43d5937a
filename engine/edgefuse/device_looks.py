"""Looks at payloads that are on a device: what was asked of one is queued for the next like it as soon as that arrives.

So a tick, which decides by it, finds it done, and waits for its answer alone. What nobody could know to be asked is
queued when it is, and waited for. Either way it is what the kernels of the host look for, as a few whole numbers.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from msgspec import Struct

from edgefuse.arguments import I64
from edgefuse.device import Device, DeviceArray
from edgefuse.errors import DeviceError
from edgefuse.reference_looks import ELEVATIONS, SECTORS
from edgefuse.types import F32, F64

MOST = 8  # kinds of payloads, and looks at one of a kind, that are remembered

Look = tuple[str, tuple[float, ...]]  # a kernel, and its limits


class Slot(Struct, eq=False):
    """Where numbers of one look lie on the device, with room to add them up in, and here once its mark is reached."""

    there: DeviceArray
    scratch: DeviceArray
    here: I64
    mark: int


class Payload(Protocol):
    """What looks need of a payload; `queued`: looks that are on their way."""

    @property
    def array(self) -> DeviceArray: ...
    @property
    def queued(self) -> dict[Look, Slot]: ...


class _Kernel(Struct, frozen=True):
    """What a kernel is told of a payload's size, how many numbers it gives, and whether it needs room to add up in."""

    sizes: Callable[[DeviceArray], tuple[int, ...]]
    numbers: int
    scratch: bool = False


_SWEEP = 1 + SECTORS + ELEVATIONS
_KERNELS = {
    "picture_grain": _Kernel(lambda array: array.shape[1:2], 6),
    "picture_levels": _Kernel(lambda array: array.shape[:2], 2),
    "depth_counts": _Kernel(lambda array: array.shape[:2], 4, scratch=True),
    "cloud_counts": _Kernel(lambda array: array.shape[:1], 4, scratch=True),
    "sweep_counts": _Kernel(lambda array: array.shape[:1], _SWEEP, scratch=True),
    "digest": _Kernel(lambda array: (array.nbytes,), 1),
}


class DeviceLooks:
    """What `edgefuse._kernels` and `reference_looks` look for (see `kernels.Looks`), in payloads on one device."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._slopes: DeviceArray | None = None
        self._free: list[Slot] = []
        self._usual: dict[object, dict[Look, None]] = {}  # by likeness, in the order in which they were asked

    def expect(self, payload: Payload) -> None:
        """A payload has arrived: queue what others like it were asked for; from any thread."""
        looks = list(self._usual.get(_likeness(payload.array), ()))
        with contextlib.suppress(DeviceError):  # whoever asks will be told
            for look in looks:
                payload.queued[look] = self._queue(payload, look)
        if looks:
            weakref.finalize(payload, self._free_all, payload.queued).atexit = False

    def picture_grain(self, image: Payload, *limits: int) -> tuple[int, ...]:
        return self._asked(image, "picture_grain", *limits)

    def picture_levels(self, image: Payload, *limits: int) -> tuple[int, ...]:
        return self._asked(image, "picture_levels", *limits)

    def depth_counts(self, depth_mm: Payload, *limits: int) -> tuple[int, ...]:
        return self._asked(depth_mm, "depth_counts", *limits)

    def cloud_counts(self, points: Payload, *limits: float) -> tuple[int, ...]:
        return self._asked(points, "cloud_counts", *limits)

    def sweep_counts(self, points: Payload, slopes: F32, out: F64) -> None:
        if self._slopes is None:
            self._slopes = self.device.put(slopes)
        out[:] = self._numbers(points, ("sweep_counts", ())).view(np.float64)

    def digest(self, values: Payload) -> int:
        return self._asked(values, "digest")[0]

    def _asked(self, payload: Payload, kernel: str, *limits: float) -> tuple[int, ...]:
        return tuple(self._numbers(payload, (kernel, limits)).tolist())

    def _numbers(self, payload: Payload, look: Look) -> I64:
        """What a look gives, once it is here."""
        self._remember(payload, look)
        slot = payload.queued.pop(look, None)
        if slot is None:
            slot = self._queue(payload, look)
            self.device.wait()
        else:
            self.device.wait_for(slot.mark)
        numbers = slot.here[: _KERNELS[look[0]].numbers].copy()
        self._free.append(slot)
        return numbers

    def _queue(self, payload: Payload, look: Look) -> Slot:
        kernel, limits = look
        how, slot = _KERNELS[kernel], self._slot()
        slopes = () if kernel != "sweep_counts" else (self._slopes,)
        scratch = (slot.scratch,) if how.scratch else ()
        self.device.queue(kernel, payload.array, *how.sizes(payload.array), *limits, *slopes, slot.there, *scratch)
        self.device.download(slot.here[: how.numbers], slot.there.part(0, (how.numbers,)))
        self.device.mark(slot.mark)
        return slot

    def _slot(self) -> Slot:
        """One that nobody uses; payloads arrive, and are looked at, in several threads."""
        with contextlib.suppress(IndexError):
            return self._free.pop()
        there, scratch = (self.device.empty((_SWEEP,), np.int64) for _ in range(2))
        return Slot(there, scratch, self.device.pinned((_SWEEP,), np.int64), self.device.mark())

    def _free_all(self, queued: dict[Look, Slot]) -> None:
        """Of a payload that nobody looked at: what is on its way comes before what is queued into the same places."""
        self._free += queued.values()

    def _remember(self, payload: Payload, look: Look) -> None:
        looks = self._usual.setdefault(_likeness(payload.array), {})
        looks[look] = None
        for known in (looks, self._usual):
            if len(known) > MOST:
                del known[next(iter(known))]  # type: ignore[arg-type]


def _likeness(array: DeviceArray) -> Any:
    """Arrays with the same may be asked the same: limits depend on the size of a picture, not on that of a cloud."""
    return array.dtype, array.shape[1:] if array.dtype == np.float32 else array.shape
