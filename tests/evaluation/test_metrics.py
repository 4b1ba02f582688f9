"""Metrics by hand on a table small enough to check on paper."""

import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.classification import MulticlassF1Score

from har.contract import LABELS
from har.evaluation.figures import confusion_figure
from har.evaluation.metrics import confusion, per_class, per_subject, scores
from har.evaluation.predictions import Predictions
from tests.helpers import origin

WALK, SIT, STAND = "WALKING", "SITTING", "STANDING"


def predictions(rows: list[tuple[int, str, str]], **changes: object) -> Predictions:
    table = pd.DataFrame(rows, columns=["subject", "y_true", "y_pred"])
    table.insert(0, "window", range(len(rows)))
    table["recording"], table["start"] = "r", 0
    for label in LABELS:
        table[f"p_{label}"] = (table.y_pred == label).astype(np.float32)
    return Predictions(table, origin(**changes))


@pytest.fixture
def made() -> Predictions:
    return predictions([(1, WALK, WALK), (1, WALK, WALK), (1, SIT, STAND), (2, SIT, SIT), (2, SIT, STAND), (2, STAND, STAND)])


def test_rows_of_the_confusion_matrix_are_the_truth(made: Predictions) -> None:
    matrix = confusion(made)
    assert matrix[LABELS.index(SIT), LABELS.index(STAND)] == 2
    assert matrix[LABELS.index(STAND), LABELS.index(SIT)] == 0
    assert matrix.sum() == 6


def test_scores_by_hand(made: Predictions) -> None:
    # F1: walking 1, sitting 2*1/(2*1+0+2) = 0.5, standing 2*1/(2*1+2+0) = 0.5; three activities are neither true nor predicted
    assert scores(made) == pytest.approx({"accuracy": 4 / 6, "macro_f1": 2.0 / 3})
    # An activity that is predicted only, or true only, counts as 0: walking 1, sitting 0, laying 0.
    assert scores(predictions([(1, WALK, WALK), (1, SIT, "LAYING")]))["macro_f1"] == pytest.approx(1 / 3)


def test_the_macro_f1_is_that_of_the_training(made: Predictions) -> None:
    """Where activities are absent too, or an honest run would be refused for another score than its training reported."""
    index = {label: number for number, label in enumerate(LABELS)}
    truth, guess = (torch.tensor([index[name] for name in made.table[column]]) for column in ("y_true", "y_pred"))
    expected = MulticlassF1Score(len(LABELS), average="macro")(guess, truth)
    assert scores(made)["macro_f1"] == pytest.approx(float(expected))


def test_per_class_by_hand(made: Predictions) -> None:
    table = per_class(made).set_index("activity")
    assert list(table.index) == list(LABELS)
    assert table.loc[SIT, ["precision", "recall", "f1", "windows"]].tolist() == pytest.approx([1.0, 1 / 3, 0.5, 3])
    assert table.loc[STAND, ["precision", "recall"]].tolist() == pytest.approx([1 / 3, 1.0])
    assert table.loc["LAYING", ["precision", "recall", "f1"]].isna().all()


def test_per_subject_counts_only_what_the_subject_did(made: Predictions) -> None:
    table = per_subject(made).set_index("subject")
    assert table.loc[1, ["accuracy", "macro_f1", "windows"]].tolist() == pytest.approx([2 / 3, 0.5, 3])
    assert table.loc[2, "accuracy"] == pytest.approx(2 / 3)


def test_the_figure_names_its_axes_and_says_synthetic(made: Predictions) -> None:
    axes = confusion_figure(made).axes[0]
    assert axes.get_ylabel() == "True activity"
    assert axes.get_xlabel() == "Predicted activity"
    assert "SYNTHETIC" in axes.get_title()
    real = confusion_figure(predictions([(1, WALK, WALK)], synthetic=False, dataset="uci-har")).axes[0].get_title()
    assert "SYNTHETIC" not in real
    assert "uci-har" in real
    texts = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts}
    assert texts[LABELS.index(SIT), LABELS.index(STAND)] == "2"


def test_an_activity_that_is_only_missed_scores_nothing() -> None:
    """Precision, recall and F1 are 0, not 1, and not missing; they are for an activity that is neither true nor predicted."""
    found = per_class(predictions([(1, WALK, WALK), (1, SIT, WALK)])).set_index("activity")
    assert found.loc[SIT, ["precision", "recall", "f1"]].tolist() == [0.0, 0.0, 0.0]
    assert found.loc[WALK, ["precision", "recall", "f1", "windows"]].tolist() == pytest.approx([0.5, 1.0, 2 / 3, 1])
    assert found.loc["LAYING", ["precision", "recall", "f1"]].isna().all()
    assert found.loc["LAYING", "windows"] == 0
    assert found.dtypes[["precision", "recall", "f1"]].tolist() == [np.float64] * 3


def test_what_has_nothing_to_divide_by_is_told_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    per_class(predictions([(1, WALK, SIT)]))
    assert not recwarn.list
