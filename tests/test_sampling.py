"""A smaller cluster of the same mix."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import MANY, node, node_dicts, node_table

from clustersim.sampling import stratified_sample
from clustersim.workload import NodeTable

tables = st.lists(node_dicts, min_size=1, max_size=30).map(node_table)


def shapes(nodes: NodeTable) -> list[tuple[object, ...]]:
    return list(
        zip(
            nodes.gpu_model,
            nodes.gpu_count.tolist(),
            nodes.cpu_milli.tolist(),
            nodes.memory_mib.tolist(),
            strict=True,
        )
    )


@given(tables, st.floats(0, 1), st.integers(0, 1000))
@MANY
def test_every_shape_gets_its_share_rounded_down_or_up(nodes: NodeTable, part: float, seed: int) -> None:
    count = max(1, round(part * len(nodes)))
    rows = stratified_sample(nodes, count, np.random.default_rng(seed))
    assert len(rows) == count
    assert rows.tolist() == sorted(set(rows.tolist()))
    all_of, taken = Counter(shapes(nodes)), Counter(shapes(nodes.take(rows)))
    for shape, available in all_of.items():
        exact = available * count / len(nodes)
        assert int(exact) <= taken[shape] <= min(available, int(exact) + 1)


@given(tables)
@MANY
def test_a_sample_of_all_nodes_is_all_nodes(nodes: NodeTable) -> None:
    assert stratified_sample(nodes, len(nodes), np.random.default_rng(0)).tolist() == list(range(len(nodes)))


def test_a_rare_shape_appears_as_often_as_its_share_says() -> None:
    nodes = node_table([node(gpus=1)] * 6 + [node(gpus=2)] * 3 + [node(gpus=3)])
    found = Counter()
    for seed in range(600):
        rows = stratified_sample(nodes, 2, np.random.default_rng(seed))
        found.update(nodes.gpu_count[rows].tolist())
    # exact shares 1.2, 0.6, 0.2: one node of the first for sure, the other by the remainders .2, .6, .2
    assert found[1] == pytest.approx(720, abs=45)
    assert found[2] == pytest.approx(360, abs=50)
    assert found[3] == pytest.approx(120, abs=40)


def test_every_node_of_a_shape_is_taken_about_as_often() -> None:
    nodes = node_table([node(gpus=1)] * 5)
    taken = Counter(row for seed in range(500) for row in stratified_sample(nodes, 2, np.random.default_rng(seed)))
    assert all(taken[row] == pytest.approx(200, abs=50) for row in range(5))
