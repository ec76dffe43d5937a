"""Looks at payloads that are on a device: what was asked of one is queued for the next like it as soon as that arrives.

All of it together, in one launch or two, and one copy back. So a tick, which decides by it, finds it done, and waits
for its answer alone. What nobody could know to be asked is queued when it is, and waited for. Either way it is what the
kernels of the host look for, as a few whole numbers.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from msgspec import Struct

from edgefuse.arguments import I64
from edgefuse.device import Device, DeviceArray
from edgefuse.errors import DeviceError
from edgefuse.reference_looks import ELEVATIONS, SECTORS
from edgefuse.types import F32, F64

MOST = 8  # kinds of payloads, and looks at one of a kind, that are remembered: as many as one launch takes

Look = tuple[str, tuple[float, ...]]  # a kernel, and its limits


class Slot(Struct, eq=False):
    """Where numbers of looks at one payload lie, and the room to add them up in: there, and here from a mark on."""

    there: DeviceArray
    here: I64
    mark: int


class Place(Struct, frozen=True):
    """Where in a slot the numbers of one look begin."""

    slot: Slot
    at: int


class Payload(Protocol):
    """What looks need of a payload; `queued`: looks that are on their way."""

    @property
    def array(self) -> DeviceArray: ...
    @property
    def queued(self) -> dict[Look, Place]: ...


class _Kernel(Struct, frozen=True):
    """What a kernel is told of a payload's size, how many numbers it gives, and the room that it adds them up in."""

    sizes: Callable[[DeviceArray], tuple[int, ...]]
    numbers: int
    room: int = 0


_SWEEP = 1 + SECTORS + ELEVATIONS
_KERNELS = {
    "picture_grain": _Kernel(lambda array: array.shape[1:2], 6),
    "picture_levels": _Kernel(lambda array: array.shape[:2], 2),
    "depth_counts": _Kernel(lambda array: array.shape[:2], 4, room=1),
    "cloud_counts": _Kernel(lambda array: array.shape[:1], 4, room=1),
    "sweep_counts": _Kernel(lambda array: array.shape[:1], _SWEEP, room=_SWEEP),
    "digest": _Kernel(lambda array: (array.nbytes,), 1),
}
_SLOT = 2 * _SWEEP + 8 * MOST  # numbers: a sweep's counts, asked once, and of everything else at most 6 and 1


class DeviceLooks:
    """What `edgefuse._kernels` and `reference_looks` look for (see `kernels.Looks`), in payloads on one device."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._slopes: DeviceArray | None = None
        self._free: list[Slot] = []
        self._usual: dict[object, dict[Look, None]] = {}  # by likeness, in the order in which they were asked

    def expect(self, payload: Payload) -> None:
        """A payload has arrived: queue what others like it were asked for; from any thread."""
        looks = list(self._usual.get(_likeness(payload.array), ()))[:MOST]
        if not looks:
            return
        with contextlib.suppress(DeviceError):  # whoever asks will be told
            slot = self._slot()
            payload.queued.update(self._queue(payload, looks, slot))
            # What is on its way comes before what is queued into the same place after.
            weakref.finalize(payload, self._free.append, slot).atexit = False

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
        numbers = _KERNELS[look[0]].numbers
        if (place := payload.queued.get(look)) is not None:
            self.device.wait_for(place.slot.mark)
            return place.slot.here[place.at : place.at + numbers].copy()
        slot = self._slot()
        self._queue(payload, [look], slot)
        self.device.wait()
        found = slot.here[:numbers].copy()
        self._free.append(slot)
        return found

    def _queue(self, payload: Payload, looks: Sequence[Look], slot: Slot) -> dict[Look, Place]:
        """All of them together."""
        gathered, places, end = self.device.looks(), dict[Look, Place](), 0
        for look in looks:
            (kernel, limits), array = look, payload.array
            how, places[look] = _KERNELS[kernel], Place(slot, end)
            slopes = () if kernel != "sweep_counts" or self._slopes is None else (self._slopes.address,)
            out = slot.there.address + 8 * end
            room = (out + 8 * how.numbers,) if how.room else ()
            getattr(gathered, kernel)(array.address, *how.sizes(array), *limits, *slopes, out, *room)
            end += how.numbers + how.room
        self.device.queue("look", gathered, slot.there, end)
        self.device.download(slot.here[:end], slot.there.part(0, (end,)))
        self.device.mark(slot.mark)
        return places

    def _slot(self) -> Slot:
        """One that nobody uses; payloads arrive, and are looked at, in several threads."""
        with contextlib.suppress(IndexError):
            return self._free.pop()
        return Slot(self.device.empty((_SLOT,), np.int64), self.device.pinned((_SLOT,), np.int64), self.device.mark())

    def _remember(self, payload: Payload, look: Look) -> None:
        looks = self._usual.setdefault(_likeness(payload.array), {})
        looks[look] = None
        for known in (looks, self._usual):
            if len(known) > MOST:
                del known[next(iter(known))]  # type: ignore[arg-type]


def _likeness(array: DeviceArray) -> Any:
    """Arrays with the same may be asked the same: limits depend on the size of a picture, not on that of a cloud."""
    return array.dtype, array.shape[1:] if array.dtype == np.float32 else array.shape
