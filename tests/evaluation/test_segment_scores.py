"""Scores by segment, each worked out by hand."""

import numpy as np
import pytest

from har.evaluation.segments import (
    Labelled,
    change_delays,
    edit_score,
    fragmented,
    majority_right,
    overlap_counts,
    sample_scores,
    segments,
    stream_scores,
    subject_scores,
)
from research.smooth import Stream
from research.smooth import change_delays as window_delays


def labels(text: str) -> np.ndarray:
    """``"000.11"``: a digit a sample, a dot for none."""
    return np.array([-1 if c == "." else int(c) for c in text])


TRUTH = labels("..0000000000....1111111111..2222")
RIGHT = labels("11000000000000111111111111222222")


def test_what_is_right_where_there_is_a_label_is_perfect() -> None:
    assert segments(TRUTH) == [(0, 2, 12), (1, 16, 26), (2, 28, 32)]
    assert overlap_counts(TRUTH, RIGHT) == (3, 0, 0)
    assert edit_score(TRUTH, RIGHT) == 1
    assert majority_right(TRUTH, RIGHT).all()
    assert not fragmented(TRUTH, RIGHT).any()
    assert stream_scores([Labelled("r", 1, TRUTH, RIGHT)], 3) == {
        **{"accuracy": 1.0, "macro_f1": 1.0, "segment_accuracy": 1.0, "segment_f1": 1.0, "edit": 1.0},
        **{"fragmented": 0.0, "delay_s": 0.0, "untold": 0.0},
    }


@pytest.mark.parametrize(
    ("truth", "said", "expected"),
    [
        ("0000000000", "0000011111", (1, 1, 0)),  # 5 of 10: an overlap of exactly a half finds it; the rest is a run too many
        ("0000000000", "0000111111", (0, 2, 1)),  # 4 of 10
        ("0000011111", "0000000000", (1, 0, 1)),  # 5 in a union of 10 finds the first, the second is missed
        ("0000000000", "0001000000", (1, 2, 0)),  # found once, by the 6; the 3 before and the 1 are too many
        ("00000.00000", "00000000000", (2, 0, 0)),  # a run ends where nothing is known
        ("1111100000", "0000011111", (0, 2, 2)),
        ("0000000000", "0000000...", (1, 0, 0)),  # no answer at the end
    ],
)
def test_segmental_f1_counts(truth: str, said: str, expected: tuple[int, int, int]) -> None:
    assert overlap_counts(labels(truth), labels(said)) == expected


def test_a_segment_is_found_once() -> None:
    # Both runs cover half of the segment; the second of them finds what is found already.
    assert overlap_counts(labels("0000"), np.array([0, 0, -1, 0]), overlap=0.25) == (1, 1, 0)


@pytest.mark.parametrize(
    ("truth", "said", "expected"),
    [
        ("000111222", "000111222", 1.0),
        ("000111222", "001111112", 1.0),  # lengths do not matter
        ("000111222", "000222222", 2 / 3),  # one is missing of three
        ("000000000", "000100000", 1 / 3),  # 0 1 0 for 0: two too many of three
        ("000111", "111000", 0.0),
        ("00..11", "001111", 1.0),
        ("01210", "12101", 1 - 2 / 5),  # one taken away, one added: less than five changed
    ],
)
def test_edit_score(truth: str, said: str, expected: float) -> None:
    assert edit_score(labels(truth), labels(said)) == pytest.approx(expected)


def test_the_majority_of_answers_speaks_for_a_segment() -> None:
    assert majority_right(labels("0000.1111.2222"), labels("0100000011....")).tolist() == [True, False, False]


def test_a_segment_is_fragmented_where_the_right_answer_stops_and_comes_again() -> None:
    assert fragmented(labels("00000.11111.2222"), labels("00100.01110.0000")).tolist() == [True, False, False]


def test_a_delay_lasts_until_the_answer_stays_right() -> None:
    truth, said = labels("0000..1111111111..0000"), labels("0000000110111110..0011")
    #                                                        the 1s from sample 7 last 2, from sample 10 they last 5
    delays, told = change_delays(truth, said, steady=1)
    assert (delays.tolist(), told.tolist()) == ([1, 0], [True, True])
    delays, told = change_delays(truth, said, steady=3)
    assert (delays.tolist(), told.tolist()) == ([4, 4], [True, False])  # the last is never told: its whole length
    delays, told = change_delays(labels("0011"), labels("0010"), steady=50)
    assert (delays.tolist(), told.tolist()) == ([2], [False])
    delays, told = change_delays(labels("0011"), labels("0001"), steady=50)
    assert (delays.tolist(), told.tolist()) == ([1], [True])  # right to the end of a segment that is over sooner
    assert len(change_delays(labels("00.00"), labels("00000"))[0]) == 0  # the same activity again is no change


def test_without_asking_for_steadiness_it_is_the_delay_of_windows() -> None:
    rng = np.random.default_rng(0)
    order = np.array([label for number in range(20) for label in (number % 3, -1)])  # never the same activity twice in a row
    truth = np.repeat(order, rng.integers(0, 9, len(order)).clip(min=(order >= 0)))
    said = rng.integers(0, 3, len(truth))
    delays, told = change_delays(truth, said, steady=1)
    expected = window_delays(Stream("r", 1, np.arange(len(truth)), truth, np.eye(3)[said]), said)
    assert [int(delay) if known else None for delay, known in zip(delays, told, strict=True)] == expected
    assert None in expected
    assert len(expected) == 19


def test_samples_are_counted_over_all_recordings_and_people_alone() -> None:
    items = [Labelled("a", 1, labels("0011"), labels("0111")), Labelled("b", 2, labels("..00"), labels("1100"))]
    scores = sample_scores(items, 3)
    assert scores["accuracy"] == pytest.approx(5 / 6)
    assert scores["macro_f1"] == pytest.approx((2 * 3 / 7 + 2 * 2 / 5) / 2)  # activity 2 is neither true nor named
    table = subject_scores(items, 3)
    assert table.subject.tolist() == [1, 2]
    assert table.windows.tolist() == [4, 2]
    assert table.accuracy.tolist() == [0.75, 1.0]
    silent = [Labelled("a", 1, labels("0011"), labels(".011"))]
    assert sample_scores(silent, 2)["accuracy"] == 0.75  # no answer is wrong
