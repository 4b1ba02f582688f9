"""The contract of every registered network that labels samples, and of the module around it."""

from pathlib import Path

import pytest
import torch

from har.config import load_config
from har.models.frontend import StreamFrontend
from har.models.labeller import StreamLabeller
from har.models.registry import MODELS, create_model, find_model, option_names
from tests.refusal import refused

ROOT = Path(__file__).parents[2]
SMALL: dict[str, dict] = {
    "stream_gru": {"hidden_size": 8},
    "stream_lstm": {"hidden_size": 8},
    "dense_gru": {"hidden_size": 8},
    "dense_cnn": {"width": 8, "depth": 2},
}
NAMES = [name for name, entry in MODELS.items() if entry.task == "sequence"]
STREAMING = [name for name in NAMES if find_model(name).network.streams]
LOOKING_AHEAD = [name for name in NAMES if name not in STREAMING]
FEATURES, CLASSES = 15, 6

every_model = pytest.mark.parametrize("name", NAMES)
streaming = pytest.mark.parametrize("name", STREAMING)
looking_ahead = pytest.mark.parametrize("name", LOOKING_AHEAD)


def network(name: str, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return create_model(name, FEATURES, 64, CLASSES, SMALL[name])


def labeller(name: str, **changes: object) -> StreamLabeller:
    torch.manual_seed(0)
    settings: dict = {"model": name, "options": SMALL[name], "num_classes": CLASSES, "chunk": 64, "carry_state": False}
    return StreamLabeller(**(settings | changes)).eval()


def recordings(*lengths: int) -> list[torch.Tensor]:
    """Something like a phone's samples: gravity, and motion that goes on."""
    generator = torch.Generator().manual_seed(1)
    return [torch.tensor([1.0, 0, 0, 0, 0, 0]) + 0.02 * torch.randn(n, 6, generator=generator).cumsum(0) for n in lengths]


def test_every_model_has_a_test_case_a_config_and_a_place_in_the_study() -> None:
    assert set(SMALL) == set(NAMES)
    assert STREAMING
    assert LOOKING_AHEAD
    study = (ROOT / "configs/study/sequence.yaml").read_text()
    for name in NAMES:
        config = load_config(ROOT / "configs" / f"{name}.yaml")
        assert config.model.name == name
        assert config.task.carry_state == (name in STREAMING)
        assert config.task.chunk * config.training.batch_size == 4096  # as many samples a step, so as many steps
        assert name in study


def test_the_configs_differ_in_the_model_and_how_a_step_is_laid_out() -> None:
    configs = [load_config(ROOT / "configs" / f"{name}.yaml") for name in NAMES]
    for config in configs[1:]:
        assert config.training.model_dump(exclude={"batch_size"}) == configs[0].training.model_dump(exclude={"batch_size"})
        assert (config.data, config.frontend, config.augmentation) == (configs[0].data, configs[0].frontend, configs[0].augmentation)


@every_model
def test_samples_in_logits_out_and_every_weight_learns(name: str) -> None:
    model = network(name)
    for length in (64, 33):
        logits, state = model(torch.randn(5, length, FEATURES))
        assert logits.shape == (5, length, CLASSES)
        assert (state is None) == (name in LOOKING_AHEAD)
    target = torch.arange(5 * 33).reshape(5, 33) % CLASSES
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten()).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@every_model
def test_a_stream_is_judged_alone(name: str) -> None:
    model = network(name).eval()
    x = torch.randn(4, 64, FEATURES)
    with torch.no_grad():
        together = model(x)[0]
        alone = torch.cat([model(x[i : i + 1])[0] for i in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@every_model
def test_the_seed_decides_the_weights(name: str) -> None:
    first, same, other = (torch.cat([p.flatten() for p in network(name, s).parameters()]) for s in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@every_model
def test_saved_weights_are_the_same_model(name: str) -> None:
    model, other = labeller(name), StreamLabeller(**labeller(name).hparams).eval()
    model.frontend.fit(recordings(100, 200))
    other.load_state_dict(model.state_dict())
    (x,) = recordings(50)
    assert torch.equal(model.predict([x])[0], other.predict([x])[0])


@every_model
def test_unknown_options_name_the_nearest(name: str) -> None:
    option = option_names(find_model(name).network)[0]
    with refused("name-unknown", f"model '{name}' has no option '{option}x'; did you mean '{option}'"):
        create_model(name, 9, 64, 6, {option + "x": 1})


@streaming
@pytest.mark.parametrize("chunks", [(1,), (7,), (64,), (1, 40, 3)])
def test_a_recording_in_chunks_is_the_recording_at_once(name: str, chunks: tuple[int, ...]) -> None:
    model = labeller(name)
    model.frontend.fit(recordings(300))
    x = torch.stack(recordings(300, 300))
    with torch.no_grad():
        whole, end = model(x)
        found, state, first = [], None, 0
        while first < x.shape[1]:
            size = chunks[len(found) % len(chunks)]
            logits, state = model(x[:, first : first + size], state)
            found.append(logits)
            first += size
        torch.testing.assert_close(torch.cat(found, dim=1), whole, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(state, end, atol=1e-5, rtol=1e-5)
        assert end.shape == (2, model.state_size)
        assert torch.equal(model(x, torch.zeros(2, model.state_size))[0], whole)  # zeros are the start
        forgotten = model(x[:, 150:])[0]  # the state matters: without it the answers are others
        assert (forgotten - whole[:, 150:]).abs().max() > 1e-3


@every_model
def test_the_future_changes_nothing_unless_a_network_says_so(name: str) -> None:
    model = labeller(name)
    x = torch.stack(recordings(120))
    other = x.clone()
    other[:, 60:] += 1
    with torch.no_grad():
        before, after = model(x)[0][:, :60], model(other)[0][:, :60]
    assert torch.equal(before, after) == (name in STREAMING)
    torch.testing.assert_close(before[:, :30], after[:, :30], atol=1e-2, rtol=1e-2) if name == "dense_cnn" else None


@looking_ahead
def test_what_looks_ahead_carries_nothing(name: str) -> None:
    with refused("config", f"model '{name}' looks ahead and has no state to carry; set task.carry_state: false"):
        labeller(name, carry_state=True)
    with pytest.raises(ValueError, match="give it the whole recording at once"):
        labeller(name)(torch.zeros(1, 9, 6), torch.zeros(1, 7))
    assert labeller(name).network.state_size == 0


@every_model
def test_recordings_of_several_lengths_are_read_side_by_side(name: str) -> None:
    model = labeller(name).train()
    items = recordings(1500, 700, 64)  # longer than a piece, and shorter
    found = model.predict(items)
    assert model.training  # the mode is given back
    with torch.no_grad():
        for item, p in zip(items, found, strict=True):
            expected = torch.softmax(model.eval()(item.unsqueeze(0))[0][0], dim=-1)
            torch.testing.assert_close(p, expected, atol=1e-5, rtol=1e-5)


def steps(model: StreamLabeller) -> list[torch.Tensor]:
    """Losses of two chunks of two lanes; in the second, lane 0 goes on and lane 1 begins another recording."""
    model.log = lambda *args, **options: None  # type: ignore[method-assign]  # there is no trainer
    x, y = torch.stack(recordings(80, 80)), torch.arange(160).reshape(2, 80) % CLASSES
    model.on_train_epoch_start()
    first = model.training_step((x[:, :40], y[:, :40], torch.tensor([True, True])), 0)
    return [first, model.training_step((x[:, 40:], y[:, 40:], torch.tensor([False, True])), 1)]


@streaming
def test_the_state_is_carried_in_its_lane_and_reset_where_a_recording_begins(name: str) -> None:
    model = labeller(name, carry_state=True)
    loss = steps(model)[1]
    x, y = torch.stack(recordings(80, 80)), torch.arange(160).reshape(2, 80) % CLASSES
    with torch.no_grad():
        logits = torch.cat((model(x[:1])[0][:, 40:], model(x[1:, 40:])[0]))
        expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y[:, 40:].flatten())
        leaked = torch.nn.functional.cross_entropy(model(x)[0][:, 40:].flatten(0, 1), y[:, 40:].flatten())
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    assert (loss - leaked).abs() > 1e-4  # without the reset of lane 1 it would be this


@streaming
def test_gradients_end_where_a_chunk_begins(name: str) -> None:
    model = labeller(name, carry_state=True)
    first, second = steps(model)
    assert model.carried is not None
    assert not model.carried.requires_grad
    first.backward()
    second.backward()  # would fail if it went back through the first chunk, whose graph is gone


@streaming
def test_a_state_that_is_not_there_is_not_made_up(name: str) -> None:
    model = labeller(name, carry_state=True)
    with pytest.raises(ValueError, match="no state of as many lanes is carried"):
        model.training_step((torch.zeros(2, 8, 6), torch.zeros(2, 8, dtype=torch.long), torch.tensor([True, False])), 0)


@every_model
def test_samples_without_a_label_do_not_count(name: str) -> None:
    model = labeller(name)
    model.log = lambda *args, **options: None  # type: ignore[method-assign]
    x = torch.stack(recordings(60, 60))
    y = torch.full((2, 60), -1)
    fresh = torch.tensor([True, True])
    assert model.training_step((x, y, fresh), 0).item() == 0
    y[0, 10:20], y[1, 50:] = 2, 3
    with torch.no_grad():
        logits = model(x)[0]
        expected = torch.nn.functional.cross_entropy(logits[y >= 0], y[y >= 0])
    torch.testing.assert_close(model.training_step((x, y, fresh), 0), expected)
    model.validation_step((x, y), 0)
    scores = model.validation_scores.compute()
    assert scores["val/accuracy"].item() == pytest.approx((logits.argmax(-1) == y)[y >= 0].float().mean().item())


def test_wrong_samples_are_refused_with_their_shape() -> None:
    for shape in ((6, 64), (2, 64, 9), (2, 6, 64)):
        with pytest.raises(ValueError, match=r"expected \(batch, time, 6\)"):
            labeller("stream_gru")(torch.zeros(shape))


def test_the_frontend_remembers_the_last_sample_alone() -> None:
    frontend = StreamFrontend(compression=(1.0,), differences=(2.0,))
    x = torch.tensor([[[1.0, 0, 0, 0.03, 0, 0], [1.02, 0, 0, 0.03, 0, 0.06], [1.02, 0, 0, 0.03, 0, 0.06]]])
    features, state = frontend.derive(x)
    assert features.shape == (1, 3, frontend.out_channels) == (1, 3, 15)
    expected = torch.zeros(3, 6)
    expected[1, 0], expected[1, 5] = torch.asinh(torch.tensor(0.02 / 0.02)), torch.asinh(torch.tensor(0.06 / 0.06))
    torch.testing.assert_close(features[0, :, 9:], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(features[0, :, 6], torch.full((3,), 1.0).asinh())
    torch.testing.assert_close(state, torch.tensor([[1.02, 0, 0, 0.03, 0, 0.06, 1.0]]))
    torch.testing.assert_close(frontend.derive(x[:, 1:], frontend.derive(x[:, :1])[1])[0], features[:, 1:])
    frontend.fit(recordings(300, 200))
    inputs = torch.cat([frontend(item.unsqueeze(0))[0][0] for item in recordings(300, 200)])
    torch.testing.assert_close(inputs.mean(0), torch.zeros(15), atol=1e-4, rtol=0)
    torch.testing.assert_close(inputs.std(0), torch.ones(15), atol=1e-4, rtol=0)
