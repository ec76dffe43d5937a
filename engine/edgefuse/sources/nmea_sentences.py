"""Sentences of NMEA 0183: found in whatever bytes a receiver sends, checked, and read into times and fixes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from edgefuse.types import F64, NS_PER_S

DAY_NS = 86_400 * NS_PER_S
NO_FIX = -1
USUAL_HDOP = 2.0  # of a receiver that does not say: a sky that is half open
UP_SD_FACTOR = 2.0  # of a height to a place along one axis: no satellite is seen from above
_MOST_LINE = 1024  # the standard allows 82 bytes; some receivers send more
_BARREN_BYTES = 4096

# Printable ASCII without $ and *: binary that tears a sentence ends it.
_SENTENCE = re.compile(rb"\$(([A-Z]{2})(GGA|RMC|GST|ZDA),([ -#%-)+-~]*))(?:\*([0-9A-Fa-f]{2}))?")
_FEWEST_FIELDS: Mapping[str, int] = {"GGA": 11, "RMC": 9, "GST": 8, "ZDA": 4}
_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(?:\.(\d{0,9})\d*)?")
_ANGLE = re.compile(r"(\d{1,3})(\d\d(?:\.\d*)?)")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?|[+-]?\.\d+")


@dataclass(frozen=True, slots=True)
class Quality:
    """What a GGA's quality says: NavSatStatus, and what one satellite's range is wrong by (standard deviation, m)."""

    status: int
    range_sd_m: float


# 5 m: what the range to a satellite is usually wrong by at a receiver of one frequency that knows no corrections.
# Corrected ones are put on the careful side of what their makers say. Dead reckoning, a place that somebody has typed
# in and a simulator are no measurement of satellites: no fix.
QUALITY: Mapping[str, Quality] = {
    "0": Quality(NO_FIX, 5.0),  # invalid
    "1": Quality(0, 5.0),  # stand-alone
    "2": Quality(1, 2.5),  # differential, satellite-based or other
    "3": Quality(0, 5.0),  # precise positioning service
    "4": Quality(2, 0.05),  # RTK, whole wavelengths known
    "5": Quality(2, 0.5),  # RTK, not yet known
    "6": Quality(NO_FIX, 5.0),  # estimated: dead reckoning
    "7": Quality(NO_FIX, 5.0),  # typed in
    "8": Quality(NO_FIX, 5.0),  # simulator
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One that was found whole: who sent it (GP, GL, GN ...), what it is, and its fields after the name."""

    talker: str
    kind: str
    fields: tuple[str, ...]

    @property
    def time_ns(self) -> int | None:
        """UTC since midnight, None where the receiver does not know it yet; ValueError. A leap second is 86 400 s."""
        return time_of(self.fields[0])

    @property
    def instant_ns(self) -> int | None:
        """UTC since 1970 of one that holds a date, an RMC or a ZDA; None where it is not filled in. ValueError."""
        day_ns = self._day_ns()
        return None if day_ns is None or self.time_ns is None else day_ns + self.time_ns

    @property
    def worth(self) -> tuple[bool, bool]:
        """Of two of one kind and epoch, which: one with a fix before one without, then that of all systems together."""
        return self.kind != "GGA" or _quality(self).status != NO_FIX, self.talker == "GN"

    def _day_ns(self) -> int | None:
        parts = _date_parts(self)
        if parts is None or not all(parts):
            return None
        try:
            day, month, year = (int(part) for part in parts)
            full = year if year >= 100 else 2000 + year if year < 80 else 1900 + year
            return (date(full, month, day) - date(1970, 1, 1)).days * DAY_NS
        except ValueError as error:
            raise ValueError("a date that is none") from error


def _date_parts(sentence: Sentence) -> tuple[str, ...] | None:
    if sentence.kind == "RMC":
        text = sentence.fields[8]
        return text[:2], text[2:4], text[4:]
    return sentence.fields[1:4] if sentence.kind == "ZDA" else None


class Sentences:
    """Finds sentences in bytes that come in pieces of any size; `report` is told what was left out, and why.

    A sentence without a checksum is taken only where none has had one so far: elsewhere it was torn.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._rest = b""
        self._barren = 0
        self._checked, self._unchecked = False, False

    def feed(self, data: bytes) -> Iterator[Sentence]:
        """The sentences that these bytes complete."""
        *lines, rest = re.split(rb"[\r\n]+", self._rest + data)
        self._rest = rest[-_MOST_LINE:]
        for line in lines:
            yield from self._found(line)
        self._watch(len(data))

    def close(self) -> Iterator[Sentence]:
        """What the end leaves over: a whole sentence that only lacks the end of its line, or a cut one."""
        rest, self._rest = self._rest, b""
        if b"*" in rest[-3:]:
            yield from self._found(rest)
        elif b"$" in rest:
            self._report("ends within a sentence")

    def _found(self, line: bytes) -> Iterator[Sentence]:
        for match in _SENTENCE.finditer(line):
            body, kind, checksum = match[1], match[3].decode("ascii"), match[5]
            self._barren = -1
            if checksum is None and self._checked:
                self._report(f"{kind} that is torn: it has lost its checksum")
                continue
            sentence = self._parsed(kind, body, checksum)
            if sentence is not None:
                self._note_checksum(checksum is not None)
                yield sentence

    def _parsed(self, kind: str, body: bytes, checksum: bytes | None) -> Sentence | None:
        """A sentence as pynmeagps checks and splits it, None where it refuses it; one without a checksum is given one.

        Fields are read from the text that it hands on, as it takes a time, a place or a number that is none for one
        that is not filled in, and rounds times to microseconds.
        """
        from pynmeagps import VALCKSUM, NMEAReader, calc_checksum
        from pynmeagps.exceptions import NMEAParseError

        own = checksum if checksum is not None else calc_checksum(body.decode("ascii")).encode("ascii")
        try:
            message = NMEAReader.parse(b"$%b*%b\r\n" % (body, own), validate=VALCKSUM)
        except NMEAParseError:
            self._report(f"{kind} with a wrong checksum")
            return None
        except Exception as error:  # noqa: BLE001 (it raises whatever its conversions raise)
            self._report(f"{kind} that cannot be read: {' '.join(str(error).split())[:120]}")
            return None
        fields = tuple(message.payload) if message is not None else ()
        if len(fields) < _FEWEST_FIELDS[kind]:
            self._report(f"{kind} with too few fields")
            return None
        return Sentence(message.talker, kind, fields)

    def _note_checksum(self, has_one: bool) -> None:
        if not (has_one or self._unchecked):
            self._unchecked = True
            self._report("sentences have no checksum: they are taken as they are")
        self._checked = self._checked or has_one

    def _watch(self, count: int) -> None:
        """Bytes in which no sentence is ever found are a port at another speed."""
        if self._barren >= 0:
            self._barren += count
        if self._barren > _BARREN_BYTES:
            self._barren = -1
            self._report(f"no GGA, RMC, GST or ZDA in {_BARREN_BYTES} bytes: is the baud rate right?")


def time_of(text: str) -> int | None:
    """`hhmmss.ss` in nanoseconds since midnight, exactly; None of nothing. ValueError."""
    if not text:
        return None
    match = _TIME.fullmatch(text)
    hour, minute, second = (int(part) for part in match.groups()[:3]) if match else (24, 60, 61)
    if match is None or hour > 23 or minute > 59 or second > 60:
        raise ValueError("a time that is none")
    return (hour * 3600 + minute * 60 + second) * NS_PER_S + int((match[4] or "").ljust(9, "0"))


def fix_of(gga: Sentence, gst: Sentence | None, void: bool) -> F64:
    """A fix as float64 [7]: latitude, longitude (deg), altitude (m), variances (m2), NavSatStatus. ValueError.

    gst   the same epoch's, for the receiver's own standard deviations; else they are made from the HDOP
    void  the same epoch's RMC says that its place may not be used: no fix

    The altitude is above the ellipsoid, as a GGA's altitude plus its geoid separation give it, and not above the sea:
    receivers know the sea's level from tables that differ by metres, the engine's local frames are built on the
    ellipsoid, and ROS counts the altitude of a fix from it. Where a receiver gives no separation its altitude is taken
    as it is. Numbers that are not filled in are NaN: without a fix that is as it should be, and with one the engine
    says `non_finite`.
    """
    fields = gga.fields
    quality = _quality(gga)
    latitude = _angle(fields[1], fields[2], "NS", 90.0)
    longitude = _angle(fields[3], fields[4], "EW", 180.0)
    separation_m = _number(fields[10])
    altitude_m = _number(fields[8]) + (0.0 if math.isnan(separation_m) else separation_m)
    variances = _measured(gst) or _guessed(_number(fields[7]), quality.range_sd_m)
    return np.array([latitude, longitude, altitude_m, *variances, NO_FIX if void else quality.status], np.float64)


def _quality(gga: Sentence) -> Quality:
    return QUALITY.get(gga.fields[5], QUALITY["0"])


def _measured(gst: Sentence | None) -> tuple[float, float, float] | None:
    """The variances east, north, up (m2) of a GST; None where it is not filled in."""
    if gst is None or not all(gst.fields[5:8]):
        return None
    north_m, east_m, up_m = (_number(text) for text in gst.fields[5:8])
    return east_m**2, north_m**2, up_m**2


def _guessed(hdop: float, range_sd_m: float) -> tuple[float, float, float]:
    """HDOP is the horizontal deviation in units of a range's: half of its square belongs to each axis."""
    axis_m2 = ((USUAL_HDOP if math.isnan(hdop) else hdop) * range_sd_m) ** 2 / 2.0
    return axis_m2, axis_m2, UP_SD_FACTOR**2 * axis_m2


def _angle(text: str, side: str, sides: str, most: float) -> float:
    """`dddmm.mmmm` and its side in degrees, north and east positive; NaN of nothing."""
    if not text:
        return math.nan
    match = _ANGLE.fullmatch(text)
    degrees = int(match[1]) + float(match[2]) / 60.0 if match and float(match[2]) < 60.0 else math.inf
    if degrees > most or side not in tuple(sides):
        raise ValueError(f"a {'latitude' if sides == 'NS' else 'longitude'} that is none")
    return degrees if side == sides[0] else -degrees


def _number(text: str) -> float:
    if not text:
        return math.nan
    if not _NUMBER.fullmatch(text):
        raise ValueError("a number that is none")
    return float(text)
