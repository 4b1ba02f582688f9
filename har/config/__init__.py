"""Typed configs: one YAML file describes a run. Unknown keys and wrong types are refused with what was expected."""

import math
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from har.contract import LABELS, MEASURED, WINDOW_SIZE, WITH_TRANSITIONS
from har.errors import HarError, nearest
from har.files import read_small

MAX_WINDOW, MAX_STRIDE = 4096, 65_536  # samples
MAX_SEED = 2**32 - 1  # of numpy's and scikit-learn's generators
M = TypeVar("M", bound=BaseModel)
SENSELESS = "senseless"  # the kind of an error that concerns several keys of a section at once


class Section(BaseModel):
    """A part of a config: unknown keys and values that are no numbers are refused, and nothing changes it afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def _refused(self) -> Iterator[tuple[object, str]]:
        """Keys that do not go together: whether that is so here, and what to write instead."""
        yield from ()

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        for wrong, text in self._refused():
            if wrong:
                raise PydanticCustomError(SENSELESS, text)
        return self


class SplitConfig(Section):
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
    all 30 (the default of ``fold5``; a report, which opens official test subjects). Of other people than UCI HAR's, all."""
    validation: int | None = Field(default=None, ge=0)
    """How many subjects of a fold's training part validate, never official test subjects; 0 with ``training.keep: last``.
    By default 4, or a quarter of them where that is less."""
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    """Of the folds of ``kfold`` and of the choice of validation subjects."""
    path: str | None = None
    """The JSON file, with ``file``."""

    def _refused(self) -> Iterator[tuple[object, str]]:
        used = {
            "official": (),
            "fold5": ("fold", "subjects", "validation", "seed"),
            "kfold": ("fold", "folds", "subjects", "validation", "seed"),
            "loso": ("fold", "subjects", "validation", "seed"),
            "file": ("fold", "path"),
        }[self.kind]
        for name, field in type(self).model_fields.items():
            changed = name not in ("kind", *used) and getattr(self, name) != field.default
            yield changed, f"{name} has no meaning for kind {self.kind!r}; remove it"
        yield self.kind == "file" and not self.path, "kind 'file' needs path, the JSON file of the split"
        if count := {"fold5": 5, "kfold": self.folds}.get(self.kind):
            yield self.fold >= count, f"fold {self.fold} of {count} folds is asked for; expected 0 to {count - 1}"

    @property
    def suffix(self) -> str:
        """What a run's name ends with, so that two folds never overwrite each other; nothing for the official split."""
        what = {"kfold": f"kfold{self.folds}", "file": Path(self.path or "").stem}.get(self.kind, self.kind)
        return "" if self.kind == "official" else "-" + "-".join(filter(None, (what, self.subjects, str(self.fold))))


class DataConfig(Section):
    """Which windows, and who validates."""

    dataset: str = "uci-har"
    """``uci-har``, ``hapt`` (own windows of the same recordings), ``synthetic``, or one of `har.data.loaders`."""
    channels: Literal["raw6", "uci9", "acc3"] = "raw6"
    """``raw6``: what a phone delivers. ``acc3``: its accelerometer alone. ``uci9``: as published, body acceleration precomputed; not
    exportable."""
    difficulty: float | None = Field(default=None, ge=0, le=2)
    """Of the synthetic data set, from 0 (easy) over 1 (the default) to 2 (hard)."""
    transitions: Literal["drop", "keep", "unknown"] = "drop"
    """HAPT's postural transitions: no window, six classes behind the six activities, or one; such a run has its own name."""
    validation_subjects: tuple[int, ...] | None = None
    """Of the official split: training subjects set aside; with none, ``[]``, all 21 train (``training.keep: last``)."""
    split: SplitConfig = SplitConfig()
    """Other kinds of split choose their validation subjects themselves."""

    def _refused(self) -> Iterator[tuple[object, str]]:
        text = f"transitions is {self.transitions!r}, but {self.dataset} has none; they are in {', '.join(WITH_TRANSITIONS)} alone"
        unknown = self.transitions != "drop" and self.dataset not in WITH_TRANSITIONS
        yield unknown, text + ": use --dataset hapt, or transitions: drop"
        text = f"difficulty has no meaning for dataset {self.dataset!r}, only for 'synthetic'; remove it"
        yield self.difficulty is not None and self.dataset != "synthetic", text
        official, named = self.split.kind == "official", self.validation_subjects is not None
        yield official and not named, "key 'validation_subjects' is missing; the official split needs some training subjects"
        text = f"validation_subjects belongs to the official split; kind {self.split.kind!r} chooses its own: remove it"
        yield named and not official, text

    @property
    def suffix(self) -> str:
        """What a run's name ends with, so that other data or another fold never overwrite it; nothing for the defaults."""
        hard = "" if self.difficulty in (None, 1) else f"-difficulty{self.difficulty:g}"
        refit = "-refit" if self.split.kind == "official" and self.validation_subjects == () else ""
        return hard + refit + self.split.suffix


class WindowingConfig(Section):
    """How continuous recordings are cut; the defaults give the published windows of UCI HAR."""

    kind: Literal["rolling", "reshape"] = "rolling"
    """``rolling``: windows a stride apart. ``reshape``: one after the other, without overlap."""
    window_size: int = Field(default=WINDOW_SIZE, ge=16, le=MAX_WINDOW)
    """Samples in a window. The leakage audit compares runs of 16; the first layer holds a matrix of this size squared."""
    stride: int | None = Field(default=None, ge=1, le=MAX_STRIDE)
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

    def _refused(self) -> Iterator[tuple[object, str]]:
        text = f"kind 'reshape' has the stride of a whole window, {self.window_size}, found {self.stride}; remove stride"
        yield self.kind == "reshape" and self.stride not in (None, self.window_size), text

    @property
    def step(self) -> int:
        """The stride in samples, whether it was given or not."""
        return self.stride or (self.window_size if self.kind == "reshape" else max(1, self.window_size // 2))

    def settings(self) -> dict[str, Any]:
        """Everything that decides which windows are cut, for the key of the cache."""
        return self.model_dump(exclude={"kind", "stride"}) | {"stride": self.step}


class FrontendConfig(Section):
    """The layer from sensor values to network inputs; part of the model, fitted on training subjects, exported."""

    axes: Literal["sensor", "gravity"] = "sensor"
    """As the phone delivers them, or turned so that the window's mean acceleration points along x, for any mounting; of raw6 and
    acc3, and of models that name the activity of a window."""
    compression: tuple[Annotated[float, Field(gt=0)], ...] = (1.0,)
    """Scales of the added asinh(x / scale) copies of body acceleration and angular velocity, which show what happens near rest,
    in units of 0.01 g and 0.03 rad/s; ``[]`` adds none."""
    differences: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Scales of added asinh(d / scale) copies of the difference d to the sample before, in the same units a sample."""


class ModelConfig(Section):
    """Which registered network, and the options of its constructor (checked by the registry)."""

    name: str
    options: dict[str, Any] = {}
    members: int = Field(default=1, ge=1, le=16)
    """Networks of the same kind that are trained side by side and whose probabilities are averaged, in one model."""


class ClassifyConfig(Section):
    """Name the activity of a window; it has no options."""

    name: Literal["window"] = "window"


class MountingConfig(Section):
    """Estimate how the phone is worn; it has no options."""

    name: Literal["mounting"]


class ForecastConfig(Section):
    """Predict the end of a window from its beginning."""

    name: Literal["forecast"]
    horizon: int = Field(default=50, ge=1, le=2048)
    """Samples at the end of a window that are predicted from those before them."""


class SequenceConfig(Section):
    """Name the activity of every sample of a recording."""

    name: Literal["sequence"]
    chunk: int = Field(default=128, ge=2, le=65_536)
    """Samples of a recording in a training step; gradients go no further back (truncated back-propagation)."""
    carry_state: bool = False
    """Lay the recordings end to end in ``training.batch_size`` lanes and start each chunk from the final state of the one before it; else
    chunks come in random order and start from zero."""


class GenerateConfig(Section):
    """Generate windows of an activity."""

    name: Literal["generate"]
    judge_epochs: int = Field(default=8, ge=1, le=1000)
    """Epochs of the classifiers that judge the generated windows."""


class ReconstructConfig(Section):
    """Reconstruct windows, and find unknown activities by the error."""

    name: Literal["reconstruct"]
    held_out: tuple[str, ...] = ()
    """Activities without training or validation windows, to be found unknown; transitions always are."""
    false_alarms: float = Field(default=0.05, gt=0, lt=0.5)
    """Share of the everyday windows of the validation subjects that the threshold calls unknown."""

    def _refused(self) -> Iterator[tuple[object, str]]:
        for name in self.held_out:
            yield name not in LABELS, f"held_out has no activity {name!r}; {nearest(name, LABELS)}"
        yield set(self.held_out) == set(LABELS), "held_out names all activities; leave some to train on"
        yield len(set(self.held_out)) < len(self.held_out), "held_out names an activity twice; remove one"


TaskConfig = Annotated[
    ClassifyConfig | SequenceConfig | ForecastConfig | ReconstructConfig | GenerateConfig | MountingConfig, Field(discriminator="name")
]


class TrainingConfig(Section):
    """The budget; the same for every model that is compared."""

    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    epochs: int = Field(default=30, ge=1, le=100_000)
    batch_size: int = Field(default=64, ge=2, le=65_536)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    gradient_clip_norm: float = Field(default=1.0, gt=0)
    keep: Literal["best", "last"] = "best"
    """Whose weights: of the epoch with the best validation macro-F1, or of the last; validation subjects then only watch."""
    patience: int = Field(default=10, ge=1)
    """With ``keep: best``: epochs without a better validation macro-F1 before training stops."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """``bfloat16``: in training the network, not the frontend, computes products in bfloat16 (mixed precision), where that is faster;
    weights, validation and everything that is scored or exported stay float32. Of models that name the activity of a window."""
    threads: int = Field(default=2, ge=1, le=256)
    """CPU threads. Fixed, because the order of summation, and so the last digit, depends on it."""


class AugmentationConfig(Section):
    """Random changes of the training windows, drawn anew each epoch; 0 is off. Applied in this order.

    What each does stands in ``har/data/augmentation.py``.
    """

    crop: float = Field(default=0.0, ge=0, lt=1)
    """Largest share of a window that is cut away; the rest is stretched to full length."""
    time_warp: float = Field(default=0.0, ge=0, le=1)
    """Standard deviation of the logarithm of the speed at which time passes, at the knots of a smooth curve."""
    permutation_cuts: int = Field(default=0, ge=0, le=15)
    """Cuts of a window into pieces that are put in a random order."""
    mirror: float = Field(default=0.0, ge=0, le=1)
    """Probability that a window is reflected left to right, as if the phone were worn on the other hip."""
    turn_deg: float = Field(default=0.0, ge=0, le=180)
    """Largest angle of a rotation about the phone's long axis, which points up at the waist, degrees."""
    tilt_deg: float = Field(default=0.0, ge=0, le=90)
    """Largest angle by which the phone's long axis leans to a random side, degrees."""
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
    bias_gyro_rad_s: float = Field(default=0.0, ge=0, le=1)
    """Standard deviation of a constant error of each axis of the gyroscope, rad/s; acc3 has none, so nothing changes there."""
    channel_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability that an axis of a sensor reads zero for the whole window."""
    sensor_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability that a sensor, accelerometer or gyroscope, reads zero for the whole window."""
    mixup_alpha: float = Field(default=0.0, ge=0, le=10)
    """Both parameters of the Beta distribution of the share in which two windows and their labels are averaged."""
    cutmix_alpha: float = Field(default=0.0, ge=0, le=10)
    """The same for the share of a window, and of its label, that is not replaced by a stretch of another window."""


class RunConfig(Section):
    """One training run."""

    data: DataConfig
    windowing: WindowingConfig = WindowingConfig()
    frontend: FrontendConfig = FrontendConfig()
    model: ModelConfig
    augmentation: AugmentationConfig = AugmentationConfig()
    task: TaskConfig = ClassifyConfig()
    """``name`` says which task, and so which other keys there are; the registry says which task a model is for."""
    training: TrainingConfig = Field(default_factory=TrainingConfig)

    def _refused(self) -> Iterator[tuple[object, str]]:
        nobody = self.data.validation_subjects == () if self.data.split.kind == "official" else self.data.split.validation == 0
        unwatched = nobody and self.training.keep == "best" and self.data.split.kind != "file"
        yield unwatched, "data.validation_subjects: nobody chooses the epoch; set training.keep: last"
        for key, value, default in (("model.members", self.model.members, 1), ("frontend.axes", self.frontend.axes, "sensor")):
            text = f"{key}: {value} has no effect for the task {self.task.name}, only for the task window; remove it"
            yield self.task.name != "window" and value != default, text
        turned = self.frontend.axes == "gravity" and self.data.channels not in MEASURED
        yield turned, "frontend.axes: gravity turns raw sensors; set data.channels: raw6"
        alone, task = self.data.channels == "acc3", self.task.name
        text = f"data.channels: acc3 is for the tasks window and reconstruct; the task {task} needs a gyroscope: set data.channels: raw6"
        yield alone and task not in ("window", "reconstruct"), text
        text = "augmentation.sensor_dropout zeroes whole windows of data.channels acc3, which has one sensor; set it to 0"
        yield alone and self.augmentation.sensor_dropout > 0, text

    def with_overrides(self, **overrides: Any) -> "RunConfig":
        """A copy with values replaced, named ``section__key``; None leaves a value as it is.

        Raises:
            HarError: there is no such key, or a value is not valid.
        """
        change = {name.replace("__", "."): value for name, value in overrides.items() if value is not None}
        return self.changed(change, "command line")

    def changed(self, change: dict[str, Any], origin: str) -> "RunConfig":
        """A copy with values replaced, named by dotted keys such as ``training.epochs``.

        Args:
            change: values by key.
            origin: where they come from, for messages.

        Raises:
            HarError: there is no such key, or a value is not valid.
        """
        content = self.model_dump()
        for name, value in change.items():
            *sections, key = name.split(".")
            place = content
            for section in sections:
                if not isinstance(place.get(section), dict):
                    known = [section for section, value in content.items() if isinstance(value, dict)]
                    hint = nearest(section, known) if place is content else "expected SECTION.KEY, such as training.epochs"
                    raise HarError("config", f"{origin}: {name!r} names no section of a config; {hint}")
                place = place[section]
            place[key] = value
        return parse_config(content, origin)

    def with_split(self, **split: Any) -> "RunConfig":
        """A copy with another split than the official one, which chooses its own validation subjects.

        Raises:
            HarError: an option of the split is not valid.
        """
        return self.changed({"data.split": split, "data.validation_subjects": None}, "split")

    def recipe(self) -> dict[str, Any]:
        """The whole config without the seed, in plain values: what two trainings share whose scores may be averaged."""
        return self.model_dump(mode="json", exclude={"training": {"seed"}})

    def to_yaml(self) -> str:
        """The whole config as YAML, defaults included."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_config(path: Path | str) -> RunConfig:
    """Read a YAML file.

    Raises:
        HarError: the file is missing, is not YAML, or has an unknown key or a wrong value.
    """
    path = Path(path)
    content = read_yaml(path, "config", "configs/cnn1d.yaml")
    if not isinstance(content, dict):
        raise HarError("config", f"{path} holds {type(content).__name__}, expected the sections {', '.join(RunConfig.model_fields)}")
    return parse_config(content, str(path))


def parse_config(content: dict[str, Any], origin: str) -> RunConfig:
    """Check a config that was read from `origin`.

    Raises:
        HarError: as `checked`.
    """
    return checked(RunConfig, content, origin)


def checked(kind: type[M], content: Any, origin: str) -> M:
    """A section, or all of a file, that was read from `origin`.

    Raises:
        HarError: with the place, what was found and the nearest valid name.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise HarError("config", f"{origin}: {_explained(error, kind)}") from None


def _explained(error: ValidationError, root: type[BaseModel]) -> str:
    """The first fault that pydantic found in a `root`: its place, and what was expected or the nearest valid name."""
    found = error.errors()
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])  # a misspelt key is also a missing one
    keys, section = _at(root, first["loc"])
    place = ".".join(keys)
    if first["type"] == "extra_forbidden":
        return f"unknown key {place!r}; {nearest(keys[-1], list(section.model_fields))}"
    if first["type"] == "missing":
        return f"key {place!r} is missing"
    if first["type"] == "union_tag_not_found":
        return f"key '{place}.{first['ctx']['discriminator'][1:-1]}' is missing; it says which other keys there are"
    if first["type"] == "union_tag_invalid":
        return f"{place}.name is {first['ctx']['tag']!r:.80}; expected one of {first['ctx']['expected_tags']}"
    if first["type"] == SENSELESS:
        return f"{place}: {first['msg']}".removeprefix(": ")
    return f"{place or 'the file'}: {first['msg'][0].lower()}{first['msg'][1:]}, found {first['input']!r:.80}"


def _at(root: type[BaseModel], place: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel]]:
    """The keys of a place in a `root` as the file has them, and the section that holds the last one."""
    keys, section, kinds = [], root, dict[str | int, type[BaseModel]]()
    for part in place:
        if part in kinds:  # pydantic's word for which kind of a section it is; no key of the file
            section, kinds = kinds[part], {}
            continue
        keys.append(str(part))
        if part in section.model_fields and len(keys) < len(place):  # else the name of an entry of a dict of sections
            found = _sections_in(section.model_fields[str(part)].annotation)
            kinds = {get_args(each.model_fields["name"].annotation)[0]: each for each in found} if len(found) > 1 else {}
            section = found[0] if found else section
    return keys, section


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a field holds: itself, the kinds it can be, or the values of a dict."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for each in get_args(annotation) for found in _sections_in(each)]


MAX_BYTES = 100_000
MAX_VALUES = 10_000  # aliases repeat what they name: a file of ten lines can hold 10^9 values
MAX_DEPTH = 20
MAX_DIGITS = 30


class _Loader(yaml.SafeLoader):
    """Refuses a key that appears twice, of which YAML keeps the last; reads a date as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 # as PyYAML declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":  # it hides duplicates, and a few lines of it make 10^9 keys
                raise HarError("config", f"line {line}: the merge key << is not supported; write the keys out")
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise HarError(
                    "config", f"line {line}: the key {key!r:.80} is not text; expected a name, in quotes where YAML reads something else"
                )
            if key in lines:
                raise HarError("config", f"line {line}: the key {key!r:.80} was already given in line {lines[key]}; remove one of the two")
            lines[key] = line
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
            if not isinstance(node, yaml.ScalarNode):
                raise
            # PyYAML makes numbers of text such as 0x_ by int(), which raises its own errors.
            reason = str(error).split(";")[0]
            raise HarError(
                "config", f"line {node.start_mark.line + 1}: {node.value!r:.40} cannot be read as {node.tag.split(':')[-1]} ({reason})"
            ) from None


def read_yaml(path: Path, what: str, example: str) -> Any:
    """Read a YAML file.

    Args:
        path: of the file.
        what: it is, for messages: ``config``.
        example: of such a file, for messages.

    Returns:
        Text, numbers, booleans, None, lists, and dicts with text keys.

    Raises:
        HarError: it is missing, too large or not YAML, a key appears twice, or a value is none of these.
    """
    try:
        content = _Loader(read_small(path, f"a {what}: a YAML file such as {example}", MAX_BYTES)).get_single_data()
    except OSError as error:
        raise HarError("config", f"cannot read the {what} {path} ({error.strerror}); expected a YAML file such as {example}") from None
    except HarError as error:
        raise HarError("config", f"{path}, {error}" if str(error).startswith("line ") else str(error)) from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise HarError("config", f"{path} is not valid YAML: {' '.join(str(error).split()) or type(error).__name__}") from None
    _check(content, path)
    return content


def _check(content: Any, path: Path) -> None:
    """Refuse values that a config cannot hold, and more values than a config has."""
    waiting, count = [(content, "", 0)], 0
    while waiting:
        value, place, depth = waiting.pop()
        count += 1
        if count > MAX_VALUES or depth > MAX_DEPTH:
            raise HarError(
                "config", f"{path} holds more than {MAX_VALUES:,} values, or more than {MAX_DEPTH} levels, aliases counted; make it smaller"
            )
        parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        waiting += [(each, f"{place}.{key}" if place else str(key), depth + 1) for key, each in parts]
        for text in value if isinstance(value, dict) else [value]:
            if isinstance(text, str) and any("\ud800" <= sign <= "\udfff" for sign in text):
                raise HarError("config", f"{path}: {place}: {text!r:.80} is not text that can be written as UTF-8")
        if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
            raise HarError(
                "config", f"{path}: {place}: a whole number of {math.log10(abs(value)):.0f} digits; expected at most {MAX_DIGITS}"
            )
        if value is not None and not isinstance(value, dict | list | str | int | float):
            raise HarError(
                "config", f"{path}: {place}: found a {type(value).__name__}; expected text, a number, true, false, a list or a section"
            )
