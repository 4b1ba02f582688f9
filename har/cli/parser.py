"""The words of the command line: every option with its one meaning, and every command with its options."""

import argparse
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from har import __version__
from har.cli import commands as do
from har.cli import data
from har.cli.commands import ATTRIBUTIONS, BUNDLE, RESULTS, RUNS, SHELLS
from har.cli.output import complain
from har.contract import CHANNEL_SETS, SPLITS, TRANSITION_LABELS
from har.errors import HarError
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
# Commands that were removed, and the scripts of research/ in their place.
MOVED = {
    "experiment": "NAME",
    "smooth": "smooth",
    "data filters": "filter_report",
    "data spectra": "spectra",
    "data reproduce": "reproduce",
}


class Parser(argparse.ArgumentParser):
    """Wrong usage is answered in one line, with exit code 2, as every other mistake."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # A shortened flag would be taken for another one: --arch for --archive, a typo for a flag that is added later.
        super().__init__(*arguments, **options | {"allow_abbrev": False})

    def error(self, message: str) -> None:  # type: ignore[override]
        raise HarError("argument", f"{message}; see {self.prog} --help")


class Names:
    """Names of a registry, which is imported where a help text, a completion or a value needs it: a command starts without it."""

    def __init__(self, place: str) -> None:
        self._place = place  # module:attribute, the names or a function that returns them

    def __iter__(self) -> Iterator[str]:
        module, name = self._place.split(":")
        found = getattr(import_module(module), name)
        return iter(found() if callable(found) else found)


def data_set(name: str) -> str:
    """A name of a data set, of this project or of an installed package.

    Raises:
        HarError: there is none of that name; names the nearest.
    """
    from har.data.prepare import label_names

    label_names(name)
    return name


DATA_SET = {"type": data_set, "choices": Names("har.data.prepare:data_set_names"), "metavar": "NAME"}
PLACE = "processes on this machine, or Ray, on the cluster RAY_ADDRESS: %(choices)s (default: %(default)s)"
RESULTS_TEXT = "folder of all results, with tables and ledgers (default: %(default)s)"
SPLIT_TEXT = "kind of split, which says who trains, validates and tests: %(choices)s (default: the config's)"
SUBJECTS = "of UCI HAR's subjects, whose folds: of its training subjects or of all (default: training; all with fold5)"
TRANSITIONS = "HAPT's postural transitions as no windows, as classes of their own or as one class (default: the config's)"
VALIDATION = "subjects of a fold that choose the epoch (default: 4, or a quarter of those left)"
RECORDING_TEXT = "a CSV or Parquet file, or the folder or zip archive that an app exported"
# Each option as `argparse` takes it. `add` changes the default that a text ends with where it is another one for a command.
OPTIONS: dict[str, dict[str, Any]] = {
    "--acc-unit": {"metavar": "UNIT", "help": "of the acceleration: g, mg or m/s2 (default: as the file or its app says)"},
    "--archive": {"metavar": "PATH", "help": "a copy of the data set: the zip, or the folder it was extracted to"},
    "--axes": {"default": "x,y,z", "help": "what becomes x, y and z, such as --axes=y,-x,z (default: %(default)s)"},
    "--brief": {"action": "store_true", "help": "one line a run, without the tables"},
    "--bundle": {"type": Path, "metavar": "DIR", "help": "folder of a bundle, or default or robust, which come with the project"},
    "--channels": {"choices": tuple(CHANNEL_SETS), "help": "input (default: the config's)"},
    "--columns": {
        "nargs": "+",
        "action": "extend",
        "default": [],
        "metavar": "OURS=THEIRS",
        "help": "names of columns, such as total_acc_x_g=ax",
    },
    "--config": {"nargs": "+", "metavar": "YAML", "help": "config files, instead of --model"},
    "--dataset": {**DATA_SET, "default": "uci-har", "help": "name of the data set: %(choices)s (default: %(default)s)"},
    "--difficulty": {"type": float, "metavar": "X", "help": "of the synthetic data set, from 0 (easy) to 2 (hard); normally 1"},
    "--engine": {"choices": Names("har.runs.engine:ENGINES"), "default": "local", "metavar": "NAME", "help": PLACE},
    "--epochs": {"type": int, "metavar": "N", "help": "most epochs of a training (default: that of the config)"},
    "--fold": {"nargs": "+", "type": int, "metavar": "N", "help": "of the split, from 0, a run each (default with --split: all)"},
    "--folds": {"type": int, "metavar": "K", "help": "how many, with --split kfold (default: 5)"},
    "--gpus-per-job": {"type": float, "default": 0.0, "metavar": "F", "help": "with Ray: 0.5 for two jobs a GPU (default: none)"},
    "--gyro-unit": {"metavar": "UNIT", "help": "of the angular velocity: rad/s or deg/s (default: as the file or its app says)"},
    "--interpolate": {"type": float, "default": 0.0, "metavar": "SECONDS", "help": "interpolate gaps up to this long (default: none)"},
    "--map": {
        "nargs": "+",
        "action": "extend",
        "default": [],
        "metavar": "NAME=LABEL",
        "help": "count its activity NAME as LABEL of the model",
    },
    "--method": {"choices": ATTRIBUTIONS, "default": ATTRIBUTIONS[0], "help": "of the attribution (default: %(default)s)"},
    "--model": {"nargs": "+", "default": ["all"], "metavar": "NAME", "help": "names of runs (default: all)"},
    "--most": {"type": int, "default": 60, "metavar": "N", "help": "mistakes in the file, the surest first (default: %(default)s)"},
    "--mounted": {"metavar": "NAME", "help": "run that answers once the mounting is known"},
    "--mounting": {"metavar": "NAME", "help": "run that estimates the mounting of a stream, for --mounted"},
    "--name": {"metavar": "NAME", "help": "of the registered model (default: wearable-har, wearable-har-synthetic)"},
    "--on": {**DATA_SET, "help": "try the model on another data set: the activities that both have, by name"},
    "--on-archive": {"metavar": "PATH", "help": "a copy of that data set"},
    "--output": {"type": Path, "metavar": "PATH"},
    "--part": {"choices": SPLITS[1:], "default": "validation", "help": "part of the split whose windows are scored (default: %(default)s)"},
    "--port": {"type": int, "default": 5000, "help": "(default: %(default)s)"},
    "--rate": {"type": float, "metavar": "HZ", "help": "of a recording without times"},
    "--refit": {"action": "store_true", "help": "train on all training subjects and keep the last epoch: run NAME-refit"},
    "--results": {"type": Path, "default": RESULTS, "metavar": "DIR", "help": RESULTS_TEXT},
    "--resume": {"action": "store_true", "help": "resume what was interrupted, and leave what is finished as it is"},
    "--runs": {"type": Path, "default": RUNS, "metavar": "DIR", "help": "folder of all runs (default: %(default)s)"},
    "--seed": {"nargs": "+", "type": int, "metavar": "N", "help": "seeds of the trainings, a run each (default: all that were trained)"},
    "--split": {"choices": Names("har.data.splits:KINDS"), "metavar": "KIND", "help": SPLIT_TEXT},
    "--split-path": {"metavar": "PATH", "help": "JSON of har data splits, with --split file"},
    "--split-seed": {"type": int, "metavar": "N", "help": "of kfold, and of who validates (default: 0)"},
    "--subjects": {"choices": ("training", "all"), "help": SUBJECTS},
    "--time-unit": {"metavar": "UNIT", "help": "of the time: s, ms, us, ns or days (default: the one that gives a sensor's rate)"},
    "--transitions": {"choices": tuple(TRANSITION_LABELS), "help": TRANSITIONS},
    "--validation": {"type": int, "metavar": "N", "help": VALIDATION},
    "--validation-subjects": {"nargs": "+", "type": int, "metavar": "N", "help": "of the official split (default: as in the configs)"},
    "--window": {"nargs": "+", "type": int, "metavar": "N", "help": "numbers of single windows, as in the predictions: a figure each"},
    "--workers": {"type": int, "metavar": "N", "help": "jobs at a time (default: one a core)"},
}
SELECTION = ("--dataset", "--archive", "--runs", "--model", "--seed")
SPLIT = ("--split", "--folds", "--subjects", "--validation", "--split-seed", "--split-path")
READING = ("--columns", "--acc-unit", "--gyro-unit", "--time-unit", "--rate", "--axes", "--interpolate")


def build_parser() -> argparse.ArgumentParser:
    """The parser of `har` with all its commands."""
    common = Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    common.add_argument("--quiet", action="store_true", help="say nothing but errors, and no progress bar")
    common.add_argument("--json", action="store_true", help="print the answer as JSON; all else goes to standard error")
    parser = Parser(prog="har", description="Human activity recognition from wearable sensors.", parents=[common])
    parser.add_argument("--version", action="version", version=f"wearable-har {__version__}")
    groups = {"": parser.add_subparsers(title="commands", metavar="COMMAND", required=True)}
    for group, text in (("data", "Prepare a data set"), ("track", "What MLflow keeps of the runs")):
        parent = groups[""].add_parser(group, help=text, description=f"{text}.")
        groups[group] = parent.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(words: str, run: Any, options: Sequence[str], text: str, more: str = "", **defaults: str) -> argparse.ArgumentParser:
        """A command, such as ``data prepare``; `defaults` are those of its options as the help says them, and texts of options without."""
        group, _, name = words.rpartition(" ")
        command = groups[group].add_parser(name, help=text, description=f"{text}. {more}".strip(), parents=[common])
        command.set_defaults(run=run)
        for option in options:
            known, key = OPTIONS[option], option.removeprefix("--").replace("-", "_")
            if key in defaults:
                about = known.get("help", "").split(" (default: ")[0]
                known = known | {"help": f"{about} (default: {defaults[key]})" if about else defaults[key]}
            command.add_argument(option, **known)
        return command

    more = "It comes from --archive, the folder in HAR_DATA_DIR or the official download; synthetic data are generated."
    names: tuple[str, ...] = ("--dataset", "--archive", "--transitions", "--difficulty")
    command = add("data prepare", data.prepare, names, "Parse a data set once into the cache", more, transitions="drop")
    command.set_defaults(transitions="drop")

    more, text = "Every fold is audited for leaks. Nothing is trained.", "write the split there (default: only show it)"
    names = ("--dataset", "--archive", *SPLIT, "--validation-subjects", "--output")
    add("data splits", data.splits, names, "Write a split as JSON and say who is in it", more, split="official", output=text)

    more, config = "Each run is left in RUNS/DATASET/MODEL/seed-N.", "the config's"
    names = ("--dataset", "--archive", "--runs", "--config", "--seed", *SPLIT, "--fold", "--refit", "--resume", "--epochs", "--channels")
    names += ("--transitions", "--difficulty")
    command = add("train", do.train, names, "Train models and track them in MLflow", more, dataset=config, seed=config)
    command.set_defaults(dataset=None)
    others = ", ".join(name for name, entry in MODELS.items() if entry.role == CATALOGUE)
    text = f"{', '.join(model_names(role=COMPARISON))} or all of these (default: all); or {others}, or one of an installed package"
    command.add_argument("--model", **OPTIONS["--model"] | {"help": text})

    more = "Models x settings x seeds x folds, or the trials of a search; typed again, it does what is missing or has failed."
    names = ("--archive", "--runs", "--results", "--engine", "--workers", "--gpus-per-job")
    command = add("sweep", do.sweep, names, "Run the jobs of a study that are not done yet", more)
    command.add_argument("study", type=Path, help="YAML file, such as configs/study/ideas.yaml")

    more = "The official test subjects of UCI HAR and HAPT are scored by --part test alone. Each scoring adds a row to the ledger "
    more += "RESULTS/DATASET/test_openings.csv; where it cannot be written, nothing is scored."
    names = (*SELECTION, "--part", "--results", "--brief", "--on", "--on-archive", "--map")
    add("evaluate", do.evaluate, names, "Score the saved weights of trained runs", more)

    text = "Why a run answers as it does: its mistakes as one HTML file, or single windows as figures"
    more = "Attribution over the signal, attention weights, the nearest training windows. The test subjects have to be scored before."
    add("explain", do.explain, (*SELECTION, "--part", "--window", "--method", "--most"), text, more)

    more, text = "Recomputed from prediction files alone; nothing is trained.", "also write the tables and the predictions there"
    names = ("--dataset", "--runs", "--output", "--transitions")
    command = add("compare", do.compare, names, "One table over runs and seeds", more, output=text, transitions="those of the runs")
    command.add_argument("folder", type=Path, nargs="?", help="with prediction files, searched recursively (default: RUNS/DATASET)")

    more = "Without --model, the run with the best validation macro-F1. Checked against torch on real windows before it is written."
    text = f"folder of the bundle (default: {BUNDLE}, of other data than UCI HAR and HAPT {BUNDLE}-DATASET)"
    names = (*SELECTION, "--output", "--mounting", "--mounted", "--results")
    add("export", do.export, names, "Write the ONNX bundle of a run", more, output=text)

    more = "Its run must be tracked there. The alias champion moves to it where its validation macro-F1 is higher than the champion's."
    command = add("register", do.register, ("--bundle", "--name", "--runs"), "Register a bundle in MLflow", more, bundle=str(BUNDLE))
    command.add_argument("place", type=Path, nargs="?", metavar="bundle", help=argparse.SUPPRESS)  # the old name, see `RENAMED`

    more = "Mounting, rate, units, noise, bias, loss; the ONNX files of the runs on their validation subjects. "
    more += "With --mounting and --mounted the last run is measured in streams too."
    names = (*SELECTION, "--mounting", "--mounted", "--results")
    add("robustness", do.robustness, names, "What models lose when a phone is worn or read otherwise", more)

    more, pretrained = "Checksums, metadata and golden windows, in this machine's onnxruntime.", "the pretrained bundle, in every folder"
    command = add("verify", do.verify, ("--bundle",), "Check a bundle", more, bundle=pretrained)
    command.add_argument("place", type=Path, nargs="?", metavar="bundle", help=argparse.SUPPRESS)

    text, more = "What a recording holds, how it is understood, and a plot of its signals", "the plot or page (default: NAME-inspect.png)"
    command = add(
        "inspect", do.inspect, ("--output", *READING), text, "Where something must be said, the whole command is printed.", output=more
    )
    command.add_argument("--html", action="store_true", help="a page of one file with facts and plot in place of the PNG")
    command.add_argument("recording", type=Path, help=RECORDING_TEXT)

    names = ("--bundle", "--output", "--engine", "--workers", *READING, "--map")
    more = "also write one row per window, with all probabilities: a CSV file, or for many recordings a folder of Parquet files"
    text = "Activities over time in one recording, or in many at once, from a bundle alone"
    about = "Of many: a Parquet file each, and only what is not there yet. See docs/scale.md."
    command = add("predict", do.predict, names, text, about, bundle=pretrained, output=more)
    text = "draw the signals and the answers below them (default: NAME-activities.png)"
    command.add_argument("--plot", type=Path, nargs="?", const=Path(), metavar="FILE", help=text)
    command.add_argument("--score", action="store_true", help="compare the answers with the recording's own labels")
    what = f"{RECORDING_TEXT}; or several of them, folders of them, or patterns such as 'data/**/*.csv'"
    command.add_argument("recordings", type=Path, nargs="+", metavar="recording", help=what)

    add("doctor", do.doctor, ("--runs",), "What is installed, found and missing, and what to do about it")

    more = "For example: har completion bash > ~/.local/share/bash-completion/completions/har; "
    more += 'zsh: har completion zsh > "${fpath[1]}/_har".'
    command = add("completion", do.completion, (), "A script that completes commands and options in a shell", more)
    command.add_argument("shell", choices=SHELLS, help="which: %(choices)s")

    more = "Generates, trains, compares, exports, verifies, predicts."
    command = add("demo", do.demo, ("--runs", "--epochs"), "The whole way on synthetic data, in minutes", more, epochs="4")
    command.set_defaults(epochs=4)

    more = "Copies the runs of the local store that the server in MLFLOW_TRACKING_URI lacks, wholly or in part."
    add("track push", do.track_push, ("--runs",), "Send to the MLflow server what it lacks", more)

    more = "Prints the addresses of a table and of charts that compare the runs; the view they open is kept in the store, and in no run."
    add("dashboard", do.dashboard, ("--runs", "--port"), "MLflow's user interface on 127.0.0.1", more)
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
