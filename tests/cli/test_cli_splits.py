"""Folds and difficulty from the command line: what is trained, what is written, and what is refused."""

import json
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
import yaml

from har.cli import main
from har.config import DataConfig, RunConfig, load_config, parse_config
from har.contract import TEST_SUBJECTS, TRAIN_SUBJECTS
from har.data import synthetic
from har.data.splits import read_splits
from har.errors import HarError
from har.runs import train as train_module
from har.runs.checks import VALIDATION_SUBJECTS
from har.runs.run_folder import RunFolder
from har.tracking.store import tracking_uri
from tests.helpers import VALIDATION
from tests.refusal import refused

TRAIN = "train --dataset synthetic --model cnn1d --epochs 1"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic data are generated once for all tests here."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def trained(workplace: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, RunConfig]]:
    """What would be trained, in its order; nothing is."""
    monkeypatch.setenv("HAR_CACHE_DIR", str(cache))
    jobs: list[tuple[str, RunConfig]] = []

    class Stub:
        path = Path("nowhere")
        origin = SimpleNamespace(dataset="synthetic", run="run", model="cnn1d", seed=0)

        def info(self) -> object:
            return SimpleNamespace(origin=self.origin, score=0.9)

    monkeypatch.setattr(train_module, "train_run", lambda config, run, *_, **__: jobs.append((run, config)) or Stub())
    return jobs


def har(line: str) -> int:
    return main(line.split())


def test_the_words_are_those_of_the_config() -> None:
    (range_,) = ([m.ge if hasattr(m, "ge") else m.le for m in DataConfig.model_fields["difficulty"].metadata],)
    assert tuple(range_) == synthetic.DIFFICULTY_RANGE
    configs = [load_config(path) for path in sorted((ROOT / "configs").glob("*.yaml"))]
    assert {config.data.validation_subjects for config in configs} == {VALIDATION_SUBJECTS, VALIDATION}


@pytest.mark.parametrize(
    ("options", "folds", "suffix"),
    [
        ("--split fold5", range(5), "-fold5-{}"),
        ("--split fold5 --fold 3 1 3", [3, 1], "-fold5-{}"),
        ("--split kfold", range(5), "-kfold5-{}"),
        ("--split kfold --folds 3 --subjects all", range(3), "-kfold3-all-{}"),
        ("--split loso", range(len(TRAIN_SUBJECTS)), "-loso-{}"),
        ("--split loso --subjects all --fold 29", [29], "-loso-all-{}"),
    ],
)
def test_each_fold_is_a_run(options: str, folds: list[int], suffix: str, trained: list) -> None:
    assert har(f"{TRAIN} {options}") == 0
    assert [config.data.split.fold for _, config in trained] == list(folds)
    assert [run for run, _ in trained] == ["cnn1d" + suffix.format(fold) for fold in folds]
    assert all(config.training.epochs == 1 for _, config in trained)


def test_seeds_and_folds_multiply(trained: list) -> None:
    assert har(f"{TRAIN} --split kfold --folds 2 --split-seed 7 --validation 2 --seed 4 5") == 0
    assert [(c.data.split.fold, c.training.seed) for _, c in trained] == [(0, 4), (0, 5), (1, 4), (1, 5)]
    assert {(c.data.split.seed, c.data.split.validation) for _, c in trained} == {(7, 2)}


def test_the_official_split_and_a_config_stay_as_they_are(trained: list) -> None:
    assert har(f"{TRAIN} --split official") == 0
    assert har(TRAIN) == 0
    own = yaml.safe_load((ROOT / "configs/cnn1d.yaml").read_text())
    own["data"] = {"dataset": "synthetic", "split": {"kind": "kfold", "folds": 4, "fold": 2, "seed": 3}}
    Path("own.yaml").write_text(yaml.safe_dump(own))
    assert har("train --config own.yaml") == 0
    assert har("train --config own.yaml --fold 1 3") == 0
    assert [run for run, _ in trained] == ["cnn1d", "cnn1d", "own-kfold4-2", "own-kfold4-1", "own-kfold4-3"]
    assert {config.data.split.seed for _, config in trained[2:]} == {3}


ERRORS = {
    "fold of official": (f"{TRAIN} --fold 0", "the official split has one fold and no options"),
    "folds of official": (f"{TRAIN} --split official --folds 3", "the official split has one fold and no options"),
    "folds of loso": (f"{TRAIN} --split loso --folds 3", "folds has no meaning for kind 'loso'"),
    "no such fold": (f"{TRAIN} --split fold5 --fold 1 5", "fold 5 is asked for; the fold5 split of synthetic has folds 0 to 4"),
    "no such subject": (f"{TRAIN} --split loso --fold 21", "the loso split of synthetic has folds 0 to 20"),
    "negative": (f"{TRAIN} --split fold5 --fold -1", "fold -1 is asked for"),
    "no kind": (f"{TRAIN} --split random", "invalid choice: 'random'"),
    "no path": (f"{TRAIN} --split file", "kind 'file' needs path"),
    "no file": (f"{TRAIN} --split file --split-path none.json", "cannot read the split none.json"),
    "path of others": (f"{TRAIN} --split fold5 --split-path a.json", "path has no meaning for kind 'fold5'"),
    "too many folds": (f"{TRAIN} --split kfold --folds 22", "has 21 subjects to split into 22 folds"),
    "splits of few": ("data splits --dataset synthetic --split loso --validation 25", "asks for 25 subjects"),
    "splits test validates": ("data splits --dataset synthetic --validation-subjects 2", "a test subject must never validate"),
    "splits whose": ("data splits --dataset synthetic --split loso --validation-subjects 5", "validation_subjects belongs to the official"),
    "splits of official": ("data splits --dataset synthetic --folds 3", "folds has no meaning for kind 'official'"),
    "difficulty of real data": ("data prepare --difficulty 0.5", "uci-har has no difficulty"),
    "difficulty trained": ("train --dataset uci-har --model cnn1d --difficulty 1", "difficulty has no meaning for dataset 'uci-har'"),
    "too difficult": ("data prepare --dataset synthetic --difficulty 3", "the difficulty is 3, expected a number from 0"),
    "too easy": (f"{TRAIN} --difficulty -1", "data.difficulty: input should be greater than or equal to 0, found -1"),
    "no number": (f"{TRAIN} --difficulty nan", "data.difficulty"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_mistake_is_one_line_before_anything_is_trained(name: str, trained: list, capsys: pytest.CaptureFixture[str]) -> None:
    command, message = ERRORS[name]
    assert har(command) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("har: ")
    assert error.count("\n") == 1
    assert trained == []


def test_a_split_is_shown_written_and_trained_on(trained: list, capsys: pytest.CaptureFixture[str]) -> None:
    assert har("data splits --dataset synthetic --split kfold --folds 3 --subjects all --output folds/s.json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "synthetic (SYNTHETIC data), split kfold: 3 folds, 2,160 windows of 30 subjects"
    assert [line for line in lines if line.startswith("fold")] == [f"fold {n}: no leak found" for n in range(3)]
    splits = read_splits("folds/s.json")
    for number, split in enumerate(splits):
        at = lines.index(f"fold {number}: no leak found")
        for offset, name in enumerate(("train", "validation", "test")):
            people = split.subjects(name)
            listed, shares = lines[at + 1 + 2 * offset : at + 3 + 2 * offset]
            assert listed.split()[0] == name
            assert f"{72 * len(people):,} windows of {len(people)} subjects: {', '.join(map(str, people))}" in listed
            assert shares.strip().startswith("WALKING 16.7 %, WALKING_UPSTAIRS 16.7 %")
    assert json.loads(Path("folds/s.json").read_text())["kind"] == "kfold"
    assert lines[-1] == "next: har train --dataset synthetic --split file --split-path folds/s.json"
    assert har(f"{TRAIN} --split file --split-path folds/s.json") == 0
    assert [run for run, _ in trained] == ["cnn1d-s-0", "cnn1d-s-1", "cnn1d-s-2"]
    assert har(f"{TRAIN} --split file --split-path folds/s.json --fold 3") == 2


def test_the_official_split_is_written_too(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert har("data splits --dataset synthetic --output s.json") == 0
    (split,) = read_splits("s.json")
    assert (split.validation, split.test) == (VALIDATION, TEST_SUBJECTS)
    assert har("data splits --dataset synthetic --validation-subjects 1 3") == 0
    assert "validation    144 windows of 2 subjects: 1, 3" in capsys.readouterr().out


def test_a_leak_keeps_a_split_from_being_written(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from har.runs import checks as module

    def leak(parts: object) -> None:
        raise HarError("leak", "leak: planted")

    monkeypatch.setattr(module, "audit", leak)
    assert har("data splits --dataset synthetic --split fold5 --output s.json") == 2
    assert not Path("s.json").exists()


@pytest.mark.slow
def test_folds_and_difficulty_reach_the_run(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert har("data prepare --dataset synthetic --difficulty 0.5") == 0
    prepared = capsys.readouterr().out
    assert "next: har train --dataset synthetic --difficulty 0.5" in prepared
    assert har(f"{TRAIN} --difficulty 0.5 --split kfold --folds 3 --subjects all --fold 0 2") == 0
    assert har("data prepare --dataset synthetic") == 0
    digest = prepared.split("digest ")[1][:64]
    assert digest not in capsys.readouterr().out
    names = [f"cnn1d-difficulty0.5-kfold3-all-{fold}" for fold in (0, 2)]
    assert sorted(path.name for path in Path("runs/synthetic").iterdir()) == names
    tested = set()
    for name in names:
        run = RunFolder(Path("runs/synthetic", name, "seed-0"))
        assert run.config().data.difficulty == 0.5
        assert run.origin.data_digest == digest
        split = run.info().split
        assert split is not None
        assert not tested & set(split["test"])
        tested |= set(split["test"])
    client = mlflow.MlflowClient(tracking_uri(Path("runs")))
    (run_of_first,) = client.search_runs([e.experiment_id for e in client.search_experiments()], filter_string=f"tags.run = '{names[0]}'")
    assert run_of_first.data.tags["difficulty"] == "0.5"
    assert run_of_first.data.params["data.difficulty"] == "0.5"
    assert har(f"evaluate --dataset synthetic --model {names[0]} --brief") == 0


def test_a_difficulty_is_for_synthetic_data_alone() -> None:
    base = {"model": {"name": "gru"}}
    for dataset in ("uci-har", "hapt"):
        with refused("config", f"data: difficulty has no meaning for dataset '{dataset}'"):
            parse_config(base | {"data": {"dataset": dataset, "validation_subjects": [5], "difficulty": 1}}, "test")
    data = {"dataset": "synthetic", "validation_subjects": [5]}
    suffixes = {value: parse_config(base | {"data": data | {"difficulty": value}}, "test").data.suffix for value in (None, 0, 1, 1.5)}
    assert suffixes == {None: "", 0: "-difficulty0", 1: "", 1.5: "-difficulty1.5"}


def test_refit_trains_on_all_training_subjects(trained: list) -> None:
    assert har(f"{TRAIN} --refit --seed 0 1") == 0
    assert [run for run, _ in trained] == ["cnn1d-refit"] * 2
    assert all(config.data.validation_subjects == () and config.training.keep == "last" for _, config in trained)


def test_refit_belongs_to_the_official_split(trained: list, capsys: pytest.CaptureFixture[str]) -> None:
    assert har(f"{TRAIN} --refit --split loso") == 2
    assert "--refit belongs to the official split, found --split loso" in capsys.readouterr().err
    assert not trained
