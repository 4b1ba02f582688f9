"""Plant leaks of each kind at random and count how many the training refuses.

    python benchmarks/faults/planted_leaks.py [--cases 200] [--trainings 5] [--seed 0]

Each case draws a split of the synthetic data (any kind, fold and seed), plants one leak and asks the audit that every
training runs first, or, for split files and configs, the check before the data are read. The first ``--trainings`` cases of a
kind go through ``train_run`` or ``har.train`` instead: it must refuse and leave no run folder. Unplanted splits are the
controls; they must pass, and the first of them are really trained. Writes results/reliability/planted_leaks.csv. What the audit
does not claim to find, a copy that was changed, is planted and counted too. A claimed leak that is refused for another reason counts as
not refused; exit code 1 where one was not refused, or a control was.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from trials import arguments, finish, workplace

import har
from har.config import RunConfig, parse_config
from har.contract import SPLITS, STRIDE, TEST_SUBJECTS, TRAIN_SUBJECTS, WINDOW_SIZE
from har.data import synthetic
from har.data.audit import RUN_LENGTH, audit
from har.data.splits import SubjectSplit, check_split, make_split, split_document
from har.data.windowset import WindowSet, windows_of
from har.errors import HarError
from har.runs.run_folder import INFO
from har.runs.train import train_run
from har.tasks import base

MODEL = {"name": "cnn1d", "options": {"width": 8, "depth": 2}}
TRAINING = {"epochs": 1, "threads": 1}
BOUT_SECONDS = 4.0  # 24 windows a subject
TRAINED_BOUT_SECONDS = 9.0  # 72 windows a subject, enough for the check of the export after a control's training
Rng = np.random.Generator


class Case(NamedTuple):
    """Windows and a split, with or without a leak."""

    config: RunConfig
    windows: WindowSet
    split: SubjectSplit


Plant = Callable[[Case, Rng], Case]
Make = Callable[[Case, Rng], dict]
Ask = Callable[[Rng, int, bool], str]  # a generator, the number of the case, and whether it goes through a training


def draw(windows: WindowSet, rng: Rng) -> Case:
    """An honest split, of any kind that a config can ask for."""
    seed = int(rng.integers(10**6))
    folds = int(rng.integers(3, 7))
    data: dict = [
        {"validation_subjects": rng.choice(TRAIN_SUBJECTS, size=4, replace=False).tolist()},
        {"split": {"kind": "fold5", "fold": int(rng.integers(5)), "seed": seed}},
        {"split": {"kind": "kfold", "folds": folds, "fold": int(rng.integers(folds)), "seed": seed, "subjects": "all"}},
        {"split": {"kind": "loso", "fold": int(rng.integers(30)), "seed": seed, "subjects": "all"}},
    ][int(rng.integers(4))]
    config = parse_config({"data": {"dataset": "synthetic"} | data, "model": MODEL, "training": TRAINING}, "case")
    return Case(config, windows, make_split(config.data, windows))


def generated(bout_seconds: float) -> WindowSet:
    """The synthetic data set with short bouts, as a phone delivers it."""
    recordings = [synthetic.generate(subject, 0, bout_seconds=bout_seconds) for subject in range(1, 31)]
    made = windows_of(recordings, window_size=WINDOW_SIZE, stride=STRIDE, dataset="synthetic", synthetic=True)
    return made.select_channels("raw6")


def two_parts(case: Case, rng: Rng) -> tuple[tuple[int, ...], WindowSet]:
    """The subjects of one part, and a window of another."""
    here, there = rng.choice(SPLITS, size=2, replace=False)
    rows = np.flatnonzero(np.isin(case.windows.subject, case.split.subjects(there)))
    return case.split.subjects(here), case.windows.subset(rng.choice(rows, size=1))


def noise_like(x: np.ndarray, rng: Rng) -> np.ndarray:
    return rng.normal(0.0, 0.3, size=x.shape).astype(np.float32)


def overlapping(window: WindowSet, rng: Rng) -> WindowSet:
    """Other values, but a stretch of a recording that overlaps one of the other part."""
    shift = rng.integers(1 - WINDOW_SIZE, WINDOW_SIZE, size=1)
    return replace(window, x=noise_like(window.x, rng), start=window.start + shift)


def shifted(window: WindowSet, rng: Rng) -> WindowSet:
    """A run of samples at another offset, in a window of noise."""
    x, length = noise_like(window.x, rng), int(rng.integers(RUN_LENGTH, WINDOW_SIZE))
    source, target = rng.integers(0, WINDOW_SIZE - length + 1, size=2)
    x[:, target : target + length] = window.x[:, source : source + length]
    return replace(window, x=x)


def changed(window: WindowSet, rng: Rng) -> WindowSet:
    """A copy with gain and noise."""
    return replace(window, x=window.x * np.float32(1.001) + noise_like(window.x, rng) * np.float32(0.003))


def renamed(window: WindowSet, rng: Rng) -> WindowSet:
    """The same under another recording's name, at another place."""
    return replace(window, recording=np.array([f"renamed{rng.integers(10**6)}"]), start=rng.integers(0, 10_000, size=1))


def planted(*changes: Callable[[WindowSet, Rng], WindowSet]) -> Plant:
    """Plants one more window, at a random place: one of another part, changed, under the number of a subject of this one."""

    def plant(case: Case, rng: Rng) -> Case:
        subjects, window = two_parts(case, rng)
        for change in changes:
            window = change(window, rng)
        window = replace(window, subject=rng.choice(subjects, size=1))
        at = int(rng.integers(len(case.windows) + 1))
        names = ("x", "y", "subject", "recording", "start")
        arrays = {n: np.concatenate((getattr(case.windows, n)[:at], getattr(window, n), getattr(case.windows, n)[at:])) for n in names}
        return case._replace(windows=replace(case.windows, **arrays))

    return plant


def shared_subject(case: Case, rng: Rng) -> Case:
    here, there = rng.choice(SPLITS, size=2, replace=False)
    stolen = int(rng.choice(case.split.subjects(there)))
    return case._replace(split=replace(case.split, **{here: (*case.split.subjects(here), stolen)}))


PLANTS: dict[str, tuple[Plant, str]] = {  # with what the refusal must say; nothing where it is not claimed
    "a subject in two parts": (shared_subject, "leak: subject"),
    "a window copied under another subject's number": (planted(), "leak: samples of recording"),
    "a window copied under another subject's number and another recording's name": (planted(renamed), "leak: window"),
    "other values at samples that overlap the other part's": (planted(overlapping), "leak: samples of recording"),
    f"{RUN_LENGTH} to {WINDOW_SIZE - 1} samples in a row at another offset, renamed": (planted(shifted, renamed), "leak: window"),
    "a copy with gain and noise of 0.1 %, under its recording's name": (planted(changed), "leak: samples of recording"),
    "a copy with gain and noise of 0.1 %, renamed": (planted(changed, renamed), ""),
}


def document(split: SubjectSplit) -> dict:
    return {"split": split_document([split], "kfold", "synthetic")}


def file_shares_subject(case: Case, rng: Rng) -> dict:
    return document(shared_subject(case, rng).split)


def file_names_test_subject(case: Case, rng: Rng) -> dict:
    stolen = int(rng.choice(TEST_SUBJECTS))
    parts = {name: tuple(s for s in case.split.subjects(name) if s != stolen) or (31,) for name in SPLITS}
    return document(SubjectSplit(**parts | {"validation": (*parts["validation"], stolen)}))


def config_names_test_subject(case: Case, rng: Rng) -> dict:
    honest = rng.choice(TRAIN_SUBJECTS, size=3, replace=False).tolist()
    return {"validation_subjects": [*honest, int(rng.choice(TEST_SUBJECTS))]}


CONFIGS: dict[str, tuple[Make, str]] = {
    "a split file with a subject in two parts": (file_shares_subject, "a subject belongs to one part"),
    "a split file in which an official test subject validates": (file_names_test_subject, "must never validate"),
    "a config in which an official test subject validates": (config_names_test_subject, "must never validate"),
}


def refusal(work: Callable[[], object]) -> str:
    """The text of the error that a function raises; nothing where it raises none."""
    try:
        work()
    except HarError as error:
        return str(error)
    return ""


def ask(case: Case, runs: Path, run: str = "planted", *, train: bool) -> str:
    """What the audit says, or the whole training, whose reader hands out the case."""
    if not train:
        return refusal(lambda: audit({name: case.split.select(case.windows, name) for name in SPLITS}))
    base.load_windows = lambda *_: (case.windows, case.split)
    return refusal(lambda: train_run(case.config, run, runs, progress=False, say=lambda _: None))


def ask_config(data: dict, folder: Path, *, train: bool) -> str:
    """What a training says to a config that names the split, or the check before it reads the data."""
    if "split" in data:
        (folder / "split.json").write_text(json.dumps(data["split"]))
        data = {"split": {"kind": "file", "path": str(folder / "split.json")}}
    content = {"data": {"dataset": "synthetic"} | data, "model": MODEL, "training": TRAINING}
    if not train:
        return refusal(lambda: check_split(parse_config(content, "case").data))
    path = folder / "case.yaml"
    path.write_text(json.dumps(content))  # JSON is YAML
    return refusal(lambda: har.train(path, runs=folder / "runs"))


def main() -> int:
    numbers = {"cases": (200, "of each kind"), "trainings": (5, "how many of them go through a training"), "seed": (0, "of the cases")}
    options = arguments(__doc__, **numbers, controls_trained=(2, "unplanted splits that are really trained")).parse_args()
    torch.set_num_threads(1)
    windows, longer, rows = generated(BOUT_SECONDS), generated(TRAINED_BOUT_SECONDS), []
    with workplace() as folder:
        runs = folder / "runs"

        def count(leak: str, claimed: str, expected: str, trainings: int, answer: Ask) -> None:
            rng = np.random.default_rng((options.seed, len(rows)))
            answers = [answer(rng, number, number < trainings) for number in range(options.cases)]
            refused = sum(bool(text) and expected in text for text in answers)
            row = {"leak": leak, "claimed": claimed, "planted": options.cases, "refused": refused}
            left = len({path.parent for path in [*runs.rglob(INFO), *runs.rglob("seed-*/*")]})
            rows.append(row | {"through_training": min(trainings, options.cases), "run_folders_left": left})
            print(rows[-1], *{text for text in answers if text and expected not in text}, flush=True)

        def with_plant(plant: Plant) -> Ask:
            return lambda rng, number, train: ask(plant(draw(windows, rng), rng), runs, train=train)

        def with_config(make: Make) -> Ask:
            return lambda rng, number, train: ask_config(make(draw(windows, rng), rng), folder, train=train)

        def control(rng: Rng, number: int, train: bool) -> str:
            return ask(draw(longer if train else windows, rng), runs, f"control{number}", train=train)

        for leak, (plant, expected) in PLANTS.items():
            count(leak, "yes" if expected else "no", expected, options.trainings if expected else 0, with_plant(plant))
        for leak, (make, expected) in CONFIGS.items():
            count(leak, "yes", expected, options.trainings, with_config(make))
        count("none (controls, which must pass)", "", "", options.controls_trained, control)
    return finish("planted_leaks.csv", rows, "numpy", "torch", seed=options.seed)


if __name__ == "__main__":
    sys.exit(main())
