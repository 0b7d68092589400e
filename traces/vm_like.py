"""Generated fleets of VMs: exits and arrivals leave the free cores in pieces, as in the clusters of "VMR2L"."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from clustersim.errors import ConfigError
from clustersim.streams import Streams
from clustersim.traces.vm_churn import churn
from clustersim.traces.vm_sets import drawn_sets
from clustersim.vm_fleet import NUMA_NODES, Ints, Machines, Shapes, Snapshot, fragment_rate
from clustersim.vm_life import FleetLife, still

CORES_PER_NUMA = 44
MEMORY_MIB_PER_NUMA = 184_388
MEMORY_MIB_PER_CORE = 2_048
MACHINES_PER_RACK = 30
MOST_FLEETS = 300
"""How many are tried before there is said to be none of a fragment rate."""


class Flavour(NamedTuple):
    """A kind of VM: all its cores, how often it is asked for, and whether its cores are split over both NUMA nodes."""

    cores: int
    weight: float
    double: bool


MIX = (
    Flavour(2, 0.11, False),
    Flavour(4, 0.42, False),
    Flavour(8, 0.12, False),
    Flavour(16, 0.10, False),
    Flavour(32, 0.08, True),
    Flavour(64, 0.15, True),
    Flavour(88, 0.02, True),
)
"""What is asked for. Large VMs find room less often: of the VMs that are there 5 % have 64 cores (6 % in the snapshot
of "VMR2L"), and there are 7.7 on a machine (7.5)."""


@dataclass(frozen=True)
class VmLike:
    """Fleets of one kind, one for each seed: `VmLike()(7)` is a Snapshot, `VmLike().life(7)` one in which time stands.

    Machines are 2 x 44 cores and 2 x 184,388 MiB, VMs have 2,048 MiB per core, as in the snapshots of "VMR2L"
    (EuroSys'25, arXiv 2505.17359). In a round VMs arrive until `least_free_share` of the cores is left or none has
    room; then VMs exit, any of them, until `free_share` is. There are `rounds` of that, and up to as many more until
    the fragment rate is in the range `fragment_rate` (None: whatever it is); if it never is, all begins anew. A VM
    takes any place with room, all equally likely, and with probability `best_fit_share` one of the fullest.
    Sets are drawn among VMs that are apart already, `set_size` in each; they do not change the fleet.
    """

    machines: int = 280
    free_share: float = 0.10
    least_free_share: float = 0.035
    mix: tuple[Flavour, ...] = MIX
    best_fit_share: float = 0.0
    fragment_rate: tuple[float, float] | None = (0.54, 0.57)
    rounds: int = 12
    cores_per_numa: int = CORES_PER_NUMA
    machines_per_rack: int = MACHINES_PER_RACK
    host_sets: int = 0
    rack_sets: int = 0
    set_size: int = 3
    immovable_share: float = 0.0

    def __post_init__(self) -> None:
        for name, count in (
            ("machines", self.machines),
            ("rounds", self.rounds),
            ("cores_per_numa", self.cores_per_numa),
            ("machines_per_rack", self.machines_per_rack),
        ):
            if count < 1:
                raise ConfigError(f"{name} of a generated fleet is {count}; it has to be at least 1")
        if not 0 <= self.least_free_share <= self.free_share < 1 or self.free_share == 0:
            raise ConfigError(
                f"least_free_share is {self.least_free_share} and free_share {self.free_share}; "
                "they have to be from 0 to 1, free_share above 0 and not below the other"
            )
        for name, share in (("best_fit_share", self.best_fit_share), ("immovable_share", self.immovable_share)):
            if not 0 <= share <= 1:
                raise ConfigError(f"{name} is {share}; it has to be from 0 to 1")
        if self.fragment_rate is not None and not 0 <= self.fragment_rate[0] <= self.fragment_rate[1] <= 1:
            raise ConfigError(f"fragment_rate is {self.fragment_rate}; it has to be a range within 0 and 1, or None")
        self._require_mix()

    def __call__(self, seed: int) -> Snapshot:
        streams = Streams(seed)
        machines, shapes = (
            standard_machines(self.machines, self.cores_per_numa, self.machines_per_rack),
            _shapes(self.mix),
        )
        shape, host, numa, free_cores, free_memory_mib = self._churned(machines, shapes, streams["fleet"])
        order = np.argsort(host, kind="stable")
        shape, host, numa = shape[order], host[order], numa[order]
        return Snapshot(
            f"vm-like-{self.machines}-{seed}",
            machines,
            shapes,
            _names("vm", len(host)),
            shape,
            host,
            numa,
            streams["movable"].random(len(host)) >= self.immovable_share,
            free_cores,
            free_memory_mib,
            drawn_sets(
                host, machines.rack[host], self.host_sets, self.rack_sets, self.set_size, streams["anti-affinity"]
            ),
        )

    def life(self, seed: int) -> FleetLife:
        """The fleet of this seed, in which nothing comes and nothing goes."""
        return still(self(seed))

    def _churned(self, machines: Machines, shapes: Shapes, rng: np.random.Generator) -> tuple[Ints, ...]:
        """Shape, host and NUMA node of every VM, free cores and free memory."""
        weight = np.array([flavour.weight for flavour in self.mix])
        low, high = self.fragment_rate or (0.0, 1.0)
        for _ in range(MOST_FLEETS):
            fleet: tuple[Ints, ...] = churn(
                rng, shapes.cores, shapes.memory_mib, shapes.double, np.cumsum(weight) / weight.sum(), machines.cores,
                machines.memory_mib, self.free_share, self.least_free_share, self.best_fit_share, self.rounds, low, high
            )  # fmt: skip
            if low <= (rate := fragment_rate(fleet[3])) <= high:
                return fleet
        raise ConfigError(
            f"none of {MOST_FLEETS} fleets of {self.machines} machines came to a fragment rate from {low} to {high}, "
            f"the last has {rate:.3f}; take a wider range, or fragment_rate=None for any"
        )

    def _require_mix(self) -> None:
        if not self.mix or sum(flavour.weight for flavour in self.mix) <= 0:
            raise ConfigError("the mix needs at least one flavour with a weight above 0")
        for cores, weight, double in self.mix:
            nodes = NUMA_NODES if double else 1
            if cores < 1 or cores % nodes or cores > nodes * self.cores_per_numa or not weight >= 0:
                raise ConfigError(
                    f"the mix has a flavour of {cores} cores on {nodes} NUMA node(s) with weight {weight}; a VM has as "
                    f"many cores on each node, at least 1 and at most {self.cores_per_numa}, and a weight is not "
                    "below 0"
                )


ROOMY = VmLike(
    machines=1264,
    free_share=0.43,
    least_free_share=0.40,
    mix=(
        Flavour(2, 0.10, False),
        Flavour(4, 0.20, False),
        Flavour(8, 0.20, False),
        Flavour(16, 0.20, False),
        Flavour(32, 0.15, True),
        Flavour(64, 0.12, True),
        Flavour(88, 0.03, True),
    ),
    fragment_rate=None,
    host_sets=150,
    rack_sets=15,
)
"""As large and as empty as the augmented instance of "VMR2L": 1,264 machines, 3,000 VMs, 150 host and 15 rack sets."""


@lru_cache(maxsize=8)
def standard_machines(count: int, cores_per_numa: int = CORES_PER_NUMA, per_rack: int = MACHINES_PER_RACK) -> Machines:
    """All alike and active; racks differ by one machine at most."""
    racks = max(1, round(count / per_rack))
    each = np.ones((count, NUMA_NODES), dtype=np.int64)
    return Machines(
        _names("pm", count),
        np.arange(count) * racks // count,
        each * cores_per_numa,
        each * MEMORY_MIB_PER_NUMA,
        np.ones(count, dtype=np.bool_),
    )


@lru_cache(maxsize=8)
def _shapes(mix: tuple[Flavour, ...]) -> Shapes:
    double = np.array([flavour.double for flavour in mix])
    cores = np.array([flavour.cores for flavour in mix], dtype=np.int64) // np.where(double, 2, 1)
    names = tuple(f"{flavour.cores}-cores{'-double' if flavour.double else ''}" for flavour in mix)
    return Shapes(names, cores, cores * MEMORY_MIB_PER_CORE, double)


@lru_cache(maxsize=64)
def _names(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}-{row:04d}" for row in range(count))
