import math

import pytest
import torch

from har.models.transformer import Transformer, sinusoidal_positions

SIZE = {"width": 8, "heads": 2}


def network(**options: object) -> Transformer:
    torch.manual_seed(0)
    return Transformer(9, 64, 6, **SIZE | options).eval()  # type: ignore[arg-type]


def windows(count: int = 3, size: int = 64) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(count, size, 9)


def test_positions_are_those_of_the_paper() -> None:
    code = sinusoidal_positions(50, 16)
    for place in (0, 1, 7, 49):
        for pair in range(8):
            angle = place / 10_000 ** (2 * pair / 16)
            torch.testing.assert_close(
                code[place, 2 * pair : 2 * pair + 2], torch.tensor([math.sin(angle), math.cos(angle)]), atol=1e-5, rtol=0
            )


def test_tokens_know_their_place_by_the_positions_alone() -> None:
    """Without them the order of the tokens is lost in the mean; with them it is not."""
    made = network(patch_size=4, patch_stride=4)  # patches that do not overlap
    x = windows()
    shuffled = x.reshape(3, 16, 4, 9).flip(1).reshape(3, 64, 9)
    assert (made(x) - made(shuffled)).abs().max() > 1e-3
    made.positions.zero_()
    torch.testing.assert_close(made(x), made(shuffled), atol=1e-5, rtol=0)


def test_maps_are_those_the_layers_use() -> None:
    made = network(depth=2)
    x = windows()
    maps = made.attention_maps(x)
    assert maps.shape == (3, 2, 2, 16, 16)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(3, 2, 2, 16))
    layer, tokens = made.layers[0], made._embed(x)
    normed = layer.norm1(tokens)
    queries, keys, values = (
        part.unflatten(2, (2, 4)).transpose(1, 2)
        for part in torch.nn.functional.linear(normed, layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias).chunk(3, dim=2)
    )  # (B, head, token, 4)
    torch.testing.assert_close(maps[:, 0], torch.softmax(queries @ keys.transpose(2, 3) / 2.0, dim=3))
    mixed = tokens + layer.self_attn.out_proj((maps[:, 0] @ values).transpose(1, 2).flatten(2))
    expected = mixed + layer.linear2(torch.nn.functional.gelu(layer.linear1(layer.norm2(mixed))))
    torch.testing.assert_close(layer(tokens), expected, atol=1e-5, rtol=1e-5)  # pre-norm, GELU


@pytest.mark.parametrize("size", [64, 65, 67])
@pytest.mark.parametrize("patch", [{}, {"patch_size": 6, "patch_stride": 6}, {"patch_size": 8, "patch_stride": 2}])
def test_pooling_weights_stand_over_the_samples_of_their_token(size: int, patch: dict) -> None:
    torch.manual_seed(0)
    made = Transformer(9, size, 6, pooling="attention", **SIZE, **patch).eval()
    x = windows(size=size)
    weights = made.attention_weights(x)
    assert weights.shape == (3, size)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3))
    tokens = made._encode(x)
    of_tokens = made.pool.weights(tokens, tokens.mean(dim=1))
    torch.testing.assert_close(made(x), made.head((of_tokens.unsqueeze(2) * tokens).sum(dim=1)), atol=1e-6, rtol=1e-5)
    stride = made.patch_stride
    whole = min(of_tokens.shape[1], size // stride)
    found = weights[:, : whole * stride].reshape(3, whole, stride).sum(dim=2)
    torch.testing.assert_close(found / found.sum(1, keepdim=True), of_tokens[:, :whole] / of_tokens[:, :whole].sum(1, keepdim=True))


def test_without_attention_pooling_there_are_no_weights_over_time() -> None:
    with pytest.raises(ValueError, match="no attention weights over time"):
        network().attention_weights(windows())


@pytest.mark.parametrize("options", [{"width": 9, "heads": 3}, {"width": 8, "heads": 3}, {"pooling": "max"}])
def test_sizes_that_do_not_fit_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=r"width is|pooling is"):
        Transformer(9, 64, 6, **options)
