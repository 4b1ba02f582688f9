"""What several tests need."""

import zipfile
from pathlib import Path

import numpy as np

from har.contract import BODY_ACC, GYRO, LABELS, STRIDE, TOTAL_ACC, WINDOW_SIZE
from har.data import synthetic
from har.data.windowset import windows_of
from har.evaluation.predictions import Origin

VALIDATION = (5, 15, 25, 30)


def write_uci_har(folder: Path, train: tuple[int, ...], test: tuple[int, ...], bout_seconds: float = 4.0) -> None:
    """Write synthetic windows of some subjects in the layout and number format of the UCI HAR archive."""
    for part, subjects in {"train": train, "test": test}.items():
        recordings = [synthetic.generate(subject, 3, bout_seconds=bout_seconds) for subject in subjects]
        made = windows_of(recordings, window_size=WINDOW_SIZE, stride=STRIDE, dataset="fake", synthetic=True)
        signals = folder / part / "Inertial Signals"
        signals.mkdir(parents=True)
        for index, channel in enumerate(made.channels):
            name = f"body_{channel}" if channel in GYRO else channel
            assert channel in BODY_ACC + GYRO + TOTAL_ACC
            np.savetxt(signals / f"{name}_{part}.txt", made.x[:, :, index], fmt="%16.7e", delimiter="")
        np.savetxt(folder / part / f"y_{part}.txt", made.y + 1, fmt="%d")
        np.savetxt(folder / part / f"subject_{part}.txt", made.subject, fmt="%d")
    (folder / "activity_labels.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(LABELS, 1)))


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
