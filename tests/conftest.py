"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kernel_cases import ISAS, NUMPY, cpp


@pytest.fixture(params=[*ISAS, "numpy"])
def path(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each way to run the kernels: the C++ module on each instruction set, and NumPy."""
    if request.param == "numpy":
        yield NUMPY
        return
    before = cpp.isa()
    cpp.set_isa(request.param)
    yield cpp
    cpp.set_isa(before)
