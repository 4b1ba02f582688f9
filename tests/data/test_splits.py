"""Splits by subject, and a planted leak of each kind."""

from dataclasses import replace

import numpy as np
import pytest

from har.contract import TEST_SUBJECTS, TRAIN_SUBJECTS
from har.data.audit import RUN_LENGTH, audit
from har.data.splits import official_split
from har.data.windowset import WindowSet
from har.errors import HarError
from tests.helpers import VALIDATION
from tests.refusal import refused


def test_the_split_is_a_partition_by_subject(windows: WindowSet) -> None:
    split = official_split(VALIDATION)
    assert set(split.train) | set(split.validation) == set(TRAIN_SUBJECTS)
    assert split.test == TEST_SUBJECTS
    parts = [split.select(windows, name) for name in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(windows)
    assert [set(p.subject.tolist()) for p in parts] == [set(split.train), set(VALIDATION), set(TEST_SUBJECTS)]


@pytest.mark.parametrize(
    ("subjects", "message"),
    [([2, 5], "a test subject must never validate"), ([31], "subject 31"), (TRAIN_SUBJECTS, "every training subject")],
)
def test_wrong_validation_subjects_are_refused(subjects: list[int], message: str) -> None:
    with pytest.raises(HarError, match=message):
        official_split(subjects)


def test_what_is_wrong_with_a_validation_subject_is_said_to_the_letter() -> None:
    known = "choose among the training subjects 1, 3, 5, 6, 7, 8, 11, 14, 15, 16, 17, 19, 21, 22, 23, 25, 26, 27, 28, 29, 30"
    for wrong, text in ((31, known), (2, f"a test subject must never validate; {known}")):
        with refused("split-subjects") as caught:
            official_split([5, wrong])
        assert str(caught.value) == f"validation_subjects has subject {wrong}; {text}"


def test_parts_are_those_that_have_subjects(windows: WindowSet) -> None:
    split = official_split([5])
    assert {name: set(part.subject.tolist()) for name, part in split.parts(windows).items()} == {
        "train": set(split.train),
        "validation": {5},
        "test": set(split.test),
    }
    assert list(official_split([]).parts(windows)) == ["train", "test"]
    with refused("split-impossible", "has no window of the test subjects 2, 4"):
        split.select(windows.subset(windows.subject == 5), "test")
    with refused("split-impossible"):
        split.parts(windows.subset(windows.subject == 5))


def test_a_split_without_windows_is_named(windows: WindowSet) -> None:
    with refused("split-impossible", "no window of the validation subjects 5"):
        official_split((5,)).select(windows.subset(windows.subject == 1), "validation")
    with refused("name-unknown", "unknown split 'valid'"):
        official_split((5,)).select(windows, "valid")


def test_an_honest_split_passes(parts: dict[str, WindowSet]) -> None:
    assert audit(parts) == {name: len(part) for name, part in parts.items()}


def add(part: WindowSet, window: WindowSet, **changes: np.ndarray) -> WindowSet:
    """`part` with one more window."""
    window = replace(window, **changes)
    fields = ("x", "y", "subject", "recording", "start")
    return replace(part, **{name: np.concatenate((getattr(part, name), getattr(window, name))) for name in fields})


@pytest.mark.parametrize("where", ["validation", "test"])
def test_a_shared_subject_is_refused(parts: dict[str, WindowSet], where: str) -> None:
    leaked = add(parts["train"], parts[where].subset(np.array([3])))
    with refused("leak", rf"leak: subject \d+ is in train and in {where}"):
        audit(parts | {"train": leaked})


@pytest.mark.parametrize("shift", [0, 64, 127, -127])
def test_shared_samples_of_a_recording_are_refused(parts: dict[str, WindowSet], shift: int) -> None:
    taken = parts["test"].subset(np.array([5]))
    stranger = np.array([1])
    noise = np.random.default_rng(0).normal(size=taken.x.shape).astype(np.float32)
    leaked = add(parts["train"], taken, subject=stranger, start=taken.start + shift, x=noise)
    with refused("leak"):
        audit(parts | {"train": leaked})


@pytest.mark.parametrize("shift", [-127, -1, 1, 127])
@pytest.mark.parametrize("met", [0, 1])
@pytest.mark.parametrize("others", [1, 2])
def test_one_window_that_meets_one_other_is_enough(parts: dict[str, WindowSet], shift: int, met: int, others: int) -> None:
    """Nothing else of the recording is near, neither before it nor behind it."""
    own = parts["test"].recording == parts["test"].recording[5]
    apart = parts["test"].subset(np.flatnonzero(own)[[3, -3]])
    assert apart.start[0] > 0  # nor is the start of the recording
    assert apart.start[1] - apart.start[0] > 4 * 128
    noise = np.random.default_rng(0).normal(size=apart.x[:1].shape).astype(np.float32)
    one = apart.subset(np.array([met]))
    leaked = add(parts["train"], one, subject=np.array([1]), start=one.start + shift, x=noise)
    with refused("leak"):
        audit({"train": leaked, "test": apart if others == 2 else one})


def test_the_same_samples_in_another_order_are_no_copy(parts: dict[str, WindowSet]) -> None:
    taken = parts["validation"].subset(np.array([7]))
    for x in (taken.x[:, ::-1], taken.x[:, :, ::-1], -taken.x):
        other = add(parts["train"], taken, subject=np.array([1]), recording=np.array(["other"]), start=np.array([0]), x=x)
        audit({"train": other, "validation": taken})


def test_touching_windows_of_a_recording_are_not_shared_samples(parts: dict[str, WindowSet]) -> None:
    test = parts["test"]
    last = int(np.flatnonzero(test.recording == test.recording[0])[-1])
    noise = np.random.default_rng(0).normal(size=test.x[:1].shape).astype(np.float32)
    far = add(parts["train"], test.subset(np.array([last])), subject=np.array([1]), start=test.start[[last]] + 128, x=noise)
    audit(parts | {"train": far})


@pytest.mark.parametrize("shift", [0, 1, 37, 128 - RUN_LENGTH])
def test_copied_signal_is_refused_whatever_it_is_called(parts: dict[str, WindowSet], shift: int) -> None:
    taken = parts["validation"].subset(np.array([7]))
    moved = np.random.default_rng(0).normal(size=taken.x.shape).astype(np.float32)
    moved[:, : 128 - shift] = taken.x[:, shift:]
    leaked = add(parts["train"], taken, subject=np.array([1]), recording=np.array(["renamed"]), start=np.array([0]), x=moved)
    # Neighbours of window 7 hold its samples too.
    found = rf"window {len(leaked) - 1} of train and window [678] of validation hold the same {RUN_LENGTH} samples"
    with refused("leak", found):
        audit(parts | {"train": leaked})


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_a_sensor_at_rest_is_not_a_copy(parts: dict[str, WindowSet], value: float) -> None:
    still = {}
    for name, part in parts.items():
        x = part.x.copy()
        x[0] = value
        still[name] = replace(part, x=x)
    audit(still)


def test_a_signal_that_comes_back_to_where_it_was_is_a_copy(parts: dict[str, WindowSet]) -> None:
    """First and last sample of every run are equal, those between are not."""
    shape = parts["train"].x[:1].shape
    wave = np.random.default_rng(0).normal(size=(1, RUN_LENGTH - 1, shape[2])).astype(np.float32)
    again = np.resize(wave, shape)
    assert np.array_equal(again[:, 0], again[:, RUN_LENGTH - 1])
    leaked = {name: replace(part, x=np.concatenate((again, part.x[1:]))) for name, part in parts.items()}
    with refused("leak", "window 0 of train and window 0 of validation hold the same"):
        audit(leaked)


@pytest.mark.parametrize("place", [1023, 1024, 1025, 2048])
def test_copies_are_found_in_every_window_of_many(place: int) -> None:
    """They are read in pieces of 1,024."""
    rng = np.random.default_rng(0)

    def many(subject: int) -> WindowSet:
        x = rng.normal(size=(2060, RUN_LENGTH, 2)).astype(np.float32)
        starts = np.arange(len(x)) * RUN_LENGTH
        who = np.full(len(x), subject)
        return WindowSet(x, np.zeros(len(x), dtype=int), who, np.array([f"r{subject}"] * len(x)), starts, ("a", "b"), "d", True)

    train, test = many(1), many(2)
    audit({"train": train, "test": test})
    x = train.x.copy()
    x[place] = test.x[3]
    with refused("leak", f"window {place} of train and window 3 of test hold the same"):
        audit({"train": replace(train, x=x), "test": test})


@pytest.mark.data
def test_the_real_split_is_clean_and_a_random_one_is_not(real_data: object) -> None:
    from har.data.prepare import load_dataset

    windows = load_dataset("uci-har", archive=str(real_data))
    split = official_split(VALIDATION)
    counts = audit({name: split.select(windows, name) for name in ("train", "validation", "test")})
    assert counts == {"train": 5930, "validation": 1422, "test": 2947}
    order = np.random.default_rng(0).permutation(len(windows))
    with refused("leak"):
        audit({"train": windows.subset(order[:8000]), "validation": windows.subset(order[8000:])})
