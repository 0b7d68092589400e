"""Small random fleets for tests, and a plain-Python account of who may go where."""

from __future__ import annotations

import numpy as np

from clustersim.vm_fleet import AntiAffinity, Machines, Shapes, Snapshot
from clustersim.vm_state import FleetState

SHAPES = Shapes(
    ("2", "4", "8", "16", "2x4", "2x16", "2x22"),
    np.array([2, 4, 8, 16, 4, 16, 22]),
    np.array([2, 4, 16, 8, 4, 16, 22]) * 1024,
    np.array([False, False, False, False, True, True, True]),
)
CORES, MEMORY_MIB = 44, 52 * 1024


def fleet(
    seed: int, machines: int = 6, sets: int = 0, level: str = "host", immovable: float = 0.0, inactive: int = 0
) -> Snapshot:
    """A random feasible fill to about 25 % free cores; sets hold what is apart already."""
    rng = np.random.default_rng(seed)
    rack = np.arange(machines) // 2
    active = np.ones(machines, dtype=bool)
    active[rng.permutation(machines)[:inactive]] = False
    cores = np.full((machines, 2), CORES)
    memory = np.full((machines, 2), MEMORY_MIB)
    free, free_memory = cores.copy(), memory.copy()
    placed: list[tuple[int, int, int]] = []
    while free.sum() > 0.25 * cores.sum():
        shape = int(rng.integers(len(SHAPES.name)))
        room = (free >= SHAPES.cores[shape]) & (free_memory >= SHAPES.memory_mib[shape])
        places = np.argwhere(room.all(axis=1, keepdims=True) if SHAPES.double[shape] else room)
        if len(places) == 0:
            if shape == 0:
                break
            continue
        pm, numa = (int(value) for value in places[rng.integers(len(places))])
        nodes = [0, 1] if SHAPES.double[shape] else [numa]
        free[pm, nodes] -= SHAPES.cores[shape]
        free_memory[pm, nodes] -= SHAPES.memory_mib[shape]
        placed.append((shape, pm, numa))
    shape, host, numa = (np.array(column, dtype=np.int64) for column in zip(*placed, strict=True))
    groups = []
    for _ in range(sets):
        place = host if level == "host" else rack[host]
        members: list[int] = []
        for vm in rng.permutation(len(host)):
            if all(place[vm] != place[other] for other in members):
                members.append(int(vm))
            if len(members) == 3:
                break
        if len(members) > 1:
            groups.append(AntiAffinity(level, tuple(members)))  # type: ignore[arg-type]
    return Snapshot(
        f"fleet-{seed}",
        Machines(tuple(f"pm-{i}" for i in range(machines)), rack, cores, memory, active),
        SHAPES,
        tuple(f"vm-{i}" for i in range(len(host))),
        shape,
        host,
        numa,
        rng.random(len(host)) >= immovable,
        free,
        free_memory,
        tuple(groups),
    )


def may_move(snapshot: Snapshot, state: FleetState, vm: int, pm: int, numa: int) -> bool:
    """The rules in plain Python, from where every VM stands; nothing that the state has counted is trusted."""
    host, shapes = state.host, snapshot.shapes
    if host[vm] in (-1, pm) or not snapshot.movable[vm] or not snapshot.machines.active[pm]:
        return False
    shape = state.shape[vm]
    if shapes.double[shape] and numa != 0:
        return False
    for node in (0, 1) if shapes.double[shape] else (numa,):
        cores, memory = free_on(snapshot, state, pm, node)
        if cores < shapes.cores[shape] or memory < shapes.memory_mib[shape]:
            return False
    rack = snapshot.machines.rack
    for group in snapshot.anti_affinity:
        if vm in group.vms:
            for other in group.vms:
                together = host[other] == pm if group.level == "host" else rack[host[other]] == rack[pm]
                if other != vm and host[other] >= 0 and together:
                    return False
    return True


def free_on(snapshot: Snapshot, state: FleetState, pm: int, node: int) -> tuple[int, int]:
    """Cores and MiB free on a NUMA node: what was free, with the VMs of the snapshot gone and those of now there."""
    cores, memory = int(snapshot.machines.cores[pm, node]), int(snapshot.free_memory_mib[pm, node])
    shapes = snapshot.shapes
    for vm in range(len(snapshot)):
        shape = snapshot.shape[vm]
        if snapshot.host[vm] == pm and (shapes.double[shape] or snapshot.numa[vm] == node):
            memory += int(shapes.memory_mib[shape])
    for vm in range(state.rows):
        shape = state.shape[vm]
        if state.host[vm] == pm and (shapes.double[shape] or state.numa[vm] == node):
            cores -= int(shapes.cores[shape])
            memory -= int(shapes.memory_mib[shape])
    return cores, memory
