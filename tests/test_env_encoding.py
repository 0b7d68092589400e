"""The columns of the observation: the fused kernel, each column's function and the documented meaning agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from clustersim.control import Decision
from clustersim.envs.encoding import Column, TableEncoder
from clustersim.envs.pod_placement import NODES, POD, PodPlacementEnv
from clustersim.traces import openb_like
from clustersim.workload import NodeTable, PodTable, PodWorkload

MODELS = ("A10", "T4", "V100")


def nodes_of(rows: list[tuple[int, int, int, str]]) -> NodeTable:
    """Cores, GiB, devices, model."""
    cores, gib, gpus, model = zip(*rows, strict=True)
    return NodeTable(
        name=tuple(f"node-{i}" for i in range(len(rows))),
        cpu_milli=np.array(cores) * 1000,
        memory_mib=np.array(gib) * 1024,
        gpu_count=np.array(gpus),
        gpu_model=model,
    )


def pods_of(rows: list[tuple[int, int, int, int, tuple[str, ...]]]) -> PodTable:
    """CPU milli, memory MiB, devices, milli per device, accepted models; one every minute, each stays 10 minutes."""
    cpu, memory, gpus, milli, spec = zip(*rows, strict=True)
    count = len(rows)
    return PodTable(
        name=tuple(f"pod-{i}" for i in range(count)),
        cpu_milli=np.array(cpu),
        memory_mib=np.array(memory),
        num_gpu=np.array(gpus),
        gpu_milli=np.array(milli),
        gpu_spec=spec,
        qos=("LS",) * count,
        priority=np.zeros(count, dtype=np.int64),
        arrival_s=60.0 * np.arange(count),
        duration_s=np.full(count, 600.0),
        image=("",) * count,
        image_mib=np.zeros(count, dtype=np.int64),
    )


@cache
def odd() -> PodWorkload:
    """Nodes without GPUs, with few and with more than 8; beyond 128 cores and 1 TiB; pods that ask for all of it."""
    nodes = [
        (32, 64, 0, ""),
        (256, 2048, 10, "V100"),
        (8, 16, 1, "T4"),
        (96, 512, 8, "V100"),
        (16, 32, 2, "A10"),
        (64, 128, 4, "T4"),
        (200, 1024, 0, ""),
    ]
    kinds: list[tuple[int, int, int, int, tuple[str, ...]]] = [
        (200_000, 1024 * 1100, 0, 0, ()),
        (200_000, 0, 0, 0, ()),
        (1000, 1024, 10, 1000, ()),
        (8000, 4096, 8, 1000, ("V100",)),
        (8000, 4096, 1, 1, ()),
        (0, 0, 1, 999, ("T4", "A10")),
        (4000, 0, 1, 500, ()),
        (1000, 512, 1, 300, ("A10",)),
        (2000, 1024, 2, 1000, ()),
        (0, 1024, 0, 0, ()),
        (6000, 1024, 1, 1000, ("V100", "T4")),
    ]
    rng = np.random.default_rng(11)
    frequent = rng.choice(len(kinds), size=260, p=np.array([1, 1, 1, 2, 6, 5, 8, 6, 4, 3, 3]) / 40)
    return PodWorkload("odd", nodes_of(nodes), pods_of([kinds[kind] for kind in frequent]))


@cache
def starving() -> PodWorkload:
    """Every pod wants the CPU of a whole node and a sliver of GPU, so that a node of 10 devices is all fragmented."""
    nodes = [(16, 16, 10, "V100"), (16, 16, 8, "V100")]
    return PodWorkload("starving", nodes_of(nodes), pods_of([(16_000, 16_384, 1, 100, ())] * 20))


@cache
def slivers() -> PodWorkload:
    """Twelve nearly full devices, a sliver on each, which stays; then the big pods leave."""
    pods = pods_of([(0, 0, 1, 999, ())] * 12 + [(0, 0, 1, 1, ())] * 12 + [(0, 0, 0, 0, ())] * 30)
    pods = replace(pods, duration_s=np.repeat([1800.0, 9000.0, 60.0], [12, 12, 30]))
    return PodWorkload("slivers", nodes_of([(64, 64, 12, "V100")]), pods)


WORLDS: dict[str, dict[str, Any]] = {
    "odd-inflation": {"workload": odd()},
    "odd-replay": {"workload": odd(), "mode": "replay", "arrival_speedup": 2.0},
    "starving-replay": {"workload": starving(), "mode": "replay"},
    "slivers-replay": {"workload": slivers(), "mode": "replay"},
    "openb-like": {"workload": openb_like(2, nodes=40), "nodes": 12},
    "openb-like-replay": {
        "workload": openb_like(2, nodes=40),
        "nodes": 12,
        "mode": "replay",
        "arrival_speedup": 2000.0,
    },
}
every_world = pytest.mark.parametrize("name", WORLDS)


def decisions(name: str, seeds: int = 2, most: int = 250) -> Iterator[tuple[PodPlacementEnv, Decision, Any]]:
    """Environments at their decisions, with the observation, played at random and rarely waiting."""
    for seed in range(seeds):
        env = PodPlacementEnv(**WORLDS[name])
        rng = np.random.default_rng(seed)
        observation, _ = env.reset(seed=seed)
        for _ in range(most):
            if env.decision is None:
                break
            yield env, env.decision, observation
            legal = np.flatnonzero(env.decision.mask[: env.rows])
            waits = env.decision.mask[-1] and rng.random() < 0.05
            action = int(env.decision.mask.size - 1 if waits else rng.choice(legal))
            observation = env.step(action)[0]


# --- the kernel against the functions of the columns


@every_world
def test_the_kernel_computes_every_node_column_in_the_declared_order(name: str) -> None:
    for _, decision, observation in decisions(name):
        cluster, fragmentation, pod = decision.view.cluster, decision.view.fragmentation, decision.subject
        after, _ = fragmentation.after(pod.shape, decision.mask)
        now = fragmentation.per_node
        fitting = np.flatnonzero(decision.mask[: len(cluster)])
        least = min(float(after[n] - now[n]) for n in fitting)
        for n in range(len(cluster)):
            state = (
                pod.request.tolist(),
                bool(decision.mask[n]),
                int(cluster.cpu_free[n]),
                int(cluster.memory_free[n]),
                cluster.gpu_free[n].tolist(),
                int(cluster.gpu_count[n]),
                float(now[n]),
                float(after[n]),
                least,
            )
            expected = [column.function.py_func(*state) for column in NODES.columns]  # type: ignore[attr-defined]
            np.testing.assert_array_equal(observation["nodes"][n], np.array(expected, dtype=np.float32))


@every_world
def test_the_pod_vector_holds_every_pod_column_in_the_declared_order(name: str) -> None:
    for _, decision, observation in decisions(name):
        expected = [column.function(decision.subject.request.tolist()) for column in POD.columns]
        np.testing.assert_array_equal(observation["pod"], np.array(expected, dtype=np.float32))


# --- the documented meaning, computed a second time from the tables and the bindings


class Node(NamedTuple):
    """A node as the documentation speaks of it; `gpu` has one entry per device that exists."""

    fits: bool
    cpu: int
    memory: int
    gpu: list[int]
    model: str


class Wish(NamedTuple):
    cpu: int
    memory: int
    count: int
    share: int
    spec: tuple[str, ...]


def fragmented(cpu: int, gpu: list[int], model: str, typical: list[tuple[Wish, float]]) -> float:
    """F_n from its definition."""
    total = 0.0
    for wish, frequency in typical:
        accepted = not wish.spec or model in wish.spec
        placeable = wish.count and accepted and cpu >= wish.cpu and sum(d >= wish.share for d in gpu) >= wish.count
        total += frequency * sum(d for d in gpu if d < wish.share or not placeable)
    return total


def fragmented_after(node: Node, wish: Wish, typical: list[tuple[Wish, float]]) -> float:
    """F_n after placing; a share goes where FGD's score is highest, on the lowest such device."""
    cpu, before = node.cpu - wish.cpu, fragmented(node.cpu, node.gpu, node.model, typical)
    if wish.count == 0 or wish.share == 1000:
        whole = [d for d, free in enumerate(node.gpu) if free == 1000][: wish.count]
        left = [0 if d in whole else free for d, free in enumerate(node.gpu)]
        return fragmented(cpu, left, node.model, typical)
    options = []
    for d, free in enumerate(node.gpu):
        if free >= wish.share:
            left = [*node.gpu[:d], free - wish.share, *node.gpu[d + 1 :]]
            after = fragmented(cpu, left, node.model, typical)
            options.append((-math.floor(100 / (1 + math.exp((after - before) / 1000))), d, after))
    return min(options)[2]


def meaning_of_nodes(nodes: list[Node], wish: Wish, typical: list[tuple[Wish, float]]) -> dict[str, list[float]]:
    def clipped(values: list[float], low: float = 0.0) -> list[float]:
        return [min(1.0, max(low, value)) for value in values]

    now = [fragmented(n.cpu, n.gpu, n.model, typical) for n in nodes]
    change = [fragmented_after(n, wish, typical) - f if n.fits else math.nan for n, f in zip(nodes, now, strict=True)]
    least = min(c for c in change if not math.isnan(c))
    fits = [n.fits for n in nodes]
    return {
        "fits": [float(f) for f in fits],
        "cpu_free": clipped([n.cpu / 128_000 for n in nodes]),
        "cpu_free_after": clipped([(n.cpu - wish.cpu) / 128_000 for n in nodes]),
        "memory_free": clipped([n.memory / 2**20 for n in nodes]),
        "memory_free_after": clipped([(n.memory - wish.memory) / 2**20 for n in nodes]),
        "gpus": clipped([len(n.gpu) / 8 for n in nodes]),
        "gpus_whole": clipped([n.gpu.count(1000) / 8 for n in nodes]),
        "gpu_shared_free": clipped([sum(d for d in n.gpu if d < 1000) / 8000 for n in nodes]),
        "share_slack": [
            min([(d - wish.share) / 1000 for d in n.gpu if d >= wish.share > 0], default=1.0) for n in nodes
        ],
        "fragmented": clipped([f / 8000 for f in now]),
        "fragmentation_change": clipped([c / 1000 if f else 0.0 for c, f in zip(change, fits, strict=True)], -1.0),
        "fragmentation_regret": clipped([(c - least) / 250 if f else 1.0 for c, f in zip(change, fits, strict=True)]),
    }


def meaning_of_pod(wish: Wish) -> dict[str, float]:
    return {
        "cpu": min(1.0, wish.cpu / 128_000),
        "memory": min(1.0, wish.memory / 2**20),
        "num_gpu": min(1.0, wish.count / 8),
        "gpu_share": wish.share / 1000,
        "is_share": float(wish.count == 1 and wish.share < 1000),
        "is_choosy": float(bool(wish.spec)),
    }


def typical_wishes(env: PodPlacementEnv) -> list[tuple[Wish, float]]:
    typical, models = env.simulation.fragmentation._typical, env.simulation.view.cluster.models
    return [
        (Wish(cpu, memory, count, share, models_in(accepted, models)), float(frequency))
        for (cpu, memory, count, share, accepted), frequency in zip(
            typical.requests.tolist(), typical.frequency, strict=True
        )
    ]


def models_in(accepted: int, models: tuple[str, ...]) -> tuple[str, ...]:
    return () if accepted == -1 else tuple(m for i, m in enumerate(models) if accepted >> i & 1)


@every_world
def test_every_column_says_what_its_documentation_says(name: str) -> None:
    for env, decision, observation in decisions(name, seeds=1, most=120):
        cluster, pod = decision.view.cluster, decision.subject
        row = pod.row
        pods = env.scenario.workload.pods
        wish = Wish(
            int(pods.cpu_milli[row]),
            int(pods.memory_mib[row]),
            int(pods.num_gpu[row]),
            int(pods.gpu_milli[row]),
            pods.gpu_spec[row],
        )
        nodes = []
        for n in range(len(cluster)):
            gpu = cluster.gpu_free[n, : cluster.gpu_count[n]].tolist()
            model = cluster.models[cluster.gpu_model[n]] if gpu else ""
            fits = (
                cluster.cpu_free[n] >= wish.cpu
                and cluster.memory_free[n] >= wish.memory
                and (
                    wish.count == 0
                    or ((not wish.spec or model in wish.spec) and sum(d >= wish.share for d in gpu) >= wish.count)
                )
            )
            nodes.append(Node(bool(fits), int(cluster.cpu_free[n]), int(cluster.memory_free[n]), gpu, model))
        expected = meaning_of_nodes(nodes, wish, typical_wishes(env))
        assert list(expected) == [column.name for column in NODES.columns]
        for k, (column, values) in enumerate(expected.items()):
            np.testing.assert_allclose(observation["nodes"][:, k], values, rtol=1e-6, atol=1e-6, err_msg=column)
        of_pod = meaning_of_pod(wish)
        assert list(of_pod) == [column.name for column in POD.columns]
        np.testing.assert_allclose(observation["pod"], list(of_pod.values()), rtol=1e-6)


@pytest.mark.parametrize("pod", [(1000, 1024, 0, 0, ()), (1000, 1024, 1, 500, ()), (1000, 1024, 2, 1000, ())])
def test_a_row_does_not_depend_on_how_many_devices_other_nodes_have(pod: tuple[Any, ...]) -> None:
    pods = pods_of([pod, (1000, 1024, 1, 1000, ())])
    mine = (32, 64, 2, "T4")
    alone = PodPlacementEnv(PodWorkload("alone", nodes_of([mine]), pods), mode="replay")
    # The other node has no CPU, so that nothing fits there and it is never the best one.
    beside = PodPlacementEnv(PodWorkload("beside", nodes_of([mine, (0, 64, 8, "T4")]), pods), mode="replay")
    expected = alone.reset(seed=0)[0]["nodes"][0]
    observation, _ = beside.reset(seed=0)
    at = beside.simulation.view.cluster.names.index("node-0")
    np.testing.assert_array_equal(observation["nodes"][at], expected)


# --- bounds


def test_every_bound_is_attained_and_none_is_exceeded() -> None:
    seen: dict[str, list[np.ndarray]] = {"nodes": [], "pod": []}
    for name in WORLDS:
        for env, _, observation in decisions(name):
            assert observation in env.observation_space
            for table, values in observation.items():
                seen[table].append(values.reshape(-1, values.shape[-1]))
    for table, encoder in (("nodes", NODES), ("pod", POD)):
        values = np.concatenate(seen[table])
        lows = {c.name: (c.low, float(v)) for c, v in zip(encoder.columns, values.min(axis=0), strict=True)}
        highs = {c.name: (c.high, float(v)) for c, v in zip(encoder.columns, values.max(axis=0), strict=True)}
        assert {name: pair for name, pair in lows.items() if pair[0] != pair[1]} == {}
        assert {name: pair for name, pair in highs.items() if pair[0] != pair[1]} == {}


@pytest.mark.parametrize("rows", [7, 20])
def test_the_flat_observation_is_the_tables_row_by_row_and_then_the_pod(rows: int) -> None:
    tables = PodPlacementEnv(odd(), rows=rows)
    flat = PodPlacementEnv(odd(), rows=rows, flat=True)
    expected, told = tables.reset(seed=3)
    observation, _ = flat.reset(seed=3)
    over = False
    while not over:
        np.testing.assert_array_equal(observation, np.concatenate([expected["nodes"].ravel(), expected["pod"]]))
        action = int(told["action_mask"].argmax())
        expected, _, over, _, told = tables.step(action)
        observation, _, _, _, _ = flat.step(action)
    space = tables.observation_space
    for side in ("low", "high"):
        parts = [getattr(space["nodes"], side).ravel(), getattr(space["pod"], side)]  # type: ignore[index]
        np.testing.assert_array_equal(getattr(flat.observation_space, side), np.concatenate(parts))


# --- one declaration, no drift


@pytest.mark.parametrize("encoder", [NODES, POD], ids=["nodes", "pod"])
def test_the_description_lists_every_column_with_range_and_meaning(encoder: TableEncoder) -> None:
    _, _, *lines = encoder.describe().splitlines()
    assert len(lines) == len(encoder.columns) == encoder.space.shape[-1] == encoder.buffer().shape[-1]
    for column, line in zip(encoder.columns, lines, strict=True):
        assert line == f"| `{column.name}` | {column.low:g} .. {column.high:g} | {column.meaning} |"
        assert "|" not in column.meaning
    assert len({column.name for column in encoder.columns}) == len(encoder.columns)


def test_the_documentation_holds_the_tables() -> None:
    page = (Path(__file__).parents[1] / "docs" / "environments.md").read_text()
    assert NODES.describe() in page
    assert POD.describe() in page


def test_a_table_has_a_row_per_row_and_a_vector_has_none() -> None:
    columns = (Column("a", "first", -2, 3, float), Column("b", "second", 0, 1, float))

    def fill(decision: Any, out: Any) -> None:
        out[:] = 1

    vector, table = TableEncoder(columns, fill), TableEncoder(columns, fill, rows=4)
    assert (vector.space.shape, table.space.shape) == ((2,), (4, 2))
    assert (vector.space.dtype, table.space.dtype) == (np.float32, np.float32)
    assert table.space.low.tolist() == [[-2.0, 0.0]] * 4
    assert table.space.high.tolist() == [[3.0, 1.0]] * 4
    assert not table.buffer().any()
    assert table.buffer() is not table.buffer()
