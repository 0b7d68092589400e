"""A game as a PettingZoo ParallelEnv: one step is one cycle, and all agents act at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
from pettingzoo import ParallelEnv

from clustersim.envs.team_env import TeamEnv


class DecisionParallelEnv(TeamEnv, ParallelEnv[str, Any, int]):  # type: ignore[misc]  # PettingZoo has no types
    """All questions of an instant are answered together, in the order in which they were asked.

    Where an answer makes the answer of somebody behind it illegal, that one falls back as for an illegal action, but is
    told `overtaken` instead.
    """

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        self._begin(seed)
        return self._show_all()

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        episode = self.episode
        if not self.agents:
            raise gymnasium.error.ResetNeeded("the episode is over; call reset() first")
        chosen = self._all_checked(actions)
        asked = episode.asked
        for agent in (*asked, *(agent for agent in self.agents if agent not in asked)):
            episode.play(agent, chosen[agent], self._masks[agent])
        rewards = episode.next_cycle()
        over, cut = self._ends()
        observations, infos = self._show_all()
        live = self.agents
        if over or cut:
            self.agents = []
        return observations, rewards, dict.fromkeys(live, over), dict.fromkeys(live, cut), infos

    def _show_all(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        observations, asked = {}, {}
        for agent in self.agents:
            observations[agent], asked[agent] = self._show(agent)
        return observations, self.episode.infos(self._masks, asked)
