"""The shared cluster as a task for a team: the game, its cost, and published policies as tutors. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from clustersim.agents.control_config import ControlTrainConfig
from clustersim.agents.control_policy import KIND, LearnedControlPolicy, columns
from clustersim.agents.control_tutors import TUTORS
from clustersim.agents.folder import DESCRIPTION, Columns
from clustersim.agents.marl_task import Game, Tutor
from clustersim.baselines.joint import parse_joint, role_policy
from clustersim.envs.control_game import ControlGame
from clustersim.envs.parallel import DecisionParallelEnv
from clustersim.policy import Policy
from clustersim.scenarios.cluster_control import ClusterControl
from clustersim.traces.control_scenario import control_scenario


@dataclass(frozen=True)
class ControlTask:
    """Episodes of a preset. The tutors are named, so that a worker can make its own."""

    config: ControlTrainConfig

    def scenario(self) -> ClusterControl:
        config = self.config
        return control_scenario(config.preset, config.trace_pods, config.trace_services, config.duration_s)

    def make(self) -> Game:
        scenario = self.scenario()
        rest = {field.name: getattr(scenario, field.name) for field in fields(scenario) if field.name != "source"}
        # Zones of different size share a network, so their tables are padded to the same rows.
        workload = scenario.source(0)
        rows = max(int((workload.zone == zone).sum()) for zone in range(workload.zones))
        game = ControlGame(scenario.source, rows=rows, **rest)
        return DecisionParallelEnv(game, local_share=self.config.local_share)

    def cost(self, game: Game) -> float:
        return float(game.simulation.cost("team"))

    def tutors(self) -> Mapping[str, Tutor]:
        return {role: _Tutor(role, make()) for role, make in self._policies().items()}

    def kind(self) -> Mapping[str, Any]:
        return KIND

    def columns(self) -> Columns:
        return columns()

    def _policies(self) -> dict[str, Callable[[], Policy]]:
        return {role: _player(role, name) for role, name in parse_joint(self.config.tutors).items()}


def _player(role: str, name: str) -> Callable[[], Policy]:
    """What makes a built-in policy or a tutor by its name, or a trained policy by its folder."""
    if (Path(name) / DESCRIPTION).is_file():
        return lambda: LearnedControlPolicy(name, role)
    return TUTORS.get(role, {}).get(name) or role_policy(role, name)


class _Tutor:
    """A policy that plays a role inside a game."""

    def __init__(self, role: str, policy: Policy) -> None:
        self._role = role
        self._policy = policy

    def reset(self, game: Game, seed: int) -> None:
        self._policy.reset(game.simulation.streams[f"policy/{self._role}"])

    def act(self, game: Game, agent: str) -> int:
        decision = game.episode.question(agent)
        k = self._policy.act(decision)
        return int(game.action_space(agent).n) - 1 if k == len(decision.mask) - 1 else k

    def advise(self, game: Game, agent: str) -> int:
        action = self.act(game, agent)
        game.episode.question(agent).detail = None  # a device of the tutor's node may not be one of the learner's
        return action
