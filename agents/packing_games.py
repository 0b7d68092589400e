"""Failed placements to learn from, and many repairs of them that are played side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.agents.packing_teacher import Guide
from clustersim.baselines.kube import kube_default
from clustersim.control import Decision
from clustersim.envs.packing_columns import NODES, PODS, STATE, look
from clustersim.packing import Packing
from clustersim.policy import ScorePolicy, run
from clustersim.repair import Repair
from clustersim.replica_sets import ReplicaSets
from clustersim.scenarios.pod_packing import REPAIR, PodPacking
from clustersim.scenarios.pod_world import PLACE

SHAPES = ((4, 4), (4, 8), (8, 4), (8, 8), (16, 4), (16, 8))
"""Nodes and pods per node that are trained on; the games of a batch have one shape, so nothing is padded."""
PRIORITIES = (1, 2, 4)
USAGES = (0.9, 0.95, 1.0, 1.05)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A failed placement, and where a solver would have its pods, (P,); None where none was asked."""

    packing: Packing
    target: NDArray[np.int64] | None = None


class _Leave:
    """Answers the first question of a repair with being done."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        return len(decision.view.cpu)


def failed_placement(instances: ReplicaSets, seed: int) -> Packing | None:
    """What the default scheduler makes of an instance; None when nothing stays pending."""
    simulation = PodPacking(instances).build(seed)
    run(simulation, {PLACE: ScorePolicy(kube_default), REPAIR: _Leave()})
    return simulation.packing() if simulation.repair_decisions else None


def failed_placements(shape: tuple[int, int], first_seed: int) -> Iterator[Packing]:
    """Without end: one after the other of all priorities and usages, for seeds from the first on."""
    seed = first_seed
    while True:
        for priorities in PRIORITIES:
            for usage in USAGES:
                packing = failed_placement(ReplicaSets(*shape, priorities, usage), seed)
                if packing is not None:
                    yield packing
                seed += 1


class Games:
    """As many games as asked for, of one shape; where one ends, the next lesson begins.

    After `look` the arrays hold what there is to see: `pods`, `nodes`, `state` as the environment encodes them, `mask`
    (B, K) the legal candidates and, where the solver was asked, `good` those that lead towards its plan.
    """

    def __init__(self, lessons: Sequence[Lesson], count: int, rng: np.random.Generator) -> None:
        self._lessons = lessons
        self._rng = rng
        self._begun = [self._begin() for _ in range(count)]
        game = self._begun[0][0]
        self.pods = np.zeros((count, game.done, len(PODS.columns)), dtype=np.float32)
        self.nodes = np.zeros((count, game.evict - game.done - 1, len(NODES.columns)), dtype=np.float32)
        self.state = np.zeros((count, len(STATE.columns)), dtype=np.float32)
        self.mask = np.zeros((count, game.size), dtype=np.bool_)
        self.good = np.zeros((count, game.size), dtype=np.bool_)

    def _begin(self) -> tuple[Repair, Guide | None, float]:
        lesson = self._lessons[int(self._rng.integers(len(self._lessons)))]
        game = Repair(lesson.packing)
        guide = None if lesson.target is None else Guide(game, lesson.target)
        return game, guide, game.cost("shaped")

    def look(self) -> None:
        """Fill the arrays."""
        for b, (game, guide, _) in enumerate(self._begun):
            facts = look(game.view, game.choice)
            PODS.fill(facts, self.pods[b])
            NODES.fill(facts, self.nodes[b])
            STATE.fill(facts, self.state[b])
            game.legal(self.mask[b])
            if guide is not None:
                guide.good(self.mask[b], self.good[b])

    def step(self, candidates: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Play one candidate in each game; return the rewards (decrease of the shaped cost) and which games ended."""
        rewards = np.zeros(len(candidates), dtype=np.float32)
        over = np.zeros(len(candidates), dtype=np.bool_)
        for b, (game, guide, cost) in enumerate(self._begun):
            moves = game.choice.pod is not None
            game.play(int(candidates[b]))
            if moves:
                now = game.cost("shaped")
                rewards[b] = cost - now
                self._begun[b] = (game, guide, now)
            if game.over:
                over[b] = True
                self._begun[b] = self._begin()
        return rewards, over
