"""Where windows come from: the place that is written down is the place whose samples they hold."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np

from har.contract import RAW6, UCI9
from har.data import synthetic, uci_har
from har.data.archives import UCI_HAR, open_source
from har.data.windowset import windows_of


def test_windows_hold_the_samples_of_their_place_and_cross_no_gap() -> None:
    recording = synthetic.generate(1, 0, bout_seconds=6.0)
    time_s = recording.time_s.copy()
    time_s[450:] += 10.0
    cut = replace(recording, time_s=time_s)
    windows = windows_of([cut], window_size=128, stride=64, dataset="d", synthetic=True).select_channels("raw6")
    assert len(windows)
    for x, start, label in zip(windows.x, windows.start, windows.y, strict=True):
        np.testing.assert_array_equal(x, recording.samples[start : start + 128])
        assert (recording.labels[start : start + 128] == label).all()
        assert not start < 450 < start + 128
    assert (windows.start >= 450).any()
    assert (windows.start < 450).any()


def test_each_file_of_the_archive_becomes_its_own_channel(uci_har_folder: Path) -> None:
    """The names are written out: body_gyro_y_train.txt is the channel gyro_y, and so on."""
    with open_source(uci_har_folder, UCI_HAR) as (read_file, _):
        windows = uci_har.read(read_file)
    rows = len(np.loadtxt(uci_har_folder / "train" / "y_train.txt"))
    for channel, name in {
        "body_acc_x": "body_acc_x",
        "body_acc_y": "body_acc_y",
        "body_acc_z": "body_acc_z",
        "gyro_x": "body_gyro_x",
        "gyro_y": "body_gyro_y",
        "gyro_z": "body_gyro_z",
        "total_acc_x": "total_acc_x",
        "total_acc_y": "total_acc_y",
        "total_acc_z": "total_acc_z",
    }.items():
        published = np.loadtxt(uci_har_folder / "train" / "Inertial Signals" / f"{name}_train.txt")
        np.testing.assert_allclose(windows.x[:rows, :, UCI9.index(channel)], published, rtol=1e-6)
    assert windows.select_channels("raw6").channels == RAW6


def test_windows_are_never_twice_in_memory() -> None:
    """Many recordings: beside the windows, what one recording needs."""
    recordings = [replace(synthetic.generate(1, 0, bout_seconds=20.0), name=str(number)) for number in range(40)]
    tracemalloc.start()
    try:
        windows = windows_of(recordings, window_size=128, stride=16, dataset="d", synthetic=True)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1.2 * windows.x.nbytes
