"""What every fusion offers the engine: buffers that the encoders fill, a mask, stand-ins, and the fused vector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from edgefuse.types import F32, U8


class Fusion(ABC):
    """The operator of a bundle with its weights and its buffers.

    embeddings   one flat float32 view a stream, where the encoders write
    select       uint8 [N], the presence mask; stand_ins: one float32 view a stream, read where select is 2
    fused        float32, what `run` computes and the head reads
    """

    embeddings: Sequence[F32]
    select: U8
    stand_ins: Sequence[F32]
    fused: F32
    wants_all: bool = True  # whatever the mask, `wanted` gives every stream

    def wanted(self, standing: Callable[[], U8]) -> Iterable[int]:
        """The streams whose embeddings an answer needs, each to be encoded before the next is asked for.

        standing: gives the mask as it stands now, with what turned out to be unusable taken out.
        """
        return range(len(self.embeddings))

    def fetch(self) -> None:  # noqa: B027 (most lie where they can be read)
        """Bring the embeddings to where they can be read, if they lie on a device: that waits for it."""

    def rows(self) -> Sequence[F32]:
        """What could stand in for each stream, told from its own embedding as it lies there; copies."""
        return [embedding.copy() for embedding in self.embeddings]

    def each(self, selects: U8, before: Callable[[U8], None] | None = None) -> F32:
        """float32 [M, len(fused)]: what `fused` would be with each mask of uint8 [M, N], which none of them is after.

        Where a stream is present in a mask, its embedding must lie there. before: brings the stand-ins of a mask, where
        they are not the same for all.
        """
        out = np.empty((len(selects), len(self.fused)), np.float32)
        for row, mask in zip(out, selects, strict=True):
            if before is not None:
                before(mask)
            self.select[:] = mask
            self.run()
            row[:] = self.fused
        return out

    def through(self, selects: U8, weight: F32, bias: F32) -> Callable[[], F32] | None:
        """What gives `each` of masks [M, N] times weight [W, K], plus bias [K], in one kernel: [M, K], one array.

        To be called while `fused` is of a mask with all of their streams present. None where no kernel does it all.
        """
        return None

    @abstractmethod
    def run(self) -> None:
        """Compute `fused` from the embeddings, the mask and the stand-ins as they stand now."""
