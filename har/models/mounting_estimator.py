"""The LightningModule around any network that tells from a window of walking how the phone is mounted."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from har.contract import MOVING
from har.models.frontend import SensorFrontend, upright
from har.models.module import ErrorModule
from har.models.registry import create_model

WALKING = len(MOVING)  # activities, the first ones, that go forwards with the body upright
TURNS = 4  # of a quarter, in which each validation window is seen


class MountingEstimator(ErrorModule):
    """Which directions of the phone are x and y of the training data, as far as a window tells: up along the body, and to its front.

    While a person walks, gravity says where up is. What is left is a turn about it, which a network reads from the window in gravity's
    axes (`SensorFrontend`): two numbers, a vector in the horizontal plane that points along y. Its target is of length 1 while walking and
    0 at rest, where nothing tells the two sides of a body apart, so that by the squared error its length is how much the window
    is worth. Added up over the windows of a stream, the vectors of unsure windows hardly count; see `har.runtime.mounted`.

    Args:
        model: name of a registered network of the task ``mounting``.
        options: options of its constructor.
        window_size: samples in a window of ``raw6``.
        compression, differences: see `SensorFrontend`.
        rates: see `TaskModule`.
    """

    monitor = "val/error_deg"
    power = 1.0

    def __init__(
        self,
        *,
        model: str,
        options: dict[str, Any],
        window_size: int,
        compression: Sequence[float] = (1.0,),
        differences: Sequence[float] = (),
        **rates: float,
    ) -> None:
        super().__init__(**rates)
        self.frontend = SensorFrontend("raw6", window_size, axes="gravity", compression=compression, differences=differences)
        self.network: nn.Module = create_model(model, self.frontend.out_channels, window_size, 2, options)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, 6) in g and rad/s -> (batch, 2, 3): the directions of x and y in the phone's axes, as long as they are worth."""
        heading = self.network(self.frontend(x))  # (B, 2), in the plane across gravity
        turn = upright(x[..., :3].mean(dim=1))  # (B, 3, 3), from the phone's axes to gravity's
        worth = heading.square().sum(dim=1, keepdim=True).sqrt()
        return torch.stack((worth * turn[:, 0], heading[:, :1] * turn[:, 1] + heading[:, 1:] * turn[:, 2]), dim=1)

    def batch_loss(self, x: Tensor, y: Tensor) -> Tensor:
        angle = 2 * math.pi * torch.rand(len(x), device=x.device)
        return self._squared_error(*turned_about_x(x, angle), y).mean()

    def _squared_error(self, x: Tensor, front: Tensor, y: Tensor) -> Tensor:
        turn = upright(x[..., :3].mean(dim=1))
        target = (turn @ front.unsqueeze(2))[:, 1:, 0]
        target = nn.functional.normalize(target, dim=1) * (y < WALKING).to(x).unsqueeze(1)
        return (self.network(self.frontend(x)) - target).square().sum(dim=1)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        self.count(self.errors_deg(*batch))

    @torch.no_grad()
    def errors_deg(self, x: Tensor, y: Tensor) -> Tensor:
        """(window, time, 6), (window,) -> (walking window, TURNS): degrees about the vertical by which y is missed, in four turns."""
        x = x[y < WALKING]
        found = []
        for number in range(TURNS):
            turned, front = turned_about_x(x, torch.full((len(x),), number * 2 * math.pi / TURNS, device=x.device))
            up, side = self(turned).unbind(dim=1)
            up = nn.functional.normalize(up, dim=1)
            across = front - (front * up).sum(dim=1, keepdim=True) * up
            found.append(torch.rad2deg(torch.acos(nn.functional.cosine_similarity(side, across, dim=1).clamp(-1, 1))))
        return torch.stack(found, dim=1)


def turned_about_x(x: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Windows (batch, time, 6) as of phones turned about x by (batch,) radians, and where y points in their axes, (batch, 3)."""
    cosine, sine, zero, one = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle), torch.ones_like(angle)
    rows = (torch.stack((one, zero, zero), dim=1), torch.stack((zero, cosine, -sine), dim=1), torch.stack((zero, sine, cosine), dim=1))
    turn = torch.stack(rows, dim=1)  # (B, 3, 3)
    return torch.cat((x[..., :3] @ turn.mT, x[..., 3:] @ turn.mT), dim=-1), turn[:, :, 1]
