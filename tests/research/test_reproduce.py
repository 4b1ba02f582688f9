"""The published windows are found in the raw recordings and come out of the chain again; the report says what does not match."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har.contract import STRIDE, UCI9, UNITS, WINDOW_SIZE
from har.data import hapt, synthetic
from har.data.archives import HAPT, find_source, open_source
from har.data.prepare import load_dataset
from har.data.windowset import WindowSet, segments_of, windows_of
from har.recording import Recording
from har.signals.filters import PUBLISHED, SensorChain
from research import reproduce
from research.common import Bench, experiment
from research.reproduce import TOLERANCE, errors_of, locate, printed
from tests.refusal import refused


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    """Two synthetic recordings of subject 1 and one of subject 2, named as experiments."""
    made = [synthetic.generate(subject, seed, bout_seconds=5.0) for subject, seed in ((1, 0), (1, 1), (2, 0))]
    return [replace(recording, name=f"exp{number}") for number, recording in enumerate(made)]


@pytest.fixture(scope="module")
def published(recordings: list[Recording]) -> WindowSet:
    """Windows of the recordings as UCI HAR prints them, named by their segment and counted from its first sample."""
    made = windows_of(recordings, window_size=WINDOW_SIZE, stride=STRIDE, dataset="fake", synthetic=True, channels="uci9", chain=PUBLISHED)
    breaks = (np.diff(made.start) != STRIDE) | (made.y[1:] != made.y[:-1])
    chain = np.cumsum(np.concatenate(([True], breaks))) - 1
    first = np.array([made.start[chain == number].min() for number in range(chain[-1] + 1)])
    names = np.array([f"seg{number:04d}" for number in chain])
    return replace(made, x=printed(made.x).astype(np.float32), recording=names, start=made.start - first[chain])


def test_segments_are_put_together_and_found(recordings: list[Recording], published: WindowSet) -> None:
    segments = segments_of(published)
    assert len(segments) == len(set(published.recording.tolist()))
    places = locate(segments, recordings, PUBLISHED.apply)
    where = {recording.name: recording for recording in recordings}
    assert (places.largest_error <= TOLERANCE).all()
    assert (places.activity == places.hapt_activity).all()
    assert (places.samples_after_hapt_label_begins == 0).all()
    for segment, place in zip(segments, places.itertuples(), strict=True):
        recording = where[place.recording]
        assert recording.subject == segment.subject
        assert (recording.labels[place.first_sample :][: place.samples] == segment.labels[0]).all()


def test_errors_tell_the_chain_from_another(recordings: list[Recording], published: WindowSet) -> None:
    segments = segments_of(published)
    places = locate(segments, recordings, PUBLISHED.apply)
    right = errors_of(segments, places, recordings, PUBLISHED.apply)
    assert right.shift == 0
    assert np.abs(right.differences).max() <= TOLERANCE
    # The windows went through single precision before they were printed with 7 digits, so some last digits differ; how
    # many depends on the leading digits of the synthetic signals. On the real data they are the same.
    assert right.same_digits.min() > 0.85
    wrong = errors_of(segments, places, recordings, SensorChain(noise_order=3, zero_phase=("noise",)).apply)
    assert wrong.shift < 0  # without the delay of the causal filter the signal is earlier
    assert np.abs(wrong.differences).max() > 100 * TOLERANCE
    assert wrong.same_digits[6:].max() < 0.1


def test_a_changed_sample_is_no_match(recordings: list[Recording], published: WindowSet) -> None:
    segment = segments_of(published)[0]
    changed = segment.samples.copy()
    changed[50, 4] += 1e-4
    place = locate([replace(segment, samples=changed)], recordings, PUBLISHED.apply)
    assert place.largest_error.tolist() == [pytest.approx(1e-4, rel=0.02)]


def test_other_people_are_named(recordings: list[Recording], published: WindowSet) -> None:
    with refused("argument", "no recording of subject 1 has the"):
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
    segments = segments_of(load_dataset("uci-har", archive=real_data))
    places = locate(segments, recordings, PUBLISHED.apply)
    assert len(places) == 857
    assert (places.largest_error <= TOLERANCE).all()
    assert (places.activity == places.hapt_activity).all()
    errors = errors_of(segments, places, recordings, PUBLISHED.apply)
    assert np.abs(errors.differences).max() < 6.5e-7  # measured: 6.1e-7, the rounding of the published files
    assert errors.same_digits.min() > 0.9999


@pytest.fixture
def sources(recordings: list[Recording], published: WindowSet, monkeypatch: pytest.MonkeyPatch) -> WindowSet:
    """Synthetic recordings in place of the archives."""

    @contextmanager
    def opened(*_: object) -> Iterator[tuple[None, str]]:
        yield None, "digest"

    monkeypatch.setattr(reproduce, "load_dataset", lambda *_, **__: published)
    monkeypatch.setattr(reproduce, "source_of", lambda *_: Path("none"))
    monkeypatch.setattr(reproduce, "open_source", opened)
    monkeypatch.setattr(reproduce.hapt, "read", lambda *_, **__: recordings)
    return published


def test_the_report_is_written_from_its_tables(sources: WindowSet, tmp_path: Path) -> None:
    assert experiment("reproduce", ["--results", str(tmp_path)]) == 0
    paths = [tmp_path / "hapt" / name for name in ("reproduction.csv", "segments.csv", "reproduction.md", "reproduction.png")]
    assert all(path.stat().st_size > 500 for path in paths)
    table, segments = (pd.read_csv(path) for path in paths[:2])
    assert len(table) == len(reproduce.CHAINS) * len(UCI9)
    assert table.unit.tolist() == [UNITS[channel] for channel in table.channel]
    right = table[table.chain == reproduce.IDENTIFIED]
    assert (right["share_within_1e-6"] == 1).all()
    assert (right[["median", "p95", "p99", "max"]].diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    # Every other choice is visibly worse somewhere, or the table would prove nothing.
    for name in list(reproduce.CHAINS)[2:]:
        assert table[table.chain == name]["max"].max() > 1e-4, name
    assert len(segments) == len(set(sources.recording.tolist()))
    text = paths[2].read_text()
    assert f"{len(segments)} of the {len(segments)} continuous segments" in text
    assert f"Written by `python -m research.reproduce --results {tmp_path}` on 20" in text


def test_what_does_not_match_is_counted(sources: WindowSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    x = np.array(sources.x)
    x[0, 40, 2] += 0.01
    monkeypatch.setattr(reproduce, "load_dataset", lambda *_, **__: replace(sources, x=x))
    monkeypatch.setattr(reproduce, "CHAINS", {name: reproduce.CHAINS[name] for name in (reproduce.IDENTIFIED, reproduce.DESCRIBED)})
    reproduce.run(Bench(tmp_path, "command"))
    report = (tmp_path / "hapt/reproduction.md").read_text()
    count = len(set(sources.recording.tolist()))
    assert f"{count - 1} of the {count} continuous segments" in report
    assert "; 1 are not" in report
    assert "The largest error anywhere is 1.0e-02" in report


@pytest.mark.parametrize("option", ["--archive", "--uci-archive"])
def test_an_archive_that_is_missing_is_named(option: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert experiment("reproduce", [option, "nope"]) == 2
    assert "no archive at nope" in capsys.readouterr().err
