"""Fragmentation as FGD defines it: the worked example, plain Python, and the published figure of the empty cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import exp, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import (
    MANY,
    PlainCluster,
    gpu_node_dicts,
    node,
    node_table,
    plain_fragmentation,
    plain_typical,
    pod,
    pod_dicts,
    pod_table,
    requests_of,
)

from clustersim.cluster import Binding, Cluster, gpu_models
from clustersim.fragmentation import Fragmentation, TypicalPods, fgd_score, typical_pods
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.traces import openb_like
from clustersim.workload import NodeTable, PodTable, PodWorkload

EXAMPLE = TypicalPods(
    requests_of(
        pod_table([pod(cpu=4000, memory=0, gpu_milli=500), pod(cpu=8000, memory=0, gpus=1), pod(cpu=16000, gpus=2)]), ()
    ),
    np.array([0.5, 0.3, 0.2]),
)


def test_the_worked_example_has_the_published_numbers() -> None:
    cluster = Cluster(node_table([node(cpu=32000, gpus=2)]))
    filler, share = requests_of(pod_table([pod(0, 0, gpu_milli=600), pod(4000, 0, gpu_milli=500)]), ())
    fragmentation = Fragmentation(cluster, EXAMPLE, np.stack([filler, share]))
    assert fragmentation.total == 0.0  # two whole GPUs are free

    cluster.bind(filler, 0, device=0)
    fragmentation.update(0)
    assert cluster.view.gpu_free[0].tolist() == [400, 1000]
    assert fragmentation.view.per_node.tolist() == [600.0]

    after, device = fragmentation.after(1, np.array([True]))
    assert (after.tolist(), device.tolist()) == ([650.0], [1])
    cluster.bind(share, 0, device=1)
    fragmentation.update(0)
    assert fragmentation.view.per_node.tolist() == [650.0]
    assert fragmentation.total == pytest.approx(650.0)


def test_fragmentation_on_too_few_cores_is_all_that_is_idle() -> None:
    cluster = Cluster(node_table([node(cpu=3999, gpus=2)]))
    assert Fragmentation(cluster, EXAMPLE, EXAMPLE.requests).total == 2000.0


def test_pods_without_gpu_make_idle_gpus_fragments() -> None:
    cluster = Cluster(node_table([node(cpu=32000, gpus=3)]))
    requests = requests_of(pod_table([pod(), pod(gpus=1)]), ())
    typical = TypicalPods(requests, np.array([0.25, 0.75]))
    assert Fragmentation(cluster, typical, requests).total == 750.0


def test_models_that_a_pod_does_not_accept_are_fragments_for_it() -> None:
    nodes = node_table([node(gpus=1, model="T4"), node(gpus=1, model="V100")])
    cluster = Cluster(nodes)
    requests = requests_of(pod_table([pod(gpus=1, spec=("T4",)), pod(gpus=1)]), cluster.view.models)
    typical = TypicalPods(requests, np.array([0.4, 0.6]))
    assert Fragmentation(cluster, typical, requests).view.per_node.tolist() == [0.0, 400.0]


# --- differential: numba against plain Python

gpu_nodes = st.lists(gpu_node_dicts, min_size=1, max_size=3).map(node_table)
pod_lists = st.lists(pod_dicts(), min_size=1, max_size=10).map(pod_table)
step_lists = st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 2)), max_size=25)
Steps = list[tuple[bool, int, int]]


@given(gpu_nodes, pod_lists, step_lists)
@MANY
def test_every_node_has_the_fragmentation_of_the_definition(nodes: NodeTable, pods: PodTable, steps: Steps) -> None:
    cluster, plain = Cluster(nodes), PlainCluster(nodes, pods)
    requests = requests_of(pods, cluster.view.models)
    shapes, shape = np.unique(requests, axis=0, return_inverse=True)
    typical = typical_pods(requests)
    kept = plain_typical(typical.requests, cluster.view.models)
    fragmentation = Fragmentation(cluster, typical, shapes)
    bound: list[tuple[int, Binding, list[int]]] = []

    def check() -> None:
        expected = [plain_fragmentation(here, kept, typical.frequency.tolist()) for here in plain.nodes]
        assert fragmentation.view.per_node == pytest.approx(expected, abs=1e-6)
        assert fragmentation.total == pytest.approx(sum(expected), abs=1e-6)
        for row in range(len(pods)):
            check_look_ahead(row, expected)

    def check_look_ahead(row: int, before: list[float]) -> None:
        """`after` is remembered between calls; here it is computed anew, from the definition, for every device."""
        mask = plain.mask(row)
        after, device = fragmentation.after(int(shape[row]), np.array(mask))
        count, milli = int(pods.num_gpu[row]), int(pods.gpu_milli[row])
        for n, fits in enumerate(mask):
            if not fits:
                continue
            big_enough = [d for d, left in enumerate(plain.nodes[n].gpu) if left >= milli]
            outcomes = {}
            for d in big_enough if count and milli < 1000 else [None]:
                devices = plain.bind(row, n, d)
                outcomes[d] = plain_fragmentation(plain.nodes[n], kept, typical.frequency.tolist())
                plain.release(row, n, devices)
            if None in outcomes:
                assert device[n] == -1
                assert after[n] == pytest.approx(outcomes[None], abs=1e-6)
            else:
                assert after[n] == pytest.approx(outcomes[int(device[n])], abs=1e-6)
                if not any(near_a_step(before[n], value) for value in outcomes.values()):
                    scores = {d: plain_score(before[n], value) for d, value in outcomes.items()}
                    assert int(device[n]) == min(d for d in scores if scores[d] == max(scores.values()))

    check()
    for binds, which, where in steps:
        row, n = which % len(pods), where % len(nodes)
        if binds and plain.fits(row, n):
            binding = cluster.bind(requests[row], n)
            bound.append((row, binding, plain.bind(row, n)))
            fragmentation.update(n)
        elif not binds and bound:
            row, binding, devices = bound.pop(which % len(bound))
            cluster.release(binding)
            plain.release(row, binding.node, devices)
            fragmentation.update(binding.node)
        check()


def plain_score(before: float, after: float) -> int:
    return floor(100 / (1 + exp(-(before - after) / 1000)))


def near_a_step(before: float, after: float) -> bool:
    """Whether the last bit of a sum may tip the rounding down."""
    exact = 100 / (1 + exp(-(before - after) / 1000))
    return abs(exact - round(exact)) < 1e-6


@pytest.mark.parametrize(
    ("before", "after", "score"),
    [(0, 0, 50), (1000, 0, 73), (0, 1000, 26), (8000, 0, 99), (0, 8000, 0), (600, 650, 48)],
)
def test_the_score_is_a_rounded_down_sigmoid_of_the_decrease(before: float, after: float, score: int) -> None:
    assert fgd_score(before, after) == score == plain_score(before, after)


@given(pod_lists, st.sampled_from([0.1, 0.5, 0.6, 0.75, 0.95, 1.0]))
@MANY
def test_typical_pods_are_the_most_popular_shapes_up_to_the_covered_share(pods: PodTable, covered: float) -> None:
    models = ("A10", "T4", "V100")
    requests = requests_of(pods, models)
    counts = Counter((int(cpu), int(milli), int(count), int(spec)) for cpu, _, count, milli, spec in requests)
    ranked = sorted(counts, key=lambda shape: (counts[shape], shape), reverse=True)
    kept, so_far = [], 0
    for shape in ranked:
        kept.append(shape)
        so_far += counts[shape]
        if so_far >= covered * len(pods):
            break
    typical = typical_pods(requests, covered)
    assert [(cpu, milli, count, spec) for cpu, _, count, milli, spec in typical.requests.tolist()] == kept
    assert (typical.requests[:, 1] == 0).all()
    assert typical.frequency == pytest.approx([counts[shape] / so_far for shape in kept])


@given(pod_lists, st.randoms(use_true_random=False))
@MANY
def test_typical_pods_do_not_depend_on_the_order_of_the_list(pods: PodTable, random: object) -> None:
    order = list(range(len(pods)))
    random.shuffle(order)  # type: ignore[attr-defined]
    one = typical_pods(requests_of(pods, ("T4",)))
    other = typical_pods(requests_of(pods.take(np.array(order)), ("T4",)))
    assert one.requests.tolist() == other.requests.tolist()
    assert one.frequency.tolist() == other.frequency.tolist()


# --- the empty cluster: arithmetic that a whole simulator has to get right


def empty_cluster_fragmentation(world: PodWorkload) -> float:
    """Fragmented share of all GPUs of the empty cluster, in percent, by the simulation."""
    simulation = PodPlacement(world).build(0)
    return 100 * simulation.fragmentation.total / simulation.gpu_capacity_milli


def plain_empty_cluster_fragmentation(world: PodWorkload) -> float:
    plain = PlainCluster(world.nodes, world.pods)
    models = gpu_models(world.nodes)
    typical = typical_pods(requests_of(world.pods, models))
    kept = plain_typical(typical.requests, models)
    fragmented = sum(plain_fragmentation(here, kept, typical.frequency.tolist()) for here in plain.nodes)
    return 100 * fragmented / (1000 * int(world.nodes.gpu_count.sum()))


def test_the_empty_openb_cluster_is_fragmented_as_published(openb: Callable[[str], PodWorkload]) -> None:
    assert empty_cluster_fragmentation(openb("default")) == pytest.approx(13.94, abs=0.005)


def test_the_empty_generated_cluster_is_about_as_fragmented_as_openb() -> None:
    world = openb_like(0)
    fragmented = empty_cluster_fragmentation(world)
    assert fragmented == pytest.approx(13.94, abs=0.3)
    assert fragmented == pytest.approx(plain_empty_cluster_fragmentation(world), rel=1e-9)


# --- what a policy may do with it


def small() -> Fragmentation:
    cluster = Cluster(node_table([node(cpu=32000, gpus=2), node(cpu=32000, gpus=2)]))
    return Fragmentation(cluster, EXAMPLE, EXAMPLE.requests)


def test_only_nodes_in_the_mask_are_computed() -> None:
    fragmentation = small()
    after, device = fragmentation.after(0, np.array([False, True]))
    assert (after[0], device[0]) == (0.0, -1)
    assert device[1] == 0


def test_the_fragmentation_per_node_is_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        small().view.per_node[0] = 1.0


def test_what_a_policy_is_told_about_after_is_read_only() -> None:
    after, _device = small().after(0, np.array([True, True]))
    with pytest.raises(ValueError, match="read-only"):
        after[0] = -9999.0
