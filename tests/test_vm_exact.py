"""The exact planner: brute force on tiny fleets, two solvers with one answer, and plans that can be carried out."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_fleets import FLAVOUR, fewest_fragments, small_fleet, tiny_fleet

from clustersim.baselines.vm_exact import Exact
from clustersim.baselines.vm_ha import Ha
from clustersim.errors import ConfigError, TraceWarning
from clustersim.traces.vm_like import VmLike
from clustersim.traces.vm_snapshot import read_snapshot
from clustersim.vm_fleet import AntiAffinity, Snapshot
from clustersim.vm_plan import Move, MovePlan, Task, carried_out

KINDS = {
    "plain": {"plain": True},
    "with machines that are not active and VMs that stay": {},
    "with host sets": {"host_sets": 2},
    "with host and rack sets": {"host_sets": 2, "rack_sets": 1, "machines": 4},
}


def planned(task: Task, planner: Exact | None = None) -> MovePlan:
    return (planner or Exact(budget_s=60))(task, np.random.default_rng(0))


def rate(task: Task, plan: MovePlan) -> float:
    return carried_out(task, plan.moves).fragment_rate


# --- it is the optimum


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mnl", [1, 2])
def test_plans_of_tiny_fleets_are_as_good_as_brute_force(kind: str, mnl: int) -> None:
    for seed in range(12):
        task = Task(tiny_fleet(seed, **KINDS[kind]), mnl, FLAVOUR)
        plan, best = planned(task), fewest_fragments(task)
        assert plan.bound <= best + 1e-9
        assert rate(task, plan) == pytest.approx(best)
        if plan.figures["optimal"]:
            assert plan.bound == pytest.approx(best)


@pytest.mark.parametrize("kind", KINDS)
def test_with_three_moves_they_are_so_too(kind: str) -> None:
    for seed in range(3):
        task = Task(tiny_fleet(seed, **KINDS[kind]), 3, FLAVOUR)
        plan, best = planned(task), fewest_fragments(task)
        assert plan.bound <= best + 1e-9
        assert rate(task, plan) == pytest.approx(best)


@pytest.mark.parametrize("kind", KINDS)
def test_cp_sat_has_the_same_answer_as_brute_force(kind: str) -> None:
    for seed in range(20, 25):
        task = Task(tiny_fleet(seed, **KINDS[kind]), 2, FLAVOUR)
        plan, best = planned(task, Exact(budget_s=60, solver="cp-sat")), fewest_fragments(task)
        assert plan.bound <= best + 1e-9
        assert rate(task, plan) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(3))
def test_both_solvers_prove_the_same_optimum(seed: int) -> None:
    task = Task(VmLike(machines=12, host_sets=10, rack_sets=2, set_size=2, machines_per_rack=4)(seed), 6)
    highs, cp_sat = planned(task), planned(task, Exact(budget_s=60, solver="cp-sat"))
    assert highs.figures["optimal"] == cp_sat.figures["optimal"] == 1
    assert rate(task, highs) == rate(task, cp_sat) == highs.bound == cp_sat.bound


def test_memory_that_runs_out_before_cores_binds() -> None:
    fleet = small_fleet([(4, 0), (5, 0)], [("two", 0), ("two", 1), ("one", 1)])
    with_room = Task(fleet, 1, FLAVOUR)
    assert rate(with_room, planned(with_room)) == 0
    full = Task(replace(fleet, free_memory_mib=np.full((2, 2), 9)), 1, FLAVOUR)
    assert (planned(full).moves, planned(full).bound) == ((), 1.0)


# --- what can be carried out


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(KINDS)), st.integers(0, 5))
def test_any_plan_is_legal_conserves_free_cores_and_respects_its_bound(seed: int, kind: str, mnl: int) -> None:
    fleet = tiny_fleet(seed, vms=9, **KINDS[kind])
    task = Task(fleet, min(mnl, len(fleet)), FLAVOUR)
    plan = planned(task)
    after = carried_out(task, plan.moves)
    assert after.free_cores.sum() == fleet.free_cores.sum()
    assert plan.bound <= after.fragment_rate + 1e-9
    assert after.fragment_rate <= task.state().fragment_rate
    assert plan.figures["price"] == pytest.approx(after.fragment_rate - plan.figures["unordered"])


SWAP = small_fleet([(7, 0), (5, 0), (4, 0), (5, 0)], [("five", 0), ("three", 1), ("five", 3)])
"""Best is to have three on pm-0 and five on pm-1, which have 2 cores free each. Three could wait on the 4 of pm-2, but
not stay there: they are a block."""


def test_vms_that_have_to_change_places_do_so_by_way_of_another_machine() -> None:
    task = Task(SWAP, 3, FLAVOUR)
    plan = planned(task)
    assert plan.moves == (Move(1, 2, 0), Move(0, 1, 0), Move(1, 0, 0))
    assert (rate(task, plan), plan.figures["detours"], plan.figures["price"]) == (0, 1, 0)


def test_without_a_migration_for_the_detour_the_price_of_order_is_reported() -> None:
    plan = planned(Task(SWAP, 2, FLAVOUR))
    assert plan.bound == plan.figures["unordered"] == 0
    assert (plan.moves, plan.figures["price"], plan.figures["optimal"]) == ((), 0.5, 0)


def test_where_the_optimum_has_no_order_there_may_be_others_that_have_one() -> None:
    task = Task(tiny_fleet(47, host_sets=2, machines=4, vms=9), 2, FLAVOUR)
    assert rate(task, planned(task)) == pytest.approx(fewest_fragments(task)) == pytest.approx(0.25)


def test_fewer_changes_may_leave_a_migration_for_the_detour_that_they_need() -> None:
    task = Task(tiny_fleet(13, host_sets=2, machines=4, vms=9), 4, FLAVOUR)
    plan = planned(task)
    assert rate(task, plan) == pytest.approx(0.2)
    assert plan.figures["detours"] == 1


def test_a_vm_comes_to_the_other_numa_node_of_its_machine_in_two_migrations() -> None:
    # One breaks the block of 4 cores on node 0; it would not on node 1 with 5, but on pm-1 it would again.
    fleet = small_fleet([(4, 5), (4, 0), (5, 0)], [("one", 0), ("five", 2)])
    once, twice = planned(Task(fleet, 1, FLAVOUR)), planned(Task(fleet, 2, FLAVOUR))
    assert (once.moves, once.figures["optimal"]) == ((), 1)
    assert (twice.moves, twice.bound) == ((Move(0, 1, 0), Move(0, 0, 1)), 0.0)


def test_where_nobody_may_go_nothing_is_planned() -> None:
    fleet = VmLike(machines=6)(0)
    at_rest = replace(fleet, movable=np.zeros(len(fleet), dtype=np.bool_))
    closed = replace(fleet, machines=replace(fleet.machines, active=np.zeros(6, dtype=np.bool_)))
    for task in (Task(fleet, 0), Task(at_rest, 5), Task(closed, 5)):
        plan = planned(task)
        assert plan.moves == ()
        assert plan.bound == pytest.approx(task.state().fragment_rate)
        assert plan.figures["optimal"] == 1


# --- anti-affinity


def test_a_set_in_the_way_is_proven_to_be() -> None:
    # One would complete the block of pm-0 on any of the other two, but for the VMs that are there.
    fleet = small_fleet([(4, 0), (3, 0), (3, 0)], [("one", 0), ("two", 1), ("two", 2)], movable=[True, False, False])
    free = planned(Task(fleet, 1, FLAVOUR))
    assert len(free.moves) == 1
    sets = (AntiAffinity("host", (0, 1)), AntiAffinity("rack", (0, 2)))
    bound = planned(Task(replace(fleet, anti_affinity=sets), 1, FLAVOUR))
    assert (bound.moves, bound.bound, bound.figures["optimal"]) == ((), 1.0, 1)
    assert bound.figures["split_sets"] == 2
    assert planned(Task(replace(fleet, anti_affinity=sets[:1]), 1, FLAVOUR)).moves == (Move(0, 2, 0),)


def test_with_165_sets_there_is_still_a_proven_optimum() -> None:
    fleet = VmLike(machines=60, host_sets=150, rack_sets=15, set_size=4, machines_per_rack=10)(3)
    task = Task(fleet, 15)
    plan = planned(task)
    assert plan.figures["optimal"] == 1
    assert rate(task, plan) == plan.bound
    assert plan.bound >= planned(Task(fleet.without_anti_affinity(), 15)).bound


# --- time


def test_no_time_at_all_is_enough_for_the_greedy_plan() -> None:
    task = Task(VmLike(machines=40)(1), 10)
    plan = planned(task, Exact(budget_s=1e-9))
    assert plan.figures["models"] == 0
    assert rate(task, plan) == rate(task, Ha()(task, np.random.default_rng(0)))


def test_without_a_proof_the_plan_is_still_legal_and_its_bound_valid() -> None:
    task = Task(VmLike(machines=40)(1), 10)
    quick, proven = planned(task, Exact(prove=False)), planned(task)
    assert quick.bound <= proven.bound <= rate(task, quick)


def test_the_same_task_has_the_same_plan() -> None:
    task = Task(VmLike(machines=30, host_sets=20)(5), 10)
    assert planned(task).moves == planned(task).moves
    for solver in ("highs", "cp-sat"):
        by_count = Exact(budget_s=0.5, solver=solver, clock="deterministic")
        assert planned(task, by_count).moves == planned(task, by_count).moves


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget_s": 0.0}, "budget_s is 0.0"),
        ({"solver": "gurobi"}, "solver is 'gurobi'; choose highs or cp-sat"),
        ({"clock": "sundial"}, "clock is 'sundial'; choose wall or deterministic"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Exact(**options)


# --- the real snapshot


@pytest.fixture(scope="module")
def real() -> Snapshot:
    root = Path(os.environ.get("CLUSTERSIM_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
    found = sorted(root.glob("**/reset_vm_pm0*.json*"))
    if not found:
        pytest.skip(f"the snapshot of VMR2L is not in {root}; name its folder in CLUSTERSIM_TRACES")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TraceWarning)
        return read_snapshot(found[0])


@pytest.mark.long
@pytest.mark.parametrize(("mnl", "best"), [(10, 0.4435), (20, 0.3275), (50, 0.1768)])
def test_the_optimum_of_the_real_snapshot_is_proven_and_can_be_carried_out(
    real: Snapshot, mnl: int, best: float
) -> None:
    task = Task(real, mnl)
    plan = planned(task)
    assert rate(task, plan) == pytest.approx(best, abs=1e-4)
    assert plan.bound == rate(task, plan)
    assert plan.figures["unordered"] == plan.bound
