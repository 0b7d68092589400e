"""What a training run of a DAG scheduling agent is made of. Apart, so that the command line knows it without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clustersim.errors import ConfigError


@dataclass(frozen=True)
class DagTrainConfig:
    """Imitation of a heuristic, then PPO."""

    setting: Literal["soc", "tpch"] = "soc"
    """soc: jobs of DS3 arrive at a system on a chip, run times are noisy. tpch: batches of TPC-H queries on Spark."""
    seed: int = 1
    updates: int = 40
    """PPO updates. These sizes take about six minutes on one core."""
    imitation_updates: int = 32
    """Updates at the start in which the heuristic is imitated."""
    imitation_epochs: int = 6
    envs: int = 16
    """Episodes played side by side."""
    steps: int = 256
    """Decisions per episode and update."""
    horizon: float = 3.0
    """Discounting: exp(-seconds / (horizon * mean critical path of a job)) between two decisions."""
    hidden: int = 32
    minibatch: int = 256
    epochs: int = 3
    learning_rate: float = 1e-4
    """At the start; it falls linearly to 0."""
    gae_lambda: float = 0.9
    clip: float = 0.1
    entropy: float = 0.0
    """Weight at the start; it falls linearly to a tenth."""
    critic_updates: int = 10
    """PPO updates at the start in which only the critic learns."""
    validate_every: int = 8
    """Updates between two looks at the validation seeds."""
    validation: int = 8
    """Validation episodes of every load."""

    def __post_init__(self) -> None:
        if self.setting not in ("soc", "tpch"):
            raise ConfigError(f"setting is {self.setting!r}; choose one of soc, tpch")
        for name in (
            "updates",
            "envs",
            "steps",
            "hidden",
            "minibatch",
            "epochs",
            "imitation_epochs",
            "validate_every",
            "validation",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        for name in ("horizon", "learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be above 0")
        if not 0 <= self.gae_lambda <= 1:
            raise ConfigError(f"gae_lambda is {self.gae_lambda}; it has to be in [0, 1]")
