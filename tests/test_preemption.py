"""Preemption: who has to go, whose node it is, and what becomes of the victims."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from worlds import (
    FEW,
    MANY,
    Calling,
    PlainCluster,
    Recording,
    Waiting,
    crowded_workloads,
    events,
    node,
    play,
    pod,
    workload,
)

from clustersim.baselines.fits import FirstFit
from clustersim.baselines.kube_preemption import KubePreemption
from clustersim.cluster import Cluster
from clustersim.control import Decision
from clustersim.errors import ConfigError, IllegalAnswer
from clustersim.packing import NOWHERE
from clustersim.pods import Pod, compile_pods
from clustersim.preemption import (
    first_with_hope,
    nodes_that_could_make_room,
    pick_node,
    victims_by_reprieve,
    why_no_victims,
)
from clustersim.running_pods import RunningView
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_rescheduling import PodRescheduling
from clustersim.scenarios.pod_world import PLACE, PREEMPT, PodPlacementSimulation
from clustersim.workload import PodWorkload

Log = list[tuple[float, str, int, int, int]]


def preempting(world: PodWorkload, seed: int = 0, player: Any = None, **options: Any) -> PodPlacementSimulation:
    scenario = PodPlacement(world, mode="replay", preemption=True, **options)
    return play(scenario, FirstFit(), seed, **{PREEMPT: player or KubePreemption()})


def without_arrivals(simulation: PodPlacementSimulation) -> Log:
    return [event for event in events(simulation) if event[1] != "arrive"]


# --- the node, step by step: each case is decided by its step, and the step after it would decide otherwise


def picked(*candidates: tuple[int, Sequence[tuple[int, float]]], violates: Sequence[bool] | None = None) -> int:
    """Candidates are (node, victims), victims are (priority, start)."""
    rows = [(n, priority, started_s) for n, victims in candidates for priority, started_s in victims]
    homes, priorities, starts_s = zip(*rows, strict=True)
    return pick_node(
        np.array(homes),
        np.array(priorities),
        np.array(starts_s, dtype=np.float64),
        None if violates is None else np.array(violates),
    )


def test_the_fewest_violations_of_disruption_budgets_come_first() -> None:
    cheap, dear = (0, [(1, 0.0)]), (1, [(9, 0.0), (9, 0.0)])
    assert picked(cheap, dear) == 0
    assert picked(cheap, dear, violates=[True, False, False]) == 1
    assert picked(cheap, dear, violates=[True, True, True]) == 0


def test_then_comes_the_lowest_highest_priority() -> None:
    assert picked((0, [(5, 0.0)]), (1, [(4, 0.0), (4, 0.0), (4, 0.0)])) == 1


def test_then_comes_the_smallest_sum_of_priorities() -> None:
    assert picked((0, [(5, 9.0), (3, 0.0)]), (1, [(5, 0.0), (2, 0.0)])) == 1
    lowest = -(1 << 31)  # adds nothing to a sum
    assert picked((0, [(5, 9.0), (4, 9.0)]), (1, [(5, 0.0), (lowest, 0.0), (lowest, 0.0)])) == 1


def test_fewer_victims_of_negative_priority_make_a_smaller_sum() -> None:
    assert picked((0, [(-1, 9.0), (-5, 0.0)]), (1, [(-1, 0.0)])) == 1


def test_then_come_the_fewest_victims() -> None:
    # Two priorities that differ by the offset make equal sums with different numbers.
    offset = 1 << 31
    assert picked((0, [(5, 9.0), (-offset, 9.0)]), (1, [(5, 0.0)])) == 1


def test_then_comes_the_latest_of_the_earliest_starts_of_the_highest_priority() -> None:
    early, late = (0, [(5, 1.0), (5, 8.0), (2, 7.0)]), (1, [(5, 2.0), (5, 2.0), (2, 0.0)])
    assert picked(early, late) == 1
    assert picked((0, [(5, 3.0), (5, 8.0), (2, 0.0)]), late) == 0


def test_then_comes_the_first_node_of_all() -> None:
    assert picked((4, [(5, 1.0)]), (2, [(5, 1.0)]), (3, [(5, 1.0)])) == 2


# --- the victims, against kube's procedure in plain Python


def a_full_cluster(world: PodWorkload, budget: set[int]) -> tuple[Cluster, RunningView, PlainCluster, np.ndarray]:
    """Every pod but the last is placed first-fit, in order; those in `budget` violate a disruption budget."""
    pods = compile_pods(world, 1.0, 0)
    count = len(world.pods)
    cluster, plain = Cluster(world.nodes, pods.models), PlainCluster(world.nodes, world.pods)
    home, devices = np.full(count, NOWHERE), np.zeros(count, dtype=np.int64)
    for row in range(count - 1):
        mask = plain.mask(row)
        if any(mask):
            home[row] = mask.index(True)
            devices[row] = cluster.bind(pods.requests[row], int(home[row])).devices
            plain.bind(row, int(home[row]))
    view = RunningView(home, devices, world.pods.arrival_s, world.pods.priority, pods.requests)
    return cluster, view, plain, np.array([row in budget for row in range(count)])


def devices_of(bits: int) -> list[int]:
    return [d for d in range(8) if bits >> d & 1]


def plain_victims(
    pod: Pod, n: int, running: RunningView, plain: PlainCluster, violates: np.ndarray
) -> list[int] | None:
    """selectVictimsOnNode of kube-scheduler; None when the node cannot make room. Leaves the cluster as it was."""
    lower = [row for row in range(len(running.home)) if running.home[row] == n and running.priority[row] < pod.priority]
    for row in lower:
        plain.release(row, n, devices_of(running.devices[row]))
    victims: list[int] | None = None
    if plain.fits(pod.row, n):
        victims = []
        for row in sorted(lower, key=lambda r: (not violates[r], -running.priority[r], running.started_s[r], r)):
            _put_back(row, n, running, plain)
            if not plain.fits(pod.row, n):
                plain.release(row, n, devices_of(running.devices[row]))
                victims.append(row)
    for row in lower if victims is None else victims:
        _put_back(row, n, running, plain)
    return victims


def _put_back(row: int, n: int, running: RunningView, plain: PlainCluster) -> None:
    """On the very devices that it held."""
    here, pods = plain.nodes[n], plain.pods
    here.cpu -= int(pods.cpu_milli[row])
    here.memory -= int(pods.memory_mib[row])
    for device in devices_of(running.devices[row]):
        here.gpu[device] -= int(pods.gpu_milli[row])
    if pods.num_gpu[row]:
        here.tenants.append((int(pods.num_gpu[row]), int(pods.gpu_milli[row])))


@given(crowded_workloads, st.sets(st.integers(0, 9)))
@MANY
def test_the_victims_are_those_of_kube_in_plain_python(world: PodWorkload, budget: set[int]) -> None:
    cluster, running, plain, violates = a_full_cluster(world, budget)
    incoming = compile_pods(world, 1.0, 0).pods[-1]
    expected = [plain_victims(incoming, n, running, plain, violates) for n in range(len(cluster))]
    legal = np.zeros(len(cluster) + 1, dtype=np.bool_)
    found = nodes_that_could_make_room(incoming, cluster.view, running, legal)
    assert legal[:-1].tolist() == [victims is not None for victims in expected]
    assert found == any(legal[:-1])
    victims = victims_by_reprieve(incoming, legal[:-1], cluster.view, running, violates)
    for n, those in enumerate(expected):
        assert np.flatnonzero(victims & (running.home == n)).tolist() == sorted(those or [])
        if those is not None:
            assert why_no_victims(incoming, n, those, cluster.view, running) is None
            for spared in those:
                fewer = [row for row in those if row != spared]
                assert why_no_victims(incoming, n, fewer, cluster.view, running) is not None
    assert not (running.priority[victims] >= incoming.priority).any(), "a victim is as important as the pod"


def test_as_many_as_possible_are_put_back_the_more_important_first_and_then_the_earlier_start() -> None:
    # 4000 milli: any two of the four have to go. 3 and 0 are the more important; of 1 and 2, the later one goes first.
    pods = [
        pod(1000, priority=2, arrival=0.0),
        pod(1000, priority=1, arrival=1.0),
        pod(1000, priority=1, arrival=2.0),
        pod(1000, priority=3, arrival=3.0),
        pod(1000, priority=9, arrival=9.0),
    ]
    cluster, running, _, nobody = a_full_cluster(workload([node(4000)], pods), set())
    incoming = compile_pods(workload([node(4000)], pods), 1.0, 0).pods[-1]
    everywhere = np.ones(1, dtype=np.bool_)

    def victims(**more: Any) -> list[int]:
        return np.flatnonzero(victims_by_reprieve(incoming, everywhere, cluster.view, running, **more)).tolist()

    assert victims() == [2]
    assert victims(violates=nobody) == [2]
    assert victims(violates=np.array([False, False, True, False, False])) == [1]
    assert victims(violates=np.array([False, True, True, False, False])) == [0]


@given(crowded_workloads)
@MANY
def test_the_first_of_a_queue_with_hope_for_a_node_is_the_first_that_could_make_room_there(world: PodWorkload) -> None:
    cluster, running, _, _ = a_full_cluster(world, set())
    pods = compile_pods(world, 1.0, 0).pods
    queue = sorted(np.flatnonzero(running.home == NOWHERE).tolist(), key=lambda row: -pods[row].priority)
    legal = np.zeros((len(queue), len(cluster)), dtype=np.bool_)
    for row, mask in zip(queue, legal, strict=True):
        nodes_that_could_make_room(pods[row], cluster.view, running, mask)
    for nodes in ([0], list(range(len(cluster)))):
        hopeful = np.flatnonzero(legal[:, nodes].any(axis=1))
        first = first_with_hope(np.array(queue), np.array(nodes), cluster.view, running)
        assert first == (hopeful[0] if len(hopeful) else -1)


# --- in the world


def test_a_victim_goes_back_to_the_queue_and_starts_again_from_nothing() -> None:
    pods = [pod(4000, duration=10.0, priority=1), pod(4000, arrival=4.0, duration=3.0, priority=2)]
    simulation = preempting(workload([node(4000)], pods))
    assert without_arrivals(simulation) == [
        (0.0, "bind", 0, 0, 0),
        (0.0, "start", 0, 0, 0),
        (4.0, "preempt", 1, 0, 1),
        (4.0, "evict", 0, 0, 0),
        (4.0, "bind", 1, 0, 0),
        (4.0, "start", 1, 0, 0),
        (7.0, "finish", 1, 0, 0),
        (7.0, "bind", 0, 0, 0),
        (7.0, "start", 0, 0, 0),
        (17.0, "finish", 0, 0, 0),
    ]
    figures = simulation.metrics()
    assert figures["preemptions"] == figures["evictions"] == 1
    assert figures["moves"] == figures["plans_carried_out"] == figures["plans_kept"] == 0
    assert figures["lost_work_s"] == 4.0
    assert figures["pods_placed"] == figures["placed_p1"] + figures["placed_p2"] == 2
    assert figures["cpu_allocation"] == pytest.approx(1.0)
    assert figures["queueing_delay_s_mean"] == pytest.approx((3.0 + 0.0) / 2), "all the time that it was pending"


@pytest.mark.parametrize(("share", "end_s", "lost_s"), [(0.0, 17.0, 4.0), (0.25, 16.0, 3.0), (1.0, 13.0, 0.0)])
def test_a_victim_keeps_the_checkpointed_share_of_its_work(share: float, end_s: float, lost_s: float) -> None:
    pods = [pod(4000, duration=10.0, priority=1), pod(2000, arrival=4.0, duration=3.0, priority=2)]
    simulation = preempting(workload([node(4000)], pods), checkpoint_share=share)
    assert events(simulation)[-1] == (end_s, "finish", 0, 0, 0)
    assert simulation.metrics()["lost_work_s"] == lost_s
    cpu_milli_s = 4 * 4000 + 3 * 2000 + (end_s - 7) * 4000
    assert simulation.metrics()["cpu_allocation"] == pytest.approx(cpu_milli_s / (end_s * 4000))


def test_what_a_checkpoint_has_kept_is_not_lost_again() -> None:
    # Runs 0 to 4 and keeps 2 of 10; runs 5 to 7 and keeps 1 of 2; has 7 to do from 8 on.
    pods = [
        pod(4000, duration=10.0, priority=1),
        pod(4000, arrival=4.0, duration=1.0, priority=2),
        pod(4000, arrival=7.0, duration=1.0, priority=2),
    ]
    simulation = preempting(workload([node(4000)], pods), checkpoint_share=0.5)
    assert events(simulation)[-1] == (15.0, "finish", 0, 0, 0)
    assert simulation.metrics()["lost_work_s"] == 3.0
    assert simulation.metrics()["queueing_delay_s_mean"] == pytest.approx((1 + 1) / 3), "it was pending twice"


@pytest.mark.parametrize(("cache_mib", "start_s", "pull_s", "pulls"), [(inf, 10.0, 7.0, 1), (0, 17.0, 14.0, 2)])
def test_a_pod_that_is_still_pulling_its_image_goes_too_and_pays_its_start_up_again(
    cache_mib: float, start_s: float, pull_s: float, pulls: int
) -> None:
    # The node goes on with the pull while it has room for the image; without room, the pod pulls from the beginning.
    pods = [
        pod(4000, duration=5.0, priority=1, image="a", image_mib=100),
        pod(4000, arrival=4.0, duration=3.0, priority=2),
    ]
    simulation = preempting(workload([node(4000)], pods), image_bandwidth_mib_s=10.0, image_cache_mib=cache_mib)
    assert [event[:3] for event in without_arrivals(simulation)] == [
        (0.0, "bind", 0),
        (4.0, "preempt", 1),
        (4.0, "evict", 0),
        (4.0, "bind", 1),
        (4.0, "start", 1),
        (7.0, "finish", 1),
        (7.0, "bind", 0),
        (start_s, "start", 0),
        (start_s + 5.0, "finish", 0),
    ]
    figures = simulation.metrics()
    assert figures["lost_work_s"] == 0.0
    assert (figures["image_pull_s"], figures["image_pulls"]) == (pull_s, pulls)


def test_a_victim_that_fits_elsewhere_is_placed_there_at_once() -> None:
    # Only node V100 suits the pod of priority 2.
    nodes = [node(4000, gpus=1, model="T4"), node(4000, gpus=1, model="V100")]
    pods = [pod(1000, gpus=1, priority=1), pod(1000, gpus=1, arrival=1.0, spec=("V100",), priority=2)]
    for seed in range(4):
        simulation = preempting(workload(nodes, pods), seed)
        homes = {simulation.view.cluster.names[home]: row for row, home in enumerate(running(simulation).home)}
        assert homes == {"node-0": 0, "node-1": 1}


def running(simulation: PodPlacementSimulation) -> RunningView:
    assert isinstance(simulation, PodRescheduling)
    return simulation.running.view


def test_pods_of_equal_priority_are_never_taken_and_nobody_is_asked() -> None:
    simulation = preempting(
        workload([node(4000)], [pod(4000), pod(4000, arrival=1.0)]), player=Calling(lambda _: 1 / 0)
    )
    assert [event[1:3] for event in events(simulation)].count(("bind", 1)) == 0
    assert simulation.metrics()["pending_p0"] == 1.0


def test_without_the_option_nobody_is_preempted_and_nothing_is_said_of_it() -> None:
    world = workload([node(4000)], [pod(4000, priority=1), pod(4000, arrival=1.0, priority=2)])
    figures = play(PodPlacement(world, mode="replay"), FirstFit()).metrics()
    assert figures["pods_pending"] == 1.0
    assert not {"evictions", "preemptions", "lost_work_s", "placed_p1"} & set(figures)


def test_a_victim_may_preempt_in_its_turn() -> None:
    pods = [
        pod(4000, gpus=1, priority=0, spec=("T4",)),
        pod(4000, gpus=1, priority=1, spec=("V100",)),
        pod(4000, gpus=1, priority=2, spec=("V100",), arrival=1.0),
    ]
    pods[1]["gpu_spec"] = ("V100", "T4")
    world = workload([node(4000, gpus=1, model="T4"), node(4000, gpus=1, model="V100")], pods)
    simulation = preempting(world)
    assert [event[1:3] for event in events(simulation) if event[0] == 1.0][1:] == [
        ("preempt", 2),
        ("evict", 1),
        ("bind", 2),
        ("start", 2),
        ("preempt", 1),
        ("evict", 0),
        ("bind", 1),
        ("start", 1),
    ]


def test_a_pod_that_could_not_preempt_is_asked_about_again_when_a_more_important_pod_leaves() -> None:
    # Pod 3 fits nowhere at 2. At 5 the pod of priority 9 goes; alone that makes no room, without pod 0 it does.
    pods = [
        pod(2000, priority=1),
        pod(2000, duration=5.0, priority=9),
        pod(4000, arrival=2.0, priority=5),
    ]
    log = without_arrivals(preempting(workload([node(4000)], pods)))
    assert (5.0, "preempt", 2, 0, 1) in log


@pytest.mark.parametrize("queue", ["head", "backfill"])
@given(world=crowded_workloads, seed=st.integers(0, 20))
@MANY
def test_in_the_end_nobody_is_pending_who_could_preempt(world: PodWorkload, queue: Any, seed: int) -> None:
    simulation = preempting(world, seed, queue=queue)
    view, pods = running(simulation), compile_pods(world, 0.95, 0).pods
    placed = {row for _, kind, row, _, _ in events(simulation) if kind == "finish"} | set(
        np.flatnonzero(view.home >= 0)
    )
    pending = sorted(set(range(len(pods))) - placed, key=lambda row: (-pods[row].priority, pods[row].arrival_s, row))
    assert len(pending) == simulation.metrics()["pods_pending"]
    mask = np.zeros(len(simulation.cluster), dtype=np.bool_)
    for row in pending[:1] if queue == "head" else pending:
        assert not nodes_that_could_make_room(pods[row], simulation.view.cluster, view, mask)


def test_a_victim_that_waits_is_nobody_to_wait_for() -> None:
    # Pod 0 has a duration, but nothing will ever make room for it again.
    pods = [pod(4000, duration=9.0, priority=1), pod(4000, arrival=2.0, priority=2), pod(500, arrival=3.0)]
    waiting = Recording(Waiting())
    scenario = PodPlacement(workload([node(4000), node(1000)], pods), mode="replay", preemption=True)
    simulation = play(scenario, waiting, **{PREEMPT: KubePreemption()})
    assert [(t, row, mask[-1]) for t, row, mask in waiting.asked] == [(0.0, 0, False), (3.0, 2, False)]
    assert simulation.metrics()["pods_pending"] == 1.0


def test_a_pod_that_nobody_had_to_go_for_is_offered_first_what_another_preemption_leaves_over() -> None:
    pods = [
        *[pod(2000, priority=1)] * 2,
        pod(2000, arrival=1.0, priority=3),
        pod(2000, arrival=1.0, priority=2),
    ]

    def generous(decision: Decision) -> int:
        decision.detail = (0, 1)
        return 0 if decision.subject.row == 3 else 1  # 1: nobody

    simulation = preempting(workload([node(4000)], pods), player=Calling(generous))
    assert running(simulation).home.tolist() == [NOWHERE, NOWHERE, 0, 0]


def test_a_pod_that_nobody_had_to_go_for_is_asked_about_again_after_any_release() -> None:
    pods = [
        pod(4000, gpus=1, priority=1),
        pod(1000, duration=5.0),
        pod(4000, gpus=1, arrival=1.0, priority=2),
    ]
    asked: list[float] = []

    def second_time(decision: Decision) -> int:
        asked.append(decision.time_s)
        return int(decision.mask.argmax()) if len(asked) == 2 else len(decision.mask) - 1

    simulation = preempting(workload([node(4000, gpus=1), node(1000)], pods), player=Calling(second_time))
    assert asked == [1.0, 5.0]
    assert simulation.metrics()["preemptions"] == 1.0


# --- what a policy may answer


def two_nodes() -> PodWorkload:
    pods = [
        pod(3000, priority=1),
        pod(3000, priority=2),
        pod(1000, priority=3),
        pod(1000, priority=1),
        pod(4000, arrival=1.0, priority=3),
    ]
    return workload([node(4000), node(4000)], pods)


def asked_once(victims: Any, candidate: int | None = None) -> PodPlacementSimulation:
    """Pods 0 and 2 are on node 0, pods 1 and 3 on node 1; pod 4 is asked about at 1."""

    def answer(decision: Decision) -> int:
        if decision.subject.row != 4:  # a victim, which does not preempt in its turn
            return 2
        assert decision.mask.tolist() == [False, True, True], "on node 0 is a pod of its own priority"
        assert decision.view.running.home.tolist() == [0, 1, 0, 1, NOWHERE]
        assert not decision.view.running.home.flags.writeable
        assert len(decision.view.cluster) == 2
        decision.detail = victims
        return 1 if candidate is None else candidate

    first = {0: 0, 1: 1, 2: 0, 3: 1}
    scenario = PodPlacement(two_nodes(), mode="replay", preemption=True)
    place = Calling(lambda decision: first[decision.subject.row])
    return play(scenario, place, 0, **{PREEMPT: Calling(answer)})


def test_named_victims_go_and_others_do_not() -> None:
    for named in ((1, 3), (3, 1), None):
        simulation = asked_once(named)
        assert running(simulation).home.tolist() == [0, NOWHERE, 0, NOWHERE, 1]
        assert simulation.metrics()["evictions"] == 2


def test_nobody_is_an_answer_and_the_pod_stays_pending() -> None:
    simulation = asked_once(None, candidate=2)
    assert running(simulation).home.tolist() == [0, 1, 0, 1, NOWHERE]
    assert simulation.metrics()["preemptions"] == 0


@pytest.mark.parametrize(
    ("victims", "message"),
    [
        ((1,), "would not fit there without these 1"),
        ((), "would not fit there without these 0"),
        ((1, 3, 0), "row 0 does not run there"),
        ((1, 3, 4), "row 4 does not run there"),
        ((1, 3, 3), "named twice"),
        ((1, 3, 77), "no pod in row 77"),
        ((1, 3, -1), "no pod in row -1"),
    ],
)
def test_victims_that_cannot_be_taken_are_refused_and_nothing_changes(victims: Any, message: str) -> None:
    with pytest.raises(IllegalAnswer, match=f"pod 'pod-4' cannot preempt .* on node '.*': .*{message}"):
        asked_once(victims)


def test_a_victim_as_important_as_the_pod_is_refused() -> None:
    pods = compile_pods(two_nodes(), 1.0, 0).pods
    cluster, view, _, _ = a_full_cluster(two_nodes(), set())
    reason = why_no_victims(pods[4], int(view.home[2]), [2], cluster.view, view)
    assert reason == "the pod in row 2 has priority 3, which is not below 3"


def test_a_refused_answer_changes_nothing() -> None:
    scenario = PodPlacement(two_nodes(), mode="replay", preemption=True)
    simulation = scenario.build(0)
    control = simulation.control
    decision = control.advance()
    while decision is not None and decision.role == PLACE:
        control.answer(decision, int(decision.mask.argmax()))
        decision = control.advance()
    assert decision is not None
    before = (simulation.log.lines(), simulation.metrics(), simulation.view.cluster.cpu_free.tolist())
    decision.detail = (0, 1, 2, 3)
    with pytest.raises(IllegalAnswer):
        control.answer(decision, int(decision.mask.argmax()))
    after = (simulation.log.lines(), simulation.metrics(), simulation.view.cluster.cpu_free.tolist())
    assert str(after) == str(before)  # as text, because NaN is not equal to itself


@given(crowded_workloads, st.integers(0, 20))
@FEW
def test_the_world_chooses_the_victims_that_kube_names(world: PodWorkload, seed: int) -> None:
    kube = KubePreemption()

    def without_detail(decision: Decision) -> int:
        n = kube.act(decision)
        decision.detail = None
        return n

    named, chosen = preempting(world, seed), preempting(world, seed, Calling(without_detail))
    assume(named.metrics()["preemptions"] > 0)
    assert named.log.lines() == chosen.log.lines()


# --- configuration


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preemption": True}, "preemption is True, which has an effect only in mode 'replay'"),
        ({"mode": "replay", "checkpoint_share": 0.5}, "checkpoint_share is 0.5, which has no effect"),
        ({"mode": "replay", "preemption": True, "checkpoint_share": 1.1}, r"checkpoint_share is 1.1; .*\[0, 1\]"),
        ({"mode": "replay", "preemption": True, "checkpoint_share": -0.1}, "checkpoint_share is -0.1"),
        ({"mode": "replay", "preemption": True, "checkpoint_share": nan}, "checkpoint_share is nan"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PodPlacement(workload([node(gpus=1)], [pod(gpus=1)]), **options)
