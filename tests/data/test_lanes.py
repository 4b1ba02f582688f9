"""Recordings folded into lanes: every sample once, in order of time, and no state from one recording in another."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from har.config import AugmentationConfig
from har.data import synthetic
from har.data.audit import audit
from har.data.datamodule import BLANK, LaneStep, StreamDataModule, audit_windows, fold_lanes, shuffle_chunks
from har.data.windowset import Stretch, stretches_of
from tests.refusal import refused

LENGTHS, CHUNK = (100, 7, 64, 250), 16


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def streams() -> list[Stretch]:
    """Samples that say where they are from: channel 0 the stream, channel 1 the sample; the label is the stream, a few have none."""
    made = []
    for number, length in enumerate(LENGTHS):
        samples = np.zeros((length, 6), dtype=np.float32)
        samples[:, 0], samples[:, 1] = number, np.arange(length)
        labels = np.full(length, number)
        labels[:2] = -1
        made.append(Stretch(f"r{number}", number, 0, samples, labels))
    return made


def module(lanes: int = 4, seed: int = 0, **changes: object) -> StreamDataModule:
    options: dict = {"chunk": CHUNK, "lanes": lanes, "carry_state": True, "together": True, "seed": seed}
    return StreamDataModule(streams(), streams()[:2], **(options | changes))


def check_lanes(plan: LaneStep, lengths: Sequence[int], chunk: int) -> None:
    """Prove that a plan reads every sample once, and that a state is carried only to the chunk that follows in the same stream.

    Raises:
        ValueError: a sample is missing or read twice, or a state would leak from one stream, or one place, into another.
    """
    wanted = sorted((stream, start) for stream, length in enumerate(lengths) for start in range(0, length, chunk))
    own = plan.stream != BLANK
    if sorted(zip(plan.stream[own].tolist(), plan.start[own].tolist(), strict=True)) != wanted:
        raise ValueError(f"the plan reads {int(own.sum())} chunks, expected each of {len(wanted)} once")
    follows = np.zeros(plan.fresh.shape, dtype=bool)
    follows[1:] = (plan.stream[1:] == plan.stream[:-1]) & (plan.start[1:] == plan.start[:-1] + chunk) & own[1:]
    wrong = np.argwhere(~plan.fresh & ~follows)
    if len(wrong):
        step, lane = wrong[0].tolist()
        raise ValueError(
            f"step {step} of lane {lane} carries a state into stream {plan.stream[step, lane]} at sample {plan.start[step, lane]}, "
            "which does not follow the chunk before; it must start from zero"
        )


@pytest.mark.parametrize("lanes", [1, 3, 4, 100])
def test_lanes_read_every_sample_once_and_carry_nothing_between_streams(lanes: int) -> None:
    for seed in range(5):
        plan = fold_lanes(LENGTHS, lanes, CHUNK, generator(seed))
        check_lanes(plan, LENGTHS, CHUNK)
        assert plan.fresh[0].all()
        begins = (plan.start == 0) & (plan.stream != BLANK)
        assert begins.sum() == len(LENGTHS)
        assert plan.fresh[begins].all()
        carried = ~plan.fresh
        assert carried.sum() >= sum(-(-n // CHUNK) for n in LENGTHS) - len(LENGTHS) - lanes  # whatever does not have to is not reset
    assert not np.array_equal(fold_lanes(LENGTHS, 4, CHUNK, generator(1)).stream, fold_lanes(LENGTHS, 4, CHUNK, generator(2)).stream)


def test_a_planted_missing_reset_is_found() -> None:
    plan = fold_lanes(LENGTHS, 3, CHUNK, generator())
    step, lane = np.argwhere((plan.start == 0) & (plan.stream != BLANK) & (np.arange(len(plan.start))[:, None] > 0))[0]
    fresh = plan.fresh.copy()
    fresh[step, lane] = False
    with pytest.raises(ValueError, match=f"step {step} of lane {lane} carries a state into stream .* at sample 0"):
        check_lanes(plan._replace(fresh=fresh), LENGTHS, CHUNK)
    first = plan.fresh.copy()
    first[0, 0] = False  # in the first step there is nothing to carry
    with pytest.raises(ValueError, match="step 0 of lane 0"):
        check_lanes(plan._replace(fresh=first), LENGTHS, CHUNK)


def test_a_sample_read_twice_or_never_is_found() -> None:
    plan = fold_lanes(LENGTHS, 3, CHUNK, generator())
    for change in ({"start": np.where(plan.start == CHUNK, 0, plan.start)}, {"stream": np.where(plan.stream == 1, BLANK, plan.stream)}):
        with pytest.raises(ValueError, match="expected each of"):
            check_lanes(plan._replace(**change), LENGTHS, CHUNK)


@pytest.mark.parametrize("carry_state", [True, False])
def test_batches_hold_every_sample_once_with_its_label(carry_state: bool) -> None:
    data = module(carry_state=carry_state)
    loader = data.train_dataloader()
    for _ in range(2):  # as many steps in every epoch, which the schedule of the learning rate needs
        batches = list(loader)
        assert len(batches) == len(loader)
        x, y = (torch.cat([batch[i].flatten(0, 1) for batch in batches]) for i in (0, 1))
        own = y >= 0
        assert (x[own, 0].long() == y[own]).all()
        found = sorted(zip(x[own, 0].tolist(), x[own, 1].tolist(), strict=True))
        assert found == [(s, t) for s, n in enumerate(LENGTHS) for t in range(2, n)]
        assert carry_state or all(batch[2].all() for batch in batches)


def test_a_lane_goes_on_in_the_order_of_time() -> None:
    batches = list(module(lanes=3).train_dataloader())
    carried = 0
    for (before, _, _), (x, _, fresh) in pairwise(batches):
        for lane in torch.nonzero(~fresh).flatten().tolist():
            assert x[lane, 0, 0] == before[lane, -1, 0]
            assert x[lane, 0, 1] == before[lane, -1, 1] + 1
            carried += 1
    assert carried > 10


def test_the_rest_of_a_last_chunk_repeats_the_last_sample_without_a_label() -> None:
    (step,) = shuffle_chunks(LENGTHS, 100, CHUNK, generator())
    x, y, _ = module().chunks[step]
    row = int(np.flatnonzero(step.stream == 1)[0])  # the stream of 7 samples
    assert x[row, :, 1].tolist() == [*range(7), *[6] * 9]
    assert y[row].tolist() == [-1, -1, 1, 1, 1, 1, 1, *[-1] * 9]


def test_the_seed_and_the_epoch_decide_the_order() -> None:
    def epochs(seed: int) -> list[torch.Tensor]:
        loader = module(seed=seed).train_dataloader()
        return [torch.cat([x.flatten(0, 1) for x, _, _ in loader]) for _ in range(2)]

    first, same, other = epochs(0), epochs(0), epochs(1)
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], other[0])


def test_validation_recordings_are_whole() -> None:
    ((x, y),) = module().val_dataloader()
    assert x.shape == (2, 100, 6)
    assert (y[1, 7:] == -1).all()
    assert (y[1, 2:7] == 1).all()
    alone = list(module(together=False).val_dataloader())
    assert [tuple(x.shape) for x, _ in alone] == [(1, 100, 6), (1, 7, 6)]
    with pytest.raises(ValueError, match="no validation recordings"):
        StreamDataModule(streams(), None, chunk=8, lanes=2, carry_state=True, together=True, seed=0).val_dataloader()


def test_a_recording_is_turned_as_a_whole_and_anew_each_epoch() -> None:
    recording = synthetic.generate(1, 0, bout_seconds=4.0)
    config = AugmentationConfig(rotation_deg=25, turn_deg=40)
    data = StreamDataModule(
        list(stretches_of([recording])), None, chunk=64, lanes=2, carry_state=True, together=True, seed=0, augmentation=config
    )
    seen = []
    for _ in range(2):
        list(data.train_dataloader())
        acc, true = (np.asarray(x[:, :3], dtype=np.float64) for x in (data.chunks.x, recording.samples))
        matrix, *_ = np.linalg.lstsq(true, acc, rcond=None)
        np.testing.assert_allclose(true @ matrix, acc, atol=1e-4)  # one rotation for all samples
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-4)
        seen.append(matrix)
    assert np.abs(seen[0] - seen[1]).max() > 0.01
    assert np.abs(seen[0] - np.eye(3)).max() > 0.01


@pytest.mark.parametrize("name", ["crop", "time_warp", "mixup_alpha"])
def test_augmentation_that_would_part_samples_from_their_labels_is_refused(name: str) -> None:
    with refused("config", f"augmentation.{name} moves or mixes samples"):
        module(augmentation=AugmentationConfig(**{name: 0.2}))


def test_a_gap_ends_a_stream() -> None:
    recording = synthetic.generate(1, 0, bout_seconds=2.0)
    time_s = recording.time_s.copy()
    time_s[300:] += 1
    first, second = stretches_of([replace(recording, time_s=time_s)])
    assert (len(first.samples), second.start) == (300, 300)
    np.testing.assert_array_equal(second.samples, recording.samples[300:])


def test_the_audit_reads_every_sample_also_those_without_a_label() -> None:
    a, b = (synthetic.generate(subject, 0, bout_seconds=2.0) for subject in (1, 2))
    parts = {"train": list(stretches_of([a])), "test": list(stretches_of([b]))}
    audit({name: audit_windows(own, "synthetic", synthetic=True) for name, own in parts.items()})
    unlabelled = np.flatnonzero(b.labels < 0)[:1][0]
    b.samples[unlabelled : unlabelled + 16] = a.samples[117:133]  # across the border of two windows of the audit
    with refused("leak", r"leak: window .* hold the same 16 samples"):
        audit({name: audit_windows(own, "synthetic", synthetic=True) for name, own in parts.items()})
