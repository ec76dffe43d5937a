"""What a moment on the site is: ground and track, weather, the machine, the workers, and the rule that labels it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from edgefuse.types import F32, F64

OUTPUT_NAME = "action"
LABELS = ("bucket-worker", "cabin-worker", "track-excavator", "safe")  # where several apply, the first one counts
ANCHOR = (50.4712, 4.0285, 46.0)  # (lat_deg, lon_deg, alt_m) of the site's origin: WGS 84, an invented place

BUCKET_ZONE_M = 2.0  # around the point under the bucket
CABIN_ZONE_M = 5.0  # around the machine's centre ...
CABIN_BEARING_RAD = math.radians(60.0)  # ... beyond this bearing on either side, where the camera does not look
TRACK_ZONE_M = 3.5  # across the track's centreline, for the machine's centre

BED_TOP_M, BED_FOOT_M, BED_HEIGHT_M = 1.7, 2.7, 0.3  # the ballast bed: half widths at top and foot
RAIL_GAUGE_M = 1.435
CAMERA_MOUNT_M = (1.15, 0.35, 2.15)  # camera and depth, in the machine frame (x forward, y left, z up from the ground)
PIVOT_M = (0.55, -0.45, 1.3)  # foot of the boom, in the machine frame


@dataclass(frozen=True, slots=True)
class Ground:
    """Rolling ground and the ballast bed of a straight track; site ENU in metres, angles from east, anticlockwise.

    waves            (amplitude_m, k_east, k_north, phase) of each swell, wave numbers in rad/m
    track_north_m    where the centreline crosses east = 0
    track_rad        its direction
    grass            how much of the ground is overgrown, in [0, 1]
    """

    waves: tuple[tuple[float, float, float, float], ...] = ()
    track_north_m: float = 10.0
    track_rad: float = 0.0
    grass: float = 0.4

    def along_across(self, east: F32, north: F32) -> tuple[F32, F32]:
        """Distances in metres along the track and across it (positive on its left), of arrays of points."""
        c, s = np.float32(math.cos(self.track_rad)), np.float32(math.sin(self.track_rad))
        up = north - np.float32(self.track_north_m)
        return east * c + up * s, up * c - east * s

    @lru_cache(maxsize=8)  # noqa: B019 - keeps eight small frozen grounds alive, no more
    def axes(self) -> tuple[F32, F32]:
        """(matrix float32 [k, 2], offset float32 [k]): takes (east, north) to what `relief` is a function of.

        The first row gives the distance across the track, each other one the phase of a swell: all of them linear, so
        that along a straight ray they are linear too.
        """
        c, s = math.cos(self.track_rad), math.sin(self.track_rad)
        rows = [(-s, c), *((k_east, k_north) for _, k_east, k_north, _ in self.waves)]
        offset = [-c * self.track_north_m, *(phase for *_, phase in self.waves)]
        return np.array(rows, np.float32), np.array(offset, np.float32)

    def relief(self, at: F32) -> F32:
        """Height of the surface in metres, float32 [...], at coordinates float32 [k, ...] as `axes` gives them."""
        slope = np.float32(BED_HEIGHT_M / (BED_FOOT_M - BED_TOP_M))
        z: F32 = np.clip((np.float32(BED_FOOT_M) - np.abs(at[0])) * slope, np.float32(0), np.float32(BED_HEIGHT_M))
        for (amplitude, *_), phase in zip(self.waves, at[1:], strict=True):
            z += np.float32(amplitude) * np.sin(phase)
        return z

    def height_at(self, east: float, north: float) -> float:
        """Height of the surface in metres at one point."""
        matrix, offset = self.axes()
        return float(self.relief(matrix @ np.array([[east], [north]], np.float32) + offset[:, None])[0])

    def place(self, east: float, north: float) -> tuple[float, float]:
        """Distances in metres along and across the track of one point."""
        along, across = self.along_across(np.array([east], np.float32), np.array([north], np.float32))
        return float(along[0]), float(across[0])

    def at(self, along_m: float, across_m: float) -> tuple[float, float]:
        """The (east, north) of a point given along and across the track."""
        c, s = math.cos(self.track_rad), math.sin(self.track_rad)
        return along_m * c - across_m * s, self.track_north_m + along_m * s + across_m * c

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest height in metres that the surface can have."""
        swell = sum(abs(wave[0]) for wave in self.waves)
        return -swell, swell + BED_HEIGHT_M


@dataclass(frozen=True, slots=True)
class Weather:
    """Light and air. daylight, rain and cloud in [0, 1]; fog_per_m is the extinction; angles in site ENU."""

    daylight: float = 1.0
    cloud: float = 0.2
    rain: float = 0.0
    fog_per_m: float = 0.0
    sun_rad: float = 0.8
    sun_elevation_rad: float = 0.9
    warmth: float = 0.0  # tint of the light: -1 bluish, 1 reddish


@dataclass(frozen=True, slots=True)
class Machine:
    """The excavator: where its upper structure stands and looks (site ENU), and where its bucket is (machine frame)."""

    east_m: float
    north_m: float
    heading_rad: float
    swing_rad: float = 0.0  # of the boom about its foot
    reach_m: float = 3.6  # from the boom's foot to the bucket, level
    lift_m: float = 1.0  # of the bucket's pin above the ground

    def to_enu(self, x: float, y: float) -> tuple[float, float]:
        """The (east, north) of a point in the machine frame."""
        c, s = math.cos(self.heading_rad), math.sin(self.heading_rad)
        return self.east_m + c * x - s * y, self.north_m + s * x + c * y

    def polar(self, east: float, north: float) -> tuple[float, float]:
        """Distance in metres and bearing in (-pi, pi] (positive to the left) of a point, seen from the machine."""
        x, y = east - self.east_m, north - self.north_m
        bearing = math.atan2(y, x) - self.heading_rad
        return math.hypot(x, y), math.atan2(math.sin(bearing), math.cos(bearing))

    @property
    def bucket(self) -> tuple[float, float]:
        """The (east, north) of the point under the bucket."""
        forward, aside = self.reach_m * math.cos(self.swing_rad), self.reach_m * math.sin(self.swing_rad)
        return self.to_enu(PIVOT_M[0] + forward, PIVOT_M[1] + aside)


@dataclass(frozen=True, slots=True)
class Look:
    """What a worker looks like: height and the index of each garment in its palette."""

    height_m: float = 1.75
    vest: int = 0
    trousers: int = 0
    helmet: int = 0


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker on foot: place and facing in site ENU, stride_rad the swing of the legs."""

    east_m: float
    north_m: float
    facing_rad: float = 0.0
    stride_rad: float = 0.0
    look: Look = Look()


@dataclass(frozen=True, slots=True)
class Prop:
    """A thing that stands about: `kind` names its entry in the table of bodies, `variant` its colour there."""

    kind: str
    east_m: float
    north_m: float
    turn_rad: float = 0.0
    variant: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment on the site: everything that the sensors can see, and nothing about the sensors."""

    machine: Machine
    workers: tuple[Worker, ...] = ()
    props: tuple[Prop, ...] = ()
    ground: Ground = Ground()
    weather: Weather = Weather()

    def above_ground(self, x: float, y: float, z: float) -> F64:
        """The ENU position, float64 [3], of a point in the machine frame; the machine stands level."""
        east, north = self.machine.to_enu(x, y)
        return np.array([east, north, z + self.ground.height_at(self.machine.east_m, self.machine.north_m)])


def under_bucket_m(machine: Machine, east: float, north: float) -> float:
    """Distance in metres from a point to the one under the bucket."""
    bucket = machine.bucket
    return math.hypot(east - bucket[0], north - bucket[1])


def beside_cabin_m(machine: Machine, east: float, north: float) -> float:
    """Distance in metres from the machine's centre to a point beside or behind it; infinite ahead."""
    distance, bearing = machine.polar(east, north)
    return distance if abs(bearing) > CABIN_BEARING_RAD else math.inf


def label(scene: Scene) -> int:
    """The index in LABELS of what is going on: a pure rule on positions.

    bucket-worker: some worker within BUCKET_ZONE_M of the point under the bucket; cabin-worker: some worker within
    CABIN_ZONE_M of the machine's centre at a bearing over CABIN_BEARING_RAD; track-excavator: the machine's centre
    within TRACK_ZONE_M of the track's centreline; else safe. Drawn snapshots keep clear of these borders: by
    0.6 m inside and 1.6 m outside (bucket), 0.5 m and 2 m (cabin), 0.8 m and 1 m (track).
    """
    machine = scene.machine
    applies = (
        any(under_bucket_m(machine, w.east_m, w.north_m) < BUCKET_ZONE_M for w in scene.workers),
        any(beside_cabin_m(machine, w.east_m, w.north_m) < CABIN_ZONE_M for w in scene.workers),
        abs(scene.ground.place(machine.east_m, machine.north_m)[1]) < TRACK_ZONE_M,
        True,
    )
    return applies.index(True)
