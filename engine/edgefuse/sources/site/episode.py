"""A continuous episode on one site: the machine drives and slews, workers walk, the label changes every few seconds."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from edgefuse.sources.site.scene import LABELS, Ground, Look, Machine, Prop, Scene, Weather, Worker, label
from edgefuse.sources.site.stage import (
    Place,
    Stage,
    draw_ground,
    draw_idlers,
    draw_look,
    draw_props,
    draw_stage,
    draw_weather,
)

ACT_S = (4.2, 5.8)  # least and greatest length of an act
PASSAGE_S = 2.0  # from one act's last position to the next one's first
PACE_HZ = 1.0  # full strides a second of a worker who walks
STRIDE_RAD = 0.45
_STEP_S = 0.05  # over which walking is told from standing


@dataclass(frozen=True, slots=True)
class Episode:
    """A site and what happens on it: `stages[i]` is reached at times_s[i]; in between all moves smoothly."""

    ground: Ground
    weather: Weather
    props: tuple[Prop, ...]
    idlers: tuple[Worker, ...]
    looks: tuple[Look, Look]
    times_s: tuple[float, ...]
    stages: tuple[Stage, ...]

    def scene(self, at_s: float) -> Scene:
        """The scene `at_s` seconds from the start."""
        stage, earlier = self._stage(at_s), self._stage(max(at_s - _STEP_S, 0.0))
        walkers = (self._walker(k, stage.actors[k], earlier.actors[k], at_s) for k in (0, 1))
        return Scene(stage.machine, (*walkers, *self.idlers), self.props, self.ground, self.weather)

    def label(self, at_s: float) -> int:
        """The index in LABELS of what goes on `at_s` seconds from the start."""
        return label(self.scene(at_s))

    def _stage(self, at_s: float) -> Stage:
        i = min(max(bisect_right(self.times_s, at_s) - 1, 0), len(self.stages) - 1)
        j = min(i + 1, len(self.stages) - 1)
        run = self.times_s[j] - self.times_s[i]
        return _between(self.stages[i], self.stages[j], (at_s - self.times_s[i]) / run if run else 0.0)

    def _walker(self, k: int, here: Place, there: Place, at_s: float) -> Worker:
        east, north = here[0] - there[0], here[1] - there[1]
        speed = math.hypot(east, north) / _STEP_S
        facing = math.atan2(east, north) if speed < 0.05 else math.atan2(north, east)
        stride = STRIDE_RAD * min(speed, 1.0) * math.sin(2 * math.pi * PACE_HZ * at_s + k)
        return Worker(*here, facing, stride, self.looks[k])


def _between(a: Stage, b: Stage, share: float) -> Stage:
    """A stage between two, at rest at both ends (smoothstep)."""
    share = min(max(share, 0.0), 1.0)
    s = share * share * (3 - 2 * share)
    rows = [(*_numbers(stage.machine), *stage.actors[0], *stage.actors[1]) for stage in (a, b)]
    v = [p + (q - p) * s for p, q in zip(*rows, strict=True)]
    return Stage(Machine(*v[:6]), ((v[6], v[7]), (v[8], v[9])))


def _numbers(m: Machine) -> tuple[float, ...]:
    return m.east_m, m.north_m, m.heading_rad, m.swing_rad, m.reach_m, m.lift_m


def draw_episode(rng: np.random.Generator, duration_s: float) -> Episode:
    """Acts that cover `duration_s`; every four in a row show the four labels, in drawn order."""
    ground, weather = draw_ground(rng), draw_weather(rng)
    wanted = int(rng.integers(len(LABELS)))
    times, stages = [0.0], [draw_stage(rng, ground, wanted, _gathered(draw_stage(rng, ground, wanted).machine))]
    order = [int(i) for i in rng.permutation(len(LABELS)) if i != wanted]
    while times[-1] < duration_s:
        times.append(times[-1] + float(rng.uniform(*ACT_S)) - PASSAGE_S)
        stages.append(draw_stage(rng, ground, wanted, stages[-1]))
        order = order or [int(i) for i in rng.permutation(len(LABELS)) if i != wanted]
        wanted = order.pop(0)
        times.append(times[-1] + PASSAGE_S)
        stages.append(draw_stage(rng, ground, wanted, stages[-1]))
    return _furnish(rng, ground, weather, times, stages)


def _gathered(machine: Machine) -> Stage:
    """A stage with the actors where they may be needed, so that the first one has them near."""
    return Stage(machine, (machine.bucket, machine.to_enu(-3.0, 0.0)))


def draw_moment(rng: np.random.Generator, wanted: int) -> Scene:
    """One moment on a site of its own that the rule labels `wanted`."""
    ground, weather = draw_ground(rng), draw_weather(rng)
    stage = draw_stage(rng, ground, wanted)
    scene = _furnish(rng, ground, weather, [0.0], [stage]).scene(0.0)
    facings, strides = rng.uniform(-math.pi, math.pi, len(scene.workers)), rng.normal(0, 0.25, len(scene.workers))
    workers = tuple(
        Worker(w.east_m, w.north_m, float(f), float(s), w.look)
        for w, f, s in zip(scene.workers, facings, strides, strict=True)
    )
    return Scene(scene.machine, workers, scene.props, ground, weather)


def _furnish(
    rng: np.random.Generator, ground: Ground, weather: Weather, times: list[float], stages: list[Stage]
) -> Episode:
    places = draw_idlers(rng, stages)
    idlers = tuple(Worker(*p, float(rng.uniform(-math.pi, math.pi)), 0.0, draw_look(rng)) for p in places)
    props = tuple(draw_props(rng, ground, stages, places))
    looks = draw_look(rng), draw_look(rng)
    return Episode(ground, weather, props, idlers, looks, tuple(times), tuple(stages))
