"""The engine's sections: a whole tick against one graph, what it copies, and what explaining every answer adds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import asdict, replace

from edgefuse import Engine, RunConfig, bundle
from edgefuse.bench.contenders import Inputs, Outputs, Preparing
from edgefuse.bench.moments import Feed, Moment, moments
from edgefuse.bench.timing import interleave
from edgefuse.device import Device
from edgefuse.errors import BundleError, ConfigError, DeviceError
from edgefuse.placement import placement_of
from edgefuse.schema import changed
from edgefuse.session import Placement, Session
from edgefuse.shapley import MAX_PLAYERS
from edgefuse.types import F32, Result
from edgefuse.verify import TOLERANCE, distance

from .figures import Goal, Row, Section, ratio

OVER_GRAPH, EXPLAINED_OVER_PLAIN = Goal(0.7, at_least=False), Goal(1.1, at_least=False)
ENGINE, EXPLAINED = "engine", "engine, explained"
GRAPH, BOUND = "one graph, ONNX Runtime CUDA", "one graph, bound, as a CUDA graph"
WARM_UP, CHECKED = 20, 8  # ticks
ATTRIBUTION_TOLERANCE = 10 * TOLERANCE  # a value of a stream is a sum over differences of all subsets
HOW = "by host: a tick whose samples are all new, from the host's arrays to the outputs on the host"
CUDA = RunConfig(device="cuda")
_THEIRS = ("device_id", "use_tf32")  # of a provider's options those that make both compute alike; the rest is its own

Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Ticker:
    """Whoever answers. `counts` is asked after the timing, `wrong` last."""

    answer: Callable[[], object]
    wrong: Callable[[], str | None]
    counts: Callable[[], Mapping[str, float]] = dict


def whole_tick(path: Path, rounds: int) -> Section:
    """Against the same model as one graph, fed with arrays of the host, the same preprocessing included."""
    host = _host(path)
    played = moments(host.bundle)
    others = {GRAPH: _graph(host, played, _plain), BOUND: _graph(host, played, _bound)}
    rows = _race({ENGINE: _engine(host, CUDA, played), **others}, rounds)
    figures = [ratio(rows[0], rows[1], "host", OVER_GRAPH), ratio(rows[0], rows[2], "host")]
    return Section(f"tick of {host.bundle.manifest.name}", HOW, rows, figures)


def explained_tick(path: Path, rounds: int) -> Section:
    """Exact Shapley values over all subsets of the streams at every tick, against the tick without."""
    host = _host(path)
    played = moments(host.bundle)
    configs = {EXPLAINED: changed(CUDA, explain=True), ENGINE: CUDA}
    rows = _race({name: _engine(host, config, played) for name, config in configs.items()}, rounds)
    title = f"tick of {host.bundle.manifest.name}, each explained by exact Shapley values"
    return Section(title, HOW, rows, [ratio(rows[0], rows[1], "host", EXPLAINED_OVER_PLAIN)])


def _host(path: Path) -> Engine:
    """Whose answers are the truth, on the host; explained where that can be."""
    own = bundle.read(path)
    return Engine(own, RunConfig(explain=len(own.manifest.stream_names) <= MAX_PLAYERS))


def _race(tickers: Mapping[str, Ticker | str], rounds: int) -> list[Row]:
    there = {name: own for name, own in tickers.items() if not isinstance(own, str)}
    timed = {t.name: 1e3 * t.ms for t in interleave({n: own.answer for n, own in there.items()}, rounds, WARM_UP)}
    counts = {name: own.counts() for name, own in there.items()}
    return [
        Row(name, missing=own)
        if isinstance(own, str)
        else Row(name, host_us=timed[name], wrong=own.wrong(), counts=counts[name])
        for name, own in tickers.items()
    ]


def _engine(host: Engine, config: RunConfig, played: Sequence[Moment]) -> Ticker | str:
    """The engine on the device; or why it cannot be had there."""
    try:
        engine = Engine(host.bundle, config)
    except ConfigError as error:
        return str(error)
    feed = Feed(engine, played)
    feed.settle()
    return Ticker(feed.answer, lambda: _engine_wrong(engine, host, played), lambda: _traffic(engine, feed))


def _engine_wrong(engine: Engine, host: Engine, played: Sequence[Moment]) -> str | None:
    """Why its answers are not those of the host from the same samples pushed, if they are not."""
    mine, truth = Feed(engine, played), Feed(host, played)
    for _ in range(CHECKED):
        if (why := unlike(mine.answer(), truth.answer(), engine.plan.config.explain)) is not None:
            return why
    return None if engine.parts.provider == "cuda" else f"is computed by {engine.parts.provider}"


def unlike(found: Result, truth: Result, explained: bool) -> str | None:
    """What keeps a result from being the other, up to rounding."""
    if (found.mode, found.used) != (truth.mode, truth.used):
        return f"is {found.mode} from {found.used}, not {truth.mode} from {truth.used}"
    if (why := _off(found.outputs, truth.outputs)) is not None:
        return why
    for name, streams in truth.attribution.items() if explained else ():
        own = found.attribution.get(name, {})
        if own.keys() != streams.keys():
            return f"attributes {name} to {list(own)}, not to {list(streams)}"
        if (off := max(distance(own[s], phi) for s, phi in streams.items())) > ATTRIBUTION_TOLERANCE:
            return f"attributes {name} with an error of {off:.3g}, {ATTRIBUTION_TOLERANCE:g} is allowed"
    return None


def _off(found: Outputs, truth: Outputs) -> str | None:
    off = max(distance(found[name], values) for name, values in truth.items())
    return None if off <= TOLERANCE else f"is off by {off:.3g}, {TOLERANCE:g} is allowed"


def _traffic(engine: Engine, feed: Feed) -> dict[str, float]:
    """Copies, bytes and waits of a tick."""
    if (traffic := engine.parts.traffic) is None:
        return {}
    before = asdict(traffic)
    for _ in range(CHECKED):
        feed.answer()
    return {f"{name} a tick": (now - before[name]) / CHECKED for name, now in asdict(traffic).items()}


class Fed:
    """What the one graph is fed with, and whose turn it is."""

    def __init__(self, host: Engine, played: Sequence[Moment]) -> None:
        self._prepare, self._played, self._turn = Preparing(host, played), played, 0

    def __call__(self) -> Inputs:
        """The next moment, preprocessed."""
        self._turn += 1
        return {**self._prepare(), "present": self._prepare.mask}

    @property
    def coming(self) -> Moment:
        """The moment that the next call gives."""
        return self._played[self._turn % len(self._played)]


def _graph(host: Engine, played: Sequence[Moment], placed: Callable[[Engine], Placement]) -> Ticker | str:
    """The bundle's portable graph by ONNX Runtime's CUDA provider; or why that cannot be had."""
    file, fed = host.bundle.manifest.graph, Fed(host, played)
    try:
        on = placed(host)
        session = Session(host.bundle[file], host.bundle.place(file), on=on)
        run = bound(session, on.device, host, fed) if on.captured else answering(session, fed)
        run()
    except (BundleError, DeviceError) as error:
        return str(error)
    if on.captured and not session.captured:
        return "ONNX Runtime makes no CUDA graph of it"
    return Ticker(run, lambda: _graph_wrong(run, host, fed))


def _bound(host: Engine) -> Placement:
    """The provider as one would tune it by hand: a stream and buffers of one's own, and one CUDA graph."""
    return replace(placement_of("cuda", CUDA, host.bundle.sha256), captured=True)


def _plain(host: Engine) -> Placement:
    """The provider with defaults of its own: on its own stream, and with the algorithms that it finds the quickest."""
    ours = placement_of("cuda", CUDA, host.bundle.sha256)
    theirs = [(name, {key: own[key] for key in _THEIRS if key in own}) for name, own in ours.providers]
    return Placement("cuda", tuple(theirs), ours.device)


def answering(session: Session, fed: Fed) -> Callable[[], Outputs]:
    """As `bench.contenders.one_graph`, of a session anywhere."""
    return lambda: {name: value[0] for name, value in session.compute(fed()).items()}


def bound(session: Session, device: Device | None, host: Engine, fed: Fed) -> Callable[[], Outputs]:
    """As `answering`, from pinned memory through arrays on the device and back, with one wait."""
    assert device is not None
    given = fed()
    here = {name: device.pinned(values.shape, values.dtype) for name, values in given.items()}
    there = {name: device.empty(values.shape, values.dtype) for name, values in given.items()}
    shapes = {out.name: (1, len(out.prior)) for out in host.bundle.manifest.head.outputs}
    outputs = {name: device.empty(shape, np.float32) for name, shape in shapes.items()}
    back: dict[str, F32] = {name: device.pinned(shape, np.float32) for name, shape in shapes.items()}
    session.bind(there, outputs)
    session.warm_up()

    def run() -> Outputs:
        for name, values in fed().items():
            np.copyto(here[name], values)
            device.upload(there[name], here[name])
        session.run()
        for name, own in back.items():
            device.download(own, outputs[name])
        device.wait()
        return {name: own[0].copy() for name, own in back.items()}

    return run


def _graph_wrong(run: Callable[[], Outputs], host: Engine, fed: Fed) -> str | None:
    for _ in range(CHECKED):
        moment = fed.coming
        if (why := _off(run(), host.answer(moment).outputs)) is not None:
            return why
    return None
