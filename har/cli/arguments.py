"""Options that several commands share, each with one name and one meaning, and the names that options had before."""

import argparse
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from har.cli.commands import RESULTS, RUNS
from har.contract import CHANNEL_SETS, SPLITS, TRANSITION_LABELS
from har.models.registry import CATALOGUE, COMPARISON, MODELS, model_names

# Old names of options, by command. They work for one release, with a warning; see docs/options.md.
RENAMED = {
    "data splits": {"--split-file": "--split-path"},
    "train": {"--split-file": "--split-path"},
    "evaluate": {"--split": "--part"},
    "explain": {"--split": "--part"},
    "compare": {"--report": "--output"},
    "export": {"--bundle": "--output"},
    "register": {"BUNDLE": "--bundle"},
    "verify": {"BUNDLE": "--bundle"},
}
PRETRAINED = "the pretrained bundle, in every folder"


class Names:
    """Names of a registry, which is imported where a help text, a completion or a value needs it: a command starts without it."""

    def __init__(self, place: str) -> None:
        self._place = place  # module:attribute, the names or a function that returns them

    def __iter__(self) -> Iterator[str]:
        module, name = self._place.split(":")
        found = getattr(import_module(module), name)
        return iter(found() if callable(found) else found)


def add_dataset(command: argparse.ArgumentParser, option: str = "--dataset", *, default: str | None = "uci-har") -> None:
    text = "name of the data set: %(choices)s (default: {})"
    if option == "--on":
        text = "try the model on another data set: the activities that both have, by name"
    text = text.format("the config's" if default is None else "%(default)s")
    command.add_argument(
        option, type=data_set, choices=Names("har.data.prepare:data_set_names"), default=default, metavar="NAME", help=text
    )


def data_set(name: str) -> str:
    """A name of a data set, of this project or of an installed package.

    Raises:
        HarError: there is none of that name; names the nearest.
    """
    from har.data.prepare import label_names

    label_names(name)
    return name


def add_transitions(command: argparse.ArgumentParser, default: str | None = None, where: str = "the config's") -> None:
    text = f"HAPT's postural transitions as no windows, as classes of their own or as one class (default: {default or where})"
    command.add_argument("--transitions", choices=tuple(TRANSITION_LABELS), default=default, help=text)


def add_archive(command: argparse.ArgumentParser) -> None:
    text = "a copy of the data set: the zip, or the folder it was extracted to"
    command.add_argument("--archive", metavar="PATH", help=text)


def add_bundle(command: argparse.ArgumentParser, default: str = PRETRAINED) -> None:
    text = f"folder of a bundle, or default or robust, which come with the project (default: {default})"
    command.add_argument("--bundle", type=Path, metavar="DIR", help=text)


def add_place(command: argparse.ArgumentParser) -> None:
    """The old way to name a bundle, see `RENAMED`."""
    command.add_argument("place", type=Path, nargs="?", metavar="bundle", help=argparse.SUPPRESS)


def add_runs(command: argparse.ArgumentParser) -> None:
    command.add_argument("--runs", type=Path, default=RUNS, metavar="DIR", help="folder of all runs (default: %(default)s)")


def add_results(command: argparse.ArgumentParser) -> None:
    text = "folder of all results, with tables and ledgers (default: %(default)s)"
    command.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help=text)


def add_output(command: argparse.ArgumentParser, text: str, metavar: str = "DIR") -> None:
    command.add_argument("--output", type=Path, metavar=metavar, help=text)


def add_engine(command: argparse.ArgumentParser) -> None:
    text = "processes on this machine, or Ray, on the cluster RAY_ADDRESS: %(choices)s (default: %(default)s)"
    command.add_argument("--engine", choices=Names("har.runs.engine:ENGINES"), default="local", metavar="NAME", help=text)
    command.add_argument("--workers", type=int, metavar="N", help="jobs at a time (default: one a core)")


def add_epochs(command: argparse.ArgumentParser, default: int | None = None) -> None:
    text = f"most epochs of a training (default: {default or 'that of the config'})"
    command.add_argument("--epochs", type=int, default=default, metavar="N", help=text)


def add_seed(command: argparse.ArgumentParser, default: str) -> None:
    text = f"seeds of the trainings, a run each (default: {default})"
    command.add_argument("--seed", nargs="+", type=int, metavar="N", help=text)


def add_selection(command: argparse.ArgumentParser) -> None:
    add_dataset(command)
    add_archive(command)
    add_runs(command)
    command.add_argument("--model", nargs="+", default=["all"], metavar="NAME", help="names of runs (default: all)")
    add_seed(command, "all that were trained")


def add_part(command: argparse.ArgumentParser) -> None:
    text = "part of the split whose windows are scored (default: %(default)s)"
    command.add_argument("--part", choices=SPLITS[1:], default="validation", help=text)


def add_mounting(command: argparse.ArgumentParser) -> None:
    command.add_argument("--mounting", metavar="NAME", help="run that estimates the mounting of a stream, for --mounted")
    command.add_argument("--mounted", metavar="NAME", help="run that answers once the mounting is known")


def add_training(command: argparse.ArgumentParser) -> None:
    add_dataset(command, default=None)
    add_archive(command)
    add_runs(command)
    others = [name for name, entry in MODELS.items() if entry.role == CATALOGUE]
    models = (
        f"{', '.join(model_names(role=COMPARISON))} or all of these (default: all); or {', '.join(others)}, or one of an installed package"
    )
    command.add_argument("--model", nargs="+", default=["all"], metavar="NAME", help=models)
    command.add_argument("--config", nargs="+", metavar="YAML", help="config files, instead of --model")
    add_seed(command, "the config's")
    add_split(command, "the config's")
    command.add_argument("--fold", nargs="+", type=int, metavar="N", help="of the split, from 0, a run each (default with --split: all)")
    command.add_argument("--refit", action="store_true", help="train on all training subjects and keep the last epoch: run NAME-refit")
    command.add_argument("--resume", action="store_true", help="resume what was interrupted, and leave what is finished as it is")
    add_epochs(command)
    command.add_argument("--channels", choices=tuple(CHANNEL_SETS), help="input (default: the config's)")
    add_transitions(command)
    add_difficulty(command)


def add_difficulty(command: argparse.ArgumentParser) -> None:
    text = "of the synthetic data set, from 0 (easy) to 2 (hard); normally 1"
    command.add_argument("--difficulty", type=float, metavar="X", help=text)


def add_split(command: argparse.ArgumentParser, default: str) -> None:
    text = f"kind of split, which says who trains, validates and tests: %(choices)s (default: {default})"
    command.add_argument("--split", choices=Names("har.data.splits:KINDS"), metavar="KIND", help=text)
    command.add_argument("--folds", type=int, metavar="K", help="how many, with --split kfold (default: 5)")
    text = "of UCI HAR's subjects, whose folds: of its training subjects or of all (default: training; all with fold5)"
    command.add_argument("--subjects", choices=("training", "all"), help=text)
    text = "subjects of a fold that choose the epoch (default: 4, or a quarter of those left)"
    command.add_argument("--validation", type=int, metavar="N", help=text)
    command.add_argument("--split-seed", type=int, metavar="N", help="of kfold, and of who validates (default: 0)")
    command.add_argument("--split-path", metavar="PATH", help="JSON of har data splits, with --split file")


def add_reading(command: argparse.ArgumentParser) -> None:
    command.add_argument("--columns", nargs="+", default=[], metavar="OURS=THEIRS", help="names of columns, such as total_acc_x_g=ax")
    command.add_argument("--acc-unit", default="g", help="of the acceleration: g or m/s2 (default: %(default)s)")
    command.add_argument("--gyro-unit", default="rad/s", help="of the angular velocity: rad/s or deg/s (default: %(default)s)")
    command.add_argument("--time-unit", default="s", help="of the time: s, ms, us or ns (default: %(default)s)")
    command.add_argument("--axes", default="x,y,z", help="what becomes x, y and z, such as --axes=y,-x,z (default: %(default)s)")
    command.add_argument(
        "--interpolate", type=float, default=0.0, metavar="SECONDS", help="interpolate gaps up to this long (default: none)"
    )
