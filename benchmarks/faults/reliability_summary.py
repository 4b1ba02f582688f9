"""One table of all faults that were tried: read every CSV file of results/reliability, and write results/reliability/summary.md.

    python benchmarks/faults/reliability_summary.py [--folder results/reliability]

Tried is what really struck: a kill that came too late, or a disk that had room, is no fault. Everything that went wrong counts against one
fault, so that at least as many were survived as the table says. A file without rules here stops it: none is left out silently. Exit code 1
where a fault was not survived, a job or data were lost, or a result does not come from a commit.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # of tables.py

from tables import made

from har.errors import HarError
from har.files import write_whole
from har.reporting import markdown

FOLDER, SUMMARY = Path("results/reliability"), "summary.md"
HEAD = ("fault", "tried", "survived", "jobs lost", "data lost", "file", "command", "date", "commit")


class Rule(NamedTuple):
    """How a row of a result file is read; every count is an expression of its columns.

    Attributes:
        fault: in words, with columns in braces; rows of one file that share it are added up.
        tried: how often it struck.
        jobs: trainings, jobs or commands that did not end as undisturbed ones.
        data: things lost or changed.
        unit: of these things.
        other: whatever else was not as it should be.
        where: the rows it is for.
    """

    fault: str
    tried: str
    jobs: str
    data: str
    unit: str
    other: str = "0"
    where: str = "index >= 0"


def training(signal: str) -> Rule:
    fault = f"{signal} twice within a training of {{model}}, resumed by --resume"
    data, other = "2 * trials - same_weights - same_scores", "running_left + folders_left + wrong_exit_codes"
    return Rule(fault, "kills", "trials - one_tracked_run", data, "other weights or scores", other)


SERVER = Rule(
    "MLflow server {fault}, beginning: {since}, then `har track push` ({lost_s:.1f} s lost at most)",
    "trials",
    "trainings_failed",
    "missing_points + missing_params + missing_artifacts",
    "points, parameters, artifacts",
    "doubled_points + runs_otherwise + still_waiting + 2 * trials - runs_finished - pushes + (lost_s > 10)",
    "fault != 'healthy'",
)
AT_ONCE = Rule("{what}", "processes", "processes - done", "refused", "readings of no whole bundle", "failed + left_over", "verified == 0")
RULES: dict[str, list[Rule]] = {
    "training_kill.csv": [training("SIGKILL")],
    "training_term.csv": [training("SIGTERM")],
    "sweep_kill.csv": [
        Rule(
            "{signal} to the {to} of a sweep, which is typed again",
            "signals",
            "lost",
            "2 * jobs - same_weights - same_scores",
            "other weights or scores",
            "jobs - finished_once + repeated + running_left + folders_left + workers_left + wrong_exit_codes",
        )
    ],
    "tracking_faults.csv": [SERVER],
    "at_once.csv": [AT_ONCE, AT_ONCE._replace(fault="{what}, read {verified:.0f} times meanwhile", where="verified > 0")],
    "disk_full.csv": [
        Rule(
            "disk full while {place} is written, then freed",
            "trials - had_room",
            "trials - done_after",
            "half_written + trials - same_content",
            "half or other files",
            "rubbish_left + trials - had_room - refused + 3 * refused - one_line - place_named - disk_named",
        )
    ],
    "clock_jumps.csv": [
        Rule(
            "clock set by an hour or a day, {jumps} times in all, during {command_tried}",
            "trials",
            "trials - exit_code_0",
            "trials - same_content",
            "other weights, scores or windows",
            "times_wrong + runs_end_before_start + running_left + folders_left",
        )
    ],
    "cache_kill.csv": [
        Rule(
            "SIGKILL while the cache of {dataset} is written",
            "killed_within_write",
            "trials - rebuilt_right",
            "entry_damaged",
            "damaged entries",
            "temporary_folders_after_rebuild",
        )
    ],
    "fuzz.csv": [Rule("{source} damaged at random: refused in a sentence, or read as it is", "cases", "0", "wrong", "wrong readings")],
    "planted_leaks.csv": [
        Rule("planted leak, {leak}", "planted", "0", "planted - refused", "leaks let through", "run_folders_left", "claimed == 'yes'"),
        Rule("control, no leak planted: not refused", "planted", "refused", "0", "", where="claimed not in ['yes', 'no']"),
    ],
    "day_stream.csv": [
        Rule(
            "a day of 24 hours of a phone, with all faults of a stream",
            "1",
            "0",
            "missing + doubled + not_expected",
            "answers missing or too many",
            "(largest_difference > tolerance) * 1",
        )
    ],
    "day_stream_faults.csv": [
        Rule("in the stream of a phone's day: {fault}", "count", "0", "long_enough - answered", "stretches without an answer")
    ],
    "day_stream_hours.csv": [],  # the answers of day_stream.csv again, by the hour
}


def found_in(path: Path) -> pd.DataFrame:
    """What a file says, a row per fault.

    Returns:
        ``fault``, ``tried``, ``survived``, ``jobs_lost``, ``data_lost``, ``unit``, ``whole`` (whether nothing went wrong), ``file``, and
        ``command``, ``date_utc`` and ``commit`` of its last row.

    Raises:
        HarError: there is no rule for the file, or it lacks a column.
    """
    if path.name not in RULES:
        raise HarError("argument", f"{path} is unknown here; add a rule for it to benchmarks/faults/reliability_summary.py")
    table = pd.read_csv(path, dtype={"commit": str}).rename(columns={"date": "date_utc"})  # a commit may be digits alone
    table = table.replace({name: {float("nan"): 0} for name in ("refused", "verified")})
    found = []
    for rule in RULES[path.name]:
        try:
            own = table.query(rule.where, engine="python")
            counts = {name: own.eval(getattr(rule, name), engine="python") for name in ("tried", "jobs", "data", "other")}
            facts = {"fault": [rule.fault.format_map(row) for row in own.to_dict("records")], "unit": rule.unit, "file": path.name}
            facts |= {name: own.get(name, "not noted") for name in ("command", "date_utc", "commit")}
            rows = pd.DataFrame(counts, index=own.index).astype(int).assign(**facts)
        except (NameError, KeyError, TypeError, ValueError) as error:
            raise HarError("predictions-file", f"{path} lacks a column or holds no number ({error}); run its benchmark again") from None
        rows["wrong"] = rows.jobs + rows.data + rows.other
        rows["whole"] = (rows.wrong == 0) & (rows.jobs == 0) & (rows.data == 0)
        rows["survived"] = (rows.tried - rows.wrong).clip(lower=0)
        found.append(rows)
    columns = ["tried", "survived", "jobs", "data", "whole", "unit", "file", "command", "date_utc", "commit"]
    how = dict.fromkeys(columns[:4], "sum") | {"whole": "all"} | dict.fromkeys(columns[5:], "last")
    every = pd.concat(found) if found else pd.DataFrame(columns=["fault", *columns])
    return every.groupby("fault", sort=False, as_index=False).agg(how).rename(columns={"jobs": "jobs_lost", "data": "data_lost"})


def summary(folder: Path) -> tuple[str, bool]:
    """The text, and whether everything was survived."""
    paths = sorted(folder.glob("*.csv"), key=lambda path: list(RULES).index(path.name) if path.name in RULES else -1)
    if not paths:
        raise HarError("argument", f"{folder} holds no results; run the benchmarks first, see results/README.md")
    found = pd.concat([found_in(path) for path in paths])
    lines = []
    for row in found.itertuples():
        counts = [f"{row.tried:,}", f"{row.survived:,}" if row.whole else f"**{row.survived:,}**", f"{row.jobs_lost}"]
        lost = f"{row.data_lost} {row.unit}".strip()
        lines.append([row.fault, *counts, lost, row.file, f"`{row.command}`", row.date_utc, row.commit])
    held, lost = int(found.whole.sum()), found[["jobs_lost", "data_lost"]].sum()
    text = [f"{len(found)} kinds of faults, {held} of them survived every time; jobs lost {lost.jobs_lost}, data lost {lost.data_lost}."]
    bad = [f"Not survived: {row.fault} ({row.file})." for row in found[~found.whole.astype(bool)].itertuples()]
    bad += [f"Not from a commit: {name}." for name in found.file[found.commit.str.endswith("-dirty")].unique()]
    text += [*bad, markdown(HEAD, lines, "l")]
    if (folder / "planted_leaks.csv").is_file():
        for row in pd.read_csv(folder / "planted_leaks.csv").query("claimed == 'no'").itertuples():
            text.append(f"Not claimed and not counted: {row.leak}, {row.planted} planted, {row.refused} refused.")
    return "\n\n".join(text), not bad


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
