"""Studies: the plan, its keys, the local engine and the tables, on small synthetic data."""

import os
import signal
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from har.errors import HarError
from har.evaluation.metrics import scores
from har.evaluation.predictions import read_pooled
from har.runs.engine import run_jobs
from har.studies import study as studies
from har.studies.study import load_study, plan, study_configs
from har.studies.sweep import sweep
from har.tasks import run_key
from har.tracking.store import tracking_uri
from tests.refusal import refused

STUDY = """
question: Does anything help?
configs: [small]
split: {kind: kfold, folds: 3, subjects: training, validation: 0}
folds: [0, 2]
keep_predictions: true
change: {training.keep: last, training.epochs: 1}
settings:
  plain: {idea: nothing}
  turned: {idea: rotations, change: {augmentation.rotation_deg: 5}}
"""
SMALL = """
data: {dataset: synthetic, validation_subjects: [5]}
model: {name: cnn1d, options: {width: 8, depth: 2}}
training: {threads: 1, batch_size: 128}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SMALL)
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY)
    return path


def jobs_of(path: Path, folds: int = 3) -> list[studies.Job]:
    loaded = load_study(path)
    return plan(path.stem, loaded, study_configs(loaded, path.parent, path.name), folds)


def test_a_plan_has_every_setting_and_fold_once(study: Path) -> None:
    jobs = jobs_of(study)
    assert [(job.run, job.fold) for job in jobs] == [("small-plain", 0), ("small-plain", 2), ("small-turned", 0), ("small-turned", 2)]
    assert jobs[2].config.augmentation.rotation_deg == 5
    assert all(job.config.data.split.validation == 0 and job.config.training.epochs == 1 for job in jobs)


def test_a_key_changes_with_everything_the_result_depends_on(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = jobs_of(study)[0]
    key = run_key.run_key(job.config, "data")
    assert key == run_key.run_key(jobs_of(study)[0].config, "data")
    others = {
        "fold": run_key.run_key(jobs_of(study)[1].config, "data"),
        "setting": run_key.run_key(jobs_of(study)[2].config, "data"),
        "data": run_key.run_key(job.config, "other data"),
        "seed": run_key.run_key(job.config.changed({"training.seed": 1}, "test"), "data"),
    }
    monkeypatch.setattr(run_key, "code_digest", lambda model: "other code")
    others["code"] = run_key.run_key(job.config, "data")
    assert key not in others.values()
    assert len(set(others.values())) == len(others)


def test_the_code_of_a_key_is_what_decides_the_weights(tmp_path: Path) -> None:
    assert run_key.code_digest("gru") != run_key.code_digest("cnn1d")  # the network's own file
    followed = run_key.sources("gru")
    assert {"har.models.recurrent", "har.data.augmentation", "har.signals.filters", "har.training.fit"} <= set(followed)
    assert not {"har.models.convolutional", "har.evaluation.metrics", "har.evaluation.statistics", "har.studies.sweep"} & set(followed)


def test_a_docstring_changes_no_key_and_a_statement_does() -> None:
    def digest(source: str) -> str:
        return run_key.digest_of({"m": source.encode()})

    before = digest('"""Doc."""\nclass A:\n    """Doc."""\n    def f(self):\n        """Doc."""\n        return 1  # why\n')
    assert before == digest("class A:\n    def f(self): return (1)\n")
    assert before != digest('class A:\n    def f(self):\n        """Doc."""\n        return 2\n')
    assert digest('def f():\n    """Doc."""\n') == digest("def f(): pass\n")
    assert digest('def f():\n    x = 1\n    "text"\n') != digest("def f():\n    x = 1\n    'other'\n")  # not the first: no docstring
    assert digest("no Python") != digest("no  Python")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STUDY.replace("rotation_deg", "rotaton_deg"), "unknown key 'augmentation.rotaton_deg'"),
        (STUDY.replace("augmentation.rotation_deg", "nothing.there"), "'nothing.there' names no section"),
        (STUDY.replace("[small]", "[gruu]"), "unknown model 'gruu'"),
        (STUDY.replace("[0, 2]", "[3]"), "fold 3 is asked for"),
        (STUDY.replace("training.keep: last, ", ""), "nobody chooses the epoch"),
        (STUDY + "search: {trials: 1, space: {training.epochs: {low: 1, high: 2}}}", "settings or a search, not both"),
        (STUDY.replace("question", "questoin"), "questoin"),
        ("just words", "tiny.yaml"),
    ],
)
def test_a_wrong_study_is_refused_before_anything_is_trained(study: Path, text: str, message: str) -> None:
    study.write_text(text)
    with pytest.raises(HarError, match=message):
        jobs_of(study)


def test_a_missing_study_is_named(tmp_path: Path) -> None:
    with refused("config", "cannot read the study"):
        load_study(tmp_path / "none.yaml")


def test_a_sweep_does_each_job_once_and_writes_its_tables(study: Path, workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    written = sweep(study, workplace / "runs", workplace / "results", folder=study.parent, workers=2, say=said.append)
    assert said[0].startswith("study tiny: 4 jobs, 0 done before, 4 to do in 2 processes")
    folder = workplace / "results" / "synthetic" / "studies"
    table = pd.read_csv(folder / "tiny.csv")
    assert table.run.tolist() == ["small-plain", "small-turned"]
    assert pd.isna(table.gain[0])
    assert table.better[1] + table.worse[1] <= 14
    per_subject = pd.read_csv(folder / "tiny_subjects.csv")
    pairs = per_subject[per_subject.run == "small-turned"].merge(per_subject[per_subject.run == "small-plain"], on=["subject", "fold"])
    assert table.gain[1] == pytest.approx((pairs.accuracy_x - pairs.accuracy_y).mean(), abs=1e-5)
    assert not set(per_subject.subject) & {2, 4, 9, 10, 12, 13, 18, 20, 24}
    assert not (workplace / "results" / "synthetic" / "test_openings.csv").exists()
    pooled = read_pooled(folder / "tiny_predictions")["small-turned"][0]
    own = per_subject[per_subject.run == "small-turned"]
    assert len(pooled.table) == own.windows.sum()
    assert scores(pooled)["accuracy"] == pytest.approx((own.accuracy * own.windows).sum() / own.windows.sum(), abs=1e-6)
    assert folder / "tiny_predictions/predictions_small-turned_seed0_synthetic.parquet" in written
    log = (workplace / "results" / "synthetic" / "LOG.md").read_text()
    assert "rotations" in log
    assert "SYNTHETIC" in log
    assert folder / "tiny.md" in written
    client = mlflow.MlflowClient(tracking_uri(workplace / "runs"))
    experiment = client.get_experiment_by_name("synthetic").experiment_id
    (parent,) = client.search_runs([experiment], "tags.study_parent = 'tiny'")
    note = parent.data.tags["mlflow.note.content"]
    found = "Ahead" if table.p_holm[1] < 0.05 else "Not distinguishable"
    assert note.startswith(f"**SYNTHETIC data: these numbers say nothing about people.**\n\n# Does anything help?\n\n{found}: `small-")
    assert "Wilcoxon's signed-rank test, Holm's correction over 1 comparison" in note
    assert note.endswith((folder / "tiny.md").read_text())
    jobs = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert sorted((run.data.tags["run"], run.data.tags["fold"]) for run in jobs) == [(job.run, str(job.fold)) for job in jobs_of(study)]
    assert len({run.data.tags["run_key"] for run in jobs}) == 4
    assert [run.info.status for run in jobs] == ["FINISHED"] * 4, capfd.readouterr().err
    said.clear()
    sweep(study, workplace / "runs", workplace / "results", folder=study.parent, workers=2, say=said.append)
    assert said == ["study tiny: 4 jobs, 4 done before, 0 to do in 1 processes"]
    victim = next((workplace / "runs/synthetic/studies/tiny/small-plain").glob("fold-0*/result.json"))
    victim.unlink()
    sweep(study, workplace / "runs", workplace / "results", folder=study.parent, workers=2, say=said.append)
    assert said[1] == "study tiny: 4 jobs, 3 done before, 1 to do in 1 processes"


def _double_or_die(job: tuple[int, Path]) -> int:
    number, folder = job
    mark = folder / f"tried-{number}-{os.getpid()}-{time.monotonic_ns()}"
    mark.touch()
    if number == 3 or (number == 1 and len(list(folder.glob("tried-1-*"))) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 2:
        raise HarError("argument", "not this one")
    return 2 * number


def test_a_killed_process_costs_only_its_own_job(tmp_path: Path) -> None:
    outcomes = {o.job[0]: o for o in run_jobs([(n, tmp_path) for n in range(6)], _double_or_die, workers=1, attempts=2)}
    assert {n: o.result for n, o in outcomes.items()} == {0: 0, 1: 2, 2: None, 3: None, 4: 8, 5: 10}
    assert outcomes[1].attempts == 2  # killed once, then done
    assert outcomes[2].problem == "not this one"
    assert outcomes[2].attempts == 1
    assert "died 2 times" in str(outcomes[3].problem)
