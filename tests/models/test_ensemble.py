import numpy as np
import pytest
import torch

from har.contract import LABELS
from har.exporting.onnx_file import export_onnx, parity
from har.models.classifier import WindowClassifier
from har.models.layers import Ensemble
from har.models.registry import create_model


def classifier(members: int, **options: object) -> WindowClassifier:
    torch.manual_seed(0)
    return WindowClassifier(
        model="cnn1d",
        options={"width": 8, "dropout": 0.0},
        channels="raw6",
        window_size=128,
        num_classes=len(LABELS),
        members=members,
        **options,
    )  # type: ignore[arg-type]


def test_probabilities_are_the_mean_of_those_of_the_members() -> None:
    torch.manual_seed(0)
    members = [create_model("cnn1d", 15, 128, 6, {"width": 8}).eval() for _ in range(3)]
    x = torch.randn(5, 128, 15)
    expected = torch.stack([torch.softmax(member(x), 1) for member in members]).mean(0)
    torch.testing.assert_close(torch.softmax(Ensemble(members).eval()(x), 1), expected)


def test_every_member_learns_by_itself() -> None:
    model = classifier(2)
    x, y = torch.randn(8, 128, 6), torch.arange(8) % 6
    model.train()
    logits = model(x)
    assert logits.shape == (8, 2, 6)
    model.log = lambda *_, **__: None  # type: ignore[method-assign]
    one, two = (torch.nn.functional.cross_entropy(logits[:, member], y) for member in range(2))
    torch.testing.assert_close(model.training_step((x, y), 0), (one + two) / 2)
    mixed = torch.nn.functional.one_hot(y, 6).float()
    torch.testing.assert_close(model.training_step((x, mixed), 0), (one + two) / 2)
    first, second = (list(member.parameters()) for member in model.network.members)
    assert not torch.equal(first[0], second[0])


@pytest.mark.parametrize("members", [1, 2])
def test_the_size_is_that_of_all_members(members: int) -> None:
    assert classifier(members).num_parameters == members * classifier(1).num_parameters


def test_an_ensemble_with_all_inputs_is_exported_as_it_is(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model = classifier(2, compression=(0.3, 1.0), differences=(1.0,)).eval()
    windows = np.random.default_rng(0).normal(scale=0.3, size=(256, 128, 6)).astype(np.float32)
    model.frontend.fit(torch.from_numpy(windows))
    export_onnx(model, tmp_path / "model.onnx", {})
    assert parity(model, tmp_path / "model.onnx", windows) < 1e-5
