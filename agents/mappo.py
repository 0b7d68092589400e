"""MAPPO: every group has its actor, all share one critic, which sees the state of the world and who is asked.

The critic is needed for learning only, so the team plays with what each agent sees. Source: Yu et al. 2022 (arXiv
2103.01955).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from clustersim.agents.marl_actor import common_features, torch_actor
from clustersim.agents.marl_batch import Batch, advantages, minibatches
from clustersim.agents.marl_config import MarlConfig
from clustersim.agents.marl_steps import improve
from clustersim.agents.marl_task import Layout
from clustersim.agents.marl_value import ValueHead, body, summary
from clustersim.agents.ppo_parts import descend


class CentralCritic(nn.Module):
    """The value of the state for the agent that is asked; with `own_observation`, of what that agent sees as well."""

    def __init__(self, layout: Layout, hidden: int, own_observation: bool) -> None:
        super().__init__()
        self.number = {group.name: number for number, group in enumerate(layout.groups)}
        agents = [agent for group in layout.groups for agent in group.agents]
        self.agent = nn.Embedding(len(agents), hidden)
        self.first_agent = {group.name: agents.index(group.agents[0]) for group in layout.groups}
        self.state = nn.Linear(layout.state, hidden)
        self.own = nn.ModuleDict()
        if own_observation:
            self.own.update({group.name: nn.Linear(common_features(group), hidden) for group in layout.groups})
        self.body = body(hidden, hidden)
        self.head = ValueHead(hidden, len(layout.groups))

    def forward(self, batch: Batch, rows: torch.Tensor) -> torch.Tensor:
        """Values in units of the spread of the group's targets, (B,)."""
        name = batch.group.name
        hidden = self.state(batch.state[rows]) + self.agent(batch.agent[rows] + self.first_agent[name])
        if self.own:
            hidden = hidden + self.own[name](summary(batch, rows))
        return self.head(self.body(torch.tanh(hidden)), self.number[name])  # type: ignore[no-any-return]


class Mappo(nn.Module):
    """Actors by group and the central critic, and how they learn from a batch of each group."""

    def __init__(self, layout: Layout, config: MarlConfig) -> None:
        super().__init__()
        self.config = config
        self.actors = nn.ModuleDict({g.name: torch_actor(g, config.hidden, config.recurrent) for g in layout.groups})
        self.critics = nn.ModuleDict({"central": CentralCritic(layout, config.hidden, config.own_observation)})

    @property
    def critic(self) -> CentralCritic:
        critic = self.critics["central"]
        assert isinstance(critic, CentralCritic)
        return critic

    def update(
        self,
        batches: list[Batch],
        optimizers: dict[str, torch.optim.Optimizer],
        entropy: float,
        critic_only: bool,
        rng: np.random.Generator,
    ) -> dict[str, float]:
        """Learn from one batch per group; return what to log."""
        critic, gained, targets = self.critic, [], []
        for batch in batches:
            number = critic.number[batch.group.name]
            with torch.no_grad():
                values = critic.head.in_reward(critic(batch, torch.arange(len(batch.action))), number)
            advantage, target = advantages(batch, values.numpy(), self.config)
            gained.append(advantage)
            targets.append(target)
        log = {"critic/central": self._fit(optimizers["critic/central"], batches, targets, rng)}
        if not critic_only:
            for batch, advantage in zip(batches, gained, strict=True):
                name = batch.group.name
                steps = improve(
                    self.actors[name], optimizers[f"actor/{name}"], batch, advantage, self.config, entropy, rng
                )
                log |= {f"{what}/{name}": value for what, value in steps.items()}
        return log

    def _fit(
        self,
        optimizer: torch.optim.Optimizer,
        batches: list[Batch],
        targets: list[torch.Tensor],
        rng: np.random.Generator,
    ) -> float:
        """Regression on the targets of all groups, in turn; return the mean squared error in shares of the variance."""
        critic = self.critic
        normalised = []
        for batch, target in zip(batches, targets, strict=True):
            number = critic.number[batch.group.name]
            critic.head.take_in(target[torch.from_numpy(batch.decided)], number)
            normalised.append(critic.head.normalised(target, number))
        errors = []
        for _ in range(self.config.epochs):
            parts = [
                (which, rows)
                for which, batch in enumerate(batches)
                for (rows,) in minibatches(batch, self.config.minibatch, 1, rng)
            ]
            for place in rng.permutation(len(parts)):
                which, those = parts[place]
                rows = torch.from_numpy(those)
                error = nn.functional.mse_loss(critic(batches[which], rows), normalised[which][rows])
                descend(critic, optimizer, error)
                errors.append(float(error.detach()))
        return float(np.mean(errors))
