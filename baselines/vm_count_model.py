"""The integer model of a rescheduling: how many VMs of each class leave a place, how many come, what blocks remain.

The MIP of "VMR2L" (EuroSys'25, arXiv 2505.17359) with counts of interchangeable VMs in place of a binary per VM and
machine. Order is left out: whatever can be carried out is a solution, so that the optimum bounds every plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from clustersim.baselines.vm_classes import Classes, used_nodes
from clustersim.vm_fleet import NUMA_NODES, Bools, Ints
from clustersim.vm_plan import Task

Floats = NDArray[np.float64]
Number = TypeVar("Number", np.int64, np.float64)

FREE = 1 << 40
"""A row without a limit on this side."""


@dataclass(frozen=True, slots=True, eq=False)
class CountModel:
    """Maximise `gain @ x` over integers 0 <= x <= most with low <= matrix @ x <= high; gains are in blocks.

    Columns: VMs that leave as in `classes.outs`, VMs that come as in `classes.ins`, blocks on every NUMA node
    (PM-major), migrations of every class.
    """

    classes: Classes
    matrix: csr_array
    low: Ints
    high: Ints
    most: Ints
    gain: Ints

    @property
    def most_gain(self) -> int:
        """What no solution exceeds, without looking for one."""
        return int(self.gain @ self.most)

    def at_most(self, gain: float) -> int:
        """The largest gain that the bound of a solver leaves possible; solvers work with tolerances."""
        return min(self.most_gain, int(np.floor(gain + 1e-4))) if np.isfinite(gain) else self.most_gain

    def counts(self, values: NDArray[Number]) -> tuple[NDArray[Number], NDArray[Number]]:
        """How many VMs leave and come, of the values of all columns."""
        outs = len(self.classes.outs)
        return values[:outs], values[outs : outs + len(self.classes.ins)]

    def without(self, outs: Bools, ins: Bools) -> CountModel:
        """The model in which nobody leaves or comes in these rows of `classes.outs` and `classes.ins`."""
        fixed = np.zeros(len(self.most), dtype=np.bool_)
        fixed[: len(outs)] = outs
        fixed[len(outs) : len(outs) + len(ins)] = ins
        return replace(self, most=np.where(fixed, 0, self.most))


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """`values` of the columns, None where none were found; no solution has more than `most` gain."""

    values: Ints | None
    most: int


def count_model(task: Task, classes: Classes, homebound: Sequence[int] = ()) -> CountModel:
    """The limits on cores, memory, migrations and the anti-affinity sets that the classes tell apart.

    `homebound`: the classes for which migrations are counted exactly; of others as many as VMs leave, which is too few
    where hardly any but VMs of one machine leave and come to that machine.
    """
    snapshot, flavour = task.snapshot, task.flavour_cores
    shapes, places, kinds = snapshot.shapes, len(snapshot.machines) * NUMA_NODES, len(classes)
    outs, ins = classes.outs, classes.ins
    out_at = np.arange(len(outs))
    in_at = len(outs) + np.arange(len(ins))
    block_at = len(outs) + len(ins) + np.arange(places)
    moves_at = block_at[-1] + 1 + np.arange(kinds)
    out_row, out_node = used_nodes(outs, shapes.double[classes.shape[outs.kind]])
    in_row, in_node = used_nodes(ins, shapes.double[classes.shape[ins.kind]])
    rows = _Rows(int(moves_at[-1]) + 1)

    cores, free = shapes.cores[classes.shape], snapshot.free_cores.ravel()
    leaving, coming = cores[outs.kind][out_row], cores[ins.kind][in_row]
    movable = np.bincount(out_node, leaving * outs.most[out_row], minlength=places).astype(np.int64)
    rows.begin(np.full(places, -FREE), free)
    rows.add(out_node, out_at[out_row], -leaving)
    rows.add(in_node, in_at[in_row], coming)
    rows.add(np.arange(places), block_at, flavour)
    for divisor in _divisors(flavour):
        left = free % divisor
        rows.begin(np.full(places, -FREE), free // divisor * (divisor - left))
        rows.add(out_node, out_at[out_row], _rounded(-leaving, left[out_node], divisor))
        rows.add(in_node, in_at[in_row], _rounded(coming, left[in_node], divisor))
        rows.add(np.arange(places), block_at, _rounded(np.full(places, flavour), left, divisor))

    unit_mib = max(1, int(np.gcd.reduce(shapes.memory_mib)))
    memory, free_memory = shapes.memory_mib[classes.shape] // unit_mib, snapshot.free_memory_mib.ravel() // unit_mib
    scarce = _memory_binds(cores, memory, free, free_memory, movable)
    number = np.cumsum(scarce) - 1
    rows.begin(np.full(scarce.sum(), -FREE), free_memory[scarce])
    use, come = scarce[out_node], scarce[in_node]
    rows.add(number[out_node[use]], out_at[out_row[use]], -memory[outs.kind][out_row[use]])
    rows.add(number[in_node[come]], in_at[in_row[come]], memory[ins.kind][in_row[come]])

    nothing = np.zeros(kinds, dtype=np.int64)
    rows.begin(nothing, nothing)
    rows.add(outs.kind, out_at, 1)
    rows.add(ins.kind, in_at, -1)
    _add_migrations(rows, classes, out_at, in_at, moves_at, task.mnl, homebound)
    _add_sets(rows, task, classes, out_at, in_at)
    most = np.concatenate([outs.most, ins.most, (free + movable) // flavour, np.full(kinds, task.mnl)])
    gain = np.zeros(len(most), dtype=np.int64)
    gain[block_at] = 1
    return CountModel(classes, rows.matrix(), np.concatenate(rows.low), np.concatenate(rows.high), most, gain)


class _Rows:
    """The matrix in the making, a block of rows at a time."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.low: list[Ints] = []
        self.high: list[Ints] = []
        self._first = self._rows = 0
        self._entries: list[tuple[Ints, Ints, Ints]] = []

    def begin(self, low: Ints, high: Ints) -> None:
        self._first = self._rows
        self._rows += len(low)
        self.low.append(low)
        self.high.append(high)

    def add(self, row: Ints, column: Ints, value: Ints | int) -> None:
        """Entries of the block that was begun last, whose rows are counted from 0."""
        self._entries.append((self._first + row, column, np.broadcast_to(value, row.shape)))

    def matrix(self) -> csr_array:
        row, column, value = (np.concatenate(part) for part in zip(*self._entries, strict=True))
        some = value != 0
        return coo_array((value[some], (row[some], column[some])), shape=(self._rows, self.columns)).tocsr()


def _divisors(flavour: int) -> list[int]:
    """The flavour, a half and a quarter of it: with these rows HiGHS needs .8 s in place of 1.3 s for 280 machines."""
    return [flavour // part for part in (1, 2, 4) if flavour % part == 0 and flavour > part]


def _rounded(value: Ints, left: Ints, divisor: int) -> Ints:
    """Coefficients of the row divided by the divisor and rounded, times `divisor - left` to be whole.

    `left` is the right-hand side modulo the divisor. Mixed-integer rounding: Nemhauser, Wolsey, "A recursive
    procedure to generate all cuts for 0-1 mixed integer programs" (doi 10.1007/BF01585752).
    """
    rounded: Ints = value // divisor * (divisor - left) + np.maximum(value % divisor - left, 0)
    return rounded


def _memory_binds(cores: Ints, memory: Ints, free: Ints, free_memory: Ints, movable: Ints) -> Bools:
    """On which NUMA nodes memory can run out before cores do."""
    per_core = memory / np.maximum(cores, 1)
    binds: Bools = free_memory < per_core.max() * free + (per_core.max() - per_core.min()) * movable
    return binds


def _add_migrations(
    rows: _Rows, classes: Classes, out_at: Ints, in_at: Ints, moves_at: Ints, mnl: int, homebound: Sequence[int]
) -> None:
    """How many migrations the counts take.

    With n VMs of a class leaving in all, of which `out` leave machine p and `come` come to it, everybody finds another
    machine if and only if out + come <= n at every p (Hall's condition). Else as many as out + come migrations are
    needed: those too many go home to the other NUMA node by way of another machine.
    """
    outs, ins = classes.outs, classes.ins
    exact = np.zeros(len(classes), dtype=np.bool_)
    exact[list(homebound)] = True
    none = np.zeros(1, dtype=np.int64)
    rows.begin(none, none + mnl)
    rows.add(np.zeros(len(outs), dtype=np.int64), out_at, np.where(exact[outs.kind], 0, 1))
    rows.add(np.zeros(len(classes), dtype=np.int64), moves_at, np.where(exact, 1, 0))
    for kind in homebound:
        at, back = np.flatnonzero(outs.kind == kind), np.flatnonzero(ins.kind == kind)
        rows.begin(none - FREE, none)
        rows.add(np.zeros(len(at), dtype=np.int64), out_at[at], 1)
        rows.add(none, moves_at[[kind]], -1)
        both = np.intersect1d(outs.pm[at], ins.pm[back])
        rows.begin(np.full(len(both), -FREE), np.zeros(len(both), dtype=np.int64))
        for flows, found, column in ((outs, at, out_at), (ins, back, in_at)):
            found = found[np.isin(flows.pm[found], both)]
            rows.add(np.searchsorted(both, flows.pm[found]), column[found], 1)
        rows.add(np.arange(len(both)), np.full(len(both), moves_at[kind]), -1)


def _add_sets(rows: _Rows, task: Task, classes: Classes, out_at: Ints, in_at: Ints) -> None:
    """Anti-affinity: a member comes to a host or rack only when all members that were there are gone, and only one."""
    snapshot = task.snapshot
    for number in sorted({number for sets in classes.sets for number in sets}):
        group = snapshot.anti_affinity[number]
        zone = np.arange(len(snapshot.machines)) if group.level == "host" else snapshot.machines.rack
        there = np.bincount(zone[snapshot.host[list(group.vms)]], minlength=zone.max() + 1)
        member = np.array([number in sets for sets in classes.sets])
        leave, come = member[classes.outs.kind], member[classes.ins.kind]
        rows.begin(np.full(len(there), -FREE), np.where(there == 0, 1, 0))
        rows.add(zone[classes.ins.pm[come]], in_at[come], np.maximum(there, 1)[zone[classes.ins.pm[come]]])
        occupied = leave & (there[zone[classes.outs.pm]] > 0)
        rows.add(zone[classes.outs.pm[occupied]], out_at[occupied], -1)
