"""What both command lines share: verbs with options, every known error as one line, and the exit status.

Status 0: done. 1: the thing that was checked fails. 2: wrong usage or bad input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from edgefuse.complaints import Wrong
from edgefuse.errors import EdgefuseError

_AsTold = argparse.RawDescriptionHelpFormatter  # breaks no example
Verb = Callable[[argparse.Namespace], int]


class Row(NamedTuple):
    """A verb: its name, what it is for, a line that one could type, what it does, and its options."""

    name: str
    help: str
    example: str
    verb: Verb
    options: Callable[[argparse.ArgumentParser], None]


# The extra that brings a module; what is not listed belongs to the verb's own.
_EXTRAS = {
    "matplotlib": "report",
    "mcap": "bag",
    "rosbags": "bag",
    "pynmeagps": "nmea",
    "serial": "nmea",
    "cyclonedds": "ros2",
    "foxglove": "foxglove",
    "rerun": "rerun",
    "prometheus_client": "prometheus",
    "shtab": "completion",
}


def guarded(parser: argparse.ArgumentParser, argv: Sequence[str] | None, *, extra: str) -> int:
    """Parse and run the verb; known errors become one line on stderr and status 2.

    extra: the optional dependencies that a verb may need, for the advice when they are not installed.
    """
    arguments = parser.parse_args(argv)
    verb: Verb = arguments.verb
    try:
        return verb(arguments)
    except (EdgefuseError, Wrong) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        wanted = _EXTRAS.get((error.name or "").partition(".")[0], extra)
        print(f"{parser.prog}: needs {error.name}: pip install 'edgefuse[{wanted}]'", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped", file=sys.stderr)
    except BrokenPipeError:
        # The reader of our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 2


def parser_of(prog: str, description: str, rows: Sequence[Row]) -> argparse.ArgumentParser:
    """A parser of verbs, each with its options and `--json`."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for row in rows:
        example = f"example: {prog} {row.example}"
        sub = verbs.add_parser(row.name, help=row.help, description=row.help, epilog=example, formatter_class=_AsTold)
        row.options(sub)
        sub.add_argument("--json", action="store_true", help="print one JSON document as the last line of stdout")
        sub.set_defaults(verb=row.verb)
    _add_completion(parser, verbs)
    return parser


def _add_completion(parser: argparse.ArgumentParser, verbs: Any) -> None:
    """A verb that prints what a shell needs to complete all the others."""
    told = "Print what completes these verbs and options in a shell (needs the extra `completion`)."
    into = f"~/.local/share/bash-completion/completions/{parser.prog}"
    example = f"example: {parser.prog} completion bash > {into}"
    sub = verbs.add_parser("completion", help=told, description=told, epilog=example, formatter_class=_AsTold)
    sub.add_argument("shell", choices=("bash", "zsh", "tcsh"))

    def complete(arguments: argparse.Namespace) -> int:
        import shtab

        print(shtab.complete(parser, arguments.shell))
        return 0

    sub.set_defaults(verb=complete)


def finish(arguments: argparse.Namespace, document: dict[str, Any], status: int = 0) -> int:
    """Print the document where `--json` asks for it; gives the status."""
    if arguments.json:
        print(json.dumps(document, allow_nan=False))
    return status


def positive(text: str) -> float:
    """A number above 0 and below a million, for argparse."""
    value = float(text)
    if not 0.0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def natural(text: str) -> int:
    """A whole number from 0, for argparse."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def counted(text: str) -> int:
    """A whole number from 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value


def log(line: str) -> None:
    """One line for a person, beside what is printed."""
    print(line, file=sys.stderr)


def to_terminal(text: str) -> None:
    """Text as it is, at once."""
    sys.stderr.write(text)
    sys.stderr.flush()
