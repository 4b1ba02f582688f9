"""A phone's day of 24 hours, played as fast as it goes through the Python runtime and through the web page's engine in Node.

    python benchmarks/faults/day_stream.py [--hours 24] [--seed 0] [--bundle default robust]

HAPT's recordings of training subjects, where the archive is there (SYNTHETIC ones otherwise), are joined in random order to 24 hours at
50 Hz and, for the resampler and the first bundle, to 24 hours at 59.8 Hz. They arrive in batches of 1 to 1,800 samples with everything
that goes wrong (``tests/runtime/day.py``: gaps from one sample to hours, jitter, bursts, late and doubled samples, clocks that are set,
values that are missing, an app that is started anew); both engines play it at the same time. Every answer is compared with that of
`Recognizer.predict_pieces`, a batch, on the same stretches; for the page this is the comparison of JavaScript with Python. Each engine
runs in a process of its own, whose memory is looked at after every hour. Needs Node and ``npm ci`` in export/web, and Linux. Writes
results/reliability/day_stream.csv, day_stream_hours.csv and day_stream_faults.csv; exit code 1 where an answer is missing, doubled, not
expected or another.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from forked import made, write_table

from har.contract import TRAIN_SUBJECTS
from har.data import hapt, synthetic
from har.data.archives import HAPT, find_source, open_source
from har.recording import Recording
from har.runtime.pretrained import pretrained
from har.runtime.recognizer import load_model
from tests.runtime.day import FAULTS, QUIET, Day, Expected, batch_answers, live_through, taken_of

ROOT = Path(__file__).resolve().parents[2]
RESULT = Path("results/reliability/day_stream.csv")
PHONES = {50.0: None, 59.8: 60.0}  # rate in Hz -> as which an app opens its stream: the nominal one
TURNED_CLOSE = 1e-4  # of a probability, where the network turns windows: rounding in a batch of two moved one still window by 4e-5
CLOSE = 1e-5  # of a probability, as between any two runtimes; how many answers are further apart is counted
SETTLED_H = 5.0  # behind the last restart before the quiet hours: the page's own recording is full after four
MB = 1e6


@dataclass(frozen=True)
class Played:
    """What an engine made of a day.

    Attributes:
        said: seconds, memory, versions.
        rows: (answer, 5 + num_classes): delivery, run, start, end, what is said, probabilities.
    """

    said: dict[str, Any]
    rows: np.ndarray


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
        command = [sys.executable, "benchmarks/faults/day_player.py", str(folder), "--bundle", str(bundle), "--every", str(every)]
        command += [] if source_hz is None else ["--source-hz", str(source_hz)]
    else:
        command = ["node", "--expose-gc", "export/web/test/day_stream.mjs", "--day", str(folder)]
        command += ["--bundle", str(bundle), "--every", str(every)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # nosec B603 # this very Python or Node, no shell
    if done.returncode:
        sys.exit(f"day_stream: {shlex.join(command)} failed:\n{done.stderr[-2000:]}")
    return Played(json.loads(done.stdout), np.fromfile(folder / f"{engine}_answers.f64", np.float64).reshape(-1, 5 + labels))


def matched(expected: Expected, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the expected answers that came, and of the rows in which they did; an answer is known by its run and its end."""
    known, found = (
        list(zip(run.astype(int).tolist(), np.rint(to_s * 1e4).astype(int).tolist(), strict=True))
        for run, to_s in ((expected.run, expected.to_s), (rows[:, 1], rows[:, 3]))
    )
    blocks = SequenceMatcher(None, known, found, autojunk=False).get_matching_blocks()
    a, b = ([np.arange(start, start + block.size) for block in blocks for start in (block[side],)] for side in (0, 1))
    return np.concatenate(a), np.concatenate(b)


def judge(
    day: Day, expected: Expected, played: Played, hz: float, tolerance: float, *, page: bool
) -> tuple[dict[str, Any], list[dict], list[dict]]:
    """Columns of day_stream.csv, and rows of day_stream_hours.csv and day_stream_faults.csv."""
    there, came = matched(expected, played.rows)
    rows, ends = played.rows[came], np.cumsum(day.counts)
    difference = np.abs(expected.probabilities[there] - rows[:, 5:]).max(axis=1)
    other = expected.probabilities[there].argmax(axis=1) != rows[:, 5:].argmax(axis=1)
    known = set(zip(expected.run.tolist(), np.rint(expected.to_s * 1e4).tolist(), strict=True))
    extra = np.delete(played.rows, came, axis=0)
    doubled = sum((run, to) in known for run, to in zip(extra[:, 1].tolist(), np.rint(extra[:, 3] * 1e4).tolist(), strict=True))
    # An answer could have come with the delivery before if that had its last sample, and what the resampler needs behind it.
    delivery = rows[:, 0].astype(int)
    seen = np.concatenate(([0], ends))[delivery]
    could = seen > expected.begins[there]
    wait_s = day.time_s[seen[could] - 1] + 1 / 50 - expected.to_s[there][could]
    place = expected.begins + (expected.to_s - day.time_s[expected.begins]) * hz  # in the day, in samples
    hour = np.minimum(place * 24 / len(day.time_s), 23).astype(int)
    hours = []
    for number, memory in enumerate(played.said["memory"]):
        own = hour[there] == number
        found = {"hour": number + 1, "answers": int(own.sum()), "missing": int((hour == number).sum() - own.sum())}
        found |= {"largest_difference": f"{difference[own].max(initial=0):.1e}", "labels_differ": int(other[own].sum())}
        hours.append(found | {f"{name}_mb": f"{memory[name] / MB:.2f}" for name in ("rss", "heap", "buffers") if name in memory})
    seconds = played.said["seconds"]
    summary = {
        "samples": len(day.time_s),
        "deliveries": len(day.counts),
        "clock_h": f"{np.diff(day.time_s).clip(0).sum() / 3600:.1f}",
        "restarts": int(day.restarts.sum()),
        "stretches": sum(len(taken.stretches) for taken in taken_of(day, sorts=True)),
        "answers": len(played.rows),
        "missing": len(expected.to_s) - len(there),
        "doubled": doubled,
        "not_expected": len(extra) - doubled,
        "resampled": int(expected.resampled.sum()),
        "largest_difference": f"{difference.max():.1e}",
        "tolerance": tolerance,
        "above_1e-5": int((difference > CLOSE).sum()),
        **{f"difference_hour_{found['hour']}": found["largest_difference"] for found in hours if found["hour"] in (1, 13, 24)},
        "labels_differ": int(other.sum()),
        "longest_wait_s": f"{max(0.0, wait_s.max()):.2f}",
        "refused": played.said["refused"] if "refused" in played.said else len(played.said["problems"]),
        "seconds": f"{seconds:.0f}",
        "samples_per_s": round(len(day.time_s) / seconds),
        "times_real_time": round(len(day.time_s) / hz / seconds),
        **memory_of(played.said["memory"]),
        "versions": " ".join(f"{name}={version}" for name, version in played.said["versions"].items()),
    }
    return summary, hours, faults_of(day, expected, there, page=page)


def memory_of(memory: list[dict[str, int]]) -> dict[str, str]:
    """Growth in the quiet hours, when nothing that may grow at first grows any more: slope, and the most above its beginning."""
    settled = np.arange(int(24 * QUIET[0] + SETTLED_H), int(24 * QUIET[1]))
    found = {"rss_mb": f"{memory[settled[0]]['rss'] / MB:.1f}"}
    for name in ("rss", "heap", "buffers"):
        if name in memory[0]:
            used = np.array([memory[number][name] for number in settled], dtype=float)
            slope = np.polyfit(settled, used, 1)[0]
            found |= {f"{name}_kb_per_hour": f"{slope / 1000:.1f}", f"{name}_most_growth_mb": f"{(used.max() - used[0]) / MB:.2f}"}
    return found


def faults_of(day: Day, expected: Expected, there: np.ndarray, *, page: bool) -> list[dict[str, Any]]:
    """What happened at each kind of fault: the stretches that it began, and how long until the first answer."""
    begins = np.array([stretch[0] for taken in taken_of(day, sorts=True) for stretch in taken.stretches])
    cutting = [fault for fault in day.faults if fault[0] not in ("lost sample", "jitter", "late burst", "sample twice")]
    blamed = np.searchsorted([at for _, at in cutting], begins, side="right") - 1
    kinds = np.array(["start" if number < 0 else cutting[number][0] for number in blamed])
    first = np.flatnonzero(np.diff(expected.begins, prepend=-1))  # windows that are the first of their stretch
    of = np.searchsorted(begins, expected.begins[first], side="right") - 1
    after_s = expected.to_s[first] - day.time_s[begins[of]]
    came = np.isin(first, there)
    rows = []
    for kind in ("start", *FAULTS):
        own = kinds[of] == kind
        row = {"fault": kind, "count": sum(found == kind for found, _ in day.faults) or 1, "new_stretches": int((kinds == kind).sum())}
        row |= {"long_enough": int(own.sum()), "answered": int((own & came).sum())}
        if (own & came).any():
            found = after_s[own & came]
            row |= {"first_answer_s": f"{np.median(found):.2f}", "earliest_s": f"{found.min():.2f}", "latest_s": f"{found.max():.2f}"}
        rows.append(row)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0, help="of samples; gaps come on top")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle", nargs="+", default=["default", "robust"], help="that come with the project")
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    recordings, data = people(options.seed)
    summaries, hourly, faults = [], [], []
    for hz, source_hz in PHONES.items():
        samples = round(options.hours * 3600 * hz)
        day = live_through(recordings, samples, options.seed, hz=hz)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_day(day, folder)
            for bundle in options.bundle if source_hz is None else options.bundle[:1]:  # the resampler is the same in front of any
                recognizer = load_model(pretrained(bundle))
                given = (folder, pretrained(bundle), len(day.time_s) // 24, source_hz, len(recognizer.labels))
                tolerance = TURNED_CLOSE if recognizer.mounted else recognizer.bundle.manifest["tolerance"]
                with ThreadPoolExecutor() as pool:
                    playing = {engine: pool.submit(play, engine, *given) for engine in ("python", "page")}
                for engine, played in playing.items():
                    page = engine == "page"
                    expected = batch_answers(recognizer, day, source_hz=source_hz, page=page)
                    summary, hours, found = judge(day, expected, played.result(), hz, tolerance, page=page)
                    which = {"data": data, "phone_hz": hz, "bundle": bundle, "engine": engine}
                    summaries.append(which | summary)
                    hourly += [which | row for row in hours]
                    faults += [which | row for row in found]
                    print(", ".join(f"{key} {value}" for key, value in summaries[-1].items()), flush=True)
    common = {"seed": options.seed} | made()
    write_table(options.result, summaries, common)
    for rows, what in ((hourly, "hours"), (faults, "faults")):
        write_table(options.result.with_stem(f"{options.result.stem}_{what}"), rows, common)
    wrong = ("missing", "doubled", "not_expected")
    far = any(float(row["largest_difference"]) > row["tolerance"] for row in summaries)
    return int(far or any(row[name] for row in summaries for name in wrong))


if __name__ == "__main__":
    sys.exit(main())
