"""A state carried along the recording against windows, on the same stream, on small synthetic data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har.contract import TEST_SUBJECTS
from research.common import experiment
from research.stream import NO_ANSWER, lay_out


def test_answers_of_windows_are_laid_out_as_a_device_gives_them() -> None:
    answer, starts = np.array([5, 6, 7]), np.array([0, 4, 8])
    causal = lay_out(answer, starts, 8, 18, centred=False)
    assert causal.tolist() == [NO_ANSWER] * 7 + [5] * 4 + [6] * 4 + [7] * 3  # the first window ends with sample 7
    centred = lay_out(answer, starts, 8, 18, centred=True)
    assert centred.tolist() == [5] * 6 + [6] * 4 + [7] * 8  # centres at 4, 8 and 12


@pytest.mark.slow
def test_the_experiment_compares_all_on_the_same_stream_and_goes_on(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--quick", "--dataset", "synthetic", "--seed", "0", "--results", "out"]
    assert experiment("stream", arguments) == 0
    folder = workplace / "out/synthetic"
    names = {path.name for path in folder.iterdir()}
    stem = "streams_synthetic_quick"
    assert names == {f"{stem}.csv", f"{stem}_subjects.csv", f"{stem}.md", f"{stem}.png", f"{stem}.svg"}
    table = pd.read_csv(folder / f"{stem}.csv")
    assert len(table) == 5
    assert table.accuracy.between(0.05, 1).all()
    people = pd.read_csv(folder / f"{stem}_subjects.csv")
    assert people.groupby(["answers", "seed"]).windows.sum().nunique() == 1  # all are asked the same
    assert not set(people.subject) & set(TEST_SUBJECTS)
    by_subject = people[people.answers == "window"]
    pooled = (by_subject.accuracy * by_subject.windows).sum() / by_subject.windows.sum()
    assert pooled == pytest.approx(table[table.answers == "window"].accuracy.iloc[0], abs=1e-5)
    text = (folder / f"{stem}.md").read_text()
    assert "SYNTHETIC" in text
    assert "A QUICK RUN" in text
    kept = workplace / "runs/synthetic/experiments"
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("best.ckpt")}
    assert len(before) == 3
    capsys.readouterr()
    assert experiment("stream", arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("best.ckpt")} == before  # nothing was trained again
