"""Machines at a lower clock: slower, at a lower voltage and so at less power."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from clustersim.dags import DagWorkload
from clustersim.errors import ConfigError
from clustersim.traces.dag_sources import DagSource


@dataclass(frozen=True)
class Clocked:
    """The episodes of a source, every machine at its lowest operating point of at least `share` of its highest clock.

    At clock f and voltage V run times grow by f_max / f, what idling takes (leakage) falls with V, and what work adds
    to it (dynamic power) with f * V^2, as in DS3 (doi 10.1109/TC.2020.2986963). Machines without operating points stay
    as they are.
    """

    source: DagSource
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"clock is {self.share}; it is a share of the highest clock, above 0 and below 1")

    @property
    def trace(self) -> str:
        return self.source.trace

    def __call__(self, seed: int) -> DagWorkload:
        return at_clock(self.source(seed), self.share)

    def checksum(self) -> str:
        return self.source.checksum()


def at_clock(workload: DagWorkload, share: float) -> DagWorkload:
    """Raises ConfigError when no machine has a lower clock to choose."""
    machines = workload.machines
    clock, voltage = np.ones(len(machines)), np.ones(len(machines))
    for index, points in enumerate(machines.operating_points):
        if points:
            highest = points[-1]
            chosen = next(point for point in points if point.mhz >= share * highest.mhz)
            clock[index], voltage[index] = chosen.mhz / highest.mhz, chosen.mv / highest.mv
    if (clock == 1).all():
        raise ConfigError(
            f"clock is {share}, but no machine of {workload.name!r} has an operating point between that share and its "
            "highest clock; leave it away"
        )
    idle_w = machines.idle_w * voltage
    busy_w = idle_w + (machines.busy_w - machines.idle_w) * clock * voltage**2
    slower = replace(machines, idle_w=idle_w, busy_w=np.maximum(busy_w, 0.0))
    jobs = tuple(replace(job, run_time_s=job.run_time_s / clock) for job in workload.jobs)
    return replace(workload, machines=slower, jobs=jobs)
