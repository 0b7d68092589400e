"""Greedy repair: for each pending pod, the most important first, one pod makes room, moved away or else evicted.

It is what one gets without looking ahead: the mark that solvers and agents have to beat in the `repair` game.
Best fit: Johnson, Demers, Ullman, Garey, Graham 1974 (doi 10.1137/0203025).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.control import Decision
from clustersim.packing import NOWHERE
from clustersim.repair import RepairView

Bools = NDArray[np.bool_]


class GreedyRepair:
    """Pods go to the node with the least room to spare.

    A pod that fits nowhere is helped by the smallest pod whose leaving makes room: one that fits on another node, or
    else one that is less important. Sizes are shares of the largest node, CPU plus memory.
    """

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        view, pod = decision.view, decision.subject.pod
        return _choose_pod(view) if pod is None else _choose_node(view, decision.mask)


def _choose_pod(view: RepairView) -> int:
    room = (view.cpu[:, None] <= view.cpu_free) & (view.memory[:, None] <= view.memory_free)  # (P, N)
    runs: Bools = view.node != NOWHERE
    size = view.cpu / max(1, view.cpu_milli.max()) + view.memory / max(1, view.memory_mib.max())
    pending = np.flatnonzero(~runs & ~view.settled)
    for pod in pending[np.lexsort((-size[pending], view.tier[pending]))].tolist():
        if room[pod].any():
            return int(pod)
        helper = _helper(view, pod, room, runs & ~view.settled, size)
        if helper is not None:
            return helper
    return len(runs)


def _helper(view: RepairView, pod: int, room: NDArray[np.bool_], free: Bools, size: NDArray[np.float64]) -> int | None:
    """The pod that is to leave so that `pod` gets room, or None."""
    node, cpu, memory = view.node, int(view.cpu[pod]), int(view.memory[pod])
    makes_room: Bools = (
        free & (cpu <= view.cpu_free[node] + view.cpu) & (memory <= view.memory_free[node] + view.memory)
    )
    elsewhere = room.sum(axis=1) > room[np.arange(len(node)), node]
    less_important: Bools = view.tier > int(view.tier[pod])
    for candidates in (makes_room & elsewhere, makes_room & less_important):
        if candidates.any():
            return int(np.where(candidates, size, np.inf).argmin())
    return None


def _choose_node(view: RepairView, mask: Bools) -> int:
    first = len(view.cpu) + 1
    nodes = mask[first:-1]
    if not nodes.any():
        return len(mask) - 1
    spare = view.cpu_free / max(1, view.cpu_milli.max()) + view.memory_free / max(1, view.memory_mib.max())
    return first + int(np.where(nodes, spare, np.inf).argmin())
