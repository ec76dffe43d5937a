"""What both command lines share: verbs with options, every known error as one line, and the exit status.

Status 0: done. 1: the thing that was checked fails. 2: wrong usage or bad input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from edgefuse.errors import EdgefuseError

Verb = Callable[[argparse.Namespace], int]
Row = tuple[str, str, Verb, Callable[[argparse.ArgumentParser], None]]  # name, help, what it does, its options

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
}


def guarded(parser: argparse.ArgumentParser, argv: Sequence[str] | None, *, extra: str) -> int:
    """Parse and run the verb; known errors become one line on stderr and status 2.

    extra: the optional dependencies that a verb may need, for the advice when they are not installed.
    """
    arguments = parser.parse_args(argv)
    verb: Verb = arguments.verb
    try:
        return verb(arguments)
    except EdgefuseError as error:
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
    for name, help_text, verb, add_options in rows:
        sub = verbs.add_parser(name, help=help_text, description=help_text)
        add_options(sub)
        sub.add_argument("--json", action="store_true", help="print one JSON document as the last line of stdout")
        sub.set_defaults(verb=verb)
    return parser


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
