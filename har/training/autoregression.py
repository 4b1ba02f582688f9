"""Linear autoregression: what a forecast by a network has to beat."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

DIRECT, ITERATED = "direct", "iterated"
ORDERS = {DIRECT: (10, 25, 50, 100), ITERATED: (10, 25, 50, 75)}  # samples before that are looked at
PENALTIES = (1e-4, 1e-2, 1.0)  # of the squared weights, as shares of the mean variance of what is looked at
HELD_OUT = 3  # every third subject judges, the others fit, to choose among these
ROW_STRIDE = 10  # samples between two rows of the iterated model, which otherwise hardly differ


@dataclass(frozen=True)
class Autoregression:
    """A vector autoregression, fitted by ridge regression (Lütkepohl 2005, section 3.2; Hoerl and Kennard 1970).

    ``direct``: one linear map from the last `order` samples of all channels to all samples of the horizon. ``iterated``: a linear map
    to the next sample, applied to its own answers (Marcellino, Stock and Watson 2006 compare both).

    Attributes:
        kind: ``direct`` or ``iterated``.
        order: samples before that are looked at.
        penalty: of the squared weights, as a share of the mean variance of the inputs.
        mean, deviation: (channel,) of the training subjects; both sides are standardised by them.
        weights: (order * channel + 1, output): of the inputs, oldest sample first, and the constant.
    """

    kind: str
    order: int
    penalty: float
    mean: np.ndarray
    deviation: np.ndarray
    weights: np.ndarray

    def forecast(self, context: np.ndarray, horizon: int) -> np.ndarray:
        """(window, context, channel) in sensor units -> (window, horizon, channel) in the same units."""
        x = (context - self.mean) / self.deviation
        return self._standardised(x, horizon) * self.deviation + self.mean

    def _standardised(self, x: np.ndarray, horizon: int) -> np.ndarray:
        count, _, channels = x.shape
        seen = x[:, -self.order :]
        if self.kind == DIRECT:
            return _apply(seen, self.weights).reshape(count, -1, channels)[:, :horizon]
        found = []
        for _ in range(horizon):
            found.append(_apply(seen, self.weights))  # (window, channel)
            seen = np.concatenate((seen[:, 1:], found[-1][:, None]), axis=1)
        return np.stack(found, axis=1)


def fit_autoregression(x: np.ndarray, subject: np.ndarray, horizon: int) -> Autoregression:
    """The autoregression that foretells held-out training subjects best, fitted on all of them.

    Kind, order and penalty are chosen by the squared error, in standard deviations, over every third subject of an autoregression
    fitted on the others. Give it training subjects alone.

    Args:
        x: (window, context + horizon, channel) in g and rad/s.
        subject: (window,) number of the person.
        horizon: samples that are foretold.

    Raises:
        ValueError: there are fewer than two subjects, or no sample to foretell from.
    """
    people = np.unique(subject)
    if len(people) < 2 or horizon >= x.shape[1]:
        raise ValueError(
            f"{len(people)} subjects, windows of {x.shape[1]} samples, horizon {horizon}; expected 2 subjects and longer windows"
        )
    judges = np.isin(subject, people[::HELD_OUT])
    context = x.shape[1] - horizon
    truth = x[judges, context:]
    found = []
    for model in _candidates(x[~judges], horizon):
        with np.errstate(over="ignore", invalid="ignore"):  # an iterated model may be unstable; it is not chosen then
            wrong = (model.forecast(x[judges, :context], horizon) - truth) / model.deviation
            found.append((float(np.square(wrong, dtype=np.float64).mean()), model))
    finite = [(error, model) for error, model in found if np.isfinite(error)]
    if not finite:
        raise ValueError("no autoregression gives a finite forecast; are the windows finite?")
    chosen = min(finite, key=lambda pair: pair[0])[1]
    return next(model for model in _candidates(x, horizon, chosen) if model.penalty == chosen.penalty)


def _candidates(x: np.ndarray, horizon: int, like: Autoregression | None = None) -> Iterator[Autoregression]:
    """Fitted models of every kind, order and penalty, or of the kind and order of `like`."""
    mean, deviation = x.mean(axis=(0, 1), dtype=np.float64), np.maximum(x.std(axis=(0, 1), dtype=np.float64), 1e-6)
    mean, deviation = mean.astype(np.float32), deviation.astype(np.float32)
    standard = (x - mean) / deviation
    context = x.shape[1] - horizon
    for kind, orders in ORDERS.items():
        for order in sorted({min(order, context) for order in orders}):
            if like is None or (kind, order) == (like.kind, like.order):
                inputs, outputs = _rows(standard, order, horizon, kind)
                for penalty, weights in ridge(inputs, outputs, PENALTIES).items():
                    yield Autoregression(kind, order, penalty, mean, deviation, weights)


def _rows(x: np.ndarray, order: int, horizon: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (row, order * channel) and outputs (row, output) of the regression, from standardised windows."""
    context = x.shape[1] - horizon
    if kind == DIRECT:
        return x[:, context - order : context].reshape(len(x), -1), x[:, context:].reshape(len(x), -1)
    ends = range(order, x.shape[1], ROW_STRIDE)
    inputs = np.concatenate([x[:, end - order : end].reshape(len(x), -1) for end in ends])
    return inputs, np.concatenate([x[:, end] for end in ends])


def ridge(inputs: np.ndarray, outputs: np.ndarray, penalties: tuple[float, ...]) -> dict[float, np.ndarray]:
    """(row, input) and (row, output) -> (input + 1, output) weights for each penalty, the last row the constant, not penalised.

    Minimises the squared error plus ``penalty * rows * mean variance of the inputs`` times the squared weights.
    """
    centre, level = inputs.mean(axis=0, dtype=np.float64), outputs.mean(axis=0, dtype=np.float64)
    gram = (inputs.T @ inputs).astype(np.float64) - len(inputs) * np.outer(centre, centre)
    cross = (inputs.T @ outputs).astype(np.float64) - len(inputs) * np.outer(centre, level)
    found, unit = {}, np.trace(gram) / len(gram)
    for penalty in penalties:
        # A little more than nothing, so that constant inputs do no harm.
        weights = np.linalg.solve(gram + (penalty * unit + 1e-9 * len(inputs)) * np.eye(len(gram)), cross)
        found[penalty] = np.concatenate((weights, (level - centre @ weights)[None])).astype(np.float32)
    return found


def _apply(seen: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return seen.reshape(len(seen), -1) @ weights[:-1] + weights[-1]
