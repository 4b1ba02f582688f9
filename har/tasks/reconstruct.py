"""The task ``reconstruct``: windows told again from a few numbers, and those that are unlike all that was taught."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors

from har.config import ReconstructConfig, RunConfig
from har.contract import LABELS
from har.data.windowset import WindowSet
from har.errors import HarError
from har.evaluation.predictions import Origin
from har.exporting.onnx_file import export_novelty, novelty_parity
from har.models.reconstructor import PROTOTYPES, Reconstructor
from har.reporting import data_title
from har.tasks.base import TaskData, TaskScore, WindowTask, options_of, spread_windows, tensor
from har.training.fit import module_settings

EVERYDAY, HELD_OUT, TRANSITION = "everyday", "held_out", "transition"
KINDS = {HELD_OUT: (HELD_OUT,), TRANSITION: (TRANSITION,), "novel": (HELD_OUT, TRANSITION)}  # name of a score -> what counts as novel
RIDGE = 1e-3  # added to the diagonal of a correlation matrix, so that it can be inverted
FAINT = 1e-3  # g or rad/s, added to a standard deviation before its logarithm; sensor noise is some 2e-3
COLOURS = {EVERYDAY: "tab:gray", HELD_OUT: "tab:orange", TRANSITION: "tab:blue"}
PARITY_WINDOWS = 256


class Reconstruct(WindowTask[Reconstructor]):
    """Learn everyday windows; find activities that were held out, and postural transitions, by the error of the reconstruction.

    Training and validation see everyday windows alone; what is held out and every transition is in the test part, whose subjects are
    neither.
    """

    name, primary, higher_is_better = "reconstruct", "rmse", False
    module = Reconstructor
    intervals = True

    def load(self, config: RunConfig, archive: Path | str | None) -> TaskData:
        data = super().load(config, archive)  # audited with all windows
        if "validation" not in data.parts:
            raise HarError(
                "config",
                "nobody validates, but the threshold of what is unknown is fitted on validation subjects; "
                "set data.split.validation or data.validation_subjects",
            )
        parts = {name: part if name == "test" else part.subset(kinds(part, config) == EVERYDAY) for name, part in data.parts.items()}
        found = set(kinds(data.parts["test"], config))
        if found == {EVERYDAY}:
            raise HarError(
                "config",
                f"{data.dataset}: nothing is novel to the test subjects; name activities in task.held_out, "
                "or use dataset hapt with data.transitions: unknown",
            )
        if len(parts["train"]) < PROTOTYPES or not len(parts["validation"]):
            raise HarError(
                "config",
                f"{data.dataset}: {len(parts['train'])} everyday windows train and {len(parts['validation'])} validate, expected at least "
                f"{PROTOTYPES} and 1; hold fewer activities out",
            )
        return replace(data, parts=parts, counts={name: len(part) for name, part in parts.items()})

    def build(self, config: RunConfig, data: TaskData) -> Reconstructor:
        train: WindowSet = data.parts["train"]
        module = Reconstructor(**module_settings(config), channels=config.data.channels, window_size=train.window_size)
        module.spec = train.spec(config.windowing.step)
        module.frontend.fit(tensor(train))
        return module

    def finish(self, module: Reconstructor, config: RunConfig, data: TaskData) -> bool:
        module.fit_usual(tensor(data.parts["train"]))
        module.fit_threshold(tensor(data.parts["validation"]), options_of(config, ReconstructConfig).false_alarms)
        return True

    def score(self, module: Reconstructor, config: RunConfig, data: TaskData, part: str, origin: Origin) -> TaskScore:
        windows: WindowSet = data.parts[part]
        options = options_of(config, ReconstructConfig)
        x, kind = tensor(windows), kinds(windows, config)
        squared = module.squared_errors(x).double().numpy()
        own, threshold = module.predict(x).numpy(), float(module.threshold)
        values = {"rmse": float(np.sqrt(squared[kind == EVERYDAY].mean()))} | novelty_scores(own, kind, threshold)
        train, watched = (data.parts[name].x for name in ("train", "validation"))
        references = reference_scores(train, windows.x)
        limits = {name: float(np.quantile(found, 1 - options.false_alarms)) for name, found in reference_scores(train, watched).items()}
        beside = {name: novelty_scores(found, kind, limits[name]) for name, found in references.items()}
        subjects = novelty_by_subject({"": own} | references, kind, windows.subject, threshold)
        everyday = [np.sqrt(squared[(windows.subject == s) & (kind == EVERYDAY)].mean()) for s in subjects.subject]
        subjects.insert(2, "rmse", everyday)
        return TaskScore(values, subjects, beside)

    def export(self, module: Reconstructor, path: Path, metadata: dict[str, str], config: RunConfig, data: TaskData) -> float | None:
        export_novelty(module, path, metadata)
        return novelty_parity(module, path, spread_windows(data.parts["validation"], PARITY_WINDOWS))

    def figures(self, module: Reconstructor, config: RunConfig, data: TaskData, part: str, score: TaskScore) -> dict[str, Any]:
        windows: WindowSet = data.parts[part]
        held_out = ", ".join(options_of(config, ReconstructConfig).held_out) or "no activity"
        title = f"{config.model.name}: {data_title(data)}, {part} subjects, {held_out} held out"
        return {"novelty": novelty_figure(module.predict(tensor(windows)).numpy(), kinds(windows, config), float(module.threshold), title)}


def kinds(windows: WindowSet, config: RunConfig) -> np.ndarray:
    """(window,) ``everyday``, ``held_out``, or ``transition`` for any label beyond the six activities."""
    of_label = [
        HELD_OUT if name in options_of(config, ReconstructConfig).held_out else EVERYDAY if name in LABELS else TRANSITION
        for name in windows.labels
    ]
    return np.array(of_label)[windows.y]


def novelty_scores(score: np.ndarray, kind: np.ndarray, threshold: float | None) -> dict[str, float]:
    """How well a score tells novel windows from everyday ones.

    Args:
        score: (window,) the higher, the less usual.
        kind: (window,) ``everyday``, ``held_out`` or ``transition``.
        threshold: above which a window is called unknown; None leaves the last two of what is returned out.

    Returns:
        For each of ``held_out``, ``transition`` and, where both are there, ``novel`` (the two together): ``auroc_NAME`` (share of the
        pairs of a novel and an everyday window in which the novel one has the higher score), ``ap_NAME`` (average precision; chance
        gives ``share_NAME``, the share of novel windows) and ``detected_NAME`` (share above the threshold). ``false_alarms``: share
        of everyday windows above it. What has no windows, or no everyday ones beside them, is left out.
    """
    found: dict[str, float] = {}
    everyday = kind == EVERYDAY
    if threshold is not None and everyday.any():
        found["false_alarms"] = float((score[everyday] > threshold).mean())
    for name, kinds in KINDS.items():
        novel = np.isin(kind, kinds)
        if not novel.any() or (len(kinds) > 1 and len(set(kind[novel])) < len(kinds)):
            continue
        if everyday.any():
            part = novel | everyday
            found[f"auroc_{name}"] = float(roc_auc_score(novel[part], score[part]))
            found[f"ap_{name}"] = float(average_precision_score(novel[part], score[part]))
            found[f"share_{name}"] = float(novel[part].mean())
        if threshold is not None:
            found[f"detected_{name}"] = float((score[novel] > threshold).mean())
    return found


def novelty_by_subject(scores: dict[str, np.ndarray], kind: np.ndarray, subject: np.ndarray, threshold: float | None) -> pd.DataFrame:
    """A row a subject: the scores of his own novel windows against his own everyday windows.

    Args:
        scores: (window,) each by the name of the system; the first is the network's, whose columns are named as in `novelty_scores`,
            and those of the others, AUROC and average precision alone, end with ``_SYSTEM``.
        kind: as in `novelty_scores`.
        subject: (window,) number of the person.
        threshold: of the first.

    Returns:
        Columns ``subject``, ``windows`` and the scores; empty where a person has no such windows.
    """
    rows = []
    for person in np.unique(subject):
        own = subject == person
        row: dict[str, float] = {"subject": int(person), "windows": int(own.sum())}
        for number, (system, score) in enumerate(scores.items()):
            found = novelty_scores(score[own], kind[own], threshold if number == 0 else None)
            row |= found if number == 0 else {f"{name}_{system}": v for name, v in found.items() if not name.startswith("share_")}
        rows.append(row)
    return pd.DataFrame(rows)


def window_statistics(x: np.ndarray) -> np.ndarray:
    """(window, time, channel) -> (window, 2 * channel): the mean and the logarithm of the standard deviation of every channel."""
    x = np.asarray(x, dtype=np.float64)
    return np.concatenate((x.mean(axis=1), np.log(x.std(axis=1) + FAINT)), axis=1)


def reference_scores(train: np.ndarray, x: np.ndarray, acceleration: int = 3) -> dict[str, np.ndarray]:
    """Novelty scores that need no network.

    Args:
        train: (window, time, channel) everyday windows of the training subjects.
        x: (window, time, channel) windows to be scored.
        acceleration: how many of the first channels the energy is of.

    Returns:
        ``energy``: (window,) standard deviation of the acceleration, g. ``mahalanobis``: distance of the `window_statistics` from their
        mean, in deviations, correlations removed (Mahalanobis 1936). ``neighbour``: distance to the nearest training window in
        standardised `window_statistics` (Knorr and Ng 1998).
    """
    own, known = window_statistics(x), window_statistics(train)
    mean, std = known.mean(axis=0), known.std(axis=0) + 1e-9
    own, known = (own - mean) / std, (known - mean) / std
    inverse = np.linalg.inv(np.cov(known.T) + RIDGE * np.eye(known.shape[1]))
    return {
        "energy": np.sqrt(np.asarray(x, dtype=np.float64)[:, :, :acceleration].var(axis=1).sum(axis=1)),
        "mahalanobis": np.sqrt(np.einsum("ij,jk,ik->i", own, inverse, own)),
        "neighbour": NearestNeighbors(n_neighbors=1).fit(known).kneighbors(own)[0][:, 0],
    }


def novelty_figure(score: np.ndarray, kind: np.ndarray, threshold: float, title: str) -> Figure:
    """Left, how the scores of each kind of window are spread, with the threshold; right, the ROC curve of each kind of novelty."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    low, high = np.quantile(score, [0.001, 0.999])
    bins = np.linspace(low, max(high, low + 1e-6), 50)
    names = [name for name in COLOURS if (kind == name).any()]
    for name in names:
        share = np.full((kind == name).sum(), 1 / (kind == name).sum())
        own = np.clip(score[kind == name], low, high)
        left.hist(own, bins, weights=share, histtype="step", linewidth=1.5, color=COLOURS[name], label=name.replace("_", " "))
    left.axvline(threshold, color="black", linewidth=1, linestyle="--", label="threshold")
    left.set(xlabel="Novelty score, deviations above the usual", ylabel="Share of the windows")
    left.legend(fontsize=8)
    for name in names[1:] if names[:1] == [EVERYDAY] else ():
        part = np.isin(kind, (EVERYDAY, name))
        false, true, _ = roc_curve(kind[part] == name, score[part])
        area = roc_auc_score(kind[part] == name, score[part])
        right.plot(100 * false, 100 * true, color=COLOURS[name], label=f"{name.replace('_', ' ')}: AUROC {area:.3f}")
    right.plot([0, 100], [0, 100], color="0.8", linewidth=1)
    right.set(xlabel="Everyday windows called unknown (%)", ylabel="Novel windows called unknown (%)")
    if len(names) > 1:
        right.legend(fontsize=8, loc="lower right")
    figure.suptitle(title, fontsize=11)
    return figure
