"""The task ``reconstruct``: who is taught what, what is fitted on whom, and the exported file that says 'unknown'."""

import json
import math
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch

from har.config import RunConfig, parse_config
from har.contract import LABELS, OPSET, UNKNOWN
from har.data.prepare import load_dataset
from har.exporting.onnx_file import NoveltyGraph, export_novelty, novelty_parity
from har.models.reconstructor import Reconstructor
from har.runs.evaluate import evaluate
from har.runs.run_folder import RunFolder
from har.runs.train import train_run
from har.runtime.session import open_session
from har.studies.study_report import score_intervals, summarise
from har.studies.sweep import sweep
from har.tasks import task_of
from har.tasks.base import TaskData, tensor
from har.tasks.reconstruct import EVERYDAY, HELD_OUT, TRANSITION, Reconstruct, kinds
from har.training.trainer import load_module
from tests.helpers import accept_small_hapt, origin, write_hapt
from tests.refusal import refused

SMALL = {
    "data": {"dataset": "synthetic", "validation_subjects": [5, 15]},
    "model": {"name": "conv_autoencoder", "options": {"width": 8, "code_size": 4}},
    "task": {"name": "reconstruct", "held_out": ["LAYING"]},
    "training": {"epochs": 2, "learning_rate": 0.01, "threads": 1},
}
STUDY = """
question: Is what nobody taught found?
configs: [small]
split: {kind: kfold, folds: 3, subjects: training, validation: 2}
seeds: [0, 1]
folds: [0]
change: {training.keep: last, training.epochs: 1}
settings:
  no_laying: {idea: lying held out, change: {task.held_out: [LAYING]}}
  no_walking: {idea: walking held out, change: {task.held_out: [WALKING]}}
"""


def config(**changes: object) -> RunConfig:
    return parse_config(SMALL, "test").with_overrides(**changes)


def fitted(wanted: RunConfig, data: TaskData) -> Reconstructor:
    """Untrained weights; everything else is fitted as after a training."""
    task = Reconstruct()
    torch.manual_seed(0)
    module = task.build(wanted, data)
    assert task.finish(module, wanted, data)
    return module.eval()


@pytest.fixture
def run(workplace: Path) -> RunFolder:
    return train_run(config(), "small", workplace / "runs", progress=False, say=lambda text: None)


def test_training_and_validation_never_see_what_is_held_out(workplace: Path) -> None:
    data = Reconstruct().load(config(task__held_out=["LAYING", "SITTING"]), None)
    held = {LABELS.index("LAYING"), LABELS.index("SITTING")}
    for part in ("train", "validation"):
        assert set(data.parts[part].y.tolist()) == set(range(6)) - held
        assert data.counts[part] == len(data.parts[part])
    assert set(data.parts["test"].y.tolist()) == set(range(6))


def test_transitions_are_tested_and_never_taught(tmp_path: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "HAPT Data Set"
    write_hapt(folder, users=(1, 3, 5, 2), bout_seconds=9.0)
    accept_small_hapt(folder, monkeypatch)
    wanted = config(data__dataset="hapt", data__transitions="unknown", data__validation_subjects=[5], windowing__window_size=32)
    data = Reconstruct().load(wanted, folder)
    unknown = len(LABELS)
    assert data.parts["test"].labels[unknown] == UNKNOWN
    assert (data.parts["test"].y == unknown).any()
    assert not (data.parts["train"].y == unknown).any()
    assert not (data.parts["validation"].y == unknown).any()
    whole = load_dataset("hapt", archive=folder, transitions="unknown", windowing=wanted.windowing)
    assert ((whole.y == unknown) & np.isin(whole.subject, (1, 3))).any()  # there were some to leave out
    kind = kinds(data.parts["test"], wanted)
    assert set(kind) == {EVERYDAY, HELD_OUT, TRANSITION}
    assert (kind == TRANSITION).tolist() == (data.parts["test"].y == unknown).tolist()
    score = Reconstruct().score(fitted(wanted, data), wanted, data, "test", origin())
    assert {"auroc_held_out", "auroc_transition", "auroc_novel", "ap_novel", "detected_transition", "false_alarms"} <= set(score.values)


def test_what_is_novel_is_needed_and_somebody_sets_the_threshold(workplace: Path) -> None:
    with refused("config", r"nothing is novel to the test subjects; name activities in task\.held_out"):
        Reconstruct().load(config(task__held_out=[]), None)
    with refused("config", "the threshold of what is unknown is fitted on validation subjects"):
        Reconstruct().load(config(data__validation_subjects=[], training__keep="last"), None)


BREAKS = {
    "a typo": ({"held_out": ["LAYNG"]}, "task: held_out has no activity 'LAYNG'; did you mean 'LAYING'"),
    "a transition": ({"held_out": ["SIT_TO_STAND"]}, "task: held_out has no activity 'SIT_TO_STAND'"),
    "twice": ({"held_out": ["LAYING", "LAYING"]}, "task: held_out names an activity twice"),
    "all": ({"held_out": list(LABELS)}, "task: held_out names all activities; leave some"),
    "no alarms": ({"false_alarms": 0}, "task.false_alarms: input should be greater than 0"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_odd_choices_are_refused(name: str) -> None:
    task, message = BREAKS[name]
    with refused("config", message):
        parse_config({**SMALL, "task": {"name": "reconstruct"} | task}, "test")


def test_a_run_keeps_its_threshold_in_the_checkpoint_and_in_the_file(run: RunFolder) -> None:
    module = load_module(run.checkpoint, Reconstructor)
    assert math.isfinite(module.threshold)
    scores = json.loads((run.path / "scores_validation_synthetic.json").read_text())
    assert scores["values"]["rmse"] == pytest.approx(run.info().score)
    assert scores["values"]["false_alarms"] == pytest.approx(0.05, abs=0.01)  # it was fitted on these
    assert set(scores["values"]) == {"rmse", "false_alarms"}  # validation has nothing novel
    wanted = run.config()
    windows = Reconstruct().load(wanted, None).parts["test"].x[:40].astype(np.float32)
    score, unknown = open_session(run.path / "model.onnx").run(["score", "unknown"], {"windows": windows})
    expected = module.predict(torch.from_numpy(windows)).numpy()
    np.testing.assert_allclose(score, expected, atol=1e-4, rtol=1e-4)
    assert unknown.dtype == bool
    assert unknown.tolist() == (expected > float(module.threshold)).tolist()
    noise = np.random.default_rng(0).normal(0, 5, (1, 128, 6)).astype(np.float32)
    assert open_session(run.path / "model.onnx").run(["unknown"], {"windows": noise})[0].all()
    noise[0, 127, 5] = np.nan
    score, unknown = open_session(run.path / "model.onnx").run(["score", "unknown"], {"windows": noise})
    assert np.isnan(score).all()
    assert unknown.all()
    again = evaluate(run, "test", run.path.parent)
    assert {"auroc_held_out", "ap_held_out", "detected_held_out"} <= set(again.values)
    assert set(again.score.references) == {"energy", "mahalanobis", "neighbour"}
    assert 0 < again.score.references["neighbour"]["detected_held_out"] <= 1
    assert {"auroc_held_out", "ap_held_out_energy", "rmse"} <= set(again.score.subjects)
    assert (run.path / "novelty_test_synthetic.png").is_file()


def test_the_test_subjects_change_neither_threshold_nor_scaling(workplace: Path) -> None:
    wanted = config()
    data = Reconstruct().load(wanted, None)
    before = fitted(wanted, data).state_dict()
    data.parts["test"].x[:] = 1e3
    after = fitted(wanted, data).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    data.parts["validation"].x[:] *= 1.5  # whereas these set the threshold and nothing else
    changed = fitted(wanted, data).state_dict()
    assert [name for name in before if not torch.equal(before[name], changed[name])] == ["threshold"]


@pytest.mark.parametrize("name", ["conv_autoencoder", "lstm_autoencoder"])
def test_every_model_exports_with_parity(name: str, workplace: Path) -> None:
    small = {"hidden_size": 8, "code_size": 4} if name == "lstm_autoencoder" else {"width": 8, "code_size": 4}
    wanted = config(model__name=name, model__options=small)
    data = Reconstruct().load(wanted, None)
    module = fitted(wanted, data)
    path = workplace / "model.onnx"
    difference = task_of(name).export(module, path, {"task": '"reconstruct"'}, wanted, data)
    assert difference is not None
    assert difference <= 1e-4
    model = onnx.load(path)
    assert [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")] == [OPSET]
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("LSTM") == 2 if name == "lstm_autoencoder" else "Conv" in operators  # no loop
    assert [output.name for output in model.graph.output] == ["score", "unknown"]
    assert {entry.key for entry in model.metadata_props} >= {"task", "opset"}
    with torch.no_grad():
        score, unknown = NoveltyGraph(module)(tensor(data.parts["test"])[:300])
    assert torch.equal(unknown, score > module.threshold)


def test_another_threshold_or_other_weights_fail_parity(workplace: Path) -> None:
    wanted = config()
    data = Reconstruct().load(wanted, None)
    module, path = fitted(wanted, data), workplace / "model.onnx"
    export_novelty(module, path, {})
    windows = data.parts["validation"].x
    module.threshold.mul_(0.5)
    with refused("export-parity"):
        novelty_parity(module, path, windows)
    with torch.no_grad():
        module.usual.add_(0.5)
    with refused("export-parity"):
        novelty_parity(module, path, windows)
    module.threshold.fill_(torch.inf)
    with refused("not-exportable", "has no threshold"):
        export_novelty(module, path, {})


@pytest.mark.slow
def test_a_study_has_a_row_a_setting_for_references_and_intervals_over_people(workplace: Path) -> None:
    (workplace / "small.yaml").write_text(json.dumps(SMALL))
    (workplace / "tiny.yaml").write_text(STUDY)
    written = sweep(workplace / "tiny.yaml", workplace / "runs", workplace / "results", folder=workplace, workers=1, say=lambda text: None)
    assert {path.name for path in written} == {"tiny.csv", "tiny_jobs.csv", "tiny_subjects.csv", "tiny_intervals.csv", "tiny.md"}
    table = pd.read_csv(workplace / "results/synthetic/tasks/tiny.csv").set_index("run")
    assert {"small-no_laying", "small-no_walking", "energy-no_laying", "energy-no_walking"} <= set(table.index)
    assert table.loc["energy-no_laying", "auroc_held_out_mean"] < 0.5 < table.loc["energy-no_walking", "auroc_held_out_mean"]
    intervals = pd.read_csv(workplace / "results/synthetic/tasks/tiny_intervals.csv").set_index(["run", "score"])
    row = intervals.loc[("small-no_walking", "auroc_held_out")]
    assert row.low <= row["mean"] <= row.high
    assert row.subjects == 7
    jobs = pd.read_csv(workplace / "results/synthetic/tasks/tiny_jobs.csv")
    assert not jobs.opens_test_subjects.any()


def test_intervals_are_of_people_and_not_of_runs() -> None:
    subjects = pd.DataFrame(
        {
            **{"run": "a", "fold": 0, "windows": 9, "subject": [1, 1, 3, 3], "seed": [0, 1, 0, 1]},
            **{"auroc": [0.2, 0.4, 0.9, 0.9], "ap": [0.5, np.nan, np.nan, np.nan]},
        }
    )
    table = score_intervals(subjects).set_index("score")
    assert table.loc["auroc", "mean"] == pytest.approx(0.6)
    assert (table.loc["auroc", "low"], table.loc["auroc", "high"]) == pytest.approx((0.3, 0.9))
    assert table.loc["ap", "subjects"] == 1


def test_a_reference_that_no_setting_changes_has_one_row() -> None:
    class TwoSettings:
        settings = None

    def result(setting: str, fold: int, value: float) -> dict:
        own = {"run": setting, "setting": setting, "model": "m", "seed": 0, "fold": fold, "parameters": 1, "train_seconds": 1.0}
        return own | {"scores": {"rmse": 1.0}, "references": {"energy": {"rmse": value}}}

    same = [result(s, f, 1.0 + f) for s in ("a", "b") for f in (0, 1)]
    assert summarise(Reconstruct(), TwoSettings(), same).run.tolist() == ["a", "b", "energy"]  # type: ignore[arg-type]
    other = [result(s, f, 1.0 + f + (s == "b")) for s in ("a", "b") for f in (0, 1)]
    table = summarise(Reconstruct(), TwoSettings(), other).set_index("run")  # type: ignore[arg-type]
    assert table.index.tolist() == ["a", "b", "energy-a", "energy-b"]
    assert table.loc["energy-b", "rmse_mean"] == 2.5


@pytest.mark.data
@pytest.mark.slow
def test_transitions_of_held_out_people_are_found_better_than_by_energy(
    real_data: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One short training on folds of the training subjects."""
    monkeypatch.setenv("HAR_DATA_DIR", str(real_data))
    wanted = config(
        data__dataset="hapt", data__transitions="unknown", data__validation_subjects=None, training__epochs=4, training__keep="last"
    ).with_split(kind="kfold", folds=3, validation=4)
    task = Reconstruct()
    made = train_run(wanted, "small", workplace / "runs", progress=False, say=lambda text: None, export=False)
    data = task.load(wanted, None)
    score = task.score(load_module(made.checkpoint, Reconstructor), wanted, data, "test", origin())
    assert score.values["auroc_transition"] > score.references["energy"]["auroc_transition"] + 0.05
    assert score.values["auroc_transition"] > 0.9
