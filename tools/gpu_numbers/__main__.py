"""Runs the measurements: `python tools/gpu_numbers [--out numbers.json] [--rounds N] [--bundle EDGE.efb]`."""

import sys
from importlib import import_module
from pathlib import Path

# Run as a folder, its files would be modules of their own and not know each other.
sys.path[0] = str(Path(__file__).resolve().parents[1])

if __name__ == "__main__":
    sys.exit(import_module("gpu_numbers.command").main(sys.argv[1:]))
