"""The label-efficiency experiment: who is heard, who is labelled, where the weights come from, and what is written."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from har.config import load_config
from har.contract import TEST_SUBJECTS, TRAIN_SUBJECTS
from har.data.splits import SubjectSplit
from har.data.windowset import WindowSet
from har.models.classifier import WindowClassifier
from har.models.forecaster import Forecaster
from research import labels
from research.common import experiment
from research.labels import QUICK, Budget, by_count, configs, labelled_people, start_from, unlabelled
from tests.refusal import refused

SPLIT = SubjectSplit(TRAIN_SUBJECTS[:14], (), TRAIN_SUBJECTS[14:])


def test_nobody_who_is_scored_is_heard(windows: WindowSet) -> None:
    heard = replace(windows, dataset="hapt")
    assert set(unlabelled(heard, SPLIT).subject) == set(SPLIT.train)
    for subject in (SPLIT.test[0], TEST_SUBJECTS[0]):
        with refused("test-subjects", f"would use subject {subject} of hapt.*user N is UCI HAR's subject N"):
            unlabelled(heard, SubjectSplit((*SPLIT.train, subject), (), SPLIT.test))


def test_fewer_labelled_people_are_among_more() -> None:
    chosen = [set(labelled_people(SPLIT, count, 0)) for count in (1, 2, 5, 10, 14)]
    assert [len(people) for people in chosen] == [1, 2, 5, 10, 14]
    assert all(fewer < more for fewer, more in pairwise(chosen))
    assert chosen[-1] == set(SPLIT.train)
    assert len({labelled_people(SPLIT, 2, seed) for seed in range(5)}) > 1


def test_the_recurrent_weights_are_those_of_the_encoder() -> None:
    classifier_config, forecaster_config = configs(QUICK, synthetic=True)
    assert forecaster_config.windowing.window_size - forecaster_config.task.horizon == classifier_config.windowing.window_size
    torch.manual_seed(0)
    common = {"channels": "raw6", "differences": (1.0,)}
    classifier = WindowClassifier(model="gru", options=dict(QUICK.options), window_size=128, num_classes=6, **common)
    encoder = Forecaster(model="seq2seq", options=dict(QUICK.options), window_size=178, horizon=50, **common)
    x = torch.randn(3, 128, 6)
    before = classifier.eval()(x)
    start_from(classifier, encoder)
    states, _ = classifier.network.recurrent(classifier.frontend(x))  # type: ignore[union-attr,operator]
    memory, _ = encoder.network.encoder(encoder.frontend(x))  # type: ignore[union-attr,operator]
    torch.testing.assert_close(states, memory)
    assert (classifier(x) - before).abs().max() > 1e-3
    other = Forecaster(model="seq2seq", options={"hidden_size": 4}, window_size=178, horizon=50, **common)
    with refused("argument", "same hidden_size and num_layers"):
        start_from(classifier, other)


def test_the_shipped_budget_fits_the_shipped_classifier() -> None:
    """Hidden size and layers are those of the gru of the results table."""
    classifier, forecaster = configs(Budget(), synthetic=False)
    assert (classifier.data.dataset, forecaster.data.dataset) == ("uci-har", "hapt")
    shipped = load_config(Path(__file__).parents[2] / "configs/gru.yaml")
    sizes = [
        sum(p.numel() for p in WindowClassifier(model="gru", options=options, channels="raw6", window_size=128, num_classes=6).parameters())
        for options in (classifier.model.options, shipped.model.options)
    ]
    assert sizes[0] == sizes[1]


@pytest.mark.usefixtures("in_this_process")
def test_a_quick_curve_is_written_and_finished_seeds_are_read(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--quick", "--results", "out", "--runs", "work", "--seed", "3"]
    assert experiment("labels", arguments) == 0
    folder, stem = workplace / "out/synthetic", "label_efficiency_synthetic_quick"
    assert {path.suffix for path in folder.glob(f"{stem}.*")} == {".csv", ".md", ".png", ".svg"}
    table = pd.read_csv(folder / f"{stem}.csv")
    assert table[["labelled", "start"]].to_numpy().tolist() == [[1, "random"], [1, "pretrained"], [2, "random"], [2, "pretrained"]]
    assert table.macro_f1.between(0, 1).all()
    assert table.groupby("labelled").macro_f1.nunique().tolist() == [2, 2]  # the start decides something
    text = (folder / f"{stem}.md").read_text()
    assert "SYNTHETIC data" in text
    assert "no test subject took part" in text
    assert experiment("labels", arguments) == 0
    assert "1 done before, 0 to do" in capsys.readouterr().out
    pd.testing.assert_frame_equal(pd.read_csv(folder / f"{stem}.csv"), table)


@pytest.mark.usefixtures("in_this_process")
def test_the_official_curve_of_real_people_stands_in_the_ledger(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = labels.prepared
    monkeypatch.setattr(labels, "prepared", lambda *arguments: replace(prepared(*arguments), synthetic=False, dataset="uci-har"))
    assert experiment("labels_official", ["--quick", "--results", "out", "--runs", "work"]) == 0
    ledger = pd.read_csv(workplace / "out/uci_har/test_openings.csv")
    assert ledger.config.tolist() == [
        f"labels-official ({n} labelled, {start} start)" for n in (1, 2) for start in ("random", "pretrained")
    ]
    table = pd.read_csv(workplace / "out/uci_har/label_efficiency_official_quick.csv")
    np.testing.assert_allclose(ledger.macro_f1, table.macro_f1, atol=1e-5)
    assert "each scoring in the ledger" in (workplace / "out/uci_har/label_efficiency_official_quick.md").read_text()


def test_the_gain_is_within_fold_and_seed() -> None:
    rows = [(0, 0, 0.5, 0.6), (0, 1, 0.9, 0.8), (1, 0, 0.2, 0.6)]
    table = pd.DataFrame(
        {"fold": fold, "seed": seed, "labelled": 2, "start": start, "macro_f1": value}
        for fold, seed, *values in rows
        for start, value in zip(("random", "pretrained"), values, strict=True)
    )
    assert by_count(table).gain.get_group(2).tolist() == pytest.approx([0.1, -0.1, 0.4])
