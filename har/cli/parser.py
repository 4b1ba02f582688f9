"""The words of the command line: every command with its options."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from har import __version__
from har.cli import arguments as options
from har.cli import commands as do
from har.cli import data
from har.cli.arguments import RENAMED
from har.cli.commands import ATTRIBUTIONS, BUNDLE, SHELLS
from har.cli.output import complain
from har.cli.predict import predict
from har.errors import HarError

# Commands that were removed, and the scripts of research/ in their place.
MOVED = {
    "experiment": "NAME",
    "smooth": "smooth",
    "data filters": "filter_report",
    "data spectra": "spectra",
    "data reproduce": "reproduce",
}

Command = Callable[[argparse.Namespace], None]


class Parser(argparse.ArgumentParser):
    """Wrong usage is answered in one line, with exit code 2, as every other mistake."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # A shortened flag would be taken for another one: --arch for --archive, a typo for a flag that is added later.
        super().__init__(*arguments, **options | {"allow_abbrev": False})

    def error(self, message: str) -> None:  # type: ignore[override]
        raise HarError("argument", f"{message}; see {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """The parser of `har` with all its commands."""
    common = Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    common.add_argument("--quiet", action="store_true", help="say nothing but errors, and no progress bar")
    common.add_argument("--json", action="store_true", help="print the answer as JSON; all else goes to standard error")
    parser = Parser(prog="har", description="Human activity recognition from wearable sensors.", parents=[common])
    parser.add_argument("--version", action="version", version=f"wearable-har {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(
        name: str, run: Command, text: str, more: str = "", under: "argparse._SubParsersAction | None" = None
    ) -> argparse.ArgumentParser:
        command = (under or commands).add_parser(name, help=text, description=f"{text}. {more}".strip(), parents=[common])
        command.set_defaults(run=run)
        return command

    _add_data(commands, add)
    command = add("train", do.train, "Train models and track them in MLflow", "Each run is left in RUNS/DATASET/MODEL/seed-N.")
    options.add_training(command)

    more = "Models x settings x seeds x folds, or the trials of a search; typed again, it does what is missing or has failed."
    command = add("sweep", do.sweep, "Run the jobs of a study that are not done yet", more)
    command.add_argument("study", type=Path, help="YAML file, such as configs/study/ideas.yaml")
    options.add_archive(command)
    options.add_runs(command)
    options.add_results(command)
    options.add_engine(command)
    command.add_argument("--gpus-per-job", type=float, default=0.0, metavar="F", help="with Ray: 0.5 for two jobs a GPU (default: none)")

    command = add(
        "evaluate",
        do.evaluate,
        "Score the saved weights of trained runs",
        "The official test subjects of UCI HAR and HAPT are scored by --part test alone. Each scoring adds a row to the ledger "
        "RESULTS/DATASET/test_openings.csv; where it cannot be written, nothing is scored.",
    )
    options.add_selection(command)
    options.add_part(command)
    options.add_results(command)
    command.add_argument("--brief", action="store_true", help="one line a run, without the tables")
    options.add_dataset(command, "--on", default=None)
    command.add_argument("--on-archive", metavar="PATH", help="a copy of that data set")
    command.add_argument("--map", nargs="+", default=[], metavar="NAME=LABEL", help="count its activity NAME as LABEL of the model")

    command = add(
        "explain",
        do.explain,
        "Why a run answers as it does: its mistakes as one HTML file, or single windows as figures",
        "Attribution over the signal, attention weights, the nearest training windows. The test subjects have to be scored before.",
    )
    options.add_selection(command)
    options.add_part(command)
    text = "numbers of single windows, as in the predictions: a figure each"
    command.add_argument("--window", nargs="+", type=int, metavar="N", help=text)
    command.add_argument("--method", choices=ATTRIBUTIONS, default=ATTRIBUTIONS[0], help="of the attribution (default: %(default)s)")
    command.add_argument("--most", type=int, default=60, metavar="N", help="mistakes in the file, the surest first (default: %(default)s)")

    command = add("compare", do.compare, "One table over runs and seeds", "Recomputed from prediction files alone; nothing is trained.")
    command.add_argument("folder", type=Path, nargs="?", help="with prediction files, searched recursively (default: RUNS/DATASET)")
    options.add_dataset(command)
    options.add_runs(command)
    options.add_output(command, "also write the tables and the predictions there")
    options.add_transitions(command, where="those of the runs")

    command = add(
        "export",
        do.export,
        "Write the ONNX bundle of a run",
        "Without --model, the run with the best validation macro-F1. Checked against torch on real windows before it is written.",
    )
    options.add_selection(command)
    options.add_output(command, f"folder of the bundle (default: {BUNDLE}, of other data than UCI HAR and HAPT {BUNDLE}-DATASET)")
    options.add_mounting(command)
    options.add_results(command)

    command = add(
        "register",
        do.register,
        "Register a bundle in MLflow",
        "Its run must be tracked there. The alias champion moves to it where its validation macro-F1 is higher than the champion's.",
    )
    options.add_bundle(command, str(BUNDLE))
    options.add_place(command)
    command.add_argument("--name", metavar="NAME", help="of the registered model (default: wearable-har, wearable-har-synthetic)")
    options.add_runs(command)

    command = add(
        "robustness",
        do.robustness,
        "What models lose when a phone is worn or read otherwise",
        "Mounting, rate, units, noise, bias, loss; the ONNX files of the runs on their validation subjects. With --mounting and --mounted "
        "the last run is measured in streams too.",
    )
    options.add_selection(command)
    options.add_mounting(command)
    options.add_results(command)

    command = add("verify", do.verify, "Check a bundle", "Checksums, metadata and golden windows, in this machine's onnxruntime.")
    options.add_bundle(command)
    options.add_place(command)

    text = "Activities over time in one recording, or in many at once, from a bundle alone"
    command = add("predict", predict, text, "Of many: a Parquet file each, and only what is not there yet. See docs/scale.md.")
    what = "CSV or Parquet with time_s, total_acc_{x,y,z}_g and gyro_{x,y,z}_rad_s; or folders of them, or patterns such as 'data/**/*.csv'"
    command.add_argument("recordings", type=Path, nargs="+", metavar="recording", help=what)
    options.add_bundle(command)
    more = "also write one row per window, with all probabilities: a CSV file, or for many recordings a folder of Parquet files"
    options.add_output(command, more, "PATH")
    options.add_engine(command)
    options.add_reading(command)

    command = add("doctor", do.doctor, "What is installed, found and missing, and what to do about it")
    options.add_runs(command)

    more = (
        'For example: har completion bash > ~/.local/share/bash-completion/completions/har; zsh: har completion zsh > "${fpath[1]}/_har".'
    )
    command = add("completion", do.completion, "A script that completes commands and options in a shell", more)
    command.add_argument("shell", choices=SHELLS, help="which: %(choices)s")

    command = add(
        "demo",
        do.demo,
        "The whole way on synthetic data, in minutes",
        "Generates, trains, compares, exports, verifies, predicts.",
    )
    options.add_runs(command)
    options.add_epochs(command, 4)

    track = commands.add_parser("track", help="What MLflow keeps of the runs", description="What MLflow keeps of the runs.")
    under = track.add_subparsers(title="commands", metavar="COMMAND", required=True)
    more = "Copies the runs of the local store that the server in MLFLOW_TRACKING_URI lacks, wholly or in part."
    command = add("push", do.track_push, "Send to the MLflow server what it lacks", more, under=under)
    options.add_runs(command)

    more = "Prints the addresses of a table and of charts that compare the runs; the view they open is kept in the store, and in no run."
    command = add("dashboard", do.dashboard, "MLflow's user interface on 127.0.0.1", more)
    options.add_runs(command)
    command.add_argument("--port", type=int, default=5000, help="(default: %(default)s)")
    return parser


def current(arguments: list[str]) -> list[str]:
    """A command line with today's names of its options; each old one is named on standard error.

    Raises:
        HarError: the command was removed; with what replaces it.
    """
    words = [word for word in arguments if not word.startswith("-")]
    for old, script in MOVED.items():
        if words[: len(old.split())] == old.split():
            raise HarError("argument", f"har {old} was removed; in a clone of the repository, run python -m research.{script} instead")
    names = next((names for command, names in RENAMED.items() if words[: len(command.split())] == command.split()), {})
    found = []
    for word in arguments:
        option, equals, value = word.partition("=")
        if option in names:
            complain(f"{option} is now {names[option]}; the old name goes with the next release")
        found.append(names.get(option, option) + equals + value)
    return found


def _add_data(commands: "argparse._SubParsersAction", add: Callable[..., argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("data", help="Prepare a data set", description="Prepare a data set.")
    under = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    more = "It comes from --archive, the folder in HAR_DATA_DIR or the official download; synthetic data are generated."
    command = add("prepare", data.prepare, "Parse a data set once into the cache", more, under=under)
    options.add_dataset(command)
    options.add_archive(command)
    options.add_transitions(command, "drop")
    options.add_difficulty(command)
    text, more = "Write a split as JSON and say who is in it", "Every fold is audited for leaks. Nothing is trained."
    command = add("splits", data.splits, text, more, under=under)
    options.add_dataset(command)
    options.add_archive(command)
    options.add_split(command, "official")
    command.add_argument(
        "--validation-subjects", nargs="+", type=int, metavar="N", help="of the official split (default: as in the configs)"
    )
    options.add_output(command, "write the split there (default: only show it)", "FILE.json")
