"""The contract of every registered autoencoder, and what its LightningModule makes of the errors."""

from pathlib import Path

import numpy as np
import pytest
import torch

from har.config import load_config
from har.data.windowset import WindowSet
from har.models.reconstructor import Reconstructor
from har.models.registry import MODELS, create_model, find_model, option_names
from tests.helpers import VALIDATION
from tests.refusal import refused

ROOT = Path(__file__).parents[2]
SMALL: dict[str, dict] = {"lstm_autoencoder": {"hidden_size": 8, "code_size": 4}, "conv_autoencoder": {"width": 8, "code_size": 4}}
SHAPE = (64, 15)  # time, features
NAMES = [name for name, entry in MODELS.items() if entry.task == "reconstruct"]

every_model = pytest.mark.parametrize("name", NAMES)


def network(name: str, seed: int = 0, window_size: int = SHAPE[0]) -> torch.nn.Module:
    torch.manual_seed(seed)
    return create_model(name, SHAPE[1], window_size, 7, SMALL[name])


def reconstructor(name: str = "conv_autoencoder", window_size: int = 128) -> Reconstructor:
    torch.manual_seed(0)
    return Reconstructor(model=name, options=SMALL[name], channels="raw6", window_size=window_size).eval()


def part(windows: WindowSet, subjects: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.array(windows.x[np.isin(windows.subject, subjects)]))


@pytest.fixture(scope="module")
def fitted(parts: dict[str, WindowSet]) -> Reconstructor:
    """Untrained weights, but everything else fitted."""
    module = reconstructor()
    train = part(parts["train"], (1, 3, 7, 8))
    module.frontend.fit(train)
    module.fit_usual(train)
    module.fit_threshold(part(parts["validation"], VALIDATION), 0.05)
    return module


def test_every_model_has_a_test_case_and_a_config_and_they_differ_in_the_model_alone() -> None:
    assert set(SMALL) == set(NAMES)
    configs = [load_config(ROOT / "configs" / f"{name}.yaml") for name in NAMES]
    for name, config in zip(NAMES, configs, strict=True):
        assert config.model.name == name
        assert config.model_copy(update={"model": configs[0].model}) == configs[0]


@every_model
def test_a_window_comes_out_as_long_as_it_went_in_and_every_weight_learns(name: str) -> None:
    model = network(name)
    x = torch.randn(5, *SHAPE)
    code = model.encode(x)
    assert code.shape == (5, model.code_size) == (5, 4)
    assert model(x).shape == (5, SHAPE[0], 7)
    torch.testing.assert_close(model(x), model.decode(model.encode(x)))
    (model(x) ** 2).mean().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@every_model
def test_a_window_is_reconstructed_alone(name: str) -> None:
    model = network(name)
    model(torch.randn(9, *SHAPE))  # batch statistics other than at the start
    model.eval()
    x = torch.randn(7, *SHAPE)
    with torch.no_grad():
        torch.testing.assert_close(model(x), torch.cat([model(x[i : i + 1]) for i in range(7)]), atol=1e-5, rtol=1e-5)


@every_model
def test_only_the_code_passes(name: str) -> None:
    """The decoder sees nothing of the window: two windows of one code come out alike."""
    model = network(name).eval()
    with torch.no_grad():
        code = model.encode(torch.randn(1, *SHAPE))
        both = model.decode(code.expand(2, -1))
        other = model.decode(code + 1)
    torch.testing.assert_close(both[0], both[1])
    assert (both - other).abs().max() > 1e-4


@every_model
@pytest.mark.parametrize("window_size", [16, 50, 101, 256])
def test_other_window_sizes_work(name: str, window_size: int) -> None:
    assert network(name, window_size=window_size)(torch.randn(2, window_size, SHAPE[1])).shape == (2, window_size, 7)


@every_model
def test_the_seed_decides_the_weights_and_saved_ones_are_the_same_model(name: str) -> None:
    first, same, other = network(name).eval(), network(name).eval(), network(name, 1).eval()
    x = torch.randn(2, *SHAPE)
    with torch.no_grad():
        assert torch.equal(first(x), same(x))
        assert not torch.equal(first(x), other(x))
        other.load_state_dict(first.state_dict())
        assert torch.equal(first(x), other(x))


@every_model
def test_odd_options_are_refused(name: str) -> None:
    option = option_names(find_model(name).network)[0]
    with refused("name-unknown", f"model '{name}' has no option '{option}x'; did you mean '{option}'"):
        create_model(name, 9, 64, 6, {option + "x": 1})
    with refused("config", "cannot be built"):
        create_model(name, 9, 64, 6, {option: "wide"})
    if name == "conv_autoencoder":
        with refused("config", "kernel_size is 4, expected an odd number"):
            create_model(name, 9, 64, 6, {"kernel_size": 4})


@every_model
def test_a_few_windows_are_learnt_by_heart(name: str) -> None:
    """Different sines, told apart by their code alone."""
    torch.manual_seed(0)
    time = torch.arange(32) / 32
    x = torch.stack([torch.stack((torch.sin(2 * torch.pi * k * time), torch.cos(2 * torch.pi * k * time)), dim=1) for k in (1, 2, 3)])
    model = create_model(name, 2, 32, 2, {"code_size": 4})
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        (model(x) - x).square().mean().backward()
        optimizer.step()
    assert (model(x) - x).square().mean() < 0.05 < x.square().mean()


def test_the_decoder_of_the_lstm_begins_with_the_newest_sample() -> None:
    """Weights of the last layer that react to nothing but one step of the decoder show which sample it tells."""
    model = network("lstm_autoencoder")
    seen: list[torch.Tensor] = []
    model.tell.register_forward_hook(lambda module, args, output: seen.append(output))
    told = model(torch.randn(1, *SHAPE))
    first_step = seen[0][0, 0].reshape(model.samples_per_step, -1)
    torch.testing.assert_close(told[0, -model.samples_per_step :], first_step)


def test_a_window_of_noise_is_unknown_and_everyday_ones_are_not(fitted: Reconstructor, parts: dict[str, WindowSet]) -> None:
    everyday = part(parts["test"], (2, 4))
    noise = torch.randn(32, 128, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0] * 3 + [15.0] * 3)
    assert (fitted.predict(noise) > fitted.threshold).all()
    assert fitted.predict(noise).min() > fitted.predict(everyday).quantile(0.9)
    assert (fitted.predict(everyday) > fitted.threshold).float().mean() < 0.5


def test_the_threshold_has_the_stated_share_of_false_alarms(fitted: Reconstructor, parts: dict[str, WindowSet]) -> None:
    alarms = (fitted.predict(part(parts["validation"], VALIDATION)) > fitted.threshold).float().mean()
    assert float(alarms) == pytest.approx(0.05, abs=0.01)


def test_the_score_is_the_excess_over_what_is_usual_at_the_code() -> None:
    """By hand: one prototype decides, log error 2 above the usual mean 1 with variance 0.99 + 0.01, in two of the features alone."""
    module = reconstructor()
    count = module.usual.shape[1]
    module.usual.fill_(1.0)
    module.usual_square.fill_(1.0 + 0.99)
    log = torch.full((1, count), 1.0)
    log[0, :2] = 3.0
    log[0, 2] = -5.0  # better than usual is no novelty
    module.code_and_error = lambda x: (torch.zeros(1, 4), log.exp() - 1e-6)  # type: ignore[method-assign]
    score = module(torch.zeros(1, 128, 6))
    assert float(score) == pytest.approx((2 * 2.0**2 / count) ** 0.5, rel=1e-4)


def test_until_a_threshold_is_fitted_nothing_is_unknown() -> None:
    assert reconstructor().threshold == torch.inf


def test_what_is_usual_is_fitted_on_enough_windows_and_the_checkpoint_carries_it(fitted: Reconstructor) -> None:
    with pytest.raises(ValueError, match="31 windows, expected at least one for each of 32"):
        reconstructor().fit_usual(torch.zeros(31, 128, 6))
    assert {"prototypes", "usual", "usual_square", "nearness", "code_mean", "code_std", "threshold"} <= set(fitted.state_dict())
    other = reconstructor()
    other.load_state_dict(fitted.state_dict())
    x = torch.randn(3, 128, 6)
    assert torch.equal(other.predict(x), fitted.predict(x))


def test_wrong_windows_are_refused_with_their_shape() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 6, 128\), expected \(batch, 128, 6\)"):
        reconstructor()(torch.zeros(2, 6, 128))
