"""A phone's day of 24 hours, played as fast as it goes through the Python runtime and through the web page's engine in Node.

    python benchmarks/faults/day_stream.py [--hours 24] [--seed 0] [--bundle default robust]

HAPT's recordings of training subjects, where the archive is there (SYNTHETIC ones otherwise), are joined in random order to 24 hours at
50 Hz and, for the resampler and the first bundle, to 24 hours at 59.8 Hz. They arrive in batches of 1 to 1,800 samples with everything
that goes wrong (``tests/runtime/day.py``: gaps from one sample to hours, jitter, bursts, late and doubled samples, clocks that are set,
values that are missing, an app that is started anew); both engines play it at the same time. Every answer is compared with that of
`Recognizer.predict_pieces`, a batch, on the same stretches; for the page this is the comparison of JavaScript with Python. Each engine
runs in a process of its own, whose memory is measured after every hour. Needs Node and ``npm ci`` in export/web, and Linux. Writes
results/reliability/day_stream.csv, day_stream_hours.csv and day_stream_faults.csv; exit code 1 where an answer is missing, doubled, not
expected or another.
"""

import json
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from trials import FOLDER, arguments, found_in, tables

from har.contract import TRAIN_SUBJECTS
from har.data import hapt, synthetic
from har.data.archives import HAPT, find_source, open_source
from har.recording import Recording
from har.runtime.bundle import pretrained
from har.runtime.recognizer import load_model
from tests.runtime.day import FAULTS, QUIET, Day, Expected, batch_answers, live_through, taken_of

ROOT = Path(__file__).resolve().parents[2]
PHONES = {50.0: None, 59.8: 60.0}  # rate in Hz -> as which an app opens its stream: the nominal one
TURNED_CLOSE = 1e-4  # of a probability, where the network turns windows: rounding in a batch of two moved one still window by 4e-5
CLOSE = 1e-5  # of a probability, as between any two runtimes; how many answers are further apart is counted
SETTLED_H = 5.0  # after the last restart before the quiet hours: the page's own recording is full after four
MB = 1e6
Played = tuple[
    dict[str, Any], np.ndarray
]  # seconds, memory, versions; (answer, 5 + num_classes) delivery, run, start, end, label, probabilities


def people(seed: int) -> tuple[list[Recording], str]:
    """Recordings, and what they are."""
    source = find_source(None, Path("data"), HAPT)
    if source is None:
        return [synthetic.generate(subject, seed) for subject in range(1, 31)], "SYNTHETIC"
    with open_source(source, HAPT) as (read_file, _):
        return [recording for recording in hapt.read(read_file) if recording.subject in TRAIN_SUBJECTS], "HAPT, training subjects"


def write_day(day: Day, folder: Path) -> None:
    day.time_s.astype("<f8").tofile(folder / "time_s.f64")
    day.values.astype("<f4").tofile(folder / "values.f32")
    day.counts.astype("<i4").tofile(folder / "counts.i32")
    day.restarts.astype(np.uint8).tofile(folder / "restarts.u8")


def play(engine: str, folder: Path, bundle: Path, every: int, source_hz: float | None, labels: int) -> Played:
    """Let an engine answer the day in the folder."""
    if engine == "python":
        command = [sys.executable, "benchmarks/faults/day_player.py", folder, bundle, every, *([] if source_hz is None else [source_hz])]
    else:
        command = ["node", "--expose-gc", "export/web/test/day_stream.mjs", "--day", folder, "--bundle", bundle, "--every", every]
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)  # nosec B603 # this very Python or Node, no shell
    if done.returncode:
        sys.exit(f"day_stream: {shlex.join(words)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout), np.fromfile(folder / f"{engine}_answers.f64", np.float64).reshape(-1, 5 + labels)


def keys(run: np.ndarray, to_s: np.ndarray) -> pd.DataFrame:
    """What an answer is known by: its run, its end, and which of that end it is, as a clock that is set may give one twice."""
    found = pd.DataFrame({"run": run.astype(int), "end": np.rint(to_s * 1e4).astype(int)})
    return found.assign(again=found.groupby(["run", "end"]).cumcount(), number=found.index)


def judge(day: Day, expected: Expected, played: Played, hz: float, tolerance: float) -> tuple[dict[str, Any], pd.DataFrame, np.ndarray]:
    """Columns of day_stream.csv, rows of day_stream_hours.csv, and numbers of the expected answers that came."""
    said, answers = played
    wanted, came = keys(expected.run, expected.to_s), keys(answers[:, 1], answers[:, 3])
    pairs = wanted.merge(came, on=["run", "end", "again"], suffixes=("", "_came"))
    there, rows = pairs.number.to_numpy(), answers[pairs.number_came.to_numpy()]
    extra = came.drop(index=pairs.number_came)
    doubled = int(extra.set_index(["run", "end"]).index.isin(wanted.set_index(["run", "end"]).index).sum())
    # An answer could have come with the delivery before if that had its last sample, and what the resampler needs after it.
    seen = np.concatenate(([0], np.cumsum(day.counts)))[rows[:, 0].astype(int)]
    could = seen > expected.begins[there]
    wait_s = day.time_s[seen[could] - 1] + 1 / 50 - expected.to_s[there][could]
    place = expected.begins + (expected.to_s - day.time_s[expected.begins]) * hz  # in the day, in samples
    by_answer = pd.DataFrame({"hour": np.minimum(place * 24 / len(day.time_s), 23).astype(int) + 1, "answers": False})
    by_answer.loc[there, "answers"] = True
    by_answer.loc[there, "difference"] = np.abs(expected.probabilities[there] - rows[:, 5:]).max(axis=1)
    by_answer.loc[there, "other"] = expected.probabilities[there].argmax(axis=1) != rows[:, 5:].argmax(axis=1)
    by_answer["missing"] = ~by_answer.answers
    memory = pd.DataFrame(said["memory"], index=range(1, len(said["memory"]) + 1)).drop(columns="samples")
    how = {"answers": "sum", "missing": "sum", "difference": "max", "other": "sum"}
    hours = by_answer.groupby("hour").agg(how).reindex(memory.index, fill_value=0).astype({"other": int})
    hours = hours.rename(columns={"difference": "largest_difference", "other": "labels_differ"})
    hours["largest_difference"] = hours.largest_difference.fillna(0.0).map("{:.1e}".format)
    hours = hours.join((memory / MB).map("{:.2f}".format).add_suffix("_mb")).rename_axis("hour").reset_index()
    summary = {
        "samples": len(day.time_s),
        "deliveries": len(day.counts),
        "clock_h": f"{np.diff(day.time_s).clip(0).sum() / 3600:.1f}",
        "restarts": int(day.restarts.sum()),
        "stretches": sum(len(taken.stretches) for taken in taken_of(day, sorts=True)),
        "answers": len(answers),
        "missing": len(wanted) - len(there),
        "doubled": doubled,
        "not_expected": len(extra) - doubled,
        "resampled": int(expected.resampled.sum()),
        "largest_difference": f"{by_answer.difference.max():.1e}",
        "tolerance": tolerance,
        "above_1e-5": int((by_answer.difference > CLOSE).sum()),
        **{f"difference_hour_{row.hour}": row.largest_difference for row in hours.itertuples() if row.hour in (1, 13, 24)},
        "labels_differ": int(hours.labels_differ.sum()),
        "longest_wait_s": f"{max(0.0, wait_s.max()):.2f}",
        "refused": said["refused"] if "refused" in said else len(said["problems"]),
        "seconds": f"{said['seconds']:.0f}",
        "samples_per_s": round(len(day.time_s) / said["seconds"]),
        "times_real_time": round(len(day.time_s) / hz / said["seconds"]),
        **growth_of(memory),
        "versions": " ".join(f"{name}={version}" for name, version in said["versions"].items()),
    }
    return summary, hours, there


def growth_of(memory: pd.DataFrame) -> dict[str, str]:
    """Growth in the quiet hours, when nothing that may grow at first grows any more: slope, and the most above its beginning."""
    settled = memory.iloc[int(24 * QUIET[0] + SETTLED_H) : int(24 * QUIET[1])]
    found = {"rss_mb": f"{settled.rss.iloc[0] / MB:.1f}"}
    for name, used in settled.astype(float).items():
        slope, growth = np.polyfit(settled.index, used, 1)[0], used.max() - used.iloc[0]
        found |= {f"{name}_kb_per_hour": f"{slope / 1000:.1f}", f"{name}_most_growth_mb": f"{growth / MB:.2f}"}
    return found


def faults_of(day: Day, expected: Expected, there: np.ndarray) -> list[dict[str, Any]]:
    """What happened at each kind of fault: the stretches that it began, and how long until the first answer."""
    begins = np.array([stretch[0] for taken in taken_of(day, sorts=True) for stretch in taken.stretches])
    cutting = [fault for fault in day.faults if fault[0] not in ("lost sample", "jitter", "late burst", "sample twice")]
    blamed = np.searchsorted([at for _, at in cutting], begins, side="right") - 1
    kinds = np.array(["start" if number < 0 else cutting[number][0] for number in blamed])
    first = np.flatnonzero(np.diff(expected.begins, prepend=-1))  # windows that are the first of their stretch
    of = np.searchsorted(begins, expected.begins[first], side="right") - 1
    table = pd.DataFrame({"kind": kinds[of], "after_s": expected.to_s[first] - day.time_s[begins[of]], "came": np.isin(first, there)})
    rows = []
    for kind in ("start", *FAULTS):
        own = table[table.kind == kind]
        row = {"fault": kind, "count": sum(found == kind for found, _ in day.faults) or 1, "new_stretches": int((kinds == kind).sum())}
        row |= {"long_enough": len(own), "answered": int(own.came.sum())}
        if own.came.any():
            after_s = own.after_s[own.came].agg(["median", "min", "max"]).map("{:.2f}".format)
            row |= dict(zip(("first_answer_s", "earliest_s", "latest_s"), after_s, strict=True))
        rows.append(row)
    return rows


def main() -> int:
    parser = arguments(__doc__, seed=(0, "of the day"))
    parser.add_argument("--hours", type=float, default=24.0, help="of samples; gaps come on top")
    parser.add_argument("--bundle", nargs="+", default=["default", "robust"], help="that come with the project")
    options = parser.parse_args()
    recordings, data = people(options.seed)
    found: dict[str, list[dict[str, Any]]] = {"day_stream": [], "day_stream_hours": [], "day_stream_faults": []}
    for hz, source_hz in PHONES.items():
        day = live_through(recordings, round(options.hours * 3600 * hz), options.seed, hz=hz)
        with tempfile.TemporaryDirectory() as name:
            write_day(day, Path(name))
            for bundle in options.bundle if source_hz is None else options.bundle[:1]:  # the resampler is the same in front of any
                recognizer = load_model(pretrained(bundle))
                given = (Path(name), pretrained(bundle), len(day.time_s) // 24, source_hz, len(recognizer.labels))
                tolerance = TURNED_CLOSE if recognizer.mounted else recognizer.bundle.manifest["tolerance"]
                with ThreadPoolExecutor() as pool:
                    playing = {engine: pool.submit(play, engine, *given) for engine in ("python", "page")}
                for engine, played in playing.items():
                    expected = batch_answers(recognizer, day, source_hz=source_hz, page=engine == "page")
                    summary, hours, there = judge(day, expected, played.result(), hz, tolerance)
                    which = {"data": data, "phone_hz": hz, "bundle": bundle, "engine": engine}
                    rows = ([summary], hours.to_dict("records"), faults_of(day, expected, there))
                    for own, new in zip(found.values(), rows, strict=True):
                        own += [which | row for row in new]
                    print(", ".join(f"{key} {value}" for key, value in found["day_stream"][-1].items()), flush=True)
    stamp = {"seed": options.seed} | {name: value for name, value in tables.made().items() if name != "versions"}
    for name, rows in found.items():
        tables.write_table(FOLDER / f"{name}.csv", rows, stamp)
    return int(not all(found_in(FOLDER / f"{name}.csv").whole.all() for name in found))


if __name__ == "__main__":
    sys.exit(main())
