"""The state of a fleet: what is free, what stands where, and which VM may go to which machine. Moves change it."""

from __future__ import annotations

from typing import Literal, TypeVar, get_args

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.errors import ConfigError, DoesNotFit
from clustersim.readonly import read_only
from clustersim.vm_fleet import FLAVOUR_CORES, NUMA_NODES, Bools, Ints, Snapshot

NOWHERE = -1

Landing = Literal["best", "same", "first"]
"""On which NUMA node a single-NUMA VM lands where both have room: the one where fewer fragments remain, the one with
the number of that it comes from (version 2 of the published environment), or the first (version 1)."""

_LANDINGS = get_args(Landing)

Value = TypeVar("Value", bound=np.generic)


class FleetState:
    """Arrays that only `move`, `add`, `remove` and the two halves of a migration change; read them, do not write.

    VMs are rows. Rows beyond those of the snapshot are spare, for VMs that arrive; the host of an empty row is NOWHERE.
    `free_cores`, `free_memory_mib` (P, 2); `shape`, `host`, `numa` (V,) integers, `movable` (V,) booleans;
    `fits` (S, P): 1 where a VM of the shape has room on NUMA node 0 of an active machine, 2 on node 1, 3 on both;
    of a double-NUMA shape 3 or 0; `fitting` (S,): on how many machines it has room.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        flavour_cores: int = FLAVOUR_CORES,
        landing: Landing = "best",
        spare_rows: int = 0,
    ) -> None:
        if flavour_cores < 1:
            raise ConfigError(f"flavour_cores is {flavour_cores}; a flavour has at least 1 core")
        if landing not in _LANDINGS:
            raise ConfigError(f"landing is {landing!r}; choose one of {', '.join(_LANDINGS)}")
        self.snapshot = snapshot
        self.flavour_cores = flavour_cores
        self.landing_rule = landing
        self._rule = _LANDINGS.index(landing)
        machines, shapes = snapshot.machines, snapshot.shapes
        self._active, self._rack = machines.active, machines.rack
        self._cores, self._memory, self._double = shapes.cores, shapes.memory_mib, shapes.double
        self._free_cores = snapshot.free_cores.copy()
        self._free_memory = snapshot.free_memory_mib.copy()
        self._shape = _with_spare(snapshot.shape, spare_rows, 0)
        self._host = _with_spare(snapshot.host, spare_rows, NOWHERE)
        self._numa = _with_spare(snapshot.numa, spare_rows, 0)
        self._movable = _with_spare(snapshot.movable, spare_rows, False)
        (self._host_start, self._host_set), (self._rack_start, self._rack_set) = (
            (_with_spare(start, spare_rows, start[-1]), number) for start, number in snapshot.sets_of_vm.values()
        )
        racks = int(machines.rack.max(initial=-1)) + 1
        self._on_host = np.zeros((len(snapshot.sets("host")), len(machines)), dtype=np.int32)
        self._in_rack = np.zeros((len(snapshot.sets("rack")), racks), dtype=np.int32)
        for vm in np.flatnonzero((np.diff(self._host_start) > 0) | (np.diff(self._rack_start) > 0)):
            self._count_sets(int(vm), int(self._host[vm]), 1)
        self._fits = np.zeros((len(shapes), len(machines)), dtype=np.uint8)
        self._fitting = np.zeros(len(shapes), dtype=np.int64)
        for pm in range(len(machines)):
            self._look_at(pm)
        self._make_views()

    def _make_views(self) -> None:
        self.free_cores, self.free_memory_mib = read_only(self._free_cores), read_only(self._free_memory)
        self.shape, self.host, self.numa = read_only(self._shape), read_only(self._host), read_only(self._numa)
        self.movable, self.fits, self.fitting = (
            read_only(self._movable),
            read_only(self._fits),
            read_only(self._fitting),
        )

    @property
    def machines(self) -> int:
        return len(self._active)

    @property
    def rows(self) -> int:
        return len(self._host)

    def copy(self) -> FleetState:
        """A state of its own, equal to this one; it takes about 30 us at 280 machines and 2,089 VMs."""
        other = object.__new__(FleetState)
        other.__dict__.update(self.__dict__)
        for name in _CHANGING:
            setattr(other, name, getattr(self, name).copy())
        other._make_views()
        return other

    def freeze(self) -> tuple[Snapshot, Ints]:
        """The VMs that are there as a snapshot, and the row of each."""
        rows = np.flatnonzero(self._host >= 0)
        return self._frozen(rows), rows

    # --- questions

    @property
    def fragments(self) -> int:
        """Free cores that no VM of the flavour can use, over all NUMA nodes."""
        return int((self._free_cores % self.flavour_cores).sum())

    @property
    def fragment_rate(self) -> float:
        """Fragments as a share of all free cores; 0 when no core is free."""
        free = int(self._free_cores.sum())
        return self.fragments / free if free else 0.0

    def vm_mask(self, out: Bools) -> bool:
        """Write which VMs may be migrated to another machine, shape (rows,); return whether any may."""
        return bool(
            _vm_mask(
                self._host, self._shape, self._movable, self._fits, self._fitting, self._host_start, self._host_set,
                self._rack_start, self._rack_set, self._on_host, self._in_rack, self._rack, out,
            )
        )  # fmt: skip

    def pm_mask(self, vm: int, out: Bools) -> bool:
        """Write to which *other* machines a VM may be migrated, shape (P,); return whether to any."""
        return bool(
            _pm_mask(
                vm, self._host, self._shape, self._fits, self._host_start, self._host_set, self._rack_start,
                self._rack_set, self._on_host, self._in_rack, self._rack, out,
            )
        )  # fmt: skip

    def may_move(self, vm: int, pm: int, numa: int) -> bool:
        """Whether a VM that is there may be migrated now to that NUMA node of another machine."""
        home = self._host[vm]
        if home < 0 or home == pm or not self._movable[vm] or not 0 <= pm < self.machines:
            return False
        if not (self._fits[self._shape[vm], pm] >> numa) & 1 or (numa and self._double[self._shape[vm]]):
            return False
        return self._apart(vm, pm)

    def landing(self, vm: int, pm: int) -> int:
        """The NUMA node on which the landing rule puts a VM that has room on the machine; 0 for a double-NUMA VM."""
        return int(
            _landing(
                self._fits[self._shape[vm], pm], self._cores[self._shape[vm]], self._double[self._shape[vm]],
                self._numa[vm], self._free_cores[pm], self._rule, self.flavour_cores,
            )
        )  # fmt: skip

    def landing_of_shape(self, shape: int, pm: int) -> int:
        """The same for a VM that arrives; it comes from node 0."""
        bits, cores = self._fits[shape, pm], self._cores[shape]
        return int(_landing(bits, cores, self._double[shape], 0, self._free_cores[pm], self._rule, self.flavour_cores))

    # --- changes

    def move(self, vm: int, pm: int, numa: int) -> None:
        """Migrate a VM at once. Raises DoesNotFit where `may_move` is false."""
        if not self.may_move(vm, pm, numa):
            raise DoesNotFit(self.why_not(vm, pm, numa))
        home, old = int(self._host[vm]), int(self._numa[vm])
        self._count_sets(vm, home, -1)
        self._take(self._shape[vm], home, old, -1)
        self._settle(vm, pm, numa)

    def begin(self, vm: int, pm: int, numa: int) -> tuple[int, int]:
        """Begin a migration: the VM counts on both machines and is not movable until `end`; return where it was."""
        if not self.may_move(vm, pm, numa):
            raise DoesNotFit(self.why_not(vm, pm, numa))
        source = int(self._host[vm]), int(self._numa[vm])
        self._settle(vm, pm, numa)
        self._movable[vm] = False
        return source

    def end(self, vm: int, source: tuple[int, int], landed: bool = True) -> None:
        """End a migration: the VM has left its source or, when it did not land, is back there."""
        home = (int(self._host[vm]), int(self._numa[vm]))
        gone = source if landed else home
        self._count_sets(vm, gone[0], -1)
        self._take(self._shape[vm], *gone, -1)
        if not landed:
            self._host[vm], self._numa[vm] = source
        self._movable[vm] = True

    def add(self, row: int, shape: int, pm: int, numa: int) -> None:
        """Place a VM that arrives in an empty row. Raises DoesNotFit where it has no room."""
        if not (self._fits[shape, pm] >> numa) & 1 or (numa and self._double[shape]):
            raise DoesNotFit(
                f"a VM of shape {self.snapshot.shapes.name[shape]!r} has no room on NUMA node {numa} of machine "
                f"{self.snapshot.machines.name[pm]!r}: {self._room(shape, pm)}"
            )
        if self._host[row] >= 0:
            raise DoesNotFit(f"row {row} is taken by a VM on machine {self._host[row]}; take an empty row")
        self._shape[row] = shape
        self._movable[row] = True
        self._settle(row, pm, numa)

    def remove(self, row: int) -> None:
        """Take a VM away that exits; its row is empty then."""
        pm = int(self._host[row])
        self._count_sets(row, pm, -1)
        self._take(self._shape[row], pm, int(self._numa[row]), -1)
        self._host[row], self._movable[row] = NOWHERE, False

    def why_not(self, vm: int, pm: int, numa: int) -> str:
        """What forbids a move, in words."""
        if not 0 <= vm < self.rows or self._host[vm] < 0:
            return f"VM {vm} is not there"
        name = self._name(vm)
        if not 0 <= pm < self.machines:
            return f"VM {name} cannot go to machine {pm}: there are {self.machines}, numbered from 0"
        target = f"machine {self.snapshot.machines.name[pm]!r}"
        if self._host[vm] == pm:
            return f"VM {name} is on {target} already"
        if not self._movable[vm]:
            return f"VM {name} may not be migrated"
        if not self._active[pm]:
            return f"VM {name} cannot go to {target}: it is not active"
        if not self._apart(vm, pm):
            return f"VM {name} cannot go to {target}: a VM of one of its anti-affinity sets is there or in its rack"
        return f"VM {name} has no room on NUMA node {numa} of {target}: {self._room(int(self._shape[vm]), pm)}"

    # --- within

    def _settle(self, vm: int, pm: int, numa: int) -> None:
        self._host[vm], self._numa[vm] = pm, numa
        self._take(self._shape[vm], pm, numa, 1)
        self._count_sets(vm, pm, 1)

    def _take(self, shape: int, pm: int, numa: int, sign: int) -> None:
        _take(
            shape, pm, numa, sign, self._cores, self._memory, self._double, self._active, self._free_cores,
            self._free_memory, self._fits, self._fitting,
        )  # fmt: skip

    def _look_at(self, pm: int) -> None:
        _look_at(
            pm, self._cores, self._memory, self._double, self._active, self._free_cores, self._free_memory, self._fits,
            self._fitting,
        )  # fmt: skip

    def _count_sets(self, vm: int, pm: int, sign: int) -> None:
        for number in self._host_set[self._host_start[vm] : self._host_start[vm + 1]]:
            self._on_host[number, pm] += sign
        for number in self._rack_set[self._rack_start[vm] : self._rack_start[vm + 1]]:
            self._in_rack[number, self._rack[pm]] += sign

    def _apart(self, vm: int, pm: int) -> bool:
        return bool(
            _apart(
                vm, pm, self._host[vm], self._host_start, self._host_set, self._rack_start, self._rack_set,
                self._on_host, self._in_rack, self._rack,
            )
        )  # fmt: skip

    def _name(self, vm: int) -> str:
        return repr(self.snapshot.vm_name[vm]) if vm < len(self.snapshot) else f"in row {vm}"

    def _room(self, shape: int, pm: int) -> str:
        shapes = self.snapshot.shapes
        each = " on each node" if shapes.double[shape] else ""
        free = ", ".join(
            f"{self._free_cores[pm, k]} cores and {self._free_memory[pm, k]} MiB on node {k}" for k in range(NUMA_NODES)
        )
        return f"it takes {shapes.cores[shape]} cores and {shapes.memory_mib[shape]} MiB{each}, free are {free}"

    def _frozen(self, rows: Ints) -> Snapshot:
        fleet = self.snapshot
        at = {int(row): place for place, row in enumerate(rows)}
        sets = tuple(
            type(group)(group.level, members)
            for group in fleet.anti_affinity
            if len(members := tuple(at[vm] for vm in group.vms if vm in at)) > 1
        )
        return Snapshot(
            fleet.name,
            fleet.machines,
            fleet.shapes,
            tuple(fleet.vm_name[row] if row < len(fleet) else f"row-{row}" for row in rows),
            self._shape[rows],
            self._host[rows],
            self._numa[rows],
            self._movable[rows],
            self._free_cores.copy(),
            self._free_memory.copy(),
            sets,
            overlaps="keep",
        )


_CHANGING = (
    "_free_cores",
    "_free_memory",
    "_shape",
    "_host",
    "_numa",
    "_movable",
    "_on_host",
    "_in_rack",
    "_fits",
    "_fitting",
)


def _with_spare(values: NDArray[Value], spare: int, fill: object) -> NDArray[Value]:
    return np.concatenate([values, np.full(spare, fill, dtype=values.dtype)])


@njit(cache=True)
def _look_at(pm, cores, memory, double, active, free_cores, free_memory, fits, fitting):  # type: ignore[no-untyped-def]
    """Bring `fits` and `fitting` of one machine up to date."""
    for s in range(len(cores)):
        bits = 0
        if active[pm]:
            for k in range(2):
                if free_cores[pm, k] >= cores[s] and free_memory[pm, k] >= memory[s]:
                    bits |= 1 << k
            if double[s] and bits != 3:
                bits = 0
        fitting[s] += (bits > 0) - (fits[s, pm] > 0)
        fits[s, pm] = bits


@njit(cache=True)
def _take(shape, pm, numa, sign, cores, memory, double, active, free_cores, free_memory, fits, fitting):  # type: ignore[no-untyped-def]
    """A VM of the shape takes room on a machine (sign 1) or gives it back (sign -1)."""
    for k in range(2):
        if double[shape] or k == numa:
            free_cores[pm, k] -= sign * cores[shape]
            free_memory[pm, k] -= sign * memory[shape]
    _look_at(pm, cores, memory, double, active, free_cores, free_memory, fits, fitting)


@njit(cache=True)
def _apart(vm, pm, home, host_start, host_set, rack_start, rack_set, on_host, in_rack, rack):  # type: ignore[no-untyped-def]
    """Whether no other member of a set of the VM is on the machine or, as the set may say, in its rack."""
    for i in range(host_start[vm], host_start[vm + 1]):
        if on_host[host_set[i], pm] > (1 if home == pm else 0):
            return False
    for i in range(rack_start[vm], rack_start[vm + 1]):
        own = 1 if home >= 0 and rack[home] == rack[pm] else 0
        if in_rack[rack_set[i], rack[pm]] > own:
            return False
    return True


@njit(cache=True)
def _pm_mask(vm, host, shape, fits, host_start, host_set, rack_start, rack_set, on_host, in_rack, rack, out):  # type: ignore[no-untyped-def]
    home = host[vm]
    bound = host_start[vm + 1] > host_start[vm] or rack_start[vm + 1] > rack_start[vm]
    any_legal = False
    for pm in range(len(out)):
        legal = fits[shape[vm], pm] > 0 and pm != home
        if legal and bound:
            legal = _apart(vm, pm, home, host_start, host_set, rack_start, rack_set, on_host, in_rack, rack)
        out[pm] = legal
        any_legal = any_legal or legal
    return any_legal


@njit(cache=True)
def _vm_mask(  # type: ignore[no-untyped-def]
    host, shape, movable, fits, fitting, host_start, host_set, rack_start, rack_set, on_host, in_rack, rack, out
):
    any_legal = False
    for vm in range(len(out)):
        home = host[vm]
        legal = False
        if home >= 0 and movable[vm]:
            kind = shape[vm]
            others = fitting[kind] - (1 if fits[kind, home] > 0 else 0)
            legal = others > 0
            if legal and (host_start[vm + 1] > host_start[vm] or rack_start[vm + 1] > rack_start[vm]):
                legal = False
                for pm in range(len(rack)):
                    if (
                        pm != home
                        and fits[kind, pm] > 0
                        and _apart(vm, pm, home, host_start, host_set, rack_start, rack_set, on_host, in_rack, rack)
                    ):
                        legal = True
                        break
        out[vm] = legal
        any_legal = any_legal or legal
    return any_legal


@njit(cache=True)
def _landing(bits, cores, double, numa, free, rule, flavour):  # type: ignore[no-untyped-def]
    if double or bits == 1:
        return 0
    if bits == 2:
        return 1
    if rule == 1:
        return numa
    if rule == 2:
        return 0
    # What taking the cores adds to the fragments of a node; on equal terms the one that the VM comes from.
    first = (free[0] - cores) % flavour - free[0] % flavour
    second = (free[1] - cores) % flavour - free[1] % flavour
    if first == second:
        return numa
    return 0 if first < second else 1
