"""The task ``forecast``: its references are fitted on training people alone, its scores are what they say, its file is the model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from har.config import RunConfig, parse_config
from har.contract import UCI9
from har.models.forecaster import Forecaster
from har.runs.train import train_run
from har.runtime.session import open_session
from har.tasks import task_of
from har.tasks.base import TaskData
from har.tasks.forecast import Errors, Forecast, errors, forecast_scores, references
from tests.helpers import origin

CONFIG = {
    "data": {"dataset": "synthetic", "validation_subjects": [5, 15]},
    "windowing": {"window_size": 40, "stride": 40, "cross_labels": True},
    "model": {"name": "seq2seq_attention", "options": {"hidden_size": 8}},
    "task": {"name": "forecast", "horizon": 4},
    "training": {"epochs": 1, "threads": 1},
}


@pytest.fixture
def config() -> RunConfig:
    return parse_config(CONFIG, "test")


@pytest.fixture
def task() -> Forecast:
    made = task_of("seq2seq_attention")
    assert isinstance(made, Forecast)
    return made


@pytest.fixture
def data(task: Forecast, config: RunConfig, workplace: Path) -> TaskData:
    return task.load(config, None)


@pytest.fixture
def module(task: Forecast, config: RunConfig, data: TaskData) -> Forecaster:
    torch.manual_seed(0)
    made = task.build(config, data)
    torch.nn.init.normal_(made.network.step.weight, std=0.3)  # type: ignore[union-attr,arg-type]
    return made.eval()


def test_an_untrained_network_is_persistence_and_the_linear_model_is_better(task: Forecast, config: RunConfig, data: TaskData) -> None:
    score = task.score(task.build(config, data), config, data, "validation", origin())
    assert score.values["rmse"] == pytest.approx(score.references["persistence"]["rmse"])
    assert score.values["skill"] == pytest.approx(0, abs=1e-6)
    assert score.references["persistence"]["skill_moving"] == 0
    assert score.references["autoregression"]["skill"] > max(0.05, score.references["context mean"]["skill"])
    assert {"rmse", "skill", "skill_moving", "skill_resting", "rmse_acc_g", "rmse_gyro_rad_s"} == set(score.values)


def test_the_references_know_training_people_alone(data: TaskData) -> None:
    train, held_out = data.parts["train"], data.parts["test"]
    before = references(train, held_out, 4)
    changed = np.array(held_out.x)
    changed[:, -4:] += 5.0  # what is to be foretold
    changed[len(changed) // 2 :] *= 3.0  # other people
    after = references(train, replace(held_out, x=changed), 4)
    half = len(changed) // 2
    for name, values in before.items():
        np.testing.assert_array_equal(values[:half], after[name][:half], err_msg=name)
    other = references(replace(train, x=train.x[:, ::-1].copy()), held_out, 4)
    assert np.abs(other["autoregression"] - before["autoregression"]).max() > 1e-3


def test_one_training_person_has_no_autoregression(data: TaskData) -> None:
    train = data.parts["train"]
    one = train.subset(train.subject == train.subject[0])
    assert set(references(one, data.parts["test"], 4)) == {"persistence", "context mean"}


def test_scores_by_hand() -> None:
    truth = np.zeros((2, 2, 6))
    forecast = np.full((2, 2, 6), [2.0, 2, 2, 3, 3, 3])
    own = errors(forecast, truth, np.array([2.0, 2, 2, 3, 3, 3]))
    np.testing.assert_allclose(own.standard, [1, 1])
    scores = forecast_scores(own, Errors(np.array([2.0, 8.0]), own.physical), UCI9[6:] + UCI9[3:6], np.array([True, False]))
    assert scores["rmse"] == 1
    assert scores["skill"] == pytest.approx(1 - 2 / 10)
    assert (scores["skill_moving"], scores["skill_resting"]) == (0.5, 0.875)
    assert (scores["rmse_acc_g"], scores["rmse_gyro_rad_s"]) == (2, 3)


def test_the_figure_has_a_row_per_activity_and_units(task: Forecast, module: Forecaster, config: RunConfig, data: TaskData) -> None:
    score = task.score(module, config, data, "validation", origin())
    figure = task.figures(module, config, data, "validation", score)["forecast"]
    assert len(figure.axes) == 2 * 6
    assert {axis.get_ylabel() for axis in figure.axes} == {"acceleration (g)", "angular velocity (rad/s)"}
    assert "SYNTHETIC data" in figure.get_suptitle()
    dashed = next(line for line in figure.axes[0].lines if line.get_linestyle() == "--")
    assert len(dashed.get_xdata()) == 4


def test_published_channels_are_not_exported(task: Forecast, config: RunConfig, workplace: Path) -> None:
    config = config.with_overrides(data__channels="uci9")
    data = task.load(config, None)
    assert task.export(task.build(config, data), workplace / "model.onnx", {}, config, data) is None
    assert not (workplace / "model.onnx").exists()


@pytest.mark.slow
def test_the_file_takes_and_gives_sensor_units(
    task: Forecast, module: Forecaster, config: RunConfig, data: TaskData, workplace: Path
) -> None:
    path = workplace / "model.onnx"
    difference = task.export(module, path, {"task": '"forecast"'}, config, data)
    assert difference is not None
    assert difference <= 1e-4
    session = open_session(path)
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["horizon"] == "4"
    assert "total_acc_x" in facts["channels"]
    windows = np.ascontiguousarray(data.parts["test"].x[:3])
    found = session.run(None, {"context": windows[:, :36]})[0]
    np.testing.assert_allclose(found, module.predict(torch.from_numpy(windows)).numpy(), atol=1e-4)


@pytest.mark.slow
def test_a_run_leaves_the_file_beside_its_weights(config: RunConfig, workplace: Path) -> None:
    small = config.with_overrides(model__name="seq2seq", task__horizon=2)
    run = train_run(small, "small", workplace / "runs", progress=False, say=lambda text: None)
    facts = open_session(run.path / "model.onnx").get_modelmeta().custom_metadata_map
    assert (facts["task"], facts["synthetic"], facts["horizon"]) == ('"forecast"', "true", "2")
