"""MCTS: every migration is chosen by a tree search whose leaves are played out greedily with a little chance.

A baseline of Ding et al., "Towards VM Rescheduling Optimization Through Deep Reinforcement Learning", arXiv 2505.17359;
its details are ours (D). UCT of Kocsis and Szepesvari 2006 (doi 10.1007/11871842_29); that the best play-out is
remembered and followed suits a game of one player without chance (Schadd et al. 2008, doi 10.1007/978-3-540-87608-3_1).
"""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.baselines.vm_gains import best_move, best_place, best_prefix, board_of, fragments, lift, settle
from clustersim.baselines.vm_ha import greedy
from clustersim.errors import ConfigError
from clustersim.vm_fleet import Ints
from clustersim.vm_plan import Move, MovePlan, Task

NO_NODE = -1


class Tree(NamedTuple):
    """N nodes with room for k children each, in arrays. Node 0 is the fleet as it is."""

    width: Ints
    """(N,) how many children are known, NO_NODE where nobody has looked."""
    child: Ints
    """(N, k) node, NO_NODE while never visited."""
    vm: Ints
    cell: Ints
    """(N, k) each: the move that leads to the child; cell = 2 * pm + numa."""
    visits: Ints
    """(N,)"""
    total: NDArray[np.float64]
    """(N,) sum of what the play-outs through the node gained."""
    size: Ints
    """(1,) nodes in use."""


class Mcts:
    """Before every migration `simulations` play-outs, then the first migration of the best one so far is made.

    Children of a node are the `children` best moves for different VMs, ties at random. A play-out makes the best move,
    or with probability `chance` the best one of a random VM, until the migration number limit; it is worth what it has
    gained at its best moment. A VM is moved once at most, and the plan of HA is the first to be beaten. With `budget_s`
    seconds of wall clock the search ends early, and the same seed need not give the same plan; without, it does.
    """

    def __init__(
        self,
        simulations: int = 150,
        children: int = 12,
        chance: float = 0.05,
        exploration: float = 0.05,
        budget_s: float | None = None,
    ) -> None:
        if simulations < 1 or children < 1:
            raise ConfigError(f"a search needs simulations and children, got {simulations=}, {children=}")
        if not 0 <= chance <= 1 or not exploration >= 0:
            raise ConfigError(f"chance is from 0 to 1 and exploration at least 0, got {chance=}, {exploration=}")
        if budget_s is not None and not budget_s > 0:
            raise ConfigError(f"budget_s is {budget_s}; a time limit has to be positive, None stands for none")
        self.simulations = simulations
        self.children = children
        self.chance = chance
        self.exploration = exploration
        self.budget_s = budget_s

    def __call__(self, task: Task, rng: np.random.Generator) -> MovePlan:
        started_s = perf_counter()
        board = board_of(task)
        may = board.movable.copy()
        tree = empty_tree((self.simulations + 1) * task.mnl + 1, self.children)
        start, best, root = fragments(board), np.empty((task.mnl, 2), dtype=np.int64), 0
        other = board_of(task)
        first = greedy(other, task.mnl)
        length, gained = len(first), start - fragments(other)
        best[:length, 0], best[:length, 1] = first[:, 0], 2 * first[:, 1] + first[:, 2]
        for step in range(task.mnl):
            length, gained = search(
                board, may, tree, root, best, step, length, gained, start,
                self.simulations, self.chance, self.exploration, rng,
            )  # fmt: skip
            late = self.budget_s is not None and perf_counter() - started_s >= self.budget_s
            if late or step >= length:
                break
            root = follow(board, may, tree, root, *best[step])
        plan = best_prefix(task, [Move(vm, cell >> 1, cell & 1) for vm, cell in best[:length].tolist()])
        assert len(plan) == length
        return MovePlan(plan, figures={"nodes": float(tree.size[0])})


def empty_tree(nodes: int, children: int) -> Tree:
    def links() -> Ints:
        return np.full((nodes, children), NO_NODE, dtype=np.int64)

    width, visits = np.full(nodes, NO_NODE, dtype=np.int64), np.zeros(nodes, dtype=np.int64)
    return Tree(width, links(), links(), links(), visits, np.zeros(nodes), np.ones(1, dtype=np.int64))


@njit(cache=True)
def search(b, may, tree, root, best, step, length, gained, start, simulations, chance, exploration, rng):  # type: ignore[no-untyped-def]
    """Simulate from the root; keep the best plan in `best`, return its length and what it gains from the start."""
    so_far = start - fragments(b)
    left = len(best) - step
    made, path = np.empty((left, 4), np.int64), np.empty(left + 1, np.int64)
    for _ in range(simulations):
        moves, nodes, gain, most, when = 0, 1, 0, 0, 0
        path[0] = node = root
        while moves < left:
            if node != NO_NODE:
                j = choose(b, may, tree, node, max(gained - so_far, 1), exploration, rng)
                if j == NO_NODE:
                    break
                vm, cell = tree.vm[node, j], tree.cell[node, j]
                change = b.leave[b.shape[vm], b.host[vm], b.numa[vm]] + b.enter[b.shape[vm], cell >> 1, cell & 1]
                if tree.child[node, j] == NO_NODE:
                    path[nodes] = tree.child[node, j] = _new_node(tree)
                    node = NO_NODE
                else:
                    path[nodes] = node = tree.child[node, j]
                nodes += 1
            else:
                change, vm, cell = _play(b, may, chance, rng)
                if vm < 0:
                    break
            made[moves] = vm, cell, b.host[vm], b.numa[vm]
            _make(b, may, vm, cell)
            moves += 1
            gain += change
            if gain > most:
                most, when = gain, moves
        if so_far + most > gained:
            gained, length = so_far + most, step + when
            best[step:length] = made[:when, :2]
        for i in range(moves - 1, -1, -1):
            vm = made[i, 0]
            lift(b, vm)
            settle(b, vm, made[i, 2], made[i, 3])
            may[vm] = True
        for node in path[:nodes]:
            tree.visits[node] += 1
            tree.total[node] += most
    return length, gained


@njit(cache=True)
def choose(b, may, tree, node, scale, exploration, rng):  # type: ignore[no-untyped-def]
    """The child to go to, by its upper confidence bound; one that was never visited comes first."""
    if tree.width[node] == NO_NODE:
        _look_for_children(b, may, tree, node, rng)
    highest, best = -np.inf, NO_NODE
    for j in range(tree.width[node]):
        child = tree.child[node, j]
        if child == NO_NODE:
            return j
        mean = tree.total[child] / tree.visits[child] / scale
        bound = mean + exploration * np.sqrt(np.log(tree.visits[node]) / tree.visits[child])
        if bound > highest:
            highest, best = bound, j
    return best


@njit(cache=True)
def _look_for_children(b, may, tree, node, rng):  # type: ignore[no-untyped-def]
    width = 0
    while width < tree.child.shape[1]:
        _, vm, cell = best_move(b, may, _below(len(may), rng), _below(2 * len(b.active), rng))
        if vm < 0:
            break
        tree.vm[node, width], tree.cell[node, width] = vm, cell
        may[vm] = False
        width += 1
    for j in range(width):
        may[tree.vm[node, j]] = True
    tree.width[node] = width


@njit(cache=True)
def _play(b, may, chance, rng):  # type: ignore[no-untyped-def]
    """A move of a play-out: (gain, vm, cell), vm = -1 when there is none."""
    if rng.random() < chance:
        vm, offset = _below(len(may), rng), _below(2 * len(b.active), rng)
        if may[vm]:
            gain, cell = best_place(b, vm, offset)
            if cell >= 0:
                return gain + b.leave[b.shape[vm], b.host[vm], b.numa[vm]], vm, cell
    return best_move(b, may, _below(len(may), rng), _below(2 * len(b.active), rng))


@njit(cache=True)
def follow(b, may, tree, root, vm, cell):  # type: ignore[no-untyped-def]
    """Make the move for good; return the node that it leads to, a new one where the tree does not know it."""
    _make(b, may, vm, cell)
    for j in range(tree.width[root]):
        if tree.vm[root, j] == vm and tree.cell[root, j] == cell and tree.child[root, j] != NO_NODE:
            return tree.child[root, j]
    return _new_node(tree)


@njit(cache=True)
def _make(b, may, vm, cell):  # type: ignore[no-untyped-def]
    lift(b, vm)
    settle(b, vm, cell >> 1, cell & 1)
    may[vm] = False


@njit(cache=True)
def _new_node(tree):  # type: ignore[no-untyped-def]
    node = tree.size[0]
    tree.size[0] += 1
    return node


@njit(cache=True)
def _below(high, rng):  # type: ignore[no-untyped-def]
    return int(rng.random() * high)
