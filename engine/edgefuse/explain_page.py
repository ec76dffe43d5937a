"""The page of an explanation: the table, and pictures with what their patches made laid over them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgefuse.drawing import WIDTH_IN, drawn
from edgefuse.explain import Explained, Told, seconds
from edgefuse.page import Block, Cell, Figure, Heading, Paragraph, Table, Text, check_writable, write_page

SHOWN = 6  # moments drawn


def page_writer(out: Path, source: str) -> Callable[[Explained], None]:
    """What writes the page to `out`; fails now, not after the work, where it could be neither drawn nor written."""
    import matplotlib  # noqa: F401

    check_writable(out)
    return lambda found: write_page(out, f"What the answers to {source} rest on", blocks_of(found))


def blocks_of(found: Explained) -> list[Block]:
    """Everything on the page. Needs Matplotlib."""
    first_ns = found.told[0].moment.t_ns
    chosen = found.told[:: max(1, len(found.told) // SHOWN)][:SHOWN]
    return [
        Paragraph(_words(found)),
        *(Paragraph(f"Note: {note}.") for note in found.notes),
        _table(found),
        Heading("Pictures"),
        Paragraph(
            "Red patches speak for the answer, blue ones against it; the scale is each moment's own. A picture is as "
            "the encoder takes it."
        ),
        *(_figure(told, first_ns) for told in chosen),
    ]


def _words(found: Explained) -> str:
    parts = ", ".join(f"{name} {100 * share:.0f} %" for name, share in found.rows[0].shares.items())
    return (
        f"Over {len(found.told)} moments the pictures carry the logit of each answer in these parts: {parts}, with a "
        f"standard error of {100 * found.rows[0].error:.1f} points. These are shares of the absolute Shapley values of "
        f"their patches (MM-SHAP), the other streams staying as they were; sampling adds {100 * found.sampling:.1f} "
        "points within each moment. Noise counts as share too: parts near the number of patches say little."
    )


def _table(found: Explained) -> Table:
    rows: tuple[tuple[Text, ...], ...] = tuple(
        (
            row.what,
            Cell(str(row.n), number=True),
            *(Cell(f"{100 * row.shares[name]:.1f}", number=True) for name in found.streams),
            Cell(f"{100 * row.error:.1f}", number=True),
        )
        for row in found.rows
    )
    return Table("Mean share in percent, by moments", ("moments", "n", *found.streams, "+-"), rows)


def _figure(told: Told, first_ns: int) -> Figure:
    truth = "" if told.moment.truth is None else f", in truth {told.moment.truth}"
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in told.patches.shares.items())
    caption = f"{seconds(told.moment, first_ns):.0f} s: {told.label}{truth}. {shares}"
    return Figure(caption, f"pictures with patches: {caption}", drawn(partial(_overlays, told=told)))


def _overlays(pyplot: Any, told: Told) -> Any:
    names = list(told.patches.phi)
    figure, axes = pyplot.subplots(1, len(names), figsize=(WIDTH_IN, 2.2), squeeze=False)
    most = max(float(np.abs(phi).max()) for phi in told.patches.phi.values()) or 1.0
    for axis, name in zip(axes[0], names, strict=True):
        picture = told.moment.tensors[name]
        height, width = picture.shape[:2]
        axis.imshow(picture, cmap=None if picture.ndim == 3 else "gray")
        phi = told.patches.phi[name]
        axis.imshow(
            phi, cmap="RdBu_r", vmin=-most, vmax=most, alpha=0.5, extent=(-0.5, width - 0.5, height - 0.5, -0.5)
        )
        axis.set_title(name)
        axis.set_axis_off()
    return figure
