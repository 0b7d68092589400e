"""What critics share: a head that answers in normalised units and keeps its meaning when the units change (PopArt)."""

from __future__ import annotations

import torch
from torch import nn

from clustersim.agents.marl_actor import linear, torch_pooled
from clustersim.agents.marl_batch import Batch

SLOWEST = 0.05
"""Weight of a new batch in the running mean and spread of the targets, at least; the first one counts fully."""


class ValueHead(nn.Module):
    """One value per group; `forward` answers in units of the spread of that group's targets.

    Source: van Hasselt et al. 2016 (arXiv 1602.07714), as in MAPPO (arXiv 2103.01955).
    """

    def __init__(self, hidden: int, groups: int) -> None:
        super().__init__()
        self.out = linear(hidden, groups, gain=0.1)
        self.mean: torch.Tensor
        self.square: torch.Tensor
        self.seen: torch.Tensor
        self.register_buffer("mean", torch.zeros(groups, dtype=torch.float64))
        self.register_buffer("square", torch.ones(groups, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(groups, dtype=torch.float64))

    def forward(self, hidden: torch.Tensor, group: int) -> torch.Tensor:
        return self.out(hidden)[:, group]  # type: ignore[no-any-return]

    def spread(self) -> torch.Tensor:
        return (self.square - self.mean**2).clamp(min=1e-8).sqrt()

    def in_reward(self, value: torch.Tensor, group: int) -> torch.Tensor:
        """From units of the spread to those of the reward."""
        return (value * self.spread()[group] + self.mean[group]).float()

    def normalised(self, target: torch.Tensor, group: int) -> torch.Tensor:
        """The opposite of `in_reward`."""
        return ((target - self.mean[group]) / self.spread()[group]).float()

    @torch.no_grad()
    def take_in(self, target: torch.Tensor, group: int) -> None:
        """Move mean and spread towards the targets, and the last layer so that no value in units of reward changes."""
        old_mean, old_spread = self.mean[group].clone(), self.spread()[group]
        self.seen[group] += 1
        weight = max(1 / float(self.seen[group]), SLOWEST)
        exact = target.double()
        self.mean[group] += weight * (exact.mean() - self.mean[group])
        self.square[group] += weight * ((exact**2).mean() - self.square[group])
        spread = self.spread()[group]
        self.out.weight[group] *= float(old_spread / spread)
        self.out.bias[group] = (old_spread * self.out.bias[group] + old_mean - self.mean[group]) / spread


def summary(batch: Batch, rows: torch.Tensor) -> torch.Tensor:
    """What an agent sees, with a table in short: its vector, and mean and maximum of the legal rows."""
    vector = batch.vector[rows]
    if batch.table is None:
        return vector
    return torch.cat([vector, torch_pooled(batch.table[rows], batch.mask[rows])], dim=1)


def body(inputs: int, hidden: int) -> nn.Sequential:
    """Two hidden layers."""
    gain = 2**0.5
    return nn.Sequential(linear(inputs, hidden, gain), nn.Tanh(), linear(hidden, hidden, gain), nn.Tanh())
