"""Each option of the windowing does what its name says, whatever the labels are."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from har.signals.windows import BLOCK, WindowPlan, WindowRule, cut_windows, fill_windows, label_runs, plan_windows, window_starts

RUNS = st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 40)), max_size=12)
SIZES = st.tuples(st.integers(1, 20), st.integers(1, 20))
RULES = st.builds(
    WindowRule,
    label_rule=st.sampled_from(["majority", "last", "centre"]),
    min_purity=st.sampled_from([0.0, 0.5, 0.8, 1.0]),
    padding=st.sampled_from(["none", "zero", "edge"]),
    min_recorded=st.sampled_from([0.01, 0.5, 1.0]),
    cross_labels=st.booleans(),
)


def labels_of(runs: list[tuple[int, int]]) -> np.ndarray:
    return np.concatenate([np.full(n, label) for label, n in runs] or [np.empty(0, dtype=int)])


def recorded_labels(labels: np.ndarray, plan: WindowPlan) -> list[np.ndarray]:
    return [labels[a : a + n] for a, n in zip(plan.starts, plan.recorded, strict=True)]


@given(RUNS, SIZES)
def test_by_default_whole_windows_inside_one_label(runs: list[tuple[int, int]], sizes: tuple[int, int]) -> None:
    labels = labels_of(runs)
    plan = plan_windows(labels, *sizes)
    assert (plan.recorded == sizes[0]).all()
    for inside, label in zip(recorded_labels(labels, plan), plan.labels, strict=True):
        assert label >= 0
        assert (inside == label).all()
    expected = [first + window_starts(stop - first, *sizes) for label, first, stop in label_runs(labels) if label >= 0]
    assert plan.starts.tolist() == np.concatenate([*expected, np.empty(0)]).tolist()


@given(RUNS, SIZES, RULES)
def test_what_holds_under_every_rule(runs: list[tuple[int, int]], sizes: tuple[int, int], rule: WindowRule) -> None:
    labels = labels_of(runs)
    plan = plan_windows(labels, *sizes, rule)
    assert len(set(plan.starts.tolist())) == len(plan.starts)
    assert (np.diff(plan.starts) > 0).all()
    assert (plan.labels >= 0).all()
    assert (plan.recorded >= rule.shortest(sizes[0])).all()
    assert (plan.starts + plan.recorded <= len(labels)).all()
    for inside, label in zip(recorded_labels(labels, plan), plan.labels, strict=True):
        assert (inside == label).mean() >= rule.min_purity
        if not rule.cross_labels:
            assert (inside == label).all()
        if rule.label_rule == "majority":
            values, counts = np.unique(inside, return_counts=True)
            assert counts[values == label] == counts.max()
        elif rule.label_rule == "last":
            assert inside[-1] == label
        else:
            assert inside[len(inside) // 2] == label


@given(RUNS, SIZES, RULES)
def test_purity_only_leaves_windows_out(runs: list[tuple[int, int]], sizes: tuple[int, int], rule: WindowRule) -> None:
    labels = labels_of(runs)
    every = plan_windows(labels, *sizes, replace(rule, min_purity=0.0))
    some = plan_windows(labels, *sizes, rule)
    kept = dict(zip(every.starts.tolist(), every.labels.tolist(), strict=True))
    assert all(kept[start] == label for start, label in zip(some.starts.tolist(), some.labels.tolist(), strict=True))
    pure = [(inside == label).mean() >= rule.min_purity for inside, label in zip(recorded_labels(labels, every), every.labels, strict=True)]
    assert len(some.starts) == sum(pure)


@given(RUNS, SIZES, st.sampled_from(["zero", "edge"]), st.booleans())
def test_padding_adds_one_window_where_samples_are_left(
    runs: list[tuple[int, int]], sizes: tuple[int, int], padding: str, cross_labels: bool
) -> None:
    window_size, stride = sizes[0], min(sizes)
    labels = labels_of([(max(label, 0), n) for label, n in runs])
    rule = WindowRule(padding=padding, min_recorded=1e-9, cross_labels=cross_labels)  # type: ignore[arg-type]
    plan = plan_windows(labels, window_size, stride, rule)
    whole = plan_windows(labels, window_size, stride, replace(rule, padding="none"))
    held = np.zeros(len(labels), dtype=bool)
    for start, recorded in zip(plan.starts, plan.recorded, strict=True):
        held[start : start + recorded] = True
    assert held.all(), "every sample is in a window"
    assert set(whole.starts.tolist()) == set(plan.starts[plan.recorded == window_size].tolist())
    pieces = 1 if cross_labels else len(label_runs(labels))
    assert len(plan.starts) - len(whole.starts) <= pieces


@given(RUNS, SIZES)
def test_reshaping_holds_every_sample_at_most_once(runs: list[tuple[int, int]], sizes: tuple[int, int]) -> None:
    labels = labels_of(runs)
    for cross_labels in (False, True):
        plan = plan_windows(labels, sizes[0], sizes[0], WindowRule(cross_labels=cross_labels))
        assert (np.diff(plan.starts) >= sizes[0]).all()
    if cross_labels and (labels >= 0).all():
        assert len(plan.starts) == len(labels) // sizes[0]


@given(RUNS, SIZES, RULES)
def test_windows_hold_their_samples_and_then_the_padding(runs: list[tuple[int, int]], sizes: tuple[int, int], rule: WindowRule) -> None:
    labels = labels_of(runs)
    samples = np.random.default_rng(len(labels)).normal(size=(len(labels), 2)).astype(np.float32)
    plan = plan_windows(labels, *sizes, rule)
    windows = fill_windows(samples, plan, sizes[0], rule.padding)
    assert windows.shape == (len(plan.starts), sizes[0], 2)
    assert windows.dtype == np.float32
    for window, start, recorded in zip(windows, plan.starts, plan.recorded, strict=True):
        np.testing.assert_array_equal(window[:recorded], samples[start : start + recorded])
        behind = 0.0 if rule.padding == "zero" else samples[start + recorded - 1]
        assert (window[recorded:] == behind).all()
    if rule.padding == "none" and len(plan.starts):
        np.testing.assert_array_equal(windows, cut_windows(samples, plan.starts, sizes[0]))


def test_ties_and_unlabelled_samples() -> None:
    rule = WindowRule(cross_labels=True)
    assert plan_windows(np.array([2, 2, 1, 1]), 4, 4, rule).labels.tolist() == [1]  # the first of equals
    assert plan_windows(np.array([-1, -1, 3, 3]), 4, 4, rule).labels.tolist() == [3]  # an activity before unlabelled
    assert plan_windows(np.array([-1, -1, -1, 3]), 4, 4, rule).labels.tolist() == []
    assert plan_windows(np.array([-1, -1, -1, 3]), 4, 4, replace(rule, label_rule="last")).labels.tolist() == [3]
    assert plan_windows(np.array([0, 0, 1, 1]), 4, 4, replace(rule, label_rule="centre")).labels.tolist() == [1]


def test_a_stretch_shorter_than_a_window() -> None:
    labels = np.zeros(5, dtype=int)
    assert len(plan_windows(labels, 8, 4).starts) == 0
    plan = plan_windows(labels, 8, 4, WindowRule(padding="edge"))
    assert (plan.starts.tolist(), plan.recorded.tolist()) == ([0], [5])
    assert len(plan_windows(labels, 8, 4, WindowRule(padding="edge", min_recorded=0.7)).starts) == 0
    with pytest.raises(ValueError, match="must be positive"):
        plan_windows(labels, 0, 4)


@pytest.mark.parametrize(
    ("rule", "label", "purity"), [("majority", 0, 0.6), ("last", 2, 0.3), ("centre", 0, 0.6)], ids=lambda value: str(value)
)
def test_each_label_rule_on_one_window(rule: str, label: int, purity: float) -> None:
    labels = np.array([1, 0, 0, 0, 0, 0, 0, 2, 2, 2])
    for least, count in ((purity, 1), (purity + 0.01, 0)):
        plan = plan_windows(labels, 10, 5, WindowRule(label_rule=rule, min_purity=least, cross_labels=True))  # type: ignore[arg-type]
        assert len(plan.starts) == count
        assert plan.labels.tolist() == [label] * count


def test_the_centre_is_the_later_of_two_middles_and_not_the_last() -> None:
    plan = plan_windows(np.array([0, 0, 1, 2]), 4, 4, WindowRule(label_rule="centre", cross_labels=True))
    assert plan.labels.tolist() == [1]


def test_the_shortest_stretch_with_a_window() -> None:
    assert WindowRule().shortest(128) == 128
    for padding in ("zero", "edge"):
        assert WindowRule(padding=padding).shortest(128) == 64  # type: ignore[arg-type]
        assert WindowRule(padding=padding, min_recorded=0.51).shortest(128) == 66  # type: ignore[arg-type]
        assert WindowRule(padding=padding, min_recorded=0.001).shortest(128) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("length", "starts", "recorded"),
    [
        (4, [], []),
        (5, [0], [5]),
        (9, [0], [9]),
        (10, [0], [10]),
        (11, [0, 5], [10, 6]),
        (15, [0, 5], [10, 10]),  # nothing is left that no whole window holds
        (16, [0, 5, 10], [10, 10, 6]),
    ],
)
def test_what_is_padded(length: int, starts: list[int], recorded: list[int]) -> None:
    rule = WindowRule(padding="zero", min_recorded=0.5)
    before = np.full(7, -1)  # the stretch of the label begins at 7
    plan = plan_windows(np.concatenate((before, np.zeros(length, dtype=int))), 10, 5, rule)
    assert plan.starts.tolist() == [7 + start for start in starts]
    assert plan.recorded.tolist() == recorded
    assert {array.dtype for array in plan} == {np.dtype(np.int64)}
    none = plan_windows(np.zeros(length, dtype=int), 10, 5, WindowRule(padding="none"))
    assert none.starts.tolist() == [start for start, count in zip(starts, recorded, strict=True) if count == 10]


def test_a_stretch_without_a_window_has_empty_plans_of_the_right_types() -> None:
    for labels in (np.empty(0, dtype=int), np.zeros(3, dtype=int), np.full(50, -1)):
        plan = plan_windows(labels, 10, 5)
        assert [len(array) for array in plan] == [0, 0, 0]
        assert {array.dtype for array in plan} == {np.dtype(np.int64)}
        assert fill_windows(np.zeros((len(labels), 2), dtype=np.float32), plan, 10, "none").shape == (0, 10, 2)


def test_more_windows_than_one_block_are_all_filled() -> None:
    samples = np.random.default_rng(0).normal(size=(3 * BLOCK + 20, 2)).astype(np.float32)
    plan = plan_windows(np.zeros(len(samples), dtype=int), 4, 1)
    assert len(plan.starts) > 2 * BLOCK
    out = np.full((len(plan.starts), 4, 2), np.nan, dtype=np.float32)
    assert fill_windows(samples, plan, 4, "none", out) is out
    np.testing.assert_array_equal(out[:, 0], samples[: len(out)])
    np.testing.assert_array_equal(out[:, 3], samples[3:])
