"""How generated fleets come about: VMs exit at random and others take any place with room, over and over."""

from __future__ import annotations

import numpy as np
from numba import njit

from clustersim.traces.vm_room import somewhere, take
from clustersim.vm_fleet import FLAVOUR_CORES


@njit(cache=True)
def churn(  # type: ignore[no-untyped-def]
    rng, cores, memory, double, share, capacity, memory_capacity, free_share, least_free_share, best_fit_share,
    rounds, low, high
):  # fmt: skip
    """Shape, host and NUMA node of every VM (V,), and free cores and memory (P, 2).

    VMs arrive and exit `rounds` times, and up to as often again until the fragment rate is from `low` to `high`.
    `share`: the share of arrivals of each shape, summed up.
    """
    free, free_memory = capacity.copy(), memory_capacity.copy()
    most = free.sum()
    shape, host, numa = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    total_cores = np.where(double, 2 * cores, cores)
    vms = 0
    left = most
    for turn in range(1, 2 * rounds + 1):
        full = np.diff(np.append(0.0, share)) == 0.0  # shapes that nobody asks for, and then those without room
        while left > least_free_share * most and not full.all():
            s = min(np.searchsorted(share, rng.random(), side="right"), len(cores) - 1)
            if full[s]:
                continue
            best_fit = rng.random() < best_fit_share
            pm, k = somewhere(rng, free, free_memory, cores[s], memory[s], double[s], best_fit)
            if pm < 0:
                full[s] = True
                continue
            take(free, free_memory, pm, k, 1, cores[s], memory[s], double[s])
            left -= total_cores[s]
            shape[vms], host[vms], numa[vms] = s, pm, k
            vms += 1
        while left == 0 or left < free_share * most:
            vm = int(rng.random() * vms)
            s = shape[vm]
            take(free, free_memory, host[vm], numa[vm], -1, cores[s], memory[s], double[s])
            left += total_cores[s]
            vms -= 1
            shape[vm], host[vm], numa[vm] = shape[vms], host[vms], numa[vms]
        if turn >= rounds and low <= (free % FLAVOUR_CORES).sum() / left <= high:
            break
    return shape[:vms].copy(), host[:vms].copy(), numa[:vms].copy(), free, free_memory
