"""Drift: VMs of a fleet exit and others of the same mix arrive, without memory, for as long as one looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np

from clustersim.errors import ConfigError
from clustersim.streams import Streams
from clustersim.vm_fleet import Snapshot
from clustersim.vm_life import FleetLife


def drifting(snapshot: Snapshot, rng: np.random.Generator, turnover_s: float, horizon_s: float) -> FleetLife:
    """VMs live `turnover_s` on average (exponential), and as many arrive as exit: V / turnover_s per second (Poisson).

    The shape of an arrival is that of a VM of the snapshot, each as likely. Nothing arrives from `horizon_s` on.
    """
    for name, value in (("turnover_s", turnover_s), ("horizon_s", horizon_s)):
        if not 0 < value < inf:
            raise ConfigError(f"{name} is {value}; it has to be positive and finite")
    exit_s = rng.exponential(turnover_s, len(snapshot))
    arrivals = rng.poisson(len(snapshot) * horizon_s / turnover_s)
    return FleetLife(
        snapshot,
        exit_s,
        np.sort(rng.random(arrivals) * horizon_s),
        rng.choice(snapshot.shape, arrivals) if arrivals else np.zeros(0, dtype=np.int64),
        rng.exponential(turnover_s, arrivals),
    )


@dataclass(frozen=True)
class Drifting:
    """The fleets of a source, drifting: seed -> FleetLife. The drift has random numbers of its own."""

    source: Callable[[int], Snapshot]
    turnover_s: float
    horizon_s: float

    def __call__(self, seed: int) -> FleetLife:
        return drifting(self.source(seed), Streams(seed)["drift"], self.turnover_s, self.horizon_s)
