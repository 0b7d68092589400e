"""Short chains of changes to a plan, taken or taken back as one, as numba kernels.

A chain is one to three times "this VM goes there": to another machine, or home again. Every next VM fills the gap that
the one before has left, makes way where it has gone, or is any other. Chains are taken by the rule of simulated
annealing (Kirkpatrick, Gelatt, Vecchi 1983, doi 10.1126/science.220.4598.671).
"""

from __future__ import annotations

from math import exp
from typing import NamedTuple

import numpy as np

from clustersim.baselines.constraint_moves import draw
from clustersim.baselines.vm_lns_walk import (
    CORES,
    DOUBLE,
    FRAGMENTS,
    HOME,
    HOME_NUMA,
    HOST,
    NUMA,
    PLACE,
    kernel,
    may_go,
    send,
)
from clustersim.vm_fleet import Ints, Snapshot

LONGEST = 3
"""Changes in a chain at most."""
PROBES = 8
"""At how many NUMA nodes in a row a VM asks for room before its chain is given up."""


class Where(NamedTuple):
    """What chains are made of."""

    vms: Ints
    machines: Ints
    start: Ints
    """(P + 1,): the movable VMs whose home is machine P are resident[start[P] : start[P + 1]]."""
    resident: Ints


def among(fleet: Snapshot, machines: Ints) -> Where:
    """VMs whose home is one of these machines, and these machines; all VMs where none of them may be migrated."""
    movable = np.flatnonzero(fleet.movable)
    home = fleet.host[movable]
    start = np.zeros(len(fleet.machines) + 1, dtype=np.int64)
    np.cumsum(np.bincount(home, minlength=len(fleet.machines)), out=start[1:])
    vms = movable[np.isin(home, machines)]
    resident = movable[np.argsort(home, kind="stable")]
    return Where(vms if len(vms) else movable, machines.astype(np.int64), start, resident)


@kernel
def chain(w, where, per_move, temperature, limit, stream, old):  # type: ignore[no-untyped-def]
    """Try one chain; return whether it was taken. `old` (LONGEST, 3) is room to remember it."""
    luck = below(stream, 100)
    length = 1 if luck < 50 else 2 if luck < 90 else 3
    cost = -per_move * w.counts[0]
    for link in range(length):
        vm, pm, numa = _next(w, where, stream, old, link)
        if vm < 0:
            _take_back(w, old, link)
            return False
        old[link, 0], old[link, 1], old[link, 2] = vm, w.vms[vm, HOST], w.vms[vm, NUMA]
        cost += send(w, vm, pm, numa)
    cost += per_move * w.counts[0]
    if w.counts[0] <= limit and (cost <= 0 or draw(stream) < exp(-cost / temperature) * (1 << 31)):
        return True
    _take_back(w, old, length)
    return False


@kernel
def _take_back(w, old, length):  # type: ignore[no-untyped-def]
    for link in range(length - 1, -1, -1):
        send(w, old[link, 0], old[link, 1], old[link, 2])


@kernel
def _next(w, where, stream, old, link):  # type: ignore[no-untyped-def]
    """A VM, and a place that may take it; -1 where luck has found none."""
    pm, numa = -1, 0
    luck = below(stream, 100) if link else 0
    if luck < 65:
        if w.counts[0] and below(stream, 100) < (50 if luck < 5 else 30):
            vm = w.away[below(stream, w.counts[0])]
        else:
            vm = where.vms[below(stream, len(where.vms))]
        if luck >= 5:
            pm, numa = old[link - 1, 1], old[link - 1, 2]
        elif w.vms[vm, PLACE] >= 0 and below(stream, 2):
            pm = w.vms[vm, HOME]
    else:
        before = old[link - 1, 0]
        crowded = w.vms[before, HOST] if below(stream, 2) else old[link - 1, 1]
        first, last = where.start[crowded], where.start[crowded + 1]
        if first == last:
            return -1, -1, -1
        vm = where.resident[first + below(stream, last - first)]
        if w.vms[vm, HOST] != crowded or vm == before:
            return -1, -1, -1
    if pm >= 0:
        if pm == w.vms[vm, HOST]:
            return -1, -1, -1
        if pm == w.vms[vm, HOME]:
            numa = w.vms[vm, HOME_NUMA]
        elif w.vms[vm, DOUBLE]:
            numa = 0
        return (vm, pm, numa) if may_go(w, vm, pm, numa) else (-1, -1, -1)
    pm, numa = _probe(w, where, vm, stream)
    return vm if pm >= 0 else -1, pm, numa


@kernel
def _probe(w, where, vm, stream):  # type: ignore[no-untyped-def]
    """A place for a VM, the first from a random one on; mostly none that adds fragments if leaving its own does."""
    host, cores = w.vms[vm, HOST], w.vms[vm, CORES]
    left = w.room[host, w.vms[vm, NUMA]]
    choosy = w.table[left + cores, FRAGMENTS] > w.table[left, FRAGMENTS] and below(stream, 8) > 0
    cells = 2 * len(where.machines)
    cell = below(stream, cells)
    for _ in range(PROBES):
        pm = where.machines[cell >> 1]
        numa = 0 if w.vms[vm, DOUBLE] else cell & 1
        if pm != host and may_go(w, vm, pm, numa):
            free = w.room[pm, numa]
            if not choosy or w.table[free - cores, FRAGMENTS] < w.table[free, FRAGMENTS]:
                # Its old machine takes a VM back only where it was: a change of the NUMA node is no migration.
                return (pm, numa) if pm != w.vms[vm, HOME] or numa == w.vms[vm, HOME_NUMA] else (-1, -1)
        cell = cell + 1 if cell + 1 < cells else 0
    return -1, -1


@kernel
def below(stream, most):  # type: ignore[no-untyped-def]
    """A random number from 0 to most - 1, for less than 2 ** 31."""
    return np.int64((draw(stream) * np.uint64(most)) >> np.uint64(31))
