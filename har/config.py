"""Typed configs: one YAML file describes a run. Unknown keys and wrong types are refused with what was expected."""

import types
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from har.contract import HarError, nearest


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Section):
    """Which windows, and who validates."""

    dataset: str = "uci-har"
    """``uci-har``, ``hapt`` (own windows of the same recordings, without transitions) or ``synthetic``."""
    channels: Literal["raw6", "uci9"] = "raw6"
    """``raw6``: what a phone delivers. ``uci9``: as published, body acceleration precomputed; not exportable."""
    validation_subjects: tuple[int, ...] = Field(min_length=1)
    """Training subjects set aside to choose the epoch; never test subjects."""


class FrontendConfig(_Section):
    """The layer from sensor values to network inputs; part of the model, fitted on training subjects, exported."""

    compressed: bool = True
    """Add asinh(x / small) copies of body acceleration and angular velocity, which show what happens near rest."""


class ModelConfig(_Section):
    """Which registered network, and the options of its constructor (checked by the registry)."""

    name: str
    options: dict[str, Any] = {}


class TrainingConfig(_Section):
    """The budget; the same for every model that is compared."""

    seed: int = Field(default=0, ge=0)
    epochs: int = Field(default=30, ge=1)
    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    gradient_clip_norm: float = Field(default=1.0, gt=0)
    patience: int = Field(default=10, ge=1)
    """Epochs without a better validation macro-F1 before training stops."""
    threads: int = Field(default=2, ge=1)
    """CPU threads. Fixed, because the order of summation, and so the last digit, depends on it."""


class AugmentationConfig(_Section):
    """Random changes of the training windows, drawn anew each epoch; 0 is off. Applied in this order.

    What each does stands in ``har/data/transforms.py`` and ``har/data/mixing.py``.
    """

    crop: float = Field(default=0.0, ge=0, lt=1)
    """Largest share of a window that is cut away; the rest is stretched to full length."""
    time_warp: float = Field(default=0.0, ge=0, le=1)
    """Standard deviation of the logarithm of the speed at which time passes, at the knots of a smooth curve."""
    permutation_cuts: int = Field(default=0, ge=0, le=15)
    """Cuts of a window into pieces that are put in a random order."""
    rotation_deg: float = Field(default=0.0, ge=0, le=180)
    """Largest angle of a rotation about a random axis, degrees; the same for all triads of a window."""
    scaling: float = Field(default=0.0, ge=0, le=0.3)
    """Standard deviation of the gain of each sensor axis around 1."""
    magnitude_warp: float = Field(default=0.0, ge=0, le=0.3)
    """Standard deviation of a gain that drifts within the window, at the knots of a smooth curve around 1."""
    jitter_acc_g: float = Field(default=0.0, ge=0, le=1)
    """Root mean square of white noise on acceleration, g."""
    jitter_gyro_rad_s: float = Field(default=0.0, ge=0, le=5)
    """Root mean square of white noise on angular velocity, rad/s."""
    channel_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability that an axis of a sensor reads zero for the whole window."""
    sensor_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability that a sensor, accelerometer or gyroscope, reads zero for the whole window."""
    mixup_alpha: float = Field(default=0.0, ge=0, le=10)
    """Both parameters of the Beta distribution of the share in which two windows and their labels are averaged."""
    cutmix_alpha: float = Field(default=0.0, ge=0, le=10)
    """The same for the share of a window, and of its label, that is not replaced by a stretch of another window."""


class RunConfig(_Section):
    """One training run."""

    data: DataConfig
    frontend: FrontendConfig = FrontendConfig()
    model: ModelConfig
    augmentation: AugmentationConfig = AugmentationConfig()
    training: TrainingConfig = Field(default_factory=TrainingConfig)

    def with_overrides(self, **overrides: Any) -> "RunConfig":
        """A copy with values replaced, named ``section__key``; None leaves a value as it is.

        Raises:
            HarError: a value is not valid.
        """
        content = self.model_dump()
        for name, value in overrides.items():
            if value is not None:
                section, key = name.split("__")
                content[section][key] = value
        return parse_config(content, "command line")

    def to_yaml(self) -> str:
        """The whole config as YAML, defaults included."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_config(path: Path | str) -> RunConfig:
    """Read a YAML file.

    Raises:
        HarError: the file is missing, is not YAML, or has an unknown key or a wrong value.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HarError(f"cannot read the config {path} ({error.strerror}); expected a YAML file such as configs/cnn1d.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HarError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise HarError(f"{path} holds {type(content).__name__}, expected the sections {', '.join(RunConfig.model_fields)}")
    return parse_config(content, str(path))


def parse_config(content: dict[str, Any], origin: str) -> RunConfig:
    """Check a config that was read from `origin`.

    Raises:
        HarError: with the place, what was found and the nearest valid name.
    """
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        raise HarError(f"{origin}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {place!r}; {nearest(str(first['loc'][-1]), _keys_at(first['loc'][:-1]))}"
    if first["type"] == "missing":
        return f"key {place!r} is missing"
    return f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}, found {first['input']!r}"


def _keys_at(place: tuple[int | str, ...]) -> list[str]:
    section: Any = RunConfig
    for part in place:
        annotation = section.model_fields[str(part)].annotation
        section = (
            next((a for a in get_args(annotation) if isinstance(a, type)), annotation)
            if isinstance(annotation, types.UnionType)
            else annotation
        )
    return list(section.model_fields)
