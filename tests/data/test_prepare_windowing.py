"""Windows of any size and rule: cut from recordings and from segments, cached apart."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from har.config import WindowingConfig, parse_config
from har.data.prepare import load_dataset
from har.data.windowset import WindowSet, segments_of, windows_of
from har.recording import Recording
from har.signals.windows import WindowRule
from tests.helpers import zip_folder
from tests.refusal import refused

ARRAYS = ("x", "y", "subject", "recording", "start")
OTHERS: list[dict[str, Any]] = [
    {"window_size": 64},
    {"stride": 32},
    {"kind": "reshape"},
    {"padding": "zero"},
    {"padding": "edge"},
    {"window_size": 140, "padding": "edge", "min_recorded": 0.1},
    {"window_size": 200, "stride": 50, "padding": "edge"},
]


BITS = {  # of the windows, SHA-256, as when all nine channels were cached
    ("synthetic", "raw6"): "9b4a16af4b784948",
    ("synthetic", "uci9"): "281a5f8883120761",
    ("uci-har", "raw6"): "ad4fa084f22ac065",
    ("uci-har", "uci9"): "bd85c8c8698cc791",
    ("hapt", "raw6"): "96378557ba530e83",
    ("hapt", "uci9"): "a9dc381e97fc4db2",
}


def recording(labels: np.ndarray, gap_at: int | None = None) -> Recording:
    rng = np.random.default_rng(len(labels))
    samples = rng.normal(0.0, 0.1, size=(len(labels), 6)).astype(np.float32)
    samples[:, 0] += 1.0
    time_s = np.arange(len(labels)) / 50.0
    if gap_at is not None:
        time_s[gap_at:] += 1.0
    return Recording("r", 1, time_s, samples, labels)


def cut(recordings: list[Recording], window_size: int, stride: int, **rule: Any) -> WindowSet:
    return windows_of(recordings, window_size=window_size, stride=stride, dataset="d", synthetic=True, rule=WindowRule(**rule))


def test_no_rule_lets_a_window_cross_a_gap_or_a_recording() -> None:
    labels = np.repeat([0, 1], 60)
    for padding in ("none", "zero", "edge"):
        found = cut([recording(labels, gap_at=50), recording(labels, gap_at=70)], 32, 8, padding=padding, cross_labels=True)
        inside = (found.start + 32 <= 50) | (found.start >= 50)
        assert inside[: len(found) // 2].all() or padding != "none"
        assert (found.start < 120).all()
    whole = cut([recording(labels, gap_at=50)], 32, 8, cross_labels=True)
    assert whole.start.tolist() == [0, 8, 16, 50, 58, 66, 74, 82]
    padded = cut([recording(labels, gap_at=50)], 32, 32, padding="zero", cross_labels=True)
    assert padded.start.tolist() == [0, 32, 50, 82]
    assert (padded.x[1, 18:] == 0).all(), "what is behind the gap is not in the window"
    assert (padded.x[1, :18] != 0).all()


def test_a_label_change_is_crossed_by_option_alone() -> None:
    labels = np.repeat([0, 1, -1, 1], 40)
    apart = cut([recording(labels)], 32, 8)
    assert apart.start.tolist() == [0, 8, 40, 48, 120, 128]
    across = cut([recording(labels)], 32, 8, cross_labels=True)
    assert len(across) > len(apart)
    pure = cut([recording(labels)], 32, 8, cross_labels=True, min_purity=1.0)
    assert set(pure.start.tolist()) == {0, 8, 40, 48, 120, 128}
    np.testing.assert_array_equal(pure.x, apart.x)


def test_a_stretch_too_short_for_the_filter_gives_no_window() -> None:
    with refused("windows", "no labelled stretch gives a window of 16 samples"):
        cut([recording(np.zeros(12, dtype=int))], 16, 8, padding="edge", min_recorded=0.1)
    assert len(cut([recording(np.zeros(13, dtype=int))], 16, 8, padding="edge")) == 1


def test_the_defaults_are_the_published_windows() -> None:
    default = WindowingConfig()
    assert (default.window_size, default.step) == (128, 64)
    assert WindowingConfig(stride=64).settings() == default.settings()
    assert WindowingConfig(kind="reshape").step == 128
    assert set(default.settings()) == set(WindowingConfig.model_fields) - {"kind"}, "a setting is missing in the key of the cache"


@pytest.mark.parametrize(
    ("windowing", "message"),
    [
        ({"window_size": 8}, r"windowing\.window_size: input should be greater than or equal to 16"),
        ({"stride": 0}, r"windowing\.stride"),
        ({"kind": "reshape", "stride": 64}, "windowing: kind 'reshape' has the stride of a whole window, 128, found 64"),
        ({"padding": "mirror"}, "'none', 'zero' or 'edge', found 'mirror'"),
        ({"label_rule": "first"}, "'majority', 'last' or 'centre'"),
        ({"min_purity": 1.1}, "less than or equal to 1"),
        ({"windowsize": 8}, r"unknown key 'windowing\.windowsize'; did you mean 'window_size'"),
    ],
)
def test_a_senseless_windowing_is_one_clear_sentence(windowing: dict[str, Any], message: str) -> None:
    with refused("config", message) as caught:
        parse_config({"data": {"validation_subjects": [5]}, "model": {"name": "gru"}, "windowing": windowing}, "test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dataset", ["synthetic", "uci-har"])
def test_every_setting_has_its_own_windows(dataset: str, workplace: Path, uci_har_folder: Path) -> None:
    archive = zip_folder(uci_har_folder, workplace / "a.zip") if dataset == "uci-har" else None
    default = load_dataset(dataset, archive=archive)
    same = load_dataset(dataset, archive=archive, windowing=WindowingConfig(stride=64))
    assert same.digest == default.digest
    seen = {default.digest}
    for options in OTHERS:
        windowing = WindowingConfig(**options)
        found = load_dataset(dataset, archive=archive, windowing=windowing)
        again = load_dataset(dataset, archive=archive, windowing=windowing)
        assert isinstance(again.x, np.memmap) == (dataset == "synthetic"), "six of nine published channels are a copy"
        assert again.digest == found.digest
        assert found.window_size == windowing.window_size
        assert (found.dataset, found.synthetic, found.channels) == (default.dataset, default.synthetic, default.channels)
        seen.add(found.digest)
    assert len([path for path in Path("data/cache").iterdir() if path.is_dir()]) == len(OTHERS) + 1
    if dataset == "synthetic":  # the published windows fill their segments, so that padding adds none
        assert len(seen) == len(OTHERS) + 1
    assert load_dataset(dataset, archive=archive).digest == default.digest


def test_windows_of_any_size_come_from_the_published_ones(uci_har_folder: Path, workplace: Path) -> None:
    published = load_dataset("uci-har", archive=uci_har_folder)
    by_name = {segment.recording: segment for segment in segments_of(published)}
    found = load_dataset("uci-har", archive=uci_har_folder, windowing=WindowingConfig(window_size=50, stride=11))
    assert found.window_size == 50
    for x, name, start in zip(found.x, found.recording, found.start, strict=True):
        np.testing.assert_array_equal(x, by_name[str(name)].samples[start : start + 50])
    with refused("windows", "no labelled stretch gives a window of 1000 samples; use shorter windows"):
        load_dataset("uci-har", archive=uci_har_folder, windowing=WindowingConfig(window_size=1000))


def bits(dataset: str, archive: Path | None) -> dict[tuple[str, str], str]:
    found = {channels: load_dataset(dataset, archive=archive, channels=channels) for channels in ("raw6", "uci9")}
    assert found["raw6"].digest == found["uci9"].digest
    return {(dataset, name): hashlib.sha256(np.ascontiguousarray(windows.x).data).hexdigest()[:16] for name, windows in found.items()}


def test_both_channel_sets_have_the_same_bits_as_ever(workplace: Path) -> None:
    found = bits("synthetic", None)
    assert found == {key: BITS[key] for key in found}
    cached = {np.load(path, mmap_mode="r").shape[2] for path in Path("data/cache").glob("*/x.npy")}
    assert cached == {6, 9}, "each is cached for itself, the raw channels alone where nobody asked for more"


@pytest.mark.data
@pytest.mark.parametrize("dataset", ["uci-har", "hapt"])
def test_both_channel_sets_of_real_data_have_the_same_bits_as_ever(
    dataset: str, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path))
    found = bits(dataset, real_data)
    assert found == {key: BITS[key] for key in found}


@pytest.mark.data
def test_the_real_windows_are_what_they_were(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defaults, and the published cut of the segments, to the bit."""
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path))
    default = load_dataset("uci-har", archive=real_data)
    assert default.digest.startswith("9c6ea1db794ff3ad")  # as in the ledger of test openings
    assert len(load_dataset("uci-har", archive=real_data, windowing=WindowingConfig(window_size=128, stride=128))) < len(default)
    # Padding changes nothing where every segment is filled by whole windows, and it takes the way through the segments.
    cut_again = load_dataset("uci-har", archive=real_data, windowing=WindowingConfig(padding="edge"))
    assert cut_again.digest == default.digest
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(cut_again, name), getattr(default, name))
