"""Trace `torch.gru` as one operator: torch 2.13 otherwise computes the shapes of every gate at every sample, twice.

The exported graph is the same; the export of the network `gru` takes a tenth of the time (`results/benchmarks/export.csv`).
"""

from collections.abc import Callable
from typing import Any

import torch
from onnxscript.function_libs.torch_lib.ops.core import aten_gru
from torch import Tensor
from torch.overrides import TorchFunctionMode


@torch.library.custom_op("har::gru", mutates_args=())
def gru(
    x: Tensor,
    start: Tensor,
    weights: list[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """`torch.gru` with its arguments in their order, opaque to a tracer."""
    return torch.gru(x, start, weights, has_biases, num_layers, dropout, train, bidirectional, batch_first)


@gru.register_fake
def _(x: Tensor, start: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    directions = start.shape[0] // others[2]
    return x.new_empty(x.shape[0], x.shape[1], directions * start.shape[2]), torch.empty_like(start)


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {torch.ops.har.gru.default: aten_gru}  # as that of `torch.gru`


class OpaqueGRU(TorchFunctionMode):
    """While it is entered, `torch.gru` is the operator above."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Call `func`, or what stands for it; packed sequences, whose third argument is no list of weights, stay as they are."""
        is_gru = func is torch.gru and isinstance(args[2], list | tuple)
        return (torch.ops.har.gru if is_gru else func)(*args, **(kwargs or {}))
