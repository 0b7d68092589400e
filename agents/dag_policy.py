"""A trained scheduler of dependent tasks as a policy: it plays in benchmarks like any heuristic, from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from clustersim.agents import folder
from clustersim.agents.graph import GraphWeights
from clustersim.control import Decision
from clustersim.dag_problem import DagProblem
from clustersim.envs.dag_columns import PAIR_COLUMNS, STATE_COLUMNS, TASK_COLUMNS
from clustersim.envs.dag_observer import DagObserver

MOST_ROWS = 4096
"""Tasks that are looked at in one decision; the ready ones come first."""
MOST_SLOTS = 256


class DagPlayer:
    """Always the legal candidate with the highest logit, the lowest index on ties; it never waits."""

    def __init__(self, weights: GraphWeights) -> None:
        self._weights = weights
        self._problem: DagProblem | None = None
        self._observer: DagObserver

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        problem = decision.view.problem
        if problem is not self._problem:
            self._problem = problem
            slots = min(len(problem), MOST_SLOTS) if self._weights.dispatches else 0
            edges = max(1, len(problem.succ))
            self._observer = DagObserver(min(len(problem), MOST_ROWS), edges, slots, problem.machines)
        observer = self._observer
        logits = self._weights.logits(observer.look(decision))
        if self._weights.dispatches:
            machines = problem.machines
            legal = decision.mask[:-1].reshape(-1, machines)[observer.slot_node]
            slot, machine = divmod(int(np.where(legal, logits, -np.inf).argmax()), machines)
            return int(observer.slot_node[slot] * machines + machine)
        nodes = observer.node_of_row[: len(logits)]
        return int(nodes[np.where(decision.mask[nodes], logits, -np.inf).argmax()])


class LearnedDagPolicy(DagPlayer):
    """The agent in a folder.

    `world` is how the scenario has to be set for it, `open_only` whether the tasks that it orders go to open machines.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder = Path(path)
        self.description = folder.read(self.folder, columns())
        self.world: dict[str, Any] = dict(self.description["world"])
        self.open_only = bool(self.description["open_only"])
        super().__init__(GraphWeights.load(self.folder / folder.WEIGHTS))


def write_agent(
    target: Path, weights: GraphWeights, world: dict[str, Any], open_only: bool, training: dict[str, Any]
) -> None:
    """Write the folder of an agent; for `world` and `open_only` see LearnedDagPolicy."""
    kind = {"scenario": "dag-scheduling", "network": "graph", "world": world, "open_only": open_only}
    folder.write(target, kind, columns(), weights.save, training)


def columns() -> dict[str, list[str]]:
    """The observation columns of this version, by table."""
    tables = {"tasks": TASK_COLUMNS, "pairs": PAIR_COLUMNS, "state": STATE_COLUMNS}
    return {name: [column.name for column in table] for name, table in tables.items()}
