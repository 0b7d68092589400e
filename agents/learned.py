"""A trained agent as a policy: it plays in benchmarks like any heuristic, from a folder with two small files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from clustersim.agents.nodewise import NodewiseWeights
from clustersim.control import Decision
from clustersim.envs.pod_placement import NODES, POD
from clustersim.errors import ClustersimError

DESCRIPTION = "policy.json"
WEIGHTS = "weights.npz"


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

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.description = read_description(self.folder)
        super().__init__(NodewiseWeights.load(self.folder / WEIGHTS))


def read_description(folder: Path) -> dict[str, Any]:
    """How an agent was trained and which columns it reads; raises when it does not fit this version's columns."""
    path = folder / DESCRIPTION
    try:
        description: dict[str, Any] = json.loads(path.read_text())
        found_columns = dict(description["columns"])
    except (FileNotFoundError, NotADirectoryError):
        raise ClustersimError(
            f"{folder} is no trained agent: it has no {DESCRIPTION}; name a folder that `clustersim train` wrote"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ClustersimError(f"{path} is damaged: {type(error).__name__}: {error}") from None
    for table, names in columns().items():
        found = found_columns.get(table)
        if found != names:
            raise ClustersimError(
                f"{folder} was trained on other observations: its {table} columns are {found}, "
                f"this version has {names}; train it again"
            )
    return description


def write_agent(folder: Path, weights: NodewiseWeights, training: dict[str, Any]) -> None:
    """Write the two files of an agent; `training` says how it was made."""
    folder.mkdir(parents=True, exist_ok=True)
    weights.save(folder / WEIGHTS)
    description = {"scenario": "pod-placement", "network": "nodewise", "columns": columns(), "training": training}
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n")


def fingerprint(folder: Path) -> str:
    """Sixteen hexadecimal digits that change when either file of an agent does."""
    content = b"".join((folder / name).read_bytes() for name in (DESCRIPTION, WEIGHTS))
    return hashlib.sha256(content).hexdigest()[:16]


def columns() -> dict[str, list[str]]:
    """The observation columns of this version, by table."""
    return {"nodes": [c.name for c in NODES.columns], "pod": [c.name for c in POD.columns]}
