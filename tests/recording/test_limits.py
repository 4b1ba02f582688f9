"""The physical limits take next to nothing from the recordings that real phones and watches made."""

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har.recording.limits import Repeats, frozen, outside
from har.recording.tables import STANDARD_GRAVITY

ARCHIVES = {
    "hapt": "HAPT Data Set.zip",
    "motionsense": "MotionSense.tar.xz",
    "wisdm phone": "WISDM-51-phone.tar.xz",
    "wisdm watch": "WISDM-51-watch.tar.xz",
}


def sensors(archive: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Times and values of each sensor of each recording; the other sensor's three channels are NaN."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as file:
            for name in file.namelist():
                if "RawData/acc_" in name or "RawData/gyro_" in name:
                    values = np.loadtxt(io.BytesIO(file.read(name)))
                    yield np.arange(len(values)) / 50, beside_nothing(values, acc="acc_" in name)
        return
    with tarfile.open(archive) as file:
        for member in file:
            content = file.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            if "DeviceMotion_data" in member.name and member.name.endswith(".csv"):
                table = pd.read_csv(content)
                acc = table.filter(regex="^gravity").to_numpy() + table.filter(regex="^userAcceleration").to_numpy()
                values = np.concatenate((acc, table.filter(regex="^rotationRate").to_numpy()), axis=1)
                yield np.arange(len(values)) / 50, values
            elif "/raw/" in member.name and member.name.endswith(".txt"):
                table = pd.read_csv(content, header=None, names=["subject", "activity", "time", "x", "y", "z"], lineterminator="\n")
                axes = table[["x", "y", "z"]].astype(str).apply(lambda column: column.str.rstrip(";\r").astype(float)).to_numpy()
                is_acc = "/accel/" in member.name
                yield table.time.to_numpy() * 1e-9, beside_nothing(axes / (STANDARD_GRAVITY if is_acc else 1.0), acc=is_acc)


def beside_nothing(values: np.ndarray, *, acc: bool) -> np.ndarray:
    nothing = np.full(values.shape, np.nan)
    return np.concatenate((values, nothing) if acc else (nothing, values), axis=1)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHIVES)
def test_real_recordings_lose_at_most_one_sample_in_a_thousand(name: str, real_data: Path) -> None:
    archive = real_data / ARCHIVES[name]
    if not archive.is_file():
        pytest.skip(f"{archive.name} is not in the folder that HAR_DATA_DIR names")
    lost = total = 0
    for time_s, values in sensors(archive):
        lost += int((outside(values) | frozen(time_s, values).any(axis=1)).sum())
        total += len(values)
    assert total > 1_000_000
    assert lost <= total / 1000


def test_a_run_of_equal_values_is_found_however_it_is_cut() -> None:
    rng = np.random.default_rng(0)
    time_s, values = np.arange(2000) / 50, rng.normal(size=(2000, 6))
    values[500:900, :3] = values[500, :3]
    values[1000:1050, 3:] = values[1000, 3:]  # 49 steps: less than a second
    found = frozen(time_s, values)
    assert np.flatnonzero(found[:, 0]).tolist() == list(range(500, 900))
    assert not found[:, 1].any()
    for size in (1, 37, 500):
        repeats = Repeats()
        held = np.concatenate([repeats.push(time_s[i : i + size], values[i : i + size]) for i in range(0, 2000, size)])
        np.testing.assert_allclose(held, Repeats().push(time_s, values), atol=1e-9)
