"""What the export of a GRU costs, with `har.exporting.gru_tracing` and without it.

    python benchmarks/export.py [--runs 3]

Both ways export the same network to ONNX, one after the other, and the ratio is taken within a round. Writes
``results/benchmarks/export.csv``.
"""

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import torch
from paired import Measured, ratio, rounds, seconds, show
from tables import write_table

from har.contract import UCI_HAR
from har.exporting import onnx_file
from har.models.classifier import WindowClassifier

RESULT = Path("results/benchmarks/export.csv")
OURS, PLAIN = "export of gru, one operator", "export of gru, torch's own trace"


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="paired rounds (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = WindowClassifier(
        model="gru", options={}, channels="raw6", window_size=UCI_HAR.window_size, num_classes=len(UCI_HAR.labels)
    ).eval()
    measured = Measured("torch", "onnxscript")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")

        def plain() -> None:
            with patch.object(onnx_file, "OpaqueGRU", contextlib.nullcontext):
                onnx_file.export_onnx(model, path, {})

        times = rounds({OURS: lambda: onnx_file.export_onnx(model, path, {}), PLAIN: plain}, options.runs)
    table = [
        ratio(times, PLAIN, OURS, "export of gru, times as fast as torch's own trace", ">= 3"),
        *(seconds(times, name) for name in times),
    ]
    show(table)
    write_table(options.output, table, measured.stamp())


if __name__ == "__main__":
    sys.exit(main())
