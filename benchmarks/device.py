"""What every registered network costs on a device: size, operations, time of one call, distance to the limit.

    python benchmarks/device.py [--runs 15] [--browser]

Each network is built from its config and exported as its runs export it, those of windows as a bundle's ``model.onnx``; what it
costs does not depend on what its weights have learnt. A call is one window, for a network that carries a state half a second
of samples, for one that foretells the two seconds before. Times are of one call in onnxruntime on one thread: median and 99th
percentile over calls, the ratios
taken within a run, so that other work on the machine touches both sides. The lower bound is what this machine needs for the
multiplications alone, at the speed of the fastest matrix product seen between the measurements, or for reading the file once
from the second-level cache, whichever is longer. Loading and the first window are measured in fresh sessions. With
``--browser`` the same files of windows run in headless Chromium (``export/web``). Writes ``results/device/cost.csv`` and ``cost.md``.
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from tables import made, write_table

from har.config import load_config
from har.contract import LABELS, OPSET, UCI_HAR
from har.errors import HarError
from har.exporting.onnx_file import export_onnx
from har.exporting.quantise import INT8, SMALL, quantise_int8, quantise_weights
from har.models.registry import MODELS, model_names
from har.reporting import markdown
from har.runs.checks import config_path
from har.runtime.session import open_session
from har.tasks import task_of
from har.training.fit import build_classifier

ROOT = Path(__file__).parents[1]
RESULT = Path("results/device/cost.csv")
WINDOW, HOP = 128, 25
BROWSERS = ("chromium-headless-shell", "chromium")
CALLS = 200  # a run
MATRICES = (512, 768, 1024)  # of the products that measure the machine


@dataclass(frozen=True)
class Built:
    """A file to be measured.

    Attributes:
        model: its registered name.
        path: of the ONNX file.
        feeds: the inputs of one call.
        parameters: trained ones.
        eager: the same call in torch, where it is one.
        counted: the float file, whose multiplications count.
    """

    model: str
    path: Path
    feeds: dict[str, np.ndarray]
    parameters: int
    eager: Callable[[], object] | None
    counted: Path


def macs_of(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> int:
    """Multiplications with a weight or between tensors for one call, counted from the shapes in the graph."""
    shapes = shapes_of(model, feeds)
    convolved = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    for tensor in (t for t in model.graph.initializer if t.name in convolved):
        values = onnx.numpy_helper.to_array(tensor)
        # har/exporting/graph_rewrites.py adds channels of zeros
        filled = values.any(axis=tuple(axis for axis in range(values.ndim) if axis != 1))
        shapes[tensor.name] = (len(values), int(filled.sum()), *values.shape[2:])
    return sum(_macs(node, shapes) for node in model.graph.node)


def shapes_of(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor in one call, by name; the model's inputs get the sizes of `feeds`."""
    for info in model.graph.input:
        for dim, size in zip(info.type.tensor_type.shape.dim, feeds[info.name].shape, strict=True):
            dim.dim_value = size  # a free batch or time, as in the call
    del model.graph.value_info[:]
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    for info in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        shapes[info.name] = tuple(dim.dim_value or 1 for dim in info.type.tensor_type.shape.dim)
    return shapes


def _macs(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    if node.op_type == "Conv":
        weight, out = shapes[node.input[1]], shapes[node.output[0]]
        return int(np.prod(out) * np.prod(weight[1:]))
    if node.op_type == "Gemm":
        return int(np.prod(shapes[node.output[0]]) * max(shapes[node.input[0]]))
    if node.op_type == "MatMul":
        return int(np.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1])
    if node.op_type in ("LSTM", "GRU", "RNN"):
        steps = shapes[node.input[0]][0]
        return int(steps * (np.prod(shapes[node.input[1]]) + np.prod(shapes[node.input[2]])))
    return 0


def machine_speed() -> tuple[float, float]:
    """Multiplications a second of the fastest float32 product on one thread, and bytes a second of reading 512 kB again and again."""
    products = []
    for size in MATRICES:
        left, right = torch.rand(size, size), torch.rand(size, size)
        ask = partial(_product(size).run, None, {"a": left.numpy()})
        for call in (partial(torch.mm, left, right), ask):  # whichever library is faster here
            products.append(size**3 / min(_timed(call) for _ in range(6)))
    held = torch.zeros(2**17)  # 512 kB, which a second-level cache holds
    read = min(_timed(lambda: [held.sum() for _ in range(64)]) for _ in range(5))
    return max(products), 64 * held.nbytes / read


@lru_cache
def _product(size: int) -> onnxruntime.InferenceSession:
    """A session that multiplies with a constant matrix."""
    matrix = onnx.numpy_helper.from_array(np.random.default_rng(0).random((size, size), dtype=np.float32), "b")
    a, c = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [size, size]) for name in "ac")
    graph = onnx.helper.make_graph([onnx.helper.make_node("MatMul", ["a", "b"], ["c"])], "product", [a], [c], [matrix])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "product.onnx"
        onnx.save(model, path)
        return open_session(path)


def _timed(call) -> float:  # type: ignore[no-untyped-def]
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def files(folder: Path) -> Iterator[Built]:
    """Every network of windows with its float file and those smaller ones that can be made, then those of other tasks."""
    windows = np.random.default_rng(0).normal(size=(64, WINDOW, 6)).astype(np.float32)
    for name in model_names():
        torch.manual_seed(0)
        classifier = build_classifier(load_config(config_path(name)), UCI_HAR).eval()
        path = folder / name / "model.onnx"
        export_onnx(classifier, path, {})
        eager = partial(classifier, torch.from_numpy(windows[:1].copy()))
        parameters = sum(p.numel() for p in classifier.parameters())
        yield Built(name, path, {"windows": windows[:1]}, parameters, eager, path)
        for recipe, smaller in ((lambda a, b: quantise_int8(a, b, windows), INT8), (quantise_weights, SMALL)):
            try:
                recipe(path, path.with_name(smaller))
            except HarError:
                continue
            yield Built(name, path.with_name(smaller), {"windows": windows[:1]}, parameters, eager, path)
    yield from other_files(folder)


def other_files(folder: Path) -> Iterator[Built]:
    """Networks of other tasks, untrained, scaled by SYNTHETIC data; those that are of no use on a device have no file."""
    for name in MODELS:
        task = task_of(name)
        if task is None:
            continue
        torch.manual_seed(0)
        config = load_config(config_path(name)).with_overrides(data__dataset="synthetic", data__transitions="drop")
        if task.name == "reconstruct":  # SYNTHETIC recordings have no transitions that could be novel
            config = config.with_overrides(task__held_out=LABELS[-1:])
        data = task.load(config, None)
        module = task.build(config, data)
        task.finish(module, config, data)
        path = folder / name / "model.onnx"
        path.parent.mkdir()
        task.export(module.eval(), path, {}, data)
        if path.is_file():
            yield Built(name, path, feeds_of(path), module.num_parameters, None, path)


def feeds_of(path: Path) -> dict[str, np.ndarray]:
    """Random inputs of one call: a batch of one, and where time is free, `HOP` samples."""
    rng, feeds = np.random.default_rng(1), {}
    for given in open_session(path).get_inputs():
        free = iter((1, HOP))
        shape = [size if isinstance(size, int) else next(free) for size in given.shape]
        feeds[given.name] = rng.normal(size=shape).astype(np.float32)
    return feeds


def measure(built: Built, runs: int) -> dict[str, float]:
    """Times of one file in ms and us, and ratios within each run."""
    loads, firsts, medians, tails, torch_ratio = [], [], [], [], []
    for _ in range(runs):
        started = time.perf_counter()
        session = open_session(built.path)
        loads.append(time.perf_counter() - started)
        ask = partial(session.run, None, built.feeds)
        firsts.append(_timed(ask))
        calls = sorted(_timed(ask) for _ in range(CALLS))
        medians.append(statistics.median(calls))
        tails.append(calls[int(0.99 * CALLS)])
        if built.eager is not None:
            with torch.inference_mode():
                torch_ratio.append(medians[-1] / statistics.median(_timed(built.eager) for _ in range(CALLS // 10)))
    compared = {"times_torch": statistics.median(torch_ratio)} if torch_ratio else {}
    return compared | {
        "load_ms": 1e3 * statistics.median(loads),
        "first_ms": 1e3 * statistics.median(firsts),
        "median_us": 1e6 * statistics.median(medians),
        "p99_us": 1e6 * statistics.median(tails),
    }


def browser_times(paths: list[Path], runs: int) -> dict[str, dict[str, float]]:
    """Times of the same files in headless Chromium, by path."""
    script = ROOT / "export/web/test/latency.mjs"
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        sys.exit(f"device: found none of {', '.join(BROWSERS)}; install one, or leave --browser out")
    command = ["node", str(script), "--chromium", chromium, "--runs", str(runs), "--calls", str(CALLS), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=script.parents[1])  # nosec B603 # no shell
    if done.returncode:
        sys.exit(f"device: {script} failed; run npm ci in export/web and install chromium:\n{done.stderr[-1500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--browser", action="store_true", help="also in headless Chromium")
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    stamp = {"runs": str(options.runs)} | made("onnxruntime", "torch")
    stamp["versions"] += f", {platform.machine()}"
    rows: list[dict] = []
    speeds = []
    with tempfile.TemporaryDirectory() as name:
        found = list(files(Path(name)))
        for built in found:
            speeds.append(machine_speed())
            macs, file = macs_of(onnx.load(built.counted), built.feeds), built.path.name
            row = {"model": built.model, "task": MODELS[built.model].task, "file": file, "bytes": built.path.stat().st_size, "macs": macs}
            row["input"] = " + ".join(" x ".join(map(str, feed.shape)) for feed in built.feeds.values())
            row |= {"parameters": built.parameters} | measure(built, options.runs)
            rows.append(row)
            print(f"{built.model} {file}: {row['bytes'] / 1000:.0f} kB, {macs / 1e6:.2f} M MACs, {row['median_us']:.0f} us", flush=True)
        # Other work slows the machine now and then: its limit is the best that was seen of it.
        product, bandwidth = (max(values) for values in zip(*speeds, strict=True))
        for row in rows:
            row["bound_us"] = 1e6 * max(row["macs"] / product, row["bytes"] / bandwidth)
            row["times_bound"] = row["median_us"] / row["bound_us"]
        if options.browser:
            seen = browser_times([built.path for built in found if row_of_windows(built)], options.runs)
            for row, built in zip(rows, found, strict=True):
                if row_of_windows(built):
                    row |= {f"browser_{key}": value for key, value in seen[str(built.path)].items()}
                    row["browser_times_native"] = row["browser_median_us"] / row["median_us"]
    write(rows, stamp, options.result)


def row_of_windows(built: Built) -> bool:
    """Whether a file is of the kind that the page runs for every window."""
    return MODELS[built.model].task == "window"


def write(rows: list[dict], stamp: dict, result: Path) -> None:
    """The table as CSV and Markdown."""
    short = [{key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows]
    write_table(result, short, stamp)
    head = ["model", "file", "input", "kB", "parameters", "M MACs", "load, ms", "first, ms", "median, us", "p99, us", "times bound"]
    head += ["times torch", "Chromium median, us", "p99, us", "times native"]
    lines = []
    numbers = ("load_ms", "first_ms", "median_us", "p99_us", "times_bound", "times_torch")
    numbers += ("browser_median_us", "browser_p99_us", "browser_times_native")
    for row in rows:
        cells = [
            row["model"],
            row["file"],
            row["input"],
            f"{row['bytes'] / 1000:.0f}",
            f"{row['parameters']:,}",
            f"{row['macs'] / 1e6:.2f}",
        ]
        cells += [f"{row[key]:.3g}" if key in row else "-" for key in numbers]
        lines.append(cells)
    how = f"{stamp['runs']} runs of {CALLS} calls; {stamp['versions']}"
    absent = ", ".join(name for name in MODELS if name not in {row["model"] for row in rows})
    sections = [
        "# What a network costs on a device",
        markdown(head, lines, "llr"),
        f"One call on one thread in onnxruntime: a window, or for a network that carries a state {HOP} samples; medians over runs. "
        f"Of no use on a device and without a file: {absent}. Bound: the multiplications at the speed of the fastest "
        "float32 matrix product seen on this machine, or reading the file once from the second-level cache; int8 can be below it. "
        "Torch: the same network, eager.",
        f"Written by `{stamp['command']}` on {stamp['date_utc']}, commit {stamp['commit']}; {how}.",
    ]
    result.with_suffix(".md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    print(f"wrote {result.with_suffix('.md')}")


if __name__ == "__main__":
    main()
