"""What the two-stage agent sees of fleets: a row per machine, a row per class of VMs, and what a landing would do.

VMs of one shape on one NUMA node of one machine are interchangeable unless anti-affinity tells them apart, so they are
one token with a count. All tokens of a machine stand in its row of a (P, G) grid; what is empty has the count 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.vm_fleet import Bools, Ints
from clustersim.vm_state import FleetState

Floats = NDArray[np.float32]

PARTS = 16
"""Remainders are told apart by the part of a flavour that they are."""
PER_VM = 0.25
"""Scale of numbers of VMs."""
NODE_CORES, NODE_MEMORY_MIB = 88.0, 368_776.0
"""Scales of the published environment (reference: VMR2L, EuroSys'25, arXiv 2505.17359)."""

PM_COLUMNS = (
    *(f"free_{what}_{k}" for what in ("cores", "memory") for k in (0, 1)),
    *(f"remainder_{of}_{k}" for k in (0, 1) for of in ("of_free", "of_flavour")),
    *(f"remainder_{k}_is_{i}" for k in (0, 1) for i in range(PARTS)),
    *(f"may_leave_{k}_with_{i}" for k in (0, 1) for i in range(PARTS)),
    "active",
)
PM_PUBLISHED = 8
"""The first columns are those of the published observation."""
VM_COLUMNS = (
    *(f"{what}_{k}" for what in ("cores", "memory") for k in (0, 1)),
    *(f"cores_of_flavour_{k}" for k in (0, 1)),
    *(f"cores_are_{i}" for i in range(PARTS)),
    *(f"leaves_{i}" for i in range(PARTS)),
    "gain_of_leaving",
    "best_gain",
    "share_of_machines_with_room",
    "on_node_1",
    "may_move",
)
VM_PUBLISHED = 6
NODE_COLUMNS = (
    *(f"becomes_{i}" for i in range(PARTS)),
    "gain_of_landing",
    "gain",
    "free_cores_after",
    "free_memory_after",
)
STEP_COLUMNS = ("share_of_moves_made", "moves_left_per_machine")
TABLES = {"machines": PM_COLUMNS, "vms": VM_COLUMNS, "nodes": NODE_COLUMNS, "step": STEP_COLUMNS}


_NODES = np.array([1, 2], np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """B fleets with P machines each, and at most G classes of VMs on a machine."""

    pm: Floats
    """(B, P, PM_COLUMNS)"""
    vm: Floats
    """(B, P, G, VM_COLUMNS)"""
    step: Floats
    """(B, STEP_COLUMNS)"""
    count: Floats
    """(B, P, G) VMs in the class; 0 where there is none."""
    shape: Ints
    """(B, P, G) index into the shapes, 0 where there is none."""
    first: Ints
    """(B, P, G) a VM of the class, -1 where there is none."""
    legal: Bools
    """(B, P, G) whether a VM of the class may be migrated."""
    room: Bools
    """(B, S, P, 2) whether a VM of the shape has room on the NUMA node; 0 stands for both where it needs both."""


def look(
    states: Sequence[FleetState],
    made: Sequence[int],
    mnl: Sequence[int],
    stay: Sequence[Bools] | None = None,
    merged: bool = True,
) -> Seen:
    """What there is to see before the next move, `made` of `mnl` being made. All states have as many machines.

    `stay`, (rows,) each, are VMs that shall not be migrated although they may be. `merged=False` gives every VM a token
    of its own: the same, at a higher price.
    """
    machines = states[0].machines
    movable = [state.movable if stay is None else state.movable & ~stay[b] for b, state in enumerate(states)]
    classed = [
        _classes(state.host, state.numa, state.shape, may, _apart(state, merged), machines)
        for state, may in zip(states, movable, strict=True)
    ]
    deepest = max(int(used.max(initial=1)) for _, used in classed)
    size = (len(states), machines, deepest)
    seen = Seen(
        np.zeros((*size[:2], len(PM_COLUMNS)), np.float32),
        np.zeros((*size, len(VM_COLUMNS)), np.float32),
        np.zeros((len(states), len(STEP_COLUMNS)), np.float32),
        np.zeros(size, np.float32),
        np.zeros(size, np.int64),
        np.full(size, -1, np.int64),
        np.zeros(size, np.bool_),
        np.zeros((len(states), max(len(state.fits) for state in states), machines, 2), np.bool_),
    )
    for b, (state, (slot, _)) in enumerate(zip(states, classed, strict=True)):
        may_move = np.empty(state.rows, np.bool_)
        state.vm_mask(may_move)
        may_move &= movable[b]
        shapes = state.snapshot.shapes
        seen.room[b, : len(shapes)] = (state.fits[:, :, None] & _NODES) > 0
        seen.room[b, : len(shapes)][shapes.double, :, 1] = False
        _fill(
            state.free_cores, state.free_memory_mib, state.snapshot.machines.active, state.host, state.numa,
            state.shape, may_move, slot, shapes.cores, shapes.memory_mib, shapes.double, state.fits, state.fitting,
            state.flavour_cores, seen.pm[b], seen.vm[b], seen.count[b], seen.shape[b], seen.first[b], seen.legal[b],
        )  # fmt: skip
        seen.step[b] = made[b] / max(1, mnl[b]), (mnl[b] - made[b]) / machines
    return seen


def look_at_nodes(states: Sequence[FleetState], vms: Sequence[int]) -> tuple[Floats, Bools]:
    """What the landing of one VM per state would do, (B, P, 2, NODE_COLUMNS), and whether it is legal, (B, P, 2)."""
    machines = states[0].machines
    seen = np.zeros((len(states), machines, 2, len(NODE_COLUMNS)), np.float32)
    legal = np.zeros((len(states), machines, 2), np.bool_)
    mask = np.empty(machines, np.bool_)
    for b, (state, vm) in enumerate(zip(states, vms, strict=True)):
        shape = state.shape[vm]
        shapes = state.snapshot.shapes
        state.pm_mask(vm, mask)
        _fill_nodes(
            state.free_cores, state.free_memory_mib, int(state.host[vm]), int(state.numa[vm]),
            int(shapes.cores[shape]), int(shapes.memory_mib[shape]), bool(shapes.double[shape]), state.fits[shape],
            mask, state.flavour_cores, seen[b], legal[b],
        )  # fmt: skip
    return seen, legal


def _apart(state: FleetState, merged: bool) -> Bools:
    """(rows,) which VMs are no other's like: those in anti-affinity sets."""
    apart = np.full(state.rows, not merged)
    for start, _ in state.snapshot.sets_of_vm.values():
        apart[: len(start) - 1] |= np.diff(start) > 0
    return apart


@njit(cache=True)
def _classes(host, numa, shape, movable, apart, machines):  # type: ignore[no-untyped-def]
    """The slot of every VM in the row of its machine, and how many slots each machine uses."""
    on = np.zeros(machines, np.int64)
    for v in range(len(host)):
        if host[v] >= 0:
            on[host[v]] += 1
    example = np.empty((machines, max(1, on.max())), np.int64)
    used = np.zeros(machines, np.int64)
    slot = np.full(len(host), -1, np.int64)
    for v in range(len(host)):
        pm = host[v]
        if pm < 0:
            continue
        for g in range(used[pm]):
            other = example[pm, g]
            if (
                shape[other] == shape[v]
                and numa[other] == numa[v]
                and movable[other] == movable[v]
                and not apart[v]
                and not apart[other]
            ):
                slot[v] = g
                break
        if slot[v] < 0:
            slot[v] = used[pm]
            example[pm, used[pm]] = v
            used[pm] += 1
    return slot, used


@njit(cache=True)
def _lost(free, cores, flavour):  # type: ignore[no-untyped-def]
    """Fragment cores by which a node has fewer when `cores` more are taken there; negative `cores` are given back."""
    return free % flavour - (free - cores) % flavour


@njit(cache=True)
def _fill(  # type: ignore[no-untyped-def]
    free, memory_free, active, host, numa, shape, may_move, slot, cores, memory, double, fits, fitting, flavour,
    pm_rows, vm_rows, count, shapes, first, legal,
):  # fmt: skip
    machines = len(free)
    for p in range(machines):
        row = pm_rows[p]
        for k in range(2):
            rest = free[p, k] % flavour
            row[k] = free[p, k] / NODE_CORES
            row[2 + k] = memory_free[p, k] / NODE_MEMORY_MIB
            row[4 + 2 * k] = rest / free[p, k] if free[p, k] > 0 else 0.0
            row[5 + 2 * k] = rest / flavour
            row[8 + PARTS * k + rest * PARTS // flavour] = 1.0
        row[8 + 4 * PARTS] = 1.0 if active[p] else 0.0
    # The best landing of every shape, and the best one on another machine than that.
    nowhere = -4 * flavour
    best = np.full((len(cores), 2), nowhere, np.int64)
    best_pm = np.full(len(cores), -1, np.int64)
    for s in range(len(cores)):
        for p in range(machines):
            if fits[s, p] == 0:
                continue
            gain = nowhere
            if double[s]:
                gain = _lost(free[p, 0], cores[s], flavour) + _lost(free[p, 1], cores[s], flavour)
            else:
                for k in range(2):
                    if (fits[s, p] >> k) & 1:
                        gain = max(gain, _lost(free[p, k], cores[s], flavour))
            if gain > best[s, 0]:
                best[s, 1] = best[s, 0]
                best[s, 0] = gain
                best_pm[s] = p
            elif gain > best[s, 1]:
                best[s, 1] = gain
    for v in range(len(host)):
        p = host[v]
        if p < 0:
            continue
        g = slot[v]
        s = shape[v]
        k = numa[v]
        rest = cores[s] % flavour * PARTS // flavour
        if may_move[v]:
            for node in range(2):
                if double[s] or node == k:
                    pm_rows[p, 8 + (2 + node) * PARTS + rest] += PER_VM
        count[p, g] += 1.0
        if first[p, g] >= 0:
            continue
        first[p, g] = v
        shapes[p, g] = s
        legal[p, g] = may_move[v]
        row = vm_rows[p, g]
        leaving = 0
        for node in range(2):
            if double[s] or node == k:
                row[node] = cores[s] / NODE_CORES
                row[2 + node] = memory[s] / NODE_MEMORY_MIB
                row[4 + node] = (cores[s] % flavour) / flavour
                leaving += _lost(free[p, node], -cores[s], flavour)
        row[6 + rest] = 1.0
        row[6 + PARTS + (free[p, k] + cores[s]) % flavour * PARTS // flavour] = 1.0
        place = 6 + 2 * PARTS
        row[place] = leaving / flavour
        landing = best[s, 1] if best_pm[s] == p else best[s, 0]
        row[place + 1] = (leaving + landing) / flavour if landing > nowhere else -1.0
        row[place + 2] = fitting[s] / machines
        row[place + 3] = 1.0 if k == 1 else 0.0
        row[place + 4] = 1.0 if may_move[v] else 0.0


@njit(cache=True)
def _fill_nodes(free, memory_free, home, numa, cores, memory, double, fits, mask, flavour, rows, legal):  # type: ignore[no-untyped-def]
    leaving = 0
    for k in range(2):
        if double or k == numa:
            leaving += _lost(free[home, k], -cores, flavour)
    for p in range(len(free)):
        for k in range(2):
            row = rows[p, k]
            row[(free[p, k] - cores) % flavour * PARTS // flavour] = 1.0
            gain = _lost(free[p, k], cores, flavour)
            if double:
                gain += _lost(free[p, 1 - k], cores, flavour)
            row[PARTS] = gain / flavour
            row[PARTS + 1] = (gain + leaving) / flavour
            row[PARTS + 2] = (free[p, k] - cores) / NODE_CORES
            row[PARTS + 3] = (memory_free[p, k] - memory) / NODE_MEMORY_MIB
            legal[p, k] = mask[p] and (fits[p] >> k) & 1 and not (double and k == 1)
