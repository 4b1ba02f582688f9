"""Typed configs: one YAML file describes a run. Unknown keys and wrong types are refused with what was expected."""

import types
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from har.contract import WINDOW_SIZE, HarError, nearest


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


SENSELESS = "senseless"  # the kind of an error that concerns several keys of a section at once


class SplitConfig(_Section):
    """Who trains, who chooses and who is reported; every kind splits by subject."""

    kind: Literal["official", "fold5", "kfold", "loso", "file"] = "official"
    """``official``: as published. ``fold5``: the project's fixed folds, ``(subject - 1) mod 5``. ``kfold``: folds of
    subjects, stratified over activities. ``loso``: leave one subject out. ``file``: as saved in JSON."""
    fold: int = Field(default=0, ge=0)
    """Which fold is the test part, from 0; with ``loso`` the place of the subject among the sorted subjects."""
    folds: int = Field(default=5, ge=2)
    """How many, with ``kfold``."""
    subjects: Literal["training", "all"] | None = None
    """Whose folds: the 21 official training subjects (the default of ``kfold`` and ``loso``; here ideas are chosen) or
    all 30 (the default of ``fold5``; a report, which opens official test subjects)."""
    validation: int = Field(default=4, ge=1)
    """How many subjects of a fold's training part choose the epoch; never official test subjects."""
    seed: int = Field(default=0, ge=0)
    """Of the folds of ``kfold`` and of the choice of validation subjects."""
    path: str | None = None
    """The JSON file, with ``file``."""

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> Self:
        used = {
            "official": (),
            "fold5": ("fold", "subjects", "validation", "seed"),
            "kfold": ("fold", "folds", "subjects", "validation", "seed"),
            "loso": ("fold", "subjects", "validation", "seed"),
            "file": ("fold", "path"),
        }[self.kind]
        for name, field in type(self).model_fields.items():
            if name not in ("kind", *used) and getattr(self, name) != field.default:
                raise PydanticCustomError(SENSELESS, f"{name} has no meaning for kind {self.kind!r}; remove it")
        if self.kind == "file" and not self.path:
            raise PydanticCustomError(SENSELESS, "kind 'file' needs path, the JSON file of the split")
        count = {"fold5": 5, "kfold": self.folds}.get(self.kind)
        if count is not None and self.fold >= count:
            raise PydanticCustomError(SENSELESS, f"fold {self.fold} of {count} folds is asked for; expected 0 to {count - 1}")
        return self

    @property
    def suffix(self) -> str:
        """What a run's name ends with, so that two folds never overwrite each other; nothing for the official split."""
        what = {"kfold": f"kfold{self.folds}", "file": Path(self.path or "").stem}.get(self.kind, self.kind)
        return "" if self.kind == "official" else "-" + "-".join(filter(None, (what, self.subjects, str(self.fold))))


class DataConfig(_Section):
    """Which windows, and who validates."""

    dataset: str = "uci-har"
    """``uci-har``, ``hapt`` (own windows of the same recordings, without transitions) or ``synthetic``."""
    channels: Literal["raw6", "uci9"] = "raw6"
    """``raw6``: what a phone delivers. ``uci9``: as published, body acceleration precomputed; not exportable."""
    difficulty: float | None = Field(default=None, ge=0, le=2)
    """Of the synthetic data set, from 0 (easy) over 1 (the default) to 2 (hard)."""
    validation_subjects: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """Of the official split: training subjects set aside to choose the epoch; never test subjects."""
    split: SplitConfig = SplitConfig()
    """Other kinds of split choose their validation subjects themselves."""

    @model_validator(mode="after")
    def _only_synthetic_data_have_a_difficulty(self) -> Self:
        if self.difficulty is not None and self.dataset != "synthetic":
            raise PydanticCustomError(SENSELESS, f"difficulty has no meaning for dataset {self.dataset!r}, only for 'synthetic'; remove it")
        return self

    @model_validator(mode="after")
    def _validation_subjects_belong_to_the_official_split(self) -> Self:
        official = self.split.kind == "official"
        if official and self.validation_subjects is None:
            raise PydanticCustomError(SENSELESS, "key 'validation_subjects' is missing; the official split needs some training subjects")
        if not official and self.validation_subjects is not None:
            text = f"validation_subjects belongs to the official split; kind {self.split.kind!r} chooses its own: remove it"
            raise PydanticCustomError(SENSELESS, text)
        return self

    @property
    def suffix(self) -> str:
        """What a run's name ends with, so that other data or another fold never overwrite it; nothing for the defaults."""
        hard = "" if self.difficulty in (None, 1) else f"-difficulty{self.difficulty:g}"
        return hard + self.split.suffix


class WindowingConfig(_Section):
    """How continuous recordings are cut; the defaults give the published windows of UCI HAR."""

    kind: Literal["rolling", "reshape"] = "rolling"
    """``rolling``: windows a stride apart. ``reshape``: one after the other, without overlap."""
    window_size: int = Field(default=WINDOW_SIZE, ge=16)
    """Samples in a window; the leakage audit compares runs of 16."""
    stride: int | None = Field(default=None, ge=1)
    """Samples between the starts of two windows; by default half a window, with ``reshape`` a whole one."""
    label_rule: Literal["majority", "last", "centre"] = "majority"
    """Which samples name a window that holds several labels."""
    min_purity: float = Field(default=0.0, ge=0, le=1)
    """Least share of a window's recorded samples with its label; less pure windows are left out."""
    padding: Literal["none", "zero", "edge"] = "none"
    """Of a partial window at the end of a stretch: left out, filled with zeros, or with its last sample."""
    min_recorded: float = Field(default=0.5, gt=0, le=1)
    """Least share of a padded window that was recorded."""
    cross_labels: bool = False
    """Whether a window may hold a change of label. No window ever crosses a recording or a gap."""

    @model_validator(mode="after")
    def _reshape_has_no_stride(self) -> Self:
        if self.kind == "reshape" and self.stride not in (None, self.window_size):
            text = f"kind 'reshape' has the stride of a whole window, {self.window_size}, found {self.stride}; remove stride"
            raise PydanticCustomError(SENSELESS, text)
        return self

    @property
    def step(self) -> int:
        """The stride in samples, whether it was given or not."""
        return self.stride or (self.window_size if self.kind == "reshape" else max(1, self.window_size // 2))

    def settings(self) -> dict[str, Any]:
        """Everything that decides which windows are cut, for the key of the cache."""
        return self.model_dump(exclude={"kind", "stride"}) | {"stride": self.step}


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
    windowing: WindowingConfig = WindowingConfig()
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

    def with_split(self, **split: Any) -> "RunConfig":
        """A copy with another split than the official one, which chooses its own validation subjects.

        Raises:
            HarError: an option of the split is not valid.
        """
        content = self.model_dump()
        content["data"] |= {"split": split, "validation_subjects": None}
        return parse_config(content, "split")

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
    if first["type"] == SENSELESS:
        return f"{place}: {first['msg']}"
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
