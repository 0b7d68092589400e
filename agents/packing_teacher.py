"""From a solver's plan to moves: which candidates of a repair lead from where it stands towards the plan.

Identical pods take each other's places, so the plan is read as how many pods of each kind run on each node. Any order
in which every single move is legal will do; where pods only wait for each other, one of them is evicted for a while.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.packing import NOWHERE
from clustersim.repair import Repair

Bools = NDArray[np.bool_]


class Guide:
    """Knows the target placement of one game."""

    def __init__(self, game: Repair, target: NDArray[np.int64]) -> None:
        self._game = game
        self._kinds = int(game.identical.max()) + 1
        self._wanted = self._census(target)

    def good(self, mask: Bools, out: Bools) -> None:
        """Write into `out` which legal candidates of the choice at hand lead on; to be done where nothing does."""
        game, view, pod = self._game, self._game.view, self._game.choice.pod
        out[:] = False
        room = (view.cpu[:, None] <= view.cpu_free) & (view.memory[:, None] <= view.memory_free)
        missing = self._wanted - self._census(view.node)  # (kinds, N)
        arrives = room & (missing > 0)[game.identical]  # (P, N)
        if pod is not None:
            out[game.done + 1 : game.evict] = arrives[pod] & mask[game.done + 1 : game.evict]
            if not out.any():
                out[game.evict] = mask[game.evict]
            if not out.any():  # a pod that the plan has no place for: whatever happens to it
                out[:] = mask
            return
        pods = mask[: game.done]
        runs = view.node != NOWHERE
        too_many = runs & (missing[game.identical, view.node] < 0)
        leaves_for_good = missing.sum(axis=1)[game.identical] < 0
        good = pods & np.where(runs, too_many & (arrives.any(axis=1) | leaves_for_good), arrives.any(axis=1))
        if not good.any():
            good = pods & too_many
        out[: game.done] = good
        out[game.done] = not good.any()

    def _census(self, node: NDArray[np.int64]) -> NDArray[np.int64]:
        """(kinds, N) how many pods of each kind run on each node."""
        counts = np.zeros((self._kinds, len(self._game.view.cpu_free)), dtype=np.int64)
        counted = (node != NOWHERE) & (self._game.identical >= 0)
        np.add.at(counts, (self._game.identical[counted], node[counted]), 1)
        return counts
