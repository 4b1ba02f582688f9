"""Causal smoothing of a stream of activity probabilities by a hidden Markov model; numpy alone, so that a device can run it."""

from collections.abc import Iterable

import numpy as np

FLOOR = 1e-6  # least probability an activity keeps, so that no window can rule one out for ever


def estimate_transitions(sequences: Iterable[np.ndarray], num_classes: int, *, pseudo_count: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Transition matrix and shares of the activities, counted in labelled streams.

    Args:
        sequences: (window,) index of the activity in true time order, a recording each; negative entries (transitions between
            postures, no label) are passed over, so that what stands before and behind them counts as neighbours.
        num_classes: activities.
        pseudo_count: added to every count, so that what was never seen stays possible.

    Returns:
        (num_classes, num_classes) probabilities of the next activity (rows sum to one), and (num_classes,) shares.
    """
    counts = np.full((num_classes, num_classes), float(pseudo_count))
    shares = np.full(num_classes, float(pseudo_count))
    for sequence in sequences:
        known = np.asarray(sequence)[np.asarray(sequence) >= 0]
        np.add.at(counts, (known[:-1], known[1:]), 1.0)
        np.add.at(shares, known, 1.0)
    return counts / counts.sum(axis=1, keepdims=True), shares / shares.sum()


class StreamSmoother:
    """Forward filter, or fixed-lag smoother, over the windows of a stream (Rabiner 1989; fixed lag: Anderson and Moore 1979).

    The network's probabilities divided by the shares of the activities stand for the likelihoods. Neighbouring windows share
    samples and repeat each other's mistakes, so likelihoods are raised to `weight`, below 1.

    Args:
        transitions: (num_classes, num_classes) of `estimate_transitions`.
        shares: (num_classes,) of the activities where the transitions come from.
        weight: exponent of the likelihoods.
        lag: windows that are awaited before an answer; 0 answers at once.
    """

    def __init__(self, transitions: np.ndarray, shares: np.ndarray, *, weight: float = 1.0, lag: int = 0) -> None:
        if transitions.shape != (len(shares), len(shares)) or not np.allclose(transitions.sum(axis=1), 1):
            raise ValueError(f"transitions have shape {transitions.shape}; expected rows that sum to one for {len(shares)} activities")
        if not weight > 0 or lag < 0:
            raise ValueError(f"weight is {weight} and lag {lag}; expected a weight above 0 and a lag of 0 or more")
        self.transitions, self.shares, self.weight, self.lag = transitions, shares, weight, lag
        self.reset()

    def reset(self) -> None:
        """Forget the stream, as at the start of a recording; never at a change of activity."""
        self._forward: list[np.ndarray] = []
        self._likelihood: list[np.ndarray] = []

    def push(self, probabilities: np.ndarray) -> np.ndarray | None:
        """Take the (num_classes,) probabilities of the next window.

        Returns:
            Those of the window `lag` windows ago, given all windows so far; None while there is none.
        """
        likelihood = (np.maximum(probabilities, FLOOR) / self.shares) ** self.weight
        before = self._forward[-1] @ self.transitions if self._forward else self.shares
        forward = before * likelihood
        # Only the last windows are ever looked at again.
        self._forward = [*self._forward[-self.lag :], forward / forward.sum()] if self.lag else [forward / forward.sum()]
        self._likelihood = [*self._likelihood[-self.lag :], likelihood] if self.lag else [likelihood]
        return self._smoothed(self.lag) if len(self._forward) > self.lag else None

    def finish(self) -> list[np.ndarray]:
        """Probabilities of the windows that still waited for their lag, at the end of the stream."""
        waiting = min(self.lag, len(self._forward))
        return [self._smoothed(back) for back in range(waiting - 1, -1, -1)]

    def _smoothed(self, back: int) -> np.ndarray:
        backward = np.ones(len(self.shares))
        for likelihood in self._likelihood[len(self._likelihood) - back :][::-1]:
            backward = self.transitions @ (likelihood * backward)
            backward /= backward.sum()
        result = self._forward[len(self._forward) - 1 - back] * backward
        return result / result.sum()


def smooth(probabilities: np.ndarray, smoother: StreamSmoother) -> np.ndarray:
    """(window, num_classes) of a whole stream through a smoother, from its start; same shape."""
    smoother.reset()
    found = [result for row in probabilities if (result := smoother.push(row)) is not None]
    return np.array(found + smoother.finish()).reshape(probabilities.shape)
