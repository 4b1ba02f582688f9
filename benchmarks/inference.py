"""What one answer costs: the champion beside the arithmetic of this machine, beside torch, and a stream beside re-run windows.

    python benchmarks/inference.py [--runs 15]

All on one thread of onnxruntime, as on a device. The champion is the bundle that comes with the project: ``model.onnx``, and beside it
the file with int8 arithmetic, whose bound is that of the same multiplications with float32. torch's eager
network is its architecture in evaluation mode, with the first layer and the softmax, untrained (configs/device.yaml: what it costs does
not depend on its weights). The arithmetic bound is what ``benchmarks/device.py`` says: the multiplications at the speed of the fastest
matrix product seen in all rounds. Recurrent layers read their weights again for each sample, from the second-level cache where the
first does not hold them; a second bound says what that takes at least, and no batch of one can be faster. Streaming: one hop of half a
second through ``StateRecognizer``, next to the same network over the whole window of 128 samples again. Windows are SYNTHETIC. Each round
times all ways one after the other, and the ratios are taken within a round. Writes ``results/benchmarks/inference.csv``: ratios first.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnx
import torch
from device import machine_speed, macs_of, shapes_of
from paired import Measured, Row, Times, ratio, rounds, row, seconds, show
from tables import write_table

from har.config import load_config
from har.contract import LABELS, RAW6, UCI_HAR, WINDOW_SIZE, SignalSpec
from har.data import synthetic
from har.exporting.onnx_file import DeviceGraph, export_onnx
from har.exporting.stream_bundle import HOP, write_stream_bundle
from har.models.labeller import StreamLabeller
from har.reporting import git_commit
from har.runs.checks import config_path
from har.runtime.bundle import pretrained
from har.runtime.recognizer import StateRecognizer, load_model
from har.runtime.session import open_session, run_windows
from har.signals.windows import cut_windows, window_starts
from har.training.fit import build_classifier, module_settings

RESULT = Path("results/benchmarks/inference.csv")
RECURRENT = ("lstm", "gru", "cnn_lstm")
STREAMS = ("stream_gru", "stream_lstm")
BATCHES = (1, 8, 64)  # windows; `har predict` takes 64 at once
EAGER_BATCHES = (64, 256)  # torch is fastest at one of these
CHAMPION = "champion"
EAGER = "torch eager"
CHAMPION_FILES = {CHAMPION: "model.onnx", "champion's int8 file": "model.int8.onnx"}
FIRST_LEVEL = os.sysconf("SC_LEVEL1_DCACHE_SIZE") if "SC_LEVEL1_DCACHE_SIZE" in os.sysconf_names else 32 * 1024  # bytes


@dataclass(frozen=True)
class Limit:
    """What a network needs at least for one window.

    Attributes:
        macs: multiplications.
        reread: bytes of recurrent weights that are read once a sample because the first-level cache does not hold them.
    """

    macs: int
    reread: int

    def seconds(self, speed: float, bandwidth: float) -> tuple[float, float]:
        """The arithmetic bound, and the one of a recurrent network, whose weights have to come in again and again."""
        return self.macs / speed, max(self.macs / speed, self.reread / bandwidth)


def limit_of(path: Path) -> Limit:
    """Count multiplications and re-read weights of one window."""
    model, window = onnx.load(path), {"windows": np.empty((1, WINDOW_SIZE, 6), dtype=np.float32)}
    shapes, reread = shapes_of(model, window), 0
    for node in model.graph.node:
        if node.op_type in ("LSTM", "GRU", "RNN"):
            weights, steps = 4 * int(np.prod(shapes[node.input[2]])), shapes[node.input[0]][0]
            reread += steps * weights if weights > FIRST_LEVEL else 0
    return Limit(macs_of(model, window), reread)


def synthetic_windows(count: int) -> np.ndarray:
    """(count, 128, 6) SYNTHETIC windows."""
    samples = synthetic.generate(1, 0, bout_seconds=30.0).samples
    starts = window_starts(len(samples), WINDOW_SIZE, 8)[:count]
    return cut_windows(samples.astype(np.float32), starts, WINDOW_SIZE)


def eager_champion() -> DeviceGraph:
    """The champion's network in torch, untrained."""
    torch.manual_seed(0)
    return DeviceGraph(build_classifier(load_config(config_path("device")), UCI_HAR), 0.5)


def latency(folder: Path, runs: int) -> list[Row]:
    """Batch-1 times of the champion and of recurrent networks beside the bounds of this machine."""
    paths = {name: pretrained() / file for name, file in CHAMPION_FILES.items()}
    for name in RECURRENT:
        torch.manual_seed(0)
        paths[name] = folder / f"{name}.onnx"
        export_onnx(build_classifier(load_config(config_path(name)), UCI_HAR), paths[name], {})
    window = synthetic_windows(1)
    ways: dict[str, Callable[[], object]] = {
        name: partial(open_session(path).run, None, {"windows": window}) for name, path in paths.items()
    }
    speeds = [machine_speed()]
    times: Times = {name: [] for name in ways}
    for _ in range(runs):
        for name, spent in rounds(ways, 1).items():
            times[name] += spent
        speeds.append(machine_speed())
    speed, bandwidth = (max(values) for values in zip(*speeds, strict=True))  # other work slows the machine now and then
    table, micro = [], {"unit": "us", "scale": 1e6}
    for name, path in paths.items():
        target = "<= 2.0" if name in CHAMPION_FILES else "<= 2.2"
        counted = pretrained() / CHAMPION_FILES[CHAMPION] if name in CHAMPION_FILES else path
        bounds = limit_of(counted).seconds(speed, bandwidth)
        clock, cpu = [t.wall for t in times[name]], [t.cpu for t in times[name]]
        table.append(
            row(f"{name}, one window / arithmetic bound", [t / bounds[0] for t in clock], "ratio", target, cpu=[t / bounds[0] for t in cpu])
        )
        if bounds[1] > bounds[0]:
            measure = f"{name}, one window / bound with recurrent weights read again"
            table.append(row(measure, [t / bounds[1] for t in clock], "ratio", cpu=[t / bounds[1] for t in cpu]))
        table.append(row(f"{name}, arithmetic bound of one window", [1e6 * bounds[0]], "us"))
        table.append(seconds(times, name, measure=f"{name}, one window", **micro))
    return [*table, row("this machine, fastest product", [speed / 1e9], "GMAC/s")]


def batches(runs: int) -> list[Row]:
    """Windows a second of the champion in batches, beside torch eager."""
    graph = eager_champion()
    windows = synthetic_windows(max(EAGER_BATCHES))
    tensor = torch.from_numpy(windows)

    def eager(size: int) -> None:
        with torch.inference_mode():
            for part in tensor[: max(size, 64)].split(size):
                graph(part)

    ways: dict[str, Callable[[], object]] = {}
    for name, file in CHAMPION_FILES.items():
        session = open_session(pretrained() / file)
        for size in BATCHES:
            ways[in_batches(name, size)] = partial(run_windows, session, windows[: max(size, 64)], batch_size=size)
    for size in sorted({*BATCHES, *EAGER_BATCHES}):
        ways[in_batches(EAGER, size)] = partial(eager, size)
    times = rounds(ways, runs, shortest_s=0.05)
    counts = {way: max(int(way.split()[-1]), 64) for way in ways}
    per_window = {way: [type(t)(t.wall / counts[way], t.cpu / counts[way]) for t in spent] for way, spent in times.items()}
    best = min((in_batches(EAGER, size) for size in EAGER_BATCHES), key=lambda way: sum(t.wall for t in per_window[way]))
    table = []
    for name in CHAMPION_FILES:
        for size in BATCHES:
            target = ">= 3" if size == BATCHES[-1] else ""
            ours = in_batches(name, size)
            table.append(ratio(per_window, in_batches(EAGER, size), ours, f"{ours}, windows per second over torch eager's", target))
        ours = in_batches(name, BATCHES[-1])
        table.append(ratio(per_window, best, ours, f"{ours}, over torch eager's at its best batch"))
    for way, spent in per_window.items():
        table.append(row(way, [1 / t.wall for t in spent], "windows/s", cpu=[1 / t.cpu for t in spent]))
    return table


def in_batches(name: str, size: int) -> str:
    return f"{name}, batches of {size}"


def stream_recognizer(name: str, folder: Path) -> StateRecognizer:
    """The bundle of an untrained network that carries a state, opened; scaled by SYNTHETIC data."""
    torch.manual_seed(0)
    recording = synthetic.generate(1, 0, bout_seconds=30.0)
    samples = torch.from_numpy(recording.samples.astype(np.float32))
    config = load_config(config_path(name))
    settings = module_settings(config) | {"chunk": config.task.chunk, "carry_state": config.task.carry_state}
    labeller = StreamLabeller(**settings, num_classes=len(LABELS))
    labeller.spec = SignalSpec.of(RAW6, LABELS)
    labeller.frontend.fit([samples])
    facts = {
        "model": name,
        "run": name,
        "seed": 0,
        "dataset": "synthetic",
        "synthetic": True,
        "data_digest": "none",
        "commit": git_commit(),
    }
    write_stream_bundle(labeller.eval(), folder / name, facts=facts, samples=samples[:3000].numpy(), metrics={})
    return load_model(folder / name)


def streaming(folder: Path, runs: int) -> list[Row]:
    """A hop of half a second beside the whole window again."""
    window = synthetic_windows(1)[0]
    table = []
    for name in STREAMS:
        recognizer = stream_recognizer(name, folder)
        _, state = recognizer.label_samples(window)
        ways = {
            "hop": partial(recognizer.label_samples, window[:HOP], state),
            "window": partial(recognizer.label_samples, window),
        }
        times = rounds(ways, runs)
        table.append(ratio(times, "hop", "window", f"{name}, a hop of 0.5 s / the whole window again", "<= 0.3333"))
        table.append(seconds(times, "hop", measure=f"{name}, a hop of 0.5 s", unit="us", scale=1e6))
        table.append(seconds(times, "window", measure=f"{name}, the whole window", unit="us", scale=1e6))
    return table


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15, help="rounds (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    measured = Measured("numpy", "onnxruntime", "torch")
    with tempfile.TemporaryDirectory() as name:
        table = latency(Path(name), options.runs) + batches(options.runs) + streaming(Path(name), options.runs)
    table.sort(key=lambda line: (line["unit"] != "ratio", not line["target"]))  # ratios first, in their order
    show(table)
    write_table(options.output, table, measured.stamp())


if __name__ == "__main__":
    sys.exit(main())
