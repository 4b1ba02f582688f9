import json
from pathlib import Path

import numpy as np
import pytest
import torch

from har.config import RunConfig
from har.contract import LABELS, STRIDE, WINDOW_SIZE
from har.data import synthetic
from har.data.prepare import load_dataset
from har.data.splits import official_split
from har.data.synthetic import POSTURE
from har.data.windowset import WindowSet, windows_of
from har.recording import UNLABELLED
from har.training.fit import fit
from tests.helpers import VALIDATION
from tests.refusal import refused


def test_the_same_seed_gives_the_same_people_and_another_seed_others() -> None:
    first, again, other = (synthetic.generate(3, seed, bout_seconds=3.0).samples for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    assert np.abs(first - synthetic.generate(4, 0, bout_seconds=3.0).samples).max() > 0.1


def test_gravity_is_one_g_at_rest_and_gait_has_its_cadence() -> None:
    recording = synthetic.generate(1, 0, bout_seconds=20.0)
    norm = np.linalg.norm(recording.samples[:, :3], axis=1)
    for label, name in enumerate(LABELS):
        part = norm[recording.labels == label]
        if name in POSTURE:
            assert abs(part.mean() - 1.0) < 0.05
            assert part.std() < 0.02
        else:
            assert part.std() > 0.08
            spectrum = np.abs(np.fft.rfft(part[:1000] - part[:1000].mean()))
            frequency = np.fft.rfftfreq(1000, 1 / 50)[1:][spectrum[1:].argmax()]
            assert 0.6 < frequency < 5.5


def test_recordings_are_continuous_with_unlabelled_transitions() -> None:
    recording = synthetic.generate(1, 0, bout_seconds=3.0)
    assert recording.contiguous_runs() == [(0, len(recording.time_s))]
    assert set(recording.labels.tolist()) == {*range(len(LABELS)), UNLABELLED}


def test_written_once_and_read_back(tmp_path: Path) -> None:
    folder = synthetic.write_dataset(tmp_path, 0, num_subjects=2, bout_seconds=3.0)
    stamps = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert synthetic.write_dataset(tmp_path, 0, num_subjects=2, bout_seconds=3.0) == folder
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == stamps
    assert synthetic.write_dataset(tmp_path, 1, num_subjects=2, bout_seconds=3.0) != folder
    assert [r.subject for r in synthetic.read_dataset(folder)] == [1, 2]
    assert all("synthetic" in p.name or p.name == "settings.json" for p in folder.iterdir())


def test_a_writer_that_dies_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic, "write_csv", die)
    with pytest.raises(KeyboardInterrupt):
        synthetic.write_dataset(tmp_path, 0, num_subjects=1, bout_seconds=3.0)
    assert list(tmp_path.iterdir()) == []


def test_windows_of_all_people_and_activities(windows: WindowSet) -> None:
    assert set(windows.subject.tolist()) == set(range(1, 31))
    assert np.bincount(windows.y, minlength=6).min() == np.bincount(windows.y).max()
    assert windows.synthetic
    # Body acceleration has lost gravity, total acceleration has it.
    still = windows.x[windows.y == LABELS.index("STANDING")]
    assert abs(float(np.linalg.norm(still[..., 6:].mean(axis=(0, 1))))) > 0.8
    assert abs(float(np.linalg.norm(still[..., :3].mean(axis=(0, 1))))) < 0.1


def population(difficulty: float, seed: int = 0, bout_seconds: float = 9.0) -> WindowSet:
    recordings = [synthetic.generate(subject, seed, bout_seconds=bout_seconds, difficulty=difficulty) for subject in range(1, 31)]
    made = windows_of(recordings, window_size=WINDOW_SIZE, stride=STRIDE, dataset=synthetic.NAME, synthetic=True)
    return made


@pytest.fixture(scope="module")
def populations() -> dict[float, WindowSet]:
    """The same thirty people at three difficulties."""
    return {difficulty: population(difficulty) for difficulty in (0.0, 1.0, 2.0)}


def logistic_accuracy(windows: WindowSet, train: tuple[int, ...], scored: tuple[int, ...], *, spread: bool) -> float:
    """Of a logistic regression on the means of each window's channels, and on their standard deviations where asked."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = np.concatenate((windows.x.mean(axis=1), *([windows.x.std(axis=1)] if spread else [])), axis=1)
    fitted, held_out = np.isin(windows.subject, train), np.isin(windows.subject, scored)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(features[fitted], windows.y[fitted])
    return float(model.score(features[held_out], windows.y[held_out]))


def across_subjects(windows: WindowSet, *, spread: bool) -> float:
    """Mean over five folds of subjects."""
    folds = [[s for s in range(1, 31) if (s - 1) % 5 == fold] for fold in range(5)]
    return float(np.mean([logistic_accuracy(windows, tuple(set(range(1, 31)) - set(fold)), tuple(fold), spread=spread) for fold in folds]))


@pytest.mark.parametrize("spread", [False, True], ids=["means", "means and deviations"])
def test_a_logistic_regression_does_not_separate_the_default_data(populations: dict[float, WindowSet], spread: bool) -> None:
    """Above chance, and below 90 % both over the validation and over the test subjects."""
    split = official_split(VALIDATION)
    for name in ("validation", "test"):
        accuracy = logistic_accuracy(populations[1.0], split.train, split.subjects(name), spread=spread)
        assert 1.5 / 6 < accuracy < 0.9, name


@pytest.mark.parametrize("spread", [False, True], ids=["means", "means and deviations"])
def test_the_difficulty_raises_the_error_of_a_logistic_regression(populations: dict[float, WindowSet], spread: bool) -> None:
    accuracies = [across_subjects(windows, spread=spread) for windows in populations.values()]
    assert accuracies[0] > accuracies[1] > accuracies[2]
    assert accuracies[0] - accuracies[2] > 0.05


@pytest.mark.slow
def test_the_difficulty_raises_the_error_of_a_network_which_confuses_sitting_and_standing(
    populations: dict[float, WindowSet], config: RunConfig, tmp_path: Path
) -> None:
    split = official_split(VALIDATION)
    errors = []
    for difficulty, windows in populations.items():
        small = config.with_overrides(training__epochs=6, model__options={"width": 16, "depth": 3})
        parts = {name: split.select(windows, name) for name in ("train", "validation", "test")}
        result = fit(small, parts["train"], parts["validation"], tmp_path / str(difficulty))
        wrong = np.zeros((6, 6), dtype=int)
        for name in ("validation", "test"):
            predicted = result.classifier.predict_proba(torch.from_numpy(parts[name].x)).argmax(dim=1).numpy()
            np.add.at(wrong, (parts[name].y, predicted), 1)
        np.fill_diagonal(wrong, 0)
        errors.append(int(wrong.sum()))
        if difficulty == 1.0:
            both = wrong + wrong.T
            sitting, standing = LABELS.index("SITTING"), LABELS.index("STANDING")
            assert both[sitting, standing] == both.max()
            assert both[sitting, standing] > 0
    assert errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize("difficulty", [-0.1, 2.1, float("nan")])
def test_a_difficulty_out_of_range_is_refused(difficulty: float, tmp_path: Path) -> None:
    with refused("dataset-option", "expected a number from 0"):
        synthetic.generate(1, 0, difficulty=difficulty)
    with refused("dataset-option", "expected a number from 0"):
        synthetic.write_dataset(tmp_path / "new", difficulty=difficulty)
    assert not (tmp_path / "new").exists()


def test_each_difficulty_has_its_own_recordings_and_its_own_cache_entry(workplace: Path) -> None:
    hard, default, again = load_dataset("synthetic", difficulty=2), load_dataset("synthetic"), load_dataset("synthetic", difficulty=1)
    assert default.digest == again.digest != hard.digest
    assert len(list(Path("data").glob("synthetic-*"))) == 2
    assert len([p for p in Path("data/cache").iterdir() if p.is_dir()]) == 2


def test_everything_stays_marked_synthetic(workplace: Path) -> None:
    windows = load_dataset("synthetic", difficulty=0.5)
    assert windows.synthetic
    assert windows.dataset == synthetic.NAME == "synthetic"
    (folder,) = Path("data").glob("synthetic-*")
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["synthetic"] is True
    assert (settings["difficulty"], settings["generator"]) == (0.5, synthetic.GENERATOR_VERSION)
    assert all(recording.name.startswith("synthetic_s") for recording in synthetic.read_dataset(folder))


def test_the_phone_saturates_and_moves_in_steps() -> None:
    sensor = synthetic.Sensor()
    samples = synthetic.generate(7, 0, bout_seconds=4.0).samples.astype(np.float64)
    for part, full_scale, step in zip((samples[:, :3], samples[:, 3:]), sensor.full_scale, sensor.step, strict=True):
        assert np.abs(part).max() <= full_scale + 1e-6
        np.testing.assert_allclose(part / step, np.round(part / step), atol=0.01)
