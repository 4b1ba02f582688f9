"""A scikit-learn estimator around any registered network that names the activity of a window.

For `sklearn.model_selection` with subjects as groups, pipelines and grid searches of people who know scikit-learn::

    classifier = har.ActivityClassifier("gru", change={"training.epochs": 5})
    cross_val_score(classifier, windows.x, windows.y, groups=windows.subject, cv=GroupKFold(5))

The split is the caller's here, so the caller answers for it: windows of one person belong on one side. `har train` audits its own.
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from har.config import RunConfig, load_config, parse_config
from har.contract import CHANNEL_SETS, channel_names
from har.data.windowset import WindowSet
from har.training.fit import fit
from har.training.trainer import quiet_lightning

# What the shipped configs of windows have in common; each of them has a learning rate and decay of its own, which `config` brings.
SETTINGS: dict[str, Any] = {
    "data": {"validation_subjects": []},
    "frontend": {"compression": [1], "differences": [1]},
    "augmentation": {"rotation_deg": 25, "turn_deg": 40},
    "training": {"epochs": 15, "learning_rate": 0.0085, "weight_decay": 0.022, "label_smoothing": 0.055, "keep": "last", "threads": 1},
}


class ActivityClassifier(ClassifierMixin, BaseEstimator):
    """Sensor windows in, activities out; trained as `har train --refit` does, for a fixed number of epochs.

    Args:
        model: name of a registered network of the task ``window``; without meaning where `config` is given.
        options: of the network's constructor; without meaning where `config` is given.
        config: a YAML file such as ``configs/gru.yaml``; None takes `SETTINGS`.
        change: dotted keys of the config and their values, such as ``{"training.epochs": 5}``.
        random_state: seed of first weights, order of windows and augmentation.

    Attributes:
        classes_: (class,) the labels of `fit`, sorted; columns of `predict_proba`.
        classifier_: the trained network behind its layer of scaling, an `nn.Module`.
        config_: the whole config.

    Examples:
        >>> import har
        >>> windows = har.load_dataset("synthetic")
        >>> some = windows.subset(windows.subject <= 3)
        >>> classifier = har.ActivityClassifier("cnn1d", change={"training.epochs": 2})
        >>> classifier.fit(some.x, some.y).predict_proba(windows.x[:5]).shape
        (5, 6)
    """

    classes_: np.ndarray

    def __init__(
        self,
        model: str = "cnn1d",
        *,
        options: dict[str, Any] | None = None,
        config: str | Path | None = None,
        change: dict[str, Any] | None = None,
        random_state: int = 0,
    ) -> None:
        self.model = model
        self.options = options
        self.config = config
        self.change = change
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train.

        Args:
            X: (window, time, channel) windows, acceleration in g and angular velocity in rad/s; six channels in the order of
                ``contract.RAW6``, or those of the config's ``data.channels``.
            y: (window,) labels of any kind.

        Raises:
            ValueError: a shape is wrong, a value is not finite, or there is one class alone.
            HarError: the config is wrong, or the training diverged.
        """
        config = self._run_config()
        x, labels = validate_data(self, X, y, dtype=np.float32, ensure_2d=False, allow_nd=True, ensure_min_samples=2)
        self._check_windows(x, config.data.channels)
        check_classification_targets(labels)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class, {self.classes_[0]}; expected at least two")
        names = tuple(map(str, self.classes_))
        windows = WindowSet(
            x,
            numbers,
            subject=np.zeros(len(x), dtype=np.int64),  # nobody validates, so that nobody has to be told apart
            recording=np.full(len(x), ""),
            start=np.arange(len(x)),
            channels=channel_names(config.data.channels),
            dataset="array",
            synthetic=False,
            labels=names,
        )
        quiet_lightning()
        threads = torch.get_num_threads()
        try:
            with tempfile.TemporaryDirectory(prefix="har-sklearn-") as folder:
                self.classifier_ = fit(config, windows, None, Path(folder)).classifier
        finally:
            torch.set_num_threads(threads)
        self.config_ = config
        return self

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """(window, time, channel) -> (window, class) probabilities, columns as in `classes_`."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, ensure_2d=False, allow_nd=True, reset=False)
        self._check_windows(x, self.config_.data.channels)
        return self.classifier_.predict_proba(torch.from_numpy(np.array(x))).double().numpy()

    def predict(self, X: ArrayLike) -> np.ndarray:
        """(window, time, channel) -> (window,) labels."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def _run_config(self) -> RunConfig:
        if self.config is None:
            content = SETTINGS | {"model": {"name": self.model, "options": dict(self.options or {})}}
            config = parse_config(content, type(self).__name__)
        else:
            config = load_config(self.config)
        fixed = {"data.validation_subjects": [], "training.keep": "last", "training.seed": self.random_state}
        return config.changed({**(self.change or {}), **fixed}, type(self).__name__)

    @staticmethod
    def _check_windows(x: np.ndarray, channels: str) -> None:
        expected = len(CHANNEL_SETS[channels])
        if x.ndim != 3 or x.shape[2] != expected:
            order = ", ".join(CHANNEL_SETS[channels])
            raise ValueError(f"X has shape {x.shape}, expected (window, time, {expected}), channels {order}")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.non_deterministic = False  # on one machine's CPU the same seed gives the same weights
        return tags


def __getattr__(name: str) -> Any:
    """Deprecated names."""
    if name == "ActivityEstimator":
        warnings.warn("har.sklearn.ActivityEstimator is deprecated; use har.ActivityClassifier", DeprecationWarning, stacklevel=2)
        return ActivityClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
