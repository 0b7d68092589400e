"""Standardising what is seen of a fleet: constants that are computed from the data set at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from clustersim.envs.encoding import Column
from clustersim.envs.vm_columns import MACHINES, VMS, Floats, Moments, Scale, fill_machines, fill_vms
from clustersim.errors import ConfigError
from clustersim.vm_fleet import FLAVOUR_CORES, NUMA_NODES, Ints, Shapes, Snapshot


@dataclass(frozen=True, eq=False)
class Standardisation:
    """What counts as 1, and then the moments of each column.

    Raises ConfigError for means outside the range of their column and for deviations that are not positive.
    """

    scale: Scale
    machines: Moments
    vms: Moments

    def __post_init__(self) -> None:
        if min(self.scale) < 1:
            raise ConfigError(f"everything in {self.scale} has to be at least 1")
        for what, columns, (mean, sd) in (("machines", MACHINES, self.machines), ("vms", VMS, self.vms)):
            if not len(mean) == len(sd) == len(columns):
                raise ConfigError(f"{what} have {len(columns)} columns, got {len(mean)} means and {len(sd)} deviations")
            for column, m, s in zip(columns, mean, sd, strict=True):
                if not (column.low <= m <= column.high and 0 < s < np.inf):
                    raise ConfigError(
                        f"column {column.name!r} of {what} has mean {m} and standard deviation {s}; the mean has to be "
                        f"from {column.low:g} to {column.high:g}, the deviation positive and finite"
                    )


def plain(snapshots: Sequence[Snapshot], flavour_cores: int = FLAVOUR_CORES) -> Standardisation:
    """Shares of the largest NUMA node in the snapshots, left as they are."""
    return Standardisation(_scale(snapshots, flavour_cores), _unchanged(MACHINES), _unchanged(VMS))


def standardisation(snapshots: Sequence[Snapshot], flavour_cores: int = FLAVOUR_CORES) -> Standardisation:
    """Mean and standard deviation of every column over all machines and VMs of the snapshots, as they are given.

    A column that never varies is only centred.
    """
    if not snapshots:
        raise ConfigError("there is nothing to standardise by: give at least one snapshot")
    scale = _scale(snapshots, flavour_cores)
    machines, vms = [], []
    for snapshot in snapshots:
        machines.append(np.empty((len(snapshot.machines), len(MACHINES))))
        free = snapshot.free_cores, snapshot.free_memory_mib
        fill_machines(tuple(scale), *_unchanged(MACHINES), free, machines[-1])
        of_shape = np.empty((NUMA_NODES * len(snapshot.shapes), len(VMS)))
        fill_vms(tuple(scale), *_unchanged(VMS), taken(snapshot.shapes), of_shape)
        vms.append(of_shape[NUMA_NODES * snapshot.shape + snapshot.numa])
    return Standardisation(scale, _moments(machines), _moments(vms))


def taken(shapes: Shapes) -> tuple[Ints, Ints]:
    """Cores and memory that a VM takes on each NUMA node, shape (2 S, 2): row 2 s + n is of shape s on node n."""
    on_both = np.repeat(shapes.double, NUMA_NODES)[:, None] | np.tile(np.eye(NUMA_NODES, dtype=bool), (len(shapes), 1))
    cores, memory_mib = (np.repeat(each, NUMA_NODES)[:, None] * on_both for each in (shapes.cores, shapes.memory_mib))
    return cores, memory_mib


def standardised(columns: Sequence[Column], moments: Moments) -> tuple[Column, ...]:
    """The columns with the bounds that they have once standardised."""
    return tuple(
        replace(column, low=(column.low - mean) / sd, high=(column.high - mean) / sd)
        for column, mean, sd in zip(columns, *moments, strict=True)
    )


def _scale(snapshots: Sequence[Snapshot], flavour_cores: int) -> Scale:
    machines = [snapshot.machines for snapshot in snapshots]
    return Scale(
        max(int(m.cores.max()) for m in machines), max(int(m.memory_mib.max()) for m in machines), flavour_cores
    )


def _unchanged(columns: Sequence[Column]) -> Moments:
    return Moments(np.zeros(len(columns)), np.ones(len(columns)))


def _moments(rows: list[Floats]) -> Moments:
    every = np.concatenate(rows)
    sd = every.std(axis=0)
    return Moments(every.mean(axis=0), np.where(sd > 0, sd, 1.0))
