"""Each option of the windowing does what its name says, whatever the labels are."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from har.signals.windowing import WindowPlan, WindowRule, fill_windows, plan_windows
from har.signals.windows import cut_windows, label_runs, window_starts

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
