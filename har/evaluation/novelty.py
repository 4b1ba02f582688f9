"""Are windows of what nobody taught told from everyday ones? Scores, references without a network, and their figure."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors

EVERYDAY, HELD_OUT, TRANSITION = "everyday", "held_out", "transition"
KINDS = {HELD_OUT: (HELD_OUT,), TRANSITION: (TRANSITION,), "novel": (HELD_OUT, TRANSITION)}  # name of a score -> what counts as novel
RIDGE = 1e-3  # added to the diagonal of a correlation matrix, so that it can be inverted
FAINT = 1e-3  # g or rad/s, added to a standard deviation before its logarithm; sensor noise is some 2e-3
COLOURS = {EVERYDAY: "tab:gray", HELD_OUT: "tab:orange", TRANSITION: "tab:blue"}


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
