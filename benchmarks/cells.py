"""What the hand-written cells cost: a training step of one layer beside that of torch's own LSTM.

    python benchmarks/cells.py [--runs 15]

One step is forward and backward through one layer of 64 units over a batch of 64 windows of 128 samples and 21 features, the shape
of this project, on one thread. Each run times all layers one after the other, and the ratios are taken within a run, so that other
work on the machine touches all of them. Writes ``results/benchmarks/cells.csv``: ratios first. The layers called steep are torch's own
kernels on scaled weights.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from tables import made, write_table
from torch import nn

from har.models.recurrent import PeepholeLayers, SteepGRU, SteepLSTM

RESULT = Path("results/benchmarks/cells.csv")
BATCH, TIME, FEATURES, HIDDEN = 64, 128, 21, 64
BASE = "nn.LSTM"
TARGETS = {f"peephole LSTM / {BASE}": "<= 10"}


def layers() -> dict[str, nn.RNNBase]:
    """One layer of each kind, with the same shape."""
    shape = (FEATURES, HIDDEN)
    return {
        BASE: nn.LSTM(*shape, batch_first=True),
        "peephole LSTM": PeepholeLayers(*shape, batch_first=True),
        "steep LSTM": SteepLSTM(*shape, batch_first=True, gate_slope=2.0),
        "nn.GRU": nn.GRU(*shape, batch_first=True),
        "steep GRU": SteepGRU(*shape, batch_first=True, gate_slope=2.0),
        "nn.RNN": nn.RNN(*shape, batch_first=True),
    }


def step(layer: nn.RNNBase, x: torch.Tensor) -> float:
    """CPU seconds of forward and backward, gradient of the inputs included, as below a first layer."""
    layer.zero_grad()
    x = x.requires_grad_()
    started = time.process_time()
    layer(x)[0].square().mean().backward()
    return time.process_time() - started


def measure(runs: int) -> dict[str, list[float]]:
    """CPU seconds of every layer's step, a list of `runs` each."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    made, x = layers(), torch.randn(BATCH, TIME, FEATURES)
    for layer in made.values():
        step(layer, x)  # the first step of a layer builds its kernels
    times: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(runs):
        for name, layer in made.items():
            times[name].append(step(layer, x))
    return times


def rows(times: dict[str, list[float]]) -> list[dict[str, object]]:
    """Ratios to torch's LSTM within each run, then milliseconds."""
    measures = {
        f"{name} / {BASE}": ([ours / theirs for ours, theirs in zip(values, times[BASE], strict=True)], "ratio")
        for name, values in times.items()
        if name != BASE
    }
    measures |= {f"{name}, CPU time of a step": ([1e3 * value for value in values], "ms") for name, values in times.items()}
    return [
        {
            "measure": name,
            "median": f"{statistics.median(values):.3f}",
            "smallest": f"{min(values):.3f}",
            "largest": f"{max(values):.3f}",
            "unit": unit,
            "target": TARGETS.get(name, ""),
            "runs": len(values),
        }
        for name, (values, unit) in measures.items()
    ]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15, help="paired runs (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    options = parser.parse_args()
    table = rows(measure(options.runs))
    for row in table:
        print(f"{row['measure']:36} {row['median']} {row['unit']} ({row['smallest']} to {row['largest']}) {row['target']}")
    write_table(options.output, table, made("torch"))


if __name__ == "__main__":
    sys.exit(main())
