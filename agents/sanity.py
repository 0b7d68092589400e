"""Three tiny teams with a known optimum, one per ability that a cluster asks of its agents. PettingZoo ParallelEnvs.

TwoNodes     which row of a table is best, asked at irregular times        (a bandit)
CapAhead     a command that acts later must be given before it is needed   (delayed effect; memory, if asked for)
Yield        what is best for me alone is worst for both                   (coordination)
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Space
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from clustersim.agents.folder import Columns
from clustersim.agents.marl_task import Game, Tutor
from clustersim.errors import ConfigError

TICK_S = 10.0

Seen = dict[str, dict[str, Any]]


class SanityEnv(ParallelEnv):  # type: ignore[misc]
    """What they share: spaces, time, masks. A subclass sets up an episode, shows it, and pays for a joint action."""

    agents: list[str]

    def __init__(
        self, name: str, agents: tuple[str, ...], observation: Space[Any], actions: int, state: int, steps: int
    ) -> None:
        self.metadata = {"name": name, "render_modes": [], "is_parallelizable": True}
        self.render_mode = None
        self.possible_agents = list(agents)
        self.agents = []
        self.steps = steps
        mask = Box(0, 1, (actions,), dtype=np.int8)
        self._seen = Dict({"observation": observation, "action_mask": mask})
        self._actions = Discrete(actions)
        self.state_space = Box(-1, 1, (state,), dtype=np.float32)
        self._rng = np.random.default_rng()

    def observation_space(self, agent: str) -> Space[Any]:
        return self._seen

    def action_space(self, agent: str) -> Discrete:
        return self._actions

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Seen, Seen]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self.now, self.time_s, self.paid = 0, 0.0, 0.0
        """`paid` is the team's reward so far."""
        self.begin(self._rng)
        return self._show()

    def step(self, actions: Mapping[str, int]) -> tuple[Seen, dict[str, float], dict[str, bool], dict[str, bool], Seen]:
        reward = self.play([int(actions[agent]) for agent in self.agents])
        self.paid += reward
        self.now += 1
        self.time_s += self.pause_s()
        over = self.now >= self.steps
        seen, infos = self._show()
        live = self.agents
        if over:
            self.agents = []
        return seen, dict.fromkeys(live, reward), dict.fromkeys(live, over), dict.fromkeys(live, False), infos

    def _show(self) -> tuple[Seen, Seen]:
        seen: Seen = {}
        infos: Seen = {}
        for number, agent in enumerate(self.agents):
            asked = self.now < self.steps and self.is_asked()
            mask = np.zeros(self._actions.n, dtype=np.int8)
            if asked:
                mask[:] = 1
            else:
                mask[-1] = 1
            seen[agent] = {"observation": self.observe(number), "action_mask": mask}
            infos[agent] = {"action_mask": mask, "asked": asked, "time_s": self.time_s}
        return seen, infos

    def is_asked(self) -> bool:
        return True

    def pause_s(self) -> float:
        """Seconds from the step just made to the next one."""
        return TICK_S

    def best(self) -> float:
        """The most that a team can be paid in this episode."""
        raise NotImplementedError

    @abstractmethod
    def begin(self, rng: np.random.Generator) -> None:
        """Draw an episode."""

    @abstractmethod
    def observe(self, agent: int) -> Any:
        """What an agent sees now."""

    @abstractmethod
    def play(self, actions: list[int]) -> float:
        """Carry out a joint action; return the team's reward."""


class TwoNodes(SanityEnv):
    """A pod, two nodes of different speed, one of them loaded: place it where it ends first, or waste a step.

    Only at every second or third step is there a pod. Seen: a row (speed, load) per node, and the pod's length. Paid:
    minus length * (1 + load) / speed; waiting costs the longest run time. Best: the shorter run time every time.
    """

    def __init__(self) -> None:
        seen = Dict(vector=Box(0, 1, (1,), dtype=np.float32), table=Box(0, 1, (2, 2), dtype=np.float32))
        super().__init__("two_nodes", ("placer_0",), seen, actions=3, state=5, steps=32)

    def begin(self, rng: np.random.Generator) -> None:
        self._nodes = rng.uniform(0.2, 1.0, (self.steps + 1, 2, 2)).astype(np.float32)
        self._length = rng.uniform(0.5, 1.0, (self.steps + 1, 1)).astype(np.float32)
        self._pauses_s = rng.uniform(0.1, 2.0, self.steps) * TICK_S
        self._asked = np.zeros(self.steps + 1, dtype=np.bool_)
        self._asked[np.cumsum(rng.integers(2, 4, self.steps // 3)) - 2] = True

    def is_asked(self) -> bool:
        return bool(self._asked[self.now])

    def pause_s(self) -> float:
        return float(self._pauses_s[self.now - 1])

    def observe(self, agent: int) -> Any:
        return {"vector": self._length[self.now], "table": self._nodes[self.now]}

    def state(self) -> NDArray[np.float32]:
        return np.concatenate([self._nodes[self.now].ravel(), self._length[self.now]])

    def play(self, actions: list[int]) -> float:
        if not self._asked[self.now]:
            return 0.0
        costs = self._costs(self.now)
        return -float(costs[actions[0]])

    def _costs(self, step: int) -> NDArray[np.float64]:
        """Of both nodes and of waiting."""
        speed, load = self._nodes[step].T.astype(np.float64)
        return np.append(float(self._length[step, 0]) * (1 + load) / speed, 10.0)

    def best(self) -> float:
        return -float(sum(self._costs(int(step)).min() for step in np.flatnonzero(self._asked)))


class CapAhead(SanityEnv):
    """A row of servers whose load rises and falls on a schedule; a cap that is commanded now acts `DELAY` ticks later.

    Paid per tick: -1 over budget (high load, no cap), -.4 capped without need. Seen: load now, the cap that acts, those
    on their way, and the schedule `AHEAD` ticks ahead. With `memory`, only the load of the tick that is
    `AHEAD` ticks ahead is shown: it has to be kept in mind for AHEAD - DELAY ticks. Best: what was commanded when the
    load was seen is right from tick DELAY on; before that nothing can be done.
    """

    DELAY, AHEAD = 2, 4

    def __init__(self, memory: bool = False) -> None:
        self.memory = memory
        features = 1 if memory else 2 + self.DELAY - 1 + self.AHEAD
        everything = 2 + self.DELAY - 1 + self.AHEAD
        seen = Box(-1, 1, (features,), dtype=np.float32)
        super().__init__("cap_ahead", ("capper_0",), seen, actions=2, state=everything, steps=40)

    def begin(self, rng: np.random.Generator) -> None:
        # High and low in turn, one to five ticks each.
        lengths = rng.integers(1, 6, self.steps + self.AHEAD + 1)
        high = np.repeat(np.arange(len(lengths)) % 2, lengths)[: self.steps + self.AHEAD + 1]
        self._high = high.astype(np.float32)
        self._caps = [0.0] * self.DELAY
        """The cap that acts now, then those on their way."""

    def state(self) -> NDArray[np.float32]:
        schedule = self._high[self.now : self.now + self.AHEAD + 1]
        return 2 * np.concatenate([schedule, self._caps], dtype=np.float32) - 1

    def observe(self, agent: int) -> Any:
        everything = self.state()
        return everything[self.AHEAD : self.AHEAD + 1] if self.memory else everything

    def play(self, actions: list[int]) -> float:
        high, cap = self._high[self.now], self._caps.pop(0)
        self._caps.append(float(actions[0]))
        return -1.0 if high > cap else -0.4 if cap > high else 0.0

    def best(self) -> float:
        return -float(self._high[: self.DELAY].sum())


class Yield(SanityEnv):
    """Two agents and one fast node; whoever has it alone is well served, but if both take it, neither is.

    Each has a slow node of its own, and may stay away. Seen: the worth of the own slow node and of the other's. Paid to
    both: the sum of the worths, 0 for a collision. Fast is worth most to everybody, so what is best for each alone is a
    collision; best is that the one with the better slow node yields.
    """

    FAST, SLOW, AWAY = range(3)
    WORTH_FAST, WORTH_AWAY = 1.0, 0.2
    WORTHS_SLOW = (0.1, 0.5, 0.9)

    def __init__(self) -> None:
        seen = Box(-1, 1, (2,), dtype=np.float32)
        super().__init__("yield", ("player_0", "player_1"), seen, actions=3, state=2, steps=16)

    def begin(self, rng: np.random.Generator) -> None:
        worths = np.tile(self.WORTHS_SLOW, (self.steps + 1, 1))
        self._slow: NDArray[np.float64] = rng.permuted(worths, axis=1)[:, :2]
        """(steps, agents), two different ones of the three."""

    def state(self) -> NDArray[np.float32]:
        return np.asarray(2 * self._slow[self.now] - 1, dtype=np.float32)

    def observe(self, agent: int) -> Any:
        return np.roll(self.state(), -agent)

    def play(self, actions: list[int]) -> float:
        if actions == [self.FAST, self.FAST]:
            return 0.0
        worths = [(self.WORTH_FAST, slow, self.WORTH_AWAY) for slow in self._slow[self.now].tolist()]
        return float(sum(worth[action] for worth, action in zip(worths, actions, strict=True)))

    def best(self) -> float:
        return self.WORTH_FAST * self.steps + float(self._slow[: self.steps].max(axis=1).sum())


Name = Literal["two-nodes", "cap-ahead", "cap-ahead-memory", "yield"]
_GAMES = {
    "two-nodes": TwoNodes,
    "cap-ahead": CapAhead,
    "cap-ahead-memory": lambda: CapAhead(memory=True),
    "yield": Yield,
}


@dataclass(frozen=True)
class SanityTask:
    """A sanity environment as a task; its cost is what was lost against the optimum, per step."""

    name: Name

    def __post_init__(self) -> None:
        if self.name not in _GAMES:
            raise ConfigError(f"there is no sanity environment {self.name!r}; choose one of {', '.join(_GAMES)}")

    def make(self) -> Game:
        return _GAMES[self.name]()

    def cost(self, game: Game) -> float:
        return float((game.best() - game.paid) / game.steps)

    def tutors(self) -> Mapping[str, Tutor]:
        return {}

    def kind(self) -> Mapping[str, Any]:
        return {"scenario": f"sanity/{self.name}", "network": "team"}

    def columns(self) -> Columns:
        return {}
