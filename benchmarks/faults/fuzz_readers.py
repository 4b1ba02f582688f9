"""Damage archives and recordings at random and count how the readers answer.

    python benchmarks/faults/fuzz_readers.py [--cases 2000] [--seed 0]

writes results/reliability/fuzz.csv: a row per kind of damage with the cases tried, refused in one clear line, read with
the content unchanged, read with a content that is still valid (a digit became another digit), and answered wrongly: a
traceback, a message of several lines, or values that break the signal contract. The last number must be zero; the
script ends with exit code 1 where it is not.
"""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from trials import arguments, finish, workplace

from har.data import synthetic, uci_har
from har.data.archives import open_source
from har.errors import HarError
from har.recording import ReadOptions, read_recording, write_csv
from tests.helpers import write_uci_har, zip_folder

ANSWERS = ("refused", "unchanged", "changed_but_valid", "wrong")
Damage = Callable[[bytes, np.random.Generator], bytes]


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


DAMAGES: dict[str, Damage] = {
    "truncated": lambda content, rng: content[: int(rng.integers(0, len(content)))],
    "bytes flipped": flip,
    "bytes inserted": insert,
    "bytes removed": remove,
}


def read_archive(path: Path) -> tuple[str, bool]:
    with open_source(path) as (read_file, _):
        windows = uci_har.read(read_file)
    return windows.digest, bool(np.isfinite(windows.x).all())


def read_csv(path: Path) -> tuple[str, bool]:
    recording = read_recording(path, options=ReadOptions(interpolate_s=0.2))
    valid = bool(np.isfinite(recording.samples).all() and (np.diff(recording.time_s) > 0).all())
    return repr((recording.samples.tobytes(), recording.time_s.tobytes(), recording.labels.tobytes())), valid


def answer(read: Callable[[Path], tuple[str, bool]], path: Path, reference: str) -> str:
    """How a reader answers a damaged file: one of `ANSWERS`."""
    try:
        found, valid = read(path)
    except HarError as error:
        return "refused" if "\n" not in str(error) else "wrong"
    except Exception as error:
        print(f"wrong: {type(error).__name__}: {error}", file=sys.stderr)
        return "wrong"
    return "unchanged" if found == reference else "changed_but_valid" if valid else "wrong"


def main() -> int:
    text = "of each kind of damage to a recording; archives get a fifth"
    options = arguments(__doc__, cases=(2000, text), seed=(0, "of the damage")).parse_args()
    rows: list[dict[str, object]] = []
    with workplace() as folder:
        uci_har.CONTENT_SHA256 = ""  # two subjects are enough here
        write_uci_har(folder / "UCI HAR Dataset", train=(1,), test=(2,))
        archive, recording = zip_folder(folder / "UCI HAR Dataset", folder / "archive.zip"), folder / "recording.csv"
        write_csv(synthetic.generate(1, 0, bout_seconds=2.0), recording)
        sources = (("UCI HAR zip", archive, read_archive, options.cases // 5), ("recording CSV", recording, read_csv, options.cases))
        for source, original, read, cases in sources:
            content, (reference, _), path = original.read_bytes(), read(original), folder / f"damaged{original.suffix}"
            for damage, change in DAMAGES.items():
                rng, counts = np.random.default_rng((options.seed, len(rows))), Counter[str]()
                for _ in range(cases):
                    path.write_bytes(change(content, rng))
                    counts[answer(read, path, reference)] += 1
                rows.append({"source": source, "damage": damage, "cases": cases} | {name: counts[name] for name in ANSWERS})
                print(rows[-1], flush=True)
    return finish("fuzz.csv", rows, "numpy", seed=options.seed)


if __name__ == "__main__":
    sys.exit(main())
