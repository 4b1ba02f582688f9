"""Each transform does what its name says, and to each window of the batch by a draw of its own."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from har.contract import RAW6, UCI9
from har.data import augmentation as t
from tests.refusal import refused

B, T = 400, 126  # 126: the knots of the smooth curves fall on samples
CHANNELS = {"raw6": RAW6, "uci9": UCI9}
both_channel_sets = pytest.mark.parametrize("channels", CHANNELS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(channels: str = "raw6", batch: int = B, window_size: int = T) -> Tensor:
    return torch.randn(batch, window_size, len(CHANNELS[channels]), generator=generator(99))


def ones(channels: str = "raw6", batch: int = B) -> Tensor:
    return torch.ones(batch, T, len(CHANNELS[channels]))


def clock(batch: int = B, channels: int = 6) -> Tensor:
    """Windows that tell the time: what a change of time did can be read off them."""
    return torch.arange(T, dtype=torch.float32).view(1, T, 1).expand(batch, T, channels).contiguous()


def triads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, 3)).double()  # (B, T, triad, 3)


def angle_deg(a: Tensor, b: Tensor) -> Tensor:
    cosine = (a * b).sum(-1) / a.norm(dim=-1) / b.norm(dim=-1)
    return torch.rad2deg(torch.arccos(cosine.clamp(-1, 1)))


TRANSFORMS: dict[str, Callable[[Tensor, str, torch.Generator], Tensor]] = {
    "rotate": lambda x, c, g: t.rotate(x, 20.0, g),
    "turn": lambda x, c, g: t.turn(x, 20.0, g),
    "tilt": lambda x, c, g: t.tilt(x, 20.0, g),
    "mirror": lambda x, c, g: t.mirror(x, 0.5, g),
    "jitter": lambda x, c, g: t.jitter(x, 0.05, 0.1, g),
    "bias_gyro": lambda x, c, g: t.bias_gyro(x, 0.1, g),
    "scale": lambda x, c, g: t.scale(x, 0.1, g),
    "magnitude_warp": lambda x, c, g: t.magnitude_warp(x, 0.1, g),
    "time_warp": lambda x, c, g: t.time_warp(x, 0.2, g),
    "crop": lambda x, c, g: t.crop(x, 0.3, g),
    "permute": lambda x, c, g: t.permute(x, 3, g),
    "drop_channels": lambda x, c, g: t.drop_channels(x, 0.3, g),
    "drop_sensors": lambda x, c, g: t.drop_sensors(x, 0.3, g),
}
ZERO: dict[str, Callable[[Tensor, str, torch.Generator], Tensor]] = {
    "rotate": lambda x, c, g: t.rotate(x, 0.0, g),
    "turn": lambda x, c, g: t.turn(x, 0.0, g),
    "tilt": lambda x, c, g: t.tilt(x, 0.0, g),
    "mirror": lambda x, c, g: t.mirror(x, 0.0, g),
    "jitter": lambda x, c, g: t.jitter(x, 0.0, 0.0, g),
    "bias_gyro": lambda x, c, g: t.bias_gyro(x, 0.0, g),
    "scale": lambda x, c, g: t.scale(x, 0.0, g),
    "magnitude_warp": lambda x, c, g: t.magnitude_warp(x, 0.0, g),
    "time_warp": lambda x, c, g: t.time_warp(x, 0.0, g),
    "crop": lambda x, c, g: t.crop(x, 0.0, g),
    "permute": lambda x, c, g: t.permute(x, 0, g),
    "drop_channels": lambda x, c, g: t.drop_channels(x, 0.0, g),
    "drop_sensors": lambda x, c, g: t.drop_sensors(x, 0.0, g),
}
TIME = ("time_warp", "crop", "permute")
DRAWS = {"drop_sensors": 4, "mirror": 2}  # two sensors have four fates
every_transform = pytest.mark.parametrize("name", TRANSFORMS)


MIXING = {"beta", "mixup", "cutmix"}  # see test_mixing.py


def test_every_transform_is_tested() -> None:
    public = {name for name, value in vars(t).items() if callable(value) and getattr(value, "__module__", "") == t.__name__}
    assert {name for name in public if name[0] != "_"} == set(TRANSFORMS) | {
        "Augmentation",
        "sensor_axes",
        "resample",
        "warped_time",
    } | MIXING
    assert set(ZERO) == set(TRANSFORMS)


@every_transform
@both_channel_sets
def test_shape_stays_values_are_finite_and_the_input_is_untouched(name: str, channels: str) -> None:
    x = noise(channels)
    kept = x.clone()
    changed = TRANSFORMS[name](x, channels, generator())
    assert changed.shape == x.shape
    assert changed.dtype == x.dtype
    assert changed.device == x.device
    assert torch.isfinite(changed).all()
    assert not torch.equal(changed, x)
    assert torch.equal(x, kept)


@every_transform
@both_channel_sets
def test_strength_zero_changes_nothing(name: str, channels: str) -> None:
    x = noise(channels)
    torch.testing.assert_close(ZERO[name](x, channels, generator()), x, atol=1e-4 if name in ("time_warp", "crop") else 0, rtol=0)


@every_transform
def test_the_seed_decides_and_every_window_has_its_own_draw(name: str) -> None:
    x = noise(batch=1).expand(50, T, 6).contiguous()  # fifty times the same window
    first = TRANSFORMS[name](x, "raw6", generator(1))
    assert torch.equal(first, TRANSFORMS[name](x, "raw6", generator(1)))
    assert not torch.equal(first, TRANSFORMS[name](x, "raw6", generator(2)))
    assert len(torch.unique(first.flatten(1), dim=0)) >= DRAWS.get(name, 15)


@every_transform
def test_both_channel_sets_get_the_same_change(name: str) -> None:
    """Body and total acceleration come from one accelerometer."""
    nine = noise("uci9")
    six = nine[:, :, [UCI9.index(channel) for channel in RAW6]]
    changed = TRANSFORMS[name](nine, "uci9", generator(3))[:, :, [UCI9.index(channel) for channel in RAW6]]
    torch.testing.assert_close(changed, TRANSFORMS[name](six, "raw6", generator(3)), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name not in ("rotate", "turn", "tilt")])
def test_body_and_total_acceleration_change_alike(name: str) -> None:
    nine = noise("uci9")
    nine[:, :, :3] = nine[:, :, 6:]
    changed = TRANSFORMS[name](nine, "uci9", generator(3))
    assert torch.equal(changed[:, :, :3], changed[:, :, 6:])


@both_channel_sets
def test_rotation_keeps_norms_and_angles_and_turns_all_triads_alike(channels: str) -> None:
    x = noise(channels)
    turned = t.rotate(x, 90.0, generator())
    before, after = triads(x), triads(turned)
    torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1), atol=1e-5, rtol=0)
    for first in range(before.shape[2]):  # between gravity, body acceleration and rotation
        for second in range(first):
            torch.testing.assert_close(
                (after[:, :, first] * after[:, :, second]).sum(-1),
                (before[:, :, first] * before[:, :, second]).sum(-1),
                atol=1e-4,
                rtol=0,
            )
    solved = [torch.linalg.lstsq(before[:, :, triad], after[:, :, triad]).solution for triad in range(before.shape[2])]
    for matrix in solved:
        torch.testing.assert_close(matrix, solved[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(B, dtype=torch.float64), atol=1e-5, rtol=0)  # no mirror image


@pytest.mark.parametrize("max_deg", [5.0, 45.0, 180.0])
def test_rotation_is_limited_and_fills_its_range(max_deg: float) -> None:
    basis = torch.eye(3).repeat(4000, 1, 1).repeat(1, 1, 2)  # (B, 3, 6): three samples that are the axes
    matrix = triads(t.rotate(basis, max_deg, generator()))[:, :, 0]  # (B, 3, 3)
    trace = matrix.diagonal(dim1=1, dim2=2).sum(-1)
    angle = torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))
    assert angle.max() <= max_deg + 0.05
    assert angle.max() > 0.97 * max_deg
    assert angle.mean() == pytest.approx(max_deg / 2, rel=0.05)  # uniform
    axis = torch.stack((matrix[:, 1, 2] - matrix[:, 2, 1], matrix[:, 2, 0] - matrix[:, 0, 2], matrix[:, 0, 1] - matrix[:, 1, 0]), 1)
    axis = axis[angle > max_deg / 10]
    assert (axis / axis.norm(dim=1, keepdim=True)).mean(0).abs().max() < 0.05  # no preferred direction


def test_jitter_has_the_stated_rms_in_each_unit_and_is_white() -> None:
    noise = t.jitter(torch.zeros(B, T, 9), 0.02, 0.3, generator())
    rms = noise.square().mean(dim=(0, 1)).sqrt()
    torch.testing.assert_close(rms, torch.tensor([0.02] * 3 + [0.3] * 3 + [0.02] * 3), atol=0, rtol=0.02)
    assert noise.mean(dim=(0, 1)).abs().max() < 0.01
    neighbours = (noise[:, 1:] * noise[:, :-1]).mean(dim=(0, 1)) / rms.square()
    assert neighbours.abs().max() < 0.02
    assert abs((noise[..., 0] * noise[..., 1]).mean() / rms[0] ** 2) < 0.02  # the axes are independent


@pytest.mark.parametrize(("acc_g", "gyro_rad_s"), [(0.1, 0.0), (0.0, 0.1)])
def test_jitter_of_one_sensor_leaves_the_other(acc_g: float, gyro_rad_s: float) -> None:
    noise = t.jitter(torch.zeros(8, T, 6), acc_g, gyro_rad_s, generator())
    assert (noise[:, :, :3] != 0).any() == bool(acc_g)
    assert (noise[:, :, 3:] != 0).any() == bool(gyro_rad_s)


def test_scaling_is_one_gain_an_axis_with_the_stated_spread() -> None:
    gain = t.scale(ones(batch=4000), 0.15, generator())
    assert torch.equal(gain, gain[:, :1].expand_as(gain))  # constant within a window
    assert gain[:, 0].std(dim=0).sub(0.15).abs().max() < 0.01
    assert gain[:, 0].mean(dim=0).sub(1).abs().max() < 0.01
    assert torch.corrcoef(gain[:, 0].T).fill_diagonal_(0).abs().max() < 0.06


def test_magnitude_warp_drifts_smoothly_with_the_stated_spread_at_its_knots() -> None:
    gain = t.magnitude_warp(ones(batch=4000), 0.15, generator())
    knots = torch.linspace(0, T - 1, t.KNOTS + 2).round().long()
    assert gain[:, knots].std(dim=0).sub(0.15).abs().max() < 0.01
    assert gain[:, knots].mean(dim=0).sub(1).abs().max() < 0.01
    inside = torch.corrcoef(gain[:, knots, 0].T).fill_diagonal_(0)
    assert inside.abs().max() < 0.06  # the knots are independent
    steps = gain.diff(dim=1).square().mean().sqrt()
    assert 0.001 < steps < 0.15 * 0.2  # it moves, and far less from sample to sample than from knot to knot


@pytest.mark.parametrize("std", [0.0, 0.2, 1.0])
def test_warped_time_runs_forward_from_the_first_to_the_last_sample(std: float) -> None:
    position = t.warped_time(4000, T, std, generator())
    assert (position.diff(dim=1) > 0).all()
    assert (position[:, 0] == 0).all()
    assert (position[:, -1] == T - 1).all()
    off = (position - torch.arange(T)).abs().max(dim=1).values
    assert off.max() < 1e-9 if std == 0 else off.median() > 4 * std
    speed = position.diff(dim=1)
    spread = speed[:, 60:62].mean(dim=1).log().std()
    assert spread == pytest.approx(std * 0.8, abs=0.25 * std + 1e-9)  # between knots, and with the whole kept at T - 1


def test_time_warp_keeps_end_points_order_and_channels_together() -> None:
    warped = t.time_warp(clock(), 0.3, generator())
    torch.testing.assert_close(warped[:, [0, -1]], clock()[:, [0, -1]], atol=0, rtol=0)
    assert (warped.diff(dim=1) > 0).all()
    assert torch.equal(warped, warped[:, :, :1].expand_as(warped))
    x = noise()
    warped = t.time_warp(x, 0.3, generator())
    assert torch.equal(warped[:, [0, -1]], x[:, [0, -1]])
    assert (warped.amax(1) <= x.amax(1)).all()
    assert (warped.amin(1) >= x.amin(1)).all()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_crop_keeps_a_contiguous_stretch_of_the_stated_length_at_full_length(share: float) -> None:
    x = clock(4000)
    cropped = t.crop(x, share, generator())
    assert cropped.shape == x.shape
    first, last = cropped[:, 0, 0], cropped[:, -1, 0]
    kept = (last - first) / (T - 1)
    assert first.min() >= 0
    assert last.max() <= T - 1
    assert kept.min() >= 1 - share - 1e-5
    assert kept.min() < 1 - 0.98 * share
    assert kept.max() > 1 - 0.02
    assert kept.mean() == pytest.approx(1 - share / 2, abs=0.02)
    step = cropped.diff(dim=1)
    torch.testing.assert_close(step, step[:, :1].expand_as(step), atol=2e-4, rtol=0)  # an even clock
    assert first.std() > 5 * share  # from anywhere in the window


def test_resample_interpolates_between_the_right_samples() -> None:
    x = torch.tensor([[[0.0], [10.0], [40.0]]])
    position = torch.tensor([[0.0, 0.25, 1.0, 1.5, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(t.resample(x, position)[0, :, 0], torch.tensor([0.0, 2.5, 10.0, 25.0, 40.0]), atol=0, rtol=0)


@pytest.mark.parametrize("cuts", [1, 3, 15])
def test_permutation_keeps_the_set_of_samples_and_time_within_the_pieces(cuts: int) -> None:
    shuffled = t.permute(clock(), cuts, generator())
    assert torch.equal(shuffled.sort(dim=1).values, clock())
    assert torch.equal(shuffled, shuffled[:, :, :1].expand_as(shuffled))  # samples stay whole
    breaks = (shuffled[:, :, 0].diff(dim=1) != 1).sum(dim=1)
    assert breaks.max() == cuts
    expected = cuts * (1 - 1 / (cuts + 1))  # a piece follows its own successor in one order of cuts + 1
    assert breaks.double().mean() == pytest.approx(expected, abs=0.25)
    x = noise()
    rows = t.permute(x, cuts, generator())
    assert torch.equal(rows.sort(dim=1).values, x.sort(dim=1).values)


def test_permutation_cuts_anywhere() -> None:
    shuffled = t.permute(clock(4000), 1, generator())[:, 0, 0]
    starts = shuffled[shuffled > 0]
    assert (starts.min(), starts.max()) == (1, T - 1)
    assert starts.mean() == pytest.approx(T / 2, abs=4)


def test_more_cuts_than_a_window_has_places_are_refused() -> None:
    assert torch.equal(t.permute(clock()[:, :4], 3, generator()).sort(dim=1).values, clock()[:, :4])
    with refused("config", "permutation_cuts is 4, but a window of 4 samples has 3 places to cut"):
        t.permute(clock()[:, :4], 4, generator())


@both_channel_sets
@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_channel_dropout_zeroes_whole_channels_at_the_stated_rate(channels: str, probability: float) -> None:
    kept = t.drop_channels(ones(channels, 4000), probability, generator())
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(kept, kept[:, :1].expand_as(kept))
    assert (1 - kept[:, 0].mean(dim=0) - probability).abs().max() < 0.03
    assert torch.corrcoef(kept[:, 0, 3:6].T).fill_diagonal_(0).abs().max() < 0.06  # one axis at a time


@both_channel_sets
@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_sensor_dropout_zeroes_whole_triads_at_the_stated_rate(channels: str, probability: float) -> None:
    kept = t.drop_sensors(ones(channels, 4000), probability, generator())
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(kept, kept[:, :1].expand_as(kept))
    whole = triads(kept)[:, 0]  # (B, triad, 3)
    assert torch.equal(whole, whole[..., :1].expand_as(whole))
    assert (1 - whole[..., 0].mean(dim=0) - probability).abs().max() < 0.03
    accelerometer, gyroscope = (t.sensor_axes(ones(channels)) // 3 == sensor for sensor in (0, 1))
    assert abs(torch.corrcoef(kept[:, 0][:, [int(accelerometer.nonzero()[0]), int(gyroscope.nonzero()[0])]].T)[0, 1]) < 0.06


def test_a_turn_keeps_what_points_along_the_body_and_fills_its_range() -> None:
    basis = torch.eye(3).repeat(4000, 1, 1).repeat(1, 1, 2)
    rows = triads(t.turn(basis, 40.0, generator()))  # (B, axis, triad, 3)
    assert torch.equal(rows[:, 0], basis[:, 0].view(-1, 2, 3).double())
    torch.testing.assert_close(rows[:, :, 0], rows[:, :, 1])
    torch.testing.assert_close(torch.linalg.det(rows[:, :, 0]), torch.ones(4000, dtype=torch.float64), atol=1e-5, rtol=0)
    angle = torch.rad2deg(torch.atan2(rows[:, 1, 0, 2], rows[:, 1, 0, 1]))
    assert -40.01 < angle.min() < -38
    assert 38 < angle.max() < 40.01


@both_channel_sets
def test_a_mirror_image_is_that_of_a_moving_body(channels: str) -> None:
    """Velocity of a turning body is the angular velocity times the arm, in the mirror as before it."""
    names = CHANNELS[channels]
    gyro, acc = names.index("gyro_x"), names.index("total_acc_x")
    x = noise(channels)
    mirrored = t.mirror(x, 1.0, generator())
    reflect = torch.tensor([1.0, -1.0, 1.0])
    arm = torch.randn(B, T, 3, generator=generator(7))
    before = torch.linalg.cross(x[..., gyro : gyro + 3], arm)
    after = torch.linalg.cross(mirrored[..., gyro : gyro + 3], arm * reflect)
    torch.testing.assert_close(after, before * reflect)
    torch.testing.assert_close(mirrored[..., acc : acc + 3], x[..., acc : acc + 3] * reflect)
    assert torch.equal(t.mirror(mirrored, 1.0, generator()), x)
    share = (t.mirror(x, 0.3, generator()) != x).flatten(1).any(1).float().mean()
    assert 0.2 < share < 0.4


def test_channels_know_their_sensor() -> None:
    assert t.sensor_axes(ones("raw6")).tolist() == [0, 1, 2, 3, 4, 5]
    assert t.sensor_axes(torch.ones(1, 1, 3)).tolist() == [0, 1, 2]
    assert t.sensor_axes(ones("uci9")).tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2]


def test_the_angle_between_gravity_and_body_acceleration_stays() -> None:
    gravity, body_acc = torch.tensor([0.1, 0.0, 0.99]), torch.randn(B, T, 3, generator=generator(5))
    x = torch.cat((body_acc, torch.zeros(B, T, 3), body_acc + gravity), dim=-1)
    turned = triads(t.rotate(x, 30.0, generator()))
    turned_gravity = turned[:, :, 2] - turned[:, :, 0]
    expected = angle_deg(gravity.double().expand(B, T, 3), body_acc.double())
    assert (angle_deg(turned_gravity, turned[:, :, 0]) - expected).abs().max() < 0.05
    assert angle_deg(turned_gravity[:, 0], gravity.double().expand(B, 3)).max() <= 30.05
    assert math.isclose(float(turned_gravity.norm(dim=-1).mean()), float(gravity.norm()), abs_tol=1e-5)


def test_a_bias_is_constant_in_a_window_and_of_the_gyroscope_alone() -> None:
    bias = t.bias_gyro(torch.zeros(2000, T, 9), 0.1, generator())
    assert (bias == bias[:, :1]).all()
    assert (bias[..., :3] == 0).all()
    assert (bias[..., 6:] == 0).all()
    assert bias[:, 0, 3:6].std(dim=0) == pytest.approx(0.1, rel=0.1)
    assert bias[:, 0, 3:6].mean(dim=0) == pytest.approx(0.0, abs=0.01)


def test_a_tilt_leans_the_long_axis_to_every_side_alike() -> None:
    up = torch.zeros(4000, T, 6)
    up[..., 0] = up[..., 3] = 1.0
    leaned = t.tilt(up, 30.0, generator())
    assert torch.equal(leaned[..., :3], leaned[..., 3:])
    angle = torch.rad2deg(torch.arccos(leaned[:, 0, 0].clamp(-1, 1)))
    assert angle.max() <= 30.0 + 1e-3
    assert (angle < 15).float().mean() == pytest.approx(0.25, abs=0.03)  # a quarter of the area
    side = torch.atan2(leaned[:, 0, 2], leaned[:, 0, 1])
    assert torch.histc(side, 4, -math.pi, math.pi).min() > 900
