"""A bundle made in seconds, and the page built with it."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from har.config import parse_config
from har.contract import LABELS, SAMPLE_RATE_HZ
from har.data.archives import HAPT, open_source
from har.data.hapt import recording_name
from har.data.windowset import WindowSet
from har.exporting.bundle_writer import Answering, Evidence, write_bundle
from har.exporting.mounting_export import MountingPart
from har.models.classifier import WindowClassifier
from har.models.mounting_estimator import MountingEstimator
from har.recording import Recording
from har.runtime.recognizer import Recognizer, load_model
from har.training.fit import fit
from tests.exporting.test_bundle import FACTS
from tests.web.driver import ROOT, built

UNKNOWN_BELOW = 0.55
PRETRAINED = ROOT / "export" / "pretrained" / "default"
REAL = ((1, 1), (15, 8), (22, 11))  # experiment and user of HAPT; training subjects, worn nearer the hip and nearer the belly


@pytest.fixture(scope="session")
def bundle(parts: dict[str, WindowSet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small network, trained for seconds, so that its answers differ from window to window; with a threshold."""
    config = parse_config(
        {
            "data": {"dataset": "synthetic", "validation_subjects": [5]},
            "model": {"name": "cnn1d", "options": {"width": 8, "depth": 2}},
            "training": {"epochs": 6, "learning_rate": 0.01, "threads": 1},
        },
        "web",
    )
    folder = tmp_path_factory.mktemp("web")
    made = fit(config, parts["train"], parts["validation"], folder / "run").classifier
    evidence = Evidence(answering=Answering(unknown_below=UNKNOWN_BELOW, answered=0.9, right=0.9))
    return write_bundle(made, folder / "bundle", facts=FACTS, windows=parts["validation"].x, evidence=evidence).folder


@pytest.fixture(scope="session")
def any_mounting(parts: dict[str, WindowSet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that tells the mounting, of untrained networks: what they say is nonsense, and the same everywhere."""
    train, folder = torch.from_numpy(np.array(parts["train"].x)), tmp_path_factory.mktemp("any")
    torch.manual_seed(3)
    network = {"model": "cnn1d", "options": {"width": 8, "depth": 2}, "window_size": 128}
    robust, in_place = (
        WindowClassifier(**network, channels="raw6", num_classes=len(LABELS), axes=axes).eval() for axes in ("gravity", "sensor")
    )
    estimator = MountingEstimator(model="mounting_cnn", options={"width": 8}, window_size=128).eval()
    for module in (robust, in_place, estimator):
        module.frontend.fit(train)
        module.spec = parts["train"].spec(64)
    part = MountingPart(estimator, "estimator", in_place, "in place", **Answering(unknown_below=0.01).said())  # always sure enough
    evidence = Evidence(answering=Answering(unknown_below=0.99))  # never sure enough
    return write_bundle(robust, folder / "bundle", facts=FACTS, windows=parts["validation"].x, mounting=part, evidence=evidence).folder


@pytest.fixture(scope="session")
def recognizer(bundle: Path) -> Recognizer:
    return load_model(bundle)


@pytest.fixture(scope="session")
def page(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(bundle, tmp_path_factory.mktemp("page") / "dist")


@pytest.fixture(scope="session")
def real(real_data: Path, bundle: Path) -> tuple[Path, list[Recording]]:
    """The pretrained bundle where it is there, HAR_BUNDLE names another; and whole recordings, unlabelled."""
    recordings = []
    with open_source(real_data / "HAPT Data Set.zip", HAPT) as (read_file, _):
        for experiment, user in REAL:
            name = recording_name(experiment, user)
            sensors = [np.loadtxt(io.BytesIO(read_file(f"RawData/{sensor}_{name}.txt"))) for sensor in ("acc", "gyro")]
            samples = np.concatenate(sensors, axis=1).astype(np.float32)
            recordings.append(Recording(name, user, np.arange(len(samples)) / SAMPLE_RATE_HZ, samples, np.full(len(samples), -1)))
    return Path(os.environ.get("HAR_BUNDLE") or (PRETRAINED if (PRETRAINED / "manifest.json").is_file() else bundle)), recordings
