"""Draws docs/rerun.png: Rerun at one moment of the demo, with what each stream adds to the answer.

Usage: python tools/rerun_picture.py docs/rerun.png

The viewer runs without a window and draws with Vulkan; where there is no graphics card, Mesa's software renderer does
(Debian: mesa-vulkan-drivers).
"""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from PIL import Image
from rerun.experimental import ViewerClient

from edgefuse.config import parse_config
from edgefuse.demo import CONFIG
from edgefuse.doctor import shipped_bundle
from edgefuse.engine import load
from edgefuse.replay import injected
from edgefuse.run import drive
from edgefuse.sinks import Setting, open_sink
from edgefuse.sinks.places import HOST, Places, free_port
from edgefuse.sources import open_source

SEED, SECONDS = 7, 30.0  # what `edgefuse demo` plays when nothing is asked for
AT_S = 26.8  # on the site's clock: the camera black, depth silent, the answer right
SIZE_PX, MENU_PX = (1600, 1000), 36
COLOURS = 200  # enough for the eye, and a third of the bytes
_PATIENCE_S = 60.0


def record(path: Path) -> None:
    """The shipped bundle on the site with the demo's faults, into an .rrd file."""
    text = resources.files("edgefuse").joinpath(CONFIG).read_bytes() + b"explain: true\n"
    engine = load(shipped_bundle(), parse_config(text, CONFIG))
    source = injected(engine, open_source(f"site:seed={SEED}&duration_s={SECONDS}"), CONFIG)
    setting = Setting({plan.name: plan.modality.kind for plan in engine.plan.streams})
    sinks = [open_sink(str(path), setting)]
    drive(engine, source, sinks, engine.plan.config.tick_hz, False, lambda tick, span: None)


@contextmanager
def viewer(path: Path) -> Iterator[ViewerClient]:
    """A viewer without a window that shows the file."""
    port = free_port(Places("rerun:0", 0, {}))
    size = "x".join(map(str, SIZE_PX))
    command = ["rerun", str(path), "--headless", "--bind", HOST, "--port", str(port), "--window-size", size]
    # A viewer that finds no home of its own is in its first session, which reports nothing to its makers.
    home = {name: str(path.parent) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    environment, quiet = {**os.environ, **home}, subprocess.DEVNULL
    process = subprocess.Popen(command, start_new_session=True, env=environment, stdout=quiet, stderr=quiet)
    try:
        until(lambda: answers(port))
        yield ViewerClient.connect(f"rerun+http://{HOST}:{port}/proxy")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def answers(port: int) -> bool:
    """Does something listen there?"""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def until(done: Callable[[], bool]) -> None:
    """Ask until it is so."""
    end_s = time.monotonic() + _PATIENCE_S
    while not done():
        if time.monotonic() > end_s:
            raise TimeoutError("the viewer does not come to rest")
        time.sleep(0.5)


def screenshot(client: ViewerClient) -> bytes:
    """A PNG of the moment, once two pictures in a row are the same."""

    def loaded() -> bool:
        state = client.get_state()
        return bool(state.recordings) and not state.loading and len(state.views) > 5

    until(loaded)
    client.set_time("event_time", duration=AT_S, play_state="paused")
    shots = [b"", client.take_screenshot()]

    def still() -> bool:
        shots[:] = [shots[1], client.take_screenshot()]
        return shots[0] == shots[1]

    until(still)
    return shots[1]


def main() -> int:
    """Draw it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.rrd"
        record(path)
        with viewer(path) as client:
            picture = Image.open(io.BytesIO(screenshot(client))).convert("RGB")
    picture = picture.crop((0, MENU_PX, *picture.size))  # the menu tells of this computer, not of the run
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(sys.argv[1], optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
