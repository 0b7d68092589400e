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

from clustersim.cluster import ACCEPTED, CPU, GPU_SHARE, MEMORY, NUM_GPU
from clustersim.packing import NOWHERE, RESTART, Packing, Plan, devices_of, moved
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
    movable = _movable(packing) & (packing.priority <= tier)
    if not (movable & (packing.priority == tier) & (plan.node == NOWHERE)).any():
        return plan
    state = _State(packing, plan)
    _make_room(packing.request, packing.priority, movable, *state.arrays, packing.model_bit, tier)
    weight = np.ones(len(plan.node), dtype=np.int64) if weight is None else weight
    _anneal(packing.request, packing.priority, weight, movable, *state.arrays, *state.nodes, tier, proposals, seed)
    return state.plan()


def disturb_less(packing: Packing, plan: Plan, tier: int, proposals: int, seed: int) -> Plan:
    """The same pods placed, with those of this tier back on their nodes and devices where there is room."""
    movable = _movable(packing) & (packing.priority == tier)
    if not (moved(packing, plan) & movable).any():
        return plan
    state = _State(packing, plan)
    homes = (packing.home, packing.home_devices)
    _bring_home(packing.request, *homes, movable, *state.arrays, packing.model_bit, proposals, seed)
    return state.plan()


def _movable(packing: Packing) -> NDArray[np.bool_]:
    movable = ~packing.protected
    for together in packing.apart:
        movable[list(together)] = False
    return movable


class _State:
    """A plan as arrays for the kernels: where each pod is, which devices it holds, and what is free."""

    def __init__(self, packing: Packing, plan: Plan) -> None:
        self._packing = packing
        node, held = plan.node.copy(), devices_of(packing, plan)
        placed = np.flatnonzero(node != NOWHERE)
        cpu_free, memory_free = packing.cpu_milli.copy(), packing.memory_mib.copy()
        np.subtract.at(cpu_free, node[placed], packing.request[placed, CPU])
        np.subtract.at(memory_free, node[placed], packing.request[placed, MEMORY])
        devices = np.arange(int(packing.gpu_count.max(initial=0)))
        gpu_free = np.where(devices < packing.gpu_count[:, None], GPU_MILLI, 0).astype(np.int64)
        taken = (held[placed, None] >> devices & 1) * packing.request[placed, GPU_SHARE, None]
        np.subtract.at(gpu_free, node[placed], taken)
        self.arrays = (node, held, cpu_free, memory_free, gpu_free)
        self.nodes = (packing.cpu_milli, packing.memory_mib, packing.gpu_count, packing.model_bit)

    def plan(self) -> Plan:
        packing, (node, held) = self._packing, self.arrays[:2]
        device = np.full(len(node), NOWHERE)
        shared = packing.shares & (node != NOWHERE)
        device[shared] = np.log2(held[shared]).astype(np.int64)
        device[(node == packing.home) & (node != NOWHERE) & ~shared & (held != packing.home_devices)] = RESTART
        return Plan(node, device)


# The state is passed around as arrays one by one: a tuple of them costs the kernels half their speed.


@njit(cache=True)
def _next(seed):  # type: ignore[no-untyped-def]
    # xorshift64*: numba's own generator is global, and a search must not shift what another one draws.
    x = seed[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    seed[0] = x
    return (x * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(33)


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
def _take(i, sign, request, node, held, cpu_free, memory_free, gpu_free):  # type: ignore[no-untyped-def]
    # Book (+1) pod i on the node and devices written down for it, or give them back (-1).
    n = node[i]
    cpu_free[n] -= sign * request[i, CPU]
    memory_free[n] -= sign * request[i, MEMORY]
    if request[i, NUM_GPU] > 0:
        for d in range(gpu_free.shape[1]):
            if held[i] >> d & 1:
                gpu_free[n, d] -= sign * request[i, GPU_SHARE]


@njit(cache=True)
def _try(i, n, request, node, held, cpu_free, memory_free, gpu_free, model_bit):  # type: ignore[no-untyped-def]
    # Put pod i on node n, on its tightest device or the first whole ones, if there is room.
    if cpu_free[n] < request[i, CPU] or memory_free[n] < request[i, MEMORY]:
        return False
    devices = 0
    if request[i, NUM_GPU] > 0:
        if request[i, ACCEPTED] & model_bit[n] == 0:
            return False
        share, left, best = request[i, GPU_SHARE], request[i, NUM_GPU], -1
        for d in range(gpu_free.shape[1]):
            if share == GPU_MILLI:
                if left > 0 and gpu_free[n, d] == GPU_MILLI:
                    devices |= 1 << d
                    left -= 1
            elif gpu_free[n, d] >= share and (best < 0 or gpu_free[n, d] < gpu_free[n, best]):
                best = d
        if share == GPU_MILLI and left > 0:
            return False
        if share < GPU_MILLI:
            if best < 0:
                return False
            devices = 1 << best
    node[i], held[i] = n, devices
    _take(i, 1, request, node, held, cpu_free, memory_free, gpu_free)
    return True


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
            _take(j, -1, request, node, held, cpu_free, memory_free, gpu_free)
            node[j] = -1
            if _try(i, n, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
                if _somewhere(j, n, nodes, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
                    break
                _take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
                node[i], held[i] = -1, 0
            node[j], held[j] = n, held_j
            _take(j, 1, request, node, held, cpu_free, memory_free, gpu_free)


@njit(cache=True)
def _somewhere(i, but, nodes, request, node, held, cpu_free, memory_free, gpu_free, model_bit):  # type: ignore[no-untyped-def]
    for n in range(nodes):
        if n != but and _try(i, n, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
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
    stream = np.array(
        [np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x2545F4914F6CDD1D)], dtype=np.uint64
    )
    room = np.empty(nodes)
    for each in range(nodes):
        room[each] = _room(each, cpu_free, memory_free, gpu_free, cpu, memory, gpus)
    cooling = (COLDEST / HOTTEST) ** (1.0 / max(1, proposals))
    temperature = HOTTEST
    for _ in range(proposals):
        temperature *= cooling
        i = pods[_next(stream) % np.uint64(len(pods))]
        j = pods[_next(stream) % np.uint64(len(pods))]
        a, b = node[i], node[j]
        if a < 0:
            if priority[i] < tier:
                continue
            # A waiting pod of the tier: straight onto a node, or in place of another pod.
            n = np.int64(_next(stream) % np.uint64(nodes))
            if _try(i, n, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
                room[n] = _room(n, cpu_free, memory_free, gpu_free, cpu, memory, gpus)
                waiting -= weight[i]
            elif b >= 0:
                _take(j, -1, request, node, held, cpu_free, memory_free, gpu_free)
                node[j] = -1
                if not _try(i, b, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
                    node[j] = b
                    _take(j, 1, request, node, held, cpu_free, memory_free, gpu_free)
                    continue
                after = _room(b, cpu_free, memory_free, gpu_free, cpu, memory, gpus)
                gain = after - room[b] + (weight[i] - weight[j]) / heaviest
                # One more of the tier for one less of a lower one is always worth it.
                if priority[j] == tier and not _worth(gain, temperature, stream):
                    _take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
                    node[i], held[i] = -1, 0
                    node[j] = b
                    _take(j, 1, request, node, held, cpu_free, memory_free, gpu_free)
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
        swap = b >= 0 and b != a and _next(stream) & np.uint64(1) == 0
        n = np.int64(_next(stream) % np.uint64(nodes))
        if swap:
            n = b
        if n == a:
            continue
        held_i, held_j = held[i], held[j]
        _take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
        if swap:
            _take(j, -1, request, node, held, cpu_free, memory_free, gpu_free)
        moved_i = _try(i, n, request, node, held, cpu_free, memory_free, gpu_free, model_bit)
        moved_j = moved_i and swap and _try(j, a, request, node, held, cpu_free, memory_free, gpu_free, model_bit)
        if moved_i and (moved_j or not swap):
            at_a = _room(a, cpu_free, memory_free, gpu_free, cpu, memory, gpus)
            at_n = _room(n, cpu_free, memory_free, gpu_free, cpu, memory, gpus)
            if _worth(at_a + at_n - room[a] - room[n], temperature, stream):
                room[a], room[n] = at_a, at_n
                continue
        # Back to where they were.
        if moved_j:
            _take(j, -1, request, node, held, cpu_free, memory_free, gpu_free)
        if moved_i:
            _take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
        node[i], held[i] = a, held_i
        _take(i, 1, request, node, held, cpu_free, memory_free, gpu_free)
        if swap:
            node[j], held[j] = b, held_j
            _take(j, 1, request, node, held, cpu_free, memory_free, gpu_free)
    node[:] = best_node
    held[:] = best_held


@njit(cache=True)
def _worth(gain, temperature, stream):  # type: ignore[no-untyped-def]
    return gain >= 0.0 or np.exp(gain / temperature) > _next(stream) / 2147483648.0


@njit(cache=True)
def _bring_home(  # type: ignore[no-untyped-def]
    request, home, home_devices, movable, node, held, cpu_free, memory_free, gpu_free, model_bit, proposals, seed
):
    # A random walk of the displaced pods only. Each goes home as soon as there is room, so their number never rises.
    pods = np.flatnonzero(movable & (home >= 0) & (node >= 0))
    displaced = 0
    for i in pods:
        displaced += node[i] != home[i] or held[i] != home_devices[i]
    nodes = len(cpu_free)
    stream = np.array(
        [np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x2545F4914F6CDD1D)], dtype=np.uint64
    )
    for proposal in range(proposals):
        if displaced == 0:
            return
        # First everyone once in order, then by chance.
        i = pods[proposal] if proposal < len(pods) else pods[_next(stream) % np.uint64(len(pods))]
        a, held_i = node[i], held[i]
        if a == home[i] and held_i == home_devices[i]:
            continue
        _take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
        if _home_again(i, home, home_devices, request, node, held, cpu_free, memory_free, gpu_free):
            displaced -= 1
            continue
        n = np.int64(_next(stream) % np.uint64(nodes))
        if not _try(i, n, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
            # Change places with another displaced pod.
            j = pods[_next(stream) % np.uint64(len(pods))]
            b, held_j = node[j], held[j]
            if j != i and (b != home[j] or held_j != home_devices[j]):
                _take(j, -1, request, node, held, cpu_free, memory_free, gpu_free)
                if _try(i, b, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
                    if _try(j, a, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
                        displaced -= node[i] == home[i] and held[i] == home_devices[i]
                        displaced -= node[j] == home[j] and held[j] == home_devices[j]
                        continue
                    _take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
                node[j], held[j] = b, held_j
                _take(j, 1, request, node, held, cpu_free, memory_free, gpu_free)
            node[i], held[i] = a, held_i
            _take(i, 1, request, node, held, cpu_free, memory_free, gpu_free)
        else:
            displaced -= node[i] == home[i] and held[i] == home_devices[i]


@njit(cache=True)
def _home_again(i, home, home_devices, request, node, held, cpu_free, memory_free, gpu_free):  # type: ignore[no-untyped-def]
    # Put pod i, which is nowhere, back on its own node and devices, if there is room.
    node[i], held[i] = home[i], home_devices[i]
    _take(i, 1, request, node, held, cpu_free, memory_free, gpu_free)
    if _within(home[i], cpu_free, memory_free, gpu_free):
        return True
    _take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
    return False


@njit(cache=True)
def _within(n, cpu_free, memory_free, gpu_free):  # type: ignore[no-untyped-def]
    if cpu_free[n] < 0 or memory_free[n] < 0:
        return False
    return (gpu_free[n] >= 0).all()
