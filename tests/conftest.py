"""Fixtures: small synthetic windows, a small archive in UCI HAR's layout, and a folder to run commands in."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from har.config import RunConfig, parse_config
from har.contract import STRIDE, WINDOW_SIZE
from har.data import synthetic, uci_har
from har.data.splits import official_split
from har.data.windowset import WindowSet, windows_of
from har.tracking import store as store_module
from tests.helpers import VALIDATION, write_uci_har

make_store = store_module._make
BOUT_SECONDS = 9.0  # 72 windows a subject: enough for the parity check on the four validation subjects


PUBLISHED = uci_har.CONTENT_SHA256
REAL_DATA, CASES = os.environ.get("HAR_DATA_DIR"), os.environ.get("HAR_CASES_DIR")
SETTINGS = ("HAR_CACHE_DIR", "MLFLOW_TRACKING_URI", "HAR_DATA_DIR", "HAR_CASES_DIR", "HAR_TRACKING_DIR")
for setting in SETTINGS:  # what a developer has in the environment decides nothing; tests marked data ask for `real_data`
    os.environ.pop(setting, None)


@pytest.fixture(autouse=True)
def _no_settings_left() -> Iterator[None]:
    """A test that sets one for good would decide in which store a later one looks."""
    yield
    assert not [setting for setting in SETTINGS if os.environ.pop(setting, None)]


@pytest.fixture(autouse=True)
def _all_metrics_are_ours(_no_settings_left: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")  # tests look at all metrics of a run


@pytest.fixture(scope="session", autouse=True)
def _small_archives() -> Iterator[None]:
    """The archives that tests write are not the published one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uci_har, "CONTENT_SHA256", "")
        yield


@pytest.fixture(autouse=True)
def _real_archives_are_whole(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_data" in request.fixturenames:
        monkeypatch.setattr(uci_har, "CONTENT_SHA256", PUBLISHED)


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not REAL_DATA or not Path(REAL_DATA).is_dir():
        pytest.skip("the real archives are not here: HAR_DATA_DIR does not name their folder")
    return Path(REAL_DATA)


@pytest.fixture(scope="session")
def cases() -> Path:
    """Recordings that went wrong, which are not part of the repository."""
    if not CASES or not Path(CASES).is_dir():
        pytest.skip("the recordings that went wrong are not here: HAR_CASES_DIR does not name their folder")
    return Path(CASES) / "recordings"


@pytest.fixture(scope="session")
def windows() -> WindowSet:
    """Synthetic windows of all thirty subjects, nine channels."""
    recordings = [synthetic.generate(subject, 0, bout_seconds=BOUT_SECONDS) for subject in range(1, 31)]
    return windows_of(recordings, window_size=WINDOW_SIZE, stride=STRIDE, dataset="synthetic", synthetic=True, channels="uci9")


@pytest.fixture(scope="session")
def parts(windows: WindowSet) -> dict[str, WindowSet]:
    """The raw6 windows, split."""
    split = official_split(VALIDATION)
    return {name: split.select(windows.select_channels("raw6"), name) for name in ("train", "validation", "test")}


@pytest.fixture
def config() -> RunConfig:
    """A config of a model small enough to train in seconds."""
    return parse_config(
        {
            "data": {"dataset": "synthetic", "validation_subjects": list(VALIDATION)},
            "model": {"name": "cnn1d", "options": {"width": 8, "depth": 2}},
            "training": {"epochs": 2, "learning_rate": 0.003, "threads": 1},
        },
        "test",
    )


@pytest.fixture(scope="session")
def uci_har_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set in UCI HAR's layout, made of synthetic signals."""
    folder = tmp_path_factory.mktemp("archive") / "UCI HAR Dataset"
    write_uci_har(folder, train=(1, 5), test=(2,))
    return folder


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generated: Path) -> Path:
    """An empty working directory with the project's configs and small synthetic data, which are generated once a session."""
    (tmp_path / "configs").symlink_to(Path(__file__).parent.parent / "configs")
    monkeypatch.chdir(tmp_path)
    write = synthetic.write_dataset

    def copied(folder: Path, seed: int = 0, **options: Any) -> Path:
        made = write(generated, seed, bout_seconds=BOUT_SECONDS, **options)
        if not (folder / made.name).is_dir():
            shutil.copytree(made, folder / made.name)
        return folder / made.name

    monkeypatch.setattr(synthetic, "write_dataset", copied)
    return tmp_path


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the synthetic data of `workplace` are generated."""
    return tmp_path_factory.mktemp("generated")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without a run: MLflow migrates the tables of a new one for seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    make_store(path)
    return path


@pytest.fixture(autouse=True)
def _stores_are_copies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """New stores are copies of an empty one, except where their making is tested."""
    if "tracking" in request.path.parts or request.path.name == "test_faults.py":
        return

    def copied(path: Path) -> None:
        empty = request.getfixturevalue("empty_store")
        new = path.with_name(f".{path.name}.copy")
        shutil.copyfile(empty, new)
        with closing(sqlite3.connect(new)) as store, store:
            places = (empty.parent.resolve().as_uri(), path.parent.resolve().as_uri())
            store.execute("update experiments set artifact_location = replace(artifact_location, ?, ?)", places)
        os.replace(new, path)

    monkeypatch.setattr(store_module, "_make", copied)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for the real archives is marked data, so that a forgotten mark cannot hide it."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()) and item.get_closest_marker("data") is None:
            raise pytest.UsageError(f"{item.nodeid} uses real_data and must be marked data")


torch.set_num_threads(1)  # small networks; more threads only fight over two cores
