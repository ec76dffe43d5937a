"""A receiver's log gives one fix an epoch with the receiver's own time, whatever lies between its sentences."""

from __future__ import annotations

import calendar
import json
import math
import os
import signal
import subprocess
import time
import tty
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.errors import SourceError
from edgefuse.modalities import KINDS
from edgefuse.sources import open_source
from edgefuse.sources.base import Source
from edgefuse.sources.clock import now_ns
from edgefuse.sources.nmea import NmeaDevice
from edgefuse.sources.nmea_epochs import Epochs
from edgefuse.sources.nmea_sentences import Sentence, Sentences, time_of
from edgefuse.types import NS_PER_S, Sample
from hearing import hearing
from listener import Listener, until

GGA = "GPGGA,{time},4807.038,N,01131.000,E,{quality},08,{hdop},545.4,M,46.9,M,,"
RMC = "GPRMC,{time},{status},4807.038,N,01131.000,E,022.4,084.4,{date},003.1,W"
GST = "GPGST,{time},5.0,3.0,4.0,12.0,3.0,4.0,12.0"


def line(body: str) -> bytes:
    """A sentence with the checksum of the standard: the exclusive or of what lies between $ and *."""
    total = 0
    for letter in body:
        total ^= ord(letter)
    return f"${body}*{total:02X}\r\n".encode()


def gga(clock: str, quality: int = 1, hdop: str = "0.9", talker: str = "GP") -> bytes:
    return line(GGA.format(time=clock, quality=quality, hdop=hdop).replace("GP", talker, 1))


def rmc(clock: str, date: str = "280226", status: str = "A") -> bytes:
    return line(RMC.format(time=clock, date=date, status=status))


def at(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S")) * NS_PER_S


def opened(tmp_path: Path, *parts: bytes, options: str = "") -> Source:
    (tmp_path / "log.nmea").write_bytes(b"".join(parts))
    return open_source(f"nmea:{tmp_path / 'log.nmea'}{options}")


def played(tmp_path: Path, *parts: bytes, options: str = "") -> list[Sample]:
    return list(opened(tmp_path, *parts, options=options).samples())


def told(source: Source) -> dict[str, int]:
    return {problem.what: problem.count for problem in source.problems}


def test_a_fix_has_place_time_and_the_height_above_the_ellipsoid(tmp_path: Path) -> None:
    # The example that every description of NMEA 0183 shows, with its checksum as printed there.
    known = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"
    dated = b"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A\r\n"
    source = opened(tmp_path, known, dated)
    (sample,) = source.samples()
    assert (sample.stream, sample.stamp_ns) == ("gps", at("1994-03-23 12:35:19"))
    assert sample.arrived_ns == sample.stamp_ns
    assert sample.payload[:3] == pytest.approx([48 + 7.038 / 60, 11 + 31 / 60, 592.3], abs=1e-12)
    assert sample.payload[6] == 0
    assert source.topics == {"gps": "gps"}
    assert told(source) == {}


def test_a_fix_is_a_payload_as_the_engine_takes_it(tmp_path: Path) -> None:
    modality = KINDS["gps"]
    (sample,) = played(tmp_path, rmc("120000"), gga("120000"))
    assert modality.refusal(sample.payload, (6,), modality.checks()) is None


def test_the_receivers_own_deviations_count_where_it_sends_them(tmp_path: Path) -> None:
    (sample,) = played(tmp_path, rmc("120000"), gga("120000"), line(GST.format(time="120000")))
    assert sample.payload[3:6].tolist() == [16.0, 9.0, 144.0]  # east is the longitude's, north the latitude's


def test_else_the_hdop_says_how_good_a_fix_is(tmp_path: Path) -> None:
    (sample,) = played(tmp_path, rmc("120000"), gga("120000", hdop="2.0"))
    horizontal_m = math.sqrt(sample.payload[3] + sample.payload[4])
    assert horizontal_m == pytest.approx(2.0 * 5.0)
    assert sample.payload[3] == sample.payload[4]
    assert math.sqrt(sample.payload[5] / sample.payload[3]) == pytest.approx(2.0)


def test_a_fix_with_corrections_is_better_than_one_without(tmp_path: Path) -> None:
    parts = [gga(f"12000{i}", quality) for i, quality in enumerate((1, 2, 5, 4))]
    variances = [sample.payload[3] for sample in played(tmp_path, rmc("120000"), *parts)]
    assert variances == sorted(variances, reverse=True)
    assert variances[-1] < 0.05


@pytest.mark.parametrize(
    ("quality", "status"),
    [(0, -1), (1, 0), (2, 1), (3, 0), (4, 2), (5, 2), (6, -1), (7, -1), (8, -1)],
)
def test_the_quality_becomes_the_status_of_ros(tmp_path: Path, quality: int, status: int) -> None:
    (sample,) = played(tmp_path, rmc("120000"), gga("120000", quality))
    assert sample.payload[6] == status


def test_a_receiver_that_says_void_has_no_fix(tmp_path: Path) -> None:
    (sample,) = played(tmp_path, gga("120000"), rmc("120000", status="V"))
    assert sample.payload[6] == -1


def test_an_epoch_without_a_place_is_no_fix_and_not_a_fault(tmp_path: Path) -> None:
    source = opened(tmp_path, rmc("120000"), line("GPGGA,120000,,,,,0,00,99.99,,M,,M,,"))
    (sample,) = source.samples()
    modality = KINDS["gps"]
    assert modality.refusal(sample.payload, (6,), modality.checks()) == "no_fix"
    assert told(source) == {}


def test_south_and_west_are_negative(tmp_path: Path) -> None:
    body = "GNGGA,120000,3351.000,S,15112.600,W,1,08,0.9,1.0,M,2.0,M,,"
    (sample,) = played(tmp_path, rmc("120000"), line(body))
    assert sample.payload[:2] == pytest.approx([-33.85, -151.21], abs=1e-12)


def test_fractions_of_a_second_are_exact(tmp_path: Path) -> None:
    stamps = [s.stamp_ns for s in played(tmp_path, rmc("120000"), gga("120000.10"), gga("120000.123456789"))]
    assert [stamp - at("2026-02-28 12:00:00") for stamp in stamps] == [100_000_000, 123_456_789]


def test_midnight_is_passed_without_a_new_date(tmp_path: Path) -> None:
    parts = [rmc("235958"), gga("235958"), gga("235959"), gga("000000"), gga("000001")]
    stamps = [sample.stamp_ns for sample in played(tmp_path, *parts)]
    assert np.diff(stamps).tolist() == [NS_PER_S] * 3
    assert stamps[2] == at("2026-03-01 00:00:00")


def test_a_date_that_comes_late_counts_backwards_over_midnight(tmp_path: Path) -> None:
    parts = [gga("235959"), gga("000000"), gga("000001"), rmc("000001", date="010326")]
    stamps = [sample.stamp_ns for sample in played(tmp_path, *parts)]
    assert stamps[0] == at("2026-02-28 23:59:59")
    assert np.diff(stamps).tolist() == [NS_PER_S] * 2


@pytest.mark.parametrize(
    ("date", "day"),
    [("290224", "2024-02-29"), ("311299", "1999-12-31"), ("010180", "1980-01-01"), ("311279", "2079-12-31")],
)
def test_dates_of_two_digits_lie_between_1980_and_2079(tmp_path: Path, date: str, day: str) -> None:
    (sample,) = played(tmp_path, gga("120000"), rmc("120000", date=date))
    assert sample.stamp_ns == at(f"{day} 12:00:00")


def test_a_day_that_no_calendar_knows_is_counted(tmp_path: Path) -> None:
    source = opened(tmp_path, gga("120000"), rmc("120000", date="290226"), gga("120001"), rmc("120001"))
    assert told(source) == {"RMC that cannot be read: a date that is none": 1}
    assert len(list(source.samples())) == 2


def test_a_zda_dates_at_whatever_moment_it_comes(tmp_path: Path) -> None:
    zda = line("GPZDA,120001.00,28,02,2026,00,00")
    stamps = [sample.stamp_ns for sample in played(tmp_path, gga("120000"), zda, gga("120001"))]
    assert stamps == [at("2026-02-28 12:00:00"), at("2026-02-28 12:00:01")]


def test_a_log_without_a_date_is_refused_and_says_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"log.nmea: holds no date.*\?date=YYYY-MM-DD"):
        opened(tmp_path, gga("120000"))
    (first, _, last) = played(tmp_path, gga("235959"), gga("000000"), gga("000001"), options="?date=2026-02-28")
    assert first.stamp_ns == at("2026-02-28 23:59:59") == last.stamp_ns - 2 * NS_PER_S


def test_a_given_date_counts_more_than_that_of_an_old_receiver(tmp_path: Path) -> None:
    # 1024 weeks early, as receivers are whose count of weeks has begun anew.
    (sample,) = played(tmp_path, gga("120000"), rmc("120000", date="140706"), options="?date=2026-02-28")
    assert sample.stamp_ns == at("2026-02-28 12:00:00")


@pytest.mark.parametrize("option", ["?date=tomorrow", "?date=2026-02-30", "?day=1", "?baud=9600"])
def test_a_bad_option_is_refused(tmp_path: Path, option: str) -> None:
    with pytest.raises(SourceError, match="nmea:"):
        opened(tmp_path, gga("120000"), options=option)


def test_what_was_dated_wrongly_before_a_leap_of_the_date_is_left_out_and_counted(tmp_path: Path) -> None:
    early = [part for k in range(3) for part in (rmc(f"00000{k}", date="060180"), gga(f"00000{k}"))]
    late = [part for k in range(5) for part in (rmc(f"12000{k}"), gga(f"12000{k}"))]
    source = opened(tmp_path, *early, *late)
    assert [sample.stamp_ns for sample in source.samples()] == [at(f"2026-02-28 12:00:0{k}") for k in range(5)]
    assert told(source) == {"epochs beyond a leap of the date by more than 7 days": 3}
    assert source.length_s == 4.0


def test_a_leap_second_is_a_time(tmp_path: Path) -> None:
    stamps = [s.stamp_ns for s in played(tmp_path, rmc("235959", date="311216"), gga("235959"), gga("235960"))]
    assert np.diff(stamps).tolist() == [NS_PER_S]


def test_an_epoch_that_comes_twice_is_taken_once_and_counted(tmp_path: Path) -> None:
    source = opened(tmp_path, rmc("120000"), gga("120000"), gga("120001"), gga("120000"), gga("120002"))
    assert [s.stamp_ns - at("2026-02-28 12:00:00") for s in source.samples()] == [0, NS_PER_S, 2 * NS_PER_S]
    assert told(source) == {"an epoch for the second time: the first is taken": 1}
    doubled = opened(tmp_path, rmc("120000"), gga("120000"), gga("120000"))
    assert told(doubled) == {"GGA twice in one epoch: the first is taken": 1}


def test_of_several_talkers_the_one_with_all_systems_counts(tmp_path: Path) -> None:
    parts = [gga("120000", 1, talker="GL"), gga("120000", 2, talker="GN"), gga("120000", 1, talker="GP")]
    source = opened(tmp_path, rmc("120000"), *parts)
    assert [sample.payload[6] for sample in source.samples()] == [1]
    assert told(source) == {}
    parts = [gga("120000", 0, talker="GN"), gga("120000", 1, talker="GL")]
    (sample,) = played(tmp_path, rmc("120000"), *parts)
    assert sample.payload[6] == 0  # one with a fix before one without


def test_a_log_that_goes_back_arrives_in_order_all_the_same(tmp_path: Path) -> None:
    samples = played(tmp_path, rmc("120005"), gga("120005"), gga("120001"), gga("120006"))
    assert [s.stamp_ns - at("2026-02-28 12:00:00") for s in samples] == [5 * NS_PER_S, NS_PER_S, 6 * NS_PER_S]
    arrivals = [sample.arrived_ns for sample in samples]
    assert arrivals == sorted(arrivals)


def test_a_wrong_checksum_is_counted_and_the_sentence_is_left_out(tmp_path: Path) -> None:
    wrong = gga("120001").replace(b"4807", b"4907")
    source = opened(tmp_path, rmc("120000"), gga("120000"), wrong, gga("120002"))
    assert len(list(source.samples())) == 2
    assert told(source) == {"GGA with a wrong checksum": 1}


def test_lines_without_checksums_are_taken_where_none_has_one_and_that_is_told(tmp_path: Path) -> None:
    bare = [part.partition(b"*")[0] + b"\n" for part in (rmc("120000"), gga("120000"), gga("120001"))]
    source = opened(tmp_path, *bare)
    assert len(list(source.samples())) == 2
    assert told(source) == {"sentences have no checksum: they are taken as they are": 1}


def test_a_sentence_that_lost_its_checksum_among_others_is_torn(tmp_path: Path) -> None:
    source = opened(tmp_path, rmc("120000"), gga("120000"), gga("120001").partition(b"*")[0] + b"\n")
    assert len(list(source.samples())) == 1
    assert told(source) == {"GGA that is torn: it has lost its checksum": 1}


def test_the_last_line_may_be_cut_off_anywhere(tmp_path: Path) -> None:
    whole = gga("120001")
    for kept in range(len(whole) + 1):
        source = opened(tmp_path, rmc("120000"), gga("120000"), whole[:kept])
        has_all = kept >= len(whole) - 2  # the end of the line is no part of the sentence
        assert len(list(source.samples())) == (2 if has_all else 1), whole[:kept]
        assert sum(told(source).values()) == (0 if has_all or kept == 0 else 1), whole[:kept]


def test_binary_between_sentences_is_passed_over(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    ubx = [b"\xb5\x62" + bytes(rng.integers(0, 256, 300, np.uint8)) for _ in range(20)]
    parts = [part for k in range(20) for part in (ubx[k], gga(f"1200{k:02d}"))]
    source = opened(tmp_path, rmc("120000"), *parts)
    assert len(list(source.samples())) == 20
    assert told(source) == {}


def test_binary_within_a_sentence_tears_it(tmp_path: Path) -> None:
    torn = gga("120001")
    torn = torn[:30] + b"\xb5\x62\x01\x07$\x00" + torn[30:]
    source = opened(tmp_path, rmc("120000"), gga("120000"), torn, gga("120002"))
    assert len(list(source.samples())) == 2
    assert told(source) == {"GGA that is torn: it has lost its checksum": 1}


def test_sentences_behind_a_loggers_own_text_are_found(tmp_path: Path) -> None:
    parts = [b"2026-02-28T12:00:00.0Z " + part for part in (rmc("120000"), gga("120000"))]
    assert len(played(tmp_path, *parts, b"# the end\n")) == 1


def test_other_sentences_are_passed_over(tmp_path: Path) -> None:
    others = [line("GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1"), line("GPVTG,054.7,T,,M,5.5,N,10.2,K"), b"$PUBX,00\n"]
    source = opened(tmp_path, rmc("120000"), gga("120000"), *others)
    assert len(list(source.samples())) == 1
    assert told(source) == {}


def test_epochs_without_a_place_are_counted(tmp_path: Path) -> None:
    source = opened(tmp_path, rmc("120000"), gga("120000"), rmc("120001"), rmc("120002"))
    assert len(list(source.samples())) == 1
    assert told(source) == {"an epoch without a GGA: it has no place": 2}


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("GPGGA,120001,4860.000,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,", "a latitude that is none"),
        ("GPGGA,120001,4807.038,E,01131.000,E,1,08,0.9,545.4,M,46.9,M,,", "a latitude that is none"),
        ("GPGGA,120001,9807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,", "a latitude that is none"),
        ("GPGGA,120001,4807.038,N,18131.000,E,1,08,0.9,545.4,M,46.9,M,,", "a longitude that is none"),
        ("GPGGA,120001,4807.038,N,01131.000,E,1,08,nan,545.4,M,46.9,M,,", "a number that is none"),
        ("GPGGA,120001,4807.038,N,01131.000,E,1,08,0.9,1e999,M,46.9,M,,", "a number that is none"),
        ("GPGGA,250001,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,", "a time that is none"),
        ("GPGGA,12:001,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,", "a time that is none"),
        ("GPGGA,,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,", "does not know it yet"),
        ("GPGGA,120001,4807.038,N", "too few fields"),
    ],
)
def test_what_cannot_be_read_is_counted_and_the_rest_goes_on(tmp_path: Path, body: str, what: str) -> None:
    source = opened(tmp_path, rmc("120000"), gga("120000"), line(body), gga("120002"))
    assert len(list(source.samples())) == 2
    ((words, count),) = told(source).items()
    assert what in words and count == 1


def test_a_log_with_no_fix_at_all_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"hello\n", rmc("120000"), bytes(range(256)) * 100):
        with pytest.raises(SourceError, match=r"log.nmea: holds no fix"):
            opened(tmp_path, data)
    with pytest.raises(SourceError, match=r"absent.nmea: cannot be read: No such file"):
        open_source(f"nmea:{tmp_path / 'absent.nmea'}")


def test_whatever_is_damaged_nothing_is_raised_but_a_source_error(tmp_path: Path) -> None:
    whole = b"".join(part for k in range(10) for part in (rmc(f"12000{k}"), gga(f"12000{k}")))
    rng = np.random.default_rng(3)
    left = []
    for _ in range(300):
        data = bytearray(whole)
        for at_byte in rng.integers(0, len(data), 5):
            data[at_byte] = rng.integers(0, 256)
        try:
            left.append(len(played(tmp_path, bytes(data))))
        except SourceError:
            left.append(0)
    assert 5 <= np.mean(left) < 10


def test_sentences_are_read_as_another_reader_reads_them() -> None:
    pynmeagps = pytest.importorskip("pynmeagps", reason="the extra `nmea` is not installed")
    rng = np.random.default_rng(1)
    for _ in range(200):
        body = (
            f"GNGGA,{rng.integers(24):02d}{rng.integers(60):02d}{rng.integers(60):02d}.{rng.integers(100):02d},"
            f"{rng.integers(90):02d}{rng.uniform(0, 59.9):08.5f},{'NS'[rng.integers(2)]},"
            f"{rng.integers(180):03d}{rng.uniform(0, 59.9):08.5f},{'EW'[rng.integers(2)]},4,12,"
            f"{rng.uniform(0.5, 9):.2f},{rng.uniform(-10, 900):.3f},M,{rng.uniform(-90, 80):.3f},M,,"
        )
        theirs = pynmeagps.NMEAReader.parse(line(body))
        (ours,) = Sentences(lambda what: None).feed(line(body))
        assert time_ns_of(theirs.time) == ours.time_ns
        from edgefuse.sources.nmea_sentences import fix_of

        fix = fix_of(ours, None, False)
        # That reader rounds to ten digits.
        assert fix[:3] == pytest.approx([theirs.lat, theirs.lon, theirs.alt + theirs.sep], abs=1e-9)


def time_ns_of(clock: Any) -> int:
    return ((clock.hour * 60 + clock.minute) * 60 + clock.second) * NS_PER_S + clock.microsecond * 1000


def test_bytes_may_come_in_any_pieces() -> None:
    data = b"\x00\xff".join((rmc("120000"), gga("120000"), line(GST.format(time="120000"))))
    whole = list(Sentences(lambda what: None).feed(data))
    for size in (1, 7, 50):
        sentences = Sentences(lambda what: None)
        pieces = [s for i in range(0, len(data), size) for s in sentences.feed(data[i : i + size])]
        assert pieces == whole
    assert [sentence.kind for sentence in whole] == ["RMC", "GGA", "GST"]


@pytest.mark.parametrize("text", ["1", "99999", "240000", "126000", "120061", "12000a", "-20000", "120000.1.1"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        time_of(text)
    with pytest.raises(ValueError):
        Sentence("GP", "GGA", (text,)).time_ns  # noqa: B018


class Receiver:
    """The other end of a serial line."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)

    def say(self, *parts: bytes) -> None:
        os.write(self.master, b"".join(parts))

    def vanish(self) -> None:
        os.close(self.master)
        os.close(self._slave)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    pytest.importorskip("serial", reason="the extra `nmea` is not installed")
    made = Receiver()
    yield made
    for end in (made.master, made._slave):
        with suppress(OSError):
            os.close(end)


def clock_of(stamp_ns: int) -> tuple[str, str]:
    """hhmmss and ddmmyy of a whole second."""
    moment = time.gmtime(stamp_ns // NS_PER_S)
    return time.strftime("%H%M%S", moment), time.strftime("%d%m%y", moment)


def test_a_receiver_at_a_serial_port_is_live(receiver: Receiver) -> None:
    source = open_source(f"nmea:{receiver.path}?baud=115200")
    assert source.live and source.topics == {"gps": "gps"}
    second_ns = now_ns() // NS_PER_S * NS_PER_S
    clock, date = clock_of(second_ns)
    with Listener(source) as listener:
        receiver.say(rmc(clock, date), gga(clock), line(GST.format(time=clock)))
        (sample,) = listener.wait(1)
    assert sample.stamp_ns == second_ns
    assert sample.payload[3:6].tolist() == [16.0, 9.0, 144.0]  # it has waited for the GST
    assert second_ns <= sample.arrived_ns <= now_ns()
    assert told(source) == {}


def test_a_live_receiver_without_a_date_is_on_this_computers_day(receiver: Receiver) -> None:
    second_ns = now_ns() // NS_PER_S * NS_PER_S
    with Listener(open_source(f"nmea:{receiver.path}")) as listener:
        receiver.say(gga(clock_of(second_ns)[0]))
        (sample,) = listener.wait(1)
    assert sample.stamp_ns == second_ns


def test_an_epoch_ends_with_the_next_where_the_line_is_never_quiet(receiver: Receiver) -> None:
    parts = [part for k in range(50) for part in (rmc(f"12{k:02d}00"), gga(f"12{k:02d}00"))]
    with Listener(open_source(f"nmea:{receiver.path}")) as listener:
        receiver.say(*parts)
        stamps = [sample.stamp_ns for sample in listener.wait(50)]
    assert np.diff(stamps).tolist() == [60 * NS_PER_S] * 49


def test_a_receiver_that_goes_away_is_told_and_opened_again(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NmeaDevice, "first_pause_s", 0.01)
    port = tmp_path / "ttyGPS"
    port.symlink_to(receiver.path)
    source = open_source(f"nmea:{port}")
    with Listener(source) as listener:
        receiver.say(rmc("120000"), gga("120000"))
        listener.wait(1)
        receiver.vanish()
        until(lambda: bool(source.problems))
        other = Receiver()
        port.unlink()
        port.symlink_to(other.path)

        def speak() -> None:  # again and again, as what is sent before a port is open is lost
            other.say(rmc("120001"), gga("120001"))
            time.sleep(0.2)

        until(lambda: len(listener.samples) >= 2, speak)
    other.vanish()
    assert [s.stamp_ns for s in listener.samples[:2]] == [at("2026-02-28 12:00:00"), at("2026-02-28 12:00:01")]
    assert told(source)["went away: it is opened again when it is back"] >= 1


def test_a_port_at_another_speed_is_told(receiver: Receiver) -> None:
    source = open_source(f"nmea:{receiver.path}")
    noise = bytes(np.random.default_rng(0).integers(128, 256, 1000, np.uint8))
    with Listener(source):
        until(lambda: bool(source.problems), lambda: receiver.say(noise))
    assert any("is the baud rate right?" in what for what in told(source))


def test_a_port_that_cannot_be_opened_is_a_source_error(receiver: Receiver) -> None:
    with pytest.raises(SourceError, match="cannot be opened"):
        open_source("nmea:/dev/null")
    with pytest.raises(SourceError, match="baud"):
        open_source(f"nmea:{receiver.path}?baud=fast")
    with pytest.raises(SourceError, match="cannot be opened"):
        open_source(f"nmea:{receiver.path}?baud=-1")


def test_a_line_that_is_quiet_ends_an_epoch_once_all_that_came_last_time_has_come() -> None:
    epochs = Epochs(lambda what: None)

    def take(*kinds: str, clock: str) -> None:
        for kind in kinds:
            body = {"GGA": gga(clock), "RMC": rmc(clock), "GST": line(GST.format(time=clock))}[kind]
            for sentence in Sentences(lambda what: None).feed(body):
                assert epochs.take(sentence) is None

    take("RMC", clock="120000")
    assert epochs.quiet(10.0) is None  # there is no place in it yet
    take("GGA", "GST", clock="120000")
    assert epochs.quiet(0.01) is None
    assert epochs.quiet(0.06) is not None
    take("RMC", "GGA", clock="120001")
    assert epochs.quiet(0.06) is None  # the GST may still come
    assert epochs.quiet(0.3) is not None
    take("RMC", "GGA", clock="120002")
    assert epochs.quiet(0.06) is not None  # it is no longer waited for
    assert epochs.quiet(10.0) is None


@pytest.mark.slow
def test_a_run_at_a_serial_port_is_ended_by_an_interrupt_and_its_file_is_whole(
    receiver: Receiver, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    command = hearing("run", "--source", f"nmea:{receiver.path}", "--out", str(out))
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def speak() -> None:  # a receiver at rest, whose numbers change a little all the same
            stamp_ns = now_ns()
            clock, date = clock_of(stamp_ns)
            clock += f".{stamp_ns % NS_PER_S // 10**7:02d}"
            receiver.say(rmc(clock, date), gga(clock, hdop=f"0.{clock[-2:]}1"))
            time.sleep(0.2)

        try:
            until(lambda: any('"fresh"' in line for line in part_of(out)), speak)
            process.send_signal(signal.SIGINT)
            _, told_lines = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0, told_lines
    states = [json.loads(line)["streams"]["gps"]["state"] for line in out.read_text().splitlines()]
    assert "fresh" in states


def part_of(out: Path) -> list[str]:
    part = out.with_name(f"{out.name}.part")
    return part.read_text().splitlines() if part.exists() else []
