"""Repairing a placement, one move at a time: a game on a packing, whose candidates are its pods and its nodes.

A move takes two choices: a pod, or to be done; then a node with room for it, or to evict it. What the game has placed
stays where it is, so a pod is evicted at most once and placed at most once: two pods change places by evicting one of
them for a while. Protected pods are not touched. The game is over after as many moves as there are pods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.cluster import CPU, MEMORY, NUM_GPU
from clustersim.errors import ConfigError
from clustersim.packing import NOWHERE, Packing, Plan, evicted, moved
from clustersim.readonly import read_only

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

REPAIR_COSTS = ("lexicographic", "shaped")
"""The costs that `Repair.cost` declares."""

DISRUPTION = 0.01
MOVED, EVICTED = 1, 2
"""The disruption of a plan is .01 x (1 per moved pod, 2 per evicted one) / pods."""

SHAPED_BASE = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class RepairView:
    """The state of a repair, read-only: P pods, N nodes, T tiers of priority, the highest first.

    `cpu_milli`, `memory_mib` (N,) are capacities, `cpu_free`, `memory_free` (N,) what is free now; `cpu`, `memory` (P,)
    are asked for. `tier` (P,) indexes the tiers. `node` (P,) is where each pod runs now, NOWHERE if it does not, `home`
    (P,) where it ran at the start. `settled` (P,) pods are not touched any more. `counts` (T,) pods of each tier or
    above run now, `counts_at_start` ran at the start.
    """

    cpu_milli: Ints
    memory_mib: Ints
    cpu_free: Ints
    memory_free: Ints
    cpu: Ints
    memory: Ints
    tier: Ints
    node: Ints
    home: Ints
    settled: Bools
    counts: Ints
    counts_at_start: Ints


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be chosen: a pod (`pod` is None), or where this pod goes."""

    pod: int | None
    moves_left: int

    def __str__(self) -> str:
        return "the next pod" if self.pod is None else f"where pod {self.pod} goes"


class Repair:
    """One game. `play` answers the `choice` at hand with a candidate that `legal` allows.

    Of `size` candidates the first P are the pods, then comes `done`, then the N nodes, and last `evict`.
    Raises ConfigError for a packing with GPU pods or anti-affinity, which are no part of the game.
    """

    def __init__(self, packing: Packing) -> None:
        _require_plain(packing)
        pods, nodes = len(packing.pod_names), len(packing.node_names)
        self.packing = packing
        self.done = pods
        self.evict = pods + 1 + nodes
        self.size = pods + 1 + nodes + 1
        self.over = False
        self.choice = Choice(None, pods)
        tiers, tier = np.unique(-packing.priority, return_inverse=True)
        identical = np.unique(np.column_stack([packing.request, packing.priority]), axis=0, return_inverse=True)[1]
        self.identical = np.where(packing.protected, -1, identical.ravel())
        self._node = packing.home.copy()
        self._cpu, self._memory = packing.request[:, CPU].copy(), packing.request[:, MEMORY].copy()
        self._cpu_free, self._memory_free = packing.cpu_milli.copy(), packing.memory_mib.copy()
        running = packing.home != NOWHERE
        np.subtract.at(self._cpu_free, packing.home[running], self._cpu[running])
        np.subtract.at(self._memory_free, packing.home[running], self._memory[running])
        self._settled = packing.protected.copy()
        self._tier = tier.ravel()
        self._counts = np.cumsum(np.bincount(self._tier[running], minlength=len(tiers)))
        self.view = RepairView(
            read_only(packing.cpu_milli),
            read_only(packing.memory_mib),
            read_only(self._cpu_free),
            read_only(self._memory_free),
            read_only(self._cpu),
            read_only(self._memory),
            read_only(self._tier),
            read_only(self._node),
            read_only(packing.home),
            read_only(self._settled),
            read_only(self._counts),
            read_only(self._counts.copy()),
        )

    def legal(self, out: Bools) -> bool:
        """Write the legal candidates of the choice at hand into `out` (size,); return whether any is."""
        if self.over:
            out[:] = False
            return False
        out[:] = False
        pod = self.choice.pod
        if pod is None:
            _offered(self._cpu, self._memory, self._node, self._settled, self._cpu_free, self._memory_free, out)
            out[self.done] = True
        else:
            _destinations(
                self._cpu[pod],
                self._memory[pod],
                self._node[pod],
                self._cpu_free,
                self._memory_free,
                out[self.done + 1 :],
            )
        return True

    def play(self, candidate: int) -> None:
        """Answer the choice at hand. A candidate that is not legal breaks the game."""
        pod, left = self.choice.pod, self.choice.moves_left
        if pod is None:
            self.over = candidate == self.done
            self.choice = Choice(None if self.over else candidate, left)
            return
        self._move(pod, NOWHERE if candidate == self.evict else candidate - self.done - 1)
        self.choice = Choice(None, left - 1)
        self.over = left == 1 or bool(self._settled.all())

    def _move(self, pod: int, node: int) -> None:
        here = self._node[pod]
        if here != NOWHERE:
            self._cpu_free[here] += self._cpu[pod]
            self._memory_free[here] += self._memory[pod]
        if node != NOWHERE:
            self._cpu_free[node] -= self._cpu[pod]
            self._memory_free[node] -= self._memory[pod]
            self._settled[pod] = True
        self._counts[self._tier[pod] :] += int(node != NOWHERE) - int(here != NOWHERE)
        self._node[pod] = node

    def plan(self) -> Plan:
        """The placement as it is now; identical pods take each other's places so that the fewest are disrupted."""
        nodes = len(self._cpu_free)
        node = _fewest_disrupted(self.identical, self._node, self.packing.home, nodes)
        return Plan(node, np.full(len(node), NOWHERE, dtype=np.int64))

    def cost(self, name: str) -> float:
        """A declared cost of the placement as it is now.

        `lexicographic`: minus the sum over the tiers of the pods placed in it x (P + 1) ** -t, t = 0 for the highest,
        plus the disruption of `plan`. From the third tier on a placed pod weighs less than its disruption.
        `shaped`: minus the sum over the tiers of the pods placed in it or above x 2 ** -t, plus 1 for each pod that is
        missing of those that ran in a tier or above at the start, plus the disruption.
        """
        counts = self._counts
        tiers = np.arange(len(counts))
        if name == "lexicographic":
            value = float(np.diff(counts, prepend=0) @ (1.0 + self.done) ** -tiers)
        elif name == "shaped":
            missing = np.maximum(0, self.view.counts_at_start - counts).sum()
            value = float(counts @ SHAPED_BASE**-tiers) - float(missing)
        else:
            raise ConfigError(f"there is no cost {name!r}; choose one of {', '.join(REPAIR_COSTS)}")
        plan = self.plan()
        disrupted = MOVED * moved(self.packing, plan).sum() + EVICTED * evicted(self.packing, plan).sum()
        return DISRUPTION * float(disrupted) / self.done - value

    @property
    def improved(self) -> int:
        """1, 0 or -1: the pods placed by tier compared with the start, the higher tiers first."""
        differs = np.flatnonzero(self._counts != self.view.counts_at_start)
        return int(np.sign(self._counts[differs[0]] - self.view.counts_at_start[differs[0]])) if len(differs) else 0

    @property
    def degraded(self) -> bool:
        """Whether in some tier or above fewer pods run than at the start; a solver by default rules that out."""
        return bool((self._counts < self.view.counts_at_start).any())


def _require_plain(packing: Packing) -> None:
    with_gpu = np.flatnonzero(packing.request[:, NUM_GPU])
    if len(with_gpu):
        raise ConfigError(
            f"{len(with_gpu)} pods ask for GPUs, the first is {packing.pod_names[with_gpu[0]]!r}; "
            "only CPU and memory can be repaired move by move: leave those pods out, or use a solver"
        )
    if packing.apart:
        raise ConfigError(
            f"{len(packing.apart)} sets of pods have to be apart, which a repair move by move does not know; "
            "lift the constraint, or use a solver"
        )
    if len(packing.pod_names) == 0:
        raise ConfigError("there is nothing to repair: the snapshot has no pods")


@njit(cache=True)
def _offered(cpu, memory, node, settled, cpu_free, memory_free, out):  # type: ignore[no-untyped-def]
    for pod in range(len(cpu)):
        if settled[pod]:
            continue
        if node[pod] != NOWHERE:
            out[pod] = True  # it can be evicted, if nothing else
            continue
        for n in range(len(cpu_free)):
            if cpu[pod] <= cpu_free[n] and memory[pod] <= memory_free[n]:
                out[pod] = True
                break


@njit(cache=True)
def _destinations(cpu, memory, here, cpu_free, memory_free, out):  # type: ignore[no-untyped-def]
    for n in range(len(cpu_free)):
        out[n] = n != here and cpu <= cpu_free[n] and memory <= memory_free[n]
    out[len(cpu_free)] = here != NOWHERE


@njit(cache=True)
def _fewest_disrupted(identical, node, home, nodes):  # type: ignore[no-untyped-def]
    """Whoever can stays at home; the places that are left go to pods that run now first, then to pending ones."""
    out = np.full(len(node), NOWHERE, dtype=np.int64)
    places = np.zeros((identical.max() + 1, nodes), dtype=np.int64)
    for pod in range(len(node)):
        if identical[pod] < 0:
            out[pod] = node[pod]
        elif node[pod] != NOWHERE:
            places[identical[pod], node[pod]] += 1
    for pod in range(len(node)):
        if identical[pod] >= 0 and home[pod] != NOWHERE and places[identical[pod], home[pod]] > 0:
            out[pod] = home[pod]
            places[identical[pod], home[pod]] -= 1
    first = np.zeros(len(places), dtype=np.int64)
    for runs in (True, False):
        for pod in range(len(node)):
            group = identical[pod]
            if group < 0 or out[pod] != NOWHERE or (home[pod] != NOWHERE) != runs:
                continue
            while first[group] < nodes and places[group, first[group]] == 0:
                first[group] += 1
            if first[group] < nodes:
                out[pod] = first[group]
                places[group, first[group]] -= 1
    return out
