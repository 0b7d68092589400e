"""Greedy repair: a pod moves away, else a less important one is evicted; always legal, never for nothing."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from test_repair import packing, packings
from worlds import MANY

from clustersim.baselines.greedy_repair import GreedyRepair
from clustersim.control import Decision
from clustersim.packing import NOWHERE, Packing
from clustersim.repair import Repair


def played(packing: Packing) -> Repair:
    game, policy = Repair(packing), GreedyRepair()
    policy.reset(np.random.default_rng(0))
    mask = np.zeros(game.size, dtype=np.bool_)
    while game.legal(mask):
        k = policy.act(Decision("repair", "cluster", 0.0, game.choice, mask, game.view))
        assert mask[k]
        game.play(k)
    return game


@MANY
@given(packings())
def test_it_plays_any_game_legally_and_never_loses_the_most_important_pods(packing: Packing) -> None:
    game = played(packing)
    assert packing.why_illegal(game.plan()) is None
    assert game.view.counts[0] >= game.view.counts_at_start[0]


def test_the_smallest_pod_that_fits_elsewhere_makes_room() -> None:
    game = played(packing([(6, 9), (4, 9)], [(3, 1, 1, 0), (2, 1, 1, 0), (2, 1, 1, 1), (3, 1, 1, NOWHERE)]))
    assert game.view.node.tolist() == [0, 1, 1, 0]


def test_else_a_less_important_pod_is_evicted_and_never_an_equal_one() -> None:
    game = played(packing([(4, 9)], [(2, 1, 2, 0), (2, 1, 1, 0), (2, 1, 2, NOWHERE), (2, 1, 2, NOWHERE)]))
    assert game.view.node.tolist() == [0, NOWHERE, 0, NOWHERE]


def test_a_pod_goes_where_the_least_is_left_and_the_larger_one_first() -> None:
    game = played(packing([(9, 9), (5, 5), (6, 6)], [(3, 3, 1, NOWHERE), (5, 5, 1, NOWHERE)]))
    assert game.view.node.tolist() == [2, 1]
