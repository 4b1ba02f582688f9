"""Windows in gravity's axes, and the module that tells the mounting from them."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from har.config import load_config
from har.data.windowset import WindowSet
from har.models.frontend import SensorFrontend, upright
from har.models.mounting_estimator import TURNS, WALKING, MountingEstimator, turned_about_x
from tests.refusal import refused

TURNS_OF_ALL_KINDS = torch.from_numpy(Rotation.random(200, random_state=0).as_matrix()).float()


def estimator() -> MountingEstimator:
    torch.manual_seed(0)
    return MountingEstimator(model="mounting_cnn", options={"width": 8}, window_size=128).eval()


def turned(x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    return torch.cat((x[..., :3] @ by.mT, x[..., 3:] @ by.mT), dim=-1)


def test_gravity_ends_up_on_x_and_nothing_is_mirrored() -> None:
    gravity = TURNS_OF_ALL_KINDS[:, :, 0] * torch.linspace(0.01, 4, 200)[:, None]
    edges = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, 0, -1.0], [-1e-3, 1.0, 0], [-1.0, 1e-4, 0]])
    gravity = torch.cat((gravity, edges))
    turn = upright(gravity)
    ends = (turn @ gravity[:, :, None])[..., 0]
    torch.testing.assert_close(ends[:, 0], gravity.norm(dim=1))
    torch.testing.assert_close(ends[:, 1:], torch.zeros(len(ends), 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3).expand(len(turn), 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(len(turn)))
    assert torch.equal(upright(torch.zeros(1, 3)), torch.eye(3)[None])


def test_any_mounting_gives_the_same_features_up_to_a_turn_about_x(parts: dict[str, WindowSet]) -> None:
    frontend = SensorFrontend("raw6", 128, axes="gravity", compression=())
    x = torch.from_numpy(np.array(parts["train"].x[:200]))
    plain, other = frontend.derive(x), frontend.derive(turned(x, TURNS_OF_ALL_KINDS))
    for first in (0, 3, 6):  # body acceleration, angular velocity, total acceleration
        torch.testing.assert_close(plain[..., first], other[..., first], atol=1e-5, rtol=1e-4)  # along gravity
        across = [found[..., first + 1 : first + 3].norm(dim=-1) for found in (plain, other)]
        torch.testing.assert_close(*across, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(plain[..., 6].mean(dim=1), torch.ones(200), atol=1e-5, rtol=0)
    assert plain[..., 7:].mean(dim=1).abs().max() < 1e-5
    assert torch.isfinite(frontend.derive(torch.zeros(2, 128, 6))).all()
    with pytest.raises(ValueError, match="uci9"):
        SensorFrontend("uci9", 128, axes="gravity")
    with refused("config", "axes: gravity turns raw sensors"):
        load_config("configs/robust.yaml").with_overrides(data__channels="uci9")


def test_two_directions_across_each_other_of_one_length(parts: dict[str, WindowSet]) -> None:
    x = turned(torch.from_numpy(np.array(parts["train"].x[:200])), TURNS_OF_ALL_KINDS)
    told = estimator().predict(x)
    up, side = told.unbind(dim=1)
    gravity = torch.nn.functional.normalize(x[..., :3].mean(dim=1), dim=1)
    torch.testing.assert_close(up, gravity * up.norm(dim=1, keepdim=True), atol=1e-5, rtol=0)
    torch.testing.assert_close(up.norm(dim=1), side.norm(dim=1), atol=1e-5, rtol=1e-4)
    assert (up * side).sum(dim=1).abs().max() < 1e-5


def test_the_error_is_the_angle_to_where_y_went(parts: dict[str, WindowSet], monkeypatch: pytest.MonkeyPatch) -> None:
    module, windows = estimator(), parts["train"]
    x, y = torch.from_numpy(np.array(windows.x)), torch.from_numpy(np.array(windows.y))
    assert module.errors_deg(x, y).shape == (int((y < WALKING).sum()), TURNS)
    assert 45 < float(module.errors_deg(x, y).mean()) < 135  # untrained: as good as chance

    def perfect(turned: torch.Tensor, off: float = 0.0) -> torch.Tensor:
        """Cheats: this stands for a network that knows the turn, from the window it is asked for."""
        turn = upright(turned[..., :3].mean(dim=1))
        target = (turn @ fronts.pop(0)[:, :, None])[:, 1:, 0]
        angle = torch.atan2(target[:, 1], target[:, 0]) + off
        return angle.cos()[:, None] * turn[:, 1] + angle.sin()[:, None] * turn[:, 2]

    walking = x[y < WALKING]
    for off in (0.0, 0.5):
        fronts = [turned_about_x(walking, torch.full((len(walking),), k * torch.pi / 2))[1] for k in range(TURNS)]
        monkeypatch.setattr(module, "forward", lambda w, off=off: torch.stack((w[..., :3].mean(dim=1), perfect(w, off)), dim=1))
        errors = module.errors_deg(x, y)
        torch.testing.assert_close(errors, torch.full_like(errors, float(np.degrees(off))), atol=0.1, rtol=0)


def test_rest_is_taught_as_worth_nothing(parts: dict[str, WindowSet]) -> None:
    module, windows = estimator(), parts["train"]
    x, y = torch.from_numpy(np.array(windows.x)), torch.from_numpy(np.array(windows.y))
    front = torch.tensor([0.0, 1.0, 0.0]).expand(len(x), 3)
    with torch.no_grad():
        error, heading = module._squared_error(x, front, y), module.network(module.frontend(x))
    torch.testing.assert_close(error[y >= WALKING], heading[y >= WALKING].square().sum(dim=1))
    assert not torch.allclose(error[y < WALKING], heading[y < WALKING].square().sum(dim=1))
