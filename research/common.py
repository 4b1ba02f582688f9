"""What the scripts share: their command line, where they read and write, and how their reports are signed."""

import argparse
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from har import reporting
from har.config import MAX_SEED, RunConfig, load_config
from har.contract import HarError
from har.files import write_whole
from har.redaction import shown
from har.reporting import footer
from har.runs.checks import check_folder, config_path
from har.runs.work import Say

FOLDS = 3  # of the 21 training subjects


def options_of(name: str, text: str, *, archive: str | None = None, runs: bool = False) -> argparse.ArgumentParser:
    """The parser of a script with the options that most share.

    Args:
        name: of its module in this folder.
        text: what it does.
        archive: the data set that ``--archive`` is a copy of; by default there is no such option.
        runs: whether it reads or writes runs.
    """
    parser = argparse.ArgumentParser(prog=f"python -m research.{name}", description=text, allow_abbrev=False)
    if archive is not None:
        text = f"a copy of {archive}: the zip, or the folder it was extracted to"
        parser.add_argument("--archive", default=None, metavar="PATH", help=text)
    if runs:
        parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of all runs (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="folder of results (default: %(default)s)")
    return parser


def run_script(
    parser: argparse.ArgumentParser, arguments: list[str] | None, work: Callable[[argparse.Namespace, str], Iterable[Path]]
) -> int:
    """Parse, work, and print the files that were written.

    Args:
        parser: of `options_of`.
        arguments: by default those of the process.
        work: gets the options and the command as it was typed; returns the files.

    Returns:
        The exit status: 0, or 2 after one line about a mistake of the user.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(arguments)
    try:
        for option in ("runs", "results"):
            check_folder(getattr(options, option, None), f"--{option}")
        for path in work(options, shlex.join([*parser.prog.split(), *arguments])):
            print(f"wrote {shown(str(path))}")
    except HarError as error:
        print(f"{parser.prog}: {shown(str(error))}", file=sys.stderr)
        return 2
    return 0


def experiment(name: str, arguments: list[str] | None = None) -> int:
    """Run the function ``run`` of a module of this folder with the options that all experiments have; see `run_script`."""
    # By its name: as ``__main__``, its functions could not be found by the processes of `run_cells`.
    module = import_module(f"research.{name}")
    parser = options_of(name, str(module.__doc__).split(": ", 1)[1].splitlines()[0], archive="the data set", runs=True)
    parser.add_argument(
        "--dataset", choices=("hapt", "uci-har", "synthetic"), default="hapt", help="whose recordings, where any (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", dest="seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="of the trainings (default: 0 1 2)"
    )
    parser.add_argument("--quick", action="store_true", help="a small budget, to see that it works; no result")

    def work(options: argparse.Namespace, command: str) -> list[Path]:
        for seed in options.seeds:
            if not 0 <= seed <= MAX_SEED:
                raise HarError(f"--seed has {seed}, expected 0 to {MAX_SEED}")
        return module.run(Bench(command=command, **vars(options) | {"seeds": tuple(options.seeds)}))

    return run_script(parser, arguments, work)


def held_out_config(model: str, dataset: str, **overrides: Any) -> RunConfig:
    """The shipped config of a model, the last epoch kept: all training subjects but those of one of three folds train, nobody validates."""
    config = load_config(config_path(model)).with_overrides(data__dataset=dataset, training__keep="last", **overrides)
    return config.with_split(kind="kfold", folds=FOLDS, subjects="training", validation=0)


@dataclass(frozen=True)
class Bench:
    """Where an experiment reads and writes.

    Attributes:
        runs: folder of all runs; finished parts of a long experiment are kept below it, so that it goes on where it stopped.
        results: folder of the results.
        archive: a copy of the data set, where one is needed.
        seeds: of the trainings.
        quick: a small budget, to see that everything works; its files have ``_quick`` in their names and are no result.
        dataset: whose recordings; ``synthetic`` is named in the files.
        command: that was typed, named in the tables.
        say: gets one line a step.
    """

    runs: Path
    results: Path
    archive: str | None
    seeds: tuple[int, ...]
    quick: bool
    dataset: str
    command: str
    say: Say = print

    def stem(self, name: str, *, synthetic: bool = False) -> str:
        """File name of an artefact without its suffix."""
        return name + "_synthetic" * synthetic + "_quick" * self.quick

    def write_report(self, folder: Path, stem: str, *sections: str, **facts: Any) -> Path:
        """Write a Markdown file of sections; its footer names whatever decided the numbers, a tuple with commas."""
        texts = {name: ", ".join(map(str, value)) if isinstance(value, tuple) else value for name, value in facts.items()}
        said = "".join(f" {name.capitalize()}: {text}." for name, text in texts.items())
        path = folder / f"{stem}.md"
        end = footer(self.command, said + " A QUICK RUN on a small budget, no result." * self.quick)
        write_whole(path, "\n\n".join([*sections, end]))
        return path


def write_table(table: pd.DataFrame, folder: Path, stem: str) -> Path:
    """Write a CSV file with six digits.

    Raises:
        HarError: the folder cannot be written.
    """
    return reporting.write_table(table, folder / f"{stem}.csv", "%.6g")
