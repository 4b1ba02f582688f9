"""The sides that `benchmarks/training.py` compares, each run in a process of its own; the last line it prints is JSON."""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from har.config import RunConfig, load_config
from har.data.datamodule import WindowDataModule
from har.data.prepare import load_dataset
from har.data.windowset import WindowSet
from har.models.classifier import WindowClassifier
from har.models.module import one_cycle
from har.models.registry import create_model
from har.runs.checks import config_path
from har.tasks.base import load_windows
from har.training.fit import build_classifier, fit, window_batches
from har.training.trainer import quiet_lightning

EPOCHS = 5  # of the comparison with a bare loop; the first is not counted
GOAL = 0.95  # of the validation windows
FEATURES, TIME, CLASSES, HIDDEN, BATCH = 36, 128, 6, 64, 64


def clocks() -> tuple[float, float]:
    """Of the wall and of the CPU, s."""
    return time.perf_counter(), time.process_time()


def bare_epochs(config: RunConfig, module: WindowClassifier, data: WindowDataModule) -> Iterator[None]:
    """What `har.training.fit` trains, epoch by epoch, as a loop over torch alone."""
    x_all, y_all = data.train_set.tensors
    module.frontend.fit(x_all)
    module.train()
    parameters, rate, size = list(module.parameters()), config.training.learning_rate, config.training.batch_size
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.training.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, fused=True)
    steps = config.training.epochs * -(-len(x_all) // size)
    schedule = one_cycle(optimizer, rate, steps)
    while True:
        for chosen in torch.randperm(len(x_all), generator=data.generator).split(size):
            x, y = x_all[chosen], y_all[chosen]
            if data.augmentation is not None:
                x, y = data.augmentation(x, y)
            optimizer.zero_grad()
            module.batch_loss(x, y).backward()
            nn.utils.clip_grad_norm_(parameters, config.training.gradient_clip_norm)
            optimizer.step()
            schedule.step()
        yield


class Alternating(pl.Callback):
    """Runs an epoch of the bare loop before every epoch of Lightning, and times both."""

    def __init__(self, bare: Iterator[None]) -> None:
        self.bare = bare
        self.since: tuple[float, float] | None = None
        self.of_bare: list[tuple[float, float]] = []
        self.of_fit: list[tuple[float, float]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        started = clocks()
        if self.since is not None:  # what came after the epoch before, checkpoints among it, is its own
            self.of_fit.append((started[0] - self.since[0], started[1] - self.since[1]))
        next(self.bare)
        self.since = clocks()
        self.of_bare.append((self.since[0] - started[0], self.since[1] - started[1]))


def lightning(model: str, windows: int) -> dict[str, float]:
    """Seconds of an epoch, both ways, the median of those after the first."""
    config = load_config(config_path(model)).with_overrides(training__epochs=EPOCHS + 1, training__keep="last")
    train = training_windows(config)[0]
    train = train.subset(np.arange(windows)) if windows else train
    both = Alternating(
        bare_epochs(config, build_classifier(config, train.spec(config.windowing.step)), window_batches(config, train, None))
    )
    with tempfile.TemporaryDirectory() as folder:
        fit(config, train, None, Path(folder), callbacks=[both])
    seen = {"steps": float(-(-len(train) // config.training.batch_size))}
    for name, times in (("bare", both.of_bare[1:EPOCHS]), ("fit", both.of_fit[1:EPOCHS])):
        for place, clock in enumerate(("wall", "cpu")):
            seen[f"{name}_{clock}_s"] = statistics.median(each[place] for each in times)
    return seen


def training_windows(config: RunConfig) -> tuple[WindowSet, WindowSet]:
    """Of the training and the validation subjects."""
    windows, split = load_windows(config)
    parts = split.parts(windows)
    return parts["train"], parts["validation"]


class Reached(pl.Callback):
    """Stops a training that reached the goal."""

    def __init__(self) -> None:
        self.at: float | None = None
        self.epochs = 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs += 1
        if self.at is None and float(trainer.callback_metrics["val/accuracy"]) >= GOAL:
            self.at = time.perf_counter()
            trainer.should_stop = True


def ours(model: str, limit: int) -> dict[str, float]:
    """Time to the goal of the config as it comes."""
    config = load_config(config_path(model))
    train, validation = training_windows(config)
    reached, started = Reached(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        fit(config, train, validation, Path(folder), callbacks=[reached])
    seconds = (reached.at or time.perf_counter()) - started
    return {"seconds": seconds, "epochs": reached.epochs, "reached": float(reached.at is not None)}


class OneByOne(Dataset):
    """Windows as most scripts hold them."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self.x[number]), int(self.y[number])


def script(model: str, limit: int) -> dict[str, float]:
    """Time to the goal of a straightforward script; one network also where the config averages several."""
    config = load_config(config_path(model))
    windows = load_dataset("uci-har", channels="uci9")  # the nine published channels
    validates = np.isin(windows.subject, config.data.validation_subjects or ())
    trains = np.isin(windows.subject, training_windows(config)[0].subject)
    started = time.perf_counter()
    x = np.asarray(windows.x, dtype=np.float32)
    x = (x - x[trains].mean(axis=(0, 1))) / x[trains].std(axis=(0, 1))
    size = config.training.batch_size
    batches = DataLoader(OneByOne(x[trains], windows.y[trains]), batch_size=size, shuffle=True)
    held_out = DataLoader(OneByOne(x[validates], windows.y[validates]), batch_size=size)
    torch.manual_seed(config.training.seed)
    network = create_model(model, x.shape[2], x.shape[1], len(windows.labels), dict(config.model.options))
    optimizer, criterion = torch.optim.Adam(network.parameters(), lr=1e-3), nn.CrossEntropyLoss()
    epochs, right = 0, 0
    while epochs < limit and right < GOAL * validates.sum():
        epochs += 1
        network.train()
        for inputs, targets in batches:
            optimizer.zero_grad()
            criterion(network(inputs), targets).backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            right = sum(int((network(inputs).argmax(dim=1) == targets).sum()) for inputs, targets in held_out)
    return {"seconds": time.perf_counter() - started, "epochs": epochs, "reached": float(right >= GOAL * validates.sum())}


def recurrent(precision: str, threads: int, windows: int) -> dict[str, float]:
    """Seconds of the second epoch of a bare loop over noise."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    rounds = precision == "bfloat16"
    layers, head = nn.LSTM(FEATURES, HIDDEN, 2, batch_first=True, bidirectional=True), nn.Linear(2 * HIDDEN, CLASSES)
    x, y = torch.randn(windows, TIME, FEATURES), torch.randint(CLASSES, (windows,))
    optimizer = torch.optim.AdamW([*layers.parameters(), *head.parameters()])

    def epoch() -> None:
        for chosen in torch.randperm(windows).split(BATCH):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=rounds):
                logits = head(layers(x[chosen])[0][:, -1]).float()
            nn.functional.cross_entropy(logits, y[chosen]).backward()
            optimizer.step()

    epoch()
    before = clocks()
    epoch()
    after = clocks()
    return {"wall_s": after[0] - before[0], "cpu_s": after[1] - before[1], "steps": -(-windows // BATCH)}


SIDES: dict[str, Callable[..., dict[str, float]]] = {
    "lightning": lambda model, windows: lightning(model, int(windows)),
    "ours": lambda model, limit: ours(model, int(limit)),
    "script": lambda model, limit: script(model, int(limit)),
    "recurrent": lambda precision, threads, windows: recurrent(precision, int(threads), int(windows)),
}

if __name__ == "__main__":
    quiet_lightning()
    print(json.dumps(SIDES[sys.argv[1]](*sys.argv[2:])))
