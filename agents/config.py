"""What a training run is made of. Apart from the training itself, so that the command line knows it without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clustersim.errors import ConfigError


@dataclass(frozen=True)
class TrainConfig:
    """What a training run is. These sizes make about 3,500 decisions/s on one core, two minutes in all."""

    steps: int = 400_000
    """Decisions in total."""
    seed: int = 1
    nodes: int = 64
    """Size of the clusters to train on; each episode draws its own sample of the trace's nodes."""
    demand_ratio: float = 1.0
    """Episodes end at this arrived GPU demand, the one that the agent is judged at."""
    reward: Literal["allocation", "fragmentation", "shaped"] = "shaped"
    envs: int = 32
    """Environments in this process; subprocesses are slower when a step is this cheap."""
    rollout_steps: int = 128
    minibatch: int = 1024
    epochs: int = 3
    learning_rate: float = 5e-4
    """At the start; it falls linearly to 0."""
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.0
    hidden: int = 32
    checkpoint_every: int = 25_000
    device: str = "auto"
    """`auto` uses CUDA when there is one."""

    def __post_init__(self) -> None:
        for name in ("steps", "nodes", "envs", "rollout_steps", "minibatch", "epochs", "hidden", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        if not 0 < self.gamma <= 1:
            raise ConfigError(f"gamma is {self.gamma}; it has to be in (0, 1]")
        if (self.envs * self.rollout_steps) % self.minibatch:
            raise ConfigError(
                f"a rollout of {self.envs} x {self.rollout_steps} decisions does not split into minibatches of "
                f"{self.minibatch}; choose a divisor of {self.envs * self.rollout_steps}"
            )
