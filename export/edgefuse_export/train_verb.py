"""The verb `train`: its options as the settings of a training, and what it prints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from edgefuse.command import counted, finish, natural, positive

SETTINGS = ("operator", "dim", "hidden", "samples", "test_samples", "epochs", "batch", "seed", "minutes", "subsets")
RECIPE = ("drop_rate", "whole_weight", "distil")


def options(parser: argparse.ArgumentParser) -> None:
    """What is trained on, and where the run is kept."""
    add = parser.add_argument
    add("--data", default="site", help="site, digits[:DIR], utd-mhad:DIR or hydraulic:DIR (default site)")
    add("--out", type=Path, default=Path("runs/site"), help="folder of the run (default runs/site)")
    recipe_options(parser)


def recipe_options(parser: argparse.ArgumentParser) -> None:
    """What a training can be told; what is left out is the task's own."""
    from edgefuse.operators import OPERATORS

    add = parser.add_argument
    operators = [name for name in OPERATORS if name != "graph"]
    add(
        "--operator",
        choices=operators,
        metavar="NAME",
        help="a fusion operator of docs/operators (default multconcat)",
    )
    add("--dim", type=counted, help="width of the projected embeddings")
    add("--hidden", type=natural, help="width of a hidden layer in the head (default 0: linear)")
    add("--samples", type=counted, help="moments of the site to train on")
    add("--test-samples", type=counted, help="moments of other sites to measure on")
    add("--epochs", type=counted, help="passes over the moments")
    add("--batch", type=counted, help="moments in a step")
    add("--seed", type=natural, help="of weights, order, masks and noise")
    add("--minutes", type=positive, help="after which no further epoch begins, data included")
    absence = parser.add_argument_group("training for absence (docs/absence.md)")
    add = absence.add_argument
    add("--subsets", type=natural, help="random subsets that each batch is answered from; 0: the whole set alone")
    add("--drop-rate", metavar="R", help="how often a stream is left out: 0.5, camera=0.2,gps=0.6, or 0.5,gps=0.6")
    add("--whole-weight", type=float, help="share of the loss that is the whole set's")
    add("--distil", type=float, help="weight of what subsets learn from the whole set's answers")
    add("--presence-bits", action="store_true", help="the head reads which streams are present")
    add("--tokens", action="store_true", help="learn what stands for an absent stream")


def train(arguments: argparse.Namespace) -> int:
    """Train, and print the figures by subset."""
    from edgefuse_export.evaluate import table
    from edgefuse_export.run import train_run

    sheet, report = train_run(arguments.out, arguments.data, given(arguments))
    if report["stopped_early"]:
        print(f"edgefuse-export: time ran out after {len(report['losses'])} epochs", file=sys.stderr)
    print(table(sheet))
    return finish(arguments, report, 0)


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that the command line states."""
    known = {name: getattr(arguments, name) for name in (*SETTINGS, *RECIPE) if getattr(arguments, name) is not None}
    if "drop_rate" in known:
        known |= _rates(known.pop("drop_rate"))
    known |= {"presence_bits": True} if arguments.presence_bits else {}
    return known | ({"absent": "token"} if arguments.tokens else {})


def _rates(text: str) -> dict[str, Any]:
    """`0.5` of all, `camera=0.2,gps=0.6` of some, or `0.5,gps=0.6` of all but some. ExportError where it is neither."""
    from edgefuse_export.errors import ExportError

    try:
        first, *others = text.split(",")
        of_all = {} if "=" in first else {"drop_rate": float(first)}
        pairs = (part.split("=") for part in (others if of_all else (first, *others)))
        return {**of_all, "drop_rates": {name.strip(): float(rate) for name, rate in pairs}}
    except ValueError as error:
        raise ExportError(f"--drop-rate {text}: not a rate, nor stream=rate,stream=rate") from error
