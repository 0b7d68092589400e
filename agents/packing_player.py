"""A trained repairer as a policy of `replan`, where its plans stand beside those of a solver."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clustersim.agents import folder
from clustersim.agents.packing_network import PackingWeights
from clustersim.agents.packing_policy import RepairPlayer, columns, repaired
from clustersim.control import Decision
from clustersim.scenarios.pod_world import CARRY_OUT, KEEP


class LearnedRepair:
    """The agent in a folder: it carries out what it finds, if that is better than what there is.

    `rollouts` games are played, the first one greedily, the others by chance; the best of all counts.
    """

    def __init__(self, path: str | Path, rollouts: int = 1) -> None:
        self.folder = Path(path)
        self.description = folder.read(self.folder, columns())
        weights = PackingWeights.load(self.folder / folder.WEIGHTS)
        self._players = [RepairPlayer(weights, draw=rollout > 0) for rollout in range(rollouts)]

    def reset(self, rng: np.random.Generator) -> None:
        for player in self._players:
            player.reset(rng)

    def act(self, decision: Decision) -> int:
        decision.detail = repaired(decision.subject.packing, self._players)
        return KEEP if decision.detail is None else CARRY_OUT
