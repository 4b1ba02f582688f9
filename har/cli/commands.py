"""What each command does: parse, call one function, print."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from har.cli.output import answer, answer_written, progress, say, say_all
from har.contract import HarError, nearest
from har.files import check_output

if TYPE_CHECKING:
    from har.pipeline.evaluate import Scored
    from har.pipeline.run_folder import RunFolder
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


def named_runs(options: argparse.Namespace) -> "list[RunFolder]":
    """The finished runs of --dataset, --model and --seed."""
    from har.pipeline.run_folder import find_runs

    return find_runs(options.runs, options.dataset, None if "all" in options.model else options.model, options.seed)


def validated_runs(runs: list, options: argparse.Namespace) -> list:
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


def typed() -> str:
    """The command as it was typed."""
    return shlex.join(["har", *sys.argv[1:]])


def split_choice(options: argparse.Namespace, numbers: list[int] | None = None) -> "SplitChoice":
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
    progress = not options.quiet and not options.json and sys.stderr.isatty()
    runs = train_configs(
        names,
        options.runs,
        seeds=options.seed,
        overrides=overrides,
        archive=options.archive,
        progress=progress,
        split=split_choice(options, options.fold),
        resume=options.resume,
        say=say,
    )
    dataset = runs[-1].info().origin.dataset
    text = f"next: har evaluate --dataset {dataset}, then har compare --dataset {dataset}; har dashboard shows the curves"
    answer(options, [text], [_run_data(run) for run in runs])


def _run_data(run: "RunFolder") -> dict[str, Any]:
    info = run.info()
    return {"path": run.path, "run": info.origin.run, "seed": info.origin.seed, "dataset": info.origin.dataset, "validation": info.score}


def sweep(options: argparse.Namespace) -> None:
    from har.pipeline.sweep import sweep as run_study

    written = run_study(
        options.study,
        options.runs,
        options.results,
        archive=options.archive,
        workers=options.workers,
        engine=options.engine,
        gpus_per_job=options.gpus_per_job,
        command=typed(),
        say=say,
        live=sys.stdout.isatty(),
    )
    answer_written(options, written)


def experiment(options: argparse.Namespace) -> None:
    from har.pipeline.experiments import Bench, find_experiment

    bench = Bench(
        runs=options.runs,
        results=options.results,
        archive=options.archive,
        seeds=tuple(options.seed),
        quick=options.quick,
        dataset=options.dataset,
        command=typed(),
        say=say,
    )
    answer_written(options, find_experiment(options.name)(bench))


def evaluate(options: argparse.Namespace) -> None:
    runs = named_runs(options)
    from har.pipeline.evaluate import evaluate_any

    if options.on is None and (options.map or options.on_archive):
        raise HarError("--map and --on-archive belong to another data set: name it with --on")
    if options.split == "validation":
        runs = validated_runs(runs, options)
    found, ledgers = [], []
    with progress(options, f"Scoring the {options.split} subjects", len(runs)) as step:
        for run in runs:
            scored = evaluate_any(run, options.split, options.results, options.archive) if options.on is None else _on_another(run, options)
            found.append(scored.data | ({"ledger": scored.ledger} if scored.ledger else {}))
            ledgers += [scored.ledger] if scored.ledger else []
            say_all(scored.text.split("\n")[0] if options.brief else scored.text + "\n")
            step()
    after = f"next: har compare --dataset {options.dataset}; har export --dataset {options.dataset}; har explain shows the mistakes"
    lines = [f"official test subjects were scored, a row for each run in the ledger {ledger}" for ledger in dict.fromkeys(ledgers)]
    if ledgers and options.results != RESULTS:
        lines.append(f"the published ledger is below {RESULTS}: move the new rows there before you report these scores")
    answer(options, [*lines, *[after] * (options.on is None)], found)


def _on_another(run: "RunFolder", options: argparse.Namespace) -> "Scored":
    from har.pipeline.transfer import evaluate_on

    wrong = [text for text in options.map if len(text.split("=")) != 2]
    if wrong:
        raise HarError(f"--map is {wrong[0]!r}; expected NAME=LABEL, an activity of the data set and one of the model")
    rename = dict(text.split("=") for text in options.map)
    on = {"archive": options.on_archive, "own_archive": options.archive, "rename": rename}
    return evaluate_on(run, options.on, options.split, options.results, **on).scored()


def compare(options: argparse.Namespace) -> None:
    from har.evaluation.compare import per_run
    from har.pipeline.compare import comparison, write_report

    with progress(options, "Comparing"):
        predictions, table = comparison(options.folder or options.runs / options.dataset, options.transitions)
        rows = per_run(predictions).to_dict("records")
        written = write_report(predictions, options.report, typed(), options.folder) if options.report else []
    lines = ["SYNTHETIC data"] * predictions[0].origin.synthetic + table.rstrip("\n").split("\n")
    data = {"dataset": predictions[0].origin.dataset, "synthetic": predictions[0].origin.synthetic, "runs": rows, "written": written}
    answer(options, [*lines, *(f"wrote {path}" for path in written)], data)


def export(options: argparse.Namespace) -> None:
    runs = named_runs(options)
    from har.pipeline.export import best_run, export_run
    from har.pipeline.register import log_bundle
    from har.runtime.bundle import STREAMING

    run = best_run(runs)
    own = options.dataset in ("uci-har", "hapt")
    folder = options.output or (BUNDLE if own else BUNDLE.with_name(f"{BUNDLE.name}-{options.dataset}"))
    info = run.info()
    check_output(folder, [Path(path) for path in (run.path, options.archive, options.results) if path])
    with progress(options, "Exporting, and checking every file on real windows"):
        result = export_run(run, folder, options.archive, options.results, _mounting(options, info.origin.seed))
        log_bundle(run, folder, options.runs)
    what = " (trained on SYNTHETIC data)" if info.origin.synthetic else ""
    streams = STREAMING in result.models
    compared = "samples in chunks of 1 to 128" if streams else "windows at batch 1, 2 and 7"
    why = f"chosen among {len(runs)}" if len(runs) > 1 else "the only one named"
    score = "nobody validated" if info.score is None else f"validation macro-F1 {100 * info.score:.2f} %"
    quoted = shlex.quote(str(result.folder))
    lines = [
        f"{info.origin.run}, seed {info.origin.seed}{what}: {why}, {score}",
        f"largest difference to torch over {result.parity_windows} {compared}: {result.parity:.1e}",
        f"wrote {result.folder}: {', '.join(_file(name, said) for name, said in result.models.items())}, manifest.json, "
        f"MODEL_CARD.md, {result.golden} golden {'samples' if streams else 'windows'}; {result.bytes / 1000:.0f} kB in all",
        f"next: har verify {quoted}; har predict --bundle {quoted} RECORDING.csv",
    ]
    facts = {"folder": result.folder, "models": result.models, "largest_difference": result.parity, "bytes": result.bytes}
    answer(options, lines, _run_data(run) | facts)


def _file(name: str, said: dict) -> str:
    """What became of one of a bundle's models."""
    return f"no {name} ({said['left_out']})" if "left_out" in said else f"{name} ({said['bytes'] / 1000:.0f} kB)"


def robustness(options: argparse.Namespace) -> None:
    runs = named_runs(options)
    from har.pipeline.robustness import write_robustness

    runs = validated_runs(runs, options)
    if "all" not in options.model:
        runs.sort(key=lambda run: options.model.index(run.path.parent.name))  # as they were named: the last is measured in streams too
    mounting = _mounting(options, runs[-1].info().origin.seed)
    with progress(options, "Disturbing and answering"):
        written = write_robustness(runs, options.results, typed(), options.archive, mounting)
    answer_written(options, written)


def verify(options: argparse.Namespace) -> None:
    from har.runtime.bundle import MODEL, read_bundle
    from har.runtime.pretrained import find_bundle
    from har.runtime.verify import verify as verify_bundle

    folder = find_bundle(options.bundle, BUNDLE)
    count, largest = verify_bundle(folder)
    what = "windows" if read_bundle(folder).main == MODEL else "samples"
    text = f"{folder}: checksums, metadata and {count} golden {what} hold; largest difference {largest:.1e}"
    answer(options, [text], {"folder": folder, "golden": count, "largest_difference": largest})


def smooth(options: argparse.Namespace) -> None:
    from har.pipeline.smooth import write_smoothing

    with progress(options, "Smoothing whole recordings"):
        paths = write_smoothing(options.model, options.runs, options.results, typed(), options.archive)
    answer_written(options, paths, paths[-2].read_text().split("\nChosen")[0])


def demo(options: argparse.Namespace) -> None:
    from har.pipeline.demo import run_demo

    run_demo(list(MODELS), options.runs, epochs=options.epochs, progress=sys.stderr.isatty(), say=say_all)


def track_push(options: argparse.Namespace) -> None:
    from har.redaction import redacted
    from har.tracking import push, tracking_uri

    with progress(options, "Sending"):
        sent, left = push(options.runs)
    text = f"{sent} runs sent to {redacted(tracking_uri(options.runs))}" + (f"; {left} still run" if left else "")
    answer(options, [text], {"sent": sent, "left": left})


def dashboard(options: argparse.Namespace) -> None:
    from har.tracking import serve

    serve(options.runs, options.port)
