"""What a training run of a team is made of. Apart, so that the command line and the workers know it without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clustersim.errors import ConfigError


@dataclass(frozen=True)
class MarlConfig:
    """Imitation of published policies, then IPPO or MAPPO. An update plays whole episodes and learns from them."""

    algo: Literal["ippo", "mappo"] = "mappo"
    """ippo: critics see what the actors see. mappo: one critic sees the state of the world."""
    seed: int = 1
    roles: tuple[str, ...] = ()
    """Roles that learn; the others are played by their tutors. Empty: all learn."""
    updates: int = 100
    """PPO updates."""
    episodes: int = 8
    """Episodes per update."""
    siblings: int = 1
    """Episodes of an update that share a seed: what the same load costs the others becomes part of the baseline."""
    workers: int = 2
    """Processes that play. Results repeat for the same seed and the same number of workers."""
    share: Literal["role", "none"] = "role"
    """role: the agents of a role share one network. none: each has its own."""
    recurrent: bool = False
    """Actors remember by a GRU."""
    chunk: int = 16
    """Decisions through which a GRU is trained at a time."""
    hidden: int = 64
    own_observation: bool = True
    """mappo: the critic also sees what the agent sees."""
    gamma: float = 0.99
    """Discount of `tau_s` seconds: gamma ** (elapsed_s / tau_s) between two decisions of an agent."""
    tau_s: float = 10.0
    gae_lambda: float = 0.95
    epochs: int = 4
    minibatch: int = 512
    learning_rate: float = 1e-3
    """Of the actors at the start; it falls linearly to 0."""
    divergence: float = 0.02
    """Of an actor from the one that played, in nats per decision, beyond which its update ends."""
    critic_rate: float = 1e-3
    clip: float = 0.2
    entropy: float = 0.01
    """Weight at the start; it falls linearly to a tenth."""
    critic_updates: int = 0
    """PPO updates at the start in which only the critic learns."""
    imitation_updates: int = 0
    """Updates at the start in which the tutors are imitated."""
    imitation_epochs: int = 4
    imitation_minibatch: int = 256
    imitation_rate: float = 2e-3
    """At the start; it falls linearly to 0."""
    follow: float = 0.5
    """imitation: share of the decisions in which the tutor moves; in the others the learner does."""
    validate_every: int = 5
    """Updates between two looks at the validation seeds."""
    validation: int = 8
    """Validation episodes."""
    temperatures: tuple[float, ...] = (0.0, 1.0)
    """At which the team is tried there: it draws in proportion to exp(logit / temperature); 0: the most probable."""
    patience: int = 0
    """Looks without a better one after which PPO stops; 0: never."""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("algo", self.algo, ("ippo", "mappo")),
            ("share", self.share, ("role", "none")),
        ):
            if value not in allowed:
                raise ConfigError(f"{name} is {value!r}; choose one of {', '.join(allowed)}")
        at_least_one = (
            *("updates", "episodes", "siblings", "workers", "chunk", "hidden", "epochs", "minibatch"),
            *("imitation_epochs", "imitation_minibatch", "validate_every", "validation"),
        )
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        for name in ("critic_updates", "imitation_updates", "patience", "entropy"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be at least 0")
        for name in ("tau_s", "learning_rate", "critic_rate", "imitation_rate", "clip", "divergence"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be above 0")
        for name in ("gae_lambda", "follow"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be in [0, 1]")
        if not self.temperatures or min(self.temperatures) < 0:
            raise ConfigError(f"temperatures are {self.temperatures}; give at least one, all at least 0")
        if not 0 < self.gamma <= 1:
            raise ConfigError(f"gamma is {self.gamma}; it has to be in (0, 1]")
        if self.episodes % self.siblings:
            raise ConfigError(
                f"{self.episodes} episodes per update do not split into groups of {self.siblings} siblings; "
                f"choose a multiple of {self.siblings}"
            )
