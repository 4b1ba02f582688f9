"""Calibration on probabilities whose truth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har.contract import LABELS
from har.evaluation.calibration import (
    TEMPERATURES,
    calibration_error,
    calibration_table,
    fit_temperature,
    has_probabilities,
    probabilities,
    reliability,
    risk_coverage,
    too_few,
    with_temperature,
)
from har.evaluation.predictions import Predictions, read_predictions
from tests.helpers import origin

WINDOWS = 20_000


def drawn(temperature: float, seed: int = 0, windows: int = WINDOWS) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are too sure by `temperature` (above 1), and what then happened."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (windows, len(LABELS)))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = (
        np.array([rng.choice(len(LABELS), p=row) for row in honest])
        if windows < 3000
        else (honest.cumsum(1) > rng.random((windows, 1))).argmax(1)
    )
    said = np.exp(temperature * logits)
    return said / said.sum(axis=1, keepdims=True), y


def as_predictions(p: np.ndarray, y: np.ndarray, subjects: int = 5, **changes: object) -> Predictions:
    names = np.array(LABELS)
    table = pd.DataFrame(
        {
            "window": range(len(y)),
            "subject": np.arange(len(y)) % subjects + 1,
            "recording": "r",
            "start": 0,
            "y_true": names[y],
            "y_pred": names[p.argmax(1)],
        }
    )
    for index, label in enumerate(LABELS):
        table[f"p_{label}"] = p[:, index]
    return Predictions(table, origin(**changes))


def test_honest_probabilities_have_no_calibration_error() -> None:
    assert calibration_error(*drawn(1.0)) < 0.01
    assert calibration_error(*drawn(2.0)) > 0.05


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_and_makes_the_probabilities_honest(temperature: float) -> None:
    p, y = drawn(temperature)
    found = fit_temperature(p, y)
    assert found == pytest.approx(temperature, rel=0.05)
    scaled = with_temperature(*(p, found))
    np.testing.assert_allclose(scaled.sum(axis=1), 1)
    np.testing.assert_array_equal(scaled.argmax(1), p.argmax(1))
    assert calibration_error(scaled, y) < 0.01


def test_the_calibration_error_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    assert calibration_error(p, np.array([0, 1, 1, 1])) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)
    table = reliability(p, np.array([0, 1, 1, 1]))
    assert table.accuracy.tolist() == [1.0, 0.5]
    assert table.share.sum() == 1


def test_silence_buys_what_it_says() -> None:
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3]])
    curve = risk_coverage(p, np.array([0, 1, 0, 1]))
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0, 0, 1 / 3, 0.5])
    assert curve.threshold.tolist() == [0.9, 0.8, 0.7, 0.6]


def test_the_temperature_of_a_run_is_fitted_on_held_out_people_alone() -> None:
    tested = as_predictions(*drawn(2.0, 1), run="cnn1d", split="test")
    held_out = as_predictions(*drawn(2.0, 2), run="cnn1d", split="validation")
    row = calibration_table({"cnn1d": [tested]}, {"cnn1d": [held_out]}).iloc[0]
    assert row.temperature == pytest.approx(2.0, rel=0.05)
    assert row.ece_scaled < 0.02 < row.ece
    assert row.nll_scaled < row.nll
    assert row.risk_at_50 < row.risk_at_100
    other = as_predictions(*drawn(0.5, 3), run="cnn1d", split="test")
    assert calibration_table({"cnn1d": [other]}, {"cnn1d": [held_out]}).temperature[0] == row.temperature
    assert "temperature" not in calibration_table({"cnn1d": [tested]}, {})


def test_a_classifier_that_only_names_an_activity_is_left_out() -> None:
    p, y = drawn(1.0, windows=100)
    named = as_predictions(np.eye(len(LABELS))[p.argmax(1)], y, run="ridge", split="test")
    assert not has_probabilities(named)
    assert calibration_table({"ridge": [named]}, {}).empty


@pytest.mark.parametrize(
    ("subjects", "errors", "reason"),
    [
        (5, 40, None),
        (4, 10, None),
        (3, 40, "3 held-out subjects with 40 wrong windows are too few; at least 4 and 10 are needed"),
        (1, 1, "1 held-out subject with 1 wrong window is too few"),
        (5, 9, "5 held-out subjects with 9 wrong windows are too few"),
    ],
)
def test_a_temperature_needs_subjects_and_errors(subjects: int, errors: int, reason: str | None) -> None:
    y = np.zeros(400, dtype=int)
    p = np.full((400, len(LABELS)), 0.02)
    p[:, 0] = 0.9
    p[:errors, [0, 1]] = [0.02, 0.9]
    held_out = as_predictions(p, y, subjects, run="cnn1d", split="validation")
    found = too_few([held_out])
    assert found is None if reason is None else str(found).startswith(reason)
    row = calibration_table({"cnn1d": [held_out]}, {"cnn1d": [held_out]}).iloc[0]
    assert (row.temperature == 1.0) == (reason is not None)
    assert too_few([]) is not None


def test_a_temperature_is_bounded() -> None:
    """Without an error the likelihood is largest at a temperature of 0."""
    p, _ = drawn(1.0, windows=200)
    low, high = TEMPERATURES
    assert fit_temperature(p, p.argmax(axis=1)) == pytest.approx(low, rel=1e-3)
    assert fit_temperature(p, (p.argmax(axis=1) + 1) % len(LABELS)) == pytest.approx(high, rel=1e-3)


def test_the_rule_does_not_make_the_probabilities_of_other_subjects_worse() -> None:
    """Published predictions of the 21 training subjects of UCI HAR: fitted on some, scored on the others."""
    path = Path(__file__).parents[2] / "results/uci_har/studies/crossvalidation_predictions/predictions_gru_seed0.parquet"
    whole = read_predictions(path)

    def part(subjects: list[int], *, others: bool = False) -> Predictions:
        return replace(whole, table=whole.table[whole.table.subject.isin(subjects) != others])

    def ratio(subjects: list[int]) -> float:
        """Likelihood loss of the others with the temperature that these subjects give, over that without."""
        p, y = probabilities(part(subjects, others=True))
        scaled = with_temperature(p, fit_temperature(*probabilities(part(subjects))))[np.arange(len(y)), y]
        return float(np.log(scaled).mean() / np.log(p[np.arange(len(y)), y]).mean())

    known = sorted(set(whole.table.subject))
    assert max(ratio([subject]) for subject in known) > 1.3  # one subject is too few
    groups = [known[i : i + 4] for i in range(0, 20, 4)]
    enough = [group for group in groups if too_few([part(group)]) is None]
    assert len(enough) >= 3
    assert max(ratio(group) for group in enough) < 1.0
