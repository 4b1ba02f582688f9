import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from har.data.windowset import WindowSet
from har.models.frontend import COMPRESSION_SCALE, SensorFrontend
from har.signals.filters import gravity_lowpass, gravity_matrix


def tensor(windows: WindowSet) -> torch.Tensor:
    return torch.from_numpy(np.array(windows.x))


@pytest.mark.parametrize("channels", ["raw6", "uci9"])
@pytest.mark.parametrize("compressed", [False, True])
def test_inputs_are_standardised_on_the_windows_it_was_fitted_on(channels: str, compressed: bool, windows: WindowSet) -> None:
    frontend = SensorFrontend(channels, 128, compressed=compressed)
    x = tensor(windows.select_channels(channels))
    frontend.fit(x)
    features = frontend(x)
    assert features.shape == (len(x), 128, frontend.out_channels)
    assert features.mean(dim=(0, 1)).abs().max() < 1e-3
    assert (features.std(dim=(0, 1)) - 1).abs().max() < 1e-3


def test_body_acceleration_is_the_offline_filter_of_the_window(windows: WindowSet) -> None:
    raw6 = windows.select_channels("raw6")
    features = SensorFrontend("raw6", 128, compressed=False).derive(tensor(raw6))
    for index in (0, 100, 500):
        total_acc = raw6.x[index, :, :3].astype(np.float64)
        np.testing.assert_allclose(features[index, :, :3].numpy(), total_acc - gravity_lowpass(total_acc), atol=1e-6)
        np.testing.assert_array_equal(features[index, :, 3:6].numpy(), raw6.x[index, :, 3:])
        np.testing.assert_array_equal(features[index, :, 6:].numpy(), raw6.x[index, :, :3])


@settings(max_examples=60, deadline=None)
@given(
    window_size=st.sampled_from([32, 64, 100, 128, 250, 512]),
    kind=st.sampled_from(["noise", "gait", "step", "spike", "still"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_torch_takes_gravity_away_as_numpy_does(window_size: int, kind: str, seed: int) -> None:
    """Within 1e-6 g for what an accelerometer of +-2 g can deliver, the range of the sensor behind UCI HAR."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(window_size)[:, None] / 50.0
    total_acc = {
        "noise": rng.uniform(-2, 2, (window_size, 3)),
        "gait": rng.uniform(-1, 1, 3) + rng.uniform(0, 1, 3) * np.sin(2 * np.pi * rng.uniform(0.2, 20, 3) * time_s),
        "step": np.where(time_s < time_s[-1] * rng.random(), rng.uniform(-2, 2, 3), rng.uniform(-2, 2, 3)),
        "spike": np.where(np.arange(window_size)[:, None] == rng.integers(window_size), 2.0, rng.uniform(-1, 1, 3)),
        "still": np.tile(rng.uniform(-1, 1, 3), (window_size, 1)),
    }[kind].astype(np.float32)
    x = np.concatenate((total_acc, rng.normal(size=(window_size, 3)).astype(np.float32)), axis=1)
    body_acc = SensorFrontend("raw6", window_size, compressed=False).derive(torch.from_numpy(x[None]))[0, :, :3].numpy()
    expected = total_acc.astype(np.float64) - gravity_lowpass(total_acc)
    np.testing.assert_allclose(body_acc, expected, atol=1e-6, rtol=0)
    np.testing.assert_allclose(x[:, :3] - body_acc, gravity_matrix(window_size) @ total_acc, atol=1e-6, rtol=0)


def test_torch_compresses_and_standardises_as_numpy_does(windows: WindowSet) -> None:
    frontend = SensorFrontend("uci9", 128)
    frontend.fit(tensor(windows))
    x = windows.x[::40].astype(np.float64)
    features = np.concatenate((x, np.arcsinh(x[..., :6] / np.repeat([0.01, 0.03], 3))), axis=-1)
    expected = (features - frontend.mean.double().numpy()) / frontend.std.double().numpy()
    np.testing.assert_allclose(frontend(tensor(windows)[::40]).numpy(), expected, atol=1e-6, rtol=1e-6)


def test_published_channels_pass_as_they_are(windows: WindowSet) -> None:
    x = tensor(windows)
    assert torch.equal(SensorFrontend("uci9", 128, compressed=False).derive(x), x)


def test_compression_is_linear_near_rest_and_logarithmic_in_motion() -> None:
    frontend = SensorFrontend("uci9", 128)
    scale = COMPRESSION_SCALE["body_acc_x"]
    x = torch.zeros(1, 128, 9)
    x[0, 0, 0], x[0, 1, 0], x[0, 2, 0] = scale / 100, 100 * scale, 200 * scale
    compressed = frontend.derive(x)[0, :3, 9]
    torch.testing.assert_close(compressed[0], torch.tensor(0.01), atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(compressed[2] - compressed[1], torch.tensor(np.log(2.0), dtype=torch.float32), atol=1e-3, rtol=0)


def test_a_dead_channel_gives_no_infinity() -> None:
    frontend = SensorFrontend("raw6", 128)
    x = torch.zeros(4, 128, 6)
    frontend.fit(x)
    assert torch.isfinite(frontend(x)).all()
