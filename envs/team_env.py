"""What the parallel and the turn-by-turn environment of a game share: spaces, seeds, checks, pictures, copies."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.utils.seeding import np_random
from numpy.typing import NDArray

from clustersim.envs.multi_agent import Episode, Game, Mask, agent_space, begin, flatten
from clustersim.errors import ConfigError, IllegalAnswer


class TeamEnv:
    """A game, and the episode that is being played.

    Reward of an agent: the decrease of `(1 - local_share) * team cost + local_share * what it answers for itself`
    since the cycle before, however much time has passed.

    `reset(seed=s)` plays the episode that a benchmark plays with seed s: the same workload and the same chances. A
    benchmark asks one question after the other, here those of an instant come together, so that the same policies may
    come to differ where one agent's answer has to do with another's question. Later resets draw their seeds from the
    first, and so does a reset whose episode would ask nobody anything.

    An illegal action in the range never raises: it is answered with the agent's no-op when that is legal, else with
    the first legal candidate, flagged in `illegal_action` and counted in `illegal_actions`. Anything else that is wrong
    with an action raises IllegalAnswer before anything is played.

    infos by agent: `action_mask`, `asked` (whether it has an open question), `time_s`, `elapsed_s` since the cycle
    before, `components` of the cost (increase since then), `raw` quantities, `illegal_action`, `illegal_actions`,
    `overtaken` (its last action was legal when it was shown, but an answer of the same instant to somebody else came
    first), and at the end `metrics`.
    """

    def __init__(
        self,
        game: Game,
        *,
        max_cycles: int | None = None,
        local_share: float = 0.5,
        flat: bool = False,
        render_mode: str | None = None,
    ) -> None:
        """
        max_cycles: truncate after this many cycles; by default only the simulation ends an episode.
        local_share: how much of its reward an agent answers for alone, 0 .. 1.
        flat: one Box per agent, with the mask at its end, instead of a Dict of both.
        """
        modes = ["ansi", "rgb_array"]
        self.metadata = {"name": game.name, "render_modes": modes, "render_fps": 4, "is_parallelizable": True}
        if render_mode is not None and render_mode not in modes:
            raise ConfigError(f"render_mode is {render_mode!r}; choose one of {', '.join(modes)} or None")
        if max_cycles is not None and max_cycles < 1:
            raise ConfigError(f"max_cycles is {max_cycles}; it has to be at least 1, or None")
        if not 0 <= local_share <= 1:
            raise ConfigError(f"local_share is {local_share}; it has to be between 0 and 1")
        self.game = game
        self.max_cycles = max_cycles
        self.local_share = local_share
        self.flat = flat
        self.render_mode = render_mode
        self.possible_agents = list(game.agents)
        self.agents: list[str] = []
        self.state_space: Box = game.state_space
        self._observation_spaces = {agent: agent_space(game, agent, flat) for agent in game.agents}
        self._action_spaces = {agent: Discrete(game.actions[agent]) for agent in game.agents}
        self._rng: np.random.Generator | None = None
        self._episode: Episode | None = None
        self._masks: dict[str, Mask] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave the running episode behind and ask for a reset, as those of `DecisionEnv`."""
        return {**self.__dict__, "_episode": None, "_masks": {}}

    # --- PettingZoo

    def observation_space(self, agent: str) -> Space[Any]:
        self._known(agent)
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        self._known(agent)
        return self._action_spaces[agent]

    def state(self) -> NDArray[np.float32]:
        return self.episode.state()

    def render(self) -> Any:
        """`ansi`: text; `rgb_array`: (height, width, 3) uint8."""
        simulation = self.episode.simulation
        return None if self.render_mode is None else self.game.draw(simulation, self.render_mode)

    def close(self) -> None:
        """Nothing is held open."""

    # --- the episode

    @property
    def episode(self) -> Episode:
        """The running episode."""
        if self._episode is None:
            raise gymnasium.error.ResetNeeded("there is no episode yet; call reset() first")
        return self._episode

    @property
    def simulation(self) -> Any:
        """The running simulation."""
        return self.episode.simulation

    def _begin(self, seed: int | None) -> Episode:
        if seed is not None or self._rng is None:
            self._rng, _ = np_random(seed)
        self._episode = begin(self.game, seed, self._rng, self.local_share)
        if self._episode is None:
            raise ConfigError(f"no episode of {self.game.name!r} asks anything; play another configuration")
        self.agents = list(self.possible_agents)
        return self._episode

    def _ends(self) -> tuple[bool, bool]:
        """Whether the episode is over, and whether it is only cut short."""
        episode = self.episode
        return episode.over, not episode.over and self.max_cycles is not None and episode.cycles >= self.max_cycles

    def _ask(self, agent: str) -> bool:
        """Bring the mask that an agent is shown up to date; return whether it has a question."""
        question = self.episode.question(agent)
        self._masks[agent] = self.episode.mask(agent, question)
        return question is not None

    def _show(self, agent: str) -> tuple[Any, bool]:
        """Do the same, and return the observation in the agent's space too."""
        question = self.episode.question(agent)
        mask = self._masks[agent] = self.episode.mask(agent, question)
        observation = self.episode.observe(agent, question)
        shown = flatten(observation, mask) if self.flat else {"observation": observation, "action_mask": mask}
        return shown, question is not None

    # --- checks

    def _known(self, agent: str) -> None:
        if agent not in self._action_spaces:
            raise IllegalAnswer(f"there is no agent {agent!r}; the agents are {', '.join(self.possible_agents)}")

    def _checked(self, agent: str, action: Any) -> int:
        actions = self.game.actions[agent]
        try:
            if isinstance(action, bool | np.bool_):
                raise TypeError
            number = index(action)
        except TypeError:
            raise IllegalAnswer(
                f"the action of {agent!r} is {action!r} of type {type(action).__name__}; "
                f"give one integer from 0 to {actions - 1}"
            ) from None
        if not 0 <= number < actions:
            raise IllegalAnswer(f"the action of {agent!r} is {number}; it has the actions 0 to {actions - 1}")
        return number

    def _all_checked(self, actions: Mapping[str, Any]) -> dict[str, int]:
        for agent in actions:
            self._known(agent)
            if agent not in self.agents:
                raise IllegalAnswer(f"agent {agent!r} has finished; give actions only to {', '.join(self.agents)}")
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise IllegalAnswer(
                f"there is no action for {', '.join(missing)}; every live agent acts in every step, "
                "one without a question with its no-op, which its action_mask shows"
            )
        return {agent: self._checked(agent, actions[agent]) for agent in self.agents}
