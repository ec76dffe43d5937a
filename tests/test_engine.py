"""The engine answers at every tick from what deserves trust, says from what, and never raises for bad sensor data."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import edgefuse
from edgefuse import Engine, RunConfig
from edgefuse.config import StreamConfig
from edgefuse.operators import subsets
from edgefuse.types import NS_PER_MS, Array, Result
from tiny import KERNEL_OPERATORS, PRIOR, Tiny, dims_for

MS = NS_PER_MS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


def engine_of(tiny: Tiny, folder: Path, config: RunConfig | None = None) -> Engine:
    tiny.write(folder / "tiny.efb")
    return edgefuse.load(folder / "tiny.efb", config)


@pytest.fixture
def engine(folder: Path) -> Engine:
    return engine_of(Tiny(), folder)


def way(result: Result) -> Array:
    return result.outputs["way"]


@pytest.mark.parametrize("streams", [1, 4, 6])
@pytest.mark.parametrize("operator", KERNEL_OPERATORS)
def test_every_subset_is_answered_as_the_formula_says(operator: str, streams: int, folder: Path) -> None:
    tiny = Tiny(dims_for(operator, streams), operator)
    engine = engine_of(tiny, folder)
    samples = tiny.samples()
    for present in subsets(list(tiny.dims)):
        chosen = {name: samples[name] for name in present}
        result = engine.answer(chosen)
        np.testing.assert_allclose(way(result), tiny.truth(chosen), rtol=1e-4, atol=1e-5)
        assert result.used == present
        assert result.mode == ("full" if len(present) == len(tiny.dims) else "degraded")


@pytest.mark.parametrize("operator", KERNEL_OPERATORS)
@pytest.mark.parametrize("rung", ["mean", "token"])
def test_an_imputed_stream_counts_as_its_stand_in(operator: str, rung: str, folder: Path) -> None:
    tiny = Tiny(dims_for(operator, 3), operator)
    engine = engine_of(tiny, folder, RunConfig(ladder=("hold", rung)))  # type: ignore[arg-type]
    samples = {"b": tiny.samples()["b"]}
    result = engine.answer(samples)
    stand_ins = {name: row for name, row in zip(tiny.dims, tiny.blocks[rung], strict=True) if name != "b"}
    np.testing.assert_allclose(way(result), tiny.truth(samples, stand_ins), rtol=1e-4, atol=1e-5)
    assert {name for name, trust in result.streams.items() if trust.state == "imputed"} == set(stand_ins)
    assert result.streams["a"].rung == rung


def test_with_nothing_left_the_answer_is_the_learned_prior_and_says_so(engine: Engine) -> None:
    for result in (engine.step(0), engine.answer({})):
        assert result.mode == "blind"
        assert tuple(way(result)) == PRIOR
        assert result.labels == {"way": "left"}
        assert {trust.reason for trust in result.streams.values()} == {"no_data"}


def test_blind_stays_blind_when_every_stream_is_imputed(folder: Path) -> None:
    engine = engine_of(Tiny(), folder, RunConfig(ladder=("mean",)))
    result = engine.step(0)
    assert result.mode == "blind"
    assert tuple(way(result)) == PRIOR


def test_pushed_samples_and_samples_in_hand_get_the_same_answer(engine: Engine) -> None:
    samples = Tiny(seed=3).samples()
    for name, payload in samples.items():
        engine.push(name, 5 * MS, payload)
    stepped, answered = engine.step(5 * MS), engine.answer(samples)
    assert way(stepped).tobytes() == way(answered).tobytes()
    assert stepped.mode == answered.mode == "full"


def test_samples_in_hand_leave_what_was_pushed_alone(engine: Engine) -> None:
    one, two = Tiny(seed=1).samples(), Tiny(seed=2).samples()
    for name, payload in one.items():
        engine.push(name, 1, payload)
    before = engine.step(1)
    engine.answer(two)
    after = engine.step(2)
    assert way(before).tobytes() == way(after).tobytes()


def test_a_payload_may_be_overwritten_after_the_push(engine: Engine) -> None:
    samples = Tiny(seed=1).samples()
    expected = way(engine.answer(samples))
    for name, payload in samples.items():
        engine.push(name, 1, payload)
        payload[:] = np.nan
    assert way(engine.step(1)).tobytes() == expected.tobytes()


@pytest.mark.parametrize("operator", KERNEL_OPERATORS)
def test_garbage_in_an_absent_stream_changes_no_bit(operator: str, folder: Path) -> None:
    tiny = Tiny(dims_for(operator, 3), operator)
    engine = engine_of(tiny, folder)
    samples = tiny.samples()
    for present in subsets(list(tiny.dims)):
        clean = engine.answer({name: samples[name] for name in present})
        for garbage in (np.nan, np.inf, 3e38):
            poisoned = {n: s if n in present else np.full_like(s, garbage) for n, s in samples.items()}
            if garbage == 3e38:
                poisoned = {n: s.astype(np.float64) if n not in present else s for n, s in poisoned.items()}
            assert way(engine.answer(poisoned)).tobytes() == way(clean).tobytes()


def test_an_encoder_that_overflows_is_a_reason(folder: Path) -> None:
    engine = engine_of(Tiny(), folder)
    samples = Tiny().samples()
    result = engine.answer({**samples, "a": np.full(3, 3e38, dtype=np.float32)})
    assert result.streams["a"].reason == "non_finite"
    assert result.used == ("b", "c")
    assert np.isfinite(way(result)).all()


def test_sane_samples_that_overflow_together_give_the_prior_and_not_infinity(folder: Path) -> None:
    engine = engine_of(Tiny(operator="product"), folder)
    result = engine.answer({name: payload * np.float32(1e25) for name, payload in Tiny().samples().items()})
    assert result.mode == "blind"
    assert tuple(way(result)) == PRIOR
    assert {trust.reason for trust in result.streams.values()} == {"non_finite"}
    assert engine.answer(Tiny().samples()).mode == "full"


def test_a_derived_stream_goes_with_a_parent_whose_encoder_overflows(folder: Path) -> None:
    engine = engine_of(Tiny(), folder, RunConfig(streams={"b": StreamConfig(derived_from="a")}))
    result = engine.answer({**Tiny().samples(), "a": np.full(3, 3e38, dtype=np.float32)})
    assert [trust.reason for trust in result.streams.values()] == ["non_finite", "parent_lost", None]


def test_denormals_are_taken_as_zero(engine: Engine) -> None:
    samples = Tiny().samples()
    tiny = {**samples, "a": np.array([0.5, 1e-40, 0.25], dtype=np.float32)}
    zero = {**samples, "a": np.array([0.5, 0, 0.25], dtype=np.float32)}
    assert way(engine.answer(tiny)).tobytes() == way(engine.answer(zero)).tobytes()


def test_a_held_sample_answers_until_it_is_too_old(engine: Engine) -> None:
    samples = Tiny(seed=1).samples()
    for name, payload in samples.items():
        engine.push(name, 0, payload)
    states = [engine.step(t * MS).streams["a"] for t in (0, 100, 101, 300, 301)]
    assert [trust.state for trust in states] == ["fresh", "fresh", "held", "held", "absent"]
    assert [trust.age_ms for trust in states] == [0.0, 100.0, 101.0, 300.0, 301.0]
    assert engine.step(302 * MS).mode == "blind"


def test_without_the_rung_hold_nothing_old_is_used(folder: Path) -> None:
    engine = engine_of(Tiny(), folder, RunConfig(streams={"a": StreamConfig(ladder=("mask",))}))
    engine.push("a", 0, Tiny().samples()["a"])
    assert [engine.step(t * MS).streams["a"].state for t in (0, 101)] == ["fresh", "absent"]


def test_an_encoder_runs_once_a_sample(engine: Engine) -> None:
    for name, payload in Tiny().samples().items():
        engine.push(name, 0, payload)
    assert "encode" in engine.step(0).timing_ms
    assert "encode" not in engine.step(1).timing_ms


def test_the_newest_sample_not_after_the_tick_is_used(engine: Engine) -> None:
    draws = [Tiny(seed=i).samples() for i in range(3)]
    for i, samples in enumerate(draws):
        for name, payload in samples.items():
            engine.push(name, i * 20 * MS, payload)
    for t_ms, index in ((0, 0), (19, 0), (20, 1), (39, 1), (40, 2)):
        assert way(engine.step(t_ms * MS)).tobytes() == way(engine.answer(draws[index])).tobytes()


def test_derived_streams_go_with_their_parent(folder: Path) -> None:
    engine = engine_of(Tiny(), folder, RunConfig(streams={"b": StreamConfig(derived_from="a")}))
    samples = Tiny().samples()
    result = engine.answer({"b": samples["b"], "c": samples["c"]})
    assert result.streams["b"].reason == "parent_lost"
    assert result.used == ("c",)


def test_ticks_do_not_go_back(engine: Engine) -> None:
    engine.step(10)
    with pytest.raises(edgefuse.UsageError, match=r"step: t_ns 9 is before the last tick, 10"):
        engine.step(9)
    engine.reset()
    engine.step(9)


def test_a_derived_stream_goes_with_any_of_its_ancestors(folder: Path) -> None:
    chain = {"b": StreamConfig(derived_from="a"), "c": StreamConfig(derived_from="b")}
    engine = engine_of(Tiny(), folder, RunConfig(streams=chain))
    samples = Tiny().samples()
    for result in (engine.answer({**samples, "a": np.full(3, np.nan, np.float32)}), engine.answer({"c": samples["c"]})):
        assert [trust.reason for trust in result.streams.values()][1:] == ["parent_lost", "parent_lost"]
        assert result.mode == "blind"


def test_a_derived_stream_is_absent_where_its_parent_is_not_held(folder: Path) -> None:
    streams = {"a": StreamConfig(ladder=({"rung": "mask"},)), "b": StreamConfig(derived_from="a")}  # type: ignore[arg-type]
    engine = engine_of(Tiny(), folder, RunConfig(streams=streams))
    samples = Tiny().samples()
    engine.push("a", 0, samples["a"])
    engine.push("b", 150 * MS, samples["b"])
    result = engine.step(150 * MS)
    assert [result.streams[name].state for name in "ab"] == ["absent", "absent"]
    assert result.streams["b"].reason == "parent_lost"


def test_streams_that_derive_from_each_other_are_refused(folder: Path) -> None:
    circle = {"a": StreamConfig(derived_from="b"), "b": StreamConfig(derived_from="a")}
    with pytest.raises(edgefuse.ConfigError, match=r"streams\.a\.derived_from: is derived from itself"):
        engine_of(Tiny(), folder, RunConfig(streams=circle))


def test_a_payload_that_no_memory_holds_is_a_reason(engine: Engine) -> None:
    engine.push("a", 0, np.broadcast_to(np.float32(1), (1 << 42,)))
    assert engine.step(0).streams["a"].reason == "bad_type"


def test_what_waits_ahead_of_the_ticks_is_bounded(engine: Engine) -> None:
    for _ in range(20):
        for _ in range(60):
            engine.push("a", 40 * MS, np.zeros(3, np.float32))
        engine.step(0)
    account = engine.accounts()["a"]
    assert account["waiting"] == 64
    assert account["dropped"] == {"overflow": 1200 - 64, "superseded": 0}


def test_an_unknown_stream_is_a_usage_error(engine: Engine) -> None:
    with pytest.raises(edgefuse.UsageError, match=r"no stream 'zebra' in the bundle; it has a, b, c"):
        engine.push("zebra", 0, np.zeros(3))
    with pytest.raises(edgefuse.UsageError, match=r"no stream 'zebra'"):
        engine.answer({"zebra": np.zeros(3)})


payloads = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.just([1.0, 2.0, 3.0]),
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.dtype(">f4"), np.uint8, np.complex64, np.bool_, np.dtype("O")]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        fill=st.nothing(),
    ),
    hnp.arrays(np.float32, 3, elements=st.floats(width=32)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-5, 500), payloads), max_size=40))
def test_whatever_sensors_send_every_tick_is_answered(sent: list[tuple[str, int, object]]) -> None:
    engine = engine_of(Tiny(), Path(tempfile.gettempdir()))
    for i, (name, stamp_ms, payload) in enumerate(sent):
        engine.push(name, stamp_ms * MS, payload)
        result = engine.step(i * 10 * MS)
        assert np.isfinite(way(result)).all()
        result.as_json()
    for account in engine.accounts().values():
        dropped = account["dropped"]
        assert isinstance(dropped, dict)
        parts = [account[part] for part in ("used", "waiting")] + list(dropped.values())
        assert account["received"] == sum(parts)  # type: ignore[arg-type]


def test_the_same_samples_give_the_same_bits(folder: Path) -> None:
    rng = np.random.default_rng(0)
    script = [(rng.choice(["a", "b", "c"]), int(rng.integers(0, 2000)), int(rng.integers(0, 9))) for _ in range(300)]

    def play() -> list[object]:
        engine = engine_of(Tiny(), folder)
        lines = []
        for i, (name, stamp_ms, seed) in enumerate(script):
            engine.push(name, stamp_ms * MS, Tiny(seed=seed).samples()[name])
            document = engine.step(i * 7 * MS).as_json()
            lines.append({key: value for key, value in document.items() if key != "timing_ms"})
        return list(lines)

    assert play() == play()


def test_an_engine_holds_sixteen_streams(folder: Path) -> None:
    tiny = Tiny({f"s{i}": 2 for i in range(16)}, "sum")
    engine = engine_of(tiny, folder)
    samples = tiny.samples()
    half = dict(itertools.islice(samples.items(), 8))
    np.testing.assert_allclose(way(engine.answer(half)), tiny.truth(half), rtol=1e-4, atol=1e-5)
    assert engine.plan.names == tuple(samples)
