"""Searches: resumed, pruned, tracked with the status they deserve, and never on official test subjects."""

from pathlib import Path

import mlflow
import pandas as pd
import pytest

from har.config import RunConfig, parse_config
from har.data.windowset import WindowSet
from har.errors import HarError
from har.studies import search as searches
from har.studies.search import STARTUP_TRIALS, Slot, run_trial
from har.studies.study import Study, StudyConfig
from har.studies.sweep import sweep
from har.tasks import task_of
from har.tracking.store import tracking_uri
from tests.refusal import refused

STUDY = """
question: Which learning rate is best?
configs: [small]
split: {kind: kfold, folds: 3, subjects: SUBJECTS, validation: 0}
folds: [0]
change: {training.keep: last, training.epochs: 1}
search: {trials: 2, space: {training.learning_rate: {low: 0.001, high: 0.01, log: true}, training.batch_size: {choices: [128, 256]}}}
"""
SMALL = """
data: {dataset: synthetic, validation_subjects: [5]}
model: {name: cnn1d, options: {width: 8, depth: 2}}
training: {threads: 1}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SMALL)
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY.replace("SUBJECTS", "training"))
    return path


def test_a_search_is_run_once_and_resumed(study: Path, workplace: Path) -> None:
    said: list[str] = []
    runs, results = workplace / "runs", workplace / "results"
    sweep(study, runs, results, folder=study.parent, workers=1, say=said.append)
    assert said[0] == "search tiny: 2 trials, 0 done before, 2 to do in 1 processes"
    trials = pd.read_csv(results / "synthetic/studies/tiny_trials.csv")
    assert trials.state.tolist() == ["COMPLETE"] * 2
    assert trials["training.learning_rate"].between(0.001, 0.01).all()
    assert "Which learning rate" in (results / "synthetic/studies/tiny.md").read_text()
    client = mlflow.MlflowClient(tracking_uri=tracking_uri(runs))
    experiment = client.get_experiment_by_name("synthetic")
    assert experiment is not None
    found = [run for run in client.search_runs([experiment.experiment_id]) if "trial" in run.data.tags]
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {(run.data.tags["split"], run.data.tags["fold"], run.data.tags["synthetic"]) for run in found} == {("kfold", "0", "true")}
    (parent,) = client.search_runs([experiment.experiment_id], "tags.study_parent = 'tiny'")
    assert parent.data.tags["mlflow.note.content"].endswith((results / "synthetic/studies/tiny.md").read_text())
    assert sorted(run.data.metrics["subject_mean_accuracy"] for run in found) == pytest.approx(sorted(trials.value), abs=1e-5)
    study.write_text(study.read_text().replace("trials: 2", "trials: 3"))
    # The best values may be written into the config: what is searched does not count as another config.
    (study.parent / "small.yaml").write_text(SMALL.replace("threads: 1", "threads: 1, learning_rate: 0.004, batch_size: 256"))
    said.clear()
    sweep(study, runs, results, folder=study.parent, workers=1, say=said.append)
    assert said[0] == "search tiny: 3 trials, 2 done before, 1 to do in 1 processes"
    assert pd.read_csv(results / "synthetic/studies/tiny_trials.csv").value[:2].tolist() == trials.value.tolist()


def test_a_trial_that_falls_behind_is_pruned_and_its_run_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config: RunConfig = parse_config(
        {
            "data": {"dataset": "synthetic", "split": {"kind": "kfold", "validation": 0}},
            "model": {"name": "cnn1d"},
            "training": {"keep": "last"},
        },
        "test",
    )
    asked = {"question": "?", "configs": ["cnn1d"], "split": {"kind": "kfold"}, "folds": [0, 1]}
    asked |= {"search": {"trials": 1, "space": {"training.learning_rate": {"low": 0.001, "high": 0.01}}}}
    study = Study("tiny", StudyConfig(**asked), {"cnn1d": config}, "synthetic", "digest", 5, tmp_path, tmp_path, None, "")
    study.base.mkdir(parents=True)
    slot = Slot(study, "cnn1d", "pruning", 0)
    monkeypatch.setattr(searches, "_fold_scores", lambda *given: [0.9, 0.8])
    for _ in range(STARTUP_TRIALS):
        assert "85.00 %" in run_trial(slot).text
    monkeypatch.setattr(searches, "_fold_scores", lambda *given: [0.4])
    assert run_trial(slot) == (f"trial {STARTUP_TRIALS}: pruned at 40.00 %", None)

    def fail(*given: object) -> list[float]:
        raise HarError("diverged", "diverged")

    monkeypatch.setattr(searches, "_fold_scores", fail)
    with pytest.raises(HarError, match="diverged"):
        run_trial(slot)
    client = mlflow.MlflowClient(tracking_uri=tracking_uri(tmp_path))
    experiment = client.get_experiment_by_name("synthetic")
    assert experiment is not None
    status = {run.data.tags["trial"]: run.info.status for run in client.search_runs([experiment.experiment_id])}
    assert status == {str(n): "FINISHED" for n in range(STARTUP_TRIALS)} | {"5": "KILLED", "6": "FAILED"}


def test_a_search_refuses_the_official_test_subjects(monkeypatch: pytest.MonkeyPatch, windows: WindowSet) -> None:
    from dataclasses import replace

    from har.data.splits import SubjectSplit

    real = replace(windows.select_channels("raw6"), synthetic=False)
    monkeypatch.setattr("har.tasks.base.load_windows", lambda config, archive: (real, SubjectSplit((1,), (), (2,))))
    config = parse_config({"data": {"validation_subjects": [5]}, "model": {"name": "cnn1d"}}, "test")
    with refused("test-subjects"):
        searches._fold_scores(task_of("cnn1d"), config, None)
