"""Models compared across people: everybody is scored by a model that never saw him, and the same people score every model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from har.evaluation.metrics import scores
from har.evaluation.predictions import Predictions
from har.evaluation.statistics import mean_interval, subject_scores

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
                "channels": seeds[0].origin.channels,
                "parameters": seeds[0].origin.parameters,
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
    lines = ["| model | input | parameters | mean of subjects | 95 % interval | accuracy | macro-F1 | worst subject | seeds |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for row in table.to_dict("records"):
        spread = "" if pd.isna(row["seed_sd"]) else f" ± {100 * row['seed_sd']:.2f}"
        lines.append(
            f"| {row['run']} | {row['channels']} | {row['parameters']:,} | {100 * row['subject_mean']:.2f}{spread} | "
            f"{100 * row['low']:.1f} to {100 * row['high']:.1f} | {100 * row['accuracy']:.2f} | {100 * row['macro_f1']:.2f} | "
            f"{row['worst_subject']}: {100 * row['worst_accuracy']:.1f} | {row['seeds']} |"
        )
    return "\n".join(lines)


def pairs_markdown(pairs: pd.DataFrame) -> str:
    """`statistics.paired_tests` as Markdown: points between the two, subjects better and worse, p with and without correction."""
    lines = ["| pair | points | better / worse | p | p (Holm) |", "|---|---:|---:|---:|---:|"]
    for row in pairs.to_dict("records"):
        lines.append(
            f"| {row['a']} - {row['b']} | {100 * row['difference']:+.2f} | {row['better']} / {row['worse']} | {row['p']:.2g} | "
            f"{row['p_holm']:.2g} |"
        )
    return "\n".join(lines)
