"""Tasks other than the activity of a window: a run, its scores and a study, on small synthetic data."""

import json
from pathlib import Path

import pandas as pd
import pytest

from har.config import RunConfig, parse_config
from har.contract import TEST_SUBJECTS, HarError
from har.models.registry import MODELS
from har.pipeline.evaluate import evaluate_any
from har.pipeline.export import best_run
from har.pipeline.run_folder import RunFolder, find_runs
from har.pipeline.study import sources
from har.pipeline.sweep import sweep
from har.pipeline.task_report import summarise
from har.pipeline.task_run import evaluate_task_run, train_task_run
from har.pipeline.tasks import TASKS, task_of

FORECAST = {
    "data": {"dataset": "synthetic", "validation_subjects": [5, 15]},
    "windowing": {"window_size": 48, "stride": 48, "cross_labels": True},
    "model": {"name": "seq2seq", "options": {"hidden_size": 8}},
    "task": {"horizon": 8},
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


def forecast(**changes: object) -> RunConfig:
    return parse_config(FORECAST, "test").with_overrides(**changes)


@pytest.fixture
def run(workplace: Path) -> RunFolder:
    return train_task_run(forecast(), "small", workplace / "runs", progress=False, say=lambda text: None, export=False)


def test_every_registered_model_has_a_task_with_its_words() -> None:
    for name, entry in MODELS.items():
        task = task_of(name)
        assert (task is None) == (entry.task == "window")
        assert task is None or (task.module.monitor == f"val/{task.primary}" and (task.module.mode == "max") == task.higher_is_better)
    assert {entry.task for entry in MODELS.values()} == {"window", *TASKS}


def test_a_run_leaves_its_scores_people_and_weights(run: RunFolder) -> None:
    info = run.info()
    scores = json.loads((run.path / "scores_validation_synthetic.json").read_text())
    assert scores["values"]["rmse"] == pytest.approx(info.score)
    assert scores["references"]["persistence"]["skill"] == 0
    assert 0 < scores["values"]["skill"] < 1  # two epochs beat repeating the last sample
    people = pd.read_csv(run.path / "subjects_validation_synthetic.csv")
    assert people.subject.tolist() == [5, 15]
    again = evaluate_task_run(run, "validation", run.path.parent)
    assert again.values == pytest.approx(scores["values"])


def test_the_same_seed_gives_the_same_run(run: RunFolder, workplace: Path) -> None:
    again = train_task_run(forecast(), "again", workplace / "runs", progress=False, say=lambda text: None, export=False)
    other = train_task_run(forecast(training__seed=1), "other", workplace / "runs", progress=False, say=lambda text: None, export=False)
    assert again.info().score == run.info().score != other.info().score


def test_other_weights_are_refused(run: RunFolder) -> None:
    run.checkpoint.write_bytes(run.checkpoint.read_bytes() + b"x")
    with pytest.raises(HarError, match="is not the file that was trained"):
        evaluate_task_run(run, "validation", run.path.parent)


def test_a_part_without_people_is_refused(workplace: Path) -> None:
    everybody = forecast(data__validation_subjects=(), training__keep="last")
    made = train_task_run(everybody, "small-refit", workplace / "runs", progress=False, say=lambda text: None, export=False)
    assert made.info().score is None
    with pytest.raises(HarError, match="has no validation subjects, all trained"):
        evaluate_task_run(made, "validation", workplace)
    assert set(evaluate_task_run(made, "test", workplace).subjects.subject) == set(TEST_SUBJECTS)


def test_the_report_names_what_it_is_beside(run: RunFolder, workplace: Path) -> None:
    text = evaluate_any(run, "validation", workplace).text
    assert "SYNTHETIC data, validation subjects: rmse" in text
    assert "beside it, persistence: rmse" in text
    with pytest.raises(HarError, match="none of these runs names activities of windows"):
        best_run(find_runs(workplace / "runs", "synthetic"))


def test_a_horizon_leaves_something_to_foretell_from(workplace: Path) -> None:
    with pytest.raises(HarError, match=r"task\.horizon is 47 samples of windows of 48"):
        train_task_run(forecast(task__horizon=47), "small", workplace / "runs", progress=False, say=lambda text: None, export=False)
    assert not list((workplace / "runs").rglob("best.ckpt"))


def test_a_classifier_is_not_trained_as_another_task(config: RunConfig, workplace: Path) -> None:
    with pytest.raises(ValueError, match="names activities of windows"):
        train_task_run(config, "small", workplace / "runs")


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
    with pytest.raises(HarError, match=r"mixes tasks: seq2seq \(forecast\), cnn1d \(window\)"):
        sweep(path, workplace / "runs", workplace / "results", folder=workplace, say=lambda text: None)


def test_the_spread_is_over_seeds_and_not_over_folds() -> None:
    def result(seed: int, fold: int, value: float) -> dict:
        return {
            **{"run": "a", "setting": "a", "model": "seq2seq", "seed": seed, "fold": fold, "parameters": 1, "train_seconds": 1.0},
            **{"scores": {"rmse": value}, "references": {"persistence": {"rmse": 2.0 + fold}}},
        }

    class NoSettings:
        settings = None

    table = summarise(NoSettings(), [result(0, 0, 1.0), result(0, 1, 3.0), result(1, 0, 2.0), result(1, 1, 4.0)])  # type: ignore[arg-type]
    own, reference = table.to_dict("records")
    assert own["rmse_mean"] == 2.5
    assert own["rmse_sd"] == pytest.approx(0.5**0.5)
    assert reference["rmse_mean"] == 2.5
    assert reference["parameters"] == 0


def test_gravitys_axes_are_for_activities_of_windows(workplace: Path) -> None:
    with pytest.raises(HarError, match="axes: gravity is for models that name activities of windows, not for seq2seq"):
        train_task_run(forecast(frontend__axes="gravity"), "small", workplace / "runs", progress=False, say=lambda text: None)
    assert not (workplace / "runs").exists()


def test_the_key_of_a_job_knows_the_code_of_its_task() -> None:
    assert {"har.models.forecaster", "har.pipeline.tasks.forecast", "har.models.seq2seq"} <= set(sources("seq2seq"))
    assert "har.pipeline.tasks.forecast" not in sources("cnn1d")
