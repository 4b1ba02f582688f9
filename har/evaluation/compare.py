"""One table over runs and seeds, recomputed from prediction files alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from har import reporting
from har.config import load_config
from har.contract import TRANSITION_LABELS
from har.errors import HarError
from har.evaluation.metrics import per_class, per_subject, scores
from har.evaluation.predictions import Predictions, by_run, name_trainings, read_predictions
from har.evaluation.statistics import mean_interval, subject_intervals, subject_scores
from har.reporting import spread

SPLITS = ("validation", "test")
CONFIG = "config.yaml"  # of a run folder


def collect(folder: Path, transitions: str | None = None) -> list[Predictions]:
    """All prediction files below `folder`, each run named so that one name is one training but for the seed (`name_trainings`).

    Args:
        folder: searched recursively.
        transitions: ``drop``, ``keep`` or ``unknown``: only files over these labels, see `har.contract.TRANSITION_LABELS`.

    Raises:
        HarError: there is none, they come from several data sets or are over different labels, or one run and seed appears twice.
    """
    pairs = [(path, read_predictions(path)) for path in prediction_files(folder)]
    if transitions is not None:
        pairs = [(path, item) for path, item in pairs if item.labels == list(TRANSITION_LABELS[transitions])]
        if not pairs:
            raise HarError(
                "run-missing", f"no prediction files over the labels of --transitions {transitions} below {folder}; train first: har train"
            )
    kinds = {kind: [p.origin.run for _, p in pairs if p.labels == list(labels)] for kind, labels in TRANSITION_LABELS.items()}
    if sum(map(bool, kinds.values())) > 1:
        names = "; ".join(f"{kind}: {', '.join(sorted(set(runs)))}" for kind, runs in kinds.items() if runs)
        raise HarError("not-comparable", f"{folder} mixes predictions over different labels ({names}); choose one kind with --transitions")
    found = name_trainings(_with_config(path, item) for path, item in pairs)
    digests = {p.origin.data_digest for p in found}
    if len(digests) > 1:
        names = ", ".join(sorted({f"{p.origin.dataset} ({p.origin.data_digest[:8]})" for p in found}))
        raise HarError("not-comparable", f"{folder} mixes predictions on {names}; compare one data set at a time")
    seen: dict[tuple[str, int, str], Path] = {}
    for (path, _), item in zip(pairs, found, strict=True):
        key = (item.origin.run, item.origin.seed, item.origin.split)
        if key in seen:
            raise HarError("not-comparable", f"{path} and {seen[key]} both hold {key[0]}, seed {key[1]}, {key[2]}; keep one")
        seen[key] = path
    return found


def _with_config(path: Path, item: Predictions) -> Predictions:
    """The predictions of an older version, which did not record the config, with that of the run folder they lie in."""
    config = path.parent / CONFIG
    if item.origin.config or not config.is_file():
        return item
    try:
        return replace(item, origin=replace(item.origin, config=load_config(config).recipe()))
    except HarError:  # of a version whose configs this one does not read: as if it were not there
        return item


def prediction_files(folder: Path) -> list[Path]:
    """All prediction files below `folder`.

    Raises:
        HarError: there is none.
    """
    # A folder with a dot in front is a training that is not finished; studies have folds and tables of their own.
    paths = [p for p in sorted(folder.rglob("predictions_*.parquet")) if not any(_left_out(n) for n in p.relative_to(folder).parts)]
    if not paths:
        raise HarError("run-missing", f"no prediction files below {folder}; train first: har train")
    return paths


def _left_out(name: str) -> bool:
    return name.startswith(".") or name == "studies"


def per_run(predictions: list[Predictions]) -> pd.DataFrame:
    """A row per run, seed and split: accuracy, macro-F1 and the worst subject's accuracy."""
    rows = []
    for item in predictions:
        origin = item.origin
        about, training = (
            ("run", "model", "seed", "split", "channels", "parameters"),
            ("best_epoch", "epochs", "train_seconds", "commit", "checkpoint_sha256"),
        )
        worst = per_subject(item).sort_values("accuracy", kind="stable").to_dict("records")[0]
        rows.append(
            {name: getattr(origin, name) for name in about}
            | scores(item)
            | {"worst_subject": int(worst["subject"]), "worst_subject_accuracy": float(worst["accuracy"])}
            | {name: getattr(origin, name) for name in training}
            | {"train_seconds": round(origin.train_seconds, 1)}
        )
    return pd.DataFrame(rows).sort_values(["run", "split", "seed"], ignore_index=True)


def summary(predictions: list[Predictions]) -> pd.DataFrame:
    """A row per run: mean and standard deviation over seeds of both splits, best validation macro-F1 first."""
    table = per_run(predictions)
    rows = []
    for run, group in table.groupby("run"):
        _check_subjects(str(run), predictions)
        for name in ("model", "channels", "parameters"):
            if group[name].nunique() > 1:
                found = ", ".join(map(str, group[name].unique()))
                raise HarError(
                    "not-comparable", f"the seeds of {run} differ in {name} ({found}) and are not comparable; train them with one config"
                )
        row: dict[str, object] = {
            "run": run,
            "channels": ", ".join(sorted(set(group.channels))),
            "parameters": int(group.parameters.max()),
            "train_seconds": float(_of_one_training(group).train_seconds.mean()),
        }
        for split in SPLITS:
            part = group[group.split == split]
            row[f"{split}_seeds"] = len(part)
            for metric in ("macro_f1", "accuracy"):
                row[f"{split}_{metric}_mean"] = part[metric].mean()
                row[f"{split}_{metric}_sd"] = part[metric].std(ddof=1)
        rows.append(row)
    return pd.DataFrame(rows).sort_values("validation_macro_f1_mean", ascending=False, ignore_index=True)


def _check_subjects(run: str, predictions: list[Predictions]) -> None:
    """Refuse seeds that were scored on different subjects, as those of a split file that was changed in between."""
    for split in SPLITS:
        seeds = [item for item in predictions if (item.origin.run, item.origin.split) == (run, split)]
        if len({tuple(sorted(set(item.table.subject))) for item in seeds}) > 1:
            raise HarError(
                "not-comparable",
                f"the seeds of {run} were scored on different {split} subjects and are not comparable; train them on one split",
            )


def _of_one_training(group: pd.DataFrame) -> pd.DataFrame:
    """A row a seed, that of the test subjects where there is one; the validation of a refit is of several trainings."""
    return group.sort_values("split", key=lambda split: split != "test", kind="stable").drop_duplicates("seed")


def tables_by(predictions: list[Predictions], what: str) -> pd.DataFrame:
    """All per-class (`what` = ``class``) or per-subject (``subject``) tables in one, with run, seed and split."""
    function = {"class": per_class, "subject": per_subject}[what]
    parts = []
    for item in predictions:
        part = function(item)
        for position, name in enumerate(("run", "seed", "split")):
            part.insert(position, name, getattr(item.origin, name))
        parts.append(part)
    return pd.concat(parts, ignore_index=True).sort_values(["run", "split", "seed"], kind="stable", ignore_index=True)


def interval_table(predictions: list[Predictions]) -> pd.DataFrame:
    """A row per run and split: accuracy and macro-F1, mean and deviation over seeds, with 95 % intervals by resampling subjects."""
    splits = dict.fromkeys(item.origin.split for item in predictions)
    groups = [by_run(item for item in predictions if item.origin.split == split).values() for split in splits]
    rows = []
    for seeds in (seeds for group in groups for seeds in group):
        row: dict[str, object] = {name: getattr(seeds[0].origin, name) for name in ("run", "split", "channels", "parameters")}
        row["seeds"] = len(seeds)
        found = pd.DataFrame([scores(item) for item in seeds])
        for metric, interval in subject_intervals(seeds).items():
            row |= {metric: interval.value, f"{metric}_sd": found[metric].std(ddof=1)}
            row |= {f"{metric}_low": interval.low, f"{metric}_high": interval.high}
        rows.append(row)
    return pd.DataFrame(rows).sort_values(["split", "macro_f1"], ascending=False, ignore_index=True)


def intervals_markdown(table: pd.DataFrame) -> str:
    """The rows of the test subjects of `interval_table`, in per cent, best macro-F1 first."""
    rows = []
    for row in table[table.split == "test"].to_dict("records"):
        cells = [row["run"], row["channels"], f"{row['parameters']:,}"]
        for metric in ("macro_f1", "accuracy"):
            cells += [spread(100 * row[metric], 100 * row[f"{metric}_sd"]), _interval(row[f"{metric}_low"], row[f"{metric}_high"])]
        rows.append([*cells, row["seeds"]])
    heads = ("model", "input", "parameters", "macro-F1", "95 % interval", "accuracy", "95 % interval", "seeds")
    return reporting.markdown(heads, rows, "llr")


def _interval(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f}"


def summary_markdown(table: pd.DataFrame) -> str:
    """The summary as a Markdown table, in per cent, mean ± standard deviation over seeds."""
    absent = {"validation": "-", "test": "not opened"}
    columns = [(split, metric) for split in (SPLITS if (table.test_seeds > 0).any() else SPLITS[:1]) for metric in ("macro_f1", "accuracy")]
    rows = []
    for row in table.to_dict("records"):
        found = [
            (100 * row[f"{split}_{metric}_mean"], 100 * row[f"{split}_{metric}_sd"], ".1f", absent[split]) for split, metric in columns
        ]
        seconds, seeds = row["train_seconds"], max(row["validation_seeds"], row["test_seeds"])
        time = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
        rows.append([row["run"], row["channels"], f"{row['parameters']:,}", *(spread(*each) for each in found), seeds, time])
    names = [f"{split} {metric.replace('macro_f1', 'macro-F1')}" for split, metric in columns]
    return reporting.markdown(["model", "input", "parameters", *names, "seeds", "training"], rows, padded=True)


Systems = Mapping[str, Sequence[Predictions]]


def people_table(systems: Systems) -> pd.DataFrame:
    """A row per system, the best mean over subjects first.

    Args:
        systems: predictions pooled over the folds, one a seed, by run.

    Returns:
        Columns ``run``, ``channels``, ``parameters``, ``seeds``, ``accuracy`` and ``macro_f1`` over windows, ``subject_mean`` with its
        95 % interval ``low`` to ``high`` by resampling subjects, ``seed_sd`` (of the subject mean over seeds), ``worst_subject``,
        ``worst_accuracy`` and ``train_seconds`` of all folds together.
    """
    rows = []
    for run, seeds in systems.items():
        by_subject = subject_scores(list(seeds))
        interval = mean_interval(by_subject.to_numpy())
        score = pd.DataFrame([scores(item) for item in seeds]).mean()
        rows.append(
            {
                "run": run,
                **{name: getattr(seeds[0].origin, name) for name in ("channels", "parameters")},
                "seeds": len(seeds),
                "accuracy": score.accuracy,
                "macro_f1": score.macro_f1,
                "subject_mean": interval.value,
                "low": interval.low,
                "high": interval.high,
                "seed_sd": np.std([subject_scores([item]).mean() for item in seeds], ddof=1) if len(seeds) > 1 else np.nan,
                "worst_subject": by_subject.idxmin(),
                "worst_accuracy": by_subject.min(),
                "train_seconds": np.mean([item.origin.train_seconds for item in seeds]),
            }
        )
    return pd.DataFrame(rows).sort_values("subject_mean", ascending=False, ignore_index=True)


def subject_table(systems: Systems) -> pd.DataFrame:
    """(subject, run) accuracy, averaged over seeds."""
    return pd.DataFrame({run: subject_scores(list(seeds)) for run, seeds in systems.items()})


def people_markdown(table: pd.DataFrame) -> str:
    """`people_table` as Markdown, in per cent."""
    heads = ("model", "input", "parameters", "mean of subjects", "95 % interval", "accuracy", "macro-F1", "worst subject", "seeds")
    rows = []
    for row in table.to_dict("records"):
        cells = [row["run"], row["channels"], f"{row['parameters']:,}", spread(100 * row["subject_mean"], 100 * row["seed_sd"])]
        cells += [_interval(row["low"], row["high"]), f"{100 * row['accuracy']:.2f}", f"{100 * row['macro_f1']:.2f}"]
        rows.append([*cells, f"{row['worst_subject']}: {100 * row['worst_accuracy']:.1f}", row["seeds"]])
    return reporting.markdown(heads, rows, "llr")


def pairs_markdown(pairs: pd.DataFrame) -> str:
    """`statistics.paired_tests` as Markdown: points between the two, subjects better and worse, p with and without correction."""
    rows = []
    for row in pairs.to_dict("records"):
        cells = [f"{row['a']} - {row['b']}", f"{100 * row['difference']:+.2f}", f"{row['better']} / {row['worse']}"]
        rows.append([*cells, f"{row['p']:.2g}", f"{row['p_holm']:.2g}"])
    return reporting.markdown(("pair", "points", "better / worse", "p", "p (Holm)"), rows)
