"""A stream in chunks of any length gives the answers of the windows cut from the whole of it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from har.contract import UNKNOWN
from har.data import synthetic
from har.errors import HarError
from har.recording import Recording
from har.runtime.bundle import pretrained
from har.runtime.recognizer import Recognizer, load_model
from har.runtime.stream import Answer, StreamFaults, WindowStream
from har.signals.resampling import StreamResampler
from har.signals.windows import cut_windows, label_runs, window_starts
from tests.refusal import refused
from tests.runtime.test_recognizer import bundle, recognizer  # noqa: F401

RECORDING: Recording = synthetic.generate(2, 0, bout_seconds=4.0)


def expected_of(recognizer: Recognizer, samples: np.ndarray) -> np.ndarray:  # noqa: F811
    return recognizer.predict(cut_windows(samples, window_starts(len(samples), 128, 64), 128))


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 900), max_size=12))
def test_chunks_of_any_length_give_the_same_answers(cuts: list[int], recognizer: Recognizer) -> None:  # noqa: F811
    samples = RECORDING.samples[:900]
    stream = recognizer.open_stream()
    answers = [answer for chunk in np.split(samples, sorted(cuts)) for answer in stream.push(chunk)]
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected_of(recognizer, samples), atol=1e-6)
    assert [round(answer.from_s, 6) for answer in answers] == [round(1.28 * i, 6) for i in range(len(answers))]
    assert all(answer.to_s - answer.from_s == pytest.approx(2.56) for answer in answers)


def test_sample_by_sample_is_a_stream_too(recognizer: Recognizer) -> None:  # noqa: F811
    samples = RECORDING.samples[:260]
    answers = [answer for sample in samples for answer in recognizer.stream(sample)]
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected_of(recognizer, samples), atol=1e-6)


def test_no_window_crosses_a_gap_and_reset_forgets(recognizer: Recognizer) -> None:  # noqa: F811
    samples, time_s = RECORDING.samples[:400], np.arange(400) / 50
    time_s[200:] += 1.0
    for pieces in ([slice(0, 400)], [slice(0, 200), slice(200, 400)], [slice(0, 150), slice(150, 230), slice(230, 400)]):
        stream = recognizer.open_stream()
        answers = [answer for piece in pieces for answer in stream.push(samples[piece], time_s[piece])]
        assert [answer.from_s for answer in answers] == pytest.approx([0.0, 1.28, 5.0, 6.28])
        np.testing.assert_allclose(answers[2].probabilities, recognizer.predict(samples[200:328])[0], atol=1e-6)
    stream.push(samples[:100])
    stream.reset()
    assert stream.push(samples[:127]) == []
    assert len(stream.push(samples[127:128])) == 1


def test_another_rate_is_resampled_as_a_file_is(recognizer: Recognizer) -> None:  # noqa: F811
    time_s = np.arange(1200) / 100
    values = np.stack([np.interp(time_s, RECORDING.time_s, column) for column in RECORDING.samples.T], axis=1)
    stream = recognizer.open_stream(source_hz=100)
    answers = [answer for part in np.split(np.arange(1200), [1, 90, 700]) for answer in stream.push(values[part], time_s[part])]
    _, samples = StreamResampler(100, 50).push(time_s, values)
    np.testing.assert_allclose([a.probabilities for a in answers], expected_of(recognizer, samples.astype(np.float32)), atol=1e-5)
    assert len(answers) >= 7
    with refused("recording-times", "samples at 100 Hz have no times"):
        stream.push(values[:5])


def test_what_is_wrong_is_said_and_the_chunk_is_not_taken(recognizer: Recognizer) -> None:  # noqa: F811
    samples = RECORDING.samples[:128]
    stream = recognizer.open_stream()
    stream.push(samples[:100])
    bad = samples[100:].copy()
    bad[3, 4] = np.nan
    with refused("not-finite", "the chunk is not finite at sample 3, channel gyro_y"):
        stream.push(bad)
    with refused("windows", r"a chunk has shape \(28, 5\), expected \(time, 6\)"):
        stream.push(samples[100:, :5])
    with refused("recording-times"):
        stream.push(samples[100:], np.full(28, 3.0))
    with refused("windows", r"time_s has shape \(3,\) for 28 samples"):
        stream.push(samples[100:], np.arange(3.0))
    with refused("recording-rate", "come at 25 Hz, expected 50 Hz"):
        recognizer.open_stream().push(samples, np.arange(128) / 25)
    (answer,) = stream.push(samples[100:])
    np.testing.assert_allclose(answer.probabilities, recognizer.predict(samples)[0], atol=1e-6)


def test_a_wrong_unit_is_said_of_chunks_too_short_to_tell_it(recognizer: Recognizer) -> None:  # noqa: F811
    stream = recognizer.open_stream()
    samples = RECORDING.samples[:128] * (9.81, 9.81, 9.81, 1, 1, 1)
    for sample in samples[:-1]:
        assert stream.push(sample) == []
    with refused("recording-units", r"m/s\^2"):
        stream.push(samples[-1])


def test_an_answer_below_the_threshold_is_unknown(bundle: Path) -> None:  # noqa: F811
    made = load_model(bundle)
    made.unknown_below = 0.0
    (sure,) = made.open_stream().push(RECORDING.samples[:128])
    assert sure.label == made.labels[int(sure.probabilities.argmax())]
    made.unknown_below = sure.confidence + 1e-3
    (unsure,) = made.open_stream().push(RECORDING.samples[:128])
    assert (unsure.label, unsure.confidence) == (UNKNOWN, sure.confidence)


def pushed_in_pieces(stream: WindowStream, samples: np.ndarray, time_s: np.ndarray, size: int) -> tuple[list[Answer], list[str]]:
    """Answers, and what was refused; times in pieces of `size` samples."""
    answers, refused = [], []
    for first in range(0, len(samples), size):
        try:
            answers += stream.push(samples[first : first + size], time_s[first : first + size])
        except HarError as error:
            refused.append(str(error))
    return answers, refused


@pytest.mark.parametrize("size", [1, 5, 25])
def test_a_lost_sample_is_no_gap_in_chunks_of_any_length(size: int, recognizer: Recognizer) -> None:  # noqa: F811
    samples, time_s = RECORDING.samples[:400], np.arange(400) / 50
    time_s[200:] += 0.02
    answers, refused = pushed_in_pieces(recognizer.open_stream(), samples, time_s, size)
    assert (len(answers), refused) == (5, [])


@pytest.mark.parametrize("wrong", [0.0, 9.81])
def test_a_sensor_that_begins_with_nonsense_is_answered_later(wrong: float, recognizer: Recognizer) -> None:  # noqa: F811
    samples, time_s = np.array(RECORDING.samples[:600]), np.arange(600) / 50
    samples[:110, :3] *= wrong
    answers, refused = pushed_in_pieces(recognizer.open_stream(), samples, time_s, 10)
    assert len(refused) == 1
    assert "the median length of total acceleration" in refused[0]
    behind_s = 2.6  # the refused chunk
    assert [answer.from_s for answer in answers] == pytest.approx([behind_s + 1.28 * i for i in range(6)])


def test_a_wrong_rate_that_ends_is_answered_later(recognizer: Recognizer) -> None:  # noqa: F811
    samples, time_s = RECORDING.samples[:600], np.cumsum(np.where(np.arange(600) < 100, 0.005, 0.02))
    answers, refused = pushed_in_pieces(recognizer.open_stream(), samples, time_s, 10)
    assert len(refused) == 1
    assert "expected 50 Hz" in refused[0]
    assert len(answers) == 6


@pytest.mark.parametrize("size", [1, 7, 300])
@pytest.mark.parametrize("back_s", [0.5, 500.0])
def test_a_clock_that_is_set_back_begins_a_new_stretch(back_s: float, size: int, recognizer: Recognizer) -> None:  # noqa: F811
    samples, time_s = RECORDING.samples[:300], 1000.0 + np.arange(300) / 50
    time_s[130:] -= back_s
    stream = recognizer.open_stream()
    answers, refused = pushed_in_pieces(stream, samples, time_s, size)
    assert refused == []
    assert [answer.from_s for answer in answers] == pytest.approx([1000.0, time_s[130]])
    expected = np.concatenate((expected_of(recognizer, samples[:130]), expected_of(recognizer, samples[130:])))
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected, atol=1e-5)
    assert stream.faults == StreamFaults(restarts=1)


def test_an_interrupted_stream_continues_on_its_own_clock(recognizer: Recognizer) -> None:  # noqa: F811
    samples, time_s = RECORDING.samples[:300], 1000.0 + np.arange(300) / 50
    stream = recognizer.open_stream()
    stream.push(samples[:100], time_s[:100])
    assert stream.interrupt() == []
    answers = stream.push(samples[100:], time_s[100:] - 500.0)
    assert [answer.from_s for answer in answers] == pytest.approx([502.0, 503.28])
    assert stream.interrupt() == []
    (answer,) = stream.push(samples[:128])
    assert answer.from_s == pytest.approx(506.0)


@pytest.mark.parametrize("size", [1, 2, 300])
def test_samples_that_are_a_little_late_are_sorted(size: int, recognizer: Recognizer) -> None:  # noqa: F811
    samples, time_s = RECORDING.samples[:300], np.arange(300) / 50
    order = np.arange(300)
    order[[60, 61, 62]] = 61, 62, 60  # sample 60 comes 40 ms after sample 62
    order = np.insert(order, 200, order[199])  # and one is delivered twice
    stream = recognizer.open_stream()
    answers, refused = pushed_in_pieces(stream, samples[order], time_s[order], size)
    assert refused == []
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected_of(recognizer, samples), atol=1e-5)
    assert stream.faults == StreamFaults(sorted=1, latest_s=pytest.approx(0.04), repeated=1)


def test_a_late_sample_of_a_time_that_is_there_is_left_out(recognizer: Recognizer) -> None:  # noqa: F811
    samples, time_s = RECORDING.samples[:300], np.arange(300) / 50
    stream = recognizer.open_stream()
    answers = stream.push(samples[:100], time_s[:100])
    answers += stream.push(samples[[7]], time_s[[97]])  # other values at the time of sample 97
    answers += stream.push(samples[100:], time_s[100:])
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected_of(recognizer, samples), atol=1e-5)
    assert stream.faults == StreamFaults(late=1, latest_s=pytest.approx(0.04))


def test_a_late_sample_whose_window_is_answered_is_left_out(recognizer: Recognizer) -> None:  # noqa: F811
    samples, time_s = RECORDING.samples[:260], np.arange(260) / 50
    stream = recognizer.open_stream(source_hz=50.5)  # resampled, so that nothing can be put in its place later
    stream.push(samples[:100], time_s[:100])
    stream.push(samples[101:], time_s[101:])
    assert stream.push(samples[:1], time_s[-1:] - 0.05) == []
    assert stream.faults == StreamFaults(late=1, latest_s=pytest.approx(0.05))


def test_times_in_no_order_are_refused(recognizer: Recognizer) -> None:  # noqa: F811
    stream = recognizer.open_stream()
    with refused("recording-times", "300 samples do not increase: they go back"):
        stream.push(RECORDING.samples[:300], np.arange(300)[::-1] / 50)
    assert len(stream.push(RECORDING.samples[:300], np.arange(300) / 50)) == 3


@pytest.mark.parametrize("size", [1, 50, 300])
@pytest.mark.parametrize(("channel", "value"), [(0, 1e18), (1, -1000.0), (4, 500.0)])
def test_a_sample_outside_the_limits_is_as_good_as_missing(channel: int, value: float, size: int, recognizer: Recognizer) -> None:  # noqa: F811
    samples, time_s = np.array(RECORDING.samples[:300], dtype=np.float64), np.arange(300) / 50
    samples[140, channel] = value
    missing = np.delete(samples, 140, axis=0)
    stream = recognizer.open_stream()
    answers, refused = pushed_in_pieces(stream, samples, time_s, size)
    assert refused == []
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected_of(recognizer, missing.astype(np.float32)), atol=1e-5)
    assert stream.faults == StreamFaults(outside=1)


@pytest.mark.parametrize("sensor", [slice(0, 3), slice(3, 6)])
@pytest.mark.parametrize("size", [1, 50, 900])
def test_a_frozen_sensor_gives_no_answer(size: int, sensor: slice, recognizer: Recognizer) -> None:  # noqa: F811
    samples, time_s = np.array(RECORDING.samples[:900]), np.arange(900) / 50
    samples[200:600, sensor] = samples[200, sensor]
    stream = recognizer.open_stream()
    answers, refused = pushed_in_pieces(stream, samples, time_s, size)
    assert refused == []
    assert [answer.from_s for answer in answers] == pytest.approx([0.0, 1.28, 12.0, 13.28, 14.56])
    np.testing.assert_allclose([a.probabilities for a in answers[2:]], expected_of(recognizer, samples[600:]), atol=1e-5)
    assert stream.faults == StreamFaults(frozen=350)  # known after one second


def test_an_interruption_keeps_the_mounting_and_reset_forgets_it() -> None:
    stream = load_model(pretrained("robust")).open_stream()
    walking = next(RECORDING.samples[first : first + 200] for label, first, stop in label_runs(RECORDING.labels) if label == 0)
    for _ in range(8):
        stream.push(walking)
    told = stream._mounting.matrix()
    assert told is not None
    stream.interrupt()
    np.testing.assert_array_equal(stream._mounting.matrix(), told)
    stream.reset()
    assert stream._mounting.matrix() is None


def test_a_gap_lets_out_what_the_resampler_held_back(recognizer: Recognizer) -> None:  # noqa: F811
    time_s = np.arange(60 * 3) / 60
    time_s = time_s[time_s < 2.57]  # 128 samples at 50 Hz, of which the last need samples that never come
    values = np.stack([np.interp(time_s, RECORDING.time_s, column) for column in RECORDING.samples.T], axis=1)
    stream = recognizer.open_stream(source_hz=60)
    assert stream.push(values, time_s) == []
    (answer,) = stream.push(values[:10], time_s[:10] + 100.0)
    assert answer.to_s == pytest.approx(2.56)
    stream.push(values, time_s + 200.0)
    (answer,) = stream.interrupt()
    assert answer.to_s == pytest.approx(202.56)
