"""Every kind of split: subjects apart, the same each time, read back as written, and a planted leak in each refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from har.config import DataConfig, RunConfig, parse_config
from har.contract import SPLITS, TEST_SUBJECTS, TRAIN_SUBJECTS
from har.data.audit import audit
from har.data.splits import SubjectSplit, check_split, make_split, make_splits, official_split, read_splits, split_document, write_splits
from har.data.windowset import WindowSet
from har.errors import HarError
from tests.helpers import VALIDATION
from tests.refusal import refused

KINDS: list[dict[str, Any]] = [
    {"kind": "fold5"},
    {"kind": "fold5", "subjects": "training"},
    {"kind": "kfold"},
    {"kind": "kfold", "folds": 3, "subjects": "all", "seed": 4, "validation": 2},
    {"kind": "loso"},
    {"kind": "loso", "subjects": "all", "validation": 6},
]


def data(**split: Any) -> DataConfig:
    content = {"data": {"dataset": "synthetic", "split": split}, "model": {"name": "gru"}}
    return parse_config(content, "test").data


def small(subjects: list[int], seed: int = 0, per_subject: int = 12) -> WindowSet:
    """Windows of noise with random labels."""
    rng = np.random.default_rng(seed)
    count = len(subjects) * per_subject
    subject = np.repeat(subjects, per_subject)
    x = rng.normal(size=(count, 16, 2)).astype(np.float32)
    name = np.array([f"r{s}" for s in subject])
    return WindowSet(
        x, rng.integers(0, 6, count), subject, name, np.tile(np.arange(per_subject) * 16, len(subjects)), ("a", "b"), "d", True
    )


def check(splits: list[SubjectSplit], everybody: set[int], validation: int) -> None:
    """What holds of all folds: each subject is in the test part once, the parts are disjoint, nobody is left out."""
    tested = [s for split in splits for s in split.test]
    assert sorted(tested) == sorted(everybody)
    for split in splits:
        parts = [set(split.subjects(name)) for name in SPLITS]
        assert set.union(*parts) == everybody
        assert sum(map(len, parts)) == len(everybody)
        assert len(split.validation) == validation
        assert not set(split.validation) & set(TEST_SUBJECTS)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_subject_is_tested_once(windows: WindowSet, kind: dict[str, Any]) -> None:
    config = data(**kind)
    splits = make_splits(config, windows)
    whose = kind.get("subjects") or ("all" if kind["kind"] == "fold5" else "training")
    check(splits, set(range(1, 31)) if whose == "all" else set(TRAIN_SUBJECTS), config.split.validation or 4)
    assert make_splits(config, windows) == splits
    if whose == "training":
        assert not any(set(s.train + s.validation + s.test) & set(TEST_SUBJECTS) for s in splits)


def test_the_fixed_folds_are_those_of_the_project(windows: WindowSet) -> None:
    for number, split in enumerate(make_splits(data(kind="fold5"), windows)):
        assert split.test == tuple(s for s in range(1, 31) if (s - 1) % 5 == number)
        assert make_split(data(kind="fold5", fold=number), windows) == split
    assert [s.test for s in make_splits(data(kind="loso"), windows)] == [(s,) for s in TRAIN_SUBJECTS]


def test_the_official_split_is_what_it_was(windows: WindowSet) -> None:
    config = parse_config({"data": {"validation_subjects": VALIDATION}, "model": {"name": "gru"}}, "test").data
    assert make_splits(config, windows) == [official_split(VALIDATION)]


def test_another_seed_gives_other_folds_and_the_fold_its_own_validation(windows: WindowSet) -> None:
    first, other = (make_splits(data(kind="kfold", seed=seed), windows) for seed in (0, 1))
    assert [s.test for s in first] != [s.test for s in other]
    assert len({s.validation for s in make_splits(data(kind="loso"), windows)}) > 5


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(1, 60), min_size=8, max_size=24), st.integers(2, 4), st.integers(1, 2), st.integers(0, 1000))
def test_any_people_are_split_apart(people: set[int], folds: int, validation: int, seed: int) -> None:
    windows = small(sorted(people), seed)
    for kind in ({"kind": "kfold", "folds": folds}, {"kind": "loso"}):
        config = data(**kind, subjects="all", validation=validation, seed=seed)
        try:
            splits = make_splits(config, windows)
        except HarError as error:
            assert "no official test subject" in str(error)
            assert len(people - set(TEST_SUBJECTS)) < len(people)
            continue
        check(splits, people, validation)
        for split in splits:
            audit({name: split.select(windows, name) for name in SPLITS})


def test_activities_are_shared_out_evenly_where_subjects_allow_it() -> None:
    """Half of the people only sit and half only walk: every fold gets some of both."""
    people = [s for s in range(1, 31) if s not in TEST_SUBJECTS][:20]
    windows = small(people)
    y = np.where(windows.subject % 2 == 0, 0, 3)
    windows = replace(windows, y=y)
    for split in make_splits(data(kind="kfold", folds=4), windows):
        for name in SPLITS:
            share = float((split.select(windows, name).y == 0).mean())
            assert abs(share - float((y == 0).mean())) < 0.16, name


def plant_subject(parts: dict[str, WindowSet]) -> dict[str, WindowSet]:
    return parts | {"train": _joined(parts["train"], parts["test"].subset(np.array([0])))}


def plant_recording(parts: dict[str, WindowSet]) -> dict[str, WindowSet]:
    stolen = parts["test"].subset(np.array([0]))
    noise = np.random.default_rng(9).normal(size=stolen.x.shape).astype(np.float32)
    return parts | {"train": _joined(parts["train"], replace(stolen, x=noise, subject=parts["train"].subject[:1]))}


def plant_signal(parts: dict[str, WindowSet]) -> dict[str, WindowSet]:
    stolen = parts["validation"].subset(np.array([0]))
    renamed = replace(stolen, subject=parts["train"].subject[:1], recording=np.array(["renamed"]), start=np.array([0]))
    return parts | {"train": _joined(parts["train"], renamed)}


def _joined(a: WindowSet, b: WindowSet) -> WindowSet:
    return replace(
        a, **{name: np.concatenate((getattr(a, name), getattr(b, name))) for name in ("x", "y", "subject", "recording", "start")}
    )


PLANTS = {
    "subject": (plant_subject, "leak: subject"),
    "recording": (plant_recording, "leak: samples of"),
    "signal": (plant_signal, "leak: window"),
}


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("kind", [*KINDS, {"kind": "file"}], ids=str)
def test_a_planted_leak_is_refused_in_every_kind_of_split(windows: WindowSet, kind: dict[str, Any], plant: str, tmp_path: Path) -> None:
    if kind["kind"] == "file":
        write_splits(tmp_path / "s.json", make_splits(data(kind="kfold"), windows), "kfold", "synthetic")
        kind = {"kind": "file", "path": str(tmp_path / "s.json")}
    split = make_split(data(**kind, fold=1), windows)
    parts = {name: split.select(windows, name) for name in SPLITS}
    audit(parts)
    change, message = PLANTS[plant]
    with refused("leak", message):
        audit(change(parts))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({"kind": "fold5", "fold": 5}, r"data\.split: fold 5 of 5 folds is asked for; expected 0 to 4"),
        ({"kind": "kfold", "folds": 3, "fold": 3}, "fold 3 of 3"),
        ({"kind": "kfold", "folds": 1}, r"data\.split\.folds: input should be greater than or equal to 2, found 1"),
        ({"kind": "loso", "folds": 7}, "folds has no meaning for kind 'loso'; remove it"),
        ({"kind": "official", "fold": 1}, "fold has no meaning for kind 'official'"),
        ({"kind": "file"}, "needs path"),
        ({"kind": "random"}, r"data\.split\.kind: input should be 'official', 'fold5'"),
        ({"kind": "fold5", "flod": 1}, r"unknown key 'data\.split\.flod'; did you mean 'fold'"),
    ],
)
def test_a_senseless_split_is_one_clear_sentence(kind: dict[str, Any], message: str) -> None:
    with refused("config", message) as caught:
        data(**kind)
    assert "\n" not in str(caught.value)


def test_validation_subjects_belong_to_the_official_split() -> None:
    base = {"model": {"name": "gru"}}
    with refused("config", "data: key 'validation_subjects' is missing"):
        parse_config(base | {"data": {}}, "test")
    with refused("config", "validation_subjects belongs to the official split"):
        parse_config(base | {"data": {"validation_subjects": [5], "split": {"kind": "loso"}}}, "test")
    config: RunConfig = parse_config(base | {"data": {"validation_subjects": [5]}}, "test")
    changed = config.with_split(kind="kfold", fold=2, subjects="all")
    assert (changed.data.split.fold, changed.data.validation_subjects) == (2, None)
    assert changed.data.split.suffix == "-kfold5-all-2"
    assert config.data.split.suffix == ""


def test_too_few_people_are_named() -> None:
    with refused("split-impossible", "has 4 subjects to split into 5 folds"):
        make_splits(data(kind="kfold"), small([1, 3, 5, 6]))
    with refused("split-impossible", "asks for 4 subjects, but fold 0 of d leaves 4 to train and validate; lower it: --validation 1"):
        make_splits(data(kind="loso", validation=4), small([1, 3, 5, 6, 7]))
    with refused("split-impossible", "fold 1 of d has no subject"):
        make_splits(data(kind="fold5"), small([1, 6, 11, 3, 5, 8]))
    with refused("split-subjects", r"data\.split\.fold is 20; the loso split has folds 0 to 7"):
        make_split(data(kind="loso", fold=20), small([1, 3, 5, 6, 7, 8, 11, 14]))


def test_a_split_is_read_as_it_was_written(windows: WindowSet, tmp_path: Path) -> None:
    splits = make_splits(data(kind="kfold", seed=3), windows)
    path = tmp_path / "folder" / "splits.json"
    write_splits(path, splits, "kfold", windows.dataset)
    assert read_splits(path) == splits
    assert make_split(data(kind="file", path=str(path), fold=3), windows) == splits[3]
    assert [p.name for p in path.parent.iterdir()] == ["splits.json"]
    (tmp_path / "file").write_text("")
    with refused("file", "cannot write"):
        write_splits(tmp_path / "file" / "s.json", splits, "kfold", "d")


def broken(**changes: Any) -> str:
    return json.dumps(split_document([SubjectSplit((1, 3), (5,), (6, 2))], "kfold", "synthetic") | changes)


FILES = {
    "no JSON": ("{", "is not valid JSON"),
    "deep": ("[" * 100_000, "is not valid JSON"),
    "a list": ("[]", "is not a split: the file"),
    "another schema": (broken(schema_version=2), "schema_version: input should be 1"),
    "no fold": (broken(folds=[]), "folds: list should have at least 1 item"),
    "extra key": (broken(people=3), "people: extra inputs are not permitted"),
    "no test": (broken(folds=[{"train": [1], "validation": [3]}]), r"folds\.0\.test: field required"),
    "empty part": (broken(folds=[{"train": [1], "validation": [3], "test": []}]), r"folds\.0\.test: tuple should have at least 1"),
    "text": (broken(folds=[{"train": ["1"], "validation": [3], "test": [5]}]), r"folds\.0\.train\.0: input should be a valid integer"),
    "shared": (broken(folds=[{"train": [1, 5], "validation": [3], "test": [5]}]), "fold 0: subject 5 is in train and in test"),
    "twice": (broken(folds=[{"train": [1, 1], "validation": [3], "test": [5]}]), "train names a subject twice"),
    "opened": (broken(folds=[{"train": [1], "validation": [2], "test": [5]}]), "official test subject 2 must never validate"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_split_file_is_one_clear_sentence(name: str, tmp_path: Path) -> None:
    content, message = FILES[name]
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(HarError, match=message) as caught:
        check_split(data(kind="file", path=str(path)))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_split_file_that_does_not_fit_the_data(windows: WindowSet, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    with refused("split-file"):
        check_split(data(kind="file", path=str(path)))
    path.write_text(broken(folds=[{"train": [1], "validation": [3], "test": [77]}]))
    with refused("split-subjects", r"s\.json, fold 0: test names subject 77, whom synthetic does not have; it has 1, 2"):
        make_split(data(kind="file", path=str(path)), windows)
    path.write_text(broken())
    with refused("split-subjects", r"data\.split\.fold is 4; the file split has folds 0 to 0"):
        make_split(data(kind="file", path=str(path), fold=4), windows)


def test_a_split_is_checked_before_the_data_are_read(tmp_path: Path) -> None:
    """Validation subjects and split files; folds need the data."""

    def config(**data: Any) -> DataConfig:
        return parse_config({"data": {"dataset": "synthetic"} | data, "model": {"name": "cnn1d"}}, "test").data

    check_split(config(validation_subjects=[5]))
    with refused("split-subjects", "a test subject must never validate"):
        check_split(config(validation_subjects=[5, 2]))
    with refused("split-file", r"none\.json"):
        check_split(config(split={"kind": "file", "path": str(tmp_path / "none.json")}))
    check_split(config(split={"kind": "kfold", "folds": 7}))


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_there_are_as_many_folds_as_were_asked_for(folds: int, windows: WindowSet) -> None:
    data = {"dataset": "synthetic", "split": {"kind": "kfold", "folds": folds, "validation": 2}}
    config = parse_config({"data": data, "model": {"name": "cnn1d"}}, "test").data
    splits = make_splits(config, windows)
    assert len(splits) == folds
    assert make_split(config, windows) == splits[0]


def test_the_fold_behind_the_last_is_refused(windows: WindowSet) -> None:
    """Of leave-one-subject-out the config cannot know how many there are."""
    last = len(TRAIN_SUBJECTS) - 1
    for fold, there in ((last, True), (last + 1, False)):
        data = {"dataset": "synthetic", "split": {"kind": "loso", "fold": fold, "validation": 2}}
        config = parse_config({"data": data, "model": {"name": "cnn1d"}}, "test").data
        if there:
            assert make_split(config, windows).test == (TRAIN_SUBJECTS[-1],)
        else:
            with refused("split-subjects", rf"data.split.fold is {fold}; the loso split has folds 0 to {last}"):
                make_split(config, windows)


def test_where_nobody_validates_all_others_train(windows: WindowSet) -> None:
    data = {"dataset": "synthetic", "split": {"kind": "fold5", "validation": 0}}
    splits = make_splits(parse_config({"data": data, "model": {"name": "cnn1d"}, "training": {"keep": "last"}}, "test").data, windows)
    for number, split in enumerate(splits):
        tested = tuple(s for s in range(1, 31) if (s - 1) % 5 == number)
        assert split == SubjectSplit(tuple(s for s in range(1, 31) if s not in tested), (), tested)


def test_those_who_validate_do_what_all_do() -> None:
    """Some people only sit, the others only walk: of two who validate, one does either, however many windows each has."""
    people = [s for s in range(1, 31) if s not in TEST_SUBJECTS][:12]
    windows = small(people, per_subject=20)
    sits = np.isin(windows.subject, people[::2])
    kept = windows.start < np.where(sits, 4, 20) * 16  # whoever sits has fewer windows, so that two of them are the smallest part
    windows = replace(windows, y=np.where(sits, 3, 0)).subset(kept)
    whole = float((windows.y == 3).mean())
    for seed in range(4):
        for split in make_splits(data(kind="loso", validation=2, seed=seed), windows):
            assert len(set(split.validation) & set(people[::2])) == 1
            assert float((split.select(windows, "validation").y == 3).mean()) == pytest.approx(whole)


def test_three_people_can_be_split_and_two_cannot() -> None:
    splits = make_splits(data(kind="loso", validation=1), small([1, 3, 5]))
    assert [(len(s.train), len(s.validation), s.test) for s in splits] == [(1, 1, (1,)), (1, 1, (3,)), (1, 1, (5,))]
    with refused("split-impossible", "has 2 subjects to split into 2 folds; at least 3 are needed"):
        make_splits(data(kind="loso", validation=1), small([1, 3]))


@pytest.mark.parametrize(("people", "validating"), [(3, 1), (5, 1), (6, 2), (13, 3), (14, 4), (25, 4)])
def test_of_few_people_a_quarter_validates(people: int, validating: int) -> None:
    others = [100 + number for number in range(people)]
    for split in make_splits(data(kind="loso"), small(others)):
        assert (len(split.train), len(split.validation)) == (people - 1 - validating, validating)


def test_all_who_may_validate_can() -> None:
    """Test subjects 2 and 4 train where all are folded, but never validate."""
    people = [2, 4, 5, 7]
    for number, split in enumerate(make_splits(data(kind="loso", subjects="all", validation=1), small(people))):
        assert split.test == (people[number],)
        assert split.validation in ((5,), (7,))
