"""The task that labels samples: a run, its scores, its data, and the comparison with windows, on small synthetic data."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har.cli import main
from har.config import RunConfig, load_config, parse_config
from har.contract import TEST_SUBJECTS, TRAIN_SUBJECTS
from har.data import hapt
from har.models.labeller import StreamLabeller
from har.recording import UNLABELLED
from har.runs.evaluate import evaluate
from har.runs.run_folder import ONNX, RunFolder
from har.runs.train import train_run
from har.runtime.recognizer import StateRecognizer, load_model
from har.tasks.base import load_windows
from har.tasks.sequence import Sequence, label_streams
from har.training.trainer import load_module
from tests.helpers import accept_small_hapt, write_hapt
from tests.refusal import refused

SEQUENCE = {
    "data": {"dataset": "synthetic", "validation_subjects": [5, 15]},
    "frontend": {"differences": [1]},
    "model": {"name": "stream_lstm", "options": {"hidden_size": 12, "num_layers": 1}},
    "task": {"name": "sequence", "chunk": 64, "carry_state": True},
    "training": {"epochs": 2, "batch_size": 16, "learning_rate": 0.02, "threads": 1},
}


def sequence(**changes: object) -> RunConfig:
    return parse_config(SEQUENCE, "test").with_overrides(**changes)


def train(config: RunConfig, name: str, folder: Path, **options: object) -> RunFolder:
    return train_run(config, name, folder / "runs", progress=False, say=lambda text: None, **({"export": False} | options))


@pytest.fixture
def run(workplace: Path) -> RunFolder:
    return train(sequence(), "small", workplace)


def test_a_run_leaves_scores_by_sample_and_by_segment(run: RunFolder, workplace: Path) -> None:
    scores = json.loads((run.path / "scores_validation_synthetic.json").read_text())
    found, majority = scores["values"], scores["references"]["majority"]
    assert found["macro_f1"] == pytest.approx(run.info().score)
    assert found["accuracy"] > majority["accuracy"] + 0.2  # two epochs see walking from lying
    assert majority["segment_accuracy"] == pytest.approx(1 / 6, abs=0.01)
    assert majority["untold"] > 0.8
    people = pd.read_csv(run.path / "subjects_validation_synthetic.csv")
    assert people.subject.tolist() == [5, 15]
    again = evaluate(run, "validation", workplace)
    assert again.values == pytest.approx(found)
    assert (run.path / "timeline_validation_synthetic.png").is_file()
    items = label_streams(load_module(run.checkpoint, StreamLabeller), Sequence().load(sequence(), None).parts["validation"])
    known = np.concatenate([item.truth != UNLABELLED for item in items])
    assert people.windows.sum() == known.sum()
    assert found["accuracy"] == pytest.approx(np.concatenate([item.answer == item.truth for item in items])[known].mean())


def test_the_same_seed_gives_the_same_run(run: RunFolder, workplace: Path) -> None:
    again, other = (train(sequence(training__seed=seed), f"again{seed}", workplace) for seed in (0, 1))
    weights = [load_module(made.checkpoint, StreamLabeller).network.head[1].weight for made in (run, again, other)]
    assert (weights[0] == weights[1]).all()
    assert not (weights[0] == weights[2]).all()
    assert again.info().score == run.info().score


@pytest.mark.parametrize("name", ["stream_lstm", "dense_cnn"])
def test_chunks_from_a_zero_state_train_too(name: str, workplace: Path) -> None:
    options = {"stream_lstm": {"hidden_size": 12, "num_layers": 1}, "dense_cnn": {"width": 8, "depth": 2}}[name]
    made = train(sequence(task__carry_state=False, model__name=name, model__options=options, training__epochs=1), name, workplace)
    assert made.info().score is not None
    assert made.info().score > 0.2


def test_a_network_that_looks_ahead_is_trained_and_not_exported(workplace: Path) -> None:
    dense = sequence(model__name="dense_gru", model__options={"hidden_size": 8}, task__carry_state=False, training__epochs=1)
    made = train(dense, "dense", workplace, export=True)
    assert not (made.path / ONNX).exists()
    with refused("config", "model 'dense_gru' looks ahead and has no state to carry"):
        train(dense.with_overrides(task__carry_state=True), "dense", workplace)


@pytest.mark.slow
def test_a_stream_is_exported_with_its_run(workplace: Path) -> None:
    made = train(sequence(training__epochs=1), "small", workplace, export=True)
    assert (made.path / ONNX).is_file()


def test_windows_are_no_recordings(workplace: Path) -> None:
    with refused("dataset-option", r"uci-har was published as windows and has no continuous recordings; .* --dataset hapt"):
        train(sequence(data__dataset="uci-har"), "small", workplace)
    with refused("config", r"data\.channels is uci9; a stream has what a phone delivers"):
        train(sequence(data__channels="uci9"), "small", workplace)


def test_hapt_is_read_as_recorded_with_its_transitions(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = workplace / "HAPT"
    users = (1, 3, 5, 2)
    write_hapt(folder, users, bout_seconds=4.0)
    accept_small_hapt(folder, monkeypatch)
    config = sequence(data__dataset="hapt", data__validation_subjects=(5,))
    data = Sequence().load(config, folder)
    (stream,) = data.parts["test"]
    assert stream.subject == 2
    raw = np.loadtxt(folder / "RawData" / f"acc_{hapt.recording_name(4, 2)}.txt")
    np.testing.assert_allclose(stream.samples[:, :3], raw, atol=1e-6)  # no filter between
    assert stream.labels.max() == 5
    kept = Sequence().load(config.with_overrides(data__transitions="keep"), folder)
    assert kept.parts["test"][0].labels.max() > 5
    assert {s.subject for s in data.parts["train"]} == {1, 3}
    assert (kept.parts["test"][0].labels == UNLABELLED).sum() < (stream.labels == UNLABELLED).sum()


def test_the_folds_are_those_of_the_windows(workplace: Path) -> None:
    split = {"kind": "kfold", "folds": 3, "subjects": "training", "validation": 0}
    config = sequence(training__keep="last").with_split(**split)
    data = Sequence().load(config, None)
    held_out = {stream.subject for stream in data.parts["test"]}
    assert "validation" not in data.parts
    assert not held_out & set(TEST_SUBJECTS)
    assert held_out | {stream.subject for stream in data.parts["train"]} == set(TRAIN_SUBJECTS)
    window = load_config("configs/gru.yaml").with_overrides(data__dataset="synthetic", training__keep="last").with_split(**split)
    assert load_windows(window)[1] == data.split  # so that the experiment trains both on the same people


def test_a_stream_run_becomes_a_bundle(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--dataset", "synthetic", "--model", "small", "--output", "bundle"]) == 0
    shown = capsys.readouterr().out
    assert "samples in chunks of 1 to 128" in shown
    assert "streaming.onnx" in shown
    manifest = json.loads(Path("bundle/manifest.json").read_text())
    assert manifest["metrics"]["validation"]["accuracy"] == pytest.approx(
        json.loads((run.path / "scores_validation_synthetic.json").read_text())["values"]["accuracy"], abs=1e-6
    )
    assert manifest["metrics"]["validation"]["subjects"] == 2
    assert isinstance(load_model("bundle"), StateRecognizer)
    assert main(["robustness", "--dataset", "synthetic", "--model", "small"]) == 2
    assert "does not name activities of windows" in capsys.readouterr().err
