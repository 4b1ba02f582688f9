"""Gated recurrent unit (Cho et al. 2014)."""

from torch import nn

from har.models.recurrent import RecurrentNetwork


class GRU(RecurrentNetwork):
    """Stacked GRU; see `RecurrentNetwork` for the options."""

    cell = nn.GRU
