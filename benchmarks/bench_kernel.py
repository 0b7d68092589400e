"""Micro-benchmarks of the hot path, printed as a table: `pytest benchmarks/bench_kernel.py`. No time is asserted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clustersim.baselines.registry import POLICIES, policy
from clustersim.envs.pod_placement import NODES, PodPlacementEnv
from clustersim.policy import run
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import PLACE
from clustersim.traces import load

WORKLOAD = load("openb-like")


@pytest.mark.parametrize("name", POLICIES["pod-placement"])
def test_an_inflation_run_on_100_nodes(benchmark: Any, name: str) -> None:
    scenario = PodPlacement(WORKLOAD, nodes=100)
    player = policy("pod-placement", name)

    def simulation() -> tuple[tuple[object, ...], dict[str, object]]:
        return (scenario.build(0), {PLACE: player}), {}

    assert benchmark.pedantic(run, setup=simulation, rounds=5) > 0


@pytest.mark.parametrize("nodes", [16, 100, 1000])
def test_the_node_table_of_an_observation(benchmark: Any, nodes: int) -> None:
    env = PodPlacementEnv(WORKLOAD, nodes=nodes)
    env.reset(seed=0)
    table = np.zeros((nodes, len(NODES.columns)), dtype=np.float32)
    benchmark(NODES.fill, env.decision, table)
    assert table.any()


@pytest.mark.parametrize("nodes", [16, 100, 1000])
def test_a_reset(benchmark: Any, nodes: int) -> None:
    env = PodPlacementEnv(WORKLOAD, nodes=nodes)
    benchmark(env.reset, seed=0)
