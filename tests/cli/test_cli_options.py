"""An option has one name and one meaning in all commands; old names work, and name the new one."""

import argparse
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from har.cli import main
from har.cli.parser import RENAMED, Names, build_parser, current
from har.config import RunConfig

ROOT = Path(__file__).parents[2]
TWO_MEANINGS = {  # options whose help differs between commands, each with the reason
    "--model": "train takes models, the other commands take runs, which are named by their model",
    "--output": "what a command writes; each writes something else",
}
NO_OPTIONS = {
    "PYTHON",
    "SCRIPT",
    "STUDY",
}  # variables of make for what har has no option: an interpreter, a script, and sweep's file by name


def commands(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """All commands by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, command in action.choices.items():
                yield from commands(command, f"{name} {word}".strip())
    if name and not parser._subparsers:
        yield name, parser


def meaning(action: argparse.Action) -> tuple[object, ...]:
    choices = None if isinstance(action.choices, Names) else tuple(action.choices or ())
    return action.metavar, choices, str(action.help).split(" (default")[0]


def shared() -> dict[str, dict[tuple[object, ...], list[str]]]:
    """Commands by option and by what the option means there."""
    found: dict[str, dict[tuple[object, ...], list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, command in commands(build_parser()):
        for action in command._actions:
            for option in action.option_strings:
                found[option][meaning(action)].append(name)
    return found


def test_an_option_means_the_same_in_all_commands() -> None:
    found = {option: list(meanings.values()) for option, meanings in shared().items() if len(meanings) > 1}
    assert {option: places for option, places in found.items() if option not in TWO_MEANINGS} == {}
    assert set(TWO_MEANINGS) == set(found), "list no option that has one meaning"


def test_a_variable_of_make_is_an_option() -> None:
    variables = re.findall(r"^([A-Z]+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(variables) > 10
    assert {name for name in variables if f"--{name.lower()}" not in shared()} == NO_OPTIONS


def test_a_config_key_with_an_option_has_its_name() -> None:
    rows = re.findall(r"^\| [^|]+ \| `(--[a-z-]+).*?\| `([a-z_.]+)` \|$", (ROOT / "docs" / "options.md").read_text(), re.MULTILINE)
    assert len(rows) > 10
    for option, key in rows:
        assert option in shared()
        content = RunConfig.model_validate({"data": {"validation_subjects": [5]}, "model": {"name": "gru"}}).model_dump()
        for word in key.split("."):
            content = content[word]  # no KeyError


OLD = [(command, old, new) for command, names in RENAMED.items() for old, new in names.items()]


@pytest.mark.parametrize(("command", "old", "new"), OLD)
def test_an_old_name_works_and_names_the_new_one(command: str, old: str, new: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--quiet", *command.split(), "--runs", "x"] if command == "train" else command.split()
    positional = old == "BUNDLE"
    given = [*words, "value"] if positional else [*words, old, "test"]
    wanted = [*words, new, "value" if positional else "test"]
    assert current(wanted) == wanted
    assert capsys.readouterr().err == ""
    if not positional:
        assert current(given) == wanted
        assert capsys.readouterr().err == f"har: {old} is now {new}; the old name goes with the next release\n"
        assert current([*words, f"{old}=test"]) == [*words, f"{new}=test"]
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    assert (old if positional else f"{old} ") not in capsys.readouterr().out.replace("\n", " \n")


def test_an_old_name_and_a_mistake_are_two_lines(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, old, problem in (
        ("evaluate --dataset synthetic --split test", "--split is now --part", "no finished run"),
        ("export --dataset synthetic --bundle b", "--bundle is now --output", "no finished run"),
        ("compare --report b", "--report is now --output", "no prediction files"),
        ("train --dataset synthetic --split file --split-file b", "--split-file is now --split-path", "cannot read the split b"),
        ("verify nowhere", "BUNDLE is now --bundle", "no bundle at nowhere"),
    ):
        assert main(command.split()) == 2
        first, second = capsys.readouterr().err.splitlines()
        assert first == f"har: {old}; the old name goes with the next release"
        assert problem in second


def documented() -> list[tuple[str, str, str]]:
    text = (ROOT / "docs" / "options.md").read_text().split("## Old names")[1]
    return re.findall(r"^\| `(.+?)` \| `(.+?)` \| `(.+?)` \|$", text, re.MULTILINE)


def test_the_old_names_are_documented() -> None:
    assert [row for row in documented() if row[0].startswith("har ")] == [(f"har {command}", old, new) for command, old, new in OLD]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(("target", "old", "new"), [row for row in documented() if row[0].startswith("make")])
def test_an_old_variable_of_make_works_and_names_the_new_one(target: str, old: str, new: str) -> None:
    goal = {"DATA": "compare", "SPLIT": "evaluate", "REPORT": "compare", "NAME": "experiment", "ROW": "bench"}.get(old, "export")

    def plan(variable: str) -> subprocess.CompletedProcess[str]:
        words = ["make", "--dry-run", "--old-file", ".venv/.installed", goal, f"{variable}=value"]
        return subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)

    before, today = plan(old), plan(new)
    assert "value" in today.stdout
    assert before.stdout == today.stdout
    assert today.stderr == ""
    assert re.fullmatch(rf"Makefile:\d+: {old} is now {new}; the old name goes with the next release\n", before.stderr)
