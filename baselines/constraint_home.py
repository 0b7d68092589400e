"""Brings displaced pods home: the same pods stay placed, and fewer of them are moved.

A random walk of the displaced pods. What it leaves is the start of the stage that minimises disruption in the model of
"Priority Matters" (arXiv 2511.08373).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from clustersim.baselines.constraint_moves import PlanState, draw, movable_pods, stream_of, take, try_on, within
from clustersim.packing import Packing, Plan, moved


def disturb_less(packing: Packing, plan: Plan, tier: int, proposals: int, seed: int) -> Plan:
    """The same pods placed, with those of this tier back on their nodes and devices where there is room."""
    movable = movable_pods(packing) & (packing.priority == tier)
    if not (moved(packing, plan) & movable).any():
        return plan
    state = PlanState(packing, plan)
    homes = (packing.home, packing.home_devices)
    _bring_home(packing.request, *homes, movable, *state.arrays, packing.model_bit, proposals, seed)
    return state.plan()


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
    stream = stream_of(seed)
    for proposal in range(proposals):
        if displaced == 0:
            return
        # First everyone once in order, then by chance.
        i = pods[proposal] if proposal < len(pods) else pods[draw(stream) % np.uint64(len(pods))]
        a, held_i = node[i], held[i]
        if a == home[i] and held_i == home_devices[i]:
            continue
        take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
        if _home_again(i, home, home_devices, request, node, held, cpu_free, memory_free, gpu_free):
            displaced -= 1
            continue
        n = np.int64(draw(stream) % np.uint64(nodes))
        if not try_on(i, n, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
            # Change places with another displaced pod.
            j = pods[draw(stream) % np.uint64(len(pods))]
            b, held_j = node[j], held[j]
            if j != i and (b != home[j] or held_j != home_devices[j]):
                take(j, -1, request, node, held, cpu_free, memory_free, gpu_free)
                if try_on(i, b, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
                    if try_on(j, a, request, node, held, cpu_free, memory_free, gpu_free, model_bit):
                        displaced -= node[i] == home[i] and held[i] == home_devices[i]
                        displaced -= node[j] == home[j] and held[j] == home_devices[j]
                        continue
                    take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
                node[j], held[j] = b, held_j
                take(j, 1, request, node, held, cpu_free, memory_free, gpu_free)
            node[i], held[i] = a, held_i
            take(i, 1, request, node, held, cpu_free, memory_free, gpu_free)
        else:
            displaced -= node[i] == home[i] and held[i] == home_devices[i]


@njit(cache=True)
def _home_again(i, home, home_devices, request, node, held, cpu_free, memory_free, gpu_free):  # type: ignore[no-untyped-def]
    # Put pod i, which is nowhere, back on its own node and devices, if there is room.
    node[i], held[i] = home[i], home_devices[i]
    take(i, 1, request, node, held, cpu_free, memory_free, gpu_free)
    if within(home[i], cpu_free, memory_free, gpu_free):
        return True
    take(i, -1, request, node, held, cpu_free, memory_free, gpu_free)
    return False
