"""The experiments on recurrent networks, each on a small budget, and the parts they are made of."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from har.config import parse_config
from har.errors import HarError
from har.models.registry import create_model
from har.tasks.run_key import sources_of
from research import common
from research.common import Bench, experiment, run_cells
from research.gradients import input_gradients
from research.memory import MemorySequences
from research.recurrent_cells import CELLS, Clipping, build_cell, recurrent_norm, train_steps
from tests.refusal import refused

ROOT = Path(__file__).parents[2]
QUICK = ["--dataset", "synthetic", "--quick", "--seed", "0", "1", "--results", "out", "--runs", "runs"]


def sequences(delay: int) -> MemorySequences:
    """Twelve windows of two people; every sample says whose window, of which activity, and which one it is."""
    y = np.array([0, 1, 2] * 4)
    subject = np.repeat([1, 2], 6)
    told = torch.from_numpy(np.stack((y, subject, np.arange(12)), axis=1)).float()
    return MemorySequences(told[:, None, :].repeat(1, 4, 1), y, subject, delay)


def test_a_memory_is_asked_for_the_first_window_and_nothing_later_tells_it() -> None:
    made = sequences(delay=6)
    x, y = made.draw(600, np.random.default_rng(0))
    assert x.shape == (600, 10, 3)
    assert torch.equal(x[:, 0, 0], y.float())  # the answer is the activity of the first window
    assert (x[:, :, 1] == x[:, :1, 1]).all()  # one person throughout
    later = x[:, 4, 0].numpy()
    assert abs(np.corrcoef(later, y.numpy())[0, 1]) < 0.1
    assert np.bincount(y.numpy()).min() > 150
    assert sequences(delay=0).draw(5, np.random.default_rng(0))[0].shape == (5, 4, 3)


def test_somebody_without_an_activity_is_named() -> None:
    with refused("argument", "subject 2 has no window of activity 1"):
        MemorySequences(torch.zeros(3, 4, 1), np.array([0, 1, 0]), np.array([1, 1, 2]), 0)


class Forgetful(nn.Module):
    """A linear recurrence h_t = a h_(t-1) + x_t, whose gradient is known: a^(T-1-t) of that at the end."""

    def __init__(self, keep: float) -> None:
        super().__init__()
        self.weight_hh = nn.Parameter(torch.tensor(keep))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(len(x), x.shape[2])
        for step in range(x.shape[1]):
            state = self.weight_hh * state + x[:, step]
        return state


@pytest.mark.parametrize("keep", [0.5, 1.0, 1.5])
def test_the_measured_gradient_is_that_of_a_known_recurrence(keep: float) -> None:
    norms, weights = input_gradients(Forgetful(keep), torch.randn(9, 12, 3), torch.arange(9) % 3)
    np.testing.assert_allclose(norms / norms[-1], keep ** np.arange(11, -1, -1.0), rtol=1e-4)
    assert weights > 0


def test_networks_differ_in_what_they_are_named_for() -> None:
    built = {}
    for name in CELLS:
        torch.manual_seed(0)
        built[name] = build_cell(name, 5, 16, 6, 8)
    bias = {name: built[name].recurrent.bias_ih_l0[8:16].unique().tolist() for name in CELLS if name.startswith("LSTM")}
    assert bias == {"LSTM, forget bias 0": [0.0], "LSTM": [1.0], "LSTM, forget bias 5": [5.0]}
    assert torch.equal(built["IRNN"].recurrent.weight_hh_l0, torch.eye(8))
    orthogonal = built["RNN, orthogonal"].recurrent.weight_hh_l0
    torch.testing.assert_close(orthogonal @ orthogonal.T, torch.eye(8), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("kind", "limit"), [("norm", 0.001), ("value", 0.0001), ("none", 0.0)])
def test_gradients_are_clipped_after_they_are_recorded(kind: str, limit: float) -> None:
    network = create_model("rnn", 3, 8, 2, {"hidden_size": 4, "num_layers": 1, "dropout": 0.0})
    batch = (torch.randn(16, 8, 3), torch.arange(16) % 2)
    seen = train_steps(network, lambda: batch, steps=2, learning_rate=1e-3, clipping=Clipping(kind, limit))  # type: ignore[arg-type]
    left = recurrent_norm(network)  # of the last step, as the optimiser saw it
    assert len(seen.norm) == len(seen.loss) == 2
    assert left == pytest.approx(seen.norm[-1]) if kind == "none" else left < seen.norm[-1]
    if kind == "norm":
        total = torch.stack([p.grad.square().sum() for p in network.parameters()]).sum().sqrt()
        assert total <= limit * 1.001
    if kind == "value":
        assert max(p.grad.abs().max() for p in network.parameters()) <= limit


def test_a_training_that_explodes_is_recorded_and_keeps_its_weights() -> None:
    network = create_model("rnn", 3, 8, 2, {"hidden_size": 4, "num_layers": 1, "dropout": 0.0})
    before = [p.clone() for p in network.parameters()]
    batch = (torch.full((4, 8, 3), torch.nan), torch.zeros(4, dtype=torch.long))
    seen = train_steps(network, lambda: batch, steps=3, learning_rate=1e-3, clipping=Clipping())
    assert np.isnan(seen.loss).all()
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def bench(folder: Path, **changes: object) -> Bench:
    values = {"runs": folder, "results": folder, "archive": None, "seeds": (0,), "quick": True, "dataset": "synthetic", "command": "har"}
    return Bench(**(values | {"say": lambda text: None} | changes))  # type: ignore[arg-type]


def double(bench: Bench, settings: dict[str, float]) -> dict[str, float]:
    if settings["number"] < 0:
        raise HarError("argument", "below zero")
    return {"double": 2.0 * settings["number"]}


@pytest.mark.usefixtures("in_this_process")
def test_parts_are_kept_and_done_again_when_anything_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    settings = [{"number": 1}, {"number": 2}]
    there = bench(tmp_path, say=said.append)
    assert run_cells(there, "test", settings, double, "data") == [{"number": 1, "double": 2.0}, {"number": 2, "double": 4.0}]
    run_cells(there, "test", [*settings, {"number": 3}], double, "data")
    assert "3 parts, 2 done before, 1 to do" in [text for text in said if text.startswith("experiment")][-1]
    run_cells(there, "test", settings, double, "other data")
    assert "0 done before" in [text for text in said if text.startswith("experiment")][-1]
    config = parse_config({"data": {"dataset": "synthetic", "validation_subjects": [5]}, "model": {"name": "lstm"}}, "test")
    for changed in ((config,), (config.with_overrides(training__epochs=3),), ()):
        run_cells(there, "test", settings, double, "data", changed)
        left = 0 if changed == () else 2
        assert f"{left} to do" in [text for text in said if text.startswith("experiment")][-1]
    monkeypatch.setattr(common, "code_digest", lambda model: "other code of the network")
    run_cells(there, "test", settings, double, "data", (config,))
    assert "2 to do" in [text for text in said if text.startswith("experiment")][-1]
    with pytest.raises(HarError, match="1 of 2 parts failed, first number -1: below zero"):
        run_cells(there, "test", [{"number": -1}, {"number": 7}], double, "data")
    assert run_cells(there, "test", [{"number": 7}], double, "data") == [{"number": 7, "double": 14.0}]


def test_the_key_of_a_part_knows_the_code_of_the_script_and_of_the_package() -> None:
    assert {"research.memory", "research.recurrent_cells", "har.models.frontend"} <= set(sources_of(["research.memory"]))


def test_weights_by_window_length(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert experiment("growth", ["--results", "out"]) == 0
    table = pd.read_csv("out/models/parameter_growth.csv").pivot(index="model", columns="window_size", values="parameters")
    assert (table.loc["gru"] == table.loc["gru", 128]).all()  # a recurrent network has the same weights at every step
    assert "wrote out/models/parameter_growth.md" in capsys.readouterr().out
    assert "Written by `python -m research.growth --results out` on 20" in Path("out/models/parameter_growth.md").read_text()


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("growth", "--seed -1", "--seed has -1"),
        ("growth", "--results file/x", "cannot write to file/x"),
        ("memory", "", "HAPT is not prepared"),
        ("stream", "--archive nope", "no archive at nope"),
        ("labels", "", "UCI HAR is not prepared"),
    ],
)
def test_a_mistake_is_one_line(name: str, words: str, message: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").touch()
    assert experiment(name, words.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"python -m research.{name}: ")
    assert message in said
    assert said.count("\n") == 1


def test_a_script_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "research.growth", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"wrote {tmp_path}/models/parameter_growth.csv" in done.stdout


def test_gradients_from_the_command_line(workplace: Path) -> None:
    assert experiment("gradients", QUICK) == 0
    table = pd.read_csv("out/models/gradients_synthetic_quick.csv").set_index(["cell", "length"])
    assert set(table.index.get_level_values("cell")) == set(CELLS)
    assert table.loc[("GRU", 128), "first_over_last"] < 1e-6  # half of a state is kept a step
    assert table.loc[("LSTM, forget bias 5", 128), "first_over_last"] > table.loc[("LSTM", 128), "first_over_last"]
    steps = pd.read_csv("out/models/gradients_synthetic_quick_steps.csv")
    assert len(steps) == len(CELLS) * (64 + 128)
    assert "A QUICK RUN" in Path("out/models/gradients_synthetic_quick.md").read_text()


@pytest.mark.slow
def test_memory_from_the_command_line(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*QUICK, "--seed", "0"]
    assert experiment("memory", arguments) == 0
    table = pd.read_csv("out/models/memory_synthetic_quick.csv")
    assert len(table) == 2 * 2 + 2 * 2  # delays x cells + cells x other clippings
    assert table.accuracy.between(0, 1).all()
    assert {path.name for path in Path("out/models").iterdir()} >= {"memory_synthetic_quick.png", "clipping_synthetic_quick.svg"}
    capsys.readouterr()
    assert experiment("memory", arguments) == 0
    assert "8 done before, 0 to do" in capsys.readouterr().out
    kept = json.loads(next(Path("runs/experiments/memory").glob("*.json")).read_text())
    assert len(kept["norms"]) == 6


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_attention_from_the_command_line(workplace: Path) -> None:
    assert experiment("attention", ["--dataset", "synthetic", "--quick", "--seed", "0", "--results", "out", "--runs", "runs"]) == 0
    table = pd.read_csv("out/models/attention_synthetic_quick.csv").set_index("activity")
    assert table.effective_samples.between(1, 128).all()
    assert table.correlation_with_movement.between(-1, 1).all()
    assert Path("out/models/attention_synthetic_quick.svg").is_file()
