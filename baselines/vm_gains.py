"""A fleet as bare arrays for compiled search: what a VM of every shape gains by leaving or entering a NUMA node.

Gains are fragment cores that vanish. As the two machines of a migration differ, its gain is the sum of both, so the
best of all V * P moves is found in V + S * P steps. Fragments as in Ding et al., "Towards VM Rescheduling Optimization
Through Deep Reinforcement Learning", arXiv 2505.17359.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from clustersim.vm_fleet import NUMA_NODES, Bools, Ints, by_vm
from clustersim.vm_plan import Move, Task
from clustersim.vm_state import NOWHERE

NO_ROOM = -(1 << 20)
"""The gain of entering where a VM has no room: low enough that no sum with it is ever chosen."""


class Board(NamedTuple):
    """P machines, V VMs, S shapes, G anti-affinity sets; changed by `lift` and `settle` alone."""

    shape: Ints
    """(V,)"""
    host: Ints
    """(V,) NOWHERE while lifted."""
    numa: Ints
    """(V,)"""
    movable: Bools
    """(V,)"""
    start: Ints
    """(V + 1,): the sets of VM v are group[start[v] : start[v + 1]]."""
    group: Ints
    zone: Ints
    """(G, P) the place of each machine that a set tells apart: the machine itself, or its rack."""
    inside: Ints
    """(G, zones) how many members are there."""
    cores: Ints
    memory: Ints
    double: Bools
    """(S,) each."""
    active: Bools
    """(P,)"""
    free_cores: Ints
    free_memory: Ints
    """(P, 2) each."""
    leave: Ints
    """(S, P, 2) gain when a VM of the shape leaves; of a double-NUMA shape at node 0."""
    enter: Ints
    """(S, P, 2) gain when one enters, NO_ROOM where it cannot; of a double-NUMA shape at node 0."""
    flavour: int


def board_of(task: Task) -> Board:
    """The board of a task, its own to change."""
    fleet = task.snapshot
    machines, shapes = fleet.machines, fleet.shapes
    start, group_of = by_vm(fleet.anti_affinity, len(fleet))
    zone = np.zeros((len(fleet.anti_affinity), len(machines)), dtype=np.int64)
    for g, group in enumerate(fleet.anti_affinity):
        zone[g] = np.arange(len(machines)) if group.level == "host" else machines.rack
    inside = np.zeros((len(zone), int(zone.max(initial=0)) + 1), dtype=np.int64)
    host_of = np.repeat(fleet.host, np.diff(start))
    np.add.at(inside, (group_of, zone[group_of, host_of]), 1)
    gains = (len(shapes), len(machines), NUMA_NODES)
    board = Board(
        fleet.shape.copy(), fleet.host.copy(), fleet.numa.copy(), fleet.movable.copy(),
        start, group_of, zone, inside,
        shapes.cores, shapes.memory_mib, shapes.double, machines.active,
        fleet.free_cores.copy(), fleet.free_memory_mib.copy(),
        np.zeros(gains, dtype=np.int64), np.zeros(gains, dtype=np.int64), task.flavour_cores,
    )  # fmt: skip
    for pm in range(len(machines)):
        look_at(board, pm)
    return board


def best_prefix(task: Task, moves: list[Move]) -> tuple[Move, ...]:
    """Moves up to the one after which the fragments are fewest, the earliest such; illegal ones are left out."""
    state = task.state()
    least, legal, length = state.fragments, [], 0
    for move in moves:
        if state.may_move(*move):
            state.move(*move)
            legal.append(move)
            if state.fragments < least:
                least, length = state.fragments, len(legal)
    return tuple(legal[:length])


@njit(cache=True)
def fragments(b):  # type: ignore[no-untyped-def]
    """Free cores that no VM of the flavour can use."""
    return (b.free_cores % b.flavour).sum()


@njit(cache=True)
def look_at(b, pm):  # type: ignore[no-untyped-def]
    """Bring the gains of one machine up to date."""
    for s in range(len(b.cores)):
        cores, leaves, enters, room = b.cores[s], 0, 0, True
        for k in range(2):
            free = b.free_cores[pm, k]
            fits = b.active[pm] and free >= cores and b.free_memory[pm, k] >= b.memory[s]
            leave = free % b.flavour - (free + cores) % b.flavour
            enter = free % b.flavour - (free - cores) % b.flavour
            b.leave[s, pm, k] = leave
            b.enter[s, pm, k] = enter if fits else NO_ROOM
            leaves += leave
            enters += enter
            room = room and fits
        if b.double[s]:
            b.leave[s, pm, 0] = leaves
            b.enter[s, pm, 0] = enters if room else NO_ROOM
            b.enter[s, pm, 1] = NO_ROOM


@njit(cache=True)
def lift(b, vm):  # type: ignore[no-untyped-def]
    """Take a VM off its machine."""
    _count(b, vm, b.host[vm], b.numa[vm], -1)
    b.host[vm] = NOWHERE


@njit(cache=True)
def settle(b, vm, pm, numa):  # type: ignore[no-untyped-def]
    """Put a lifted VM on a machine."""
    b.host[vm], b.numa[vm] = pm, numa
    _count(b, vm, pm, numa, 1)


@njit(cache=True)
def apart(b, vm, pm):  # type: ignore[no-untyped-def]
    """Whether the sets of a VM let it be on a machine."""
    home = b.host[vm]
    for i in range(b.start[vm], b.start[vm + 1]):
        g = b.group[i]
        z = b.zone[g, pm]
        own = 1 if home >= 0 and b.zone[g, home] == z else 0
        if b.inside[g, z] > own:
            return False
    return True


@njit(cache=True)
def best_place(b, vm, offset):  # type: ignore[no-untyped-def]
    """Where a VM gains most by entering, on any machine but the one where it is: (gain, cell), cell = 2 * pm + numa.

    Cells are looked through from `offset`; the first of the best wins. (NO_ROOM, -1) where it may go nowhere.
    """
    home, bound = b.host[vm], b.start[vm + 1] > b.start[vm]
    row = b.enter[b.shape[vm]]
    cells = 2 * len(row)
    best, at = NO_ROOM, -1
    for i in range(cells):
        cell = i + offset if i + offset < cells else i + offset - cells
        pm = cell >> 1
        gain = row[pm, cell & 1]
        if gain > best and pm != home and (not bound or apart(b, vm, pm)):
            best, at = gain, cell
    return best, at


@njit(cache=True)
def best_move(b, may, vm_offset, cell_offset):  # type: ignore[no-untyped-def]
    """The migration that gains most: (gain, vm, cell), vm = -1 when none is legal.

    Of VMs with may[vm] alone. They are looked through from `vm_offset`, cells from `cell_offset`; the first of the best
    wins, so that random offsets break ties at random.
    """
    shapes, cells, vms = len(b.cores), 2 * len(b.active), len(may)
    top, cell_of = np.empty(shapes, np.int64), np.empty(shapes, np.int64)
    for s in range(shapes):
        enter = b.enter[s].reshape(-1)
        highest = NO_ROOM
        for i in range(cells):
            highest = max(highest, enter[i])
        cell = cell_offset
        while enter[cell] < highest:
            cell = cell + 1 if cell + 1 < cells else 0
        top[s], cell_of[s] = highest, cell
    most, best_vm, best_cell = NO_ROOM // 2, -1, -1
    for i in range(vms):
        vm = i + vm_offset if i + vm_offset < vms else i + vm_offset - vms
        s, home = b.shape[vm], b.host[vm]
        leave = b.leave[s, home, b.numa[vm]]
        if leave + top[s] <= most or not may[vm]:
            continue
        gain, cell = leave + top[s], cell_of[s]
        if cell >> 1 == home or not apart(b, vm, cell >> 1):
            gain, cell = best_place(b, vm, cell_offset)
            gain += leave
        if gain > most:
            most, best_vm, best_cell = gain, vm, cell
    return most, best_vm, best_cell


@njit(cache=True)
def _count(b, vm, pm, numa, sign):  # type: ignore[no-untyped-def]
    s = b.shape[vm]
    for k in range(2):
        if b.double[s] or k == numa:
            b.free_cores[pm, k] -= sign * b.cores[s]
            b.free_memory[pm, k] -= sign * b.memory[s]
    for i in range(b.start[vm], b.start[vm + 1]):
        g = b.group[i]
        b.inside[g, b.zone[g, pm]] += sign
    look_at(b, pm)
