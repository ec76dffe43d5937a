"""How figures of a page are drawn: in the page's own text colour and typeface, readable on a telephone."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from edgefuse.page import plain_svg

# What is drawn in INK takes the colour of the page's text.
INK = "#010203"
WIDTH_IN = 5.6  # narrow enough to be read on a telephone

_STYLE: Any = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    "svg.fonttype": "none",  # words stay words, in the page's own typeface
    "svg.hashsalt": "edgefuse",
    "font.family": "sans-serif",
    "font.size": 9,
}


def drawn(draw: Callable[[Any], Any]) -> str:
    """The SVG of the figure that `draw` makes with pyplot."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(_STYLE):
        figure, picture = draw(pyplot), io.StringIO()
        figure.savefig(picture, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)
    return plain_svg(picture.getvalue()).replace(INK, "currentColor")
