"""Tables as CSV files, in which no text is a formula and every number is as it was."""

from pathlib import Path

import pandas as pd

from har.runs.provenance import write_table


def test_texts_are_no_formulas_and_numbers_stay(tmp_path: Path) -> None:
    one = pd.DataFrame({"run": ["=A", '+"b",c', None], "x": [-1.5, 2, float("nan")], "n": [-1, 2, 3], "mixed": [-1, "-z", True]})
    table = pd.concat([one, one.assign(run=["\tt", "@", "-2"])])
    path = write_table(table.rename(columns={"mixed": "-m"}), tmp_path / "below/t.csv", "%.2f")
    assert path.read_text() == (
        "run,x,n,'-m\n'=A,-1.50,-1,-1\n\"'+\"\"b\"\",c\",2.00,2,'-z\n,,3,True\n'\tt,-1.50,-1,-1\n'@,2.00,2,'-z\n-2,,3,True\n"
    )


def test_of_harmless_tables_nothing_changes(tmp_path: Path) -> None:
    results = Path(__file__).parents[2] / "results"
    paths = sorted(results.rglob("*.csv"))
    assert len(paths) > 50
    for path in paths:
        table = pd.read_csv(path)
        written = write_table(table, tmp_path / "t.csv").read_text()
        assert written == table.to_csv(index=False, float_format="%.6f", lineterminator="\n"), path
