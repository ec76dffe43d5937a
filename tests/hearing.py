"""Commands that hear Ctrl-C: what a shell starts in the background is deaf to it, and a test would wait for ever."""

from __future__ import annotations

import sys

_HEARING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"


def hearing(*options: str, cli: str = "edgefuse.cli", ready: bool = False) -> list[str]:
    """The command line as arguments of a process. ready: it prints `ready` first, once it hears."""
    said = "print('ready', flush=True); " if ready else ""
    code = f"{_HEARING}; import sys; from {cli} import main; {said}sys.exit(main())"
    return [sys.executable, "-c", code, *options]
