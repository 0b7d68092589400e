"""The bracket around the best possible GPU allocation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from clustersim.baselines import inflation_bound
from clustersim.baselines.inflation_bound import gpu_bracket, relaxed_bound_milli
from clustersim.baselines.registry import POLICIES, policy
from clustersim.cluster import Cluster
from clustersim.errors import DoesNotFit
from clustersim.policy import run
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import PLACE
from clustersim.traces import openb_like
from clustersim.workload import GPU_MILLI, NodeTable


def cluster_of(nodes: list[tuple[int, int, int]]) -> Cluster:
    """Nodes are (CPU, memory, GPUs)."""
    cpu, memory, gpus = np.array(nodes, dtype=np.int64).T
    models = tuple("T4" if count else "" for count in gpus)
    return Cluster(NodeTable(tuple(f"n{i}" for i in range(len(nodes))), cpu, memory, gpus, models))


def random_instance(rng: np.random.Generator) -> tuple[list[tuple[int, int, int]], np.ndarray]:
    shape = (int(rng.integers(4, 10)), int(rng.integers(4, 10)), int(rng.integers(1, 3)))
    nodes = [shape, shape if rng.random() < 0.5 else (8, 8, 1)]
    pods = []
    for _ in range(int(rng.integers(2, 6))):
        whole = rng.random() < 0.4
        count, milli = (int(rng.integers(1, 3)), GPU_MILLI) if whole else (1, int(rng.choice([300, 400, 600, 700])))
        pods.append((int(rng.integers(0, 5)), int(rng.integers(0, 5)), count, milli, -1))
    return nodes, np.array(pods, dtype=np.int64)


def most_by_brute_force(nodes: list[tuple[int, int, int]], pods: np.ndarray) -> int:
    """Every pod on every node and device, or left out."""
    places = [(-1, None), *((n, d) for n, node in enumerate(nodes) for d in range(node[2]))]
    best = 0
    for choice in product(places, repeat=len(pods)):
        cluster = cluster_of(nodes)
        order = sorted(range(len(pods)), key=lambda p: pods[p, 3])  # shares first: whole ones take what is left
        try:
            held = 0
            for p in order:
                n, d = choice[p]
                if n >= 0:
                    cluster.bind(pods[p], n, d if pods[p, 3] < GPU_MILLI else None)
                    held += int(pods[p, 2] * pods[p, 3])
            best = max(best, held)
        except DoesNotFit:
            continue
    return best


def test_the_optimum_of_tiny_instances_lies_in_the_bracket_and_is_found() -> None:
    rng = np.random.default_rng(3)
    for _ in range(25):
        nodes, pods = random_instance(rng)
        optimum = most_by_brute_force(nodes, pods[:4])
        view = cluster_of(nodes).view
        assert relaxed_bound_milli(view, pods[:4]) >= optimum
        bracket = gpu_bracket(view, pods[:4])
        assert bracket.known_milli == bracket.bound_milli == optimum


def test_two_shares_above_half_a_device_do_not_share_one() -> None:
    pods = np.array([(1, 1, 1, 600, -1)] * 3, dtype=np.int64)
    assert relaxed_bound_milli(cluster_of([(8, 8, 1), (8, 8, 1)]).view, pods) == 1200


def test_pods_without_gpu_do_not_count() -> None:
    pods = np.array([(1, 1, 0, 0, -1)] * 3, dtype=np.int64)
    bracket = gpu_bracket(cluster_of([(8, 8, 1)]).view, pods)
    assert (bracket.known_milli, bracket.bound_milli) == (0, 0)


@pytest.mark.parametrize("exact", [True, False])
def test_no_policy_allocates_more_than_the_bound(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exact:
        monkeypatch.setattr(inflation_bound, "MOST_VARIABLES", 0)
    monkeypatch.setattr(inflation_bound, "DETERMINISTIC_LIMIT", 0.3)
    scenario = PodPlacement(openb_like(1, nodes=12))
    first = scenario.build(7)
    requests = np.array([pod.request for pod in first._pods.pods])[first.arrivals]
    bracket = gpu_bracket(first.cluster.view, requests)
    assert 0 < bracket.known_milli <= bracket.bound_milli <= first.gpu_capacity_milli
    for name in POLICIES["pod-placement"]:
        simulation = scenario.build(7)
        run(simulation, {PLACE: policy("pod-placement", name)})
        assert simulation.gpu_allocated.value <= bracket.bound_milli, name
