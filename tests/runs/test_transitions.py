"""HAPT's postural transitions as classes: from the archive to a prediction, and never mixed with six-class runs."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from har.cli import main
from har.config import RunConfig, parse_config
from har.contract import HAPT_LABELS, LABELS, UNKNOWN
from har.data import synthetic
from har.evaluation.figures import confusion_figure
from har.evaluation.predictions import collect
from har.recording import write_csv
from har.runs.checks import run_name
from har.runs.export import best_run
from har.runs.run_folder import find_runs
from tests.helpers import VALIDATION, accept_small_hapt, write_hapt
from tests.refusal import refused

SEVEN = (*LABELS, UNKNOWN)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive") / "hapt"
    write_hapt(folder, (1, 3, *VALIDATION, 2))
    return folder


@pytest.fixture
def small(workplace: Path, archive: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> str:
    """A config for the small archive; the windows are short enough for the transitions, which last 75 samples."""
    accept_small_hapt(archive, monkeypatch)
    content = config.model_dump(mode="json")
    content["data"]["dataset"] = "hapt"
    content["windowing"] = {"window_size": 48, "stride": 24}
    content["training"]["epochs"] = 1
    Path("small.yaml").write_text(parse_config(content, "test").to_yaml())
    return f"train --config small.yaml --archive {archive}"


@pytest.mark.parametrize(("kind", "labels"), [("unknown", SEVEN), ("keep", HAPT_LABELS)])
def test_the_whole_way_with_transitions(kind: str, labels: tuple[str, ...], small: str, capsys: pytest.CaptureFixture[str]) -> None:
    def har(line: str) -> str:
        assert main(line.split()) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    name = f"small-transitions-{kind}"
    assert f"{name}, seed 0: hapt, " in har(f"{small} --transitions {kind}")
    (run,) = find_runs(Path("runs"), "hapt")
    assert run.path == Path("runs/hapt") / name / "seed-0"
    assert run.config().data.transitions == kind
    predictions = run.predictions("validation")
    assert predictions is not None
    assert predictions.labels == list(labels)
    assert set(predictions.table.y_true) & set(labels[6:]), "no transition is validated; the test would prove nothing"
    assert labels[-1] in har("evaluate --dataset hapt")
    axes = confusion_figure(predictions).axes[0]
    assert len(axes.get_xticklabels()) == len(labels)
    assert len(axes.texts) == len(labels) ** 2

    assert name in har("compare --dataset hapt")
    har("export --dataset hapt --output bundle")
    manifest = json.loads(Path("bundle/manifest.json").read_text())
    assert (tuple(manifest["spec"]["labels"]), manifest["run"]) == (labels, name)
    vectors = json.loads(Path("bundle/test_vectors.json").read_text())
    assert np.array(vectors["probabilities"]).shape == (len(vectors["windows"]), len(labels))
    for path in (Path("bundle/model.onnx"), run.path / "model.onnx"):
        inside = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        assert json.loads(inside["spec"])["labels"] == list(labels)
    assert "golden windows hold" in har("verify --bundle bundle")
    write_csv(synthetic.generate(1, 0, bout_seconds=3.0), Path("r.csv"))
    har("predict --bundle bundle r.csv --output timeline.csv")
    header, *rows = Path("timeline.csv").read_text().splitlines()
    assert header.split(",")[-len(labels) :] == [f"p_{label}" for label in labels]
    assert sum(float(p) for p in rows[0].split(",")[-len(labels) :]) == pytest.approx(1.0, abs=1e-4)


def test_runs_over_other_labels_are_kept_apart(small: str, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("drop", "unknown"):
        assert main(f"{small} --transitions {kind}".split()) == 0
    runs = find_runs(Path("runs"), "hapt")
    assert [run.path.parent.name for run in runs] == ["small", "small-transitions-unknown"]
    capsys.readouterr()
    assert main(["compare", "--dataset", "hapt"]) == 2
    error = capsys.readouterr().err
    assert "over different labels (drop: small; unknown: small-transitions-unknown); choose one kind with --transitions" in error
    for kind, name in (("drop", "small"), ("unknown", "small-transitions-unknown")):
        (found,) = collect(Path("runs/hapt"), kind)
        assert found.origin.run == name
        assert main(["compare", "--dataset", "hapt", "--transitions", kind]) == 0
        assert f"| {name} " in capsys.readouterr().out
    with refused("run-missing", "no prediction files over the labels of --transitions keep"):
        collect(Path("runs/hapt"), "keep")
    with refused("not-comparable", r"different labels cannot be compared: small .*name runs of one kind with --model"):
        best_run(runs)
    assert best_run(runs[1:]).path == runs[1].path


def test_a_run_is_named_after_what_makes_it_another_experiment(config: RunConfig) -> None:
    def name(stem: str, **data: object) -> str:
        return run_name(stem, config.data.model_copy(update=data))

    assert name("gru") == "gru"
    assert name("gru", transitions="unknown") == "gru-transitions-unknown"
    assert name("gru-transitions-unknown", transitions="unknown") == "gru-transitions-unknown"
    assert name("gru", channels="uci9", transitions="keep") == "gru-uci9-transitions-keep"
    assert name("gru", channels="acc3") == name("gru-acc3", channels="acc3") == "gru-acc3"
    fold = config.with_split(kind="loso", fold=3).data.split
    assert name("gru", transitions="keep", split=fold) == "gru-transitions-keep-loso-3"


@pytest.mark.parametrize("dataset", ["uci-har", "synthetic"])
def test_data_without_transitions_are_refused_before_they_are_read(
    dataset: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--dataset", dataset, "--model", "gru", "--transitions", "keep"]) == 2
    error = capsys.readouterr().err
    expected = f"transitions is 'keep', but {dataset} has none; they are in hapt alone: use --dataset hapt, or transitions: drop"
    assert expected in error
    assert error.count("\n") == 1
