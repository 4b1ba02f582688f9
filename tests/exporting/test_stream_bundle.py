"""The bundle of a model that carries a state: whole, checked, and answering a stream in any pieces as torch reads it at once."""

import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest
import torch

from har.cli import main
from har.contract import SignalSpec
from har.data import synthetic
from har.exporting.stream_bundle import HOP, write_stream_bundle
from har.models.labeller import StreamLabeller
from har.recording import Recording, write_csv
from har.runtime.recognizer import StateRecognizer, load_model, verify
from tests.exporting.test_bundle import FACTS, SCHEMA, change_json, resign
from tests.exporting.test_stream_file import labeller
from tests.refusal import refused

RECORDING: Recording = synthetic.generate(2, 0, bout_seconds=8.0)
PEOPLE = [{"subject": 5, "samples": 700, "accuracy": 0.9}]
SCORES = {"who": "validation subjects", "subjects": 1, "samples": 700, "accuracy": 0.9, "macro_f1": 0.8, "per_subject": PEOPLE}
METRICS = {"validation": SCORES}


@pytest.fixture(scope="module")
def made() -> StreamLabeller:
    return labeller("stream_lstm")


@pytest.fixture(scope="module")
def written(made: StreamLabeller, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stream") / "bundle"
    samples = np.concatenate([synthetic.generate(subject, 0, bout_seconds=40.0).samples for subject in (1, 3)])[:30_000]
    assert len(samples) == 30_000  # ten minutes
    result = write_stream_bundle(made, folder, facts=FACTS | {"model": "stream_lstm"}, samples=samples, metrics=METRICS)
    assert result.parity <= 1e-4
    return result.folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "copy"))


def test_it_says_what_it_is(written: Path, made: StreamLabeller) -> None:
    manifest = json.loads((written / "manifest.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(manifest)
    assert {p.name for p in written.iterdir()} == {"MODEL_CARD.md", "manifest.json", "streaming.onnx", "test_vectors.json"}
    assert manifest["stream"]["input"] == {"name": "state", "shape": ["batch", made.state_size]}
    inside = {p.key: json.loads(p.value) for p in onnx.load(written / "streaming.onnx").metadata_props}
    assert inside["stream"] == manifest["stream"]
    assert SignalSpec.from_json(inside["spec"]) == made.spec
    assert "Per sample: accuracy 90.00 %, macro-F1 80.00 %." in (written / "MODEL_CARD.md").read_text()
    count, largest = verify(written)
    assert count == 1500
    assert largest <= 1e-4


def test_pieces_of_any_length_give_the_answers_of_torch(written: Path, made: StreamLabeller) -> None:
    samples = RECORDING.samples[:1210]
    with torch.no_grad():
        expected = made.predict([torch.from_numpy(np.array(samples))])[0].numpy()
    expected = expected[:1200].reshape(-1, HOP, 6).mean(axis=1)
    for cuts in ([], [1], [24, 25, 26, 700], list(range(100, 1200, 37))):
        stream = load_model(written).open_stream()
        answers = [answer for chunk in np.split(samples, cuts) for answer in stream.push(chunk)]
        np.testing.assert_allclose([answer.probabilities for answer in answers], expected, atol=1e-4)
        assert [answer.from_s for answer in answers] == pytest.approx([0.5 * i for i in range(48)])


def test_a_sample_that_is_not_finite_is_refused_after_the_model_too(written: Path) -> None:
    samples = np.array(RECORDING.samples[:50])
    samples[20, 3] = np.nan
    with refused("not-finite", "no finite answer for sample 20"):
        load_model(written).label_samples(samples)


def test_a_gap_starts_from_an_empty_state(written: Path) -> None:
    recognizer = load_model(written)
    assert isinstance(recognizer, StateRecognizer)
    samples, time_s = RECORDING.samples[:600], np.arange(600) / 50
    time_s[300:] += 5.0
    broken = recognizer.predict_recording(Recording("r", 2, time_s, samples, RECORDING.labels[:600]))
    alone = recognizer.open_stream().push(samples[300:])
    np.testing.assert_allclose(broken.probabilities[12:], [answer.probabilities for answer in alone], atol=1e-6)
    assert broken.from_s[12] == pytest.approx(11.0)
    with refused("recording-short", r"no stretch of 25 samples \(0\.50 s\)"):
        recognizer.predict_recording(Recording("r", 2, time_s[:20], samples[:20], RECORDING.labels[:20]))


def test_a_wrong_unit_is_said_before_it_is_a_window_long(written: Path) -> None:
    stream = load_model(written).open_stream()
    samples = RECORDING.samples[:128] * (9.81, 9.81, 9.81, 1, 1, 1)
    for sample in samples[:-1]:
        stream.push(sample)
    with refused("recording-units", r"m/s\^2"):
        stream.push(samples[-1])


def test_the_command_line_takes_it(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_csv(RECORDING, tmp_path / "r.csv")
    assert main(["predict", "--bundle", str(written), str(tmp_path / "r.csv"), "--output", str(tmp_path / "a.csv")]) == 0
    assert main(["verify", "--bundle", str(written)]) == 0
    assert "1500 golden samples hold" in capsys.readouterr().out
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 1 + len(RECORDING.time_s) // HOP


def test_what_was_changed_is_found(folder: Path, written: Path) -> None:
    with refused("argument", "holds a model of streams, which answers no single windows"):
        load_model(written).predict(np.zeros((1, 128, 6), dtype=np.float32))
    vectors = json.loads((folder / "test_vectors.json").read_text())
    vectors["probabilities"][7][0] += 0.01
    change_json(folder / "test_vectors.json", **vectors)
    resign(folder, "test_vectors.json")
    with refused("bundle-differs", "the golden stream differs by 1"):
        load_model(folder)
    spec = json.loads((folder / "manifest.json").read_text())["spec"]
    change_json(folder / "manifest.json", spec=spec | {"labels": ["A", "B", "C", "D", "E", "F"]})
    with refused("bundle-changed", r"says spec\.labels ="):
        load_model(folder)
    (folder / "streaming.onnx").write_bytes(b"x")
    with refused("bundle-changed"):
        load_model(folder)


def test_what_looks_ahead_has_no_bundle(tmp_path: Path) -> None:
    with refused("not-exportable", "looks ahead"):
        write_stream_bundle(labeller("dense_gru"), tmp_path / "bundle", facts=FACTS, samples=RECORDING.samples[:500], metrics={})
    assert list(tmp_path.iterdir()) == []
