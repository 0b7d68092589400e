"""Which VMs are interchangeable: classes, and how many of each class may leave a place or come to one.

VMs of one shape are interchangeable but for where they are, where the MIP of "VMR2L" (EuroSys'25, arXiv 2505.17359) has
a binary per VM and machine. A place is a NUMA node of a machine; of a double-NUMA shape node 0 stands for both.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from clustersim.vm_fleet import NUMA_NODES, Bools, Ints, Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Flows:
    """A row per class and place that VMs may leave, or to which they may come."""

    kind: Ints
    """(N,) class."""
    pm: Ints
    numa: Ints
    most: Ints
    """(N,) how many VMs at most."""

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def place(self) -> Ints:
        """(N,) number of the NUMA node, PM-major."""
        return self.pm * NUMA_NODES + self.numa


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """C classes of interchangeable VMs."""

    of_vm: Ints
    """(V,) class of each VM."""
    shape: Ints
    """(C,)"""
    sets: tuple[tuple[int, ...], ...]
    """(C) the anti-affinity sets that its VMs are in, of those that split the shapes."""
    outs: Flows
    ins: Flows

    def __len__(self) -> int:
        return len(self.shape)


def classes(snapshot: Snapshot, split: Collection[int], limit: int) -> Classes:
    """VMs of one shape form a class, unless they are in different ones of the anti-affinity sets in `split`.

    At most `limit` VMs leave or come anywhere.
    """
    in_sets: dict[int, tuple[int, ...]] = {}
    for number in sorted(split):
        for vm in snapshot.anti_affinity[number].vms:
            in_sets[vm] = (*in_sets.get(vm, ()), number)
    kinds: dict[tuple[int, tuple[int, ...]], int] = {(shape, ()): shape for shape in range(len(snapshot.shapes))}
    of_vm = snapshot.shape.astype(np.int64)
    for vm in sorted(in_sets):
        of_vm[vm] = kinds.setdefault((int(snapshot.shape[vm]), in_sets[vm]), len(kinds))
    shape = np.array([shape for shape, _ in kinds], dtype=np.int64)
    outs = _outs(snapshot, of_vm, len(kinds), limit)
    return Classes(of_vm, shape, tuple(sets for _, sets in kinds), outs, _ins(snapshot, shape, outs, limit))


def used_nodes(flows: Flows, double: Bools) -> tuple[Ints, Ints]:
    """Row and NUMA node for every NUMA node that a VM of a row uses; `double` (N,) says of which rows it uses both."""
    rows = np.arange(len(flows))
    return np.concatenate([rows, rows[double]]), np.concatenate([flows.place, flows.place[double] + 1])


def _outs(snapshot: Snapshot, of_vm: Ints, kinds: int, limit: int) -> Flows:
    movable, places = snapshot.movable, len(snapshot.machines) * NUMA_NODES
    at = of_vm * places + snapshot.host * NUMA_NODES + snapshot.numa
    return _flows(np.minimum(np.bincount(at[movable], minlength=kinds * places), limit), places)


def _ins(snapshot: Snapshot, shape: Ints, outs: Flows, limit: int) -> Flows:
    """Where a shape would have room if all that may leave did, on active machines."""
    shapes, active = snapshot.shapes, snapshot.machines.active
    double = shapes.double[shape]
    row, node = used_nodes(outs, double[outs.kind])
    most = np.bincount(outs.kind, outs.most, minlength=len(shape)).clip(max=limit).astype(np.int64)
    fits = np.broadcast_to(most[:, None, None], (len(shape), *active.shape, NUMA_NODES)).copy()
    for free, each in ((snapshot.free_cores, shapes.cores), (snapshot.free_memory_mib, shapes.memory_mib)):
        leaving = np.bincount(node, (each[shape[outs.kind]] * outs.most)[row], minlength=free.size).astype(np.int64)
        room = free + leaving.reshape(free.shape)
        np.minimum(fits, room // np.maximum(each[shape], 1)[:, None, None], out=fits)
    fits[double, :, 0] = fits[double].min(axis=2)
    fits[double, :, 1] = 0
    fits[:, ~active] = 0
    return _flows(fits.ravel(), active.size * NUMA_NODES)


def _flows(count: Ints, places: int) -> Flows:
    rows = np.flatnonzero(count)
    return Flows(rows // places, rows % places // NUMA_NODES, rows % NUMA_NODES, count[rows])
