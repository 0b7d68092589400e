"""Cold starts: parts that add up, durations from the published tables, crowding, and images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st
from worlds import MANY

from clustersim.coldstart import ALLOCATION_S, PARTS, ColdStart, ColdStartConfig, ColdStarts, Stage
from clustersim.coldstart_tables import (
    CODE_S,
    DEPENDENCY_S,
    PROBABILITIES,
    RUNTIMES,
    SCHEDULING_S,
    known_runtime,
    quantile_s,
)
from clustersim.errors import ConfigError

TABLES = {"code_s": CODE_S, "dependency_s": DEPENDENCY_S, "scheduling_s": SCHEDULING_S}
ROWS = [(part, runtime) for part, table in TABLES.items() for runtime in table]

TOTAL_ALL_S = (0.161, 0.254, 0.501, 0.877, 1.76, 10.5, 11.2, 15.9)
"""Total cold start of Region 2 at PROBABILITIES (Vf, reference 4.4)."""


@dataclass
class Bench:
    """Cold starts on three nodes at 100 MiB/s, and those that became ready."""

    config: ColdStartConfig = field(default_factory=ColdStartConfig)
    seed: int = 0
    env: simpy.Environment = field(default_factory=simpy.Environment)
    ready: list[ColdStart] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.starts = ColdStarts(self.env, np.random.default_rng(self.seed), self.config, 3)

    def start(
        self, runtime: str = "Go1.x", stage: Stage = Stage.POOL, image: str = "", image_mib: int = 0, node: int = 0
    ) -> ColdStart:
        return self.starts.start(node, runtime, stage, image, image_mib, self.ready.append)

    def at(self, time_s: float, what: Callable[[], object]) -> None:
        self.env.timeout(time_s).callbacks.append(lambda _event: what())


UNCROWDED = ColdStartConfig(crowding=0.0)
EVERYTHING = ColdStartConfig(crowding=0.0, dependency_share=1.0)


# --- durations


@pytest.mark.parametrize(("part", "runtime"), ROWS)
def test_the_inverse_distribution_goes_through_every_published_quantile_and_never_falls(
    part: str, runtime: str
) -> None:
    row = TABLES[part][runtime]
    assert [quantile_s(row, p) for p in PROBABILITIES[: len(row)]] == pytest.approx(list(row))
    grid = [quantile_s(row, u) for u in np.linspace(0.001, 0.999, 999)]
    assert grid == sorted(grid)
    assert (grid[0], grid[-1]) == (row[0], row[-1])


def test_between_quantiles_of_a_log_normal_the_inverse_is_exact() -> None:
    row = tuple(float(np.exp(0.3 + 1.3 * z)) for z in (-1.6448536, -1.2815516, -0.6744898, 0.0, 0.6744898))
    assert quantile_s(row, 0.3085375) == pytest.approx(np.exp(0.3 - 1.3 * 0.5), rel=1e-6)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_starts_have_the_published_quantiles(runtime: str) -> None:
    starts = 2000
    bench = Bench(EVERYTHING)
    for _ in range(starts):
        bench.start(runtime)
    bench.env.run()
    for part, table in TABLES.items():
        if runtime not in table:
            assert all(start.parts[part] == 0 for start in bench.ready)
            continue
        assert distance([start.parts[part] for start in bench.ready], table[runtime]) < 1.63 / starts**0.5


def distance(durations_s: Sequence[float], quantiles_s: Sequence[float]) -> float:
    """Largest difference between the share of shorter durations and the published probability.

    1.63 / sqrt(n) is exceeded by one sample in a hundred of the right distribution. A duration may be published at
    several probabilities, and comes back with a rounding error, being a difference of times.
    """
    durations = np.sort(durations_s)
    worst = 0.0
    for probability, quantile in zip(PROBABILITIES, quantiles_s, strict=False):
        below = np.searchsorted(durations, quantile * (1 - 1e-6) - 1e-9) / len(durations)
        upto = np.searchsorted(durations, quantile * (1 + 1e-6) + 1e-9) / len(durations)
        worst = max(worst, below - probability, probability - upto)
    return worst


def test_the_mean_scheduling_time_is_the_published_one() -> None:
    mean_s = np.mean([quantile_s(SCHEDULING_S["all"], u) for u in (np.arange(20_000) + 0.5) / 20_000])
    assert mean_s == pytest.approx(0.678, rel=0.01)


def test_the_share_of_starts_with_dependencies_follows_from_the_published_means() -> None:
    mean_s = np.mean([quantile_s(DEPENDENCY_S["all"], u) for u in (np.arange(20_000) + 0.5) / 20_000])
    assert 0.241 / mean_s == pytest.approx(ColdStartConfig().dependency_share, abs=0.001)


def test_the_total_of_the_region_has_the_published_distribution() -> None:
    # The stages as published (.468 pool, .405 wider search, .127 from scratch); the bar of the reference is 0.05.
    bench = Bench(UNCROWDED)
    rng = np.random.default_rng(1)
    for stage in rng.choice(list(Stage), p=(0.468, 0.405, 0.127), size=4000):
        bench.start("all", Stage(stage))
    bench.env.run()
    assert distance([start.total_s for start in bench.ready], TOTAL_ALL_S) < 0.05


# --- parts


@pytest.mark.parametrize("stage", Stage)
def test_allocation_takes_what_its_stage_takes(stage: Stage) -> None:
    bench = Bench()
    bench.start(stage=stage)
    bench.env.run()
    assert bench.ready[0].parts["allocation_s"] == ALLOCATION_S[stage]


def test_the_published_stages_are_five_orders_of_magnitude_apart() -> None:
    assert ALLOCATION_S == {Stage.POOL: 0.0002, Stage.WIDER: 0.013, Stage.SCRATCH: 10.5}


def test_a_runtime_without_dependencies_has_none() -> None:
    bench = Bench(EVERYTHING)
    bench.start("Go1.x")
    bench.start("Java")
    bench.env.run()
    assert sorted(start.parts["dependency_s"] > 0 for start in bench.ready) == [False, True]


def test_the_declared_share_of_starts_has_dependencies() -> None:
    bench = Bench(ColdStartConfig(dependency_share=0.3))
    for _ in range(2000):
        bench.start("Java")
    bench.env.run()
    with_dependencies = sum(start.parts["dependency_s"] > 0 for start in bench.ready)
    assert with_dependencies / 2000 == pytest.approx(0.3, abs=3 * (0.3 * 0.7 / 2000) ** 0.5)


def test_the_image_is_pulled_once_per_node_and_by_a_pod_that_has_one() -> None:
    bench = Bench()
    bench.start(image="a", image_mib=500)
    bench.env.run()
    bench.start(image="a", image_mib=500)
    bench.start(image="a", image_mib=500, node=1)
    bench.start(image="")
    bench.env.run()
    assert sorted(start.parts["pull_s"] for start in bench.ready) == pytest.approx([0.0, 0.0, 5.0, 5.0])


def test_pulls_of_a_node_share_its_bandwidth() -> None:
    bench = Bench()
    bench.start(image="a", image_mib=500)
    bench.start(image="b", image_mib=500)
    bench.env.run()
    assert [start.parts["pull_s"] for start in bench.ready] == pytest.approx([10.0, 10.0])


def test_a_pod_that_is_held_brings_its_image() -> None:
    bench = Bench(ColdStartConfig(cache_mib=0))
    bench.starts.hold(0, "a", 500)
    bench.start(image="a", image_mib=500)
    bench.env.run()
    assert bench.ready[0].parts["pull_s"] == 0.0
    for _ in range(2):
        assert bench.starts.pulls.held_mib(0) == 500
        bench.starts.leave(0, "a")
    assert bench.starts.pulls.held_mib(0) == 0


def test_a_pod_without_an_image_holds_and_leaves_nothing() -> None:
    bench = Bench()
    bench.starts.hold(0, "", 0)
    bench.starts.leave(0, "")
    bench.start(image="")
    bench.env.run()
    assert bench.starts.pulls.held_mib(0) == 0
    assert bench.starts.pulls.pulls == 0


steps = st.lists(
    st.tuples(
        st.floats(0.0, 20.0),  # when it starts
        st.sampled_from(RUNTIMES),
        st.sampled_from(Stage),
        st.sampled_from(["", "a", "b", "c"]),
        st.integers(0, 2),
        st.one_of(st.none(), st.floats(0.0, 30.0)),  # cancelled after
    ),
    max_size=12,
)


@given(steps, st.integers(0, 1000))
@MANY
def test_the_parts_add_up_to_the_time_elapsed_whoever_is_cancelled(
    steps: list[tuple[float, str, Stage, str, int, float | None]], seed: int
) -> None:
    sizes = {"": 0, "a": 100, "b": 700, "c": 900}
    bench = Bench(ColdStartConfig(cache_mib=800), seed)
    begun_s: dict[ColdStart, float] = {}
    ended_s: dict[ColdStart, float] = {}
    cancelled: set[ColdStart] = set()

    def ready(start: ColdStart) -> None:
        assert start not in ended_s
        ended_s[start] = bench.env.now

    def begin(runtime: str, stage: Stage, image: str, node: int, after_s: float | None) -> None:
        start = bench.starts.start(node, runtime, stage, image, sizes[image], ready)
        begun_s[start] = bench.env.now
        if after_s is not None:
            bench.at(after_s, lambda: cancel(start))

    def cancel(start: ColdStart) -> None:
        was_under_way = start.under_way
        assert was_under_way == (start not in ended_s)
        start.cancel()
        assert not start.under_way
        if was_under_way:
            cancelled.add(start)
            ended_s[start] = bench.env.now

    for start_s, *what in steps:
        bench.at(start_s, lambda what=what: begin(*what))
    bench.env.run()
    assert len(ended_s) == len(begun_s) == len(steps)
    for start, end_s in ended_s.items():
        assert start.total_s == pytest.approx(end_s - begun_s[start], abs=1e-9)
        assert tuple(start.parts) == PARTS
        assert min(start.parts.values()) >= 0
    assert bench.starts.under_way == 0
    for start in begun_s.keys() - cancelled:
        bench.starts.leave(start.node, start.image)
    assert all(bench.starts.pulls.under_way(node) == 0 for node in range(3))
    assert all(bench.starts.pulls.held_mib(node) <= 800 for node in range(3))


# --- cancelling


@pytest.mark.parametrize("time_s", [0.0, 5.0, 10.5, 12.0, 15.5, 15.7])
def test_a_cancelled_start_is_never_ready_and_lets_go_of_its_image(time_s: float) -> None:
    bench = Bench(ColdStartConfig(cache_mib=0))
    start = bench.start(stage=Stage.SCRATCH, image="a", image_mib=500)  # pulls from 10.5 to 15.5 s
    bench.at(time_s, start.cancel)
    bench.env.run()
    assert bench.ready == []
    assert start.total_s == pytest.approx(time_s)
    assert bench.starts.under_way == 0
    assert bench.starts.pulls.held_mib(0) == 0


def test_a_start_that_waits_for_the_pull_of_another_one_is_cancelled_alone() -> None:
    bench = Bench()
    bench.start(image="a", image_mib=500)
    second = bench.start(image="a", image_mib=500)
    bench.at(3.0, second.cancel)
    bench.env.run()
    assert second not in bench.ready
    assert bench.ready[0].parts["pull_s"] == pytest.approx(5.0)


def test_a_start_that_is_ready_keeps_its_image_when_it_is_cancelled() -> None:
    bench = Bench(ColdStartConfig(cache_mib=0))
    start = bench.start(image="a", image_mib=500)
    bench.env.run()
    total_s = start.total_s
    start.cancel()
    assert bench.starts.pulls.held_mib(0) == 500
    assert (start.total_s, bench.starts.under_way) == (total_s, 0)


# --- crowding


def test_scheduling_takes_longer_by_the_starts_under_way_when_it_begins() -> None:
    alone = Bench(ColdStartConfig(crowding=0.5))
    alone.start("Go1.x")
    alone.env.run()
    crowded = Bench(ColdStartConfig(crowding=0.5))
    for _ in range(3):
        crowded.start("Java", Stage.SCRATCH)  # under way until 10.5 s and more
    crowded.start("Go1.x")
    crowded.env.run()
    assert crowded.ready[0].parts["scheduling_s"] == pytest.approx(2.5 * alone.ready[0].parts["scheduling_s"])
    others = [part for part in PARTS if part != "scheduling_s"]
    assert [crowded.ready[0].parts[part] for part in others] == [alone.ready[0].parts[part] for part in others]


def test_starts_that_are_ready_or_cancelled_crowd_nobody() -> None:
    alone, after = Bench(ColdStartConfig(crowding=0.5)), Bench(ColdStartConfig(crowding=0.5))
    after.start("Java", Stage.SCRATCH).cancel()
    after.start("Java")
    after.env.run()
    for bench in (alone, after):
        bench.start("Go1.x")
        bench.env.run()
    assert after.ready[-1].parts["scheduling_s"] == pytest.approx(alone.ready[-1].parts["scheduling_s"])


def test_the_crowding_is_the_slope_over_the_published_regions() -> None:
    # Reference 4.3, regions 1 to 5. Of 11.9 million cold starts in 31 days a region has a share in proportion to one
    # over its median time between them (the ratio of mean and median is taken as the same everywhere).
    total_s = np.array([4.04, 2.14, 0.195, 1.41, 0.91])
    scheduling_s = np.array([1.53, 0.678, 0.149, 0.48, 0.465])
    pace = 1 / np.array([0.112, 0.75, 5.23, 0.67, 2.14])
    per_second = 11.9e6 / (31 * 86_400) * pace / pace.sum()
    under_way = per_second * total_s
    slope, alone_s = np.polyfit(under_way, scheduling_s, 1)
    assert slope / alone_s == pytest.approx(ColdStartConfig().crowding, abs=0.005)


# --- chance


def test_the_kth_start_of_a_runtime_is_the_same_whatever_else_starts() -> None:
    def parts(bench: Bench, runtimes: Sequence[str]) -> list[dict[str, float]]:
        watched = []
        for runtime in runtimes:
            start = bench.start(runtime)
            if runtime == "Java":
                watched.append(start)
            bench.env.run()
        return [start.parts for start in watched]

    alone = parts(Bench(), ["Java"] * 4)
    among_others = parts(Bench(), ["Python3", "Java", "http", "Java", "Java", "all", "Python3", "Java"])
    for mine, theirs in zip(alone, among_others, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    assert len({mine["code_s"] for mine in alone}) == 4


def test_the_parts_of_a_start_do_not_depend_on_each_other() -> None:
    bench = Bench(EVERYTHING)
    for _ in range(2000):
        bench.start("Java")
    bench.env.run()
    drawn = np.log([[start.parts[part] for part in TABLES] for start in bench.ready])
    correlation = np.corrcoef(drawn.T)
    assert np.abs(correlation - np.eye(3)).max() < 4 / 2000**0.5


def test_a_start_draws_as_much_whether_it_has_dependencies_or_not() -> None:
    code_s = []
    for share in (0.0, 1.0):
        bench = Bench(ColdStartConfig(crowding=0.0, dependency_share=share))
        for _ in range(5):
            bench.start("Java")
            bench.env.run()
        code_s.append([start.parts["code_s"] for start in bench.ready])
    assert code_s[0] == pytest.approx(code_s[1])


# --- bad input


def test_an_unknown_runtime_is_refused_with_a_list_of_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no runtime 'Cobol'; use one of C#, Custom, Go1\.x"):
        Bench().start("Cobol")
    assert known_runtime("Java") == "Java"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crowding", -0.1),
        ("crowding", float("nan")),
        ("crowding", float("inf")),
        ("dependency_share", 1.1),
        ("dependency_share", float("nan")),
    ],
)
def test_impossible_settings_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {value}"):
        ColdStartConfig(**{name: value})
