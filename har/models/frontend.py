"""The first layer: from sensor values to network inputs, of windows and of streams."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from har.contract import AXES, BODY_ACC, GYRO, MEASURED, RAW6, TOTAL_ACC, UCI9, channel_names
from har.signals.filters import gravity_matrix

# Static postures differ at about 1/100 of the amplitude of walking, which is some 0.3 g and 1 rad/s rms.
COMPRESSION_UNIT = {**dict.fromkeys(BODY_ACC, 0.01), **dict.fromkeys(GYRO, 0.03)}  # g and rad/s


def derived_channels(channels: str) -> tuple[str, ...]:
    """The channels of `channels` and the body acceleration, in the order of ``contract.UCI9``."""
    return tuple(name for name in UCI9 if name in BODY_ACC or name in channel_names(channels))


def network_inputs(channels: str, compression: Sequence[float], differences: Sequence[float] = ()) -> int:
    """How many features a sample has behind the frontend; what a network gets as ``in_channels``."""
    names = derived_channels(channels)
    return len(names) + len([name for name in names if name in COMPRESSION_UNIT]) * (len(compression) + len(differences))


def asinh(x: Tensor) -> Tensor:
    """`torch.asinh`, computed by a logarithm in an exported graph: onnxruntime takes that of many numbers at once, Asinh one by one."""
    if torch.onnx.is_in_onnx_export():
        return torch.sign(x) * torch.log(torch.abs(x) + torch.sqrt(x * x + 1))
    return torch.asinh(x)


def upright(gravity: Tensor) -> Tensor:
    """Rotations that take the direction of gravity's reaction to the first axis, x, whatever side of the phone is up.

    The least rotation where x points up at all; where it points down, the phone is first turned upside down about its z axis, so that no
    two close directions need opposite rotations but those at right angles to x. Which way the turned phone faces is left as it comes.

    Args:
        gravity: (batch, 3) mean acceleration, any length but zero; of zero, nothing is turned.

    Returns:
        (batch, 3, 3) matrices M; M @ v is the vector v, turned.
    """
    length = gravity.square().sum(dim=1, keepdim=True).sqrt()
    x, y, z = (gravity / length.clamp_min(1e-6)).unbind(dim=1)
    x = torch.where(length[:, 0] > 1e-6, x, torch.ones_like(x))
    sign = torch.where(x < 0, -torch.ones_like(x), torch.ones_like(x))
    x, y = sign * x, sign * y
    share = 1 / (1 + x)  # Rodrigues' formula; x is not negative any more
    rows = (
        torch.stack((sign * x, sign * y, z), dim=1),
        torch.stack((-sign * y, sign * (1 - share * y * y), -share * y * z), dim=1),
        torch.stack((-sign * z, -sign * share * y * z, 1 - share * z * z), dim=1),
    )
    return torch.stack(rows, dim=1)


class SensorFrontend(nn.Module):
    """Body acceleration, standardisation and compressed copies of the channels.

    ``raw6`` and ``acc3`` windows get their body acceleration here: total acceleration less the zero-phase 0.3 Hz low-pass of the
    window (`gravity_matrix`). The `derived_channels` are then standardised with the mean and deviation of the training subjects. For each
    number in `compression`, ``asinh(x / scale)`` of body acceleration and angular velocity is added: linear near rest, logarithmic in
    motion, so that sitting and standing are not flat beside walking. For each number in `differences` the same is done to the difference
    to the sample before (0 for the first), which stresses fast, faint movement.

    With ``axes="gravity"`` the window is first turned so that its mean acceleration points along x (`upright`): how the phone leans
    is gone then, and with it what lying differs from standing in, but any mounting looks the same up to a turn about x.

    Args:
        channels: a key of ``contract.CHANNEL_SETS``.
        window_size: samples in a window.
        axes: ``sensor``, as delivered, or ``gravity``; not of ``uci9``.
        compression: scales of the compressed copies, in units of `COMPRESSION_UNIT`.
        differences: scales of the compressed differences, in the same units a sample.
    """

    gravity: Tensor
    mean: Tensor
    std: Tensor
    scale: Tensor
    step_scale: Tensor

    def __init__(
        self,
        channels: str,
        window_size: int,
        *,
        axes: str = "sensor",
        compression: Sequence[float] = (1.0,),
        differences: Sequence[float] = (),
    ) -> None:
        super().__init__()
        names = channel_names(channels)
        self.in_channels = len(names)
        self.derive_body_acc = channels in MEASURED
        self.turned_upright = axes == "gravity"
        if self.turned_upright and not self.derive_body_acc:
            raise ValueError(f"the body acceleration of uci9 is published as it is; axes gravity are those of {' and '.join(MEASURED)}")
        self.window_size = window_size
        self.out_channels = network_inputs(channels, compression, differences)
        if self.derive_body_acc:
            self.register_buffer("gravity", torch.from_numpy(gravity_matrix(window_size)).float())
        self.register_buffer("mean", torch.zeros(self.out_channels))
        self.register_buffer("std", torch.ones(self.out_channels))
        unit = torch.tensor([COMPRESSION_UNIT[name] for name in derived_channels(channels) if name in COMPRESSION_UNIT])
        self.register_buffer("scale", unit * torch.tensor(compression).reshape(-1, 1))  # (scale, 6), of acc3 (scale, 3)
        self.register_buffer("step_scale", unit * torch.tensor(differences).reshape(-1, 1))

    def derive(self, x: Tensor) -> Tensor:
        """(batch, time, channel) sensor values -> (batch, time, out_channels) before standardisation."""
        return self._derive(x).transpose(1, 2)

    def _derive(self, x: Tensor) -> Tensor:
        """(batch, time, channel) -> (batch, out_channels, time): as convolutions want it, and with few operators, of which a device pays
        each, however little it computes.
        """
        x = x.transpose(1, 2)
        if self.derive_body_acc:
            total_acc, *gyro = x.split(len(AXES), dim=1)  # without a gyroscope, an empty list
            # The filter keeps a constant as it is; without it float32 loses less of what is small beside 1 g.
            mean = total_acc.mean(dim=2, keepdim=True)
            motion = total_acc - mean
            if self.turned_upright:
                turn = upright(mean[..., 0]).unsqueeze(-1)  # (B, 3, 3, 1)
                # Motion is turned apart from its mean, and term by term: both keep what is small beside 1 g.
                motion, *gyro = ((turn * part.unsqueeze(1)).sum(dim=2) for part in (motion, *gyro))
                # 1 g whatever the phone reads: the error of its own accelerometer's axes would tell how it lies, on no other phone.
                total_acc = motion + torch.cat((torch.ones_like(mean[:, :1]), torch.zeros_like(mean[:, 1:])), dim=1)
            body_acc = motion - torch.matmul(motion, self.gravity.T)  # (B, 3, T) @ (T, T)
            motion = torch.cat((body_acc, *gyro), dim=1)
            parts = [motion, total_acc]  # (B, 9, T), the order of UCI9; of acc3 (B, 6, T)
        else:
            motion, parts = x[:, : len(COMPRESSION_UNIT)], [x]
        small = [motion] * len(self.scale)
        if len(self.step_scale):
            before = nn.functional.pad(motion[..., :-1], (1, 0), mode="replicate")  # the first sample has no difference
            small += [motion - before] * len(self.step_scale)
        if small:
            scales = torch.cat((self.scale.flatten(), self.step_scale.flatten())).unsqueeze(-1)
            parts.append(asinh(torch.cat(small, dim=1) / scales))
        return torch.cat(parts, dim=1)  # (B, 9 + 6 a scale, T), of acc3 (B, 6 + 3 a scale, T)

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Set mean and deviation from the windows of training subjects, (window, time, channel)."""
        features = torch.cat([self.derive(part) for part in x.split(512)])
        self.mean.copy_(features.mean(dim=(0, 1)))
        self.std.copy_(features.std(dim=(0, 1)).clamp_min(1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, channel) sensor values -> (batch, time, out_channels) network inputs.

        Raises:
            ValueError: the windows have another shape.
        """
        expected = (self.window_size, self.in_channels)
        if not torch.compiler.is_exporting() and (x.ndim != 3 or tuple(x.shape[1:]) != expected):
            raise ValueError(f"windows have shape {tuple(x.shape)}, expected (batch, {expected[0]}, {expected[1]}): batch, time, channel")
        features = self._derive(x)
        if torch.onnx.is_in_onnx_export():  # the same as one operator
            return nn.functional.batch_norm(features, self.mean, self.std.square(), eps=0.0).transpose(1, 2)
        return ((features - self.mean[:, None]) / self.std[:, None]).transpose(1, 2)


class StreamFrontend(nn.Module):
    """Standardised sensor values, compressed angular velocity and compressed differences to the sample before.

    `SensorFrontend` takes gravity out of a whole window at once, which no stream has; here gravity stays in total acceleration. For each
    number in `compression`, ``asinh(x / scale)`` of angular velocity is added, and for each in `differences` the same of the difference to
    the sample before, of all six channels: linear near rest, logarithmic in motion. The first sample of a recording has a difference of 0.

    The state is the last sample and whether there was one, so that zeros stand for the start of a recording.

    Args:
        compression: scales of the compressed copies, in units of `frontend.COMPRESSION_UNIT`.
        differences: scales of the compressed differences, in the same units a sample.
    """

    in_channels = len(RAW6)
    state_size = len(RAW6) + 1
    mean: Tensor
    std: Tensor
    scale: Tensor
    step_scale: Tensor

    def __init__(self, *, compression: Sequence[float] = (1.0,), differences: Sequence[float] = (1.0,)) -> None:
        super().__init__()
        self.out_channels = len(RAW6) + len(GYRO) * len(compression) + len(RAW6) * len(differences)
        self.register_buffer("mean", torch.zeros(self.out_channels))
        self.register_buffer("std", torch.ones(self.out_channels))
        unit = torch.tensor([COMPRESSION_UNIT[name] for name in BODY_ACC + GYRO])  # a difference of total acceleration is one of body's
        self.register_buffer("scale", unit[len(TOTAL_ACC) :] * torch.tensor(compression).reshape(-1, 1))  # (scale, 3)
        self.register_buffer("step_scale", unit * torch.tensor(differences).reshape(-1, 1))  # (scale, 6)

    def derive(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, time, 6) in g and rad/s, and the state -> (batch, time, out_channels) before standardisation, and the state behind."""
        if state is None:
            state = x.new_zeros(x.shape[0], self.state_size)
        last, seen = state[:, None, : self.in_channels], state[:, None, self.in_channels :]  # (B, 1, 6), (B, 1, 1)
        step = torch.cat((seen * (x[:, :1] - last), x[:, 1:] - x[:, :-1]), dim=1)
        gyro = x[..., len(TOTAL_ACC) :]
        copies = [torch.asinh(gyro / scale) for scale in self.scale] + [torch.asinh(step / scale) for scale in self.step_scale]
        after = torch.cat((x[:, -1], torch.ones_like(x[:, -1, :1])), dim=1)  # (B, 7)
        return torch.cat((x, *copies), dim=-1), after

    @torch.no_grad()
    def fit(self, streams: Iterable[Tensor]) -> None:
        """Set mean and deviation from whole recordings of training subjects, each (time, 6)."""
        features = torch.cat([self.derive(stream.unsqueeze(0))[0].squeeze(0) for stream in streams])  # (sample, feature)
        self.mean.copy_(features.double().mean(dim=0))
        self.std.copy_(features.double().std(dim=0).clamp_min(1e-6))

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, time, 6) in g and rad/s, and the state (batch, state_size) -> (batch, time, out_channels), and the state behind."""
        features, after = self.derive(x, state)
        return (features - self.mean) / self.std, after
