"""`edgefuse-export benchmark-operators` prints and writes its table, refuses in one line, and can be stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")

from edgefuse_export.benchmark_store import NAME  # noqa: E402
from edgefuse_export.cli import main  # noqa: E402
from hearing import hearing  # noqa: E402
from small_digits import small_digits, write_digits  # noqa: E402

torch.set_num_threads(1)  # small tensors: threads on shared cores would mostly wait for each other

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("digits"), *small_digits())


QUICK = ["--operators", "sum,product", "--folds", "2", "--seeds", "1"]


def test_the_command_line_writes_table_page_and_document(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "operators.md"
    arguments = ["benchmark-operators", "--data", str(folder), "--work", str(tmp_path), "--out", str(out), *QUICK]
    assert main([*arguments, "--epochs", "2", "--workers", "1", "--json"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out.splitlines()[-1])
    assert [row["operator"] for row in document["operators"]] == ["sum", "product"]
    assert document["protocol"]["epochs"] == 2 and document["digits"] == 60
    assert all(row["latency_us"] > 0 for row in document["operators"])
    assert said.out.startswith("operator")
    assert said.err == ""  # no bar where nobody watches
    assert "| sum |" in out.read_text() and str(folder) not in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--operators", "mean"], "unknown operator 'mean'"),
        (["--data", "nowhere"], "nowhere/mfeat-fou.csv: No such file"),
        (["--folds", "1"], "1 folds: must be 2 to 6"),
        (["--out", "nowhere/x.md"], "nowhere/x.md: No such file"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str],
    words: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    quick = ["--data", str(folder), *QUICK, "--epochs", "1", "--workers", "1"]
    assert main(["benchmark-operators", *quick, *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said and len(said.splitlines()) == 1


def test_ctrl_c_ends_it_in_one_line_with_what_was_finished_kept(folder: Path, tmp_path: Path) -> None:
    options = ["--data", str(folder), "--work", str(tmp_path), "--folds", "2", "--seeds", "999", "--epochs", "2"]
    path = os.pathsep.join(str(ROOT / name) for name in ("engine", "export"))
    process = subprocess.Popen(
        hearing("benchmark-operators", *options, cli="edgefuse_export.cli"),
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    store = tmp_path / NAME
    while not (store.is_file() and store.stat().st_size) and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # to the workers too, as a terminal does
    _, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (2, "edgefuse-export: stopped\n")
    lines = store.read_text().splitlines()
    assert all(len(json.loads(line)["accuracy"]) == 63 for line in lines)
