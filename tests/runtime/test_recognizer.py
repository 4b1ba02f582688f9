import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from har.config import RunConfig
from har.data import synthetic
from har.data.windowset import WindowSet
from har.exporting.bundle_writer import write_bundle
from har.recording import Recording, write_csv
from har.runtime.recognizer import Recognizer, load_model
from har.runtime.timeline import Timeline, timeline_text, write_timeline
from tests.exporting.test_bundle import FACTS
from tests.exporting.test_onnx_file import classifier
from tests.refusal import refused


@pytest.fixture(scope="module")
def bundle(windows: WindowSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from har.config import parse_config

    config: RunConfig = parse_config({"data": {"validation_subjects": [5]}, "model": {"name": "cnn1d"}}, "test")
    raw6 = windows.select_channels("raw6")
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    return write_bundle(classifier("cnn1d", {"train": raw6}, config), folder, facts=FACTS, windows=raw6.x[:300]).folder


@pytest.fixture(scope="module")
def recognizer(bundle: Path) -> Recognizer:
    return load_model(bundle)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return synthetic.generate(2, 0, bout_seconds=4.0)


def test_one_window_and_many_agree(recognizer: Recognizer, parts: dict[str, WindowSet]) -> None:
    windows = parts["test"].x[:70]
    together = recognizer.predict(windows)
    assert together.shape == (70, 6)
    np.testing.assert_allclose(recognizer.predict(windows[3]), together[3:4], atol=1e-6)


@pytest.mark.parametrize("shape", [(128,), (64, 6), (2, 128, 9), (2, 6, 128), (1, 1, 128, 6)])
def test_wrong_shapes_are_named(shape: tuple[int, ...], recognizer: Recognizer) -> None:
    with refused("windows", r"expected \(window, 128, 6\): time, then total_acc_x"):
        recognizer.predict(np.zeros(shape, dtype=np.float32))


def test_a_value_that_is_not_finite_is_named(recognizer: Recognizer) -> None:
    windows = np.zeros((3, 128, 6), dtype=np.float32)
    windows[1, 7, 4] = np.inf
    with refused("not-finite", "window 1 is not finite at sample 7, channel gyro_y"):
        recognizer.predict(windows)


def test_a_timeline_covers_the_recording_without_holes(recognizer: Recognizer, recording: Recording) -> None:
    timeline = recognizer.predict_recording(recording)
    assert len(timeline.from_s) == (len(recording.time_s) - 128) // 64 + 1
    assert timeline.from_s[0] == recording.time_s[0]
    np.testing.assert_allclose(timeline.from_s[1:], timeline.to_s[:-1])
    assert 0 <= recording.time_s[-1] + 0.02 - timeline.to_s[-1] < 64 / 50
    spans = timeline.spans()
    assert sum(span[4] for span in spans) == len(timeline.from_s)
    assert all(a[2] != b[2] for a, b in pairwise(spans))


def test_no_window_crosses_a_gap(recognizer: Recognizer, recording: Recording) -> None:
    time_s = recording.time_s.copy()
    time_s[500:] += 60.0
    cut = Recording("cut", 2, time_s, recording.samples, recording.labels)
    timeline = recognizer.predict_recording(cut)
    before = recognizer.predict_recording(Recording("before", 2, recording.time_s[:500], recording.samples[:500], recording.labels[:500]))
    np.testing.assert_array_equal(timeline.probabilities[: len(before.from_s)], before.probabilities)
    assert not ((timeline.from_s < time_s[499]) & (timeline.to_s > time_s[500])).any()
    assert timeline.from_s[len(before.from_s)] == time_s[500]


def test_spans_end_at_a_gap_even_within_one_activity() -> None:
    probabilities = np.tile([0.9, 0.1], (3, 1))
    timeline = Timeline(["A", "B"], np.array([0.0, 1.0, 9.0]), np.array([1.0, 2.0, 10.0]), probabilities, np.zeros(3))
    assert [(a, b, label, n) for a, b, label, _, n in timeline.spans()] == [(0.0, 2.0, "A", 2), (9.0, 10.0, "A", 1)]


def test_a_recording_shorter_than_a_window_is_named(recognizer: Recognizer, recording: Recording) -> None:
    short = Recording("short", 2, recording.time_s[:127], recording.samples[:127], recording.labels[:127])
    with refused("recording-short", r"no stretch of 128 samples \(2.56 s\)"):
        recognizer.predict_recording(short)


def test_the_report_says_synthetic_and_the_file_has_a_row_a_window(recognizer: Recognizer, recording: Recording, tmp_path: Path) -> None:
    timeline = recognizer.predict_recording(recording)
    assert "trained on SYNTHETIC data" in timeline_text(recording.name, recognizer.bundle, timeline)
    path = tmp_path / "timeline.csv"
    write_timeline(timeline, path)
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert len(rows) == 1 + len(timeline.from_s)
    assert rows[0][:4] == ["from_s", "to_s", "activity", "confidence"]
    for row, probabilities, name in zip(rows[1:], timeline.probabilities, timeline.activities(), strict=True):
        assert row[2] == name
        assert float(row[3]) == pytest.approx(probabilities.max(), abs=1e-6)
        np.testing.assert_allclose([float(v) for v in row[4:]], probabilities, atol=1e-6)
    with refused("file", "cannot write"):
        write_timeline(timeline, path / "timeline.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["timeline.csv"]


def test_predict_and_verify_import_nothing_of_training(bundle: Path, recording: Recording, tmp_path: Path) -> None:
    """What stands for the device: with every training package blocked, the commands work."""
    write_csv(recording, tmp_path / "r.csv")
    code = f"""
import sys
blocked = ("torch", "pytorch_lightning", "mlflow", "pandas", "sklearn", "scipy", "pydantic", "yaml", "matplotlib", "onnx", "pyarrow")
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ImportError(f"{{name}} is blocked")
sys.meta_path.insert(0, Block())
from har.cli import main
assert main(["verify", "--bundle", {str(bundle)!r}]) == 0
assert main(["predict", "--bundle", {str(bundle)!r}, {str(tmp_path / "r.csv")!r}]) == 0
assert not [name for name in sys.modules if name.split(".")[0] in blocked]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "golden windows hold" in done.stdout
    assert "confidence" in done.stdout


def test_the_borders_lie_half_way_between_the_centres(recognizer: Recognizer, recording: Recording) -> None:
    """Three windows of 128 samples, 64 apart: centres 64, 128, 192, borders 96 and 160; the last ends with its window."""
    timeline = recognizer.predict_recording(recording.part(0, 300))
    np.testing.assert_allclose(timeline.from_s * 50, [0, 96, 160], atol=1e-6)
    np.testing.assert_allclose(timeline.to_s * 50, [96, 160, 256], atol=1e-6)


def test_an_edited_manifest_is_not_believed(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "edited")
    path = tmp_path / "edited" / "manifest.json"
    manifest = json.loads(path.read_text())
    spec = manifest["spec"]
    for change in ({"labels": spec["labels"][::-1]}, {"stride": 32}, {"sample_rate_hz": 100.0}):
        stream = manifest["stream"] | {"hop": change.get("stride", spec["stride"])}
        path.write_text(json.dumps(manifest | {"spec": spec | change, "stream": stream}))
        with refused("bundle-changed", r"says spec\.\w+ = .* the manifest says"):
            load_model(path.parent)


def test_the_runtime_is_told_to_tell_nobody_before_it_is_loaded() -> None:
    code = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print("telemetry off:", os.environ.get("ORT_DISABLE_TELEMETRY"))
sys.meta_path.insert(0, Watch())
import har.runtime.session
"""
    clean = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=clean)
    assert done.stdout == "telemetry off: 1\n"
