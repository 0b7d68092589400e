"""Warm pools: where the staged search finds a pod follows from what the pools hold, and from nothing else."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import MANY

from clustersim.coldstart import ALLOCATION_S, Stage
from clustersim.warm_pools import Configuration, WarmPools

SMALL, MEDIUM, LARGE, WITH_GPU = (300, 128, 0), (600, 512, 0), (1000, 1024, 0), (300, 128, 500)
CONFIGURATIONS = (SMALL, MEDIUM, LARGE, WITH_GPU, (2000, 256, 0))


def test_the_own_pool_comes_first() -> None:
    pools: WarmPools[str] = WarmPools()
    pools.add(LARGE, "large")
    pools.add(SMALL, "small")
    assert pools.take(SMALL) == (Stage.POOL, "small")
    assert pools.take(SMALL) == (Stage.WIDER, "large")
    assert pools.take(SMALL) == (Stage.SCRATCH, None)


def test_the_wider_search_takes_the_smallest_pod_that_is_large_enough() -> None:
    pools: WarmPools[str] = WarmPools()
    for configuration, name in ((WITH_GPU, "gpu"), (LARGE, "large"), (SMALL, "small"), ((2000, 256, 0), "wide")):
        pools.add(configuration, name)
    assert pools.take(MEDIUM) == (Stage.WIDER, "large")  # "wide" lacks memory, "small" both
    assert pools.take(MEDIUM) == (Stage.SCRATCH, None)
    assert pools.take((200, 128, 0)) == (Stage.WIDER, "small")
    assert pools.take((200, 128, 0)) == (Stage.WIDER, "wide")  # a GPU is dearer than CPUs
    assert pools.take((200, 128, 0)) == (Stage.WIDER, "gpu")
    pools.add((400, 900, 0), "more memory")
    pools.add((500, 800, 0), "more CPUs")
    assert pools.take(SMALL) == (Stage.WIDER, "more memory")


def test_the_pod_that_waits_longest_goes_first() -> None:
    pools: WarmPools[int] = WarmPools()
    for entry in (7, 3, 5):
        pools.add(SMALL, entry)
    pools.remove(7)
    pools.add(SMALL, 7)
    assert [pools.take(SMALL)[1] for _ in range(3)] == [3, 5, 7]


def test_a_pod_that_was_removed_is_not_found() -> None:
    pools: WarmPools[str] = WarmPools()
    pools.add(SMALL, "gone")
    pools.remove("gone")
    assert pools.take(SMALL) == (Stage.SCRATCH, None)
    assert len(pools) == 0


def test_a_pod_is_in_one_pool_only() -> None:
    pools: WarmPools[str] = WarmPools()
    pools.add(SMALL, "p")
    with pytest.raises(AssertionError, match="in a pool already"):
        pools.add(LARGE, "p")


def test_the_mixture_of_stages_and_the_mean_allocation_follow_the_level_of_the_pools() -> None:
    # The shares of Region 2 (reference 4.4): .468 pool, .405 wider search, .127 from scratch.
    pools: WarmPools[int] = WarmPools()
    for entry in range(468):
        pools.add(SMALL, entry)
    for entry in range(468, 873):
        pools.add(LARGE, entry)
    stages = [pools.take(SMALL)[0] for _ in range(1000)]
    assert Counter(stages) == {Stage.POOL: 468, Stage.WIDER: 405, Stage.SCRATCH: 127}
    assert stages == sorted(stages)
    assert sum(ALLOCATION_S[stage] for stage in stages) / 1000 == pytest.approx(1.339, abs=0.001)


steps = st.lists(
    st.tuples(st.sampled_from(["add", "take", "remove"]), st.sampled_from(CONFIGURATIONS), st.integers(0, 30)),
    max_size=60,
)


@given(steps)
@MANY
def test_a_search_through_a_plain_list_finds_the_same(steps: list[tuple[str, Configuration, int]]) -> None:
    pools: WarmPools[int] = WarmPools()
    plain: list[tuple[Configuration, int]] = []  # the oldest first
    for entry, (what, configuration, which) in enumerate(steps):
        if what == "add":
            pools.add(configuration, entry)
            plain.append((configuration, entry))
        elif what == "remove" and plain:
            pools.remove(plain.pop(which % len(plain))[1])
        elif what == "take":
            fitting = [
                (have != configuration, have[2], have[0], have[1], age)
                for age, (have, _) in enumerate(plain)
                if all(map(int.__ge__, have, configuration))
            ]
            if fitting:
                other, *_, age = min(fitting)
                assert pools.take(configuration) == (Stage.WIDER if other else Stage.POOL, plain.pop(age)[1])
            else:
                assert pools.take(configuration) == (Stage.SCRATCH, None)
        assert len(pools) == len(plain)
        assert pools.level(configuration) == sum(have == configuration for have, _ in plain)
