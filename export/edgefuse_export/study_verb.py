"""The verb `study`: one bundle against a specialist for each subset, on a task; resumable."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgefuse.command import counted, finish
from edgefuse_export import train_verb


def options(parser: argparse.ArgumentParser) -> None:
    """Which task, how much of it, and where it is kept."""
    parser.add_argument("task", help="site, digits, utd-mhad or hydraulic")
    parser.add_argument("folder", nargs="?", help="of the recordings, where the task needs them")
    parser.add_argument("--seeds", type=counted, default=3, help="how often everything is trained (default 3)")
    parser.add_argument("--workers", type=counted, default=2, help="processes, one thread each (default 2)")
    parser.add_argument("--work", type=Path, help="where finished trainings are kept (default runs/study-TASK)")
    parser.add_argument("--out", type=Path, help="also write the table as Markdown")
    train_verb.recipe_options(parser)


def study(arguments: argparse.Namespace) -> int:
    """Train what is missing, and print the table; status 1 where the goal is not reached."""
    from edgefuse.files import write_whole
    from edgefuse_export import study as studies
    from edgefuse_export.errors import kept_in
    from edgefuse_export.run import progress
    from edgefuse_export.settings import Settings
    from edgefuse_export.study_table import markdown, text, verdict
    from edgefuse_export.tasks import open_task

    name = arguments.task if arguments.folder is None else f"{arguments.task}:{arguments.folder}"
    work = arguments.work or Path(f"runs/study-{arguments.task}")
    given = train_verb.given(arguments)
    task = open_task(name, Settings(**given), work, progress)
    plan = studies.Plan(name, Settings(**{**task.defaults, **given}), arguments.seeds, work)
    found = verdict(studies.study(plan, arguments.workers, progress), task.test.groups)
    print(text(found))
    if arguments.out is not None:
        with kept_in(arguments.out):
            write_whole(arguments.out, markdown(found).encode())
    return finish(arguments, found.as_json(), 0 if found.reached else 1)
