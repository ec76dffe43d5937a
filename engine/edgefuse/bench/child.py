"""Child: one contender in a process of its own: it starts, answers once, and does what it is told, line by line.

Run as a script: `python child.py engine|graph|sessions BUNDLE GIVEN`, where GIVEN is a folder of what they are fed.
`engine` is edgefuse, with config.json and the raw samples of moments.npz. `graph` is the model as one graph in plain
ONNX Runtime with its defaults, as a script of one's own would run it, and `sessions` the same encoders and head as bare
sessions; these two import nothing but NumPy and ONNX Runtime, and are fed with tensors.npz, which are preprocessed
already, so that whatever edgefuse does besides counts against it.

Each line of stdin is a JSON document {"job": ..., ...}, each line of stdout what became of it. The first line of stdout
comes with the first answer.
"""

from __future__ import annotations

import json
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.pop(0)  # this folder: a script's own modules would hide those of the standard library

import numpy as np

Arrivals = list[tuple[float, str]]  # (seconds from the start, stream), ascending


class Contender:
    """What jobs are done with."""

    def answer(self) -> Any:
        """From a moment that is new."""
        raise NotImplementedError

    def settle(self) -> None:
        """Whatever the jobs need and the first answer does not."""

    def push(self, stream: str, t_ns: int) -> None:
        """A sample has come."""

    def step(self, t_ns: int) -> Any:
        """An answer from what has come."""
        return self.answer()


class Graph(Contender):
    """One session of the whole model."""

    def __init__(self, bundle: str, given: str) -> None:
        with zipfile.ZipFile(bundle) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            self._session = opened(archive.read(manifest["graph"]))
        inputs = loaded(given, "tensors.npz")
        self._feeds = {**inputs, "present": np.ones((1, len(inputs)), np.bool_)}

    def answer(self) -> Any:
        return self._session.run(None, self._feeds)


class Sessions(Contender):
    """The encoders and the head, each a session; nothing joins them: this is for what they weigh, not for answers."""

    def __init__(self, bundle: str, given: str) -> None:
        inputs = loaded(given, "tensors.npz")
        with zipfile.ZipFile(bundle) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            self._encoders = [(opened(archive.read(s["encoder"])), inputs[s["name"]]) for s in manifest["streams"]]
            self._head = opened(archive.read(manifest["head"]["file"]))
        (port,) = self._head.get_inputs()
        shape = [axis if isinstance(axis, int) else 1 for axis in port.shape]
        self._fused = {port.name: np.zeros(shape, np.float32)}

    def answer(self) -> Any:
        for session, tensor in self._encoders:
            session.run(None, {"input": tensor})
        return self._head.run(None, self._fused)


class Engine(Contender):
    """edgefuse: its first answer is to one moment, later ones to moments that differ by a hair."""

    def __init__(self, bundle: str, given: str) -> None:
        from edgefuse.config import RunConfig
        from edgefuse.engine import load
        from edgefuse.schema import validate

        self._engine = load(bundle, validate(RunConfig, json.loads(Path(given, "config.json").read_text())))
        # Two, as what is fed weighs too.
        self._played, self._i = [loaded(given, "moments.npz", f"{k}/") for k in range(2)], 0
        self._feed: Any = None

    def answer(self) -> Any:
        return self._engine.answer(self._played[0]) if self._feed is None else self._feed.answer()

    def settle(self) -> None:
        from edgefuse.bench.moments import Feed

        self._feed = Feed(self._engine, self._played)

    def push(self, stream: str, t_ns: int) -> None:
        self._i += 1
        self._engine.push(stream, t_ns, self._played[self._i % 2][stream])

    def step(self, t_ns: int) -> Any:
        return self._engine.step(t_ns)


def opened(model: bytes) -> Any:
    """A session with the defaults of ONNX Runtime."""
    import onnxruntime

    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def loaded(given: str, name: str, prefix: str = "") -> dict[str, Any]:
    """Stream -> array, from an .npz file in a folder, where the names of streams stand behind a prefix."""
    with np.load(Path(given, name), allow_pickle=False) as arrays:
        return {key.removeprefix(prefix): arrays[key] for key in arrays.files if key.startswith(prefix)}


def paced(contender: Any, hz: float, seconds: float) -> dict[str, Any]:
    """Answers at a steady rhythm, asleep between them: their durations, and what share of a processor that takes."""
    durations_ms, begun_s, busy_s = [], time.monotonic(), time.process_time()
    for k in range(max(1, round(hz * seconds))):
        sleep_until(begun_s + k / hz)
        start_ns = time.perf_counter_ns()
        contender.answer()
        durations_ms.append((time.perf_counter_ns() - start_ns) / 1e6)
    sleep_until(begun_s + seconds)
    wall_s = time.monotonic() - begun_s
    return {"cpu_s": time.process_time() - busy_s, "wall_s": wall_s, "ms": durations_ms}


def at_own_rates(contender: Any, arrivals: Arrivals, from_s: float, to_s: float, wait: str) -> dict[str, Any]:
    """Samples come when they come; answers are made as `wait` says; how long each sample waited for an answer.

    An answer is made from the newest of each stream; what came before that has waited for it all the same.

    from_s  what happens before counts for nothing: streams that were silent must prove themselves first
    wait    a stream's name: an answer whenever that one arrives, from the newest of all
            `each`: whenever anything arrives; `all`: once every stream has brought something new since the last answer
    """
    begun_s, busy_s, counted_s = time.monotonic(), 0.0, None
    waiting: list[tuple[str, float]] = []  # stream, and when the sample came, since the last answer
    streams, ages_ms, durations_ms = {name for _, name in arrivals}, list[float](), list[float]()
    for at_s, name in arrivals:
        if at_s >= from_s and counted_s is None:
            busy_s, counted_s = time.process_time(), time.monotonic()
            ages_ms, durations_ms = [], []
        sleep_until(begun_s + at_s)
        arrived_s = time.monotonic()
        waiting.append((name, arrived_s))
        contender.push(name, round(arrived_s * 1e9))
        if wait in (name, "each") or (wait == "all" and {stream for stream, _ in waiting} == streams):
            contender.step(round(arrived_s * 1e9))
            done_s = time.monotonic()
            ages_ms += [1e3 * (done_s - then_s) for _, then_s in waiting]
            durations_ms.append(1e3 * (done_s - arrived_s))
            waiting.clear()
    sleep_until(begun_s + to_s)
    wall_s = time.monotonic() - (begun_s if counted_s is None else counted_s)
    return {"cpu_s": time.process_time() - busy_s, "wall_s": wall_s, "age_ms": ages_ms, "ms": durations_ms}


def overloaded(contender: Any, hz: float, seconds: float, queue: int) -> dict[str, Any]:
    """Moments come faster than they can be answered: how old the newest sample of each answer is when it is there.

    queue  0: the newest moment is answered; else they wait in line, so many at most, the oldest going first
    """
    begun_s, ages_ms, next_k = time.monotonic(), [], 0
    while (now_s := time.monotonic() - begun_s) < seconds:
        newest = int(now_s * hz)  # as many have come so far
        if newest < next_k:
            sleep_until(begun_s + next_k / hz)
            continue
        next_k = newest if queue == 0 else max(next_k, newest - queue + 1)
        contender.answer()
        ages_ms.append(1e3 * (time.monotonic() - begun_s - next_k / hz))
        next_k += 1
    return {"age_ms": ages_ms, "came": int(seconds * hz), "answered": len(ages_ms)}


def memory(contender: Any, answers: int) -> dict[str, Any]:
    """MiB now, what so many answers add, and the most that the process ever held."""
    before = status_mib("VmRSS")
    for _ in range(answers):
        contender.answer()
    grown = status_mib("VmRSS") - before
    return {"resident_mib": before, "grown_mib": grown, "peak_mib": status_mib("VmHWM"), "answers": answers}


def status_mib(key: str) -> float:
    """What the kernel says of this process's memory."""
    status = Path("/proc/self/status").read_text(errors="replace").splitlines()
    return next(int(line.split()[1]) / 1024.0 for line in status if line.startswith(key))


def sleep_until(then_s: float) -> None:
    """Until time.monotonic() says then_s."""
    if (left_s := then_s - time.monotonic()) > 0.0:
        time.sleep(left_s)


CONTENDERS: dict[str, Callable[[str, str], Contender]] = {"engine": Engine, "graph": Graph, "sessions": Sessions}
JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    job.__name__: job for job in (paced, at_own_rates, overloaded, memory)
}


def served(contender: Any, lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """What became of each job, after the first answer."""
    contender.answer()
    yield {"answered": True}
    contender.settle()
    for line in lines:
        asked = json.loads(line)
        yield JOBS[asked.pop("job")](contender, **asked)


def main(argv: list[str]) -> None:
    """Serve until stdin ends."""
    which, bundle, given = argv
    for document in served(CONTENDERS[which](bundle, given), iter(sys.stdin)):
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
