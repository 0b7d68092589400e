"""A local search that gives each stage of the exact search a good plan to start from.

Simulated annealing over single moves, swaps and replacements: it gathers free room on few nodes until a waiting pod
fits. Pods of higher tiers, protected pods, and pods with GPUs or anti-affinity stay where they are. The best plan found
is returned, never a worse one. On 32 nodes and 256 pods it makes about fifty million proposals a second.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.cluster import CPU, MEMORY, NUM_GPU
from clustersim.packing import NOWHERE, Packing, Plan

COLDEST = 1e-4
HOTTEST = 3e-2
"""Temperatures, in units of the squared share of a node that is free."""


def place_more(packing: Packing, plan: Plan, tier: int, proposals: int, seed: int) -> Plan:
    """A plan with at least as many pods of this tier, no fewer of any other, and the tiers above untouched."""
    movable = _movable(packing) & (packing.priority <= tier)
    if not (movable & (packing.priority == tier) & (plan.node == NOWHERE)).any():
        return plan
    cpu, memory = _shares(packing)
    node = plan.node.copy()
    _anneal(cpu, memory, packing.priority, movable, node, *_free(packing, plan), tier, proposals, seed)
    return Plan(node, plan.device)


def disturb_less(packing: Packing, plan: Plan, tier: int) -> Plan:
    """The same pods counts per class of request and tier, with pods of this tier brought home where there is room."""
    movable = _movable(packing) & (packing.priority == tier)
    cpu, memory = _shares(packing)
    node = plan.node.copy()
    _bring_home(cpu, memory, packing.home, movable, node, *_free(packing, plan))
    return Plan(node, plan.device)


def _movable(packing: Packing) -> NDArray[np.bool_]:
    movable = ~packing.protected & (packing.request[:, NUM_GPU] == 0)
    for together in packing.apart:
        movable[list(together)] = False
    return movable


def _shares(packing: Packing) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return packing.request[:, CPU].copy(), packing.request[:, MEMORY].copy()


def _free(packing: Packing, plan: Plan) -> tuple[NDArray[np.int64], ...]:
    placed = plan.node != NOWHERE
    free = []
    for column, capacity in ((CPU, packing.cpu_milli), (MEMORY, packing.memory_mib)):
        used = np.bincount(plan.node[placed], packing.request[placed, column], minlength=len(capacity))
        free.append(capacity - used.astype(np.int64))
    return (*free, packing.cpu_milli, packing.memory_mib)


@njit(cache=True)
def _next(state):  # type: ignore[no-untyped-def]
    # xorshift64*: numba's own generator is global, and a search must not shift what another one draws.
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return (x * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(33)


@njit(cache=True)
def _roominess(cpu_free, memory_free, cpu_capacity, memory_capacity):  # type: ignore[no-untyped-def]
    room = min(cpu_free / max(1, cpu_capacity), memory_free / max(1, memory_capacity))
    return room * room


@njit(cache=True)
def _anneal(  # type: ignore[no-untyped-def]
    cpu, memory, priority, movable, node, cpu_free, memory_free, cpu_capacity, memory_capacity, tier, proposals, seed
):
    pods = np.flatnonzero(movable)
    nodes = len(cpu_free)
    waiting = 0
    for i in pods:
        waiting += priority[i] == tier and node[i] < 0
    best_waiting, best = waiting, node.copy()
    state = np.array([np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x2545F4914F6CDD1D)], dtype=np.uint64)
    room = np.empty(nodes)
    for n in range(nodes):
        room[n] = _roominess(cpu_free[n], memory_free[n], cpu_capacity[n], memory_capacity[n])
    cooling = (COLDEST / HOTTEST) ** (1.0 / max(1, proposals))
    temperature = HOTTEST
    for _ in range(proposals):
        temperature *= cooling
        i = pods[_next(state) % np.uint64(len(pods))]
        j = pods[_next(state) % np.uint64(len(pods))]
        a, b = node[i], node[j]
        if a < 0 and priority[i] < tier:
            continue
        gain = 0.0
        if a < 0:
            # A waiting pod of the tier: straight onto a node, or in place of a pod that is larger or less important.
            n = np.int64(_next(state) % np.uint64(nodes))
            if cpu_free[n] >= cpu[i] and memory_free[n] >= memory[i]:
                node[i] = n
                a = n
                cpu_free[n] -= cpu[i]
                memory_free[n] -= memory[i]
                room[n] = _roominess(cpu_free[n], memory_free[n], cpu_capacity[n], memory_capacity[n])
                waiting -= 1
                if waiting < best_waiting:
                    best_waiting = waiting
                    best[:] = node
                    if waiting == 0:
                        break
                    temperature = HOTTEST
                continue
            if b < 0 or cpu_free[b] + cpu[j] < cpu[i] or memory_free[b] + memory[j] < memory[i]:
                continue
            after = _roominess(
                cpu_free[b] + cpu[j] - cpu[i],
                memory_free[b] + memory[j] - memory[i],
                cpu_capacity[b],
                memory_capacity[b],
            )
            gain = after - room[b]
            if priority[j] < tier:
                gain = 1.0  # one more of this tier for one less of a lower one
            elif not _worth(gain, temperature, state):
                continue
            cpu_free[b] += cpu[j] - cpu[i]
            memory_free[b] += memory[j] - memory[i]
            room[b] = after
            node[i], node[j] = b, -1
            if priority[j] < tier:
                waiting -= 1
                if waiting < best_waiting:
                    best_waiting = waiting
                    best[:] = node
                    if waiting == 0:
                        break
            continue
        if b < 0 or b == a or _next(state) & np.uint64(1):
            # To another node.
            n = np.int64(_next(state) % np.uint64(nodes))
            if n == a or cpu_free[n] < cpu[i] or memory_free[n] < memory[i]:
                continue
            at_a = _roominess(cpu_free[a] + cpu[i], memory_free[a] + memory[i], cpu_capacity[a], memory_capacity[a])
            at_n = _roominess(cpu_free[n] - cpu[i], memory_free[n] - memory[i], cpu_capacity[n], memory_capacity[n])
            if not _worth(at_a + at_n - room[a] - room[n], temperature, state):
                continue
            cpu_free[a] += cpu[i]
            memory_free[a] += memory[i]
            cpu_free[n] -= cpu[i]
            memory_free[n] -= memory[i]
            room[a], room[n] = at_a, at_n
            node[i] = n
            continue
        cpu_more, memory_more = cpu[i] - cpu[j], memory[i] - memory[j]
        if (
            cpu_free[a] + cpu_more < 0
            or memory_free[a] + memory_more < 0
            or cpu_free[b] < cpu_more
            or memory_free[b] < memory_more
        ):
            continue
        at_a = _roominess(cpu_free[a] + cpu_more, memory_free[a] + memory_more, cpu_capacity[a], memory_capacity[a])
        at_b = _roominess(cpu_free[b] - cpu_more, memory_free[b] - memory_more, cpu_capacity[b], memory_capacity[b])
        if _worth(at_a + at_b - room[a] - room[b], temperature, state):
            cpu_free[a] += cpu_more
            memory_free[a] += memory_more
            cpu_free[b] -= cpu_more
            memory_free[b] -= memory_more
            room[a], room[b] = at_a, at_b
            node[i], node[j] = b, a
    node[:] = best


@njit(cache=True)
def _worth(gain, temperature, state):  # type: ignore[no-untyped-def]
    return gain >= 0.0 or np.exp(gain / temperature) > _next(state) / 2147483648.0


@njit(cache=True)
def _bring_home(  # type: ignore[no-untyped-def]
    cpu, memory, home, movable, node, cpu_free, memory_free, cpu_capacity, memory_capacity
):
    again = True
    while again:
        again = False
        for i in range(len(node)):
            h = home[i]
            if not movable[i] or h < 0 or node[i] < 0 or node[i] == h:
                continue
            if cpu_free[h] >= cpu[i] and memory_free[h] >= memory[i]:
                cpu_free[node[i]] += cpu[i]
                memory_free[node[i]] += memory[i]
                cpu_free[h] -= cpu[i]
                memory_free[h] -= memory[i]
                node[i] = h
                again = True
                continue
            for j in range(len(node)):
                # Two pods that are on each other's way: swap, if the other one does not leave its own home for it.
                if node[j] != h or not movable[j] or home[j] == h:
                    continue
                a = node[i]
                cpu_more, memory_more = cpu[i] - cpu[j], memory[i] - memory[j]
                if (
                    cpu_free[h] >= cpu_more
                    and memory_free[h] >= memory_more
                    and cpu_free[a] + cpu_more >= 0
                    and memory_free[a] + memory_more >= 0
                ):
                    cpu_free[h] -= cpu_more
                    memory_free[h] -= memory_more
                    cpu_free[a] += cpu_more
                    memory_free[a] += memory_more
                    node[i], node[j] = h, a
                    again = True
                    break
