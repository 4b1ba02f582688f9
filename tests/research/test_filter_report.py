"""The report on causal filters: written, labelled synthetic, and the committed one is that of today's coefficients."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har.contract import SAMPLE_RATE_HZ
from research.common import Bench, experiment
from research.filter_report import CASES, designed_response, run

COMMITTED = Path(__file__).parents[2] / "results" / "signals"
CSV, MARKDOWN = "causal_vs_zero_phase_synthetic.csv", "causal_vs_zero_phase_synthetic.md"


def check(table: pd.DataFrame) -> None:
    """Every case is there, and what was measured is what the coefficients say."""
    assert list(zip(table["filter"], table["signal"], table["frequency_hz"], strict=True)) == [
        (case.name, case.signal, frequency) for case in CASES for frequency in case.frequencies_hz
    ]
    assert set(table["data"]) == {"synthetic"}
    start = 0
    for case in CASES:
        rows = table.iloc[start : start + len(case.frequencies_hz)]
        start += len(rows)
        delay_s, ratio = designed_response(case.order, case.cutoff_hz, np.array(case.frequencies_hz))
        np.testing.assert_allclose(rows["designed_delay_s"], delay_s, atol=1e-4)
        np.testing.assert_allclose(rows["designed_amplitude_error_percent"], 100 * (ratio - 1), atol=1e-3)
        np.testing.assert_allclose(rows["delay_samples"], rows["delay_s"] * SAMPLE_RATE_HZ, atol=0.01)
        np.testing.assert_allclose(rows["delay_s"], delay_s, rtol=0.15, atol=5e-4)
        np.testing.assert_allclose(1 + rows["amplitude_error_percent"] / 100, ratio, rtol=0.1)


def test_the_report_is_written_and_measures_the_filters(tmp_path: Path) -> None:
    table, text = run(Bench(tmp_path / "new" / "folder", "the command"), subjects=(1, 2, 3, 4))
    assert (table.name, text.name) == (CSV, MARKDOWN)
    check(pd.read_csv(table))
    content = text.read_text()
    assert "`the command`" in content
    assert "SYNTHETIC data, 4 recordings" in content
    assert "scipy" in content


def test_the_same_seed_writes_the_same_table(tmp_path: Path) -> None:
    first, again, other = (
        run(Bench(tmp_path / name, "x"), seed=seed, subjects=(1, 2))[0].read_bytes() for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert first != other


def test_the_command_writes_it(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("research.filter_report.run", lambda bench: [bench.results / bench.command])
    assert experiment("filter_report", ["--results", "there"]) == 0
    assert capsys.readouterr().out.startswith("wrote there/python -m research.filter_report --results there")


def test_the_committed_report_is_that_of_these_filters() -> None:
    check(pd.read_csv(COMMITTED / CSV))
    content = (COMMITTED / MARKDOWN).read_text()
    assert re.search("Written by `(har data filters|python -m research.filter_report)` on 20", content)
    assert "-dirty" not in content
