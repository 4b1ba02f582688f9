from pathlib import Path

import numpy as np
import pytest

from har.contract import LABELS
from har.data import synthetic
from har.data.windowset import WindowSet
from har.recording import UNLABELLED


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
        if name in synthetic.POSTURE:
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
