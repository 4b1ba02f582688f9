import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from har.exporting import onnx_file
from har.exporting.gru_tracing import OpaqueGRU

LAYERS = [{}, {"num_layers": 2, "bidirectional": True}, {"bidirectional": True, "batch_first": True}, {"bias": False}]


class First(nn.Module):
    def forward(self, states: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return states[0]


@pytest.mark.parametrize("options", LAYERS)
def test_the_operator_is_the_layer(options: dict) -> None:
    layer, x = nn.GRU(3, 5, **options).eval(), torch.randn(4, 7, 3)
    expected = layer(x)
    with OpaqueGRU():
        found = layer(x)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("options", LAYERS)
def test_a_trace_holds_one_operator_with_the_shapes_of_the_layer(options: dict) -> None:
    layer, x = nn.GRU(3, 5, **options).eval(), torch.randn(4, 7, 3)
    with OpaqueGRU():
        nodes = list(torch.export.export(layer, (x,)).graph.nodes)
    (node,) = (node for node in nodes if node.target is torch.ops.har.gru.default)
    assert [part.shape for part in node.meta["val"]] == [part.shape for part in layer(x)]


def test_an_export_traces_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "TRANSLATIONS", {})
    with pytest.raises(torch.onnx.errors.OnnxExporterError) as found:
        onnx_file.trace(nn.Sequential(nn.GRU(3, 5, batch_first=True), First()).eval(), {"x": torch.randn(2, 7, 3)}, ["states"])
    assert "har.gru" in f"{found.value} {found.value.__cause__}"


def test_packed_sequences_stay_as_they_are() -> None:
    layer, packed = nn.GRU(3, 5).eval(), pack_sequence([torch.randn(4, 3), torch.randn(2, 3)])
    with OpaqueGRU():
        assert torch.equal(layer(packed)[1], layer(packed)[1])
