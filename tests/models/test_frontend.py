import numpy as np
import pytest
import torch

from har.data.windowset import WindowSet
from har.models.frontend import COMPRESSION_SCALE, SensorFrontend
from har.signals.filters import gravity_lowpass


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
