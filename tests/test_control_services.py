"""Services of the shared cluster: cold starts and warm pools, capacity, queues, and replicas that slow each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import pytest
from control_worlds import (
    at,
    call_at,
    check_everything,
    control_workload,
    events,
    fail_at,
    oversubscribed,
    played,
    players,
    queue_now,
    random_players,
    scenario,
    service,
    since,
    watched,
    when,
)
from hypothesis import given
from hypothesis import strategies as st
from worlds import FEW, Calling, node, pod

from clustersim.coldstart import ALLOCATION_S, PARTS, ColdStart, ColdStartConfig, Stage
from clustersim.control_workload import Service, ServiceLoad
from clustersim.fluid_queue import FluidQueue
from clustersim.policy import run
from clustersim.power import PowerConfig
from clustersim.power_curves import clock_speed
from clustersim.scenarios.cluster_control import ClusterControl
from clustersim.scenarios.control_roles import (
    CAPPER,
    HIGH_CLOCKS,
    LOW_CLOCKS,
    SCALER,
    SCALER_NOOP,
    capper_candidate,
    scaler_candidate,
)
from clustersim.scenarios.control_service import ServiceGroup
from clustersim.scenarios.control_world import ControlSimulation

PULLS = ColdStartConfig(bandwidth_mib_s=100.0)
IMAGE: dict[str, Any] = {"image": "web", "image_mib": 1000}
EMPTY: dict[str, Any] = {"initial_replicas": 0, "min_replicas": 0}


def scaled(
    services: list[Service] | Service,
    *steps: tuple[float, int, int] | tuple[float, int, int, str],
    nodes: int = 1,
    before: Any = None,
    **options: Any,
) -> tuple[ControlSimulation, list[ColdStart]]:
    """Steps are (time, replicas, pool) and which scaler; the whole episode, and the starts in their order."""
    services = [services] if isinstance(services, Service) else services
    world = control_workload([node(64_000, 65_536)] * nodes, services=services, duration_s=600.0)
    simulation = scenario(world, cold_starts=options.pop("cold_starts", PULLS), **options).build(0)
    starts: list[ColdStart] = []
    start = simulation.cold.start

    def recorded(*arguments: Any) -> ColdStart:
        starts.append(start(*arguments))
        return starts[-1]

    simulation.cold.start = recorded  # type: ignore[method-assign]
    if before:
        before(simulation)
    wanted = {(step[0], step[3] if len(step) > 3 else "scaler_0"): scaler_candidate(*step[1:3]) for step in steps}
    scaler = Calling(lambda decision: wanted.get((decision.time_s, decision.agent), SCALER_NOOP))
    watched(simulation, players(scaler=scaler), lambda: check_everything(simulation), roles=(SCALER,))
    check_everything(simulation)
    return simulation, starts


def starting(simulation: ControlSimulation) -> list[tuple[float, int]]:
    return [(time_s, stage) for time_s, _, _, _, stage in events(simulation, "starting")]


# --- cold starts


def test_replicas_of_the_beginning_serve_at_once() -> None:
    simulation, starts = scaled(service(initial_replicas=3, **IMAGE))
    assert when(simulation, "ready") == [0.0, 0.0, 0.0]
    assert starts == []
    assert simulation.cost("cold_start") == 0


def test_the_parts_of_a_start_from_scratch_add_up() -> None:
    simulation, (start,) = scaled(service(**EMPTY, **IMAGE), (10.0, 1, 0))
    assert tuple(start.parts) == PARTS
    assert start.parts["allocation_s"] == pytest.approx(ALLOCATION_S[Stage.SCRATCH])
    assert start.parts["pull_s"] == pytest.approx(10.0)
    assert min(start.parts["code_s"], start.parts["scheduling_s"]) > 0
    assert when(simulation, "ready") == [pytest.approx(10 + sum(start.parts.values()))]
    assert starting(simulation) == [(10.0, Stage.SCRATCH)]
    assert simulation.cost("cold_start") == simulation.cost("scaler_0") == pytest.approx(0.05 * start.total_s)
    assert simulation.metrics()["cold_start_s_mean"] == pytest.approx(start.total_s)


def test_a_node_that_has_the_image_pulls_nothing() -> None:
    simulation, (start,) = scaled(service(**IMAGE), (10.0, 1, 0))
    assert start.parts["pull_s"] == 0.0
    assert simulation.cold.pulls.pulls == 0


def test_two_pulls_on_a_node_share_its_bandwidth_and_two_of_an_image_are_one() -> None:
    one, other = service(**EMPTY, **IMAGE), service("b", **EMPTY, image="b", image_mib=500)
    simulation, starts = scaled([one, other], (10.0, 2, 0), (10.0, 1, 0, "scaler_1"))
    pulls_s = {start.image: start.parts["pull_s"] for start in starts}
    assert pulls_s == {"web": pytest.approx(15.0), "b": pytest.approx(10.0)}
    assert simulation.cold.pulls.pulls == 2


def test_a_pod_of_the_pool_is_created_from_scratch_with_its_image_and_taken_at_once() -> None:
    simulation, (start,) = scaled(service(**EMPTY, **IMAGE), (10.0, 0, 1), (40.0, 1, 0))
    pooled_s = 10 + ALLOCATION_S[Stage.SCRATCH] + 10
    assert when(simulation, "pooled")[0] == pytest.approx(pooled_s)
    assert starting(simulation) == [(40.0, Stage.POOL)]
    assert start.parts["allocation_s"] == pytest.approx(ALLOCATION_S[Stage.POOL])
    assert start.parts["pull_s"] == 0.0
    # The pool is filled again at once; the image is there by now.
    assert [event[0] for event in events(simulation, "bind")] == [10.0, 40.0]
    assert when(simulation, "pooled")[1] == pytest.approx(40 + ALLOCATION_S[Stage.SCRATCH])
    assert simulation.cost("cold_start") == pytest.approx(0.05 * start.total_s)


def test_a_pod_of_the_pool_keeps_its_image_while_it_becomes_a_replica() -> None:
    no_cache = ColdStartConfig(bandwidth_mib_s=100.0, cache_mib=0.0)
    simulation, (start,) = scaled(service(**EMPTY, **IMAGE), (10.0, 0, 1), (40.0, 1, -1), cold_starts=no_cache)
    assert starting(simulation) == [(40.0, Stage.POOL)]
    assert start.parts["pull_s"] == 0.0
    assert simulation.cold.pulls.pulls == 1


def test_a_pool_that_is_not_ready_is_of_no_use() -> None:
    simulation, starts = scaled(service(**EMPTY, **IMAGE), (10.0, 0, 1), (20.0, 1, 0))
    assert starting(simulation) == [(20.0, Stage.SCRATCH)]
    assert len(starts) == 1
    assert simulation.services[0].pool_ready == 1


def test_a_larger_pod_of_another_service_is_the_second_choice() -> None:
    small, large = service(**EMPTY, **IMAGE), service("large", **EMPTY, cpu_milli=3000, image="large", image_mib=100)
    simulation, starts = scaled([small, large], (10.0, 0, 1, "scaler_1"), (40.0, 1, 0), (200.0, 1, 0, "scaler_1"))
    assert starting(simulation) == [(40.0, Stage.WIDER), (200.0, Stage.POOL)]
    assert starts[0].parts["allocation_s"] == pytest.approx(ALLOCATION_S[Stage.WIDER])
    assert starts[0].parts["pull_s"] == pytest.approx(10.0)  # its own image; the lender's is of no use
    assert simulation.services[0].wanted == simulation.services[1].wanted == 1
    # It keeps the larger part of its node, and puts the load of a small one on it.
    assert simulation.zones[0].cluster.view.cpu_free[0] == 64_000 - 3 * 3000
    figures = simulation.metrics()
    assert [figures[f"cold_starts{stage}"] for stage in ("", "_pool", "_wider", "_scratch")] == [2, 1, 1, 0]


def test_a_smaller_pod_of_another_service_is_no_choice() -> None:
    small, large = service(**EMPTY), service("large", **EMPTY, cpu_milli=3000)
    simulation, _ = scaled([small, large], (10.0, 0, 1), (40.0, 1, 0, "scaler_1"))
    assert starting(simulation) == [(40.0, Stage.SCRATCH)]


def test_a_pod_of_the_same_configuration_comes_from_whoever_has_one() -> None:
    one, other = service(**EMPTY, **IMAGE), service("b", **EMPTY, image="b", image_mib=500)
    simulation, (start,) = scaled([one, other], (10.0, 0, 1, "scaler_1"), (40.0, 1, 0))
    assert starting(simulation) == [(40.0, Stage.POOL)]
    assert start.parts["pull_s"] == pytest.approx(10.0)
    assert simulation.services[1].pool_ready == 1


def test_a_pod_that_is_lent_goes_at_the_clock_of_its_machine() -> None:
    gpu: dict[str, Any] = {**EMPTY, "gpu_milli": 500}
    services = [service("taker", **gpu, clock_sensitivity=1.0), service("lender", **gpu)]
    world = control_workload([node(gpus=1, model="A10")], services=services, duration_s=60.0)
    simulation = scenario(world, power=PowerConfig(oversubscription=0.0, actuation_s=(5.0, 5.0))).build(0)
    steps = {(10.0, "scaler_1"): scaler_candidate(0, 1), (40.0, "scaler_0"): scaler_candidate(1)}
    scaler = Calling(lambda asked: steps.get((asked.time_s, asked.agent), SCALER_NOOP))
    everybody = players(scaler=scaler, capper=since({20.0: capper_candidate(2, 1)}, 0))
    watched(simulation, everybody, lambda: check_everything(simulation))
    (row,) = (event[2] for event in events(simulation, "starting"))
    assert simulation.tenancy.speed[row] == pytest.approx(LOW_CLOCKS[2])  # nobody works there


def test_pools_of_another_zone_are_of_no_use() -> None:
    services = [service(**EMPTY), service("b", zone=1, **EMPTY)]
    world = control_workload([node(), node()], services=services, zones=[0, 1])
    wanted = {(10.0, "scaler_1"): scaler_candidate(0, 1), (40.0, "scaler_0"): scaler_candidate(1)}
    simulation = played(
        scenario(world), scaler=Calling(lambda asked: wanted.get((asked.time_s, asked.agent), SCALER_NOOP))
    )
    assert starting(simulation) == [(40.0, Stage.SCRATCH)]


def test_a_smaller_target_empties_the_pool_newest_first() -> None:
    simulation, _ = scaled(
        service(**EMPTY, **IMAGE), (10.0, 0, 1), (20.0, 0, 1), (25.0, 0, 0), (30.0, 0, -1), (60.0, 0, -1)
    )
    first, second = (event[2] for event in events(simulation, "bind"))
    assert [(time_s, row) for time_s, _, row, _, _ in events(simulation, "remove")] == [(30.0, second), (60.0, first)]
    assert len(simulation.pools[0]) == 0


def test_the_newest_replica_goes_first_and_one_that_does_not_serve_before_one_that_does() -> None:
    simulation, _ = scaled(service(initial_replicas=2, min_replicas=0), (10.0, 1, 0), (20.0, -2, 0), (30.0, -1, 0))
    placed = [event[2] for event in events(simulation, "bind")]
    assert [(time_s, row) for time_s, _, row, _, _ in events(simulation, "remove")] == [
        (20.0, placed[2]),  # it was starting
        (20.0, placed[1]),
        (30.0, placed[0]),
    ]


def test_a_start_that_is_given_up_costs_until_then() -> None:
    simulation, (start,) = scaled(service(**EMPTY, **IMAGE), (10.0, 1, 0), (30.0, -1, 0))
    assert simulation.cost("cold_start") == pytest.approx(0.05 * 20)
    assert start.parts["pull_s"] == pytest.approx(30 - 10 - ALLOCATION_S[Stage.SCRATCH])
    assert when(simulation, "ready") == []
    assert simulation.metrics()["cold_starts"] == 1


@pytest.mark.parametrize("failed_s", [12.0, 25.0, 50.0], ids=["allocated", "pulling", "ready"])
def test_a_pool_replaces_what_it_loses_to_a_failure(failed_s: float) -> None:
    simulation, _ = scaled(
        service(**EMPTY, **IMAGE), (10.0, 0, 1), nodes=2, before=lambda world: fail_at(world, failed_s, 0, 300.0)
    )
    assert [(time_s, n) for time_s, _, _, n, _ in events(simulation, "bind")] == [(10.0, 0), (failed_s, 1)]
    assert simulation.services[0].pool_ready == len(simulation.pools[0]) == 1
    assert simulation.cost("queueing") == 0


@pytest.mark.parametrize("failed_s", [12.0, 25.0, 50.0], ids=["allocated", "pulling", "ready"])
def test_a_service_replaces_what_it_loses_to_a_failure(failed_s: float) -> None:
    simulation, starts = scaled(
        service(rate=5.0, **EMPTY, **IMAGE),
        (10.0, 1, 0),
        nodes=2,
        before=lambda world: fail_at(world, failed_s, 0, 300.0),
    )
    assert starting(simulation) == [(10.0, Stage.SCRATCH), (failed_s, Stage.SCRATCH)]
    assert simulation.services[0].ready == 1
    assert starts[1].total_s > 20
    assert simulation.cost("queueing") == 0  # there was room at once


def test_the_first_of_two_starts_is_scheduled_while_the_other_is_under_way() -> None:
    _, starts = scaled(service(**EMPTY), (10.0, 2, 0))
    drawn_s = [dict(zip(PARTS, start._drawn_s, strict=True)) for start in starts]
    first = int(np.argmin([drawn["code_s"] + drawn["dependency_s"] for drawn in drawn_s]))
    assert starts[first].parts["scheduling_s"] == pytest.approx(1.23 * drawn_s[first]["scheduling_s"])
    assert starts[first].parts["code_s"] == pytest.approx(drawn_s[first]["code_s"])


def test_a_pod_of_a_pool_has_run_since_it_got_its_node_whoever_takes_it() -> None:
    # The third service picks the node of the pod that has run for the shorter time: the one from the pool.
    whole: dict[str, Any] = {**EMPTY, "cpu_milli": 4000, "priority": 1}
    services = [service("lender", **whole), service("taker", **whole), service("third", **{**whole, "priority": 5})]
    steps = {
        (30.0, "scaler_1"): scaler_candidate(1),
        (40.0, "scaler_0"): scaler_candidate(0, 1),
        (80.0, "scaler_1"): scaler_candidate(1),
        (120.0, "scaler_2"): scaler_candidate(1),
    }
    simulation = played(
        scenario(control_workload([node(4000), node(4000)], services=services)),
        scaler=Calling(lambda asked: steps.get((asked.time_s, asked.agent), SCALER_NOOP)),
    )
    assert starting(simulation)[:2] == [(30.0, Stage.SCRATCH), (80.0, Stage.POOL)]
    assert [(time_s, n) for time_s, _, _, n, _ in events(simulation, "evict")] == [(120.0, 1)]


def test_a_replica_waits_for_a_node_before_its_start() -> None:
    world = control_workload([node(2000)], [pod(cpu=1500, priority=9, duration=100.0)], [service(**EMPTY)])
    simulation = played(scenario(world), scaler=at({10.0: scaler_candidate(1)}, SCALER_NOOP))
    assert starting(simulation) == [(100.0, Stage.SCRATCH)]
    assert simulation.cost("queueing") == pytest.approx(0.005 * 90 * 4)


def test_replicas_stay_between_their_bounds() -> None:
    seen: list[tuple[int, list[int]]] = []

    def look(decision: Any) -> int:
        seen.append((decision.subject.wanted, np.flatnonzero(decision.mask).tolist()))
        return SCALER_NOOP

    world = control_workload([node()], services=[service(initial_replicas=1, min_replicas=1, max_replicas=2)])
    played(scenario(world, pool_most=0), scaler=Calling(look))
    assert set(map(str, seen)) == {str((1, [scaler_candidate(0), scaler_candidate(1)]))}


# --- the queue


def test_the_queue_is_that_of_the_load_and_of_the_replicas_that_serve() -> None:
    steps = [(0.0, 8.0), (33.0, 25.0), (71.0, 5.0), (150.0, 18.0), (200.0, 0.0)]
    simulation, starts = scaled(
        service(rate=steps, slo_s=2.0, queue_limit=300.0), (40.0, 1, 0), (160.0, 1, 0), (300.0, -2, 0)
    )
    assert len(starts) == 2
    plain = FluidQueue(0.0, 2.0, 0.1, 300.0)
    ready_s = when(simulation, "ready")
    changes = [(time_s, "rate", rate) for time_s, rate in steps]
    changes += [(time_s, "replicas", 1) for time_s in ready_s] + [(300.0, "replicas", -2)]
    replicas = 0
    for time_s, what, value in sorted(changes):
        replicas += value if what == "replicas" else 0
        plain.set(time_s, **({"arrival_rps": value} if what == "rate" else {"capacity_rps": 10.0 * replicas}))
    plain.advance(600.0)
    queue = queue_now(simulation.services[0])
    for name in ("arrived", "served", "missed", "turned_away", "waiting_request_s", "busy_s", "latency_request_s"):
        assert getattr(queue, name) == pytest.approx(getattr(plain, name), rel=1e-9), name
    assert queue.arrived == pytest.approx(
        sum(rate * (end - begin) for (begin, rate), (end, _) in zip(steps, [*steps[1:], (600.0, 0)], strict=True))
    )
    assert plain.turned_away > 0
    assert simulation.cost("slo_miss") == pytest.approx(0.005 * plain.missed)
    assert simulation.metrics()["slo_miss_share"] == pytest.approx(plain.missed / plain.arrived)


def test_without_a_replica_every_request_misses() -> None:
    simulation, _ = scaled(service(rate=3.0, **EMPTY))
    assert simulation.services[0].missed == pytest.approx(1800)
    assert simulation.services[0].latency_s == inf


def test_capacity_is_the_sum_of_the_speeds_of_the_replicas() -> None:
    world = control_workload(
        [node(gpus=2, model="A10"), node(gpus=1, model="A10")],
        services=[service(rate=1.0, gpu_milli=1000, initial_replicas=3, clock_sensitivity=0.8)],
        rows=[0, 1],
    )
    power = PowerConfig(oversubscription=0.0, actuation_s=(15.0, 15.0))
    simulation = scenario(world, power=power).build(0)
    seen: list[float] = []
    for time_s in (20.0, 30.0):
        call_at(simulation, time_s, lambda: seen.append(simulation.services[0].capacity_rps))
    run(simulation, players(capper=since({10.0: capper_candidate(2, 1)}, 0, agent="capper_0")))
    slow = clock_speed(HIGH_CLOCKS[1], 0.8)
    assert seen == [pytest.approx(30.0), pytest.approx(10 + 20 * slow)]


def test_the_brake_slows_a_service() -> None:
    world = control_workload(
        [node(16_000, gpus=8, model="A100")],
        services=[service(rate=75.0, gpu_milli=1000, initial_replicas=8, max_replicas=8, clock_sensitivity=1.0)],
        duration_s=30.0,
    )
    power = oversubscribed(world, 0.95)
    simulation = played(scenario(world, power=power))
    assert when(simulation, "brake") == [7.0]  # the sample of the start comes before the load
    braked_rps = 80.0 * clock_speed(power.brake_clock, 1.0)
    assert simulation.services[0].capacity_rps == pytest.approx(braked_rps)
    assert simulation.services[0].backlog == pytest.approx(23 * (75.0 - braked_rps))


def test_two_services_that_swamp_each_other_recover_when_one_has_nothing_to_do() -> None:
    # Alone each could serve 8.5 of 10; together they are so slow that both are swamped, and then busy all the time.
    a = service("a", 8.5, gpu_milli=500)
    b = service("b", [(0.0, 0.0), (50.0, 8.5), (150.0, 0.0)], gpu_milli=500)
    simulation = scenario(control_workload([node(gpus=1)], services=[a, b]), interference="hinge").build(0)
    ours, theirs = simulation.services
    seen: list[tuple[float, float]] = []
    for time_s in (49.0, 100.0, 170.0, 599.0):
        call_at(simulation, time_s, lambda: seen.append((ours.capacity_rps, theirs.capacity_rps)))
    watched(simulation, players(), lambda: check_everything(simulation))
    together = 10 * (1 - 0.335 * (2.0 - 0.9))
    # b works off its queue with a next to it, until that is empty.
    backlog = 100 * (8.5 - together)
    assert seen == [(10.0, 10.0), (pytest.approx(together),) * 2, (pytest.approx(together),) * 2, (10.0, 10.0)]
    assert queue_now(theirs).waiting_request_s == pytest.approx(backlog * 100 / 2 + backlog**2 / together / 2)
    assert ours.backlog == theirs.backlog == 0


def test_a_service_stays_swamped_by_its_own_work_only_until_its_queue_is_empty() -> None:
    # Two replicas on one device: 12.63 requests per second at full load, 17.32 at the load of 13.
    steps = [(0.0, 13.0), (20.0, 30.0), (21.0, 13.0), (40.0, 12.0)]
    simulation = scenario(
        control_workload([node(gpus=1)], services=[service(rate=steps, gpu_milli=500, initial_replicas=2)]),
        interference="hinge",
    ).build(0)
    group = simulation.services[0]
    seen: list[float] = []
    for time_s in (19.0, 39.0, 590.0):
        call_at(simulation, time_s, lambda: seen.append(group.capacity_rps))
    run(simulation, players())
    assert seen == [
        pytest.approx(20 * (1 - 0.335 * (1.3 - 0.9))),
        pytest.approx(20 * 0.6315),
        pytest.approx(20 * (1 - 0.335 * 0.3)),
    ]
    assert group.backlog == 0


@st.composite
def crowded_services(draw: st.DrawFn) -> ClusterControl:
    """Up to four services on the devices and CPUs of one or two nodes, with loads about what they can do."""
    shares = st.sampled_from([0, 200, 300, 500])
    rates = st.lists(st.sampled_from([0.0, 4.0, 7.0, 7.5, 8.0, 9.0, 9.5, 10.0, 15.0, 21.0]), min_size=3, max_size=6)
    services = [
        service(
            f"s{k}",
            [(10.0 * step, rate) for step, rate in enumerate(draw(rates))],
            gpu_milli=draw(shares),
            initial_replicas=draw(st.integers(1, 3)),
            priority=draw(st.sampled_from([0, 3])),
            queue_limit=draw(st.sampled_from([5.0, inf])),
            clock_sensitivity=0.5,
        )
        for k in range(draw(st.integers(2, 4)))
    ]
    nodes = [node(draw(st.sampled_from([4000, 6000])), gpus=draw(st.sampled_from([1, 2])))] * draw(st.integers(1, 2))
    interference = draw(st.sampled_from(["hinge", "pairs"]))
    return scenario(control_workload(nodes, services=services, duration_s=80.0), interference=interference)


@given(crowded_services(), st.integers(0, 9))
@FEW
def test_services_that_slow_each_other_settle(world: ClusterControl, seed: int) -> None:
    looks: Counter[float] = Counter()
    simulation = world.build(seed)
    for group in simulation.services:
        count_looks(group, looks)
    policies = random_players()
    watched(simulation, policies, lambda: check_everything(simulation), roles=(CAPPER,))
    # Every service changes at most once and back for every change of another, and few things happen at one instant.
    assert max(looks.values()) <= 8 * len(simulation.services)


def count_looks(group: ServiceGroup, looks: Counter[float]) -> None:
    rebalance = group.rebalance

    def counted() -> bool:
        looks[group.now_s] += 1
        assert looks[group.now_s] < 1000, "the services never settle"
        return rebalance()

    group.rebalance = counted  # type: ignore[method-assign]


# --- what a scaler may read


def test_means_are_over_the_last_seconds() -> None:
    world = control_workload([node()], services=[service(rate=[(0.0, 4.0), (35.0, 8.0), (95.0, 30.0)], slo_s=0.5)])
    simulation = scenario(world).build(0)
    group = simulation.services[0]
    seen: dict[float, tuple[float, ...]] = {}

    def look() -> None:
        seen[group.now_s] = (
            group.arrivals_mean_rps(20.0),
            group.utilization_mean(20.0),
            group.in_flight_mean(20.0),
            group.missed_share(20.0),
        )

    for time_s in (30.0, 45.0, 60.0, 99.0):
        call_at(simulation, time_s, look)
    run(simulation, players())
    assert seen[30.0] == pytest.approx((4.0, 0.4, 0.4, 0.0))
    # Between two samples, at 44 s and 46 s, the window begins with a sample: 19 s ago.
    assert seen[45.0] == pytest.approx(
        ((9 * 4 + 10 * 8) / 19, (9 * 0.4 + 10 * 0.8) / 19, (9 * 0.4 + 10 * 0.8) / 19, 0.0)
    )
    assert seen[60.0] == pytest.approx((8.0, 0.8, 0.8, 0.0))
    # At 30 requests per second from 95 s on, .4 s of waiting are reached after .2 s; 8 per second for 15 s before.
    arrived = 15 * 8 + 4 * 30
    assert seen[99.0] == pytest.approx(
        (arrived / 19, (15 * 0.8 + 4) / 19, (15 * 0.8 + 4 * 1.0 + 4 * 80 / 2) / 19, 30 * 3.8 / arrived)
    )


def test_a_window_longer_than_the_episode_so_far_is_cut_short() -> None:
    world = control_workload([node()], services=[service(rate=6.0)], duration_s=30.0)
    simulation = scenario(world).build(0)
    group = simulation.services[0]
    assert group.arrivals_mean_rps(60.0) == 6.0
    assert group.missed_share(60.0) == 0.0
    run(simulation, players())
    assert group.arrivals_mean_rps(60.0) == pytest.approx(6.0)
    assert group.utilization_mean(600.0) == pytest.approx(0.6)


def test_a_load_step_takes_effect_at_its_time() -> None:
    world = control_workload([node()], services=[service(rate=[(0.0, 1.0), (12.5, 3.0)])])
    assert isinstance(world.services[0].load, ServiceLoad)
    simulation = played(scenario(replace(world, duration_s=20.0)))
    assert simulation.services[0].arrived == pytest.approx(12.5 + 3 * 7.5)
    assert simulation.services[0].arrival_rps == 3.0


def test_an_unused_scaler_changes_nothing() -> None:
    simulation, _ = scaled(service(rate=5.0))
    assert [kind for _, kind, *_ in events(simulation)] == ["bind", "ready"]
    assert simulation.services[0].capacity_rps == 10.0
    assert simulation.role_of("scaler_0") == SCALER
