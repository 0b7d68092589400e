"""The world of pods on GPU nodes: conservation, the queue, the protocol of arrivals, metrics, determinism."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from worlds import (
    FEW,
    MANY,
    PlainCluster,
    Recording,
    Scripted,
    Waiting,
    inflation_workloads,
    models_of,
    node,
    plain_fragmentation,
    plain_typical,
    play,
    pod,
    replay_workloads,
    requests_of,
    workload,
)

from clustersim.baselines.fits import FirstFit
from clustersim.baselines.registry import POLICIES, policy
from clustersim.errors import ConfigError, DoesNotFit
from clustersim.fragmentation import typical_pods
from clustersim.history import History
from clustersim.pending import Queue
from clustersim.policy import run
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import PLACE, PodPlacementSimulation
from clustersim.traces import openb_like
from clustersim.workload import PodWorkload

NAMES = tuple(POLICIES["pod-placement"])
QUEUES: tuple[Queue, ...] = ("head", "backfill")
GOLDEN = Path(__file__).parent / "golden"
Event = tuple[float, str, int, int, int]

names = st.sampled_from(NAMES)
queues = st.sampled_from(QUEUES)
seeds = st.integers(0, 50)


def events(simulation: PodPlacementSimulation) -> list[Event]:
    """(time, kind, pod row, node, value), in the order of the log."""
    log = simulation.log
    return [(t, log.kinds[int(k)], int(s), int(p), int(v)) for t, k, s, p, v in zip(*log.columns(), strict=True)]


def of_kind(simulation: PodPlacementSimulation, kind: str) -> list[tuple[float, int]]:
    return [(t, row) for t, k, row, _, _ in events(simulation) if k == kind]


def rows_of_nodes(simulation: PodPlacementSimulation) -> list[int]:
    row = {name: i for i, name in enumerate(simulation.scenario.workload.nodes.name)}
    return [row[name] for name in simulation.view.cluster.names]


def replay(world: PodWorkload, **fields: Any) -> PodPlacement:
    return PodPlacement(world, mode="replay", **fields)


# --- the log, played again in plain Python


class Replayed:
    """What the event log says, recomputed on a plain cluster; every figure is a sum over the log."""

    def __init__(self, simulation: PodPlacementSimulation) -> None:
        scenario = simulation.scenario
        world = scenario.workload
        pods, models = world.pods, models_of(world)
        plain = PlainCluster(world.nodes.take(np.array(rows_of_nodes(simulation))), pods)
        typical = typical_pods(requests_of(pods, models), scenario.typical_share)
        kept, frequency = plain_typical(typical.requests, models), typical.frequency.tolist()
        self.integral: dict[str, float] = defaultdict(float)
        self.delays_s: list[float] = []
        self.steps: list[tuple[int, int, float]] = []  # arrived, allocated, fragmented after every answer
        self.state: dict[int, str] = {}
        where: dict[int, tuple[int, list[int]]] = {}
        allocated = {"gpu": 0, "cpu": 0, "memory": 0}
        arrived = 0

        def fragmented() -> float:
            return sum(plain_fragmentation(here, kept, frequency) for here in plain.nodes)

        now_s, frag = 0.0, fragmented()
        for time_s, kind, row, n, value in events(simulation):
            assert time_s >= now_s, "the log goes back in time"
            for name, amount in (*allocated.items(), ("fragmented", frag)):
                self.integral[name] += amount * (time_s - now_s)
            now_s = time_s
            asked = {
                "gpu": int(pods.num_gpu[row] * pods.gpu_milli[row]),
                "cpu": int(pods.cpu_milli[row]),
                "memory": int(pods.memory_mib[row]),
            }
            before = self.state.get(row)
            if kind == "arrive":
                # In inflation a pod of the list may arrive again; in replay each arrives once.
                assert before is None or scenario.mode == "inflation"
                arrived += asked["gpu"]
            elif kind == "bind":
                assert before == "arrive", f"pod {row} was bound after {before}"
                assert plain.fits(row, n), f"pod {row} was bound to node {n} without room"
                shares = pods.num_gpu[row] == 1 and pods.gpu_milli[row] < 1000
                devices = plain.bind(row, n, value.bit_length() - 1 if shares else None)
                assert value == sum(1 << d for d in devices)
                assert min(plain.nodes[n].gpu, default=0) >= 0, f"pod {row} was bound to a device without room"
                where[row] = (n, devices)
                self.delays_s.append(time_s - pods.arrival_s[row] / scenario.arrival_speedup)
                allocated = {name: amount + asked[name] for name, amount in allocated.items()}
            elif kind == "start":
                assert before == "bind"
                assert n == where[row][0]
            elif kind == "finish":
                assert before == "start"
                assert n == where[row][0]
                plain.release(row, *where.pop(row))
                allocated = {name: amount - asked[name] for name, amount in allocated.items()}
            else:
                assert kind == "lost"
                assert before == "arrive"
                assert not any(plain.mask(row)), f"pod {row} was lost although it fits"
            if kind in ("bind", "finish", "lost"):
                frag = fragmented()
                self.steps.append((arrived, allocated["gpu"], frag))
            self.state[row] = kind
        self.now_s = now_s
        self.plain = plain
        self.allocated = allocated
        self.frag = frag
        self.arrived = arrived

    def count(self, *kinds: str) -> int:
        return sum(kind in kinds for kind in self.state.values())


@pytest.mark.parametrize("queue", QUEUES)
@given(world=replay_workloads, name=names, seed=seeds)
@MANY
def test_replay_keeps_capacity_order_and_every_pod_and_its_metrics_are_those_of_the_log(
    world: PodWorkload, name: str, queue: Queue, seed: int
) -> None:
    simulation = play(replay(world, queue=queue), policy("pod-placement", name), seed)
    log, figures = Replayed(simulation), simulation.metrics()
    assert sorted(log.state) == list(range(len(world.pods))), "a pod never arrived"
    pending = [row for row, kind in log.state.items() if kind == "arrive"]
    assert figures["pods_arrived"] == len(world.pods)
    assert figures["pods_pending"] == len(pending)
    assert figures["pods_placed"] == len(world.pods) - len(pending)
    assert simulation.lost_pods == 0
    assert figures["image_pull_s"] == 0.0
    for row, kind in log.state.items():
        if kind != "arrive":
            assert kind == ("start" if isnan(world.pods.duration_s[row]) else "finish")
    if queue == "backfill":
        assert not any(any(log.plain.mask(row)) for row in pending), "a pod that fits was left behind"
    elif pending:
        first = min(pending, key=lambda row: (-world.pods.priority[row], world.pods.arrival_s[row], row))
        assert not any(log.plain.mask(first)), "the head of the queue fits and was left behind"

    assert simulation.env.now == log.now_s
    capacity = {
        "gpu": 1000 * int(world.nodes.gpu_count.sum()),
        "cpu": int(world.nodes.cpu_milli.sum()),
        "memory": int(world.nodes.memory_mib.sum()),
    }
    for what, whole in capacity.items():
        mean = log.integral[what] / log.now_s if log.now_s else log.allocated[what]
        assert figures[f"{what}_allocation"] == pytest.approx(mean / whole if whole else 0.0, abs=1e-9)
    if capacity["gpu"]:
        mean = log.integral["fragmented"] / log.now_s if log.now_s else log.frag
        assert figures["gpu_fragmentation"] == pytest.approx(mean / capacity["gpu"], abs=1e-9)
    if log.delays_s:
        assert min(log.delays_s) >= 0
        assert figures["queueing_delay_s_mean"] == pytest.approx(np.mean(log.delays_s), abs=1e-9)
        for percent in (50, 95, 99):
            expected = np.percentile(log.delays_s, percent)
            assert figures[f"queueing_delay_s_p{percent}"] == pytest.approx(expected, abs=1e-9)
    else:
        assert isnan(figures["queueing_delay_s_mean"])


@given(inflation_workloads, names, seeds, st.sampled_from([0.5, 1.0, 1.3, 3.0]))
@MANY
def test_inflation_keeps_capacity_loses_no_pod_silently_and_its_metrics_are_those_of_the_log(
    world: PodWorkload, name: str, seed: int, ratio: float
) -> None:
    scenario = PodPlacement(world, demand_ratio=ratio)
    assume(len(scenario.build(seed).arrivals))
    simulation = play(scenario, policy("pod-placement", name), seed)
    log, figures = Replayed(simulation), simulation.metrics()
    capacity = 1000 * int(world.nodes.gpu_count.sum())
    kinds = [kind for _, kind, _, _, _ in events(simulation)]
    assert figures["pods_arrived"] == kinds.count("arrive") == len(simulation.arrivals)
    assert figures["pods_placed"] == kinds.count("bind")
    assert figures["pods_lost"] == kinds.count("lost")
    assert kinds.count("arrive") == kinds.count("bind") + kinds.count("lost")
    assert set(kinds) <= {"arrive", "bind", "lost"}
    assert simulation.arrived_gpu_milli == log.arrived
    assert simulation.raw()["allocated_gpu_milli"] == log.allocated["gpu"]
    assert simulation.raw()["fragmented_gpu_milli"] == pytest.approx(log.frag, abs=1e-6)
    if log.now_s:
        assert figures["gpu_allocation"] == pytest.approx(log.integral["gpu"] / log.now_s / capacity, abs=1e-9)
        expected = log.integral["fragmented"] / log.now_s / capacity
        assert figures["gpu_fragmentation"] == pytest.approx(expected, abs=1e-9)
    for mark in (95, 100, 130):
        within = [step for step in log.steps if abs(100 * step[0] / capacity - mark) < 0.5]
        if within:
            assert figures[f"gpu_allocation_at_{mark}"] == pytest.approx(np.mean([s[1] for s in within]) / capacity)
            fragmented = np.mean([s[2] for s in within]) / capacity
            assert figures[f"gpu_fragmentation_at_{mark}"] == pytest.approx(fragmented, abs=1e-9)
        elif mark > 100 * ratio:
            assert isnan(figures[f"gpu_allocation_at_{mark}"])
        else:  # on a small cluster: as it was after the last arrival before the mark
            before = [step for step in log.steps if 100 * step[0] / capacity < mark]
            assert figures[f"gpu_allocation_at_{mark}"] == pytest.approx(before[-1][1] / capacity if before else 0.0)
    columns = simulation.history.columns()
    assert columns["arrived_gpu_milli"].tolist() == [step[0] for step in log.steps]
    assert columns["allocated_gpu_milli"].tolist() == [step[1] for step in log.steps]


def test_a_mark_is_the_mean_over_arrivals_within_half_a_point_or_else_the_last_arrival_before_it() -> None:
    history = History()
    for arrived, allocated, fragmented in ((994, 10, 1), (996, 20, 2), (1004, 40, 6), (1006, 80, 9), (1200, 90, 9)):
        history.add(0.0, arrived, allocated, fragmented, 0.0, 0.0)
    assert history.at_mark(100, 1000) == (0.03, 0.004)
    assert history.at_mark(110, 1000) == (0.08, 0.009)
    assert history.at_mark(130, 1000) == (0.09, 0.009)
    assert history.at_mark(95, 1000)[0] == 0.0  # nothing had arrived yet


# --- the queue, against a scheduler in plain Python that looks at everything every time


def plain_first_fit(world: PodWorkload, order: list[int], queue: Queue) -> list[tuple[float, int, int]]:
    """(time, pod, node) of every placement; all durations are positive."""
    pods = world.pods
    plain = PlainCluster(world.nodes.take(np.array(order)), pods)
    running: list[tuple[float, int, int, list[int]]] = []
    pending: list[int] = []
    placed = []
    for now_s in np.arange(0.0, 200.0):  # whole seconds: the worlds have no other times
        for finished in [work for work in running if work[0] == now_s]:
            running.remove(finished)
            plain.release(*finished[1:])
        pending += [row for row in range(len(pods)) if pods.arrival_s[row] == now_s]
        for row in sorted(pending, key=lambda row: (-pods.priority[row], pods.arrival_s[row], row)):
            mask = plain.mask(row)
            if not any(mask):
                if queue == "head":
                    break
                continue
            n = mask.index(True)
            devices = plain.bind(row, n)
            pending.remove(row)
            placed.append((float(now_s), row, n))
            if not isnan(pods.duration_s[row]):
                running.append((now_s + pods.duration_s[row], row, n, devices))
    return placed


@pytest.mark.parametrize("queue", QUEUES)
@given(world=replay_workloads, seed=seeds)
@MANY
def test_first_fit_places_what_a_scheduler_that_looks_at_everything_places(
    world: PodWorkload, queue: Queue, seed: int
) -> None:
    assume(not (world.pods.duration_s == 0).any())
    simulation = play(replay(world, queue=queue), FirstFit(), seed)
    placed = [(t, row, n) for t, kind, row, n, _ in events(simulation) if kind == "bind"]
    assert placed == plain_first_fit(world, rows_of_nodes(simulation), queue)


def binds(world: PodWorkload, **fields: Any) -> list[tuple[float, int]]:
    """(time, pod) of the placements that first-fit makes in replay mode."""
    return of_kind(play(replay(world, **fields), FirstFit()), "bind")


def test_pods_leave_when_their_time_is_over_and_others_never_leave() -> None:
    world = workload([node(8000)], [pod(arrival=2.0, duration=3.0), pod(arrival=4.0), pod(arrival=4.0, duration=7.5)])
    simulation = play(replay(world), FirstFit())
    assert of_kind(simulation, "bind") == [(2.0, 0), (4.0, 1), (4.0, 2)]
    assert of_kind(simulation, "finish") == [(5.0, 0), (11.5, 2)]


def test_the_queue_goes_by_priority_then_arrival_then_place_in_the_list() -> None:
    blocker = pod(1000, duration=10.0, priority=9)
    waiting = [
        pod(1000, arrival=2.0, duration=1.0, priority=0),
        pod(1000, arrival=1.0, duration=1.0, priority=0),
        pod(1000, arrival=3.0, duration=1.0, priority=5),
        pod(1000, arrival=1.0, duration=1.0, priority=0),
    ]
    for queue in QUEUES:
        order = [row for _, row in binds(workload([node(1000)], [blocker, *waiting]), queue=queue)]
        assert order == [0, 3, 2, 4, 1]


def test_pods_of_one_instant_go_by_priority_whatever_their_order_in_the_list() -> None:
    world = workload([node(1000)], [pod(1000, priority=0), pod(1000, priority=2), pod(1000, priority=1)])
    assert binds(world) == [(0.0, 1)]


def test_a_pod_that_does_not_fit_blocks_the_queue_with_head_and_not_with_backfill() -> None:
    pods = [pod(3000, duration=10.0), pod(3000, arrival=1.0), pod(500, arrival=2.0, duration=1.0)]
    world = workload([node(4000)], pods)
    assert binds(world, queue="backfill") == [(0.0, 0), (2.0, 2), (10.0, 1)]
    assert binds(world, queue="head") == [(0.0, 0), (10.0, 1), (10.0, 2)]


def test_with_head_a_pod_that_never_fits_blocks_everything_behind_it() -> None:
    world = workload([node(4000)], [pod(9999), pod(500, arrival=1.0), pod(500, arrival=2.0, priority=1)])
    simulation = play(replay(world, queue="head"), FirstFit())
    assert of_kind(simulation, "bind") == [(2.0, 2)]
    assert simulation.metrics()["pods_pending"] == 2


def test_a_pod_that_fits_after_a_release_is_placed_at_that_instant() -> None:
    pods = [pod(4000, duration=7.0), pod(4000, arrival=1.0, duration=5.0), pod(4000, arrival=2.0)]
    simulation = play(replay(workload([node(4000)], pods)), FirstFit())
    assert of_kind(simulation, "bind") == [(0.0, 0), (7.0, 1), (12.0, 2)]
    assert simulation.metrics()["queueing_delay_s_mean"] == pytest.approx((0 + 6 + 10) / 3)


def test_what_several_nodes_release_at_one_instant_is_offered_together() -> None:
    pods = [pod(4000, duration=5.0)] * 3 + [pod(1000, arrival=1.0)] * 4
    assert binds(workload([node(4000)] * 3, pods))[3:] == [(5.0, row) for row in (3, 4, 5, 6)]


def test_a_pod_without_duration_in_time_frees_its_node_at_the_same_instant() -> None:
    world = workload([node(1000)], [pod(1000, arrival=3.0, duration=0.0)] * 4)
    for queue in QUEUES:
        simulation = play(replay(world, queue=queue), FirstFit())
        assert of_kind(simulation, "bind") == [(3.0, row) for row in range(4)]
        assert of_kind(simulation, "finish") == [(3.0, row) for row in range(4)]


def test_what_a_pod_of_no_duration_frees_goes_to_the_waiting() -> None:
    pods = [
        pod(1000, duration=4.0),
        pod(800, arrival=1.0, priority=0),
        pod(1000, arrival=4.0, duration=0.0, priority=5),
    ]
    assert binds(workload([node(1000)], pods)) == [(0.0, 0), (4.0, 2), (4.0, 1)]


def test_what_a_pod_of_no_duration_frees_goes_first_to_the_first_in_the_queue() -> None:
    pods = [
        pod(1000, duration=4.0),
        pod(1000, arrival=1.0, priority=3),
        pod(1000, arrival=4.0, duration=0.0, priority=5),
        pod(1000, arrival=4.0, priority=0),
    ]
    assert binds(workload([node(1000)], pods)) == [(0.0, 0), (4.0, 2), (4.0, 1)]


def test_arrivals_come_faster_but_stay_as_long() -> None:
    world = workload([node(4000)], [pod(arrival=20.0, duration=3.0), pod(arrival=40.0, duration=3.0)])
    simulation = play(replay(world, arrival_speedup=10.0), FirstFit())
    assert of_kind(simulation, "arrive") == [(2.0, 0), (4.0, 1)]
    assert of_kind(simulation, "finish") == [(5.0, 0), (7.0, 1)]
    assert simulation.metrics()["queueing_delay_s_mean"] == 0.0


@pytest.mark.parametrize("speedup", [1.0, 10.0])
def test_pods_of_one_instant_stay_together_when_times_are_no_round_numbers(speedup: float) -> None:
    pods = [
        pod(1000, arrival=0.2 * speedup, duration=0.1),
        pod(1000, arrival=0.9 * speedup, priority=0),
        pod(1000, arrival=0.9 * speedup, priority=5),
    ]
    simulation = play(replay(workload([node(1000)], pods), arrival_speedup=speedup), FirstFit())
    assert [row for _, row in of_kind(simulation, "bind")] == [0, 2]
    assert simulation.metrics()["queueing_delay_s_p50"] >= 0.0


# --- waiting


@pytest.mark.parametrize("queue", QUEUES)
@given(world=replay_workloads, seed=seeds)
@FEW
def test_a_policy_that_waits_whenever_it_may_comes_to_an_end(world: PodWorkload, queue: Queue, seed: int) -> None:
    recording = Recording(Waiting())
    simulation = play(replay(world, queue=queue), recording, seed)
    Replayed(simulation)
    for (_, _, mask), k in zip(recording.asked, recording.answers, strict=True):
        assert any(mask[:-1]), "the only candidate was to wait"
        assert mask[k]
    assert len(recording.asked) <= (1 + len(world.pods)) * (1 + 2 * len(world.pods))


def test_waiting_is_masked_off_when_nothing_scheduled_could_change_anything() -> None:
    recording = Recording(Waiting())
    play(replay(workload([node(4000)], [pod(duration=9.0), pod(arrival=5.0, duration=9.0)])), recording)
    assert [(t, row, mask) for t, row, mask in recording.asked] == [
        (0.0, 0, [True, False]),  # nobody will go
        (5.0, 1, [True, True]),  # pod 0 will
        (9.0, 1, [True, False]),
    ]


def test_a_pod_that_waited_is_offered_again_after_a_release() -> None:
    world = workload([node(4000), node(4000)], [pod(duration=3.0), pod(arrival=1.0, duration=1.0)])
    wait = 2
    simulation = play(replay(world), Scripted([0, wait, 1]))
    assert of_kind(simulation, "bind") == [(0.0, 0), (3.0, 1)]


def test_there_is_nothing_to_wait_for_in_inflation() -> None:
    simulation = PodPlacement(workload([node(gpus=2)], [pod(gpus=1)])).build(0)
    assert simulation.wait is None
    decision = simulation.control.advance()
    assert decision is not None
    assert len(decision.mask) == 1


def test_a_pod_that_waited_for_an_arrival_is_not_left_behind() -> None:
    world = workload([node(4000)], [pod(1000), pod(1000, arrival=5.0)])
    simulation = play(replay(world), Waiting())
    assert sorted(row for _, row in of_kind(simulation, "bind")) == [0, 1]


def test_an_image_pull_is_nothing_to_wait_for() -> None:
    pods = [pod(1000, image="a", image_mib=100), pod(1000)]  # of which nobody ever leaves
    recording = Recording(Waiting())
    simulation = play(replay(workload([node(4000)], pods), image_bandwidth_mib_s=10.0), recording)
    assert [mask for _, _, mask in recording.asked] == [[True, False]] * 2
    assert of_kind(simulation, "bind") == [(0.0, 0), (0.0, 1)]


# --- inflation: who arrives


@given(inflation_workloads, seeds, st.sampled_from([0.3, 0.8, 1.0, 1.3, 2.5, 10.0]))
@MANY
def test_the_arriving_demand_comes_as_close_to_the_target_as_the_next_pod_allows(
    world: PodWorkload, seed: int, ratio: float
) -> None:
    simulation = PodPlacement(world, demand_ratio=ratio).build(seed)
    demand = world.pods.gpu_demand_milli
    target = ratio * 1000 * int(world.nodes.gpu_count.sum())
    arrivals = simulation.arrivals
    arriving = int(demand[arrivals].sum())
    assert arriving <= target < arriving + int(demand.max())
    if demand.sum() <= target:
        assert sorted(arrivals[: len(demand)].tolist()) == list(range(len(demand))), "the list comes first, shuffled"
    else:
        assert len(set(arrivals.tolist())) == len(arrivals) < len(demand), "the list is thinned, nobody comes twice"


def test_pods_drawn_on_are_drawn_from_the_whole_list() -> None:
    world = workload([node(gpus=8)] * 40, [pod(10, 1, gpu_milli=milli) for milli in (100, 200, 300, 400)])
    arrivals = PodPlacement(world).build(0).arrivals
    assert len(arrivals) > 1000
    shares = np.bincount(arrivals[4:], minlength=4) / len(arrivals[4:])
    assert shares == pytest.approx([0.25] * 4, abs=0.04)


def test_every_pod_is_as_likely_to_be_left_out_when_the_list_is_thinned() -> None:
    world = workload([node(gpus=2)], [pod(10, 1, gpu_milli=500)] * 10)
    kept = np.zeros(10)
    first = np.zeros(10)
    for seed in range(400):
        arrivals = PodPlacement(world).build(seed).arrivals
        assert len(arrivals) == 5  # 2.6 GPUs hold five shares of a half
        kept[arrivals] += 1
        first[arrivals[0]] += 1
    assert kept == pytest.approx([200] * 10, abs=45)
    assert first == pytest.approx([40] * 10, abs=25)


def test_the_list_is_thinned_without_regard_to_what_a_pod_asks_for() -> None:
    world = workload([node(gpus=2)], [pod(10, 1, gpu_milli=milli) for milli in [500] * 10 + [100] * 10])
    kept = np.zeros(20)
    for seed in range(300):
        kept[PodPlacement(world).build(seed).arrivals] += 1
    assert kept[:10].mean() / 300 == pytest.approx(kept[10:].mean() / 300, abs=0.05)


def test_inflation_pods_arrive_one_per_second_and_never_leave() -> None:
    world = workload([node(gpus=4)], [pod(10, 1, gpu_milli=400, arrival=77.0, duration=3.0)] * 3)
    simulation = play(PodPlacement(world), FirstFit())
    assert [t for t, _ in of_kind(simulation, "arrive")] == [float(i) for i in range(13)]
    assert of_kind(simulation, "finish") == []
    assert [t for t, _ in of_kind(simulation, "lost")] == [8.0, 9.0, 10.0, 11.0, 12.0]


def test_a_device_that_a_policy_names_is_the_one_it_gets() -> None:
    class SecondDevice(FirstFit):
        def act(self, decision: Any) -> int:
            decision.detail = 1
            return super().act(decision)

    world = workload([node(gpus=2)], [pod(10, 1, gpu_milli=300)])
    simulation = PodPlacement(world, demand_ratio=0.2).build(0)
    run(simulation, {PLACE: SecondDevice()})
    assert simulation.view.cluster.gpu_free.tolist() == [[1000, 700]]
    with pytest.raises(DoesNotFit, match="device 1"):
        play(PodPlacement(world, demand_ratio=2.0), SecondDevice())


@pytest.mark.parametrize("mode", ["inflation", "replay"])
def test_a_cluster_with_a_single_pod_and_node_plays(mode: Any) -> None:
    world = workload([node(gpus=1)], [pod(gpus=1, duration=2.0)])
    figures = play(PodPlacement(world, mode=mode), FirstFit()).metrics()
    assert figures["pods_placed"] == 1.0


def test_a_demand_too_small_for_any_pod_is_an_episode_without_pods() -> None:
    world = workload([node(gpus=1)], [pod(gpus=1)])
    figures = play(PodPlacement(world, demand_ratio=0.5), FirstFit()).metrics()
    assert figures["pods_arrived"] == 0.0


def test_a_sample_of_nodes_without_any_gpu_plays() -> None:
    world = workload([node(gpus=1), node(), node(), node()], [pod(gpu_milli=500), pod()])
    for seed in range(6):
        figures = play(PodPlacement(world, nodes=1), FirstFit(), seed).metrics()
        assert figures["gpu_allocation"] <= 1.0


# --- images


def starts(world: PodWorkload, **fields: Any) -> list[tuple[float, int]]:
    return of_kind(play(replay(world, **fields), FirstFit()), "start")


def test_a_pod_starts_when_its_image_is_there_and_holds_its_node_meanwhile() -> None:
    pods = [pod(3000, duration=5.0, image="a", image_mib=100), pod(3000, arrival=1.0)]
    simulation = play(replay(workload([node(4000)], pods), image_bandwidth_mib_s=50.0), FirstFit())
    assert events(simulation)[:3] == [(0.0, "arrive", 0, -1, 0), (0.0, "bind", 0, 0, 0), (1.0, "arrive", 1, -1, 0)]
    assert of_kind(simulation, "start") == [(2.0, 0), (7.0, 1)]
    assert simulation.metrics()["image_pull_s"] == 2.0
    assert simulation.metrics()["image_pulls"] == 1.0


def test_a_second_pod_with_the_image_waits_for_the_pull_under_way() -> None:
    pods = [pod(image="a", image_mib=100), pod(arrival=0.5, image="a", image_mib=100), pod(arrival=9.0, image="a")]
    simulation = play(replay(workload([node(4000)], pods), image_bandwidth_mib_s=50.0), FirstFit())
    assert of_kind(simulation, "start") == [(2.0, 0), (2.0, 1), (9.0, 2)]
    assert simulation.metrics()["image_pull_s"] == 3.5
    assert simulation.metrics()["image_pulls"] == 1.0


def test_an_image_that_nobody_uses_makes_room_for_another() -> None:
    pods = [
        pod(1000, duration=1.0, image="a", image_mib=60),
        pod(1000, arrival=10.0, duration=1.0, image="b", image_mib=60),
        pod(1000, arrival=20.0, duration=1.0, image="a", image_mib=60),
    ]
    world = workload([node(1000)], pods)
    assert starts(world, image_bandwidth_mib_s=60.0, image_cache_mib=100) == [(1.0, 0), (11.0, 1), (21.0, 2)]
    assert starts(world, image_bandwidth_mib_s=60.0, image_cache_mib=120) == [(1.0, 0), (11.0, 1), (20.0, 2)]


def test_pods_whose_trace_names_no_image_share_one_per_request_shape() -> None:
    pods = [pod(500, duration=1.0), pod(500, arrival=5.0, duration=1.0), pod(600, arrival=9.0, duration=1.0)]
    world = workload([node(4000)], pods)
    assert starts(world, image_mib=100, image_bandwidth_mib_s=50.0) == [(2.0, 0), (5.0, 1), (11.0, 2)]
    assert starts(world, image_bandwidth_mib_s=50.0) == [(0.0, 0), (5.0, 1), (9.0, 2)]


image_pods = st.lists(
    st.builds(
        pod,
        cpu=st.sampled_from([500, 1500]),
        arrival=st.integers(0, 8).map(float),
        duration=st.sampled_from([1.0, 3.0, nan]),
        image=st.sampled_from(["", "a", "b", "c"]),
    ).map(lambda p: p | {"image_mib": {"": 0, "a": 10, "b": 20, "c": 40}[p["image"]]}),
    min_size=1,
    max_size=10,
)


@given(image_pods, st.sampled_from([0, 25, 45, inf]), names)
@MANY
def test_image_pulls_are_those_of_a_plain_cache(pods: list[dict[str, Any]], budget: float, name: str) -> None:
    world = workload([node(2000), node(2000)], pods)
    scenario = replay(world, image_bandwidth_mib_s=10.0, image_cache_mib=budget)
    simulation = play(scenario, policy("pod-placement", name))
    Replayed(simulation)
    ready_s: list[dict[str, float]] = [{}, {}]
    recent: list[list[str]] = [[], []]
    users: list[dict[str, int]] = [defaultdict(int), defaultdict(int)]
    expected_start, pulls, waited_s = {}, 0, 0.0
    size = {p["image"]: p["image_mib"] for p in pods}
    for time_s, kind, row, n, _ in events(simulation):
        image = world.pods.image[row]
        if kind == "start":
            assert time_s == expected_start[row]
        if kind not in ("bind", "finish"):
            continue
        if not image:
            expected_start[row] = time_s
            continue
        if kind == "bind":
            if image not in ready_s[n]:
                pulls += 1
                ready_s[n][image] = time_s + size[image] / 10.0
            expected_start[row] = max(time_s, ready_s[n][image])
            waited_s += expected_start[row] - time_s
            recent[n] = [other for other in recent[n] if other != image] + [image]
        users[n][image] += 1 if kind == "bind" else -1
        for other in list(recent[n]):
            if sum(size[held] for held in ready_s[n]) > budget and not users[n][other]:
                recent[n].remove(other)
                del ready_s[n][other]
    assert simulation.metrics()["image_pulls"] == pulls
    assert simulation.metrics()["image_pull_s"] == pytest.approx(waited_s)


# --- common random numbers and determinism


@given(replay_workloads, seeds, queues)
@FEW
def test_no_policy_changes_who_arrives_when_in_replay(world: PodWorkload, seed: int, queue: Queue) -> None:
    arrivals = [of_kind(play(replay(world, queue=queue), policy("pod-placement", n), seed), "arrive") for n in NAMES]
    assert all(other == arrivals[0] for other in arrivals)


@given(inflation_workloads, seeds)
@FEW
def test_no_policy_changes_who_arrives_when_in_inflation(world: PodWorkload, seed: int) -> None:
    assume(len(PodPlacement(world).build(seed).arrivals))
    arrivals = [of_kind(play(PodPlacement(world), policy("pod-placement", name), seed), "arrive") for name in NAMES]
    assert all(other == arrivals[0] for other in arrivals)


def test_the_nodes_and_their_order_depend_on_the_seed_only() -> None:
    world = openb_like(0, nodes=60, days=1)

    def drawn(seed: int, **fields: Any) -> tuple[str, ...]:
        return PodPlacement(world, nodes=20, **fields).build(seed).view.cluster.names

    assert drawn(1) == drawn(1, mode="replay") == drawn(1, demand_ratio=0.5) == drawn(1, typical_share=0.6)
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) == 20


def test_building_a_simulation_does_not_disturb_another() -> None:
    world = openb_like(0, nodes=20, days=1)
    scenario = PodPlacement(world)
    alone = play(scenario, policy("pod-placement", "random"), seed=4)
    together = scenario.build(4)
    play(scenario, policy("pod-placement", "fgd"), seed=5)
    run(together, {PLACE: policy("pod-placement", "random")})
    assert together.log.lines() == alone.log.lines()


def test_another_seed_plays_another_episode() -> None:
    scenario = PodPlacement(openb_like(0, nodes=20, days=1))
    lines = [play(scenario, policy("pod-placement", "best-fit"), seed).log.lines() for seed in (1, 2)]
    assert lines[0] != lines[1]


TRANSCRIPTS = """
import hashlib, sys
from clustersim.baselines.registry import POLICIES, policy
from clustersim.policy import run
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import PLACE
from clustersim.traces import openb_like

world = openb_like(0, nodes=24, days=1)
for mode in ("inflation", "replay"):
    images = dict(image_mib=500, image_bandwidth_mib_s=90.0, image_cache_mib=3000) if mode == "replay" else {}
    for name in POLICIES["pod-placement"]:
        simulation = PodPlacement(world, mode=mode, nodes=12, **images).build(7)
        run(simulation, {PLACE: policy("pod-placement", name)})
        columns = b"".join(column.tobytes() for column in simulation.log.columns())
        print(mode, name, len(simulation.log), hashlib.sha256(columns).hexdigest())
"""


def test_a_seed_has_the_same_transcript_in_every_process_and_for_every_hash_seed() -> None:
    def transcripts(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-W", "error", "-c", TRANSCRIPTS]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    first = transcripts("1")
    assert len(first.splitlines()) == 2 * len(NAMES)
    assert transcripts("2") == first


def golden_world() -> PodWorkload:
    nodes = [node(8000, 16384, 2, "T4"), node(16000, 32768, 4, "V100"), node(4000, 8192)]
    pods = [
        pod(1000, 2048, gpu_milli=400, arrival=0.0, duration=10.0, image="train", image_mib=100),
        pod(1000, 2048, gpu_milli=700, arrival=1.0, duration=6.0, image="train", image_mib=100),
        pod(4000, 8192, gpus=4, spec=("V100",), arrival=1.0, duration=4.0, priority=1),
        pod(3000, 4096, arrival=2.0, duration=0.0),
        pod(2000, 4096, gpus=2, arrival=2.0, duration=5.0, image="serve", image_mib=50),
        pod(2000, 4096, gpus=2, arrival=3.0, image="serve", image_mib=50),
        pod(500, 512, gpu_milli=300, arrival=3.0, duration=2.0, priority=2),
        pod(6000, 8192, gpus=4, arrival=4.0, duration=1.0),
    ]
    return workload(nodes, pods)


@pytest.mark.parametrize("mode", ["inflation", "replay"])
def test_golden_transcript(mode: Any) -> None:
    options: dict[str, Any] = {"inflation": {"demand_ratio": 2.6}, "replay": {"image_bandwidth_mib_s": 50.0}}[mode]
    scenario = PodPlacement(golden_world(), mode=mode, **options)
    simulation = play(scenario, policy("pod-placement", "fgd"), seed=1)
    text = (GOLDEN / f"pod_placement_{mode}.txt").read_text()
    expected = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert simulation.log.lines() == expected


# --- configuration


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "rewind"}, "mode is 'rewind'; choose one of inflation, replay"),
        ({"queue": "fifo"}, "queue is 'fifo'; choose one of head, backfill"),
        ({"demand_ratio": 0.0}, "demand_ratio is 0.0"),
        ({"demand_ratio": -1.0}, "demand_ratio is -1.0"),
        ({"demand_ratio": nan}, "demand_ratio is nan"),
        ({"demand_ratio": inf}, "demand_ratio is inf"),
        ({"arrival_speedup": 0.0}, "arrival_speedup is 0.0"),
        ({"arrival_speedup": -2.0}, "arrival_speedup is -2.0"),
        ({"arrival_speedup": inf}, "arrival_speedup is inf"),
        ({"arrival_speedup": nan}, "arrival_speedup is nan"),
        ({"typical_share": 0.0}, "typical_share is 0.0"),
        ({"typical_share": 1.1}, "typical_share is 1.1"),
        ({"typical_share": nan}, "typical_share is nan"),
        ({"image_mib": -1}, "image_mib is -1"),
        ({"image_bandwidth_mib_s": 0.0}, "image_bandwidth_mib_s is 0.0"),
        ({"image_bandwidth_mib_s": -5.0}, "image_bandwidth_mib_s is -5.0"),
        ({"image_bandwidth_mib_s": nan}, "image_bandwidth_mib_s is nan"),
        ({"image_cache_mib": -1.0}, "image_cache_mib is -1.0"),
        ({"image_cache_mib": nan}, "image_cache_mib is nan"),
        ({"nodes": 0}, "nodes is 0, but workload 'tiny' has 2; choose a number from 1 to 2"),
        ({"nodes": 3}, "nodes is 3, but workload 'tiny' has 2; choose a number from 1 to 2"),
    ],
)
def test_an_impossible_option_is_refused_at_once_with_its_value(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PodPlacement(workload([node(gpus=1), node(gpus=1)], [pod(gpus=1)]), **fields)


def test_workloads_that_cannot_be_played_are_refused() -> None:
    with pytest.raises(ConfigError, match="'tiny' has no pods"):
        PodPlacement(workload([node(gpus=1)], []))
    with pytest.raises(ConfigError, match=r"no pod of workload 'tiny' asks for a GPU.*use mode='replay'"):
        PodPlacement(workload([node(gpus=1)], [pod()]))
    with pytest.raises(ConfigError, match=r"no node of workload 'tiny' has a GPU; use mode='replay'"):
        PodPlacement(workload([node()], [pod(gpus=1)]))
    assert play(replay(workload([node()], [pod()])), FirstFit()).placed_pods == 1


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="demand_ration"):
        PodPlacement(workload([node(gpus=1)], [pod(gpus=1)]), demand_ration=2.0)  # type: ignore[call-arg]


@pytest.mark.parametrize(("gpus", "gpu_milli"), [(2, 500), (1, 0), (1, 1500), (0, 300)])
def test_a_gpu_request_that_the_table_does_not_allow_is_refused(gpus: int, gpu_milli: int) -> None:
    odd = pod() | {"num_gpu": gpus, "gpu_milli": gpu_milli}
    with pytest.raises(ConfigError):
        PodPlacement(workload([node(gpus=2)], [odd, pod(gpus=1)]))


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({"demand_ratio": 0.7}, {}),
        ({"nodes": 2}, {}),
        ({"typical_share": 0.4}, {}),
        ({"queue": "head"}, {"mode": "replay"}),
        ({"arrival_speedup": 3.0}, {"mode": "replay"}),
        ({"image_bandwidth_mib_s": 10.0}, {"mode": "replay", "image_mib": 40, "image_bandwidth_mib_s": 20.0}),
        ({"image_cache_mib": 0.0}, {"mode": "replay", "image_mib": 40, "image_bandwidth_mib_s": 10.0}),
        ({"image_mib": 90}, {"mode": "replay", "image_mib": 40, "image_bandwidth_mib_s": 10.0}),
    ],
)
def test_every_option_has_an_effect(fields: dict[str, Any], changes: dict[str, Any]) -> None:
    nodes = [node(4000, gpus=2), node(8000, gpus=1, model="V100"), node(4000)]
    pods = [
        pod(3000, gpus=2, duration=5.0),
        pod(4000, gpus=2, arrival=1.0, duration=9.0),  # waits for the first one
        *[pod(500, gpu_milli=300, arrival=float(t), duration=2.0) for t in (2, 3, 40, 50)],
    ]
    world = workload(nodes, pods)

    def outcome(**options: Any) -> tuple[list[str], dict[str, float]]:
        simulation = play(PodPlacement(world, **options), policy("pod-placement", "fgd"), seed=3)
        return simulation.log.lines(), simulation.metrics()

    assert outcome(**(changes | fields)) != outcome(**changes)


def test_a_cost_that_is_not_declared_is_refused() -> None:
    simulation = PodPlacement(workload([node(gpus=1)], [pod(gpus=1)])).build(0)
    with pytest.raises(
        ConfigError, match="there is no cost 'happiness'; choose one of allocation, fragmentation, shaped"
    ):
        simulation.cost("happiness")
