"""Rolling windows against reshape: equal budgets, the same people and the same scored windows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har.contract import TEST_SUBJECTS, TRAIN_SUBJECTS
from har.tasks.base import tensor
from research.common import Bench, experiment
from research.windowing import VARIANTS, subject_accuracies, train_cell, windowing_table


def cell(windowing: str, seed: int, macro_f1: float, **subjects: float) -> dict:
    own = {"model": "gru", "windowing": windowing, "seed": seed, "macro_f1": macro_f1}
    own |= {"subjects": {name[1:]: value for name, value in subjects.items()}, "accuracy": np.mean(list(subjects.values()))}
    return own | {"windows": 100, "epochs": 4, "steps": 8, "seconds": 1.0}


def test_the_table_by_hand() -> None:
    first, second = list(VARIANTS)[:2]
    cells = [
        cell(first, 0, 0.9, s1=0.9, s3=1.0),
        cell(first, 1, 1.0, s1=1.0, s3=1.0),
        cell(second, 0, 0.8, s1=0.75, s3=1.0),
        cell(second, 1, 0.7, s1=0.75, s3=1.0),
    ]
    people = subject_accuracies(cells).set_index(["windowing", "subject"]).accuracy
    assert people[first, 1] == pytest.approx(0.95)
    assert people[second, 1] == pytest.approx(0.75)
    table = windowing_table(cells).set_index("windowing")
    assert table.loc[first, "accuracy"] == pytest.approx(0.975)
    assert table.loc[first, "accuracy_sd"] == pytest.approx(np.std([0.95, 1.0], ddof=1))
    assert table.loc[second, "macro_f1"] == pytest.approx(0.75)
    assert table.loc[second, "difference"] == pytest.approx(-0.1)  # as much worse than the first
    assert (table.loc[second, "better"], table.loc[second, "worse"]) == (0, 1)
    assert pd.isna(table.loc[first, "difference"])


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_a_quick_run_has_equal_steps_and_goes_on_where_it_stopped(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dataset", "synthetic", "--quick", "--seed", "0", "--results", "out", "--runs", "runs"]
    assert experiment("windowing", words) == 0
    assert "0 done before, 3 to do" in capsys.readouterr().out
    table = pd.read_csv("out/synthetic/windowing_synthetic_quick.csv").set_index("windowing")
    assert table.index.tolist() == list(VARIANTS)
    assert table.loc["reshape", "windows"] < 0.6 * table.loc["rolling, half", "windows"] < 0.4 * table.loc["rolling, quarter", "windows"]
    assert table.steps.max() - table.steps.min() <= table.epochs.max()  # the last batch of an epoch is not full
    people = pd.read_csv("out/synthetic/windowing_synthetic_quick_subjects.csv")
    assert set(people.subject) < set(TRAIN_SUBJECTS)  # one fold
    assert not set(people.subject) & set(TEST_SUBJECTS)
    assert people.groupby("windowing").subject.nunique().tolist() == [7] * len(VARIANTS)
    text = Path("out/synthetic/windowing_synthetic_quick.md").read_text()
    assert "A QUICK RUN on a small budget, no result." in text
    before = Path("out/synthetic/windowing_synthetic_quick.csv").read_text()
    assert experiment("windowing", words) == 0
    assert "3 done before, 0 to do" in capsys.readouterr().out
    assert Path("out/synthetic/windowing_synthetic_quick.csv").read_text() == before


def test_the_scored_windows_are_the_same_whatever_trained(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, scored = Bench(Path("out"), "test", quick=True, dataset="synthetic"), []
    monkeypatch.setattr("research.windowing.tensor", lambda windows: scored.append(windows.digest) or tensor(windows))
    found = [train_cell(bench, {"model": "cnn1d", "windowing": variant, "seed": 0}) for variant in ("reshape", "rolling, half")]
    assert found[0]["subjects"].keys() == found[1]["subjects"].keys()
    assert scored[0] == scored[1]
    assert found[0]["windows"] < found[1]["windows"]
    assert found[0]["epochs"] == 2 * found[1]["epochs"]
