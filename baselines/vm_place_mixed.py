"""Where an arriving VM goes in a fleet whose fragment rate stays what it is: now the tightest place, now any.

Best-fit alone drains the fragments of a fleet, and random placement adds to them; a share of each keeps a fleet as it
is: .555 of the free cores, in "VMR2L" (EuroSys'25, arXiv 2505.17359) as here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from clustersim.control import Decision
from clustersim.errors import ConfigError


@dataclass
class MixedPlace:
    """The place that leaves the fewest cores free with probability `best_fit_share`, else any with room.

    A place is a NUMA node, of a double-NUMA VM a machine; among equal ones each is as likely.
    """

    best_fit_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.best_fit_share <= 1:
            raise ConfigError(f"best_fit_share is {self.best_fit_share}; it has to be from 0 to 1")

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, decision: Decision) -> int:
        state, shape = decision.view.state, decision.subject.shape
        tightest = self._rng.random() < self.best_fit_share
        double = state.snapshot.shapes.double[shape]
        pm, numa = _place(state.fits[shape], state.free_cores, double, tightest, self._rng.random())
        decision.detail = int(numa)
        return int(pm)


@njit(cache=True)
def _place(fits, free_cores, double, tightest, uniform):  # type: ignore[no-untyped-def]
    """One of the places with room, chosen by a uniform number in [0, 1): machine and NUMA node."""
    fewest = -1
    places = 0
    for pm in range(len(fits)):
        for k in range(1 if double else 2):
            room = _room(fits, free_cores, double, pm, k)
            if room < 0 or (tightest and 0 <= fewest < room):
                continue
            if tightest and room != fewest:
                fewest = room
                places = 0
            places += 1
    left = int(uniform * places)
    for pm in range(len(fits)):
        for k in range(1 if double else 2):
            room = _room(fits, free_cores, double, pm, k)
            if room >= 0 and (not tightest or room == fewest):
                if left == 0:
                    return pm, k
                left -= 1
    return -1, 0


@njit(cache=True)
def _room(fits, free_cores, double, pm, k):  # type: ignore[no-untyped-def]
    """Free cores of a place, of a double-NUMA VM on the fuller node; -1 where there is no room."""
    if double:
        return min(free_cores[pm, 0], free_cores[pm, 1]) if fits[pm] == 3 else -1
    return free_cores[pm, k] if (fits[pm] >> k) & 1 else -1
