"""What the things on the site are made of: workers, the excavator, rails, masts and clutter, as solids."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

from edgefuse.sources.site.scene import (
    BED_HEIGHT_M,
    PIVOT_M,
    RAIL_GAUGE_M,
    Ground,
    Look,
    Machine,
    Prop,
    Scene,
    Worker,
)
from edgefuse.sources.site.solids import Paint, Solid, Vec, moved

# Garments: hi-vis yellow, hi-vis orange, worn yellow, and two without contrast: a brown jacket and a grey one.
VESTS = (
    Paint((0.68, 0.85, 0.08), 0.55),
    Paint((0.92, 0.30, 0.03), 0.55),
    Paint((0.50, 0.52, 0.16), 0.45),
    Paint((0.20, 0.15, 0.10), 0.25),
    Paint((0.22, 0.23, 0.24), 0.30),
)
PLAIN_VESTS = (3, 4)  # those without reflecting bands
TROUSERS = (Paint((0.05, 0.07, 0.16), 0.25), Paint((0.85, 0.28, 0.04), 0.45), Paint((0.16, 0.14, 0.11), 0.25))
HELMETS = (Paint((0.85, 0.85, 0.82), 0.6), Paint((0.9, 0.68, 0.05), 0.5), Paint((0.08, 0.2, 0.6), 0.4))
SKIN = Paint((0.55, 0.36, 0.26), 0.4)
REFLECTOR = Paint((0.9, 0.9, 0.88), 0.95)

MACHINE_YELLOW = Paint((0.85, 0.50, 0.03), 0.45)
DARK_STEEL = Paint((0.09, 0.09, 0.10), 0.2)
STEEL = Paint((0.42, 0.40, 0.38), 0.7)
RUST = Paint((0.30, 0.17, 0.10), 0.35)
RAIL_FOOT, RAIL_TOP = Paint((0.13, 0.07, 0.04), 0.45), Paint((0.72, 0.72, 0.74), 0.85)
CONCRETE = Paint((0.52, 0.50, 0.46), 0.4)
WOOD = Paint((0.24, 0.16, 0.10), 0.25)
ORANGE = Paint((0.90, 0.22, 0.03), 0.5)
WHITE = Paint((0.85, 0.85, 0.85), 0.8)

# Colours a thing may have, by kind; `Prop.variant` is the index.
COATS: Mapping[str, tuple[Paint, ...]] = {
    "barrel": (ORANGE, Paint((0.08, 0.2, 0.5), 0.35), RUST),
    "totem": (ORANGE, VESTS[0], Paint((0.35, 0.35, 0.36), 0.3)),
    "container": (Paint((0.10, 0.28, 0.42), 0.4), Paint((0.45, 0.12, 0.07), 0.4), Paint((0.55, 0.55, 0.50), 0.45)),
    "heap": (Paint((0.40, 0.38, 0.36), 0.25), Paint((0.33, 0.23, 0.14), 0.3), Paint((0.55, 0.47, 0.33), 0.35)),
}
RAIL_PIECE_M = 8.0
BOOM_M, STICK_M = 2.9, 2.2  # lengths of the excavator's arm


def _coat(kind: str, variant: int) -> Paint:
    coats = COATS[kind]
    return coats[variant % len(coats)]


def _column(height: float, radius: float, paint: Paint, **more: object) -> Solid:
    half = (radius, radius, height / 2)
    return Solid("round", (0.0, 0.0, height / 2), half, paint, **more)  # type: ignore[arg-type]


def _cone(variant: int) -> list[Solid]:
    foot = Solid("box", (0.0, 0.0, 0.02), (0.2, 0.2, 0.02), DARK_STEEL)
    return [foot, _column(0.72, 0.16, ORANGE, taper=0.15, band=(-0.1, 0.35), trim=WHITE, shadow=True)]


def _barrel(variant: int) -> list[Solid]:
    return [_column(0.92, 0.30, _coat("barrel", variant), band=(0.1, 0.45), trim=WHITE, shadow=True)]


def _totem(variant: int) -> list[Solid]:
    """A warning post as high and as wide as a worker: told from one by its shape, hardly by a few lidar points."""
    return [_column(1.7, 0.21, _coat("totem", variant), taper=0.8, band=(0.25, 0.5), trim=REFLECTOR, shadow=True)]


def _stake(variant: int) -> list[Solid]:
    return [_column(1.3, 0.045, WHITE, band=(-0.3, 0.3), trim=ORANGE, shadow=True)]


def _mast(variant: int) -> list[Solid]:
    """A catenary mast with its bracket, beside the track."""
    arm = Solid("box", (0.0, -1.6, 5.6), (0.05, 1.7, 0.05), STEEL)
    return [_column(6.8, 0.14, Paint((0.30, 0.33, 0.32), 0.5), taper=0.75), arm]


def _container(variant: int) -> list[Solid]:
    coat = _coat("container", variant)
    window = Paint((0.05, 0.07, 0.09), 0.1)
    pane = Solid("box", (-1.4, 0.0, 1.6), (0.5, 1.22, 0.4), window)
    door = Solid("box", (1.6, 0.0, 1.0), (0.4, 1.22, 0.95), WHITE)
    return [Solid("box", (0.0, 0.0, 1.3), (3.0, 1.2, 1.3), coat, shadow=True), pane, door]


def _heap(variant: int) -> list[Solid]:
    coat = _coat("heap", variant)
    side = Solid("ball", (0.9, 0.5, 0.0), (1.1, 1.0, 0.7), coat)
    return [Solid("ball", (0.0, 0.0, 0.0), (1.6, 1.4, 1.1), coat, shadow=True), side]


def _sleepers(variant: int) -> list[Solid]:
    coat = (CONCRETE, WOOD)[variant % 2]
    layers = ((0.12, 0.0), (0.40, 0.15), (0.68, -0.1))
    return [Solid("box", (shift, 0.0, z), (1.25, 0.55, 0.115), coat, shadow=z < 0.2) for z, shift in layers]


PROPS: Mapping[str, Callable[[int], list[Solid]]] = {
    "cone": _cone,
    "barrel": _barrel,
    "totem": _totem,
    "stake": _stake,
    "mast": _mast,
    "container": _container,
    "heap": _heap,
    "sleepers": _sleepers,
}


@lru_cache(maxsize=4)
def _standing(props: tuple[Prop, ...], ground: Ground) -> tuple[Solid, ...]:
    """The solids of all props; kept, since they stay where they are for a whole episode."""
    return tuple(solid for prop in props for solid in prop_solids(prop, ground))


def prop_solids(prop: Prop, ground: Ground) -> list[Solid]:
    """A prop's solids in site ENU, standing on the ground."""
    up = ground.height_at(prop.east_m, prop.north_m)
    return moved(PROPS[prop.kind](prop.variant), prop.east_m, prop.north_m, up, prop.turn_rad)


@lru_cache(maxsize=32)
def worker_solids(worker: Worker, ground: Ground) -> list[Solid]:
    """A worker's eight solids in site ENU; kept for those who stand still. Not to be altered."""
    up = ground.height_at(worker.east_m, worker.north_m)
    return moved(_figure(worker.look, worker.stride_rad), worker.east_m, worker.north_m, up, worker.facing_rad)


def _figure(look: Look, stride: float) -> list[Solid]:
    k = look.height_m / 1.75
    vest, trousers, helmet = VESTS[look.vest], TROUSERS[look.trousers], HELMETS[look.helmet]
    band = (9.0, 9.0) if look.vest in PLAIN_VESTS else (-0.45, -0.15)
    legs = [_limb(y, 0.84 * k, 0.86 * k, 0.085, trousers, swing) for y, swing in ((0.1, stride), (-0.1, -stride))]
    arms = [_limb(y, 1.40 * k, 0.60 * k, 0.06, vest, swing) for y, swing in ((0.28, -stride), (-0.28, stride))]
    chest = Solid("round", (0.0, 0.0, 1.13 * k), (0.16, 0.24, 0.31 * k), vest, taper=0.85, band=band, trim=REFLECTOR)
    head = Solid("ball", (0.0, 0.0, 1.56 * k), (0.105, 0.09, 0.125), SKIN)
    cap = Solid("ball", (0.0, 0.0, 1.63 * k), (0.14, 0.125, 0.115), helmet)
    core = Solid("round", (0.0, 0.0, 0.68 * k), (0.09, 0.09, 0.67 * k), trousers, shadow=True)
    return [*legs, *arms, chest, head, cap, core]


def _limb(y: float, top: float, length: float, radius: float, paint: Paint, swing: float) -> Solid:
    """A limb that hangs from `top` and swings about it; shorter than the figure, so that feet stay on the ground."""
    centre = (-math.sin(swing) * length / 2, y, top - math.cos(swing) * length / 2)
    return Solid("round", centre, (radius, radius, length / 2), paint, pitch=swing, taper=1.15)


def _beam(a: Vec, b: Vec, width: float, depth: float, paint: Paint) -> Solid:
    """A box from a to b."""
    dx, dy, dz = (q - p for p, q in zip(a, b, strict=True))
    level = math.hypot(dx, dy)
    centre = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2)
    half = (math.hypot(level, dz) / 2, width / 2, depth / 2)
    return Solid("box", centre, half, paint, yaw=math.atan2(dy, dx), pitch=-math.atan2(dz, level))


def _elbow(reach: float, rise: float) -> tuple[float, float]:
    """The (forward, up) of the joint between boom and stick, above the line from the boom's foot to the bucket."""
    span = min(math.hypot(reach, rise), BOOM_M + STICK_M - 0.02)
    bend = math.acos((BOOM_M**2 + span**2 - STICK_M**2) / (2 * BOOM_M * span))
    angle = math.atan2(rise, reach) + bend
    return BOOM_M * math.cos(angle), BOOM_M * math.sin(angle)


def _arm(machine: Machine) -> list[Solid]:
    """Boom, stick and bucket in the plane of the boom; x forward from its foot."""
    foot, pin = (0.0, 0.0, PIVOT_M[2]), (machine.reach_m - 0.15, 0.0, machine.lift_m + 0.55)
    forward, up = _elbow(pin[0], pin[2] - PIVOT_M[2])
    elbow = (forward, 0.0, PIVOT_M[2] + up)
    below = (machine.reach_m, 0.0, machine.lift_m + 0.25)
    ram = _beam((0.3, 0.0, 1.15), (0.62 * forward, 0.0, PIVOT_M[2] + 0.5 * up), 0.1, 0.1, STEEL)
    bucket = Solid("box", below, (0.32, 0.40, 0.30), DARK_STEEL, pitch=0.35, shadow=True)
    teeth = Solid("box", (below[0] + 0.26, 0.0, below[2] - 0.33), (0.16, 0.40, 0.05), STEEL, pitch=0.9)
    boom, stick = _beam(foot, elbow, 0.26, 0.34, MACHINE_YELLOW), _beam(elbow, pin, 0.22, 0.26, MACHINE_YELLOW)
    return [boom, stick, ram, bucket, teeth]


def _hull() -> list[Solid]:
    """Undercarriage, house, counterweight and cab in the machine frame."""
    return [
        Solid("box", (-0.2, 0.85, 0.35), (1.5, 0.22, 0.35), DARK_STEEL),
        Solid("box", (-0.2, -0.85, 0.35), (1.5, 0.22, 0.35), DARK_STEEL),
        Solid("box", (-0.5, 0.0, 1.0), (1.1, 1.0, 0.3), MACHINE_YELLOW),
        Solid("box", (-1.4, 0.0, 1.05), (0.3, 1.0, 0.4), DARK_STEEL),
        Solid("box", (0.45, 0.42, 1.5), (0.55, 0.42, 0.75), DARK_STEEL),
    ]


def machine_solids(machine: Machine, ground: Ground) -> list[Solid]:
    """The excavator's solids in site ENU."""
    arm = moved(_arm(machine), PIVOT_M[0], PIVOT_M[1], 0.0, machine.swing_rad)
    up = ground.height_at(machine.east_m, machine.north_m)
    return moved([*_hull(), *arm], machine.east_m, machine.north_m, up, machine.heading_rad)


def rail_solids(ground: Ground, along_m: float) -> list[Solid]:
    """Two rails of 72 m about the place `along_m` of the track, on the ballast bed.

    In pieces, since few rays can meet a short one, and of a fixed grid, so that they stay as the machine moves.
    """
    first = round(along_m / RAIL_PIECE_M) - 4
    return [
        _rail(ground, i * RAIL_PIECE_M, side * RAIL_GAUGE_M / 2) for i in range(first, first + 9) for side in (-1, 1)
    ]


@lru_cache(maxsize=64)
def _rail(ground: Ground, along_m: float, across_m: float) -> Solid:
    east, north = ground.at(along_m, across_m)
    centre, half = (east, north, BED_HEIGHT_M + 0.05), (RAIL_PIECE_M / 2, 0.045, 0.09)
    return Solid("box", centre, half, RAIL_FOOT, yaw=ground.track_rad, band=(0.5, 1.1), trim=RAIL_TOP)


def scene_solids(scene: Scene) -> list[Solid]:
    """Every solid of a scene in site ENU."""
    machine, ground = scene.machine, scene.ground
    along = ground.place(machine.east_m, machine.north_m)[0]
    workers = [solid for worker in scene.workers for solid in worker_solids(worker, ground)]
    return [*rail_solids(ground, along), *machine_solids(machine, ground), *_standing(scene.props, ground), *workers]
