import pytest
import torch

from har.models.layers import AdditiveAttention
from har.models.registry import create_model

TIME = 40
RECURRENT = ("rnn", "lstm", "gru", "peephole_lstm")


def test_scores_contexts_and_weights_are_those_of_the_paper() -> None:
    """Bahdanau, Cho and Bengio 2015, with loops in place of matrices."""
    torch.manual_seed(0)
    layer = AdditiveAttention(5, 7)
    states, query = torch.randn(2, 6, 5), torch.randn(2, 5)
    w, u, v = layer.state.weight, layer.query.weight, layer.score.weight[0]
    for window in range(2):
        scores = torch.stack([v @ torch.tanh(w @ states[window, t] + u @ query[window]) for t in range(6)])
        shares = torch.exp(scores) / torch.exp(scores).sum()
        torch.testing.assert_close(layer.weights(states, query)[window], shares)
        context = sum(shares[t] * states[window, t] for t in range(6))
        torch.testing.assert_close(layer(states, query)[window], context)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", RECURRENT)
def test_the_weights_of_a_network_are_those_it_pools_with(name: str, bidirectional: bool) -> None:
    torch.manual_seed(0)
    made = create_model(name, 9, TIME, 6, {"hidden_size": 8, "pooling": "attention", "bidirectional": bidirectional}).eval()
    x = torch.randn(3, TIME, 9)
    weights = made.attention_weights(x)
    assert weights.shape == (3, TIME)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3))
    assert weights.std(dim=1).min() > 0  # not all alike
    states, _ = made.recurrent(x)
    context = (weights.unsqueeze(2) * states).sum(dim=1)
    torch.testing.assert_close(made(x), made.head(torch.cat((context, made.last_state(states)), dim=1)))


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("pooling", ["statistics", "last"])
def test_a_network_without_attention_says_so(name: str, pooling: str) -> None:
    made = create_model(name, 9, TIME, 6, {"hidden_size": 8, "pooling": pooling})
    with pytest.raises(ValueError, match="no attention weights; build it with pooling: attention"):
        made.attention_weights(torch.randn(1, TIME, 9))


def test_attention_learns_where_to_look() -> None:
    """One sample carries the class, and only where a mark says so; after some steps it has most of the weight."""
    torch.manual_seed(0)
    layer, head = AdditiveAttention(3, 8), torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.03)
    for _ in range(150):
        y, place = torch.randint(2, (64,)).float(), torch.randint(TIME, (64,))
        states = torch.randn(64, TIME, 3)
        states[..., 1] = 0.0
        states[torch.arange(64), place, 0], states[torch.arange(64), place, 1] = 2 * y - 1, 2.0  # what, and the mark
        optimizer.zero_grad()
        context = layer(states, torch.zeros(64, 3))
        torch.nn.functional.binary_cross_entropy_with_logits(head(context).squeeze(1), y).backward()
        optimizer.step()
    weights = layer.weights(states, torch.zeros(64, 3))
    assert weights[torch.arange(64), place].mean() > 0.5  # an even share is 1 / TIME
