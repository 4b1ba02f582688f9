"""What training costs, beside what a user would write instead: ratios first.

    python benchmarks/training.py [--rows lightning accuracy recurrent memory] [--runs 5] [--models cnn1d lstm gru cnn_lstm dilated_cnn]

Needs UCI HAR (HAR_DATA_DIR, or as ``har data prepare`` left it). Rows:

lightning   an epoch of `har.training.fit` against the same epoch in a bare loop: the same module, tensors, order of the windows,
            augmentation, optimiser, clipping, schedule and threads. Both alternate epoch by epoch in one process, the end of an epoch
            (checkpoint and ``resume.ckpt``) counts, validation does not: neither does any.
accuracy    seconds until 95 % of the windows of subjects 5, 15, 25 and 30 are right, asked after every epoch: `har.training.fit` with the
            config as it comes, against the script that many write: the same architecture and batch size on the nine published channels,
            standardised; Adam at 1e-3 throughout, a Dataset that is asked for every window by itself, a DataLoader with its defaults, as
            many threads as torch takes by itself. Each in a process of its own, from the first line of the fit; imports and reading the
            data are not counted. Where a limit of epochs is reached first, the time is that of all epochs, and said to be "not reached".
recurrent   an epoch of a 2-layer bidirectional LSTM of 64 with a linear layer, batches of 64 windows of 128 samples and 36 features:
            with ``training.precision: bfloat16`` and without, in a bare loop, on one thread and on all. Noise for windows; a process of its
            own for either side.
memory      largest resident size of ``har train`` for two epochs, the archive read without a cache, export and tracking included.

Each run does all sides one after the other and the ratios are taken within a run, so that other work on the machine touches all of them;
the load that it found stands beside them. CPU time is given where sides have one thread. Writes ``results/benchmarks/training.csv`` and
``training.md``; with some rows or models, these alone, and the others stay as they were measured.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tables import made, write_table

from har.reporting import markdown

RESULT = Path("results/benchmarks/training.csv")
WINDOW_MODELS = ("cnn1d", "lstm", "gru", "cnn_lstm", "dilated_cnn")
ACCURACY_MODELS = ("cnn1d", "lstm", "gru", "cnn_lstm")
TARGETS = {"lightning": "<= 1.10", "accuracy": "<= 0.5", "recurrent": "<= 0.5", "memory": "< 1500"}
SIDES = Path(__file__).with_name("training_sides.py")
Found = dict[str, list[float]]


def side(*words: object) -> dict[str, float]:
    """What one side of a comparison measured, in a process of its own."""
    command = [sys.executable, str(SIDES), *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # nosec B603 # this very Python, no shell
    return json.loads(done.stdout.splitlines()[-1])


def lightning(found: Found, models: list[str], windows: int) -> None:
    """Ratios of the median epoch."""
    for model in models:
        seen = side("lightning", model, windows)
        for clock in ("wall", "cpu"):
            about = "" if clock == "wall" else ", CPU time"
            found[f"lightning: epoch of {model}, fit / bare loop{about}"].append(seen[f"fit_{clock}_s"] / seen[f"bare_{clock}_s"])
        found[f"lightning: step of {model}, bare loop, CPU time [ms]"].append(1e3 * seen["bare_cpu_s"] / seen["steps"])


def accuracy(found: Found, models: list[str], limit: int) -> None:
    """Seconds to 95 %, and their ratio."""
    for model in models:
        ours, theirs = side("ours", model, limit), side("script", model, limit)
        reached = (
            "" if ours["reached"] and theirs["reached"] else f" (not reached in {limit} epochs by {'script' if ours['reached'] else 'fit'})"
        )
        found[f"accuracy: time to 95 % of {model}, fit / script{reached}"].append(ours["seconds"] / theirs["seconds"])
        for name, seen in (("fit", ours), ("script", theirs)):
            found[f"accuracy: time to 95 % of {model}, {name} [s]"].append(seen["seconds"])
            found[f"accuracy: epochs to 95 % of {model}, {name} [epochs]"].append(seen["epochs"])


def recurrent(found: Found, windows: int) -> None:
    """Ratios of an epoch, on one thread and on all."""
    for threads in dict.fromkeys((1, os.cpu_count() or 1)):
        ours, theirs = (side("recurrent", which, threads, windows or 2048) for which in ("bfloat16", "float32"))
        what = f"recurrent: epoch of a bidirectional lstm, bfloat16 / float32, {threads} thread{'s' if threads > 1 else ''}"
        found[what].append(ours["wall_s"] / theirs["wall_s"])
        if threads == 1:
            found[f"{what}, CPU time"].append(ours["cpu_s"] / theirs["cpu_s"])
            found["recurrent: step of lstm, bfloat16, CPU time [ms]"].append(1e3 * ours["cpu_s"] / ours["steps"])
            found["recurrent: step of lstm, float32, CPU time [ms]"].append(1e3 * theirs["cpu_s"] / theirs["steps"])


def memory(found: Found, models: list[str]) -> None:
    """Largest resident size of the command."""
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "har", "train", "--model", model, "--epochs", "2", "--runs", f"{folder}/runs"]
            environment = os.environ | {"HAR_CACHE_DIR": f"{folder}/cache"}
            child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # nosec B603
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise SystemExit(f"har train --model {model} ended with {child.returncode}, expected 0; try it alone")
        found[f"memory: largest resident size of har train --model {model} [MB]"].append(usage.ru_maxrss / 1024)


def rows(found: Found) -> list[dict[str, object]]:
    """Ratios first, then the rest."""
    made_rows = []
    for name, values in sorted(found.items(), key=lambda item: " / " not in item[0]):
        measure, _, unit = name.partition(" [")
        kind = measure.partition(":")[0]
        watched = (" / " in measure and "CPU time" not in measure) or kind == "memory"
        made_rows.append(
            {
                "measure": measure,
                "median": f"{statistics.median(values):.4g}",
                "smallest": f"{min(values):.4g}",
                "largest": f"{max(values):.4g}",
                "unit": unit.rstrip("]") or "ratio",
                "target": TARGETS[kind] if watched else "",
                "runs": len(values),
            }
        )
    return made_rows


def in_place(table: list[dict[str, object]], path: Path) -> list[dict[str, object]]:
    """The rows of the file with those of `table` in place of the same measures, each as it was stamped; what is new stands behind."""
    fresh = {row["measure"]: row for row in table}
    with open(path, newline="", encoding="utf-8") as file:
        before: list[dict[str, object]] = [dict(row) for row in csv.DictReader(file)]
    return [fresh.pop(row["measure"], row) for row in before] + list(fresh.values())


def write_markdown(path: Path, table: list[dict[str, object]]) -> None:
    """The same for people."""
    lines = ["# What training costs", "", f"Command, machine and versions of each row: {path.with_suffix('.csv').name}."]
    lines += ["Medians of the runs, smallest and largest in brackets; a ratio below 1 is in our favour."]
    heads = ("measure", "median", "unit", "target", "runs", "date", "commit")
    named = [row | {"median": f"{row['median']} ({row['smallest']} to {row['largest']})", "date": row["date_utc"]} for row in table]
    lines += ["", markdown(heads, [[row[head] for head in heads] for row in named], "lrllrl")]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {path}")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=tuple(TARGETS), default=list(TARGETS))
    parser.add_argument("--models", nargs="+", choices=WINDOW_MODELS, default=list(WINDOW_MODELS))
    parser.add_argument("--runs", type=int, default=5, help="paired runs (default: %(default)s)")
    parser.add_argument("--windows", type=int, default=0, help="of an epoch, for a quick look; by default all, or 2,048 of noise")
    parser.add_argument("--limit", type=int, default=30, help="epochs after which nobody waits for 95 %% any more (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    options = parser.parse_args()
    found: Found = defaultdict(list)
    load = []
    for run in range(options.runs):
        load.append(os.getloadavg()[0])
        if "recurrent" in options.rows:
            recurrent(found, options.windows)
        if "lightning" in options.rows:
            lightning(found, options.models, options.windows)
        if "accuracy" in options.rows:
            accuracy(found, [model for model in ACCURACY_MODELS if model in options.models], options.limit)
        if "memory" in options.rows:
            memory(found, options.models)
        print(f"run {run + 1} of {options.runs} done", flush=True)
    table = rows(found)
    for row in table:
        print(f"{row['measure']:80} {row['median']} {row['unit']} ({row['smallest']} to {row['largest']}) {row['target']}")
    machine = f"{os.cpu_count()} cores, load average {min(load):.1f} to {max(load):.1f} before the runs"
    stamp = made("torch") | {"machine": machine}
    table = [row | stamp for row in table]
    if (options.rows, options.models) != (list(TARGETS), list(WINDOW_MODELS)) and options.output.is_file():
        table = in_place(table, options.output)
    write_table(options.output, table, {})
    write_markdown(options.output.with_suffix(".md"), table)


if __name__ == "__main__":
    sys.exit(main())
