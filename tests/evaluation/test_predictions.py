from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from har.contract import LABELS
from har.data.windowset import WindowSet
from har.evaluation.predictions import ID_COLUMNS, make_predictions, read_predictions, write_predictions
from tests.helpers import origin
from tests.refusal import refused


def probabilities(count: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).random((count, len(LABELS)))
    return values / values.sum(axis=1, keepdims=True)


def test_one_row_a_window_with_its_place_and_probabilities(windows: WindowSet, tmp_path: Path) -> None:
    part = windows.subset(np.arange(50, 90))
    given = probabilities(40)
    made = make_predictions(part, given, origin(seed=7))
    write_predictions(made, tmp_path / "p.parquet")
    plain = pd.read_parquet(tmp_path / "p.parquet")
    assert list(plain.columns) == [*ID_COLUMNS, *(f"p_{label}" for label in LABELS)]
    assert plain.window.tolist() == list(range(40))
    assert plain.start.tolist() == part.start.tolist()
    assert plain.y_true.tolist() == [LABELS[y] for y in part.y]
    assert plain.y_pred.tolist() == [LABELS[i] for i in given.argmax(axis=1)]
    found = read_predictions(tmp_path / "p.parquet")
    assert found.origin == origin(seed=7)
    assert found.labels == list(LABELS)
    pd.testing.assert_frame_equal(found.table, made.table, check_dtype=False)
    assert [p.name for p in tmp_path.iterdir()] == ["p.parquet"]


def test_probabilities_that_do_not_fit_are_refused(windows: WindowSet) -> None:
    part = windows.subset(np.arange(4))
    with pytest.raises(ValueError, match="expected \\(4, 6\\)"):
        make_predictions(part, probabilities(3), origin())
    with pytest.raises(ValueError, match="do not sum to one"):
        make_predictions(part, probabilities(4) * 2, origin())


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    with refused("predictions-file"):
        read_predictions(path)
    path.write_bytes(b"PAR1garbage")
    with refused("predictions-file") as caught:
        read_predictions(path)
    assert "\n" not in str(caught.value)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with refused("predictions-file"):
        read_predictions(path)


def test_a_file_without_a_column_is_refused(windows: WindowSet, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(make_predictions(windows.subset(np.arange(4)), probabilities(4), origin()), path)
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["p_SITTING"]), path)
    with refused("predictions-file"):
        read_predictions(path)
