"""What the modules of all tasks share."""

import math

import pytest
import pytorch_lightning as pl
import torch

from har.models.module import TaskModule, one_cycle


class Given(TaskModule):
    """Logs the losses of its batches, (loss, examples)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: torch.Tensor, batch_index: int) -> torch.Tensor:
        loss = self.layer(torch.zeros(1)).sum() * 0 + batch[0, 0]
        self.log_loss(loss, int(batch[0, 1]))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:  # type: ignore[override]
        return torch.optim.SGD(self.parameters(), lr=0.1)


def epoch_loss(losses: list[tuple[float, int]]) -> float:
    trainer = pl.Trainer(max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu")
    trainer.fit(Given(), torch.utils.data.DataLoader(torch.tensor(losses)))  # type: ignore[arg-type]
    return float(trainer.callback_metrics["train/loss"])


def test_the_loss_of_an_epoch_is_the_mean_over_its_examples() -> None:
    assert epoch_loss([(1.0, 64), (4.0, 64), (10.0, 16)]) == pytest.approx((1 * 64 + 4 * 64 + 10 * 16) / 144)


def test_a_loss_that_is_not_finite_is_seen() -> None:
    assert math.isnan(epoch_loss([(1.0, 2), (float("nan"), 2)]))


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


def test_a_module_without_a_loss_says_what_is_missing() -> None:
    class Empty(TaskModule):
        pass

    with pytest.raises(TypeError, match="Empty defines neither batch_loss nor training_step"):
        Empty().training_step((torch.zeros(2, 3), torch.zeros(2)), 0)
