"""The command `har`. Thin: every command parses its options, calls one function and prints.

Heavy imports happen inside the command that needs them, so that ``har --help`` and ``har predict`` start at once.
"""

import argparse
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from har import __version__
from har.contract import SPLITS, TRANSITION_LABELS, HarError, nearest

DATASETS = ("uci-har", "hapt", "synthetic")
MODELS = ("cnn1d", "lstm", "gru", "cnn_lstm")  # what `--model all` means; a test holds it against the registry
RUNS, RESULTS, BUNDLE = Path("runs"), Path("results"), Path("export/bundle")

Command = Callable[[argparse.Namespace], None]


class Parser(argparse.ArgumentParser):
    """Wrong usage is answered in one line, with exit code 2, as every other mistake."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise HarError(f"{message}; see {self.prog} --help")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for a mistake of the user, 1 for ours, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        options = build_parser().parse_args(arguments)
        signal.signal(signal.SIGTERM, _terminate)
        options.run(options)
        return 0
    except HarError as error:
        if debug:
            raise
        print(f"har: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if debug or (error.name or "").split(".")[0] == "har":
            raise
        print(f"har: this command needs {error.name}, which is not installed; pip install 'wearable-har[train]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("har: interrupted; nothing half-written was kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone, as in `har compare | head`
        return 0
    except Exception as error:
        if debug:
            raise
        print(
            f"har: unexpected {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}; run again with --debug",
            file=sys.stderr,
        )
        return 1


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def build_parser() -> argparse.ArgumentParser:
    """The parser of `har` with all its commands."""
    common = Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser = Parser(prog="har", description="Human activity recognition from wearable sensors.", parents=[common])
    parser.add_argument("--version", action="version", version=f"wearable-har {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(
        name: str, run: Command, text: str, more: str = "", under: "argparse._SubParsersAction | None" = None
    ) -> argparse.ArgumentParser:
        command = (under or commands).add_parser(
            name, help=text, description=f"{text}. {more}".strip(), parents=[common], argument_default=argparse.SUPPRESS
        )
        command.set_defaults(run=run)
        return command

    _add_data(commands, add)
    command = add("train", train, "Train models and track them in MLflow", "Each run is left in RUNS/DATASET/MODEL/seed-N.")
    _add_training(command)
    command.add_argument("--quiet", action="store_true", default=False, help="no progress bar")

    command = add(
        "evaluate",
        evaluate,
        "Score the saved weights of trained runs",
        "The test subjects of UCI HAR are scored by --split test alone, which adds a row a run to RESULTS/uci_har/test_openings.csv.",
    )
    _add_selection(command)
    command.add_argument("--split", choices=SPLITS[1:], default="validation", help="whose windows (default: %(default)s)")
    command.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where the ledger is kept (default: %(default)s)")
    command.add_argument("--brief", action="store_true", default=False, help="one line a run, without the tables")

    command = add("compare", compare, "One table over runs and seeds", "It is recomputed from prediction files alone; nothing is trained.")
    command.add_argument(
        "folder", type=Path, nargs="?", default=None, help="with prediction files, searched recursively (default: RUNS/DATASET)"
    )
    _add_dataset(command)
    _add_runs(command)
    command.add_argument("--report", type=Path, default=None, metavar="DIR", help="also write the tables and the predictions there")

    command = add(
        "export",
        export,
        "Write the ONNX bundle of a run",
        "Without --model, the run with the best validation macro-F1. Checked against torch on real windows before it is written.",
    )
    _add_selection(command)
    command.add_argument("--output", type=Path, default=None, metavar="DIR", help=f"the bundle (default: {BUNDLE}, {BUNDLE}-synthetic)")

    command = add("verify", verify, "Check a bundle", "Checksums, metadata and golden windows, in this machine's onnxruntime.")
    command.add_argument("bundle", type=Path, nargs="?", default=BUNDLE, help="folder of the bundle (default: %(default)s)")

    command = add("predict", predict, "Activities over time in a recording, from a bundle alone")
    command.add_argument("recording", type=Path, help="CSV or Parquet with time_s, total_acc_{x,y,z}_g and gyro_{x,y,z}_rad_s")
    command.add_argument("--bundle", type=Path, default=BUNDLE, metavar="DIR", help="the exported model (default: %(default)s)")
    command.add_argument("--output", type=Path, default=None, metavar="CSV", help="also write one row a window, with all probabilities")
    _add_reading(command)

    command = add(
        "demo", demo, "The whole way on synthetic data, in minutes", "Generates, trains four models, compares, exports, verifies, predicts."
    )
    _add_runs(command)
    command.add_argument("--epochs", type=int, default=4, help="of each model (default: %(default)s)")

    command = add("dashboard", dashboard, "MLflow's user interface on 127.0.0.1")
    _add_runs(command)
    command.add_argument("--port", type=int, default=5000, help="(default: %(default)s)")
    return parser


def _add_data(commands: "argparse._SubParsersAction", add: Callable[..., argparse.ArgumentParser]) -> None:
    data = commands.add_parser("data", help="Prepare a data set", description="Prepare a data set.")
    under = data.add_subparsers(title="commands", metavar="COMMAND", required=True)
    more = "It comes from --archive, the folder in HAR_DATA_DIR or, UCI HAR alone, the official download; synthetic data are generated."
    command = add("prepare", data_prepare, "Parse a data set once into the cache", more, under=under)
    _add_dataset(command)
    _add_archive(command)
    what = "HAPT's postural transitions: no window, six classes, or one class (default: %(default)s)"
    command.add_argument("--transitions", choices=tuple(TRANSITION_LABELS), default="drop", help=what)
    command = add("filters", data_filters, "Measure causal against zero-phase filters on synthetic recordings", under=under)
    command.add_argument("--report", type=Path, default=RESULTS / "signals", metavar="DIR", help="written there (default: %(default)s)")
    command = add("spectra", data_spectra, "Draw spectra of real and synthetic data side by side", "Training subjects alone.", under=under)
    _add_archive(command)
    command.add_argument("--output", type=Path, default=RESULTS / "synthetic", metavar="DIR", help="(default: %(default)s)")
    text = "Prove that HAPT's raw recordings give UCI HAR's windows"
    more = "Finds every published segment in the recordings, compares all channels, writes tables and a figure."
    command = add("reproduce", data_reproduce, text, more, under=under)
    _add_archive(command, "HAPT")
    command.add_argument("--uci-archive", default=None, metavar="PATH", help="a copy of UCI HAR, likewise")
    command.add_argument("--report", type=Path, default=RESULTS / "hapt", metavar="DIR", help="folder (default: %(default)s)")


def _add_dataset(command: argparse.ArgumentParser, *, of_config: bool = False) -> None:
    if of_config:
        command.add_argument("--dataset", choices=DATASETS, default=None, help="(default: the config's)")
    else:
        command.add_argument("--dataset", choices=DATASETS, default=DATASETS[0], help="(default: %(default)s)")


def _add_archive(command: argparse.ArgumentParser, dataset: str = "the data set") -> None:
    command.add_argument("--archive", default=None, metavar="PATH", help=f"a copy of {dataset}: the zip, or the folder it was extracted to")


def _add_runs(command: argparse.ArgumentParser) -> None:
    command.add_argument("--runs", type=Path, default=RUNS, metavar="DIR", help="folder of all runs (default: %(default)s)")


def _add_selection(command: argparse.ArgumentParser) -> None:
    _add_dataset(command)
    _add_archive(command)
    _add_runs(command)
    command.add_argument("--model", nargs="+", default=["all"], metavar="NAME", help="names of runs (default: all)")
    command.add_argument("--seed", nargs="+", type=int, default=None, metavar="N", help="seeds (default: all that were trained)")


def _add_training(command: argparse.ArgumentParser) -> None:
    _add_dataset(command, of_config=True)
    _add_archive(command)
    _add_runs(command)
    command.add_argument("--model", nargs="+", default=["all"], metavar="NAME", help=f"{', '.join(MODELS)} or all (default: all)")
    command.add_argument("--config", nargs="+", default=None, metavar="YAML", help="config files, instead of --model")
    command.add_argument("--seed", nargs="+", type=int, default=None, metavar="N", help="one run a seed (default: the config's)")
    command.add_argument("--epochs", type=int, default=None, help="most epochs (default: the config's)")
    command.add_argument("--channels", choices=("raw6", "uci9"), default=None, help="input (default: the config's)")


def _add_reading(command: argparse.ArgumentParser) -> None:
    command.add_argument("--columns", nargs="+", default=[], metavar="OURS=THEIRS", help="names of columns, such as total_acc_x_g=ax")
    command.add_argument("--acc-unit", default="g", help="of the acceleration: g or m/s2 (default: %(default)s)")
    command.add_argument("--gyro-unit", default="rad/s", help="of the angular velocity: rad/s or deg/s (default: %(default)s)")
    command.add_argument("--time-unit", default="s", help="of the time: s, ms, us or ns (default: %(default)s)")
    command.add_argument("--axes", default="x,y,z", help="what becomes x, y and z, such as --axes=y,-x,z (default: %(default)s)")
    command.add_argument("--interpolate", type=float, default=0.0, metavar="SECONDS", help="mend gaps up to this long (default: none)")


def _pairs(words: list[str]) -> dict[str, str]:
    for word in words:
        if "=" not in word:
            raise HarError(f"--columns has {word!r}, expected OURS=THEIRS, such as total_acc_x_g=ax")
    return dict(word.split("=", 1) for word in words)


def _names(options: argparse.Namespace) -> list[str]:
    if "all" in options.model:
        return list(MODELS)
    for name in options.model:
        if not Path("configs", f"{name}.yaml").is_file() and name not in MODELS:
            raise HarError(f"unknown model {name!r}; {nearest(name, [*MODELS, 'all'])}")
    return options.model


def _runs(options: argparse.Namespace) -> list:
    from har.pipeline.run_folder import find_runs

    return find_runs(options.runs, options.dataset, None if "all" in options.model else options.model, options.seed)


def _typed() -> str:
    return shlex.join(["har", *sys.argv[1:]])


def data_prepare(options: argparse.Namespace) -> None:
    from har.data.prepare import data_root, prepare

    windows = prepare(options.dataset, archive=options.archive, allow_download=True, transitions=options.transitions)
    what = "synthetic windows" if windows.synthetic else "windows"
    print(
        f"{windows.dataset}: {len(windows)} {what} of {windows.window_size} samples at {windows.sample_rate_hz:g} Hz, "
        f"{len(set(windows.subject.tolist()))} subjects, {len(set(windows.recording.tolist()))} continuous segments\n"
        f"digest {windows.digest}, cached in {data_root() / 'cache'}\nnext: har train --dataset {windows.dataset}"
        + " (trains without the transitions)"
        * (options.transitions != "drop")
    )


def data_filters(options: argparse.Namespace) -> None:
    from har.pipeline.filter_report import write_filter_report

    for path in write_filter_report(options.report, _typed()):
        print(f"wrote {path}")


def data_spectra(options: argparse.Namespace) -> None:
    from har.pipeline.spectra import write_spectra

    paths, summary = write_spectra(options.output, archive=options.archive)
    print(f"SYNTHETIC data: density over that of UCI HAR, training subjects, 0.3 to 15 Hz\n{summary}")
    print("\n".join(f"wrote {path}" for path in paths))


def data_reproduce(options: argparse.Namespace) -> None:
    from har.pipeline.reproduce import write_reproduction

    for path in write_reproduction(options.report, _typed(), options.archive, options.uci_archive):
        print(f"wrote {path}")


def train(options: argparse.Namespace) -> None:
    names = options.config or _names(options)
    from har.pipeline.train import train_configs

    overrides = {"training__epochs": options.epochs, "data__channels": options.channels, "data__dataset": options.dataset}
    progress = not options.quiet and sys.stderr.isatty()
    runs = train_configs(names, options.runs, seeds=options.seed, overrides=overrides, archive=options.archive, progress=progress)
    dataset = runs[-1].info().origin.dataset
    print(f"next: har evaluate --dataset {dataset}, then har compare --dataset {dataset}; har dashboard shows the curves")


def evaluate(options: argparse.Namespace) -> None:
    runs = _runs(options)
    from har.pipeline.evaluate import evaluate_run, report

    for run in runs:
        text = report(evaluate_run(run, options.split, options.results, options.archive))
        print(text.split("\n")[0] if options.brief else text + "\n")
    print(f"next: har compare --dataset {options.dataset}; har export --dataset {options.dataset}")


def compare(options: argparse.Namespace) -> None:
    from har.pipeline.compare import comparison, write_report

    predictions, table = comparison(options.folder or options.runs / options.dataset)
    print("SYNTHETIC data\n" * predictions[0].origin.synthetic + table)
    if options.report:
        for path in write_report(predictions, options.report, _typed()):
            print(f"wrote {path}")


def export(options: argparse.Namespace) -> None:
    runs = _runs(options)
    from har.pipeline.export import best_run, export_run

    run = best_run(runs)
    folder = options.output or (BUNDLE if options.dataset != "synthetic" else BUNDLE.with_name("bundle-synthetic"))
    result = export_run(run, folder, options.archive)
    info = run.info()
    what = " (trained on SYNTHETIC data)" if info.origin.synthetic else ""
    score = f"{100 * info.score:.2f} %"
    print(
        f"{info.origin.run}, seed {info.origin.seed}{what}: chosen by its validation macro-F1 of {score} among {len(runs)} runs\n"
        f"largest difference to torch over {result.parity_windows} windows at batch 1, 2 and 7: {result.parity:.1e}\n"
        f"wrote {result.folder}: model.onnx ({result.bytes / 1000:.0f} kB), manifest.json, {result.golden} golden windows\n"
        f"next: har verify {result.folder}; har predict --bundle {result.folder} RECORDING.csv"
    )


def verify(options: argparse.Namespace) -> None:
    from har.runtime.verify import verify as verify_bundle

    count, largest = verify_bundle(options.bundle)
    print(f"{options.bundle}: checksums, metadata and {count} golden windows hold; largest difference {largest:.1e}")


def predict(options: argparse.Namespace) -> None:
    from har.recording import ReadOptions, ReadReport, read_pieces
    from har.runtime.recognizer import Recognizer
    from har.runtime.report import timeline_text, write_timeline

    reading = ReadOptions(
        columns=_pairs(options.columns),
        acc_unit=options.acc_unit,
        gyro_unit=options.gyro_unit,
        time_unit=options.time_unit,
        axes=tuple(options.axes.split(",")),
        interpolate_s=options.interpolate,
    )
    recognizer, found = Recognizer.load(options.bundle), ReadReport()
    timeline = recognizer.predict_pieces(options.recording.stem, read_pieces(options.recording, found, options=reading))
    print(f"{timeline_text(options.recording.stem, recognizer.bundle, timeline)}\n{found.text()}")
    if options.output:
        write_timeline(timeline, options.output)
        print(f"wrote {options.output}: {len(timeline.from_s)} windows")


def demo(options: argparse.Namespace) -> None:
    from har.pipeline.demo import run_demo

    run_demo(list(MODELS), options.runs, epochs=options.epochs, progress=sys.stderr.isatty())


def dashboard(options: argparse.Namespace) -> None:
    from har.tracking import serve

    serve(options.runs, options.port)
