"""What a person waits for, and what a device holds: the command from its start to its end, and the peak memory of a stream.

    python benchmarks/startup.py [--runs 15] [--minutes 10]

Each command is a new process, files in the page cache: ``har --help``; ``har predict`` on one minute of a SYNTHETIC recording, with the
bundle that comes with the project, whose files are checked and whose golden windows are answered first; and, to see what of that is
Python's, a process that does nothing and one that imports numpy and onnxruntime. ``import har`` is compared with ``import numpy``. Mistakes
in a path, a name, a value of a config and a selection of runs, each until its message is printed, in a folder without runs. Ways are timed
one after the other in each round. The runtime of a stream is a process with numpy and onnxruntime alone: it opens the bundle and takes
minutes of samples in half seconds; its memory is the largest it ever held (``VmHWM``, Linux). Writes ``results/benchmarks/startup.csv``.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from paired import Measured, Row, Spent, in_child, python_json, ratio, rounds, row, seconds, show
from tables import write_table

from har.contract import SAMPLE_RATE_HZ
from har.data import synthetic
from har.recording import Recording, write_csv

RESULT = Path("results/benchmarks/startup.csv")
HELP, PREDICT = "har --help", "har predict on a recording of one minute"
NOTHING, IMPORTS = "Python that does nothing", "Python that imports numpy and onnxruntime"
PACKAGE, NUMPY = "Python that imports har", "Python that imports numpy"
MISTAKES = {  # words behind har
    "mistake: har sweep, no such file": ["sweep", "nope.yaml"],
    "mistake: har train, no such model": ["train", "--model", "grru"],
    "mistake: har train, no such value": ["train", "--dataset", "synthetic", "--model", "gru", "--epochs", "0"],
    "mistake: har evaluate, no such run": ["evaluate", "--dataset", "synthetic", "--runs", "no-runs"],
}
ALLOWED_MB = 120  # peak memory of a stream
STREAM = """
import json, sys
import numpy as np
from har.runtime.bundle import pretrained
from har.runtime.recognizer import load_model
def peak_mb():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))) / 1024
found = {"start_mb": peak_mb()}
stream = load_model(pretrained()).open_stream()
found["open_mb"] = peak_mb()
samples, answers = np.load(sys.argv[1]), 0
for _ in range(int(sys.argv[2])):
    for first in range(0, len(samples), 25):
        answers += len(stream.push(samples[first : first + 25]))
found |= {"peak_mb": peak_mb(), "answers": answers, "torch": "torch" in sys.modules}
print(json.dumps(found))
"""
COMMAND = """
import contextlib, io, json, sys
from har.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    main(["predict", sys.argv[1]])
print(json.dumps(int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))) / 1024))
"""


def one_minute() -> Recording:
    """A SYNTHETIC recording of one minute, at rest and in motion."""
    return synthetic.generate(1, 0, bout_seconds=12.0).part(0, round(60 * SAMPLE_RATE_HZ))


def commands(recording: Path) -> dict[str, list[str]]:
    """What is typed, by name."""
    har = [sys.executable, "-m", "har"]
    return {
        HELP: [*har, "--help"],
        PREDICT: [*har, "predict", str(recording)],
        NOTHING: [sys.executable, "-c", ""],
        IMPORTS: [sys.executable, "-c", "import numpy, onnxruntime"],
        PACKAGE: [sys.executable, "-c", "import har"],
        NUMPY: [sys.executable, "-c", "import numpy"],
    }


def mistake(words: list[str]) -> Spent:
    """Time a command that ends with a message and exit code 2."""
    return in_child([sys.executable, "-m", "har", *words], code=2)


def stream_memory(samples: Path, minutes: int) -> dict[str, float]:
    """Peak memory in MB of a process that streams: at its start, with the bundle open, and at its end.

    Raises:
        RuntimeError: it gave no answers, or loaded torch.
    """
    found = python_json("-c", STREAM, samples, minutes)
    if not found["answers"] or found["torch"]:
        raise RuntimeError(f"the stream gave {found['answers']} answers, torch loaded: {found['torch']}; expected answers without torch")
    return found


def measure(runs: int, minutes: int) -> list[Row]:
    """The whole table."""
    recording = one_minute()
    with tempfile.TemporaryDirectory() as name:
        path, samples = Path(name) / "minute.csv", Path(name) / "minute.npy"
        write_csv(recording, path)
        np.save(samples, recording.samples)
        ways = {what: (lambda command=command: in_child(command)) for what, command in commands(path).items()}
        ways |= {what: (lambda words=words: mistake(words)) for what, words in MISTAKES.items()}
        times = rounds(ways, runs)
        few = range(max(1, runs // 5))  # it hardly varies
        memory = [stream_memory(samples, minutes) for _ in few]
        predict_mb = [python_json("-c", COMMAND, path) for _ in few]
    return [
        seconds(times, HELP, "< 0.4"),
        seconds(times, PREDICT, "< 1.0"),
        *(seconds(times, what, "< 1.0") for what in MISTAKES),
        seconds(times, NOTHING),
        seconds(times, IMPORTS),
        seconds(times, NUMPY),
        ratio(times, PACKAGE, NUMPY, target="< 1.5"),
        row("peak memory of a stream, numpy and onnxruntime alone", [found["peak_mb"] for found in memory], "MB", f"< {ALLOWED_MB}"),
        row("of it, when the bundle is open", [found["open_mb"] for found in memory], "MB"),
        row(f"peak memory, {PREDICT}", predict_mb, "MB"),
    ]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15, help="rounds (default: %(default)s)")
    parser.add_argument("--minutes", type=int, default=10, help="of the stream (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    options = parser.parse_args()
    measured = Measured("numpy", "onnxruntime")
    table = measure(options.runs, options.minutes)
    show(table)
    write_table(options.output, table, measured.stamp())


if __name__ == "__main__":
    sys.exit(main())
