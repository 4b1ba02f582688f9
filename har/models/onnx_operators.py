"""ONNX's own recurrent operators, for layers that torch's exporter would write as one node a sample and gate."""

from collections.abc import Sequence

import torch
from torch import Tensor

from har.contract import OPSET


def recurrent_operator(
    kind: str,
    x: Tensor,
    weights: Sequence[tuple[Tensor, Tensor, Tensor]],
    *,
    start: Sequence[Tensor] | None = None,
    peepholes: Sequence[Tensor] = (),
    activation: str | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """One layer as one operator; for use where `torch.onnx.is_in_onnx_export` says so.

    Args:
        kind: ``RNN`` or ``LSTM``.
        x: (time, batch, feature).
        weights: of each direction: W (gate * hidden, feature), R (gate * hidden, hidden) and B (2 * gate * hidden,), the input's
            biases before the state's; the gates of an LSTM in ONNX's order: input, output, forget, cell.
        start: h, and of an LSTM c, before the first sample, (direction, batch, hidden) each; None: zeros.
        peepholes: of an LSTM, of each direction (3 * hidden,): input, output, forget; that of the output sees the new cell state.
        activation: of an RNN, ``Tanh`` or ``Relu``.

    Returns:
        (time, batch, direction * hidden) states, and h, of an LSTM also c, behind the last sample, as `start`.
    """
    time, batch = x.shape[0], x.shape[1]
    directions, hidden = len(weights), weights[0][1].shape[1]
    attributes: dict = {"hidden_size": hidden, "direction": "forward" if directions == 1 else "bidirectional"}
    if activation:
        attributes["activations"] = [activation] * directions
    carried = 2 if kind == "LSTM" else 1
    inputs: list[Tensor | None] = [x, *(torch.stack(parts) for parts in zip(*weights, strict=True)), None]  # None: no lengths
    inputs += [None] * carried if start is None else list(start)
    inputs += [torch.stack(tuple(peepholes))] if peepholes else []
    shapes = [(time, directions, batch, hidden), *[(directions, batch, hidden)] * carried]
    states, *last = torch.onnx.ops.symbolic_multi_out(
        kind, inputs, attrs=attributes, dtypes=[x.dtype] * len(shapes), shapes=shapes, version=OPSET
    )
    return states.transpose(1, 2).flatten(2), last  # (T, direction, B, hidden) -> (T, B, direction * hidden)
