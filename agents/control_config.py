"""What a training run of a cluster control team is made of. Apart, so that the command line knows it without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from clustersim.agents.marl_config import MarlConfig
from clustersim.errors import ConfigError


def _marl() -> MarlConfig:
    return MarlConfig(imitation_updates=10, critic_updates=5, updates=120)


@dataclass(frozen=True)
class ControlTrainConfig:
    """The cluster, who teaches, and how the team learns."""

    preset: Literal["small", "medium", "large"] = "small"
    trace_pods: Path | None = None
    """Batch pods: as in the benchmark."""
    trace_services: Path | None = None
    """Loads of the services: as in the benchmark."""
    duration_s: float | None = None
    """Length of an episode; by default that of the preset."""
    tutors: str = "placer=kube-default,scaler=trend,capper=late-caps,migrator=consolidate"
    """Who is imitated, and who plays the roles that do not learn: a joint policy, or folders of trained teams in it."""
    local_share: float = 0.5
    """How much of its reward an agent answers for alone, 0 .. 1."""
    marl: MarlConfig = field(default_factory=_marl)

    def __post_init__(self) -> None:
        if not 0 <= self.local_share <= 1:
            raise ConfigError(f"local_share is {self.local_share}; it has to be in [0, 1]")
