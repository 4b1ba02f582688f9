"""The scripts measure what they say, on a tiny budget; how long it took decides nothing here."""

from pathlib import Path
from typing import Any

import data_loading
import growth
import inference
import numpy as np
import paired
import pytest
import startup
import training
import windowing
from tables import write_table

from har.config import load_config
from har.contract import UCI_HAR, WINDOW_SIZE
from har.exporting import onnx_file
from har.exporting.onnx_file import export_onnx
from har.runs.checks import config_path
from har.training.fit import build_classifier
from tests.helpers import write_uci_har


def measures(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["measure"]: row for row in rows}


def test_windowing_compares_ways_that_give_the_same_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    table = measures(windowing.rows(windowing.measure(3000, 1), 3000))
    assert [row["target"] for row in table.values()][:2] == [">= 50", ">= 0.95"]
    assert float(table["windows, times as fast as a Python loop over samples"]["median"]) > 1
    monkeypatch.setattr(windowing, "view_and_copy", lambda samples: windowing.ours(samples) + 1)
    with pytest.raises(RuntimeError, match="gives other windows"):
        windowing.measure(3000, 1)


def test_windowing_compares_labels_too(monkeypatch: pytest.MonkeyPatch) -> None:
    right = windowing.ours_labelled
    monkeypatch.setattr(windowing, "ours_labelled", lambda x, y: (right(x, y)[0], right(x, y)[1] + 1))
    with pytest.raises(RuntimeError, match="labels"):
        windowing.measure(3000, 1)


def test_processes_that_read_the_cache_hold_one_copy_of_the_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "UCI HAR Dataset"
    write_uci_har(folder, train=(1, 3), test=(2,), bout_seconds=30.0)
    windows = data_loading.load_dataset("uci-har", channels="uci9", archive=folder)
    size = windows.x.nbytes / 2**20
    del windows  # else this process would be one of those who share it
    assert size > 1
    for workers in (1, 3):
        assert data_loading.shared_mb(folder, str(tmp_path / "cache"), workers) == pytest.approx(size, abs=0.1)


def test_the_runtime_of_a_stream_answers_without_torch(tmp_path: Path) -> None:
    np.save(tmp_path / "minute.npy", startup.one_minute().samples)
    found = startup.stream_memory(tmp_path / "minute.npy", 1)
    assert found["answers"] == (3000 - WINDOW_SIZE) // 64 + 1
    assert 20 < found["start_mb"] <= found["open_mb"] <= found["peak_mb"] < startup.ALLOWED_MB


def test_the_commands_that_are_timed_end_well(tmp_path: Path) -> None:
    path = tmp_path / "minute.csv"
    startup.write_csv(startup.one_minute(), path)
    for command in startup.commands(path).values():
        assert paired.in_child(command).cpu > 0
    for words in startup.MISTAKES.values():
        assert startup.mistake(words).cpu > 0


@pytest.mark.parametrize("step", growth.STEPS)
def test_growth_measures_time_and_memory_of_every_step(step: str, tmp_path: Path) -> None:
    found = paired.python_json(growth.__file__, "--one", step, "--samples", 30_000, "--folder", tmp_path)
    assert set(found) == {"cpu_s", "memory_mb", "data_mb"}
    assert found["cpu_s"] > 0
    assert found["data_mb"] > 0.2


def test_growth_tells_linear_time_and_memory_that_stays() -> None:
    def cost(us: float, memory: float, data: float) -> dict[str, float]:
        return {"us": us, "memory_mb": memory, "data_mb": data, "cpu_s": 0.0}

    found = {(step, times): [cost(2.0, 10.0 + 0.5 * times, float(times))] for step in growth.STEPS for times in growth.TIMES}
    found["predicting", 100] = [cost(5.0, 60.0, 100.0)]
    table = measures(growth.rows(found))
    assert table["preparing, time for each sample, 100 times the data / 10 times"]["median"] == "1"
    assert table["predicting, time for each sample, 100 times the data / 10 times"]["median"] == "2.5"
    assert float(table["predicting, memory that 100 times the data add to 10 times / their size"]["median"]) == pytest.approx(0.45)
    beyond = table["preparing, memory beyond the windows that 100 times the data add to 10 times / their size"]
    assert float(beyond["median"]) < 0  # less than the windows themselves
    assert beyond["target"] == growth.FLAT


def test_the_bound_counts_multiplications_and_recurrent_weights_read_again(tmp_path: Path) -> None:
    fine = inference.Limit(macs=1_000, reread=4_000)
    assert fine.seconds(1e3, 1e3) == (1.0, 4.0)
    assert fine.seconds(1e3, 1e6) == (1.0, 1.0)  # memory is no bound where it is fast
    champion = inference.limit_of(inference.pretrained() / "model.onnx")
    assert 4e6 < champion.macs < 6e6
    assert champion.reread == 0


def test_channels_of_zeros_are_no_multiplications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter fills up the channels of planes (har/exporting/graph_rewrites.py); the bound does not get easier by that."""
    network = build_classifier(load_config(config_path("cnn1d")), UCI_HAR)
    export_onnx(network, tmp_path / "planes.onnx", {})
    monkeypatch.setattr(onnx_file, "to_planes", lambda model: None)
    export_onnx(network, tmp_path / "time.onnx", {})
    assert inference.limit_of(tmp_path / "planes.onnx") == inference.limit_of(tmp_path / "time.onnx")


def test_batches_beside_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "BATCHES", (1, 2))
    monkeypatch.setattr(inference, "EAGER_BATCHES", (2,))
    table = measures(inference.batches(1))
    for name in ("champion", "champion's int8 file"):
        assert table[f"{name}, batches of 2, windows per second over torch eager's"]["target"] == ">= 3"
    rates = [float(row["median"]) for row in table.values() if row["unit"] == "windows/s"]
    assert len(rates) == 6  # two files and torch, two sizes
    assert min(rates) > 0


@pytest.mark.slow
def test_a_stream_reads_a_hop_where_a_window_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "STREAMS", ("stream_lstm",))
    table = inference.streaming(tmp_path, 1)
    assert table[0]["measure"] == "stream_lstm, a hop of 0.5 s / the whole window again"
    assert table[0]["target"] == "<= 0.3333"


@pytest.mark.slow
def test_peers_have_all_their_kernels_however_few_windows_they_saw() -> None:
    pytest.importorskip("aeon")
    import peer_inference

    data = peer_inference.windows()
    model = peer_inference.fitted("MiniRocket", data, 24)
    assert model.n_kernels == 10_000
    assert len(model.predict(peer_inference.channels_first(data.x[:2]))) == 2


def test_rows_of_some_models_take_the_place_of_the_same_and_leave_the_others(tmp_path: Path) -> None:
    def row(measure: str, median: str, commit: str) -> dict[str, object]:
        return {"measure": measure, "median": median, "commit": commit}

    write_table(tmp_path / "t.csv", [row("a", "1", "old"), row("b", "2", "old"), row("c", "3", "old")], {})
    merged = training.in_place([row("b", "4", "new"), row("d", "5", "new")], tmp_path / "t.csv")
    assert merged == [row("a", "1", "old"), row("b", "4", "new"), row("c", "3", "old"), row("d", "5", "new")]
