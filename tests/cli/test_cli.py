"""The command as a user types it: its help, its one-line errors, and the whole way on synthetic data."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from har.cli import main
from har.data import synthetic
from har.evaluation.predictions import write_predictions
from har.recording import write_csv
from tests.evaluation.test_metrics import predictions
from tests.refusal import refused

COMMANDS = (
    "data prepare",
    "data splits",
    "train",
    "evaluate",
    "compare",
    "export",
    "verify",
    "predict",
    "demo",
    "dashboard",
)


@pytest.mark.parametrize("command", ["", "data", *COMMANDS])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command.split(), "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert len(text) > 150
    if command not in ("", "data"):
        assert "--debug" in text


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom har.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'mlflow', 'pandas', 'pydantic', 'onnxruntime', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def files(workplace: Path, tmp_path: Path) -> dict[str, str]:
    """Names that stand in the broken commands below."""
    (tmp_path / "text.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        archive.writestr("UCI HAR Dataset/activity_labels.txt", "1 WALKING\n" * 500)
    content = (tmp_path / "whole.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    (tmp_path / "typo.yaml").write_text("data: {validation_subjects: [5]}\nmodel: {name: gru}\ntraining: {epoch: 3}\n")
    (tmp_path / "model.yaml").write_text("data: {validation_subjects: [5]}\nmodel: {name: grru}\n")
    (tmp_path / "option.yaml").write_text(
        "data: {validation_subjects: [5], dataset: synthetic}\nmodel: {name: gru, options: {hiden_size: 3}}\n"
    )
    (tmp_path / "odd.yaml").write_text(
        "data: {validation_subjects: [5], dataset: synthetic}\nmodel: {name: cnn1d, options: {width: 8, depth: 12}}\n"
    )
    (tmp_path / "test.yaml").write_text("data: {validation_subjects: [2], dataset: synthetic}\nmodel: {name: gru}\n")
    write_csv(synthetic.generate(1, 0, bout_seconds=1.0), tmp_path / "r.csv")
    return {"tmp": str(tmp_path)}


ERRORS = {
    "no command": ("", "har --help"),
    "unknown command": ("trian", "invalid choice: 'trian'"),
    "unknown option": ("train --modell gru", "unrecognized arguments: --modell"),
    "not a number": ("train --epochs many", "invalid int value: 'many'"),
    "unknown model": ("train --dataset synthetic --model ltsm", "unknown model 'ltsm'; did you mean 'lstm'"),
    "unknown model of the catalogue": ("train --dataset synthetic --model transfomer", "did you mean 'transformer'"),
    "unknown data set": ("train --dataset uci", "unknown data set 'uci'; did you mean 'uci-har'?"),
    "no epochs": ("train --dataset synthetic --model gru --epochs 0", "training.epochs"),
    "no config": ("train --config {tmp}/none.yaml", "cannot read the config"),
    "config typo": ("train --config {tmp}/typo.yaml", "unknown key 'training.epoch'; did you mean 'epochs'"),
    "config model": ("train --config {tmp}/model.yaml", "unknown model 'grru'; did you mean 'gru'"),
    "config option": ("train --config {tmp}/option.yaml", "no option 'hiden_size'; did you mean 'hidden_size'"),
    "config odd option": ("train --config {tmp}/odd.yaml", "model.options.depth is 12"),
    "seed too large": ("train --dataset synthetic --model gru --seed 1180591620717411303424", "training.seed"),
    "negative seed": ("train --dataset synthetic --model gru --seed -1", "training.seed"),
    "shortened flag": ("train --arch {tmp}/whole.zip --model gru", "unrecognized arguments: --arch"),
    "shortened flag below data": ("data prepare --arch {tmp}/whole.zip", "unrecognized arguments: --arch"),
    "shortened common flag": ("verify --deb", "unrecognized arguments: --deb"),
    "shortened first flag": ("--vers", "the following arguments are required: COMMAND"),
    "test validates": ("train --config {tmp}/test.yaml", "a test subject must never validate"),
    "not prepared": ("train --model gru", "har data prepare --dataset uci-har"),
    "wrong path": ("data prepare --archive {tmp}/none.zip", "no archive at"),
    "no zip": ("data prepare --archive {tmp}/text.zip", "is not a whole zip file"),
    "truncated": ("data prepare --archive {tmp}/cut.zip", "is not a whole zip file"),
    "file missing": ("data prepare --archive {tmp}/whole.zip", "activity_labels.txt names"),
    "empty folder": ("data prepare --archive {tmp}/configs", "activity_labels.txt cannot be read"),
    "hapt not here": ("train --dataset hapt --model gru", "HAPT is not prepared; run `har data prepare --dataset hapt`"),
    "transitions of others": ("data prepare --dataset synthetic --transitions keep", "has no postural transitions"),
    "unknown transitions": ("data prepare --dataset hapt --transitions lose", "invalid choice: 'lose'"),
    "no runs": ("evaluate", "no finished run"),
    "no run of a model": ("evaluate --dataset synthetic --model gru", "no finished run of gru"),
    "no test of train": ("evaluate --part train", "invalid choice: 'train'"),
    "nothing to compare": ("compare", "no prediction files"),
    "nothing to export": ("export", "no finished run"),
    "no bundle": ("verify --bundle {tmp}/none", "none: manifest.json is missing"),
    "predict without bundle": ("predict --bundle {tmp}/none {tmp}/r.csv", "none: manifest.json is missing"),
    "GPUs without Ray": ("sweep configs/study/ideas.yaml --gpus-per-job 0.5", "--gpus-per-job 0.5 needs --engine ray"),
    "nobody works": ("sweep configs/study/ideas.yaml --workers 0", "--workers is 0, expected at least 1"),
    "unknown engine": ("sweep configs/study/ideas.yaml --engine spark", "invalid choice: 'spark'"),
    "no store": ("dashboard", "no MLflow store"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_mistake_is_one_line_and_exit_code_2(name: str, files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    command, message = ERRORS[name]
    before = _files()
    assert main(command.format(**files).split()) == 2
    out = capsys.readouterr()
    assert out.err.startswith("har: ")
    assert message in out.err
    assert out.err.count("\n") == 1
    assert out.out == ""
    assert _files() == before


def _files() -> set[str]:
    return {str(p) for p in Path().rglob("*") if p.is_file() and not p.name.endswith(".lock")}


def test_debug_shows_the_traceback(workplace: Path) -> None:

    with refused("bundle-missing"):
        main(["verify", "--bundle", "none", "--debug"])
    with refused("bundle-missing"):
        main(["--debug", "verify", "--bundle", "none"])


def test_a_missing_package_is_named(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "har.runs.comparison", None)

    class Blocked:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "pyarrow":
                raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")

    for name in [n for n in sys.modules if n.startswith("pyarrow") or n.startswith("har.evaluation") or n.startswith("har.runs")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Blocked(), *sys.meta_path])
    assert main(["compare"]) == 2
    assert "this command needs pyarrow, which is not installed; pip install 'wearable-har[train]'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train --dataset synthetic --model cnn1d --runs file/runs", "compare --output file/report results"])
def test_a_place_that_cannot_be_written_is_one_line_and_exit_code_2(
    command: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("a file where a folder should be")
    write_predictions(predictions([(1, "WALKING", "WALKING")]), Path("results/predictions_validation.parquet"))
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("har: cannot")
    assert error.count("\n") == 1


def test_what_was_not_foreseen_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def surprise(*_: object) -> None:
        raise ZeroDivisionError("by zero\nsecond line")

    monkeypatch.setattr("har.runtime.recognizer.verify", surprise)
    assert main(["verify", "--bundle", "x"]) == 1
    assert capsys.readouterr().err == "har: unexpected ZeroDivisionError: by zero; run again with --debug\n"


def test_the_whole_way_on_synthetic_data(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each step's hint names the next; everything says synthetic."""

    def har(line: str) -> str:
        assert main(line.split()) == 0, capsys.readouterr().err
        text = capsys.readouterr().out
        assert "synthetic" in text.lower()
        return text

    assert "30 subjects" in har("data prepare --dataset synthetic")
    assert "no leak found" in har("train --dataset synthetic --model cnn1d --seed 0 1 --epochs 1")
    assert "no validation subjects" in har("train --dataset synthetic --model cnn1d --refit --epochs 1")
    text = har("evaluate --dataset synthetic")
    assert "cnn1d-refit" not in text  # has nobody to validate
    text = har("evaluate --dataset synthetic --model cnn1d")
    assert "WALKING_UPSTAIRS" in text
    assert "subject" in text
    assert len(har("evaluate --dataset synthetic --part test --brief").splitlines()) == 4
    table = har("compare --dataset synthetic --output results/synthetic")
    assert "| cnn1d       | raw6" in table
    assert "| cnn1d-refit | raw6  | 69,830     | -" in table
    assert "test macro-F1" in table
    assert "| 2     |" in table
    assert har("compare results/synthetic/predictions").splitlines()[:4] == table.splitlines()[:4]
    text = har("export --dataset synthetic")
    assert "at batch 1, 2 and 7" in text
    assert "export/bundle-synthetic" in text
    assert "golden windows hold" in har("verify --bundle export/bundle-synthetic")
    recording = next(Path("data").glob("synthetic-*/synthetic_s02.csv"))
    text = har(f"predict --bundle export/bundle-synthetic {recording} --output timeline.csv")
    assert "confidence" in text
    rows = np.loadtxt("timeline.csv", delimiter=",", skiprows=1, usecols=range(4, 10))
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, atol=1e-4)
    assert not Path("results/uci_har").exists()
    assert not list(Path().rglob("*.partial"))


def test_output_into_a_closed_pipe_is_no_error(workplace: Path) -> None:
    command = f"{sys.executable} -m har predict --help | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )
    assert "Traceback" not in done.stderr
