"""The contract of every registered network that makes windows; a new one is tested by being registered."""

from pathlib import Path

import pytest
import torch

from har.config import load_config
from har.models.registry import MODELS, create_model, find_model
from har.models.synthesiser import Synthesiser, WindowGenerator, divergence, surprise

NAMES = [name for name, entry in MODELS.items() if entry.task == "generate"]
SMALL: dict[str, dict] = {"window_generator": {"hidden_size": 8, "latent_size": 4}}
TIME, CHANNELS, CLASSES = 16, 6, 6
CONFIGS = Path(__file__).parents[2] / "configs"

every_model = pytest.mark.parametrize("name", NAMES)


def network(name: str, seed: int = 0) -> WindowGenerator:
    torch.manual_seed(seed)
    made = create_model(name, CHANNELS, TIME, CLASSES, SMALL[name])
    assert isinstance(made, WindowGenerator)
    return made


def synthesiser(name: str) -> Synthesiser:
    torch.manual_seed(0)
    made = Synthesiser(model=name, options=SMALL[name], channels="raw6", window_size=TIME, num_classes=CLASSES)
    made.fit_scaling(3 * torch.randn(50, TIME, CHANNELS) + torch.tensor([1.0, 0, 0, 0, 0, 0]))
    return made


def given(batch: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((batch, TIME, CHANNELS), generator=generator), torch.arange(batch) % CLASSES


def test_every_model_has_a_test_case_and_a_config() -> None:
    assert set(SMALL) == set(NAMES)
    for name in NAMES:
        assert load_config(CONFIGS / f"{name}.yaml").model.name == name


@every_model
def test_every_weight_learns(name: str) -> None:
    made = network(name)
    x, y = given()
    label = torch.nn.functional.one_hot(y, CLASSES).float()
    found, log_deviation, mean, log_variance = made(x, label)
    assert found.shape == x.shape
    assert log_deviation.shape == x.shape
    (surprise(x, found, log_deviation) + divergence(mean, log_variance, *made.prior(label))).mean().backward()
    for parameter_name, parameter in made.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@every_model
def test_the_latent_vector_is_drawn_in_training_alone(name: str) -> None:
    made, (x, y) = network(name), given()
    label = torch.nn.functional.one_hot(y, CLASSES).float()
    assert not torch.equal(made(x, label)[0], made(x, label)[0])
    made.eval()
    assert torch.equal(made(x, label)[0], made(x, label)[0])


@every_model
def test_activity_and_latent_vector_both_decide_the_window(name: str) -> None:
    made = network(name).eval()
    latent, label, noise = torch.randn(2, 4), torch.eye(CLASSES)[:2], torch.randn(2, TIME, CHANNELS)
    with torch.no_grad():
        found = made.draw(latent, label, noise)
        assert (found - made.draw(latent, label.flip(0), noise)).abs().max() > 1e-3
        assert (found - made.draw(latent + 1, label, noise)).abs().max() > 1e-3


@every_model
def test_what_is_drawn_has_the_distribution_that_is_judged(name: str) -> None:
    """Drawn sample by sample or judged all at once, it is the same model."""
    made = network(name).eval()
    latent, label, noise = torch.randn(3, 4), torch.eye(CLASSES)[:3], torch.randn(3, TIME, CHANNELS)
    with torch.no_grad():
        window = made.draw(latent, label, noise)
        mean, log_deviation = made.decode(window, latent, label)
    torch.testing.assert_close(mean + log_deviation.exp() * noise, window, atol=1e-4, rtol=1e-4)


@every_model
def test_no_sample_is_judged_by_itself_or_by_what_follows(name: str) -> None:
    made, (x, y) = network(name).eval(), given()
    label, latent = torch.nn.functional.one_hot(y, CLASSES).float(), torch.zeros(5, 4)
    changed = x.clone()
    changed[:, 7:] += 1
    with torch.no_grad():
        (mean, _), (other, _) = made.decode(x, latent, label), made.decode(changed, latent, label)
    assert torch.equal(mean[:, :8], other[:, :8])
    assert (mean[:, 8:] - other[:, 8:]).abs().max() > 1e-3


@every_model
def test_generated_windows_follow_their_generator_and_have_units(name: str) -> None:
    made, labels = synthesiser(name), torch.arange(40) % CLASSES
    first, same, other = (made.generate(labels, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert first.shape == (40, TIME, CHANNELS)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert made.training  # the mode is given back
    louder = synthesiser(name)
    with torch.no_grad():
        louder.std.mul_(2)
    torch.testing.assert_close(louder.generate(labels, torch.Generator().manual_seed(0)) - made.mean, 2 * (first - made.mean))


@every_model
def test_the_bound_is_the_same_every_time_whatever_the_batches(name: str) -> None:
    made, (x, y) = synthesiser(name), given(7)
    whole, split = made.score(x, y), made.score(x, y, batch_size=3)
    torch.testing.assert_close(whole, split, atol=1e-5, rtol=1e-5)
    assert torch.equal(whole, made.score(x, y))


def test_surprise_and_divergence_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    x, found, log_deviation = (torch.randn((3, 5, 2), generator=generator) for _ in range(3))
    expected = -torch.distributions.Normal(found, log_deviation.exp()).log_prob(x).mean(dim=(1, 2))
    torch.testing.assert_close(surprise(x, found, log_deviation), expected)
    mean, log_variance, prior_mean, prior_log_variance = (torch.randn((3, 4), generator=generator) for _ in range(4))
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    prior = torch.distributions.Normal(prior_mean, (0.5 * prior_log_variance).exp())
    expected = torch.distributions.kl_divergence(posterior, prior).sum(dim=1)
    torch.testing.assert_close(divergence(mean, log_variance, prior_mean, prior_log_variance), expected)


@every_model
def test_the_latent_vector_is_drawn_from_the_prior_of_the_activity(name: str) -> None:
    made, labels = synthesiser(name), torch.zeros(20, dtype=torch.int64)
    before = made.generate(labels, torch.Generator().manual_seed(0))
    with torch.no_grad():
        made.network.expected.weight[:4, 1] += 3  # type: ignore[union-attr,index,operator]
    assert torch.equal(before, made.generate(labels, torch.Generator().manual_seed(0)))  # another activity's prior
    with torch.no_grad():
        made.network.expected.weight[:4, 0] += 3  # type: ignore[union-attr,index,operator]
    assert (before - made.generate(labels, torch.Generator().manual_seed(0))).abs().max() > 1e-2


@every_model
def test_it_says_why_it_has_no_onnx_file(name: str) -> None:
    network = find_model(name).network
    assert network.onnx == "refused"  # type: ignore[attr-defined]
    assert "drawn from the one before" in network.onnx_refusal  # type: ignore[attr-defined]


def test_dropped_inputs_are_missing_in_training_alone() -> None:
    x, y = given()
    label, latent = torch.nn.functional.one_hot(y, CLASSES).float(), torch.zeros(5, 4)
    torch.manual_seed(0)
    blind = WindowGenerator(CHANNELS, TIME, CLASSES, hidden_size=8, latent_size=4, input_dropout=1.0)
    assert torch.equal(blind.decode(x, latent, label)[0], blind.decode(x + 1, latent, label)[0])
    blind.eval()
    assert not torch.equal(blind.decode(x, latent, label)[0], blind.decode(x + 1, latent, label)[0])
