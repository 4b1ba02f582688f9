"""Spectra of real and synthetic windows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har.contract import LABELS, TRAIN_SUBJECTS
from har.data.windowset import WindowSet
from research import spectra
from research.common import Bench, experiment
from research.spectra import compare_spectra, ratio_summary, spectra_figure


@pytest.fixture
def pretended(windows: WindowSet) -> WindowSet:
    """Synthetic windows that pass for real ones, twice as strong."""
    return replace(windows, x=np.array(windows.x) * 2, dataset="uci-har", synthetic=False)


def test_the_ratio_is_of_synthetic_to_real(windows: WindowSet, pretended: WindowSet) -> None:
    table = compare_spectra(pretended, windows)
    np.testing.assert_allclose(table.ratio, 0.25, rtol=1e-3)
    summary = ratio_summary(table)
    assert summary.activity.tolist() == list(LABELS) * 2
    assert (summary.ratio_smallest <= summary.ratio_median).all()
    with pytest.raises(ValueError, match="expected real and synthetic"):
        compare_spectra(windows, pretended)


def test_the_figure_says_synthetic_and_names_its_axes_and_units(windows: WindowSet, pretended: WindowSet) -> None:
    figure = spectra_figure(compare_spectra(pretended, windows))
    assert "SYNTHETIC" in figure.get_suptitle()
    axes = figure.axes
    assert len(axes) == 12
    assert "(g²/Hz)" in axes[0].get_ylabel()
    assert "((rad/s)²/Hz)" in axes[6].get_ylabel()
    assert axes[6].get_xlabel() == "Frequency (Hz)"
    assert [line.get_label() for line in axes[0].lines] == ["real", "synthetic"]
    assert len({line.get_linestyle() for line in axes[0].lines}) == 2, "apart without colour"


@pytest.mark.slow
def test_the_files_say_synthetic_and_hold_training_subjects_alone(
    windows: WindowSet, pretended: WindowSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectra, "load_dataset", lambda name, archive=None: windows if name == "synthetic" else pretended)
    seen = []
    compare = spectra.compare_spectra
    monkeypatch.setattr(spectra, "compare_spectra", lambda *parts: seen.extend(parts) or compare(*parts))
    said: list[str] = []
    paths = spectra.run(Bench(tmp_path / "a", "", say=said.append))
    assert {path.name for path in paths} == {
        "spectra_synthetic.png",
        "spectra_synthetic.svg",
        "spectra_synthetic.csv",
        "spectra_ratio_synthetic.csv",
    }
    assert all(path.stat().st_size > 300 for path in paths)
    assert all(set(part.subject.tolist()) == set(TRAIN_SUBJECTS) for part in seen)
    assert "WALKING_UPSTAIRS" in said[-1]
    assert len(pd.read_csv(tmp_path / "a" / "synthetic" / "spectra_synthetic.csv")) == 12 * 38
    again = spectra.run(Bench(tmp_path / "b", "", say=said.append))
    for first, second in zip(paths, again, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


@pytest.mark.data
@pytest.mark.slow
def test_synthetic_spectra_are_near_the_real_ones(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a factor of two in the median and of five at every frequency, for every activity."""
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    spectra.run(Bench(tmp_path / "out", "", archive=str(real_data / "UCI HAR Dataset.zip")))
    table = pd.read_csv(tmp_path / "out" / "synthetic" / "spectra_ratio_synthetic.csv")
    assert table.ratio_median.between(0.5, 2.0).all()
    assert table.ratio_smallest.min() > 0.2
    assert table.ratio_largest.max() < 5.0


def test_without_real_windows_one_line_names_what_to_do(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert experiment("spectra", []) == 2
    assert "har data prepare --dataset uci-har" in capsys.readouterr().err
