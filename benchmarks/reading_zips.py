"""Time and memory of reading a day of six channels at 50 Hz from a zip: an export of Sensor Logger, and one CSV.

    python benchmarks/reading_zips.py [--hours 24]

SYNTHETIC recordings, each read once by `har.recording.read_pieces` in a process of its own, next to one of an hour. Memory is the
most that the process held (``VmHWM``, Linux); the rows that are read at a time bound it (`ReadOptions.chunk_rows`), and an hour does not
fill them. Writes ``results/benchmarks/reading_zips.csv``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # of tests

from paired import Row, row
from tables import made, write_table

from har.contract import SAMPLE_RATE_HZ
from tests.recording.exports import write_long

RESULT = Path("results/benchmarks/reading_zips.csv")
READ = """
import json, sys, time
from har.recording import ReadReport, read_pieces
wall, cpu = time.perf_counter(), time.process_time()
samples = sum(len(piece.time_s) for _, piece in read_pieces(sys.argv[1], ReadReport()))
spent = {"samples": samples, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
peak = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))) / 1024
print(json.dumps(spent | {"peak_mb": peak}))
"""


def measure(hours: float) -> list[Row]:
    """Rows for both forms, each of an hour and of all."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for what, one_table in (("Sensor Logger", False), ("one CSV", True)):
            for length_h in (1.0, hours):
                samples = round(length_h * 3600 * SAMPLE_RATE_HZ)
                path = write_long(Path(folder, "day.zip"), samples, one_table=one_table)
                done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True)  # nosec B603
                found = json.loads(done.stdout)
                assert found["samples"] == samples
                name = f"{what}, zip, {length_h:g} h"
                rows.append(row(f"{name}: time to read", [found["wall_s"]], "s", cpu=[found["cpu_s"]]))
                rows.append(row(f"{name}: peak memory", [found["peak_mb"]], "MB"))
                rows.append(row(f"{name}: size", [path.stat().st_size / 2**20], "MB"))
    return rows


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=24.0, help="of the long recording (default: %(default)s)")
    rows = measure(parser.parse_args().hours)
    for line in rows:
        print(f"{line['measure']:60} {line['median']} {line['unit']}")
    write_table(RESULT, rows, made("numpy"))


if __name__ == "__main__":
    main()
