"""Reports, cards and messages describe the data set at hand, and rows of a table hold one training."""

import json
import re
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import jsonschema
import onnx
import pytest

from har import plugins
from har.cli import main
from har.data.motionsense import MOTIONSENSE
from har.evaluation.predictions import read_predictions
from har.runtime.manifest import schema
from tests.helpers import write_motionsense

# What is true of UCI HAR and HAPT alone.
FOREIGN = re.compile(r"\bUCI\b|uci.har|21 training|\bnine\b|official|waist|thirty volunteers|Galaxy", re.IGNORECASE)
SCHEMA = schema()
CONFIG = """
data: {dataset: DATASET, split: {kind: kfold, folds: 2, validation: 1, subjects: all}}
model: {name: cnn1d, options: {width: 8, depth: 2}}
training: {epochs: 1, threads: 1, batch_size: 128}
"""
THEIRS = replace(MOTIONSENSE, name="theirs", title="Their data", people="six of them", placement="on the left ankle", axes="y up the leg")


class Point(EntryPoint):
    """An entry point whose object is at hand."""

    def load(self) -> object:
        return THEIRS


def run(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    status = main(command.split())
    shown = capsys.readouterr()
    assert status == 0, shown.err
    return shown.out + shown.err


@pytest.mark.parametrize("dataset", ["theirs", "synthetic"])
def test_nothing_of_another_data_set_is_said(
    dataset: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Point("theirs", "x", "har.datasets")] if group == "har.datasets" else [])
    Path("small.yaml").write_text(CONFIG.replace("DATASET", dataset))
    told = ""
    if dataset == "theirs":
        told += run(
            f"data prepare --dataset theirs --archive {write_motionsense(workplace / 'recordings', people=8, bout_seconds=16.0)}", capsys
        )
    told += run("train --config small.yaml --seed 0 --fold 0 1 --epochs 1 --quiet", capsys)
    told += run("train --config small.yaml --seed 1 --fold 0 --epochs 2 --quiet", capsys)
    told += run(f"evaluate --dataset {dataset} --part test", capsys)
    table = run(f"compare --dataset {dataset} --output report", capsys)
    # One epoch with seed 0 and two with seed 1 are two trainings.
    suffix = "kfold2-all-0"
    assert f"| small-{suffix} (epochs 1)" in table
    assert f"| small-{suffix} (epochs 2)" in table
    assert "±" not in table
    told += table
    chosen = f"--dataset {dataset} --model small-{suffix} --seed 0"
    told += run(f"export {chosen} --output bundle", capsys)
    told += run(f"explain {chosen} --part test --most 2", capsys)
    told += run(f"robustness {chosen} --results report", capsys)
    manifest = json.loads(Path("bundle/manifest.json").read_text())
    jsonschema.validate(manifest, SCHEMA)
    card = Path("bundle/MODEL_CARD.md").read_text()
    if dataset == "theirs":
        assert {name: manifest["datasets"][0].get(name) for name in ("title", "subjects", "placement", "axes")} == {
            "title": "Their data",
            "subjects": "six of them",
            "placement": "on the left ankle",
            "axes": "y up the leg",
        }
        assert "The phone is worn as in the training data (on the left ankle)" in card
        assert "six of them, worn on the left ankle" in card
        assert THEIRS.cite in card
        assert Path("report/device/robustness_theirs.csv").is_file()
    else:
        assert manifest["datasets"][0]["title"] == "SYNTHETIC data"
        assert "Trained on SYNTHETIC data" in card
    fitted = manifest["temperature"]["fitted_on"]
    assert fitted.removeprefix("not fitted: ") in card
    assert (manifest["temperature"]["value"] == 1.0) == fitted.startswith("not fitted: ")
    files = [path for place in ("bundle", "report", "runs") for path in Path(place).rglob("*") if path.is_file()]
    texts = {path: path.read_text() for path in files if path.suffix in (".md", ".html", ".json", ".csv") and "mlruns" not in path.parts}
    assert {path.name for path in texts} >= {"MODEL_CARD.md", "manifest.json"}
    assert any(path.suffix == ".html" for path in texts)
    texts[Path("model.onnx")] = str(onnx.load("bundle/model.onnx").metadata_props)
    texts[Path("screen")] = told
    for path, text in texts.items():
        assert not FOREIGN.search(text), f"{path}: {FOREIGN.search(text)}"
    origin = read_predictions(next(Path("runs").rglob(f"small-{suffix}/seed-0/predictions_test*.parquet"))).origin
    assert origin.config["training"]["epochs"] == 1
    assert "seed" not in origin.config["training"]
    assert len(origin.code) == 64
