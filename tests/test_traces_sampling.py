"""Smaller versions of a mix: exact quotas, no node twice, the same draw for the same generator."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import ConfigError
from clustersim.traces import openb_like, stratified_nodes
from clustersim.traces.sampling import largest_remainder, systematic_sample


def test_largest_remainder_gives_the_textbook_seats() -> None:
    assert largest_remainder(np.array([47000, 16000, 15900, 12000, 6000, 3100]), 10).tolist() == [5, 2, 1, 1, 1, 0]


def test_equal_remainders_go_to_the_lower_index() -> None:
    assert largest_remainder(np.array([1, 1, 1]), 2).tolist() == [1, 1, 0]


@given(st.lists(st.integers(1, 600), min_size=1, max_size=20), st.integers(0, 2000))
def test_quotas_add_up_and_stay_within_one_of_the_exact_share(weights: list[int], total: int) -> None:
    quota = largest_remainder(np.array(weights), total)
    assert quota.sum() == total
    assert (np.abs(quota - np.array(weights) * total / sum(weights)) < 1).all()


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=20), st.integers(1, 500), st.integers(0, 99))
def test_a_systematic_sample_takes_each_index_its_share_of_times(weights: list[float], count: int, seed: int) -> None:
    sample = systematic_sample(np.array(weights), count, np.random.default_rng(seed))
    taken = np.bincount(sample, minlength=len(weights))
    assert taken.sum() == count
    assert (np.abs(taken - count * np.array(weights) / sum(weights)) < 1 + 1e-9).all()


def test_a_systematic_sample_comes_in_random_order() -> None:
    samples = [systematic_sample(np.ones(10), 100, np.random.default_rng(seed)).tolist() for seed in (1, 2)]
    assert samples[0] != samples[1]
    assert sorted(samples[0]) == sorted(samples[1])


def test_sampled_nodes_keep_the_mix_of_shapes() -> None:
    nodes = openb_like(0).nodes
    sample = stratified_nodes(nodes, 121, np.random.default_rng(3))
    assert len(sample) == 121
    assert len(set(sample.name)) == 121
    everything, some = (
        Counter(zip(table.gpu_model, table.gpu_count, table.cpu_milli, table.memory_mib, strict=True))
        for table in (nodes, sample)
    )
    for shape, count in everything.items():
        assert abs(some[shape] - count * 121 / 1213) < 1, shape


def test_sampled_nodes_stay_in_order_and_repeat_with_the_generator() -> None:
    nodes = openb_like(0, nodes=100).nodes
    draws = [stratified_nodes(nodes, 30, np.random.default_rng(seed)).name for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert list(draws[0]) == sorted(draws[0])


def test_sampling_all_nodes_gives_them_back() -> None:
    nodes = openb_like(0, nodes=40).nodes
    assert stratified_nodes(nodes, 40, np.random.default_rng(0)).name == nodes.name


@pytest.mark.parametrize("count", [0, 41])
def test_more_nodes_than_there_are_or_none_are_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=f"cannot sample {count} of 40 nodes; ask for 1 to 40"):
        stratified_nodes(openb_like(0, nodes=40).nodes, count, np.random.default_rng(0))
