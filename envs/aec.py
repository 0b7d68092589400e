"""A game as a PettingZoo AECEnv: the same cycles, but within one the agents take turns."""

from __future__ import annotations

from collections import deque
from typing import Any

import gymnasium
from pettingzoo import AECEnv

from clustersim.envs.multi_agent import Game
from clustersim.envs.team_env import TeamEnv
from clustersim.errors import IllegalAnswer


class DecisionAECEnv(TeamEnv, AECEnv[str, Any, Any]):  # type: ignore[misc]  # PettingZoo has no types
    """In every cycle every agent has one turn: those with a question in the order of the questions, then the others.

    What an agent sees in its turn holds after the answers before it, so that nobody is overtaken. `agents` stands in
    the order of the turns. Rewards are paid at the end of a cycle.
    """

    def __init__(self, game: Game, **options: Any) -> None:
        """Options as in `TeamEnv`."""
        super().__init__(game, **options)
        self._turns: deque[str] = deque()

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        self._begin(seed)
        self.rewards: dict[str, float] = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards: dict[str, float] = dict.fromkeys(self.agents, 0.0)
        self._new_cycle()

    def step(self, action: Any) -> None:
        episode = self.episode
        if not self.agents:
            raise gymnasium.error.ResetNeeded("the episode is over; call reset() first")
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            if action is not None:
                raise IllegalAnswer(f"agent {agent!r} has finished, but its action is {action!r}; give it None")
            self._was_dead_step(None)
            return
        episode.play(agent, self._checked(agent, action), self._masks[agent])
        self._cumulative_rewards[agent] = 0.0
        if self._turns:
            self._clear_rewards()
            self._next_turn()
        else:
            self.rewards = episode.next_cycle()
            self._new_cycle()
        self._accumulate_rewards()

    def observe(self, agent: str) -> Any:
        self._known(agent)
        return self._show(agent)[0]

    def _new_cycle(self) -> None:
        episode = self.episode
        asked = episode.asked
        self.agents = [*asked, *(agent for agent in self.possible_agents if agent not in asked)]
        over, cut = self._ends()
        self.terminations = dict.fromkeys(self.agents, over)
        self.truncations = dict.fromkeys(self.agents, cut)
        has_question = {agent: self._ask(agent) for agent in self.agents}
        self.infos = episode.infos({agent: self._masks[agent] for agent in self.agents}, has_question)
        self._turns = deque(self.agents)
        self._next_turn()

    def _next_turn(self) -> None:
        agent = self._turns.popleft()
        self.agent_selection = agent
        asked = self._ask(agent)
        self.infos[agent] |= {"action_mask": self._masks[agent], "asked": asked}
