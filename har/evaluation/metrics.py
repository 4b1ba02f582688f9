"""Metrics of one prediction table. Rows of a confusion matrix are the true activities."""

import numpy as np
import pandas as pd

from har.evaluation.predictions import Predictions


def scores(predictions: Predictions) -> dict[str, float]:
    """Accuracy and macro-averaged F1 over windows, each from 0 to 1.

    An activity that no window is of and none is taken for has no F1, and the mean is over the others, as in training: some
    postural transitions are so rare that a few subjects may have none.
    """
    return _scores(predictions.table, predictions.labels)


def _scores(table: pd.DataFrame, labels: list[str]) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(table.y_true, table.y_pred)),
        "macro_f1": float(f1_score(table.y_true, table.y_pred, labels=labels, average="macro", zero_division=np.nan)),
    }


def per_class(predictions: Predictions) -> pd.DataFrame:
    """Precision, recall, F1 and number of windows of each activity; none of them where it is neither true nor predicted."""
    from sklearn.metrics import precision_recall_fscore_support

    table, labels = predictions.table, predictions.labels
    values = precision_recall_fscore_support(table.y_true, table.y_pred, labels=labels, zero_division=0.0)
    result = pd.DataFrame({"activity": labels} | dict(zip(("precision", "recall", "f1", "windows"), values, strict=True)))
    seen = {*table.y_true, *table.y_pred}
    result.loc[[label not in seen for label in labels], ["precision", "recall", "f1"]] = np.nan
    return result


def per_subject(predictions: Predictions) -> pd.DataFrame:
    """Accuracy, macro-F1 over the activities the subject did, and number of windows of each subject."""
    rows = []
    for subject, table in predictions.table.groupby("subject"):
        done = [label for label in predictions.labels if (table.y_true == label).any()]
        rows.append({"subject": subject, **_scores(table, done), "windows": len(table)})
    return pd.DataFrame(rows)


def confusion(predictions: Predictions) -> np.ndarray:
    """(true, predicted) number of windows, in the order of the labels."""
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(predictions.table.y_true, predictions.table.y_pred, labels=predictions.labels)
