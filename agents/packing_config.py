"""What a training run of a packing agent is made of. Apart, so that the command line knows it without torch."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.errors import ConfigError


@dataclass(frozen=True)
class PackingTrainConfig:
    """Imitation of solver plans, then PPO. These sizes take about 25 minutes on one core."""

    seed: int = 1
    lessons: int = 100
    """imitation: solved placements per shape (4, 8 and 16 nodes with 4 and 8 pods each)."""
    placements: int = 500
    """PPO: failed placements per shape."""
    window_s: float = 0.5
    """What the solver gets per placement, in deterministic time."""
    imitation_updates: int = 150
    """Each on a batch of one shape, in turn."""
    ppo_updates: int = 720
    games: int = 64
    """Played side by side."""
    imitation_steps: int = 24
    """Decisions per game and update."""
    ppo_steps: int = 40
    follow: float = 0.7
    """imitation: share of the decisions in which the teacher moves; in the others the learner does."""
    hidden: int = 64
    minibatch: int = 512
    imitation_epochs: int = 2
    ppo_epochs: int = 3
    imitation_rate: float = 1e-3
    """Learning rate at the start; it falls linearly to 0."""
    ppo_rate: float = 5e-4
    critic_updates: int = 12
    """PPO updates at the start in which only the critic learns."""
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.002
    validate_every: int = 30
    """Updates between two looks at the validation seeds."""
    validation: int = 18
    """Validation placements per shape."""

    def __post_init__(self) -> None:
        for name in (
            "lessons",
            "placements",
            "games",
            "imitation_steps",
            "ppo_steps",
            "hidden",
            "minibatch",
            "validation",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        if not 0 <= self.follow <= 1:
            raise ConfigError(f"follow is {self.follow}; it has to be in [0, 1]")
