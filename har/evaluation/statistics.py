"""How sure a score is: intervals by resampling people, and paired tests over people."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from har.evaluation.metrics import confusion
from har.evaluation.predictions import Predictions

DRAWS = 5_000
CONFIDENCE = 0.95
LEVEL = 0.05  # of a test, after Holm's correction


@dataclass(frozen=True)
class Interval:
    """A score with its interval, each from 0 to 1."""

    value: float
    low: float
    high: float


def subject_intervals(predictions: list[Predictions], *, draws: int = DRAWS, seed: int = 0) -> dict[str, Interval]:
    """Accuracy and macro-F1 with 95 % intervals by resampling people.

    Windows of one person are alike, so whole people are drawn with replacement (percentile bootstrap, Efron 1979). Several
    predictions are seeds of one model on the same people: each draw scores every seed and takes the mean.

    Args:
        predictions: of one model, one a seed.
        draws: bootstrap samples.
        seed: of the draws.

    Raises:
        ValueError: the seeds were scored on different people.
    """
    people = sorted(set(predictions[0].table.subject))
    if any(sorted(set(p.table.subject)) != people for p in predictions):
        raise ValueError("the seeds were scored on different subjects")
    # (seed, subject, true, predicted): every score of a draw follows from sums of these.
    counts = np.stack([_confusions(p) for p in predictions])
    rng = np.random.default_rng(seed)
    weight = rng.multinomial(len(people), np.full(len(people), 1 / len(people)), size=draws)  # (draw, subject)
    whole = np.ones((1, len(people)), dtype=int)
    found = {}
    for name, score in (("accuracy", _accuracy), ("macro_f1", _macro_f1)):
        drawn = score(_weighted(counts, weight)).mean(axis=0)  # over seeds -> (draw,)
        found[name] = _interval(score(_weighted(counts, whole)).mean(), drawn)
    return found


def mean_interval(values: np.ndarray, *, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Mean of one score a subject with its 95 % interval by resampling subjects (percentile bootstrap)."""
    drawn = np.random.default_rng(seed).choice(values, size=(draws, len(values))).mean(axis=1)
    return _interval(np.mean(values), drawn)


def _interval(value: np.floating, drawn: np.ndarray) -> Interval:
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(value), float(low), float(high))


def _confusions(predictions: Predictions) -> np.ndarray:
    """(subject, true, predicted), subjects in increasing order."""
    return np.stack([confusion(Predictions(own, predictions.origin)) for _, own in predictions.table.groupby("subject")])


def _weighted(counts: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.einsum("spij,dp->sdij", counts, weight)  # (seed, draw, true, predicted)


def _accuracy(matrix: np.ndarray) -> np.ndarray:
    return np.trace(matrix, axis1=-2, axis2=-1) / matrix.sum(axis=(-2, -1))


def _macro_f1(matrix: np.ndarray) -> np.ndarray:
    right = np.diagonal(matrix, axis1=-2, axis2=-1)
    both = matrix.sum(axis=-1) + matrix.sum(axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = 2 * right / both
    return np.nanmean(f1, axis=-1)  # an activity that nobody in the draw did and nobody was said to do has none


def subject_scores(predictions: list[Predictions]) -> pd.Series:
    """Accuracy of each subject, averaged over seeds; the index is the subject's number."""
    table = pd.concat([p.table.assign(seed=p.origin.seed) for p in predictions])
    right = (table.y_true == table.y_pred).groupby([table.seed, table.subject]).mean()
    return right.groupby(level="subject").mean()


def paired_tests(scores: Mapping[str, pd.Series], control: str | None = None) -> pd.DataFrame:
    """Pairs of models, compared on the same people: Wilcoxon's signed-rank test with Holm's correction over these pairs.

    Args:
        scores: of each model, a score a subject.
        control: one of them, to compare each other one with it alone (Demsar 2006, 3.2.2); else every pair is compared. It must have been
            chosen without these scores.

    Returns:
        Columns ``a``, ``b``, ``difference`` (mean over subjects of a - b), ``better`` and ``worse`` (subjects), ``p``,
        ``p_holm``; a pair is different at 5 % where ``p_holm < 0.05``.

    Raises:
        ValueError: two models were scored on different people.
    """
    from scipy.stats import wilcoxon

    rows = []
    for a, b in combinations(scores, 2) if control is None else ((control, name) for name in scores if name != control):
        if not scores[a].index.equals(scores[b].index):
            raise ValueError(f"{a} and {b} were scored on different subjects")
        difference = (scores[a] - scores[b]).round(12)
        p = float(wilcoxon(difference, zero_method="pratt").pvalue) if difference.any() else 1.0
        better, worse = int((difference > 0).sum()), int((difference < 0).sum())
        rows.append({"a": a, "b": b, "difference": difference.mean(), "better": better, "worse": worse, "p": p})
    table = pd.DataFrame(rows)
    if len(table):
        table["p_holm"] = holm(table.p)
    return table


def holm(p: pd.Series) -> pd.Series:
    """p values with Holm's correction over those that are not missing."""
    from statsmodels.stats.multitest import multipletests

    found = p.astype(float)
    given = found.notna()
    if given.any():
        found[given] = multipletests(found[given], method="holm")[1]
    return found


@dataclass(frozen=True)
class Lead:
    """The run with the best mean, compared over the same subjects with the one that it has to beat.

    Attributes:
        best: run with the best mean over subjects.
        other: that it is compared with.
        subjects: that both have.
        difference: mean over subjects of best - other.
        better: subjects on which `best` has the higher score.
        worse: subjects on which `other` has it.
        p_holm: of Wilcoxon's signed-rank test, corrected over `comparisons` pairs.
        comparisons: pairs that were tested.
    """

    best: str
    other: str
    subjects: int
    difference: float
    better: int
    worse: int
    p_holm: float
    comparisons: int

    @property
    def ahead(self) -> bool:
        """Whether the two differ at 5 %."""
        return self.p_holm < LEVEL

    def text(self, difference: str) -> str:
        """The comparison in words, with the difference as the caller writes it."""
        return (
            f"{difference} against `{self.other}` in the paired mean over {self.subjects} subjects, higher for {self.better} and lower for "
            f"{self.worse}, p = {self.p_holm:.2g} (Wilcoxon's signed-rank test, Holm's correction over {self.comparisons} "
            f"comparison{'s' * (self.comparisons > 1)})"
        )


def leading(scores: pd.DataFrame, control: str | None = None, *, higher_is_better: bool = True) -> Lead | None:
    """Compare the run with the best mean with the control, or with the next best where it is the control or there is none.

    Args:
        scores: (subject, run); only subjects with a score of every run count.
        control: of all comparisons; it must have been chosen without these scores. Without one every pair is tested, because the best
            was chosen by them.
        higher_is_better: which way.

    Returns:
        None where fewer than two runs, or no subject, can be compared.
    """
    common = scores.dropna()
    if len(common) == 0 or len(common.columns) < 2:
        return None
    ranked = common.mean().sort_values(ascending=not higher_is_better, kind="stable").index.tolist()
    control = control if control in ranked else None
    best, other = ranked[0], ranked[1] if control in (None, ranked[0]) else control
    tests = paired_tests({str(run): common[run] for run in common}, control)
    row = next(row for row in tests.to_dict("records") if {row["a"], row["b"]} == {best, other})
    sign, (better, worse) = (1, (row["better"], row["worse"])) if row["a"] == best else (-1, (row["worse"], row["better"]))
    return Lead(best, str(other), len(common), sign * row["difference"], better, worse, row["p_holm"], len(tests))
