"""Several agents in one simulation: what they see and the cycles in which they act, for both kinds of environments.

A cycle is one instant at which somebody is asked. An agent has at most one question in a cycle; one without a
question has exactly one legal action, its no-op.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
from gymnasium.spaces import Box, Dict, Space
from numpy.typing import NDArray

from clustersim.control import Decision
from clustersim.envs.base import CostedSimulation
from clustersim.envs.encoding import one_vector

Mask = NDArray[np.int8]
"""1 for a legal action, shape (actions,); the type that `Discrete.sample` asks for."""

_TRIES = 100
"""Episodes to look through for one that asks something."""


class TeamSimulation(CostedSimulation, Protocol):
    """A simulation that declares its cost also by agent and by component; either adds up to `cost("team")`."""

    def agent_costs(self) -> NDArray[np.float64]:
        """What each agent answers for, in the order of the game's `agents`."""

    def components(self) -> dict[str, float]: ...


class Observer(Protocol):
    """What the agents of one episode see, now."""

    def observe(self, agent: str, decision: Decision | None) -> Any:
        """A fresh observation in the agent's space, for its question or without one."""

    def noop(self, agent: str) -> int:
        """The action of the agent that changes nothing."""

    def state(self) -> NDArray[np.float32]:
        """All that is worth knowing, for a central critic."""


class Game(ABC):
    """A scenario as its agents see it. It has no episode of its own, so that copies are cheap and play alike.

    Every agent's last action is its last candidate, and a candidate before it has the action of the same number;
    actions in between are padding.
    """

    name: str
    agents: tuple[str, ...]
    observations: dict[str, Space[Any]]
    """By agent: a Box, or a Dict of Boxes with a `vector` among them."""
    actions: dict[str, int]
    """By agent, how many."""
    state_space: Box

    @abstractmethod
    def build(self, seed: int) -> TeamSimulation:
        """A fresh simulation."""

    @abstractmethod
    def watch(self, simulation: Any) -> Observer:
        """Who observes an episode of `build`."""

    @abstractmethod
    def draw(self, simulation: Any, mode: str) -> Any:
        """A picture of the episode now: text for `ansi`, pixels for `rgb_array`."""


class Episode:
    """One episode, cycle by cycle. It is open to answers until `over`."""

    def __init__(self, game: Game, seed: int, local_share: float) -> None:
        self.simulation = game.build(seed)
        self.over = False
        self.cycles = 0
        self._game = game
        self._observer = game.watch(self.simulation)
        self._local_share = local_share
        self._illegal_actions = dict.fromkeys(game.agents, 0)
        self._time_s = 0.0
        self._components = dict.fromkeys(self.simulation.components(), 0.0)
        self._open: dict[str, Decision] = {}
        self._illegal: set[str] = set()
        self._overtaken: set[str] = set()
        self._ask()
        self._costs = self._charged()

    # --- what agents see

    @property
    def asked(self) -> list[str]:
        """The agents with an open question, in the order of the questions."""
        return list(self._open)

    def question(self, agent: str) -> Decision | None:
        """The agent's open question, if anything can still be answered; its mask is up to date."""
        decision = self._open.get(agent)
        return decision if decision is not None and self.simulation.control.still_legal(decision) else None

    def mask(self, agent: str, question: Decision | None) -> Mask:
        """The legal actions, a fresh array."""
        mask = np.zeros(self._game.actions[agent], dtype=np.int8)
        if question is None:
            mask[self._observer.noop(agent)] = 1
        else:
            mark_legal(question.mask, mask)
        return mask

    def observe(self, agent: str, question: Decision | None) -> Any:
        """A fresh observation; one that is a vector and nothing else is a dictionary too."""
        seen = self._observer.observe(agent, question)
        return seen if isinstance(seen, dict) else {"vector": seen}

    def state(self) -> NDArray[np.float32]:
        return self._observer.state()

    def infos(self, masks: dict[str, Mask], asked: dict[str, bool]) -> dict[str, dict[str, Any]]:
        """By agent. `raw`, `components` and `metrics` are the same objects for all: they are to be read only."""
        raw = self.simulation.raw()
        shared: dict[str, Any] = {
            "time_s": raw["time_s"],
            "elapsed_s": self._elapsed_s,
            "components": self._increase,
            "raw": raw,
        }
        if self.over:
            shared["metrics"] = self.simulation.metrics()
        return {
            agent: {
                "action_mask": mask,
                "asked": asked[agent],
                "illegal_action": agent in self._were_illegal,
                "illegal_actions": self._illegal_actions[agent],
                "overtaken": agent in self._were_overtaken,
                **shared,
            }
            for agent, mask in masks.items()
        }

    # --- what agents do

    def play(self, agent: str, action: int, mask: Mask) -> None:
        """Carry out an action that was chosen by this mask."""
        if not mask[action]:
            self._illegal.add(agent)
            self._illegal_actions[agent] += 1
        decision = self._open.pop(agent, None)
        if decision is None:
            return
        control, noop = self.simulation.control, self._observer.noop(agent)
        if not control.still_legal(decision):
            control.close(decision)
            if mask[action] and action != noop:
                self._overtaken.add(agent)
            return
        actions, legal = self._game.actions[agent], decision.mask
        k = to_candidate(action, len(legal), actions)
        if k < 0 or not legal[k]:
            fallback = to_candidate(noop, len(legal), actions)
            k = fallback if legal[fallback] else int(legal.argmax())
            if mask[action]:
                self._overtaken.add(agent)
        control.answer(decision, k)

    def next_cycle(self) -> dict[str, float]:
        """Go on to the next questions, or to the end; return the reward of each agent for the cycle before."""
        self.cycles += 1
        self._ask()
        before, self._costs = self._costs, self._charged()
        return dict(zip(self._game.agents, (before - self._costs).tolist(), strict=True))

    def _ask(self) -> None:
        simulation = self.simulation
        self._open = {decision.agent: decision for decision in simulation.control.advance_all()}
        self.over = not self._open
        self._were_illegal, self._illegal = self._illegal, set()
        self._were_overtaken, self._overtaken = self._overtaken, set()
        components = simulation.components()
        self._increase = {name: total - self._components[name] for name, total in components.items()}
        self._components = components
        now_s = simulation.control.env.now
        self._elapsed_s, self._time_s = now_s - self._time_s, now_s

    def _charged(self) -> NDArray[np.float64]:
        costs = self.simulation.agent_costs()
        charged: NDArray[np.float64] = (1 - self._local_share) * costs.sum() + self._local_share * costs
        return charged


def begin(game: Game, seed: int | None, rng: np.random.Generator, local_share: float) -> Episode | None:
    """The episode of a seed, or of one that is drawn; None when none of many asks anything."""
    for attempt in range(_TRIES):
        drawn = seed is None or attempt > 0
        episode = Episode(game, int(rng.integers(2**31)) if drawn else int(seed), local_share)  # type: ignore[arg-type]
        if not episode.over:
            return episode
    return None


def agent_space(game: Game, agent: str, flat: bool) -> Space[Any]:
    """Observation and mask: a Dict of both, or one Box with the mask at the end."""
    seen, mask = game.observations[agent], Box(0, 1, (game.actions[agent],), dtype=np.int8)
    if flat:
        return flat_space(seen, mask)
    # PettingZoo's api_test cannot compare agents of which one observes a Box and another a Dict.
    return Dict({"observation": seen if isinstance(seen, Dict) else Dict({"vector": seen}), "action_mask": mask})


def flat_space(*spaces: Space[Any]) -> Box:
    """Boxes and Dicts of Boxes as one vector; the parts of a Dict in the order of their names, as `Dict` sorts them."""
    return one_vector(box for space in spaces for box in (space.values() if isinstance(space, Dict) else [space]))


def flatten(*parts: Any) -> NDArray[np.float32]:
    """What is seen, as one vector of `flat_space`."""
    arrays = [
        array
        for part in parts
        for array in ([part[name] for name in sorted(part)] if isinstance(part, dict) else [part])
    ]
    return np.concatenate([array.ravel() for array in arrays], dtype=np.float32)


def mark_legal(legal: NDArray[np.bool_], actions: NDArray[Any]) -> None:
    """Write a mask over candidates into one of zeros over actions."""
    actions[: len(legal) - 1] = legal[:-1]
    actions[-1] = legal[-1]


def to_candidate(action: int, candidates: int, actions: int) -> int:
    """The candidate that an action means; -1 for padding."""
    if action == actions - 1:
        return candidates - 1
    return action if action < candidates - 1 else -1
