"""Plant leaks of each kind at random and count how many the training refuses.

    python benchmarks/faults/planted_leaks.py [--cases 200] [--trainings 5] [--seed 0]

Each case draws a split of the synthetic data (any kind, fold and seed), plants one leak and asks the audit that every
training runs first, or, for split files and configs, the check before the data are read. The first ``--trainings`` cases of a
kind go through ``train_run`` or ``train_configs`` instead: it must refuse and leave no run folder. Unplanted splits are the
controls; they must pass, and the first of them are really trained. Writes results/reliability/planted_leaks.csv. What the audit
does not claim to find, a copy that was changed, is planted and counted too. Exit code 1 where a claimed leak was not
refused, was refused for another reason, or a control was refused.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # of tables.py

from tables import made, write_table

from har.config import DataConfig, RunConfig, parse_config
from har.contract import SPLITS, STRIDE, TEST_SUBJECTS, TRAIN_SUBJECTS, WINDOW_SIZE, HarError
from har.data import synthetic
from har.data.audit import RUN_LENGTH, audit
from har.data.splits import SubjectSplit, check_split, make_split, split_document
from har.data.windowset import WindowSet, windows_of
from har.runs.train import train_configs, train_run
from har.tasks import base as task_module

RESULT = Path("results/reliability/planted_leaks.csv")
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


def two_parts(rng: Rng) -> tuple[str, str]:
    first, second = rng.choice(len(SPLITS), size=2, replace=False)
    return SPLITS[first], SPLITS[second]


def a_window(case: Case, part: str, rng: Rng) -> WindowSet:
    rows = np.flatnonzero(np.isin(case.windows.subject, case.split.subjects(part)))
    return case.windows.subset(rng.choice(rows, size=1))


def with_window(case: Case, part: str, window: WindowSet, rng: Rng, **changes: np.ndarray) -> Case:
    """One more window, at a random place, under the number of a subject of `part`."""
    window = replace(window, subject=rng.choice(case.split.subjects(part), size=1), **changes)
    at = int(rng.integers(len(case.windows) + 1))
    fields = ("x", "y", "subject", "recording", "start")
    arrays = {
        name: np.concatenate((getattr(case.windows, name)[:at], getattr(window, name), getattr(case.windows, name)[at:])) for name in fields
    }
    return case._replace(windows=replace(case.windows, **arrays))


def renamed(rng: Rng) -> dict[str, np.ndarray]:
    return {"recording": np.array([f"renamed{rng.integers(10**6)}"]), "start": rng.integers(0, 10_000, size=1)}


def noise_like(x: np.ndarray, rng: Rng) -> np.ndarray:
    return rng.normal(0.0, 0.3, size=x.shape).astype(np.float32)


def shared_subject(case: Case, rng: Rng) -> Case:
    here, there = two_parts(rng)
    stolen = int(rng.choice(case.split.subjects(there)))
    return case._replace(split=replace(case.split, **{here: (*case.split.subjects(here), stolen)}))


def window_under_another_number(case: Case, rng: Rng) -> Case:
    here, there = two_parts(rng)
    return with_window(case, here, a_window(case, there, rng), rng)


def window_renamed(case: Case, rng: Rng) -> Case:
    here, there = two_parts(rng)
    return with_window(case, here, a_window(case, there, rng), rng, **renamed(rng))


def shifted_by_position(case: Case, rng: Rng) -> Case:
    """Other values, but a stretch of a recording that overlaps one of the other part."""
    here, there = two_parts(rng)
    window = a_window(case, there, rng)
    shift = rng.integers(1 - WINDOW_SIZE, WINDOW_SIZE, size=1)
    return with_window(case, here, window, rng, x=noise_like(window.x, rng), start=window.start + shift)


def shifted_signal(case: Case, rng: Rng) -> Case:
    """A run of samples of the other part at another offset, in a window of noise, under another name."""
    here, there = two_parts(rng)
    window = a_window(case, there, rng)
    x = noise_like(window.x, rng)
    length = int(rng.integers(RUN_LENGTH, WINDOW_SIZE))
    source, target = rng.integers(0, WINDOW_SIZE - length + 1, size=2)
    x[:, target : target + length] = window.x[:, source : source + length]
    return with_window(case, here, window, rng, x=x, **renamed(rng))


def changed_copy_same_name(case: Case, rng: Rng) -> Case:
    here, there = two_parts(rng)
    window = a_window(case, there, rng)
    return with_window(case, here, window, rng, x=window.x * np.float32(1.001) + noise_like(window.x, rng) * np.float32(0.003))


def changed_copy_renamed(case: Case, rng: Rng) -> Case:
    here, there = two_parts(rng)
    window = a_window(case, there, rng)
    x = window.x * np.float32(1.001) + noise_like(window.x, rng) * np.float32(0.003)
    return with_window(case, here, window, rng, x=x, **renamed(rng))


PLANTS: dict[str, tuple[Callable[[Case, Rng], Case], str | None]] = {  # to what the refusal says; None: not claimed
    "a subject in two parts": (shared_subject, "leak: subject"),
    "a window copied under another subject's number": (window_under_another_number, "leak: samples of recording"),
    "a window copied under another subject's number and another recording's name": (window_renamed, "leak: window"),
    "other values at samples that overlap the other part's": (shifted_by_position, "leak: samples of recording"),
    f"{RUN_LENGTH} to {WINDOW_SIZE - 1} samples in a row at another offset, renamed": (shifted_signal, "leak: window"),
    "a copy with gain and noise of 0.1 %, under its recording's name": (changed_copy_same_name, "leak: samples of recording"),
    "a copy with gain and noise of 0.1 %, renamed": (changed_copy_renamed, None),
}


def document(split: SubjectSplit) -> dict:
    return split_document([split], "kfold", "synthetic")


def file_shares_a_subject(case: Case, rng: Rng) -> dict:
    return {"split": document(shared_subject(case, rng).split)}


def file_lets_a_test_subject_validate(case: Case, rng: Rng) -> dict:
    stolen = int(rng.choice(TEST_SUBJECTS))
    parts = {name: tuple(s for s in case.split.subjects(name) if s != stolen) or (31,) for name in SPLITS}
    return {"split": document(SubjectSplit(**parts | {"validation": (*parts["validation"], stolen)}))}


def config_lets_a_test_subject_validate(case: Case, rng: Rng) -> dict:
    honest = rng.choice(TRAIN_SUBJECTS, size=3, replace=False).tolist()
    return {"validation_subjects": [*honest, int(rng.choice(TEST_SUBJECTS))]}


CONFIGS: dict[str, tuple[Callable[[Case, Rng], dict], str]] = {
    "a split file with a subject in two parts": (file_shares_a_subject, "a subject belongs to one part"),
    "a split file in which an official test subject validates": (file_lets_a_test_subject_validate, "must never validate"),
    "a config in which an official test subject validates": (config_lets_a_test_subject_validate, "must never validate"),
}


def ask_audit(case: Case) -> str:
    """What the audit says; nothing where it passes."""
    try:
        audit({name: case.split.select(case.windows, name) for name in SPLITS})
    except HarError as error:
        return str(error)
    return ""


def ask_training(case: Case, runs: Path, run: str = "planted") -> str:
    """The same of the whole training, whose reader hands out the case."""
    task_module.load_windows = lambda *_: (case.windows, case.split)
    try:
        train_run(case.config, run, runs, progress=False, say=lambda _: None)
    except HarError as error:
        return str(error)
    return ""


def ask_config(data: dict, folder: Path, *, train: bool) -> str:
    """What a training says to a config that names the split, or the check before it reads the data."""
    if "split" in data:
        (folder / "split.json").write_text(json.dumps(data["split"]))
        data = {"split": {"kind": "file", "path": str(folder / "split.json")}}
    content = {"data": {"dataset": "synthetic"} | data, "model": MODEL, "training": TRAINING}
    try:
        if train:
            (folder / "case.yaml").write_text(json.dumps(content))  # JSON is YAML
            train_configs([str(folder / "case.yaml")], folder / "runs", seeds=None, overrides={}, archive=None, progress=False)
        else:
            checked: DataConfig = parse_config(content, "case").data
            check_split(checked)
    except HarError as error:
        return str(error)
    return ""


def runs_left(folder: Path) -> int:
    return len(list((folder / "runs").rglob("run.json"))) + len(list((folder / "runs").rglob("seed-*")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="of each kind")
    parser.add_argument("--trainings", type=int, default=5, help="how many of them go through a training")
    parser.add_argument("--controls-trained", type=int, default=2, help="unplanted splits that are really trained")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    windows, longer = generated(BOUT_SECONDS), generated(TRAINED_BOUT_SECONDS)
    rows: list[dict] = []
    bad = 0

    def add(leak: str, claimed: str, refused: int, trained: int, left: int) -> None:
        row = {"leak": leak, "claimed": claimed, "planted": options.cases, "refused": refused}
        rows.append(row | {"through_training": trained, "run_folders_left": left})
        print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HAR_CACHE_DIR"] = str(folder / "data")
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        for leak, (plant, expected) in PLANTS.items():
            rng = np.random.default_rng((options.seed, len(rows)))
            refused = trained = 0
            for number in range(options.cases):
                case = plant(draw(windows, rng), rng)
                through = expected is not None and number < options.trainings
                answer = ask_training(case, folder / "runs") if through else ask_audit(case)
                refused += bool(answer)
                trained += through
                bad += expected is not None and not answer.startswith(expected)
            add(leak, "yes" if expected else "no", refused, trained, runs_left(folder))
        for leak, (make, message) in CONFIGS.items():
            rng = np.random.default_rng((options.seed, len(rows)))
            refused = trained = 0
            for number in range(options.cases):
                data = make(draw(windows, rng), rng)
                answer = ask_config(data, folder, train=number < options.trainings)
                refused += bool(answer)
                trained += number < options.trainings
                bad += message not in answer
            add(leak, "yes", refused, trained, runs_left(folder))
        bad += runs_left(folder)
        rng = np.random.default_rng((options.seed, len(rows)))
        refused = 0
        for number in range(options.cases):
            trained = number < options.controls_trained
            case = draw(longer if trained else windows, rng)
            answer = ask_training(case, folder / "runs", f"control{number}") if trained else ask_audit(case)
            if answer:
                print(answer, file=sys.stderr)
            refused += bool(answer)
        finished = len({path.parent for path in (folder / "runs").rglob("run.json")})
        bad += refused + (finished != min(options.controls_trained, options.cases))
        add("none (controls, which must pass)", "", refused, min(options.controls_trained, options.cases), finished)
    write_table(RESULT, [row | {"seed": options.seed} for row in rows], made("numpy", "torch"))
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
