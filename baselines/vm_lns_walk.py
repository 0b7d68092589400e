"""Where the VMs of a plan end up, in no order, as bare arrays: what a walk among plans changes, and changes back.

The rules are those of FleetState, the game that of "VMR2L" (EuroSys'25, arXiv 2505.17359).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from clustersim.baselines.vm_gains import board_of
from clustersim.vm_fleet import Ints
from clustersim.vm_plan import Task

kernel = njit(cache=True, _nrt=False)  # type: ignore[call-overload]  # an option that numba does not advertise
"""For functions that allocate nothing: no references to arrays are counted, which took three quarters of the time."""

HOST, NUMA, HOME, HOME_NUMA, PLACE, CORES, MEMORY, DOUBLE, FIRST, LAST = range(10)
"""Columns of `vms`. PLACE: where it is in `away`, -1 at home. Its anti-affinity sets are `sets_of[FIRST : LAST]`."""
ACTIVE = 4
"""Column of `room`, after the free cores of both NUMA nodes and their free memory."""
FRAGMENTS, COST = 0, 1
"""Columns of `table`, by free cores: fragments, and what the walk avoids, in half cores. It avoids a remainder, and on
top of that one that is neither nearly nothing nor nearly a whole flavour."""


class Walk(NamedTuple):
    vms: Ints
    """(V, 10)"""
    room: Ints
    """(P, 5)"""
    table: Ints
    """(most cores + 1, 2)"""
    away: Ints
    """The VMs that are not at home, counts[0] of them."""
    counts: Ints
    """(2,): VMs that are not at home, and fragments."""
    sets_of: Ints
    inside: Ints
    """(G, P + zones): of a set first the column of each machine, then, in that column, how many members are there."""


def walk_of(task: Task, spare: int) -> Walk:
    """Everybody at home; at most `mnl` and `spare` VMs will be away at a time."""
    board, flavour = board_of(task), task.flavour_cores
    home, s = [board.host, board.numa], board.shape
    size, sets = [board.cores[s], board.memory[s], board.double[s]], [board.start[:-1], board.start[1:]]
    vms = np.stack([*home, *home, np.full_like(s, -1), *size, *sets], axis=1)
    remainder = np.arange(int(task.snapshot.machines.cores.max(initial=0)) + 1) % flavour
    cost = 2 * remainder + np.minimum(remainder, flavour - remainder)
    return Walk(
        vms.astype(np.int64),
        np.concatenate([board.free_cores, board.free_memory, board.active[:, None]], axis=1),
        np.stack([remainder, cost], axis=1),
        np.zeros(task.mnl + spare, dtype=np.int64),
        np.array([0, remainder[board.free_cores].sum()]),
        board.group,
        np.concatenate([board.zone + len(board.active), board.inside], axis=1),
    )


@kernel
def may_go(w, vm, pm, numa):  # type: ignore[no-untyped-def]
    """Whether a VM may go to another machine; its own always takes it back, if it has room."""
    cores, memory = w.vms[vm, CORES], w.vms[vm, MEMORY]
    if w.room[pm, numa] < cores or w.room[pm, 2 + numa] < memory:
        return False
    if w.vms[vm, DOUBLE] and (w.room[pm, 1] < cores or w.room[pm, 3] < memory):
        return False
    if not w.room[pm, ACTIVE] and pm != w.vms[vm, HOME]:
        return False
    return w.vms[vm, FIRST] == w.vms[vm, LAST] or _apart(w, vm, pm)


@kernel
def _apart(w, vm, pm):  # type: ignore[no-untyped-def]
    for i in range(w.vms[vm, FIRST], w.vms[vm, LAST]):
        g = w.sets_of[i]
        zone = w.inside[g, pm]
        if w.inside[g, zone] > (1 if zone == w.inside[g, w.vms[vm, HOST]] else 0):
            return False
    return True


@kernel
def send(w, vm, pm, numa):  # type: ignore[no-untyped-def]
    """A VM goes to another machine; return what that costs."""
    cost = _take(w, vm, -1)
    for i in range(w.vms[vm, FIRST], w.vms[vm, LAST]):
        g = w.sets_of[i]
        w.inside[g, w.inside[g, w.vms[vm, HOST]]] -= 1
        w.inside[g, w.inside[g, pm]] += 1
    w.vms[vm, HOST], w.vms[vm, NUMA] = pm, numa
    cost += _take(w, vm, 1)
    place = w.vms[vm, PLACE]
    if pm == w.vms[vm, HOME]:
        w.counts[0] -= 1
        last = w.away[w.counts[0]]
        w.away[place] = last
        w.vms[last, PLACE] = place
        w.vms[vm, PLACE] = -1
    elif place < 0:
        w.away[w.counts[0]] = vm
        w.vms[vm, PLACE] = w.counts[0]
        w.counts[0] += 1
    return cost


@kernel
def _take(w, vm, sign):  # type: ignore[no-untyped-def]
    """A VM takes its room (sign 1) or gives it back (-1)."""
    pm, cost = w.vms[vm, HOST], 0
    for k in range(2):
        if w.vms[vm, DOUBLE] or k == w.vms[vm, NUMA]:
            before = w.room[pm, k]
            after = before - sign * w.vms[vm, CORES]
            w.room[pm, k] = after
            w.room[pm, 2 + k] -= sign * w.vms[vm, MEMORY]
            w.counts[1] += w.table[after, FRAGMENTS] - w.table[before, FRAGMENTS]
            cost += w.table[after, COST] - w.table[before, COST]
    return cost
