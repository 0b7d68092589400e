"""Plans that take no time: made in one go, in order, what is stale dropped."""

from __future__ import annotations

import numpy as np
import simpy
from vm_worlds import fleet

from clustersim.eventlog import EventLog
from clustersim.live_migration import MigrationConfig
from clustersim.scenarios.vm_carry_out import EVENTS, CarryOut
from clustersim.vm_plan import Move
from clustersim.vm_state import FleetState


def legal_move(state: FleetState) -> Move:
    vms, machines = np.zeros(state.rows, dtype=bool), np.zeros(state.machines, dtype=bool)
    state.vm_mask(vms)
    vm = int(vms.argmax())
    state.pm_mask(vm, machines)
    pm = int(machines.argmax())
    return Move(vm, pm, state.landing(vm, pm))


def test_a_move_is_dropped_when_another_vm_is_in_the_row_by_now() -> None:
    state = FleetState(fleet(0))
    move = legal_move(state)
    at_call = [0] * state.rows
    now = [number == move.vm for number in range(state.rows)]
    told: list[str] = []
    log = EventLog(EVENTS)
    transfers = [MigrationConfig().of(1024.0)] * len(state.snapshot.shapes)
    carry_out = CarryOut(
        simpy.Environment(), state, transfers, log, [int(later) for later in now], 1, False,
        lambda: told.append("changed"), lambda: told.append("finished"),
    )  # fmt: skip
    carry_out.start([move], at_call)
    assert (carry_out.totals.moves, carry_out.totals.dropped_gone, carry_out.totals.dropped_full) == (0, 1, 0)
    assert state.host[move.vm] != move.pm
    assert log.lines() == [f"t=0.000 drop-gone subject={move.vm} place=-1 value=0"]
    assert told[-1] == "finished"
    carry_out.start([move, move], [int(later) for later in now])
    assert (carry_out.totals.moves, carry_out.totals.dropped_gone, carry_out.totals.dropped_full) == (1, 1, 1)
    assert state.host[move.vm] == move.pm
    assert told.count("finished") == 2


def test_moves_made_in_one_go_are_those_made_one_by_one() -> None:
    for seed in range(4):
        one, all_at_once = (FleetState(fleet(seed, machines=8, sets=8)) for _ in range(2))
        rng = np.random.default_rng(seed)
        moves = [
            Move(int(rng.integers(one.rows)), int(rng.integers(one.machines)), int(rng.integers(2))) for _ in range(200)
        ]
        wanted = (rng.random(200) < 0.9).tolist()
        expected = []
        for move, want in zip(moves, wanted, strict=True):
            expected.append(want and one.may_move(*move))
            if expected[-1]:
                one.move(*move)
        assert all_at_once.move_all(moves, wanted) == expected
        assert sum(expected) > 3
        np.testing.assert_array_equal(all_at_once.host, one.host)
        np.testing.assert_array_equal(all_at_once.free_cores, one.free_cores)
        assert all_at_once.fragments == one.fragments == int((one.free_cores % 16).sum())
