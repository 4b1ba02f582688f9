import ast
import pickle
import re
from pathlib import Path

import pytest

from har.cli import main
from har.errors import CODES, HarError, nearest
from har.files import CannotWriteError

ROOT = Path(__file__).parents[1]


def raised_codes() -> list[tuple[str, str]]:
    """Every code that the sources give a `HarError`, and where."""
    found = []
    for folder in ("har", "research", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "HarError":
                    code, message = node.args  # both by position, or this fails
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    assert isinstance(message, ast.expr)
                    assert isinstance(code, ast.Constant | ast.Attribute), where
                    if isinstance(code, ast.Constant):
                        found.append((str(code.value), where))
    return found


def test_every_error_has_a_code_of_the_table_and_every_code_is_used() -> None:
    found = raised_codes()
    assert len(found) > 300
    assert [(code, where) for code, where in found if code not in CODES] == []
    assert set(CODES) - {code for code, _ in found} == set()


def test_the_page_lists_every_code() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", page, re.MULTILINE)) == CODES


def test_an_error_is_its_message_and_survives_the_way_between_processes() -> None:
    error = HarError("leak", "subject 3 is in train and in test")
    back = pickle.loads(pickle.dumps(error))
    assert (str(back), back.code) == (str(error), error.code) == ("subject 3 is in train and in test", "leak")
    full = pickle.loads(pickle.dumps(CannotWriteError("the disk is full", OSError(28, "No space left"))))
    assert (str(full), full.code, full.cause.errno) == ("the disk is full", "file", 28)


def test_the_command_line_prints_the_code(capsys: pytest.CaptureFixture[str], workplace: Path) -> None:
    assert main(["verify", "--bundle", "mine"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("har: no bundle at mine")
    assert said.endswith(" [bundle-missing]\n")
    assert main(["predict", "--axess", "x,y,z"]) == 2
    assert capsys.readouterr().err.endswith(" [argument]\n")


def test_nearest_names_the_nearest_and_all() -> None:
    assert nearest("lsmt", ["gru", "lstm"]) == "did you mean 'lstm'? valid: gru, lstm"
    assert nearest("zzz", ["gru", "lstm"]) == "valid: gru, lstm"
