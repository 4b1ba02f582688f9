"""One table of all faults that were tried: read every CSV file of results/reliability, and write results/reliability/summary.md.

    python benchmarks/faults/reliability_summary.py [--folder results/reliability]

Tried is what really struck: a kill that came too late, or a disk that had room, is no fault. Everything that went wrong counts against one
fault, so that as many as are said to be survived were. A file that nobody here can read stops it: none is left out in silence. Exit code 1
where a fault was not survived, a job or data were lost, or a result does not come from a commit.
"""

import argparse
import csv
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # of tables.py

from tables import made

from har.contract import HarError
from har.files import write_whole
from har.reporting import markdown

FOLDER, SUMMARY = Path("results/reliability"), "summary.md"
ALLOWED_S = 10.0  # that a training may lose where its MLflow server is away or slow
HEAD = ("fault", "tried", "survived", "jobs lost", "data lost", "file", "command", "date", "commit")
Row = Mapping[str, str]


@dataclass(frozen=True)
class Found:
    """What a row says.

    Attributes:
        fault: in words; rows of one file that share it are added up.
        tried: how often it struck.
        wrong: things that were not as they should be, of any kind.
        jobs_lost: trainings, jobs or commands that did not end as undisturbed ones.
        data_lost: things lost or changed.
        unit: of these things.
    """

    fault: str
    tried: int
    wrong: int
    jobs_lost: int
    data_lost: int
    unit: str

    @property
    def survived(self) -> int:
        return max(0, self.tried - self.wrong)

    @property
    def whole(self) -> bool:
        return not (self.wrong or self.jobs_lost or self.data_lost)

    def __add__(self, other: "Found") -> "Found":
        sums = (getattr(self, name) + getattr(other, name) for name in ("tried", "wrong", "jobs_lost", "data_lost"))
        return Found(self.fault, *sums, self.unit)


def count(row: Row, *names: str) -> int:
    """The sum of some columns."""
    return sum(int(row[name]) for name in names)


def short(row: Row, whole: str, *names: str) -> int:
    """How much some columns lack, together, of what each should be."""
    return sum(int(row[whole]) - int(row[name]) for name in names)


def training(row: Row, signal: str) -> Found:
    jobs, data = short(row, "trials", "one_tracked_run"), short(row, "trials", "same_weights", "same_scores")
    wrong = jobs + data + count(row, "running_left", "folders_left")
    fault = f"{signal} twice within a training of {row['model']}, gone on with by --resume"
    if "wrong_exit_codes" in row:
        wrong += count(row, "wrong_exit_codes")
    else:
        fault += " (its exit codes were not looked at then)"
    return Found(fault, count(row, "kills"), wrong, jobs, data, "other weights or scores")


def sweep(row: Row) -> Found:
    lost, data = count(row, "lost"), short(row, "jobs", "same_weights", "same_scores")
    wrong = lost + data + short(row, "jobs", "finished_once")
    wrong += count(row, "repeated", "running_left", "folders_left", "workers_left", "wrong_exit_codes")
    fault = f"{row['signal']} to the {row['to']} of a sweep, which is typed again"
    return Found(fault, count(row, "signals"), wrong, lost, data, "other weights or scores")


def cache(row: Row) -> Found:
    jobs, data = short(row, "trials", "rebuilt_right"), count(row, "entry_damaged")
    wrong = jobs + data + count(row, "temporary_folders_after_rebuild")
    return Found(
        f"SIGKILL while the cache of {row['dataset']} is written", count(row, "killed_within_write"), wrong, jobs, data, "damaged entries"
    )


def tracking(row: Row) -> Found | None:
    if row["fault"] == "healthy":
        return None
    jobs, data = count(row, "trainings_failed"), count(row, "missing_points", "missing_params", "missing_artifacts")
    wrong = jobs + data + count(row, "doubled_points", "runs_otherwise", "still_waiting") + short(row, "trials", "runs_finished", "pushes")
    wrong += int(float(row["lost_s"]) > ALLOWED_S)
    fault = (
        f"MLflow server {row['fault']} {'from the start' if row['since'] == 'start' else 'from a random request on'}, then `har track push`"
    )
    return Found(
        f"{fault} ({max(0.0, float(row['lost_s'])):.1f} s lost at most)",
        count(row, "trials"),
        wrong,
        jobs,
        data,
        "points, parameters, artifacts",
    )


def disk(row: Row) -> Found:
    jobs, data = short(row, "trials", "done_after"), count(row, "half_written") + short(row, "trials", "same_content")
    tried = short(row, "trials", "had_room")
    wrong = jobs + data + count(row, "rubbish_left") + tried - count(row, "refused")
    wrong += short(row, "refused", "one_line", "place_named", "disk_named")
    return Found(f"disk full while {row['place']} is written, then freed", tried, wrong, jobs, data, "half or other files")


def clock(row: Row) -> Found:
    jobs, data = short(row, "trials", "exit_code_0"), short(row, "trials", "same_content")
    wrong = jobs + data + count(row, "times_wrong", "runs_end_before_start", "running_left", "folders_left")
    fault = f"clock set by an hour or a day, {row['jumps']} times in all, during {row['command_tried']}"
    return Found(fault, count(row, "trials"), wrong, jobs, data, "other weights, scores or windows")


def at_once(row: Row) -> Found:
    jobs, data = short(row, "processes", "done"), int(row["refused"] or 0)
    wrong = jobs + data + count(row, "failed", "left_over")
    verified = f", read {row['verified']} times meanwhile" if row["verified"] else ""
    return Found(f"{row['what']}{verified}", count(row, "processes"), wrong, jobs, data, "readings of no whole bundle")


def fuzz(row: Row) -> Found:
    wrong = count(row, "wrong")
    return Found(
        f"{row['source']} damaged at random: refused in a sentence, or read as it is",
        count(row, "cases"),
        wrong,
        0,
        wrong,
        "wrong readings",
    )


def leak(row: Row) -> Found | None:
    if row["claimed"] == "no":
        return None  # stands below the table
    if not row["claimed"]:
        return Found("control, no leak planted: not refused", count(row, "planted"), count(row, "refused"), count(row, "refused"), 0, "")
    missed = short(row, "planted", "refused")
    return Found(
        f"planted leak, {row['leak']}", count(row, "planted"), missed + count(row, "run_folders_left"), 0, missed, "leaks let through"
    )


def day(row: Row) -> Found:
    lost = count(row, "missing", "doubled", "not_expected")
    far = int(float(row["largest_difference"]) > float(row["tolerance"]))
    return Found("a day of 24 hours of a phone, with all faults of a stream", 1, min(1, lost + far), 0, lost, "answers missing or too many")


def day_fault(row: Row) -> Found:
    lost = short(row, "long_enough", "answered")
    return Found(f"in the stream of a phone's day: {row['fault']}", count(row, "count"), lost, 0, lost, "stretches without an answer")


READERS: dict[str, Callable[[Row], Found | None]] = {
    "training_kill.csv": lambda row: training(row, "SIGKILL"),
    "training_term.csv": lambda row: training(row, "SIGTERM"),
    "sweep_kill.csv": sweep,
    "tracking_faults.csv": tracking,
    "at_once.csv": at_once,
    "disk_full.csv": disk,
    "clock_jumps.csv": clock,
    "cache_kill.csv": cache,
    "fuzz.csv": fuzz,
    "planted_leaks.csv": leak,
    "day_stream.csv": day,
    "day_stream_faults.csv": day_fault,
    "day_stream_hours.csv": lambda row: None,  # the answers of day_stream.csv again, by the hour
}


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def found_in(path: Path) -> list[tuple[Found, Row]]:
    """What a file says, a line a fault, each with a row of it.

    Raises:
        HarError: nobody here knows the file, or it lacks a column.
    """
    if path.name not in READERS:
        raise HarError(f"{path} is unknown here; add a reader of it to benchmarks/faults/reliability_summary.py")
    lines: dict[str, tuple[Found, Row]] = {}
    for row in rows_of(path):
        try:
            found = READERS[path.name](row)
        except (KeyError, ValueError) as error:
            raise HarError(f"{path} lacks a column or holds no number ({error}); run its benchmark again") from None
        if found is not None:
            before = lines.get(found.fault)
            lines[found.fault] = (found if before is None else before[0] + found, row)
    return list(lines.values())


def summary(folder: Path) -> tuple[str, bool]:
    """The text, and whether everything was survived."""
    paths = sorted(folder.glob("*.csv"), key=lambda path: list(READERS).index(path.name) if path.name in READERS else -1)
    lines = [(found, row, path) for path in paths for found, row in found_in(path)]
    if not lines:
        raise HarError(f"{folder} holds no results; run the benchmarks first, see results/README.md")
    table = markdown(HEAD, [cells(found, row, path) for found, row, path in lines], "l")
    held = sum(found.whole for found, _, _ in lines)
    lost = [sum(getattr(found, name) for found, _, _ in lines) for name in ("jobs_lost", "data_lost")]
    text = [f"{len(lines)} kinds of faults, {held} of them survived every time; jobs lost {lost[0]}, data lost {lost[1]}."]
    bad = [f"Not survived: {found.fault} ({path.name})." for found, _, path in lines if not found.whole]
    bad += [
        f"Not from a commit: {path.name}." for path in dict.fromkeys(path for _, row, path in lines if row["commit"].endswith("-dirty"))
    ]
    leaks = folder / "planted_leaks.csv"
    unclaimed = [row for row in (rows_of(leaks) if leaks.is_file() else []) if row["claimed"] == "no"]
    text += (
        bad
        + [table]
        + [f"Not claimed and not counted: {row['leak']}, {row['planted']} planted, {row['refused']} refused." for row in unclaimed]
    )
    return "\n\n".join(text), not bad


def cells(found: Found, row: Row, path: Path) -> list[str]:
    lost = f"{found.data_lost} {found.unit}".strip()
    made_by = f"`{row['command']}`" if row.get("command") else "not noted"
    day_made = row.get("date_utc") or row.get("date") or "not noted"
    survived = f"{found.survived:,}" if found.whole else f"**{found.survived:,}**"
    return [found.fault, f"{found.tried:,}", survived, str(found.jobs_lost), lost, path.name, made_by, day_made, row["commit"]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the results")
    options = parser.parse_args()
    try:
        text, whole = summary(options.folder)
    except HarError as error:
        print(f"reliability_summary: {error}", file=sys.stderr)
        return 2
    stamp = made()
    by = f"Written by `{stamp['command']}`, {stamp['date_utc']}; each line names the command, the day and the commit of its own result."
    write_whole(options.folder / SUMMARY, f"# Faults, each tried for real\n\n{text}\n\n{by}\n")
    print(f"{text.splitlines()[0]}\nwrote {options.folder / SUMMARY}")
    return int(not whole)


if __name__ == "__main__":
    sys.exit(main())
