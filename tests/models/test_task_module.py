"""What the modules of all tasks share."""

import pytest
import torch

from har.models.module import TaskModule, one_cycle


class Recorded(TaskModule):
    """Keeps what it logs."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: list[tuple[str, float]] = []

    def log(self, name: str, value: torch.Tensor | float, **options: object) -> None:  # type: ignore[override]
        self.logged.append((name, float(value)))


def test_the_loss_of_an_epoch_is_the_mean_over_its_examples() -> None:
    module = Recorded()
    for loss, examples in ((1.0, 64), (4.0, 64), (10.0, 16)):
        module.keep_loss(torch.tensor(loss, requires_grad=True), examples)
    module.on_train_epoch_end()
    assert module.logged == [("train/loss", pytest.approx((1 * 64 + 4 * 64 + 10 * 16) / 144))]
    module.keep_loss(torch.tensor(3.0), 5)
    module.on_train_epoch_end()
    assert module.logged[1] == ("train/loss", pytest.approx(3.0))  # nothing of the epoch before


def test_no_graph_is_kept_from_step_to_step() -> None:
    module = Recorded()
    module.keep_loss(torch.tensor(1.0, requires_grad=True), 2)
    assert isinstance(module.loss_sum, torch.Tensor)
    assert not module.loss_sum.requires_grad


def test_a_loss_that_is_not_finite_is_seen() -> None:
    module = Recorded()
    module.keep_loss(torch.tensor(1.0), 2)
    module.keep_loss(torch.tensor(float("nan")), 2)
    module.on_train_epoch_end()
    assert torch.tensor(module.logged[0][1]).isnan()


def test_what_is_set_in_every_step_does_not_pass_through_torch_and_layers_are_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module, asked = Recorded(), []
    assert "_current_fx_name" in vars(module)  # Lightning still notes the name of a hook there
    torchs = torch.nn.Module.__setattr__
    monkeypatch.setattr(torch.nn.Module, "__setattr__", lambda self, name, value: (asked.append(name), torchs(self, name, value))[1])
    for name in ("_current_fx_name", "loss_sum", "examples"):
        setattr(module, name, 3)
        assert getattr(module, name) == 3
    assert asked == []
    module.layer = torch.nn.Linear(2, 2)
    module.register_buffer("scale", torch.ones(1))
    module.scale = torch.zeros(1)
    assert {"layer", "scale"} <= set(asked)
    assert [name for name, _ in module.named_parameters()] == ["layer.weight", "layer.bias"]
    assert module.state_dict()["scale"] == 0


@pytest.mark.parametrize("steps", [*range(1, 12), 100])
def test_the_rate_rises_and_falls_whatever_the_number_of_steps(steps: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = one_cycle(optimizer, 0.5, steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < steps:
            schedule.step()
    assert all(0 < rate <= 0.5 for rate in rates)
    if steps >= 5:
        assert max(rates) > 0.45
        assert rates[-1] < 0.01 * max(rates)
