"""What a modality kind is: a payload contract, a preprocessing with parameters, and content checks with thresholds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any, Protocol, cast

import numpy as np
from msgspec import Meta, Struct

from edgefuse.complaints import Wrong
from edgefuse.device_payload import DevicePayload
from edgefuse.reference_looks import CLOUD_VALUES, spread
from edgefuse.schema import Strict
from edgefuse.types import Array, Reason

# A value smaller than this is a denormal to come: arithmetic on denormals is some 200 times slower, so they become 0.
SMALLEST = np.float32(1e-30)

_PAYLOADS = (np.ndarray, DevicePayload)
NATIVE = "<" if sys.byteorder == "little" else ">"


StuckSamples = Annotated[int, Meta(ge=0, le=10_000)]


class CommonChecks(Strict):
    """Thresholds of every kind: `stuck_samples` equal payloads in a row mean a frozen sensor; 0 switches it off."""

    stuck_samples: StuckSamples = 3

    def __post_init__(self) -> None:
        if self.stuck_samples == 1:
            raise Wrong((("stuck_samples",), "must be 0 or at least 2: one sample repeats nothing"))


class Watcher(Protocol):
    """What a kind remembers of one stream, to judge its next sample by. One watcher a stream; never shared."""

    def look(self, payload: Array, seen: Any, stamp_ns: int, checks: Any) -> Reason | None:
        """What is wrong with a sample beside what was trusted before, or None; seen: as of `Modality.seen`.

        Asked for each sample whose contract and content have passed; whatever it answers, nothing is learned from it.
        """
        ...

    def trust(self, payload: Array, stamp_ns: int) -> None:
        """Learn from the sample looked at last: it has passed every check, and its stream is let in."""
        ...


class Unremembered:
    """The watcher of a kind whose samples are judged by themselves alone."""

    def look(self, payload: Array, seen: Any, stamp_ns: int, checks: Any) -> Reason | None:
        return None

    def trust(self, payload: Array, stamp_ns: int) -> None:
        return None


def nothing(_: Array) -> None:
    """Seen of a payload whose content needs no more than itself."""


class Modality(Struct, frozen=True):
    """One kind of sensor.

    kind        its name in manifests
    payload     the contract of a raw payload in words
    dtype       NumPy dtype of a raw payload
    shape       its shape, None for a free length; None as a whole where it is the tensor's own shape
    params      schema of the preprocessing parameters, which travel in the bundle
    checks      schema of the content thresholds, with defaults
    tensor      params -> (dtype name, shape) of what the encoder receives, without batch axis
    preprocess  (payload, params, out) -> None; fills `out`, an array of the tensor's dtype and shape
    content     (payload, seen, checks) -> what is wrong with the content of a payload that meets the contract, or None
    seen        payload that meets the contract -> what its content and its watcher are both judged by, computed once
    between     (payload a, payload b, share in (0, 1)) -> what lies between two samples; None where nothing does
    watcher     makes what remembers one stream of this kind, see `Watcher`
    """

    kind: str
    payload: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] | None
    params: type[Strict]
    checks: type[CommonChecks]
    tensor: Callable[[Any], tuple[str, tuple[int, ...]]]
    preprocess: Callable[[Array, Any, Array], None]
    content: Callable[[Array, Any, Any], Reason | None]
    seen: Callable[[Array], Any] = nothing
    watcher: Callable[[], Watcher] = Unremembered
    between: Callable[[Array, Array, float], Array] | None = None

    def refusal(self, payload: object, tensor_shape: tuple[int, ...], checks: CommonChecks) -> Reason | None:
        """What is wrong with one payload by itself: its contract first, then its content; None for a good one."""
        return self.inspected(payload, tensor_shape, checks)[0]

    def inspected(
        self, payload: object, tensor_shape: tuple[int, ...], checks: CommonChecks
    ) -> tuple[Reason | None, Any]:
        """The same, and what was seen of a payload that meets its contract, for its watcher."""
        shape = tensor_shape if self.shape is None else self.shape
        if (reason := contract_reason(payload, self.dtype, shape)) is not None:
            return reason, None
        seen = self.seen(cast(Array, payload))
        return self.content(cast(Array, payload), seen, checks), seen

    def tensor_from(self, payload: Array, params: Strict) -> Array:
        """A good payload as the encoder sees it: a new array of the tensor's dtype and shape."""
        dtype, shape = self.tensor(params)
        out: Array = np.zeros(shape, dtype)
        self.preprocess(payload, params, out)
        return out


def contract_reason(payload: object, dtype: np.dtype[Any], shape: tuple[int | None, ...]) -> Reason | None:
    """Does a raw payload meet its contract of type, dtype, byte order and shape? None, or the first thing wrong."""
    if not isinstance(payload, _PAYLOADS):
        return "bad_type"
    if payload.dtype != dtype:
        swapped = payload.dtype.kind == dtype.kind and payload.dtype.itemsize == dtype.itemsize
        return "byte_order" if swapped else "bad_dtype"
    if payload.ndim != len(shape):
        return "bad_shape"
    for have, want in zip(payload.shape, shape, strict=True):
        if want is not None and have != want:
            return "bad_shape"
    return None


def in_order(payload: Any) -> Any:
    """The payload as kernels read it, aligned and in C order: itself, where it is that already."""
    if not isinstance(payload, np.ndarray):
        return payload  # what is on a device lies so
    lies = payload.flags
    return payload if lies.c_contiguous and lies.aligned else np.require(payload, requirements=("C", "ALIGNED"))


def aligned(payload: Any) -> Any:
    """The payload where a kernel may read it whatever its strides: itself, unless it lies on an odd address."""
    return payload if not isinstance(payload, np.ndarray) or payload.flags.aligned else payload.copy()


def denormal_share(values: Array) -> float:
    """Part of the nonzero values, any shape, float32, that are too small to compute with; of a sample of them."""
    sizes = np.abs(spread(values.reshape(-1), CLOUD_VALUES))
    nonzero, sound = int(np.count_nonzero(sizes)), int(np.count_nonzero(sizes >= SMALLEST))
    return (nonzero - sound) / max(nonzero, 1)


def flush_denormals(tensor: Array) -> None:
    """Set values too small to compute with to 0, in place; tensor: any shape, float32."""
    tensor[np.abs(tensor) < SMALLEST] = 0.0
