"""The verb `bench`: which bundle, which scenarios, how long, against whom; or two reports compared."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefuse.command import finish
from edgefuse.schema import changed

if TYPE_CHECKING:
    from edgefuse.bench.section import Section


def options(parser: argparse.ArgumentParser) -> None:
    """All of it has defaults."""
    add = parser.add_argument
    add("--bundle", help="an .efb file (default: the reference bundle that edgefuse ships)")
    add("--config", type=Path, help="YAML configuration of the engine")
    add("--scenarios", help="as fresh,subsets (default: all)")
    add("--profile", type=Path, help="YAML: rounds, rates, gaps and all else that says how long")
    add("--rounds", type=_rounds, help="rounds of every race (default 2000)")
    add("--peers", action="store_true", help="also what others would use instead: torch, OpenVINO (where installed)")
    add("--out", type=Path, help="write one HTML page (needs the extra `report`)")
    add("--budget", type=Path, help="YAML: ratios and shares that must hold; status 1 where one does not")
    add(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="two files with reports (`--json`): B against A; measures nothing",
    )
    add("--kernels", action="store_true", help="the fusion kernels alone, against other runtimes")


def bench(arguments: argparse.Namespace) -> int:
    """Measure and print, or compare."""
    if arguments.compare is not None:
        return _compare(arguments)
    return _kernels(arguments) if arguments.kernels else _measure(arguments)


def _measure(arguments: argparse.Namespace) -> int:
    from edgefuse.bench.budget import checked, describe, load_budget
    from edgefuse.bench.page import page_writer
    from edgefuse.bench.profile import Profile, load_profile
    from edgefuse.bench.report import SCENARIOS, measured
    from edgefuse.bench.text import describe as told
    from edgefuse.bench.text import describe_section
    from edgefuse.doctor import shipped_bundle
    from edgefuse.engine import load

    profile = load_profile(arguments.profile) if arguments.profile is not None else Profile()
    if arguments.rounds is not None:
        profile = changed(profile, rounds=arguments.rounds)
    budget = None if arguments.budget is None else load_budget(arguments.budget)
    write = None if arguments.out is None else page_writer(arguments.out)
    engine = load(arguments.bundle or shipped_bundle(), arguments.config)
    asked = list(SCENARIOS) if arguments.scenarios is None else arguments.scenarios.split(",")
    scenarios = [name.strip() for name in asked]
    peers = _peers() if arguments.peers else None

    def tell(section: Section) -> None:
        print(describe_section(section), flush=True)

    report = measured(engine, profile, scenarios, peers, tell)
    print(told(report))
    if write is not None:
        write(report)
    document: dict[str, Any] = report.as_json()
    checks = [] if budget is None else checked(budget, document["scenarios"])
    for line in describe(checks):
        print(line)
    if budget is not None:
        document["budget"] = [check.as_json() for check in checks]
    kept = all(check.kept for check in checks)
    return finish(arguments, document, 2 if not report.whole else 0 if kept else 1)


def _peers() -> Any:
    """What makes the contenders that need torch; they live with the exporter, as the engine never imports it."""
    import importlib

    from edgefuse.errors import UsageError

    try:
        return importlib.import_module("edgefuse_export.peers").peers
    except ModuleNotFoundError as error:
        raise UsageError(f"bench: --peers needs {error.name}: pip install 'edgefuse[export]'") from error


def _compare(arguments: argparse.Namespace) -> int:
    from edgefuse.bench.compare import compare, describe, read_report

    found = compare(*(read_report(path) for path in arguments.compare))
    print(describe(found))
    return finish(arguments, found.as_json(), 1 if found.refused else 0)


def _kernels(arguments: argparse.Namespace) -> int:
    from edgefuse.bench.kernels import bench_kernels, describe

    measured = bench_kernels(rounds=arguments.rounds or 2000)
    print(describe(measured))
    return finish(arguments, measured)


def _rounds(text: str) -> int:
    value = int(text)
    if value < 100:
        raise argparse.ArgumentTypeError("fewer than 100 rounds say nothing about p99")
    return value
