"""DeepConvLSTM has the layers of the paper."""

import pytest
import torch
from torch import nn

from har.models.convolutional import DeepConvLSTM
from har.models.recurrent import PeepholeLayers


def test_the_layers_are_those_of_the_paper() -> None:
    """Ordonez and Roggen 2016, with their 113 channels and 24 samples."""
    made = DeepConvLSTM(113, 24, 18)
    convolutions = [layer for layer in made.convolutions if isinstance(layer, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size, c.stride, c.padding) for c in convolutions] == [
        (1, 64, (5, 1), (1, 1), (0, 0)),
        *[(64, 64, (5, 1), (1, 1), (0, 0))] * 3,
    ]
    assert isinstance(made.recurrent, PeepholeLayers)
    assert (made.recurrent.input_size, made.recurrent.hidden_size, made.recurrent.num_layers) == (64 * 113, 128, 2)
    assert (made.dropout.p, made.recurrent.dropout, made.head[0].p) == (0.5, 0.5, 0.5)
    assert made.convolutions(torch.zeros(1, 1, 24, 113)).shape == (1, 64, 8, 113)
    assert made(torch.zeros(2, 24, 113)).shape == (2, 18)


def test_a_filter_sees_one_channel_and_all_channels_share_it() -> None:
    torch.manual_seed(0)
    made = DeepConvLSTM(3, 40, 6, width=8)
    x = torch.randn(2, 40, 3)
    maps = made.convolutions(x.unsqueeze(1))  # (B, width, T, channel)
    torch.testing.assert_close(made.convolutions(x[..., [2, 0, 1]].unsqueeze(1)), maps[..., [2, 0, 1]])
    changed = x.clone()
    changed[..., 1] = 0.0
    assert ((made.convolutions(changed.unsqueeze(1)) - maps).abs().amax(dim=(0, 1, 2)) > 0).tolist() == [False, True, False]


@pytest.mark.parametrize("peepholes", [True, False])
def test_the_answer_is_that_of_the_last_sample(peepholes: bool) -> None:
    torch.manual_seed(0)
    made = DeepConvLSTM(3, 40, 6, width=8, hidden_size=8, peepholes=peepholes).eval()
    x = torch.randn(2, 40, 3)
    sequence = torch.cat([made.convolutions(x.unsqueeze(1))[..., channel].transpose(1, 2) for channel in range(3)], dim=2)
    states, _ = made.recurrent(sequence)
    torch.testing.assert_close(made(x), made.head[1](states[:, -1]))
    assert type(made.recurrent) is (PeepholeLayers if peepholes else nn.LSTM)


def test_first_weights_are_orthogonal() -> None:
    made = DeepConvLSTM(3, 40, 6, width=8, hidden_size=16)
    for name, parameter in made.named_parameters():
        if parameter.ndim == 1:
            assert not parameter.any(), name
            continue
        for matrix in parameter.chunk(4) if name.startswith("recurrent") else [parameter]:
            flat = matrix.reshape(len(matrix), -1)
            gram = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
            torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-5, rtol=0)


def test_a_window_too_short_is_refused_with_the_length_it_needs() -> None:
    assert DeepConvLSTM(3, 17, 6, width=8)(torch.zeros(1, 17, 3)).shape == (1, 6)
    with pytest.raises(ValueError, match="4 convolutions of 5 samples need windows of 17 samples or more"):
        DeepConvLSTM(3, 16, 6, width=8)
