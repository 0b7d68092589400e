"""Fleets of few VMs, written down one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from vm_worlds import SHAPES

from clustersim.vm_fleet import AntiAffinity, Machines, Snapshot

GIB = 1024


def hand_made(
    free_cores: Sequence[tuple[int, int]],
    vms: Sequence[tuple[int, int, int]],
    free_gib: Sequence[tuple[int, int]] | None = None,
    rack: Sequence[int] | None = None,
    sets: Sequence[AntiAffinity] = (),
    immovable: Sequence[int] = (),
) -> Snapshot:
    """Machines with so much free on their NUMA nodes, and VMs as (shape, machine, NUMA node); memory is plenty."""
    free = np.array(free_cores)
    memory = np.array(free_gib) * GIB if free_gib is not None else np.full_like(free, 1 << 20)
    p, v = len(free), len(vms)
    shape, host, numa = np.array(vms, dtype=np.int64).reshape(v, 3).T
    used = np.zeros_like(free)
    for kind, pm, node in vms:
        for k in (0, 1) if SHAPES.double[kind] else (node,):
            used[pm, k] += SHAPES.cores[kind]
    return Snapshot(
        "hand-made",
        Machines(
            tuple(f"pm-{i}" for i in range(p)),
            np.arange(p) if rack is None else np.array(rack),
            free + used,
            memory + (1 << 20),
            np.ones(p, dtype=bool),
        ),
        SHAPES,
        tuple(f"vm-{i}" for i in range(v)),
        shape,
        host,
        numa,
        ~np.isin(np.arange(v), immovable),
        free,
        memory,
        tuple(sets),
    )
