"""The estimator for scikit-learn: its rules, people as groups, and the same network as everywhere else."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.utils.estimator_checks import check_estimator

from har.config import RunConfig
from har.data.windowset import WindowSet
from har.sklearn import ActivityClassifier
from har.training.fit import fit
from tests.refusal import refused

SMALL = {"width": 8, "depth": 2}
CHANGE = {"training.epochs": 4, "training.batch_size": 16, "training.learning_rate": 0.003}


def small(**options: object) -> ActivityClassifier:
    return ActivityClassifier("cnn1d", options=SMALL, **{"change": CHANGE, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def raw(windows: WindowSet) -> WindowSet:
    chosen = windows.select_channels("raw6")
    return chosen.subset(np.isin(chosen.subject, (1, 3, 5, 6)))


@pytest.fixture(scope="module")
def fitted(raw: WindowSet) -> ActivityClassifier:
    return small().fit(raw.x, raw.y)


def test_it_keeps_the_rules_of_scikit_learn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)  # most checks come with tables of numbers, which are no windows
        check_estimator(small())


def test_people_are_groups_in_a_cross_validation(raw: WindowSet) -> None:
    scores = cross_val_score(small(), raw.x, raw.y, groups=raw.subject, cv=GroupKFold(2))
    assert len(scores) == 2
    assert scores.min() > 2 / 6  # twice as good as guessing, from two people and 36 steps


def test_a_search_may_change_the_network_and_the_config(raw: WindowSet) -> None:
    grid = {"options": [SMALL, {"width": 4, "depth": 2}], "change": [CHANGE | {"training.epochs": 1}]}
    found = GridSearchCV(small(), grid, cv=GroupKFold(2)).fit(raw.x, raw.y, groups=raw.subject)
    assert len(found.cv_results_["params"]) == 2
    assert found.best_estimator_.config_.training.epochs == 1


def test_labels_of_any_kind_come_back(raw: WindowSet, fitted: ActivityClassifier) -> None:
    words = np.array(raw.labels)[raw.y]
    named = small().fit(raw.x, words)
    assert named.classes_.tolist() == sorted(raw.labels)
    assert set(named.predict(raw.x[:20])) <= set(raw.labels)
    assert named.score(raw.x, words) > 0.5
    probabilities = fitted.predict_proba(raw.x[:20])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert (fitted.predict(raw.x[:20]) == probabilities.argmax(axis=1)).all()


def test_it_is_the_network_that_the_pipeline_trains(raw: WindowSet, fitted: ActivityClassifier, tmp_path: Path) -> None:
    config: RunConfig = fitted.config_
    other = fit(config, raw, None, tmp_path).classifier
    np.testing.assert_array_equal(fitted.predict_proba(raw.x), other.predict_proba(torch.from_numpy(raw.x)).double().numpy())


def test_the_seed_decides_and_a_copy_answers_the_same(raw: WindowSet, fitted: ActivityClassifier) -> None:
    expected = fitted.predict_proba(raw.x[:50])
    np.testing.assert_array_equal(clone(fitted).fit(raw.x, raw.y).predict_proba(raw.x[:50]), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(raw.x[:50]), expected)
    assert not np.array_equal(small(random_state=1).fit(raw.x, raw.y).predict_proba(raw.x[:50]), expected)


def test_a_config_file_says_everything_else(raw: WindowSet) -> None:
    path = Path(__file__).parents[1] / "configs" / "cnn1d.yaml"
    change = {"training.epochs": 1, "model.options": SMALL}
    config = ActivityClassifier(config=path, change=change).fit(raw.x[:64], raw.y[:64] % 2).config_
    assert config.training.label_smoothing == 0.012  # of the file
    assert config.training.keep == "last"
    assert config.data.validation_subjects == ()


def test_the_number_of_threads_is_the_callers_again(raw: WindowSet) -> None:
    torch.set_num_threads(2)
    try:
        small().fit(raw.x[:64], raw.y[:64] % 2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_wrong_arrays_are_told_in_a_sentence(raw: WindowSet, fitted: ActivityClassifier) -> None:
    with pytest.raises(ValueError, match=r"X has shape \(10, 768\), expected \(window, time, 6\), channels total_acc_x"):
        small().fit(raw.x[:10].reshape(10, -1), raw.y[:10])
    with pytest.raises(ValueError, match=r"expected \(window, time, 6\)"):
        small().fit(raw.x[:10, :, :3], raw.y[:10])
    with pytest.raises(ValueError, match="contains NaN"):
        small().fit(np.where(np.arange(128)[:, None] == 5, np.nan, raw.x[:10]), raw.y[:10])
    with pytest.raises(ValueError, match="y has one class"):
        small().fit(raw.x[:10], np.zeros(10))
    with pytest.raises(ValueError, match="100"):
        fitted.predict(raw.x[:10, :100])
    with pytest.raises(NotFittedError):
        small().predict(raw.x[:10])
    with refused("name-unknown", "unknown model 'cnn2d'; did you mean 'cnn1d'"):
        ActivityClassifier("cnn2d").fit(raw.x[:10], np.arange(10) % 2)
    with refused("config", r"unknown key 'training\.epoch'"):
        small(change={"training.epoch": 3}).fit(raw.x[:10], np.arange(10) % 2)


def test_the_old_name_warns() -> None:
    import har.sklearn

    with pytest.warns(DeprecationWarning, match=r"ActivityEstimator is deprecated; use har\.ActivityClassifier"):
        assert har.sklearn.ActivityEstimator is ActivityClassifier
    with pytest.raises(AttributeError, match="no attribute 'Estimator'"):
        har.sklearn.Estimator  # noqa: B018
