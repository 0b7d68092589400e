"""Where an arriving VM goes: a random place, the first, the fullest that has room, or the one that fragments least.

A fleet that is filled at random is the fragmented one that rescheduling is for, a best-fit fill leaves little to do:
Ding et al., "Towards VM Rescheduling Optimization Through Deep Reinforcement Learning", arXiv 2505.17359. First- and
best-fit for bin packing: Johnson, Demers, Ullman, Garey, Graham 1974 (doi 10.1137/0203025). The least increase of
fragments is the idea of fragmentation gradient descent (Weng et al., USENIX ATC 2023), over one size of demand.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.control import Decision
from clustersim.policy import random_legal

ON_BOTH = 3
"""What `FleetState.fits` says of a machine on which a single-NUMA VM has room on either NUMA node."""


class RandomPlace:
    """Every machine with room with the same probability, and on it every NUMA node with room."""

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, decision: Decision) -> int:
        state, shape = decision.view.state, decision.subject.shape
        pm = int(random_legal(decision.mask, self._rng.random()))
        fits = state.fits[shape, pm]
        if not state.snapshot.shapes.double[shape]:
            decision.detail = int(self._rng.integers(2)) if fits == ON_BOTH else int(fits) - 1
        return pm


def best_fit_place(decision: Decision, out: NDArray[np.float64]) -> None:
    """The machine with the least cores free scores highest; the landing rule chooses the NUMA node."""
    _least_free(decision.view.state.free_cores, out)


def fragment_place(decision: Decision, out: NDArray[np.float64]) -> None:
    """The machine where the VM adds least to the fragments scores highest, on ties that with the least cores free.

    On the NUMA node where it adds least, which is where the landing rule "best" puts it.
    """
    state, shape = decision.view.state, decision.subject.shape
    shapes = state.snapshot.shapes
    _least_added(
        state.fits[shape], shapes.cores[shape], shapes.double[shape], state.free_cores, state.flavour_cores, out
    )


@njit(cache=True)
def _least_free(free_cores, out):  # type: ignore[no-untyped-def]
    for pm in range(len(out)):
        out[pm] = -(free_cores[pm, 0] + free_cores[pm, 1])


@njit(cache=True)
def _least_added(fits, cores, double, free_cores, flavour, out):  # type: ignore[no-untyped-def]
    most_free = free_cores.sum() + 1
    for pm in range(len(out)):
        if fits[pm] == 0:
            continue
        first = (free_cores[pm, 0] - cores) % flavour - free_cores[pm, 0] % flavour
        second = (free_cores[pm, 1] - cores) % flavour - free_cores[pm, 1] % flavour
        if double:
            added = first + second
        elif fits[pm] == ON_BOTH:
            added = min(first, second)
        else:
            added = first if fits[pm] == 1 else second
        out[pm] = -(added * most_free + free_cores[pm, 0] + free_cores[pm, 1])
