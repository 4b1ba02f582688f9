"""Answers for machines, silence, completion, and what the doctor says."""

import argparse
import ast
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from har.cli import doctor, main
from har.cli.output import _plain, loading, progress
from har.cli.parser import build_parser
from har.data import synthetic
from har.recording import write_csv
from har.runtime.bundle import pretrained

SMALL = """
data: {dataset: synthetic, validation_subjects: [5, 15, 25, 30]}
model: {name: cnn1d, options: {width: 8, depth: 2}}
training: {epochs: 1, threads: 1}
"""


@pytest.fixture
def trained(workplace: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    Path("small.yaml").write_text(SMALL)
    assert main(["train", "--config", "small.yaml", "--json"]) == 0
    said = capsys.readouterr()
    assert "no leak found" in said.err
    (run,) = json.loads(said.out)
    return run


def test_answers_as_json(trained: dict, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained["run"] == "small"
    assert 0 <= trained["validation"] <= 1

    def ask(*words: str) -> dict | list:
        assert main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    (scored,) = ask("evaluate", "--dataset", "synthetic")
    assert scored["macro_f1"] == pytest.approx(trained["validation"], abs=1e-6)
    assert scored["synthetic"] is True
    assert [row["subject"] for row in scored["per_subject"]] == [5, 15, 25, 30]
    table = ask("compare", "--dataset", "synthetic")
    assert isinstance(table, dict)
    assert table["runs"][0]["accuracy"] == pytest.approx(scored["accuracy"], abs=1e-6)
    prepared = ask("data", "prepare", "--dataset", "synthetic")
    assert isinstance(prepared, dict)
    assert len(prepared["subjects"]) == 30
    exported = ask("export", "--dataset", "synthetic", "--output", "bundle")
    assert isinstance(exported, dict)
    assert exported["largest_difference"] < 1e-5
    verified = ask("verify", "--bundle", "bundle")
    assert isinstance(verified, dict)
    assert verified["golden"] > 0


def test_a_prediction_as_json_and_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.csv"
    write_csv(synthetic.generate(3, 0, bout_seconds=8.0), path)
    command = ["predict", str(path), "--bundle", str(pretrained()), "--output", str(tmp_path / "out.csv")]
    assert main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["windows"] == len((tmp_path / "out.csv").read_text().splitlines()) - 1
    assert set(said["spans"][0]) == {"from_s", "to_s", "activity", "confidence"}
    assert main([*command, "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    assert main(["predict", str(tmp_path / "none.csv"), "--quiet"]) == 2
    assert "none.csv" in capsys.readouterr().err  # errors are told all the same


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_long_import_is_announced_on_a_terminal_and_erased(terminal: bool, quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with loading(argparse.Namespace(quiet=quiet, json=False)):
        pass
    assert ("Loading" in stream.getvalue()) == (terminal and not quiet)
    assert not terminal or quiet or stream.getvalue().endswith("\033[2K")  # erase the line


def test_what_is_printed_during_a_bar_stays_on_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm")
    with progress(argparse.Namespace(quiet=False), "Scoring [all]", 2) as step:
        step()
        print("a score")
    assert out.getvalue() == "a score\n"
    assert "Scoring [all]" in err.getvalue()
    assert "1/2" in err.getvalue()


def test_json_has_no_word_for_what_is_no_number() -> None:
    assert _plain({"a": float("nan"), 1: np.float32(0.5), "p": Path("x"), "l": (np.int64(3), [float("inf")])}) == {
        "a": None,
        "1": 0.5,
        "p": "x",
        "l": [3, [None]],
    }


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_names_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("train", "evaluate", "explain", "dashboard"):
        assert word in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "har.sh").write_text(capsys.readouterr().out)
    ask = 'source har.sh; COMP_WORDS=(har eva); COMP_CWORD=1; COMP_LINE="har eva"; COMP_POINT=7; _shtab_har; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", ask], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["evaluate"]


def test_the_doctor_says_what_is_there(workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["doctor", "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["torch"]["state"] == "ok"
    assert found["uci-har"] == {
        "area": "data",
        "name": "uci-har",
        "state": "missing",
        "text": "not here",
        "fix": "har data prepare --dataset uci-har, with --archive PATH for a copy at hand",
    }
    assert found["MLflow store"]["text"].endswith("made by the first training")
    assert found["pretrained"]["state"] == "ok"
    monkeypatch.setenv("HAR_DATA_DIR", str(workplace / "nowhere"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    Path("export/bundle").mkdir(parents=True)
    Path("export/bundle/manifest.json").write_text("{")
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "PROBLEM uci-har" in text
    assert "nowhere, which is not a folder" in text
    assert "PROBLEM your bundle" in text
    assert "cannot open the MLflow store" in text
    assert "secret" not in text
    assert text.rstrip().endswith("need something")
    manifest = json.loads((pretrained() / "manifest.json").read_text()) | {"models": [1]}
    Path("export/bundle/manifest.json").write_text(json.dumps(manifest))
    assert main(["doctor"]) == 0
    assert "export/bundle/manifest.json has another structure than format 2" in capsys.readouterr().out


def test_the_doctor_works_where_nothing_is_installed(tmp_path: Path) -> None:
    """As on a device: numpy and onnxruntime alone."""
    code = f"""
import sys
from importlib.abc import MetaPathFinder
blocked = {("torch", "pytorch_lightning", "mlflow", "pandas", "sklearn", "pydantic", "yaml", "psutil", "filelock", "scipy")!r}
class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Blocked())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in blocked else found(name, package)
from har.cli import main
sys.exit(main(["doctor"]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "pretrained" in done.stdout


def test_a_problem_is_counted() -> None:
    found = [doctor.Finding("data", "a", doctor.OK, "there"), doctor.Finding("data", "b", doctor.MISSING, "not there", "get it")]
    assert doctor.report(found).splitlines() == ["data", "  ok      a  there", "  MISSING b  not there; get it", "1 of 2 need something"]


def test_every_command_takes_json_and_quiet() -> None:
    for words in (["evaluate"], ["data", "prepare"], ["track", "push"], ["doctor"]):
        options = build_parser().parse_args([*words, "--json", "--quiet"])
        assert options.json
        assert options.quiet


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "one.csv"
    write_csv(synthetic.generate(3, 0, bout_seconds=8.0), path)
    return path


def har(*words: object, stdout: Any = subprocess.PIPE, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "har", *map(str, words)]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120, cwd=cwd)


def test_rows_on_standard_output_can_be_piped(recording: Path, tmp_path: Path) -> None:
    assert har("predict", recording, "--output", "rows.csv", "--quiet", cwd=tmp_path).returncode == 0
    rows = (tmp_path / "rows.csv").read_text()
    done = har("predict", recording, "--output", "/dev/stdout", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, rows)
    assert "minutes: " in done.stderr  # what is for people is not among the rows
    with open(tmp_path / "all.txt", "a") as file:
        file.write("before\n")
        file.flush()
        assert har("predict", recording, "--output", "/dev/stdout", stdout=file, cwd=tmp_path).returncode == 0
    assert (tmp_path / "all.txt").read_text() == f"before\n{rows}"
    with_json = har("predict", recording, "--output", "/dev/stdout", "--json", cwd=tmp_path)
    assert (with_json.returncode, with_json.stdout) == (2, "")
    shell = f"{sys.executable} -m har predict {recording} --output /dev/stdout 2> errors.txt | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", shell], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, rows.split("\n")[0] + "\n")
    assert "har:" not in (tmp_path / "errors.txt").read_text()


def test_no_command_writes_onto_its_input(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link.csv").symlink_to(recording)
    bundle = tmp_path / "bundle"
    shutil.copytree(pretrained(), bundle)
    Path("folder").symlink_to(bundle)
    before = {path: path.read_bytes() for path in (recording, *bundle.iterdir())}
    for output in (recording, "one.csv", "none/../one.csv", "link.csv", "bundle/manifest.json", "folder/model.onnx"):
        assert main(["predict", str(recording), "--bundle", str(bundle), "--output", str(output)]) == 2
        said = capsys.readouterr()
        assert "which is read" in said.err
        assert said.out == ""
    assert {path: path.read_bytes() for path in (recording, *bundle.iterdir())} == before
    assert main(["predict", str(recording), "--bundle", str(bundle), "--output", "other.csv"]) == 0  # as the error advises
    split = Path("split.json")
    split.write_text("{}")
    assert main(["data", "splits", "--split", "file", "--split-path", "split.json", "--output", "./split.json"]) == 2
    assert "--output split.json is split.json, which is read" in capsys.readouterr().err
    assert split.read_text() == "{}"


def test_minutes_end_the_answer(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(recording), "--bundle", str(pretrained()), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    labels = json.loads((pretrained() / "manifest.json").read_text())["labels"]
    assert list(said["minutes"]) == [*labels, "UNKNOWN"]
    for name, minutes in said["minutes"].items():
        assert minutes == pytest.approx(sum(span["to_s"] - span["from_s"] for span in said["spans"] if span["activity"] == name) / 60)
    assert said["minutes"]["UNKNOWN"] > 0
    assert main(["predict", str(recording), "--bundle", str(pretrained())]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("minutes: ")
    assert last.endswith(f", UNKNOWN {said['minutes']['UNKNOWN']:.2f}")


def test_a_name_forges_no_line_and_steers_no_terminal(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "one\nhar: all is well\x1b[2J.csv"
    recording.rename(path)
    output = "out\rhar: wrote nothing\x1b]0;owned\x07.csv"
    commands = (
        ["predict", str(path), "--bundle", str(pretrained()), "--output", output],
        ["predict", str(path), str(path), "--bundle", str(pretrained()), "--output", "many\nhar: done", "--workers", "1"],
        ["predict", "no\nhar: such.csv"],
    )
    for command, code in zip(commands, (0, 0, 2), strict=True):
        assert main(command) == code
        captured = capsys.readouterr()
        said = captured.out + captured.err
        assert "\\nhar: " in said
        assert not [line for line in said.splitlines() if line.startswith("har: ") and code == 0]
        assert not set(said) & {"\x1b", "\x07", "\r"}


def unescaped_prints(source: str) -> list[str]:
    """Calls of print whose text `shown` has not seen, and uses of print in another way than as a parameter's default."""
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"]
    allowed = {id(call.func) for call in calls}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            allowed |= {id(default) for default in (*node.args.defaults, *node.args.kw_defaults)}
        elif isinstance(node, ast.AnnAssign):
            allowed.add(id(node.value))  # of a dataclass
    found = [ast.unparse(call) for call in calls if not all("shown(" in (text := ast.unparse(a)) or text[0] in "'\"" for a in call.args)]
    return found + [f"line {n.lineno}" for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == "print" and id(n) not in allowed]


def test_whatever_is_printed_has_its_control_characters_spelled_out() -> None:
    root = Path(str(doctor.__file__)).parents[1]
    found = {path.relative_to(root).as_posix(): unescaped_prints(path.read_text()) for path in root.rglob("*.py")}
    # JSON has escapes of its own.
    assert {path: uses for path, uses in found.items() if uses} == {
        "cli/output.py": ["print(json.dumps(_plain(data), allow_nan=False), file=options.answers_to, flush=True)"]
    }
    assert unescaped_prints("print(name)\nprint(shown(name), other)\nf(say=print)") == [
        "print(name)",
        "print(shown(name), other)",
        "line 3",
    ]
