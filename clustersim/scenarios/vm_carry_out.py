"""Carrying a plan out on a fleet that has gone on living: in order, some migrations at once, what is stale dropped."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import simpy

from clustersim.eventlog import EventLog
from clustersim.live_migration import Migration
from clustersim.vm_plan import Move
from clustersim.vm_state import FleetState

EVENTS = ("call", "ready", "migrate", "land", "drop-gone", "drop-full", "place", "reject", "exit")
CALL, READY, MIGRATE, LAND, DROP_GONE, DROP_FULL, PLACED, REJECTED, EXITED = range(len(EVENTS))


class Tenant(NamedTuple):
    """A VM that was in a row once; rows are used again."""

    row: int
    serial: int


@dataclass(slots=True)
class MigrationTotals:
    """What was carried out so far, and what was not."""

    moves: int = 0
    dropped_gone: int = 0
    dropped_full: int = 0
    migrated_mib: float = 0.0
    downtime_s: float = 0.0
    transfer_s: float = 0.0


class CarryOut:
    """The migrations under way.

    A move waits for those before it as long as any of them is under way and could still make room; then it is dropped.
    While a VM is copied it takes room on both machines.
    """

    def __init__(
        self,
        env: simpy.Environment,
        state: FleetState,
        transfers: list[Migration],
        log: EventLog,
        serial: list[int],
        at_once: int,
        takes_time: bool,
        changed: Callable[[], None],
        finished: Callable[[], None],
    ) -> None:
        """`transfers`: what migrating a VM takes, by shape. `serial`: by row, which of its tenants is there."""
        self.totals = MigrationTotals()
        self._env = env
        self._state = state
        self._transfers = transfers
        self._log = log
        self._serial = serial
        self._at_once = at_once
        self._takes_time = takes_time
        self._changed = changed
        self._finished = finished
        self._queue: deque[tuple[Tenant, Move]] = deque()
        self._under_way: dict[Tenant, tuple[int, int]] = {}
        self._running = False

    def start(self, moves: list[Move], serial: list[int]) -> None:
        """Carry these out, in this order; `finished` is called after the last, at the latest when it has landed.

        `serial`: by row, which of its tenants is meant.
        """
        if not self._takes_time:
            self._make(moves, serial)
            self._finished()
            return
        self._queue.extend((Tenant(move.vm, serial[move.vm]), move) for move in moves)
        self._running = True
        self._go_on()

    def _make(self, moves: list[Move], serial: list[int]) -> None:
        """Nothing comes between moves that take no time, so one kernel call makes them all: 2 us a move, not 9."""
        shape = self._state.shape
        there = [self._serial[move.vm] == serial[move.vm] for move in moves]
        for move, is_there, is_made in zip(moves, there, self._state.move_all(moves, there), strict=True):
            if is_made:
                self._log.add(self._env.now, MIGRATE, move.vm, move.pm, move.numa)
                self._count(self._transfers[shape[move.vm]], move)
            else:
                self._drop(DROP_FULL if is_there and self._state.host[move.vm] >= 0 else DROP_GONE, move.vm)
        self._changed()

    def gone(self, row: int) -> None:
        """The VM in this row exits now: call this before it is taken out of the state."""
        tenant = Tenant(row, self._serial[row])
        source = self._under_way.pop(tenant, None)
        if source is not None:
            self._state.end(row, source, landed=False)
            self._drop(DROP_GONE, tenant.row)

    def settled(self) -> None:
        """Something has left the fleet: a move that waits may have room now."""
        if self._running:
            self._go_on()

    def _go_on(self) -> None:
        queue, state = self._queue, self._state
        while queue and len(self._under_way) < self._at_once:
            tenant, move = queue[0]
            if self._serial[tenant.row] != tenant.serial or state.host[tenant.row] < 0:
                queue.popleft()
                self._drop(DROP_GONE, tenant.row)
            elif state.may_move(*move):
                queue.popleft()
                self._migrate(tenant, move)
            elif self._under_way:
                return
            else:
                queue.popleft()
                self._drop(DROP_FULL, tenant.row)
        if not queue and not self._under_way:
            self._running = False
            self._finished()

    def _migrate(self, tenant: Tenant, move: Move) -> None:
        transfer = self._transfers[self._state.shape[move.vm]]
        self._log.add(self._env.now, MIGRATE, move.vm, move.pm, move.numa)
        self._under_way[tenant] = self._state.begin(*move)
        self._changed()
        landing = self._env.timeout(transfer.duration_s)
        landing.callbacks.append(lambda _event: self._land(tenant, move, transfer))

    def _land(self, tenant: Tenant, move: Move, transfer: Migration) -> None:
        source = self._under_way.pop(tenant, None)
        if source is None:  # it has exited on the way
            return
        self._state.end(move.vm, source)
        self._count(transfer, move)
        self._changed()
        self._go_on()

    def _count(self, transfer: Migration, move: Move) -> None:
        totals = self.totals
        totals.moves += 1
        totals.migrated_mib += transfer.total_mib
        totals.downtime_s += transfer.downtime_s
        totals.transfer_s += transfer.duration_s
        self._log.add(self._env.now, LAND, move.vm, move.pm, move.numa)

    def _drop(self, why: int, row: int) -> None:
        if why == DROP_GONE:
            self.totals.dropped_gone += 1
        else:
            self.totals.dropped_full += 1
        self._log.add(self._env.now, why, row)
