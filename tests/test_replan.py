"""Plans for all pods at once: when one is asked for, how it is carried out, and that no pod is ever lost on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from math import ceil, inf, isnan, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import Calling, PlainCluster, crowded_workloads, events, node, play, pod, workload

from clustersim.baselines.fits import FirstFit
from clustersim.control import Decision
from clustersim.errors import ConfigError, IllegalAnswer
from clustersim.packing import NOWHERE, RESTART, Packing, Plan, evicted, moved, placed_by_tier, stay
from clustersim.policy import RandomPolicy
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_rescheduling import PodRescheduling
from clustersim.scenarios.pod_world import CARRY_OUT, KEEP, PLACE, PREEMPT, REPLAN, PodPlacementSimulation
from clustersim.workload import PodWorkload

# 4 x 250 worlds: the thousand that are asked for. Few of them are filtered out, but making them takes a while.
THOUSAND = settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
WAYS: tuple[dict[str, Any], ...] = (
    {"preemption": True},
    {"replan": "pending"},
    {"preemption": True, "replan": "pending", "queue": "head"},
    {"replan": "periodic", "replan_every_s": 0.75},
)


# --- a policy for every role that does whatever is legal


class AnyPreemption:
    """A random node; the world's victims, or all pods of lower priority there."""

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, decision: Decision) -> int:
        k = int(self._rng.choice(np.flatnonzero(decision.mask)))
        running = decision.view.running
        if self._rng.random() < 0.5:
            there = (running.home == k) & (running.priority < decision.subject.priority)
            decision.detail = tuple(np.flatnonzero(there).tolist())
        return k


class AnyPlan:
    """A random legal plan: pods stay, come, go and change places. Every plan is checked as soon as it was answered."""

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, decision: Decision) -> int:
        if self._rng.random() < 0.2:
            return KEEP
        decision.detail = any_plan(decision.subject.packing, self._rng)
        return CARRY_OUT


def any_plan(packing: Packing, rng: np.random.Generator) -> Plan:
    pods = len(packing.home)
    now = stay(packing)
    plan = Plan(np.full(pods, NOWHERE), np.full(pods, NOWHERE))
    keen = rng.random()
    for i in rng.permutation(pods):
        if packing.home[i] != NOWHERE and rng.random() < keen:
            plan.node[i], plan.device[i] = now.node[i], now.device[i]
        else:
            plan.node[i] = rng.integers(-1, len(packing.node_names))
            if packing.shares[i] and plan.node[i] != NOWHERE:
                plan.device[i] = rng.integers(4)
            elif plan.node[i] == packing.home[i] != NOWHERE and rng.random() < 0.5:
                plan.device[i] = RESTART
        if packing.why_illegal(plan):
            plan.node[i], plan.device[i] = NOWHERE, NOWHERE
    assert packing.why_illegal(plan) is None
    return plan


def replanning(
    world: PodWorkload, plan: Any, seed: int = 0, place: Any = None, preempt: Any = None, **options: Any
) -> PodRescheduling:
    """`plan`: the player of `replan`, or a function of the decision."""
    options = {"replan": "pending"} | options
    player = plan if hasattr(plan, "act") else Calling(plan)
    scenario = PodPlacement(world, mode="replay", **options)
    simulation = play(scenario, place or FirstFit(), seed, **{PREEMPT: preempt or AnyPreemption(), REPLAN: player})
    assert isinstance(simulation, PodRescheduling)
    return simulation


# --- no pod is lost: the log, told again in plain Python


class Retold:
    """The log on a plain cluster: capacity and the state of every pod after every event, and sums over time."""

    def __init__(self, simulation: PodPlacementSimulation) -> None:
        world, scenario = simulation.scenario.workload, simulation.scenario
        pods = world.pods
        order = [world.nodes.name.index(name) for name in simulation.view.cluster.names]
        self.plain = PlainCluster(world.nodes.take(np.array(order)), pods)
        self.state: dict[int, str] = {}
        self.where: dict[int, tuple[int, list[int]]] = {}
        self.count: Counter[str] = Counter()
        self.integral: dict[str, float] = defaultdict(float)
        self.pending_s: dict[int, float] = defaultdict(float)
        self.placed: list[int] = []  # every pod that was, in the order of its first placement
        self.lost_s = 0.0
        left_s = {row: float(pods.duration_s[row]) for row in range(len(pods))}
        since_s: dict[int, float] = {}
        now_s, victims_due = 0.0, (0, -1, -1)
        for time_s, kind, row, n, value in events(simulation):
            assert time_s >= now_s, "the log goes back in time"
            assert time_s == now_s or "moving" not in self.state.values(), "a moved pod was in the air"
            self._pass(pods, time_s - now_s)
            now_s = time_s
            self.count[kind] += 1
            before = self.state.get(row)
            if victims_due[0]:
                assert kind == "evict"
                assert n == victims_due[1]
                assert pods.priority[row] < pods.priority[victims_due[2]], "a victim is as important as the pod"
                victims_due = (victims_due[0] - 1, *victims_due[1:])
            if kind == "arrive":
                assert before is None
                self.state[row] = "pending"
            elif kind == "bind":
                assert before in ("pending", "moving")
                assert self.plain.fits(row, n)
                shares = 0 < pods.gpu_milli[row] < 1000
                devices = self.plain.bind(row, n, value.bit_length() - 1 if shares else None)
                assert value == sum(1 << d for d in devices)
                self.where[row] = (n, devices)
                self.state[row] = "bound"
                if row not in self.placed:
                    self.placed.append(row)
            elif kind == "start":
                assert before == "bound"
                self.state[row] = "running"
                since_s[row] = time_s
            elif kind == "finish":
                assert before == "running"
                assert time_s == pytest.approx(since_s[row] + left_s[row])
                self.plain.release(row, *self.where.pop(row))
                self.state[row] = "finished"
            elif kind in ("evict", "move"):
                assert before in ("bound", "running")
                assert n == self.where[row][0]
                self.plain.release(row, *self.where.pop(row))
                if before == "running" and not isnan(left_s[row]):
                    lost_s = (1 - scenario.checkpoint_share) * (time_s - since_s[row])
                    left_s[row] += lost_s - (time_s - since_s[row])
                    self.lost_s += lost_s
                self.state[row] = "pending" if kind == "evict" else "moving"
            else:
                assert kind == "preempt"
                assert before == "pending"
                assert not self.plain.fits(row, n)
                victims_due = (value, n, row)
            for here in self.plain.nodes:
                assert min(here.cpu, here.memory, *here.gpu, inf) >= 0, "a node holds more than it has"
        self._pass(pods, simulation.env.now - now_s)
        assert not victims_due[0]
        self.now_s = simulation.env.now

    def _pass(self, pods: Any, elapsed_s: float) -> None:
        for row, state in self.state.items():
            demand = int(pods.num_gpu[row] * pods.gpu_milli[row])
            if state == "pending":
                self.integral["unserved"] += demand * elapsed_s
                self.pending_s[row] += elapsed_s
            elif state in ("bound", "running"):
                self.integral["gpu"] += demand * elapsed_s
                self.integral["cpu"] += pods.cpu_milli[row] * elapsed_s
                self.integral["memory"] += pods.memory_mib[row] * elapsed_s

    def rows(self, *states: str) -> list[int]:
        return sorted(row for row, state in self.state.items() if state in states)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way.values())))
@given(
    world=crowded_workloads,
    seed=st.integers(0, 1000),
    share=st.sampled_from([0.0, 0.25, 1.0]),
    bandwidth=st.sampled_from([inf, 4.0]),
)
@pytest.mark.long
@THOUSAND
def test_no_pod_is_lost_whatever_is_preempted_evicted_and_moved(
    way: dict[str, Any], world: PodWorkload, seed: int, share: float, bandwidth: float
) -> None:
    options = {"checkpoint_share": share, "image_bandwidth_mib_s": bandwidth} | {"replan": "off"} | way
    simulation = replanning(world, AnyPlan(), seed, RandomPolicy(), **options)
    told, figures, pods = Retold(simulation), simulation.metrics(), world.pods
    assert sorted(told.state) == list(range(len(pods))), "a pod never arrived"
    assert sorted(told.rows("pending", "bound", "running", "finished")) == sorted(told.state)
    assert not told.rows("bound"), "a pod was bound and never started"
    running, view = told.rows("running"), simulation.running.view
    assert all(isnan(pods.duration_s[row]) for row in running), "a pod runs on for ever"
    assert np.flatnonzero(view.home != NOWHERE).tolist() == running
    for row in running:
        n, devices = told.where[row]
        assert (view.home[row], view.devices[row]) == (n, sum(1 << d for d in devices))
    # What is free and fragmented is what a cluster would have that had only ever seen the pods that run.
    cluster = simulation.view.cluster
    assert cluster.cpu_free.tolist() == [here.cpu for here in told.plain.nodes]
    assert cluster.memory_free.tolist() == [here.memory for here in told.plain.nodes]
    assert [row[: len(here.gpu)] for row, here in zip(cluster.gpu_free.tolist(), told.plain.nodes, strict=True)] == [
        here.gpu for here in told.plain.nodes
    ]
    demand = pods.gpu_demand_milli
    assert simulation.gpu_allocated.value == demand[running].sum()
    assert simulation.raw()["placed_pods"] == figures["pods_placed"] == len(running) + told.count["finish"]
    assert figures["pods_pending"] == len(told.rows("pending"))
    for tier in np.unique(pods.priority):
        of_tier = np.flatnonzero(pods.priority == tier)
        assert figures[f"pending_p{tier}"] == len(set(told.rows("pending")) & set(of_tier))
        assert figures[f"placed_p{tier}"] == len(set(told.rows("running", "finished")) & set(of_tier))
    assert figures["evictions"] == told.count["evict"]
    assert figures["moves"] == told.count["move"]
    assert figures["preemptions"] == told.count["preempt"]
    assert figures["lost_work_s"] == pytest.approx(told.lost_s)
    assert figures["queueing_delay_s_mean"] == pytest.approx(_mean_wait_s(simulation, told), nan_ok=True)
    for what, whole in (
        ("gpu", simulation.gpu_capacity_milli),
        ("cpu", simulation.capacity["cpu_milli"]),
        ("memory", simulation.capacity["memory_mib"]),
    ):
        if whole and told.now_s:
            assert figures[f"{what}_allocation"] == pytest.approx(told.integral[what] / told.now_s / whole)
    if simulation.gpu_capacity_milli:
        unserved = told.integral["unserved"] / 3600 / simulation.gpu_capacity_milli
        assert simulation.cost("allocation") == pytest.approx(100 * unserved)


def _mean_wait_s(simulation: PodPlacementSimulation, told: Retold) -> float:
    """Of the pods that were placed at least once; the wait of one that is pending again does not count yet."""
    last_evicted_s = {row: t for t, kind, row, _, _ in events(simulation) if kind == "evict"}
    waits = [
        told.pending_s[row] - (told.now_s - last_evicted_s[row] if told.state[row] == "pending" else 0.0)
        for row in told.placed
    ]
    return float(np.mean(waits)) if waits else nan


@given(world=crowded_workloads, seed=st.integers(0, 1000), way=st.sampled_from(WAYS))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_same_seed_gives_the_same_log(world: PodWorkload, seed: int, way: dict[str, Any]) -> None:
    logs = [replanning(world, AnyPlan(), seed, RandomPolicy(), **({"replan": "off"} | way)).log for _ in range(2)]
    assert logs[0].lines() == logs[1].lines()


# --- carrying out


@given(world=crowded_workloads, seed=st.integers(0, 1000), periodic=st.booleans())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_plan_ends_in_exactly_the_planned_placement(world: PodWorkload, seed: int, periodic: bool) -> None:
    rng = np.random.default_rng(seed)
    scenario = PodPlacement(world, mode="replay", **(WAYS[3] if periodic else {"replan": "pending"}))
    simulation = scenario.build(seed)
    assert isinstance(simulation, PodRescheduling)
    control, view = simulation.control, simulation.running.view
    while (decision := control.advance()) is not None:
        if decision.role == PLACE:
            control.answer(decision, int(decision.mask.argmax()))
            continue
        packing, rows = decision.subject.packing, decision.subject.rows
        plan = decision.detail = any_plan(packing, rng)
        before, started_s = view.devices[rows].copy(), view.started_s[rows].copy()
        disturbed = moved(packing, plan)
        counts = (simulation.evictions, simulation.moves)
        control.answer(decision, CARRY_OUT)
        # Work that takes no time ends later in the instant.
        assert view.home[rows].tolist() == plan.node.tolist()
        there = packing.shares & (plan.node != NOWHERE)
        assert view.devices[rows][there].tolist() == (1 << plan.device[there]).tolist()
        stayed = (packing.home != NOWHERE) & (plan.node != NOWHERE) & ~disturbed
        assert view.devices[rows][stayed].tolist() == before[stayed].tolist()
        assert view.started_s[rows][stayed].tolist() == started_s[stayed].tolist()
        assert (view.started_s[rows][disturbed] == decision.time_s).all()
        assert simulation.evictions - counts[0] == evicted(packing, plan).sum()
        assert simulation.moves - counts[1] == disturbed.sum()


def plan_of(decision: Decision, nodes: Sequence[int], devices: Sequence[int] | None = None) -> int:
    """Answer with a plan whose nodes are those of the trace: the simulation has shuffled them."""
    names = decision.subject.packing.node_names
    index = {int(name.removeprefix("node-")): n for n, name in enumerate(names)} | {NOWHERE: NOWHERE}
    node = np.array([index[n] for n in nodes])
    decision.detail = Plan(node, np.full(len(nodes), NOWHERE) if devices is None else np.array(devices))
    return CARRY_OUT


def placed_on(places: dict[int, int]) -> Calling:
    """Puts pods on given nodes of the trace."""
    return Calling(lambda d: d.view.cluster.names.index(f"node-{places[d.subject.row]}"))


def names_of(simulation: PodPlacementSimulation, kinds: Sequence[str]) -> list[tuple[float, str, int, str]]:
    names = simulation.view.cluster.names
    return [(t, kind, row, names[n]) for t, kind, row, n, _ in events(simulation) if kind in kinds]


def test_two_pods_change_places_to_let_a_third_in() -> None:
    # 0 and 1 are each on the larger node for the other; swapped, there is room for 2 beside the smaller one.
    pods = [pod(2000, duration=10.0), pod(3000, duration=10.0), pod(2000, arrival=4.0, duration=10.0)]
    world = workload([node(3000), node(4000)], pods)
    simulation = replanning(world, lambda d: plan_of(d, [1, 0, 1]), place=placed_on({0: 0, 1: 1}), checkpoint_share=0.5)
    assert names_of(simulation, ("move", "evict", "bind", "start")) == [
        (0.0, "bind", 0, "node-0"),
        (0.0, "start", 0, "node-0"),
        (0.0, "bind", 1, "node-1"),
        (0.0, "start", 1, "node-1"),
        (4.0, "move", 0, "node-0"),
        (4.0, "move", 1, "node-1"),
        (4.0, "bind", 0, "node-1"),
        (4.0, "start", 0, "node-1"),
        (4.0, "bind", 1, "node-0"),
        (4.0, "start", 1, "node-0"),
        (4.0, "bind", 2, "node-1"),
        (4.0, "start", 2, "node-1"),
    ]
    finishes = [(t, row) for t, kind, row, _, _ in events(simulation) if kind == "finish"]
    assert finishes == [(12.0, 0), (12.0, 1), (14.0, 2)], "half of four seconds is kept"
    figures = simulation.metrics()
    assert (figures["moves"], figures["evictions"], figures["lost_work_s"]) == (2.0, 0.0, 4.0)
    assert (figures["plans_carried_out"], figures["plans_kept"]) == (1.0, 0.0)
    assert figures["pods_placed"] == 3.0
    assert figures["queueing_delay_s_mean"] == 0.0, "who is moved does not wait"
    assert figures["cpu_allocation"] == pytest.approx((4 * 5000 + 8 * 7000 + 2 * 2000) / (14 * 7000))


def test_a_moved_pod_pulls_its_image_again_on_its_new_node() -> None:
    # Pod 0 has run for 2 s (4 to 6) when it is moved; it pulls again from 6 to 10, then has all of its 5 s to do.
    pods = [
        pod(2000, duration=5.0, image="a", image_mib=40),
        pod(4000, arrival=6.0, duration=1.0),
    ]
    world = workload([node(4000), node(3000)], pods)
    simulation = replanning(world, lambda d: plan_of(d, [1, 0]), place=placed_on({0: 0}), image_bandwidth_mib_s=10.0)
    assert names_of(simulation, ("start", "finish")) == [
        (4.0, "start", 0, "node-0"),
        (6.0, "start", 1, "node-0"),
        (7.0, "finish", 1, "node-0"),
        (10.0, "start", 0, "node-1"),
        (15.0, "finish", 0, "node-1"),
    ]
    figures = simulation.metrics()
    assert (figures["image_pull_s"], figures["image_pulls"], figures["lost_work_s"]) == (8.0, 2.0, 2.0)


def test_a_pod_that_is_moved_while_it_pulls_starts_once_and_only_at_its_new_node() -> None:
    pods = [pod(2000, duration=5.0, image="a", image_mib=40), pod(4000, arrival=1.0, duration=1.0)]
    world = workload([node(4000), node(3000)], pods)
    simulation = replanning(world, lambda d: plan_of(d, [1, 0]), place=placed_on({0: 0}), image_bandwidth_mib_s=10.0)
    assert names_of(simulation, ("start",)) == [(1.0, "start", 1, "node-0"), (5.0, "start", 0, "node-1")]
    figures = simulation.metrics()
    assert (figures["image_pull_s"], figures["lost_work_s"]) == (5.0, 0.0)


def test_an_evicted_pod_is_pending_with_its_priority_and_is_placed_when_there_is_room() -> None:
    pods = [pod(4000, duration=5.0, priority=1), pod(4000, arrival=2.0, duration=3.0, priority=2)]

    def evict(decision: Decision) -> int:
        return plan_of(decision, [NOWHERE, 0])

    simulation = replanning(workload([node(4000)], pods), evict)
    assert names_of(simulation, ("evict", "bind", "finish")) == [
        (0.0, "bind", 0, "node-0"),
        (2.0, "evict", 0, "node-0"),
        (2.0, "bind", 1, "node-0"),
        (5.0, "finish", 1, "node-0"),
        (5.0, "bind", 0, "node-0"),
        (10.0, "finish", 0, "node-0"),
    ]
    assert simulation.metrics()["queueing_delay_s_mean"] == 1.5
    assert simulation.metrics()["lost_work_s"] == 2.0


def test_another_device_of_the_same_node_is_a_move() -> None:
    # 400 and 400 on two devices, so that 900 waits until they share one.
    pods = [pod(100, gpu_milli=400), pod(100, gpu_milli=400), pod(100, gpu_milli=900, arrival=1.0)]
    devices = {0: 0, 1: 1}

    def place(decision: Decision) -> int:
        decision.detail = devices[decision.subject.row]
        return 0

    simulation = replanning(
        workload([node(gpus=2)], pods), lambda d: plan_of(d, [0, 0, 0], [0, 0, 1]), place=Calling(place)
    )
    assert simulation.running.view.devices.tolist() == [1, 1, 2]
    assert simulation.metrics()["moves"] == 1.0
    assert [kind for _, kind, row, _, _ in events(simulation) if row == 0] == ["arrive", "bind", "start"]


def test_a_pod_with_whole_gpus_keeps_them_unless_it_is_restarted() -> None:
    # Pod 1 holds device 1 of three. A share on device 1 needs it to be restarted, and then it gets another one.
    pods = [pod(100, gpu_milli=900), pod(100, gpus=1), pod(100, gpu_milli=900), pod(100, gpus=1, arrival=1.0)]
    first = {0: 0, 2: 2}

    def place(decision: Decision) -> int:
        decision.detail = first.get(decision.subject.row)
        return 0

    def restart(decision: Decision) -> int:
        return plan_of(decision, [0, 0, NOWHERE, 0], [0, RESTART, NOWHERE, NOWHERE])

    def onto_device_1(last: int) -> PodRescheduling:
        def answer(decision: Decision) -> int:
            return plan_of(decision, [NOWHERE, 0, 0, 0], [NOWHERE, last, 1, NOWHERE])

        return replanning(workload([node(gpus=3)], pods), answer, place=Calling(place))

    view = replanning(workload([node(gpus=3)], pods), restart, place=Calling(place)).running.view
    assert sorted(view.devices.tolist()) == [0, 1, 2, 4]
    with pytest.raises(IllegalAnswer, match="device 1 of node 'node-0' would hold 1900 milli"):
        onto_device_1(NOWHERE)
    moved_away = onto_device_1(RESTART).running.view
    assert moved_away.devices[2] == 2
    assert sorted(moved_away.devices.tolist()) == [0, 1, 2, 4]


def test_to_keep_everything_changes_nothing() -> None:
    world = workload([node(4000)], [pod(4000, duration=9.0), pod(4000, arrival=1.0, duration=9.0)])
    kept = replanning(world, lambda _: KEEP)
    plain = play(PodPlacement(world, mode="replay"), FirstFit())
    assert kept.log.lines() == plain.log.lines()
    figures = kept.metrics()
    assert figures["plans_kept"] == 1.0
    assert {name: figures[name] for name in plain.metrics()} == plain.metrics()


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (None, "leave a Plan in decision.detail"),
        (([0, 0], None), "node 'node-0' has 4000 CPU milli and would hold 8000"),
        (([0, 1], None), "pod 'pod-1' goes to node 1, but there are 1"),
        (([-2, 0], None), "pod 'pod-0' goes to node -2"),
        (([0], None), r"its node has the shape \(1,\), but the snapshot has 2 pods"),
        (([0, -1], [0]), r"its device has the shape \(1,\)"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_and_nothing_changes(plan: Any, message: str) -> None:
    world = workload([node(4000)], [pod(4000, duration=9.0), pod(4000, arrival=1.0, duration=9.0)])
    simulation = PodPlacement(world, mode="replay", replan="pending").build(0)
    control = simulation.control
    while (decision := control.advance()) is not None and decision.role == PLACE:
        control.answer(decision, 0)
    assert decision is not None
    before = str((simulation.log.lines(), simulation.metrics(), simulation.view.cluster.cpu_free.tolist()))
    if plan is not None:
        nodes, devices = plan
        decision.detail = Plan(np.array(nodes), np.full(len(nodes), NOWHERE) if devices is None else np.array(devices))
    with pytest.raises(IllegalAnswer, match=f"the plan at t=1.0 s cannot be carried out: .*{message}"):
        control.answer(decision, CARRY_OUT)
    assert str((simulation.log.lines(), simulation.metrics(), simulation.view.cluster.cpu_free.tolist())) == before


def test_the_snapshot_holds_who_runs_or_waits_and_stays_as_it_was() -> None:
    pods = [
        pod(1000, duration=1.0),
        pod(3000, gpu_milli=500, priority=3),
        pod(4000, arrival=2.0, priority=1),
        pod(5000, arrival=9.0),
    ]
    seen: list[Packing] = []

    def answer(decision: Decision) -> int:
        packing, rows = decision.subject.packing, decision.subject.rows
        if not seen:
            seen.append(packing)
            assert rows.tolist() == [1, 2]
            assert packing.pod_names == ("pod-1", "pod-2")
            assert packing.home.tolist() == [0, NOWHERE]
            assert packing.home_devices.tolist() == [1, 0]
            assert packing.priority.tolist() == [3, 1]
            assert packing.request[:, 0].tolist() == [3000, 4000]
            assert packing.cpu_milli.tolist() == [4000]
            assert not packing.protected.any()
            assert not packing.home.flags.writeable
            assert "1 running and 1 pending" in str(decision.subject)
            assert decision.view.running.started_s[1] == 0.0
            return plan_of(decision, [NOWHERE, 0])
        return KEEP

    replanning(workload([node(4000, gpus=1)], pods), answer)
    assert seen[0].home.tolist() == [0, NOWHERE]


# --- when a plan is asked for


def times(answer: Any, world: PodWorkload, **options: Any) -> list[float]:
    """When `replan` was asked for."""
    asked: list[float] = []

    def act(decision: Decision) -> int:
        assert (decision.subject.packing.home == NOWHERE).any(), "nobody is pending"
        asked.append(decision.time_s)
        return int(answer(decision))

    replanning(world, act, **options)
    return asked


def test_a_plan_is_asked_for_when_pods_stay_pending_and_something_has_changed() -> None:
    pods = [
        pod(1000, duration=20.0),  # nobody is pending yet
        pod(3000, arrival=1.0, duration=4.0),  # nor now
        pod(4000, arrival=2.0),  # is pending
        pod(4000, arrival=3.0),  # so is this
        pod(4000, arrival=3.0),
    ]
    # ... and at 5 and 20 somebody leaves.
    assert times(lambda _: KEEP, workload([node(4000)], pods)) == [2.0, 3.0, 5.0, 20.0]


def test_a_plan_that_evicts_does_not_lead_to_another_plan_at_the_same_instant() -> None:
    pods = [pod(4000, priority=0), pod(4000, arrival=1.0, priority=0), pod(9999, arrival=3.0)]

    def swap(decision: Decision) -> int:
        packing = decision.subject.packing
        node = np.where(packing.home == NOWHERE, 0, NOWHERE)
        node[2:] = NOWHERE
        decision.detail = Plan(node, np.full(len(node), NOWHERE))
        return CARRY_OUT

    assert times(swap, workload([node(4000)], pods)) == [1.0, 3.0]


def test_what_a_plan_leaves_room_for_is_offered_at_once_but_no_plan_is_asked_for_it() -> None:
    # The plan makes room for two pods and takes in one.
    pods = [pod(4000), pod(2000, arrival=1.0), pod(2000, arrival=1.0)]

    def one_of_two(decision: Decision) -> int:
        return plan_of(decision, [NOWHERE, 0, NOWHERE])

    world = workload([node(4000)], pods)
    assert times(one_of_two, world) == [1.0]
    assert replanning(world, one_of_two).running.view.home.tolist() == [NOWHERE, 0, 0]


def periodic(world: PodWorkload, answer: Any, every_s: float) -> list[float]:
    return times(answer, world, replan="periodic", replan_every_s=every_s)


def greedy(decision: Decision) -> int:
    """Pending pods where they fit, one by one; KEEP when none does."""
    packing = decision.subject.packing
    plan = Plan(packing.home.copy(), stay(packing).device.copy())
    for i in np.flatnonzero(packing.home == NOWHERE):
        for n in range(len(packing.node_names)):
            plan.node[i] = n
            if packing.why_illegal(plan) is None:
                break
            plan.node[i] = NOWHERE
    if (plan.node == packing.home).all():
        return KEEP
    decision.detail = plan
    return CARRY_OUT


def test_periodic_plans_come_at_multiples_of_the_period_and_only_while_something_can_change() -> None:
    pods = [
        pod(4000, arrival=1.0, duration=11.0),  # placed at 5, leaves at 16
        pod(4000, arrival=2.0, duration=1.0),  # waits for it; placed at 20
        pod(9999, arrival=100.0),  # fits nowhere: asked about once, though it waits for ever
    ]
    # At 10 because the plan of 5 has placed a pod; not at 15, because since 10 nothing has changed; at 25 nobody waits.
    assert periodic(workload([node(4000)], pods), greedy, 5.0) == [5.0, 10.0, 20.0, 100.0]


def test_in_periodic_mode_nobody_is_offered_a_node() -> None:
    world = workload([node(4000)], [pod(arrival=0.5, duration=3.0)])
    simulation = replanning(world, greedy, place=Calling(lambda _: 1 / 0), replan="periodic", replan_every_s=2.0)  # type: ignore[return-value, arg-type]
    assert names_of(simulation, ("bind", "finish")) == [(2.0, "bind", 0, "node-0"), (5.0, "finish", 0, "node-0")]


def test_what_arrives_or_leaves_at_a_tick_is_part_of_its_plan() -> None:
    pods = [pod(4000, duration=3.0), pod(4000, arrival=3.0, duration=1.0)]
    assert periodic(workload([node(4000)], pods), greedy, 3.0) == [0.0, 3.0]


def test_a_policy_that_only_shuffles_pods_does_not_keep_an_episode_alive() -> None:
    # Either of the two pods runs: the plan changes its mind whenever it is asked.
    def swap(decision: Decision) -> int:
        home = decision.subject.packing.home
        return plan_of(decision, [NOWHERE, 0] if home[0] != NOWHERE else [0, NOWHERE])

    assert periodic(workload([node(4000)], [pod(4000), pod(4000)]), swap, 1.0) == [0.0, 1.0]


@given(crowded_workloads, st.sampled_from([0.1, 0.3, 1.0, 7.0]), st.sampled_from([1.0, 3.0]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_ticks_are_multiples_of_the_period_and_never_come_twice(
    world: PodWorkload, every_s: float, speedup: float
) -> None:
    asked = periodic_with(world, every_s, speedup)
    assert all(round(t / every_s) == pytest.approx(t / every_s) for t in asked)
    assert all(round(later / every_s) > round(earlier / every_s) for earlier, later in pairwise(asked))
    first_s = float(world.pods.arrival_s.min()) / speedup
    assert asked[0] == pytest.approx(every_s * ceil(first_s / every_s - 1e-9))


def periodic_with(world: PodWorkload, every_s: float, speedup: float) -> list[float]:
    return times(greedy, world, replan="periodic", replan_every_s=every_s, arrival_speedup=speedup)


# --- configuration


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replan": "always"}, "replan is 'always'; choose one of off, pending, periodic"),
        ({"replan": "periodic"}, "replan is 'periodic', but replan_every_s is 0"),
        ({"replan": "periodic", "replan_every_s": -1.0}, "replan_every_s is -1.0"),
        ({"replan": "periodic", "replan_every_s": nan}, "replan_every_s is nan"),
        ({"replan": "periodic", "replan_every_s": inf}, "replan_every_s is inf"),
        ({"replan": "pending", "replan_every_s": 3.0}, "replan_every_s is 3.0, which has an effect only with"),
        ({"replan_every_s": 3.0}, "replan_every_s is 3.0, which has an effect only with"),
        ({"replan": "periodic", "replan_every_s": 3.0, "preemption": True}, "preemption is True, which has no effect"),
        ({"replan": "periodic", "replan_every_s": 3.0, "queue": "head"}, "queue is 'head', which has no effect"),
        ({"mode": "inflation", "replan": "pending"}, "replan is 'pending', which has an effect only in mode 'replay'"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PodPlacement(workload([node(gpus=1)], [pod(gpus=1)]), **({"mode": "replay"} | options))


def test_a_pod_that_no_node_could_ever_hold_stays_pending_and_can_be_told() -> None:
    reasons: list[str | None] = []

    def ask(decision: Decision) -> int:
        reasons.append(decision.subject.packing.why_hopeless(1))
        assert placed_by_tier(decision.subject.packing, decision.subject.packing.home) == (1,)
        return KEEP

    simulation = replanning(workload([node(4000)], [pod(), pod(9999)]), ask)
    assert simulation.metrics()["pods_pending"] == 1.0
    assert "pod 'pod-1' can never run" in str(reasons[0])
