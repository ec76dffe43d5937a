"""The command line on the device: its verbs, their options, and what each prints."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgefuse import bench_verb, doctor_verb, explain_verb, inject_verb
from edgefuse.command import Row, finish, guarded, log, natural, parser_of, positive, to_terminal

_SOURCES = "site:seed=3, kitti:DIR, bag:PATH, tum:DIR, folder:DIR, video:FILE, device:0, nmea:FILE, ros2:"
_SINKS = "r.jsonl, r.mcap, ros2:, foxglove:8765, run.rrd, rerun:9876, prometheus:9464"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edgefuse VERB ...`; gives the exit status."""
    return guarded(parser_of("edgefuse", "Fused perception that answers at every tick.", _VERBS), argv, extra="report")


def _demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=natural, default=7, help="which simulated site (default 7)")
    parser.add_argument("--seconds", type=positive, default=30.0, help="how long (default 30)")
    parser.add_argument("--out", type=Path, help="also write the results as JSON lines")
    parser.add_argument(
        "--realtime", action="store_true", help="at the speed of the clock instead of as fast as it goes"
    )


def _run_options(parser: argparse.ArgumentParser) -> None:
    _bundle_option(parser)
    parser.add_argument("--source", required=True, help=f"a URI: {_SOURCES}")
    parser.add_argument("--config", type=Path, help="YAML configuration")
    parser.add_argument("--out", action="append", default=[], metavar="SINK", help=f"may be given again: {_SINKS}")
    parser.add_argument("--rate", type=positive, help="answers per second (default: tick_hz of the configuration)")
    parser.add_argument(
        "--realtime", action="store_true", help="at the speed of the clock instead of as fast as it goes"
    )


def _bundle_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", help="an .efb file (default: the reference bundle that edgefuse ships)")


def _inspect_options(parser: argparse.ArgumentParser) -> None:
    _verify_options(parser)
    parser.add_argument("--html", type=Path, help="also write the datasheet as a page (needs the extra `report`)")


def _verify_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", nargs="?", help="an .efb file (default: the reference bundle)")


def _report_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, help="a JSONL file of `edgefuse run --out`")
    told = "HTML page, or a picture: PNG, SVG or PDF (default report.html)"
    parser.add_argument("--out", type=Path, default=Path("report.html"), help=told)


def _demo(arguments: argparse.Namespace) -> int:
    from edgefuse.demo import demo

    options = {name: getattr(arguments, name) for name in ("seed", "seconds", "out", "realtime")}
    return finish(arguments, demo(print, **options, colour=sys.stdout.isatty()))


def _run(arguments: argparse.Namespace) -> int:
    from edgefuse.live import LiveTable
    from edgefuse.run import run
    from edgefuse.summary import describe

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's way to say Ctrl-C
    engine = _engine(arguments.bundle, arguments.config)
    live = LiveTable(to_terminal) if sys.stderr.isatty() else None
    summary, lost = run(
        engine,
        arguments.source,
        log,
        out=arguments.out,
        rate_hz=arguments.rate,
        realtime=arguments.realtime,
        config_place=str(arguments.config or "configuration"),
        live=live,
    )
    print(describe(summary))
    return finish(arguments, {**summary.as_json(), **lost}, 0 if lost["whole"] else 2)


def _inspect(arguments: argparse.Namespace) -> int:
    from edgefuse import bundle as bundles
    from edgefuse.contents import describe, facts
    from edgefuse.doctor import shipped_bundle

    bundle = bundles.read(arguments.bundle or shipped_bundle())
    known = facts(bundle)
    print(describe(known))
    if arguments.html is not None:
        from edgefuse.sheet_page import write_sheet

        write_sheet(arguments.html, bundle)
    return finish(arguments, known)


def _verify(arguments: argparse.Namespace) -> int:
    from edgefuse.verify import TOLERANCE, verify

    checks = verify(_engine(arguments.bundle, None))
    for check in checks:
        verdict = "passed" if check.passed else "FAILED"
        print(f"{verdict}  {check.worst:.2e} of {TOLERANCE:.0e}  {', '.join(check.streams)}")
    passed = bool(checks) and all(check.passed for check in checks)
    print(f"{sum(check.passed for check in checks)} of {len(checks)} golden moments answered as recorded")
    document = {"passed": passed, "checks": [check.as_json() for check in checks]}
    return finish(arguments, document, 0 if passed else 1)


def _report(arguments: argparse.Namespace) -> int:
    from edgefuse.report import draw, read_results
    from edgefuse.report_page import check_report, write_report

    check_report(arguments.out)
    results = read_results(arguments.results)
    if arguments.out.suffix.lower() in (".html", ".htm"):
        write_report(arguments.out, results, str(arguments.results))
    else:
        draw(results, arguments.out)
    print(f"{arguments.out}: {len(results)} results drawn")
    return finish(arguments, {"out": str(arguments.out), "results": len(results)})


def _engine(bundle: str | None, config: Path | None) -> Any:
    from edgefuse.doctor import shipped_bundle
    from edgefuse.engine import load

    return load(bundle or shipped_bundle(), config)


_VERBS: tuple[Row, ...] = (
    Row(
        "demo",
        "A simulated railway site whose sensors fail, answered by the bundle that edgefuse ships.",
        "demo --realtime",
        _demo,
        _demo_options,
    ),
    Row(
        "run",
        "Answer at every tick of a recording or a simulated site.",
        "run --source bag:drive.mcap --config robot.yaml --out r.jsonl",
        _run,
        _run_options,
    ),
    Row(
        "inspect",
        "What is in a bundle: streams, operator, outputs, and its measured accuracy by subset.",
        "inspect mine.efb --html sheet.html",
        _inspect,
        _inspect_options,
    ),
    Row(
        "verify",
        "Does a bundle give the answers here that its exporter recorded?",
        "verify mine.efb",
        _verify,
        _verify_options,
    ),
    Row(
        "bench",
        "How long an answer takes and costs here, against one graph and others, interleaved.",
        "bench --bundle mine.efb --scenarios fresh,subsets --out bench.html",
        bench_verb.bench,
        bench_verb.options,
    ),
    Row(
        "inject",
        "Put faults into a recording: noticed, survived, left behind?",
        "inject --source site:seed=3 --campaign configs/campaigns/quick.yaml --out faults.html",
        inject_verb.inject,
        inject_verb.options,
    ),
    Row(
        "explain",
        "How much camera and depth carry of the answers, patch by patch.",
        "explain --source site:seed=3 --out patches.html",
        explain_verb.explain,
        explain_verb.options,
    ),
    Row(
        "report",
        "What happened in a run, as a page (needs the extra `report`).",
        "report r.jsonl --out report.html",
        _report,
        _report_options,
    ),
    Row(
        "doctor",
        "What this machine gives the engine, and why; of a source, what it offers and how to run on it.",
        "doctor --source bag:drive.mcap",
        doctor_verb.doctor,
        doctor_verb.options,
    ),
)

if __name__ == "__main__":
    sys.exit(main())
