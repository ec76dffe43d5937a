"""What a manifest says of the fallback: the ladder, what stands in for absent streams, and where it lies."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edgefuse.schema import FileName, Strict
from edgefuse.types import Rung


class ImputeSpec(Strict):
    """The maps by which absent streams are told from the present ones; see `edgefuse.impute` for the file's layout.

    folded: they tell what each absent stream adds to the outputs, all outputs side by side, not what stands in for it.
    """

    file: FileName
    rank: Annotated[int, Meta(ge=1, le=1 << 16)] | None = None
    folded: bool = False


class FallbackSpec(Strict):
    """The ladder the model was made for; `file` holds float32 vectors: of each of `blocks`, one a stream.

    subset_trained: has the model learned to answer from subsets of its streams? None where nobody said.
    """

    ladder: Annotated[tuple[Rung, ...], Meta(min_length=1)] = ("hold", "mask")
    blocks: tuple[Literal["mean", "token"], ...] = ()
    file: FileName | None = None
    impute: ImputeSpec | None = None
    subset_trained: bool | None = None

    def __post_init__(self) -> None:
        if bool(self.blocks) != (self.file is not None):
            raise ValueError("blocks and file go together")
        known = {"hold", "mask", *self.blocks} | ({"impute"} if self.impute else set())
        if lost := [rung for rung in self.ladder if rung not in known]:
            raise ValueError(f"rung {lost[0]!r}: the bundle holds nothing for it")
