"""Damage archives and recordings at random and count how the readers answer.

    python benchmarks/faults/fuzz_readers.py [--cases 2000] [--seed 0]

writes results/reliability/fuzz.csv: a row per kind of damage with the cases tried, refused in one clear line, read with
the content unchanged, read with a content that is still valid (a digit became another digit), and answered wrongly: a
traceback, a message of several lines, or values that break the signal contract. The last number must be zero; the
script ends with exit code 1 where it is not.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # of tables.py
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # of tests

from tables import made, write_table

from har.contract import HarError
from har.data import synthetic, uci_har
from har.data.archives import open_source
from har.recording import read_recording, write_csv
from tests.helpers import write_uci_har, zip_folder

RESULT = Path("results/reliability/fuzz.csv")
ANSWERS = ("refused", "unchanged", "changed_but_valid", "wrong")
Damage = Callable[[bytes, np.random.Generator], bytes]


def truncate(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(0, len(content)))]


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for position in rng.integers(0, len(content), size=int(rng.integers(1, 8))):
        changed[position] ^= int(rng.integers(1, 256))
    return bytes(changed)


def insert(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, len(content)))
    return content[:at] + rng.integers(0, 256, size=int(rng.integers(1, 64)), dtype=np.uint8).tobytes() + content[at:]


def remove(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, len(content)))
    return content[:at] + content[at + int(rng.integers(1, 64)) :]


DAMAGES: dict[str, Damage] = {"truncated": truncate, "bytes flipped": flip, "bytes inserted": insert, "bytes removed": remove}


def read_archive(path: Path) -> tuple[str, bool]:
    with open_source(path) as (read_file, _):
        windows = uci_har.read(read_file)
    return windows.digest, bool(np.isfinite(windows.x).all())


def read_csv(path: Path) -> tuple[str, bool]:
    recording = read_recording(path, interpolate_s=0.2)
    valid = bool(np.isfinite(recording.samples).all() and (np.diff(recording.time_s) > 0).all())
    return repr((recording.samples.tobytes(), recording.time_s.tobytes(), recording.labels.tobytes())), valid


def try_one(read: Callable[[Path], tuple[str, bool]], path: Path, reference: str) -> str:
    try:
        found, valid = read(path)
    except HarError as error:
        return "refused" if "\n" not in str(error) else "wrong"
    except Exception as error:
        print(f"wrong: {type(error).__name__}: {error}", file=sys.stderr)
        return "wrong"
    if found == reference:
        return "unchanged"
    return "changed_but_valid" if valid else "wrong"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000, help="of each kind of damage to a recording; archives get a fifth")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uci_har.COUNTS = {}  # two people are enough here
        write_uci_har(folder / "UCI HAR Dataset", train=(1,), test=(2,))
        archive = zip_folder(folder / "UCI HAR Dataset", folder / "archive.zip")
        recording = folder / "recording.csv"
        write_csv(synthetic.generate(1, 0, bout_seconds=2.0), recording)
        for source, original, read, cases in (
            ("UCI HAR zip", archive, read_archive, options.cases // 5),
            ("recording CSV", recording, read_csv, options.cases),
        ):
            content, (reference, _) = original.read_bytes(), read(original)
            for damage, change in DAMAGES.items():
                rng = np.random.default_rng((options.seed, len(rows)))
                counts: Counter[str] = Counter()
                path = folder / f"damaged{original.suffix}"
                for _ in range(cases):
                    path.write_bytes(change(content, rng))
                    counts[try_one(read, path, reference)] += 1
                print(source, damage, dict(counts))
                row = {"source": source, "damage": damage, "cases": cases} | {answer: counts[answer] for answer in ANSWERS}
                rows.append(row | {"seed": options.seed})
    write_table(RESULT, rows, made("numpy"))
    return int(any(row["wrong"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
