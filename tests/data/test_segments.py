"""Windows are joined to what they were cut from, and cut again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from har.contract import RAW6, STRIDE, UCI9, WINDOW_SIZE
from har.data import synthetic
from har.data.prepare import load_dataset
from har.data.windowset import Stretch, WindowSet, cut_stretches, segments_of
from har.signals.windows import cut_windows, join_windows, window_starts

ARRAYS = ("x", "y", "subject", "recording", "start")


def cut_again(windows: WindowSet, window_size: int, stride: int) -> WindowSet:
    return cut_stretches(
        segments_of(windows), windows.channels, window_size=window_size, stride=stride, dataset=windows.dataset, synthetic=True
    )


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_joining_undoes_cutting(window_size: int, stride: int, count: int, seed: int) -> None:
    stride = min(stride, window_size)
    samples = np.random.default_rng(seed).normal(size=(window_size + (count - 1) * stride, 2)).astype(np.float32)
    starts = window_starts(len(samples), window_size, stride)
    windows = cut_windows(samples, starts, window_size)
    np.testing.assert_array_equal(join_windows(windows, starts), samples)
    np.testing.assert_array_equal(join_windows(windows, starts + 7), samples)


@given(st.integers(0, 1000))
def test_one_changed_sample_is_noticed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts = np.arange(5) * 8
    windows = cut_windows(rng.normal(size=(48, 2)), starts, 16)
    windows[rng.integers(1, 4), rng.integers(16), rng.integers(2)] += 1.0
    with pytest.raises(ValueError, match="windows disagree on the samples from"):
        join_windows(windows, starts)


@pytest.mark.parametrize("starts", [[0, 17], [8, 0], [0, 0]])
def test_holes_and_disorder_are_refused(starts: list[int]) -> None:
    with pytest.raises(ValueError, match="samples apart, expected 1 to 16"):
        join_windows(np.zeros((2, 16, 1)), np.array(starts))
    with pytest.raises(ValueError, match="no window"):
        join_windows(np.zeros((0, 16, 1)), np.array([], dtype=int))


segment_lengths = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(16, 90)), min_size=1, max_size=6)


@given(segment_lengths, st.sampled_from([(16, 4), (16, 8), (16, 16)]), st.integers(16, 40), st.integers(1, 40))
def test_any_window_cut_from_segments_is_one_cut_from_the_source(
    pieces: list[tuple[int, int, int]], first_cut: tuple[int, int], window_size: int, stride: int
) -> None:
    """Through windows and back to segments nothing is lost but the rest at the end of a stretch."""
    rng = np.random.default_rng(len(pieces))
    source = [
        Stretch(f"r{n}", subject, 0, rng.normal(size=(length, 2)).astype(np.float32), np.full(length, label))
        for n, (subject, label, length) in enumerate(pieces)
    ]
    size, step = first_cut
    published = cut_stretches(source, ("a", "b"), window_size=size, stride=step, dataset="d", synthetic=True)
    segments = segments_of(published)
    assert len(segments) == len(source)
    for segment, stretch in zip(segments, source, strict=True):
        assert len(stretch.samples) - len(segment.samples) < step
        np.testing.assert_array_equal(segment.samples, stretch.samples[: len(segment.samples)])
        assert (segment.labels == stretch.labels[0]).all()
        assert (segment.recording, segment.subject) == (stretch.recording, stretch.subject)
    if max(len(segment.samples) for segment in segments) < window_size:
        return
    again = cut_stretches(segments, ("a", "b"), window_size=window_size, stride=stride, dataset="d", synthetic=True)
    by_name = {stretch.recording: stretch for stretch in source}
    for x, y, name, start in zip(again.x, again.y, again.recording, again.start, strict=True):
        np.testing.assert_array_equal(x, by_name[name].samples[start : start + window_size])
        assert y == by_name[name].labels[0]
    expected = sum(len(window_starts(len(segment.samples), window_size, stride)) for segment in segments)
    assert len(again) == expected


def test_the_same_cut_gives_the_same_windows(windows: WindowSet) -> None:
    raw = windows.select_channels("raw6")
    again = cut_again(raw, WINDOW_SIZE, STRIDE)
    assert again.digest == windows.digest
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(raw, name))


def test_segments_end_where_label_recording_or_time_breaks(windows: WindowSet) -> None:
    some = windows.subset(np.arange(24))
    holed = some.subset(np.r_[0:1, 4:24])  # the windows between are gone, with samples that no other holds
    assert len(segments_of(holed)) == len(segments_of(some)) + 1
    assert segments_of(windows.subset(np.array([], dtype=int))) == []


def test_a_segment_holds_the_samples_of_its_recording(windows: WindowSet) -> None:
    segment = segments_of(windows)[3]
    original = synthetic.generate(int(segment.subject), 0, bout_seconds=9.0)
    stop = segment.start + len(segment.samples)
    np.testing.assert_array_equal(segment.samples[:, [UCI9.index(name) for name in RAW6]], original.samples[segment.start : stop])
    np.testing.assert_array_equal(segment.labels, original.labels[segment.start : stop])


@pytest.mark.data
def test_the_published_windows_come_out_of_their_segments(real_data: object, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path))
    published = load_dataset("uci-har", channels="uci9", archive=str(real_data))
    segments = segments_of(published)
    assert len(segments) == 857
    assert sum(len(segment.samples) for segment in segments) == 857 * 128 + 9442 * 64
    assert published.channels == UCI9
    assert set(RAW6) <= set(UCI9)
    again = cut_again(published, WINDOW_SIZE, STRIDE)
    assert again.digest == published.digest
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(published, name))
