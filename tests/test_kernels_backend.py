"""Tests of the choice of kernels: which backend runs and why, and that threads may call it at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edgefuse import kernels
from kernel_cases import GRID, ISAS, Project, cloud, cpp

ROOT = Path(__file__).resolve().parents[1]


def test_calls_from_two_threads_at_once_give_what_one_thread_gives() -> None:
    case = Project((200, 300), 128, (1, 1))
    expected, barrier, seen = case.run(kernels).tobytes(), threading.Barrier(2), set()

    def work() -> None:
        barrier.wait()
        seen.update(case.run(kernels).tobytes() for _ in range(200))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {expected}


@pytest.mark.skipif(cpp is None, reason="the C++ kernels are not built")
def test_the_gil_is_free_while_a_kernel_runs() -> None:
    points, out, finished = cloud(3_000_000), np.zeros((5, 11, 7), np.float32), threading.Event()
    started = threading.Event()

    def long_call() -> None:
        started.set()
        cpp.lidar_grid(points=points, out=out, **GRID)
        finished.set()

    cpp.lidar_grid(points=points[:1], out=out, **GRID)  # the first call of all gives the lock up while it finds NumPy
    before = sys.getswitchinterval()
    sys.setswitchinterval(10)  # the thread keeps the lock unless the kernel gives it up
    try:
        thread = threading.Thread(target=long_call)
        thread.start()
        started.wait()
        got_on_meanwhile = not finished.is_set()
    finally:
        sys.setswitchinterval(before)
    thread.join()
    assert got_on_meanwhile
    assert finished.is_set()


@pytest.mark.skipif(os.environ.get("EDGEFUSE_REQUIRE_KERNELS", "") in ("", "0"), reason="the kernels are not required")
def test_the_cpp_kernels_are_in_use_where_they_are_required() -> None:
    assert kernels.backend().name == "c++"


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(ROOT / root) for root in ("engine", "export"))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("EDGEFUSE_")}
    command = [sys.executable, "-W", "error", "-c", code]
    environment = {**inherited, "PYTHONPATH": path, **env}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


ASK = "from edgefuse import kernels; b = kernels.backend(); print(b.name, '|', b.isa, '|', b.reason)"
HIDE = "import sys; sys.modules['edgefuse._kernels'] = None; "


def test_numpy_can_be_forced_and_says_so() -> None:
    assert python(ASK, EDGEFUSE_KERNELS="numpy").stdout == "numpy | numpy | EDGEFUSE_KERNELS=numpy asks for NumPy\n"


def test_missing_kernels_fall_back_to_numpy_with_the_reason() -> None:
    name, _, reason = python(HIDE + ASK).stdout.split(" | ")
    assert name == "numpy"
    assert "do not load" in reason


def test_missing_kernels_are_an_error_where_cpp_is_forced() -> None:
    done = python(HIDE + ASK, EDGEFUSE_KERNELS="c++")
    assert done.returncode == 1
    assert "ConfigError: EDGEFUSE_KERNELS=c++: the C++ kernels do not load" in done.stderr


def test_an_unknown_choice_of_kernels_is_refused() -> None:
    assert "ConfigError: EDGEFUSE_KERNELS: must be" in python(ASK, EDGEFUSE_KERNELS="cuda").stderr


@pytest.mark.parametrize("isa", ISAS)
def test_the_instruction_set_can_be_pinned(isa: str) -> None:
    assert python(ASK, EDGEFUSE_ISA=isa).stdout == f"c++ | {isa} | EDGEFUSE_ISA={isa}\n"


@pytest.mark.skipif(cpp is None, reason="the C++ kernels are not built")
def test_an_instruction_set_that_is_not_there_is_told_and_not_guessed() -> None:
    assert "this machine runs baseline" in python(ASK, EDGEFUSE_ISA="mmx").stdout


def test_forced_numpy_gives_the_engine_the_same_answers() -> None:
    code = (
        "import numpy as np; from edgefuse import kernels\n"
        "f = lambda *s: np.linspace(-1, 1, int(np.prod(s)), dtype=np.float32).reshape(s)\n"
        "i = lambda *v: np.array(v, np.int64); s = np.array([1, 0, 2], np.uint8); out = f(20)\n"
        "kernels.fuse_project(f(9), i(3, 3, 3), i(0, 3, 6), f(60), i(0, 20, 40), f(3, 5), s, 1, 4, True, out)\n"
        "fused, grid = f(5), f(3, 4, 4)\n"
        "kernels.fuse_join(1, out[:15].reshape(3, 5), s, f(18), 5, 1, fused)\n"
        "maps, logits = f(6), f(8, 4)\n"
        "kernels.fuse_maps(f(18), i(0, 6, 12), f(3, 3), s, 2, 1, 1, False, maps)\n"
        "kernels.subset_head(f(3, 5), np.arange(8, dtype=np.uint16), True, 4, f(20, 4), f(4), logits)\n"
        "used = kernels.lidar_grid(f(50, 4), -1.0, -1.0, 0.5, f(2), 4, grid)\n"
        "print(used, *np.concatenate([out, maps, logits.reshape(-1), fused, grid.reshape(-1)]).tolist())"
    )
    both = [python(code, EDGEFUSE_KERNELS=choice) for choice in ("", "numpy")]
    answers = [np.array(done.stdout.split(), float) for done in both]
    assert answers[0].size == 1 + 20 + 6 + 32 + 5 + 48
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("choice", ["c++", "numpy"])
def test_a_prepared_projection_gives_the_bits_of_a_call_and_follows_its_mask(
    choice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if choice == "numpy":
        monkeypatch.setattr(kernels, "_table", lambda: kernels._numpy("test"))
    case = Project((3, 20, 9), 17, (1, 1, 1))
    run = kernels.prepared_project(**case.args)
    for select in ((1, 1, 1), (0, 2, 1), (1, 0, 0)):
        case.args["select"][:] = select
        case.args["x"][1:3] += 0.5
        run()
        held = case.args["out"].copy()
        kernels.fuse_project(**case.args)
        assert held.tobytes() == case.args["out"].tobytes()


def test_a_prepared_projection_holds_its_arrays_and_refuses_at_once() -> None:
    case = Project((3, 20, 9), 17, (1, 1, 1))
    run, out = kernels.prepared_project(**case.args), case.args["out"]
    case.args = {}
    run()
    assert np.isfinite(out).all()
    with pytest.raises(ValueError, match="select must have shape"):
        kernels.prepared_project(**{**Project((3,), 4, (1,)).args, "select": np.ones(2, np.uint8)})
