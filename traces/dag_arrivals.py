"""When the jobs of an episode arrive: all at once, as a Poisson process, or as recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError

ArrivalKind = Literal["batch", "poisson", "trace"]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """`batch`: all at time 0. `poisson`: the first at time 0, then independent exponential gaps. `trace`: as recorded.

    The mean gap is `interarrival_s`, or follows from `load`, the offered load:

        mean gap = (mean work of a job / number of machines) / load

    with the work as in `clustersim.traces.dag_machines.work_s`. At load 1 machines that were all average and never
    waited for data would just keep up. Recorded arrivals keep their own pace unless one of the two is given; then the
    gaps are stretched all alike.
    """

    kind: ArrivalKind
    jobs: int
    interarrival_s: float | None = None
    load: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(ArrivalKind):
            raise ConfigError(f"arrivals is {self.kind!r}; there is {', '.join(get_args(ArrivalKind))}")
        if self.jobs < 1:
            raise ConfigError(f"jobs is {self.jobs}; at least one is needed")
        for name, value in (("interarrival_s", self.interarrival_s), ("load", self.load)):
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name} is {value}; it has to be positive")
            if value is not None and self.kind == "batch":
                raise ConfigError(f"{name} is {value}, but all jobs arrive at once; use arrivals 'poisson'")
        if self.interarrival_s is not None and self.load is not None:
            raise ConfigError("interarrival_s and load contradict each other; give one of them")
        if self.kind == "poisson" and self.interarrival_s is None and self.load is None:
            raise ConfigError("Poisson arrivals need a mean gap; give load or interarrival_s")

    def mean_gap_s(self, mean_work_s: float, machines: int) -> float | None:
        """None: whatever was recorded."""
        if self.load is None:
            return self.interarrival_s
        if mean_work_s <= 0:
            raise ConfigError(f"load is {self.load}, but the jobs take no time; give interarrival_s")
        return mean_work_s / machines / self.load

    def times_s(self, mean_gap_s: float | None, rng: np.random.Generator) -> NDArray[np.float64]:
        """Of a batch or a Poisson process, shape (jobs,)."""
        if self.kind == "batch":
            return np.zeros(self.jobs)
        if self.kind == "trace" or mean_gap_s is None:
            raise ConfigError(f"arrivals is {self.kind!r}, but these jobs have no recorded times; use 'poisson'")
        gaps_s = rng.exponential(mean_gap_s, size=self.jobs - 1)
        return np.concatenate(([0.0], np.cumsum(gaps_s)))
