from pathlib import Path

import pytest

from har.evaluation.metrics import scores
from har.evaluation.predictions import pool_folds, read_pooled, write_pooled
from tests.evaluation.test_metrics import SIT, STAND, WALK, predictions
from tests.refusal import refused

FIRST = [(3, WALK, WALK), (1, SIT, STAND)]
SECOND = [(2, STAND, STAND), (4, WALK, WALK)]


def test_folds_are_pooled_in_the_order_of_people(tmp_path: Path) -> None:
    pooled = pool_folds([predictions(FIRST, split="test", train_seconds=2.0), predictions(SECOND, split="test", train_seconds=3.0)])
    assert pooled.table.subject.tolist() == [1, 2, 3, 4]
    assert pooled.table.window.tolist() == [0, 1, 2, 3]
    assert pooled.origin.train_seconds == 5.0
    assert pooled.origin.checkpoint_sha256 == ""
    assert scores(pooled)["accuracy"] == 0.75
    path = write_pooled(pooled, tmp_path)
    assert "synthetic" in path.name
    assert read_pooled(tmp_path)[pooled.origin.run][0].table.equals(pooled.table)


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hold the same window"):
        pool_folds([predictions(FIRST), predictions(FIRST)])
    with pytest.raises(ValueError, match="differ in seed"):
        pool_folds([predictions(FIRST), predictions(SECOND, seed=1)])
    write_pooled(predictions(FIRST, run="a"), tmp_path)
    write_pooled(predictions(SECOND, run="b"), tmp_path)
    with refused("not-comparable", "mixes people or data"):
        read_pooled(tmp_path)
    assert read_pooled(tmp_path / "none") == {}


def test_folds_and_seeds_of_different_trainings_are_not_averaged(tmp_path: Path) -> None:
    def settings(fold: int, epochs: int) -> dict:
        return {"config": {"data": {"split": {"kind": "kfold", "fold": fold}}, "training": {"epochs": epochs}}, "code": "c"}

    pooled = pool_folds([predictions(FIRST, split="test", **settings(0, 5)), predictions(SECOND, split="test", **settings(1, 5))])
    assert len(pooled.table) == 4
    with pytest.raises(ValueError, match=r"differ in training\.epochs"):
        pool_folds([predictions(FIRST, **settings(0, 5)), predictions(SECOND, **settings(1, 2))])
    for seed, epochs in enumerate((5, 5, 2)):
        write_pooled(predictions(FIRST, run="a", seed=seed, split="test", **settings(0, epochs)), tmp_path)
    assert {run: len(items) for run, items in read_pooled(tmp_path).items()} == {"a (epochs 5)": 2, "a (epochs 2)": 1}
