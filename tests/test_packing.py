"""What a packing refuses, what makes a plan illegal, and how plans are counted and compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clustersim.baselines.constraint_budget import Limits
from clustersim.baselines.constraint_fill import fill
from clustersim.baselines.constraint_parts import solve_in_parts
from clustersim.errors import ConfigError
from clustersim.packing import (
    NOWHERE,
    RESTART,
    Packing,
    Plan,
    device_of,
    devices_of,
    evicted,
    moved,
    placed_by_tier,
    stay,
)
from clustersim.workload import GPU_MILLI

SHARE = {"gpus": 1, "milli": 500}
WHOLE = {"gpus": 1, "milli": GPU_MILLI}


def snapshot(
    nodes: list[tuple[int, ...]], pods: list[dict[str, Any]], apart: tuple[tuple[int, ...], ...] = ()
) -> Packing:
    """Nodes are (CPU, memory, GPUs, model bit); pods are dictionaries of what differs from a small waiting one."""
    columns = np.array([(*node, 0, 0)[:4] for node in nodes], dtype=np.int64).reshape(-1, 4).T.copy()

    def column(name: str, default: int) -> np.ndarray:
        return np.array([pod.get(name, default) for pod in pods], dtype=np.int64)

    return Packing(
        tuple(f"node-{n}" for n in range(len(nodes))),
        *columns,
        tuple(f"pod-{p}" for p in range(len(pods))),
        np.stack([column(*of) for of in (("cpu", 1), ("memory", 1), ("gpus", 0), ("milli", 0), ("accepted", -1))], 1),
        column("priority", 1),
        column("home", NOWHERE),
        column("devices", 0),
        column("protected", 0).astype(bool),
        apart,
    )


def plan(*places: int | tuple[int, int]) -> Plan:
    """Per pod its node, or node and device."""
    node, device = np.array([p if isinstance(p, tuple) else (p, NOWHERE) for p in places], dtype=np.int64).T
    return Plan(node, device)


# --- what is no packing

IMPOSSIBLE: dict[str, tuple[list[tuple[int, ...]], list[dict[str, Any]], tuple[tuple[int, ...], ...], str]] = {
    "negative CPU": ([(8, 8), (-1, 8)], [{}], (), "node 'node-1' has cpu_milli -1; it has to be at least 0"),
    "negative memory": ([(8, -7)], [{}], (), "node 'node-0' has memory_mib -7"),
    "negative GPUs": ([(8, 8, -2, 0)], [{}], (), "node 'node-0' has gpu_count -2"),
    "negative request": ([(8, 8)], [{}, {"cpu": -3}], (), "pod 'pod-1' asks for -3 CPU milli; it has to be at least 0"),
    "negative memory request": ([(8, 8)], [{"memory": -3}], (), "pod 'pod-0' asks for -3 memory MiB"),
    "large capacities": ([(8, 1 << 52)] * 2, [{}], (), "the capacities add up to 9007199254740992 memory MiB"),
    "large requests": ([(8, 8)], [{"memory": 1 << 52}] * 2, (), "the requests add up to 9007199254740992 memory MiB"),
    "sums beyond 64 bits": ([(1 << 62, 8)] * 2, [{}], (), "the capacities add up to 9223372036854775808 CPU milli"),
    "no nodes": ([], [{}], (), "there is nothing to pack on: the snapshot has no nodes"),
    "no capacity": ([(0, 0)] * 3, [{}], (), "all 3 nodes have no capacity at all; give them CPU and memory"),
    "protected but pending": (
        [(8, 8)],
        [{}, {"protected": 1}, {"protected": 1}],
        (),
        "2 pods are protected but run nowhere, the first is 'pod-1'",
    ),
    "no such home": ([(8, 8)] * 2, [{"home": 2}], (), "a pod runs on a node that is not among the 2"),
    "a negative home": ([(8, 8)] * 2, [{"home": -2}], (), "a pod runs on a node that is not among the 2"),
    "protected together and apart": (
        [(8, 8)],
        [{"home": 0, "protected": 1}, {"home": 0, "protected": 1}],
        ((0, 1),),
        "the constraints contradict each other: 'pod-0', 'pod-1' are protected where they are",
    ),
    "apart from itself": ([(8, 8)], [{}], ((0, 0),), r"the pods \(0, 0\) to be apart have to be different ones of 1"),
    "apart from nobody": ([(8, 8)], [{}, {}], ((0, 2),), r"the pods \(0, 2\) to be apart have to be different"),
    "over CPU": ([(8, 8)], [{"cpu": 9, "home": 0}], (), "the pods as they run now do not fit: node 'node-0' has 8 CPU"),
    "over memory": ([(8, 8)], [{"memory": 5, "home": 0}] * 2, (), "has 8 MiB and would hold 10"),
    "a device held twice": (
        [(8, 8, 2, 1)],
        [{**WHOLE, "home": 0, "devices": 1}, {**SHARE, "home": 0, "devices": 1}],
        (),
        "device 0 of node 'node-0' would hold 1500 milli of 1000",
    ),
    "a wrong model": (
        [(8, 8, 1, 1)],
        [{**WHOLE, "home": 0, "devices": 1, "accepted": 2}],
        (),
        "pod 'pod-0' does not accept the GPU model of node 'node-0'",
    ),
    "too few devices": ([(8, 8, 2, 1)], [{**WHOLE, "home": 0}], (), "'pod-0' holds the devices 0b0 where .* 1 of 0b11"),
    "a share of two": ([(8, 8, 2, 1)], [{**SHARE, "home": 0, "devices": 3}], (), "holds the devices 0b11 where"),
    "a device beyond": ([(8, 8, 1, 1)], [{**WHOLE, "home": 0, "devices": 2}], (), "the devices 0b10 where .* 1 of 0b1"),
    "waiting with devices": ([(8, 8, 1, 1)], [{**WHOLE, "devices": 1}], (), "has to hold 0 of 0b0"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_snapshot_that_contradicts_itself_is_refused_by_name(name: str) -> None:
    nodes, pods, apart, message = IMPOSSIBLE[name]
    with pytest.raises(ConfigError, match=message):
        snapshot(nodes, pods, apart)


def test_just_below_the_largest_sum_everything_counts_exactly() -> None:
    most = (1 << 53) - 1
    packing = snapshot([(8, most)], [{"memory": most - 1, "home": 0}, {"memory": 1}])
    assert packing.why_illegal(plan(0, 0)) is None
    small = snapshot([(8, most - 1)], [{"memory": most - 1, "home": 0}, {"memory": 1}])
    assert small.why_illegal(plan(0, 0)) == f"node 'node-0' has {most - 1} MiB and would hold {most}"


# --- pods that can never run


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        ({"cpu": 30}, "no node has as much cpu_milli; the nearest: 'node-1' has 20 CPU milli"),
        ({"memory": 30}, "no node has as much memory_mib; the nearest: 'node-0' has 10 CPU milli, 20 MiB"),
        ({"gpus": 3, "milli": 1000}, "no node has as much gpu_count; the nearest: 'node-1'"),
        ({"cpu": 15, "memory": 15}, "no node has all of it together"),
        ({**WHOLE, "accepted": 4}, "no node has a GPU model that it accepts; .* 2 GPUs of a model that it does not"),
        ({**WHOLE, "cpu": 15, "accepted": 1}, "no node has all of it together; the nearest: 'node-0' has 10 CPU"),
    ],
)
def test_a_hopeless_pod_is_told_what_is_missing_and_what_comes_nearest(pod: dict[str, Any], message: str) -> None:
    packing = snapshot([(10, 20, 1, 1), (20, 10, 2, 2)], [pod, {}])
    with pytest.raises(ConfigError, match=message):
        raise ConfigError(packing.why_hopeless(0))
    assert packing.why_hopeless(1) is None


def test_a_pod_that_fits_in_another_part_is_not_called_hopeless() -> None:
    packing = snapshot([(4, 4), (0, 0), (20, 20)], [{"cpu": 10}, {}, {"cpu": 30}])
    note = solve_in_parts(packing, Limits(window_s=0.01), most_variables=1).note
    assert "'pod-2' can never run" in note
    assert "pod-0" not in note


# --- plans


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ((0, 0, NOWHERE, NOWHERE, NOWHERE), None),
        ((0, 0, 0, NOWHERE, NOWHERE), "node 'node-0' has 8 CPU milli and would hold 9"),
        ((1, 0, NOWHERE, NOWHERE, NOWHERE), "pod 'pod-0' is protected and would be moved"),
        ((NOWHERE, 0, NOWHERE, NOWHERE, NOWHERE), "pod 'pod-0' is protected and would be moved"),
        ((0, 1, 1, NOWHERE, NOWHERE), "pods 'pod-1', 'pod-2' have to be apart"),
        ((0, NOWHERE, NOWHERE, (1, 2), NOWHERE), "pod 'pod-3' shares device 2 of node 'node-1', which has none such"),
        ((0, NOWHERE, NOWHERE, 1, NOWHERE), "pod 'pod-3' shares device -1 of node 'node-1', which has none such"),
        ((0, NOWHERE, NOWHERE, 0, NOWHERE), "pod 'pod-3' does not accept the GPU model of node 'node-0'"),
        ((0, NOWHERE, NOWHERE, (1, 1), 1), "node 'node-1' has 1 whole GPUs left and would have to give 2"),
        ((0, NOWHERE, NOWHERE, NOWHERE, 1), None),
    ],
)
def test_the_rule_that_a_plan_breaks_is_named(places: tuple[Any, ...], message: str | None) -> None:
    pods = [{"home": 0, "protected": 1}, {"cpu": 4, "home": 0}, {"cpu": 4}, SHARE, {"gpus": 2, "milli": GPU_MILLI}]
    packing = snapshot([(8, 8), (20, 20, 2, 1)], pods, apart=((1, 2),))
    assert packing.why_illegal(plan(*places)) == message


def gpu_packing() -> Packing:
    """Devices of node 0: whole, free, shared; node 1 has one free device."""
    pods = [{**WHOLE, "home": 0, "devices": 1}, {**SHARE, "home": 0, "devices": 4}, WHOLE, SHARE]
    return snapshot([(9, 9, 3, 1), (9, 9, 1, 1)], pods)


def test_staying_is_legal_and_moves_nobody() -> None:
    packing = gpu_packing()
    present = stay(packing)
    assert packing.why_illegal(present) is None
    assert present.device.tolist() == [NOWHERE, 2, NOWHERE, NOWHERE]
    assert devices_of(packing, present).tolist() == [1, 4, 0, 0]
    assert not (moved(packing, present) | evicted(packing, present)).any()


def test_a_restart_frees_the_devices_that_a_pod_holds() -> None:
    packing = gpu_packing()
    keeps, restarts = plan(0, (0, 2), NOWHERE, (0, 0)), plan((0, RESTART), (0, 2), NOWHERE, (0, 0))
    assert packing.why_illegal(keeps) == "device 0 of node 'node-0' would hold 1500 milli of 1000"
    assert packing.why_illegal(restarts) is None
    assert devices_of(packing, restarts).tolist() == [2, 4, 0, 1]
    assert moved(packing, restarts).tolist() == [True, False, False, False]


def test_moves_evictions_and_arrivals_are_told_apart() -> None:
    packing = gpu_packing()
    changed = plan(NOWHERE, (0, 0), 1, NOWHERE)
    assert packing.why_illegal(changed) is None
    assert evicted(packing, changed).tolist() == [True, False, False, False]
    assert moved(packing, changed).tolist() == [False, True, False, False]  # to another device of its node
    assert devices_of(packing, changed).tolist() == [0, 1, 1, 0]


def test_arriving_pods_get_the_first_whole_devices_left() -> None:
    packing = snapshot([(9, 9, 4, 1)], [{"gpus": 2, "milli": GPU_MILLI}, SHARE, WHOLE])
    assert devices_of(packing, plan(0, (0, 1), 0)).tolist() == [0b101, 0b10, 0b1000]


def test_a_device_index_is_exact_up_to_the_last_bit() -> None:
    devices = 1 << np.arange(62)
    assert device_of(devices, np.ones(62, dtype=bool)).tolist() == list(range(62))
    assert device_of(np.array([4, 0]), np.array([False, True])).tolist() == [NOWHERE, NOWHERE]


def test_a_pod_that_returns_to_the_node_it_was_evicted_from_does_not_claim_devices_given_away() -> None:
    packing = snapshot([(9, 9, 2, 1)], [{**WHOLE, "home": 0, "devices": 1}, {**SHARE, "priority": 2}])
    filled = fill(packing, plan(NOWHERE, (0, 0)), 1)
    assert filled.node.tolist() == [0, 0]
    assert packing.why_illegal(filled) is None


def test_tiers_count_those_above_them_and_compare_from_the_highest() -> None:
    packing = snapshot([(9, 9)], [{"priority": p} for p in (5, -1, 3, 5, 3)])
    assert packing.tiers == [5, 3, -1]
    assert placed_by_tier(packing, np.array([0, 0, NOWHERE, NOWHERE, 0])) == (1, 2, 3)
    one_important = placed_by_tier(packing, np.array([0, NOWHERE, NOWHERE, NOWHERE, NOWHERE]))
    assert one_important > placed_by_tier(packing, np.array([NOWHERE, 0, 0, NOWHERE, 0]))


# --- parts


def test_a_part_keeps_who_runs_where_and_who_has_to_be_apart() -> None:
    pods = [{"cpu": p + 1, "priority": p, "home": (NOWHERE, 2, 1, NOWHERE)[p]} for p in range(4)]
    packing = snapshot([(20, 20)] * 3, pods, apart=((0, 1, 3), (0, 2)))
    part = packing.part(np.array([3, 1]), np.array([2, 0]))
    assert (part.node_names, part.pod_names) == (("node-2", "node-0"), ("pod-3", "pod-1"))
    assert (part.home.tolist(), part.request[:, 0].tolist(), part.tiers) == ([NOWHERE, 0], [4, 2], [3, 1])
    assert part.apart == ((1, 0),)
    every_node = packing.part(np.array([2, 0]))
    assert (every_node.node_names, every_node.home.tolist()) == (packing.node_names, [1, NOWHERE])
    assert every_node.apart == ((1, 0),)


def test_a_part_may_be_without_pods() -> None:
    none = snapshot([(8, 8)], [{"home": 0}]).part(np.zeros(0, dtype=np.int64))
    assert (none.tiers, placed_by_tier(none, none.home), none.why_illegal(stay(none))) == ([], (), None)
