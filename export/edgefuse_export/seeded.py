"""Work whose bits depend on its seed alone: one thread, and torch's generator put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def alone(seed: int) -> Iterator[None]:
    """One thread, and torch's generator at `seed`: the bits do not depend on who else computes. Both are put back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
