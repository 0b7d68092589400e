"""alpha-VBPP on fleets with a known answer, and what holds for every planner."""

from __future__ import annotations

from typing import Any

import pytest
from vm_contract import (
    assert_no_migration_is_spent_on_what_may_not_be_migrated,
    assert_no_migrations_are_no_plan,
    assert_plans_are_legal_repeatable_and_never_harm,
    plan_of,
)
from vm_hand_made import hand_made
from vm_worlds import fleet

from clustersim.baselines.vm_alpha_vbpp import AlphaVbpp
from clustersim.errors import ConfigError
from clustersim.vm_fleet import AntiAffinity
from clustersim.vm_plan import Move, Task

CORES_2, CORES_4, CORES_8, CORES_16 = range(4)


@pytest.mark.parametrize("options", [{"alpha": 1}, {}, {"alpha": 50}, {"packing": "dot-product"}])
def test_plans_are_legal_repeatable_and_never_harm(options: dict[str, Any]) -> None:
    assert_plans_are_legal_repeatable_and_never_harm(AlphaVbpp(**options))


def test_no_migrations_are_no_plan() -> None:
    assert_no_migrations_are_no_plan(AlphaVbpp())


def test_no_migration_is_spent_on_what_may_not_be_migrated() -> None:
    assert_no_migration_is_spent_on_what_may_not_be_migrated(AlphaVbpp())


def test_a_removed_vm_goes_where_least_room_is_left_or_where_the_dot_product_is_largest() -> None:
    task = Task(hand_made([(12, 0), (20, 0), (4, 0)], [(CORES_4, 0, 0)]), 1)
    assert plan_of(AlphaVbpp(), task).moves == (Move(0, 2, 0),)
    assert plan_of(AlphaVbpp(packing="dot-product"), task).moves == (Move(0, 1, 0),)


def test_vms_are_removed_by_what_their_leaving_gains() -> None:
    for vms in ([(CORES_8, 0, 0), (CORES_4, 1, 0)], [(CORES_4, 1, 0), (CORES_8, 0, 0)]):
        plan = plan_of(AlphaVbpp(), Task(hand_made([(8, 0), (12, 0), (12, 0)], vms), 1))
        assert [vms[move.vm] for move in plan.moves] == [(CORES_4, 1, 0)]


def test_a_vm_goes_neither_to_the_other_numa_node_at_home_nor_to_a_member_of_its_set() -> None:
    # The room would be least at home on node 1, then on machine 1, then on machine 2.
    free, vms = [(12, 4), (5, 0), (6, 0)], [(CORES_4, 0, 0), (CORES_2, 1, 1)]
    for sets, pm in (((), 1), ((AntiAffinity("host", (0, 1)),), 2)):
        plan = plan_of(AlphaVbpp(), Task(hand_made(free, vms, sets=sets, immovable=[1]), 1))
        assert plan.moves == (Move(0, pm, 0),)


@pytest.mark.parametrize("why", ["memory", "set"])
def test_a_vm_waits_for_the_one_whose_place_it_takes(why: str) -> None:
    # VM 1 is removed first, as its leaving gains 12, but it may go to machine 0 only when VM 0 has gone.
    snapshot = hand_made(
        [(12, 0), (28, 0), (8, 0)],
        [(CORES_8, 0, 0), (CORES_4, 1, 0)],
        free_gib=[(0, 0), (30, 0), (16, 0)] if why == "memory" else None,
        sets=[AntiAffinity("host", (0, 1))] if why == "set" else [],
    )
    plan = plan_of(AlphaVbpp(), Task(snapshot, 2))
    assert plan.moves == (Move(0, 2, 0), Move(1, 0, 0))


def test_a_round_that_gains_nothing_is_taken_back() -> None:
    # Its leaving gains 12, but where it goes it breaks a block of 16.
    snapshot = hand_made([(12, 0), (16, 0)], [(CORES_4, 0, 0)], free_gib=[(100, 0), (5, 0)])
    plan = plan_of(AlphaVbpp(), Task(snapshot, 1))
    assert (plan.moves, plan.figures["rounds"]) == ((), 1)


def test_rounds_of_any_size_stay_within_the_migration_number_limit() -> None:
    for alpha in (1, 3, 4, 50):
        task = Task(fleet(1, machines=12), 5)
        plan = plan_of(AlphaVbpp(alpha), task)
        assert 0 < len(plan.moves) <= 5
        assert len({move.vm for move in plan.moves}) == len(plan.moves)


def test_contradictory_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="alpha is 0"):
        AlphaVbpp(0)
    with pytest.raises(ConfigError, match="choose one of best-fit, dot-product"):
        AlphaVbpp(packing="worst-fit")  # type: ignore[arg-type]
