"""The contract of every registered network that foretells sensor values; a new one is tested by being registered."""

from pathlib import Path

import onnx
import pytest
import torch

from har.config import load_config
from har.exporting.onnx_file import graph_difference, write_graph
from har.models.forecaster import Forecaster, Seq2Seq, Seq2SeqAttention
from har.models.registry import MODELS, create_model, find_model
from tests.refusal import refused

NAMES = [name for name, entry in MODELS.items() if entry.task == "forecast"]
SMALL: dict[str, dict] = {"seq2seq": {"hidden_size": 8}, "seq2seq_attention": {"hidden_size": 8, "attention_size": 4}}
TIME, FEATURES, CHANNELS, STEPS = 20, 15, 6, 5
CONFIGS = Path(__file__).parents[2] / "configs"

every_model = pytest.mark.parametrize("name", NAMES)


def network(name: str, seed: int = 0, **options: object) -> Seq2Seq:
    """A network whose output layer is no longer zero, as after training."""
    torch.manual_seed(seed)
    made = create_model(name, FEATURES, TIME, CHANNELS, SMALL[name] | options)
    assert isinstance(made, Seq2Seq)
    torch.nn.init.normal_(made.step.weight, std=0.5)
    return made


def given(batch: int = 4, time: int = TIME) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = ((batch, time, FEATURES), (batch, CHANNELS), (batch, STEPS, CHANNELS))
    features, last, target = (torch.randn(shape, generator=generator) for shape in shapes)
    return features, last, target


def forecaster(name: str, **options: object) -> Forecaster:
    torch.manual_seed(0)
    made = Forecaster(model=name, options=SMALL[name] | options, channels="raw6", window_size=36, horizon=4)
    torch.nn.init.normal_(made.network.step.weight, std=0.5)  # type: ignore[union-attr,arg-type]
    made.fit_scaling(torch.randn(50, 36, 6) + torch.tensor([1.0, 0, 0, 0, 0, 0]))
    return made.eval()


def test_every_model_has_a_test_case_and_a_config() -> None:
    assert set(SMALL) == set(NAMES)
    configs = [load_config(CONFIGS / f"{name}.yaml") for name in NAMES]
    for name, config in zip(NAMES, configs, strict=True):
        assert config.model.name == name
        same = {"data", "windowing", "frontend", "task", "training", "augmentation"}
        assert config.model_dump(include=same) == configs[0].model_dump(include=same)


@every_model
def test_every_weight_learns_with_and_without_the_teacher(name: str) -> None:
    for share in (0.0, 1.0):
        made = network(name, teacher_forcing=share, num_layers=2)
        features, last, target = given()
        found = made(features, last, STEPS, target)
        assert found.shape == target.shape
        (found - target).square().mean().backward()
        for parameter_name, parameter in made.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.abs().sum() > 0, parameter_name


@every_model
def test_an_untrained_network_repeats_the_last_sample(name: str) -> None:
    features, last, _ = given()
    made = create_model(name, FEATURES, TIME, CHANNELS, SMALL[name])
    torch.testing.assert_close(made(features, last, STEPS), last.unsqueeze(1).expand(-1, STEPS, -1))


@every_model
def test_what_came_is_seen_in_training_alone(name: str) -> None:
    made = network(name, teacher_forcing=1.0)
    features, last, target = given()
    changed = target.clone()
    changed[:, 0] += 1
    forced, other = made(features, last, STEPS, target), made(features, last, STEPS, changed)
    torch.testing.assert_close(forced[:, 0], other[:, 0])  # nothing is known of a sample before it is foretold
    assert (forced[:, 1:] - other[:, 1:]).abs().max() > 0.1
    free = network(name, teacher_forcing=0.0)
    assert torch.equal(free(features, last, STEPS, target), free(features, last, STEPS, changed))
    made.eval()
    assert torch.equal(made(features, last, STEPS, target), made(features, last, STEPS))


@every_model
def test_a_right_teacher_changes_nothing(name: str) -> None:
    """Told what it foretold itself, the decoder goes on as when it runs freely: both ways through it compute the same."""
    made = network(name, teacher_forcing=1.0, num_layers=2)
    features, last, _ = given()
    with torch.no_grad():
        free = made.eval()(features, last, STEPS)
        forced = made.train()(features, last, STEPS, free)
    torch.testing.assert_close(forced, free, atol=1e-5, rtol=1e-5)


@every_model
def test_a_window_is_foretold_alone_and_from_its_order(name: str) -> None:
    made = network(name).eval()
    features, last, _ = given(7)
    with torch.no_grad():
        together = made(features, last, STEPS)
        alone = torch.cat([made(features[i : i + 1], last[i : i + 1], STEPS) for i in range(7)])
        backwards = made(features.flip(1), last, STEPS)
        longer = made(features, last, STEPS + 3)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert (together - backwards).abs().max() > 1e-3
    torch.testing.assert_close(longer[:, :STEPS], together)  # the near future does not depend on how far one asks


@every_model
def test_odd_options_are_refused(name: str) -> None:
    with refused("name-unknown", "did you mean 'hidden_size'"):
        create_model(name, FEATURES, TIME, CHANNELS, {"hidden_sise": 8})
    with refused("config", r"teacher_forcing is 1\.5, expected a share from 0 to 1"):
        create_model(name, FEATURES, TIME, CHANNELS, {"teacher_forcing": 1.5})


def test_attention_weights_are_shares_and_decide_the_forecast() -> None:
    made = network("seq2seq_attention").eval()
    assert isinstance(made, Seq2SeqAttention)
    features, last, _ = given()
    with torch.no_grad():
        weights = made.attention(features, last, STEPS)
        before = made(features, last, STEPS)
        torch.nn.init.normal_(made.energy.weight, std=20)
        sharper, after = made.attention(features, last, STEPS), made(features, last, STEPS)
    assert weights.shape == (4, STEPS, TIME)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(4, STEPS))
    assert sharper.amax(dim=2).mean() > weights.amax(dim=2).mean() + 0.1
    assert (before - after).abs().max() > 1e-3


def test_attention_finds_what_happened_long_ago() -> None:
    """Additive scores by hand: the state that fits the query best is looked at most."""
    made = network("seq2seq_attention").eval()
    assert isinstance(made, Seq2SeqAttention)
    features, last, _ = given()
    with torch.no_grad():
        memory, state = made.encoder(features)
        scores = (
            torch.tanh(memory @ made.key.weight.T + (state[-1] @ made.query.weight.T + made.query.bias)[:, None]) @ made.energy.weight[0]
        )
        torch.testing.assert_close(made.attention(features, last, 1)[:, 0], torch.softmax(scores, dim=1), atol=1e-6, rtol=1e-5)


@pytest.mark.slow
@every_model
def test_the_exported_loop_foretells_the_same_in_sensor_units(name: str, tmp_path: Path) -> None:
    assert find_model(name).network.onnx == "loop"  # type: ignore[attr-defined]
    made = forecaster(name)
    path = tmp_path / "model.onnx"
    write_graph(made, {"context": torch.zeros(2, 32, 6)}, ["forecast"], path, {"task": '"forecast"'})
    context = torch.randn(33, 32, 6) * torch.tensor([1.0, 1, 1, 3, 3, 3])
    assert graph_difference(made, path, {"context": context}, 1e-4) <= 1e-4
    model = onnx.load(path)
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim[1:]] == [4, 6]
    with torch.no_grad():
        made.target_std.mul_(1.01)
    with refused("export-parity"):
        graph_difference(made, path, {"context": context}, 1e-4)


def test_a_forecaster_says_which_contexts_it_takes() -> None:
    with pytest.raises(ValueError, match=r"expected \(batch, 32, 6\)"):
        forecaster("seq2seq")(torch.zeros(2, 36, 6))
