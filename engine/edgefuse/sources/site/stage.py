"""Draws what differs from site to site and from act to act: weather, ground, clutter, and who stands where."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import numpy as np

from edgefuse.sources.site.bodies import HELMETS, TROUSERS, VESTS
from edgefuse.sources.site.scene import (
    BUCKET_ZONE_M,
    CABIN_BEARING_RAD,
    CABIN_ZONE_M,
    CAMERA_MOUNT_M,
    LABELS,
    PIVOT_M,
    Ground,
    Look,
    Machine,
    Prop,
    Weather,
    beside_cabin_m,
    under_bucket_m,
)

BUCKET, CABIN, TRACK, SAFE = range(len(LABELS))
BUCKET_CLEAR_M, CABIN_CLEAR_M = BUCKET_ZONE_M + 1.6, CABIN_ZONE_M + 2.0
IN_VIEW_RAD = 0.6  # bearing from the camera within which a worker under the bucket stands
ALSO = 0.12  # chance that a danger of lower priority is there as well
ACROSS_IN_M, ACROSS_OUT_M = (-2.7, 2.7), (-12.0, -4.5)  # machine's centre: in the track's zone, south of it
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Clutter:
    """How one kind of prop is strewn about the machine: how many, how far, and within which bearing."""

    kind: str
    count: tuple[int, int]
    distance_m: tuple[float, float]
    bearing_deg: tuple[float, float] = (0.0, 180.0)
    variants: int = 1
    clear_m: float = 0.7  # kept free around workers and under the bucket


CLUTTER = (
    Clutter("cone", (2, 6), (3.2, 11.0), variants=1, clear_m=0.5),
    Clutter("barrel", (0, 2), (3.0, 9.0), variants=3),
    Clutter("stake", (0, 4), (3.0, 10.0), clear_m=0.4),
    Clutter("totem", (0, 2), (4.2, 11.0), (0.0, 45.0), variants=3, clear_m=1.2),
    Clutter("heap", (0, 2), (6.5, 13.0), variants=3, clear_m=2.2),
    Clutter("sleepers", (0, 2), (4.5, 12.0), variants=2, clear_m=1.8),
    Clutter("container", (0, 2), (12.0, 24.0), variants=3, clear_m=4.0),
)
TRIES = 8  # to find a place for a thing before it is left out
TOTEM_FREE_M = CABIN_ZONE_M + 0.5  # no worker-like post this near, outside the camera's view


def draw_weather(rng: np.random.Generator) -> Weather:
    """Day, dusk or night; one site in four has rain, one in five fog."""
    kind = int(rng.choice(3, p=(0.62, 0.22, 0.16)))  # day, dusk, night
    low, high = ((0.75, 1.0), (0.12, 0.4), (0.004, 0.03))[kind]
    rain = float(rng.uniform(0.2, 1.0)) if rng.random() < 0.25 else 0.0
    fog = float(rng.uniform(0.02, 0.12)) if rng.random() < 0.2 else 0.002
    return Weather(
        daylight=float(rng.uniform(low, high)),
        cloud=max(float(rng.uniform(0, 1)), 0.8 if rain or fog > 0.01 else 0.0),
        rain=rain,
        fog_per_m=fog,
        sun_rad=float(rng.uniform(-math.pi, math.pi)),
        sun_elevation_rad=float(rng.uniform(0.62, 1.1)),
        warmth=float(rng.uniform(-0.6, 0.5) + (0.6 if kind == 1 else 0.0)),
    )


def draw_ground(rng: np.random.Generator) -> Ground:
    """Swells of up to 10 cm and 8 to 20 m; the track keeps its place to half a metre and two degrees."""
    waves = []
    for amplitude in rng.uniform(0.0, 0.08, 2):
        number, turn, phase = 2 * math.pi / rng.uniform(8, 20), rng.uniform(0, 2 * math.pi), rng.uniform(0, 2 * math.pi)
        waves.append((float(amplitude), float(number * math.cos(turn)), float(number * math.sin(turn)), float(phase)))
    north, turn = float(rng.uniform(9.6, 10.4)), float(rng.uniform(-0.03, 0.03))
    return Ground(tuple(waves), north, turn, float(rng.uniform(0.1, 0.75)))


def draw_look(rng: np.random.Generator) -> Look:
    """Two workers in three wear bright hi-vis; the others are hard to see for a camera."""
    return Look(
        height_m=float(rng.uniform(1.62, 1.92)),
        vest=int(rng.choice(len(VESTS), p=(0.34, 0.30, 0.14, 0.12, 0.10))),
        trousers=int(rng.integers(len(TROUSERS))),
        helmet=int(rng.integers(len(HELMETS))),
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """One staged moment: the machine and its two actors, the one who may be under the bucket and the one at the cab."""

    machine: Machine
    actors: tuple[Place, Place]


def draw_stage(rng: np.random.Generator, ground: Ground, wanted: int, before: Stage | None = None) -> Stage:
    """A moment that the rule labels `wanted`, clear of its borders; near the moment `before`, where one is given."""
    in_bucket = wanted == BUCKET
    at_cabin = wanted == CABIN or (wanted < CABIN and bool(rng.random() < ALSO))
    on_track = wanted == TRACK or (wanted < TRACK and bool(rng.random() < ALSO))
    machine = _draw_machine(rng, ground, on_track, before.machine if before else None)
    near = (None, None) if before is None else _halfway(before.actors, (machine.bucket, machine.to_enu(0.0, 0.0)))
    first = _nearest(rng, machine, _under_bucket if in_bucket else _harmless, near[0])
    return Stage(machine, (first, _nearest(rng, machine, _at_cabin if at_cabin else _stood_back, near[1])))


def _halfway(places: tuple[Place, Place], work: tuple[Place, Place]) -> tuple[Place, Place]:
    """Between where the actors are and where their work is: so that no one strays."""
    (a, b), (c, d) = places, work
    return ((a[0] + c[0]) / 2, (a[1] + c[1]) / 2), ((b[0] + d[0]) / 2, (b[1] + d[1]) / 2)


def _nearest(
    rng: np.random.Generator,
    machine: Machine,
    draw: Callable[[np.random.Generator, Machine], Place],
    near: Place | None,
) -> Place:
    """A drawn place; where `near` is given, the nearest to it of some, so that nobody has far to walk."""
    if near is None:
        return draw(rng, machine)
    return min((draw(rng, machine) for _ in range(30)), key=lambda place: math.dist(place, near))


def _draw_machine(rng: np.random.Generator, ground: Ground, on_track: bool, before: Machine | None) -> Machine:
    low, high = ACROSS_IN_M if on_track else ACROSS_OUT_M
    along, heading = rng.uniform(-14, 14), rng.uniform(-math.pi, math.pi)
    if before is not None:  # the near edge of the strip, a metre along, and a slight turn
        low, high = (low, low + 1.2) if on_track else (high - 1.2, high)
        along = ground.place(before.east_m, before.north_m)[0] + rng.uniform(-1, 1)
        heading = before.heading_rad + rng.normal(0, 0.2)
    east, north = ground.at(float(along), float(rng.uniform(low, high)))
    swing, reach, lift = rng.uniform(-0.25, 0.3), rng.uniform(3.0, 4.1), rng.uniform(0.1, 1.9)
    return Machine(east, north, float(heading), float(swing), float(reach), float(lift))


def _under_bucket(rng: np.random.Generator, machine: Machine) -> Place:
    """A place under the bucket, in the camera's view and clear of the machine's front."""
    while True:
        far, turn = rng.uniform(0.4, BUCKET_ZONE_M - 0.6), rng.uniform(-math.pi, math.pi)
        place = machine.bucket[0] + far * math.cos(turn), machine.bucket[1] + far * math.sin(turn)
        distance, bearing = machine.polar(*place)
        x, y = distance * math.cos(bearing), distance * math.sin(bearing)
        if x > PIVOT_M[0] + 2.0 and abs(math.atan2(y - CAMERA_MOUNT_M[1], x - CAMERA_MOUNT_M[0])) < IN_VIEW_RAD:
            return float(place[0]), float(place[1])


def _polar_place(machine: Machine, distance: float, bearing: float) -> Place:
    return machine.to_enu(distance * math.cos(bearing), distance * math.sin(bearing))


def _at_cabin(rng: np.random.Generator, machine: Machine) -> Place:
    bearing = rng.uniform(math.radians(72), math.radians(288))
    return _polar_place(machine, float(rng.uniform(2.6, CABIN_ZONE_M - 0.5)), float(bearing))


def is_clear(machine: Machine, place: Place) -> bool:
    """Whether a worker at `place` is outside both zones, with the margins of a drawn stage."""
    beside = machine.polar(*place)[0] if abs(machine.polar(*place)[1]) > 0.9 else math.inf
    beside = min(beside, beside_cabin_m(machine, *place))
    return under_bucket_m(machine, *place) > BUCKET_CLEAR_M and beside > CABIN_CLEAR_M


def _harmless(rng: np.random.Generator, machine: Machine) -> Place:
    """A place outside the zones: half the time ahead, in view."""
    while True:
        bearing = rng.uniform(-0.65, 0.65) if rng.random() < 0.5 else rng.uniform(-math.pi, math.pi)
        place = _polar_place(machine, float(rng.uniform(4.0, 15.0)), float(bearing))
        if is_clear(machine, place):
            return place


def _stood_back(rng: np.random.Generator, machine: Machine) -> Place:
    """A place outside the zones, beside or behind: where someone who comes to the cab waits."""
    bearing = rng.uniform(CABIN_BEARING_RAD, 2 * math.pi - CABIN_BEARING_RAD)
    return _polar_place(machine, float(rng.uniform(CABIN_CLEAR_M, 15.0)), float(bearing))


def draw_idlers(rng: np.random.Generator, stages: list[Stage]) -> list[Place]:
    """Places of up to three more workers, harmless in all stages."""
    tries = [_harmless(rng, stages[0].machine) for _ in range(int(rng.integers(0, 4)))]
    return [place for place in tries if all(is_clear(stage.machine, place) for stage in stages)]


def draw_props(rng: np.random.Generator, ground: Ground, stages: list[Stage], people: list[Place]) -> list[Prop]:
    """The masts along the track, and clutter about the first stage's machine that no stage runs into."""
    along = ground.place(stages[0].machine.east_m, stages[0].machine.north_m)[0]
    first = (math.floor(along / 18) - 2) * 18 + float(rng.uniform(0, 18))
    masts = [Prop("mast", *ground.at(first + 18 * i, 4.2), ground.track_rad) for i in range(5)]
    standing = [stage.machine.bucket for stage in stages] + people + [a for stage in stages for a in stage.actors]
    props: list[Prop] = []
    for clutter in CLUTTER:
        for _ in range(int(rng.integers(clutter.count[0], clutter.count[1] + 1))):
            tries = (_draw_prop(rng, clutter, stages[0].machine) for _ in range(TRIES))
            props += list(islice((prop for prop in tries if _fits(prop, clutter, ground, stages, standing)), 1))
    return masts + props


def _draw_prop(rng: np.random.Generator, clutter: Clutter, machine: Machine) -> Prop:
    bearing = math.radians(rng.uniform(*clutter.bearing_deg)) * (1 if rng.random() < 0.5 else -1)
    place = _polar_place(machine, float(rng.uniform(*clutter.distance_m)), bearing)
    turn, variant = float(rng.uniform(-math.pi, math.pi)), int(rng.integers(clutter.variants))
    return Prop(clutter.kind, *place, turn, variant)


def _fits(prop: Prop, clutter: Clutter, ground: Ground, stages: list[Stage], standing: list[Place]) -> bool:
    place = prop.east_m, prop.north_m
    free = TOTEM_FREE_M if clutter.kind == "totem" else 0.0
    polar = [stage.machine.polar(*place) for stage in stages]
    on_track = clutter.clear_m > 1 and abs(ground.place(*place)[1]) < 2.0 + clutter.clear_m
    apart = all(math.dist(place, other) > clutter.clear_m for other in standing)
    off_machine = all(d > clutter.clear_m + 2.0 and (d > free or abs(bearing) < 0.8) for d, bearing in polar)
    return apart and off_machine and not on_track
