"""Instances made of ReplicaSets: those that the authors have published, and what they promise."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pytest

from clustersim.errors import ConfigError
from clustersim.replica_sets import MIB, ReplicaSets

PUBLISHED = 484806185843093489
SIZES = [4, 2, 2, 4, 1, 3]
CPU_MILLI = [427, 391, 828, 151, 553, 671]
MEMORY_BYTES = [343966759, 390597870, 613089629, 549358279, 311363716, 700290895]
PRIORITIES = [3, 2, 2, 3, 3, 2]


def test_a_published_seed_gives_the_published_instance() -> None:
    workload = ReplicaSets(nodes=4, pods_per_node=4, priorities=4, usage=1.0)(PUBLISHED)
    pods, nodes = workload.pods, workload.nodes
    assert pods.cpu_milli.tolist() == np.repeat(CPU_MILLI, SIZES).tolist()
    assert pods.memory_mib.tolist() == np.repeat([ceil(size / MIB) for size in MEMORY_BYTES], SIZES).tolist()
    assert pods.priority.tolist() == np.repeat(PRIORITIES, SIZES).tolist()
    assert nodes.cpu_milli.tolist() == [1829] * 4
    assert nodes.memory_mib.tolist() == [ceil(int(pods.memory_mib.sum()) / 4)] * 4
    assert pods.name[:5] == ("rs-01-p3-0", "rs-01-p3-1", "rs-01-p3-2", "rs-01-p3-3", "rs-02-p2-0")
    assert len(set(pods.name)) == 16
    assert np.isnan(pods.duration_s).all()


@pytest.mark.parametrize("usage", [0.5, 0.9, 1.0, 1.05])
def test_all_pods_together_ask_for_the_usage(usage: float) -> None:
    for seed in range(20):
        workload = ReplicaSets(8, 8, 4, usage)(seed)
        for column in ("cpu_milli", "memory_mib"):
            asked = int(getattr(workload.pods, column).sum())
            capacity = getattr(workload.nodes, column)
            assert len(set(capacity.tolist())) == 1
            # Rounding up gives each node less than two units more than it needs.
            assert asked / usage <= int(capacity.sum()) < asked / usage + 2 * len(capacity)


def test_the_largest_pod_fits_on_an_empty_node_whatever_the_usage() -> None:
    for seed in range(20):
        workload = ReplicaSets(4, 1, 1, usage=3.0)(seed)
        assert workload.nodes.cpu_milli[0] >= workload.pods.cpu_milli.max()
        assert workload.nodes.memory_mib[0] >= workload.pods.memory_mib.max()


def test_the_number_of_pods_is_exact_and_sets_are_small() -> None:
    for seed in range(50):
        pods = ReplicaSets(5, 3, 2)(seed).pods
        assert len(pods) == 15
        sets = [name.split("-")[1] for name in pods.name]
        assert max(map(sets.count, sets)) <= 4
        assert set(pods.priority.tolist()) <= {1, 2}
        assert pods.cpu_milli.min() >= 100
        assert pods.cpu_milli.max() <= 1000


def test_seeds_differ_and_one_seed_repeats() -> None:
    drawn = [ReplicaSets()(seed).pods.cpu_milli.tolist() for seed in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]


def test_usage_and_priorities_change_nothing_but_themselves() -> None:
    few, many = ReplicaSets(priorities=1, usage=0.9)(7), ReplicaSets(priorities=4, usage=1.0)(7)
    assert few.pods.cpu_milli.tolist() == many.pods.cpu_milli.tolist()
    assert few.pods.memory_mib.tolist() == many.pods.memory_mib.tolist()
    assert few.nodes.cpu_milli[0] > many.nodes.cpu_milli[0]
    assert few.pods.priority.tolist() == [1] * 32
    assert many.pods.priority.max() > 1


def test_sets_are_created_one_gap_after_the_other_and_their_pods_together() -> None:
    arrivals = ReplicaSets(4, 4, 4, 1.0, gap_s=2.5)(PUBLISHED).pods.arrival_s
    assert arrivals.tolist() == np.repeat(2.5 * np.arange(6), SIZES).tolist()
    assert not ReplicaSets(4, 4, 4, 1.0)(PUBLISHED).pods.arrival_s.any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nodes": 0}, "nodes is 0; it has to be at least 1"),
        ({"pods_per_node": -2}, "pods_per_node is -2; it has to be at least 1"),
        ({"priorities": 0}, "priorities is 0; it has to be at least 1"),
        ({"usage": 0.0}, "usage is 0.0; it has to be positive"),
        ({"usage": -0.5}, "usage is -0.5"),
        ({"usage": float("nan")}, "usage is nan"),
        ({"usage": float("inf")}, "usage is inf"),
        ({"gap_s": -1.0}, "gap_s is -1.0; it has to be at least 0"),
        ({"gap_s": float("nan")}, "gap_s is nan"),
    ],
)
def test_values_that_make_no_sense_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ReplicaSets(**values)


@pytest.mark.parametrize("seed", [-1, 1 << 128])
def test_a_seed_beyond_sixteen_bytes_is_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match="below 2\\*\\*128"):
        ReplicaSets()(seed)
