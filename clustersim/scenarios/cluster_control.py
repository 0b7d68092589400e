"""One shared cluster, several controllers: batch pods and services on the same machines under a power budget.

Placers choose nodes, scalers the number of replicas, cappers the clocks of power rows, migrators live migrations. The
parts are told in `control_zone`, `control_service`, `control_batch` and `control_migration`; `control_world` puts them
together, and `control_roles` says what is asked and what the candidates mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from math import inf
from typing import get_args

from clustersim.coldstart import ColdStartConfig
from clustersim.control_workload import ControlWorkload
from clustersim.errors import ConfigError
from clustersim.failures import FailureConfig
from clustersim.interference import Interference
from clustersim.live_migration import MigrationConfig
from clustersim.meters import SiteConfig, SiteSeries, constant_site
from clustersim.power import PowerConfig
from clustersim.scenarios.control_world import ControlSimulation

COMPONENTS = ("slo_miss", "queueing", "energy", "brake", "cold_start", "migration")
"""What the team cost is the sum of."""


@dataclass(frozen=True)
class CostWeights:
    """What things cost, in points; the team cost is their sum."""

    slo_miss: float = 0.005
    """Per request that missed its SLO."""
    queueing: float = 0.005
    """Per second that a pod waits for a node, times 1 + its priority."""
    energy: float = 2.0
    """Per kWh of the servers."""
    brake: float = 50.0
    """Per time that a row brakes."""
    cold_start: float = 0.05
    """Per second that a replica takes to start once it has a node."""
    migration: float = 0.2
    """Per live migration that was started."""

    def __post_init__(self) -> None:
        for weight in fields(self):
            if not 0 <= getattr(self, weight.name) < inf:
                raise ConfigError(
                    f"the weight of {weight.name} is {getattr(self, weight.name)}; it has to be at least 0 and finite"
                )


@dataclass(frozen=True)
class ClusterControl:
    """The scenario: a source of workloads, one per seed, and how the cluster behaves."""

    source: Callable[[int], ControlWorkload]
    tick_s: float = 10.0
    """Scalers, cappers and migrators are asked at every multiple of this, placers whenever a pod may be placed."""
    weights: CostWeights = field(default_factory=CostWeights)
    power: PowerConfig = field(default_factory=PowerConfig)
    cold_starts: ColdStartConfig = field(default_factory=ColdStartConfig)
    interference: Interference = "hinge"
    failures: FailureConfig = field(default_factory=FailureConfig)
    migration: MigrationConfig = field(default_factory=MigrationConfig)
    site: SiteSeries = field(default_factory=constant_site)
    """Carbon intensity, price, weather."""
    site_config: SiteConfig = field(default_factory=SiteConfig)
    checkpoint_share: float = 0.5
    """The share of the work it has done since its start that a displaced batch pod keeps."""
    preemption: bool = True
    """Replicas that fit nowhere take the place of pods of lower priority."""
    high_priority: int = 2
    """Pods of this priority and above are high-priority work to cappers; replicas of services have 3."""
    pool_most: int = 4
    """The highest target of a warm pool."""
    typical_share: float = 0.95
    """As in pod placement."""
    log_power: bool = False
    """Log every change of every node's power: some ten events per tick and node."""

    def __post_init__(self) -> None:
        if not 0 < self.tick_s < inf:
            raise ConfigError(f"tick_s is {self.tick_s}; it has to be positive and finite")
        if self.interference not in get_args(Interference):
            raise ConfigError(
                f"interference is {self.interference!r}; choose one of {', '.join(get_args(Interference))}"
            )
        if not 0 <= self.checkpoint_share <= 1:
            raise ConfigError(f"checkpoint_share is {self.checkpoint_share}; it has to be in [0, 1]")
        if self.pool_most < 0:
            raise ConfigError(f"pool_most is {self.pool_most}; it has to be at least 0")
        if not 0 < self.typical_share <= 1:
            raise ConfigError(f"typical_share is {self.typical_share}; it has to be in (0, 1]")

    def build(self, seed: int) -> ControlSimulation:
        """A simulation at time 0; the same seed builds the same one."""
        return ControlSimulation(self, self.source(seed), seed)
