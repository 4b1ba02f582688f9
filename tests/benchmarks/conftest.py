"""The scripts of ``benchmarks/`` and ``benchmarks/faults/`` import one another from their own folder."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "benchmarks" / folder) for folder in ("", "faults")]
