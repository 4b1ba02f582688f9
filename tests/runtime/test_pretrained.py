"""The bundles that come with the project are whole, small, as their schema says, and found without being named."""

import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from har.cli import main
from har.contract import LABELS, RAW6, SignalSpec
from har.data import synthetic
from har.data.prepare import load_dataset
from har.evaluation.predictions import read_predictions
from har.recording import write_csv
from har.runtime.bundle import PLACES, find_bundle, pretrained, read_bundle
from har.runtime.manifest import schema
from har.runtime.recognizer import load_model, verify
from har.runtime.session import open_session, run_windows
from tests.helpers import assert_nan_in_nan_out
from tests.refusal import refused

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.name for path in PLACES[0].iterdir())
MOST_BYTES = {"default": 1_000_000}
OTHERS_BYTES = 1_500_000  # with the files that tell the mounting


@pytest.mark.parametrize("name", NAMES)
def test_it_is_whole_and_small_and_says_what_it_is(name: str) -> None:
    folder = pretrained(name)
    count, _ = verify(folder)
    assert count >= 64
    assert sum(path.stat().st_size for path in folder.iterdir()) < MOST_BYTES.get(name, OTHERS_BYTES)
    manifest = json.loads((folder / "manifest.json").read_text())
    read = read_bundle(folder)
    jsonschema.validate({name: value for name, value in read.manifest.items() if value is not None}, schema())
    assert read.synthetic is False
    assert read.spec == SignalSpec.of(RAW6, LABELS, window_size=128, stride=64, axes=read.spec.axes)
    assert "-dirty" not in manifest["commit"]
    assert set(manifest["metrics"]) == {"validation", "test"}
    assert {path.name for path in folder.iterdir()} == {*manifest["files"], "manifest.json"}


@pytest.mark.parametrize("path", sorted(PLACES[0].glob("*/*.onnx")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_window_that_is_not_finite_gets_no_finite_answer(path: Path) -> None:
    """Where a client checks nothing."""
    assert_nan_in_nan_out(path)
    session, windows = open_session(path), np.zeros((3, 128, 6), dtype=np.float32)
    windows[1, 127, 5] = np.nan
    with refused("not-finite", "no finite answer for window 1"):
        run_windows(session, windows)


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with refused("name-unknown", "no pretrained bundle 'defualt'; did you mean 'default'"):
        pretrained("defualt")
    assert find_bundle(None) == pretrained()
    assert find_bundle(Path("named")) == Path("named")
    assert find_bundle(Path("default")) == pretrained("default")
    assert find_bundle(tmp_path / "default") == tmp_path / "default"


def test_predict_and_verify_need_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(synthetic.generate(2, 0, bout_seconds=4.0), tmp_path / "r.csv")
    first = f"bundle default: dilated_cnn trained on uci-har, {pretrained()}\n"
    assert main(["predict", "r.csv"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(first)
    assert "confidence" in shown
    assert "SYNTHETIC" not in shown
    assert main(["verify"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(first)
    assert "golden windows hold" in shown


def test_the_default_bundle_does_not_depend_on_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path("export/bundle")
    shutil.copytree(pretrained("robust"), own)
    write_csv(synthetic.generate(2, 0, bout_seconds=4.0), Path("r.csv"))

    def first_line(*words: str) -> str:
        assert main([*words]) == 0
        return capsys.readouterr().out.split("\n")[0]

    default, named = (
        f"bundle {name}: dilated_cnn trained on uci-har, {folder}" for name, folder in (("default", pretrained()), ("bundle", own))
    )
    assert first_line("predict", "r.csv") == first_line("verify") == default
    assert first_line("predict", "r.csv", "--bundle", "export/bundle") == named
    assert first_line("verify", "--bundle", "export/bundle") == named
    assert first_line("predict", "r.csv", "r.csv", "--output", "out") == default
    assert main(["predict", "r.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bundle"] == str(pretrained())
    assert main(["verify", "a", "--bundle", "b"]) == 2
    assert "two bundles are named, b and a; name one" in capsys.readouterr().err


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_it_answers_real_windows_as_its_manifest_says(name: str, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Person by person, on people who trained neither it nor, where it judges for itself, its fold."""
    monkeypatch.setenv("HAR_DATA_DIR", str(real_data))
    recognizer, windows = load_model(pretrained(name)), load_dataset("uci-har")
    metrics = recognizer.bundle.manifest["metrics"]
    for split in metrics if metrics["validation"]["who"] == "validation subjects" else ["test"]:
        for said in metrics[split]["per_subject"]:
            own = windows.subset(np.flatnonzero(windows.subject == said["subject"]))
            assert said["windows"] == len(own)
            assert (recognizer.predict(own.x).argmax(axis=1) == own.y).mean() == pytest.approx(said["accuracy"], abs=2e-3)


@pytest.mark.data
@pytest.mark.parametrize("name", ["default"])
def test_it_answers_real_windows_as_its_published_predictions(name: str, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The committed predictions of its run on the test subjects, after its temperature; training subjects are not needed."""
    monkeypatch.setenv("HAR_DATA_DIR", str(real_data))
    recognizer = load_model(pretrained(name))
    manifest = recognizer.bundle.manifest
    path = ROOT / "results/uci_har/predictions" / f"predictions_test_{manifest['run']}_seed{manifest['seed']}.parquet"
    published = read_predictions(path)
    windows = load_dataset("uci-har")
    rows = published.table
    at = {(recording, start): i for i, (recording, start) in enumerate(zip(windows.recording, windows.start, strict=True))}
    index = [at[recording, start] for recording, start in zip(rows.recording, rows.start, strict=True)]
    found = recognizer.predict(windows.x[index])
    p = rows[[f"p_{label}" for label in LABELS]].to_numpy(dtype=np.float64) ** (1 / manifest["temperature"]["value"])
    np.testing.assert_allclose(found, p / p.sum(axis=1, keepdims=True), atol=2e-5)
    assert (np.array(LABELS)[found.argmax(axis=1)] == rows.y_pred).all()
