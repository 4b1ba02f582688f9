"""The house as a whole: the directions between rooms, and documents that say what is true."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from har.evaluation.metrics import scores
from har.evaluation.predictions import Predictions, collect
from har.models.registry import model_names
from har.runs.comparison import summary, summary_markdown
from har.runs.ledger import COLUMNS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "uci_har"


@pytest.fixture(scope="module")
def predictions() -> list[Predictions]:
    return collect(RESULTS / "predictions")


@pytest.fixture(scope="module")
def table(predictions: list[Predictions]) -> pd.DataFrame:
    return summary(predictions)


def test_rooms_import_only_from_floors_below() -> None:
    script = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_the_results_are_recomputed_from_the_predictions(table: pd.DataFrame) -> None:
    """No number of the table was typed: it comes out of the committed prediction files."""
    text = summary_markdown(table)
    assert (RESULTS / "comparison.md").read_text().startswith(text)
    assert text in (ROOT / "README.md").read_text(), "copy the table of results/uci_har/comparison.md into the README"


def test_the_intervals_of_the_readme_are_those_of_the_comparison() -> None:
    measured = {}
    for line in (RESULTS / "comparison.md").read_text().split("## Test subjects, with peers")[1].split("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 8 and cells[2].replace(",", "").isdecimal():
            measured[cells[0]] = (cells[5], cells[6], cells[2])
    names = {
        "**dilated_cnn**": "dilated_cnn-refit",
        "cnn1d": "cnn1d-refit",
        "MultiRocket-Hydra (aeon)": "multirocket_hydra",
        "MiniRocket (aeon)": "minirocket",
        "SVM on catch24 features": "svm_catch24",
    }
    readme = (ROOT / "README.md").read_text()
    for shown, run in names.items():
        assert f"| {shown} | {' | '.join(measured[run])} |" in readme


@pytest.mark.parametrize("name", model_names(role="comparison"))
def test_every_model_has_its_row_of_five_seeds_above_the_bar(name: str, table: pd.DataFrame) -> None:
    row = table.set_index("run").loc[f"{name}-refit"]
    assert row.test_seeds >= 5
    assert row.validation_seeds >= 1  # cross-validated
    assert row.validation_macro_f1_mean >= 0.92


@pytest.mark.parametrize("name", model_names(role="comparison"))
def test_every_config_opens_with_its_measured_score(name: str, table: pd.DataFrame) -> None:
    row = table.set_index("run").loc[f"{name}-refit"]
    head = (ROOT / "configs" / f"{name}.yaml").read_text().split("data:")[0]
    assert f"macro-F1 {100 * row.validation_macro_f1_mean:.1f} % cross-validated" in head
    assert f"{100 * row.test_macro_f1_mean:.1f} ± {100 * row.test_macro_f1_sd:.1f} % on the test subjects" in head
    assert f"{row.parameters:,} parameters" in head


def test_every_scored_weight_stands_in_the_ledger(predictions: list[Predictions]) -> None:
    with open(RESULTS / "test_openings.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    opened = {(row["checkpoint_sha256"], row["macro_f1"]) for row in rows}
    assert not any(row["commit"].endswith("-dirty") for row in rows)
    for item in predictions:
        if item.origin.split == "test":
            assert (item.origin.checkpoint_sha256, f"{scores(item)['macro_f1']:.6f}") in opened


def test_the_readme_names_only_what_exists() -> None:
    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for line in re.findall(r"^make (.+)$", text, re.MULTILINE):
        for word in re.sub(r"#.*", "", line).split():
            assert "=" in word or word in targets, f"make {word}"
    for path in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / path).exists(), path


def test_the_documents_name_only_files_that_exist() -> None:
    """Not those that a reader is to write, nor those of the placeholders in capitals."""
    named = re.compile(
        r"(?<![\w./-])((?:har|tests|benchmarks|research|configs|docs|export|notebooks|deploy)/[\w./-]*\w\.(?:py|yaml|md|ipynb|png|svg|js|txt))\b"
    )
    documents = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        ROOT / "export/README.md",
        *(ROOT / "docs").glob("*.md"),
    ]
    found = {(document.name, path) for document in documents for path in named.findall(document.read_text())}
    assert len(found) > 30
    assert not [one for one in found if not (ROOT / one[1]).exists() and not re.search("my_model|my_task|[A-Z]{4}", Path(one[1]).stem)]


def test_the_changelog_and_citation_know_the_version() -> None:
    import har

    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == har.__version__
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()


def test_every_installed_version_is_pinned_and_torch_has_no_local_label() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", line) for line in lines)
    assert any(line.startswith("torch==") for line in lines)


def test_the_package_is_typed() -> None:
    assert (ROOT / "har" / "py.typed").is_file()


def test_the_documentation_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    index = (tmp_path / "site" / "index.html").read_text()
    assert "Two commands" in index
    reference = (tmp_path / "site" / "reference" / "data" / "index.html").read_text()
    assert "har.data.loaders.DataSet" in reference
    for path in (tmp_path / "site").rglob("*.html"):
        for found in re.findall(r'(?:src|href)="((?!https?:|#|data:|mailto:)[^"#?]+)', path.read_text()):
            place = (path.parent / found) if not found.startswith("/") else tmp_path / "site" / found.lstrip("/")
            assert place.exists(), f"{path.relative_to(tmp_path)} names {found}"
