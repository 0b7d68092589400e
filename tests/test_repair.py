"""The repair game: what is legal, what a move does, the plan that comes out, what it costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import MANY

from clustersim.cluster import ANY_MODEL, CPU, MEMORY
from clustersim.errors import ConfigError
from clustersim.packing import NOWHERE, Packing, Plan, evicted, moved, placed_by_tier
from clustersim.repair import Repair


def packing(
    nodes: list[tuple[int, int]],
    pods: list[tuple[int, int, int, int]],
    protected: tuple[int, ...] = (),
    gpus: int = 0,
    apart: tuple[tuple[int, ...], ...] = (),
) -> Packing:
    """Nodes: CPU, memory. Pods: CPU, memory, priority, home. Every pod asks for the same number of GPUs."""
    cpu, memory, priority, home = np.array(pods, dtype=np.int64).reshape(-1, 4).T
    count, zeros = len(pods), np.zeros(len(nodes), dtype=np.int64)
    rest = np.full(count, gpus), np.full(count, 1000 * bool(gpus)), np.full(count, ANY_MODEL)
    return Packing(
        tuple(f"node-{n}" for n in range(len(nodes))),
        np.array([c for c, _ in nodes]),
        np.array([m for _, m in nodes]),
        zeros + 8 * bool(gpus),
        zeros + bool(gpus),
        tuple(f"pod-{p}" for p in range(count)),
        np.column_stack([cpu, memory, *rest]),
        priority.copy(),
        home.copy(),
        np.where(home >= 0, (1 << gpus) - 1, 0),
        np.isin(np.arange(count), protected),
        apart,
    )


def mask_of(game: Repair) -> list[int]:
    mask = np.ones(game.size, dtype=np.bool_)  # legal() has to clear it
    game.legal(mask)
    return np.flatnonzero(mask).tolist()


def put(game: Repair, pod: int, node: int | None) -> None:
    """One move; None evicts. Both choices have to be legal."""
    for candidate in (pod, game.evict if node is None else game.done + 1 + node):
        assert candidate in mask_of(game)
        game.play(candidate)


def disruption(packing: Packing, plan: Plan) -> int:
    return int(moved(packing, plan).sum() + 2 * evicted(packing, plan).sum())


@st.composite
def packings(draw: st.DrawFn) -> Packing:
    nodes = draw(st.lists(st.tuples(st.integers(2, 9), st.integers(2, 9)), min_size=1, max_size=4))
    kinds = draw(st.lists(st.tuples(*[st.integers(1, 5)] * 2, st.integers(1, 3)), min_size=1, max_size=4))
    pods = []
    free = [list(node) for node in nodes]
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=10)):
        home = draw(st.integers(NOWHERE, len(nodes) - 1))
        if home != NOWHERE and (free[home][0] < kind[0] or free[home][1] < kind[1]):
            home = NOWHERE
        if home != NOWHERE:
            free[home][0] -= kind[0]
            free[home][1] -= kind[1]
        pods.append((*kind, home))
    running = [p for p, pod in enumerate(pods) if pod[3] != NOWHERE]
    protected = draw(st.lists(st.sampled_from(running), max_size=2)) if running else []
    return packing(nodes, pods, tuple(protected))


def plain_legal(packing: Packing, node: list[int], placed: set[int], chosen: int | None) -> list[int]:
    """What is legal, in plain Python: `node` of each pod now, and which pods the game has placed."""
    P, N = len(node), len(packing.node_names)  # noqa: N806  (the letters of the layout)
    used = [
        [sum(int(packing.request[p, c]) for p in range(P) if node[p] == n) for c in (CPU, MEMORY)] for n in range(N)
    ]

    def fits(p: int, n: int) -> bool:
        return bool(
            used[n][0] + packing.request[p, CPU] <= packing.cpu_milli[n]
            and used[n][1] + packing.request[p, MEMORY] <= packing.memory_mib[n]
        )

    if chosen is None:
        free = [p for p in range(P) if p not in placed and not packing.protected[p]]
        return [p for p in free if node[p] != NOWHERE or any(fits(p, n) for n in range(N))] + [P]
    nodes = [P + 1 + n for n in range(N) if n != node[chosen] and fits(chosen, n)]
    return nodes + ([P + 1 + N] if node[chosen] != NOWHERE else [])


@MANY
@given(packings(), st.randoms(use_true_random=False))
def test_a_game_played_at_random_keeps_every_rule(packing: Packing, random: object) -> None:
    game, pods = Repair(packing), len(packing.pod_names)
    node, placed, ousted = packing.home.tolist(), set[int](), set[int]()
    moves = 0
    while not game.over:
        chosen = game.choice.pod
        legal = mask_of(game)
        assert legal == plain_legal(packing, node, placed, chosen)
        assert legal
        k = random.choice([c for c in legal if c != pods] or legal)  # type: ignore[attr-defined]
        game.play(k)
        if chosen is not None:
            moves += 1
            if k == game.evict:
                assert chosen not in ousted
                ousted.add(chosen)
                node[chosen] = NOWHERE
            else:
                placed.add(chosen)
                node[chosen] = k - pods - 1
        assert game.view.node.tolist() == node
        assert tuple(game.view.counts.tolist()) == placed_by_tier(packing, game.view.node)
        plan = game.plan()
        assert packing.why_illegal(plan) is None
        assert placed_by_tier(packing, plan.node) == placed_by_tier(packing, game.view.node)
        assert disruption(packing, plan) <= disruption(packing, Plan(game.view.node, plan.device))
        now, start = placed_by_tier(packing, plan.node), placed_by_tier(packing, packing.home)
        assert game.improved == (now > start) - (now < start)
        assert game.degraded == any(a < b for a, b in zip(now, start, strict=True))
    assert moves <= pods
    assert mask_of(game) == []


def test_the_snapshot_is_left_alone() -> None:
    before = packing([(4, 4), (4, 4)], [(2, 2, 1, 0), (2, 2, 1, NOWHERE)])
    copy = replace(before, home=before.home.copy(), cpu_milli=before.cpu_milli.copy())
    game = Repair(before)
    put(game, 0, 1)
    put(game, 1, 0)
    for name in ("home", "cpu_milli", "memory_mib", "request", "protected"):
        np.testing.assert_array_equal(getattr(before, name), getattr(copy, name))
    with pytest.raises(ValueError, match="read-only"):
        game.view.node[0] = 1


def test_two_pods_change_places_by_evicting_one_for_a_while() -> None:
    # Pod 0 (2) is on the node of 5, pod 1 (3) on the node of 4; changed, the pending pod 2 (2) fits beside pod 0.
    world = packing([(5, 9), (4, 9)], [(2, 1, 1, 0), (3, 1, 1, 1), (2, 1, 1, 0), (2, 1, 1, NOWHERE)])
    game = Repair(world)
    assert 3 not in mask_of(game)
    put(game, 0, None)
    put(game, 1, 0)
    put(game, 0, 1)
    put(game, 3, 1)
    assert game.improved == 1
    assert not game.degraded
    plan = game.plan()
    # Pods 0, 2 and 3 are alike: one of those that ran stays, the other one moves, and so does pod 1.
    assert moved(world, plan).tolist() == [False, True, True, False]
    assert not evicted(world, plan).any()


def test_what_the_game_placed_stays_and_an_evicted_pod_may_come_back() -> None:
    game = Repair(packing([(4, 4), (4, 4)], [(2, 2, 1, 0), (1, 1, 1, 1), (1, 1, 1, 1)], protected=(2,)))
    put(game, 0, None)
    assert mask_of(game) == [0, 1, game.done]
    put(game, 0, 0)
    assert mask_of(game) == [1, game.done]
    put(game, 1, 0)
    assert game.over  # nothing is left that may be touched


def test_identical_pods_take_each_others_places_so_that_the_fewest_are_disrupted() -> None:
    world = packing([(4, 4), (4, 4)], [(2, 2, 1, 0), (2, 2, 1, 1), (2, 2, 1, NOWHERE), (2, 2, 2, NOWHERE)])
    game = Repair(world)
    put(game, 0, 1)  # 1 and 0 on node 1, then 2 goes where 0 was, as if it had gone to node 1 at once
    put(game, 2, 0)
    assert game.plan().node.tolist() == [0, 1, 1, NOWHERE]
    put(game, 1, None)  # two places are left for three pods: those that ran before have precedence
    assert game.plan().node.tolist() == [0, 1, NOWHERE, NOWHERE]
    put(game, 3, 1)
    assert game.plan().node.tolist() == [0, 1, NOWHERE, 1]
    game = Repair(packing([(4, 4), (4, 4)], [(2, 2, 1, NOWHERE), (2, 2, 1, 0)]))
    put(game, 1, None)  # then the pending one goes elsewhere: as if the one that ran had moved there
    put(game, 0, 1)
    assert game.plan().node.tolist() == [NOWHERE, 1]


def test_a_protected_pod_gives_its_place_to_nobody() -> None:
    for protected, other in ((0, 1), (1, 0)):
        game = Repair(packing([(4, 4), (4, 4)], [(2, 2, 1, 0), (2, 2, 1, 0)], protected=(protected,)))
        assert mask_of(game) == [other, game.done]
        put(game, other, 1)
        assert game.plan().node.tolist() == [protected, other]


def test_to_be_done_ends_the_game_and_so_do_as_many_moves_as_pods() -> None:
    world = packing([(4, 4), (4, 4)], [(1, 1, 1, 0), (1, 1, 1, NOWHERE)])
    game = Repair(world)
    game.play(game.done)
    assert game.over
    assert mask_of(game) == []
    game = Repair(world)
    put(game, 0, None)
    assert game.choice.moves_left == 1
    put(game, 0, 1)
    assert game.over
    assert game.view.node.tolist() == [1, NOWHERE]


def test_costs_are_what_they_say() -> None:
    # Three tiers. At first 1 of tier 3, 2 of tier 2 and 1 of tier 1 run.
    pods = [(2, 1, 3, 0), (2, 1, 2, 0), (3, 1, 2, 1), (1, 1, 1, 1), (3, 1, 3, NOWHERE)]
    game = Repair(packing([(4, 9), (4, 9)], pods))
    base = 6.0
    assert game.cost("lexicographic") == pytest.approx(-(1 + 2 / base + 1 / base**2))
    assert game.cost("shaped") == pytest.approx(-(1 + 3 / 2 + 4 / 4))
    put(game, 2, None)
    put(game, 4, 1)
    assert game.cost("lexicographic") == pytest.approx(-(2 + 1 / base + 1 / base**2) + 0.01 * 2 / 5)
    assert game.cost("shaped") == pytest.approx(-(2 + 3 / 2 + 4 / 4) + 0.01 * 2 / 5)
    assert (game.improved, game.degraded) == (1, False)
    put(game, 1, None)
    put(game, 3, 0)
    # Of tier 2 and above one pod fewer runs than at the start, and of all pods one fewer.
    assert game.cost("shaped") == pytest.approx(-(2 + 2 / 2 + 3 / 4) + 1 + 1 + 0.01 * (4 + 1) / 5)
    assert (game.improved, game.degraded) == (1, True)
    with pytest.raises(ConfigError, match="there is no cost 'joy'; choose one of lexicographic, shaped"):
        game.cost("joy")


def test_gpu_pods_and_anti_affinity_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 pods ask for GPUs, the first is 'pod-0'"):
        Repair(packing([(4, 4)], [(1, 1, 1, NOWHERE)] * 2, gpus=2))
    with pytest.raises(ConfigError, match="1 sets of pods have to be apart"):
        Repair(packing([(4, 4)], [(1, 1, 1, NOWHERE)] * 2, apart=((0, 1),)))
    with pytest.raises(ConfigError, match="no pods"):
        Repair(packing([(4, 4)], []))
