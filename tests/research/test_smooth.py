"""Smoothing: fitted on training subjects through models that never saw them, scored on the test subjects, in the ledger."""

import csv
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from har.config import parse_config
from har.contract import HAPT_LABELS
from har.runs.checks import run_name
from har.runs.train import train_run
from har.studies.sweep import RESULT, sweep
from research import smooth
from research.common import Bench, experiment
from research.smooth import crossvalidated
from tests.helpers import accept_small_hapt, write_hapt, write_uci_har
from tests.refusal import refused

TRAINED, TESTED = (1, 3, 5, 6), (2,)
STUDY = """
question: How does it do?
configs: [small]
split: {kind: kfold, folds: 3, subjects: training, validation: 0}
change: {training.keep: last}
"""


@pytest.fixture
def smoothed(workplace: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the cross-validation and a refit of a tiny model on small archives, and HAPT beside them."""
    folder = tmp_path_factory.mktemp("archives")
    uci, hapt = folder / "UCI HAR Dataset", folder / "hapt"
    write_uci_har(uci, train=TRAINED, test=TESTED)
    write_hapt(hapt, TRAINED + TESTED, bout_seconds=6.0)
    accept_small_hapt(hapt, monkeypatch)
    monkeypatch.setattr(smooth, "TRAIN_SUBJECTS", TRAINED)
    content = {
        "data": {"dataset": "uci-har", "validation_subjects": []},
        "model": {"name": "cnn1d", "options": {"width": 8, "depth": 2}},
        "training": {"epochs": 2, "learning_rate": 0.003, "threads": 1, "keep": "last"},
    }
    config = parse_config(content, "test")
    (workplace / "small.yaml").write_text(config.to_yaml())
    (workplace / "crossvalidation.yaml").write_text(STUDY)
    where = (workplace / "runs", workplace / "results")
    sweep(workplace / "crossvalidation.yaml", *where, archive=str(uci), folder=workplace, workers=1, say=lambda text: None)
    train_run(config, run_name("small", config.data), where[0], archive=uci, progress=False, say=lambda text: None, export=False)
    return hapt


@pytest.mark.slow
def test_everything_is_fitted_on_training_subjects_and_only_the_test_subjects_are_scored(smoothed: Path) -> None:
    assert experiment("smooth", ["--model", "small", "--archive", str(smoothed)]) == 0
    report = Path("results/hapt")
    row = pd.read_csv(report / "smoothing.csv").iloc[0]
    people = pd.read_csv(report / "smoothing_subjects.csv")
    assert people.subject.tolist() == list(TESTED)
    assert row.windows == people.windows.sum() > 0
    assert row.wrong_smoothed == people.wrong_smoothed.sum()
    choices = pd.read_csv(report / "smoothing_choice.csv")
    assert choices.lag.tolist() == list(smooth.LAGS)
    assert choices.wrong.nunique() == 1  # the training subjects' windows, whatever the lag
    with open(report / "test_openings.csv", newline="") as file:
        (opened,) = csv.DictReader(file)
    assert opened["config"] == "small-refit smoothed"
    assert float(opened["accuracy"]) == pytest.approx(row.accuracy_smoothed, abs=1e-6)
    answers = pq.read_table(report / "smoothing_predictions/small-refit_seed0.parquet").to_pandas()
    assert set(answers.subject) == set(TESTED)
    assert set(answers.y_true) & set(HAPT_LABELS[6:]), "no transition in the stream; the test would prove nothing"
    scored = answers[answers.y_true.isin(HAPT_LABELS[:6])]
    assert (scored.y_pred != scored.y_true).sum() == row.wrong
    text = (report / "smoothing.md").read_text()
    assert "`small-refit`, 1 seeds" in text
    assert f"Written by `python -m research.smooth --model small --archive {smoothed}` on 20" in text
    assert (report / "smoothing.png").is_file()
    folds = crossvalidated("small", Path("runs"), smooth.find_runs(Path("runs"), "uci-har", ["small-refit"]))
    assert sorted(subject for _, subjects in folds for subject in subjects) == list(TRAINED)
    next(Path("runs/uci-har/studies/crossvalidation/small").glob(f"*/{RESULT}")).unlink()
    with refused("argument", r"holds out \d subjects .*; run har sweep configs/study/crossvalidation.yaml"):
        smooth.run(Bench(Path("results"), "command", model="small", archive=str(smoothed)))
    with open(report / "test_openings.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 1  # refused before anything was scored
