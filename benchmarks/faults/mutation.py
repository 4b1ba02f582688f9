"""Mutation test: are small mistakes in the parts where a mistake would be silent noticed by the tests?

    python benchmarks/faults/mutation.py [--workers 2] [--every 4] [--tables]

Runs mutmut over splits, audit, metrics, windows and export (``tool.mutmut`` in ``pyproject.toml`` says which files and tests), a changed
operator, number, name or argument at a time. Text of error messages is left alone. A mutant that the type checker or an endless run
catches is caught. Of export, whose tests take longest, every fourth mutant in the order of the code is tried. Writes
``results/tests/mutation.csv`` and ``mutation.md`` with the score of each file, how many of its mutants were tried, and those that survived;
exit code 1 where fewer than 90 % are caught. A run that was stopped leaves what it tried in ``mutants/``; ``--tables`` writes that down.
"""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
from trials import arguments, tables

from har.reporting import markdown

RESULT, MUTANTS = Path("results/tests/mutation.csv"), Path("mutants")
TARGET = 0.9
LIVED, NO_TEST, CAUGHT, SKIPPED = "survived", "no test", "caught", (2, 34)
STATES = {0: LIVED, 5: NO_TEST, 33: NO_TEST}  # any other exit code: a test failed, ran endlessly, or the process went down


def mutants() -> pd.DataFrame:
    """A row per mutant: ``file``, ``name``, ``code`` (missing where it was not tried) and ``state``."""
    rows = [
        {"file": str(path.relative_to(MUTANTS)).removesuffix(".meta"), "name": name, "code": code}
        for path in sorted(MUTANTS.rglob("*.py.meta"))
        for name, code in json.loads(path.read_text())["exit_code_by_key"].items()
    ]
    found = pd.DataFrame(rows, columns=["file", "name", "code"])
    tried = found.code.notna() & ~found.code.isin(SKIPPED)
    return found.assign(state=found.code.map(STATES).fillna(CAUGHT).where(tried))


def main() -> int:
    """Run what is left, print and write the tables."""
    parser = arguments(__doc__, workers=(2, "processes"), every=(4, "which of the mutants of export are tried"))
    parser.add_argument("--tables", action="store_true", help="try nothing; write down what a stopped run tried")
    options = parser.parse_args()
    if not options.tables:
        run = [sys.executable, "-m", "mutmut", "run", "--max-children", str(options.workers)]
        subprocess.run([*run, "har.data.splits*"], check=False)  # nosec B603 # this very Python, no shell; it also writes all mutants
        found = mutants()
        every = found.file.map(lambda name: options.every if "/export/" in name else 1)
        left = found[(found.groupby("file").cumcount() % every == 0) & found.code.isna()]
        subprocess.run([*run, *left.name], check=False)  # nosec B603 # this very Python, no shell
    found = mutants()
    if not found.state.notna().any():
        raise SystemExit(f"mutmut left nothing in {MUTANTS}; run it by hand: mutmut run")
    counts = pd.crosstab(found.file, found.state).reindex(columns=[CAUGHT, LIVED, NO_TEST], fill_value=0)
    counts = counts.reindex(found.file.unique(), fill_value=0)
    counts.insert(0, "mutants", found.groupby("file").size())
    counts.insert(1, "tried", found.groupby("file").state.count())
    share = counts[CAUGHT] / counts.tried
    weighted = (counts.mutants * share).sum() / counts.mutants[counts.tried > 0].sum()
    counts.loc["all"] = counts.sum()
    counts.insert(3, "percent", [f"{100 * row.caught / row.tried:.1f}" if row.tried else "" for row in counts.itertuples()])
    rows = counts.rename_axis("file").reset_index()
    total = rows.iloc[-1]
    print(rows.to_string(index=False))
    tables.write_table(RESULT, rows.to_dict("records"), tables.made("mutmut"))
    text = [
        "# Mutants: small mistakes on purpose, and whether a test noticed\n",
        f"{total.percent} % of the {total.tried} that were tried are caught; at least {100 * TARGET:.0f} % are wanted. Each file's "
        f"share taken for all its mutants: {100 * weighted:.1f} %. Of export at most every {options.every}th is tried.\n",
        markdown(list(rows), rows.astype(str).to_numpy().tolist(), "l"),
        "\nThose that survived; `mutmut show NAME` shows one:\n",
        *(f"- `{name}`" for name in found.name[found.state.isin([LIVED, NO_TEST])]),
        "\nWritten by `python benchmarks/faults/mutation.py`.\n",
    ]
    RESULT.with_suffix(".md").write_text("\n".join(text))
    return int(total.caught < TARGET * total.tried)


if __name__ == "__main__":
    sys.exit(main())
