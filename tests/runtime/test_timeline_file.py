"""A timeline in a Parquet file: written as it comes, in groups of a useful size, and recognised again."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from har.data import synthetic
from har.recording import Recording
from har.runtime.bundle import pretrained
from har.runtime.recognizer import load_model
from har.runtime.timeline import ROWS, Timeline, read_said, write_parquet
from tests.refusal import refused

pq = pytest.importorskip("pyarrow.parquet", reason="the file is Parquet, which needs pyarrow")
LABELS = ["A", "B", "C"]


def parts(count: int, windows: int) -> list[Timeline]:
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.ones(3), (count, windows)).astype(np.float32)
    from_s = np.arange(count * windows).reshape(count, windows) * 1.28
    below = np.full(windows, 0.6)
    return [Timeline(LABELS, first, first + 1.28, some, below) for first, some in zip(from_s, rows, strict=True)]


def test_what_is_written_is_what_came(tmp_path: Path) -> None:
    made = parts(7, 5)
    assert write_parquet(made, LABELS, tmp_path / "t.parquet", lambda: {"about": "it"}) == 35
    table = pq.read_table(tmp_path / "t.parquet")
    rows = np.concatenate([part.probabilities for part in made])
    np.testing.assert_array_equal(np.stack([table[f"p_{label}"] for label in LABELS], axis=1), rows)
    np.testing.assert_array_equal(table["confidence"], rows.max(axis=1))
    np.testing.assert_array_equal(table["from_s"], np.concatenate([part.from_s for part in made]))
    np.testing.assert_array_equal(table["to_s"], np.concatenate([part.to_s for part in made]))
    names = [LABELS[row.argmax()] if row.max() >= 0.6 else "UNKNOWN" for row in rows]
    assert 0 < names.count("UNKNOWN") < len(names)
    assert table["activity"].to_pylist() == names
    assert read_said(tmp_path / "t.parquet") == {"about": "it"}


def test_many_short_parts_become_few_row_groups_and_long_ones_are_not_collected(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    on_disk = []

    def watched() -> Iterator[Timeline]:
        for part in parts(3 * ROWS // 64 + 1, 64):
            yield part
            on_disk.append(path.stat().st_size)

    write_parquet(watched(), LABELS, path, dict)
    groups = [pq.read_metadata(path).row_group(number).num_rows for number in range(pq.read_metadata(path).num_row_groups)]
    assert groups == [ROWS, ROWS, ROWS, 64]
    assert on_disk[0] < on_disk[ROWS // 64] < on_disk[2 * ROWS // 64] < path.stat().st_size


def test_answers_come_before_the_recording_ends() -> None:
    recognizer, one = load_model(pretrained()), synthetic.generate(2, 0, bout_seconds=4.0)
    taken = 0

    def pieces() -> Iterator[tuple[int, Recording]]:
        nonlocal taken
        for first in range(0, len(one.time_s), 500):
            taken += 1
            yield 0, one.part(first, first + 500)

    some = recognizer.predict_parts("r", pieces())
    first = next(some)
    assert taken == 1
    made, whole = [first, *some], recognizer.predict_recording(one)
    assert len(made) > 3
    for field in ("from_s", "to_s"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, field) for part in made]), getattr(whole, field))
    np.testing.assert_allclose(np.concatenate([part.probabilities for part in made]), whole.probabilities, atol=1e-6)


def test_no_file_says_nothing_and_another_is_refused(tmp_path: Path) -> None:
    assert read_said(tmp_path / "none.parquet") is None
    (tmp_path / "text.parquet").write_text("PAR1 but not really")
    with refused("file", r"text\.parquet is there and no file of har predict"):
        read_said(tmp_path / "text.parquet")
