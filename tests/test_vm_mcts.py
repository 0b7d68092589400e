"""MCTS where looking ahead is known to pay, against brute force, and what holds for every planner."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from vm_contract import (
    RULES,
    assert_no_migration_is_spent_on_what_may_not_be_migrated,
    assert_no_migrations_are_no_plan,
    assert_plans_are_legal_repeatable_and_never_harm,
    plan_of,
)
from vm_hand_made import hand_made
from vm_worlds import fleet

from clustersim.baselines.vm_gains import board_of
from clustersim.baselines.vm_ha import Ha
from clustersim.baselines.vm_mcts import NO_NODE, Mcts, Tree, choose, empty_tree, follow, search
from clustersim.errors import ConfigError
from clustersim.vm_fleet import Snapshot
from clustersim.vm_plan import Move, Planner, Task, carried_out
from clustersim.vm_state import FleetState

CORES_2, CORES_4, DOUBLE_4 = 0, 1, 4


def two_steps_ahead() -> Snapshot:
    """Machine 1 has the 4 cores that VM 0 should fill, but the memory only when VM 1 has gone to machine 2."""
    return hand_made([(12, 0), (4, 0), (2, 0)], [(CORES_4, 0, 0), (CORES_2, 1, 0)], free_gib=[(8, 0), (2, 0), (8, 0)])


def legal_moves(state: FleetState) -> Iterator[Move]:
    for vm in range(state.rows):
        for pm in range(state.machines):
            for numa in (0, 1):
                if state.may_move(vm, pm, numa):
                    yield Move(vm, pm, numa)


def fewest_fragments(state: FleetState, moves_left: int) -> int:
    """By trying everything."""
    fewest = state.fragments
    if moves_left:
        for move in legal_moves(state):
            after = state.copy()
            after.move(*move)
            fewest = min(fewest, fewest_fragments(after, moves_left - 1))
    return fewest


def test_plans_are_legal_repeatable_and_never_harm() -> None:
    assert_plans_are_legal_repeatable_and_never_harm(Mcts(simulations=20))


def test_no_migrations_are_no_plan() -> None:
    assert_no_migrations_are_no_plan(Mcts())


def test_no_migration_is_spent_on_what_may_not_be_migrated() -> None:
    assert_no_migration_is_spent_on_what_may_not_be_migrated(Mcts(20))


def test_a_migration_that_gains_nothing_is_made_for_the_one_after_it() -> None:
    task = Task(two_steps_ahead(), 2)
    assert plan_of(Ha(), task).moves == ()
    assert plan_of(Mcts(), task).moves == (Move(1, 2, 0), Move(0, 1, 0))
    assert plan_of(Mcts(), Task(two_steps_ahead(), 1)).moves == ()


def a_gain_of_nothing_before_the_largest() -> Snapshot:
    """VMs 2 and 3 gain 16 each at once. VM 0 gains 32, but only when VM 1 has made room, for which it gains nothing."""
    return hand_made(
        [(12, 12), (4, 4), (2, 0), (12, 0), (4, 0), (12, 0), (4, 0)],
        [(DOUBLE_4, 0, 0), (CORES_2, 1, 0), (CORES_4, 3, 0), (CORES_4, 5, 0)],
        free_gib=[(0, 0), (2, 8), (8, 8), (0, 0), (8, 8), (0, 0), (8, 8)],
    )


def test_the_tree_and_chance_find_what_greed_alone_does_not() -> None:
    task = Task(a_gain_of_nothing_before_the_largest(), 3)

    def gained(planner: Planner, seed: int = 0) -> int:
        return task.state().fragments - carried_out(task, plan_of(planner, task, seed).moves).fragments

    assert gained(Ha()) == 32
    assert gained(Mcts(300, chance=0.0)) == 48
    by_chance = [max(gained(Mcts(3, children=1, chance=chance), seed) for seed in range(60)) for chance in (0.0, 0.7)]
    assert by_chance == [32, 48]


def test_play_outs_go_to_children_that_are_new_then_good_then_neglected() -> None:
    links = np.array([[1, 2, NO_NODE], *[[NO_NODE] * 3] * 2])
    width, visits, total = np.array([3, NO_NODE, NO_NODE]), np.array([60, 50, 10]), np.array([0.0, 250.0, 40.0])
    tree = Tree(width, links, links, links, visits, total, np.array([3]))
    task = Task(two_steps_ahead(), 2)
    board, rng = board_of(task), np.random.default_rng(0)

    def chosen(exploration: float) -> int:
        return int(choose(board, board.movable, tree, 0, 10.0, exploration, rng))

    assert chosen(0.0) == 2
    width[0] = 2
    assert chosen(0.0) == 0
    # .5 + x * sqrt(ln(60) / 50) falls behind .4 + x * sqrt(ln(60) / 10) at x = .28.
    assert (chosen(0.27), chosen(0.29)) == (0, 1)


def test_a_play_out_counts_on_its_whole_path_and_leaves_the_board_as_it_was() -> None:
    task = Task(fleet(0, machines=12), 8)
    board, untouched = board_of(task), board_of(task)
    tree, best, may = empty_tree(60, 5), np.zeros((8, 2), dtype=np.int64), board.movable.copy()
    start, rng = task.state().fragments, np.random.default_rng(0)
    _, gained = search(board, may, tree, 0, best, 0, 0, 0, start, 50, 0.1, 0.1, rng)
    children = tree.child[0][tree.child[0] != NO_NODE]
    assert tree.visits[0] == tree.visits[children].sum() == 50
    assert 0 < tree.total[0] == tree.total[children].sum() <= 50 * gained
    assert all(np.array_equal(now, before) for now, before in zip(board, untouched, strict=True))
    assert (may == board.movable).all()

    known = int(np.argmax(tree.child[0] != NO_NODE))
    vm, cell = int(tree.vm[0, known]), int(tree.cell[0, known])
    size = int(tree.size[0])
    assert follow(board, may, tree, 0, vm, cell) == tree.child[0, known]
    assert (board.host[vm], board.numa[vm], may[vm]) == (cell >> 1, cell & 1, False)
    assert follow(board_of(task), may.copy(), tree, 0, vm, cell ^ 2) == size


@pytest.mark.parametrize("seed", range(6))
def test_the_best_of_all_plans_of_two_migrations_is_found(seed: int) -> None:
    task = Task(fleet(seed, **RULES[seed % 3] | {"machines": 4}), 2)
    plan = plan_of(Mcts(simulations=2000, children=60, exploration=0.3), task)
    assert carried_out(task, plan.moves).fragments == fewest_fragments(task.state(), 2)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_never_worse_than_ha(seed: int) -> None:
    task = Task(fleet(seed, **RULES[seed]), 10)
    fragments = [carried_out(task, plan_of(planner, task).moves).fragments for planner in (Mcts(1), Mcts(30), Ha())]
    assert max(fragments[:2]) <= fragments[2]


def test_more_play_outs_find_more_on_a_large_fleet() -> None:
    task = Task(fleet(0, machines=40), 20)
    few, many = (carried_out(task, plan_of(Mcts(n), task).moves).fragments for n in (2, 60))
    assert many < few


def test_a_late_search_still_has_a_plan() -> None:
    task = Task(fleet(2, machines=20), 10)
    plan, patient = plan_of(Mcts(40, budget_s=1e-9), task), plan_of(Mcts(40), task)
    assert plan.moves
    assert plan.figures["nodes"] < patient.figures["nodes"]
    assert plan_of(Mcts(40, budget_s=600.0), task).moves == patient.moves


def test_contradictory_options_are_refused() -> None:
    for options, words in (
        ({"simulations": 0}, "needs simulations and children"),
        ({"chance": 1.5}, "chance is from 0 to 1"),
        ({"budget_s": 0.0}, "budget_s is 0.0"),
    ):
        with pytest.raises(ConfigError, match=words):
            Mcts(**options)  # type: ignore[arg-type]
