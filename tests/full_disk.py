"""A process whose files may not grow beyond a limit, which is how a full disk looks to a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PREAMBLE = """
import resource, signal, sys
sys.dont_write_bytecode = True  # half of it would be found by whoever imports next
sys.path[:0] = {path!r}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
"""


def run_on_a_full_disk(code: str, limit_bytes: int, folder: Path) -> str:
    """What `code` prints when run in `folder` with files of at most limit_bytes; it must end well."""
    script = PREAMBLE.format(path=sys.path, limit=limit_bytes) + code
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout
