"""One role of the shared cluster, or one of its agents, as a Gymnasium environment; policies play the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from clustersim.baselines.joint import joint_policies, role_policy
from clustersim.control import Decision
from clustersim.envs.base import DecisionEnv
from clustersim.envs.control_game import ControlGame, Source
from clustersim.envs.control_layout import role_and_index
from clustersim.envs.control_observer import ControlObserver
from clustersim.envs.multi_agent import flat_space, flatten, mark_legal, to_candidate
from clustersim.errors import ConfigError
from clustersim.policy import Policy
from clustersim.scenarios.cluster_control import COMPONENTS, ClusterControl
from clustersim.scenarios.control_roles import CAPPER, MIGRATOR, PLACER, ROLES, SCALER

OTHERS = {PLACER: "fgd", SCALER: "kpa", CAPPER: "polca", MIGRATOR: "none"}
"""Who plays a role if nobody else is named."""
REWARDS = ("team", *COMPONENTS)


class ClusterControlEnv(DecisionEnv):
    """The decisions of one role, of all its agents one after the other, or those of one agent.

    Observation: the agent's vector, for placers and migrators `Dict(vector, table)` or with `flat=True` both in one
    vector; `info["agent"]` tells whose question it is. The tables of all placers have as many rows as the largest zone.
    Action: a candidate of the role; a placer's last one waits.
    """

    def __init__(
        self,
        source: Source | ClusterControl | None = None,
        *,
        learner: str = SCALER,
        others: str | Mapping[str, Policy] = "",
        preset: str = "small",
        reward: str = "team",
        rows: int | None = None,
        flat: bool = False,
        render_mode: str | None = None,
        **scenario: Any,
    ) -> None:
        """
        source, preset, rows, scenario: as in `ControlGame`.
        learner: a role, whose agents then share one policy, or the name of one agent, such as `capper_0`.
        others: who plays the rest, such as "placer=fgd,migrator=none"; roles left out are played as in `OTHERS`. Or a
            policy per role.
        reward: the decrease of the cost of that name: `team`, or one of its components.
        """
        if reward not in REWARDS:
            raise ConfigError(f"reward is {reward!r}; choose one of {', '.join(REWARDS)}")
        game = ControlGame(source, preset=preset, rows=rows, **scenario)
        if learner not in (*ROLES, *game.agents):
            raise ConfigError(f"learner is {learner!r}; choose one of {', '.join((*ROLES, *game.agents))}")
        self.learner = learner
        self._all = learner in ROLES
        role = learner if self._all else role_and_index(learner)[0]
        if rows is None and role == PLACER:
            game = ControlGame(game.scenario, rows=max(game.layout.zone_nodes))
        super().__init__(role, reward, _players(others, role if self._all else None), render_mode)
        self.game = game
        self.scenario = game.scenario
        self.flat = flat
        self._observer: ControlObserver | None = None
        self._agent = f"{role}_0" if self._all else learner
        space = game.observations[self._agent]
        self.observation_space: gymnasium.Space[Any] = flat_space(space) if flat else space
        self.action_space = Discrete(game.actions[self._agent])

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_observer": None}

    def build(self, seed: int) -> Any:
        simulation = self.game.build(seed)
        self._observer = self.game.watch(simulation)
        return simulation

    def wait_candidate(self) -> int | None:
        decision = self._decision
        if decision is None:
            return None
        assert self._observer is not None
        return self.to_candidate(self._observer.noop(decision.agent))

    def to_action(self, decision: Decision) -> NDArray[np.bool_]:
        actions = np.zeros(self._actions, dtype=np.bool_)
        mark_legal(decision.mask, actions)
        return actions

    def to_candidate(self, action: int) -> int:
        decision = self._decision
        return -1 if decision is None else to_candidate(action, len(decision.mask), self._actions)

    def encode(self, decision: Decision | None) -> Any:
        """Fresh arrays: a rollout keeps observations past the next step. The last one is without a question."""
        assert self._observer is not None
        observation = self._observer.observe(self._agent if decision is None else decision.agent, decision)
        return flatten(observation) if self.flat else observation

    def _advance(self) -> Decision | None:
        while (decision := super()._advance()) is not None and not self._all and decision.agent != self.learner:
            self.simulation.control.answer(decision, self.others[decision.role].act(decision))
        return decision

    def _info(self, illegal: bool) -> dict[str, Any]:
        decision = self._decision
        return super()._info(illegal) | {"agent": "" if decision is None else decision.agent}

    def render(self) -> Any:
        """As the environments of several agents."""
        simulation = self.simulation
        return None if self.render_mode is None else self.game.draw(simulation, self.render_mode)


def _players(others: str | Mapping[str, Policy], learner: str | None) -> dict[str, Policy]:
    """Policies by role for all but the learner's; for all when the learner is a single agent (None)."""
    given = {part.partition("=")[0].strip() for part in others.split(",")} if isinstance(others, str) else set(others)
    if learner in given:
        raise ConfigError(f"others names a policy for {learner!r}, which is the learner; leave it out")
    if not isinstance(others, str):
        unknown = sorted(given - set(ROLES))
        if unknown:
            raise ConfigError(f"others names {', '.join(unknown)}; the roles are {', '.join(ROLES)}")
    named = [others] if isinstance(others, str) and others.strip() else []
    text = ",".join([*named, *(f"{role}={name}" for role, name in OTHERS.items() if role not in given)])
    if isinstance(others, str):
        made = {role: make() for role, make in joint_policies(text).items()}
    else:
        made = {role: others[role] if role in others else role_policy(role, OTHERS[role])() for role in ROLES}
    return {role: policy for role, policy in made.items() if role != learner}
