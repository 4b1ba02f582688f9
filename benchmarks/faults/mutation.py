"""Mutation test: are small mistakes in the parts where a mistake would be silent noticed by the tests?

    python benchmarks/faults/mutation.py [--workers 2] [--every 4] [--tables]

Runs mutmut over splits, audit, metrics, windows and export (``tool.mutmut`` in ``pyproject.toml`` says which files and tests), a changed
operator, number, name or argument at a time. Text of error messages is left alone. A mutant that the type checker or an endless run
catches is caught. Of export, whose tests take longest, every fourth mutant in the order of the code is tried. Writes
``results/tests/mutation.csv`` and ``mutation.md`` with the score of each file, how many of its mutants were tried, and those that lived;
exit code 1 where fewer than 90 % are caught. A run that was stopped leaves what it tried in ``mutants/``; ``--tables`` writes that down.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # of tables.py

from tables import made, write_table

from har.reporting import markdown

RESULT = Path("results/tests/mutation.csv")
MUTANTS = Path("mutants")
TARGET = 0.9
LIVED, NO_TEST = "survived", "no test"
STATES = {
    0: LIVED,
    1: "killed",
    3: "killed",
    5: NO_TEST,
    33: NO_TEST,
    36: "endless",
    24: "endless",
    -24: "endless",
    152: "endless",
    255: "endless",
}
CAUGHT = ("killed", "endless", "crashed")  # a mutant that takes the process down is noticed, too


def states(path: Path) -> dict[str, str]:
    """How each mutant of a file ended."""
    codes = json.loads(path.read_text())["exit_code_by_key"]
    return {name: STATES.get(code, "crashed") for name, code in codes.items() if code is not None and code not in (2, 34)}


def chosen(path: Path, every: int) -> list[str]:
    """The mutants of a file that are tried and were not tried before."""
    codes = json.loads(path.read_text())["exit_code_by_key"]
    names = list(codes)[:: every if "export" in path.parts else 1]
    return [name for name in names if codes[name] is None]


def weighted(rows: list[dict[str, int | str]]) -> float:
    """The share that is caught where each file counts by all its mutants; a file of which none was tried does not count."""
    tried = [row for row in rows if row["tried"]]
    return sum(int(row["mutants"]) * int(row["caught"]) / int(row["tried"]) for row in tried) / sum(int(row["mutants"]) for row in tried)


def main() -> int:
    """Run what is left, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--every", type=int, default=4, help="which of the mutants of export are tried (default: %(default)s)")
    parser.add_argument("--tables", action="store_true", help="try nothing; write down what a stopped run tried")
    options = parser.parse_args()
    if not options.tables:
        run = [sys.executable, "-m", "mutmut", "run", "--max-children", str(options.workers)]
        subprocess.run([*run, "har.data.splits*"], check=False)  # nosec B603 # this very Python, no shell; it also writes all mutants
        left = [name for path in sorted(MUTANTS.rglob("*.py.meta")) for name in chosen(path, options.every)]
        subprocess.run([*run, *left], check=False)  # nosec B603 # this very Python, no shell
    every_one = {path: list(json.loads(path.read_text())["exit_code_by_key"]) for path in sorted(MUTANTS.rglob("*.py.meta"))}
    found = {path: states(path) for path, names in every_one.items() if names}
    if not any(found.values()):
        raise SystemExit(f"mutmut left nothing in {MUTANTS}; run it by hand: mutmut run")
    rows: list[dict[str, int | str]] = []
    lived = []
    for path, ended in [*found.items(), (None, {name: state for one in found.values() for name, state in one.items()})]:
        count = Counter(ended.values())
        caught = sum(count[state] for state in CAUGHT)
        name = "all" if path is None else str(path.relative_to(MUTANTS)).removesuffix(".meta")
        percent = f"{100 * caught / len(ended):.1f}" if ended else ""
        written = sum(len(every_one[one]) for one in ([path] if path is not None else found))
        rows.append({"file": name, "mutants": written, "tried": len(ended), "caught": caught, "percent": percent})
        rows[-1] |= {LIVED: count[LIVED], NO_TEST: count[NO_TEST]}
        if path is not None:
            lived += [name for name, state in ended.items() if state not in CAUGHT]
    for row in rows:
        print(f"{row['file']:32} {row['caught']} of {row['tried']} tried, {row['percent']} %; there are {row['mutants']}")
    write_table(RESULT, rows, made("mutmut"))
    text = [
        "# Mutants: small mistakes on purpose, and whether a test noticed\n",
        f"{rows[-1]['percent']} % of the {rows[-1]['tried']} that were tried are caught; at least {100 * TARGET:.0f} % are wanted. Each "
        f"file's share taken for all its mutants: {100 * weighted(rows[:-1]):.1f} %. Of export at most every {options.every}th is tried.\n",
        markdown(rows[0], [row.values() for row in rows]),
        "\nThose that lived; `mutmut show NAME` shows one:\n",
        *(f"- `{name}`" for name in lived),
        "\nWritten by `python benchmarks/faults/mutation.py`.\n",
    ]
    RESULT.with_suffix(".md").write_text("\n".join(text))
    return int(rows[-1]["caught"] < TARGET * rows[-1]["tried"])


if __name__ == "__main__":
    sys.exit(main())
