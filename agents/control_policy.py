"""A trained team plays the shared cluster: each role is a policy like any other, from a folder with two small files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from clustersim.agents import folder
from clustersim.agents.marl_actor import Actor, Floats
from clustersim.agents.marl_rollout import chosen_actions, vector_and_table
from clustersim.agents.marl_team import Team, read_team
from clustersim.control import Decision
from clustersim.envs.control_columns_moves import MOVE_TABLE
from clustersim.envs.control_columns_pods import NODE_COLUMNS
from clustersim.envs.control_layout import BLOCKS, Layout
from clustersim.envs.control_observer import ControlObserver
from clustersim.errors import ClustersimError
from clustersim.policy import Policy
from clustersim.scenarios.control_roles import MIGRATOR, PLACER, ROLES, ZoneView

KIND = {"scenario": "cluster-control", "network": "team"}


class ControlPlayer:
    """One role of a team. Candidates are drawn in proportion to exp(logit / temperature); 0: the highest, or the first.

    It looks as its environment does, so it needs an episode's view that leads to the whole cluster. Agents of a role
    share the player, and each has a memory of its own.
    """

    def __init__(self, role: str, team: Team, temperature: float = 0.0) -> None:
        self._role = role
        self._team = team
        self._temperature = temperature
        self._rng = np.random.default_rng(0)
        self._memory: dict[str, Floats] = {}
        self._world: Any = None

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the episode before."""
        self._rng = rng
        self._memory = {}
        self._world = None

    def act(self, decision: Decision) -> int:
        if self._world is None:
            self._look_around(decision.view)
        agent = decision.agent
        actor = self._actor(agent)
        vector, table = vector_and_table(self._observer.observe(agent, decision))
        memory = self._memory.get(agent)
        if memory is None:
            memory = np.zeros(actor.memory, dtype=np.float32)
        logits, after = actor.look(
            vector[None], None if table is None else table[None], decision.mask[None], memory[None]
        )
        self._memory[agent] = after[0]
        uniform = self._rng.random(1) if self._temperature else np.zeros(0)
        return chosen_actions(logits, self._temperature, uniform)[0]

    def _look_around(self, view: Any) -> None:
        self._world = view.world if isinstance(view, ZoneView) else view
        self._observer = ControlObserver(Layout.of(self._world.workload, None), self._world)

    def _actor(self, agent: str) -> Actor:
        actor = self._team.get(self._role) or self._team.get(agent)
        if actor is None:
            raise ClustersimError(
                f"this team was trained with networks for {', '.join(sorted(self._team))} and has none for {agent}; "
                "train it with share='role' to play clusters of other sizes"
            )
        return actor


class LearnedControlPolicy(ControlPlayer):
    """A role of the team in a folder. Raises ClustersimError when the team has not learned that role."""

    def __init__(self, path: str | Path, role: str) -> None:
        self.folder = Path(path)
        team, self.description = read_team(self.folder, columns())
        if not any(name == role or name.rpartition("_")[0] == role for name in team):
            raise ClustersimError(f"the team in {path} has learned {', '.join(sorted(team))}, but not the role {role}")
        super().__init__(role, team, self.description.get("temperature", 0.0))


def load_team(path: str | Path) -> dict[str, Policy]:
    """A policy per role that the team in a folder has learned."""
    team, description = read_team(Path(path), columns())
    learned = {name if name in ROLES else name.rpartition("_")[0] for name in team}
    temperature = description.get("temperature", 0.0)
    return {role: ControlPlayer(role, team, temperature) for role in ROLES if role in learned}


def columns() -> folder.Columns:
    """The observation columns of this version, by table."""
    vectors = {role: [column.name for block in BLOCKS[role] for column in block.columns] for role in ROLES}
    tables = {PLACER: NODE_COLUMNS, MIGRATOR: MOVE_TABLE.columns}
    return vectors | {f"{role} table": [column.name for column in tables[role]] for role in tables}
