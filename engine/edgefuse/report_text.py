"""What happened in a run, in words: length, modes, which streams failed when and why, what was right, and latency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from edgefuse.report_run import Result, Run, Stretch, awaited, clock, lasted, outages, right
from edgefuse.scores import MODES

MOST_TOLD = 5  # failures in words; the page's table has more

_ALL = {
    "full": "All of them were full: every stream that was asked for was fresh.",
    "degraded": "All of them were degraded: some stream was always held, imputed or absent.",
    "abstain": "All of them were abstentions: what the configuration demands was never met.",
    "blind": "The run was blind throughout: no stream was ever there, and each answer is the model's learned prior.",
}
_NAMED = {"abstain": "abstentions"}


def words(run: Run) -> str:
    """The first paragraph of a report."""
    parts = [_answered(run), *_paused(run), _modes(run), *_failed(run), *_right(run), *_took(run)]
    return " ".join(parts)


def mode_counts(run: Run) -> dict[str, int]:
    """Answers by mode: the known modes in their order, then whatever else the lines say."""
    counts = Counter(str(result["mode"]) for result in run.results)
    return {mode: counts[mode] for mode in (*MODES, *sorted(counts.keys() - set(MODES))) if counts[mode]}


def share(part: int, whole: int) -> str:
    """A share as a percentage, which is 100 or 0 only where nothing or all is missing."""
    rounded = round(100.0 * part / whole, 1)
    if 0 < part < whole:
        rounded = min(max(rounded, 0.1), 99.9)
    return f"{rounded:.1f}%"


def ms(value: float) -> str:
    """Milliseconds to about three digits."""
    digits = next((d for d, above in ((0, 100.0), (1, 10.0), (2, 1.0)) if abs(value) >= above), 3)
    return f"{value:.{digits}f}"


def totals_ms(run: Run) -> list[float]:
    """How long each answer took, of those that say it."""
    return [result["timing_ms"]["total"] for result in run.results if "total" in result.get("timing_ms", {})]


def mean_expected(results: Sequence[Result]) -> float | None:
    """What the datasheet expected on average, of answers that say it."""
    known = [result["expected"]["value"] for result in results if result.get("expected")]
    return float(np.mean(known)) if known else None


def _answered(run: Run) -> str:
    count = len(run.results)
    if count == 1:
        return f"The bundle {run.bundle} answered once."
    every = f", one every {lasted(run.period_s)}" if run.period_s else ""
    form = "" if run.length_s < 600.0 else "; times are hours:minutes:seconds after the first of them"
    return f"The bundle {run.bundle} gave {count:,} answers in {lasted(run.length_s)}{every}{form}."


def _paused(run: Run) -> list[str]:
    if not run.pauses:
        return []
    (from_s, lasts_s), times = run.pauses[0], len(run.pauses)
    often = "once," if times == 1 else f"{times} times, the longest"
    return [f"The answers themselves stopped {often} for {lasted(lasts_s)} from {clock(run, from_s)} on."]


def _modes(run: Run) -> str:
    counts, whole = mode_counts(run), len(run.results)
    if whole == 1:
        return f"Its mode was {next(iter(counts))}."
    if len(counts) == 1:
        (mode,) = counts
        return _ALL.get(mode, f"All of them were {mode}.")
    return f"Of these {_listed([f'{share(n, whole)} were {_NAMED.get(mode, mode)}' for mode, n in counts.items()])}."


def _failed(run: Run) -> list[str]:
    """Which streams were out from first to last, which failed when and why, and how long the start took."""
    found = outages(run)
    starts = [one for one in found if awaited(run, one)]
    always = [one for one in found if one.end - one.begin == len(run.results)]
    failed = [one for one in found if one not in starts and one not in always]
    told = [_always(always)] if always else []
    if failed:
        told.append(_stretches(run, failed))
    elif not always:
        told.append("No stream failed.")
    if starts:
        last = max(starts, key=lambda one: one.end)
        told.append(f"The last to deliver for the first time was {last.stream}, after {lasted(last.lasts_s)}.")
    return told


def _always(always: Sequence[Stretch]) -> str:
    named = [f"{one.stream} ({', '.join(one.reasons)})" for one in always]
    return f"From the first answer to the last {_listed(named)} {'was' if len(named) == 1 else 'were'} out."


def _stretches(run: Run, failed: Sequence[Stretch]) -> str:
    shown = [_stretch(run, one) for one in failed[:MOST_TOLD]]
    if len(failed) == 1:
        return f"One stream failed, once: {shown[0]}."
    names = list(dict.fromkeys(one.stream for one in failed))
    streams = _listed(names) if len(names) <= MOST_TOLD else f"{len(names)} streams"
    rest = f"; {len(failed) - MOST_TOLD} more, none longer" if len(failed) > MOST_TOLD else ""
    return f"There were {len(failed)} failures, of {streams}, the longest first: {'; '.join(shown)}{rest}."


def _stretch(run: Run, one: Stretch) -> str:
    until = ", to the end" if one.end == len(run.results) else ""
    return f"{one.stream} for {lasted(one.lasts_s)} from {clock(run, one.from_s)} on ({', '.join(one.reasons)}{until})"


def _right(run: Run) -> list[str]:
    """What the answers got right, output by output, and what the datasheet expected of them."""
    if run.results[0].get("in_domain") is False:
        return ["The samples come from another world than the model's, so its answers mean nothing here."]
    told = [line for output in run.results[0]["labels"] if (line := _right_of(run, output))]
    return [*(told or ["The source did not know the truth, so nothing is said of what was right."]), *_expected(run)]


def _right_of(run: Run, output: str) -> str:
    known = [hit for result in run.results if (hit := right(result, output)) is not None]
    if not known:
        return ""
    of = "the answers" if len(known) == len(run.results) else f"the {len(known):,} answers whose truth is known"
    return f"The output {output} was right in {share(sum(known), len(known))} of {of}."


def _expected(run: Run) -> list[str]:
    told = [result for result in run.results if result.get("expected")]
    value = mean_expected(told)
    if value is None:
        return []
    of = "them" if len(told) == len(run.results) else f"{len(told):,} of them"
    return [f"The datasheet expected of {of} a mean {told[0]['expected']['metric']} of {value:.3f}."]


def _took(run: Run) -> list[str]:
    totals = totals_ms(run)
    if not totals:
        return []
    if len(totals) == 1:
        return [f"It took {ms(totals[0])} ms."]
    half, most, worst = (float(np.percentile(totals, q)) for q in (50.0, 99.0, 100.0))
    return [f"Half of the answers took {ms(half)} ms or less and 99% {ms(most)} ms; the slowest took {ms(worst)} ms."]


def _listed(parts: Sequence[str]) -> str:
    """One, two and three."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
