"""Published policies: every score against its formula in plain Python, and the contract of a policy."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Callable
from math import floor
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from worlds import (
    FEW,
    MANY,
    PlainCluster,
    PlainNode,
    Recording,
    inflation_workloads,
    models_of,
    node,
    node_table,
    plain_fragmentation,
    plain_typical,
    play,
    pod,
    pod_table,
    replay_workloads,
    requests_of,
    workload,
)

import clustersim.baselines
from clustersim.baselines.dot_product import dot_product
from clustersim.baselines.fgd import Fgd
from clustersim.baselines.fits import FirstFit, best_fit, worst_fit
from clustersim.baselines.gpu_clustering import gpu_clustering
from clustersim.baselines.gpu_packing import gpu_packing
from clustersim.baselines.kube import (
    balanced_allocation,
    balanced_allocation_v1_20,
    kube_default,
    kube_most_allocated,
    least_allocated,
    most_allocated,
)
from clustersim.baselines.random_fit import RandomFit
from clustersim.baselines.registry import POLICIES, policy
from clustersim.cluster import Cluster, gpu_models
from clustersim.control import Decision
from clustersim.errors import ConfigError
from clustersim.fragmentation import Fragmentation, typical_pods
from clustersim.policy import Score, ScorePolicy
from clustersim.scenarios.pod_placement import Mode, PodPlacement
from clustersim.traces import openb_like
from clustersim.workload import NodeTable, PodTable, PodWorkload

NAMES = tuple(POLICIES["pod-placement"])
MODES: tuple[Mode, ...] = ("inflation", "replay")

# --- random states of a cluster with nodes of the size that the scores are normalised by

big_nodes = st.lists(
    st.builds(
        node,
        cpu=st.sampled_from([32_000, 96_000, 128_000]),
        memory=st.sampled_from([131_072, 393_216]),
        gpus=st.sampled_from([0, 1, 2, 4, 8]),
        model=st.sampled_from(["T4", "G2"]),
    ),
    min_size=1,
    max_size=5,
).map(node_table)
big_amounts = {
    "cpu": st.sampled_from([0, 1000, 3150, 11_900, 32_000]),
    "memory": st.sampled_from([0, 1000, 30_517]),
    "spec": st.sampled_from([(), (), ("G2",)]),
}
big_pods = st.lists(
    st.one_of(
        st.builds(pod, **big_amounts),
        st.builds(pod, gpu_milli=st.sampled_from([10, 250, 333, 500, 810]), **big_amounts),
        st.builds(pod, gpus=st.sampled_from([1, 2, 4, 8]), **big_amounts),
    ),
    min_size=1,
    max_size=8,
).map(pod_table)
placements = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 4)), max_size=25)


class State:
    """A cluster after some placements, its plain twin, and the decision about one pod."""

    def __init__(self, nodes: NodeTable, pods: PodTable, placed: list[tuple[int, int]], row: int) -> None:
        self.cluster, self.plain, self.pods, self.row = Cluster(nodes), PlainCluster(nodes, pods), pods, row
        self.nodes = nodes
        self.requests = requests_of(pods, self.cluster.view.models)
        for which, where in placed:
            placed_row, n = which % len(pods), where % len(nodes)
            if self.plain.fits(placed_row, n):
                self.plain.bind(placed_row, n)
                self.cluster.bind(self.requests[placed_row], n)
        shapes, shape = np.unique(self.requests, axis=0, return_inverse=True)
        self.typical = typical_pods(self.requests)
        self.fragmentation = Fragmentation(self.cluster, self.typical, shapes)
        self.mask = self.plain.mask(row)
        self.decision = Decision(
            "place",
            "cluster",
            0.0,
            SimpleNamespace(request=self.requests[row], shape=int(shape.ravel()[row]), row=row),
            np.array(self.mask),
            SimpleNamespace(cluster=self.cluster.view, fragmentation=self.fragmentation.view),
        )

    @property
    def legal(self) -> list[int]:
        return [n for n, fits in enumerate(self.mask) if fits]

    def scores(self, score: Score) -> NDArray[np.float64]:
        out = np.full(len(self.mask) + 1, -np.inf)  # one more, as in replay mode
        score(self.decision, out)
        assert out[-1] == -np.inf, "the candidate to wait was scored"
        return out

    @property
    def asked(self) -> tuple[int, int, int, int]:
        pods, row = self.pods, self.row
        return tuple(int(c[row]) for c in (pods.cpu_milli, pods.memory_mib, pods.num_gpu, pods.gpu_milli))


states = st.builds(
    lambda nodes, pods, placed, which: State(nodes, pods, placed, which % len(pods)),
    big_nodes,
    big_pods,
    placements,
    st.integers(0, 7),
)


def assert_floor(score: float, exact: float) -> None:
    """`score` is `exact` rounded down, where the last bit of a float may tip it."""
    assert floor(exact - 1e-9) <= score <= floor(exact + 1e-9)
    assert score == int(score)


@given(states)
@MANY
def test_best_fit_scores_what_is_left_over_and_worst_fit_mirrors_it(state: State) -> None:
    best, worst = state.scores(best_fit), state.scores(worst_fit)
    cpu, _, count, milli = state.asked
    for n, here in enumerate(state.plain.nodes):
        left_over = 0.5 * (here.cpu - cpu) / 128_000 + 0.5 * (sum(here.gpu) - count * milli) / 8_000
        assert_floor(best[n], 100 * (1 - left_over))
        assert worst[n] == 100 - best[n]


@given(states)
@MANY
def test_dot_product_scores_one_minus_the_mean_product(state: State) -> None:
    scores = state.scores(dot_product)
    cpu, _, count, milli = state.asked
    for n, here in enumerate(state.plain.nodes):
        products = (here.cpu / 128_000 * (cpu / 128_000), sum(here.gpu) / 8_000 * (count * milli / 8_000))
        assert_floor(scores[n], 100 * (1 - sum(products) / 2))


def plain_packing(here: PlainNode, count: int, milli: int) -> int:
    if count == 0:
        return 0
    if all(left == 1000 for left in here.gpu):
        return 33 - len(here.gpu)
    used = sorted(left for left in here.gpu if left >= milli)[:count]
    untouched = used.count(1000)
    if untouched:
        return max(50 - untouched, 33)
    return max(100 - sum(left // 10 for left in used) // 10, 50)


@given(states)
@MANY
def test_gpu_packing_fills_shared_devices_then_used_nodes_then_idle_ones(state: State) -> None:
    scores = state.scores(gpu_packing)
    _, _, count, milli = state.asked
    for n in state.legal:
        assert scores[n] == plain_packing(state.plain.nodes[n], count, milli)


def test_gpu_packing_prefers_its_bands_in_order() -> None:
    pods = pod_table([pod(0, 0, gpu_milli=300), pod(0, 0, gpu_milli=600), pod(0, 0, gpus=1), pod(0, 0, gpu_milli=800)])
    nodes = node_table([node(gpus=1), node(gpus=2), node(gpus=2), node(gpus=8), node(gpus=2)])
    state = State(nodes, pods, [(1, 1), (2, 2), (3, 4), (1, 4)], row=0)
    # idle with one device; a device with 400 left; a used node with a free device; idle with eight devices; a device
    # with 200 left, which is too full, beside one with 400
    assert state.scores(gpu_packing)[:5].tolist() == [32, 96, 49, 25, 96]


def plain_clustering(here: PlainNode, count: int, milli: int) -> int:
    if count == 0:
        return 0
    size = 0 if milli < 1000 else count
    sizes_here = {0 if m < 1000 else c for c, m in here.tenants}
    if sizes_here == {size}:
        band = 75
    elif size in sizes_here:
        band = 50
    elif not sizes_here:
        band = 25
    else:
        band = 0
    return 25 * (8000 - sum(here.gpu)) // 8000 + band


@given(states)
@MANY
def test_gpu_clustering_keeps_pods_of_one_size_together(state: State) -> None:
    scores = state.scores(gpu_clustering)
    _, _, count, milli = state.asked
    for n in state.legal:
        assert scores[n] == plain_clustering(state.plain.nodes[n], count, milli)


def plain_kube(asked: tuple[int, int], capacity: tuple[int, int], free: tuple[int, int], pack: bool) -> list[int]:
    """Both whole numbers that a float may round the balance to; resources are CPU and memory."""
    requested = [
        have - left + (want or default)
        for have, left, want, default in zip(capacity, free, asked, (100, 200), strict=True)
    ]
    fit = 0
    for have, want in zip(capacity, requested, strict=True):
        fit += (min(want, have) if pack else max(have - want, 0)) * 100 // have
    asked_for = [have - left + want for have, left, want in zip(capacity, free, asked, strict=True)]
    fractions = [min(want / have, 1.0) for have, want in zip(capacity, asked_for, strict=True)]
    balance = (1 - abs(fractions[0] - fractions[1]) / 2) * 100
    return [fit // 2 + floor(balance - 1e-9), fit // 2 + floor(balance + 1e-9)]


@given(states)
@MANY
def test_kube_scores_fit_and_balance_of_cpu_and_memory(state: State) -> None:
    spread, pack = state.scores(kube_default), state.scores(kube_most_allocated)
    cpu, memory, _, _ = state.asked
    for n, here in enumerate(state.plain.nodes):
        capacity = (int(state.nodes.cpu_milli[n]), int(state.nodes.memory_mib[n]))
        free = (here.cpu, here.memory)
        assert spread[n] in plain_kube((cpu, memory), capacity, free, pack=False)
        assert pack[n] in plain_kube((cpu, memory), capacity, free, pack=True)


def test_kube_scores_have_the_published_numbers() -> None:
    assert [least_allocated(4000, 1500), least_allocated(8192, 3072)] == [62, 62]
    assert [most_allocated(4000, 1500), most_allocated(8192, 3072)] == [37, 37]
    assert balanced_allocation(1500 / 4000, 3072 / 8192) == 100
    assert (balanced_allocation(0.75, 0.25), balanced_allocation_v1_20(0.75, 0.25)) == (75, 50)
    state = State(node_table([node(4000, 8192)]), pod_table([pod(1000, 2048), pod(500, 1024)]), [(0, 0)], row=1)
    assert state.scores(kube_default)[0] == 162
    assert state.scores(kube_most_allocated)[0] == 137


def test_the_older_balance_is_zero_when_a_resource_is_full() -> None:
    assert (balanced_allocation_v1_20(1.0, 1.0), balanced_allocation(1.0, 1.0)) == (0, 100)
    assert balanced_allocation(7.0, 1.0) == 100


@pytest.mark.parametrize(("nothing", "fit"), [((0, 200), 10), ((100, 0), 10), ((0, 0), 10)])
def test_a_pod_that_asks_for_nothing_fits_like_a_tenth_of_a_core_and_200_mebibytes(
    nothing: tuple[int, int], fit: int
) -> None:
    """The balance goes by what is really asked for."""
    state = State(node_table([node(1000, 2000)]), pod_table([pod(*nothing)]), [], row=0)
    fractions = [nothing[0] / 1000, nothing[1] / 2000]
    assert state.scores(kube_most_allocated)[0] == fit + floor((1 - abs(fractions[0] - fractions[1]) / 2) * 100)


def test_most_allocated_of_v1_29_counts_an_overfull_node_as_full() -> None:
    assert most_allocated(1000, 1050) == 100


# --- FGD and random: they choose the device too


@given(states)
@MANY
def test_fgd_takes_the_node_and_device_of_the_steepest_descent(state: State) -> None:
    if not state.legal:
        return
    models, (_, _, count, milli) = gpu_models(state.nodes), state.asked
    kept, frequency = plain_typical(state.typical.requests, models), state.typical.frequency.tolist()
    outcomes: dict[tuple[int, int | None], float] = {}
    for n in state.legal:
        here = state.plain.nodes[n]
        before = plain_fragmentation(here, kept, frequency)
        big_enough: list[int | None] = [d for d, left in enumerate(here.gpu) if left >= milli]
        for d in big_enough if count and milli < 1000 else [None]:
            devices = state.plain.bind(state.row, n, d)
            decrease = before - plain_fragmentation(here, kept, frequency)
            state.plain.release(state.row, n, devices)
            outcomes[n, d] = 100 / (1 + np.exp(-decrease / 1000))
    chosen = Fgd().act(state.decision)
    if all(abs(score - round(score)) > 1e-6 for score in outcomes.values()):
        best = max(floor(score) for score in outcomes.values())
        expected = next(key for key, score in outcomes.items() if floor(score) == best)
        assert (chosen, state.decision.detail) == expected
    assert chosen in state.legal


def test_random_takes_nodes_and_devices_with_the_same_probability() -> None:
    pods = pod_table([pod(0, 0, gpu_milli=500), pod(0, 0, gpu_milli=600)])
    state = State(node_table([node(gpus=1), node(gpus=3), node()]), pods, [(1, 1)], row=0)
    random = RandomFit()
    random.reset(np.random.default_rng(0))
    chosen: Counter[tuple[int, int]] = Counter()
    for _ in range(2000):
        n = random.act(state.decision)
        chosen[n, state.decision.detail] += 1
    assert sorted(chosen) == [(0, 0), (1, 1), (1, 2)]
    assert chosen[0, 0] == pytest.approx(1000, abs=90)
    assert chosen[1, 1] == pytest.approx(500, abs=80)


def test_first_fit_takes_the_lowest_index() -> None:
    state = State(node_table([node(cpu=10), node(), node()]), pod_table([pod()]), [], row=0)
    assert FirstFit().act(state.decision) == 1


@pytest.mark.parametrize("score", [best_fit, worst_fit, dot_product, gpu_packing, gpu_clustering, kube_default])
def test_ties_go_to_the_lowest_index(score: Score) -> None:
    nodes = node_table([node(cpu=10), *[node(gpus=2)] * 3])
    state = State(nodes, pod_table([pod(gpu_milli=500)]), [], row=0)
    chooser = ScorePolicy(score)
    chooser.reset(np.random.default_rng(0))
    assert chooser.act(state.decision) == 1


@pytest.mark.parametrize("name", ["kube-default", "kube-most-allocated"])
def test_kube_breaks_ties_at_random_among_the_best_only(name: str) -> None:
    nodes = node_table([node(2000, 2048), node(4000, 8192), node(4000, 8192), node(4000, 8192)])
    state = State(nodes, pod_table([pod(500, 1024)]), [], row=0)
    scores = state.scores(kube_default if name == "kube-default" else kube_most_allocated)[:4]
    best = {n for n in range(4) if scores[n] == scores.max()}
    chooser = policy("pod-placement", name)
    chooser.reset(np.random.default_rng(0))
    chosen = Counter(chooser.act(state.decision) for _ in range(900))
    assert set(chosen) == best
    assert len(best) < 4
    assert all(count == pytest.approx(900 / len(best), abs=80) for count in chosen.values())


# --- the contract of every policy


@pytest.mark.parametrize("name", NAMES)
@given(world=replay_workloads, seed=st.integers(0, 99))
@FEW
def test_every_policy_answers_legally_in_replay(name: str, world: PodWorkload, seed: int) -> None:
    recording = Recording(policy("pod-placement", name))
    play(PodPlacement(world, mode="replay"), recording, seed)
    assert all(mask[k] for (_, _, mask), k in zip(recording.asked, recording.answers, strict=True))
    assert all(k < len(world.nodes) for k in recording.answers), "a heuristic of ours never waits"


@pytest.mark.parametrize("name", NAMES)
@given(world=inflation_workloads, seed=st.integers(0, 99))
@FEW
def test_every_policy_answers_legally_in_inflation(name: str, world: PodWorkload, seed: int) -> None:
    assume(len(PodPlacement(world).build(seed).arrivals))
    recording = Recording(policy("pod-placement", name))
    simulation = play(PodPlacement(world), recording, seed)
    assert all(mask[k] for (_, _, mask), k in zip(recording.asked, recording.answers, strict=True))
    assert simulation.placed_pods == len(recording.answers)
    assert simulation.placed_pods + simulation.lost_pods == simulation.arrived_pods == len(simulation.arrivals)


@pytest.fixture(scope="module")
def sample() -> PodWorkload:
    return openb_like(3, nodes=40, days=1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_every_policy_plays_the_embedded_workload_and_repeats_itself(
    sample: PodWorkload, name: str, mode: Mode
) -> None:
    lines = [
        play(PodPlacement(sample, mode=mode, nodes=30), policy("pod-placement", name), seed=5).log.lines()
        for _ in range(2)
    ]
    assert lines[0] == lines[1]
    assert len(lines[0]) > 400


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_that_played_before_plays_like_a_fresh_one(sample: PodWorkload, name: str) -> None:
    scenario = PodPlacement(sample, nodes=20)
    used = policy("pod-placement", name)
    play(scenario, used, seed=1)
    play(PodPlacement(sample, mode="replay", nodes=30), used, seed=1)
    assert play(scenario, used, seed=2).log.lines() == play(scenario, policy("pod-placement", name), seed=2).log.lines()


def test_an_unknown_policy_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"no policy 'best-fitt'; did you mean 'best-fit'\? known are random, .*fgd"):
        policy("pod-placement", "best-fitt")
    with pytest.raises(ConfigError, match="no policy 'zzz'; known are random"):
        policy("pod-placement", "zzz")


def test_every_name_makes_a_fresh_policy() -> None:
    for name in NAMES:
        assert policy("pod-placement", name) is not policy("pod-placement", name)


def baseline_modules() -> list[str]:
    names = [module.name for module in pkgutil.iter_modules(clustersim.baselines.__path__)]
    return [name for name in names if name != "registry"]


@pytest.mark.parametrize("module", baseline_modules())
def test_every_baseline_cites_its_source(module: str) -> None:
    text = importlib.import_module(f"clustersim.baselines.{module}").__doc__ or ""
    assert re.search(r"doi 10\.\d{4}|arXiv|USENIX (ATC|OSDI|NSDI) (19|20)\d\d|kubernetes/kubernetes", text)


# --- what no policy may do


def mutations() -> list[tuple[str, Callable[[Decision], None]]]:
    def write(array_of: Callable[[Decision], NDArray[np.generic]]) -> Callable[[Decision], None]:
        def attempt(decision: Decision) -> None:
            array_of(decision)[...] = 0

        return attempt

    return [
        ("mask", write(lambda d: d.mask)),
        ("cpu_free", write(lambda d: d.view.cluster.cpu_free)),
        ("gpu_free", write(lambda d: d.view.cluster.gpu_free)),
        ("per_node", write(lambda d: d.view.fragmentation.per_node)),
        ("request", write(lambda d: d.subject.request)),
        ("priority", lambda d: setattr(d.subject, "priority", 9)),
        ("cluster", lambda d: setattr(d.view, "cluster", None)),
    ]


@pytest.mark.parametrize(("what", "attempt"), mutations())
def test_a_policy_cannot_change_what_it_is_shown(what: str, attempt: Callable[[Decision], None]) -> None:
    world = workload([node(gpus=2)], [pod(gpus=1)])
    assert models_of(world) == ("T4",)
    decision = PodPlacement(world).build(0).control.advance()
    assert decision is not None
    with pytest.raises((ValueError, AttributeError)):
        attempt(decision)
