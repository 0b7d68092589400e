"""Generated jobs keep to their parameters, and the machines made for recorded jobs to their rule."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from clustersim.dags import Dag, uniform_machines
from clustersim.errors import ConfigError
from clustersim.traces.dag_machines import ccr, mean_run_time_s, related_machines, with_ccr, work_s
from clustersim.traces.dag_montage import Montage, montage_graph
from clustersim.traces.dag_random import ForkJoin, Generator, Layered, Size, Topcuoglu

BYTES_PER_S = 1e6


def made(generator: Generator, seed: int = 0, machines: int = 4) -> Dag:
    return generator("job", np.random.default_rng(seed), np.ones(machines), BYTES_PER_S)


def depth_of(job: Dag) -> list[int]:
    depth = [0] * len(job)
    for source, target in sorted(job.edges.tolist(), key=lambda edge: edge[1]):
        assert source < target, "tasks are numbered from the first level to the last"
        depth[target] = max(depth[target], depth[source] + 1)
    return depth


@pytest.mark.parametrize("kind", [Layered, ForkJoin, Topcuoglu])
@pytest.mark.parametrize("tasks", [1, 2, 3, 7, 50])
def test_a_generated_job_has_as_many_tasks_as_asked_for(kind: type[Layered], tasks: int) -> None:
    for seed in range(5):
        assert len(made(kind(Size(tasks, tasks)), seed)) == tasks
    sizes = {len(made(kind(Size(2, 4)), seed)) for seed in range(40)}
    assert sizes == {2, 3, 4}


@pytest.mark.parametrize("kind", [Layered, ForkJoin, Topcuoglu, Montage])
@pytest.mark.parametrize("wanted", [0.0, 0.1, 5.0])
def test_a_generated_job_has_exactly_the_ccr_asked_for(kind: type[Layered], wanted: float) -> None:
    machines = uniform_machines(4, bytes_per_s=BYTES_PER_S)
    job = made(kind(Size(60, 60, ccr=wanted)))
    assert ccr(machines, [job]) == pytest.approx(wanted)
    assert mean_run_time_s(job).min() > 0


@pytest.mark.parametrize("kind", [Layered, ForkJoin, Topcuoglu, Montage])
def test_the_seed_is_all_that_a_generated_job_depends_on(kind: type[Layered]) -> None:
    first, again, other = (made(kind(Size(80, 80)), seed) for seed in (3, 3, 4))
    assert first.run_time_s.tolist() == again.run_time_s.tolist()
    assert first.edges.tolist() == again.edges.tolist()
    assert first.run_time_s.tolist() != other.run_time_s.tolist()


def test_every_task_of_a_layer_waits_for_a_few_of_the_layer_above() -> None:
    job = made(Layered(Size(100, 100), most_parents=2))
    depth = depth_of(job)
    assert max(depth) + 1 == 10
    parents = Counter(target for _, target in job.edges.tolist())
    assert all(depth[target] == depth[source] + 1 for source, target in job.edges.tolist())
    assert {parents[task] for task in range(100) if depth[task]} == {1, 2}


def test_a_fork_join_job_forks_and_joins_until_its_tasks_are_used() -> None:
    job = made(ForkJoin(Size(10, 10), width=3))
    # 0 forks into 1-3, 4 joins and forks into 5-7, 8 joins and has one task left to fork into
    expected = [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4), (4, 5), (4, 6), (4, 7), (5, 8), (6, 8), (7, 8), (8, 9)]
    assert [tuple(edge) for edge in job.edges.tolist()] == expected
    last_round = made(ForkJoin(Size(8, 8), width=3))
    assert [tuple(edge) for edge in last_round.edges.tolist()][6:] == [(4, 5), (4, 6), (5, 7), (6, 7)]


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0])
def test_the_shape_of_topcuoglu_is_width_over_height(shape: float) -> None:
    heights, widths = [], []
    for seed in range(150):
        levels = Counter(depth_of(made(Topcuoglu(Size(100, 100), shape=shape), seed, machines=1)))
        heights.append(len(levels))
        widths += [levels[level] for level in range(len(levels) - 1)]  # the last takes what is left
    assert max(heights) <= 2 * 10 / shape
    assert np.mean(widths) == pytest.approx(10 * shape, rel=0.2)


def test_every_task_of_topcuoglu_sends_to_out_degree_tasks_and_receives_from_one_at_least() -> None:
    job = made(Topcuoglu(Size(200, 200), out_degree=2), seed=1)
    depth = depth_of(job)
    levels = Counter(depth)
    sent = Counter(source for source, _ in job.edges.tolist())
    received = Counter(target for _, target in job.edges.tolist())
    for task in range(200):
        if depth[task] < max(depth):
            assert sent[task] >= min(2, levels[depth[task] + 1])
        assert received[task] > 0 or depth[task] == 0
    assert all(depth[target] == depth[source] + 1 for source, target in job.edges.tolist())


def test_beta_is_how_much_the_machines_of_topcuoglu_differ() -> None:
    alike = made(Topcuoglu(Size(50, 50), beta=0.0), machines=20).run_time_s
    assert (alike == alike[:, :1]).all()
    spread = made(Topcuoglu(Size(50, 50), beta=1.0), machines=2000).run_time_s
    low, middle, high = spread.min(axis=1), spread.mean(axis=1), spread.max(axis=1)
    np.testing.assert_allclose(low / middle, 0.5, atol=0.03)
    np.testing.assert_allclose(high / middle, 1.5, atol=0.03)
    assert 0 < middle.min() < middle.max() < 20.5


def test_a_montage_has_the_shape_of_the_recorded_ones() -> None:
    kinds, edges = montage_graph(58)
    # The counts of montage-chameleon-dss-05d-001: four images in each of three bands.
    assert Counter(kinds) == {
        "mProject": 12,
        "mDiffFit": 18,
        "mBackground": 12,
        "mConcatFit": 3,
        "mBgModel": 3,
        "mImgtbl": 3,
        "mAdd": 3,
        "mViewer": 4,
    }
    assert Counter((kinds[source], kinds[target]) for source, target in edges) == {
        ("mProject", "mDiffFit"): 36,
        ("mDiffFit", "mConcatFit"): 18,
        ("mConcatFit", "mBgModel"): 3,
        ("mBgModel", "mBackground"): 12,
        ("mProject", "mBackground"): 12,
        ("mBackground", "mImgtbl"): 12,
        ("mBackground", "mAdd"): 12,
        ("mImgtbl", "mAdd"): 3,
        ("mAdd", "mViewer"): 6,
    }
    assert len(montage_graph(1)[0]) == 31
    for most in (100, 300, 1000):
        assert 0.7 * most < len(montage_graph(most)[0]) <= most


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Size(0, 5), "tasks is 0 to 5"),
        (lambda: Size(5, 4), "tasks is 5 to 4"),
        (lambda: Size(ccr=-1), "ccr is -1"),
        (lambda: ForkJoin(width=-1), "width is -1"),
        (lambda: Topcuoglu(shape=0), "shape is 0"),
        (lambda: Topcuoglu(out_degree=0), "out_degree is 0"),
        (lambda: Topcuoglu(beta=2.5), "beta is 2.5"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("heterogeneity", [1.0, 4.0])
def test_machines_differ_at_most_by_the_heterogeneity_and_are_as_recorded_on_average(heterogeneity: float) -> None:
    machines, slowness = related_machines(500, heterogeneity, 100.0, 0.5, np.random.default_rng(0))
    assert slowness.mean() == pytest.approx(1)
    assert slowness.max() / slowness.min() <= heterogeneity + 1e-9
    log_speed = -np.log(slowness)
    quartiles = np.quantile(log_speed, (0.25, 0.5, 0.75))
    np.testing.assert_allclose(np.diff(quartiles), np.log(heterogeneity) / 4, atol=0.1)
    assert (machines.latency_s[0, 1], machines.s_per_byte[0, 1]) == (0.5, 0.01)
    assert len(set(machines.kinds)) == (1 if heterogeneity == 1 else 500)


def test_links_are_scaled_to_a_ratio_and_work_counts_instances_and_warm_up() -> None:
    machines = uniform_machines(3, latency_s=1.0, bytes_per_s=10.0)
    run_time_s = np.array([[2.0, np.inf, 4.0], [3.0, 3.0, 3.0]])
    job = Dag("j", ("a", "b"), run_time_s, np.array([[0, 1]]), np.array([50.0]), np.array([2, 1]), np.array([0.5, 0]))
    assert work_s(job) == 2 * 3 + 0.5 + 3
    assert ccr(machines, [job]) == pytest.approx(6 / 3)
    scaled = with_ccr(machines, [job], 0.5)
    assert ccr(scaled, [job]) == pytest.approx(0.5)
    assert scaled.latency_s[0, 1] == 0.25
    assert with_ccr(machines, [job], 0.0).s_per_byte.max() == 0
    silent = Dag("s", ("a",), np.ones((1, 3)), np.zeros((0, 2), dtype=np.int64), np.zeros(0))
    with pytest.raises(ConfigError, match="nothing is sent between machines here"):
        with_ccr(machines, [silent], 1.0)
    with pytest.raises(ConfigError, match="ccr is -1"):
        with_ccr(machines, [job], -1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4.0, 1.0, 0.0), "machines is 0"),
        ((2, 0.5, 1.0, 0.0), "heterogeneity is 0.5"),
        ((2, 4.0, 0.0, 0.0), "bytes_per_s is 0.0"),
        ((2, 4.0, 1.0, -1.0), "latency_s is -1.0"),
    ],
)
def test_machines_that_make_no_sense_are_refused(arguments: tuple[int, float, float, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        related_machines(*arguments, np.random.default_rng(0))
