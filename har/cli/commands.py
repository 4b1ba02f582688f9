"""What each command does."""

import argparse
import glob
import os
import shlex
import sys
from collections import Counter
from contextlib import nullcontext, redirect_stdout, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import har
from har.cli.output import answer, answer_written, complain, loading, on_terminal, progress, say, say_all
from har.errors import HarError, nearest
from har.files import check_folder, check_output, named_descriptor
from har.models.registry import COMPARISON, model_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from har.recording import ReadOptions, Recording
    from har.runs.run_folder import RunFolder

RUNS, RESULTS, BUNDLE = Path("runs"), Path("results"), Path("export/bundle")
DATA_OPTIONS = ("dataset", "channels", "transitions", "difficulty")  # keys of ``data`` in a config, with an option of the same name


def named_runs(options: argparse.Namespace, *, validated: bool = False) -> "list[RunFolder]":
    """The finished runs of --dataset, --model and --seed, where there is a copy of their data.

    Args:
        options: of the command.
        validated: of all runs, only those with validation subjects, which a refit lacks.
    """
    from har.data.prepare import check_source
    from har.runs.run_folder import find_runs

    runs = find_runs(options.runs, options.dataset, None if "all" in options.model else options.model, options.seed)
    check_source(options.dataset, options.archive)
    if not validated or "all" not in options.model:
        return runs
    found = [run for run in runs if run.info().score is not None]
    if not found:
        instead = f"score the test subjects: har evaluate --dataset {options.dataset} --part test"
        raise HarError("run-missing", f"no run below {options.runs} has validation subjects; {instead}")
    return found


def _mounting(options: argparse.Namespace, seed: int | None = None) -> "tuple[RunFolder, RunFolder] | None":
    """The runs of --mounting and --mounted: of the seed of the run that they belong to, or of any."""
    if (options.mounting is None) != (options.mounted is None):
        raise HarError(
            "argument", "--mounting and --mounted belong together: the run that estimates the mounting, and the run for a known mounting"
        )
    if options.mounting is None:
        return None
    from har.runs.run_folder import find_runs

    seeds = None if seed is None else [seed]
    one, other = (find_runs(options.runs, options.dataset, [name], seeds)[0] for name in (options.mounting, options.mounted))
    return one, other


def bundle_of(options: argparse.Namespace) -> Path | None:
    """The bundle that was named, by ``--bundle`` or in the old way."""
    if options.bundle is not None and options.place is not None:
        raise HarError("argument", f"two bundles are named, {options.bundle} and {options.place}; name one")
    if options.place is not None:
        complain("BUNDLE is now --bundle; the old name goes with the next release")
    return options.bundle or options.place


def pairs(words: list[str], option: str, expected: str) -> dict[str, str]:
    """The values of an option such as ``--map A=B C=D``.

    Raises:
        HarError: a value has no equals sign.
    """
    for word in words:
        if "=" not in word:
            raise HarError("argument", f"{option} is {word!r}; expected {expected}")
    return dict(word.split("=", 1) for word in words)


def typed() -> str:
    """The command as it was typed."""
    return shlex.join(["har", *sys.argv[1:]])


def split_options(options: argparse.Namespace) -> dict[str, Any]:
    """Those of `add_split` that are given, by key of ``data.split``."""
    found = {name: getattr(options, name) for name in ("folds", "subjects", "validation")}
    found |= {"kind": options.split, "seed": options.split_seed, "path": options.split_path}
    return {name: value for name, value in found.items() if value is not None}


def train(options: argparse.Namespace) -> None:
    names = options.config or (model_names(role=COMPARISON) if "all" in options.model else options.model)
    from har.runs.checks import planned_runs

    if options.refit and options.split not in (None, "official"):
        raise HarError(
            "argument", f"--refit belongs to the official split, found --split {options.split}; use --validation 0 and training.keep: last"
        )
    given = {"training.epochs": options.epochs} | {f"data.{key}": getattr(options, key) for key in DATA_OPTIONS}
    change = {key: value for key, value in given.items() if value is not None}
    if options.refit:
        change |= {"data.validation_subjects": (), "training.keep": "last"}
    check_folder(options.runs, "--runs")
    split = split_options(options)
    jobs = planned_runs(names, change, seeds=options.seed, split=split, folds=options.fold, archive=options.archive)
    with loading(options):
        from har.runs.train import train_planned

    bars = on_terminal(options) and not options.json
    runs = train_planned(jobs, options.runs, archive=options.archive, progress=bars, resume=options.resume, say=say)
    answer(options, [_after_training(options, runs)], [_run_data(run) for run in runs])


def _where(options: argparse.Namespace, dataset: str | None = None) -> list[str]:
    """The options that find these runs again."""
    return (["--dataset", dataset] if dataset else []) + (["--runs", str(options.runs)] if options.runs != RUNS else [])


def _after_training(options: argparse.Namespace, runs: "list[RunFolder]") -> str:
    """The next line: the commands that work for the runs that were trained."""
    from har.runs.run_folder import exportable

    first = runs[0].origin
    where, steps = _where(options, first.dataset), [shlex.join(["har", "dashboard", *_where(options)]) + " shows the curves"]
    if any(run.info().score is not None for run in runs):
        steps.insert(0, shlex.join(["har", "evaluate", *where]))
    else:  # no validation subjects; the test subjects are evaluated only where that is asked for
        with suppress(HarError):
            exportable(runs[:1])
            steps.insert(0, shlex.join(["har", "export", *where, "--model", runs[0].path.parent.name, "--seed", str(first.seed)]))
    return f"next: {'; '.join(steps)}"


def _run_data(run: "RunFolder") -> dict[str, Any]:
    info = run.info()
    return {"path": run.path, "run": info.origin.run, "seed": info.origin.seed, "dataset": info.origin.dataset, "validation": info.score}


def sweep(options: argparse.Namespace) -> None:
    from har.runs.engine import Engine
    from har.studies.study import checked_study

    Engine(options.engine, options.workers, options.gpus_per_job)
    checked_study(options.study, options.archive)
    check_folder(options.runs, "--runs")
    check_folder(options.results, "--results")
    with loading(options):
        from har.studies.sweep import sweep as run_study

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


def evaluate(options: argparse.Namespace) -> None:
    if options.on is None and (options.map or options.on_archive):
        raise HarError("argument", "--map and --on-archive belong to another data set: name it with --on")
    rename = pairs(options.map, "--map", "NAME=LABEL, an activity of the data set and one of the model")
    runs = named_runs(options, validated=options.part == "validation")
    check_folder(options.results, "--results")
    if options.on is not None:
        from har.data.prepare import check_source
        from har.runs.run_folder import check_other

        for run in runs:
            check_other(run, options.on, rename)
        check_source(options.on, options.on_archive)
    with loading(options):
        from har.runs.evaluate import evaluate_on
    found, ledgers = [], []
    with progress(options, f"Scoring the {options.part} subjects", len(runs)) as step:
        for run in runs:
            if options.on is None:
                scored = har.evaluate(run, options.part, options.results, options.archive)
            else:
                on = {"archive": options.on_archive, "own_archive": options.archive, "rename": rename}
                scored = evaluate_on(run, options.on, options.part, options.results, **on)
            found.append(scored.data() | ({"ledger": scored.ledger} if scored.ledger else {}))
            ledgers += [scored.ledger] if scored.ledger else []
            say_all(scored.text.split("\n")[0] if options.brief else scored.text + "\n")
            step()
    lines = [f"official test subjects were scored, a row for each run in the ledger {ledger}" for ledger in dict.fromkeys(ledgers)]
    if ledgers and options.results != RESULTS:
        lines.append(f"the published ledger is below {RESULTS}: move the new rows there before you report these scores")
    answer(options, [*lines, *(_after_evaluation(options, runs) if options.on is None else [])], found)


def _after_evaluation(options: argparse.Namespace, scored: "list[RunFolder]") -> list[str]:
    """The next line, where there is one: the commands that work for the runs that were evaluated."""
    from har.evaluation.predictions import collect
    from har.models.registry import WINDOW, find_model
    from har.runs.export import best_run

    where = _where(options, options.dataset)
    these = where + ([] if "all" in options.model else ["--model", *options.model])
    these += [] if options.seed is None else ["--seed", *map(str, options.seed)]
    steps = []
    with suppress(HarError):
        collect(options.runs / options.dataset)
        steps.append(shlex.join(["har", "compare", *where]))
    with suppress(HarError):
        best_run(named_runs(options))
        steps.append(shlex.join(["har", "export", *these]))
    if find_spec("captum") is not None and all(find_model(run.origin.model).task == WINDOW for run in scored):
        part = [] if options.part == "validation" else ["--part", options.part]
        steps.append(shlex.join(["har", "explain", *these, *part]) + " shows the mistakes")
    return [f"next: {'; '.join(steps)}"] if steps else []


def compare(options: argparse.Namespace) -> None:
    from har.evaluation.predictions import prediction_files

    prediction_files(options.folder or options.runs / options.dataset)
    check_folder(options.output, "--output")
    with loading(options):
        from har.runs.comparison import comparison, per_run, write_report

    with progress(options, "Comparing"):
        predictions, table = comparison(options.folder or options.runs / options.dataset, options.transitions)
        rows = per_run(predictions).to_dict("records")
        written = write_report(predictions, options.output, typed(), options.folder) if options.output else []
    lines = ["SYNTHETIC data"] * predictions[0].origin.synthetic + table.rstrip("\n").split("\n")
    data = {"dataset": predictions[0].origin.dataset, "synthetic": predictions[0].origin.synthetic, "runs": rows, "written": written}
    answer(options, [*lines, *(f"wrote {path}" for path in written)], data)


def export(options: argparse.Namespace) -> None:
    _mounting(options)
    runs = named_runs(options)
    from har.data.prepare import describe
    from har.runs.run_folder import exportable

    exportable(runs)
    own = describe(options.dataset).official
    folder = options.output or (BUNDLE if own else BUNDLE.with_name(f"{BUNDLE.name}-{options.dataset}"))
    check_folder(folder, "--output")
    with loading(options):
        from har.runs.export import best_run
        from har.runs.register import log_bundle
        from har.runtime.manifest import MODELS, STREAMING

    run = best_run(runs)
    info = run.info()
    check_output(folder, [Path(path) for path in (run.path, options.archive, options.results) if path])
    with progress(options, "Exporting, and checking every file on real windows"):
        result = har.export(run, folder, options.archive, options.results, _mounting(options, info.origin.seed))
        log_bundle(run, folder, options.runs)
    what = " (trained on SYNTHETIC data)" if info.origin.synthetic else ""
    streams = STREAMING in result.files
    compared = "samples in chunks of 1 to 128" if streams else "windows at batch 1, 2 and 7"
    why = f"chosen among {len(runs)}" if len(runs) > 1 else "the only one named"
    score = "nobody validated" if info.score is None else f"validation macro-F1 {100 * info.score:.2f} %"
    quoted = shlex.quote(str(result.folder))
    files = [f"{name} ({said['bytes'] / 1000:.0f} kB)" for name, said in result.files.items() if name in MODELS]
    files += [f"no {name} ({said['reason']})" for name, said in result.left_out.items()]
    lines = [
        f"{info.origin.run}, seed {info.origin.seed}{what}: {why}, {score}",
        f"largest difference to torch over {result.parity_windows} {compared}: {result.parity:.1e}",
        f"wrote {result.folder}: {', '.join(files)}, manifest.json, MODEL_CARD.md, "
        f"{result.golden} golden {'samples' if streams else 'windows'}; {result.bytes / 1000:.0f} kB in all",
        f"next: har verify --bundle {quoted}; har predict --bundle {quoted} RECORDING.csv",
    ]
    facts = {
        "folder": result.folder,
        "files": result.files,
        "left_out": result.left_out,
        "largest_difference": result.parity,
        "bytes": result.bytes,
    }
    answer(options, lines, _run_data(run) | facts)


def robustness(options: argparse.Namespace) -> None:
    _mounting(options)
    runs = named_runs(options, validated=True)
    if "all" not in options.model:
        runs.sort(key=lambda run: options.model.index(run.path.parent.name))  # as they were named: the last is measured in streams too
    mounting = _mounting(options, runs[-1].origin.seed)
    from har.runs.run_folder import check_measurable

    for run in runs:
        check_measurable(run)
    check_folder(options.results, "--results")
    with loading(options):
        from har.runs.robustness import write_robustness
    with progress(options, "Disturbing and answering"):
        written = write_robustness(runs, options.results, typed(), options.archive, mounting)
    answer_written(options, written)


def verify(options: argparse.Namespace) -> None:
    from har.runtime.bundle import bundle_line, find_bundle, read_bundle
    from har.runtime.manifest import MODEL
    from har.runtime.recognizer import verify as verify_bundle

    folder = find_bundle(bundle_of(options))
    count, largest = verify_bundle(folder)
    bundle = read_bundle(folder)
    what = "windows" if bundle.main == MODEL else "samples"
    lines = [bundle_line(bundle), f"checksums, metadata and {count} golden {what} hold; largest difference {largest:.1e}"]
    answer(options, lines, {"folder": folder, "golden": count, "largest_difference": largest})


def demo(options: argparse.Namespace) -> None:
    from har.runs.checks import named_configs

    names = model_names(role=COMPARISON)
    named_configs(names, {"training.epochs": options.epochs, "data.dataset": "synthetic"})
    check_folder(options.runs, "--runs")
    with loading(options):
        from har.runs.demo import run_demo
    run_demo(names, options.runs, epochs=options.epochs, progress=on_terminal(options), say=say_all)


def track_push(options: argparse.Namespace) -> None:
    if not options.runs.is_dir():
        raise HarError("run-missing", f"no folder of runs at {options.runs}; name it with --runs")
    from har.redaction import redacted

    with loading(options):
        from har.tracking.runs import push
        from har.tracking.store import tracking_uri
    with progress(options, "Sending"):
        sent, left = push(options.runs)
    text = f"{sent} runs sent to {redacted(tracking_uri(options.runs))}" + (f"; {left} still run" if left else "")
    answer(options, [text], {"sent": sent, "left": left})


def dashboard(options: argparse.Namespace) -> None:
    from har.tracking.server import serve

    serve(options.runs, options.port)


ATTRIBUTIONS = ("integrated_gradients", "occlusion")  # of har.runs.explain, known without torch; a test compares


def explain(options: argparse.Namespace) -> None:
    if options.most < 1:
        raise HarError("argument", f"--most is {options.most}, expected at least 1")
    runs = named_runs(options, validated=options.part == "validation")
    from har.runs.run_folder import of_windows, scored_predictions

    if "all" in options.model:
        runs = of_windows(runs) or runs
    for run in runs:
        scored_predictions(run, options.part, options.window or ())
    with loading(options):
        from har.runs.explain import explain_errors, explain_windows
    paths = []
    with progress(options, "Explaining", len(runs)) as step:
        for run in runs:
            if options.window is not None:
                paths += explain_windows(run, options.part, options.window, archive=options.archive, method=options.method)
            else:
                more = {"method": options.method, "most": options.most, "command": typed()}
                paths.append(explain_errors(run, options.part, archive=options.archive, **more))
            step()
    answer_written(options, paths)


def register(options: argparse.Namespace) -> None:
    from har.runtime.bundle import of_one_folder, read_bundle
    from har.tracking.store import check_store

    bundle = bundle_of(options) or BUNDLE
    of_one_folder(read_bundle, bundle)
    check_store(options.runs)
    with loading(options):
        from har.runs.register import register_bundle
        from har.tracking.registered_models import CHAMPION
        from har.tracking.store import VARIABLE, tracking_uri
    found = register_bundle(bundle, options.runs, options.name)
    what = f"registered {found.name} version {found.version}" if found.new else f"{found.name} version {found.version} holds this bundle"
    uri = f"models:/{found.name}@{CHAMPION}"
    # Where the variable is set, it may hold a password, and the user has it.
    store = "" if os.environ.get(VARIABLE) else f"{VARIABLE}={shlex.quote(tracking_uri(options.runs))} "
    script = shlex.quote(f"import mlflow; print(mlflow.pyfunc.load_model({uri!r}))")
    lines = [what, found.reason, f"next: {store}python -c {script}; see docs/tracking.md to serve it"]
    answer(options, lines, {"name": found.name, "version": found.version, "new": found.new, "reason": found.reason})


SHELLS = ("bash", "zsh", "tcsh")


def doctor(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from har.cli.doctor import examine, report

    found = examine(options.runs, BUNDLE)
    answer(options, report(found).split("\n"), [asdict(finding) for finding in found])


def completion(options: argparse.Namespace) -> None:
    import shtab

    from har.cli.parser import build_parser

    parser = build_parser()
    script = shtab.complete(parser, shell=options.shell)  # nosec B604 # the name of a shell, none is started
    if options.json:
        answer(options, [], {"shell": options.shell, "script": script})
    else:
        sys.stdout.write(f"{script}\n")  # as it is: its tabs and escape sequences belong to it


def _reading(options: argparse.Namespace, verb: str, **rest: Any) -> "ReadOptions":
    """How a recording is read, from the options of a command, whose other options go into advice."""
    from har.recording import ReadOptions
    from har.recording.formats import unit_named

    given = vars(options)
    more = [word for name in ("bundle", "output") if given.get(name) for word in (f"--{name}", str(given[name]))]
    more += [f"--{name}" for name in ("html", "score") if given.get(name)]
    more += ["--map", *given["map"]] if given.get("map") else []
    more += ["--plot", *([str(options.plot)] if options.plot.name else [])] if given.get("plot") is not None else []

    return ReadOptions(
        columns=pairs(options.columns, "--columns", "OURS=THEIRS, such as total_acc_x_g=ax"),
        acc_unit=unit_named(options.acc_unit),
        gyro_unit=unit_named(options.gyro_unit),
        time_unit=options.time_unit,
        rate_hz=options.rate,
        axes=tuple(options.axes.split(",")),
        interpolate_s=options.interpolate,
        verb=verb,
        more=tuple(more),
        **rest,
    )


def inspect(options: argparse.Namespace) -> None:
    from har.recording.inspection import inspect_recording, understood

    recording, named = options.recording, options.output
    suffix = ".html" if options.html else ".png"
    output = named or Path(f"{recording.resolve().name.split('.')[0]}-inspect{suffix}")
    if options.html != (output.suffix.lower() == ".html"):
        raise HarError("argument", f"--output {output} is {'no' if options.html else 'a'} page; expected a file that ends in {suffix}")
    check_output(output, (recording,))
    reading, draws = _reading(options, "inspect", labels=False), True
    try:
        from har.evaluation.figures import check_figure, recording_figure, recording_page, write_figure

        if not options.html:
            check_figure(output)
    except ModuleNotFoundError:
        if named or options.html:
            raise
        draws = False
    lines = understood(recording, reading)
    try:
        found = inspect_recording(recording, reading)
    except HarError:
        say_all("\n".join(lines))  # what is known, before what has to be said
        raise
    lines += found.lines()
    if draws:
        figure = recording_figure(recording.name, found)
        write_figure(output, recording_page(recording.name, lines, figure) if options.html else figure)
        lines.append(f"wrote {output}")
    else:
        lines.append("no plot: it needs pip install 'wearable-har[train]'")
    answer(options, lines, {"recording": recording, **found.facts(), "written": [output] if draws else []})


def predict(options: argparse.Namespace) -> None:
    from har.recording import is_export
    from har.runtime.bundle import find_bundle

    reading = _reading(options, "predict", labels=options.score)
    bundle = find_bundle(options.bundle)
    first, into_folder = options.recordings[0], options.output is not None and options.output.is_dir()
    several = (
        len(options.recordings) > 1 or (first.is_dir() and not is_export(first)) or (glob.has_magic(str(first)) and not first.is_file())
    )
    several = several or into_folder
    if options.map and not options.score:
        raise HarError("argument", "--map belongs to --score: it names the labels of the recording")
    if several and (options.score or options.plot is not None):
        raise HarError("argument", f"--{'score' if options.score else 'plot'} takes one recording; name one, without a folder as --output")
    (_predict_many if several else _predict_one)(options, bundle, reading)


def _predict_one(options: argparse.Namespace, bundle: Path, reading: "ReadOptions") -> None:
    from har.recording import ReadReport, read_pieces
    from har.recording.inspection import Inspection
    from har.runtime.bundle import bundle_line
    from har.runtime.recognizer import load_model
    from har.runtime.timeline import LabelScore, minutes_text, timeline_text, write_timeline

    recording, output, plot = options.recordings[0], options.output, options.plot
    to_stdout = output is not None and named_descriptor(output) == 1
    if to_stdout and options.json:
        raise HarError("argument", f"--json prints its answer where --output {output} writes its rows; leave out one of the two")
    if output is not None:
        check_output(output, (recording, bundle))
    if plot is not None:
        plot = plot if plot.name else Path(f"{recording.resolve().name.split('.')[0]}-activities.png")
        check_output(plot, (recording, bundle), "--plot")
        from har.evaluation.figures import check_figure, recording_figure, write_figure

        check_figure(plot)
    recognizer, found = load_model(bundle), ReadReport()
    score, others = LabelScore(recognizer.labels), Counter[str]()
    names = pairs(options.map, "--map", "NAME=LABEL, such as jogging=RUNNING")
    for label in names.values():
        if label not in recognizer.labels:
            raise HarError("name-unknown", f"--map counts a label as {label!r}; {nearest(label, recognizer.labels)}")
    reading = replace(recognizer.reading(reading), activities=tuple(recognizer.labels), label_names=names, other_labels=others)
    seen = Inspection(reading.sensors, found)
    with progress(options, recording.name, unit="min") as step:

        def watched() -> "Iterator[tuple[int, Recording]]":
            for stretch, piece in read_pieces(recording, found, options=reading):
                step(len(piece.time_s) / piece.sample_rate_hz / 60)
                if options.score:
                    score.add(piece.time_s, piece.labels, piece.sample_rate_hz)
                if plot is not None:
                    seen.add(stretch, piece)
                yield stretch, piece

        timeline = recognizer.predict_pieces(recording.stem, watched())
    minutes = timeline.minutes()
    lines = [bundle_line(recognizer.bundle), found.text(), *timeline_text(recording.stem, recognizer.bundle, timeline).split("\n")]
    written = [path for path in (output, plot) if path is not None]
    if output is not None:
        write_timeline(timeline, output)
        lines.append(f"wrote {output}: {len(timeline.from_s)} windows")
    if plot is not None:
        note = bundle_line(recognizer.bundle)
        write_figure(plot, recording_figure(recording.name, seen, timeline.spans(), note))
        lines.append(f"wrote {plot}")
    lines.append(minutes_text(minutes))
    facts: dict[str, Any] = {}
    if options.score:
        score.score(timeline)
        lines.append(score.text(others))
        facts["score"] = score.facts() | {"other_labels": dict(others)}
    columns = ("from_s", "to_s", "activity", "confidence")
    spans = [dict(zip(columns, span, strict=False)) for span in timeline.spans()]
    facts |= {"bundle": bundle, "recording": recording, "windows": len(timeline.from_s), "synthetic_model": recognizer.bundle.synthetic}
    facts |= {"spans": spans, "minutes": minutes, "input": found.text(), "written": written}
    with redirect_stdout(sys.stderr) if to_stdout and not options.quiet else nullcontext():
        answer(options, lines, facts)


def _predict_many(options: argparse.Namespace, bundle: Path, reading: "ReadOptions") -> None:
    from har.runs.batch import predict_many

    if options.output is None:
        raise HarError("argument", "several recordings need a folder for their predictions; name it with --output")
    from har.runtime.bundle import bundle_line, of_one_folder, read_bundle

    say(bundle_line(of_one_folder(read_bundle, bundle)))
    problems = predict_many(options.recordings, options.output, bundle, reading, workers=options.workers, engine=options.engine, say=say)
    for problem in problems:
        complain(problem)
    if problems:
        raise HarError(
            "jobs-failed",
            f"no predictions of {len(problems)} recordings, each named above; fix them and run the command again: what is done stays",
        )
    answer(options, [f"the predictions are below {options.output}"], {"bundle": bundle, "folder": options.output})
