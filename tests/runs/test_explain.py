"""Explanations: attributions add up, occlusion finds what was planted, neighbours are found, the report names every mistake."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from har.cli import main
from har.cli.commands import ATTRIBUTIONS
from har.config import RunConfig
from har.contract import LABELS
from har.data.windowset import WindowSet
from har.models.classifier import WindowClassifier
from har.models.registry import model_names
from har.runs.explain import METHODS, _of_sensors, attention_of, attribute, baseline_of, embed, nearest_windows
from har.runs.run_folder import RunFolder, find_runs
from tests.models.test_models import SMALL

SMALL_RUN = """
data: {dataset: synthetic, validation_subjects: [5, 15, 25, 30]}
model: {name: gru, options: {hidden_size: 8, num_layers: 1, pooling: attention}}
training: {epochs: 2, learning_rate: 0.01, threads: 1}
"""


def classifier_of(name: str, train: WindowSet, members: int = 1, **options: object) -> WindowClassifier:
    torch.manual_seed(3)
    made = WindowClassifier(
        model=name, options=SMALL.get(name, {}) | options, channels="raw6", window_size=128, num_classes=len(LABELS), members=members
    ).eval()
    made.frontend.fit(torch.from_numpy(np.array(train.x)))
    return made


def test_the_command_line_knows_the_methods() -> None:
    assert ATTRIBUTIONS == METHODS


@pytest.mark.parametrize("name", model_names())
def test_integrated_gradients_add_up_for_every_network(name: str, parts: dict[str, WindowSet]) -> None:
    made, x = classifier_of(name, parts["train"]), parts["validation"].x[:3]
    baseline, target = baseline_of(parts["train"]), np.array([0, 3, 5])
    found = attribute(made, x, target, baseline)
    assert found.shape == x.shape
    with torch.no_grad():
        both = torch.stack([torch.from_numpy(np.array(x)), torch.from_numpy(baseline).expand(3, -1, -1)])
        said = [torch.log_softmax(made(windows), dim=1)[range(3), target] for windows in both]
    difference = (said[0] - said[1]).numpy()
    np.testing.assert_allclose(found.sum(axis=(1, 2)), difference, atol=0.02 + 0.03 * np.abs(difference).max())


def test_occlusion_finds_the_part_that_decides(parts: dict[str, WindowSet]) -> None:
    class Listens(torch.nn.Module):
        """To z of the gyroscope from sample 64 to 96 alone."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            heard = x[:, 64:96, 5].mean(dim=1)
            return torch.stack([heard, -heard], dim=1)

    x = np.zeros((1, 128, 6), dtype=np.float32)
    x[:, :, 5] = 1.0
    found = attribute(Listens(), x, np.array([0]), np.zeros((128, 6), dtype=np.float32), "occlusion")  # type: ignore[arg-type]
    assert found[0, 70:90, 3:].min() > 0.1
    np.testing.assert_array_equal(found[0, :40], 0)
    np.testing.assert_array_equal(found[0, 120:], 0)
    np.testing.assert_array_equal(found[0, :, :3], 0)


def test_attention_where_there_is_any(parts: dict[str, WindowSet]) -> None:
    x = parts["validation"].x[:2]
    weights = attention_of(classifier_of("gru", parts["train"], pooling="attention"), x)
    assert weights is not None
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    assert attention_of(classifier_of("gru", parts["train"]), x) is None
    assert attention_of(classifier_of("cnn1d", parts["train"]), x) is None
    assert attention_of(classifier_of("transformer", parts["train"]), x) is None


@pytest.mark.parametrize("name", [*model_names()])
def test_a_training_window_is_its_own_nearest(name: str, parts: dict[str, WindowSet]) -> None:
    train = parts["train"].subset(np.arange(0, len(parts["train"]), 12))
    made = classifier_of(name, train, members=2)
    found = nearest_windows(made, train, train.x[5:8])
    assert found.index[:, 0].tolist() == [5, 6, 7]
    np.testing.assert_allclose(found.distance[:, 0], 0, atol=1e-3)
    assert (np.diff(found.distance, axis=1) >= 0).all()
    assert embed(made, train.x[:4]).shape[0] == 4


def test_what_speaks_in_body_acceleration_speaks_in_the_sensor() -> None:
    channels = ("body_acc_x", "gyro_x", "total_acc_x")
    found = _of_sensors(np.array([[1.0, 2.0, 4.0]], dtype=np.float32), channels)
    assert found.tolist() == [[5.0, 0.0, 0.0, 2.0, 0.0, 0.0]]


@pytest.fixture
def run(workplace: Path) -> RunFolder:
    Path("small.yaml").write_text(SMALL_RUN)
    assert main(["train", "--config", "small.yaml", "--quiet"]) == 0
    return find_runs(Path("runs"), "synthetic")[0]


def test_the_report_shows_the_mistakes_and_a_window_becomes_a_figure(
    run: RunFolder, config: RunConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "--dataset", "synthetic", "--model", "small", "--most", "4"]) == 0
    path = run.path / "errors_validation_synthetic.html"
    assert f"wrote {path}" in capsys.readouterr().out
    text = path.read_text()
    found = run.predictions("validation")
    assert found is not None
    table = found.table
    wrong = table[table.y_true != table.y_pred]
    surest = wrong[[f"p_{label}" for label in LABELS]].max(axis=1).sort_values(ascending=False, kind="stable").index[:4]
    assert re.findall(r'id="window-(\d+)"', text) == [str(number) for number in surest]
    assert f"{len(wrong)} of {len(table)} windows are wrong" in text
    assert f"{len(wrong) - 4} mistakes in which it was least sure (--most)" in text
    assert "SYNTHETIC data: these mistakes say nothing about people" in text
    assert "Written by <code>har" in text
    assert not re.search(r'(src|href)="(?!data:)', text)  # one file: it asks nobody for anything
    assert text.count("data:image/png") == 5
    assert main(["explain", "--dataset", "synthetic", "--model", "small", "--window", "3", "--method", "occlusion", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    assert written == [str(run.path / f"explanation_validation_3_synthetic.{kind}") for kind in ("png", "svg")]
    assert "SYNTHETIC data. Window 3" in Path(written[1]).read_text().replace("<!-- ", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--window", "100000"], "window 100000 is asked for; the validation subjects have windows 0 to"),
        (
            ["--part", "test"],
            "was not scored on the test subjects; first: har evaluate --dataset synthetic --model small --seed 0 --part test",
        ),
        (["--most", "0"], "--most is 0, expected at least 1"),
        (["--method", "gradient"], "invalid choice: 'gradient'"),
    ],
)
def test_what_cannot_be_explained_is_one_sentence(
    options: list[str], message: str, run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["explain", "--dataset", "synthetic", "--model", "small", *options]) == 2
    assert message in capsys.readouterr().err
