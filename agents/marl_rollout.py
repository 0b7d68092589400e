"""Episodes played side by side: all agents of a group that are asked at once are answered by one pass of its actor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.agents.marl_actor import Actor, Bools, Floats
from clustersim.agents.marl_task import Game, Group, Layout, Task, Tutor, role_of
from clustersim.errors import ConfigError


@dataclass(frozen=True)
class Job:
    """An episode to play: its seed, and the entropy from which the actions are drawn."""

    seed: int
    chance: tuple[int, ...]


@dataclass(frozen=True)
class Manner:
    """How to play. `temperature`: actions are drawn in proportion to exp(logit / temperature); 0: the most probable.

    `follow`: share of the decisions in which the tutor moves. `taught`: note what the tutor would do. `record`: bring
    the decisions back, not the cost alone.
    """

    temperature: float = 1.0
    follow: float = 0.0
    taught: bool = False
    record: bool = True


@dataclass(slots=True, eq=False)
class Trajectory:
    """The T decisions of one agent in one episode, and as row T what it saw at the end; `memory` is that before a look.

    `reward` (T,) is what it was paid until its next decision, or the end.
    """

    agent: str
    vector: Floats
    table: Floats | None
    mask: Bools
    memory: Floats
    state: Floats
    time_s: NDArray[np.float64]
    action: NDArray[np.int64]
    taught: NDArray[np.int64]
    reward: Floats
    over: bool
    """Whether the episode ended in the world; else it was only cut off."""


@dataclass(slots=True, eq=False)
class Episode:
    """One episode: `steps` is the number of decisions that were answered by learners."""

    seed: int
    cost: float
    steps: int
    trajectories: list[Trajectory] = field(default_factory=list)


def play(
    task: Task, games: Sequence[Game], layout: Layout, actors: Mapping[str, Actor], jobs: Sequence[Job], manner: Manner
) -> list[Episode]:
    """Play one job in each game, to the end of all."""
    tables = [_Table(task, game, layout, job, manner, actors) for game, job in zip(games, jobs, strict=False)]
    while playing := [table for table in tables if table.game.agents]:
        actions: dict[int, dict[str, int]] = {id(table): table.unlearned() for table in playing}
        for group in layout.groups:
            seats = [(table, agent) for table in playing for agent in group.agents if table.is_asked(agent)]
            if seats:
                for (table, agent), action in zip(seats, _answers(group, actors[group.name], seats), strict=True):
                    actions[id(table)][agent] = action
        for table in playing:
            table.step(actions[id(table)])
    return [table.episode() for table in tables]


class _Table:
    """A game that is being played, and what has been noted of it."""

    def __init__(
        self, task: Task, game: Game, layout: Layout, job: Job, manner: Manner, actors: Mapping[str, Actor]
    ) -> None:
        self.game = game
        self.manner = manner
        self.rng = np.random.default_rng(job.chance)
        self._task = task
        self._job = job
        self._learners = [agent for group in layout.groups for agent in group.agents]
        self._others = [agent for agent in layout.agents if agent not in self._learners]
        self.seen, self.infos = game.reset(seed=job.seed)
        self._tutors: Mapping[str, Tutor] = task.tutors() if self._others or manner.taught else {}
        for tutor in self._tutors.values():
            tutor.reset(game, job.seed)
        self.memory = {
            agent: np.zeros(actors[group.name].memory, dtype=np.float32)
            for group in layout.groups
            for agent in group.agents
        }
        self._notes: dict[str, list[tuple[Any, ...]]] = {agent: [] for agent in self._learners}
        self._paid: dict[str, list[float]] = {agent: [] for agent in self._learners}
        self._over = dict.fromkeys(self._learners, True)
        self._state: Floats | None = None
        self._steps = 0

    def is_asked(self, agent: str) -> bool:
        return agent in self.seen and bool(self.infos[agent]["asked"])

    def unlearned(self) -> dict[str, int]:
        """Actions of all but the learners that are asked."""
        actions = {a: int(self.seen[a]["action_mask"].argmax()) for a in self.game.agents}
        for agent in self._others:
            if self.is_asked(agent):
                actions[agent] = self._tutor(agent).act(self.game, agent)
        return actions

    def advice(self, agent: str) -> int:
        """What the tutor would do in the place of an agent."""
        return self._tutor(agent).advise(self.game, agent)

    def _tutor(self, agent: str) -> Tutor:
        tutor = self._tutors.get(role_of(agent))
        if tutor is None:
            raise ConfigError(
                f"nobody plays or teaches the role {role_of(agent)!r}; the task has tutors for {sorted(self._tutors)}"
            )
        return tutor

    def note(self, agent: str, seen: tuple[Any, ...], action: int, taught: int) -> None:
        """Keep a decision for learning."""
        self._steps += 1
        if self.manner.record:
            self._notes[agent].append((*seen, self._state_now(), self.infos[agent]["time_s"], action, taught))
            self._paid[agent].append(0.0)

    def step(self, actions: dict[str, int]) -> None:
        self.seen, rewards, over, _, self.infos = self.game.step(actions)
        self._state = None
        if not self.manner.record:
            return
        for agent, reward in rewards.items():
            paid = self._paid.get(agent)
            if paid:
                paid[-1] += float(reward)
                self._over[agent] = bool(over[agent])

    def _state_now(self) -> Floats:
        if self._state is None:
            self._state = np.asarray(self.game.state(), dtype=np.float32).copy()
        return self._state

    def episode(self) -> Episode:
        episode = Episode(self._job.seed, self._task.cost(self.game), self._steps)
        if self.manner.record:
            episode.trajectories = [self._trajectory(agent) for agent in self._learners if self._notes[agent]]
        return episode

    def _trajectory(self, agent: str) -> Trajectory:
        notes = self._notes[agent]
        vector, table, mask = _parts(self.seen[agent])
        end = (vector, table, mask, self.memory[agent], self._state_now(), self.infos[agent]["time_s"], 0, 0)
        columns = list(zip(*notes, end, strict=True))
        return Trajectory(
            agent,
            np.array(columns[0]),
            None if table is None else np.array(columns[1]),
            np.array(columns[2]),
            np.array(columns[3]),
            np.array(columns[4]),
            np.array(columns[5], dtype=np.float64),
            np.array(columns[6][:-1]),
            np.array(columns[7][:-1]),
            np.array(self._paid[agent], dtype=np.float32),
            self._over[agent],
        )


def _answers(group: Group, actor: Actor, seats: list[tuple[_Table, str]]) -> list[int]:
    """What the actor of a group, or a tutor in its place, does in all seats."""
    parts = [_parts(table.seen[agent]) for table, agent in seats]
    vector = np.array([part[0] for part in parts])
    rows = np.array([part[1] for part in parts]) if group.rows else None
    mask = np.array([part[2] for part in parts])
    memory = np.array([table.memory[agent] for table, agent in seats])
    logits, after = actor.look(vector, rows, mask, memory)
    temperature = seats[0][0].manner.temperature
    uniform = np.array([table.rng.random() for table, _ in seats]) if temperature else np.zeros(0)
    chosen = chosen_actions(logits, temperature, uniform)
    actions = []
    for b, (table, agent) in enumerate(seats):
        manner, action, taught = table.manner, chosen[b], 0
        if manner.taught:
            taught = table.advice(agent)
            if manner.follow and table.rng.random() < manner.follow:
                action = taught
        seen = (vector[b], None if rows is None else rows[b], mask[b], memory[b])
        table.note(agent, seen, action, taught)
        table.memory[agent] = after[b]
        actions.append(action)
    return actions


def chosen_actions(logits: Floats, temperature: float, uniform: NDArray[np.float64]) -> list[int]:
    """The most probable action of each row at temperature 0, else one drawn by a number in [0, 1) per row."""
    if not temperature:
        return logits.argmax(axis=1).tolist()  # type: ignore[no-any-return]
    weights = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature, dtype=np.float64)
    cumulated = weights.cumsum(axis=1)
    drawn = (1.0 - uniform) * cumulated[:, -1]  # in (0, total]: never an action of weight 0
    return (cumulated < drawn[:, None]).sum(axis=1).tolist()  # type: ignore[no-any-return]


def _parts(seen: Mapping[str, Any]) -> tuple[Floats, Floats | None, Bools]:
    """Vector, table if there is one, and mask of an observation."""
    return *vector_and_table(seen["observation"]), np.asarray(seen["action_mask"], dtype=np.bool_)


def vector_and_table(seen: Any) -> tuple[Floats, Floats | None]:
    """What an agent sees, which may be a vector alone."""
    return (seen["vector"], seen.get("table")) if isinstance(seen, Mapping) else (seen, None)
