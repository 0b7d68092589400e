"""HA, no-op and random rescheduling: every move of HA against all others in plain Python, and ties."""

from __future__ import annotations

import numpy as np
import pytest
from vm_contract import (
    RULES,
    assert_no_migration_is_spent_on_what_may_not_be_migrated,
    assert_no_migrations_are_no_plan,
    assert_plans_are_legal_repeatable_and_never_harm,
    plan_of,
)
from vm_hand_made import hand_made
from vm_worlds import fleet, free_on, may_move

from clustersim.baselines.vm_ha import Ha
from clustersim.baselines.vm_no_op import no_op
from clustersim.baselines.vm_random import RandomMoves
from clustersim.vm_fleet import AntiAffinity, Snapshot
from clustersim.vm_plan import Move, Task, carried_out
from clustersim.vm_state import FleetState

CORES_2, CORES_4, CORES_8, CORES_16, DOUBLE_4 = range(5)
FLAVOUR = 16


def drop(snapshot: Snapshot, state: FleetState, move: Move) -> int:
    """By how many fragments a move reduces those of its two machines."""
    shape = state.shape[move.vm]
    cores, double = int(snapshot.shapes.cores[shape]), bool(snapshot.shapes.double[shape])
    total = 0
    for pm, numa, sign in ((int(state.host[move.vm]), int(state.numa[move.vm]), 1), (move.pm, move.numa, -1)):
        for node in (0, 1) if double else (numa,):
            free, _ = free_on(snapshot, state, pm, node)
            total += free % FLAVOUR - (free + sign * cores) % FLAVOUR
    return total


def best_moves(snapshot: Snapshot, state: FleetState) -> tuple[int, list[Move]]:
    """The largest drop of all legal moves, and the moves that reach it: lowest VM first, then machine, then node."""
    drops = {
        move: drop(snapshot, state, move)
        for vm in range(len(snapshot))
        for pm in range(state.machines)
        for numa in (0, 1)
        if may_move(snapshot, state, *(move := Move(vm, pm, numa)))
    }
    most = max(drops.values(), default=0)
    return most, [move for move, gain in drops.items() if gain == most]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("seed", range(3))
def test_every_move_is_the_first_of_the_best(seed: int, rules: dict[str, int]) -> None:
    task = Task(fleet(seed, **rules), 4)
    plan = Ha()(task, np.random.default_rng(0))
    state = task.state()
    for move in plan.moves:
        most, best = best_moves(task.snapshot, state)
        assert most > 0
        assert move == best[0]
        state.move(*move)
    assert len(plan.moves) == task.mnl or best_moves(task.snapshot, state)[0] <= 0


def test_it_stops_where_no_move_helps() -> None:
    # A VM of 4 cores on each node, 4 cores free: wherever one goes, as many fragments remain.
    snapshot = hand_made([(4, 4), (4, 4)], [(CORES_4, 0, 0), (CORES_4, 1, 0)])
    assert plan_of(Ha(), Task(snapshot, 2)).moves == ()


def test_of_equal_moves_the_lowest_vm_goes_to_the_lowest_machine_and_node() -> None:
    vms = [(CORES_4, 0, 1), (CORES_4, 0, 0), (CORES_2, 2, 0), (CORES_4, 0, 1)]
    snapshot = hand_made([(12, 12), (4, 4), (4, 4)], vms)
    assert plan_of(Ha(), Task(snapshot, 1)).moves == (Move(0, 1, 0),)


def test_a_vm_lands_on_the_numa_node_that_gains_most() -> None:
    # Both nodes of machine 1 have room; on node 0 the remainder of 2 would become one of 14.
    snapshot = hand_made([(12, 0), (18, 4)], [(CORES_4, 0, 0)])
    assert plan_of(Ha(), Task(snapshot, 1)).moves == (Move(0, 1, 1),)


def test_a_set_leads_to_the_next_best_machine() -> None:
    together = AntiAffinity("host", (0, 1))
    snapshot = hand_made([(12, 0), (4, 0), (6, 0)], [(CORES_4, 0, 0), (CORES_2, 1, 1)], sets=[together])
    assert plan_of(Ha(), Task(snapshot, 1)).moves == (Move(0, 2, 0),)
    assert plan_of(Ha(), Task(snapshot.without_anti_affinity(), 1)).moves == (Move(0, 1, 0),)


def test_plans_of_ha_are_legal_repeatable_and_never_harm() -> None:
    assert_plans_are_legal_repeatable_and_never_harm(Ha())
    assert_no_migrations_are_no_plan(Ha())
    assert_no_migration_is_spent_on_what_may_not_be_migrated(Ha())


def test_no_op_leaves_everything_where_it_is() -> None:
    assert plan_of(no_op, Task(fleet(0), 5)).moves == ()


@pytest.mark.parametrize("rules", RULES)
def test_random_moves_are_legal_and_as_many_as_allowed(rules: dict[str, int]) -> None:
    task = Task(fleet(1, **rules), 12)
    plan = plan_of(RandomMoves(), task, seed=3)
    assert len(plan.moves) == 12
    carried_out(task, plan.moves)
    assert plan.moves == plan_of(RandomMoves(), task, seed=3).moves
    assert plan.moves != plan_of(RandomMoves(), task, seed=4).moves


def test_random_moves_end_where_nothing_may_move() -> None:
    snapshot = hand_made([(0, 0), (2, 0)], [(CORES_4, 0, 0), (CORES_2, 0, 1)])
    moves = plan_of(RandomMoves(), Task(snapshot, 2)).moves
    assert moves[0] == Move(1, 1, 0)
    assert plan_of(RandomMoves(), Task(hand_made([(0, 0), (2, 0)], [(CORES_4, 0, 0)]), 1)).moves == ()
