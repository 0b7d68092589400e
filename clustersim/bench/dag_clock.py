"""Machines at a lower clock: slower, at a lower voltage and so at less power."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.dag_clock import at_clock
from clustersim.dags import DagWorkload
from clustersim.errors import ConfigError
from clustersim.traces.dag_sources import DagSource


@dataclass(frozen=True)
class Clocked:
    """The episodes of a source, every machine at its lowest operating point of at least `share` of its highest clock.

    See `clustersim.dag_clock`.
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
        """Raises ConfigError when no machine has a lower clock to choose."""
        workload = self.source(seed)
        slower = at_clock(workload, self.share)
        if slower.machines.operating_points == workload.machines.operating_points:
            raise ConfigError(
                f"clock is {self.share}, but no machine of {workload.name!r} has an operating point between that share "
                "and its highest clock; leave it away"
            )
        return slower

    def checksum(self) -> str:
        return self.source.checksum()
