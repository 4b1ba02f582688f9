"""Reports: tables as Markdown and as CSV files, in which no text is a formula and every number is as it was, and the footer."""

from pathlib import Path

import pandas as pd
import pytest

from har.reporting import footer, markdown, spread, write_table


def test_texts_are_no_formulas_and_numbers_stay(tmp_path: Path) -> None:
    one = pd.DataFrame({"run": ["=A", '+"b",c', None], "x": [-1.5, 2, float("nan")], "n": [-1, 2, 3], "mixed": [-1, "-z", True]})
    table = pd.concat([one, one.assign(run=["\tt", "@", "-2"])])
    path = write_table(table.rename(columns={"mixed": "-m"}), tmp_path / "below/t.csv", "%.2f")
    assert path.read_text() == (
        "run,x,n,'-m\n'=A,-1.50,-1,-1\n\"'+\"\"b\"\",c\",2.00,2,'-z\n,,3,True\n'\tt,-1.50,-1,-1\n'@,2.00,2,'-z\n-2,,3,True\n"
    )


def test_of_harmless_tables_nothing_changes(tmp_path: Path) -> None:
    results = Path(__file__).parents[1] / "results"
    paths = sorted(results.rglob("*.csv"))
    assert len(paths) > 50
    for path in paths:
        table = pd.read_csv(path)
        written = write_table(table, tmp_path / "t.csv").read_text()
        assert written == table.to_csv(index=False, float_format="%.6f", lineterminator="\n"), path


def test_a_table_as_markdown() -> None:
    rows = [("gru", 1.50, ""), ("a long name", "2", "x")]
    assert (
        markdown(("run", "score", "score"), rows) == "| run | score | score |\n|---|---:|---:|\n| gru | 1.5 |  |\n| a long name | 2 | x |"
    )
    assert markdown(("run", "n", "what"), rows[1:], "lrl").splitlines()[1] == "|---|---:|---|"
    padded = markdown(("run", "n", "what"), rows, padded=True).splitlines()
    assert padded[0] == "| run         | n   | what |"
    assert padded[1] == "| ----------- | --- | ---- |"
    assert len({len(line) for line in padded}) == 1


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((91.666, 2.357), "91.67 ± 2.36"),
        ((91.666, float("nan")), "91.67"),
        ((None,), "-"),
        ((float("nan"), 1.0, ".1f", "not opened"), "not opened"),
        ((1.25, 0.5, "+.1f"), "+1.2 ± 0.5"),
    ],
)
def test_a_mean_and_its_deviation(given: tuple, text: str) -> None:
    assert spread(*given) == text


def test_a_footer_names_command_commits_and_versions() -> None:
    first, second, rest = footer("har sweep x.yaml", " Seeds: 0, 1.", trained=["b", "a", "b"]).split("\n")
    assert first.startswith("Written by `har sweep x.yaml` on 20")
    assert first.endswith("; trained at commit a, b. Seeds: 0, 1.")
    assert second.startswith("Versions: python 3.")
    assert not rest
