"""Fleets of a handful of VMs, drawn at random and full enough for order to matter, and all that can be done to them."""

from __future__ import annotations

import numpy as np

from clustersim.vm_fleet import AntiAffinity, Machines, Shapes, Snapshot
from clustersim.vm_plan import Task

FLAVOUR = 4
SHAPES = Shapes(
    ("small", "medium", "large", "twin"),
    np.array([1, 2, 3, 2]),
    np.array([10, 10, 40, 10]),
    np.array([False, False, False, True]),
)


def tiny_fleet(
    seed: int, machines: int = 3, vms: int = 7, host_sets: int = 0, rack_sets: int = 0, plain: bool = False
) -> Snapshot:
    """`plain`: no inactive machine and no VM that may not be migrated."""
    rng = np.random.default_rng(seed)
    cores = rng.integers(4, 8, (machines, 2))
    memory = rng.choice([60, 90, 1000], (machines, 2))
    rack = np.arange(machines) // 2
    free_cores, free_memory = cores.copy(), memory.copy()
    shape, host, numa = [], [], []
    while len(shape) < vms:
        kind, pm = int(rng.integers(len(SHAPES))), int(rng.integers(machines))
        node = 0 if SHAPES.double[kind] else int(rng.integers(2))
        used = [0, 1] if SHAPES.double[kind] else [node]
        if (free_cores[pm, used] < SHAPES.cores[kind]).any() or (free_memory[pm, used] < SHAPES.memory_mib[kind]).any():
            if rng.random() < 0.02:
                break
            continue
        free_cores[pm, used] -= SHAPES.cores[kind]
        free_memory[pm, used] -= SHAPES.memory_mib[kind]
        shape.append(kind)
        host.append(pm)
        numa.append(node)
    count = len(shape)
    if free_cores.sum() == 0:
        return tiny_fleet(seed + 10_000, machines, vms, host_sets, rack_sets, plain)
    sets = [
        AntiAffinity(level, tuple(int(vm) for vm in rng.choice(count, size=min(count, 3), replace=False)))
        for level, number in (("host", host_sets), ("rack", rack_sets))
        for _ in range(number)
    ]
    active = np.ones(machines, dtype=bool)
    movable = np.ones(count, dtype=bool)
    if not plain:
        active[rng.random(machines) < 0.1] = False
        movable[rng.random(count) < 0.15] = False
    return Snapshot(
        f"tiny-{seed}",
        Machines(tuple(f"pm-{row}" for row in range(machines)), rack, cores, memory, active),
        SHAPES,
        tuple(f"vm-{row}" for row in range(count)),
        np.array(shape),
        np.array(host),
        np.array(numa),
        movable,
        free_cores,
        free_memory,
        tuple(sets),
        overlaps="keep",
    )


def fewest_fragments(task: Task) -> float:
    """The lowest fragment rate that any sequence of at most `mnl` legal migrations reaches, in plain Python."""
    fleet, flavour = task.snapshot, task.flavour_cores
    shapes, machines = fleet.shapes, fleet.machines
    cores, memory, double = shapes.cores.tolist(), shapes.memory_mib.tolist(), shapes.double.tolist()
    shape, rack, active = fleet.shape.tolist(), machines.rack.tolist(), machines.active.tolist()
    places = [(pm, node) for pm in range(len(machines)) for node in (0, 1)]

    def used(vm: int, place: tuple[int, int]) -> list[tuple[int, int]]:
        return [(place[0], 0), (place[0], 1)] if double[shape[vm]] else [place]

    start = tuple(zip(fleet.host.tolist(), fleet.numa.tolist(), strict=True))
    total = {place: [int(fleet.free_cores[place]), int(fleet.free_memory_mib[place])] for place in places}
    for vm, place in enumerate(start):
        for node in used(vm, place):
            total[node][0] += cores[shape[vm]]
            total[node][1] += memory[shape[vm]]

    def free_in(state: tuple[tuple[int, int], ...]) -> dict[tuple[int, int], list[int]]:
        free = {place: list(both) for place, both in total.items()}
        for vm, place in enumerate(state):
            for node in used(vm, place):
                free[node][0] -= cores[shape[vm]]
                free[node][1] -= memory[shape[vm]]
        return free

    def apart(state: tuple[tuple[int, int], ...], vm: int, pm: int) -> bool:
        for group in fleet.anti_affinity:
            if vm in group.vms:
                for other in group.vms:
                    there = state[other][0]
                    if other != vm and (there == pm or (group.level == "rack" and rack[there] == rack[pm])):
                        return False
        return True

    def fragments(free: dict[tuple[int, int], list[int]]) -> int:
        return sum(left % flavour for left, _ in free.values())

    seen, frontier = {start}, [start]
    best = fragments(free_in(start))
    for _ in range(task.mnl):
        following = []
        for state in frontier:
            free = free_in(state)
            for vm, home in enumerate(state):
                if not fleet.movable[vm]:
                    continue
                for place in places:
                    if place[0] == home[0] or not active[place[0]] or (double[shape[vm]] and place[1]):
                        continue
                    nodes = used(vm, place)
                    if any(free[n][0] < cores[shape[vm]] or free[n][1] < memory[shape[vm]] for n in nodes):
                        continue
                    after = (*state[:vm], place, *state[vm + 1 :])
                    if after not in seen and apart(state, vm, place[0]):
                        seen.add(after)
                        following.append(after)
                        best = min(best, fragments(free_in(after)))
        frontier = following
    return best / int(fleet.free_cores.sum())


NAMED = {"one": 1, "two": 2, "three": 3, "five": 5}


def small_fleet(
    cores: list[tuple[int, int]],
    vms: list[tuple[str, int]],
    movable: list[bool] | None = None,
    sets: tuple[AntiAffinity, ...] = (),
) -> Snapshot:
    """VMs (name of their cores, machine) on node 0 of machines (cores of each node), each in a rack of its own."""
    machines, total = len(cores), np.array(cores)
    shapes = Shapes(
        tuple(NAMED), np.array(list(NAMED.values())), np.full(len(NAMED), 10), np.zeros(len(NAMED), dtype=np.bool_)
    )
    shape, host = np.array([shapes.name.index(name) for name, _ in vms]), np.array([pm for _, pm in vms])
    free = total.copy()
    np.subtract.at(free[:, 0], host, shapes.cores[shape])
    room = np.full((machines, 2), 1000)
    return Snapshot(
        "small",
        Machines(
            tuple(f"pm-{row}" for row in range(machines)),
            np.arange(machines),
            total,
            room,
            np.ones(machines, dtype=bool),
        ),
        shapes,
        tuple(f"vm-{row}" for row in range(len(vms))),
        shape,
        host,
        np.zeros(len(vms), dtype=np.int64),
        np.ones(len(vms), dtype=np.bool_) if movable is None else np.array(movable),
        free,
        room,
        sets,
    )
