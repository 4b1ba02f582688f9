"""GRU layers that train faster on a CPU than torch's own: the same parameters, names and answers, other arithmetic.

LSTM layers need no such thing: torch gives them to oneDNN as a whole, in bfloat16 too (``training.precision``).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

SIGMOID_BACKWARD = torch.ops.aten.sigmoid_backward.grad_input
TANH_BACKWARD = torch.ops.aten.tanh_backward.grad_input


class FastGRU(nn.GRU):
    """`torch.nn.GRU`, whose training on a CPU is one loop over the samples, written out by hand, for both directions at once.

    torch builds its GRU of some twenty operators a sample, direction and layer, and differentiates each. Here the inputs of all samples
    are projected before the loop and the gradients of all weights are taken behind it, each in one product (Appleyard, Kocisky and
    Blunsom 2016 do so on a GPU), and what is left in the loop works in place. The answers are those of `torch.nn.GRU` up to the last
    digits, in float32 and float64; they can be differentiated once. Evaluation, export and other devices are torch's.
    """

    def forward(self, x: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """As `torch.nn.GRU`: (batch, time, input_size), if `batch_first`, -> states (batch, time, width), and the last states."""
        if not (_trains(self, x) and self.bias):
            return super().forward(x, hx)
        if torch.is_autocast_enabled("cpu"):  # float32 here takes half the time of torch's GRU in bfloat16
            with torch.autocast("cpu", enabled=False):
                return self(x.float(), hx if hx is None else hx.float())
        if x.dtype not in (torch.float32, torch.float64):
            return super().forward(x, hx)
        directions = 2 if self.bidirectional else 1
        if hx is None:
            batch = x.shape[0 if self.batch_first else 1]
            hx = x.new_zeros(self.num_layers * directions, batch, self.hidden_size)
        self.check_forward_args(x, hx, None)
        x = x.transpose(0, 1) if self.batch_first else x  # (T, B, feature)
        ends = []
        for first in range(0, len(hx), directions):
            if first > 0:
                x = nn.functional.dropout(x, self.dropout, self.training)
            own = slice(first, first + directions)
            weights = [torch.stack(of_directions) for of_directions in zip(*self.all_weights[own], strict=True)]
            x, end = _GRULayer.apply(x, hx[own], *weights)
            ends.append(end)
        return x.transpose(0, 1) if self.batch_first else x, torch.cat(ends)


class _GRULayer(torch.autograd.Function):
    """One layer over all samples, for d directions; the second reads the samples from the last to the first.

    With W, U, b, c of a direction and rows of reset, update and candidate as in torch::

        r, z = sigmoid(W x_t + b + U h_(t-1) + c),    m = U h_(t-1) + c,    n = tanh(W x_t + b + r * m),    h_t = n + z * (h_(t-1) - n)
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, start: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """(time, batch, feature), (d, batch, hidden) -> (time, batch, d * hidden) states, and the last states as `start`."""
        steps, batch, _ = x.shape
        directions, _, hidden = u.shape
        inputs = torch.stack([_read(x, number) for number in range(directions)])  # (d, T, B, feature)
        gates = x.new_empty(directions, steps, batch, 3 * hidden)  # r, z, n
        states = x.new_empty(directions, steps + 1, batch, hidden)  # h, the start first
        memory = x.new_empty(directions, steps, batch, hidden)  # m
        states[:, 0] = start
        bias = torch.cat((b[:, : 2 * hidden] + c[:, : 2 * hidden], b[:, 2 * hidden :]), dim=1)
        product, half = x.new_empty(directions, batch, 3 * hidden), x.new_empty(directions, batch, hidden)
        product_rz, product_m = product.split((2 * hidden, hidden), dim=2)
        u_t, c_m = u.mT.contiguous(), c[:, None, 2 * hidden :].expand_as(half).contiguous()
        with quick_products():
            for inputs_of_one, gates_of_one, weight in zip(inputs.flatten(1, 2), gates.flatten(1, 2), w, strict=True):
                torch.mm(inputs_of_one, weight.t(), out=gates_of_one)
            gates += bias[:, None, None]
            for rz, r, z, n, m, h, after in zip(*_gates(gates), memory.unbind(1), *_before_and_after(states), strict=True):
                torch.bmm(h, u_t, out=product)
                rz.add_(product_rz).sigmoid_()
                torch.add(product_m, c_m, out=m)
                # torch's tanh takes five times as long as 2 * sigmoid(2 x) - 1, which is as exact where 1 is the largest number.
                torch.addcmul(n, r, m, out=half).mul_(2).sigmoid_().mul_(2)
                torch.sub(half, 1, out=n)
                torch.lerp(n, h, z, out=after)
        ctx.save_for_backward(inputs, gates, states, memory, w, u)
        made = [_read(h[1:], number) for number, h in enumerate(states)]
        return torch.cat(made, dim=2), states[:, -1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_end: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of all arguments of `forward`; ``d_`` stands before a gradient."""
        inputs, gates, states, memory, w, u = ctx.saved_tensors
        directions, steps, batch, hidden = memory.shape
        d_h = torch.empty_like(states)
        d_h[:, 0] = 0
        for number, part in enumerate(d_states.chunk(directions, dim=2)):
            d_h[number, 1:] = _read(part, number)
        d_h[:, -1] += d_end
        d_gates, d_n_all = torch.empty_like(gates), torch.empty_like(memory)  # before sigmoid and tanh; of m in place of n
        product, two = d_h.new_empty(directions, batch, hidden), d_h.new_empty(directions, batch, 2 * hidden)
        d_r, d_z = two.chunk(2, dim=2)
        saved = (*_gates(gates), memory.unbind(1), _before_and_after(states)[0])
        targets = (d_gates.unbind(1), *_gates(d_gates)[::3], d_n_all.unbind(1), *_before_and_after(d_h))
        with quick_products():
            for rz, r, z, n, m, h, d_all, d_rz, d_m, d_n, d_before, d_after in list(zip(*saved, *targets, strict=True))[::-1]:
                torch.sub(h, n, out=d_z).mul_(d_after)
                torch.addcmul(d_after, d_after, z, value=-1, out=product)
                TANH_BACKWARD(product, n, grad_input=d_n)
                torch.mul(d_n, r, out=d_m)
                torch.mul(d_n, m, out=d_r)
                SIGMOID_BACKWARD(two, rz, grad_input=d_rz)
                torch.bmm(d_all, u, out=product)
                d_before.add_(product).addcmul_(d_after, z)
            flat = d_gates.flatten(1, 2)  # (d, T * B, 3 * hidden)
            d_u = [(h.flatten(0, 1).t() @ d).t() for h, d in zip(states[:, :-1], flat, strict=True)]
            d_c = flat.sum(1)
            d_gates[..., 2 * hidden :] = d_n_all
            d_w = [(given.flatten(0, 1).t() @ d).t() for given, d in zip(inputs, flat, strict=True)]
            d_b = torch.cat((d_c[:, : 2 * hidden], flat[..., 2 * hidden :].sum(1)), dim=1)
            d_x = None
            if ctx.needs_input_grad[0]:
                parts = [(d @ weight).unflatten(0, (steps, batch)) for d, weight in zip(flat, w, strict=True)]
                d_x = reduce(torch.add, (_read(part, number) for number, part in enumerate(parts)))
        return d_x, d_h[:, 0], torch.stack(d_w), torch.stack(d_u), d_b, d_c


def _read(x: Tensor, direction: int) -> Tensor:
    """(time, ...) in the order in which a direction reads it, and back again."""
    return x.flip(0) if direction else x


def _gates(gates: Tensor) -> list[tuple[Tensor, ...]]:
    """(d, time, batch, 3 * hidden) -> views of (r and z), r, z, n of every sample, each (d, batch, hidden) and twice that."""
    hidden = gates.shape[3] // 3
    ends = ((0, 2), (0, 1), (1, 2), (2, 3))
    return [gates[..., first * hidden : last * hidden].unbind(1) for first, last in ends]


def _before_and_after(states: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """(d, time + 1, batch, hidden) -> views of the states before and behind every sample."""
    views = states.unbind(1)
    return views[:-1], views[1:]


def _trains(layers: nn.RNNBase, x: Any) -> bool:
    """Whether this is a training pass over sequences of equal length on a CPU, of which nothing is exported or traced."""
    if not (layers.training and torch.is_grad_enabled()):  # asked first: an exporter would take what is asked of x for a condition
        return False
    watched = torch.jit.is_tracing() or torch.compiler.is_compiling()
    return not watched and isinstance(x, Tensor) and x.ndim == 3 and x.device.type == "cpu" and x.numel() > 0


@contextmanager
def quick_products() -> Iterator[None]:
    """Let oneDNN multiply float32 matrices where it keeps float32's precision: on AMD it is twice as fast as MKL.

    MKL leaves AVX512 unused on AMD's CPUs. torch asks oneDNN alone where bfloat16 would do; whether it then rounds to bfloat16, as it does
    on CPUs with AMX, is tried out once.
    """
    if not _onednn_is_exact():
        yield
        return
    matmul: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # torch builds this module as it is imported
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before


@lru_cache(maxsize=1)
def _onednn_is_exact() -> bool:
    matmul: Any = getattr(torch.backends.mkldnn, "matmul", None)
    if not torch.backends.mkldnn.is_available() or not hasattr(matmul, "fp32_precision"):
        return False
    before = matmul.fp32_precision
    left = torch.full((512, 128), 1 + 2**-12)  # bfloat16 would round it to 1
    try:
        matmul.fp32_precision = "bf16"
        exact = all(bool((left[:rows] @ torch.ones(128, 256) > 128).all()) for rows in (64, 512))
    finally:
        matmul.fp32_precision = before
    return exact
