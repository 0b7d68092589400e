"""What a training run of a rescheduling agent is made of. Apart, so that the command line knows it without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clustersim.errors import ConfigError


@dataclass(frozen=True)
class VmTrainConfig:
    """Imitation of exact plans on generated fleets, then PPO; everything scales with the number of machines."""

    seed: int = 1
    machines: tuple[int, ...] = (40, 20, 40, 80)
    """Sizes of the fleets to learn on, in turn."""
    moves_per_machine: tuple[float, float] = (0.12, 0.5)
    """The migration number limit of a fleet is drawn from this range, times the machines, and is at least 2."""
    varied_share: float = 0.5
    """Share of fleets with other free shares and flavours than those of the generator."""
    width: int = 48
    heads: int = 3
    blocks: int = 2
    attention: Literal["tree", "plain", "none"] = "tree"
    features: Literal["all", "published"] = "all"
    action: Literal["two-stage", "penalty", "joint"] = "two-stage"
    penalty: float = 1.0
    """PPO with action `penalty`: what an illegal move costs, in flavours."""
    imitation_updates: int = 60
    ppo_updates: int = 90
    rows: int = 1280
    """Machines in a minibatch: 32 fleets of 40."""
    lessons: int = 48
    """imitation: fleets of 40 machines that are solved per update; fewer if they are larger."""
    passes: int = 4
    """imitation: how often every lesson of an update is played."""
    played_share: float = 0.5
    """imitation: share of lessons that begin where the learner has come to by moves of its own."""
    value_weight: float = 0.2
    """imitation: of the squared error of the value."""
    solver_s: float = 2.0
    """What the solver gets for a fleet, by the wall clock; a fleet that takes longer teaches its best plan."""
    workers: int = 1
    """Processes that solve beside the training; 0: none."""
    imitation_rate: float = 1e-3
    """Learning rate at the start; it falls to a twentieth."""
    ppo_rate: float = 1e-4
    games: int = 64
    """PPO: episodes on fleets of 40 machines per update; fewer if they are larger."""
    siblings: int = 4
    """PPO: episodes on the same fleet."""
    ppo_epochs: int = 2
    critic_updates: int = 3
    """PPO updates at the start in which only the critic learns."""
    gamma: float = 1.0
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.001
    target_kl: float = 0.03
    """PPO: no more epochs of an update once the policy has moved so far."""
    validate_every: int = 5
    validation: tuple[tuple[int, float, int], ...] = ((20, 0.5, 24), (40, 0.5, 24), (280, 100 / 280, 3))
    """Machines, moves per machine and number of the fleets by which the best agent is chosen."""

    def __post_init__(self) -> None:
        for name in ("rows", "lessons", "passes", "games", "siblings", "ppo_epochs", "validate_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        if not self.machines or min(self.machines) < 2:
            raise ConfigError(f"machines are {self.machines}; name at least one size, each of 2 machines or more")
        low, high = self.moves_per_machine
        if not 0 < low <= high:
            raise ConfigError(f"moves_per_machine is {low}, {high}; it has to be a range above 0")
        for name in ("varied_share", "played_share", "gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be in [0, 1]")
        if self.imitation_updates < 0 or self.ppo_updates < 0 or self.workers < 0:
            raise ConfigError("imitation_updates, ppo_updates and workers have to be at least 0")

    def machines_of(self, update: int) -> int:
        """The size that an update learns on."""
        return self.machines[update % len(self.machines)]

    def lessons_of(self, update: int) -> int:
        return max(1, round(self.lessons * 40 / self.machines_of(update)))

    def games_of(self, update: int) -> int:
        """A multiple of `siblings`."""
        return self.siblings * max(1, round(self.games * 40 / self.machines_of(update) / self.siblings))
