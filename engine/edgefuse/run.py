"""Run: a source through an engine into a file, told as it goes: changes of mode, faults, skipped files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from msgspec.structs import asdict

from edgefuse.asked import refuse_gap
from edgefuse.engine import Engine
from edgefuse.feeds import unfed
from edgefuse.live import LiveTable
from edgefuse.replay import Tick, injected, replay, same_world
from edgefuse.sinks import Beside, Setting, Sink, open_sink
from edgefuse.sources import Source, open_source
from edgefuse.summary import Span, Summary
from edgefuse.types import Sample

Tell = Callable[[str], None]

MOST_PROBLEMS = 10  # told one by one; the rest as a number


def run(
    engine: Engine,
    uri: str,
    tell: Tell,
    *,
    out: Sequence[str] = (),
    rate_hz: float | None = None,
    realtime: bool = False,
    config_place: str = "configuration",
    live: LiveTable | None = None,
) -> tuple[Summary, dict[str, Any]]:
    """Every tick of the source at `uri`; gives the summary, and what was skipped and became of every sample.

    out: paths and URIs of sinks, see `edgefuse.sinks`. live: shows each result too, and takes the lines that are told
    meanwhile. An interrupt ends it, with what was done so far written and told.
    """
    opened = open_source(uri)
    opened.want(plan.topic for plan in engine.plan.streams)
    source = injected(engine, opened, config_place)
    lost = unfed(engine.plan, source.topics, config_place) if source.topics else []
    for line in (*lost, *_notes(engine, source)):
        tell(line)
    rate_hz = rate_hz or engine.plan.config.tick_hz
    if engine.plan.config.max_tick_gap_ms is not None:
        refuse_gap(engine.plan.config.max_tick_gap_ms, rate_hz, config_place)
    setting = Setting({plan.name: plan.modality.kind for plan in engine.plan.streams}, source.live, tell)
    sinks = [open_sink(target, setting) for target in out]
    if live is not None:
        live.expect(source.length_s)
    watcher = _Watcher(tell, live, source)
    summary, whole = drive(engine, source, sinks, rate_hz, realtime, watcher.watch)
    watcher.skipped()
    if live is not None:
        live.close()
    stopped = [] if whole else ["stopped: this is what was answered so far; files that are not whole end in .part"]
    for line in (*_problem_lines(source), *_dropped_lines(out, sinks), *stopped):
        tell(line)
    return summary, {"whole": whole, **losses(engine, source)}


class _Watcher:
    """Tells what changes while a run goes on, and what was skipped when it is met, not when all is over."""

    def __init__(self, tell: Tell, live: LiveTable | None, source: Source) -> None:
        self._say, self._live, self._source = (tell if live is None else live.above), live, source
        self._told = 0

    def watch(self, tick: Tick, span: Span | None) -> None:
        """An answer, and the span that it begins, where it begins one."""
        self.skipped()
        if span is not None:
            self._say(span_line(span))
        if self._live is not None:
            self._live.show(tick.result)

    def skipped(self) -> None:
        """Tell the problems that were not told yet."""
        for problem in self._source.problems[self._told : MOST_PROBLEMS]:
            self._say(f"skipped: {problem.place}: {problem.what}")
        self._told = len(self._source.problems)


def drive(
    engine: Engine,
    source: Source,
    sinks: Sequence[Sink],
    rate_hz: float,
    realtime: bool,
    watch: Callable[[Tick, Span | None], None],
) -> tuple[Summary, bool]:
    """Every tick of the source to the sinks, the summary and the watcher, who also gets each new span.

    Gives the summary, and whether it is of the whole source, which an interrupt may have prevented.
    """
    summary = Summary()

    def tap(stream: str, sample: Sample) -> None:
        for sink in sinks:
            sink.sample(stream, sample)

    with suppress(KeyboardInterrupt), ExitStack() as stack:
        for sink in sinks:
            stack.enter_context(sink)
        # A live source has no other end; of a recording the rest is missing, and no file may pass for whole.
        with suppress(*([KeyboardInterrupt] if source.live else [])):
            for tick in replay(engine, source, tick_hz=rate_hz, realtime=realtime, tap=tap if sinks else None):
                for sink in sinks:
                    sink.write(tick.result, tick.truth)
                watch(tick, summary.add(tick.result, tick.truth))
        return summary, True
    return summary, False


def span_line(span: Span) -> str:
    """What changed, and when: mode, streams in use, faults."""
    used = ", ".join(span.used) or "nothing"
    faults = f"  ({'; '.join(span.faults)})" if span.faults else ""
    return f"{span.from_s:8.2f} s  {span.mode:<9} from {used}{faults}"


def losses(engine: Engine, source: Source) -> dict[str, Any]:
    """What the source skipped, what became of every sample, and who computed the answers, JSON-ready."""
    problems = [asdict(problem) for problem in source.problems]
    skipped = sum(problem.count for problem in source.problems)
    computed = {"provider": engine.parts.provider, "refused": list(map(str, engine.parts.refused))}
    return {"skipped": skipped, "problems": problems, "samples": engine.accounts(), **computed}


def _notes(engine: Engine, source: Source) -> Iterator[str]:
    """What a reader of the results has to know of them."""
    manifest = engine.bundle.manifest
    if same_world(engine, source) is False:
        theirs = source.domain
        yield f"note: the model was trained on {manifest.domain!r}, this is {theirs!r}: its outputs mean nothing here"
    if engine.plan.config.explain and manifest.fallback.subset_trained is False:
        yield "note: the model was not trained to answer from subsets: attributions say little of the world"


def _problem_lines(source: Source) -> list[str]:
    """What was told when it was met, with how often it came since; and how much more there was."""
    often = [problem for problem in source.problems[:MOST_PROBLEMS] if problem.count > 1]
    lines = [f"skipped: {problem.place}: {problem.what} ({problem.count} times)" for problem in often]
    more = sum(problem.count for problem in source.problems[MOST_PROBLEMS:])
    return [*lines, f"skipped: {more} more"] if more > 0 else lines


def _dropped_lines(out: Sequence[str], sinks: Sequence[Sink]) -> list[str]:
    """Which sinks did not keep up."""
    pairs = zip(out, sinks, strict=True)
    slow = [(target, sink.dropped) for target, sink in pairs if isinstance(sink, Beside) and sink.dropped]
    return [f"note: {target}: did not keep up: {dropped} samples and results were left out" for target, dropped in slow]
