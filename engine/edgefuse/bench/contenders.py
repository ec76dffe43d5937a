"""Contenders: the same model as one graph in ONNX Runtime, as one would run it by hand, and bare calls of our parts.

Every contender gets the same raw payloads and gives the same outputs, preprocessing included; `ready` makes sure.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgefuse.bench.moments import Moment
from edgefuse.bench.timing import Contender
from edgefuse.bundle import Bundle
from edgefuse.engine import Engine
from edgefuse.errors import UsageError
from edgefuse.plan import StreamPlan
from edgefuse.session import Port, Session
from edgefuse.types import Array
from edgefuse.verify import TOLERANCE

Outputs = Mapping[str, Array]
Inputs = dict[str, Array]  # stream -> preprocessed tensor [1, ...tensor_shape]


class Preparing:
    """Brings moments, one after the other, into tensors as the encoders take them; absent streams stay zeros."""

    def __init__(self, engine: Engine, played: Sequence[Moment], present: Iterable[str] | None = None) -> None:
        self.bundle, self.names = engine.bundle, engine.plan.names
        self.present = set(self.names if present is None else present)
        self.inputs: Inputs = {
            p.name: np.zeros((1, *p.tensor_shape), dtype=p.tensor_dtype) for p in engine.plan.streams
        }
        self._plans = [plan for plan in engine.plan.streams if plan.name in self.present]
        self._moments = itertools.cycle(played)

    def __call__(self) -> Inputs:
        """The next moment, preprocessed into `inputs`."""
        moment = next(self._moments)
        for plan in self._plans:
            plan.modality.preprocess(moment[plan.name], plan.params, self.inputs[plan.name][0])
        return self.inputs

    @property
    def mask(self) -> Array:
        """bool [1, N], what the portable graph takes as `present`."""
        return np.array([[name in self.present for name in self.names]])


Maker = Callable[[Preparing], Contender]


@dataclass(frozen=True, slots=True)
class Coarse:
    """A maker of a contender that computes in fewer bits, so that it may be off by this part of its largest output."""

    make: Maker
    tolerance: float

    def __call__(self, prepare: Preparing) -> Contender:
        return self.make(prepare)


def one_graph(prepare: Preparing) -> Contender:
    """The bundle's portable graph, fed by name, as most people call ONNX Runtime."""
    graph, mask = _portable(prepare.bundle), prepare.mask

    def run() -> Outputs:
        feeds = {**prepare(), "present": mask}
        return {name: value[0] for name, value in graph.compute(feeds).items()}

    return run


def one_graph_bound(prepare: Preparing) -> Contender:
    """The same with bound inputs and outputs, its fastest way."""
    graph = _portable(prepare.bundle)
    outputs = {o.name: np.zeros((1, len(o.prior)), dtype=np.float32) for o in prepare.bundle.manifest.head.outputs}
    graph.bind({**prepare.inputs, "present": prepare.mask}, outputs)

    def run() -> Outputs:
        prepare()
        graph.run()
        return {name: value[0] for name, value in outputs.items()}

    return run


def _portable(bundle: Bundle) -> Session:
    file = bundle.manifest.graph
    return Session(bundle[file], bundle.place(file))


def bare_encoder(bundle: Bundle, plan: StreamPlan, tensor: Array) -> Callable[[], None]:
    """One encoder's bound session and nothing else: no preprocessing, no checks."""
    session = Session(bundle[plan.encoder], bundle.place(plan.encoder), one_thread=plan.small)
    shape = (1, *plan.embedding_shape)
    session.expect({"input": Port(plan.tensor_dtype, tensor.shape)}, {"embedding": Port("float32", shape)})
    session.bind({"input": tensor.copy()}, {"embedding": np.zeros(shape, np.float32)})
    return session.run


def ready(
    engine: Engine, played: Sequence[Moment], makers: Mapping[str, Maker], present: Sequence[str] | None = None
) -> dict[str, Contender]:
    """The contenders on these moments, after each has given the engine's answer to the first of them.

    UsageError naming who does not, and in which output.
    """
    names = engine.plan.names if present is None else present
    truth = engine.answer({name: played[0][name] for name in names}).outputs
    for name, make in makers.items():
        found = make(Preparing(engine, played[:1], names))()
        for output, values in truth.items():
            coarse = make.tolerance * float(np.abs(values).max()) if isinstance(make, Coarse) else 0.0
            if not np.allclose(found[output], values, atol=max(TOLERANCE, coarse), rtol=TOLERANCE):
                raise UsageError(f"bench: with {', '.join(names)}: {name} answers {output} differently from the engine")
    return {name: make(Preparing(engine, played, names)) for name, make in makers.items()}
