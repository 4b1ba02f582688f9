from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from har.contract import CHANNEL_SETS
from har.data.prepare import load_dataset
from har.data.windowset import WindowSet
from har.models.frontend import COMPRESSION_UNIT, SensorFrontend, network_inputs
from har.signals.filters import gravity_lowpass


def tensor(windows: WindowSet) -> torch.Tensor:
    return torch.from_numpy(np.array(windows.x))


@pytest.mark.parametrize("channels", CHANNEL_SETS)
@pytest.mark.parametrize("compression", [(), (1.0,), (0.3, 1.0, 5.0)])
def test_inputs_are_standardised_on_the_windows_it_was_fitted_on(channels: str, compression: tuple[float, ...], windows: WindowSet) -> None:
    frontend = SensorFrontend(channels, 128, compression=compression)
    x = tensor(windows.select_channels(channels))
    frontend.fit(x)
    features = frontend(x)
    assert features.shape == (len(x), 128, frontend.out_channels)
    assert frontend.out_channels == network_inputs(channels, compression)
    assert features.mean(dim=(0, 1)).abs().max() < 1e-3
    assert (features.std(dim=(0, 1)) - 1).abs().max() < 1e-3


def test_body_acceleration_is_the_offline_filter_of_the_window(windows: WindowSet) -> None:
    raw6 = windows.select_channels("raw6")
    features = SensorFrontend("raw6", 128, compression=()).derive(tensor(raw6))
    for index in (0, 100, 500):
        total_acc = raw6.x[index, :, :3].astype(np.float64)
        np.testing.assert_allclose(features[index, :, :3].numpy(), total_acc - gravity_lowpass(total_acc), atol=1e-6)
        np.testing.assert_array_equal(features[index, :, 3:6].numpy(), raw6.x[index, :, 3:])
        np.testing.assert_array_equal(features[index, :, 6:].numpy(), raw6.x[index, :, :3])


@pytest.mark.parametrize("axes", ["sensor", "gravity"])
def test_an_accelerometer_alone_gives_the_features_of_its_own_as_next_to_a_gyroscope(axes: str, windows: WindowSet) -> None:
    settings = {"axes": axes, "compression": (1.0, 0.3), "differences": (1.0,)}
    both, alone = (SensorFrontend(name, 128, **settings) for name in ("raw6", "acc3"))  # type: ignore[arg-type]
    found = alone.derive(tensor(windows.select_channels("acc3")))
    features = both.derive(tensor(windows.select_channels("raw6")))
    own = [*range(3), *range(6, 9), *(first + axis for first in (9, 15, 21) for axis in range(3))]  # body, total, compressed body
    assert found.shape[-1] == alone.out_channels == len(own)
    assert torch.equal(found, features[..., own])


def torch_body_acc(total_acc: np.ndarray, *, double: bool = False) -> np.ndarray:
    """(time, 3) or (window, time, 3) float32 total acceleration through the layer that is exported."""
    frontend = SensorFrontend("raw6", total_acc.shape[-2], compression=())
    x = torch.from_numpy(np.concatenate((total_acc, total_acc), axis=-1))
    x = x if x.ndim == 3 else x[None]
    derived = (frontend.double().derive(x.double()) if double else frontend.derive(x))[..., :3].numpy()
    return derived.reshape(total_acc.shape)


def numpy_body_acc(total_acc: np.ndarray) -> np.ndarray:
    return total_acc.astype(np.float64) - gravity_lowpass(total_acc)


def accelerometer(kind: str, window_size: int, seed: int) -> np.ndarray:
    """(time, 3) float32, in g."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(window_size)[:, None] / 50.0
    gravity = rng.normal(size=3)
    gravity /= np.linalg.norm(gravity)
    return {
        "noise": lambda: rng.uniform(-2, 2, (window_size, 3)),
        "gait": lambda: gravity + rng.uniform(0, 0.4, 3) * np.sin(2 * np.pi * rng.uniform(0.2, 20, 3) * time_s),
        "turn": lambda: np.where(time_s < time_s[-1] * rng.random(), gravity, gravity[::-1]),
        "still": lambda: np.tile(gravity, (window_size, 1)) + rng.normal(0, 0.004, (window_size, 3)),
    }[kind]().astype(np.float32)


every_window = given(
    window_size=st.sampled_from([32, 64, 100, 128, 250, 512]),
    kind=st.sampled_from(["noise", "gait", "turn", "still"]),
    seed=st.integers(0, 2**32 - 1),
)


@settings(max_examples=60, deadline=None)
@every_window
def test_torch_takes_gravity_away_as_numpy_does(window_size: int, kind: str, seed: int) -> None:
    """Any window, its float32 matrix included, with the sums in double precision."""
    total_acc = accelerometer(kind, window_size, seed)
    np.testing.assert_allclose(torch_body_acc(total_acc, double=True), numpy_body_acc(total_acc), atol=1e-6, rtol=0)


@settings(max_examples=60, deadline=None)
@every_window
def test_sums_in_float32_add_their_rounding_and_no_more(window_size: int, kind: str, seed: int) -> None:
    """At most 1e-6 g for a phone that is worn, 128 samples; more for white noise of 2 g, for a sudden turn and for longer windows."""
    total_acc = accelerometer(kind, window_size, seed)
    atol = 1e-6 if kind in ("gait", "still") and window_size <= 128 else 1e-5
    np.testing.assert_allclose(torch_body_acc(total_acc), numpy_body_acc(total_acc), atol=atol, rtol=0)


@pytest.mark.data
def test_torch_takes_gravity_away_as_numpy_does_on_every_real_window(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path))
    total_acc = np.array(load_dataset("uci-har", archive=real_data).x[:, :, :3])
    by_time = np.ascontiguousarray(total_acc.transpose(1, 0, 2))  # (time, window, axis): the filter runs along the first axis
    expected = (by_time - gravity_lowpass(by_time)).transpose(1, 0, 2)
    np.testing.assert_allclose(torch_body_acc(total_acc), expected, atol=1e-6, rtol=0)


def test_torch_compresses_and_standardises_as_numpy_does(windows: WindowSet) -> None:
    frontend = SensorFrontend("uci9", 128)
    frontend.fit(tensor(windows))
    x = windows.x[::40].astype(np.float64)
    features = np.concatenate((x, np.arcsinh(x[..., :6] / np.repeat([0.01, 0.03], 3))), axis=-1)
    expected = (features - frontend.mean.double().numpy()) / frontend.std.double().numpy()
    np.testing.assert_allclose(frontend(tensor(windows)[::40]).numpy(), expected, atol=1e-6, rtol=1e-6)


def test_published_channels_pass_as_they_are(windows: WindowSet) -> None:
    x = tensor(windows)
    assert torch.equal(SensorFrontend("uci9", 128, compression=()).derive(x), x)


def test_compression_is_linear_near_rest_and_logarithmic_in_motion() -> None:
    frontend = SensorFrontend("uci9", 128)
    scale = COMPRESSION_UNIT["body_acc_x"]
    x = torch.zeros(1, 128, 9)
    x[0, 0, 0], x[0, 1, 0], x[0, 2, 0] = scale / 100, 100 * scale, 200 * scale
    compressed = frontend.derive(x)[0, :3, 9]
    torch.testing.assert_close(compressed[0], torch.tensor(0.01), atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(compressed[2] - compressed[1], torch.tensor(np.log(2.0), dtype=torch.float32), atol=1e-3, rtol=0)


def test_differences_are_those_to_the_sample_before(windows: WindowSet) -> None:
    frontend = SensorFrontend("uci9", 128, compression=(), differences=(1.0, 0.2))
    x = windows.x[::40].astype(np.float64)
    step = np.diff(x[..., :6], axis=1, prepend=x[:, :1, :6])
    unit = np.repeat([0.01, 0.03], 3)
    expected = np.concatenate((x, np.arcsinh(step / unit), np.arcsinh(step / (0.2 * unit))), axis=-1)
    assert frontend.out_channels == expected.shape[-1]
    np.testing.assert_allclose(frontend.derive(tensor(windows)[::40]).numpy(), expected, atol=1e-5)


def test_a_dead_channel_gives_no_infinity() -> None:
    frontend = SensorFrontend("raw6", 128)
    x = torch.zeros(4, 128, 6)
    frontend.fit(x)
    assert torch.isfinite(frontend(x)).all()
