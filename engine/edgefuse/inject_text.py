"""What a campaign found, for a person: in words, as a table of lines, and the limits that are broken."""

from __future__ import annotations

from collections.abc import Sequence

from edgefuse.campaign import due
from edgefuse.limits import Check, by_limit
from edgefuse.outcome import Outcome, Row

COLUMNS = ("fault", "stream", "noticed", "after", "as", "back after", "right", "clean", "left (RA)")
_WIDTHS = (19, 14, 8, 16, 26, 16, 16, 6, 9)


def describe(outcome: Outcome, checks: Sequence[Check]) -> str:
    """The whole of it as lines: words, table, retention, limits; each broken limit on a line of its own."""
    table = [COLUMNS, *(cells(row) for row in outcome.rows)]
    broken = [f"BROKEN  {check.line()}" for check in checks if not check.kept]
    return "\n".join(
        [
            *words(outcome, checks),
            "",
            *(_line(row) for row in table),
            "",
            *_retention(outcome),
            *_limit_lines(checks),
            *broken,
        ]
    )


def words(outcome: Outcome, checks: Sequence[Check]) -> list[str]:
    """What happened, as a few sentences."""
    return [
        _put_in(outcome),
        *_stopped(outcome),
        _answered(outcome),
        *_noticed(outcome),
        *_recovered(outcome),
        _alarmed(outcome),
        *_right(outcome),
        _kept(checks),
    ]


def cells(row: Row) -> tuple[str, ...]:
    """One row of the table, in the order of COLUMNS."""
    return (
        row.kind,
        row.stream,
        _noticed_cell(row),
        _latency(row, "detection") if row.detected else "",
        ", ".join(row.reasons),
        _latency(row, "recovery") if row.recovered == len(row.changed) else "never",
        " ".join(share(own.value) for own, _ in row.shares.values()),
        share(row.clean_accuracy),
        share(row.ra, ""),
    )


def share(value: float | None, unknown: str = "-") -> str:
    """A share as a percentage."""
    return unknown if value is None else f"{value:.1%}"


def _retention(outcome: Outcome) -> list[str]:
    left = [f"{stream} {share(kept)}" for stream, kept in outcome.retention.items() if kept is not None]
    return [f"Left of the clean accuracy without a stream: {', '.join(left)}."] if left else []


def _line(row: Sequence[str]) -> str:
    return " ".join(f"{cell:<{width}}" for cell, width in zip(row, _WIDTHS, strict=True)).rstrip()


def _noticed_cell(row: Row) -> str:
    changed = len(row.changed)
    if not changed:
        return "no harm"
    told = {0: "no", changed: "yes"}.get(row.detected, f"{row.detected} of {changed}")
    return told if due(row.kind) else f"({told})"


def _latency(row: Row, what: str) -> str:
    if not row.changed:
        return ""
    return f"{row.worst(f'{what}_ticks')} t, {row.worst(f'{what}_samples')} samples"


def _put_in(outcome: Outcome) -> str:
    how = "one at a time" if outcome.campaign.mode == "each" else "at random times"
    what = f"{len(outcome.faults)} faults of {len({row.kind for row in outcome.rows})} kinds were put {how}"
    name, version = outcome.bundle
    return (
        f"{what} into {outcome.length_s:.0f} s of {outcome.source}, on {', '.join(outcome.streams)}, "
        f"and answered by {name} {version} at {outcome.tick_hz:g} Hz."
    )


def _stopped(outcome: Outcome) -> list[str]:
    told = f"It was stopped with {outcome.left_out} replays undone, of which nothing is said."
    return [told] if outcome.left_out else []


def _answered(outcome: Outcome) -> str:
    ticks, answers = (sum(getattr(trial, name) for trial in outcome.replays) for name in ("ticks", "answers"))
    broken = sum(trial.broken_outputs for trial in outcome.replays)
    raised = sum(trial.error is not None for trial in outcome.replays)
    whole = "all of them finite" if not broken else f"{broken} of them not finite"
    tail = f"; {raised} replays ended in an exception" if raised else ""
    return f"There were {answers:,} answers for {ticks:,} ticks in {len(outcome.replays):,} replays, {whole}{tail}."


def _noticed(outcome: Outcome) -> list[str]:
    wanted = [fault for fault in outcome.faults if due(fault.fault.kind) and fault.changed]
    if not wanted:
        return []
    missed = sum(fault.undetected for fault in wanted)
    told = f"Of {len(wanted)} faults that must be noticed {len(wanted) - missed} were"
    rows = [row for row in outcome.rows if due(row.kind)]
    return [told + _slowest(rows, "detection_ticks", ", the slowest {ticks} ticks after it could be ({what})") + "."]


def _recovered(outcome: Outcome) -> list[str]:
    changed = [fault for fault in outcome.faults if fault.changed]
    if not changed:
        return []
    back = sum(fault.recovered is not None for fault in changed)
    told = f"After {back} of {len(changed)} faults the stream was trusted again"
    return [told + _slowest(outcome.rows, "recovery_ticks", ", at the latest {ticks} ticks on ({what})") + "."]


def _slowest(rows: Sequence[Row], figure: str, told: str) -> str:
    known = [(ticks, row) for row in rows if (ticks := row.worst(figure)) is not None]
    if not known:
        return ""
    ticks, row = max(known, key=lambda pair: pair[0])
    return told.format(ticks=ticks, what=f"{row.kind} on {row.stream}")


def _alarmed(outcome: Outcome) -> str:
    clean, alarms = outcome.clean.false_alarms, outcome.false_alarms
    if not alarms:
        return "No sound stream was taken out."
    (stream, reason), ticks = alarms.most_common(1)[0]
    told = f"Streams without a fault were taken out for {alarms.total()} ticks, {clean.total()} of them"
    return f"{told} in the replay without any; most often {stream} as {reason} ({ticks})."


def _right(outcome: Outcome) -> list[str]:
    if outcome.clean_share.value is None:
        return ["The source does not know the right answers, so nothing is said of accuracy."]
    clean = f"Without faults {share(outcome.clean_share.value)} of the answers are right"
    known = [row for row in outcome.corruptions if row.ra is not None]
    if not known:
        return [f"{clean}."]
    worst = min(known, key=lambda row: row.ra or 0.0)
    least = f"least under {worst.kind} on {worst.stream}, {share(worst.ra)}"
    return [f"{clean}; under corruptions {share(outcome.mra)} of that is left on average (mRA), {least}."]


def _kept(checks: Sequence[Check]) -> str:
    groups = by_limit(checks)
    broken = [name for name, group in groups.items() if not group[0].kept]
    if not broken:
        return f"All {len(groups)} limits were kept."
    return f"Of {len(groups)} limits {len(broken)} were broken: {', '.join(broken)}."


def _limit_lines(checks: Sequence[Check]) -> list[str]:
    lines = []
    for name, group in by_limit(checks).items():
        missed = sum(not check.kept for check in group)
        verdict = f"{missed} of {len(group)} checks broken" if missed else f"kept in {len(group)} checks"
        lines.append(f"  {name:<22} {verdict}")
    return ["Limits:", *lines]
