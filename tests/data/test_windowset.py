"""Where windows come from: the place that is written down is the place whose samples they hold."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from har.contract import LABELS, RAW6, SAMPLE_RATE_HZ, UCI9
from har.data import synthetic, uci_har
from har.data.archives import UCI_HAR, open_source
from har.data.windowset import Stretch, WindowSet, content_digest, cut_stretches, offline_uci9, windows_of
from har.signals.filters import gravity_lowpass
from har.signals.windows import WindowRule
from tests.refusal import refused


def test_windows_hold_the_samples_of_their_place_and_cross_no_gap() -> None:
    recording = synthetic.generate(1, 0, bout_seconds=6.0)
    time_s = recording.time_s.copy()
    time_s[450:] += 10.0
    cut = replace(recording, time_s=time_s)
    windows = windows_of([cut], window_size=128, stride=64, dataset="d", synthetic=True)
    assert len(windows)
    for x, start, label in zip(windows.x, windows.start, windows.y, strict=True):
        np.testing.assert_array_equal(x, recording.samples[start : start + 128])
        assert (recording.labels[start : start + 128] == label).all()
        assert not start < 450 < start + 128
    assert (windows.start >= 450).any()
    assert (windows.start < 450).any()


def test_labels_that_are_not_one_a_sample_are_refused() -> None:
    recording = synthetic.generate(1, 0, bout_seconds=6.0)
    for labels, message in (
        (recording.labels[:, None], "labels have shape"),
        ([[label] for label in recording.labels], "labels are list"),
        (recording.labels[1:], "expected \\(.*one integer for each sample"),
    ):
        with refused("windows", message):
            windows_of([replace(recording, labels=labels)], window_size=128, stride=64, dataset="d", synthetic=True)


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


def a_set(x: np.ndarray, channels: tuple[str, ...] = RAW6, **change: object) -> WindowSet:
    n = len(x)
    return WindowSet(x, np.zeros(n, int), np.ones(n, int), np.array(["r"] * n), np.arange(n), channels, "d", True, **change)  # type: ignore[arg-type]


def test_windows_of_another_shape_or_other_channels_are_refused() -> None:
    for shape in ((4, 6), (4, 16, 5), (4, 16)):
        with pytest.raises(ValueError, match=r"expected \(window, time, 6\)"):
            a_set(np.zeros(shape, dtype=np.float32))
    raw = a_set(np.zeros((4, 16, 6), dtype=np.float32))
    assert raw.labels == LABELS
    assert raw.select_channels("raw6").channels == RAW6
    with refused("name-unknown", r"d has no channel body_acc_x, body_acc_y, body_acc_z; it has total_acc_x"):
        raw.select_channels("uci9")


def test_the_digest_sees_values_and_shapes_and_no_types() -> None:
    x, y, who = np.arange(48, dtype=np.float32).reshape(2, 4, 6), np.array([0, 1]), np.array([3, 4])
    digest = content_digest(x, y, who)
    assert digest == content_digest(x.astype(np.float64), y.astype(np.int8), who.astype(np.int32))
    others = [(x.reshape(2, 6, 4), y, who), (x + 1, y, who), (x, y[::-1], who), (x, y, who + 1)]
    assert len({digest, *(content_digest(*other) for other in others)}) == 5


def test_body_acceleration_is_total_less_gravity() -> None:
    raw = synthetic.generate(1, 0, bout_seconds=6.0).samples.astype(np.float32)
    found = offline_uci9(raw)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, :3], raw[:, :3] - gravity_lowpass(raw[:, :3], SAMPLE_RATE_HZ), atol=1e-6)
    np.testing.assert_array_equal(found[:, 3:], np.concatenate((raw[:, 3:], raw[:, :3]), axis=1))


@pytest.mark.parametrize("generated", [True, False])
def test_what_is_said_of_the_data_goes_with_the_windows(generated: bool) -> None:
    recording = synthetic.generate(1, 0, bout_seconds=8.0)
    names = tuple(f"ACTIVITY_{number}" for number in range(6))
    found = windows_of([recording], window_size=64, stride=32, dataset="some", synthetic=generated, labels=names)
    assert (found.dataset, found.synthetic, found.labels) == ("some", generated, names)
    assert (found.x.dtype, found.y.dtype, found.subject.dtype) == (np.float32, np.int64, np.int64)
    assert set(found.subject.tolist()) == {1}


def test_padded_stretches_double_samples_and_later_starts() -> None:
    """The shape of windows is that of the window, not of the stretch; channels made in double precision are stored in single."""
    first = Stretch("a", 31, 0, np.ones((40, 2), dtype=np.float32), np.zeros(40, dtype=int))
    later = Stretch("a", 31, 100, 2 * np.ones((20, 2), dtype=np.float32), np.ones(20, dtype=int))
    found = cut_stretches(
        [first, later],
        ("p", "q"),
        window_size=32,
        stride=32,
        dataset="d",
        synthetic=True,
        labels=("A", "B"),
        rule=WindowRule(padding="zero"),
        to_channels=lambda samples: samples.astype(np.float64) + 0.5,
    )
    assert found.x.shape == (2, 32, 2)
    assert found.x.dtype == np.float32
    assert (found.start.tolist(), found.y.tolist(), found.labels) == ([0, 100], [0, 1], ("A", "B"))
    np.testing.assert_array_equal(found.x[1, :, 0], np.repeat([2.5, 0.0], [20, 12]))
