import pytest
import torch

from har.models.registry import create_model


def parameters(window_size: int, **options: object) -> int:
    return sum(p.numel() for p in create_model("mlp", 9, window_size, 6, options).parameters())


@pytest.mark.parametrize("hidden_sizes", [[], [16], [128, 64]])
def test_it_grows_with_the_window_and_by_its_first_layer_alone(hidden_sizes: list[int]) -> None:
    first = hidden_sizes[0] if hidden_sizes else 6
    counts = [parameters(window_size, hidden_sizes=hidden_sizes) for window_size in (64, 128, 192, 1024)]
    assert counts[1] - counts[0] == counts[2] - counts[1] == 64 * 9 * first
    assert counts[3] - counts[2] == (1024 - 192) * 9 * first
    rest = sum(a * b + b for a, b in zip(hidden_sizes, [*hidden_sizes, 6][1:], strict=True))
    assert counts[0] == 64 * 9 * first + first + rest


def test_networks_that_share_their_weights_over_time_do_not_grow() -> None:
    for name in ("rnn", "lstm", "gru", "peephole_lstm", "deep_conv_lstm", "transformer"):
        counts = {sum(p.numel() for p in create_model(name, 9, size, 6, {}).parameters()) for size in (64, 128)}
        assert len(counts) == 1, name


def test_without_hidden_layers_it_is_linear() -> None:
    torch.manual_seed(0)
    made = create_model("mlp", 9, 32, 6, {"hidden_sizes": []})
    x, y = torch.randn(2, 4, 32, 9)
    zero = made(torch.zeros_like(x))
    torch.testing.assert_close(made(x + 2 * y) - zero, made(x) - zero + 2 * (made(y) - zero), atol=1e-5, rtol=1e-5)
