"""`har robustness` measures the exported file on validation subjects, and the undisturbed point is the reported score."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from har.cli import main
from har.config import RunConfig
from har.runs.evaluate import evaluate
from har.runs.robustness import card_rows, measure, write_robustness
from har.runs.run_folder import RunFolder
from har.runs.train import train_run
from tests.refusal import refused

RUNS = Path("runs")


@pytest.fixture
def run(workplace: Path, config: RunConfig) -> RunFolder:
    return train_run(config, "cnn1d", RUNS, progress=False, say=lambda line: None)


def test_the_undisturbed_point_is_the_score_of_the_run(run: RunFolder) -> None:
    table = measure(run).set_index(["disturbance", "level"])
    assert table.loc[("none", 0), "accuracy"] == pytest.approx(evaluate(run, "validation", Path("results")).values["accuracy"])
    assert table.loc[("windows that start later", 32), "windows"] < table.loc[("none", 0), "windows"]
    assert table.loc[("other rate, taken for 50 Hz", 100), "windows"] > table.loc[("none", 0), "windows"]
    assert (table.accuracy <= 1).all()
    assert (table.moving_or_still >= table.accuracy).all()  # who is right about the activity is right about moving


def test_table_figure_and_summary_are_written_and_named_synthetic(run: RunFolder, capsys: pytest.CaptureFixture) -> None:
    assert main(["robustness", "--dataset", "synthetic", "--model", "cnn1d"]) == 0
    names = {path.name for path in Path("results/device").iterdir()}
    assert names == {f"robustness_synthetic.{suffix}" for suffix in ("csv", "md", "png", "svg")}
    text = Path("results/device/robustness_synthetic.md").read_text()
    assert "SYNTHETIC data" in text
    assert "Written by `har" in text
    assert "wrote results/device/robustness_synthetic.csv" in capsys.readouterr().out
    origin = run.origin
    rows = card_rows(Path("results"), origin)
    assert [row["disturbance"] for row in rows[:2]] == ["none", "mounting turned by 30 degrees about x"]
    assert card_rows(Path("results"), replace(origin, checkpoint_sha256="0" * 64)) == []  # other weights of the same name and seed
    assert card_rows(Path("results"), replace(origin, synthetic=False)) == []
    assert len(pd.read_csv("results/device/robustness_synthetic.csv")) > 70


def test_a_run_without_validation_subjects_is_refused(workplace: Path, config: RunConfig) -> None:
    config = config.with_overrides(data__validation_subjects=(), training__keep="last", training__epochs=1)
    run = train_run(config, "cnn1d-refit", RUNS, progress=False, say=lambda line: None)
    with refused("run-kind", "has no validation subjects"):
        write_robustness([run], Path("results"), "test")
    assert not Path("results/device").exists()
