"""A model on a data set that it was not trained on: by name of the activities, with nobody who trained."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har.cli import main
from har.contract import LABELS, HarError
from har.data.motionsense import LABELS as THEIRS
from har.evaluation.predictions import read_predictions
from har.pipeline.run_folder import RunFolder, find_runs
from har.pipeline.transfer import evaluate_on
from tests.helpers import write_motionsense

SMALL = """
data: {dataset: synthetic, validation_subjects: [5, 15, 25, 30]}
model: {name: cnn1d, options: {width: 8, depth: 2}}
training: {epochs: 3, learning_rate: 0.01, threads: 1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_motionsense(tmp_path / "ms", bout_seconds=18.0)


@pytest.fixture
def run(workplace: Path) -> RunFolder:
    Path("small.yaml").write_text(SMALL)
    assert main(["train", "--config", "small.yaml", "--quiet"]) == 0
    return find_runs(Path("runs"), "synthetic")[0]


def test_train_on_one_test_on_another(run: RunFolder, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "--dataset", "synthetic", "--model", "small", "--on", "motionsense", "--on-archive", str(folder)]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "small trained on synthetic, seed 0, SYNTHETIC data, all subjects: accuracy" in told
    assert "left out, the model does not know them: JOGGING (" in told
    assert "not in the data set: LAYING; a window that is taken for one of them is wrong" in told
    found = read_predictions(run.path / "on-motionsense_all_synthetic.parquet")
    assert found.labels == list(LABELS)
    assert set(found.table.subject) == {1001, 1002, 1003, 1004}
    assert set(found.table.y_true) == set(LABELS) - {"LAYING"}
    by_recording = {"wlk_1": "WALKING", "ups_2": "WALKING_UPSTAIRS", "sit_4": "SITTING"}
    for trial, label in by_recording.items():  # the numbers of their labels are not those of ours
        assert set(found.table.y_true[found.table.recording.str.startswith(trial)]) == {label}
    assert (found.table.y_true == found.table.y_pred).mean() > 0.5  # the same biomechanical model made both
    assert not list(Path("results").rglob("test_openings.csv"))
    assert main([*command, "--map", "JOGGING=WALKING"]) == 0
    assert "left out" not in capsys.readouterr().out
    jogging = read_predictions(run.path / "on-motionsense_all_synthetic.parquet").table
    assert len(jogging) > len(found.table)
    assert set(jogging.y_true[jogging.recording.str.startswith("jog")]) == {"WALKING"}
    assert main(["compare", "--dataset", "synthetic"]) == 0  # a table of one data set does not see them


def test_their_data_train_models_too(folder: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("theirs.yaml").write_text(
        SMALL.replace(
            "dataset: synthetic, validation_subjects: [5, 15, 25, 30]", "dataset: motionsense, split: {kind: loso, validation: 2}"
        )
    )
    assert main(["train", "--config", "theirs.yaml", "--archive", str(folder), "--quiet"]) == 0
    (run,) = find_runs(Path("runs"), "motionsense")
    info = run.info()
    assert info.split is not None
    assert set(info.split["test"]) == {1001}
    assert main(["evaluate", "--dataset", "motionsense", "--split", "test"]) == 0
    assert "JOGGING" in capsys.readouterr().out
    assert not Path("results/motionsense/test_openings.csv").exists()  # these are no official test subjects
    assert main(["compare", "--dataset", "motionsense"]) == 0
    assert main(["export", "--dataset", "motionsense", "--output", "bundle"]) == 0
    assert main(["verify", "bundle"]) == 0
    assert f'"{THEIRS[-1]}"' in (Path("bundle") / "manifest.json").read_text()
    assert main(["evaluate", "--dataset", "motionsense", "--split", "test", "--on", "synthetic"]) == 0
    table = read_predictions(run.path / "on-synthetic_all_synthetic.parquet").table
    assert set(table.y_true) == set(LABELS) - {"LAYING"}
    capsys.readouterr()
    Path("official.yaml").write_text(SMALL.replace("dataset: synthetic", "dataset: motionsense"))
    assert main(["train", "--config", "official.yaml", "--quiet"]) == 2
    assert "the official split is that of UCI HAR's people, motionsense has others; name another" in capsys.readouterr().err


def test_of_the_same_people_only_those_of_the_split_are_scored(run: RunFolder, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As HAPT has the people of UCI HAR: here the synthetic people, once more, under another name."""
    from dataclasses import replace

    from har.data.prepare import prepare
    from har.pipeline import transfer

    own = prepare("synthetic")
    rng = np.random.default_rng(0)
    noisy = replace(own, x=own.x + rng.normal(0, 1e-3, own.x.shape).astype(np.float32), dataset="again", synthetic=False)
    noisy = replace(noisy, recording=np.char.add("again-", noisy.recording.astype(str)))
    monkeypatch.setattr(transfer, "prepare", lambda *arguments, **options: noisy)
    found = evaluate_on(run, "again", "validation", Path("results"))
    assert set(found.predictions.table.subject) == {5, 15, 25, 30}
    assert not Path("results/again/test_openings.csv").exists()
    tested = evaluate_on(run, "again", "test", Path("results"))
    assert set(tested.predictions.table.subject) == {2, 4, 9, 10, 12, 13, 18, 20, 24}
    assert len(pd.read_csv("results/again/test_openings.csv")) == 1
    copied = replace(own, dataset="copy", subject=own.subject + 1000, recording=noisy.recording)
    monkeypatch.setattr(transfer, "prepare", lambda *arguments, **options: copied)
    with pytest.raises(HarError, match="leak: window"):  # the same signals under other numbers
        evaluate_on(run, "copy", "test", Path("results"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--on", "synthetic"], "small was trained on synthetic; name another data set with --on"),
        (["--on", "motionsens"], "unknown data set 'motionsens'; did you mean 'motionsense'?"),
        (["--map", "JOGGING=WALKING"], "--map and --on-archive belong to another data set: name it with --on"),
        (["--on", "motionsense", "--on-archive", "ms", "--map", "JOGGING"], "--map is 'JOGGING'; expected NAME=LABEL"),
        (["--on", "motionsense", "--on-archive", "ms", "--map", "RUNNING=WALKING"], "--map names 'RUNNING', which motionsense has not"),
        (["--on", "motionsense", "--on-archive", "ms", "--map", "JOGGING=RUNNING"], "--map takes JOGGING for 'RUNNING', which the model"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    options: list[str], message: str, run: RunFolder, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["evaluate", "--dataset", "synthetic", "--model", "small", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
