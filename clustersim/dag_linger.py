"""Machines that go on with their task's instances, many instances at a time.

An end after which a machine takes the next instance of the same task changes nothing that anybody is asked about. On
TPC-H queries there are fifty of those for every decision, and an event in SimPy's queue for each of them cost 9 us;
here they are passed over in one kernel call, 0.1 us each, and only the next end that frees a machine is an event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.dag_problem import Floats, Ints
from clustersim.dag_state import NOBODY, DagState, incoming, remove, send

ROOM = 1024
"""Ends that are passed over in one call at most."""
MORE = -2


@dataclass(frozen=True, slots=True, eq=False)
class Clocks:
    """What is measured of M machines, and of all of them: shape (M,) each, and (1,) for the bytes."""

    since_s: Floats  # when the running instance began
    expected_end_s: Floats  # of the running instance, or of the last one
    busy_s: Floats  # by instances that have ended
    transferred_bytes: Floats

    @classmethod
    def of(cls, machines: int) -> Clocks:
        return cls(np.zeros(machines), np.zeros(machines), np.zeros(machines), np.zeros(1))


class Lingering:
    """Which machine runs an instance of which node until when.

    Machines that end at the same instant do so in the order in which they began, as events in a queue would.
    """

    def __init__(
        self,
        state: DagState,
        clocks: Clocks,
        queued: NDArray[np.bool_],
        noise: tuple[Ints, Floats, float],
        kinds: tuple[int, int],
    ) -> None:
        """
        queued: whether something waits for each machine, which then does not go on.
        noise: the first draw of every node, a factor per draw (none: run times are as expected), and the floor.
        kinds: of the events that tell an end and the beginning right after it.
        """
        machines = len(state.up)
        self._state, self._clocks = state, clocks
        self._first_draw, self._factor, self._floor_s = noise
        self._node = np.full(machines, NOBODY, dtype=np.int64)
        self._end_s = np.zeros(machines)
        self._turn = np.zeros(machines, dtype=np.int64)
        self._turns = np.zeros(1, dtype=np.int64)
        self._queued = queued
        self._passed = np.zeros((ROOM, 2, 5))
        self._passed[:, :, 1] = kinds
        self._passed_count = np.zeros(1, dtype=np.int64)
        self._next_end_s = np.full(1, np.inf)
        self._end_ahead_s = np.zeros(machines)
        self._turn_ahead = np.zeros(machines, dtype=np.int64)
        self._unstarted_ahead = np.zeros(len(state.unstarted), dtype=np.int64)

    def start(self, machine: int, node: int, now_s: float, seconds: float) -> None:
        """The machine runs an instance, which ends after the seconds."""
        self._node[machine] = node
        self._end_s[machine] = now_s + seconds
        self._next_end_s[0] = min(self._next_end_s[0], now_s + seconds)
        self._turns[0] += 1
        self._turn[machine] = self._turns[0]

    def next_free_s(self) -> float:
        """When the next machine will be free, if nothing happens before; inf when none is running."""
        state, problem = self._state, self._state.problem
        return float(
            _next_free_s(
                self._node,
                self._end_s,
                self._turn,
                self._turns,
                self._queued,
                state.unstarted,
                state.reserved,
                problem.instances,
                problem.run_time_s,
                self._first_draw,
                self._factor,
                self._floor_s,
                self._end_ahead_s,
                self._turn_ahead,
                self._unstarted_ahead,
            )
        )

    @property
    def next_end_s(self) -> float:
        """No instance ends before this."""
        return self._next_end_s.item()  # type: ignore[no-any-return]

    def pass_until(self, now_s: float) -> tuple[int, NDArray[np.float64]]:
        """Let instances end and begin until now.

        Returns the first machine that ends its instance by then without taking another one (NOBODY: none, MORE: there
        is more to pass), and rows for the log: at each place an instance ended and another one began.
        """
        state, problem = self._state, self._state.problem
        machine = int(
            _pass_until(
                now_s,
                self._node,
                self._end_s,
                self._turn,
                self._turns,
                self._clocks.since_s,
                self._clocks.busy_s,
                self._clocks.expected_end_s,
                self._clocks.transferred_bytes,
                self._queued,
                state.unstarted,
                state.reserved,
                state.ended,
                state.ran_on,
                state.free_at_s,
                state.data_at_s,
                state.ready,
                state.ready_count,
                problem.instances,
                problem.run_time_s,
                problem.pred_start,
                problem.pred,
                problem.pred_bytes,
                problem.succ_start,
                problem.succ,
                problem.succ_bytes,
                problem.latency_s,
                problem.s_per_byte,
                self._first_draw,
                self._factor,
                self._floor_s,
                self._passed,
                self._passed_count,
                self._next_end_s,
            )
        )
        return machine, self._passed[: self._passed_count[0]].reshape(-1, 5)


@njit(cache=True)
def _first(node: Ints, end_s: Floats, turn: Ints) -> int:
    """The machine that ends first, in turn on ties; -1 when none is running."""
    first = -1
    for machine in range(len(node)):
        if node[machine] >= 0 and (
            first < 0
            or end_s[machine] < end_s[first]
            or (end_s[machine] == end_s[first] and turn[machine] < turn[first])
        ):
            first = machine
    return first


@njit(cache=True)
def _seconds(
    node: int, machine: int, started: int, run_time_s: Floats, first_draw: Ints, factor: Floats, floor_s: float
) -> float:
    if len(factor) == 0:
        return float(run_time_s[node, machine])
    return float(max(floor_s, run_time_s[node, machine] * factor[first_draw[node] + started]))


@njit(cache=True)
def _next_free_s(  # type: ignore[no-untyped-def]
    node, end_s, turn, turns, queued, unstarted, reserved, instances, run_time_s, first_draw, factor, floor_s,
    end_ahead_s, turn_ahead, unstarted_ahead,
) -> float:  # fmt: skip
    for machine in range(len(node)):
        end_ahead_s[machine] = end_s[machine]
        turn_ahead[machine] = turn[machine]
        if node[machine] >= 0:
            unstarted_ahead[node[machine]] = unstarted[node[machine]]
    last_turn = turns[0]
    while True:
        machine = _first(node, end_ahead_s, turn_ahead)
        if machine < 0:
            return np.inf
        of = node[machine]
        if queued[machine] or unstarted_ahead[of] <= reserved[of]:
            return float(end_ahead_s[machine])
        started = instances[of] - unstarted_ahead[of]
        unstarted_ahead[of] -= 1
        end_ahead_s[machine] += _seconds(of, machine, started, run_time_s, first_draw, factor, floor_s)
        last_turn += 1
        turn_ahead[machine] = last_turn


@njit(cache=True)
def _pass_until(  # type: ignore[no-untyped-def]
    now_s, node, end_s, turn, turns, since_s, busy_s, expected_end_s, transferred_bytes, queued, unstarted, reserved,
    ended, ran_on, free_at_s, data_at_s, ready, ready_count, instances, run_time_s, pred_start, pred, pred_bytes,
    succ_start, succ, succ_bytes, latency_s, s_per_byte, first_draw, factor, floor_s, passed, passed_count,
    next_end_s,
) -> int:  # fmt: skip
    passed_count[0] = 0
    while True:
        machine = _first(node, end_s, turn)
        next_end_s[0] = np.inf if machine < 0 else end_s[machine]
        if next_end_s[0] > now_s:
            return -1
        of = node[machine]
        if queued[machine] or unstarted[of] <= reserved[of]:
            node[machine] = -1
            following = _first(node, end_s, turn)
            next_end_s[0] = np.inf if following < 0 else end_s[following]
            return machine
        if passed_count[0] == len(passed):
            return MORE
        at_s = end_s[machine]
        for moment in range(2):
            event = passed[passed_count[0], moment]
            event[0], event[2], event[3] = at_s, of, machine
        passed_count[0] += 1
        ended[of] += 1
        ran_on[of, machine] += 1
        send(of, machine, at_s, instances, succ_start, succ, succ_bytes, latency_s, s_per_byte, data_at_s)
        started = instances[of] - unstarted[of]
        unstarted[of] -= 1
        if unstarted[of] == reserved[of]:
            remove(ready, ready_count, of)
        busy_s[machine] += at_s - since_s[machine]
        since_s[machine] = at_s
        end_s[machine] = at_s + _seconds(of, machine, started, run_time_s, first_draw, factor, floor_s)
        expected_end_s[machine] = free_at_s[machine] = at_s + run_time_s[of, machine]
        transferred_bytes[0] += incoming(of, machine, instances, pred_start, pred, pred_bytes, ran_on)
        turns[0] += 1
        turn[machine] = turns[0]
