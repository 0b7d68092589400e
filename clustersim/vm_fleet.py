"""A fleet of VMs at one instant: machines with two NUMA nodes, what stands where, and what may not stand together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NUMA_NODES = 2
FLAVOUR_CORES = 16
"""The common large flavour that leftovers are measured against."""


@dataclass(frozen=True, slots=True, eq=False)
class Machines:
    """P physical machines (PMs), each with two NUMA nodes. On a machine that is not active nothing may land."""

    name: tuple[str, ...]
    rack: Ints
    """(P,) number of the rack, from 0."""
    cores: Ints
    """(P, 2) of each NUMA node."""
    memory_mib: Ints
    """(P, 2)"""
    active: Bools
    """(P,)"""

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """S kinds of VMs. A single-NUMA VM uses one NUMA node, a double-NUMA VM as much again on the other."""

    name: tuple[str, ...]
    cores: Ints
    """(S,) on each NUMA node that is used."""
    memory_mib: Ints
    """(S,) on each NUMA node that is used."""
    double: Bools
    """(S,)"""

    def __len__(self) -> int:
        return len(self.name)

    @property
    def total_memory_mib(self) -> Ints:
        """(S,) what a migration copies."""
        return self.memory_mib * np.where(self.double, 2, 1)

    @property
    def total_cores(self) -> Ints:
        """(S,)"""
        return self.cores * np.where(self.double, 2, 1)


@dataclass(frozen=True, slots=True, eq=False)
class AntiAffinity:
    """VMs of which no two may be on one machine, or in one rack."""

    level: Literal["host", "rack"]
    vms: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """V VMs on P machines.

    Raises ConfigError where the parts contradict each other. Free memory is what it is said to be: snapshots are known
    in which it is not the total less that of the VMs.
    """

    name: str
    machines: Machines
    shapes: Shapes
    vm_name: tuple[str, ...]
    shape: Ints
    """(V,) index into shapes."""
    host: Ints
    """(V,) index into machines."""
    numa: Ints
    """(V,) the NUMA node of a single-NUMA VM; 0 for a double-NUMA one."""
    movable: Bools
    """(V,) whether it may be migrated."""
    free_cores: Ints
    """(P, 2)"""
    free_memory_mib: Ints
    """(P, 2)"""
    anti_affinity: tuple[AntiAffinity, ...] = ()
    overlaps: Literal["reject", "keep"] = "reject"
    """What to do about sets that the placement violates already: refuse the snapshot, or let them be until moved."""

    def __post_init__(self) -> None:
        self._require_known_places()
        self._require_cores()
        if (self.free_memory_mib < 0).any():
            pm, numa = np.argwhere(self.free_memory_mib < 0)[0]
            raise ConfigError(
                f"machine {self.machines.name[pm]!r} of fleet {self.name!r} has {self.free_memory_mib[pm, numa]} MiB "
                f"of memory free on NUMA node {numa}; free memory is at least 0"
            )
        self._require_sets()

    def __len__(self) -> int:
        return len(self.vm_name)

    @cached_property
    def sets_of_vm(self) -> dict[str, tuple[Ints, Ints]]:
        """Level -> (start (V + 1,), set): the sets of VM v are set[start[v] : start[v + 1]], numbered per level."""
        return {level: by_vm(self.sets(level), len(self)) for level in ("host", "rack")}

    def sets(self, level: str) -> list[AntiAffinity]:
        """The sets of one level, in order."""
        return [group for group in self.anti_affinity if group.level == level]

    def without_anti_affinity(self) -> Snapshot:
        return replace(self, anti_affinity=())

    # --- what must hold

    def _require_known_places(self) -> None:
        machines, shapes = self.machines, self.shapes
        for what, values, most in (("host", self.host, len(machines)), ("shape", self.shape, len(shapes))):
            wrong = np.flatnonzero((values < 0) | (values >= most))
            if wrong.size:
                raise ConfigError(
                    f"VM {self.vm_name[wrong[0]]!r} of fleet {self.name!r} has {what} {values[wrong[0]]}, "
                    f"but there are {most}, numbered from 0"
                )
        double = shapes.double[self.shape]
        wrong = np.flatnonzero((self.numa < 0) | (self.numa >= NUMA_NODES) | (double & (self.numa != 0)))
        if wrong.size:
            vm = wrong[0]
            allowed = "0, as it uses both NUMA nodes" if double[vm] else "0 or 1"
            raise ConfigError(
                f"VM {self.vm_name[vm]!r} of fleet {self.name!r} is on NUMA node {self.numa[vm]}; "
                f"it has to be {allowed}"
            )

    def _require_cores(self) -> None:
        used = np.zeros_like(self.machines.cores)
        cores, double = self.shapes.cores[self.shape], self.shapes.double[self.shape]
        np.add.at(used, (self.host, self.numa), cores)
        np.add.at(used[:, 1], self.host[double], cores[double])
        wrong = np.argwhere((self.free_cores != self.machines.cores - used) | (self.free_cores < 0))
        if len(wrong):
            pm, numa = wrong[0]
            total, taken = self.machines.cores[pm, numa], used[pm, numa]
            raise ConfigError(
                f"machine {self.machines.name[pm]!r} of fleet {self.name!r} is said to have "
                f"{self.free_cores[pm, numa]} of {total} cores free on NUMA node {numa}, but its VMs take {taken}, "
                f"which leaves {total - taken}; {len(wrong)} NUMA node(s) contradict their VMs like that"
            )
        if self.free_cores.sum() == 0:
            raise ConfigError(
                f"fleet {self.name!r} has not a single free core, so there are no fragments to measure; "
                "take a fleet with room"
            )

    def _require_sets(self) -> None:
        for number, group in enumerate(self.anti_affinity):
            members = np.array(group.vms, dtype=np.int64)
            if len(members) < 2 or len(np.unique(members)) < len(members):
                raise ConfigError(
                    f"anti-affinity set {number} of fleet {self.name!r} holds {list(group.vms)}; "
                    "it needs at least two VMs, each once"
                )
            wrong = members[(members < 0) | (members >= len(self))]
            if wrong.size:
                raise ConfigError(
                    f"anti-affinity set {number} of fleet {self.name!r} holds VM {wrong[0]}, "
                    f"but there are {len(self)}, numbered from 0"
                )
            if self.overlaps == "keep":
                continue
            place = self.host[members] if group.level == "host" else self.machines.rack[self.host[members]]
            _, first, count = np.unique(place, return_index=True, return_counts=True)
            if (count > 1).any():
                shared = place[first[np.argmax(count > 1)]]
                names = ", ".join(repr(self.vm_name[vm]) for vm in members[place == shared])
                where = f"machine {self.machines.name[shared]!r}" if group.level == "host" else f"rack {shared}"
                raise ConfigError(
                    f"anti-affinity set {number} of fleet {self.name!r} keeps VMs on different {group.level}s, but "
                    f"{names} are together in {where} already; mend the set, or allow it with overlaps='keep'"
                )


def fragment_rate(free_cores: Ints, flavour_cores: int = FLAVOUR_CORES) -> float:
    """The share of free cores that is left over when every NUMA node is filled with VMs of `flavour_cores` cores.

    FR of "VMR2L" (EuroSys'25, arXiv 2505.17359).
    """
    return float((free_cores % flavour_cores).sum() / free_cores.sum())


def sets_among(sets: Iterable[AntiAffinity], vms: Ints) -> tuple[AntiAffinity, ...]:
    """What sets say of some of the VMs, which are numbered anew in this order; those with fewer than two are gone."""
    number = {int(vm): i for i, vm in enumerate(vms)}
    left = (AntiAffinity(group.level, tuple(number[vm] for vm in group.vms if vm in number)) for group in sets)
    return tuple(group for group in left if len(group.vms) > 1)


def by_vm(sets: Sequence[AntiAffinity], vms: int) -> tuple[Ints, Ints]:
    """(start (vms + 1,), set): the sets of VM v are set[start[v] : start[v + 1]], by their places in `sets`."""
    members = np.array([vm for group in sets for vm in group.vms], dtype=np.int64)
    number = np.repeat(np.arange(len(sets)), [len(group.vms) for group in sets])
    order = np.argsort(members, kind="stable")
    start = np.zeros(vms + 1, dtype=np.int64)
    np.cumsum(np.bincount(members, minlength=vms), out=start[1:])
    return start, number[order].astype(np.int64)
