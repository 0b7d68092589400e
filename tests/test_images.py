"""Image caches of nodes: pulls, waiting for a pull under way, and what makes room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import MANY

from clustersim.errors import ConfigError
from clustersim.images import ImageCache


def test_an_image_is_pulled_once_per_node() -> None:
    cache = ImageCache(2, bandwidth_mib_s=10.0)
    assert cache.use(0, "a", 50, now_s=0.0) == 5.0
    assert cache.use(0, "a", 50, now_s=100.0) == 0.0
    assert cache.use(1, "a", 50, now_s=100.0) == 5.0
    assert (cache.pulls, cache.pulled_mib) == (2, 100)


def test_a_second_pod_waits_for_the_rest_of_a_pull_under_way() -> None:
    cache = ImageCache(1, bandwidth_mib_s=10.0)
    cache.use(0, "a", 50, now_s=1.0)
    assert cache.use(0, "a", 50, now_s=4.0) == 2.0
    assert cache.use(0, "a", 50, now_s=6.0) == 0.0
    assert cache.pulls == 1


def test_the_least_recently_used_image_goes_first_and_no_more_than_needed() -> None:
    cache = ImageCache(1, bandwidth_mib_s=10.0, budget_mib=100)
    for image in ("a", "b", "c"):
        cache.use(0, image, 30, now_s=0.0)
        cache.leave(0, image)
    cache.use(0, "a", 30, now_s=1.0)
    cache.leave(0, "a")
    cache.use(0, "d", 40, now_s=2.0)
    assert cache.held_mib(0) == 100  # b went, a and c stayed
    assert [cache.use(0, image, 30, now_s=10.0) for image in ("a", "c")] == [0.0, 0.0]
    assert cache.pulls == 4


def test_an_image_in_use_is_never_removed_and_goes_when_it_is_left() -> None:
    cache = ImageCache(1, bandwidth_mib_s=10.0, budget_mib=50)
    cache.use(0, "a", 40, now_s=0.0)
    cache.use(0, "b", 40, now_s=0.0)
    assert cache.held_mib(0) == 80
    cache.leave(0, "a")
    assert cache.held_mib(0) == 40
    assert cache.use(0, "b", 40, now_s=10.0) == 0.0
    assert cache.use(0, "a", 40, now_s=10.0) == 4.0


def test_an_image_stays_in_use_until_its_last_pod_leaves() -> None:
    cache = ImageCache(1, bandwidth_mib_s=10.0, budget_mib=0)
    cache.use(0, "a", 40, now_s=0.0)
    cache.use(0, "a", 40, now_s=0.0)
    cache.leave(0, "a")
    assert cache.held_mib(0) == 40
    cache.leave(0, "a")
    assert cache.held_mib(0) == 0


def test_an_image_larger_than_the_budget_runs_and_is_gone_afterwards() -> None:
    cache = ImageCache(1, bandwidth_mib_s=10.0, budget_mib=10)
    assert cache.use(0, "huge", 100, now_s=0.0) == 10.0
    cache.leave(0, "huge")
    assert cache.held_mib(0) == 0


def test_without_a_budget_nothing_is_ever_removed() -> None:
    cache = ImageCache(1, bandwidth_mib_s=10.0)
    for image in range(50):
        cache.use(0, str(image), 1000, now_s=0.0)
        cache.leave(0, str(image))
    assert cache.held_mib(0) == 50_000


@given(
    st.integers(0, 100),
    st.lists(st.tuples(st.booleans(), st.integers(0, 1), st.sampled_from("abcd")), max_size=40),
)
@MANY
def test_only_images_in_use_exceed_the_budget(budget: int, steps: list[tuple[bool, int, str]]) -> None:
    sizes = {"a": 10, "b": 25, "c": 40, "d": 70}
    cache = ImageCache(2, bandwidth_mib_s=10.0, budget_mib=budget)
    users: dict[tuple[int, str], int] = {}
    for now_s, (arrives, node, image) in enumerate(steps):
        key = (node, image)
        if arrives:
            was_used = users.get(key, 0) > 0
            wait_s = cache.use(node, image, sizes[image], float(now_s))
            assert 0 <= wait_s <= sizes[image] / 10
            assert not (was_used and wait_s == sizes[image] / 10), "an image in use was removed"
            users[key] = users.get(key, 0) + 1
        elif users.get(key):
            cache.leave(node, image)
            users[key] -= 1
        for n in (0, 1):
            in_use = sum(sizes[name] for (where, name), count in users.items() if where == n and count)
            assert in_use <= cache.held_mib(n) <= max(budget, in_use)


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, float("nan")])
def test_an_impossible_bandwidth_is_refused(bandwidth: float) -> None:
    with pytest.raises(ConfigError, match="bandwidth has to be positive"):
        ImageCache(1, bandwidth)


@pytest.mark.parametrize("budget", [-1.0, float("nan")])
def test_an_impossible_budget_is_refused(budget: float) -> None:
    with pytest.raises(ConfigError, match="budget has to be at least 0"):
        ImageCache(1, 1.0, budget)


def test_an_image_that_was_used_until_just_now_outlives_one_that_was_left_long_ago() -> None:
    cache = ImageCache(1, bandwidth_mib_s=10.0, budget_mib=100)
    cache.use(0, "used until 100 s", 50, now_s=0.0)
    cache.use(0, "used until 20 s", 50, now_s=10.0)
    cache.leave(0, "used until 20 s")
    cache.leave(0, "used until 100 s")
    cache.use(0, "new", 50, now_s=110.0)
    assert cache.use(0, "used until 100 s", 50, now_s=200.0) == 0.0
