"""A trained repairer: it plays the `repair` game, and the best placement on the way is the plan; and its two files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clustersim.agents import folder
from clustersim.agents.packing_network import PackingWeights
from clustersim.control import Decision
from clustersim.envs.packing_columns import NODES, PODS, ROWS_TOLD, STATE, TABLES, look
from clustersim.errors import ConfigError
from clustersim.packing import Packing, Plan
from clustersim.policy import Policy
from clustersim.repair import Repair
from clustersim.scenarios.pod_packing import REPAIR


class RepairPlayer:
    """The legal candidate with the highest logit, the lowest index on ties; or one drawn by the probabilities."""

    def __init__(self, weights: PackingWeights, draw: bool = False) -> None:
        self._weights = weights
        self._draw = draw

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, decision: Decision) -> int:
        view, choice = decision.view, decision.subject
        if len(view.cpu_free) >= ROWS_TOLD:
            raise ConfigError(f"{len(view.cpu_free)} nodes are too many: at most {ROWS_TOLD - 1} can be told apart")
        pods = np.zeros((len(view.cpu), len(PODS.columns)), dtype=np.float32)
        nodes = np.zeros((len(view.cpu_free), len(NODES.columns)), dtype=np.float32)
        state = STATE.buffer()
        facts = look(view, choice)
        PODS.fill(facts, pods)
        NODES.fill(facts, nodes)
        STATE.fill(facts, state)
        logits = self._weights.logits(pods, nodes, state)
        first = 0 if choice.pod is None else len(pods) + 1
        legal = np.flatnonzero(decision.mask[first : first + len(logits)])
        logits = logits[legal].astype(np.float64)
        if not self._draw:
            return first + int(legal[logits.argmax()])
        cumulated = np.exp(logits - logits.max()).cumsum()
        return first + int(legal[np.searchsorted(cumulated, self._rng.random() * cumulated[-1], side="right")])


def repaired(packing: Packing, players: Sequence[Policy]) -> Plan | None:
    """The best placement on the way through one game per player; None if none is better than the present one.

    Better places more by tier, compared from the highest on, and in no tier or above fewer than run now.
    """
    best: Plan | None = None
    most: list[int] = []
    for player in players:
        game = Repair(packing)
        mask = np.zeros(game.size, dtype=np.bool_)
        while game.legal(mask):
            game.play(player.act(Decision(REPAIR, "cluster", 0.0, game.choice, mask, game.view)))
            counts = game.view.counts.tolist()
            if game.improved > 0 and not game.degraded and counts > most:
                best, most = game.plan(), counts
    return best


def write_agent(target: Path, weights: PackingWeights, training: dict[str, Any]) -> None:
    """Write the folder of an agent; `training` says how it was made."""
    folder.write(target, {"scenario": "pod-packing", "network": "packing"}, columns(), weights.save, training)


def columns() -> dict[str, list[str]]:
    """The observation columns of this version, by table."""
    return {name: [column.name for column in table.columns] for name, table in TABLES.items()}
