"""Tiny shared clusters for tests: workloads by hand, players with a script, random worlds, what always has to hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from worlds import Calling, node, node_table, pod, pod_table

from clustersim.coldstart import ALLOCATION_S, PARTS, ColdStartConfig, Stage
from clustersim.control import Decision
from clustersim.control_workload import BatchTraits, ControlWorkload, Service, ServiceLoad
from clustersim.failures import FailureConfig
from clustersim.fluid_queue import FluidQueue
from clustersim.hardware import clock_power, clock_speed, servers_of
from clustersim.interference import PAIRS, SLOWEST, slowdown
from clustersim.live_migration import MigrationConfig
from clustersim.packing import NOWHERE
from clustersim.policy import Policy, RandomPolicy, run
from clustersim.power import PowerConfig
from clustersim.scenarios.cluster_control import COMPONENTS, ClusterControl, CostWeights
from clustersim.scenarios.control_roles import CAPPER, MIGRATOR, MOVES, PLACER, ROLES, SCALER, SCALER_NOOP
from clustersim.scenarios.control_service import ServiceGroup
from clustersim.scenarios.control_world import ControlSimulation
from clustersim.tenancy import Tenancy
from clustersim.work import Work
from clustersim.workload import GPU_MILLI

GPU_TYPE = {"A10": "A10", "T4": "T4", "V100": "V100", "A100": "A100-80"}

CALM: dict[str, Any] = {
    "power": PowerConfig(oversubscription=0.0),
    "failures": FailureConfig(per_1000_node_days=0.0),
    "interference": "off",
    "weights": CostWeights(slo_miss=0.005, queueing=0.005, energy=2.0, brake=50.0, cold_start=0.05, migration=0.5),
}
"""Nothing fails, brakes or slows its neighbours."""


# --- worlds by hand


def service(name: str = "web", rate: float | Sequence[tuple[float, float]] = 0.0, **options: Any) -> Service:
    """One replica is 1 core and 1 GiB, and serves 10 requests per second; `rate` may be steps of (time, rate)."""
    steps = [(0.0, rate)] if isinstance(rate, int | float) else rate
    time_s, rate_rps = np.array(steps, dtype=np.float64).T
    defaults: dict[str, Any] = {
        "zone": 0,
        "load": ServiceLoad(time_s, rate_rps),
        "cpu_milli": 1000,
        "memory_mib": 1024,
        "gpu_milli": 0,
        "service_time_s": 0.1,
        "concurrency": 1,
        "slo_s": 0.5,
        "max_replicas": 4,
        "clock_sensitivity": 0.0,
    }
    return Service(name, **{**defaults, **options})


def control_workload(
    nodes: Sequence[Mapping[str, Any]],
    pods: Sequence[Mapping[str, Any]] = (),
    services: Sequence[Service] = (),
    zones: Sequence[int] | None = None,
    rows: Sequence[int] | None = None,
    duration_s: float = 600.0,
    **traits: Any,
) -> ControlWorkload:
    """`zones` and `rows` are those of the nodes: one of each, or a row per zone. `traits` are one value for all pods or
    one per pod; pods are busy, and no clock slows them."""
    defaults = {"zone": 0, "gpu_load": 1.0, "cpu_load": 1.0, "clock_sensitivity": 0.0, "kind": 0}
    integer = {"zone", "kind"}
    columns = {
        name: np.broadcast_to(value, len(pods)).astype(np.int64 if name in integer else np.float64)
        for name, value in {**defaults, **traits}.items()
    }
    table = pod_table(pods) if pods else pod_table([pod()]).take(np.zeros(0, dtype=np.int64))
    zones = [0] * len(nodes) if zones is None else zones
    return ControlWorkload(
        name="tiny",
        nodes=node_table(nodes),
        zone=np.array(zones, dtype=np.int64),
        row=np.array(zones if rows is None else rows, dtype=np.int64),
        gpu_type=GPU_TYPE,
        pods=table,
        traits=BatchTraits(**columns),
        services=tuple(services),
        duration_s=duration_s,
    )


def scenario(workload: ControlWorkload, **options: Any) -> ClusterControl:
    return ClusterControl(lambda _seed: workload, **{**CALM, **options})


# --- players


def first_node(decision: Decision) -> int:
    return int(decision.mask.argmax())


def at(times: Mapping[float, int], otherwise: int, agent: str | None = None) -> Policy:
    """Gives these answers at these times, of one agent only if it is named."""

    def answer(decision: Decision) -> int:
        named = agent in (None, decision.agent)
        return times.get(decision.time_s, otherwise) if named else otherwise

    return Calling(answer)


def since(times: Mapping[float, int], before: int, agent: str | None = None) -> Policy:
    """Gives each of these answers from its time on, of one agent only if it is named."""

    def answer(decision: Decision) -> int:
        past = [time_s for time_s in times if time_s <= decision.time_s]
        return times[max(past)] if past and agent in (None, decision.agent) else before

    return Calling(answer)


def move(row: int, target: int) -> Callable[[Decision], int]:
    """Moves this pod there once, as soon as it is on the list."""
    done: list[int] = []

    def answer(decision: Decision) -> int:
        moves = decision.subject
        for k in np.flatnonzero(decision.mask[:MOVES]).tolist():
            if not done and moves.pod[k] == row and moves.target[k] == target:
                done.append(row)
                return k
        return MOVES

    return answer


def players(**others: Policy) -> dict[str, Policy]:
    """First-fit; nobody scales, caps or migrates. `others` play roles instead."""
    still = {
        PLACER: Calling(first_node),
        SCALER: at({}, SCALER_NOOP),
        CAPPER: at({}, 0),
        MIGRATOR: at({}, MOVES),
    }
    return {**still, **others}


def played(world: ClusterControl, seed: int = 0, **others: Policy) -> ControlSimulation:
    simulation = world.build(seed)
    run(simulation, players(**others))
    return simulation


def random_players() -> dict[str, Policy]:
    return {role: RandomPolicy() for role in ROLES}


class Watching:
    """Plays like another policy, and looks at the world before every answer."""

    def __init__(self, policy: Policy, look: Callable[[], object]) -> None:
        self.policy = policy
        self.look = look

    def reset(self, rng: np.random.Generator) -> None:
        self.policy.reset(rng)

    def act(self, decision: Decision) -> int:
        self.look()
        return self.policy.act(decision)


def watched(
    simulation: ControlSimulation,
    policies: Mapping[str, Policy],
    look: Callable[[], object],
    roles: tuple[str, ...] = ROLES,
) -> int:
    """Play to the end and look at every decision of these roles; the number of decisions."""
    return run(simulation, {**policies, **{role: Watching(policies[role], look) for role in roles}})


# --- what happened


def events(simulation: ControlSimulation, *kinds: str) -> list[tuple[float, str, int, int, int]]:
    """(time, kind, subject, place, value); all kinds when none is named."""
    names = simulation.log.kinds
    rows = zip(*simulation.log.columns(), strict=True)
    found = [(float(t), names[int(k)], int(s), int(p), int(v)) for t, k, s, p, v in rows]
    return [event for event in found if not kinds or event[1] in kinds]


def when(simulation: ControlSimulation, kind: str, subject: int | None = None) -> list[float]:
    return [event[0] for event in events(simulation, kind) if subject in (None, event[2])]


def queue_now(group: ServiceGroup) -> FluidQueue:
    """The queue of a service with every count up to now."""
    return group.queue.peek(group.now_s)


def call_at(simulation: ControlSimulation, time_s: float, then: Callable[..., object], *arguments: Any) -> None:
    simulation.env.timeout(time_s).callbacks.append(lambda _event: then(*arguments))


def fail_at(simulation: ControlSimulation, time_s: float, node: int, repaired_s: float = inf) -> None:
    call_at(simulation, time_s, simulation._fail, node)
    if repaired_s < inf:
        call_at(simulation, repaired_s, simulation._repair, node)


# --- random worlds


def node_dicts(gpus: tuple[int, ...] = (0, 1, 2)) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        node,
        cpu=st.sampled_from([2000, 4000]),
        memory=st.sampled_from([4096, 8192]),
        gpus=st.sampled_from(gpus),
        model=st.sampled_from(["A10", "V100"]),
    )


batch_pods = st.builds(
    lambda kind, **columns: pod(**kind, **columns),
    kind=st.sampled_from([{}, {"gpu_milli": 300}, {"gpu_milli": 500}, {"gpus": 1}, {"gpus": 2}]),
    cpu=st.sampled_from([500, 1000, 2000]),
    memory=st.sampled_from([512, 2048]),
    arrival=st.sampled_from([0.0, 5.0, 20.0, 60.0]),
    duration=st.sampled_from([0.0, 15.0, 40.0, 150.0, float("nan")]),
    priority=st.sampled_from([0, 1, 2, 4]),
)

service_options = st.fixed_dictionaries(
    {
        "rate": st.lists(st.sampled_from([0.0, 5.0, 9.0, 14.0, 25.0, 60.0]), min_size=1, max_size=4).map(
            lambda rates: [(35.0 * k, rate) for k, rate in enumerate(rates)]
        ),
        "gpu_milli": st.sampled_from([0, 250, 500, 1000]),
        "cpu_milli": st.sampled_from([500, 1000]),
        "memory_mib": st.sampled_from([512, 1024]),
        "min_replicas": st.sampled_from([0, 1]),
        "queue_limit": st.sampled_from([20.0, inf]),
        "priority": st.sampled_from([1, 3, 5]),
        "clock_sensitivity": st.sampled_from([0.0, 0.5, 1.0]),
        "runtime": st.sampled_from(["Python3", "Go1.x"]),
        "image": st.sampled_from(["", "a", "b"]),
        "image_mib": st.just(300),
    }
)


@st.composite
def control_workloads(draw: st.DrawFn, gpus: tuple[int, ...] = (0, 1, 2)) -> ControlWorkload:
    """One or two zones, two power rows at most, up to eight pods and up to three services, 150 s."""
    nodes = draw(st.lists(node_dicts(gpus), min_size=1, max_size=4))
    zones = draw(st.integers(1, min(2, len(nodes))))
    pods = draw(st.lists(batch_pods, max_size=8))

    def one_per_pod(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=len(pods), max_size=len(pods)))

    return control_workload(
        nodes,
        pods,
        [
            service(f"s{number}", zone=draw(st.integers(0, zones - 1)), **options)
            for number, options in enumerate(draw(st.lists(service_options, max_size=3)))
        ],
        zones=[n * zones // len(nodes) for n in range(len(nodes))],
        duration_s=150.0,
        zone=one_per_pod(st.integers(0, zones - 1)),
        gpu_load=one_per_pod(st.sampled_from([0.4, 0.9, 1.0])),
        clock_sensitivity=one_per_pod(st.sampled_from([0.0, 0.5, 1.0])),
        kind=one_per_pod(st.integers(0, 6)),
    )


def oversubscribed(workload: ControlWorkload, tightness: float) -> PowerConfig:
    """Budgets between nameplate (0) and what the brake can just keep (1)."""
    servers = servers_of(workload.nodes, workload.gpu_type)
    nameplate_w, braked_w = (np.bincount(workload.row, weights=w) for w in (servers.nameplate_w, servers.braked_w))
    return PowerConfig(oversubscription=tightness * float((nameplate_w / braked_w).min() - 1) * (1 - 1e-9))


@st.composite
def rough_scenarios(draw: st.DrawFn) -> ClusterControl:
    """Nodes fail every few minutes, rows brake, images crowd each other out, neighbours slow each other."""
    workload = draw(control_workloads())
    return scenario(
        workload,
        power=oversubscribed(workload, draw(st.sampled_from([0.0, 0.9, 1.0]))),
        failures=FailureConfig(per_1000_node_days=1e6 * draw(st.sampled_from([0, 1])), repair_mean_s=20.0),
        cold_starts=ColdStartConfig(bandwidth_mib_s=60.0, cache_mib=draw(st.sampled_from([0.0, 300.0, inf]))),
        interference=draw(st.sampled_from(["off", "hinge", "pairs"])),
        migration=MigrationConfig(bandwidth_mib_s=200.0, stop_mib=400.0),
        checkpoint_share=draw(st.sampled_from([0.0, 0.5, 1.0])),
        preemption=draw(st.booleans()),
        log_power=True,
    )


# --- what always has to hold when somebody is asked


def check_everything(simulation: ControlSimulation) -> None:
    for zone in range(len(simulation.zones)):
        check_nodes(simulation, zone)
        check_queue(simulation, zone)
    check_batch(simulation)
    for group in simulation.services:
        check_service(simulation, group)
    check_machines(simulation)
    check_images(simulation)
    check_costs(simulation)


def check_nodes(simulation: ControlSimulation, z: int) -> None:
    """What is free is what nobody holds: no pod, no migration on its way, no outage."""
    zone, nodes = simulation.zones[z], simulation.workload.nodes.take(simulation.zones[z].nodes)
    reserved = simulation.migrations[z]._reserved
    held = [*zone.bindings.values(), *zone._outages.values(), *([reserved] if reserved else [])]
    assert all(binding.held for binding in held)
    cpu, memory = nodes.cpu_milli.copy(), nodes.memory_mib.copy()
    gpu = np.where(np.arange(zone.cluster.view.gpu_free.shape[1]) < nodes.gpu_count[:, None], GPU_MILLI, 0)
    for binding in held:
        cpu[binding.node] -= binding.request[0]
        memory[binding.node] -= binding.request[1]
        for device in devices_of(binding.devices):
            gpu[binding.node, device] -= binding.request[3]
    view = zone.cluster.view
    assert view.cpu_free.tolist() == cpu.tolist()
    assert view.memory_free.tolist() == memory.tolist()
    assert view.gpu_free.tolist() == gpu.tolist()
    assert min(cpu.min(), memory.min(), gpu.min()) >= 0
    assert set(np.flatnonzero(zone._home != NOWHERE).tolist()) == set(zone.bindings)
    for row, binding in zone.bindings.items():
        assert (zone._home[row], zone._devices[row]) == (binding.node, binding.devices)
    down = {n for n in range(len(zone.nodes)) if not zone.view.up[n]}
    assert set(zone._outages) == down
    assert not {binding.node for binding in zone.bindings.values()} & down
    assert reserved is None or reserved.node not in down
    kept = zone.fragmentation.view.per_node.copy()
    for n in range(len(zone.nodes)):
        zone.fragmentation.update(n)
    assert kept.tolist() == zone.fragmentation.view.per_node.tolist()


def check_queue(simulation: ControlSimulation, z: int) -> None:
    zone = simulation.zones[z]
    waiting = zone.pending.rows.tolist()
    assert sorted(waiting) == sorted(zone._weight) == sorted(zone._since_s)
    assert zone.view.waiting[0] == len(waiting)
    assert not set(waiting) & set(zone.bindings)
    in_pools = {row for group in simulation.services for row in group._pool_pending}
    weights = [0.0 if row in in_pools else 1.0 + zone._pods.pods[row].priority for row in waiting]
    assert zone.queueing.value == sum(weights)


def check_batch(simulation: ControlSimulation) -> None:
    """Every pod that has arrived waits, is on a node or is finished, and no other one is anywhere."""
    batch, count = simulation.batch, len(simulation.workload.pods)
    now_s, arrival_s = simulation.env.now, simulation.workload.pods.arrival_s
    found = Counter(list(batch.finished))
    for zone in simulation.zones:
        found.update(row for row in (*zone.pending.rows.tolist(), *zone.bindings) if row < count)
    assert found == Counter(np.flatnonzero(arrival_s <= now_s).tolist())
    standing = simulation._standing
    for zone in simulation.zones:
        for row in zone.bindings:
            if row < count and np.isfinite(simulation._pods[row].duration_s):
                assert batch._works[row].rate == (0.0 if row in standing else simulation.tenancy.speed[row])


def check_service(simulation: ControlSimulation, group: ServiceGroup) -> None:
    service, zone = group.service, simulation.zones[group.service.zone]
    places = (
        *(group._free, group._pending, group._starting, group._ready),
        *(group._pool_pending, group._pool_created, group._pool_ready),
    )
    own = [row for row, s in simulation._service_of.items() if s == group.index]
    assert sorted(row for place in places for row in place) == own
    assert group.wanted == group.ready + group.starting + group.pending
    assert service.min_replicas <= group.wanted <= service.max_replicas
    in_pool = len(group._pool_pending) + len(group._pool_created) + len(group._pool_ready)
    assert in_pool == group.pool_wanted <= simulation.scenario.pool_most
    assert set(group._pending) | set(group._pool_pending) == set(own) & set(zone.pending.rows.tolist())
    placed = {*group._starting, *group._ready, *group._pool_created, *group._pool_ready}
    assert placed == set(own) & set(zone.bindings)
    pools = simulation.pools[service.zone]
    assert {row for lender, row in pools._home if lender is group} == set(group._pool_ready)
    assert group.starting_pods.value == group.starting
    # What it can do follows from its machines, and how busy it keeps them from what it has to do.
    speeds = [float(simulation.tenancy.speed[row]) for row in group._ready]
    assert group.capacity_rps == pytest.approx(sum(speeds) * service.replica_rps)
    possible_rps = len(group._ready) * service.replica_rps
    swamped = group.backlog > 1e-6 or group.arrival_rps > group.capacity_rps
    load = 1.0 if swamped else group.arrival_rps / possible_rps if possible_rps else 1.0
    for row in group._ready:
        assert simulation.tenancy._cpu_load[row] == pytest.approx(load * service.cpu_milli)


def check_machines(simulation: ControlSimulation) -> None:
    """Tenants are those on the nodes, and every speed and every watt is that of the definition."""
    tenancy, workload = simulation.tenancy, simulation.workload
    for n in range(len(workload.nodes)):
        zone = simulation._zone(n)
        there = {row for row, binding in zone.bindings.items() if binding.node == zone.local(n)}
        assert sorted(tenancy.on(n)) == sorted(there - set(simulation._standing))
        row = int(workload.row[n])
        assert tenancy._low_clock[n] == simulation.rows.low_clock(row)
        assert tenancy._high_clock[n] == simulation.rows.high_clock(row)
        assert tenancy.power_w[n] == pytest.approx(plain_power_w(tenancy, n))
        for tenant in tenancy.on(n):
            assert tenancy.speed[tenant] == pytest.approx(plain_speed(tenancy, n, tenant))
    by_row = np.bincount(workload.row, weights=tenancy.power_w)
    assert np.allclose(simulation.rows.power_w, by_row, rtol=1e-9)
    assert np.allclose(simulation.row_power, by_row / simulation.budget_w, rtol=1e-9)


def check_images(simulation: ControlSimulation) -> None:
    """Nobody holds an image but the pods that need it, and theirs are there."""
    users: Counter[tuple[int, str]] = Counter()
    for group in simulation.services:
        pulling = [row for row, start in group._starting.items() if start._part >= PARTS.index("pull_s")]
        created = [row for row, creation in group._pool_created.items() if not isinstance(creation, Work)]
        for row in (*group._ready, *group._pool_ready, *pulling, *created):
            users[simulation.node_of(row), group.service.image] += 1
    store = simulation.cold.pulls._store
    held = {(n, image): kept.users for n, images in enumerate(store._images) for image, kept in images.items()}
    users = Counter({key: count for key, count in users.items() if key[1]})
    # A pod of a pool keeps its image while it is allocated to a replica.
    surplus = Counter(held) - users
    assert not users - Counter(held)
    if surplus:
        since_s = simulation.env.now - max(ALLOCATION_S[Stage.POOL], ALLOCATION_S[Stage.WIDER])
        taken = [event for event in events(simulation, "starting") if event[0] >= since_s and event[4] < Stage.SCRATCH]
        assert surplus.total() <= len(taken)
    assert simulation.cold.under_way == sum(group.starting for group in simulation.services)


def check_costs(simulation: ControlSimulation) -> None:
    parts = simulation.components()
    assert tuple(parts) == COMPONENTS
    agents = [simulation.cost(agent) for agent in simulation.agents]
    assert sum(agents) == pytest.approx(simulation.cost("team")) == pytest.approx(sum(parts.values()))
    assert simulation.agent_costs().tolist() == agents
    assert min(*parts.values(), *agents) >= 0


# --- a machine in plain Python


def devices_of(bits: int) -> list[int]:
    return [device for device in range(64) if bits >> device & 1]


def _on_device(tenancy: Tenancy, n: int, device: int) -> list[int]:
    return [row for row in tenancy.on(n) if tenancy._gpu_load[row] > 0 and tenancy._devices[row] >> device & 1]


def _clock(tenancy: Tenancy, n: int, device: int) -> float:
    important = any(tenancy._high[row] for row in _on_device(tenancy, n, device))
    return float(tenancy._high_clock[n] if important else tenancy._low_clock[n])


def plain_power_w(tenancy: Tenancy, n: int) -> float:
    capacity, other_idle, other_range, gpu_idle, gpu_tdp, gpus = (column[n] for column in tenancy._machines[:6])
    cpu = sum(tenancy._cpu_load[row] for row in tenancy.on(n)) / capacity
    watts = other_idle + other_range * min(1.0, cpu)
    for device in range(int(gpus)):
        load = sum(tenancy._gpu_load[row] for row in _on_device(tenancy, n, device))
        watts += gpu_idle + (gpu_tdp - gpu_idle) * min(1.0, load) * clock_power(_clock(tenancy, n, device))
    return float(watts * tenancy.up[n])


def plain_speed(tenancy: Tenancy, n: int, row: int) -> float:
    busy = [other for other in tenancy.on(n) if tenancy._cpu_load[other] > 0]
    cpu = sum(tenancy._cpu_load[other] for other in busy) / tenancy._machines[0][n]
    devices = devices_of(int(tenancy._devices[row]))
    paces = [1.0]
    if tenancy._mode and len(busy) > 1:
        paces.append(slowdown(cpu))
    for device in devices:
        tenants = _on_device(tenancy, n, device)
        if tenancy._mode == 1 and len(tenants) > 1:
            paces.append(slowdown(sum(tenancy._gpu_load[other] for other in tenants)))
        if tenancy._mode == 2 and len(tenants) > 1:
            kinds = [tenancy._kind[other] for other in tenants if other != row]
            paces.append(max(SLOWEST, float(np.prod([PAIRS[tenancy._kind[row], kind] for kind in kinds]))))
    clock = min((_clock(tenancy, n, device) for device in devices), default=1.0)
    return min(paces) * clock_speed(clock, float(tenancy._sensitivity[row]))
