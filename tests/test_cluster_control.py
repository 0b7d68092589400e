"""The shared cluster as a whole: power under its budgets, no pod lost, exact finish times, costs, questions, errors."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from control_worlds import (
    at,
    check_costs,
    check_everything,
    check_queue,
    control_workload,
    control_workloads,
    events,
    fail_at,
    first_node,
    oversubscribed,
    played,
    players,
    random_players,
    rough_scenarios,
    scenario,
    service,
    since,
    watched,
    when,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import FEW, Calling, node, pod

from clustersim.baselines.joint import joint_policies
from clustersim.control import Decision
from clustersim.control_workload import ControlWorkload, ServiceLoad
from clustersim.errors import ConfigError
from clustersim.failures import FailureConfig
from clustersim.hardware import servers_of
from clustersim.interference import PAIRS
from clustersim.live_migration import MigrationConfig
from clustersim.policy import Policy, run
from clustersim.power import PowerConfig
from clustersim.power_curves import clock_speed
from clustersim.preemption import pick_node
from clustersim.scenarios.cluster_control import COMPONENTS, ClusterControl, CostWeights
from clustersim.scenarios.control_roles import (
    CAPPER,
    HIGH_CLOCKS,
    LOW_CLOCKS,
    PLACER,
    ROLES,
    SCALER_NOOP,
    capper_candidate,
    scaler_candidate,
)
from clustersim.scenarios.control_world import ControlSimulation
from clustersim.traces.control_load import control_source
from clustersim.traces.control_scenario import control_scenario

THOROUGH = settings(max_examples=300, deadline=None, derandomize=True)
KWH_J = 3.6e6
BUSY = "placer=fgd,scaler=kpa,capper=polca,migrator=ha"
IDLE = "placer=random,scaler=fixed,capper=no-cap,migrator=none"


def joint(text: str) -> dict[str, Policy]:
    return {role: make() for role, make in joint_policies(text).items()}


def rough_small(duration_s: float) -> ClusterControl:
    """The preset `small` with little power, and nodes that fail."""
    failures = FailureConfig(multiplier=20_000.0, repair_mean_s=200.0)
    return control_scenario("small", duration_s=duration_s, power=PowerConfig(oversubscription=0.28), failures=failures)


def heavy(**options: Any) -> ClusterControl:
    """Two rows, of a GPU server each, that are busy enough to brake; they fail as well."""
    world = control_workload(
        [node(32_000, 65_536, gpus=8, model="A100")] * 2,
        [pod(gpus=4, duration=80.0 + k, arrival=15.0 * k, priority=k % 3) for k in range(30)],
        [service("a", 25.0, gpu_milli=500), service("b", 15.0, gpu_milli=1000, image="b", image_mib=500)],
        rows=[0, 1],
        clock_sensitivity=0.5,
    )
    failures = FailureConfig(per_1000_node_days=5e5, repair_mean_s=60.0)
    power = oversubscribed(world, 0.95)
    return scenario(world, **{"power": power, "failures": failures, "log_power": True, **options})


# --- power


def power_of_rows(simulation: ControlSimulation) -> tuple[np.ndarray, np.ndarray]:
    """Times (E,) and the power of the rows from each to the next (E, R), by the log alone; the last time is the end."""
    log = events(simulation, "power")
    node_w = np.zeros(len(simulation.workload.nodes))
    time_s, power_w = [0.0], [np.zeros(simulation.workload.rows)]
    for now_s, _, n, _, milliwatt in log:
        node_w[n] = milliwatt / 1000
        time_s.append(now_s)
        power_w.append(np.bincount(simulation.workload.row, weights=node_w))
    return np.array([*time_s, simulation.env.now]), np.array([*power_w, power_w[-1]])


def longest_above_budget_s(simulation: ControlSimulation) -> float:
    time_s, power_w = power_of_rows(simulation)
    longest_s = 0.0
    for row, budget_w in enumerate(simulation.budget_w):
        above_since_s = inf
        for now_s, watts in zip(time_s, power_w[:, row], strict=True):
            longest_s = max(longest_s, now_s - above_since_s)
            # The log rounds each node to a milliwatt.
            above = watts > budget_w + 0.001 * len(simulation.workload.nodes)
            above_since_s = min(above_since_s, now_s) if above else inf
    return longest_s


def check_power(simulation: ControlSimulation) -> None:
    power = simulation.scenario.power
    assert longest_above_budget_s(simulation) <= power.telemetry_s + power.brake_delay_s + 1e-6
    time_s, power_w = power_of_rows(simulation)
    energy_j = np.diff(time_s) @ power_w[:-1]
    rounding_j = 0.001 * len(simulation.workload.nodes) * simulation.env.now
    for row in range(simulation.workload.rows):
        assert simulation.rows.energy_j(row) == pytest.approx(energy_j[row], abs=rounding_j)
    simulation.meter.advance(simulation.env.now)
    assert simulation.meter.energy_kwh == pytest.approx(energy_j.sum() / KWH_J, abs=rounding_j / KWH_J)
    assert simulation.metrics()["energy_kwh"] == pytest.approx(simulation.meter.energy_kwh)


@given(rough_scenarios(), st.integers(0, 9))
@FEW
def test_no_row_is_above_its_budget_for_longer_than_telemetry_and_brake_take(world: ClusterControl, seed: int) -> None:
    simulation = world.build(seed)
    run(simulation, random_players())
    check_power(simulation)


def test_rows_that_brake_keep_their_budgets_under_random_policies() -> None:
    simulation = heavy().build(2)
    run(simulation, random_players())
    figures = simulation.metrics()
    assert figures["brakes"] > 2
    assert figures["failures"] > 2
    assert longest_above_budget_s(simulation) > 5.0
    check_power(simulation)


def test_energy_follows_from_the_power_of_the_servers_alone() -> None:
    world = control_workload([node(), node(gpus=2, model="V100")], zones=[0, 0], rows=[0, 1], duration_s=1800.0)
    simulation = played(scenario(world))
    servers = servers_of(world.nodes, world.gpu_type)
    idle_w = servers.other_idle_w + servers.gpu_count * servers.gpu_idle_w
    for row in (0, 1):
        assert simulation.rows.energy_j(row) == pytest.approx(1800 * idle_w[row])
    assert simulation.cost("energy") == pytest.approx(2.0 * 0.5 * idle_w.sum() / 1000)
    assert simulation.metrics()["carbon_g"] == pytest.approx(0.5 * idle_w.sum() / 1000 * 1.12 * 475)


def test_a_node_that_is_down_draws_nothing() -> None:
    simulation = scenario(control_workload([node()], duration_s=600.0), log_power=True).build(0)
    fail_at(simulation, 100.0, 0, repaired_s=300.0)
    run(simulation, players())
    idle_w = float(simulation.tenancy.power_w[0])
    assert [watts for *_, watts in events(simulation, "power")] == [round(1000 * idle_w), 0, round(1000 * idle_w)]
    assert simulation.rows.energy_j(0) == pytest.approx(400 * idle_w)


# --- clocks


CAPS_AFTER_15_S = PowerConfig(oversubscription=0.0, actuation_s=(15.0, 15.0))


def finish_s(simulation: ControlSimulation, row: int = 0) -> float:
    return simulation.batch.finished[row]


@pytest.mark.parametrize("sensitivity", [0.0, 0.15, 0.5, 1.0])
def test_a_cap_changes_the_finish_time_by_the_cap_curve(sensitivity: float) -> None:
    world = control_workload([node(gpus=1, model="A10")], [pod(gpus=1, duration=100.0)], clock_sensitivity=sensitivity)
    simulation = played(scenario(world, power=CAPS_AFTER_15_S), capper=since({10.0: capper_candidate(2, 0)}, 0))
    assert events(simulation, "cap") == [(10.0, "cap", 0, -1, capper_candidate(2, 0))]
    assert when(simulation, "cap-acts") == [25.0]
    assert finish_s(simulation) == pytest.approx(25 + 75 / clock_speed(LOW_CLOCKS[2], sensitivity))


def test_a_cap_that_is_lifted_gives_the_speed_back() -> None:
    world = control_workload([node(gpus=1, model="A10")], [pod(gpus=1, duration=100.0)], clock_sensitivity=1.0)
    capper = since({10.0: capper_candidate(1, 0), 40.0: capper_candidate(0, 0)}, 0)
    simulation = played(scenario(world, power=CAPS_AFTER_15_S), capper=capper)
    speed = clock_speed(LOW_CLOCKS[1], 1.0)
    assert finish_s(simulation) == pytest.approx(55 + (100 - 25 - 30 * speed))


@pytest.mark.parametrize(("priority", "clock"), [(1, LOW_CLOCKS[2]), (2, HIGH_CLOCKS[1])])
def test_high_priority_work_has_caps_of_its_own(priority: int, clock: float) -> None:
    world = control_workload(
        [node(gpus=1, model="A10")], [pod(gpus=1, duration=100.0, priority=priority)], clock_sensitivity=1.0
    )
    both = since({10.0: capper_candidate(2, 1)}, 0)
    assert finish_s(played(scenario(world, power=CAPS_AFTER_15_S), capper=both)) == pytest.approx(25 + 75 / clock)
    other = since({10.0: capper_candidate(2, 0) if priority == 2 else capper_candidate(0, 1)}, 0)
    assert finish_s(played(scenario(world, power=CAPS_AFTER_15_S), capper=other)) == 100.0


def test_a_cap_does_not_slow_pods_without_a_device_or_in_other_rows() -> None:
    world = control_workload(
        [node(), node(gpus=1, model="A10")],
        [pod(duration=100.0), pod(gpus=1, duration=100.0)],
        rows=[0, 1],
        clock_sensitivity=1.0,
    )
    simulation = scenario(world, power=CAPS_AFTER_15_S).build(0)
    run(simulation, players(capper=since({10.0: capper_candidate(2, 1)}, 0, agent="capper_0")))
    assert simulation.batch.finished == {0: 100.0, 1: 100.0}


def test_the_brake_changes_the_finish_time_by_the_cap_curve() -> None:
    world = control_workload(
        [node(16_000, gpus=8, model="A100")],
        [pod(gpus=8, duration=300.0, arrival=3.0)],
        clock_sensitivity=1.0,
        duration_s=2000.0,
    )
    power = oversubscribed(world, 0.95)
    simulation = played(scenario(world, power=power))
    # Seen at 4 s; 5 s later for at least a minute, until a sample is low enough. The next sample shows it is too much.
    brakes, releases = [9.0, 77.0, 145.0], [70.0, 138.0, 206.0]
    assert when(simulation, "brake")[:3] == brakes
    assert when(simulation, "release")[:3] == releases
    slow = clock_speed(power.brake_clock, 1.0)
    left, now_s = 300.0 - 6.0, 9.0
    while left > 61 * slow + 7:
        left, now_s = left - 61 * slow - 7, now_s + 68
    expected_s = now_s + left / slow if left <= 61 * slow else now_s + 61 + (left - 61 * slow)
    assert finish_s(simulation) == pytest.approx(expected_s)
    assert simulation.cost("brake") == 50.0 * len(when(simulation, "brake"))
    above_s = simulation.rows.over_budget_s(0)
    # The pod is back at full speed for 7 s each time; the last stretch ends with the pod or with the brake.
    assert above_s == pytest.approx(6 + 7 * (len(when(simulation, "brake")) - 1), abs=7)


# --- neighbours


def test_two_sharers_of_a_device_finish_by_the_hinge() -> None:
    # 400 milli at a load of .8 keep a device busy to .64; together 1.28.
    world = control_workload(
        [node(gpus=1)],
        [pod(gpu_milli=400, duration=60.0), pod(gpu_milli=400, duration=100.0, arrival=20.0)],
        gpu_load=0.8,
    )
    simulation = played(scenario(world, interference="hinge"))
    speed = 1 - 0.335 * (1.28 - 0.9)
    first_s = 20 + 40 / speed
    assert finish_s(simulation, 0) == pytest.approx(first_s)
    assert finish_s(simulation, 1) == pytest.approx(first_s + 100 - 40)
    assert played(scenario(world, interference="off")).batch.finished == {0: 60.0, 1: 120.0}


def test_two_sharers_of_a_device_finish_by_the_table_of_pairs() -> None:
    world = control_workload(
        [node(gpus=1)], [pod(gpu_milli=400, duration=60.0), pod(gpu_milli=400, duration=500.0)], kind=[2, 3]
    )
    simulation = played(
        scenario(
            world,
            interference="pairs",
        )
    )
    assert finish_s(simulation, 0) == pytest.approx(60 / PAIRS[2, 3])
    assert finish_s(simulation, 1) == pytest.approx(60 / PAIRS[2, 3] + 500 - 60 / PAIRS[2, 3] * PAIRS[3, 2])


def test_a_clock_and_a_neighbour_slow_together() -> None:
    world = control_workload(
        [node(gpus=1)], [pod(gpu_milli=500, duration=100.0), pod(gpu_milli=500, duration=nan)], clock_sensitivity=0.5
    )
    simulation = played(
        scenario(world, interference="hinge", power=CAPS_AFTER_15_S), capper=since({10.0: capper_candidate(2, 0)}, 0)
    )
    shared = 1 - 0.335 * (2.0 - 0.9)
    assert finish_s(simulation) == pytest.approx(25 + (100 - 25 * shared) / (shared * clock_speed(LOW_CLOCKS[2], 0.5)))


# --- pods


@given(rough_scenarios(), st.integers(0, 9))
@FEW
def test_nothing_is_lost_and_everything_adds_up_under_random_policies(world: ClusterControl, seed: int) -> None:
    play_checked(world, seed)


@pytest.mark.long
@given(rough_scenarios(), st.integers(0, 99))
@THOROUGH
def test_nothing_is_lost_and_everything_adds_up_in_many_worlds(world: ClusterControl, seed: int) -> None:
    play_checked(world, seed)


def play_checked(world: ClusterControl, seed: int) -> None:
    simulation = world.build(seed)
    left_s: dict[int, float] = {}
    lost_s = cost = 0.0

    def look() -> None:
        nonlocal lost_s, cost
        check_everything(simulation)
        now_s, grown_s = work_left_s(simulation), 0.0
        for row, before_s in left_s.items():
            grown_s += max(0.0, now_s[row] - before_s)
        assert grown_s <= simulation.batch.lost_work_s - lost_s + 1e-9
        assert simulation.cost("team") >= cost
        left_s.update(now_s)
        lost_s, cost = simulation.batch.lost_work_s, simulation.cost("team")

    watched(simulation, random_players(), look)
    look()


def work_left_s(simulation: ControlSimulation) -> dict[int, float]:
    batch = simulation.batch
    return {
        row: 0.0
        if row in batch.finished
        else batch._works[row].left
        if row in batch._works
        else batch._left_s.get(row, p.duration_s)
        for row, p in enumerate(simulation._pods[: len(simulation.workload.pods)])
        if p.duration_s < inf
    }


@given(control_workloads(), st.sampled_from([0.0, 0.25, 1.0]), st.integers(0, 9))
@FEW
def test_pods_finish_after_exactly_their_work_what_they_lost_of_it_and_their_standstills(
    workload: ControlWorkload, checkpoint_share: float, seed: int
) -> None:
    still = replace(workload, traits=replace(workload.traits, clock_sensitivity=np.zeros(len(workload.pods))))
    simulation = scenario(
        still,
        failures=FailureConfig(per_1000_node_days=1e6, repair_mean_s=20.0),
        migration=MigrationConfig(bandwidth_mib_s=200.0, stop_mib=400.0),
        checkpoint_share=checkpoint_share,
    ).build(seed)
    run(simulation, random_players())
    for row, end_s in simulation.batch.finished.items():
        assert left_by_the_log(simulation, row, end_s) == pytest.approx(0.0, abs=1e-6)


def left_by_the_log(simulation: ControlSimulation, row: int, end_s: float) -> float:
    """Seconds of work that a pod has left at its end, if it works at full speed whenever it has a node."""
    left_s = float(simulation.workload.pods.duration_s[row])
    downtime_s, keeps = simulation.transfer(row).downtime_s, simulation.scenario.checkpoint_share
    bound_s, standing = nan, []
    for now_s, kind, *_ in (event for event in events(simulation) if event[2] == row):
        if kind == "bind":
            bound_s, standing = now_s, []
        elif kind == "move":
            standing.append(now_s)
        elif kind in ("evict", "lost", "finish"):
            done_s = now_s - bound_s - sum(min(downtime_s, now_s - moved_s) for moved_s in standing)
            left_s -= done_s if kind == "finish" else keeps * done_s
    return left_s


def test_a_pod_that_is_displaced_keeps_its_checkpointed_share() -> None:
    world = control_workload([node()], [pod(duration=100.0)])
    simulation = scenario(world, checkpoint_share=0.25).build(0)
    fail_at(simulation, 40.0, 0, repaired_s=60.0)
    fail_at(simulation, 80.0, 0, repaired_s=90.0)
    run(simulation, players())
    # 40 s done, 10 kept; then 20 s done, 5 kept.
    assert simulation.batch.finished == {0: pytest.approx(90 + 100 - 10 - 5)}
    assert simulation.batch.lost_work_s == pytest.approx(30 + 15)
    assert simulation.cost("queueing") == pytest.approx(0.005 * (20 + 10))
    assert simulation.metrics()["queueing_delay_s_mean"] == pytest.approx(30.0)
    assert simulation.metrics()["jct_s_mean"] == pytest.approx(175.0)


def test_no_pod_goes_to_a_node_that_is_down() -> None:
    simulation = scenario(control_workload([node(), node()], [pod(arrival=50.0), pod(arrival=200.0)])).build(0)
    fail_at(simulation, 10.0, 0, repaired_s=100.0)
    run(simulation, players())
    assert [(time_s, n) for time_s, _, _, n, _ in events(simulation, "bind")] == [(50.0, 1), (200.0, 0)]


def test_a_pod_that_never_leaves_stays_and_may_be_migrated() -> None:
    world = control_workload([node(), node()], [pod(duration=nan)])
    simulation = played(scenario(world), migrator=Calling(first_node))
    assert simulation.batch.finished == {}
    assert len(simulation.zones[0].bindings) == 1
    assert simulation.metrics()["migrations"] > 0


def test_a_cluster_without_pods_or_services_only_draws_power() -> None:
    simulation = played(scenario(control_workload([node()])))
    assert simulation.agents == ("capper_0", "migrator_0", "placer_0")
    figures = simulation.metrics()
    assert figures["team_cost"] == figures["energy_cost"] > 0
    assert figures["replicas_mean"] == 0


# --- preemption


@pytest.mark.parametrize(
    ("victims", "expected"),
    [
        ([[(4, 1.0)], [(3, 1.0), (3, 2.0)]], 1),  # the lowest highest priority
        ([[(4, 1.0), (3, 2.0)], [(4, 1.0), (2, 2.0)]], 1),  # the smallest sum
        ([[(4, 1.0), (0, 2.0), (0, 3.0)], [(4, 1.0), (3, 2.0)]], 1),  # which is that of fewer pods
        ([[(4, 1.0), (2, 4.0)], [(4, 2.0), (2, 3.0)]], 1),  # the latest start of the most important
        ([[(4, 1.0), (2, 2.0)], [(4, 1.0), (2, 2.0)]], 0),  # the first node
    ],
    ids=["highest", "sum", "number", "start", "index"],
)
def test_a_replica_takes_the_node_that_kubernetes_would_pick(
    victims: Sequence[Sequence[tuple[int, float]]], expected: int
) -> None:
    pods = [
        (n, pod(cpu=12_000 // len(there), arrival=arrival_s, priority=priority))
        for n, there in enumerate(victims)
        for priority, arrival_s in there
    ]
    homes, columns = zip(*pods, strict=True)
    big = service(cpu_milli=12_000, initial_replicas=0, min_replicas=0, priority=9)
    world = control_workload([node(12_000)] * 2, columns, [big])
    simulation = played(
        scenario(world),
        placer=Calling(lambda decision: homes[decision.subject.row]),
        scaler=at({10.0: scaler_candidate(1)}, SCALER_NOOP),
    )
    assert (
        pick_node(
            np.array(homes), np.array([p["priority"] for p in columns]), np.array([p["arrival_s"] for p in columns])
        )
        == expected
    )
    evicted = [row for _, _, row, _, _ in events(simulation, "evict")]
    assert evicted == [row for row, home in enumerate(homes) if home == expected]
    assert (10.0, "bind", len(pods), expected, 0) in events(simulation, "bind")
    assert simulation.metrics()["evictions"] == len(evicted)


def test_as_few_as_possible_and_the_least_important_make_room() -> None:
    pods = [pod(cpu=1000, priority=2), pod(cpu=1000, priority=0), pod(cpu=1000, priority=1, arrival=5.0)]
    big = service(cpu_milli=1500, initial_replicas=0, min_replicas=0)
    simulation = played(
        scenario(control_workload([node(3500)], pods, [big])), scaler=at({10.0: scaler_candidate(1)}, SCALER_NOOP)
    )
    assert [row for _, _, row, _, _ in events(simulation, "evict")] == [1]
    assert simulation.zones[0].pending.rows.tolist() == [1]


@pytest.mark.parametrize("options", [{"preemption": False}, {}])
def test_nobody_makes_room_for_a_batch_pod_or_where_that_is_not_allowed(options: dict[str, Any]) -> None:
    pods = [pod(cpu=3000), pod(cpu=3000, priority=2, arrival=5.0)] if not options else [pod(cpu=3000)]
    big = service(cpu_milli=3000, initial_replicas=0, min_replicas=0, priority=9)
    scaler = at({10.0: scaler_candidate(1)}, SCALER_NOOP) if options else at({}, SCALER_NOOP)
    simulation = played(scenario(control_workload([node(4000)], pods, [big]), **options), scaler=scaler)
    assert events(simulation, "evict") == []
    assert len(simulation.zones[0].pending) == 1


def test_a_replica_behind_a_batch_pod_takes_the_room_that_a_release_makes_possible() -> None:
    # At 10 s nothing below it could make room for the replica; at 30 s an important pod leaves.
    pods = [
        pod(cpu=2000, priority=9, duration=30.0),
        pod(cpu=2000, priority=0),
        pod(cpu=4000, priority=9, arrival=5.0),
    ]
    big = service(cpu_milli=3000, initial_replicas=0, min_replicas=0, priority=3)
    simulation = played(
        scenario(control_workload([node(4000)], pods, [big])), scaler=at({10.0: scaler_candidate(1)}, SCALER_NOOP)
    )
    assert [event[:3] for event in events(simulation, "evict", "bind")[2:]] == [(30.0, "evict", 1), (30.0, "bind", 3)]


# --- the same seed, the same episode


def transcript(seed: int = 5) -> str:
    simulation = rough_small(300.0).build(seed)
    run(simulation, joint(BUSY))
    text = "\n".join([*simulation.log.lines(), *(f"{k} {v!r}" for k, v in simulation.metrics().items())])
    return hashlib.sha256(text.encode()).hexdigest()


def test_an_episode_repeats_in_another_process() -> None:
    code = "from test_cluster_control import transcript; print(transcript())"
    other = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONHASHSEED": "123"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == transcript()


def test_whoever_looks_changes_nothing() -> None:
    unseen, seen = heavy(interference="hinge").build(4), heavy(interference="hinge").build(4)
    run(unseen, random_players())
    watched(
        seen, random_players(), lambda: (seen.metrics(), seen.raw(), check_everything(seen)), roles=(CAPPER, PLACER)
    )
    assert seen.log.lines() == unseen.log.lines()
    assert {name: repr(value) for name, value in seen.metrics().items()} == {
        name: repr(value) for name, value in unseen.metrics().items()
    }


def test_policies_do_not_change_the_workload() -> None:
    simulations = []
    for text in (BUSY, IDLE):
        simulation = rough_small(400.0).build(8)
        run(simulation, joint(text))
        simulations.append(simulation)
    one, other = simulations
    assert one.metrics()["failures"] > 1
    for kind in ("arrive", "fail", "repair"):
        assert events(one, kind) == events(other, kind)
    for ours, theirs in zip(one.services, other.services, strict=True):
        assert ours.arrived == pytest.approx(theirs.arrived, rel=1e-12)
    assert one.log.lines() != other.log.lines()


def test_every_seed_fails_other_nodes() -> None:
    failed = []
    for seed in (1, 2):
        simulation = scenario(
            control_workload([node(), node()]), failures=FailureConfig(per_1000_node_days=1e6, repair_mean_s=20.0)
        ).build(seed)
        run(simulation, players())
        failed.append(when(simulation, "fail"))
    assert failed[0] != failed[1]


# --- costs


def test_costs_of_agents_and_components_add_up_to_the_cost_of_the_team() -> None:
    simulation = heavy(weights=CostWeights(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)).build(3)
    assert simulation.agents == ("scaler_0", "scaler_1", "capper_0", "capper_1", "migrator_0", "placer_0")
    before = np.zeros(1 + len(COMPONENTS) + len(simulation.agents))

    def look() -> None:
        nonlocal before
        check_costs(simulation)
        now = np.array([simulation.cost(name) for name in ("team", *COMPONENTS, *simulation.agents)])
        assert (now >= before).all()
        before = now

    watched(simulation, random_players(), look)
    look()
    parts = dict(zip(COMPONENTS, before[1:], strict=False))
    assert min(parts.values()) > 0
    raw, figures = simulation.raw(), simulation.metrics()
    for name, cost in parts.items():
        assert raw[f"{name}_cost"] == figures[f"{name}_cost"] == cost
    assert parts["slo_miss"] == pytest.approx(1.0 * raw["requests_missed"])
    assert parts["energy"] == pytest.approx(3.0 * raw["energy_kwh"])
    assert parts["brake"] == 4.0 * raw["brakes"] == 4.0 * len(when(simulation, "brake"))
    assert parts["migration"] == 6.0 * len(when(simulation, "transfer"))
    assert simulation.cost("capper_1") + simulation.cost("capper_0") == pytest.approx(parts["energy"] + parts["brake"])


def test_waiting_costs_by_priority_and_not_in_a_warm_pool() -> None:
    pods = [pod(cpu=2000, duration=50.0), pod(cpu=2000, priority=2, duration=50.0, arrival=20.0)]
    simulation = played(scenario(control_workload([node(2000)], pods)))
    assert simulation.cost("queueing") == simulation.cost("placer_0") == pytest.approx(0.005 * 30 * 3)
    pools = service(cpu_milli=9000, initial_replicas=0, min_replicas=0)
    simulation = played(
        scenario(control_workload([node(2000)], services=[pools])),
        scaler=at({10.0: scaler_candidate(0, 1)}, SCALER_NOOP),
    )
    assert len(simulation.zones[0].pending) == 1
    assert simulation.cost("queueing") == 0


def test_an_unknown_cost_is_answered_with_all_that_exist() -> None:
    simulation = scenario(control_workload([node()])).build(0)
    with pytest.raises(
        ConfigError, match=r"no cost 'scaler_0'; choose one of team, slo_miss, .*, capper_0, migrator_0"
    ):
        simulation.cost("scaler_0")


# --- questions


def test_ticks_ask_everybody_in_order_and_placers_are_asked_when_a_pod_fits() -> None:
    world = control_workload(
        [node(), node()], [pod(arrival=13.0)], [service(), service("b", zone=1)], zones=[0, 1], duration_s=25.0
    )
    simulation = scenario(world).build(0)
    asked: list[tuple[float, str, str]] = []
    everybody = players()
    while (decision := simulation.control.advance()) is not None:
        asked.append((decision.time_s, decision.agent, decision.role))
        simulation.control.answer(decision, everybody[decision.role].act(decision))
    start = [(0.0, "placer_0", "placer"), (0.0, "placer_1", "placer")]
    tick = ["scaler_0", "scaler_1", "capper_0", "capper_1"]
    assert asked[:2] == start
    assert [(time_s, agent) for time_s, agent, _ in asked[2:6]] == [(10.0, agent) for agent in tick]
    assert asked[6] == (13.0, "placer_0", "placer")
    # Now there is a pod to migrate, but nowhere to go.
    assert [(time_s, agent) for time_s, agent, _ in asked[7:]] == [(20.0, agent) for agent in tick]
    assert all(simulation.role_of(agent) == role for _, agent, role in asked)


def test_nobody_is_asked_about_a_pod_that_fits_nowhere_until_it_does() -> None:
    pods = [pod(cpu=3000, duration=50.0), pod(cpu=3000, arrival=10.0, duration=10.0)]
    simulation = scenario(control_workload([node(4000)], pods)).build(0)
    asked: list[float] = []

    def answer(decision: Decision) -> int:
        asked.append(decision.time_s)
        return first_node(decision)

    run(simulation, players(placer=Calling(answer)))
    assert asked == [0.0, 50.0]


def test_a_pod_that_was_let_wait_is_offered_again_after_a_release() -> None:
    pods = [pod(duration=50.0), pod(arrival=10.0, duration=10.0)]
    answers = iter([0, 1, 0])
    simulation = played(scenario(control_workload([node()], pods)), placer=Calling(lambda _: next(answers)))
    assert simulation.batch.finished == {0: 50.0, 1: 60.0}


@pytest.mark.parametrize("pool", [0, 1], ids=["withdrawn", "and queued again for the pool"])
def test_a_replica_may_be_withdrawn_while_a_placer_is_asked_about_it(pool: int) -> None:
    pods = [pod(duration=20.0, priority=5), pod(arrival=1.0, duration=5.0)]
    simulation = scenario(control_workload([node()], pods, [service(min_replicas=0)])).build(0)
    control, waits = simulation.control, players(placer=Calling(lambda decision: 0 if decision.subject.row == 0 else 1))
    while (decisions := control.advance_all())[0].time_s < 20.0:
        for decision in decisions:
            control.still_legal(decision)
            control.answer(decision, waits[decision.role].act(decision))
    asked = {decision.agent: decision for decision in decisions}
    assert set(asked) == {"placer_0", "scaler_0", "capper_0"}
    assert asked["placer_0"].subject.name == "service/web/0"
    control.answer(asked["scaler_0"], scaler_candidate(-1, pool))
    assert not control.still_legal(asked["placer_0"])
    assert not asked["placer_0"].mask.any()
    control.close(asked["placer_0"])
    check_queue(simulation, 0)
    control.answer(asked["capper_0"], 0)
    offered = []
    while (decision := control.advance()) is not None:
        check_everything(simulation)
        if decision.role == PLACER and decision.time_s == 20.0:
            offered.append(decision.subject.name)
        control.answer(decision, players()[decision.role].act(decision))
    assert offered == ["service/web/0", "pod-1"][1 - pool :]
    assert simulation.batch.finished == {0: 20.0, 1: 25.0}
    assert simulation.services[0].wanted == 0
    assert simulation.services[0].pool_ready == pool


def run_together(simulation: ControlSimulation, policies: dict[str, Policy], look: Any = None) -> None:
    """Play with all questions of an instant asked at once."""
    control = simulation.control
    for role, policy in policies.items():
        policy.reset(simulation.streams[f"policy/{role}"])
    while decisions := control.advance_all():
        for decision in decisions:
            if control.still_legal(decision):
                control.answer(decision, policies[decision.role].act(decision))
            else:
                control.close(decision)
        if look:
            look()


class ByTime:
    """An answer that depends on the agent and the time alone."""

    def reset(self, rng: np.random.Generator) -> None:
        pass

    def act(self, decision: Decision) -> int:
        legal = np.flatnonzero(decision.mask)
        if decision.role == PLACER:
            return int(legal[0])
        return int(legal[int(decision.time_s // 10 * 7 + len(decision.agent) * int(decision.agent[-1])) % len(legal)])


def test_questions_together_and_one_by_one_give_the_same_episode() -> None:
    # One service per zone, and no pod arrives at a tick: so the order of answers makes no difference.
    world = control_workload(
        [node(6000, gpus=2), node(6000, gpus=1)] * 2,
        [pod(gpu_milli=300, arrival=7.0 * k + 0.5, duration=60.0 + k) for k in range(12)],
        [service("a", 25.0, gpu_milli=250), service("b", 31.0, zone=1)],
        zones=[0, 0, 1, 1],
        zone=[0, 1] * 6,
        clock_sensitivity=0.5,
        duration_s=400.0,
    )
    options = {"interference": "hinge", "failures": FailureConfig(per_1000_node_days=3e5, repair_mean_s=60.0)}
    together, one_by_one = scenario(world, **options).build(3), scenario(world, **options).build(3)
    run_together(together, dict.fromkeys(ROLES, ByTime()))
    run(one_by_one, dict.fromkeys(ROLES, ByTime()))
    lines = one_by_one.log.lines()
    assert {"cap-acts", "transfer", "remove", "fail", "pooled"} <= {line.split()[1] for line in lines}
    assert sorted(together.log.lines()) == sorted(lines)
    assert together.metrics() == pytest.approx(one_by_one.metrics(), nan_ok=True)


@given(rough_scenarios(), st.integers(0, 9))
@FEW
def test_nothing_is_lost_when_all_are_asked_at_once(world: ClusterControl, seed: int) -> None:
    simulation = world.build(seed)
    run_together(
        simulation, random_players(), lambda: [check_queue(simulation, z) for z in range(len(simulation.zones))]
    )
    check_everything(simulation)


# --- bad input


ONE_NODE: dict[str, Any] = {"nodes": [node()]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tick_s": 0.0}, r"tick_s is 0.0; it has to be positive and finite"),
        ({"tick_s": nan}, r"tick_s is nan"),
        ({"interference": "some"}, r"interference is 'some'; choose one of off, hinge, pairs"),
        ({"checkpoint_share": 1.5}, r"checkpoint_share is 1.5; it has to be in \[0, 1\]"),
        ({"pool_most": -1}, r"pool_most is -1"),
        ({"typical_share": 0.0}, r"typical_share is 0.0"),
    ],
)
def test_a_scenario_says_what_is_wrong_with_it(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        scenario(control_workload([node()]), **options)


@pytest.mark.parametrize("name", COMPONENTS)
@pytest.mark.parametrize("weight", [-1.0, inf, nan])
def test_a_weight_is_finite_and_not_negative(name: str, weight: float) -> None:
    with pytest.raises(ConfigError, match=f"the weight of {name} is {weight}"):
        CostWeights(**{name: weight})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bandwidth_mib_s": 0.0}, "a migration needs a bandwidth"),
        ({"dirty_mib_s": -1.0}, "dirty_mib_s of a migration is -1.0"),
        ({"stop_mib": nan}, "stop_mib of a migration is nan"),
    ],
)
def test_a_network_for_migrations_that_cannot_be_is_rejected(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MigrationConfig(**options)


def test_a_budget_that_no_brake_could_keep_is_rejected() -> None:
    world = control_workload([node(gpus=1, model="A10")])
    with pytest.raises(ConfigError, match=r"row 0 has a budget of \d+ W, but busy and with the brake on it draws"):
        scenario(world, power=PowerConfig(oversubscription=2.0)).build(0)
    tightest = oversubscribed(world, 1.0)
    assert scenario(world, power=tightest).build(0).budget_w[0] > 0
    with pytest.raises(ConfigError, match="row 0 has a budget"):
        scenario(world, power=replace(tightest, oversubscription=tightest.oversubscription * 1.001)).build(0)


def test_the_power_tree_has_a_budget_at_every_level() -> None:
    world = control_workload([node()] * 3, zones=[0, 0, 1], rows=[0, 1, 2])
    tree = scenario(world).build(0).power_tree
    assert [(zone.name, [row.name for row in zone.children]) for zone in tree.children] == [
        ("zone-0", ["row-0", "row-1"]),
        ("zone-1", ["row-2"]),
    ]
    assert tree.budget_w == pytest.approx(sum(row.budget_w for zone in tree.children for row in zone.children))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zones": [0, 2]}, "every node has a zone, and zones are numbered from 0 without gaps"),
        ({"rows": [1, 1]}, "every node has a row, and rows are numbered"),
        ({"zones": [1, 0]}, "the nodes of a zone stand together"),
        ({"zones": [0, 1], "rows": [0, 0]}, r"row 0 lies in zones \[0, 1\]; a row lies in one zone"),
        ({"services": [service(zone=1)]}, "service 'web' is in zone 1; there are 1"),
        ({"services": [service(), service()]}, "every service has a name of its own"),
        ({"duration_s": 0.0}, "an episode lasts 0.0 s"),
        ({"duration_s": inf}, "an episode lasts inf s"),
        ({"nodes": [node(gpus=1, model="Abacus")] * 2}, "gpu_type does not say what GPU model Abacus is"),
    ],
)
def test_a_workload_says_what_is_wrong_with_it(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        control_workload(**{"nodes": [node(), node()], **options})


def test_the_gpu_type_of_a_model_has_to_be_in_the_catalogue() -> None:
    world = replace(control_workload([node(gpus=1, model="A10")]), gpu_type={"A10": "Abacus"})
    with pytest.raises(ConfigError, match="Abacus"):
        scenario(world).build(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 0}, "service 'web' has no capacity: concurrency 0"),
        ({"service_time_s": 0.0}, "service 'web' has no capacity: .* service_time_s 0.0"),
        ({"max_replicas": 0, "min_replicas": 0, "initial_replicas": 0}, "leaves it no capacity"),
        ({"min_replicas": 5}, "service 'web' may have 5 to 4 replicas"),
        ({"initial_replicas": 9}, "service 'web' starts with 9 replicas; allowed are 1 to 4"),
        ({"slo_s": 0.1}, "service 'web' promises 0.1 s, but works 0.1 s on a request"),
        ({"queue_limit": 0.0}, "service 'web' has a queue of 0.0 requests"),
        ({"clock_sensitivity": 1.1}, "service 'web': clock_sensitivity 1.1 is not in"),
        ({"gpu_milli": 1500}, "service 'web': gpu_milli 1500 is not in 0 .. 1000"),
    ],
)
def test_a_service_says_what_is_wrong_with_it(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        service(**options)


def test_a_runtime_without_a_table_is_rejected_before_the_first_start() -> None:
    world = control_workload([node()], services=[service(runtime="Fortran", initial_replicas=0, min_replicas=0)])
    with pytest.raises(ConfigError, match=r"no runtime 'Fortran'; use one of .*Python3"):
        scenario(world).build(0)


@pytest.mark.parametrize(
    ("time_s", "rate_rps", "message"),
    [
        ([0.0, 1.0], [1.0], "a load has one rate per time"),
        ([], [], "a load has one rate per time"),
        ([1.0], [1.0], "the times of a load start at 0 and increase"),
        ([0.0, 0.0], [1.0, 1.0], "the times of a load start at 0 and increase"),
        ([0.0, 1.0], [1.0, -1.0], "rate 1 of a load is -1.0"),
        ([0.0], [inf], "rate 0 of a load is inf"),
        ([0.0], [nan], "rate 0 of a load is nan"),
    ],
)
def test_a_load_says_what_is_wrong_with_it(time_s: list[float], rate_rps: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ServiceLoad(np.array(time_s), np.array(rate_rps))


def test_a_role_without_a_policy_is_named() -> None:
    policies = players()
    del policies[CAPPER]
    with pytest.raises(ConfigError, match="nobody plays the role 'capper'"):
        run(scenario(control_workload([node()])).build(0), policies)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("zone", 7, "zone of pod 'batch-0.*is 7; it has to be in 0 .. 0"),
        ("gpu_load", 0.0, r"gpu_load of pod 'batch-0.*is 0.0; it has to be in \(0, 1\]"),
        ("cpu_load", 1.5, r"cpu_load of pod 'batch-0.*is 1.5; it has to be in \(0, 1\]"),
        ("clock_sensitivity", -0.1, r"is -0.1; it has to be in \[0, 1\]"),
        ("kind", 7, "kind of pod 'batch-0.*is 7; it has to be in 0 .. 6"),
    ],
)
def test_what_a_pod_cannot_be_is_refused(name: str, value: float, said: str) -> None:
    workload = control_source("small", duration_s=300.0)(1)
    column = getattr(workload.traits, name).copy()
    column[0] = value
    with pytest.raises(ConfigError, match=said):
        replace(workload, traits=replace(workload.traits, **{name: column}))
    with pytest.raises(ConfigError, match=f"{name} of the batch pods has .* rows; there are"):
        replace(workload, traits=replace(workload.traits, **{name: column[1:]}))
