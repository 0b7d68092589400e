"""The state of a fleet: what is free, what stands where, and which VM may go to which machine. Moves change it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar, cast, get_args

import numpy as np
from numpy.typing import NDArray

from clustersim import vm_kernels as kernels
from clustersim.errors import ConfigError, DoesNotFit
from clustersim.readonly import read_only
from clustersim.vm_fleet import FLAVOUR_CORES, NUMA_NODES, Bools, Ints, Snapshot, sets_among

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
        self._members = np.flatnonzero((np.diff(self._host_start) > 0) | (np.diff(self._rack_start) > 0))
        self._fits = np.zeros((len(shapes), len(machines)), dtype=np.uint8)
        self._fitting = np.zeros(len(shapes), dtype=np.int64)
        self._totals = np.zeros(2, dtype=np.int64)
        self._make_groups()
        kernels.look_at_all(self._of_shapes, self._of_machines, self._of_vms, self._of_sets, flavour_cores)

    def _make_groups(self) -> None:
        """The groups of arrays that the kernels take, and views for all others."""
        self._of_shapes = self._cores, self._memory, self._double
        self._of_machines = (
            self._active, self._free_cores, self._free_memory, self._fits, self._fitting, self._totals
        )  # fmt: skip
        self._of_vms = self._shape, self._host, self._numa, self._movable
        self._of_sets = (
            self._host_start, self._host_set, self._rack_start, self._rack_set, self._on_host, self._in_rack,
            self._rack,
        )  # fmt: skip
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
        other._make_groups()
        return other

    def freeze(self) -> tuple[Snapshot, Ints]:
        """The VMs that are there as a snapshot, and the row of each."""
        rows = np.flatnonzero(self._host >= 0)
        return self._frozen(rows), rows

    # --- questions

    @property
    def fragments(self) -> int:
        """Free cores that no VM of the flavour can use, over all NUMA nodes."""
        return int(self._totals[0])

    @property
    def fragment_rate(self) -> float:
        """Fragments as a share of all free cores; 0 when no core is free."""
        fragments, free = self._totals.tolist()
        return float(fragments / free) if free else 0.0

    def vm_mask(self, out: Bools) -> bool:
        """Write which VMs may be migrated to another machine, shape (rows,); return whether any may."""
        fits, shape, host = self._fits, self._shape, self._host
        any_legal = kernels.vm_mask(fits, self._fitting, shape, host, self._movable, out)
        if any_legal and len(self._members):
            any_legal = kernels.leave_out_bound(self._members, fits, shape, host, self._of_sets, out)
        return bool(any_legal)

    def pm_mask(self, vm: int, out: Bools) -> bool:
        """Write to which *other* machines a VM may be migrated, shape (P,); return whether to any."""
        any_legal = kernels.pm_mask(vm, self._fits, self._shape, self._host, out)
        if any_legal and len(self._members):
            any_legal = kernels.leave_out_kept_apart(vm, self._host, self._of_sets, out)
        return bool(any_legal)

    def may_move(self, vm: int, pm: int, numa: int) -> bool:
        """Whether a VM that is there may be migrated now to that NUMA node of another machine."""
        has_room = kernels.has_room(vm, pm, numa, self._double, self._fits, self._shape, self._host, self._movable)
        return bool(has_room and (not len(self._members) or self._apart(vm, pm)))

    def landing(self, vm: int, pm: int) -> int:
        """The NUMA node on which the landing rule puts a VM that has room on the machine; 0 for a double-NUMA VM."""
        return self._landing(int(self._shape[vm]), pm, int(self._numa[vm]))

    def landing_of_shape(self, shape: int, pm: int) -> int:
        """The same for a VM that arrives; it comes from node 0."""
        return self._landing(shape, pm, 0)

    # --- changes

    def move(self, vm: int, pm: int, numa: int | None = None) -> int:
        """Migrate a VM at once, by default to the NUMA node where the landing rule puts it.

        Returns by how many cores the fragments fall. Raises DoesNotFit where `may_move` is false.
        """
        gained = kernels.move(
            vm, pm, kernels.BY_RULE if numa is None else numa,
            self._of_shapes, self._of_machines, self._of_vms, self._of_sets,
            self._rule, self.flavour_cores,
        )  # fmt: skip
        if gained == kernels.ILLEGAL:
            raise DoesNotFit(self.why_not(vm, pm, numa))
        return int(gained)

    def move_all(self, moves: Sequence[tuple[int, int, int]], wanted: Sequence[bool]) -> list[bool]:
        """Migrate VMs one after the other, of those that are wanted as many as `may_move`; return which."""
        made = np.zeros(len(moves), dtype=np.bool_)
        kernels.move_all(
            np.array(moves, dtype=np.int64).reshape(-1, 3), np.array(wanted, dtype=np.bool_),
            self._of_shapes, self._of_machines, self._of_vms, self._of_sets, self._rule, self.flavour_cores, made,
        )  # fmt: skip
        return cast(list[bool], made.tolist())

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

    def why_not(self, vm: int, pm: int, numa: int | None) -> str:
        """What forbids a move, in words; None is for where the landing rule puts the VM."""
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
        numa = self.landing(vm, pm) if numa is None else numa
        return f"VM {name} has no room on NUMA node {numa} of {target}: {self._room(int(self._shape[vm]), pm)}"

    # --- within

    def _settle(self, vm: int, pm: int, numa: int) -> None:
        self._host[vm], self._numa[vm] = pm, numa
        self._take(self._shape[vm], pm, numa, 1)
        self._count_sets(vm, pm, 1)

    def _take(self, shape: int, pm: int, numa: int, sign: int) -> None:
        kernels.take(shape, pm, numa, sign, self._of_shapes, self._of_machines, self.flavour_cores)

    def _count_sets(self, vm: int, pm: int, sign: int) -> None:
        kernels.count_sets(vm, pm, sign, self._of_sets)

    def _apart(self, vm: int, pm: int) -> bool:
        return bool(kernels.apart(vm, pm, int(self._host[vm]), self._of_sets))

    def _landing(self, shape: int, pm: int, numa: int) -> int:
        return int(kernels.landing(shape, pm, numa, self._of_shapes, self._of_machines, self._rule, self.flavour_cores))

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
            sets_among(fleet.anti_affinity, rows),
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
    "_totals",
)


def _with_spare(values: NDArray[Value], spare: int, fill: object) -> NDArray[Value]:
    return np.concatenate([values, np.full(spare, fill, dtype=values.dtype)])
