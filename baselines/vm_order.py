"""From counts to migrations, in an order in which each is legal when its turn comes.

VMs of a class are interchangeable, so any that has to leave goes to any place that wants one. A circle of VMs that wait
for each other's room is broken by a detour: one of them waits on another machine, which is a migration more. The MIP of
"VMR2L" (EuroSys'25, arXiv 2505.17359) leaves order open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clustersim.baselines.vm_classes import Classes, Flows
from clustersim.vm_fleet import NUMA_NODES, Ints
from clustersim.vm_plan import Move, Task


class Place(NamedTuple):
    """Where VMs of a class leave, or where they are wanted."""

    kind: int
    pm: int
    numa: int


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """Legal migrations. `stuck`: the places that still want VMs, none when the counts are reached; `apart`: the
    anti-affinity sets that keep VMs from going there."""

    moves: tuple[Move, ...]
    detours: int
    stuck: tuple[Place, ...]
    apart: frozenset[int]


def ordered(task: Task, classes: Classes, outs: Ints, ins: Ints, rng: np.random.Generator | None = None) -> Ordered:
    """Carry counts out as far as possible. With a generator what is equally good is tried in random order."""
    fleet = _Fleet(task, classes, outs, ins, rng)
    while fleet.wanted and (fleet.advance() or fleet.detour()):
        pass
    return Ordered(tuple(fleet.moves), fleet.detours, tuple(fleet.wanted), fleet.kept_apart())


class _Fleet:
    """The fleet on its way: how many VMs have still to leave places, and how many are still wanted at others."""

    def __init__(self, task: Task, classes: Classes, outs: Ints, ins: Ints, rng: np.random.Generator | None) -> None:
        self.snapshot = task.snapshot
        self.state = task.state()
        self.classes = classes
        self.rng = rng
        self.moves: list[Move] = []
        self.detours = 0
        self.leaving = _counted(classes.outs, outs)
        self.wanted = _counted(classes.ins, ins)
        self.spare = task.mnl - int(outs.sum())
        """Migrations that are left for detours."""
        self.sets = [0] * len(self.snapshot)
        for group in self.snapshot.anti_affinity:
            for vm in group.vms:
                self.sets[vm] += 1
        self.there: dict[Place, list[int]] = {place: [] for place in self.leaving}
        """The VMs that may leave, those in the fewest sets first."""
        for vm in sorted(np.flatnonzero(self.snapshot.movable).tolist(), key=lambda vm: self.sets[vm]):
            place = Place(int(classes.of_vm[vm]), int(self.snapshot.host[vm]), int(self.snapshot.numa[vm]))
            if place in self.there:
                self.there[place].append(int(vm))

    def advance(self) -> bool:
        """Carry out a migration that brings a VM where one is wanted; rather one that makes room for another."""
        fitting: dict[int, list[Place]] = {}
        for place in self._in_turn(self.wanted):
            if self._fits(place):
                fitting.setdefault(place.kind, []).append(place)
        crowded = {kind: self._crowded(kind) for kind in fitting}
        for source in self._urgent_first():
            for target in fitting.get(source.kind, ()):
                ends = (source.pm, target.pm)
                if source.pm == target.pm or not all(pm in ends for pm in crowded[source.kind]):
                    continue
                vm = self._who_may_go(source, target)
                if vm is not None:
                    self._move(vm, source, target)
                    _take_one(self.wanted, target)
                    return True
        return False

    def detour(self) -> bool:
        """Let a VM that makes room, or that can only go home, wait on another machine."""
        if self.spare < 1:
            return False
        busy = {place.pm for place in self.wanted}
        for source in self._urgent_first():
            if not self._use(source):
                break
            fits = self.state.fits[self.classes.shape[source.kind]]
            for pm in sorted(np.flatnonzero(fits).tolist(), key=lambda pm: pm in busy):
                for numa in range(NUMA_NODES):
                    stop = Place(source.kind, pm, numa)
                    vm = self._who_may_go(source, stop)
                    if vm is None:
                        continue
                    self._move(vm, source, stop)
                    self.leaving[stop] = self.leaving.get(stop, 0) + 1
                    self.there.setdefault(stop, []).insert(0, vm)
                    self.spare -= 1
                    self.detours += 1
                    return True
        return False

    def kept_apart(self) -> frozenset[int]:
        """The sets that keep a VM that has to leave from a place that wants one of its class."""
        waiting = {
            vm
            for source in self.leaving
            for vm in self.there[source]
            if any(source.kind == p.kind for p in self.wanted)
        }
        host, rack = self.state.host, self.snapshot.machines.rack
        found = set()
        for number, group in enumerate(self.snapshot.anti_affinity):
            if waiting.isdisjoint(group.vms):
                continue
            zone = rack if group.level == "rack" else np.arange(len(rack))
            taken = {int(zone[host[vm]]) for vm in group.vms}
            kinds = {int(self.classes.of_vm[vm]) for vm in waiting.intersection(group.vms)}
            if any(place.kind in kinds and int(zone[place.pm]) in taken for place in self.wanted):
                found.add(number)
        return frozenset(found)

    def _move(self, vm: int, source: Place, target: Place) -> None:
        self.state.move(vm, target.pm, target.numa)
        self.moves.append(Move(vm, target.pm, target.numa))
        self.there[source].remove(vm)
        _take_one(self.leaving, source)

    def _fits(self, place: Place) -> bool:
        return bool((self.state.fits[self.classes.shape[place.kind], place.pm] >> place.numa) & 1)

    def _who_may_go(self, source: Place, target: Place) -> int | None:
        return next((vm for vm in self.there[source] if self.state.may_move(vm, target.pm, target.numa)), None)

    def _use(self, source: Place) -> int:
        """How many VMs wait for somebody to leave this machine."""
        return self._waiting.get(source.pm, 0) + self._homing.get((source.kind, source.pm), 0)

    def _urgent_first(self) -> list[Place]:
        self._waiting: dict[int, int] = {}
        self._homing: dict[tuple[int, int], int] = {}
        for place, count in self.wanted.items():
            if not self._fits(place):
                self._waiting[place.pm] = self._waiting.get(place.pm, 0) + count
            self._homing[place.kind, place.pm] = count
        return sorted(self._in_turn(self.leaving), key=self._use, reverse=True)

    def _crowded(self, kind: int) -> list[int]:
        """The machines that have to be in the next move of a class, lest VMs are left that can only go home."""
        left = sum(count for place, count in self.leaving.items() if place.kind == kind)
        at: dict[int, int] = {}
        for rows in (self.leaving, self.wanted):
            for place, count in rows.items():
                if place.kind == kind:
                    at[place.pm] = at.get(place.pm, 0) + count
        return [pm for pm, count in at.items() if count == left]

    def _in_turn(self, places: dict[Place, int]) -> Iterator[Place]:
        rows = list(places)
        return iter(rows) if self.rng is None else (rows[at] for at in self.rng.permutation(len(rows)))


def _counted(flows: Flows, counts: Ints) -> dict[Place, int]:
    return {
        Place(int(flows.kind[row]), int(flows.pm[row]), int(flows.numa[row])): int(counts[row])
        for row in np.flatnonzero(counts)
    }


def _take_one(places: dict[Place, int], place: Place) -> None:
    places[place] -= 1
    if not places[place]:
        del places[place]
