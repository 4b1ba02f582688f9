"""Linear autoregression: it finds what made a series, chooses on training subjects, and its two kinds are what they say."""

import numpy as np
import pytest

from har.training import autoregression
from har.training.autoregression import DIRECT, ITERATED, Autoregression, fit_autoregression, ridge

HORIZON = 8


def swings(people: int = 4, each: int = 60, *, seed: int = 0, noise: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Two channels of a sine wave of period 10 with random phase, a little noise and a level: (window, 40, 2), and subjects."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, (people * each, 1))
    time = 2 * np.pi * np.arange(40) / 10 + phase
    x = np.stack((3 + np.sin(time), 0.1 * np.cos(time)), axis=2) + noise * rng.standard_normal((people * each, 40, 2))
    return x.astype(np.float32), np.repeat(np.arange(people), each)


def test_ridge_is_least_squares_with_a_constant_that_is_not_shrunk() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((200, 3)).astype(np.float32)
    outputs = inputs @ np.array([[1.0], [-2.0], [0.5]], dtype=np.float32) + 7
    found = ridge(inputs, outputs, (1e-8, 1e6))
    np.testing.assert_allclose(found[1e-8][:, 0], [1, -2, 0.5, 7], atol=1e-3)
    np.testing.assert_allclose(found[1e6][:3], 0, atol=1e-3)
    np.testing.assert_allclose(found[1e6][3], outputs.mean(axis=0), atol=1e-2)


def test_a_wave_is_foretold_for_people_it_never_saw() -> None:
    x, subject = swings()
    model = fit_autoregression(x, subject, HORIZON)
    new, _ = swings(seed=9)
    found = model.forecast(new[:, :-HORIZON], HORIZON)
    assert found.shape == (240, HORIZON, 2)
    persistence = np.square(new[:, -HORIZON - 1 : -HORIZON] - new[:, -HORIZON:]).mean()
    assert np.square(found - new[:, -HORIZON:]).mean() < 0.01 * persistence


def test_both_kinds_foretell_and_the_iterated_one_feeds_on_itself() -> None:
    x, _ = swings(noise=0.0)
    models = {model.kind: model for model in autoregression._candidates(x, HORIZON) if model.penalty == min(autoregression.PENALTIES)}
    for model in models.values():
        np.testing.assert_allclose(model.forecast(x[:, :-HORIZON], HORIZON), x[:, -HORIZON:], atol=0.05)
    step = models[ITERATED]
    first = step.forecast(x[:, :-HORIZON], 1)
    second = step.forecast(np.concatenate((x[:, :-HORIZON], first), axis=1), 1)
    np.testing.assert_allclose(step.forecast(x[:, :-HORIZON], 2)[:, 1], second[:, 0], atol=1e-5)
    assert set(models) == {DIRECT, ITERATED}


def test_what_judges_the_order_is_another_person_than_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[int] = []
    candidates = autoregression._candidates

    def watched(x: np.ndarray, horizon: int, like: Autoregression | None = None):  # type: ignore[no-untyped-def]
        fitted.append(len(x))
        return candidates(x, horizon, like)

    monkeypatch.setattr(autoregression, "_candidates", watched)
    x, subject = swings()
    fit_autoregression(x, subject, HORIZON)
    assert fitted == [120, 240]  # subjects 1 and 2 against 0 and 3, then all


def test_an_unstable_model_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    x, subject = swings()
    unstable = Autoregression(ITERATED, 1, -1.0, np.zeros(2), np.ones(2), np.full((3, 2), 1e60))
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(unstable.forecast(x[:, :-HORIZON], HORIZON)).all()
    candidates = autoregression._candidates
    monkeypatch.setattr(autoregression, "_candidates", lambda *arguments: iter([unstable, *candidates(*arguments)]))
    assert fit_autoregression(x, subject, HORIZON).penalty in autoregression.PENALTIES


def test_one_person_or_no_context_is_refused() -> None:
    x, subject = swings(people=1)
    with pytest.raises(ValueError, match="1 subjects"):
        fit_autoregression(x, subject, HORIZON)
    x, subject = swings()
    with pytest.raises(ValueError, match="horizon 40"):
        fit_autoregression(x, subject, 40)
