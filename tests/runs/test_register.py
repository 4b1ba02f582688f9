"""What a run tells MLflow, its bundle as a version of the registered model, and who becomes the champion."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest

from har.cli import main
from har.config import parse_config
from har.data import synthetic
from har.runs.export import export
from har.runs.register import log_bundle, register_bundle
from har.runs.run_folder import RunFolder
from har.runs.train import spans, train_run
from har.runtime.bundle import pretrained, sha256
from har.runtime.manifest import MANIFEST
from har.tracking.registered_models import CHAMPION
from har.tracking.store import tracking_uri
from tests.conftest import BOUT_SECONDS
from tests.helpers import VALIDATION
from tests.refusal import refused

RUNS = Path("runs")
NAME = "wearable-har-synthetic"


@dataclass(frozen=True)
class Place:
    """A trained run and its bundle."""

    run: RunFolder
    bundle: Path
    ended_ms: int

    def variant(self, folder: Path, score: float, **changes: Any) -> Path:
        """Another bundle of the run: of another score, and with other entries in its manifest or in its validation part."""
        shutil.copytree(self.bundle, folder)
        manifest = json.loads((folder / MANIFEST).read_text())
        validation = manifest["metrics"]["validation"] | {name: value for name, value in changes.items() if name in ("per_subject", "who")}
        validation["macro_f1"]["value"] = score
        manifest["datasets"][0] |= {"digest": changes.pop("digest")} if "digest" in changes else {}
        manifest |= {name: value for name, value in changes.items() if name not in validation}
        manifest["metrics"] = changes.get("metrics", {"validation": validation})
        (folder / MANIFEST).write_text(json.dumps(manifest))
        log_bundle(self.run, folder, RUNS)
        return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    write = synthetic.write_dataset
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        for name in ("HAR_CACHE_DIR", "HAR_DATA_DIR", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        small: Any = lambda folder, seed=0, **options: write(folder, seed, bout_seconds=BOUT_SECONDS, **options)  # noqa: E731
        patch.setattr(synthetic, "write_dataset", small)
        content = {
            "data": {"dataset": "synthetic", "validation_subjects": list(VALIDATION)},
            "model": {"name": "cnn1d", "options": {"width": 8, "depth": 2}},
            "training": {"epochs": 2, "learning_rate": 0.003, "threads": 1},
        }
        run = train_run(parse_config(content, "test"), "cnn1d", RUNS, progress=False, say=lambda line: None)
        ended_ms = client().get_run(run.info().mlflow_run_id).info.end_time
        folder = export(run, Path("bundle")).folder
        log_bundle(run, folder, RUNS)
        yield Place(run, folder, ended_ms)


def client() -> mlflow.MlflowClient:
    return mlflow.MlflowClient(tracking_uri(RUNS))


def champion() -> str | None:
    aliases = client().get_registered_model(NAME).aliases
    return str(aliases[CHAMPION]) if CHAMPION in aliases else None


def versions() -> int:
    return len(client().search_model_versions(f"name = '{NAME}'"))


def test_numbers_in_short() -> None:
    assert spans([1]) == "1"
    assert spans((3, 1, 2, 5, 8, 7)) == "1-3 5 7-8"


def test_a_run_says_what_it_was_trained_on(place: Place) -> None:
    info = place.run.info()
    tracked = client().get_run(info.mlflow_run_id)
    tags = tracked.data.tags
    assert (tags["split"], tags.get("fold"), tags["run_key"]) == ("official", None, info.key)
    inputs = {one.tags[0].value: one.dataset for one in tracked.inputs.dataset_inputs}
    assert set(inputs) == {"training", "validation"}, "the test subjects are no input"
    assert inputs["validation"].name == "synthetic: subjects 5 15 25 30"
    for part, context in (("train", "training"), ("validation", "validation")):
        data = inputs[context]
        assert info.origin.data_digest.startswith(data.digest)
        assert len(data.digest) == 36
        profile = json.loads(data.profile)
        assert profile == {"subjects": info.split[part], "digest": info.origin.data_digest, "synthetic": True}
    assert {"reliability_validation_synthetic.png", "confusion_validation_synthetic.png"} <= artifacts(info.mlflow_run_id)


def artifacts(run_id: str, folder: str | None = None) -> set[str]:
    return {item.path for item in client().list_artifacts(run_id, folder)}


def test_the_bundle_stands_beside_its_run_and_leaves_its_end_alone(place: Place) -> None:
    run_id = place.run.info().mlflow_run_id
    tracked = client().get_run(run_id)
    assert artifacts(run_id, "bundle") >= {f"bundle/{path.name}" for path in place.bundle.iterdir()}
    assert (tracked.info.status, tracked.info.end_time) == ("FINISHED", place.ended_ms)


def test_the_alias_moves_by_the_validation_score_alone(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = place.run.info().mlflow_run_id
    first = place.variant(tmp_path / "first", 0.9)
    assert main(["register", "--bundle", str(first), "--runs", str(RUNS)]) == 0
    said = capsys.readouterr().out
    assert f"registered {NAME} version 1\nVersion 1 is the champion since" in said
    assert "validation macro-F1 90.00 %, and there was none before" in said
    version = client().get_model_version(NAME, "1")
    assert version.run_id == run_id
    expected = {"run_id": run_id, "bundle_digest": sha256(first / MANIFEST), "commit": place.run.origin.commit, "synthetic": "true"}
    assert expected.items() <= version.tags.items()
    assert version.tags["data_digest"] == place.run.origin.data_digest
    assert "SYNTHETIC" in version.description
    for number, (score, holder, reason) in enumerate(
        ((0.9, "1", "90.00 % against 90.00 % of version 1, which stays"), (0.91, "3", "91.00 % against 90.00 %"), (0.905, "3", "stays")), 2
    ):
        found = register_bundle(place.variant(tmp_path / f"v{number}", score, versions={"wearable-har": str(number)}), RUNS)
        assert (found.version, found.new, champion()) == (str(number), True, holder)
        assert reason in found.reason
        version = client().get_model_version(NAME, found.version)
        assert version.tags["champion_decision"] == found.reason
        assert found.reason in version.description
    log_bundle(place.run, tmp_path / "v3", RUNS)
    again = register_bundle(tmp_path / "v3", RUNS)
    assert (again.version, again.new, champion(), versions()) == ("3", False, "3", 4)
    assert "is the champion already" in again.reason
    assert "91.00 % against 90.00 %" in client().get_model_version(NAME, "3").tags["champion_decision"]  # as it was
    client().delete_registered_model_alias(NAME, CHAMPION)
    assert "there was none before" in register_bundle(tmp_path / "v3", RUNS).reason  # as after a registration that broke off
    assert champion() == "3"
    people = json.loads((first / MANIFEST).read_text())["metrics"]["validation"]["per_subject"]
    before = versions()
    for number, (changes, message) in enumerate(
        (
            ({"metrics": {}}, "no validation score"),
            ({"per_subject": people[1:]}, "3 people .* such scores are not comparable"),
            ({"who": "all"}, "not comparable"),
            ({"digest": "0" * 64}, "data 000000000000.* not comparable"),
            ({"per_subject": [*people, {"subject": 4, "windows": 1, "accuracy": 1.0}]}, r"validated on test subjects \(4\)"),
        )
    ):
        other = place.variant(tmp_path / f"other{number}", 0.99, **changes)
        with refused("not-comparable", message):
            register_bundle(other, RUNS)
    log_bundle(place.run, pretrained(), RUNS)
    with refused("not-comparable", "version 3, and this bundle is of SYNTHETIC data; name another model"):
        register_bundle(pretrained(), RUNS, NAME)
    assert (champion(), versions()) == ("3", before)


def test_a_bundle_of_no_tracked_run_is_refused(place: Place, tmp_path: Path) -> None:
    folder = place.variant(tmp_path / "bundle", 0.5)
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"versions": {"wearable-har": "elsewhere"}}))
    with refused("run-missing"):
        register_bundle(folder, RUNS)
    with refused("store-missing"):
        register_bundle(folder, tmp_path / "nothing")


def test_a_version_that_could_not_be_made_leaves_nothing(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place.variant(tmp_path / "bundle", 0.99, versions={"wearable-har": "x"})

    def fails(*_: object, **__: object) -> None:
        raise ConnectionError("gone")

    name = "another"
    files = set(RUNS.glob("mlartifacts/**/*"))
    for step in ("log_artifacts", "create_model_version"):
        with monkeypatch.context() as patch:
            patch.setattr(mlflow.MlflowClient, step, fails)
            with refused("store", "gone"):
                register_bundle(folder, RUNS, name)
        assert not client().search_model_versions(f"name = '{name}'")
        assert not client().search_registered_models(f"name = '{name}'")
        assert {path for path in RUNS.glob("mlartifacts/**/*") if path.is_file()} <= files
    assert register_bundle(folder, RUNS, name).version == "1"
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "create_model_version", fails)
        with refused("store", "gone"):
            register_bundle(place.variant(tmp_path / "second", 0.98, versions={"wearable-har": "y"}), RUNS, name)
    assert len(client().search_model_versions(f"name = '{name}'")) == 1  # what was there stays


def test_registered_in_a_fresh_process_and_loaded_as_it_says(place: Place, tmp_path: Path) -> None:
    """In the process that trained, MLflow knows the store already."""
    log_bundle(place.run, place.bundle, RUNS)  # as the last one
    runs = tmp_path / "a folder" / "runs"  # copied, too
    shutil.copytree(RUNS, runs)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HAR_"))}
    clean |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2])}
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=empty, env=clean, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr
        assert not list(empty.iterdir())
        return done.stdout

    said = run(sys.executable, "-m", "har", "register", "--bundle", str(place.bundle.resolve()), "--runs", str(runs), "--name", "fresh")
    assert "registered fresh version 1" in said
    (line,) = (line for line in said.splitlines() if line.startswith("next: "))
    command, advice = line.removeprefix("next: ").split("; see ")
    assert advice.startswith("docs/tracking.md")
    loaded = run("sh", "-c", command)
    assert f"run_id: {place.run.info().mlflow_run_id}" in loaded
    assert str(runs) not in (RUNS / "mlflow.db").read_bytes().decode("latin-1")
