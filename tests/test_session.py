"""ONNX Runtime stays behind one door: one pool, fixed buffers, and failures that name the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgefuse.errors import BundleError
from edgefuse.session import Port, Session
from tiny import linear

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
BIAS = np.array([1, 2, 3], dtype=np.float32)
MODEL = linear("m", "x", "y", WEIGHT, BIAS)


def test_bound_buffers_and_plain_arrays_give_the_same() -> None:
    x, y = np.array([[1.0, -2.0]], dtype=np.float32), np.zeros((1, 3), dtype=np.float32)
    session = Session(MODEL, "m.onnx")
    session.bind({"x": x}, {"y": y})
    session.run()
    np.testing.assert_array_equal(y, x @ WEIGHT + BIAS)
    x[:] = 5.0
    session.run()
    np.testing.assert_array_equal(y, session.compute({"x": x})["y"])


def test_an_output_may_lie_inside_a_larger_buffer() -> None:
    whole = np.full(9, 7.0, dtype=np.float32)
    session = Session(MODEL, "m.onnx")
    session.bind({"x": np.ones((1, 2), dtype=np.float32)}, {"y": whole[3:6].reshape(1, 3)})
    session.run()
    np.testing.assert_array_equal(whole, [7, 7, 7, *(WEIGHT.sum(axis=0) + BIAS), 7, 7, 7])


def test_the_interface_must_be_the_declared_one() -> None:
    session = Session(MODEL, "m.onnx")
    session.expect({"x": Port("float32", (1, 2))}, {"y": Port("float32", (1, 3))})
    with pytest.raises(BundleError, match=r"m\.onnx: inputs are \['x'\], the manifest needs \['z'\]"):
        session.expect({"z": Port("float32", (1, 2))}, {"y": Port("float32", (1, 3))})
    with pytest.raises(BundleError, match=r"output 'y' is float32 \[1, 3\], not float32 \[1, 4\]"):
        session.expect({"x": Port("float32", (1, 2))}, {"y": Port("float32", (1, 4))})
    with pytest.raises(BundleError, match=r"input 'x' is float32 \[1, 2\], not uint8 \[1, 2\]"):
        session.expect({"x": Port("uint8", (1, 2))}, {"y": Port("float32", (1, 3))})


def test_every_truncated_graph_is_refused_with_its_name() -> None:
    for size in range(0, len(MODEL) - 1, 5):
        with pytest.raises(BundleError, match=r"m\.onnx: ONNX Runtime refuses it"):
            Session(MODEL[:size], "m.onnx")


SCRIPT = """
import os, sys
sys.path[:0] = {path!r}
import numpy as np, onnxruntime as ort
from tiny import linear
model = linear("m", "x", "y", np.ones((2, 3), np.float32), np.ones(3, np.float32))
{before}
from edgefuse.pools import pool
from edgefuse.session import Session
first = Session(model, "m.onnx")
threads = len(os.listdir("/proc/self/task"))
more = [Session(model, "m.onnx", {how}) for _ in range(8)]
grown = len(os.listdir("/proc/self/task")) - threads
print(pool().shared, grown, pool().reason, more[7].compute({{"x": np.ones((1, 2), np.float32)}})["y"].tolist())
{after}
"""
PLAIN = 'ort.InferenceSession(model, providers=["CPUExecutionProvider"])'
OLDER = "ort.__version__ = '1.23.2'"  # that cannot be told how long to spin


def in_a_fresh_process(before: str, after: str = "", how: str = "") -> str:
    """What SCRIPT prints; a process of its own, as ONNX Runtime has one environment a process."""
    code = SCRIPT.format(path=sys.path, before=before, after=after, how=how)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux to count threads")


@needs_proc
def test_each_session_has_its_own_threads_and_the_application_may_have_its_own_sessions_before_and_after() -> None:
    told = in_a_fresh_process(f"from edgefuse.pools import pool; pool(3); own = {PLAIN}", after=PLAIN)
    assert told == "False 16 a pool for each session, spinning for 50 us at most [[3.0, 3.0, 3.0]]"


@needs_proc
def test_a_small_graph_has_no_threads() -> None:
    told = in_a_fresh_process("from edgefuse.pools import pool; pool(3)", how="one_thread=True")
    assert told.startswith("False 0 ")


@needs_proc
def test_a_process_that_has_given_all_sessions_one_pool_is_respected() -> None:
    told = in_a_fresh_process("ort.set_global_thread_pool_sizes(1, 1)")
    assert told == "True 0 the pool that this process had made before [[3.0, 3.0, 3.0]]"


def test_a_pool_does_not_spin_between_the_ticks() -> None:
    """Beside its default, which burns tens of milliseconds after each answer; in processor time, not in time."""
    code = """
import sys, time
sys.path[:0] = {path!r}
import numpy as np, onnxruntime as ort
from edgefuse.pools import pool
from edgefuse.session import Session
from tiny import linear
model = linear("m", "x", "y", np.ones((512, 4096), np.float32), np.ones(4096, np.float32))
x = dict(x=np.ones((1, 512), np.float32))
pool(2)
options = ort.SessionOptions()
options.intra_op_num_threads = 2
ours, theirs = Session(model, "m.onnx"), ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
spent = []
for run in (lambda: ours.compute(x), lambda: theirs.run(None, x)):
    run()
    time.sleep(0.5)
    before = time.process_time()
    for _ in range(15):
        run()
        time.sleep(0.05)
    spent.append(time.process_time() - before)
print(spent[0] / spent[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", code.format(path=sys.path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.5


@needs_proc
def test_an_older_onnx_runtime_gives_all_sessions_one_pool_and_its_reason_is_kept() -> None:
    assert in_a_fresh_process(OLDER) == "True 0 one pool shared by all sessions [[3.0, 3.0, 3.0]]"


def test_an_older_one_without_a_shared_pool_is_told_and_works() -> None:
    told = in_a_fresh_process(f"{OLDER}; del ort.set_global_thread_pool_sizes")
    assert told.startswith("False ")
    assert "has no shared pool: own pools, spinning off" in told
    assert told.endswith("[[3.0, 3.0, 3.0]]")


def test_with_an_older_one_an_application_may_keep_its_own_sessions() -> None:
    told = in_a_fresh_process(f"{OLDER}; from edgefuse.pools import pool; pool(2, shared=False); own = {PLAIN}")
    assert told.startswith("False ")
    assert "the configuration asks for own pools: spinning off [[3.0, 3.0, 3.0]]" in told
