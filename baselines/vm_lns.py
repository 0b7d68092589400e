"""LNS: an anytime search for a plan, from that of HA on, for as long as its budget lasts.

A large neighbourhood search for the problem of "VMR2L" (EuroSys'25, arXiv 2505.17359): what chains of a few changes
lead to, all over the fleet or on the machines that a chooser names, taken or not by simulated annealing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from clustersim.baselines.constraint_moves import stream_of
from clustersim.baselines.vm_ha import moves_of
from clustersim.baselines.vm_lns_anneal import IMPROVED, ITERATIONS, STUCK, Best, anneal, follow, greedy_best
from clustersim.baselines.vm_lns_chain import LONGEST, Where, among
from clustersim.baselines.vm_lns_walk import walk_of
from clustersim.errors import ConfigError
from clustersim.vm_fleet import Ints, Snapshot
from clustersim.vm_plan import Move, MovePlan, Task

Chooser = Callable[[Task, tuple[Move, ...], np.random.Generator], Ints]
"""The machines to work on for the next batch, given the best plan so far. A trained agent may be one."""

BATCH = 50_000
"""Iterations between two looks at the clock, about 10 ms."""


@dataclass(frozen=True)
class Lns:
    """Searches for `budget_s` seconds of wall clock, which no seed repeats, or else for a number of `iterations`.

    With the same generator and more iterations the same search goes on, so that it never ends worse. Its figures:
    `iterations`, `improvements` of the best plan, and better ones that were `stuck`, having no order.
    """

    budget_s: float = 1.0
    iterations: int | None = None
    chooser: Chooser | None = None

    def __post_init__(self) -> None:
        if not self.budget_s > 0:
            raise ConfigError(f"budget_s is {self.budget_s}; a time limit has to be positive")
        if self.iterations is not None and self.iterations < 0:
            raise ConfigError(f"iterations is {self.iterations}; it has to be at least 0, or None to go by the clock")

    def __call__(self, task: Task, rng: np.random.Generator) -> MovePlan:
        started_s = perf_counter()
        fleet = task.snapshot
        walk, rehearsal, best = walk_of(task, LONGEST), walk_of(task, LONGEST), greedy_best(task)
        follow(walk, best)
        stream = stream_of(int(rng.integers(1 << 31)))
        where = among(fleet, np.arange(len(fleet.machines)))
        while _may_improve(task, where, best) and (batch := self._batch(best, started_s)) > 0:
            if self.chooser is not None:
                where = among(fleet, _checked(fleet, self.chooser(task, _plan(best), rng)))
            anneal(walk, rehearsal, where, task.flavour_cores, task.mnl, batch, stream, best)
        totals = {"iterations": ITERATIONS, "improvements": IMPROVED, "stuck": STUCK}
        return MovePlan(_plan(best), figures={name: float(best.totals[at]) for name, at in totals.items()})

    def _batch(self, best: Best, started_s: float) -> int:
        if self.iterations is not None:
            return min(BATCH, self.iterations - int(best.totals[ITERATIONS]))
        return BATCH if perf_counter() - started_s < self.budget_s else 0


def _plan(best: Best) -> tuple[Move, ...]:
    return moves_of(best.moves[: best.counts[0]])


def _may_improve(task: Task, where: Where, best: Best) -> bool:
    # Free cores are neither made nor lost, so their sum modulo the flavour is a fragment for ever.
    least = int(task.snapshot.free_cores.sum()) % task.flavour_cores
    return best.counts[1] > least and task.mnl > 0 and len(where.vms) > 0 and len(task.snapshot.machines) > 1


def _checked(fleet: Snapshot, machines: Ints) -> Ints:
    if not len(machines) or machines.min() < 0 or machines.max() >= len(fleet.machines):
        raise ConfigError(
            f"the chooser named the machines {list(machines)}; it has to name at least one of the "
            f"{len(fleet.machines)} of fleet {fleet.name!r}, numbered from 0"
        )
    return machines
