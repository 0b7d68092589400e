"""The world of VM rescheduling: plans are made, wait, and are carried out while VMs come and go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from vm_worlds import SHAPES, fleet, free_on

from clustersim.baselines.vm_planned import PlannedMoves
from clustersim.control import Decision
from clustersim.errors import ConfigError
from clustersim.live_migration import MigrationConfig
from clustersim.policy import RandomPolicy, run
from clustersim.scenarios.vm_rescheduling import (
    PICK_PM,
    PICK_VM,
    PLACE_VM,
    VmRescheduling,
    VmReschedulingSimulation,
)
from clustersim.vm_fleet import Snapshot, fragment_rate
from clustersim.vm_life import FleetLife, still
from clustersim.vm_plan import Move, MovePlan, Task
from clustersim.vm_state import NOWHERE, FleetState


def still_fleet(seed: int) -> FleetLife:
    return still(fleet(seed, machines=12, sets=4))


def living_fleet(seed: int) -> FleetLife:
    """Every VM exits within 100 s; small ones arrive."""
    snapshot = fleet(seed, sets=4)
    rng = np.random.default_rng(seed)
    arrivals = 60
    return FleetLife(
        snapshot,
        rng.uniform(0, 100, len(snapshot)),
        np.sort(rng.uniform(0, 100, arrivals)),
        rng.integers(0, 4, arrivals),
        rng.exponential(30.0, arrivals) + 0.01,
    )


def players() -> dict[str, Any]:
    return {PICK_VM: RandomPolicy(), PICK_PM: RandomPolicy(), PLACE_VM: RandomPolicy()}


def played(scenario: VmRescheduling, seed: int, policies: dict[str, Any] | None = None) -> VmReschedulingSimulation:
    simulation = scenario.build(seed)
    run(simulation, policies or players())
    return simulation


def plan(*moves: Move) -> dict[str, Any]:
    """Whoever is asked carries out these moves."""
    player = PlannedMoves(lambda task, rng: MovePlan(moves))
    return {PICK_VM: player, PICK_PM: player, PLACE_VM: RandomPolicy()}


def any_move(snapshot: Snapshot, wanted: Callable[[int], bool] = lambda vm: True) -> Move:
    """The first legal one of a VM that is wanted."""
    state = FleetState(snapshot)
    return next(
        Move(vm, pm, numa)
        for vm in range(len(snapshot))
        for pm in range(len(snapshot.machines))
        for numa in (0, 1)
        if wanted(vm) and state.may_move(vm, pm, numa)
    )


@pytest.mark.parametrize("flavour_cores", [16, 8])
def test_the_rewards_of_a_plan_add_up_to_the_fall_of_the_fragment_rate(flavour_cores: int) -> None:
    paid = 0
    for seed in range(10):
        simulation = VmRescheduling(still_fleet, mnl=12, flavour_cores=flavour_cores).build(seed)
        policies, rewards = players(), []
        for role, policy in policies.items():
            policy.reset(simulation.streams[role])
        cost = simulation.cost("fragments")
        while (decision := simulation.control.advance()) is not None:
            simulation.control.answer(decision, policies[decision.role].act(decision))
            rewards.append(cost - simulation.cost("fragments"))
            cost = simulation.cost("fragments")
        free = simulation.life.snapshot.free_cores
        before = fragment_rate(free, flavour_cores)
        expected = before - 8 * flavour_cores * sum(rewards) / free.sum()
        assert simulation.metrics()["fragment_rate"] == pytest.approx(expected, abs=1e-12)
        assert fragment_rate(simulation.state.free_cores, flavour_cores) == pytest.approx(expected, abs=1e-12)
        assert all(abs(reward) <= 1 for reward in rewards)
        paid += sum(reward != 0 for reward in rewards)
    assert paid > 10


def test_an_episode_asks_for_exactly_mnl_migrations_and_home_is_always_legal() -> None:
    simulation = VmRescheduling(still_fleet, mnl=9).build(1)
    roles: Counter[str] = Counter()
    while (decision := simulation.control.advance()) is not None:
        roles[decision.role] += 1
        if decision.role == PICK_PM:
            home = int(simulation.draft.state.host[simulation.draft.chosen])
            assert decision.mask[home]
            simulation.control.answer(decision, home)
        else:
            simulation.control.answer(decision, int(decision.mask.argmax()))
    assert roles == {PICK_VM: 9, PICK_PM: 9}
    assert simulation.metrics()["moves"] == 0
    assert simulation.metrics()["fragment_rate"] == simulation.initial_fragment_rate


def test_what_is_planned_is_what_happens_where_nothing_changes_meanwhile() -> None:
    for seed in range(8):
        at_once = played(VmRescheduling(still_fleet, mnl=15), seed)
        later = played(VmRescheduling(still_fleet, mnl=15, delay_s=5.0, takes_time=True), seed)
        for simulation in (at_once, later):
            assert np.array_equal(simulation.state.host, simulation.draft.state.host)
            assert np.array_equal(simulation.state.free_cores, simulation.draft.state.free_cores)
            figures = simulation.metrics()
            assert figures["fragment_rate"] == figures["planned_fragment_rate"]
            assert figures["moves"] == figures["planned_moves"] > 0
            assert figures["dropped_share"] == 0
        assert np.array_equal(at_once.state.host, later.state.host)


def test_one_migration_after_another_lasts_the_delay_and_all_precopies() -> None:
    network = MigrationConfig(bandwidth_mib_s=1000.0, dirty_mib_s=100.0, stop_mib=50.0)
    simulation = played(VmRescheduling(still_fleet, mnl=6, delay_s=3.0, takes_time=True, migration=network), 2)
    shape = simulation.life.snapshot.shape
    expected = [network.of(float(SHAPES.total_memory_mib[shape[move.vm]])) for move in simulation.draft.moves]
    figures = simulation.metrics()
    assert len(expected) > 3
    assert figures["makespan_s"] == pytest.approx(3.0 + sum(transfer.duration_s for transfer in expected))
    assert figures["migrated_mib"] == pytest.approx(sum(transfer.total_mib for transfer in expected))
    assert figures["downtime_s"] == pytest.approx(sum(transfer.downtime_s for transfer in expected))


def test_migrations_at_once_end_earlier_and_in_the_same_fleet() -> None:
    one, four = (played(VmRescheduling(still_fleet, mnl=12, takes_time=True, at_once=at_once), 3) for at_once in (1, 4))
    assert four.env.now < one.env.now
    assert np.array_equal(four.state.host, one.state.host)
    assert four.metrics()["dropped_full"] == 0


def test_a_move_of_a_vm_that_has_exited_is_dropped() -> None:
    snapshot = fleet(0)
    move = any_move(snapshot)
    exit_s = np.where(np.arange(len(snapshot)) == move.vm, 2.0, np.inf)
    none = np.zeros(0)
    life = FleetLife(snapshot, exit_s, none, none.astype(int), none)
    figures = played(VmRescheduling(lambda seed: life, mnl=1, delay_s=4.0), 0, plan(move)).metrics()
    assert (figures["dropped_gone"], figures["dropped_full"], figures["moves"]) == (1, 0, 0)
    in_time = played(VmRescheduling(lambda seed: life, mnl=1, delay_s=1.0), 0, plan(move)).metrics()
    assert (in_time["dropped_gone"], in_time["moves"], in_time["exits"]) == (0, 1, 1)


def test_a_move_to_a_target_that_has_filled_up_is_dropped() -> None:
    snapshot = fleet(0)
    move = any_move(snapshot, lambda vm: snapshot.shape[vm] == 2)
    free = int(snapshot.free_cores[move.pm, move.numa])
    needed = int(SHAPES.cores[2])
    fillers = (free - needed) // 2 + 1
    life = FleetLife(
        snapshot,
        np.full(len(snapshot), np.inf),
        np.full(fillers, 1.0),
        np.zeros(fillers, dtype=int),
        np.full(fillers, np.inf),
    )

    class ThereOnly:
        def reset(self, rng: np.random.Generator) -> None: ...

        def act(self, decision: Decision) -> int:
            decision.detail = move.numa
            return move.pm

    policies = plan(move) | {PLACE_VM: ThereOnly()}
    figures = played(VmRescheduling(lambda seed: life, mnl=1, delay_s=4.0), 0, policies).metrics()
    assert (figures["dropped_gone"], figures["dropped_full"], figures["moves"]) == (0, 1, 0)
    assert figures["arrivals"] == fillers


def test_a_vm_that_exits_on_its_way_leaves_both_machines() -> None:
    snapshot = fleet(0)
    move = any_move(snapshot)
    exit_s = np.where(np.arange(len(snapshot)) == move.vm, 1.0, np.inf)
    none = np.zeros(0)
    life = FleetLife(snapshot, exit_s, none, none.astype(int), none)
    slow = MigrationConfig(bandwidth_mib_s=100.0, dirty_mib_s=0.0)
    simulation = played(VmRescheduling(lambda seed: life, mnl=1, takes_time=True, migration=slow), 0, plan(move))
    assert simulation.metrics()["dropped_gone"] == 1
    shape = snapshot.shape[move.vm]
    assert simulation.state.free_cores.sum() == snapshot.free_cores.sum() + SHAPES.total_cores[shape]
    assert simulation.state.host[move.vm] == NOWHERE


@pytest.mark.parametrize(
    "options",
    [
        {"delay_s": 10.0},
        {"delay_s": 1.0, "every_s": 7.0, "takes_time": True},
        {"every_s": 5.0, "takes_time": True, "at_once": 3, "migration": MigrationConfig(bandwidth_mib_s=500.0)},
    ],
)
def test_drift_loses_no_vm_and_no_core(options: dict[str, Any]) -> None:
    for seed in range(6):
        simulation = VmRescheduling(living_fleet, mnl=8, horizon_s=80.0, **options).build(seed)
        policies = players()
        for role, policy in policies.items():
            policy.reset(simulation.streams[role])
        snapshot, state = simulation.life.snapshot, simulation.state
        while (decision := simulation.control.advance()) is not None:
            present = int((state.host >= 0).sum())
            placed = simulation.arrivals - simulation.rejected
            if decision.role == PLACE_VM:
                placed -= 1  # whoever is being placed, and those of this instant who are yet to be
            assert present <= len(snapshot) + placed - simulation.exits
            simulation.control.answer(decision, policies[decision.role].act(decision))
        under_way = simulation._carry_out._under_way
        figures = simulation.metrics()
        assert figures["vms"] == len(snapshot) + figures["arrivals"] - figures["rejected"] - figures["exits"]
        assert figures["exits"] > 20
        assert figures["calls"] >= 1
        dropped = figures["dropped_gone"] + figures["dropped_full"]
        waiting = len(simulation._carry_out._queue) + len(under_way)
        assert figures["moves"] + dropped + waiting == figures["planned_moves"]
        for vm, source in [(tenant.row, source) for tenant, source in under_way.items()]:
            state.end(vm, source)
        for pm in range(state.machines):
            for node in (0, 1):
                assert (state.free_cores[pm, node], state.free_memory_mib[pm, node]) == free_on(
                    snapshot, state, pm, node
                )


def test_a_policy_cannot_change_who_arrives_and_who_exits() -> None:
    def arrivals(policies: dict[str, Any]) -> tuple[float, float]:
        simulation = played(VmRescheduling(living_fleet, mnl=4, every_s=20.0, horizon_s=90.0), 3, policies)
        return simulation.metrics()["arrivals"], simulation.metrics()["rejected"]

    assert arrivals(players())[0] == arrivals(plan())[0] > 30


def test_the_same_seed_plays_the_same_transcript() -> None:
    scenario = VmRescheduling(living_fleet, mnl=5, every_s=10.0, horizon_s=60.0, takes_time=True)
    first, second, other = (played(scenario, seed).log.lines() for seed in (4, 4, 5))
    assert first == second
    assert first != other


def test_a_call_that_finds_a_plan_under_way_is_skipped() -> None:
    slow = MigrationConfig(bandwidth_mib_s=100.0)
    scenario = VmRescheduling(still_fleet, mnl=10, every_s=5.0, horizon_s=52.0, takes_time=True, migration=slow)
    figures = played(scenario, 0).metrics()
    assert figures["calls"] + figures["skipped_calls"] == 11
    assert figures["skipped_calls"] > 5


def test_a_limit_of_no_migrations_asks_nothing() -> None:
    simulation = VmRescheduling(still_fleet, mnl=0).build(0)
    assert simulation.control.advance() is None
    assert simulation.metrics()["calls"] == 1


def test_a_planner_sees_the_fleet_of_the_call_and_the_limit() -> None:
    seen: list[Task] = []

    def planner(task: Task, _rng: np.random.Generator) -> MovePlan:
        seen.append(task)
        return MovePlan((any_move(task.snapshot),))

    player = PlannedMoves(planner)
    policies = {PICK_VM: player, PICK_PM: player, PLACE_VM: RandomPolicy()}
    simulation = played(VmRescheduling(living_fleet, mnl=3, every_s=30.0, horizon_s=80.0), 6, policies)
    assert [task.mnl for task in seen] == [3, 3, 3]
    assert len({task.snapshot.vm_name for task in seen}) == 3
    assert len(player.seconds) == len(player.plans) == simulation.calls == 3
    assert simulation.metrics()["planned_moves"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mnl": -1}, "mnl\\) is -1; it has to be at least 0"),
        ({"mnl": 10_000}, "mnl\\) is 10000; for fleet 'fleet-0' it has to be from 0 to"),
        ({"delay_s": -1.0}, "delay_s is -1.0"),
        ({"every_s": 0.0}, "every_s is 0.0"),
        ({"every_s": 5.0}, "calls every 5.0 s never end; set horizon_s"),
        ({"horizon_s": 0.0}, "horizon_s is 0.0"),
        ({"at_once": 0}, "at_once is 0"),
        ({"landing": "worst"}, "landing is 'worst'; choose one of best, same, first"),
        ({"flavour_cores": 0}, "flavour_cores is 0"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        VmRescheduling(still_fleet, **({"mnl": 5} | options)).build(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exit_s": np.zeros(2)}, "exit_s of the life of fleet 'fleet-0' has 2 values"),
        ({"lifetime_s": np.zeros(60)}, "lifetimes longer than that"),
        ({"arrival_s": np.linspace(9, 1, 60)}, "arrival 1 .* is before the one listed before it"),
        ({"arrival_shape": np.full(60, 7)}, "shapes .* have to be from 0 to 6"),
    ],
)
def test_a_life_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    life = living_fleet(0)
    parts = {name: getattr(life, name) for name in ("exit_s", "arrival_s", "arrival_shape", "lifetime_s")} | change
    with pytest.raises(ConfigError, match=message):
        FleetLife(life.snapshot, **parts)
