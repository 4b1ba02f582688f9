"""How long the champion takes for one window, beside MiniRocket and MultiRocket-Hydra as aeon ships them, in one run.

    pip install -e '.[peers]'
    python benchmarks/peer_inference.py [--runs 7] [--windows 64]

What a prediction costs does not depend on how many windows a peer was fitted on, so each is fitted on few, SYNTHETIC ones, but with
all its kernels: the numbers that aeon takes by default, which are those of ``benchmarks/peers.py``. All read the same windows, one
thread each: the peers the nine channels, the champion the six that a phone delivers. Asked one by one, as on a device, and all at once,
where a peer is at its best; the champion is ``model.onnx`` of the bundle that comes with the project, in onnxruntime,
and beside it the bundle's file with int8 arithmetic. Each round times
all ways one after the other, and the ratios are taken within a round. Writes ``results/benchmarks/peer_inference.csv``: ratios first.
"""

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
from paired import Measured, Row, Spent, Times, ratio, rounds, seconds, show
from peers import minirocket, multirocket_hydra
from tables import write_table

from har.contract import STRIDE, WINDOW_SIZE
from har.data import synthetic
from har.data.windowset import WindowSet, windows_of
from har.runtime.bundle import pretrained
from har.runtime.session import open_session, run_windows

RESULT = Path("results/benchmarks/peer_inference.csv")
PEERS = {"MiniRocket": (minirocket, ">= 30"), "MultiRocket-Hydra": (multirocket_hydra, ">= 100")}
CHAMPION_FILES = {"champion": "model.onnx", "champion's int8 file": "model.int8.onnx"}
FITTED = 120  # windows


def windows() -> WindowSet:
    """SYNTHETIC windows of two people with the nine channels."""
    recordings = [synthetic.generate(subject, 0, bout_seconds=20.0) for subject in (1, 2)]
    return windows_of(recordings, window_size=WINDOW_SIZE, stride=STRIDE, dataset="synthetic", synthetic=True, channels="uci9")


def fitted(name: str, data: WindowSet, count: int):  # type: ignore[no-untyped-def]
    """A peer with all its kernels, fitted on the first `count` windows of a random order."""
    chosen = np.random.default_rng(0).permutation(len(data))[:count]
    make, _ = PEERS[name]
    return make(0).fit(channels_first(data.x[chosen]), data.y[chosen])


def channels_first(x: np.ndarray) -> np.ndarray:
    """(window, time, channel) -> (window, channel, time), as aeon takes them."""
    return np.ascontiguousarray(x.transpose(0, 2, 1), dtype=np.float32)


def measure(runs: int, count: int, fit_windows: int = FITTED) -> Times:
    """Seconds a window of every way, one by one and all at once, a list of `runs` each."""
    data = windows()
    chosen = np.random.default_rng(1).permutation(len(data))[:count]
    raw = np.ascontiguousarray(data.select_channels("raw6").x[chosen], dtype=np.float32)
    nine = channels_first(data.x[chosen])

    def one_by_one(predict: Callable[[np.ndarray], object], inputs: np.ndarray) -> None:
        for index in range(len(inputs)):
            predict(inputs[index : index + 1])

    ways: dict[str, Callable[[], object]] = {}
    for name, file in CHAMPION_FILES.items():
        predict = partial(run_windows, open_session(pretrained() / file))
        ways[name] = partial(one_by_one, predict, raw)
        ways[f"{name}, at once"] = partial(predict, raw)
    for name in PEERS:
        model = fitted(name, data, fit_windows)
        ways[name] = partial(one_by_one, model.predict, nine)
        ways[f"{name}, at once"] = partial(model.predict, nine)
    times = rounds(ways, runs)
    return {name: [Spent(t.wall / count, t.cpu / count) for t in spent] for name, spent in times.items()}


def rows(times: Times) -> list[Row]:
    """How many times as fast the champion is, then milliseconds a window."""
    table = []
    for champion, how, (name, (_, target)) in product(CHAMPION_FILES, ("", ", at once"), PEERS.items()):
        said = "window by window" if not how else "all windows at once"
        table.append(ratio(times, name + how, champion + how, f"{champion}, times as fast as {name}, {said}", target))
    return table + [seconds(times, name, measure=f"{name}, one window", unit="ms", scale=1e3) for name in times]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="rounds (default: %(default)s)")
    parser.add_argument("--windows", type=int, default=64, help="that are predicted (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    options = parser.parse_args()
    if importlib.util.find_spec("aeon") is None:
        sys.exit("peer_inference: aeon is not installed; add it: pip install --constraint constraints.txt -e '.[peers]'")
    measured = Measured("numpy", "onnxruntime", "aeon", "numba")
    table = rows(measure(options.runs, options.windows))
    show(table)
    write_table(options.output, table, measured.stamp())


if __name__ == "__main__":
    sys.exit(main())
