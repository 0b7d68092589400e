"""IPPO: every group of agents learns for itself, as if the others were part of the world.

Its critic sees what its actor sees (without the memory of a GRU), the advantages are those of the agent's own decision
times. Source: de Witt et al. 2020 (arXiv 2011.09533).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from clustersim.agents.marl_actor import common_features, torch_actor
from clustersim.agents.marl_batch import Batch, advantages, minibatches
from clustersim.agents.marl_config import MarlConfig
from clustersim.agents.marl_steps import improve
from clustersim.agents.marl_task import Group, Layout
from clustersim.agents.marl_value import ValueHead, body, summary
from clustersim.agents.ppo_parts import descend


class OwnCritic(nn.Module):
    """The value of what an agent sees."""

    def __init__(self, group: Group, hidden: int) -> None:
        super().__init__()
        self.body = body(common_features(group), hidden)
        self.head = ValueHead(hidden, groups=1)

    def forward(self, batch: Batch, rows: torch.Tensor) -> torch.Tensor:
        """Values in units of the targets' spread, (B,)."""
        return self.head(self.body(summary(batch, rows)), 0)  # type: ignore[no-any-return]


class Ippo(nn.Module):
    """Actors and critics by group, and how they learn from a batch of each."""

    def __init__(self, layout: Layout, config: MarlConfig) -> None:
        super().__init__()
        self.config = config
        self.actors = nn.ModuleDict({g.name: torch_actor(g, config.hidden, config.recurrent) for g in layout.groups})
        self.critics = nn.ModuleDict({g.name: OwnCritic(g, config.hidden) for g in layout.groups})

    def update(
        self,
        batches: list[Batch],
        optimizers: dict[str, torch.optim.Optimizer],
        entropy: float,
        critic_only: bool,
        rng: np.random.Generator,
    ) -> dict[str, float]:
        """Learn from one batch per group; return what to log."""
        log = {}
        for batch in batches:
            name = batch.group.name
            critic = self.critics[name]
            assert isinstance(critic, OwnCritic)
            with torch.no_grad():
                values = critic.head.in_reward(critic(batch, torch.arange(len(batch.action))), 0)
            advantage, target = advantages(batch, values.numpy(), self.config)
            log[f"critic/{name}"] = self._fit(critic, optimizers[f"critic/{name}"], batch, target, rng)
            if not critic_only:
                steps = improve(
                    self.actors[name], optimizers[f"actor/{name}"], batch, advantage, self.config, entropy, rng
                )
                log |= {f"{what}/{name}": value for what, value in steps.items()}
        return log

    def _fit(
        self,
        critic: OwnCritic,
        optimizer: torch.optim.Optimizer,
        batch: Batch,
        target: torch.Tensor,
        rng: np.random.Generator,
    ) -> float:
        """Regression on the targets; return the mean squared error as a share of their variance."""
        critic.head.take_in(target[torch.from_numpy(batch.decided)], 0)
        normalised = critic.head.normalised(target, 0)
        errors = []
        for _ in range(self.config.epochs):
            for (those,) in minibatches(batch, self.config.minibatch, 1, rng):
                rows = torch.from_numpy(those)
                error = nn.functional.mse_loss(critic(batch, rows), normalised[rows])
                descend(critic, optimizer, error)
                errors.append(float(error.detach()))
        return float(np.mean(errors))
