"""The task ``generate``: a run on synthetic data, and that each of its scores sees what it is there for."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from har.config import RunConfig, parse_config
from har.data.windowset import WindowSet
from har.runs.evaluate import evaluate
from har.runs.train import train_run
from har.tasks import generate
from har.tasks.generate import (
    judge_of,
    likeness,
    linear_windows,
    made_windows,
    named_right,
    nearest_distance,
    pairwise_distance,
    spectral_distance,
)

CONFIG = {
    "data": {"dataset": "synthetic", "validation_subjects": [5, 15]},
    "windowing": {"window_size": 64},
    "model": {"name": "window_generator", "options": {"hidden_size": 8, "latent_size": 4}},
    "task": {"name": "generate", "judge_epochs": 2},
    "training": {"epochs": 2, "learning_rate": 0.01, "threads": 1},
}
DEVIATION = np.ones(6, dtype=np.float32)


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    monkeypatch.setattr(generate, "PER_ACTIVITY", 12)
    return parse_config(CONFIG, "test")


def test_a_run_is_judged_beside_real_windows_and_a_linear_model(config: RunConfig, workplace: Path) -> None:
    run = train_run(config, "small", workplace / "runs", progress=False, say=lambda text: None, export=False)
    scores = json.loads((run.path / "scores_validation_synthetic.json").read_text())
    assert scores["values"]["negative_elbo"] == pytest.approx(run.info().score)
    assert set(scores["references"]) == {"real windows", "linear model"}
    real = scores["references"]["real windows"]
    assert real["variety"] == real["nearest"] == 1
    assert real["named_as_asked"] > 0.5  # the judge has learnt something in two epochs
    assert scores["values"].keys() >= {"named_as_asked", "spectral_distance_db", "variety", "nearest", "trained_on_it"}
    again = evaluate(run, "validation", run.path.parent)
    assert again.values == pytest.approx(scores["values"])
    assert (run.path / "generated_windows_synthetic_validation_synthetic.png").is_file()


def test_the_judge_depends_on_the_training_windows(config: RunConfig, parts: dict[str, WindowSet]) -> None:
    train = parts["train"].subset(np.arange(0, len(parts["train"]), 4))
    judge = judge_of(config, train)
    assert named_right(judge, parts["validation"]) > 0.5
    other = judge_of(config, replace(train, y=np.roll(train.y, 1)))
    assert named_right(other, train) < named_right(judge, train)


def test_the_measures_see_noise_copies_and_sameness(parts: dict[str, WindowSet]) -> None:
    train, real = parts["train"], parts["validation"]
    good = likeness(real, real, train, DEVIATION)
    assert good == {"spectral_distance_db": 0, "variety": 1, "nearest": 1}
    rng = np.random.default_rng(0)
    noisy = replace(real, x=(real.x + rng.standard_normal(real.x.shape)).astype(np.float32))
    assert likeness(noisy, real, train, DEVIATION)["spectral_distance_db"] > 5
    assert likeness(train, real, train, DEVIATION)["nearest"] < 0.01
    one = np.array([np.flatnonzero(real.y == label)[0] for label in real.y])
    assert likeness(real.subset(one), real, train, DEVIATION)["variety"] < 0.01


def test_distances_by_hand(parts: dict[str, WindowSet]) -> None:
    some = parts["train"].subset(np.arange(4))
    x = np.zeros_like(some.x)
    x[1], x[3] = 2.0, 4.0
    windows = replace(some, x=x, y=np.array([0, 0, 1, 1]))
    assert pairwise_distance(windows, 2 * DEVIATION) == pytest.approx((1 + 2) / 2, rel=1e-4)
    shifted = replace(windows, x=x + np.float32(0.5))
    assert nearest_distance(shifted, windows, DEVIATION) == pytest.approx(0.5, abs=1e-3)
    louder = replace(parts["train"], x=10 * parts["train"].x)
    found = spectral_distance(louder, parts["train"])
    assert len(found) == 12
    np.testing.assert_allclose(list(found.values()), 20, atol=1e-3)  # ten times the amplitude is 20 dB


def test_the_linear_model_has_mean_and_covariance_of_the_training_windows(parts: dict[str, WindowSet]) -> None:
    train = parts["train"]
    known = train.x[train.y == 0]
    made = linear_windows(train, np.zeros(4000, dtype=np.int64), np.random.default_rng(0))
    spread = known.std(axis=0)
    assert np.abs(made.mean(axis=0) - known.mean(axis=0)).max() < 0.1 * spread.max()
    a, b = (np.cov(values[:, :4, 0].T) for values in (made, known))
    np.testing.assert_allclose(a, b, atol=0.1 * np.abs(b).max())


def test_what_is_made_says_that_it_is_synthetic(parts: dict[str, WindowSet]) -> None:
    made = made_windows(parts["train"].x[:3], np.array([0, 1, 2]), replace(parts["train"], synthetic=False))
    assert made.synthetic
    assert made.dataset.endswith("-generated")
