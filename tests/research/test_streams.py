"""Scores of a stream of windows, with and without smoothing, by hand."""

import numpy as np

from research.smooth import Stream, change_delays, stream_errors, transition_answers

# Two activities (0, 1), a transition (2) and windows without a label (-1).
Y = np.array([-1, 0, 0, 0, 2, 2, 1, 1, 1, 0])
ANSWER = np.array([1, 0, 1, 0, 0, 1, 0, 1, 1, 1])


def stream(y: np.ndarray = Y, said: np.ndarray = ANSWER, subject: int = 2) -> Stream:
    return Stream("r", subject, np.arange(len(y)) * 64, y, np.eye(2)[said])


def test_only_activities_are_scored() -> None:
    table = stream_errors([stream(), stream(subject=4)], [np.maximum(Y, 0) % 2, ANSWER])
    assert table.to_dict("records") == [
        {"subject": 2, "windows": 7, "wrong": 3, "wrong_smoothed": 0},
        {"subject": 4, "windows": 7, "wrong": 3, "wrong_smoothed": 3},
    ]


def test_a_delay_counts_from_the_first_window_of_the_new_activity() -> None:
    assert change_delays(stream(), ANSWER) == [1, None]
    assert change_delays(stream(), np.maximum(Y, 0) % 2) == [0, 0]


def test_answers_in_transitions_are_sorted_by_what_they_name() -> None:
    assert transition_answers([stream()], [ANSWER]) == {"windows": 2, "before": 0.5, "after": 0.5, "other": 0.0}
    assert transition_answers([stream(np.array([0, 0]), np.array([0, 0]))], [np.array([0, 0])])["windows"] == 0
