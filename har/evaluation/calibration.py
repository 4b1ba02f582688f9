"""Whether a probability is worth its name: calibration error, temperature, reliability, and what silence buys."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from har.evaluation.predictions import Predictions

BINS = 15  # of the calibration error; Guo et al. 2017
EPSILON = 1e-12
# A temperature is fitted only where at least so many subjects were held out and so many of their windows are wrong. Measured on the
# 21 training subjects of UCI HAR (11 cross-validated predictions, random groups of subjects, scored on the rest): with both, the
# negative log-likelihood of the rest fell by 30 % in the mean and rose in 1 of 100 cases, by at most 23 %. With one subject it rose in a
# third of the cases, up to fivefold, and with three in 5 %; without any error the optimum is a temperature of 0.
MIN_SUBJECTS, MIN_ERRORS = 4, 10
# There every fit of at least as many subjects and errors was between 0.3 and 1.0, of networks trained with label smoothing; networks
# trained without it are overconfident, with temperatures of 1 to 3 (Guo et al. 2017).
TEMPERATURES = (0.25, 4.0)
COVERAGES = (0.5, 0.8, 0.9, 0.95, 1.0)  # shares of windows answered, in the table


def probabilities(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """(window, num_classes) probabilities and (window,) index of the true activity."""
    labels = predictions.labels
    p = predictions.table[[f"p_{label}" for label in labels]].to_numpy(dtype=np.float64)
    return p, predictions.table.y_true.map({label: i for i, label in enumerate(labels)}).to_numpy()


def calibration_error(p: np.ndarray, y: np.ndarray) -> float:
    """Expected calibration error of the highest probability, in 15 bins of equal width (Guo et al. 2017), from 0 to 1."""
    return float(sum(row["share"] * abs(row["accuracy"] - row["confidence"]) for row in reliability(p, y).to_dict("records")))


def reliability(p: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """Reliability diagram: of each bin of confidence that is not empty, mean confidence, accuracy and share of windows."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    table = pd.DataFrame({"bin": number, "confidence": confidence, "accuracy": right}).groupby("bin").mean()
    table["share"] = np.bincount(number, minlength=BINS)[table.index] / len(y)
    return table.reset_index()


def fit_temperature(p: np.ndarray, y: np.ndarray) -> float:
    """The temperature in `TEMPERATURES` that gives `p` the least negative log-likelihood; above 1 for an overconfident model.

    Guo et al. 2017. Whether there are enough subjects and errors for a fit, `too_few` says.

    Args:
        p: (window, num_classes) probabilities of people who took no part in the training, and who are not the test subjects.
        y: (window,) index of the true activity.
    """
    logits = np.log(np.maximum(p, EPSILON))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(len(y)), y].mean())

    low, high = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def too_few(held_out: Sequence[Predictions]) -> str | None:
    """Why nothing can be calibrated on these predictions, in words; None where there are enough subjects and errors."""
    table = pd.concat([item.table for item in held_out]) if held_out else pd.DataFrame({"subject": [], "y_true": [], "y_pred": []})
    subjects, errors = table.subject.nunique(), int((table.y_true != table.y_pred).sum())
    if subjects >= MIN_SUBJECTS and errors >= MIN_ERRORS:
        return None
    return (
        f"{subjects} held-out subject{'s' * (subjects != 1)} with {errors} wrong window{'s' * (errors != 1)} "
        f"{'is' if subjects == 1 else 'are'} too few; at least {MIN_SUBJECTS} and {MIN_ERRORS} are needed"
    )


def with_temperature(p: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities after division of the logits by a temperature; the most probable activity stays the same."""
    return softmax(np.log(np.maximum(p, EPSILON)) / temperature, axis=1)


def risk_coverage(p: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """What silence buys: the error among the surest windows, for every share of windows that is answered.

    Returns:
        Columns ``coverage`` (0 to 1), ``risk`` (share of wrong answers) and ``threshold`` (least confidence answered), a row a window.
    """
    confidence, wrong = p.max(axis=1), p.argmax(axis=1) != y
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(y) + 1)
    return pd.DataFrame({"coverage": answered / len(y), "risk": np.cumsum(wrong[order]) / answered, "threshold": confidence[order]})


def has_probabilities(predictions: Predictions) -> bool:
    """False for a classifier that only names an activity, such as a ridge classifier."""
    return bool((probabilities(predictions)[0].max(axis=1) < 1).any())


def calibration_table(tested: Mapping[str, Sequence[Predictions]], held_out: Mapping[str, Sequence[Predictions]]) -> pd.DataFrame:
    """A row per run with probabilities: calibration before and after a temperature, mean over its seeds.

    Args:
        tested: predictions on the test subjects, by run.
        held_out: predictions of the same runs on people who neither trained the model that made them nor are test subjects;
            the temperature of a seed is fitted on those of the same seed, else on those of all seeds; it is 1 where they are
            `too_few`.

    Returns:
        Columns ``run``, ``seeds``, ``temperature``, ``ece`` and ``nll`` before, ``ece_scaled`` and ``nll_scaled`` after scaling, and
        ``risk_at_X``: the share of wrong answers where the surest X per cent of windows are answered. What needs a temperature
        is missing where there are no held-out predictions.
    """
    rows = []
    for run, seeds in tested.items():
        found = []
        for item in filter(has_probabilities, seeds):
            p, y = probabilities(item)
            risk = risk_coverage(p, y)
            values = {"ece": calibration_error(p, y), "nll": _nll(p, y)}
            values |= {f"risk_at_{100 * share:.0f}": float(risk.risk[round(share * len(risk)) - 1]) for share in COVERAGES}
            if temperature := _temperature(item, held_out.get(run, ())):
                scaled = with_temperature(p, temperature)
                values |= {"temperature": temperature, "ece_scaled": calibration_error(scaled, y), "nll_scaled": _nll(scaled, y)}
            found.append(values)
        if found:
            rows.append({"run": run, "seeds": len(found), **pd.DataFrame(found).mean().to_dict()})
    return pd.DataFrame(rows)


def _temperature(item: Predictions, held_out: Sequence[Predictions]) -> float | None:
    own = [other for other in held_out if other.origin.seed == item.origin.seed] or list(held_out)
    if not own:
        return None
    if too_few(own) is not None:
        return 1.0
    pairs = [probabilities(other) for other in own]
    return fit_temperature(np.concatenate([p for p, _ in pairs]), np.concatenate([y for _, y in pairs]))


def _nll(p: np.ndarray, y: np.ndarray) -> float:
    return float(-np.log(np.maximum(p[np.arange(len(y)), y], EPSILON)).mean())
