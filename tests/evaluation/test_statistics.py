"""Intervals and tests over people, by hand or against scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from har.contract import LABELS
from har.evaluation.metrics import scores
from har.evaluation.predictions import Predictions
from har.evaluation.statistics import leading, mean_interval, paired_tests, subject_intervals, subject_scores
from har.runs.comparison import interval_table, intervals_markdown, pairs_markdown, people_markdown, people_table, subject_table
from tests.evaluation.test_metrics import SIT, STAND, WALK, predictions


def people(right: dict[int, float], *, windows: int = 20, seed: int = 0, run: str = "cnn1d") -> Predictions:
    """Predictions in which a share `right` of each subject's windows is right, evenly over the activities."""
    rows = []
    for subject, share in right.items():
        for index in range(windows):
            true = LABELS[index % len(LABELS)]
            rows.append((subject, true, true if index < round(share * windows) else LABELS[(index + 1) % len(LABELS)]))
    return predictions(rows, seed=seed, run=run, model="cnn1d", split="test")


def test_the_value_is_the_score_and_the_interval_is_that_of_people() -> None:
    found = subject_intervals([people({1: 1.0, 2: 0.5, 3: 0.9})])
    for name, score in scores(people({1: 1.0, 2: 0.5, 3: 0.9})).items():
        assert found[name].value == pytest.approx(score)
        assert found[name].low < score < found[name].high
    # The worst draw is the worst person three times (1 in 27), the best the best person (1 in 27): both beyond 2.5 %.
    assert found["accuracy"].low == pytest.approx(0.5)
    assert found["accuracy"].high == pytest.approx(1.0)


def test_people_who_are_alike_leave_no_doubt_however_many_windows_there_are() -> None:
    for windows in (20, 200):
        interval = subject_intervals([people({1: 0.8, 2: 0.8, 3: 0.8}, windows=windows)])["accuracy"]
        assert interval.low == interval.high == pytest.approx(0.8)


def test_seeds_are_averaged_inside_each_draw() -> None:
    both = subject_intervals([people({1: 1.0, 2: 0.5}), people({1: 0.5, 2: 1.0}, seed=1)])["accuracy"]
    assert both.value == both.low == both.high == pytest.approx(0.75)
    with pytest.raises(ValueError, match="different subjects"):
        subject_intervals([people({1: 1.0}), people({2: 1.0}, seed=1)])


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(300):
        interval = mean_interval(rng.normal(0.9, 0.05, 30), draws=400)
        inside.append(interval.low <= 0.9 <= interval.high)
    assert 0.88 <= np.mean(inside) <= 0.98  # a percentile bootstrap of 30 is a little narrow


def test_subject_scores_are_averaged_over_seeds() -> None:
    found = subject_scores([people({1: 1.0, 2: 0.5}), people({1: 0.5, 2: 0.5}, seed=1)])
    assert found.to_dict() == pytest.approx({1: 0.75, 2: 0.5})


def test_pairs_are_those_of_scipy_with_the_correction_of_holm() -> None:
    rng = np.random.default_rng(1)
    index = pd.RangeIndex(1, 31, name="subject")
    base = rng.uniform(0.9, 1.0, 30)
    scored = {"a": base, "b": base - rng.uniform(0, 0.02, 30), "c": base + rng.normal(0, 0.01, 30)}
    table = paired_tests({name: pd.Series(values, index) for name, values in scored.items()}).set_index(["a", "b"])
    assert list(table.index) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert table.p.loc[("a", "b")] == pytest.approx(wilcoxon((scored["a"] - scored["b"]).round(12), zero_method="pratt").pvalue)
    assert table.better.loc[("a", "b")] == 30
    ordered = table.sort_values("p")
    expected = np.minimum(np.maximum.accumulate(ordered.p * [3, 2, 1]), 1)  # by hand
    np.testing.assert_allclose(ordered.p_holm, expected)


def test_one_against_the_others_is_corrected_over_those_pairs() -> None:
    rng = np.random.default_rng(2)
    index = pd.RangeIndex(1, 31, name="subject")
    base = rng.uniform(0.9, 1.0, 30)
    scored = {name: pd.Series(base - rng.uniform(-0.01, size, 30), index) for name, size in (("a", 0.02), ("b", 0.01), ("c", 0.03))}
    against, every = paired_tests(scored, "b"), paired_tests(scored)
    assert against[["a", "b"]].to_numpy().tolist() == [["b", "a"], ["b", "c"]]
    pair = every.set_index(["a", "b"]).loc[("a", "b")]
    assert against.p[0] == pytest.approx(pair.p)
    assert against.difference[0] == pytest.approx(-pair.difference)
    ordered = against.sort_values("p")
    np.testing.assert_allclose(ordered.p_holm, np.minimum(np.maximum.accumulate(ordered.p * [2, 1]), 1))


def test_models_that_score_the_same_are_not_different() -> None:
    same = pd.Series([0.9, 0.8], index=[1, 2])
    assert paired_tests({"a": same, "b": same}).p_holm.tolist() == [1.0]
    with pytest.raises(ValueError, match="different subjects"):
        paired_tests({"a": same, "b": pd.Series([0.9, 0.8], index=[1, 3])})


def test_the_table_over_people_names_the_worst() -> None:
    systems = {
        "good": [people({1: 1.0, 2: 0.9, 3: 0.8}, run="good"), people({1: 1.0, 2: 1.0, 3: 0.8}, seed=1, run="good")],
        "bad": [people({1: 0.5, 2: 0.9, 3: 0.6}, run="bad")],
    }
    table = people_table(systems).set_index("run")
    assert list(table.index) == ["good", "bad"]
    assert table.worst_subject.to_dict() == {"good": 3, "bad": 1}
    assert table.worst_accuracy.to_dict() == pytest.approx({"good": 0.8, "bad": 0.5})
    assert table.subject_mean["good"] == pytest.approx((1.0 + 0.95 + 0.8) / 3)
    assert "| good | raw6 | 10 | 91.67 ± 2.36 |" in people_markdown(table.reset_index())
    subjects = subject_table(systems)
    text = pairs_markdown(paired_tests({run: subjects[run] for run in subjects}))
    assert "| good - bad | +25.00 | 3 / 0 |" in text


def test_the_interval_table_has_a_row_a_run_and_split() -> None:
    rows = [(1, WALK, WALK), (2, SIT, STAND), (2, SIT, SIT)]
    items = [predictions(rows, run="cnn1d", seed=seed, split="test") for seed in (0, 1)] + [predictions(rows, run="cnn1d")]
    table = interval_table(items)
    assert table[["run", "split", "seeds"]].to_numpy().tolist() == [["cnn1d", "validation", 1], ["cnn1d", "test", 2]]
    text = intervals_markdown(table)
    assert len(text.splitlines()) == 3
    assert "66.67 ± 0.00 | 50.0 to 100.0" in text


def test_the_best_of_several_is_ahead_only_where_the_test_says_so() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.7, 0.9, 12)
    noise = pd.DataFrame({"first": base, "other": base + np.tile([0.02, -0.019], 6)})
    lead = leading(noise, "first")
    assert lead is not None
    assert (lead.best, lead.other, lead.better, lead.worse, lead.comparisons) == ("other", "first", 6, 6, 1)
    assert not lead.ahead
    assert lead.difference == pytest.approx(0.0005)
    clear = noise.assign(third=base + 0.05)
    lead = leading(clear, "first")
    assert lead is not None
    assert (lead.best, lead.other, lead.ahead, lead.comparisons) == ("third", "first", True, 2)
    assert lead.p_holm == pytest.approx(2 * 2 / 2**12)  # all of 12 subjects, exact, times two comparisons
    # Without a control every pair is tested, and the best is held against the next; so is a control that is best itself.
    assert leading(clear).comparisons == 3  # type: ignore[union-attr]
    assert leading(clear, "third").other == "other"  # type: ignore[union-attr]
    lower = leading(clear, higher_is_better=False)
    assert lower is not None
    assert (lower.best, lower.difference < 0) == ("first", True)
    assert leading(noise[["first"]]) is None
    assert leading(noise.assign(other=np.nan)) is None
