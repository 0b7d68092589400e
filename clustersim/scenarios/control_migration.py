"""Live migrations of a zone: the migrator's question, and pods on their way from one node to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clustersim.cluster import Binding
from clustersim.control import NO_CANDIDATE, Role
from clustersim.scenarios.control_log import ABORT, MOVE, TRANSFER
from clustersim.scenarios.control_moves import MoveFinder
from clustersim.scenarios.control_roles import MIGRATOR, MOVES, Moves
from clustersim.work import Work

if TYPE_CHECKING:
    from clustersim.scenarios.control_world import ControlSimulation
    from clustersim.scenarios.control_zone import Zone


class Migrations:
    """At most one pod of the zone moves at a time.

    While its memory is copied it works on its old node, and its part of the new one is held for it. Then it stands
    still for the last copy, and goes on where it stopped. Should it end or be displaced on the way, or its new node
    fail, the transfer is given up.
    """

    def __init__(self, world: ControlSimulation, zone: Zone) -> None:
        self.agent = f"{MIGRATOR}_{zone.index}"
        self.started = 0
        self.done = 0
        self.moved_mib = 0.0
        self._world = world
        self._zone = zone
        self._finder = MoveFinder(world, zone)
        self._role = Role(MIGRATOR, self.agent, MOVES + 1, zone.view, self._legal)
        self._moves: Moves | None = None
        self._row = -1
        self._reserved: Binding | None = None
        self._copying: Work | None = None

    def ask(self) -> None:
        """At a tick: ask, unless a pod is on its way or none can be moved."""
        if self._reserved is None:
            self._moves = self._finder.find()
            if self._moves is not None:
                self._world.control.ask(self._role, self._moves, self._answer)

    def _legal(self, moves: Moves, out: NDArray[np.bool_]) -> bool:
        # Looked at again: answers of the same instant may have taken the room, or the pod.
        zone = self._zone
        out[:] = False
        out[-1] = True
        fits = np.zeros(len(zone.nodes), dtype=np.bool_)
        for k in range(MOVES):
            row = int(moves.pod[k])
            if row >= 0 and self._world.movable(row) and zone.bindings[row].node == moves.source[k]:
                zone.cluster.feasible(zone.bindings[row].request, fits)
                out[k] = fits[moves.target[k]]
        return True

    def _answer(self, k: int, _detail: object) -> None:
        if k in (NO_CANDIDATE, MOVES):
            return
        assert self._moves is not None
        world, row, target = self._world, int(self._moves.pod[k]), int(self._moves.target[k])
        self._row = row
        self._reserved = self._zone.reserve(row, target)
        self.started += 1
        world.log.add(world.env.now, TRANSFER, row, int(self._zone.nodes[target]))
        transfer = world.transfer(row)
        self._copying = Work(world.env, transfer.duration_s - transfer.downtime_s, self._switch)

    def concerns(self, row: int) -> bool:
        """Whether this pod is on its way."""
        return self._row == row and self._reserved is not None

    def target(self) -> int | None:
        """The node of the zone that a pod is on its way to."""
        return None if self._reserved is None else self._reserved.node

    def give_up(self) -> None:
        """The pod on its way stays where it is, or is gone."""
        assert self._reserved is not None
        if self._copying is not None:
            self._copying.stop()
            self._copying = None
        world = self._world
        world.log.add(world.env.now, ABORT, self._row, int(self._zone.nodes[self._reserved.node]))
        self._zone.release(self._reserved)
        self._reserved = None

    def _switch(self) -> None:
        """All but the last copy is made: the pod stands still."""
        self._copying = None
        world, row, reserved = self._world, self._row, self._reserved
        assert reserved is not None
        self._reserved = None
        transfer = world.transfer(row)
        self.done += 1
        self.moved_mib += transfer.total_mib
        world.log.add(world.env.now, MOVE, row, int(self._zone.nodes[reserved.node]), world.node_of(row))
        world.relocate(row, reserved, transfer.downtime_s)
