"""What an exact plan teaches: in any state on the way, every move that the plan still holds is a good one.

A plan is read as how many VMs of each shape leave each NUMA node and arrive at each: which of those that leave goes
where those that arrive are wanted makes no difference, and neither does the order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clustersim.baselines.vm_exact import Exact
from clustersim.traces.vm_like import MIX, Flavour, VmLike
from clustersim.vm_fleet import FLAVOUR_CORES, Snapshot
from clustersim.vm_plan import Move, Task
from clustersim.vm_state import FleetState

Place = tuple[int, int, int]
"""Shape, machine, NUMA node."""

REAL_MIX = (*MIX, Flavour(8, 0.03, True), Flavour(16, 0.03, True), Flavour(32, 0.04, False))
"""Flavours that real snapshots hold besides: small ones on both NUMA nodes, large ones on one."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A fleet, how many moves were made of how many, and a plan for the rest."""

    task: Task
    made: int
    plan: tuple[Move, ...] = ()

    @property
    def mnl(self) -> int:
        return self.made + self.task.mnl


def fleet(machines: int, rng: np.random.Generator, varied_share: float) -> Snapshot:
    """A generated fleet; some with less or more free cores and with the flavours of real snapshots."""
    like = VmLike(machines=machines)
    if rng.random() < varied_share:
        like = replace(
            like,
            free_share=float(rng.uniform(0.055, 0.13)),
            mix=REAL_MIX if rng.random() < 0.7 else MIX,
            best_fit_share=float(rng.uniform(0.3, 0.8)),
            fragment_rate=None,
        )
    return like(int(rng.integers(2**31)))


def solved(lesson: Lesson, budget_s: float) -> Lesson:
    """The lesson with its plan."""
    return replace(lesson, plan=Exact(budget_s=budget_s)(lesson.task, np.random.default_rng(0)).moves)


class Game:
    """A lesson that is played: which candidates lead on, and what the plan will have gained at its end."""

    def __init__(self, lesson: Lesson) -> None:
        self.state = lesson.task.state()
        self.made, self.mnl = lesson.made, lesson.mnl
        self._leaving, self._arriving = _counts(self.state, lesson.plan)
        goal = self.state.copy()
        for move in lesson.plan:
            goal.move(*move)
        self._final = goal.fragments

    @property
    def goes_on(self) -> bool:
        """Whether the plan holds a move that is legal now."""
        state = self.state
        return any(
            self._places(int(vm))
            for shape, pm, numa in self._leaving
            for vm in np.flatnonzero(
                (state.host == pm) & (state.numa == numa) & (state.shape == shape) & state.movable
            )[:1]
        )

    @property
    def to_gain(self) -> float:
        """In flavours."""
        return (self.state.fragments - self._final) / self.state.flavour_cores

    def good_vms(self, firsts: NDArray[np.int64], legal: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Of the classes of VMs, given by one VM each (P, G), those of which one may leave now as the plan has it."""
        good = np.zeros_like(legal)
        state = self.state
        for shape, pm, numa in self._leaving:
            for g in np.flatnonzero(legal[pm]):
                vm = firsts[pm, g]
                if state.shape[vm] == shape and state.numa[vm] == numa:
                    good[pm, g] = bool(self._places(int(vm)))
        return good

    def good_nodes(self, vm: int) -> NDArray[np.bool_]:
        """(P, 2) where the VM may go now as the plan has it."""
        good = np.zeros((self.state.machines, 2), np.bool_)
        for pm, numa in self._places(vm):
            good[pm, numa] = True
        return good

    def play(self, move: Move) -> None:
        """Make a move; one of the plan counts as done."""
        state = self.state
        shape = int(state.shape[move.vm])
        self._leaving -= Counter({(shape, int(state.host[move.vm]), int(state.numa[move.vm])): 1})
        self._arriving -= Counter({(shape, move.pm, move.numa): 1})
        state.move(*move)
        self.made += 1

    def _places(self, vm: int) -> list[tuple[int, int]]:
        return [
            (pm, numa)
            for shape, pm, numa in self._arriving
            if shape == self.state.shape[vm] and self.state.may_move(vm, pm, numa)
        ]


def _counts(state: FleetState, plan: Sequence[Move]) -> tuple[Counter[Place], Counter[Place]]:
    """VMs that leave and arrive in the end; a detour cancels out where it passes through."""
    net: Counter[Place] = Counter()
    host, numa = state.host.copy(), state.numa.copy()
    for move in plan:
        shape = int(state.shape[move.vm])
        net[shape, int(host[move.vm]), int(numa[move.vm])] -= 1
        net[shape, move.pm, move.numa] += 1
        host[move.vm], numa[move.vm] = move.pm, move.numa
    return -net, +net


def mnl_for(machines: int, rng: np.random.Generator, moves_per_machine: tuple[float, float]) -> int:
    return max(2, round(machines * rng.uniform(*moves_per_machine)))


def begin(machines: int, seed: Sequence[int], varied_share: float, moves_per_machine: tuple[float, float]) -> Lesson:
    """A lesson on a fresh fleet, not solved yet."""
    rng = np.random.default_rng(seed)
    snapshot = fleet(machines, rng, varied_share)
    return Lesson(Task(snapshot, mnl_for(machines, rng, moves_per_machine), FLAVOUR_CORES), 0)
