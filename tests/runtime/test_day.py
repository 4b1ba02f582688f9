"""Minutes of a phone's day with every fault: a stream's answers are a batch's on the same stretches, and what it holds is bounded."""

from functools import cache

import numpy as np
import pytest

from har.data import synthetic
from har.runtime.bundle import pretrained
from har.runtime.recognizer import load_model
from har.signals.resampling import StreamResampler
from tests.runtime.day import FAULTS, App, Day, batch_answers, live_through

MINUTES = 20
HELD = 3000  # numbers, at most: a window, the last steps, and what the resampler needs


@cache
def day_of(hz: float) -> Day:
    recordings = [synthetic.generate(subject, 0, bout_seconds=4.0) for subject in (1, 2, 3)]
    return live_through(recordings, int(MINUTES * 60 * hz), 3, hz=hz, often=10.0)


def held(thing: object) -> int:
    """Numbers in all arrays below an object."""
    if isinstance(thing, np.ndarray):
        return thing.size
    inside = list(vars(thing).values()) if isinstance(thing, StreamResampler) else thing
    return sum(map(held, inside)) if isinstance(inside, (list, tuple)) else 0


@pytest.mark.parametrize("name", ["default", "robust"])
@pytest.mark.parametrize(("hz", "source_hz"), [(50.0, None), (59.8, 60.0)])
def test_a_day_is_answered_as_its_stretches_in_a_batch(name: str, hz: float, source_hz: float | None) -> None:
    day, recognizer = day_of(hz), load_model(pretrained(name))
    assert {kind for kind, _ in day.faults} == set(FAULTS)
    app, answers, runs, largest = App(recognizer, source_hz), [], [0], 0
    for restart, time_s, values in day.deliveries():
        if restart:
            answers += app.stream.interrupt()
            runs.append(len(answers))
            app = App(recognizer, source_hz)
        answers += app.take(time_s, values)
        largest = max(largest, held(list(vars(app.stream).values())))
    answers += app.stream.interrupt()
    expected = batch_answers(recognizer, day, source_hz=source_hz)
    assert len(answers) == len(expected.to_s) > 300
    np.testing.assert_allclose([answer.to_s for answer in answers], expected.to_s, rtol=0, atol=1e-6)
    np.testing.assert_allclose([answer.from_s for answer in answers], expected.from_s, rtol=0, atol=1e-6)
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected.probabilities, rtol=0, atol=1e-5)
    assert np.searchsorted(runs, np.arange(len(answers)), side="right").tolist() == (expected.run + 1).tolist()
    assert max(answer.to_s - answer.from_s for answer in answers) < 2.56 + 0.1, "a window crosses a gap"
    assert largest <= HELD
