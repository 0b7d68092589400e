"""POP: what the parts share and do not share, and what holds for every planner."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from vm_contract import (
    assert_no_migration_is_spent_on_what_may_not_be_migrated,
    assert_no_migrations_are_no_plan,
    assert_plans_are_legal_repeatable_and_never_harm,
    plan_of,
)
from vm_hand_made import hand_made
from vm_worlds import fleet

from clustersim.baselines.vm_exact import Exact
from clustersim.baselines.vm_pop import Pop
from clustersim.errors import ConfigError
from clustersim.vm_fleet import AntiAffinity, Snapshot
from clustersim.vm_plan import Task, carried_out

CORES_4, CORES_16 = 1, 3


def test_plans_are_legal_repeatable_and_never_harm() -> None:
    assert_plans_are_legal_repeatable_and_never_harm(Pop(3, budget_s=60.0), seeds=2)


def test_no_migrations_are_no_plan() -> None:
    assert_no_migrations_are_no_plan(Pop())


def test_no_migration_is_spent_on_what_may_not_be_migrated() -> None:
    assert_no_migration_is_spent_on_what_may_not_be_migrated(Pop(1))


def test_one_part_is_the_exact_method_and_more_parts_are_no_better() -> None:
    task = Task(fleet(3, machines=16), 8)
    exact = carried_out(task, plan_of(Exact(), task).moves).fragments
    whole, split = (carried_out(task, plan_of(Pop(k), task).moves).fragments for k in (1, 6))
    assert whole == exact < split
    assert isnan(plan_of(Pop(6), task).bound)


@pytest.mark.parametrize("seed", range(4))
def test_no_vm_leaves_its_part(seed: int) -> None:
    task = Task(fleet(seed, machines=16), 12)
    plan = plan_of(Pop(4), task, seed)
    together = np.eye(16, dtype=np.int64)
    host = task.snapshot.host.copy()
    for vm, pm, _ in plan.moves:
        together[host[vm], pm] = together[pm, host[vm]] = 1
        host[vm] = pm
    reachable = np.linalg.matrix_power(together, 16) > 0
    assert plan.moves
    assert reachable.sum(axis=1).max() <= 4


def test_migrations_are_shared_out_by_the_number_of_vms_and_none_is_lost() -> None:
    # Each machine is a pair with itself alone in a part of 2; two pairs could use one migration each.
    pair = [(12, 0), (4, 0)]
    snapshot = hand_made(pair * 8, [(CORES_4, 2 * i, 0) for i in range(8)])
    for k in (1, 2, 4):
        for mnl in (1, 3, 8):
            assert len(plan_of(Pop(k), Task(snapshot, mnl), seed=1).moves) <= mnl
    assert len(plan_of(Pop(2), Task(snapshot, 3), seed=1).moves) == 3


def clash() -> Snapshot:
    """VMs 0 and 1 may not be in one rack, and the only machines that could take them, 1 and 3, are in one."""
    return hand_made(
        [(12, 0), (4, 0), (12, 0), (4, 0)],
        [(CORES_4, 0, 0), (CORES_4, 2, 0)],
        rack=[0, 1, 2, 1],
        sets=[AntiAffinity("rack", (0, 1))],
    )


def test_a_move_that_another_part_has_made_illegal_is_left_out() -> None:
    both = 0
    for seed in range(12):
        task, free = Task(clash(), 2), Task(clash().without_anti_affinity(), 2)
        assert len(plan_of(Pop(2), task, seed).moves) <= 1
        both += len(plan_of(Pop(2), free, seed).moves) == 2
    assert both > 2


def test_parts_without_machines_vms_or_free_cores_are_passed_over() -> None:
    snapshot = hand_made([(12, 0), (0, 0), (4, 0)], [(CORES_4, 0, 0), (CORES_16, 1, 0)])
    for k in (1, 2, 3, 9):
        for seed in range(4):
            assert len(plan_of(Pop(k), Task(snapshot, 2), seed).moves) <= 1
    assert len(plan_of(Pop(1), Task(snapshot, 2)).moves) == 1
    assert plan_of(Pop(3), Task(snapshot, 2)).moves == ()


def test_contradictory_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="k is 0"):
        Pop(0)
    with pytest.raises(ConfigError, match="budget_s is -1"):
        Pop(budget_s=-1.0)
