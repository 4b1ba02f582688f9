"""Tasks: a run, its scores and a study, on small synthetic data."""

import json
from pathlib import Path
from typing import get_args

import optuna
import pandas as pd
import pytest
import yaml
from optuna.storages.journal import JournalFileBackend, JournalStorage

from har.config import RunConfig, parse_config
from har.contract import TEST_SUBJECTS
from har.models.registry import MODELS
from har.runs.checks import planned_runs
from har.runs.evaluate import evaluate
from har.runs.export import best_run
from har.runs.run_folder import RunFolder, find_runs
from har.runs.train import train_run
from har.studies.study_report import summarise
from har.studies.sweep import sweep
from har.tasks import TASKS, task_of
from har.tasks.run_key import sources
from tests.refusal import refused

FORECAST = {
    "data": {"dataset": "synthetic", "validation_subjects": [5, 15]},
    "windowing": {"window_size": 48, "stride": 48, "cross_labels": True},
    "model": {"name": "seq2seq", "options": {"hidden_size": 8}},
    "task": {"name": "forecast", "horizon": 8},
    "training": {"epochs": 2, "learning_rate": 0.01, "threads": 1},
}
STUDY = """
question: Is anything foretold?
configs: [small]
split: {kind: kfold, folds: 3, subjects: training, validation: 0}
seeds: [0, 1]
folds: [0, 1]
change: {training.keep: last, training.epochs: 1}
"""

SEARCH = "search: {trials: 3, space: {training.learning_rate: {low: 1.0e-6, high: 0.1, log: true}}}\n"


def forecast(**changes: object) -> RunConfig:
    return parse_config(FORECAST, "test").with_overrides(**changes)


@pytest.fixture
def run(workplace: Path) -> RunFolder:
    return train_run(forecast(), "small", workplace / "runs", progress=False, say=lambda text: None, export=False)


def test_every_registered_model_has_a_task_with_its_words() -> None:
    for name, entry in MODELS.items():
        task = task_of(name)
        assert task.name == entry.task
        assert task.module.monitor == f"val/{task.primary}"
        assert (task.module.mode == "max") == task.higher_is_better
    assert (
        {entry.task for entry in MODELS.values()}
        == {*TASKS}
        == {get_args(each.model_fields["name"].annotation)[0] for each in get_args(RunConfig.model_fields["task"].annotation)}
    )


def test_a_run_leaves_its_scores_people_and_weights(run: RunFolder) -> None:
    info = run.info()
    scores = json.loads((run.path / "scores_validation_synthetic.json").read_text())
    assert scores["values"]["rmse"] == pytest.approx(info.score)
    assert scores["references"]["persistence"]["skill"] == 0
    assert 0 < scores["values"]["skill"] < 1  # two epochs beat repeating the last sample
    people = pd.read_csv(run.path / "subjects_validation_synthetic.csv")
    assert people.subject.tolist() == [5, 15]
    again = evaluate(run, "validation", run.path.parent)
    assert again.values == pytest.approx(scores["values"])


def test_the_same_seed_gives_the_same_run(run: RunFolder, workplace: Path) -> None:
    again = train_run(forecast(), "again", workplace / "runs", progress=False, say=lambda text: None, export=False)
    other = train_run(forecast(training__seed=1), "other", workplace / "runs", progress=False, say=lambda text: None, export=False)
    assert again.info().score == run.info().score != other.info().score


def test_other_weights_are_refused(run: RunFolder) -> None:
    run.checkpoint.write_bytes(run.checkpoint.read_bytes() + b"x")
    with refused("run-damaged"):
        evaluate(run, "validation", run.path.parent)


def test_a_part_without_people_is_refused(workplace: Path) -> None:
    everybody = forecast(data__validation_subjects=(), training__keep="last")
    made = train_run(everybody, "small-refit", workplace / "runs", progress=False, say=lambda text: None, export=False)
    assert made.info().score is None
    with refused("run-kind", "has no validation subjects, all trained"):
        evaluate(made, "validation", workplace)
    assert set(evaluate(made, "test", workplace).score.subjects.subject) == set(TEST_SUBJECTS)


def test_the_report_names_the_references(run: RunFolder, workplace: Path) -> None:
    text = evaluate(run, "validation", workplace).text
    assert "SYNTHETIC data, validation subjects: rmse" in text
    assert "reference persistence: rmse" in text
    with refused("run-kind", "none of these runs names activities of windows"):
        best_run(find_runs(workplace / "runs", "synthetic"))


def test_a_horizon_leaves_something_to_foretell_from(workplace: Path) -> None:
    with refused("config", r"task\.horizon is 47 samples of windows of 48"):
        train_run(forecast(task__horizon=47), "small", workplace / "runs", progress=False, say=lambda text: None, export=False)
    assert not list((workplace / "runs").rglob("best.ckpt"))


def test_a_model_is_not_trained_for_another_task(config: RunConfig, workplace: Path) -> None:
    with refused("config", r"task\.name is 'window', but model 'seq2seq' is for the task 'forecast'; set task\.name: forecast"):
        train_run(config.with_overrides(model__name="seq2seq", model__options={}), "small", workplace / "runs")
    (workplace / "mine.yaml").write_text(config.with_overrides(model__name="seq2seq", model__options={}).to_yaml())
    with refused("config", r"set task\.name: forecast"):
        planned_runs(["mine.yaml"], {})
    content = config.model_dump(mode="json") | {"model": {"name": "seq2seq"}, "task": {"name": "forecast"}}
    (workplace / "mine.yaml").write_text(yaml.safe_dump(content))  # as the message says
    ((made, _),) = planned_runs(["mine.yaml"], {})
    del content["task"]
    (workplace / "mine.yaml").write_text(yaml.safe_dump(content))
    assert planned_runs(["mine.yaml"], {}) == [(made, "mine")]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"horizon": 5}, r"key 'task\.name' is missing"),
        ({"name": "window", "horizon": 5}, r"unknown key 'task\.horizon'; valid: name"),
        ({"name": "forecast", "held_out": ["LAYING"]}, r"unknown key 'task\.held_out'; valid: name, horizon"),
        ({"name": "forecasting"}, r"task\.name is 'forecasting'; expected one of 'window', 'sequence'"),
    ],
)
def test_a_key_of_another_task_is_refused(section: dict, message: str) -> None:
    with refused("config", message):
        parse_config(FORECAST | {"task": section}, "test")


def test_members_have_no_effect_for_other_tasks_and_are_refused() -> None:
    with refused("config", r"model\.members: 2 has no effect for the task forecast, only for the task window; remove it"):
        forecast(model__members=2)


def test_a_study_of_a_task_has_means_over_seeds_and_its_references(workplace: Path) -> None:
    (workplace / "small.yaml").write_text(json.dumps(FORECAST))
    path = workplace / "tiny.yaml"
    path.write_text(STUDY)
    said: list[str] = []
    written = sweep(path, workplace / "runs", workplace / "results", folder=workplace, workers=1, say=said.append)
    folder = workplace / "results/synthetic/tasks"
    assert {item.name for item in written} == {"tiny.csv", "tiny_jobs.csv", "tiny_subjects.csv", "tiny.md"}
    table = pd.read_csv(folder / "tiny.csv").set_index("run")
    jobs = pd.read_csv(folder / "tiny_jobs.csv")
    assert len(jobs) == 4
    by_seed = jobs.groupby("seed").rmse.mean()
    assert table.loc["small", "rmse_mean"] == pytest.approx(by_seed.mean(), abs=1e-6)
    assert table.loc["small", "rmse_sd"] == pytest.approx(by_seed.std(), abs=1e-6)
    assert table.loc["persistence", "skill_mean"] == 0
    assert not jobs.opens_test_subjects.any()
    assert "official" not in (folder / "tiny.md").read_text()  # of UCI HAR and HAPT alone
    sweep(path, workplace / "runs", workplace / "results", folder=workplace, workers=1, say=said.append)
    assert "4 done before, 0 to do" in said[-1]


def test_tasks_are_not_mixed_in_a_study(workplace: Path) -> None:
    path = workplace / "mixed.yaml"
    path.write_text(STUDY.replace("[small]", "[small, cnn1d]"))
    (workplace / "small.yaml").write_text(json.dumps(FORECAST))
    (workplace / "cnn1d.yaml").write_text((workplace / "configs/cnn1d.yaml").read_text().replace("uci-har", "synthetic"))
    with refused("config", r"mixes tasks: seq2seq \(forecast\), cnn1d \(window\)"):
        sweep(path, workplace / "runs", workplace / "results", folder=workplace, say=lambda text: None)


def test_the_spread_is_over_seeds_and_not_over_folds() -> None:
    def result(seed: int, fold: int, value: float) -> dict:
        return {
            **{"run": "a", "setting": "a", "model": "seq2seq", "seed": seed, "fold": fold, "parameters": 1, "train_seconds": 1.0},
            **{"scores": {"rmse": value}, "references": {"persistence": {"rmse": 2.0 + fold}}},
        }

    class NoSettings:
        settings = None

    table = summarise(TASKS["forecast"], NoSettings(), [result(0, 0, 1.0), result(0, 1, 3.0), result(1, 0, 2.0), result(1, 1, 4.0)])  # type: ignore[arg-type]
    own, reference = table.to_dict("records")
    assert own["rmse_mean"] == 2.5
    assert own["rmse_sd"] == pytest.approx(0.5**0.5)
    assert reference["rmse_mean"] == 2.5
    assert reference["parameters"] == 0


def test_gravitys_axes_are_for_activities_of_windows() -> None:
    with refused("config", r"frontend\.axes: gravity has no effect for the task forecast"):
        forecast(frontend__axes="gravity")


def test_a_search_of_another_task_minimises_its_score(workplace: Path) -> None:
    (workplace / "small.yaml").write_text(json.dumps(FORECAST))
    path = workplace / "tiny.yaml"
    path.write_text(
        STUDY.replace("seeds: [0, 1]\n", "") + "search: {trials: 3, space: {training.learning_rate: {low: 1.0e-6, high: 0.1, log: true}}}\n"
    )
    sweep(path, workplace / "runs", workplace / "results", folder=workplace, workers=1, say=lambda text: None)
    folder = workplace / "results/synthetic/tasks"
    trials = pd.read_csv(folder / "tiny_trials.csv")
    text = (folder / "tiny.md").read_text()
    assert len(trials) == 3
    storage = JournalStorage(JournalFileBackend(str(workplace / "runs/synthetic/studies/tiny/trials.log")))
    (summary,) = optuna.get_all_study_summaries(storage)
    assert summary.direction == optuna.study.StudyDirection.MINIMIZE
    assert f"| {trials.value[trials.state == 'COMPLETE'].min():.4f} |" in text
    assert "mean over held-out subjects of their rmse, of the kfold split" in text


def test_the_key_of_a_job_knows_the_code_of_its_task() -> None:
    assert {"har.models.forecaster", "har.tasks.forecast"} <= set(sources("seq2seq"))
    assert "har.tasks.forecast" not in sources("cnn1d")
