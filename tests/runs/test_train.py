"""One run from config to bundle, what it leaves, and what it leaves when it is disturbed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch

from har.cli import main
from har.config import RunConfig, load_config
from har.data import audit as audit_module
from har.data.splits import SubjectSplit, write_splits
from har.evaluation.metrics import scores
from har.evaluation.predictions import make_predictions, read_predictions
from har.runs.checks import config_path
from har.runs.evaluate import evaluate
from har.runs.export import best_run, export
from har.runs.ledger import COLUMNS, add_opening
from har.runs.run_folder import RunFolder, find_runs
from har.runs.train import train, train_run
from har.runtime.session import open_session, run_windows
from har.tasks import base as windows_module
from har.tasks.base import load_windows
from har.tasks.classify import Classify
from har.tracking.store import tracking_uri
from har.training.trainer import RESUME, load_checkpoint
from tests.helpers import write_uci_har
from tests.refusal import refused

RUNS, RESULTS = Path("runs"), Path("results")


def quietly(line: str) -> None:
    """Nobody reads it."""


@pytest.fixture
def run(workplace: Path, config: RunConfig) -> RunFolder:
    return train_run(config, "cnn1d", RUNS, progress=False, say=quietly)


def mlflow_runs() -> list:
    client = mlflow.MlflowClient(tracking_uri(RUNS))
    return client.search_runs([e.experiment_id for e in client.search_experiments()])


def test_a_run_describes_itself(run: RunFolder, config: RunConfig) -> None:
    assert run.path == RUNS / "synthetic" / "cnn1d" / "seed-0"
    names = {path.name for path in run.path.iterdir()}
    assert names == {"best.ckpt", "config.yaml", "model.onnx", "predictions_validation_synthetic.parquet", "run.json"}
    assert run.config() == config
    info = run.info()
    assert info.origin.synthetic
    assert info.score == scores(run.predictions("validation"))["macro_f1"]
    assert info.versions["torch"].startswith("2.")
    assert [p.name for p in run.path.parent.iterdir()] == ["seed-0"]


def test_the_reported_score_is_that_of_the_saved_weights_and_of_the_exported_file(run: RunFolder, workplace: Path) -> None:
    reported = evaluate(run, "test", RESULTS).predictions
    windows, split = load_windows(run.config())
    test = split.select(windows, "test")
    x = np.array(test.x, dtype=np.float32)
    reloaded = load_checkpoint(run.checkpoint).predict_proba(torch.from_numpy(x)).numpy()
    exported = run_windows(open_session(run.path / "model.onnx"), x, batch_size=7)
    for probabilities in (reloaded, exported):
        assert scores(make_predictions(test, probabilities, reported.origin)) == scores(reported)


def test_an_export_of_other_weights_is_not_reported(run: RunFolder, config: RunConfig) -> None:
    other = train_run(config.with_overrides(training__seed=1), "cnn1d", RUNS, progress=False, say=quietly)
    (run.path / "model.onnx").write_bytes((other.path / "model.onnx").read_bytes())
    with refused("export-parity", r"model\.onnx differs from the saved weights by .*; train again"):
        evaluate(run, "validation", RESULTS)


def test_everything_is_tracked(run: RunFolder, config: RunConfig) -> None:
    (tracked,) = mlflow_runs()
    client = mlflow.MlflowClient(tracking_uri(RUNS))
    assert tracked.info.status == "FINISHED"
    assert tracked.info.run_id == run.info().mlflow_run_id
    assert "synthetic" in tracked.info.run_name
    assert tracked.data.params["training.epochs"] == "2"
    assert tracked.data.params["model.name"] == "cnn1d"
    tags = tracked.data.tags
    assert (tags["synthetic"], tags["seed"], tags["model"]) == ("true", "0", "cnn1d")
    assert tags["data_digest"] == run.origin.data_digest
    assert tags["git_commit"] == run.origin.commit
    for curve in ("train/loss", "val/loss", "val/macro_f1", "val/accuracy"):
        assert [m.step for m in client.get_metric_history(tracked.info.run_id, curve)] == [0, 1], curve
    assert tracked.data.metrics["best/val_macro_f1"] == pytest.approx(run.info().score)
    artifacts = {a.path for a in client.list_artifacts(tracked.info.run_id)}
    tables = {
        f"{stem}_validation_synthetic{suffix}" for stem, suffix in (("confusion", ".png"), ("per_class", ".csv"), ("per_subject", ".csv"))
    }
    assert artifacts >= {"config.yaml", "split.json", "versions.json", "checkpoint"} | tables
    logged = yaml_artifact(tracked, "config.yaml")
    assert logged == config.model_dump(mode="json")
    assert not any("test" in name for name in tracked.data.metrics), "training logs validation metrics only"


def yaml_artifact(tracked: object, name: str) -> dict:
    import yaml

    folder = tracked.info.artifact_uri.removeprefix("file://")  # type: ignore[attr-defined]
    return yaml.safe_load((Path(folder) / name).read_text())


def test_the_onnx_model_is_logged_with_its_signature(run: RunFolder) -> None:
    (tracked,) = mlflow_runs()
    loaded = mlflow.models.get_model_info(f"{tracked.info.artifact_uri}/model".removeprefix("file://"))
    assert loaded.run_id == run.info().mlflow_run_id
    assert loaded.signature.inputs.input_names() == ["windows"]
    assert loaded.signature.inputs.inputs[0].shape == (-1, 128, 6)
    assert loaded.signature.outputs.input_names() == ["probabilities"]


def test_the_reported_score_is_that_of_the_saved_weights(run: RunFolder) -> None:
    assert evaluate(run, "validation", RESULTS).values["macro_f1"] == run.info().score
    assert (run.path / "confusion_validation_synthetic.png").stat().st_size > 5000


def test_synthetic_test_subjects_leave_no_ledger(run: RunFolder) -> None:
    predictions = evaluate(run, "test", RESULTS).predictions
    assert set(predictions.table.subject) == {2, 4, 9, 10, 12, 13, 18, 20, 24}
    assert run.predictions_path("test").is_file()
    assert not RESULTS.exists()


def test_other_weights_are_not_scored(run: RunFolder) -> None:
    with open(run.checkpoint, "ab") as file:
        file.write(b"x")
    with refused("run-damaged"):
        evaluate(run, "test", RESULTS)
    with refused("run-damaged"):
        export(run, Path("bundle"))
    assert not Path("bundle").exists()


def test_the_best_run_is_chosen_by_validation_and_exported(run: RunFolder, config: RunConfig) -> None:
    better = train_run(config.with_overrides(training__epochs=4), "longer", RUNS, progress=False, say=quietly)
    runs = find_runs(RUNS, "synthetic")
    assert {r.path for r in runs} == {run.path, better.path}
    expected = max(runs, key=lambda r: r.info().score)
    assert best_run(runs).path == expected.path
    evaluate(run, "test", RESULTS)
    export(run, Path("bundle"))
    manifest = json.loads(Path("bundle/manifest.json").read_text())
    assert manifest["metrics"]["validation"]["macro_f1"]["value"] == pytest.approx(run.info().score, abs=1e-6)
    assert set(manifest["metrics"]) == {"validation", "test"}
    assert manifest["commit"] == run.origin.commit


def test_published_channels_get_a_run_of_their_own_and_no_bundle(workplace: Path) -> None:
    run = train("cnn1d", dataset="synthetic", epochs=1, seed=3, change={"data.channels": "uci9"}, runs=RUNS)
    assert run.path == RUNS / "synthetic" / "cnn1d-uci9" / "seed-3"
    with refused("not-exportable", "every run was trained on uci9"):
        best_run([run])


def test_a_leak_makes_training_refuse(workplace: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test subject's window, renamed and given to a training subject."""

    def leaky(config: RunConfig, archive: object = None) -> tuple:
        windows, split = original(config, archive)  # type: ignore[arg-type]
        planted = windows.subset(np.append(np.arange(len(windows)), (windows.subject == 2).argmax()))
        subject, recording = planted.subject.copy(), planted.recording.copy()
        subject[-1], recording[-1] = 1, "renamed"
        return replace(planted, subject=subject, recording=recording), split

    original = windows_module.load_windows
    monkeypatch.setattr(windows_module, "load_windows", leaky)
    with refused("leak"):
        train_run(config, "cnn1d", RUNS, progress=False, say=quietly)
    assert not RUNS.exists()


def test_the_audit_is_the_one_that_runs(workplace: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(windows_module, "audit", lambda parts: seen.append(set(parts)) or audit_module.audit(parts))
    train_run(config.with_overrides(training__epochs=1), "cnn1d", RUNS, progress=False, say=quietly)
    assert seen == [{"train", "validation", "test"}]


def test_a_small_study_is_exported_too(workplace: Path, config: RunConfig) -> None:
    """A subject has 72 windows here; the check of the export takes 256, of the training subjects or shifted in time where those are few."""
    one = config.with_overrides(data__validation_subjects=[5], training__epochs=1)
    run = train_run(one, "cnn1d", RUNS, progress=False, say=quietly)
    assert export(run, workplace / "bundle", None, workplace / "results").parity_windows >= 256
    write_splits(workplace / "small.json", [SubjectSplit((1, 3), (5,), (2, 4))], "kfold", "synthetic")
    small = config.with_split(kind="file", path=str(workplace / "small.json"))
    run = train_run(small.with_overrides(training__epochs=1), "small", RUNS, progress=False, say=quietly)
    assert export(run, workplace / "small", None, workplace / "results").parity_windows >= 256


def test_a_failure_keeps_the_earlier_run(run: RunFolder, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run.checkpoint.read_bytes()

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Classify, "export", die)
    with pytest.raises(KeyboardInterrupt):
        train_run(config.with_overrides(training__epochs=1), "cnn1d", RUNS, progress=False, say=quietly)
    assert run.checkpoint.read_bytes() == before
    assert sorted(p.name[:15] for p in run.path.parent.iterdir()) == [".partial-seed-0", "seed-0"]  # the former is for --resume
    assert sorted(r.info.status for r in mlflow_runs()) == ["FINISHED", "KILLED"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_training_cleanly(number: int, code: int, workplace: Path) -> None:
    command = [sys.executable, "-m", "har", "train", "--dataset", "synthetic", "--model", "cnn1d", "--epochs", "500"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    # A shell's background jobs ignore Ctrl-C, and so would what they start: the suite may be one.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(RUNS.glob(f"synthetic/cnn1d/.partial-*/{RESUME}")):
        time.sleep(0.5)
        assert process.poll() is None, process.communicate()
    process.send_signal(number)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert [r.info.status for r in mlflow_runs()] == ["KILLED"]
    (left,) = (RUNS / "synthetic" / "cnn1d").iterdir()  # for --resume
    assert left.name.startswith(".partial-seed-0-")
    assert (left / RESUME).is_file()


@pytest.fixture(scope="module")
def small_uci_har(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "UCI HAR Dataset"
    write_uci_har(folder, train=(1, 3, 5, 15, 25, 30), test=(2, 4), bout_seconds=9.0)
    return folder


def test_only_evaluate_opens_the_test_subjects_and_the_ledger_says_so(workplace: Path, config: RunConfig, small_uci_har: Path) -> None:
    real = config.with_overrides(data__dataset="uci-har", training__epochs=1)
    run = train_run(real, "cnn1d", RUNS, archive=small_uci_har, progress=False, say=quietly)
    assert not list(run.path.glob("*test*"))
    ledger = RESULTS / "uci_har" / "test_openings.csv"
    evaluate(run, "validation", RESULTS)
    assert not ledger.exists()
    score = evaluate(run, "test", RESULTS).values
    evaluate(run, "test", RESULTS)
    table = pd.read_csv(ledger)
    assert tuple(table.columns) == COLUMNS
    assert table.macro_f1.tolist() == [pytest.approx(score["macro_f1"], abs=1e-6)] * 2
    assert table.checkpoint_sha256.tolist() == [run.origin.checkpoint_sha256] * 2
    assert table.seed.tolist() == [0, 0]
    assert [p.name for p in ledger.parent.iterdir()] == ["test_openings.csv"]
    assert set(read_predictions(run.path / "predictions_test.parquet").table.subject) == {2, 4}


@pytest.mark.parametrize(("split", "tested", "opens"), [({"kind": "file"}, {2, 4, 7}, True), ({"kind": "kfold"}, None, False)])
def test_the_ledger_tells_official_test_subjects_from_others(
    split: dict, tested: set[int] | None, opens: bool, workplace: Path, config: RunConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "eleven" / "UCI HAR Dataset"
    write_uci_har(folder, train=(1, 3, 5, 6, 7, 8, 15, 25, 30), test=(2, 4, 10), bout_seconds=9.0)
    written = Path("fold.yaml")
    if tested is not None:  # the test part of a fold, and a place for each of the few subjects
        content = {"train": [1, 3, 6, 8, 10], "validation": [5, 15, 25, 30], "test": sorted(tested)}
        document = {"schema_version": 1, "kind": "fold5", "dataset": "uci-har", "folds": [content]}
        Path("split.json").write_text(json.dumps(document))
        split = {"kind": "file", "path": "split.json"}
    real = config.with_overrides(data__dataset="uci-har", training__epochs=1).with_split(**split)
    written.write_text(real.to_yaml())
    run = train("fold.yaml", runs=RUNS, archive=folder)
    assert run.path.parent.name == "fold" + real.data.split.suffix
    ledger = RESULTS / "uci_har" / "test_openings.csv"
    evaluate(run, "validation", RESULTS, archive=folder)
    assert not ledger.exists()
    found = evaluate(run, "test", RESULTS, archive=folder).predictions
    assert ledger.exists() == opens
    if opens:
        assert set(found.table.subject) == tested
        assert pd.read_csv(ledger).config.tolist() == [run.path.parent.name]
        document["folds"][0] |= {"train": [1, 3, 6, 8], "test": [2, 4, 7, 10]}
        Path("split.json").write_text(json.dumps(document))
        with refused("run-other"):
            evaluate(run, "test", RESULTS, archive=folder)


def test_without_its_ledger_the_test_split_is_not_scored(
    workplace: Path, config: RunConfig, small_uci_har: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = config.with_overrides(data__dataset="uci-har", training__epochs=1)
    run = train_run(real, "cnn1d", RUNS, archive=small_uci_har, progress=False, say=quietly)
    # Another folder of results has a ledger of its own, and the command names it.
    assert main(["evaluate", "--model", "cnn1d", "--part", "test", "--results", "elsewhere", "--brief"]) == 0
    said = capsys.readouterr().out
    ledger = Path("elsewhere/uci_har/test_openings.csv")
    assert pd.read_csv(ledger).config.tolist() == ["cnn1d"]
    assert f"official test subjects were scored, a row for each run in the ledger {ledger}" in said
    assert "the published ledger is below results" in said
    for path in run.path.glob("*test*"):
        path.unlink()
    RESULTS.write_text("a file where the folder should be")
    monkeypatch.setattr("har.tasks.classify.make_predictions", lambda *_: pytest.fail("scored without a ledger"))
    with refused("file", "are not scored without it"):
        evaluate(run, "test", RESULTS)
    assert not list(run.path.glob("*test*"))


def test_other_data_than_the_trained_ones_are_refused(workplace: Path, config: RunConfig, small_uci_har: Path, tmp_path: Path) -> None:
    real = config.with_overrides(data__dataset="uci-har", training__epochs=1)
    run = train_run(real, "cnn1d", RUNS, archive=small_uci_har, progress=False, say=quietly)
    other = tmp_path / "other" / "UCI HAR Dataset"
    write_uci_har(other, train=(1, 5, 15, 25, 30), test=(2, 4), bout_seconds=4.0)
    with refused("run-other"):
        evaluate(run, "test", RESULTS, archive=other)


def test_a_ledger_with_other_columns_is_not_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "test_openings.csv"
    path.write_text("a,b\n1,2\n")
    with refused("predictions-file"):
        add_opening(path, seed=1)
    assert path.read_text() == "a,b\n1,2\n"


def test_configs_are_found_by_name(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_config(config_path("gru")).model.name == "gru"
    with refused("name-unknown", "unknown model 'gur'; did you mean 'gru'"):
        config_path("gur")
    (workplace / "configs").unlink()
    assert load_config(config_path("gru")).model.name == "gru"  # the one that comes with the project
    monkeypatch.setattr("har.runs.checks.SHIPPED", ())
    with refused("config", r"no config at configs/gru\.yaml"):
        config_path("gru")


def test_runs_are_found_by_name_and_seed(run: RunFolder) -> None:
    assert [r.path for r in find_runs(RUNS, "synthetic", ["cnn1d"], [0])] == [run.path]
    for names, seeds in ((["gru"], None), (None, [5]), (["cnn1d"], [5])):
        with refused("run-missing"):
            find_runs(RUNS, "synthetic", names, seeds)
    (run.path / "run.json").write_text("{}")
    with refused("run-damaged"):
        run.info()
