"""The public API: `import har` is cheap, its names are those it lists, and the examples run as they are written."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

import har
from tests.refusal import refused

NAMES = (
    "load_model",
    "load_dataset",
    "read_recording",
    "split",
    "create_model",
    "train",
    "evaluate",
    "export",
    "ActivityClassifier",
    "WindowSet",
    "Recording",
    "HarError",
)


def test_the_names_are_those_of_the_documentation() -> None:
    assert sorted(NAMES) == har.__all__ == sorted(har.PLACES)
    assert set(NAMES) <= set(dir(har))
    with pytest.raises(AttributeError, match="module 'har' has no attribute 'load'; it has ActivityClassifier, "):
        har.load  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, har; print(sorted({'numpy', 'torch', 'pandas', 'mlflow', 'pydantic', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_export_is_a_function_and_a_package() -> None:
    from har.exporting import bundle_writer

    assert har.exporting.bundle_writer is bundle_writer  # type: ignore[attr-defined]
    with refused("run-damaged"):
        har.export("no-run", "bundle")


def test_a_mistake_is_a_sentence(windows: har.WindowSet) -> None:
    for arguments, options, message in (
        (("kfold",), {"folds": 1}, r"split: split\.folds: input should be greater than or equal to 2, found 1"),
        (("random",), {}, r"split: split\.kind: input should be 'official', .* found 'random'"),
        (("loso",), {"folds": 3}, "folds has no meaning for kind 'loso'"),
        (("official",), {"validation_subjects": [2]}, "a test subject must never validate"),
        (("fold5",), {"fold": 9}, "fold 9 of 5 folds"),
    ):
        with pytest.raises(har.HarError, match=message):
            har.split(windows, *arguments, **options)
    with refused("config", r"train: unknown key 'training\.epoch'; did you mean 'epochs'"):
        har.train("cnn1d", dataset="synthetic", change={"training.epoch": 1})
    with refused("config", "folds has no meaning for kind 'loso'"):
        har.train("cnn1d", dataset="synthetic", split={"kind": "loso", "folds": 3})
    with refused("name-unknown", "unknown part 'train'; expected one of validation, test"):
        har.evaluate("run", "train")
    with pytest.raises(TypeError, match="acc_units"):
        har.read_recording("walk.csv", acc_units="m/s2")


def test_every_window_is_in_one_part(windows: har.WindowSet) -> None:
    parts = har.split(windows, "kfold", folds=3, fold=1, subjects="all", validation=2)
    assert sum(map(len, parts.values())) == len(windows)
    assert len(set(parts["validation"].subject)) == 2
    assert list(har.split(windows, "loso", validation=0)) == ["train", "test"]
    official = har.split(windows)
    assert set(official["test"].subject) == {2, 4, 9, 10, 12, 13, 18, 20, 24}
    assert set(official["validation"].subject) == {5, 15, 25, 30}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One working folder for all examples, so that the synthetic data are generated once."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture
def inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("HAR_CACHE_DIR", str(place / "cache"))
    for variable in ("HAR_DATA_DIR", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("inside")
def test_an_example_runs_as_it_is_written(name: str) -> None:
    found = getattr(har, name) if name != "export" else __import__("har.runs.export", fromlist=["export"]).export
    examples = [test for test in doctest.DocTestFinder(recurse=False).find(found, name, globs={}) if test.examples]
    assert examples, f"har.{name} has no example"
    text: list[str] = []
    for example in examples:
        doctest.DocTestRunner().run(example, out=text.append)
    assert not text, "".join(text)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2))
@pytest.mark.usefixtures("inside")
def test_the_code_of_the_readme_runs_as_it_is_written(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    found: dict = {}
    exec(blocks[number], found)
    if number == 0:
        assert found["probabilities"].shape == (168, 6)
        assert "SYNTHETIC data, validation subjects: " in capsys.readouterr().out
    else:
        assert found["scores"].shape == (3,)
