"""Image pulls that share the bandwidth of their node, and the cache that they fill."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st
from worlds import MANY

from clustersim.errors import ConfigError
from clustersim.pulls import SharedPulls


class Bench:
    """Two nodes at 10 MiB/s; `use` notes in `ready_s` when the image was there, by the name of the pod."""

    def __init__(self, budget_mib: float = float("inf")) -> None:
        self.env = simpy.Environment()
        self.pulls = SharedPulls(self.env, 2, 10.0, budget_mib)
        self.ready_s: dict[str, float] = {}
        self.waiting: dict[str, Callable[[], None]] = {}

    def use(self, pod: str, node: int, image: str, size_mib: int) -> None:
        def ready() -> None:
            assert pod not in self.ready_s
            self.ready_s[pod] = self.env.now

        self.waiting[pod] = ready
        if self.pulls.use(node, image, size_mib, ready):
            ready()

    def leave(self, pod: str, node: int, image: str) -> None:
        self.pulls.leave(node, image, None if pod in self.ready_s else self.waiting[pod])

    def at(self, time_s: float, what: Callable[[], None]) -> None:
        self.env.timeout(time_s).callbacks.append(lambda _event: what())


def test_a_pull_alone_has_the_whole_bandwidth() -> None:
    bench = Bench()
    bench.use("p", 0, "a", 50)
    bench.env.run()
    assert bench.ready_s == {"p": 5.0}
    assert (bench.pulls.pulls, bench.pulls.pulled_mib) == (1, 50)


def test_two_pulls_at_once_take_twice_as_long() -> None:
    bench = Bench()
    bench.use("p", 0, "a", 50)
    bench.use("q", 0, "b", 50)
    assert bench.pulls.under_way(0) == 2
    bench.env.run()
    assert bench.ready_s == {"p": 10.0, "q": 10.0}


def test_pulls_on_other_nodes_take_nothing_away() -> None:
    bench = Bench()
    bench.use("p", 0, "a", 50)
    bench.use("q", 1, "a", 50)
    bench.env.run()
    assert bench.ready_s == {"p": 5.0, "q": 5.0}


def test_a_pull_that_joins_slows_the_first_one_and_has_everything_once_that_is_over() -> None:
    bench = Bench()
    bench.use("p", 0, "a", 100)
    bench.at(4.0, lambda: bench.use("q", 0, "b", 100))
    bench.env.run()
    # p has 60 MiB left at 4 s, at 5 MiB/s; q has 40 MiB left at 16 s, at 10 MiB/s.
    assert bench.ready_s == {"p": 16.0, "q": 20.0}


def test_a_second_pod_waits_for_the_pull_under_way() -> None:
    bench = Bench()
    bench.use("p", 0, "a", 50)
    bench.at(3.0, lambda: bench.use("q", 0, "a", 50))
    bench.env.run()
    assert bench.ready_s == {"p": 5.0, "q": 5.0}
    assert bench.pulls.pulls == 1


def test_an_image_that_is_there_needs_no_pull_and_no_call() -> None:
    bench = Bench()
    bench.use("p", 0, "a", 50)
    bench.env.run()
    assert bench.pulls.use(0, "a", 50, lambda: pytest.fail("called although the image was there"))
    bench.env.run()
    assert bench.pulls.pulls == 1


def test_a_pull_that_nobody_waits_for_is_given_up_and_frees_its_bandwidth() -> None:
    bench = Bench()
    bench.use("p", 0, "a", 100)
    bench.use("q", 0, "b", 100)
    bench.at(10.0, lambda: bench.leave("p", 0, "a"))
    bench.env.run(until=20.0)
    assert bench.ready_s == {"q": 15.0}
    assert bench.pulls.pulled_mib == 150
    assert bench.pulls.held_mib(0) == 100
    bench.use("r", 0, "a", 100)
    bench.env.run()
    assert bench.ready_s["r"] == 30.0


def test_a_pull_goes_on_for_the_pod_that_still_waits_and_the_other_one_is_not_told() -> None:
    bench = Bench()
    bench.use("p", 0, "a", 100)
    bench.use("q", 0, "a", 100)
    bench.at(4.0, lambda: bench.leave("p", 0, "a"))
    bench.env.run()
    assert bench.ready_s == {"q": 10.0}


def test_an_image_that_came_with_its_pod_is_there() -> None:
    bench = Bench()
    bench.pulls.hold(0, "a", 50)
    bench.use("p", 0, "a", 50)
    assert bench.ready_s == {"p": 0.0}
    assert bench.pulls.pulls == 0


def test_images_are_kept_and_removed_as_in_the_image_store() -> None:
    bench = Bench(budget_mib=100)
    for pod, image in (("p", "a"), ("q", "b")):
        bench.use(pod, 0, image, 60)
    bench.env.run()
    assert bench.pulls.held_mib(0) == 120  # both in use
    bench.leave("p", 0, "a")
    assert bench.pulls.held_mib(0) == 60
    bench.leave("q", 0, "b")
    bench.use("r", 0, "b", 60)
    bench.use("s", 0, "a", 60)
    assert "r" in bench.ready_s
    assert "s" not in bench.ready_s


def shared(arrivals: list[tuple[float, int]], bandwidth: float) -> list[float]:
    """When each of the pulls (arrival, size) ends, step by step from event to event."""
    left = [float(size) for _, size in arrivals]
    end: list[float] = [-1.0] * len(arrivals)
    now = 0.0
    while min(end) < 0:
        active = [i for i, (arrival, _) in enumerate(arrivals) if arrival <= now and end[i] < 0]
        coming = [arrival for arrival, _ in arrivals if arrival > now]
        pace = bandwidth / len(active) if active else 0.0
        next_s = min([*coming, *(now + left[i] / pace for i in active)])
        for i in active:
            left[i] -= pace * (next_s - now)
            if left[i] <= 1e-9 * arrivals[i][1]:
                end[i] = next_s
        now = next_s
    return end


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.integers(1, 100)), min_size=1, max_size=8))
@MANY
def test_pulls_share_a_processor_equally(arrivals: list[tuple[float, int]]) -> None:
    bench = Bench()
    for i, (arrival_s, size) in enumerate(arrivals):
        bench.at(arrival_s, lambda i=i, size=size: bench.use(str(i), 0, str(i), size))
    bench.env.run()
    assert [bench.ready_s[str(i)] for i in range(len(arrivals))] == pytest.approx(shared(arrivals, 10.0), rel=1e-6)
    assert bench.pulls.under_way(0) == 0
    assert bench.pulls.pulled_mib == sum(size for _, size in arrivals)


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_bandwidth_is_refused(bandwidth: float) -> None:
    with pytest.raises(ConfigError, match="bandwidth has to be positive and finite"):
        SharedPulls(simpy.Environment(), 1, bandwidth)
