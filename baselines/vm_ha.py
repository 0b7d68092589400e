"""HA, the greedy heuristic: the one migration that removes most fragments, again and again, while any removes some.

Source: Ding et al., "VMR2L" (EuroSys'25, arXiv 2505.17359): filter, then the best single move.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from clustersim.baselines.vm_gains import Board, best_move, board_of, lift, settle
from clustersim.vm_fleet import Ints
from clustersim.vm_plan import Move, MovePlan, Task


class Ha:
    """Ties go to the lowest VM, then to the lowest machine, then to the lowest NUMA node."""

    def __call__(self, task: Task, rng: np.random.Generator) -> MovePlan:
        return MovePlan(moves_of(greedy(board_of(task), task.mnl)))


def moves_of(rows: Ints) -> tuple[Move, ...]:
    """Rows (M, 3) of VM, machine and NUMA node as moves."""
    return tuple(Move(*row) for row in rows.tolist())


def greedy(board: Board, mnl: int) -> Ints:
    """Carry the moves of HA out on the board; return them, shape (M, 3): VM, machine, NUMA node."""
    moves = np.zeros((mnl, 3), dtype=np.int64)
    return moves[: _descend(board, moves)]


@njit(cache=True)
def _descend(board, moves):  # type: ignore[no-untyped-def]
    for number in range(len(moves)):
        gain, vm, cell = best_move(board, board.movable, 0, 0)
        if gain <= 0:
            return number
        lift(board, vm)
        settle(board, vm, cell >> 1, cell & 1)
        moves[number] = vm, cell >> 1, cell & 1
    return len(moves)
