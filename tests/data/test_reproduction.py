"""The published windows are found in the raw recordings and come out of the chain again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from har.contract import HarError
from har.data import hapt
from har.data.archives import HAPT, find_source, open_source
from har.data.prepare import prepare
from har.data.reproduction import TOLERANCE, errors_of, locate, printed
from har.data.segments import segments_of
from har.data.windowset import WindowSet
from har.recording import Recording
from har.signals.chain import PUBLISHED, SensorChain
from tests.helpers import published_windows, raw_recordings


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    return raw_recordings()


@pytest.fixture(scope="module")
def published(recordings: list[Recording]) -> WindowSet:
    return published_windows(recordings)


def test_segments_are_put_together_and_found(recordings: list[Recording], published: WindowSet) -> None:
    segments = segments_of(published)
    assert len(segments) == len(set(published.recording.tolist()))
    places = locate(segments, recordings, PUBLISHED.apply)
    where = {recording.name: recording for recording in recordings}
    for segment, place in zip(segments, places, strict=True):
        assert place.matches
        recording = where[place.recording]
        assert recording.subject == segment.subject
        assert place.same_label
        assert place.label_offset == 0
        assert (recording.labels[place.first : place.first + len(segment.samples)] == segment.labels[0]).all()


def test_errors_tell_the_chain_from_another(recordings: list[Recording], published: WindowSet) -> None:
    places = locate(segments_of(published), recordings, PUBLISHED.apply)
    right = errors_of(places, recordings, PUBLISHED.apply)
    assert right.shift == 0
    assert np.abs(right.differences).max() <= TOLERANCE
    # The windows went through single precision before they were printed with 7 digits, so some last digits differ; how
    # many depends on the leading digits of the synthetic signals. On the real data they are the same.
    assert right.same_digits.min() > 0.85
    wrong = errors_of(places, recordings, SensorChain(noise_order=3, zero_phase=("noise",)).apply)
    assert wrong.shift < 0  # without the delay of the causal filter the signal is earlier
    assert np.abs(wrong.differences).max() > 100 * TOLERANCE
    assert wrong.same_digits[6:].max() < 0.1


def test_a_changed_sample_is_no_match(recordings: list[Recording], published: WindowSet) -> None:
    segment = segments_of(published)[0]
    changed = segment.samples.copy()
    changed[50, 4] += 1e-4
    (place,) = locate([replace(segment, samples=changed)], recordings, PUBLISHED.apply)
    assert not place.matches
    assert place.largest_error == pytest.approx(1e-4, rel=0.02)


def test_other_people_are_named(recordings: list[Recording], published: WindowSet) -> None:
    with pytest.raises(HarError, match="no recording of subject 1 has the"):
        locate(segments_of(published)[:1], recordings[2:], PUBLISHED.apply)


def test_values_are_printed_with_seven_digits() -> None:
    values = np.array([0.0, 1.01281749, -1.8085154e-4, 123456.789])
    np.testing.assert_allclose(printed(values), [0.0, 1.012817, -1.808515e-4, 123456.8], rtol=1e-12)


@pytest.mark.data
@pytest.mark.slow
def test_every_published_window_comes_out_of_the_raw_recordings(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = find_source(real_data, real_data, HAPT)
    assert source is not None
    with open_source(source, HAPT) as (read_file, _):
        recordings = hapt.read(read_file, transitions="keep", dtype=np.float64)
    places = locate(segments_of(prepare("uci-har", archive=real_data)), recordings, PUBLISHED.apply)
    assert len(places) == 857
    assert all(place.matches for place in places)
    assert all(place.same_label for place in places)
    errors = errors_of(places, recordings, PUBLISHED.apply)
    assert np.abs(errors.differences).max() < 6.5e-7  # measured: 6.1e-7, the rounding of the published files
    assert errors.same_digits.min() > 0.9999
