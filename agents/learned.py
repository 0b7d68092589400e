"""A trained agent as a policy: it plays in benchmarks like any heuristic, from a folder with two small files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from clustersim.agents import folder
from clustersim.agents.nodewise import NodewiseWeights
from clustersim.control import Decision
from clustersim.envs.pod_placement import NODES, POD


class NodewisePlayer:
    """Always the candidate with the highest logit; the lowest index on ties, so identical nodes are filled in order."""

    def __init__(self, weights: NodewiseWeights) -> None:
        self._weights = weights
        self._nodes = np.zeros((0, len(NODES.columns)), dtype=np.float32)
        self._pod = POD.buffer()

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        nodes = len(decision.view.cluster)
        if len(self._nodes) != nodes:
            self._nodes = np.zeros((nodes, len(NODES.columns)), dtype=np.float32)
        NODES.fill(decision, self._nodes)
        POD.fill(decision, self._pod)
        legal = np.flatnonzero(decision.mask)
        can_wait = bool(len(decision.mask) > nodes and decision.mask[nodes])
        logits = self._weights.logits(self._nodes[legal[: len(legal) - can_wait]], self._pod, can_wait)
        return int(legal[int(logits.argmax())])


class LearnedPolicy(NodewisePlayer):
    """The agent in a folder."""

    def __init__(self, path: str | Path) -> None:
        self.folder = Path(path)
        self.description = folder.read(self.folder, columns())
        super().__init__(NodewiseWeights.load(self.folder / folder.WEIGHTS))


def write_agent(target: Path, weights: NodewiseWeights, training: dict[str, Any]) -> None:
    """Write the folder of an agent; `training` says how it was made."""
    folder.write(target, {"scenario": "pod-placement", "network": "nodewise"}, columns(), weights.save, training)


def columns() -> dict[str, list[str]]:
    """The observation columns of this version, by table."""
    return {"nodes": [c.name for c in NODES.columns], "pod": [c.name for c in POD.columns]}
