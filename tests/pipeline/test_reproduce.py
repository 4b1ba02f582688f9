"""The report of the reproduction: its numbers come from its tables, and it says what does not match."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har.contract import UCI9, UNITS
from har.data.windowset import WindowSet
from har.pipeline import reproduce
from tests.helpers import published_windows, raw_recordings


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> WindowSet:
    """Synthetic recordings in place of the archives."""
    recordings = raw_recordings()
    published = published_windows(recordings)

    @contextmanager
    def opened(*_: object) -> Iterator[tuple[None, str]]:
        yield None, "digest"

    monkeypatch.setattr(reproduce, "prepare", lambda *_, **__: published)
    monkeypatch.setattr(reproduce, "source_of", lambda *_: Path("none"))
    monkeypatch.setattr(reproduce, "open_source", opened)
    monkeypatch.setattr(reproduce.hapt, "read", lambda *_, **__: recordings)
    return published


def test_the_report_is_written_from_its_tables(sources: WindowSet, tmp_path: Path) -> None:
    paths = reproduce.write_reproduction(tmp_path / "report", "har data reproduce")
    assert all(path.stat().st_size > 500 for path in paths)
    table, segments = (pd.read_csv(path) for path in paths[:2])
    assert len(table) == len(reproduce.CHAINS) * len(UCI9)
    assert table.unit.tolist() == [UNITS[channel] for channel in table.channel]
    right = table[table.chain == reproduce.IDENTIFIED]
    assert (right["share_within_1e-6"] == 1).all()
    assert (right[["median", "p95", "p99", "max"]].diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    # Every other choice is visibly worse somewhere, or the table would prove nothing.
    for name in list(reproduce.CHAINS)[2:]:
        assert table[table.chain == name]["max"].max() > 1e-4, name
    assert len(segments) == len(set(sources.recording.tolist()))
    text = paths[2].read_text()
    assert f"{len(segments)} of the {len(segments)} continuous segments" in text
    assert "Written by `har data reproduce` on 20" in text


def test_what_does_not_match_is_counted(sources: WindowSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    x = np.array(sources.x)
    x[0, 40, 2] += 0.01
    monkeypatch.setattr(reproduce, "prepare", lambda *_, **__: replace(sources, x=x))
    monkeypatch.setattr(reproduce, "CHAINS", {name: reproduce.CHAINS[name] for name in (reproduce.IDENTIFIED, reproduce.DESCRIBED)})
    report = reproduce.write_reproduction(tmp_path, "har data reproduce")[2].read_text()
    count = len(set(sources.recording.tolist()))
    assert f"{count - 1} of the {count} continuous segments" in report
    assert "; 1 are not" in report
    assert "The largest error anywhere is\n1.0e-02" in report
