"""Parts: model and executor on the first provider that works, and on the next one when a device is lost."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import numpy as np
from msgspec import Struct

from edgefuse.bundle import Bundle
from edgefuse.config import Provider
from edgefuse.device_looks import DeviceLooks
from edgefuse.device_payload import KINDS, DevicePayload, interface_of, taken
from edgefuse.errors import BundleError, ConfigError, DeviceError
from edgefuse.executors import Executor, executor_of
from edgefuse.model import Model
from edgefuse.placement import Refused, first_that_works, placement_of, wanted
from edgefuse.plan import Plan
from edgefuse.session import CPU, Placement
from edgefuse.streams import copied
from edgefuse.traffic import Traffic
from edgefuse.types import Judged

Worth = Callable[[Collection[str]], float | None]
T = TypeVar("T")
_LOG = logging.getLogger("edgefuse")


class _Made(Struct, frozen=True):
    on: Placement
    model: Model
    executor: Executor
    looks: DeviceLooks | None = None


class Parts:
    """What computes the answers of a bundle, wherever that is.

    refused  the providers that were asked for and do not compute them, and why
    lost     the device is, and the configuration allows no other; losses: how often one was
    """

    def __init__(self, bundle: Bundle, plan: Plan, worth: Worth, config_place: str) -> None:
        """Build them. A BundleError or ConfigError names what does not fit, or why no provider works."""
        self._how = bundle, plan, worth, config_place
        self._untried = wanted(plan.config, config_place)
        self.refused: tuple[Refused, ...] = ()
        self.lost = False
        self.losses = 0
        self._build()

    @property
    def provider(self) -> Provider:
        """Who computes the answers now."""
        return self.on.name

    @property
    def traffic(self) -> Traffic | None:
        """What went between host and device so far, where answers are computed on one."""
        return None if self.on.device is None else self.on.device.traffic

    @property
    def on(self) -> Placement:
        return self._made.on

    @property
    def model(self) -> Model:
        return self._made.model

    @property
    def executor(self) -> Executor:
        return self._made.executor

    def received(self, kind: str, payload: Any, *, copy: bool) -> Any:
        """A payload as the stages take it: a copy of our own, where that is wanted; never raises.

        What is on our device stays there. Any other array that the host can read (DLPack) becomes NumPy's; what is no
        array at all stays as it is, and is refused at the tick.
        """
        if isinstance(payload, np.ndarray):
            return copied(payload) if copy else payload
        try:
            return self._taken(kind, payload, copy)
        except Exception:  # noqa: BLE001 (no payload may raise out of `push`)
            return None

    def _taken(self, kind: str, payload: Any, copy: bool) -> Any:
        told, looks = interface_of(payload), self._made.looks
        if told is not None and looks is not None:
            stays = taken(payload, told, looks, copy=copy)
            return stays.host() if stays is not None and kind not in KINDS else stays
        if told is None and hasattr(payload, "__dlpack__"):
            there = np.from_dlpack(payload)
            return copied(there) if copy else there
        return payload

    def unreachable(self, own: Judged) -> bool:
        """Is there no way to this sample: on a device that is not ours any more, or is lost?"""
        if self.lost:
            return True
        payload: Any = None if own.sample is None else own.sample.payload
        return isinstance(payload, DevicePayload) and payload.looks.device is not self.on.device

    def asked(self, ask: Callable[[], T]) -> T | None:
        """What is asked beside an answer; None where a device is lost over it."""
        try:
            return ask()
        except DeviceError as error:
            self.go_on_without(error)
            return None

    def go_on_without(self, error: DeviceError) -> None:
        """The device is lost: build anew with the next provider that is allowed, or be lost. Either is logged.

        It takes as long as loading did, and reads the bundle again.
        """
        self.refused += (Refused(self.on.name, str(error)),)
        self.losses += 1
        self.executor.close()
        _keep_for_ever(self._made)
        try:
            self._build()
        except (ConfigError, BundleError):  # the bundle's file may be gone by then
            self.lost = True
            _LOG.error("%s, and no other is allowed: every answer is the prior", self.refused[-1])

    def _build(self) -> None:
        allowed, config_place = self._untried, self._how[-1]
        made, refused = first_that_works(allowed, lambda name: _made(name, *self._how), config_place)
        self._made, self._untried = made, allowed[len(refused) + 1 :]
        self.refused += refused
        if self.refused:
            _LOG.warning("%s; answers are computed by %s", "; ".join(map(str, self.refused)), made.on.name)

    def close(self) -> None:
        """End what runs beside the ticks."""
        self.executor.close()


def _keep_for_ever(made: _Made) -> None:
    """Never take it down, not even at the end: sessions that free CUDA graphs on a lost device end the process."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))


def _made(name: Provider, bundle: Bundle, plan: Plan, worth: Worth, config_place: str) -> _Made:
    if name != "cpu":
        from edgefuse.parts_device import parts_on, undisturbed

        with undisturbed():
            on = placement_of(name, plan.config, bundle.sha256)
            return _Made(on, *parts_on(on, bundle, plan, config_place))
    model = Model.of(bundle, plan, config_place)
    return _Made(CPU, model, executor_of(bundle, plan, model.fusion.embeddings, worth))
