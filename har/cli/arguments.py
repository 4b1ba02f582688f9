"""Options that several commands share."""

import argparse
from pathlib import Path

from har.cli.commands import RUNS
from har.contract import TRANSITION_LABELS, HarError, nearest
from har.models.registry import CATALOGUE, COMPARISON, MODELS, model_names

DATASETS = ("uci-har", "hapt", "synthetic", "motionsense")  # a test holds them against har.data.prepare
SPLIT_KINDS = ("official", "fold5", "kfold", "loso", "file")  # a test holds them against the config


def add_dataset(command: argparse.ArgumentParser, *, of_config: bool = False) -> None:
    known = f"{', '.join(DATASETS)}, or one of an installed package"
    if of_config:
        command.add_argument("--dataset", type=data_set, default=None, metavar="NAME", help=f"{known} (default: the config's)")
    else:
        command.add_argument("--dataset", type=data_set, default=DATASETS[0], metavar="NAME", help=f"{known} (default: %(default)s)")


def data_set(name: str) -> str:
    """A name of a data set, of this project or of an installed package."""
    if name not in DATASETS:
        from har.plugins import offered_names  # what is installed is only looked at where somebody asks

        known = [*DATASETS, *offered_names("har.datasets", DATASETS)]
        if name not in known:
            raise HarError(f"unknown data set {name!r}; {nearest(name, known)}")
    return name


def add_transitions(command: argparse.ArgumentParser, text: str, default: str | None = None) -> None:
    command.add_argument("--transitions", choices=tuple(TRANSITION_LABELS), default=default, help=f"HAPT's postural transitions: {text}")


def add_archive(command: argparse.ArgumentParser, dataset: str = "the data set") -> None:
    command.add_argument("--archive", default=None, metavar="PATH", help=f"a copy of {dataset}: the zip, or the folder it was extracted to")


def add_bundle(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument("--bundle", type=Path, default=None, metavar="DIR", help=text)
    command.add_argument("place", type=Path, nargs="?", default=None, metavar="bundle", help="the same, without --bundle")


def add_runs(command: argparse.ArgumentParser) -> None:
    command.add_argument("--runs", type=Path, default=RUNS, metavar="DIR", help="folder of all runs (default: %(default)s)")


def add_selection(command: argparse.ArgumentParser) -> None:
    add_dataset(command)
    add_archive(command)
    add_runs(command)
    command.add_argument("--model", nargs="+", default=["all"], metavar="NAME", help="names of runs (default: all)")
    command.add_argument("--seed", nargs="+", type=int, default=None, metavar="N", help="seeds (default: all that were trained)")


def add_mounting(command: argparse.ArgumentParser) -> None:
    command.add_argument("--mounting", default=None, metavar="NAME", help="run that tells the mounting of a stream, for --mounted")
    command.add_argument("--mounted", default=None, metavar="NAME", help="run that answers once the mounting is known")


def add_training(command: argparse.ArgumentParser) -> None:
    add_dataset(command, of_config=True)
    add_archive(command)
    add_runs(command)
    others = [name for name, entry in MODELS.items() if entry.role == CATALOGUE]
    models = (
        f"{', '.join(model_names(role=COMPARISON))} or all of these (default: all); or {', '.join(others)}, or one of an installed package"
    )
    command.add_argument("--model", nargs="+", default=["all"], metavar="NAME", help=models)
    command.add_argument("--config", nargs="+", default=None, metavar="YAML", help="config files, instead of --model")
    command.add_argument("--seed", nargs="+", type=int, default=None, metavar="N", help="one run a seed (default: the config's)")
    add_split(command, "the config's")
    command.add_argument(
        "--fold", nargs="+", type=int, default=None, metavar="N", help="of the split, from 0, a run each (default with --split: all)"
    )
    command.add_argument(
        "--refit", action="store_true", default=False, help="train on all training subjects and keep the last epoch: run NAME-refit"
    )
    command.add_argument(
        "--resume", action="store_true", default=False, help="go on with what was interrupted, and leave what is finished as it is"
    )
    command.add_argument("--epochs", type=int, default=None, help="most epochs (default: the config's)")
    command.add_argument("--channels", choices=("raw6", "uci9"), default=None, help="input (default: the config's)")
    add_transitions(command, "no window, six classes, or one class (default: the config's)")

    add_difficulty(command)


def add_difficulty(command: argparse.ArgumentParser) -> None:
    text = "of the synthetic data set, from 0 (easy) to 2 (hard); normally 1"
    command.add_argument("--difficulty", type=float, default=None, metavar="X", help=text)


def add_split(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument("--split", choices=SPLIT_KINDS, default=None, help=f"who trains, validates and tests (default: {default})")
    command.add_argument("--folds", type=int, default=None, metavar="K", help="how many, with --split kfold (default: 5)")
    text = "of UCI HAR's subjects, whose folds: of its training subjects or of all (default: training; all with fold5)"
    command.add_argument("--subjects", choices=("training", "all"), default=None, help=text)
    command.add_argument(
        "--validation",
        type=int,
        default=None,
        metavar="N",
        help="subjects of a fold that choose the epoch (default: 4, or a quarter of those left)",
    )
    command.add_argument("--split-seed", type=int, default=None, metavar="N", help="of kfold, and of who validates (default: 0)")
    command.add_argument("--split-file", default=None, metavar="PATH", help="JSON of har data splits, with --split file")


def add_reading(command: argparse.ArgumentParser) -> None:
    command.add_argument("--columns", nargs="+", default=[], metavar="OURS=THEIRS", help="names of columns, such as total_acc_x_g=ax")
    command.add_argument("--acc-unit", default="g", help="of the acceleration: g or m/s2 (default: %(default)s)")
    command.add_argument("--gyro-unit", default="rad/s", help="of the angular velocity: rad/s or deg/s (default: %(default)s)")
    command.add_argument("--time-unit", default="s", help="of the time: s, ms, us or ns (default: %(default)s)")
    command.add_argument("--axes", default="x,y,z", help="what becomes x, y and z, such as --axes=y,-x,z (default: %(default)s)")
    command.add_argument("--interpolate", type=float, default=0.0, metavar="SECONDS", help="mend gaps up to this long (default: none)")
