"""Simulated annealing among plans, as a numba kernel that can be stopped and resumed; the best plan is kept.

Cycles of falling temperature, each twice as long as the one before, so that a longer search begins like a shorter one.
Only a plan that can be carried out one migration at a time may become the best; it need not be on the way there.
Source: Kirkpatrick, Gelatt, Vecchi 1983 (doi 10.1126/science.220.4598.671), on "VMR2L" (arXiv 2505.17359).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from clustersim.baselines.vm_gains import board_of
from clustersim.baselines.vm_ha import greedy
from clustersim.baselines.vm_lns_chain import LONGEST, chain
from clustersim.baselines.vm_lns_order import ordered
from clustersim.baselines.vm_lns_walk import HOME, HOME_NUMA, send
from clustersim.vm_fleet import Ints
from clustersim.vm_plan import Task

FIRST_CYCLE = 400_000
"""Iterations."""
HOT, COLD = 0.08, 0.02
"""The temperature at the beginning and at the end of a cycle, in flavours."""
SAME_TEMPERATURE = 1024
"""Iterations."""
PER_MOVE = 1 / 8
"""What a move costs, in flavours: of equal plans the shorter one has moves to spare."""
PATIENCE = 4096
"""Iterations after a plan without an order, at most, until another is tried."""

ITERATIONS, IMPROVED, STUCK, NEXT, WAIT = range(5)
"""In `totals`. STUCK: plans that would have been the best, but have no order. No plan is tried before iteration NEXT,
which is WAIT iterations after the last stuck one."""


class Best(NamedTuple):
    moves: Ints
    """(mnl + LONGEST, 3), of which counts[0] are the plan: VM, machine, NUMA node."""
    counts: Ints
    """(2,): moves, and the fragments that are left."""
    totals: Ints
    """(5,)"""


def greedy_best(task: Task) -> Best:
    """The plan of HA is the first one."""
    board = board_of(task)
    rows = greedy(board, task.mnl)
    moves = np.zeros((task.mnl + LONGEST, 3), dtype=np.int64)
    moves[: len(rows)] = rows
    fragments = int((board.free_cores % task.flavour_cores).sum())
    return Best(moves, np.array([len(rows), fragments]), np.array([0, 0, 0, 0, 1]))


@njit(cache=True)
def follow(w, best):  # type: ignore[no-untyped-def]
    """Carry out the best plan, on a walk in which everybody is at home."""
    for i in range(best.counts[0]):
        vm, pm, numa = best.moves[i]
        if pm == w.vms[vm, HOME] and numa != w.vms[vm, HOME_NUMA]:
            return  # Home to the other NUMA node takes two moves: no walk leads there.
        send(w, vm, pm, numa)


@njit(cache=True)
def anneal(w, rehearsal, where, flavour, limit, iterations, stream, best):  # type: ignore[no-untyped-def]
    old, moves = np.empty((LONGEST, 3), np.int64), np.empty_like(best.moves)
    totals = best.totals
    half_cores = 2 * flavour
    degree = 0.0
    for i in range(iterations):
        if i == 0 or totals[ITERATIONS] % SAME_TEMPERATURE == 0:
            degree = half_cores * _temperature(totals[ITERATIONS])
        totals[ITERATIONS] += 1
        if not chain(w, where, half_cores * PER_MOVE, degree, limit, stream, old):
            continue
        if totals[ITERATIONS] < totals[NEXT] or not _better(w.counts, best.counts):
            continue
        if ordered(w, rehearsal, stream, moves):
            best.moves[:] = moves
            best.counts[:] = w.counts
            totals[IMPROVED] += 1
            totals[WAIT] = 1
        else:
            totals[STUCK] += 1
            totals[WAIT] = min(2 * totals[WAIT], PATIENCE)
            totals[NEXT] = totals[ITERATIONS] + totals[WAIT]


@njit(cache=True)
def _better(count, best):  # type: ignore[no-untyped-def]
    """Fewer fragments, or as many with fewer moves."""
    return count[1] < best[1] or (count[1] == best[1] and count[0] < best[0])


@njit(cache=True)
def _temperature(iteration):  # type: ignore[no-untyped-def]
    begin, length = 0, FIRST_CYCLE
    while iteration >= begin + length:
        begin += length
        length *= 2
    return HOT * (COLD / HOT) ** ((iteration - begin) / length)
