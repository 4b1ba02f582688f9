"""What the scripts share: their command line, parts of long experiments that are kept, and signed reports."""

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from har import reporting
from har.config import MAX_SEED, RunConfig
from har.errors import HarError
from har.evaluation.figures import save_figure
from har.files import check_folder, write_whole
from har.redaction import shown
from har.reporting import write_table
from har.runs.engine import Progress, default_workers, run_jobs
from har.runs.train import Say
from har.tasks.run_key import KEY_LENGTH, code_digest, digest_of, sources_of

SYNTHETIC = "synthetic"
OPTIONS: dict[str, dict[str, Any]] = {
    "--results": {"type": Path, "default": Path("results"), "metavar": "DIR", "help": "folder of results (default: %(default)s)"},
    "--runs": {"type": Path, "default": Path("runs"), "metavar": "DIR", "help": "folder of all runs (default: %(default)s)"},
    "--archive": {"metavar": "PATH", "help": "a copy of the data set: the zip, or the folder it was extracted to"},
    "--uci-archive": {"metavar": "PATH", "help": "a copy of UCI HAR, likewise"},
    "--model": {"default": "dilated_cnn", "metavar": "NAME", "help": "config (default: %(default)s)"},
    "--dataset": {"choices": ("hapt", "uci-har", SYNTHETIC), "default": "hapt", "help": "whose recordings (default: %(default)s)"},
    "--seed": {"dest": "seeds", "nargs": "+", "type": int, "default": [0, 1, 2], "metavar": "N", "help": "of trainings (default: 0 1 2)"},
    "--quick": {"action": "store_true", "help": "a small budget, to see that it works; no result"},
}
EXPERIMENT = ("--archive", "--runs", "--dataset", "--seed", "--quick")


@dataclass(frozen=True)
class Bench:
    """Where a script reads and writes.

    Attributes:
        results: folder of the results.
        command: that was typed, named in the reports.
        runs: folder of all runs; finished parts of a long experiment are kept below it.
        archive: a copy of the data set, where one is needed.
        uci_archive: a copy of UCI HAR, where two data sets are needed.
        model: name of a config.
        dataset: whose recordings; ``synthetic`` is named in the files.
        seeds: of the trainings.
        quick: a small budget, to see that everything works; its files have ``_quick`` in their names and are no result.
        say: gets one line a step.
    """

    results: Path
    command: str
    runs: Path = Path("runs")
    archive: str | None = None
    uci_archive: str | None = None
    model: str = ""
    dataset: str = "hapt"
    seeds: Sequence[int] = (0,)
    quick: bool = False
    say: Say = print

    def stem(self, name: str, *, synthetic: bool) -> str:
        """File name of an artefact without its suffix."""
        return name + "_synthetic" * synthetic + "_quick" * self.quick

    def write(
        self,
        folder: Path,
        stem: str,
        text: Sequence[str],
        tables: Mapping[str, pd.DataFrame],
        figure: Figure | None = None,
        digits: str = "%.6g",
        **facts: object,
    ) -> list[Path]:
        """Write ``STEM.md``, a CSV file of each table and a figure as PNG and SVG.

        Args:
            folder: of the files; it is made.
            stem: of their names.
            text: paragraphs and tables of the report; it is signed with command, date, commit, `facts` and versions.
            tables: by what stands after the stem in the name of its file.
            figure: of the report.
            digits: format of the tables' floating-point numbers.
            facts: whatever else decided the numbers.

        Raises:
            HarError: the folder cannot be written.
        """
        written = [write_table(table, folder / f"{stem}{name}.csv", digits) for name, table in tables.items()]
        written += [] if figure is None else save_figure(figure, folder, stem)
        known = "".join(f" {name.capitalize()}: {value}." for name, value in facts.items())
        known += " A QUICK RUN on a small budget, no result." * self.quick
        write_whole(folder / f"{stem}.md", "\n\n".join([*text, reporting.footer(self.command, known)]))
        return [*written, folder / f"{stem}.md"]


def experiment(name: str, arguments: list[str] | None = None) -> int:
    """Run the function ``run`` of a module of this folder with the options that it names in ``OPTIONS``, or those of an experiment.

    Returns:
        The exit status: 0, or 2 after one line about a mistake of the user.
    """
    # By its name: as ``__main__``, its functions could not be found by the processes of `run_cells`.
    module = import_module(f"research.{name}")
    title = str(module.__doc__).split(": ", 1)[1].splitlines()[0]
    parser = argparse.ArgumentParser(prog=f"python -m research.{name}", description=title, allow_abbrev=False)
    for option in ("--results", *getattr(module, "OPTIONS", EXPERIMENT)):
        parser.add_argument(option, **OPTIONS[option])
    arguments = sys.argv[1:] if arguments is None else arguments
    options = vars(parser.parse_args(arguments))
    try:
        for folder in ("runs", "results"):
            check_folder(options.get(folder), f"--{folder}")
        for seed in options.get("seeds", ()):
            if not 0 <= seed <= MAX_SEED:
                raise HarError("argument", f"--seed has {seed}, expected 0 to {MAX_SEED}")
        for path in module.run(Bench(command=shlex.join([*parser.prog.split(), *arguments]), **options)):
            print(f"wrote {shown(str(path))}")
    except HarError as error:
        print(f"{parser.prog}: {shown(str(error))}", file=sys.stderr)
        return 2
    return 0


Settings = dict[str, Any]
Work = Callable[[Bench, Settings], dict[str, Any]]


def run_cells(
    bench: Bench, name: str, settings: Sequence[Settings], work: Work, digest: str, configs: Sequence[RunConfig] = ()
) -> list[dict[str, Any]]:
    """Run the cells of a table that are not done yet, a process a core, and return settings and numbers of all of them in order.

    A cell is done again when its settings, the data, the configs, the code of their networks, or any code that `work` imports have changed.

    Args:
        bench: of the experiment.
        name: of the experiment.
        settings: one dictionary of plain values a cell.
        work: a function of a module; gets bench and settings and returns plain numbers.
        digest: of the data.
        configs: of what the cells train; the imports of `work` show neither the files of configs nor the networks of the registry.

    Raises:
        HarError: a cell failed; the others are kept.
    """
    code = digest_of(sources_of([work.__module__]))
    trained = [[code_digest(config.model.name), config.model_dump(mode="json")] for config in configs]
    paths = []
    for one in settings:
        content = json.dumps([code, trained, one, digest, bench.quick, bench.dataset], sort_keys=True)
        paths.append(bench.runs / "experiments" / name / f"{hashlib.sha256(content.encode()).hexdigest()[:KEY_LENGTH]}.json")
    left = [(work, bench, one, path) for one, path in zip(settings, paths, strict=True) if not path.is_file()]
    workers, done = min(default_workers(), max(1, len(left))), len(paths) - len(left)
    bench.say(f"experiment {name}: {len(paths)} parts, {done} done before, {len(left)} to do in {workers} processes")
    progress, problems = Progress(len(paths), done, bench.say), []
    for outcome in run_jobs(left, _kept, workers=workers):
        about = ", ".join(f"{key} {value}" for key, value in outcome.job[2].items())
        if outcome.problem is not None:
            problems.append(f"{about}: {outcome.problem}")
        progress.add(about if outcome.problem is None else f"{about} FAILED: {outcome.problem}", failed=outcome.problem is not None)
    if problems:
        raise HarError(
            "jobs-failed",
            f"{len(problems)} of {len(paths)} parts failed, first {problems[0]}; type the same command again to try them again",
        )
    return [one | json.loads(path.read_text()) for one, path in zip(settings, paths, strict=True)]


def _kept(job: tuple[Work, Bench, Settings, Path]) -> bool:
    work, bench, settings, path = job
    write_whole(path, json.dumps(work(bench, settings), default=float) + "\n")
    return True


def markdown(table: pd.DataFrame, formats: Mapping[str, str] | None = None) -> str:
    """A table in Markdown, its first column to the left.

    Args:
        table: any; its index is left out.
        formats: of numbers, by column; what is missing stays empty.
    """
    columns = [["" if pd.isna(v) else format(v, (formats or {}).get(str(name), "")) for v in table[name]] for name in table]
    return reporting.markdown(map(str, table), zip(*columns, strict=True))


def spread(values: pd.Series, digits: int = 1, scale: float = 100.0) -> str:
    """Mean ± deviation, by default in per cent; the mean alone of one value."""
    return reporting.spread(scale * values.mean(), scale * values.std(), f".{digits}f")


def listed(values: Sequence[object]) -> str:
    """Values with commas between them."""
    return ", ".join(map(str, values))
