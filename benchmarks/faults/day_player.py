"""Plays a phone's day to the Python runtime, in a process of its own, whose memory is then that of the runtime; see day_stream.py.

    python benchmarks/faults/day_player.py DAY BUNDLE EVERY [SOURCE_HZ]

Reads what export/web/test/day_stream.mjs reads, and writes the same: rows of delivery, run, start and end of the window, place of the
answer among the labels (-1: unknown) and the probabilities, into ``python_answers.f64``; and, to standard output, JSON.
"""

import gc
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from har.runtime.recognizer import Recognizer, load_model
from tests.runtime.day import App


def play(folder: Path, recognizer: Recognizer, every: int, source_hz: float | None) -> dict[str, object]:
    """Seconds it took, deliveries that were refused at first, and bytes in use after every `every` samples."""
    counts, restarts = np.fromfile(folder / "counts.i32", np.int32).tolist(), np.fromfile(folder / "restarts.u8", np.uint8).tolist()
    app, run, samples, refused, memory = App(recognizer, source_hz), 0, 0, 0, []
    place = {label: number for number, label in enumerate(recognizer.labels)}
    started, process = time.perf_counter(), psutil.Process()
    with (
        open(folder / "time_s.f64", "rb") as times,
        open(folder / "values.f32", "rb") as values,
        open(folder / "python_answers.f64", "wb") as output,
    ):

        def write(answers: list, delivery: int) -> None:
            for answer in answers:
                row = (delivery, run, answer.from_s, answer.to_s, place.get(answer.label, -1), *answer.probabilities)
                output.write(np.array(row, dtype=np.float64).tobytes())

        for delivery, (count, restart) in enumerate(zip(counts, restarts, strict=True)):
            if restart:
                write(app.stream.interrupt(), delivery)
                app, run, refused = App(recognizer, source_hz), run + 1, refused + app.refused
            time_s = np.frombuffer(times.read(8 * count), np.float64)
            write(app.take(time_s, np.frombuffer(values.read(24 * count), np.float32).reshape(-1, 6)), delivery)
            samples += count
            if samples >= (len(memory) + 1) * every:
                gc.collect()
                memory.append({"samples": samples, "rss": process.memory_info().rss})
        write(app.stream.interrupt(), len(counts))
    versions = {"python": sys.version.split()[0], "numpy": np.__version__, "onnxruntime": onnxruntime.__version__}
    return {"seconds": time.perf_counter() - started, "refused": refused + app.refused, "memory": memory, "versions": versions}


if __name__ == "__main__":
    day, bundle, every, *source_hz = sys.argv[1:]
    print(json.dumps(play(Path(day), load_model(bundle), int(every), float(source_hz[0]) if source_hz else None)))
