"""Novelty scores by hand."""

import numpy as np
import pandas as pd
import pytest

from har.tasks.reconstruct import (
    EVERYDAY,
    HELD_OUT,
    TRANSITION,
    novelty_by_subject,
    novelty_figure,
    novelty_scores,
    reference_scores,
    window_statistics,
)

KIND = np.array([EVERYDAY, EVERYDAY, HELD_OUT, TRANSITION, EVERYDAY, HELD_OUT])
SCORE = np.array([0.1, 0.5, 0.4, 0.9, 0.2, 0.8])


def test_scores_by_hand() -> None:
    found = novelty_scores(SCORE, KIND, 0.45)
    assert found["auroc_held_out"] == pytest.approx(5 / 6)  # of six pairs, 0.4 against 0.5 alone is in the wrong order
    assert found["auroc_transition"] == 1
    assert found["auroc_novel"] == pytest.approx(8 / 9)
    assert found["ap_held_out"] == pytest.approx((1 / 1 + 2 / 3) / 2)  # found at ranks 1 and 3 of the five
    assert found["share_held_out"] == 2 / 5
    assert found["ap_transition"] == 1
    assert found["false_alarms"] == pytest.approx(1 / 3)
    assert found["detected_held_out"] == 1 / 2
    assert found["detected_transition"] == 1
    assert found["detected_novel"] == pytest.approx(2 / 3)


def test_what_has_no_windows_is_left_out() -> None:
    keep = KIND != TRANSITION
    found = novelty_scores(SCORE[keep], KIND[keep], None)
    assert set(found) == {"auroc_held_out", "ap_held_out", "share_held_out"}  # novel would be the same again
    assert set(novelty_scores(SCORE[:2], KIND[:2], 0.3)) == {"false_alarms"}
    assert set(novelty_scores(SCORE[2:4], KIND[2:4], 0.3)) == {"detected_held_out", "detected_transition", "detected_novel"}


def test_a_person_is_scored_against_his_own_everyday_windows() -> None:
    subject = np.array([1, 1, 1, 1, 3, 3])
    table = novelty_by_subject({"": SCORE, "energy": -SCORE}, KIND, subject, 0.45).set_index("subject")
    assert table.windows.tolist() == [4, 2]
    assert table.loc[1, "auroc_held_out"] == 1 / 2  # 0.4 against 0.1 and 0.5
    assert table.loc[1, "auroc_held_out_energy"] == 1 / 2
    assert table.loc[3, "auroc_held_out"] == 1
    assert table.loc[3, "auroc_held_out_energy"] == 0
    assert pd.isna(table.loc[3, "auroc_transition"])  # that person has none
    assert table.loc[3, "false_alarms"] == 0
    assert "share_held_out_energy" not in table


def noise(count: int, scale: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, (count, 32, 6))


def test_references_find_what_is_planted() -> None:
    train, x = noise(200, 0.1, 0), np.concatenate((noise(20, 0.1, 1), noise(20, 0.3, 2)))
    found = reference_scores(train, x)
    assert set(found) == {"energy", "mahalanobis", "neighbour"}
    for name, score in found.items():
        assert score[20:].min() > score[:20].max(), name
    np.testing.assert_allclose(found["energy"][0], np.sqrt(x[0, :, :3].var(axis=0).sum()))
    np.testing.assert_allclose(reference_scores(train, train[:5])["neighbour"], 0, atol=1e-6)
    calm = reference_scores(train, noise(5, 0.01, 3))  # less than usual is as odd as more, but not to the energy
    assert calm["energy"].max() < found["energy"].min()
    assert calm["mahalanobis"].min() > found["mahalanobis"][:20].max()


def test_statistics_of_a_window() -> None:
    x = np.zeros((1, 4, 2))
    x[0, :, 0] = [1, 3, 1, 3]
    np.testing.assert_allclose(window_statistics(x), [[2, 0, np.log(1.001), np.log(0.001)]])


def test_the_figure_shows_every_kind_there_is() -> None:
    both = novelty_figure(SCORE, KIND, 0.45, "title")
    left, right = both.axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["everyday", "held out", "transition", "threshold"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["held out: AUROC 0.833", "transition: AUROC 1.000"]
    everyday = novelty_figure(SCORE[:2], KIND[:2], 0.45, "title")
    assert everyday.axes[1].get_legend() is None
