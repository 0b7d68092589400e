"""Room on machines for generated fleets: taking it, giving it back, and finding some at random."""

from __future__ import annotations

from numba import njit


@njit(cache=True)
def take(free_cores, free_memory, pm, numa, sign, cores, memory, double):  # type: ignore[no-untyped-def]
    """A VM takes its cores and memory from the NUMA node, or from both (sign 1), or gives them back (sign -1)."""
    for k in range(2):
        if double or k == numa:
            free_cores[pm, k] -= sign * cores
            free_memory[pm, k] -= sign * memory


@njit(cache=True)
def somewhere(rng, free_cores, free_memory, cores, memory, double, best_fit):  # type: ignore[no-untyped-def]
    """One of the places with room, as (machine, NUMA node); (-1, 0) where there is none.

    All are equally likely, or, with `best_fit`, all of those with the fewest free cores.
    """
    places = 0
    fewest = -1
    for pm in range(len(free_cores)):
        for k in range(1 if double else 2):
            room = _room(free_cores, free_memory, pm, k, cores, memory, double)
            if room < cores or (best_fit and 0 <= fewest < room):
                continue
            if best_fit and room != fewest:
                fewest = room
                places = 0
            places += 1
    if places == 0:
        return -1, 0
    pick = int(rng.random() * places)
    for pm in range(len(free_cores)):
        for k in range(1 if double else 2):
            room = _room(free_cores, free_memory, pm, k, cores, memory, double)
            if room >= cores and (not best_fit or room == fewest):
                if pick == 0:
                    return pm, k
                pick -= 1
    return -1, 0


@njit(cache=True)
def _room(free_cores, free_memory, pm, k, cores, memory, double):  # type: ignore[no-untyped-def]
    """Free cores of the place; -1 where the memory does not suffice."""
    if double:
        if min(free_memory[pm, 0], free_memory[pm, 1]) < memory:
            return -1
        return min(free_cores[pm, 0], free_cores[pm, 1])
    return free_cores[pm, k] if free_memory[pm, k] >= memory else -1
