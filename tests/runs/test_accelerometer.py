"""A model of the accelerometer alone: from the data to answers of recordings with and without a gyroscope."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from har.cli import main
from har.config import RunConfig, parse_config
from har.contract import TOTAL_ACC
from har.data import synthetic
from har.data.prepare import load_dataset
from har.data.windowset import windows_of
from har.exporting.mounting_export import MountingPart
from har.models.classifier import WindowClassifier
from har.models.mounting_estimator import MountingEstimator
from har.recording import read_recording, write_csv
from har.runs.run_folder import find_runs
from har.runtime.bundle import golden_values
from har.runtime.recognizer import load_model
from har.sklearn import ActivityClassifier
from tests.refusal import refused


def in_a_fresh_process(line: str, code: int = 0) -> str:
    """What `har` prints."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-m", "har", *line.split()], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_from_training_to_answers(workplace: Path, config: RunConfig, capsys: pytest.CaptureFixture[str]) -> None:
    def har(line: str, code: int = 0) -> str:
        assert main(line.split()) == code, capsys.readouterr().err
        text = capsys.readouterr()
        return text.out if code == 0 else text.err

    Path("small.yaml").write_text(config.to_yaml())
    har("train --config small.yaml --channels acc3 --dataset synthetic")
    (run,) = find_runs(Path("runs"), "synthetic")
    assert run.path == Path("runs/synthetic/small-acc3/seed-0")
    assert "small-acc3" in har("evaluate --dataset synthetic")
    assert "| small-acc3 | acc3 " in har("compare --dataset synthetic")
    assert run.origin.data_digest == load_dataset("synthetic").digest
    assert "explanation_validation_3" in har("explain --dataset synthetic --model small-acc3 --window 3")
    har("explain --dataset synthetic --model small-acc3 --window 3 --method occlusion")
    assert "reads both sensors, which are disturbed" in har("robustness --dataset synthetic --model small-acc3", 2)

    har("export --dataset synthetic --output bundle")
    manifest = json.loads(Path("bundle/manifest.json").read_text())
    assert manifest["spec"]["sensors"] == [{"name": "accelerometer", "unit": "g", "channels": list(TOTAL_ACC)}]
    assert manifest["needs"]["sensors"] == ["accelerometer"]
    assert "2.56 s of a phone's accelerometer at 50 Hz" in Path("bundle/MODEL_CARD.md").read_text()
    golden = golden_values(json.loads(Path("bundle/test_vectors.json").read_text()))
    assert golden.shape[1:] == (128, 3)
    assert np.abs(golden).max() == 8.0

    recording = synthetic.generate(1, 0, bout_seconds=6.0)
    write_csv(recording, Path("both.csv"))
    table = [line.split(",") for line in Path("both.csv").read_text().splitlines()]
    Path("alone.csv").write_text("".join(",".join(row[:4]) + "\n" for row in table))
    Path("turning.csv").write_text("".join(",".join((row[0], *row[4:7])) + "\n" for row in table))
    assert "golden windows hold" in in_a_fresh_process("verify --bundle bundle")
    assert "total acceleration in g" in in_a_fresh_process("inspect alone.csv")
    answers = []
    for name in ("alone", "both"):
        in_a_fresh_process(f"predict --bundle bundle {name}.csv --output {name}-activities.csv")
        answers.append(Path(f"{name}-activities.csv").read_text())
    assert answers[0] == answers[1]
    assert "holds no accelerometer, which is needed; it has: gyroscope" in in_a_fresh_process("predict --bundle bundle turning.csv", 2)

    model = load_model("bundle")
    whole = model.predict_recording(read_recording("both.csv"))
    alone = model.predict_recording(read_recording("alone.csv", sensors=("accelerometer",)))
    np.testing.assert_array_equal(whole.probabilities, alone.probabilities)
    streamed = model.open_stream().push(recording.samples[:, :3], recording.time_s)
    np.testing.assert_allclose([answer.probabilities for answer in streamed], whole.probabilities[: len(streamed)], atol=1e-3)
    assert len(streamed) > 10


def test_its_windows_are_those_of_both_sensors_without_the_gyroscope(workplace: Path) -> None:
    both, alone = load_dataset("synthetic"), load_dataset("synthetic", channels="acc3")
    assert alone.channels == TOTAL_ACC
    np.testing.assert_array_equal(alone.x, both.x[:, :, :3])
    cut = windows_of([synthetic.generate(1, 0)], window_size=128, stride=64, dataset="d", synthetic=True, channels="acc3")
    same = windows_of([synthetic.generate(1, 0)], window_size=128, stride=64, dataset="d", synthetic=True)
    assert (alone.digest, cut.digest) == (both.digest, same.digest)
    np.testing.assert_array_equal(cut.x, same.x[:, :, :3])


def test_scikit_learn_takes_its_windows(workplace: Path) -> None:
    windows = load_dataset("synthetic", channels="acc3")
    change = {"data.channels": "acc3", "training.epochs": 1}
    fitted = ActivityClassifier("cnn1d", options={"width": 8, "depth": 2}, change=change).fit(windows.x[:200], windows.y[:200])
    assert fitted.predict_proba(windows.x[:5]).shape[0] == 5
    with pytest.raises(ValueError, match="channels total_acc_x, total_acc_y, total_acc_z"):
        fitted.predict(np.zeros((1, 128, 6)))


@pytest.mark.parametrize("model", ["seq2seq", "window_generator", "stream_gru", "mounting_cnn"])
def test_a_task_that_needs_a_gyroscope_is_refused_before_anything_is_read(
    model: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--dataset", "synthetic", "--model", model, "--channels", "acc3"]) == 2
    error = capsys.readouterr().err
    assert "data.channels: acc3 is for the tasks window and reconstruct; the task" in error
    assert error.count("\n") == 1


def test_no_mounting_is_estimated_next_to_it() -> None:
    model = WindowClassifier(model="cnn1d", options={"width": 8, "depth": 2}, channels="acc3", window_size=128, num_classes=6)
    estimator = MountingEstimator(model="mounting_cnn", options={"width": 8}, window_size=128)
    with refused("run-kind", "estimated from both sensors of raw6, and the bundle's model reads acc3; leave --mounting out"):
        MountingPart(estimator, "a", model, "b", {}, {}).check(model)


def test_gravity_axes_and_novelty_take_it() -> None:
    for name, axes in (("cnn1d", "gravity"), ("conv_autoencoder", "sensor")):
        task = {"task": {"name": "reconstruct"}} if axes == "sensor" else {}
        content = {"data": {"validation_subjects": [5], "channels": "acc3"}, "frontend": {"axes": axes}, "model": {"name": name}}
        assert parse_config(content | task, "test").data.channels == "acc3"
