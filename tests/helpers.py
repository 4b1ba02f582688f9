"""What several tests need."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from har.contract import BODY_ACC, GYRO, HAPT_LABELS, LABELS, STRIDE, TOTAL_ACC, TRANSITIONS, WINDOW_SIZE
from har.data import hapt, motionsense, synthetic
from har.data.windowset import windows_of
from har.evaluation.predictions import Origin
from har.runtime.session import open_session
from har.signals.windows import label_runs

VALIDATION = (5, 15, 25, 30)


def write_uci_har(folder: Path, train: tuple[int, ...], test: tuple[int, ...], bout_seconds: float = 4.0) -> None:
    """Write synthetic windows of some subjects in the layout and number format of the UCI HAR archive."""
    for part, subjects in {"train": train, "test": test}.items():
        recordings = [synthetic.generate(subject, 3, bout_seconds=bout_seconds) for subject in subjects]
        made = windows_of(recordings, window_size=WINDOW_SIZE, stride=STRIDE, dataset="fake", synthetic=True, channels="uci9")
        signals = folder / part / "Inertial Signals"
        signals.mkdir(parents=True)
        for index, channel in enumerate(made.channels):
            name = f"body_{channel}" if channel in GYRO else channel
            assert channel in BODY_ACC + GYRO + TOTAL_ACC
            np.savetxt(signals / f"{name}_{part}.txt", made.x[:, :, index], fmt="%16.7e", delimiter="")
        np.savetxt(folder / part / f"y_{part}.txt", made.y + 1, fmt="%d")
        np.savetxt(folder / part / f"subject_{part}.txt", made.subject, fmt="%d")
    (folder / "activity_labels.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(LABELS, 1)))


def write_hapt(folder: Path, users: tuple[int, ...], bout_seconds: float = 4.0) -> None:
    """Write synthetic recordings in HAPT's layout; what is unlabelled between two bouts becomes a transition, one stays unlabelled."""
    raw = folder / "RawData"
    raw.mkdir(parents=True)
    lines = []
    for experiment, user in enumerate(users, 1):
        recording = synthetic.generate(user, 3, bout_seconds=bout_seconds)
        name = hapt.recording_name(experiment, user)
        for sensor, columns in {"acc": slice(0, 3), "gyro": slice(3, 6)}.items():
            np.savetxt(raw / f"{sensor}_{name}.txt", recording.samples[:, columns], fmt="%.16g")
        runs = label_runs(recording.labels)
        for number, (label, first, stop) in enumerate(runs):
            activity = label if label >= 0 else len(LABELS) + number % len(TRANSITIONS)
            if number != 1:
                lines.append(f"{experiment} {user} {activity + 1} {first + 1} {stop}\n")
    (raw / "labels.txt").write_text("".join(lines))
    (folder / "activity_labels.txt").write_text("".join(f"{i} {name:20}\n" for i, name in enumerate(HAPT_LABELS, 1)))


def accept_small_hapt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a small archive in HAPT's layout complete, with its own counts."""
    monkeypatch.setattr(hapt, "EXPERIMENTS", len(list(folder.glob("RawData/acc_*.txt"))))
    monkeypatch.setattr(hapt, "SEGMENTS", len((folder / "RawData/labels.txt").read_text().splitlines()))
    monkeypatch.setattr(hapt, "ROWS", sum(len(path.read_text().splitlines()) for path in folder.glob("RawData/acc_*.txt")))


def zip_folder(folder: Path, target: Path, *, prefix: str = "UCI HAR Dataset/", extra: dict[str, bytes] | None = None) -> Path:
    """Zip the files below `folder`, under `prefix`, with further members."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*.txt")):
            archive.write(path, prefix + path.relative_to(folder).as_posix())
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return target


def origin(**changes: object) -> Origin:
    """An origin for predictions that no training made."""
    values: dict = {
        "run": "cnn1d",
        "model": "cnn1d",
        "seed": 0,
        "dataset": "synthetic",
        "synthetic": True,
        "split": "validation",
        "channels": "raw6",
        "parameters": 10,
        "epochs": 3,
        "best_epoch": 1,
        "train_seconds": 1.5,
        "commit": "abc",
        "checkpoint_sha256": "0" * 64,
        "data_digest": "d",
    }
    return Origin(**(values | changes))


def write_motionsense(folder: Path, people: int = 4, bout_seconds: float = 12.0) -> Path:
    """Write synthetic trials in MotionSense's layout: gravity and the user's acceleration apart, Core Motion's signs, an upright iPhone."""
    files = "walking walking_upstairs walking_downstairs sitting standing".upper().split()
    short = {name: code for code, name in motionsense.ACTIVITIES.items()}
    for person in range(1, people + 1):
        recording = synthetic.generate(person, 7, bout_seconds=bout_seconds)
        for name in [*files, "JOGGING"]:
            # Nobody jogs in the synthetic data: the dynamics of walking, twice as strong.
            own = recording.samples[recording.labels == LABELS.index("WALKING" if name == "JOGGING" else name)].astype(np.float64)
            phone_acc, phone_gyro = (-own[:, :3] @ motionsense.UPRIGHT, own[:, 3:] @ motionsense.UPRIGHT)
            gravity = np.tile(phone_acc.mean(axis=0), (len(own), 1))
            user = (phone_acc - gravity) * (2.0 if name == "JOGGING" else 1.0)
            table = np.concatenate((np.zeros((len(own), 3)), gravity, phone_gyro, user), axis=1)
            path = folder / f"{short[name]}_{1 + files.index(name) if name in files else 9}" / f"sub_{person}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = "".join(f"{i},{','.join(f'{value:.6f}' for value in row)}\n" for i, row in enumerate(table))
            path.write_text("," + ",".join(motionsense.COLUMNS) + "\n" + rows)
    return folder


def assert_nan_in_nan_out(path: Path) -> None:
    """Of an exported file of windows: a window with one value that is not finite gets no finite answer, and the one next to it its own."""
    session = open_session(path)
    given = session.get_inputs()[0]
    finite = np.random.default_rng(0).normal(size=(2, *given.shape[1:])).astype(np.float32)
    names = [item.name for item in session.get_outputs() if item.type == "tensor(float)"]
    alone = session.run(names, {given.name: finite})
    assert all(np.isfinite(values).all() for values in alone)
    for value in (np.nan, np.inf, -np.inf):
        for sample in (0, finite.shape[1] // 2, finite.shape[1] - 1):
            for channel in range(finite.shape[2]):
                changed = finite.copy()
                changed[1, sample, channel] = value
                for before, after in zip(alone, session.run(names, {given.name: changed}), strict=True):
                    assert np.isnan(after[1]).all(), f"{path.name}: {value} in sample {sample}, channel {channel}"
                    np.testing.assert_allclose(after[0], before[0], atol=1e-6)
