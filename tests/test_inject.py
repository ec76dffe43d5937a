"""A campaign puts faults into a recording and measures them against the same recording without."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgefuse
from edgefuse import Engine, RunConfig, Sample
from edgefuse.campaign import Trial
from edgefuse.cli import main
from edgefuse.config import FaultConfig, StreamConfig
from edgefuse.errors import ConfigError, SourceError
from edgefuse.faults import Fault, FaultySource
from edgefuse.inject import inject
from edgefuse.recorded import Watched, record
from edgefuse.sources.base import Source
from edgefuse.trial import Bench, clean_outcome, play, reached_from, trial_outcome
from edgefuse.types import NS_PER_MS
from hearing import hearing
from test_page import Dom
from tiny import CLASSES, Tiny

ROOT = Path(__file__).resolve().parents[1]
QUICK = ROOT / "configs" / "campaigns" / "quick.yaml"
SITE = "site:seed=3&duration_s=16"
MS = NS_PER_MS


class Sines(Source):
    """Three vectors that move, each at 10 Hz for `seconds`; the truth is always the same class."""

    domain = "test"

    def __init__(self, seconds: float = 12.0, *, truth: str | None = CLASSES[0], size: int = 1) -> None:
        super().__init__()
        self.topics = {"a": "vector", "b": "vector", "c": "vector"}
        self._count, self._truth, self._size = round(seconds * 10), truth, size

    def samples(self) -> Iterator[Sample]:
        for i in range(self._count):
            for k, (topic, d) in enumerate({"a": 3, "b": 5, "c": 4}.items()):
                values = np.sin(0.1 * i + np.arange(d * self._size)).astype(np.float32)
                yield Sample(topic, (1000 + 100 * i + 10 * k) * MS, values)

    def truth(self, t_ns: int) -> Mapping[str, str] | None:
        return {"way": self._truth} if self._truth else None


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    Tiny().write(tmp_path / "tiny.efb")
    return edgefuse.load(tmp_path / "tiny.efb")


def bench(engine: Engine, source: Source | None = None) -> Bench:
    return Bench(engine, record(source or Sines(), "test:"), 1, 10.0, ("a", "b", "c"))


def test_a_recording_plays_the_same_samples_again() -> None:
    recorded = record(Sines(1.0), "test:")
    first, second = list(recorded.samples()), list(recorded.samples())
    assert len(first) == 30
    assert all(one is other for one, other in zip(first, second, strict=True))
    assert recorded.truth(0) == {"way": CLASSES[0]}
    assert recorded.length_s == pytest.approx(0.92)


def test_more_than_fits_is_refused_in_one_line() -> None:
    with pytest.raises(SourceError, match=r"^test:: holds more than 2 MiB of samples, .* give a shorter stretch$"):
        record(Sines(60.0, size=400), "test:", max_bytes=2 << 20)


def test_nothing_is_refused() -> None:
    with pytest.raises(SourceError, match=r"^test:: holds no samples$"):
        record(Sines(0.0), "test:")


def changed(kind: str, **changes: Any) -> list[float]:
    """Seconds after the first sample at which something is otherwise than recorded."""
    recorded = record(Sines(4.0), "test:")
    fault = Fault("a", kind, 1.0, 1.3, **changes)
    watched = Watched(FaultySource(recorded, [fault], 1), recorded, {"a"})
    list(watched.samples())
    return [(t_ns - recorded.start_ns) / 1e9 for t_ns in watched.changed["a"]]


def test_what_a_fault_changed_is_known_by_arrival() -> None:
    assert changed("nan") == [1.0, 1.1, 1.2]
    assert changed("off") == [1.0, 1.1, 1.2]  # when they were due
    assert changed("duplicate") == [1.01, 1.11, 1.21]  # the second deliveries alone
    assert changed("delayed", delay_ms=250.0) == [1.0, 1.1, 1.2, 1.25, 1.35, 1.45]  # when due, and when they came
    assert changed("delayed", delay_ms=0.0) == changed("intermittent", share=0.0) == []


def test_a_trial_measures_detection_recovery_and_what_is_left(engine: Engine) -> None:
    shared = bench(engine)
    trial = Trial("nan on a", (Fault("a", "nan", 4.0, 6.0),))
    outcome = trial_outcome(shared, trial, play(shared, ()))
    (fault,) = outcome.faults
    assert (outcome.answers, outcome.broken_outputs, outcome.error) == (outcome.ticks, 0, None)
    assert fault.changed == 20
    assert fault.detected is not None
    assert (fault.detected.ticks, fault.detected.reason, fault.detected_samples) == (0, "non_finite", 1)
    # The fifth good sample opens the gate.
    assert fault.recovered is not None
    assert fault.recovered_samples == 5
    assert fault.clean.judged == fault.share.judged == 20
    assert not outcome.false_alarms


def test_a_fault_that_does_nothing_is_neither_noticed_nor_missed(engine: Engine) -> None:
    shared = bench(engine)
    trial = Trial("nothing", (Fault("a", "delayed", 4.0, 6.0, delay_ms=0.0),))
    (fault,) = trial_outcome(shared, trial, play(shared, ())).faults
    assert (fault.changed, fault.detected, fault.undetected) == (0, None, False)


def test_the_faults_of_a_storm_are_measured_one_by_one(engine: Engine) -> None:
    shared = bench(engine)
    faults = (Fault("a", "nan", 3.0, 4.0), Fault("b", "off", 3.5, 5.0), Fault("a", "off", 6.0, 7.0))
    outcome = trial_outcome(shared, Trial("storm", faults), play(shared, ()))
    assert [fault.changed for fault in outcome.faults] == [10, 15, 10]
    assert all(fault.detected and fault.recovered for fault in outcome.faults)
    assert not outcome.false_alarms


def test_an_exception_is_a_finding_and_ends_its_replay_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = bench(engine)
    step, calls = engine.step, itertools.count()

    def fails(t_ns: int, **options: Any) -> Any:
        if next(calls) == 30:
            raise ZeroDivisionError("by chance")
        return step(t_ns, **options)

    monkeypatch.setattr(engine, "step", fails)
    outcome = clean_outcome(shared, play(shared, ()))
    assert (outcome.error, outcome.answers) == ("ZeroDivisionError: by chance", 30)
    assert clean_outcome(shared, play(shared, ())).error is None


def test_a_fault_reaches_what_is_computed_from_its_stream(tmp_path: Path) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    streams = {"b": StreamConfig(derived_from="a"), "c": StreamConfig(derived_from="b")}
    plan = edgefuse.load(tmp_path / "tiny.efb", RunConfig(streams=streams)).plan
    assert reached_from(plan, "a") == {"a", "b", "c"}
    assert reached_from(plan, "b") == {"b", "c"}
    same_topic = edgefuse.load(tmp_path / "tiny.efb", RunConfig(streams={"b": StreamConfig(topic="a")})).plan
    assert reached_from(same_topic, "b") == {"a", "b"}


WINDOW = "{from_s: 3.0, to_s: 5.0}"


def run_on(
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: Source,
    text: str = "",
    window: str = WINDOW,
) -> dict[str, Any]:
    monkeypatch.setattr("edgefuse.inject.open_source", lambda _: source)
    path = tmp_path / "c.yaml"
    path.write_text(f"window: {window}\nkinds: [off, nan, stuck, lag]\n{text}")
    return inject(engine, "test:", str(path), lambda _: None).as_json()


def test_a_campaign_twice_is_the_same_but_for_its_timings(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storm = "mode: storm\nseed: 3\nstorm: {rest_s: 1.0, longest_s: 1.5}\n"
    for window, text in ((WINDOW, ""), ("{from_s: 2.0, to_s: 11.0}", storm)):
        runs = [run_on(engine, tmp_path, monkeypatch, Sines(), text, window) for _ in range(2)]
        assert len(runs[0]["rows"]) > 5
        assert all(run.pop("timing")["faulty_s"] > 0.0 for run in runs)
        assert json.dumps(runs[0], allow_nan=False) == json.dumps(runs[1], allow_nan=False)


def test_limits_that_need_the_truth_are_refused_where_there_is_none(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"c\.yaml: limits\.min_ra: the source does not know"):
        run_on(engine, tmp_path, monkeypatch, Sines(truth=None), "limits: {min_ra: 0.5}")
    assert run_on(engine, tmp_path, monkeypatch, Sines(truth=None))["retention"] == {"a": None, "b": None, "c": None}


def test_a_limit_for_a_stream_that_is_not_there_is_refused(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"c\.yaml: limits\.min_retention\.d: no stream 'd'"):
        run_on(engine, tmp_path, monkeypatch, Sines(), "limits: {min_retention: {d: 0.5}}")


def test_faults_of_the_configuration_have_no_place_beside_a_campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    fault = FaultConfig(stream="a", kind="off", from_s=0.0, to_s=1.0)
    engine = edgefuse.load(tmp_path / "tiny.efb", RunConfig(faults=(fault,)))
    with pytest.raises(ConfigError, match="configuration: faults: a campaign says itself"):
        run_on(engine, tmp_path, monkeypatch, Sines())


def edgefuse_inject(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgefuse.cli", "inject", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=dict(os.environ))


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    page = tmp_path_factory.mktemp("page") / "page.html"
    return edgefuse_inject("--source", SITE, "--campaign", QUICK, "--out", page, "--json"), page


def test_the_shipped_bundle_keeps_the_limits_of_the_quick_campaign(
    quick: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, _ = quick
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    document = json.loads(done.stdout.splitlines()[-1])
    assert document["passed"] is True
    assert document["answers"] == document["ticks"] > 3000
    assert document["undetected"] == 0
    assert 0.5 < document["mra"] < 1.2
    assert set(document["retention"]) == {"camera", "depth", "lidar", "gps"}
    by_name = {(row["kind"], row["stream"]): row for row in document["rows"]}
    assert by_name["nan", "lidar"]["reasons"] == ["non_finite"]
    assert by_name["nan", "lidar"]["worst_detection_ticks"] == 0
    assert by_name["stuck", "gps"]["worst_recovery_samples"] == 5
    totals = [sum(document["modes"][mode][i] for mode in ("full", "degraded", "abstain", "blind")) for i in range(16)]
    assert totals == pytest.approx([1.0] * 16)


def test_the_page_of_a_campaign_says_all_of_it_and_stands_alone(
    quick: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, path = quick
    dom = Dom(path.read_text(encoding="utf-8"))
    (first, *_) = dom.texts["p"]
    assert first.startswith("20 faults of 10 kinds were put one at a time into 16 s of site:seed=3&duration_s=16")
    assert dom.texts["h2"][0] == "Limits"
    assert len([tag for tag, _ in dom.elements if tag == "svg"]) == 5  # accuracy of four streams, modes
    assert "points_missing" in dom.texts["td"]
    assert dom.tags() & {"script", "img", "link"} == set()
    assert all(str(link).startswith("#") for link in dom.all("xlink:href"))
    assert done.stdout.splitlines()[0] in first


def test_a_broken_limit_is_one_line_each_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "kinds: [stuck]\nstreams: [gps, camera]\nwindow: {from_s: 3.0, to_s: 5.0}\n"
        "limits: {max_detection_ticks: {stuck: 1}, max_recovery_samples: 4}\n"
    )
    done = edgefuse_inject("--source", "site:seed=3&duration_s=8", "--campaign", tmp_path / "c.yaml", "--json")
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.startswith("BROKEN")]
    assert lines == [
        "BROKEN  max_detection_ticks: stuck on gps: 6, limit 1",
        "BROKEN  max_recovery_samples: stuck on camera: 5, limit 4",
        "BROKEN  max_recovery_samples: stuck on gps: 5, limit 4",
    ]
    assert json.loads(done.stdout.splitlines()[-1])["passed"] is False


BAD: dict[str, tuple[list[object], str]] = {
    "no campaign": (["--source", SITE], "--campaign"),
    "no file": (["--source", SITE, "--campaign", "/none.yaml"], "/none.yaml: cannot be read"),
    "bad key": (["--source", SITE, "--campaign", "bad.yaml"], r"bad\.yaml: kinds\.0: no fault or family 'blak'"),
    "no source": (["--source", "x", "--campaign", QUICK], "x: is not a source"),
    "short": (["--source", "site:duration_s=3", "--campaign", QUICK], r"quick\.yaml: window\.to_s: 10 s is after"),
    "rate": (["--source", SITE, "--campaign", QUICK, "--rate", "0"], "--rate"),
    "no folder": (["--source", SITE, "--campaign", QUICK, "--out", "/none/p.html"], "/none/p.html: cannot be opened"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_input_is_one_line_and_status_2(case: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("kinds: [blak]\nwindow: {from_s: 3.0, to_s: 5.0}\n")
    arguments, words = BAD[case]
    done = edgefuse_inject(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.search(words, done.stderr.splitlines()[-1])


def interrupt_at(monkeypatch: pytest.MonkeyPatch, replays: int) -> None:
    """Ctrl-C in the replay after so many, the clean one first."""
    played = itertools.count()

    def interrupted(*arguments: Any) -> Any:
        if next(played) == replays:
            raise KeyboardInterrupt
        return play(*arguments)

    for module in ("edgefuse.inject", "edgefuse.trial"):
        monkeypatch.setattr(f"{module}.play", interrupted)


def test_a_campaign_that_is_interrupted_leaves_what_was_replayed_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [str(tmp_path / name) for name in ("a.yaml", "b.yaml")]
    for path in both:
        Path(path).write_text("kinds: [black, stuck]\nstreams: [camera]\nwindow: {from_s: 3.0, to_s: 4.0}\n")
    interrupt_at(monkeypatch, 2)
    given = ["inject", "--source", "site:seed=3&duration_s=6", "--campaign", *both]
    assert main([*given, "--out", str(tmp_path / "page.html"), "--json"]) == 2
    told = capsys.readouterr()
    document = json.loads(told.out.splitlines()[-1])
    own = document["campaigns"][both[0]]
    assert (document["passed"], own["passed"], own["left_out"], len(own["trials"])) == (False, False, 5, 1)
    assert own["retention"] == {}  # of no stream is anything known yet
    assert "It was stopped with 5 replays undone" in told.out
    assert told.err.splitlines()[-1] == f"stopped before {both[1]}"
    assert "It was stopped with 5 replays undone" in (tmp_path / "page-a.html").read_text()
    assert not (tmp_path / "page-b.html").exists()


@pytest.mark.parametrize("after", ["nothing", "some replays"])
def test_ctrl_c_ends_a_campaign_with_what_is_done_by_then_and_no_traceback(after: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("kinds: [transport, camera]\nwindow: {from_s: 3.0, to_s: 9.0}\n")
    options = ["--source", "site:duration_s=10", "--campaign", str(tmp_path / "c.yaml"), "--out", "p.html"]
    terminal, stderr = os.openpty()  # so that it tells its progress
    command = hearing("inject", *options, ready=True)
    with subprocess.Popen(command, stderr=stderr, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        os.close(stderr)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)  # past the imports, which nobody guards
        errors = b""
        while after == "some replays" and b" replays, " not in errors:
            errors += os.read(terminal, 4096)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=60)
        errors += os.read(terminal, 4096)
    os.close(terminal)
    assert process.returncode == 2
    assert b"Traceback" not in errors
    if after == "nothing":
        assert errors == b"edgefuse: stopped\r\n"
        assert told == ""
        assert not (tmp_path / "p.html").exists()
    else:
        assert errors.endswith(b"\r\x1b[K")
        assert "It was stopped with" in told
        assert "It was stopped with" in (tmp_path / "p.html").read_text()


def test_several_campaigns_run_one_after_the_other_each_with_its_page(tmp_path: Path) -> None:
    window = "window: {from_s: 3.0, to_s: 4.0}\n"
    (tmp_path / "kept.yaml").write_text(f"kinds: [black]\n{window}")
    (tmp_path / "broken.yaml").write_text(
        f"kinds: [stuck]\nstreams: [gps]\n{window}limits: {{max_detection_ticks: 1}}\n"
    )
    both = ("--campaign", tmp_path / "kept.yaml", tmp_path / "broken.yaml")
    done = edgefuse_inject("--source", "site:seed=3&duration_s=6", *both, "--out", tmp_path / "page.html", "--json")
    assert done.returncode == 1  # a stuck receiver takes longer to see
    document = json.loads(done.stdout.splitlines()[-1])
    assert {Path(path).stem: own["passed"] for path, own in document["campaigns"].items()} == {
        "kept": True,
        "broken": False,
    }
    assert sorted(page.name for page in tmp_path.glob("*.html")) == ["page-broken.html", "page-kept.html"]


def test_what_is_wrong_with_the_last_campaign_is_told_before_the_first_has_run(tmp_path: Path) -> None:
    done = edgefuse_inject("--source", SITE, "--campaign", QUICK, tmp_path / "none.yaml")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "none.yaml: cannot be read" in done.stderr
