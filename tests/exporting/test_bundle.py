import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest
import torch

from har.config import RunConfig
from har.contract import AXES_CONVENTION
from har.data.windowset import WindowSet
from har.exporting import bundle_writer as bundle_module
from har.exporting.bundle_folder import golden_windows
from har.exporting.bundle_writer import Answering, Evidence, Jury, write_bundle
from har.exporting.quantise import Judgement, quantise_weights
from har.runtime.bundle import golden_values
from har.runtime.manifest import schema
from har.runtime.recognizer import load_model, verify
from har.training.fit import build_classifier
from tests.exporting.test_onnx_file import classifier
from tests.helpers import assert_nan_in_nan_out
from tests.refusal import refused

FACTS = {"model": "cnn1d", "run": "cnn1d", "seed": 0, "dataset": "synthetic", "synthetic": True, "data_digest": "d", "commit": "c"}


@pytest.fixture
def bundle(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> Path:
    made = classifier("cnn1d", parts, config)
    result = write_bundle(made, tmp_path / "bundle", facts=FACTS, windows=parts["validation"].x)
    assert result.parity <= 1e-5
    assert result.parity_windows == len(parts["validation"]) >= 256
    assert result.golden == len(json.loads((result.folder / "test_vectors.json").read_text())["windows"])
    return result.folder


def test_the_bundle_says_what_it_is(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert sorted(p.name for p in bundle.iterdir()) == ["MODEL_CARD.md", "manifest.json", "model.onnx", "test_vectors.json"]
    assert manifest["datasets"][0]["synthetic"] is True
    assert manifest["spec"] == {
        "sensors": [
            {"name": "accelerometer", "unit": "g", "channels": ["total_acc_x", "total_acc_y", "total_acc_z"]},
            {"name": "gyroscope", "unit": "rad/s", "channels": ["gyro_x", "gyro_y", "gyro_z"]},
        ],
        "labels": ["WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING"],
        "sample_rate_hz": 50.0,
        "window_size": 128,
        "stride": 64,
        "axes": AXES_CONVENTION,
    }
    assert manifest["needs"] == {"sensors": ["accelerometer", "gyroscope"], "least_rate_hz": 40.0}
    assert manifest["input"]["layout"] == "(batch, time, channel), float32, oldest sample first"
    assert manifest["outputs"] == {"probabilities": {"layout": "(batch, label), float32, rows sum to 1"}}
    for name, entry in manifest["files"].items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == entry["sha256"]
        assert (bundle / name).stat().st_size == entry["bytes"]
    count, largest = verify(bundle)
    assert count >= 64
    assert largest <= 1e-5
    assert [p.name for p in bundle.parent.iterdir()] == ["bundle"]


def test_the_bundle_names_the_runtimes_that_ran_these_very_bytes(
    bundle: Path, parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path
) -> None:
    assert json.loads((bundle / "manifest.json").read_text())["tested"] == []
    same = {"runtime": "onnxruntime", "version": "1.2.3", "processor": "aarch64"}
    digest = hashlib.sha256((bundle / "model.onnx").read_bytes()).hexdigest()
    tested = [same | {"sha256": digest}, {"runtime": "other", "version": "1", "processor": "x86_64", "sha256": digest[::-1]}]
    made = classifier("cnn1d", parts, config)
    again = write_bundle(made, tmp_path / "again", facts=FACTS, windows=parts["validation"].x, evidence=Evidence(tested=tested)).folder
    assert json.loads((again / "manifest.json").read_text())["tested"] == [same]


def test_another_stride_stands_in_the_manifest_and_in_the_file(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    made = classifier("cnn1d", parts, config)
    made.spec = parts["train"].spec(16)
    folder = write_bundle(made, tmp_path / "b", facts=FACTS, windows=parts["validation"].x).folder
    written = {p.key: json.loads(p.value) for p in onnx.load(folder / "model.onnx").metadata_props}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["spec"] == written["spec"]
    assert manifest["spec"]["stride"] == manifest["stream"]["hop"] == 16


def test_golden_windows_hold_every_activity_and_edge_values(parts: dict[str, WindowSet], config: RunConfig) -> None:
    vectors = golden_windows(classifier("cnn1d", parts, config))
    windows = golden_values(vectors)
    np.testing.assert_array_equal(windows, (np.array(vectors["windows"]) * 0.001).astype(np.float32))
    assert vectors["origin"] == "synthetic"
    assert windows.shape[1:] == (128, 6)
    assert len(windows) >= 64
    assert (windows == 0).all(axis=(1, 2)).any()
    assert np.abs(windows[..., :3]).max() == 8.0  # the full scales of a phone's sensors
    assert np.abs(windows[..., 3:]).max() == 35.0
    assert (np.abs(windows[..., :3]).max(axis=(1, 2)) == 2.0).any()  # a sensor that clips


def test_a_second_export_replaces_the_first_and_a_failed_one_does_not(bundle: Path, parts: dict[str, WindowSet], config: RunConfig) -> None:
    before = (bundle / "manifest.json").read_bytes()
    made = classifier("cnn1d", parts, config)
    with refused("export-parity", "at least 256"):
        write_bundle(made, bundle, facts=FACTS, windows=parts["validation"].x[:5])
    assert (bundle / "manifest.json").read_bytes() == before
    write_bundle(made, bundle, facts=FACTS | {"seed": 9}, windows=parts["validation"].x)
    assert json.loads((bundle / "manifest.json").read_text())["seed"] == 9
    assert [p.name for p in bundle.parent.iterdir()] == ["bundle"]


def test_published_channels_are_no_device_input(windows: WindowSet, config: RunConfig, tmp_path: Path) -> None:
    made = build_classifier(config.with_overrides(data__channels="uci9"), windows.spec(64))
    with refused("not-exportable", "a phone does not deliver"):
        write_bundle(made, tmp_path / "bundle", facts=FACTS, windows=windows.x)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_things_is_not_replaced(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    with refused("file", "is not a bundle"):
        write_bundle(classifier("cnn1d", parts, config), tmp_path / "photos", facts=FACTS, windows=parts["validation"].x)
    assert (tmp_path / "photos" / "a.jpg").exists()


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def resign(bundle: Path, name: str) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name]["sha256"] = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    change_json(bundle / "manifest.json", files=manifest["files"])


def test_verify_finds_what_was_changed(bundle: Path, tmp_path: Path) -> None:
    def broken(name: str) -> Path:
        shutil.copytree(bundle, tmp_path / name)
        return tmp_path / name

    folder = broken("model")
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)
    with refused("bundle-changed"):
        verify(folder)

    folder = broken("labels")
    spec = json.loads((folder / "manifest.json").read_text())["spec"]
    change_json(folder / "manifest.json", spec=spec | {"labels": ["A", "B", "C", "D", "E", "F"]})
    with refused("bundle-changed", r"says spec\.labels ="):
        verify(folder)

    folder = broken("vectors")
    vectors = json.loads((folder / "test_vectors.json").read_text())
    vectors["probabilities"][3][0] += 0.01
    change_json(folder / "test_vectors.json", **vectors)
    resign(folder, "test_vectors.json")
    with refused("bundle-differs", "a golden window differs by 1"):
        verify(folder)

    folder = broken("gone")
    (folder / "model.onnx").unlink()
    with refused("bundle-changed", r"'model\.onnx', which is not there"):
        verify(folder)

    folder = broken("version")
    change_json(folder / "manifest.json", schema_version=99)
    with refused("bundle-invalid", "schema version 99, expected 2 or 3"):
        verify(folder)

    folder = broken("escape")
    change_json(
        folder / "manifest.json", files={name: {"sha256": 64 * "0"} for name in ("../model.onnx", "model.onnx", "test_vectors.json")}
    )
    with refused("bundle-invalid", r"names the file '\.\./model\.onnx'"):
        verify(folder)

    folder = broken("text")
    (folder / "manifest.json").write_text("{")
    with refused("bundle-invalid", "not valid JSON"):
        verify(folder)

    folder = broken("garbage")
    (folder / "model.onnx").write_bytes(b"garbage")
    resign(folder, "model.onnx")
    with refused("model-file", "not a readable ONNX model"):
        verify(folder)
    with refused("bundle-missing"):
        verify(tmp_path / "none")


@pytest.mark.parametrize("name", ["manifest.json", "test_vectors.json"])
@pytest.mark.parametrize(
    "content", ["[" * 100_000, f'{{"windows": [[[1{"0" * 400}]]], "unit": 1, "probabilities": []}}'], ids=["deep", "large"]
)
def test_json_that_no_reader_takes_is_refused_in_words(name: str, content: str, bundle: Path) -> None:
    (bundle / name).write_text(content)
    if name != "manifest.json":
        resign(bundle, name)
    with refused("bundle-invalid", "export again"):
        verify(bundle)


def test_a_bundle_names_no_model_elsewhere(bundle: Path, tmp_path: Path) -> None:
    shutil.copyfile(bundle / "model.onnx", tmp_path / "other.onnx")
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    with refused("bundle-missing", r"has no \.\./other\.onnx"):
        load_model(bundle, "../other.onnx")
    change_json(bundle / "manifest.json", files=files | {"../other.onnx": files["model.onnx"]})
    with refused("bundle-invalid", r"names the file '\.\./other\.onnx'"):
        load_model(bundle, "../other.onnx")


SCHEMA = schema()


def evidence_of(parts: dict[str, WindowSet], config: RunConfig, **changes: object) -> Evidence:
    made, validation = classifier("cnn1d", parts, config), parts["validation"]
    p = made.predict_proba(tensor(validation.x)).numpy()
    clear = np.argsort(-p.max(axis=1))[:100]  # untrained: many windows lie between two activities
    jury = Jury(made, np.array(validation.x)[clear], p.argmax(axis=1)[clear], np.array(parts["train"].x), "people")
    score = {"value": 0.9, "low": 0.8, "high": 1.0}
    metrics = {
        "validation": {
            "who": "validation subjects",
            "subjects": 2,
            "windows": 300,
            "accuracy": score,
            "macro_f1": score,
            "per_class": [{"activity": "WALKING", "windows": 3, "f1": 0.91}, {"activity": "LAYING", "windows": 0, "f1": None}],
            "per_subject": [{"subject": 5, "windows": 200, "accuracy": 0.95}, {"subject": 7, "windows": 100, "accuracy": 0.752}],
        }
    }
    answering = Answering(temperature=0.5, unknown_below=0.7, fitted_on="2 validation subjects (300 windows)", answered=0.96, right=0.99)
    return replace(Evidence(metrics=metrics, answering=answering, jury=jury), **changes)  # type: ignore[arg-type]


def tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(x))


@pytest.fixture
def whole(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> Path:
    """A bundle with everything that a bundle can have."""
    made, x = classifier("cnn1d", parts, config), parts["validation"].x
    return write_bundle(made, tmp_path / "whole", facts=FACTS, windows=x, evidence=evidence_of(parts, config)).folder


def test_the_manifest_is_as_its_schema_says(bundle: Path, whole: Path) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.check_schema(SCHEMA)
    for folder in (bundle, whole):
        manifest = json.loads((folder / "manifest.json").read_text())
        validator.validate(manifest)
        least = {name: manifest[name] for name in SCHEMA["required"]}
        validator.validate(least)
        for name in least:
            with pytest.raises(jsonschema.ValidationError):
                validator.validate({key: value for key, value in manifest.items() if key != name})
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(manifest | {"surprise": 1})
        inside = {p.key: p.value for p in onnx.load(folder / "model.onnx").metadata_props}
        left = {"schema_version", "tolerance", "parity", "versions", "tested", "robustness", "files", "left_out"}
        for name in set(manifest) - left:
            assert json.loads(inside[name]) == manifest[name]


def test_smaller_files_are_judged_and_shipped(whole: Path) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    for name in ("model.int8.onnx", "model.small.onnx"):
        said = manifest["files"].get(name)
        if said is None:
            assert manifest["left_out"][name]["reason"]
            assert not (whole / name).exists()
            continue
        assert said["bytes"] == (whole / name).stat().st_size
        assert said["label_agreement"] >= 0.99
        assert said["accuracy_change"] >= -0.002
        recognizer = load_model(whole, name)
        assert recognizer.check_golden(name)[0] >= 64
        assert_nan_in_nan_out(whole / name)
    assert "model.small.onnx" in manifest["files"]


def test_a_smaller_file_that_answers_otherwise_is_left_out(
    parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "judge", lambda *given: Judgement(0.9, 0.0, 100))
    made, x = classifier("cnn1d", parts, config), parts["validation"].x
    result = write_bundle(made, tmp_path / "bundle", facts=FACTS, windows=x, evidence=evidence_of(parts, config))
    assert "90.00 % of 100 windows" in result.left_out["model.small.onnx"]["reason"]
    assert not (result.folder / "model.small.onnx").exists()
    with refused("bundle-missing", r"has no model\.small\.onnx \(90\.00 % of 100 windows.*it has model\.onnx"):
        load_model(result.folder, "model.small.onnx")


@pytest.mark.parametrize("fault", ["golden", "quantiser", "no number"])
def test_an_optional_file_that_fails_does_not_end_the_export(
    fault: str, parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(model: Path, path: Path, windows: np.ndarray) -> None:
        path.write_bytes(b"half")
        if fault == "quantiser":
            raise RuntimeError("Unsupported opset\nand more")
        quantise_weights(model, path)
        if fault == "no number":
            made = onnx.load(path)
            next(t for t in made.graph.initializer if t.name.endswith("_scale")).CopyFrom(broken_scale(made))
            onnx.save(made, path)

    monkeypatch.setattr(bundle_module, "RECIPES", {"model.small.onnx": ("int8 weights", fails)})
    if fault == "golden":
        monkeypatch.setattr(bundle_module, "golden_answers", lambda path, golden: ([], 0.322))
    reason = {
        "golden": "a golden window's probability differs by 3.22e-01 between one window at a time and all at once, allowed 1e-05",
        "quantiser": "it cannot be made: RuntimeError: Unsupported opset",
        "no number": "the model gives no finite answer for window 0",
    }[fault]
    made, x = classifier("cnn1d", parts, config), parts["validation"].x
    result = write_bundle(made, tmp_path / "bundle", facts=FACTS, windows=x, evidence=evidence_of(parts, config))
    assert result.left_out["model.small.onnx"]["reason"].startswith(reason)
    assert not (result.folder / "model.small.onnx").exists()
    assert verify(result.folder)[0] >= 64
    jsonschema.validate(json.loads((result.folder / "manifest.json").read_text()), SCHEMA)


def broken_scale(model: onnx.ModelProto) -> onnx.TensorProto:
    tensor = next(t for t in model.graph.initializer if t.name.endswith("_scale"))
    return onnx.numpy_helper.from_array(np.full(tuple(tensor.dims), np.nan, dtype=np.float32), tensor.name)


def test_the_temperature_is_in_the_graph(bundle: Path, whole: Path, parts: dict[str, WindowSet]) -> None:
    """Both bundles hold the same network, one at temperature 1, the other at 0.5."""
    x = parts["test"].x[:50]
    plain, scaled = (load_model(folder).predict(x).astype(float) for folder in (bundle, whole))
    sharper = plain**2 / (plain**2).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scaled, sharper, atol=1e-5)
    assert np.abs(scaled - plain).max() > 1e-3
    assert load_model(whole).unknown_below == 0.7
    assert load_model(bundle).unknown_below == 0.0


def test_the_model_card_says_what_the_manifest_says(whole: Path) -> None:
    card = (whole / "MODEL_CARD.md").read_text()
    assert "Trained on SYNTHETIC data" in card
    for sentence in (
        "| accuracy | 90.00 | 80.0 to 100.0 |",
        "| LAYING | 0 | - |",
        "The worst person, number 7, has 75.2 %.",
        'Below a probability of 0.70 a client says "unknown"',
        "## Limits",
        "Apache-2.0",
    ):
        assert sentence in card


def test_two_exports_from_two_folders_are_equal_to_the_byte(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    made, x = classifier("cnn1d", parts, config), parts["validation"].x
    evidence = evidence_of(parts, config)
    folders = [write_bundle(made, tmp_path / name / "bundle", facts=FACTS, windows=x, evidence=evidence).folder for name in ("a", "b")]
    assert {p.name for p in folders[0].iterdir()} == {p.name for p in folders[1].iterdir()}
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes(), path.name


def test_a_bundle_that_computes_something_else_here_is_refused_at_load(bundle: Path) -> None:
    vectors = json.loads((bundle / "test_vectors.json").read_text())
    vectors["probabilities"][3][0] += 0.01
    change_json(bundle / "test_vectors.json", **vectors)
    resign(bundle, "test_vectors.json")
    with refused("bundle-differs", "a golden window differs by 1"):
        load_model(bundle)


def test_a_model_that_names_another_file_is_refused(bundle: Path) -> None:
    model = onnx.load(bundle / "model.onnx")
    onnx.save(model, bundle / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    resign(bundle, "model.onnx")
    with refused("model-file", "takes weights from another file"):
        load_model(bundle)
