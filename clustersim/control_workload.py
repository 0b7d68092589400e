"""What a shared cluster serves: zones of nodes in power rows, batch pods, and services whose load is a trace."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError
from clustersim.interference import KINDS
from clustersim.workload import NodeTable, PodTable


@dataclass(frozen=True, slots=True, eq=False)
class ServiceLoad:
    """Requests per second, constant from each time to the next; `rate_rps[k]` holds from `time_s[k]`, (K,) both.

    `time_s` starts at 0 and increases; the last rate holds for ever.
    """

    time_s: NDArray[np.float64]
    rate_rps: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.time_s.ndim != 1 or self.time_s.shape != self.rate_rps.shape or len(self.time_s) == 0:
            raise ConfigError(
                f"a load has one rate per time; got {self.time_s.shape} times and {self.rate_rps.shape} rates"
            )
        if self.time_s[0] != 0 or not (np.diff(self.time_s) > 0).all():
            raise ConfigError("the times of a load start at 0 and increase")
        bad = np.flatnonzero(~((self.rate_rps >= 0) & (self.rate_rps < inf)))
        if len(bad):
            raise ConfigError(f"rate {bad[0]} of a load is {self.rate_rps[bad[0]]}; rates are finite and at least 0")


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """A service: what one replica asks for and can do, how it starts, and what is promised to its users.

    A replica works on `concurrency` requests at a time, `service_time_s` each, so it serves
    `concurrency / service_time_s` requests per second at full clock without neighbours. A request misses the SLO when
    it takes longer than `slo_s`, waiting included. Requests that would make the queue longer than `queue_limit` are
    turned away, and missed too. `runtime` is a row of the cold-start tables. `clock_sensitivity` is the share of the
    work that slows with the clock (1: compute-bound, .15: memory-bound).
    """

    name: str
    zone: int
    load: ServiceLoad
    cpu_milli: int
    memory_mib: int
    gpu_milli: int
    """Of one device; 0: none, 1000: a whole device."""
    service_time_s: float
    concurrency: int
    slo_s: float
    initial_replicas: int = 1
    min_replicas: int = 1
    max_replicas: int = 20
    queue_limit: float = inf
    priority: int = 3
    clock_sensitivity: float = 0.5
    runtime: str = "Python3"
    image: str = ""
    image_mib: int = 0

    def __post_init__(self) -> None:
        if not (self.concurrency > 0 and 0 < self.service_time_s < inf):
            raise ConfigError(
                f"service {self.name!r} has no capacity: concurrency {self.concurrency}, service_time_s "
                f"{self.service_time_s}; both have to be positive"
            )
        if self.max_replicas < 1 or not 0 <= self.min_replicas <= self.max_replicas:
            raise ConfigError(
                f"service {self.name!r} may have {self.min_replicas} to {self.max_replicas} replicas, which leaves it "
                "no capacity; use 0 <= min_replicas <= max_replicas and max_replicas >= 1"
            )
        if not self.min_replicas <= self.initial_replicas <= self.max_replicas:
            raise ConfigError(
                f"service {self.name!r} starts with {self.initial_replicas} replicas; allowed are "
                f"{self.min_replicas} to {self.max_replicas}"
            )
        if not self.slo_s > self.service_time_s:
            raise ConfigError(
                f"service {self.name!r} promises {self.slo_s} s, but works {self.service_time_s} s on a request; "
                "an SLO has to be longer"
            )
        if not self.queue_limit > 0:
            raise ConfigError(f"service {self.name!r} has a queue of {self.queue_limit} requests; use more than 0")
        if not 0 <= self.clock_sensitivity <= 1:
            raise ConfigError(f"service {self.name!r}: clock_sensitivity {self.clock_sensitivity} is not in [0, 1]")
        if not 0 <= self.gpu_milli <= 1000:
            raise ConfigError(f"service {self.name!r}: gpu_milli {self.gpu_milli} is not in 0 .. 1000, one device")

    @property
    def replica_rps(self) -> float:
        """Requests per second of one replica at full clock without neighbours."""
        return self.concurrency / self.service_time_s


@dataclass(frozen=True, slots=True, eq=False)
class BatchTraits:
    """What a pod table does not tell of its P pods, (P,) each.

    `zone`: where it is queued. `gpu_load`, `cpu_load`: how busy it keeps what it holds, in (0, 1].
    `clock_sensitivity`: as in `Service`. `kind`: its row in a table of pairs, where interference goes by pairs.
    """

    zone: NDArray[np.int64]
    gpu_load: NDArray[np.float64]
    cpu_load: NDArray[np.float64]
    clock_sensitivity: NDArray[np.float64]
    kind: NDArray[np.int64]


@dataclass(frozen=True)
class ControlWorkload:
    """N nodes in zones and rows, batch pods that arrive, and services. `zone`, `row` (N,) number from 0 without gaps.

    The nodes of a zone stand together. A row lies in one zone. `gpu_type` names, per GPU model of the nodes, its entry
    in the hardware catalogue.
    """

    name: str
    nodes: NodeTable
    zone: NDArray[np.int64]
    row: NDArray[np.int64]
    gpu_type: dict[str, str]
    pods: PodTable
    traits: BatchTraits
    services: tuple[Service, ...]
    duration_s: float
    """Length of an episode."""

    def __post_init__(self) -> None:
        for what, index in (("zone", self.zone), ("row", self.row)):
            if len(index) != len(self.nodes) or set(index.tolist()) != set(range(int(index.max()) + 1)):
                raise ConfigError(f"every node has a {what}, and {what}s are numbered from 0 without gaps")
        if (np.diff(self.zone) < 0).any():
            raise ConfigError("the nodes of a zone stand together, those of zone 0 first")
        for row in range(self.rows):
            zones = np.unique(self.zone[self.row == row])
            if len(zones) > 1:
                raise ConfigError(f"row {row} lies in zones {zones.tolist()}; a row lies in one zone")
        missing = sorted({model for model in self.nodes.gpu_model if model} - set(self.gpu_type))
        if missing:
            raise ConfigError(f"gpu_type does not say what GPU model {', '.join(missing)} is")
        for service in self.services:
            if not 0 <= service.zone < self.zones:
                raise ConfigError(f"service {service.name!r} is in zone {service.zone}; there are {self.zones}")
        names = [service.name for service in self.services]
        if len(set(names)) < len(names):
            raise ConfigError("every service has a name of its own")
        self._check_traits()
        if not 0 < self.duration_s < inf:
            raise ConfigError(f"an episode lasts {self.duration_s} s; it has to be positive and finite")

    def _check_traits(self) -> None:
        traits = self.traits
        for name in ("zone", "gpu_load", "cpu_load", "clock_sensitivity", "kind"):
            values = getattr(traits, name)
            if len(values) != len(self.pods):
                raise ConfigError(f"{name} of the batch pods has {len(values)} rows; there are {len(self.pods)} pods")
        for name, wrong, allowed in (
            ("zone", (traits.zone < 0) | (traits.zone >= self.zones), f"0 .. {self.zones - 1}"),
            ("gpu_load", ~((traits.gpu_load > 0) & (traits.gpu_load <= 1)), "(0, 1]"),
            ("cpu_load", ~((traits.cpu_load > 0) & (traits.cpu_load <= 1)), "(0, 1]"),
            (
                "clock_sensitivity",
                ~((traits.clock_sensitivity >= 0) & (traits.clock_sensitivity <= 1)),
                "[0, 1]",
            ),
            ("kind", (traits.kind < 0) | (traits.kind >= len(KINDS)), f"0 .. {len(KINDS) - 1}"),
        ):
            bad = np.flatnonzero(wrong)
            if len(bad):
                pod = self.pods.name[bad[0]]
                raise ConfigError(
                    f"{name} of pod {pod!r} is {getattr(traits, name)[bad[0]]}; it has to be in {allowed}"
                )

    @cached_property
    def zones(self) -> int:
        """Number of zones."""
        return int(self.zone.max()) + 1

    @cached_property
    def rows(self) -> int:
        """Number of power rows."""
        return int(self.row.max()) + 1
