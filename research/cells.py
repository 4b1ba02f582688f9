"""Long experiments in pieces: each cell of a table is a job of its own, kept when it is done."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from har.config import RunConfig
from har.contract import HarError
from har.files import write_whole
from har.runs.engine import Progress, default_workers, run_jobs
from har.tasks.code import KEY_LENGTH, code_digest, digest_of, sources_of
from research.common import Bench

FOLDER = "experiments"


@dataclass(frozen=True)
class Cell:
    """One piece of an experiment.

    Attributes:
        bench: where it reads.
        settings: everything that decides its numbers, besides code and data.
        path: JSON file it is kept in.
    """

    bench: Bench
    settings: dict[str, Any]
    path: Path


def run_cells(
    bench: Bench,
    name: str,
    settings: list[dict[str, Any]],
    work: Callable[[Cell], dict[str, Any]],
    digest: str,
    configs: Sequence[RunConfig] = (),
) -> list[dict[str, Any]]:
    """Run what is not done yet, a process a core, and return settings and numbers of all cells in order.

    A cell is done again when its settings, the data, the configs, the code of their networks, or any code that `work` imports have changed.

    Args:
        bench: of the experiment.
        name: of the experiment.
        settings: one dictionary of plain values a cell.
        work: a function of a module; gets the cell and returns plain numbers.
        digest: of the data.
        configs: of what the cells train; the imports of `work` show neither the files of configs nor the networks of the registry.

    Raises:
        HarError: a cell failed; the others are kept.
    """
    code = digest_of(sources_of([work.__module__]))
    trained = [[code_digest(config.model.name), config.model_dump(mode="json")] for config in configs]
    cells = []
    for one in settings:
        content = json.dumps([code, trained, one, digest, bench.quick, bench.dataset], sort_keys=True)
        key = hashlib.sha256(content.encode()).hexdigest()[:KEY_LENGTH]
        cells.append(Cell(bench, one, bench.runs / FOLDER / name / f"{key}.json"))
    left = [cell for cell in cells if not cell.path.is_file()]
    workers = min(default_workers(), max(1, len(left)))
    bench.say(f"experiment {name}: {len(cells)} parts, {len(cells) - len(left)} done before, {len(left)} to do in {workers} processes")
    progress, problems = Progress(len(cells), len(cells) - len(left), bench.say), []
    jobs = [(work, cell) for cell in left]
    for outcome in run_jobs(jobs, _kept, workers=workers):
        told = ", ".join(f"{key} {value}" for key, value in outcome.job[1].settings.items())
        if outcome.result is None:
            problems.append(f"{told}: {outcome.problem}")
        progress.add(told if outcome.result is not None else f"{told} FAILED: {outcome.problem}", failed=outcome.result is None)
    if problems:
        raise HarError(f"{len(problems)} of {len(cells)} parts failed, first {problems[0]}; type the same command again to try them again")
    return [cell.settings | json.loads(cell.path.read_text()) for cell in cells]


def _kept(job: tuple[Callable[[Cell], dict[str, Any]], Cell]) -> dict[str, Any]:
    work, cell = job
    result = work(cell)
    write_whole(cell.path, json.dumps(result, default=float) + "\n")
    return result
