"""alpha-VBPP: remove alpha VMs, pack them back as items of a vector bin packing problem, and again while it helps.

A baseline of Ding et al., "Towards VM Rescheduling Optimization Through Deep Reinforcement Learning", arXiv 2505.17359;
that alpha VMs are removed and packed back is recalled of it (R), how it is done here is ours (D). The packing:
Panigrahy, Talwar, Uyeda, Wieder, "Heuristics for vector bin packing", Microsoft Research 2011: items by decreasing
size, each into the bin that scores best, by the least room left (norm-based greedy) or by the dot product of demand and
room.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numba import njit

from clustersim.baselines.vm_gains import NO_ROOM, apart, best_prefix, board_of, fragments, lift, settle
from clustersim.errors import ConfigError
from clustersim.vm_plan import Move, MovePlan, Task

Packing = Literal["best-fit", "dot-product"]
"""The place for an item: where it leaves least room, or where the dot product of its demand and the room is largest."""

_PACKINGS = get_args(Packing)


class AlphaVbpp:
    """Each round takes off the `alpha` VMs whose leaving removes most fragments, one after the other.

    They are packed back largest first; home is one of the places. What has moved by that is carried out in an order in
    which every migration has room, and what cannot be ordered stays at home. A round that gains nothing is taken back.
    No VM is taken off twice. Ties go to the lowest VM, machine and NUMA node; nothing is left to chance.
    """

    def __init__(self, alpha: int = 10, packing: Packing = "best-fit") -> None:
        if alpha < 1:
            raise ConfigError(f"alpha is {alpha}; a round removes at least 1 VM")
        if packing not in _PACKINGS:
            raise ConfigError(f"packing is {packing!r}; choose one of {', '.join(_PACKINGS)}")
        self.alpha = alpha
        self.packing = packing

    def __call__(self, task: Task, rng: np.random.Generator) -> MovePlan:
        board = board_of(task)
        machines = task.snapshot.machines
        scale = np.array([machines.cores.max(), machines.memory_mib.max()], dtype=np.float64)
        untried = board.movable.copy()
        moves: list[Move] = []
        rounds = 0
        while len(moves) < task.mnl:
            alpha = min(self.alpha, task.mnl - len(moves))
            rows = _round(board, untried, alpha, self.packing == "dot-product", scale)
            if rows is None:
                break
            rounds += 1
            moves += [Move(*row) for row in rows.tolist()]
        return MovePlan(best_prefix(task, moves), figures={"rounds": float(rounds)})


@njit(cache=True)
def _round(b, untried, alpha, by_product, scale):  # type: ignore[no-untyped-def]
    """Play one round on the board; return its moves (M, 3), None where no VM is left to take off."""
    before = fragments(b)
    chosen, home = _remove(b, untried, alpha)
    if len(chosen) == 0:
        return None
    _pack(b, chosen, home, by_product, scale)
    target = np.empty_like(home)
    for i, vm in enumerate(chosen):
        target[i] = b.host[vm], b.numa[vm]
        lift(b, vm)
    for i, vm in enumerate(chosen):
        settle(b, vm, home[i, 0], home[i, 1])
    done = _carry_out(b, chosen, home, target)
    if fragments(b) < before:
        return done
    for vm in done[::-1, 0]:
        lift(b, vm)
        i = int(np.argmax(chosen == vm))
        settle(b, vm, home[i, 0], home[i, 1])
    return done[:0]


@njit(cache=True)
def _remove(b, untried, alpha):  # type: ignore[no-untyped-def]
    """Lift up to alpha VMs; return them and where they were, (n,) and (n, 2)."""
    chosen, home = np.empty(alpha, np.int64), np.empty((alpha, 2), np.int64)
    for i in range(alpha):
        most, best = 0, -1
        for vm in range(len(untried)):
            if untried[vm] and b.leave[b.shape[vm], b.host[vm], b.numa[vm]] > most:
                most, best = b.leave[b.shape[vm], b.host[vm], b.numa[vm]], vm
        if best < 0:
            return chosen[:i], home[:i]
        chosen[i], home[i] = best, (b.host[best], b.numa[best])
        untried[best] = False
        lift(b, best)
    return chosen, home


@njit(cache=True)
def _pack(b, chosen, home, by_product, scale):  # type: ignore[no-untyped-def]
    """Settle lifted VMs, largest first; one that finds no place goes home, where another may be by now."""
    size = np.empty(len(chosen))
    for i, vm in enumerate(chosen):
        s = b.shape[vm]
        size[i] = (b.cores[s] / scale[0] + b.memory[s] / scale[1]) * (2 if b.double[s] else 1)
    for i in np.argsort(-size, kind="mergesort"):
        vm = chosen[i]
        pm, numa = home[i]
        best = -np.inf
        for there in range(len(b.active)):
            for k in range(2):
                if b.enter[b.shape[vm], there, k] == NO_ROOM or (there == home[i, 0] and k != home[i, 1]):
                    continue
                score = _score(b, b.shape[vm], there, k, by_product, scale)
                if score > best and apart(b, vm, there):
                    best, pm, numa = score, there, k
        settle(b, vm, pm, numa)


@njit(cache=True)
def _score(b, s, pm, numa, by_product, scale):  # type: ignore[no-untyped-def]
    room, product = 0.0, 0.0
    for k in range(2):
        if b.double[s] or k == numa:
            cores, memory = b.free_cores[pm, k] / scale[0], b.free_memory[pm, k] / scale[1]
            room += (cores - b.cores[s] / scale[0]) ** 2 + (memory - b.memory[s] / scale[1]) ** 2
            product += cores * b.cores[s] / scale[0] + memory * b.memory[s] / scale[1]
    return product if by_product else -room


@njit(cache=True)
def _carry_out(b, chosen, home, target):  # type: ignore[no-untyped-def]
    """Migrate VMs to their targets as room for them appears; return the moves, (M, 3)."""
    moves, count = np.empty((len(chosen), 3), np.int64), 0
    waits = (target[:, 0] != home[:, 0]).copy()
    moved = True
    while moved:
        moved = False
        for i, vm in enumerate(chosen):
            pm, numa = target[i]
            if waits[i] and b.enter[b.shape[vm], pm, numa] > NO_ROOM and apart(b, vm, pm):
                lift(b, vm)
                settle(b, vm, pm, numa)
                moves[count] = vm, pm, numa
                count += 1
                waits[i], moved = False, True
    return moves[:count]
