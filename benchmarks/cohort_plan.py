"""A plan on paper: what it takes to predict a national cohort, 100,000 people who wore a phone for a week, from what was measured.

    python benchmarks/cohort_plan.py

Reads ``results/benchmarks/batch_inference.csv`` and writes ``results/benchmarks/cohort_plan.md``, every line with its arithmetic.
"""

import argparse
import csv
import sys
from pathlib import Path

from har.contract import SAMPLE_RATE_HZ, STRIDE, WINDOW_SIZE
from har.reporting import markdown

MEASURED = Path("results/benchmarks/batch_inference.csv")
RESULT = Path("results/benchmarks/cohort_plan.md")
PEOPLE, DAYS = 100_000, 7
MACHINES, CORES = 10, 64  # of the example
LONG = "24 h"  # the recording whose throughput counts


def read_measured(path: Path) -> dict[str, float]:
    """The medians of the benchmark."""
    with open(path, newline="", encoding="utf-8") as file:
        return {row["measure"]: float(row["median"]) for row in csv.DictReader(file)}


def plan(measured: dict[str, float]) -> list[tuple[str, str, str]]:
    """Lines of the plan: what, how it is reckoned, how much."""
    samples = round(DAYS * 86_400 * SAMPLE_RATE_HZ)
    windows = (samples - WINDOW_SIZE) // STRIDE + 1
    lines = [
        ("samples a person", f"{DAYS} d x 86,400 s x {SAMPLE_RATE_HZ:g} Hz", f"{samples:,}"),
        ("windows a person", f"({samples:,} - {WINDOW_SIZE}) / {STRIDE} + 1, rounded down", f"{windows:,}"),
        ("samples in all", f"{PEOPLE:,} people", f"{samples * PEOPLE:.4g}"),
        ("windows in all", f"{PEOPLE:,} people", f"{windows * PEOPLE:.4g}"),
    ]
    sizes = {"as numbers in memory, 8 B of time and 6 x 4 B": 8 + 6 * 4.0}
    sizes |= {f"as {name}": measured[f"size of a recording, {key}"] for name, key in (("Parquet", "parquet"), ("CSV", "csv"))}
    for name, size in sizes.items():
        each = size * samples
        lines.append((f"recordings, {name}", f"{size:.3g} B a sample: {each / 1e9:.3g} GB a person", f"{each * PEOPLE / 1e12:.3g} TB"))
    each = measured["size of the predictions"] * samples
    what = f"{measured['size of the predictions'] * STRIDE:.3g} B a window: {each / 1e6:.3g} MB a person"
    lines.append(("predictions, Parquet", what, f"{each * PEOPLE / 1e12:.3g} TB"))
    for name, key in (("Parquet", "parquet"), ("CSV", "csv")):
        speed = measured[f"samples per CPU second, {key}, {LONG}"]
        one_s = samples / speed
        hours = one_s * PEOPLE / 3600
        lines.append(
            (f"core hours, {name}", f"{samples:,} / {speed:,.0f} samples a second = {one_s:.0f} s a person", f"{hours:,.0f} core hours")
        )
        wall_s = hours / (MACHINES * CORES) * 3600
        read_gb = measured[f"size of a recording, {key}"] * samples * PEOPLE / 1e9
        lines += [
            (f"on {MACHINES} machines of {CORES} cores, {name}", f"core hours / {MACHINES * CORES}", f"{wall_s / 3600:.2g} h"),
            (f"read from storage meanwhile, {name}", "size of the recordings / that time", f"{read_gb / wall_s:.3g} GB/s in all"),
        ]
    memory = measured[f"peak memory of a process, parquet, {LONG}"]
    lines.append(("memory of a machine", f"{CORES} processes x {memory:.0f} MB", f"{memory * CORES / 1e3:.3g} GB"))
    skip = measured["CPU time of a recording that is done already"]
    lines.append(("a second run that finds all done", f"{PEOPLE:,} x {1e3 * skip:.2g} ms, on one core", f"{skip * PEOPLE / 60:.2g} min"))
    lost = CORES * samples / measured[f"samples per CPU second, parquet, {LONG}"]
    lines.append(("lost with a machine, at most", f"{CORES} recordings in work", f"{lost / 3600:.2g} core hours"))
    return lines


def main() -> None:
    """Write the plan."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    options = parser.parse_args()
    text = markdown(("what", "reckoned from", "how much"), plan(read_measured(MEASURED)), "l")
    options.output.write_text(
        f"Reckoned by `python benchmarks/cohort_plan.py` from [batch_inference.csv]({MEASURED.name}), which says when and where it was "
        f"measured.\n\n{text}\n",
        encoding="utf-8",
    )
    print(f"{text}\nwrote {options.output}")


if __name__ == "__main__":
    sys.exit(main())
