"""From runs to a bundle of any mounting: what tells it, what answers then, and what a device makes of both."""

import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest

from har.cli import main
from har.config import RunConfig, load_config
from har.data import synthetic
from har.exporting import mounting_export
from har.exporting.mounting_export import MountingPart
from har.models.classifier import WindowClassifier
from har.models.mounting_estimator import MountingEstimator
from har.recording import Recording
from har.runs.export import export
from har.runs.robustness import TOLD, card_rows, measure, rotation_matrix, turned, write_robustness
from har.runs.run_folder import RunFolder
from har.runs.train import train_run
from har.runtime.manifest import schema
from har.runtime.mounted import remounted
from har.runtime.recognizer import load_model, verify
from har.signals.windows import cut_windows, window_starts
from tests.exporting.test_bundle import resign
from tests.helpers import VALIDATION
from tests.refusal import refused

RUNS, ROOT = Path("runs"), Path(__file__).parents[2]
RECORDING: Recording = synthetic.generate(2, 3, bout_seconds=10.0)
OPTIONS = {"--mounting": "mounting_cnn", "--mounted": "cnn1d"}


def quiet(line: str) -> None:
    """Say nothing."""


def mounting_run() -> RunFolder:
    config = load_config("configs/mounting_cnn.yaml").with_overrides(
        data__dataset="synthetic", data__validation_subjects=VALIDATION, model__options={"width": 12}
    )
    config = config.with_overrides(training__epochs=10, training__batch_size=32)
    return train_run(config, "mounting_cnn", RUNS, progress=False, say=quiet)


@pytest.fixture
def runs(workplace: Path, config: RunConfig) -> dict[str, RunFolder]:
    robust = config.with_overrides(frontend__axes="gravity", augmentation__turn_deg=180)
    made = {name: train_run(own, name, RUNS, progress=False, say=quiet) for name, own in (("cnn1d", config), ("robust", robust))}
    return made | {"mounting_cnn": mounting_run()}


def elsewhere(recording: Recording) -> Recording:
    """The same recording from a phone that was put on otherwise."""
    samples = turned(turned(recording.samples, 2, 130.0), 0, 200.0).astype(np.float32)
    return Recording(recording.name, recording.subject, recording.time_s, samples, recording.labels)


@pytest.mark.slow
def test_the_mounting_is_told_and_a_stream_is_answered_in_place(runs: dict[str, RunFolder], monkeypatch: pytest.MonkeyPatch) -> None:
    scores = json.loads((runs["mounting_cnn"].path / "scores_validation_synthetic.json").read_text())
    assert scores["values"]["error_deg"] < 45 < scores["references"]["no estimate"]["error_deg"]
    assert scores["values"]["worth_at_rest"] < 0.5 * scores["values"]["worth_walking"]
    for name, value in (("ENOUGH", 1.5), ("AGREEMENT", 0.3)):  # the test's recordings are short, its training too
        monkeypatch.setattr(mounting_export, name, value)

    command = ["--dataset", "synthetic", "--model", "robust", *(word for pair in OPTIONS.items() for word in pair)]
    assert main(["export", *command, "--output", "bundle"]) == 0
    manifest = json.loads(Path("bundle/manifest.json").read_text())
    jsonschema.validate(manifest, schema())
    assert {"model.onnx", "mounting.onnx", "mounted.onnx"} <= set(manifest["files"])
    assert (manifest["mounting"]["estimator_run"], manifest["mounting"]["model_run"]) == ("mounting_cnn, seed 0", "cnn1d, seed 0")
    assert "tells from walking how the phone is mounted" in Path("bundle/MODEL_CARD.md").read_text()
    assert verify("bundle")[0] >= 64

    recognizer, other = load_model("bundle"), elsewhere(RECORDING)
    windows = cut_windows(RECORDING.samples, window_starts(len(RECORDING.samples), 128, 64), 128)
    here, there = (recognizer.predict_recording(recording).probabilities for recording in (RECORDING, other))
    np.testing.assert_allclose(here[0], recognizer.predict(windows[0])[0], atol=1e-6)  # nothing is known yet
    told = [recognizer.start_mounting() for _ in range(2)]
    for mounting, samples in zip(told, (RECORDING.samples, other.samples), strict=True):
        recognizer.predict_in_order(cut_windows(samples, window_starts(len(samples), 128, 64), 128), mounting)
    matrices = [mounting.matrix() for mounting in told]
    in_place = export(runs["cnn1d"], Path("mounted")).folder
    turn = rotation_matrix(0, 200.0) @ rotation_matrix(2, 130.0)
    for matrix, expected in zip(matrices, (np.eye(3), turn.T), strict=True):  # ten epochs of a small network are right by and large
        assert np.degrees(np.arccos((np.trace(matrix @ expected.T) - 1) / 2)) < 60
    answered = load_model(in_place).predict(remounted(windows[-1:], matrices[0][np.newaxis]))
    np.testing.assert_allclose(here[-1], answered[0], atol=1e-5)

    stream = recognizer.open_stream()
    answers = [answer for chunk in np.split(other.samples, [1, 500, 777]) for answer in stream.push(chunk)]
    np.testing.assert_allclose([answer.probabilities for answer in answers], there, atol=1e-6)
    stream.reset()
    first = stream.push(other.samples[:128])
    np.testing.assert_allclose(first[0].probabilities, there[0], atol=1e-6)  # a reset forgets the mounting


@pytest.mark.slow
def test_what_was_changed_or_does_not_fit_is_refused(runs: dict[str, RunFolder], capsys: pytest.CaptureFixture[str]) -> None:
    folder = export(runs["robust"], Path("bundle"), mounting=(runs["mounting_cnn"], runs["cnn1d"])).folder
    vectors = json.loads((folder / "test_vectors.json").read_text())
    shutil.copytree(folder, "changed")
    for name in ("told", "probabilities"):
        content = json.loads(json.dumps(vectors))
        inner = content["mounting"][name][5]
        while isinstance(inner[0], list):
            inner = inner[0]
        inner[0] += 0.01
        Path("changed/test_vectors.json").write_text(json.dumps(content))
        resign(Path("changed"), "test_vectors.json")
        with refused("bundle-differs", f"mounting, {name}: a golden window differs by 1"):
            load_model("changed")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["mounting"]["enough"] = 0.0
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with refused("bundle-changed"):
        load_model(folder)
    del manifest["files"]["mounted.onnx"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with refused("bundle-invalid", r"no checksum for mounted\.onnx"):
        load_model(folder)

    words = ["export", "--dataset", "synthetic", "--model", "robust", "--output", "other"]
    for more, said in (
        (["--mounting", "mounting_cnn"], "--mounting and --mounted belong together"),
        (["--mounting", "cnn1d", "--mounted", "cnn1d"], "does not tell the mounting; name a run of mounting_cnn"),
        (["--mounting", "mounting_cnn", "--mounted", "mounting_cnn"], "does not name activities of windows"),
        (["--mounting", "mounting_cnn", "--mounted", "nobody"], "no finished run of nobody"),
    ):
        assert main([*words, *more]) == 2
        assert said in capsys.readouterr().err
        assert not Path("other").exists()


def test_a_model_beside_must_read_and_name_the_same() -> None:
    def classifier(**changes: object) -> WindowClassifier:
        like = {"model": "cnn1d", "options": {"width": 8, "depth": 2}, "channels": "raw6", "window_size": 128, "num_classes": 6}
        return WindowClassifier(**(like | changes))

    estimator = MountingEstimator(model="mounting_cnn", options={"width": 8}, window_size=128)
    for changes, said in (
        ({"window_size": 64}, "b has window_size 64, the bundle's model 128; name a run like it with --mounted"),
        ({"num_classes": 12}, "b has num_classes 12, the bundle's model 6"),
        ({"channels": "uci9"}, "b has channels uci9, the bundle's model raw6"),
    ):
        with refused("run-kind", said):
            MountingPart(estimator, "a", classifier(**changes), "b", {}, {}).check(classifier())
    part = MountingPart(estimator, "a", classifier(window_size=64), "b", {}, {})
    with refused("run-kind", "a reads windows of 128 samples"):
        part.check(classifier(window_size=64))
    MountingPart(estimator, "a", classifier(), "b", {}, {}).check(classifier())


@pytest.mark.slow
def test_robustness_is_measured_in_streams_too(runs: dict[str, RunFolder]) -> None:
    results, beside = Path("results"), (runs["mounting_cnn"], runs["cnn1d"])
    command = ["--dataset", "synthetic", "--model", "robust", "cnn1d", *(word for pair in OPTIONS.items() for word in pair)]
    assert main(["robustness", *command]) == 0  # the run that is named last is measured in streams
    told = pd.read_csv(results / "device/robustness_synthetic.csv").run.unique()
    assert told.tolist() == ["robust", "cnn1d", f"cnn1d{TOLD}"]
    write_robustness([runs["robust"]], results, "test", mounting=beside)
    text = (results / "device/robustness_synthetic.md").read_text()
    assert "`mounting told`: the windows of a person are one stream" in text
    rows = card_rows(results, runs["robust"].origin)
    assert all(0 < row["in_stream"] <= 1 for row in rows)
    table = measure(runs["robust"], mounting=beside)
    assert set(table.run) == {f"robust{TOLD}"}
    assert table.mounting_known.between(0, 1).all()
    assert (measure(runs["robust"]).mounting_known == 0).all()
    refit = load_config("configs/mounting_cnn.yaml").with_overrides(
        data__dataset="synthetic", data__validation_subjects=(), training__keep="last", training__epochs=1, model__options={"width": 8}
    )
    taught = train_run(refit, "mounting_cnn-refit", RUNS, progress=False, say=quiet)
    with refused("leak"):
        measure(runs["robust"], mounting=(taught, runs["cnn1d"]))


def test_only_walking_on_raw_sensors_tells_it(workplace: Path) -> None:
    config = load_config("configs/mounting_cnn.yaml").with_overrides(data__dataset="synthetic", data__validation_subjects=VALIDATION)
    with refused("config", "told from raw sensors, not from uci9"):
        train_run(config.with_overrides(data__channels="uci9"), "mounting_cnn", RUNS, progress=False, say=quiet)
