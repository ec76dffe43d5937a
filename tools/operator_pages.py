"""Write docs/operators: a page for every row of the operator table, and an index; `make docs` runs it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path

from edgefuse.algebra import Operator
from edgefuse.joins import Join
from edgefuse.operators import OPERATORS
from edgefuse.reference import Activation
from edgefuse_export.graphs import GRAPHS

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "operators"
EMBEDDING, DIM, CLASSES = 512, 256, 16  # the sizes that costs are stated at
SMALL = {"tfn": 8}  # its width is (dim + 1) to the streams

_INDEX = """# Fusion operators

Every operator takes N embeddings and the set P of streams that are present, and gives one vector to the head. One row
of `edgefuse.operators.OPERATORS` says all that the engine, torch, the exporter and these pages know of it.

`u_i = act(W_i x_i + b_i)` is the projection of stream i; `||` puts blocks side by side; `|P|` is the number present.
What a stream means that is absent is a part of every formula: it is left out by selection, never multiplied by 0, so
that whatever lies in its memory changes no bit of the answer. With nothing present no operator runs: the model answers
its learned prior, flagged as `blind`.

Each of them was held against the others for every subset of six streams: torch, the portable graph in ONNX Runtime,
the engine, and a float64 reference written from the formulas alone.

| operator | | run by | weights read at N = {n} | when a stream is absent |
| --- | --- | --- | ---: | --- |
{rows}

Weights in KiB of float32 for N embeddings of {d} values joined at `dim` {dim} ({classes} classes where the operator
joins votes): reading them is what a single answer costs. How they compare on real data: [benchmark.md](benchmark.md).
"""

_PAGE = """# {title}: `{name}`

{use}

```text
{formula}
```

{setting}

**When a stream is absent:** {absent}.

**Source:** {paper}.

## Cost

{cost}

## In a model

```python
model = FusionModel(streams, {call}, dim={dim}, head=head, outputs=outputs{more})
```

The head receives float32 `[B, {width}]`{maps}. {backend}{note}
"""

# What one sentence does not say.
_NOTES = {
    "late_product": "`model.fit_prior(output, labels)` counts the classes for the prior that is corrected for.",
    "coordinated": """
Make the model with empty entries, train it with `contrastive_loss` between subsets of the sensors, then fill in the
known samples: each result names the nearest of them, whichever sensor is there.

```python
head, outputs = SimilarityHead(torch.zeros(len(names), 64)), [SimilarityOutput("place", names, top_k=5)]
model = FusionModel(streams, "coordinated", dim=64, head=head, outputs=outputs)
loss = contrastive_loss(model.fused({"camera": images}), model.fused({"lidar": clouds}))  # of the same moments
with torch.no_grad():  # when it is trained
    head.entries.copy_(model.eval().fused({"camera": images_of_known_places}))
```""",
    "early": """
The encoders of aligned inputs pass them on, such as `nn.Identity()`; with `grid=(rows, cols)` they give planes
`[B, d, rows, cols]` and the network is two 3x3 convolutions and a mean over the cells.""",
    "dynamic": """
Say the branches and the gate's streams, and add the cost to the loss; a cheap gate saves the dear encoders.

```python
dims = {"gps": 32, "lidar": 64, "camera": 64}
routing = Dynamic(dims, 64, branches=[["gps"], ["gps", "lidar"], list(dims)], gate_streams=["gps"])
model = FusionModel(streams, routing, dim=64, head=head, outputs=outputs)
loss = task_loss + 0.1 * routing.cost_loss()  # after a forward in training mode
```

Streams outside the chosen branch are reported as `absent` with the reason `not_asked`; the answer is still `full`.""",
    "graph": """
`my_module` has an attribute `width`, and its `forward(embeddings, present)` takes N tensors `[B, d_i]` and bool
`[B, N]`. It must select absent streams away (`torch.where`), not multiply by the mask: the export gate puts NaN into
absent inputs. A ready file comes in as `OnnxFusion("fusion.onnx", streams)`: inputs by stream name and `present`, each
with a free first axis, output `fused`.""",
}


def pages() -> dict[str, str]:
    """File name -> text, of every page and the index."""
    made = {f"{row.name}.md": page(row) for row in OPERATORS.values()}
    lines = [
        f"| [{row.title}]({row.name}.md) | `{row.name}` | {row.backend} | {_weight_cell(row)} | {row.absent_words} |"
        for row in OPERATORS.values()
    ]
    index = _INDEX.format(rows="\n".join(lines), n=4, d=EMBEDDING, dim=DIM, classes=CLASSES)
    return made | {"README.md": index}


def page(row: Operator) -> str:
    """The page of one operator."""
    return _PAGE.format(
        title=row.title,
        name=row.name,
        use=row.use,
        formula=row.formula,
        setting=_setting(row),
        absent=row.absent_words,
        paper=row.paper,
        cost=_cost(row),
        call=_call(row),
        dim="len(labels)" if row.classes else SMALL.get(row.name, 64),
        more=f", rank={row.default_rank}" if row.rank else "",
        width=_width_words(row),
        maps=", or maps `[B, width, H, W]` where the model has a `grid`" if _joins_into_maps(row) else "",
        backend=_backend(row),
        note=f"\n\n{_NOTES[row.name].strip()}" if row.name in _NOTES else "",
    )


def _setting(row: Operator) -> str:
    parts = []
    if row.exactly:
        parts.append(f"For exactly {row.exactly} streams.")
    if row.rank:
        parts.append(f"`rank`: {row.rank}, {row.default_rank} where the model does not say.")
    if row.join in (Join.GMU, Join.GMU_N, Join.PAIRS, Join.EXPERTS):
        parts.append("Each stream's projection holds both parts, side by side.")
    if row.activation == Activation.RELU:
        parts.append("Projections are rectified.")
    if row.multiplies:
        parts.append("Projections start near 1, so that the product of many neither vanishes nor loses its gradient.")
    return " ".join(parts) or "For any number of streams up to 16."


def _joins_into_maps(row: Operator) -> bool:
    return row.maps and row.backend == "kernel"


def _backend(row: Operator) -> str:
    if row.name == "graph":
        return "On the device it is one graph, `fusion.onnx`, with an input for each stream and `present`."
    if row.name == "dynamic":
        return "On the device the gate and every expert are graphs of their own; only those that are picked run."
    if row.backend == "graph":
        return (
            "On the device it is one graph, `fusion.onnx`; absent streams reach it as zeros and are masked out in it."
        )
    return "On the device it is a kernel: C++ where it was built, NumPy elsewhere; absent streams cost nothing."


def _call(row: Operator) -> str:
    return "my_module" if row.name == "graph" else f'"{row.name}"'


def _width_words(row: Operator) -> str:
    if row.name == "graph":
        return "my_module.width"
    return {1: "dim", 2: "2 dim"}.get(row.width(3, 7, 1) // 7, _blocks(row)) if row.name != "tfn" else "(dim + 1) ** N"


def _blocks(row: Operator) -> str:
    return "(N + 1) dim" if row.width(3, 7, 1) == 28 else "N dim"


def _dims(row: Operator, streams: int) -> tuple[Mapping[str, int], int]:
    dim = CLASSES if row.classes or row.name == "late_stacking" else SMALL.get(row.name, DIM)
    return {f"s{i}": EMBEDDING for i in range(row.exactly or streams)}, dim


def _weights(row: Operator, streams: int) -> int:
    """Parameters of the fusion at the stated sizes."""
    dims, dim = _dims(row, streams)
    if row.backend == "kernel":
        return row.weights(dims, dim, row.default_rank)
    return sum(math.prod(p.shape) for p in GRAPHS[row.name](dims, dim, row.default_rank, None).parameters())


def _weight_cell(row: Operator) -> str:
    return "yours" if row.name == "graph" else f"{_weights(row, 4) * 4 / 1024:,.0f}"


def _cost(row: Operator) -> str:
    if row.name == "graph":
        return "What your graph costs."
    counts = (row.exactly,) if row.exactly else (2, 4, 8) if row.name != "tfn" else (2, 4)
    _, dim = _dims(row, 2)
    lines = [f"| {n} | {_weights(row, n):,} | {_weights(row, n) * 4 / 1024:,.0f} |" for n in counts if n]
    sizes = f"embeddings of {EMBEDDING} values, `dim` {dim}" + (f", `rank` {row.default_rank}" if row.rank else "")
    table = "\n".join(["| streams | parameters | KiB of float32 |", "| ---: | ---: | ---: |", *lines])
    return f"{table}\n\nFor {sizes}. {_cost_words(row)}"


def _cost_words(row: Operator) -> str:
    if row.backend == "graph":
        return (
            "All of it is computed, whatever is present."
            if row.name != "dynamic"
            else "Only what is picked is computed."
        )
    if row.name.endswith("_late"):
        return "The projection and the block of an absent stream are not read."
    return "The projection of an absent stream is not read: with two of four present, half of the projections are."


def main() -> int:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
