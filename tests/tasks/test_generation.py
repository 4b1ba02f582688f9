"""Spectra of windows by activity."""

from dataclasses import replace

import numpy as np
import pytest

from har.data.windowset import WindowSet
from har.tasks.generate import length_spectra


def test_a_sine_stands_at_its_frequency_with_its_power(windows: WindowSet) -> None:
    time_s = np.arange(128) / 50
    x = np.zeros((6, 128, 9), dtype=np.float32)
    x[:, :, 6] = 1.0 + 0.1 * np.sin(2 * np.pi * 50 / 128 * 10 * time_s)  # total_acc_x in g, the tenth bin
    some = replace(windows.subset(np.arange(6)), x=x, y=np.arange(6))
    table = length_spectra(some)
    part = table[(table.signal == "total_acc") & (table.activity == "WALKING")]
    assert part.frequency_hz[part.density.idxmax()] == pytest.approx(3.90625)
    assert part.density.sum() * 50 / 128 == pytest.approx(0.1**2 / 2, rel=0.01)
    assert table.frequency_hz.between(0.3, 15.0).all()
    assert table[table.signal == "gyro"].density.max() == 0
