"""Models of other packages, by entry points: one is installed, trained, exported and read back like any other."""

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from torch import nn

from har import plugins
from har.cli import main
from har.config import load_config
from har.models import registry
from har.models.convolutional import CNN1D
from har.models.recurrent import GRU
from har.models.registry import ModelEntry, find_model
from har.tasks.run_key import sources
from tests.refusal import refused

PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "har-other-models"
version = "1.2"
[project.entry-points."har.models"]
bag_of_samples = "other_models.networks:BagOfSamples"
gru = "other_models.networks:BagOfSamples"
inception = "other_models.networks:Inception"
"""
NETWORK = '''
"""A network that another package brings."""
import torch
from torch import nn

from .pooling import over_time


class BagOfSamples(nn.Module):
    def __init__(self, in_channels, window_size, num_classes, *, width=16):
        super().__init__()
        self.embed = nn.Linear(in_channels, width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(over_time(self.embed(x).relu()))


class Inception(nn.Module):
    """A block of InceptionTime: a pooling branch next to convolutions that read the same input."""

    def __init__(self, in_channels, window_size, num_classes, *, width=8):
        super().__init__()
        self.long = nn.Conv1d(in_channels, width, 9, padding=4)
        self.short = nn.Conv1d(in_channels, width, 3, padding=1)
        self.pool = nn.MaxPool1d(3, stride=1, padding=1)
        self.after = nn.Conv1d(in_channels, width, 1)
        self.head = nn.Linear(3 * width, num_classes)

    def forward(self, x):
        x = x.transpose(1, 2)
        return self.head(torch.cat([self.long(x), self.short(x), self.after(self.pool(x))], dim=1).relu().mean(dim=2))
'''
POOLING = "def over_time(x):\n    return x.mean(dim=1)\n"
CONFIG = """
data: {dataset: synthetic, validation_subjects: [5, 15, 25, 30]}
model: {name: bag_of_samples, options: {width: 8}}
training: {epochs: 1, threads: 1}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed package of somebody else."""
    folder = tmp_path_factory.mktemp("other")
    source = folder / "source" / "other_models"
    source.mkdir(parents=True)
    (source.parent / "pyproject.toml").write_text(PROJECT)
    (source / "__init__.py").write_text("")
    (source / "networks.py").write_text(NETWORK)
    (source / "pooling.py").write_text(POOLING)
    site = folder / "site"
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--target", site]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, source.parent], check=True, timeout=200)
    return site


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)


def test_a_model_of_an_installed_package_goes_the_whole_way(
    installed: None, workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("bag.yaml").write_text(CONFIG)
    assert main(["train", "--config", "bag.yaml"]) == 0
    assert main(["export", "--dataset", "synthetic", "--model", "bag", "--output", "bundle"]) == 0
    assert {"other_models.networks", "other_models.pooling", "har.training.fit"} <= set(sources("bag_of_samples"))
    Path("bag.yaml").write_text(CONFIG.replace("width", "widht"))
    capsys.readouterr()
    assert main(["train", "--config", "bag.yaml"]) == 2
    assert "model 'bag_of_samples' has no option 'widht'; did you mean 'width'?" in capsys.readouterr().err
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    assert main(["verify", "--bundle", "bundle"]) == 0  # the device does not need that package


def test_a_network_with_a_pooling_branch_on_its_input_goes_the_whole_way(
    installed: None, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("inception.yaml").write_text(CONFIG.replace("bag_of_samples", "inception"))
    assert main(["train", "--config", "inception.yaml"]) == 0
    assert "no ONNX file" not in capsys.readouterr().out
    assert main(["export", "--dataset", "synthetic", "--model", "inception", "--output", "bundle"]) == 0
    assert main(["verify", "--bundle", "bundle"]) == 0


def test_a_model_of_an_installed_package_is_trained_by_its_name(
    installed: None, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--dataset", "synthetic", "--model", "bag_of_samples", "--epochs", "1", "--seed", "3"]) == 0
    config = load_config("runs/synthetic/bag_of_samples/seed-3/config.yaml")
    assert (config.model.name, config.data.validation_subjects, config.training.epochs) == ("bag_of_samples", (5, 15, 25, 30), 1)
    assert main(["evaluate", "--dataset", "synthetic", "--model", "bag_of_samples"]) == 0
    capsys.readouterr()
    assert main(["train", "--dataset", "synthetic", "--model", "bag_of_sample"]) == 2
    assert "unknown model 'bag_of_sample'; did you mean 'bag_of_samples'?" in capsys.readouterr().err


def test_no_package_takes_the_place_of_a_published_model(installed: None) -> None:
    assert {point.name for point in entry_points(group=registry.ENTRY_POINTS)} == {"bag_of_samples", "gru", "inception"}
    assert find_model("gru").network is GRU


class Point(EntryPoint):
    """An entry point whose object is at hand."""

    def load(self) -> object:
        if self.value == "broken":
            raise ImportError("no module named nothing")
        return {"class": CNN1D, "entry": ModelEntry("other", CNN1D, "Other"), "name": ModelEntry("another", CNN1D, "A"), "odd": 3}[
            self.value
        ]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> list[Point]:
    points: list[Point] = []
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    return points


@pytest.mark.parametrize("value", ["class", "entry"])
def test_a_class_or_an_entry_may_be_offered(value: str, offered: list[Point]) -> None:
    offered.append(Point("other", value, registry.ENTRY_POINTS))
    assert issubclass(find_model("other").network, nn.Module)
    assert find_model("other").task == "window"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("broken", r"cannot be imported \(ImportError: no module named nothing\); fix or uninstall"),
        ("name", "is one named 'another', expected a torch.nn.Module class or a ModelEntry of that name"),
        ("odd", "is int 3, expected a torch"),
    ],
)
def test_what_cannot_be_used_is_named(value: str, message: str, offered: list[Point]) -> None:
    offered.append(Point("other", value, registry.ENTRY_POINTS))
    with refused("plugin", message):
        find_model("other")


def test_two_packages_with_one_name_are_refused(offered: list[Point]) -> None:
    offered += [Point("other", "class", registry.ENTRY_POINTS), Point("other", "entry", registry.ENTRY_POINTS)]
    with refused("plugin", "is offered by several packages"):
        find_model("other")
    with refused("name-unknown", "unknown model 'othr'; did you mean 'other'"):
        find_model("othr")
