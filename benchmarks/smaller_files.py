"""Do the smaller files of a bundle answer as the float file does, whatever seed a network was trained from?

    python benchmarks/smaller_files.py [--configs device cnn1d] [--seeds 5]

Needs UCI HAR (HAR_DATA_DIR, or as ``har data prepare`` left it). Each network is trained without its validation subjects choosing anything
but the epoch, as ``har train`` does, exported, and made smaller by the recipes of `har.exporting.quantise`, whose ranges come from training
subjects. Then the files are judged on the validation subjects, as before a bundle is shipped. Official test subjects are not read. What
is done stands in the table and is not trained again. Writes ``results/device/smaller_files.csv``, a row a network, seed and file.
"""

import argparse
import csv
import sys
import tempfile
from pathlib import Path

import numpy as np
from tables import made, write_table

from har.config import load_config
from har.errors import HarError
from har.exporting.onnx_file import export_onnx
from har.exporting.quantise import RECIPES, judge
from har.runs.checks import config_path
from har.runtime.session import open_session, run_windows
from har.tasks.base import load_windows
from har.training.fit import fit
from har.training.trainer import quiet_lightning

RESULT = Path("results/device/smaller_files.csv")


def judged(name: str, seed: int, epochs: int | None) -> list[dict[str, object]]:
    """Train, export, make smaller, compare: a row a file."""
    config = load_config(config_path(name)).with_overrides(training__seed=seed, training__epochs=epochs)
    windows, split = load_windows(config)
    parts = split.parts(windows)
    x, y = np.array(parts["validation"].x), parts["validation"].y
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(config, parts["train"], parts["validation"], Path(folder))
        model = Path(folder) / "model.onnx"
        export_onnx(fitted.classifier, model, {})
        accuracy = float((run_windows(open_session(model), x).argmax(axis=1) == y).mean())
        for file, (_, recipe) in RECIPES.items():
            try:
                recipe(model, model.with_name(file), np.array(parts["train"].x))
            except HarError:
                continue
            found = judge(model, model.with_name(file), x, y)
            row: dict[str, object] = {"config": name, "seed": seed, "file": file, "windows": found.windows}
            row |= {"float_accuracy": f"{accuracy:.4f}", "agreement": f"{found.agreement:.4f}"}
            rows.append(row | {"accuracy_change": f"{found.accuracy_change:+.4f}", "shipped": "no" if found.refusal() else "yes"})
    return rows


def main() -> None:
    """Judge what is not in the table yet, and write it after every network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", nargs="+", default=["device", "cnn1d"], help="(default: device cnn1d)")
    parser.add_argument("--seeds", type=int, default=5, help="from 0 on (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="of every training (default: the config's)")
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    options = parser.parse_args()
    quiet_lightning()
    stamp = made("onnxruntime", "torch")  # before the table changes the folder
    table: list[dict[str, object]] = []
    if options.output.is_file():
        with open(options.output, newline="", encoding="utf-8") as file:
            table.extend(csv.DictReader(file))
    done = {(str(row["config"]), str(row["seed"])) for row in table}
    for name in options.configs:
        for seed in range(options.seeds):
            if (name, str(seed)) in done:
                continue
            rows = judged(name, seed, options.epochs)
            table += [row | stamp for row in rows]
            for row in rows:
                print(*(f"{key} {value}" for key, value in row.items()), flush=True)
            write_table(options.output, table, {})


if __name__ == "__main__":
    sys.exit(main())
