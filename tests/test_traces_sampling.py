"""Whole numbers from shares: exact quotas, and samples that take each index its share of times."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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
