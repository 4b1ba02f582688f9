"""What each command does: parse, call one function, print."""

import argparse
import functools
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from har.contract import HarError, nearest

if TYPE_CHECKING:
    from har.pipeline.splits import SplitChoice

# What `--model all` means, and what else can be named; known without torch, and a test holds both against the registry.
MODELS = ("cnn1d", "lstm", "gru", "cnn_lstm", "dilated_cnn")
CATALOGUE = (
    *("mlp", "rnn", "peephole_lstm", "deep_conv_lstm", "transformer"),
    *("stream_gru", "stream_lstm", "dense_gru", "dense_cnn", "seq2seq", "seq2seq_attention"),
    *("lstm_autoencoder", "conv_autoencoder", "window_generator", "mounting_cnn"),
)
# Of har.pipeline.experiments; a test compares.
EXPERIMENTS = ("attention", "growth", "gradients", "labels", "labels-official", "memory", "stream", "windowing")
RUNS, RESULTS, BUNDLE = Path("runs"), Path("results"), Path("export/bundle")


def _names(options: argparse.Namespace) -> list[str]:
    if "all" in options.model:
        return list(MODELS)
    for name in options.model:
        if not Path("configs", f"{name}.yaml").is_file() and name not in MODELS + CATALOGUE:
            raise HarError(f"unknown model {name!r}; {nearest(name, [*MODELS, *CATALOGUE, 'all'])}")
    return options.model


def _runs(options: argparse.Namespace) -> list:
    from har.pipeline.run_folder import find_runs

    return find_runs(options.runs, options.dataset, None if "all" in options.model else options.model, options.seed)


def _validated(runs: list, options: argparse.Namespace) -> list:
    """The runs; of all of them, those with validation subjects: nobody validates a refit."""
    if "all" not in options.model:
        return runs
    found = [run for run in runs if run.info().score is not None]
    if not found:
        raise HarError(f"no run below {options.runs} has validation subjects; score the test subjects with har evaluate --split test")
    return found


def _mounting(options: argparse.Namespace, seed: int) -> tuple | None:
    """The runs of --mounting and --mounted, of the seed of the run they stand beside."""
    if (options.mounting is None) != (options.mounted is None):
        raise HarError("--mounting and --mounted belong together: who tells the mounting, and who answers where it is known")
    if options.mounting is None:
        return None
    from har.pipeline.run_folder import find_runs

    names = (options.mounting, options.mounted)
    return tuple(find_runs(options.runs, options.dataset, [name], [seed])[0] for name in names)


def _typed() -> str:
    return shlex.join(["har", *sys.argv[1:]])


def data_prepare(options: argparse.Namespace) -> None:
    from har.data.prepare import data_root, prepare

    choice = {"transitions": options.transitions, "difficulty": options.difficulty}
    windows = prepare(options.dataset, archive=options.archive, allow_download=True, **choice)
    what = "synthetic windows" if windows.synthetic else "windows"
    print(
        f"{windows.dataset}: {len(windows)} {what} of {windows.window_size} samples at {windows.sample_rate_hz:g} Hz, "
        f"{len(set(windows.subject.tolist()))} subjects, {len(set(windows.recording.tolist()))} continuous segments\n"
        f"digest {windows.digest}, cached in {data_root() / 'cache'}\nnext: har train --dataset {windows.dataset}"
        + (f" --difficulty {options.difficulty:g}" if options.difficulty is not None else "")
        + f" --transitions {options.transitions}" * (options.transitions != "drop")
    )


def _split(options: argparse.Namespace, numbers: list[int] | None = None) -> "SplitChoice":
    from har.pipeline.splits import SplitChoice

    return SplitChoice(
        kind=options.split,
        numbers=numbers,
        folds=options.folds,
        subjects=options.subjects,
        validation=options.validation,
        seed=options.split_seed,
        path=options.split_file,
    )


def data_splits(options: argparse.Namespace) -> None:
    from har.pipeline.splits import describe_splits

    print(describe_splits(options.dataset, _split(options), options.validation_subjects, options.archive, options.output))
    if options.output:
        print(f"wrote {options.output}\nnext: har train --dataset {options.dataset} --split file --split-file {options.output}")


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
    overrides["data__transitions"] = options.transitions
    if options.refit and options.split not in (None, "official"):
        raise HarError(f"--refit belongs to the official split, found --split {options.split}; use --validation 0 and training.keep: last")
    if options.refit:
        overrides |= {"data__validation_subjects": (), "training__keep": "last"}
    overrides["data__difficulty"] = options.difficulty
    progress = not options.quiet and sys.stderr.isatty()
    runs = train_configs(
        names,
        options.runs,
        seeds=options.seed,
        overrides=overrides,
        archive=options.archive,
        progress=progress,
        split=_split(options, options.fold),
        resume=options.resume,
    )
    dataset = runs[-1].info().origin.dataset
    print(f"next: har evaluate --dataset {dataset}, then har compare --dataset {dataset}; har dashboard shows the curves")


def sweep(options: argparse.Namespace) -> None:
    from har.pipeline.sweep import sweep as run_study

    say = functools.partial(print, flush=True)
    for path in run_study(
        options.study,
        options.runs,
        options.results,
        archive=options.archive,
        workers=options.workers,
        engine=options.engine,
        gpus_per_job=options.gpus_per_job,
        command=_typed(),
        say=say,
        live=sys.stdout.isatty(),
    ):
        print(f"wrote {path}")


def experiment(options: argparse.Namespace) -> None:
    from har.pipeline.experiments import Bench, find_experiment

    bench = Bench(
        runs=options.runs,
        results=options.results,
        archive=options.archive,
        seeds=tuple(options.seed),
        quick=options.quick,
        dataset=options.dataset,
        command=_typed(),
        say=functools.partial(print, flush=True),
    )
    for path in find_experiment(options.name)(bench):
        print(f"wrote {path}")


def evaluate(options: argparse.Namespace) -> None:
    runs = _runs(options)
    from har.pipeline.evaluate import evaluate_any

    if options.split == "validation":
        runs = _validated(runs, options)
    for run in runs:
        text = evaluate_any(run, options.split, options.results, options.archive)
        print(text.split("\n")[0] if options.brief else text + "\n")
    print(f"next: har compare --dataset {options.dataset}; har export --dataset {options.dataset}")


def compare(options: argparse.Namespace) -> None:
    from har.pipeline.compare import comparison, write_report

    predictions, table = comparison(options.folder or options.runs / options.dataset, options.transitions)
    print("SYNTHETIC data\n" * predictions[0].origin.synthetic + table)
    if options.report:
        for path in write_report(predictions, options.report, _typed()):
            print(f"wrote {path}")


def export(options: argparse.Namespace) -> None:
    runs = _runs(options)
    from har.pipeline.export import best_run, export_run
    from har.pipeline.register import log_bundle
    from har.runtime.bundle import STREAMING

    run = best_run(runs)
    folder = options.output or (BUNDLE if options.dataset != "synthetic" else BUNDLE.with_name("bundle-synthetic"))
    info = run.info()
    result = export_run(run, folder, options.archive, options.results, _mounting(options, info.origin.seed))
    log_bundle(run, folder, options.runs)
    what = " (trained on SYNTHETIC data)" if info.origin.synthetic else ""
    streams = STREAMING in result.models
    compared = "samples in chunks of 1 to 128" if streams else "windows at batch 1, 2 and 7"
    why = f"chosen among {len(runs)}" if len(runs) > 1 else "the only one named"
    score = "nobody validated" if info.score is None else f"validation macro-F1 {100 * info.score:.2f} %"
    print(
        f"{info.origin.run}, seed {info.origin.seed}{what}: {why}, {score}\n"
        f"largest difference to torch over {result.parity_windows} {compared}: {result.parity:.1e}\n"
        f"wrote {result.folder}: {', '.join(_file(name, said) for name, said in result.models.items())}, manifest.json, "
        f"MODEL_CARD.md, {result.golden} golden {'samples' if streams else 'windows'}; {result.bytes / 1000:.0f} kB in all\n"
        f"next: har verify {result.folder}; har predict --bundle {result.folder} RECORDING.csv"
    )


def _file(name: str, said: dict) -> str:
    """What became of one of a bundle's models."""
    return f"no {name} ({said['left_out']})" if "left_out" in said else f"{name} ({said['bytes'] / 1000:.0f} kB)"


def robustness(options: argparse.Namespace) -> None:
    runs = _runs(options)
    from har.pipeline.robustness import write_robustness

    runs = _validated(runs, options)
    if "all" not in options.model:
        runs.sort(key=lambda run: options.model.index(run.path.parent.name))  # as they were named: the last is measured in streams too
    mounting = _mounting(options, runs[-1].info().origin.seed)
    for path in write_robustness(runs, options.results, _typed(), options.archive, mounting):
        print(f"wrote {path}")


def verify(options: argparse.Namespace) -> None:
    from har.runtime.bundle import MODEL, read_bundle
    from har.runtime.pretrained import find_bundle
    from har.runtime.verify import verify as verify_bundle

    folder = find_bundle(options.bundle, BUNDLE)
    count, largest = verify_bundle(folder)
    what = "windows" if read_bundle(folder).main == MODEL else "samples"
    print(f"{folder}: checksums, metadata and {count} golden {what} hold; largest difference {largest:.1e}")


def smooth(options: argparse.Namespace) -> None:
    from har.pipeline.smooth import write_smoothing

    paths = write_smoothing(options.model, options.runs, options.results, _typed(), options.archive)
    print(paths[-2].read_text().split("\nChosen")[0] + "\n" + "\n".join(f"wrote {path}" for path in paths))


def demo(options: argparse.Namespace) -> None:
    from har.pipeline.demo import run_demo

    run_demo(list(MODELS), options.runs, epochs=options.epochs, progress=sys.stderr.isatty())


def track_push(options: argparse.Namespace) -> None:
    from har.redaction import redacted
    from har.tracking import push, tracking_uri

    sent, left = push(options.runs)
    print(f"{sent} runs sent to {redacted(tracking_uri(options.runs))}" + (f"; {left} still run" if left else ""))


def dashboard(options: argparse.Namespace) -> None:
    from har.tracking import serve

    serve(options.runs, options.port)
