"""From the samples of a stream to network inputs, one after the other: nothing later than a sample is looked at."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from har.contract import BODY_ACC, GYRO, RAW6, TOTAL_ACC
from har.models.frontend import COMPRESSION_UNIT


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
