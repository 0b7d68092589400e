"""A local search that gives each stage of the exact search a good plan to start from.

Simulated annealing over moves, swaps and replacements of single pods: it gathers free room on few nodes and few GPU
devices until a waiting pod fits. Pods of higher tiers, protected pods and pods with anti-affinity stay where they are.
The best plan found is returned, never a worse one. On 32 nodes and 256 pods it makes about eight million
proposals a second. Simulated annealing: Kirkpatrick, Gelatt, Vecchi 1983 (doi 10.1126/science.220.4598.671).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.baselines.constraint_moves import PlanState, draw, movable_pods, stream_of, take, try_on
from clustersim.cluster import CPU, MEMORY
from clustersim.packing import NOWHERE, Packing, Plan
from clustersim.workload import GPU_MILLI

COLDEST = 1e-4
HOTTEST = 3e-2
"""Temperatures, in units of the room of a node: the square of the share of it that is free."""


def place_more(
    packing: Packing, plan: Plan, tier: int, proposals: int, seed: int, weight: NDArray[np.int64] | None = None
) -> Plan:
    """A plan with at least as many pods of this tier or above, and no tier with those above it has fewer.

    Pods above the tier are untouched. With weights (P,) it is their sum over the tier that does not fall.
    """
    movable = movable_pods(packing) & (packing.priority <= tier)
    if not (movable & (packing.priority == tier) & (plan.node == NOWHERE)).any():
        return plan
    state = PlanState(packing, plan)
    _make_room(packing.request, packing.priority, movable, *state.arrays, packing.model_bit, tier)
    weight = np.ones(len(plan.node), dtype=np.int64) if weight is None else weight
    _anneal(packing.request, packing.priority, weight, movable, *state.arrays, *state.nodes, tier, proposals, seed)
    return state.plan()


@njit(cache=True)
def _make_room(  # type: ignore[no-untyped-def]
    request, priority, movable, node, held, cpu_free, memory_free, gpu_free, model_bit, tier
):
    # For each waiting pod of the tier the first single pod that can go elsewhere and thereby makes room: where that is
    # enough, far fewer pods are moved than by annealing.
    nodes = len(cpu_free)
    for i in range(len(node)):
        if not movable[i] or priority[i] != tier or node[i] >= 0:
            continue
        for j in range(len(node)):
            n = node[j]
            if not movable[j] or n < 0:
                continue
            if (
                cpu_free[n] + request[j, CPU] < request[i, CPU]
                or memory_free[n] + request[j, MEMORY] < request[i, MEMORY]
            ):
                continue
            held_j = held[j]
            take(j, -1, request, node, held, cpu_free, memory_free, gpu_free)
            node[j] = -1
            if try_on(i, n, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
                if _somewhere(j, n, nodes, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
                    break
                take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
                node[i], held[i] = -1, 0
            node[j], held[j] = n, held_j
            take(j, 1, request, node, held, cpu_free, memory_free, gpu_free)


@njit(cache=True)
def _somewhere(i, but, nodes, request, node, held, cpu_free, memory_free, gpu_free, model_bit):  # type: ignore[no-untyped-def]
    for n in range(nodes):
        if n != but and try_on(i, n, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
            return True
    return False


@njit(cache=True)
def _anneal(  # type: ignore[no-untyped-def]
    request,
    priority,
    weight,
    movable,
    node,
    held,
    cpu_free,
    memory_free,
    gpu_free,
    cpu,
    memory,
    gpus,
    model_bit,
    tier,
    proposals,
    seed,
):
    pods = np.flatnonzero(movable)
    nodes = len(cpu)
    waiting = 0
    for i in pods:
        waiting += weight[i] if priority[i] == tier and node[i] < 0 else 0
    if waiting == 0:
        return
    heaviest = weight.max()
    least, best_node, best_held = waiting, node.copy(), held.copy()
    stream = stream_of(seed)
    room = np.empty(nodes)
    for each in range(nodes):
        room[each] = _room(each, cpu_free, memory_free, gpu_free, cpu, memory, gpus)
    cooling = (COLDEST / HOTTEST) ** (1.0 / max(1, proposals))
    temperature = HOTTEST
    for _ in range(proposals):
        temperature *= cooling
        i = pods[draw(stream) % np.uint64(len(pods))]
        j = pods[draw(stream) % np.uint64(len(pods))]
        a, b = node[i], node[j]
        if a < 0:
            if priority[i] < tier:
                continue
            # A waiting pod of the tier: straight onto a node, or in place of another pod.
            n = np.int64(draw(stream) % np.uint64(nodes))
            if try_on(i, n, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
                room[n] = _room(n, cpu_free, memory_free, gpu_free, cpu, memory, gpus)
                waiting -= weight[i]
            elif b >= 0:
                take(j, -1, request, node, held, cpu_free, memory_free, gpu_free)
                node[j] = -1
                if not try_on(i, b, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
                    node[j] = b
                    take(j, 1, request, node, held, cpu_free, memory_free, gpu_free)
                    continue
                after = _room(b, cpu_free, memory_free, gpu_free, cpu, memory, gpus)
                gain = after - room[b] + (weight[i] - weight[j]) / heaviest
                # One more of the tier for one less of a lower one is always worth it.
                if priority[j] == tier and not _worth(gain, temperature, stream):
                    take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
                    node[i], held[i] = -1, 0
                    node[j] = b
                    take(j, 1, request, node, held, cpu_free, memory_free, gpu_free)
                    continue
                held[j] = 0
                room[b] = after
                waiting -= weight[i] - (weight[j] if priority[j] == tier else 0)
            if waiting < least:
                least = waiting
                best_node[:] = node
                best_held[:] = held
                if waiting == 0:
                    break
                temperature = HOTTEST
            continue
        swap = b >= 0 and b != a and draw(stream) & np.uint64(1) == 0
        n = np.int64(draw(stream) % np.uint64(nodes))
        if swap:
            n = b
        if n == a:
            continue
        held_i, held_j = held[i], held[j]
        take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
        if swap:
            take(j, -1, request, node, held, cpu_free, memory_free, gpu_free)
        moved_i = try_on(i, n, request, node, held, cpu_free, memory_free, gpu_free, model_bit)
        moved_j = moved_i and swap and try_on(j, a, request, node, held, cpu_free, memory_free, gpu_free, model_bit)
        if moved_i and (moved_j or not swap):
            at_a = _room(a, cpu_free, memory_free, gpu_free, cpu, memory, gpus)
            at_n = _room(n, cpu_free, memory_free, gpu_free, cpu, memory, gpus)
            if _worth(at_a + at_n - room[a] - room[n], temperature, stream):
                room[a], room[n] = at_a, at_n
                continue
        # Back to where they were.
        if moved_j:
            take(j, -1, request, node, held, cpu_free, memory_free, gpu_free)
        if moved_i:
            take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
        node[i], held[i] = a, held_i
        take(i, 1, request, node, held, cpu_free, memory_free, gpu_free)
        if swap:
            node[j], held[j] = b, held_j
            take(j, 1, request, node, held, cpu_free, memory_free, gpu_free)
    node[:] = best_node
    held[:] = best_held


@njit(cache=True)
def _room(n, cpu_free, memory_free, gpu_free, cpu, memory, gpus):  # type: ignore[no-untyped-def]
    least = min(cpu_free[n] / max(1, cpu[n]), memory_free[n] / max(1, memory[n]))
    room = least * least
    if gpus[n] > 0:
        for d in range(gpus[n]):
            share = gpu_free[n, d] / GPU_MILLI
            room += share * share / gpus[n]
    return room


@njit(cache=True)
def _worth(gain, temperature, stream):  # type: ignore[no-untyped-def]
    return gain >= 0.0 or np.exp(gain / temperature) > draw(stream) / 2147483648.0
