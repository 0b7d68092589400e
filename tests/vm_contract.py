"""What holds for every planner that never does worse than nothing, on small random fleets with all kinds of rules."""

from __future__ import annotations

from typing import Any

import numpy as np
from vm_hand_made import hand_made
from vm_worlds import fleet, may_move

from clustersim.vm_plan import MovePlan, Planner, Task

CORES_4, DOUBLE_4 = 1, 4

RULES: tuple[dict[str, Any], ...] = (
    {},
    {"sets": 8},
    {"sets": 8, "level": "rack", "machines": 10},
    {"immovable": 0.4, "inactive": 2},
    {"sets": 12, "immovable": 0.2, "inactive": 1, "machines": 9},
)


def plan_of(planner: Planner, task: Task, seed: int = 0) -> MovePlan:
    return planner(task, np.random.default_rng(seed))


def assert_plans_are_legal_repeatable_and_never_harm(planner: Planner, seeds: int = 3, mnl: int = 6) -> None:
    gained = 0
    for rules in RULES:
        for seed in range(seeds):
            task = Task(fleet(seed, **rules), mnl)
            plan = plan_of(planner, task, seed)
            assert plan.moves == plan_of(planner, task, seed).moves
            assert len(plan.moves) <= mnl
            state = task.state()
            before = state.fragments
            for move in plan.moves:
                assert may_move(task.snapshot, state, *move)
                state.move(*move)
            assert state.fragments <= before
            assert bool(plan.moves) == (state.fragments < before)
            gained += before - state.fragments
    assert gained > 0


def assert_no_migrations_are_no_plan(planner: Planner) -> None:
    assert plan_of(planner, Task(fleet(0), 0)).moves == ()
    nobody = hand_made([(8, 20), (16, 3)], [])
    assert plan_of(planner, Task(nobody, 0)).moves == ()


def assert_no_migration_is_spent_on_what_may_not_be_migrated(planner: Planner) -> None:
    # The double-NUMA VM would gain twice as much.
    snapshot = hand_made([(12, 12), (12, 0), (4, 4)], [(DOUBLE_4, 0, 0), (CORES_4, 1, 0)], immovable=[0])
    assert [move.vm for move in plan_of(planner, Task(snapshot, 1)).moves] == [1]
