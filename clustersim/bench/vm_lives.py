"""How the fleets of a benchmark live on: by drift from a snapshot, or by the arrivals of Azure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from clustersim.bench.checksum import checksum
from clustersim.bench.runs import JSON
from clustersim.bench.vm_fleets import Fleets
from clustersim.traces.azure_vms import AzureFleet
from clustersim.traces.vm_catalog import AZURE2017
from clustersim.traces.vm_drift import Drifting
from clustersim.vm_life import FleetLife


class Lives(Protocol):
    """A life for each seed."""

    @property
    def name(self) -> str: ...
    @property
    def duration_s(self) -> float: ...

    def __call__(self, seed: int) -> FleetLife: ...

    def config(self) -> dict[str, JSON]:
        """What determines the lives."""


@dataclass(frozen=True)
class DriftingLives:
    """VMs of the fleet exit, others of the same mix arrive."""

    fleets: Fleets
    turnover_s: float
    duration_s: float

    @property
    def name(self) -> str:
        return self.fleets.name

    def __call__(self, seed: int) -> FleetLife:
        return Drifting(self.fleets, self.turnover_s, self.duration_s)(seed)

    def config(self) -> dict[str, JSON]:
        return {**self.fleets.config(), "turnover_s": self.turnover_s, "duration_s": self.duration_s}


@dataclass(frozen=True)
class AzureLives:
    """A fleet that is filled by the arrivals of Azure 2017, and goes on by them."""

    machines: int
    load_share: float
    duration_s: float

    @property
    def name(self) -> str:
        return AZURE2017.name

    def __call__(self, seed: int) -> FleetLife:
        return AzureFleet(machines=self.machines, load_share=self.load_share, horizon_s=self.duration_s)(seed)

    def config(self) -> dict[str, JSON]:
        told: dict[str, JSON] = {"machines": self.machines, "load_share": self.load_share}
        return {**told, "duration_s": self.duration_s, "trace_sha256": checksum(self(0))}
