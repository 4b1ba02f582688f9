"""Train many classifiers of windows at once: the weights of all side by side in one tensor each, one call for all of them.

A small network leaves a GPU idle: its kernels are over sooner than they are started. Many of them in step cost hardly more than one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from har.config import RunConfig
from har.data.augmentation import Augmentation
from har.data.windowset import WindowSet
from har.errors import HarError
from har.models.classifier import WindowClassifier
from har.models.module import one_cycle
from har.training.fit import build_classifier


@dataclass(frozen=True)
class Member:
    """One of the trainings.

    Attributes:
        seed: of its first weights and of the order of its windows.
        rows: of the windows that it trains on, such as those of all folds but one.
    """

    seed: int
    rows: np.ndarray


class _Loss(nn.Module):
    """The loss of a batch as the forward pass of a module, so that it can be called with other weights."""

    def __init__(self, classifier: WindowClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.classifier.batch_loss(x, y)


def fit_together(config: RunConfig, windows: WindowSet, members: Sequence[Member], device: str = "cpu") -> list[WindowClassifier]:
    """Train one classifier a member, all in step; the last epoch's weights are kept.

    Model, loss, optimiser, schedule, clipping and augmentation are those of `har.training.fit`, and each member has its own first weights,
    windows and order. Two things differ, so that the scores are equal in distribution and not in number: dropout and augmentation are drawn
    from one stream for all, and every batch is full, the last one of an epoch filled from a second order of the windows. All members take
    as many steps as the one with the most windows.

    Args:
        config: of all members but for the seed.
        windows: of all members.
        members: what tells them apart.
        device: of torch.

    Returns:
        The classifiers in the order of `members`, on the CPU and in evaluation mode.

    Raises:
        HarError: the network, the augmentation or the precision cannot be trained so, or a member diverged.
    """
    _refuse_what_cannot_be(config, members)
    torch.set_num_threads(config.training.threads)
    own = [config.with_overrides(training__seed=member.seed) for member in members]
    classifiers = [build_classifier(each, windows.spec(each.windowing.step)) for each in own]
    recurrent = next((type(m).__name__ for m in classifiers[0].modules() if isinstance(m, nn.RNNBase)), None)
    if recurrent is not None:
        raise HarError(
            "config", f"{config.model.name} has a layer {recurrent}, which cannot be trained together with others; use har sweep"
        )
    x_all, y_all = torch.tensor(windows.x, dtype=torch.float32), torch.tensor(windows.y, dtype=torch.int64)
    for classifier, member in zip(classifiers, members, strict=True):
        classifier.frontend.fit(x_all[torch.from_numpy(member.rows)])
    x_all, y_all = x_all.to(device), y_all.to(device)
    parameters, buffers = stack_module_state([_Loss(classifier).train().to(device) for classifier in classifiers])
    _train(config, _Loss(classifiers[0]).train(), parameters, buffers, (x_all, y_all), members)
    for place, classifier in enumerate(classifiers):
        state = {name.removeprefix("classifier."): value[place].detach().cpu() for name, value in {**parameters, **buffers}.items()}
        classifier.cpu().load_state_dict(state)
    broken = [m.seed for m, c in zip(members, classifiers, strict=True) if not all(bool(p.isfinite().all()) for p in c.parameters())]
    if broken:
        raise HarError("diverged", f"training of {config.model.name} diverged with seed {broken[0]}; lower training.learning_rate")
    return [classifier.eval() for classifier in classifiers]


def _refuse_what_cannot_be(config: RunConfig, members: Sequence[Member]) -> None:
    if not members:
        raise ValueError("no members, expected one at least")
    if config.augmentation.mixup_alpha or config.augmentation.cutmix_alpha:  # a window that one member trains on, another may validate on
        raise HarError(
            "config", "mixed windows would go from one training into another; take augmentation.mixup_alpha and cutmix_alpha away"
        )
    if config.training.precision != "float32":
        raise HarError("config", f"trainings together are in float32, training.precision is {config.training.precision}; take it away")
    if config.training.keep != "last":
        raise HarError("config", "trainings together keep the last epoch's weights; set training.keep: last")


def _train(
    config: RunConfig,
    loss: nn.Module,
    parameters: dict[str, Tensor],
    buffers: dict[str, Tensor],
    data: tuple[Tensor, Tensor],
    members: Sequence[Member],
) -> None:
    """Change stacked weights and buffers, (member, ...) each, in place."""
    training, (x_all, y_all), count = config.training, data, len(members)
    groups = [
        {"params": [p for p in parameters.values() if p.ndim > 2], "weight_decay": training.weight_decay},  # matrices of every member
        {"params": [p for p in parameters.values() if p.ndim <= 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=training.learning_rate, fused=True)
    steps = -(-max(len(member.rows) for member in members) // training.batch_size)  # of an epoch
    schedule = one_cycle(optimizer, training.learning_rate, training.epochs * steps)
    augmentation = Augmentation(config.augmentation, num_classes=int(y_all.max()) + 1, seed=members[0].seed)
    generators = [torch.Generator().manual_seed(member.seed) for member in members]

    def one(own: dict[str, Tensor], own_buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return functional_call(loss, (own, own_buffers), (x, y))

    gradients = vmap(grad_and_value(one), randomness="different")
    torch.manual_seed(members[0].seed)  # of dropout
    for _ in range(training.epochs):
        order = torch.stack([_order(m.rows, steps * training.batch_size, g) for m, g in zip(members, generators, strict=True)])
        for chosen in order.to(x_all.device).split(training.batch_size, dim=1):  # (member, batch)
            x, _ = augmentation(x_all[chosen].flatten(0, 1), y_all[:0])
            with torch.no_grad():  # of the call as a whole: each step would be kept for the next, through the batch statistics
                found, _ = gradients(parameters, buffers, x.unflatten(0, (count, -1)), y_all[chosen])
            clip_each(found, training.gradient_clip_norm)
            for name, parameter in parameters.items():
                parameter.grad = found[name]
            optimizer.step()
            schedule.step()


def clip_each(gradients: dict[str, Tensor], limit: float) -> None:
    """Scale the gradients of each member down, in place, where their norm is above `limit`, as `clip_grad_norm_` does for one.

    Args:
        gradients: (member, ...) by name.
        limit: largest norm.
    """
    squares = torch.stack([gradient.flatten(1).square().sum(dim=1) for gradient in gradients.values()])  # (parameter, member)
    share = (limit / (squares.sum(dim=0).sqrt() + 1e-6)).clamp(max=1.0)
    for gradient in gradients.values():
        gradient.mul_(share.reshape(-1, *[1] * (gradient.ndim - 1)))


def _order(rows: np.ndarray, length: int, generator: torch.Generator) -> Tensor:
    """(length,) of `rows`, shuffled; where they are too few, shuffled again and again."""
    found = torch.cat([torch.randperm(len(rows), generator=generator) for _ in range(-(-length // len(rows)))])
    return torch.from_numpy(rows)[found[:length]]
