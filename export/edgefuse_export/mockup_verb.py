"""The verb `mockup`: a bundle of random weights, of the size that a model will have, to be timed before training."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgefuse.command import finish


def options(parser: argparse.ArgumentParser) -> None:
    """What it is made from, and where it goes."""
    parser.add_argument(
        "spec", type=Path, help="YAML: sensors, sizes, encoders, operator; as configs/mockups/edge.yaml"
    )
    parser.add_argument("--out", type=Path, help="the bundle to write (default NAME.efb)")


def mockup(arguments: argparse.Namespace) -> int:
    """Draw the model and write it through the gate."""
    from edgefuse_export import mockup as mockups
    from edgefuse_export.package import export_recipe
    from edgefuse_export.report import describe

    spec = mockups.load_spec(arguments.spec)
    out = arguments.out or Path(f"{spec.name}.efb")
    report = export_recipe(out, mockups.mockup(spec))
    print(f"{describe(report)}\n{out} written: its weights are random, time it with `edgefuse bench --bundle {out}`")
    return finish(arguments, {"out": str(out), **report.as_json()})
