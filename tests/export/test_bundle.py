import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from har.config import RunConfig
from har.contract import HarError
from har.data.windowset import WindowSet
from har.export.bundle import golden_windows, write_bundle
from har.runtime.verify import verify
from har.training.fit import build_classifier
from tests.export.test_onnx_file import classifier

FACTS = {"model": "cnn1d", "run": "cnn1d", "seed": 0, "dataset": "synthetic", "synthetic": True, "data_digest": "d", "commit": "c"}


@pytest.fixture
def bundle(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> Path:
    made = classifier("cnn1d", parts, config)
    result = write_bundle(made, tmp_path / "bundle", facts=FACTS, metrics={"validation": {"accuracy": 0.5}}, windows=parts["validation"].x)
    assert result.parity <= 1e-5
    assert result.parity_windows == len(parts["validation"]) >= 256
    return result.folder


def test_the_bundle_says_what_it_is(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert sorted(p.name for p in bundle.iterdir()) == ["manifest.json", "model.onnx", "test_vectors.json"]
    assert manifest["synthetic"] is True
    assert manifest["labels"] == ["WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING"]
    assert manifest["input"]["window_size"] == 128
    assert manifest["input"]["sample_rate_hz"] == 50.0
    assert [c["name"] for c in manifest["input"]["channels"]][:1] == ["total_acc_x"]
    assert [c["unit"] for c in manifest["input"]["channels"]] == ["g"] * 3 + ["rad/s"] * 3
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == digest
    count, largest = verify(bundle)
    assert count >= 16
    assert largest <= 1e-5
    assert [p.name for p in bundle.parent.iterdir()] == ["bundle"]


def test_golden_windows_hold_every_activity_and_edge_values(parts: dict[str, WindowSet], config: RunConfig) -> None:
    vectors = golden_windows(classifier("cnn1d", parts, config))
    windows = np.array(vectors["windows"])
    assert vectors["origin"] == "synthetic"
    assert windows.shape[1:] == (128, 6)
    assert (windows == 0).all(axis=(1, 2)).any()
    assert np.abs(windows[..., :3]).max() == 2.0
    assert (np.abs(windows[:, 1:]) == 2.0).all(axis=(1, 2)).any()


def test_a_second_export_replaces_the_first_and_a_failed_one_does_not(bundle: Path, parts: dict[str, WindowSet], config: RunConfig) -> None:
    before = (bundle / "manifest.json").read_bytes()
    made = classifier("cnn1d", parts, config)
    with pytest.raises(HarError, match="at least 256"):
        write_bundle(made, bundle, facts=FACTS, metrics={}, windows=parts["validation"].x[:5])
    assert (bundle / "manifest.json").read_bytes() == before
    write_bundle(made, bundle, facts=FACTS | {"seed": 9}, metrics={}, windows=parts["validation"].x)
    assert json.loads((bundle / "manifest.json").read_text())["seed"] == 9
    assert [p.name for p in bundle.parent.iterdir()] == ["bundle"]


def test_published_channels_are_no_device_input(windows: WindowSet, config: RunConfig, tmp_path: Path) -> None:
    made = build_classifier(config.with_overrides(data__channels="uci9"), windows)
    with pytest.raises(HarError, match="a phone does not deliver"):
        write_bundle(made, tmp_path / "bundle", facts=FACTS, metrics={}, windows=windows.x)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_things_is_not_replaced(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    with pytest.raises(HarError, match="is not a bundle"):
        write_bundle(classifier("cnn1d", parts, config), tmp_path / "photos", facts=FACTS, metrics={}, windows=parts["validation"].x)
    assert (tmp_path / "photos" / "a.jpg").exists()


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def resign(bundle: Path, name: str) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    change_json(bundle / "manifest.json", files=manifest["files"])


def test_verify_finds_what_was_changed(bundle: Path, tmp_path: Path) -> None:
    def broken(name: str) -> Path:
        shutil.copytree(bundle, tmp_path / name)
        return tmp_path / name

    folder = broken("model")
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(HarError, match="is not the file that was exported"):
        verify(folder)

    folder = broken("labels")
    change_json(folder / "manifest.json", labels=["A", "B", "C", "D", "E", "F"])
    with pytest.raises(HarError, match="says labels ="):
        verify(folder)

    folder = broken("vectors")
    vectors = json.loads((folder / "test_vectors.json").read_text())
    vectors["probabilities"][3][0] += 0.01
    change_json(folder / "test_vectors.json", **vectors)
    resign(folder, "test_vectors.json")
    with pytest.raises(HarError, match="a golden window differs by 1"):
        verify(folder)

    folder = broken("gone")
    (folder / "model.onnx").unlink()
    with pytest.raises(HarError, match=r"'model\.onnx', which is not there"):
        verify(folder)

    folder = broken("version")
    change_json(folder / "manifest.json", schema_version=99)
    with pytest.raises(HarError, match="schema version 99, expected 1"):
        verify(folder)

    folder = broken("escape")
    change_json(folder / "manifest.json", files={"../model.onnx": "0", "model.onnx": "0", "test_vectors.json": "0"})
    with pytest.raises(HarError, match=r"names '\.\./model\.onnx'"):
        verify(folder)

    folder = broken("text")
    (folder / "manifest.json").write_text("{")
    with pytest.raises(HarError, match="not valid JSON"):
        verify(folder)

    folder = broken("garbage")
    (folder / "model.onnx").write_bytes(b"garbage")
    resign(folder, "model.onnx")
    with pytest.raises(HarError, match="not a readable ONNX model"):
        verify(folder)
    with pytest.raises(HarError, match="no bundle at"):
        verify(tmp_path / "none")
