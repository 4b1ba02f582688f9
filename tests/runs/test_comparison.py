from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har.evaluation.predictions import collect, write_pooled, write_predictions
from har.runs.comparison import chosen, comparison, cross_validated, per_run, summary, summary_markdown, tables_by, write_report
from tests.evaluation.test_metrics import SIT, STAND, WALK, predictions
from tests.refusal import refused

GOOD = [(1, WALK, WALK), (1, SIT, SIT), (2, STAND, STAND), (2, WALK, WALK)]
BAD = [(1, WALK, WALK), (1, SIT, SIT), (2, STAND, SIT), (2, WALK, SIT)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for run, rows in (("cnn1d", (GOOD, GOOD)), ("gru", (GOOD, BAD))):
        for seed, table in enumerate(rows):
            item = predictions(table, run=run, model=run, seed=seed, train_seconds=60.0 * (seed + 1))
            write_predictions(item, tmp_path / run / f"predictions_validation_{seed}.parquet")
    write_predictions(
        predictions(BAD, run="gru", model="gru", split="test", train_seconds=60.0), tmp_path / "gru" / "predictions_test.parquet"
    )
    return tmp_path


def test_mean_and_deviation_over_seeds(folder: Path) -> None:
    table = summary(collect(folder)).set_index("run")
    assert list(table.index) == ["cnn1d", "gru"]
    assert table.loc["gru", "validation_accuracy_mean"] == pytest.approx(0.75)
    assert table.loc["gru", "validation_accuracy_sd"] == pytest.approx(0.5 / 2**0.5)
    assert table.loc["gru", "validation_seeds"] == 2
    assert table.loc["gru", "train_seconds"] == pytest.approx(90.0)
    assert table.loc["gru", "test_accuracy_mean"] == pytest.approx(0.5)
    assert table.loc["cnn1d", "test_seeds"] == 0


def test_the_table_says_what_was_not_opened(folder: Path) -> None:
    text = summary_markdown(summary(collect(folder)))
    assert "| cnn1d | raw6  | 10" in text
    assert "not opened" in text
    assert "75.0 ± 35.4" in text
    assert "1.5 min" in text


def test_worst_subject_and_tables(folder: Path) -> None:
    rows = per_run(collect(folder))
    bad = rows[(rows.run == "gru") & (rows.seed == 1)].iloc[0]
    assert (bad.worst_subject, bad.worst_subject_accuracy) == (2, 0.0)
    assert len(tables_by(collect(folder), "class")) == 5 * 6
    assert len(tables_by(collect(folder), "subject")) == 5 * 2


def test_the_report_holds_what_recomputes_it(folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    found, table = comparison(folder)
    for _ in range(2):  # a second report replaces the first
        write_report(found, report, "har compare --output report")
    names = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    assert {"comparison_synthetic.csv", "comparison_synthetic.md", "per_class_synthetic.csv", "per_subject_synthetic.csv"} < names
    assert len([name for name in names if name.startswith("predictions/")]) == 5
    assert all("synthetic" in name for name in names)
    text = (report / "comparison_synthetic.md").read_text()
    assert text.startswith(table)
    assert "SYNTHETIC data" in text
    assert "har compare --output report" in text
    assert comparison(report / "predictions")[1] == table


def test_the_report_has_people_peers_and_calibration(folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    rng = np.random.default_rng(0)
    for run, place in (("cnn1d", "studies/people_predictions"), ("minirocket", "studies/peers_predictions")):
        for seed in (0, 1):
            rows = [(subject, true, true if rng.random() < 0.8 else SIT) for subject in range(1, 31) for true in (WALK, SIT, STAND)]
            write_pooled(predictions(rows, run=run, model=run, seed=seed, split="test"), report / place)
    write_pooled(predictions(BAD, run="minirocket", model="minirocket", split="test"), report / "peers")
    soft = predictions(GOOD, run="gru", model="gru", split="test", seed=1)
    soft.table.loc[:, [name for name in soft.table if name.startswith("p_")]] = 0.06
    soft.table.loc[soft.table.y_pred == WALK, f"p_{WALK}"] = 0.7
    write_predictions(soft, folder / "gru" / "predictions_test_1.parquet")
    found, _ = comparison(folder)
    write_report(found, report, "har compare --output report")
    text = (report / "comparison_synthetic.md").read_text()
    for title in ("## Test subjects, with peers", "## Calibration", "## Across people", "| cnn1d - minirocket |"):
        assert title in text or title.replace("cnn1d - minirocket", "minirocket - cnn1d") in text
    for stem in ("people_ranks", "people_subjects", "reliability", "risk_coverage"):
        for suffix in ("png", "svg"):
            assert (report / f"{stem}_synthetic.{suffix}").stat().st_size > 1000
    people = pd.read_csv(report / "people_synthetic.csv")
    assert set(people.run) == {"cnn1d", "minirocket"}
    assert (people.seeds == 2).all()
    assert len(pd.read_csv(report / "people_subjects_synthetic.csv")) == 30
    assert "minirocket" in pd.read_csv(report / "intervals_synthetic.csv").run.tolist()
    # Of the two that people held out of the training judged, cnn1d is right more often over its seeds; one seed of gru is as good.
    assert "`cnn1d`, the model that cross-validation inside the training subjects chose" in text
    against = pd.read_csv(report / "people_champion_synthetic.csv")
    assert [{*pair} for pair in zip(against.a, against.b, strict=True)] == [{"cnn1d", "minirocket"}]
    before = (report / "people_ranks_synthetic.svg").read_bytes()
    write_report(found, report, "har compare --output report")
    assert (report / "people_ranks_synthetic.svg").read_bytes() == before


def test_cross_validation_stands_for_the_validation_of_a_refit_alone(folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    for run in ("cnn1d", "gru"):
        write_pooled(predictions(BAD, run=run, model=run, split="test"), report / "studies/crossvalidation_predictions")
    # A variant of a model, cross-validated in a study of its own, is no candidate however good it is.
    write_pooled(predictions(GOOD, run="leaning", model="gru", split="test"), report / "studies/crossvalidation_leaning_predictions")
    refit = predictions(GOOD, run="gru-refit", model="gru", split="test")
    leaning = predictions(GOOD, run="leaning-refit", model="gru", split="test")
    assert cross_validated([leaning], report)[0].origin.run == "leaning-refit"
    assert chosen([refit, leaning, *cross_validated([refit, leaning], report)]) == "gru"
    write_report([refit], report, "har compare")
    table = pd.read_csv(report / "comparison_synthetic.csv").set_index("run")
    assert list(table.index) == ["gru-refit"]
    assert (table.validation_accuracy_mean["gru-refit"], table.test_accuracy_mean["gru-refit"]) == (0.5, 1.0)
    assert table.validation_seeds["gru-refit"] == 1


def test_mixtures_and_doubles_are_refused(folder: Path, tmp_path: Path) -> None:
    with refused("run-missing"):
        collect(tmp_path / "none")
    double = predictions(GOOD, run="gru", model="gru", seed=1)
    write_predictions(double, folder / "predictions_double.parquet")
    with refused("not-comparable", "both hold gru, seed 1, validation"):
        collect(folder)
    write_predictions(predictions(GOOD, run="x", dataset="uci-har", data_digest="e"), folder / "predictions_double.parquet")
    with refused("not-comparable", "mixes predictions"):
        collect(folder)


def test_seeds_that_are_not_comparable_are_refused_and_unfinished_runs_not_read(folder: Path) -> None:
    hidden = folder / "gru" / ".seed-9.partial"
    write_predictions(predictions(GOOD, run="gru", model="gru", seed=0), hidden / "predictions_validation.parquet")
    assert len(collect(folder)) == 5
    write_predictions(predictions(GOOD, run="gru", model="gru", seed=7, channels="uci9"), folder / "predictions_other.parquet")
    with refused("not-comparable", "the seeds of gru differ in channels"):
        summary(collect(folder))


def test_a_report_replaces_its_own_predictions_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    write_report(comparison(folder)[0], report, "har compare", folder)
    own = report / "predictions"
    names = {path.name for path in own.iterdir()}
    write_report(comparison(own)[0], report, "har compare", own)  # read from where it is written: nothing is lost
    assert {path.name for path in own.iterdir()} == names
    some = [item for item in comparison(own)[0] if item.origin.run == "gru"]
    assert len(some) < len(names)
    with refused("file", r"predictions would be replaced and holds predictions_.*parquet, which this report does not write"):
        write_report(some, report, "har compare", own)
    write_report(some, tmp_path / "other", "har compare", own)  # as the error advises
    (own / "sub").mkdir()
    with refused("file", "holds sub, which this report does not write; name another folder with --output"):
        write_report(some, report, "har compare", folder)
    assert {path.name for path in own.iterdir()} == {*names, "sub"}


def recipe(epochs: int, **training: object) -> dict:
    return {"config": {"training": {"epochs": epochs, **training}, "model": {"name": "gru"}}, "code": "c" * 64}


def test_trainings_that_differ_in_more_than_the_seed_are_rows_of_their_own(tmp_path: Path) -> None:
    for seed, (table, epochs) in enumerate(((GOOD, 5), (GOOD, 5), (BAD, 2))):
        write_predictions(predictions(table, run="gru", model="gru", seed=seed, **recipe(epochs)), tmp_path / f"predictions_{seed}.parquet")
    table = summary(collect(tmp_path)).set_index("run")
    assert table.validation_seeds.to_dict() == {"gru (epochs 5)": 2, "gru (epochs 2)": 1}
    assert table.validation_accuracy_mean.to_dict() == {"gru (epochs 5)": 1.0, "gru (epochs 2)": 0.5}
    assert set(per_run(collect(tmp_path)).run) == set(table.index)
    # The report can be read back, and gives the same table.
    found, text = comparison(tmp_path)
    write_report(found, tmp_path / "report", "har compare")
    assert comparison(tmp_path / "report" / "predictions")[1] == text


def test_a_row_names_what_differs_and_of_many_settings_the_first(tmp_path: Path) -> None:
    others = (recipe(5), recipe(5, keep="last"), recipe(5) | {"code": "d" * 64}, recipe(5, a=1, b=[2], c=3, d=4))
    for seed, other in enumerate(others):
        write_predictions(predictions(GOOD, run="gru", model="gru", seed=seed, **other), tmp_path / f"predictions_{seed}.parquet")
    names = sorted(summary(collect(tmp_path)).run)
    assert len(set(names)) == 4
    assert all(name.startswith("gru (keep ") and ", config " in name for name in names)
    for seed in (1, 3):
        (tmp_path / f"predictions_{seed}.parquet").unlink()
    assert sorted(summary(collect(tmp_path)).run) == ["gru (code cccccccc)", "gru (code dddddddd)"]


def test_files_that_do_not_record_their_config_are_one_training_where_as_many_epochs_ran(tmp_path: Path) -> None:
    for seed, epochs in enumerate((5, 5, 2)):
        item = predictions(GOOD, run="gru", model="gru", seed=seed, epochs=epochs)
        write_predictions(item, tmp_path / f"seed-{seed}" / "predictions_validation.parquet")
    assert sorted(summary(collect(tmp_path)).run) == ["gru (2 epochs)", "gru (5 epochs)"]
    write_predictions(predictions(GOOD, run="gru", model="gru", seed=3, **recipe(5)), tmp_path / "predictions_3.parquet")
    assert sorted(summary(collect(tmp_path)).run) == ["gru", "gru (config not recorded, 2 epochs)", "gru (config not recorded, 5 epochs)"]


def test_seeds_on_different_subjects_are_refused(tmp_path: Path) -> None:
    write_predictions(predictions(GOOD, seed=0, **recipe(5)), tmp_path / "predictions_0.parquet")
    write_predictions(predictions([*GOOD, (3, WALK, WALK)], seed=1, **recipe(5)), tmp_path / "predictions_1.parquet")
    with refused("not-comparable", "were scored on different validation subjects"):
        summary(collect(tmp_path))


def test_the_cross_validation_of_another_config_stands_for_nothing(tmp_path: Path) -> None:
    folds = {"split": {"kind": "kfold", "fold": 0}}
    refit = predictions(GOOD, run="gru-refit", model="gru", split="test", **recipe(5, keep="last"))
    for epochs in (5, 2):
        item = predictions(BAD, run="gru", model="gru", split="test", seed=epochs, **recipe(epochs))
        item.origin.config["data"] = folds
        write_pooled(item, tmp_path / f"studies/crossvalidation_{epochs}_predictions")
    (found,) = cross_validated([refit], tmp_path)
    assert (found.origin.seed, found.origin.run, found.origin.split) == (5, "gru-refit", "validation")


def test_the_report_of_the_published_predictions_is_unchanged() -> None:
    folder = Path(__file__).parents[2] / "results" / "uci_har"
    text = (folder / "comparison.md").read_text()
    assert text.startswith(comparison(folder / "predictions")[1])
