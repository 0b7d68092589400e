"""What a team is trained on: an environment, its cost and its tutors; and who shares a network with whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from gymnasium.spaces import Dict

from clustersim.agents.folder import Columns
from clustersim.errors import ConfigError

Game = Any
"""A PettingZoo ParallelEnv (pettingzoo carries no types).

It observes `{"observation": vector or {"vector": ..., "table": ...}, "action_mask": ...}`, says in `infos[agent]` who
was `asked` and what time it is (`time_s`), and has a `state()`. Action k below the rows of the table is row k.
"""


class Tutor(Protocol):
    """A published policy inside a game: imitated by the role that learns, and the player of one that does not."""

    def reset(self, game: Game, seed: int) -> None:
        """Start an episode."""

    def act(self, game: Game, agent: str) -> int:
        """A legal action of an agent that is asked; it will be played."""

    def advise(self, game: Game, agent: str) -> int:
        """The same, but perhaps it will not be played: nothing is left on the question."""


class Task(Protocol):
    """What workers need to play; small and picklable."""

    def make(self) -> Game:
        """A game; `reset(seed=s)` begins the episode of that seed."""

    def cost(self, game: Game) -> float:
        """Of the episode that has just ended; the team with the lowest mean on validation seeds is kept."""

    def tutors(self) -> Mapping[str, Tutor]:
        """By role; may be empty where nothing is imitated and every role learns."""

    def kind(self) -> Mapping[str, Any]:
        """What the folder of the trained team says it is."""

    def columns(self) -> Columns:
        """What the team reads; a folder with other columns is refused."""


@dataclass(frozen=True)
class Group:
    """Agents that share a network, and its shape: `vector` features, a table of `rows` of `columns`, `actions`."""

    name: str
    agents: tuple[str, ...]
    vector: int
    rows: int
    columns: int
    actions: int

    @property
    def extras(self) -> int:
        """Actions behind the rows: to wait, or none of them."""
        return self.actions - self.rows


@dataclass(frozen=True)
class Layout:
    """The groups that learn; `state` features of the world; all agents, learning or not, in their order."""

    groups: tuple[Group, ...]
    state: int
    agents: tuple[str, ...]


def role_of(agent: str) -> str:
    """The role of an agent: its name up to the last "_"."""
    return agent.rpartition("_")[0]


def layout_of(game: Game, share: Literal["role", "none"] = "role", roles: tuple[str, ...] = ()) -> Layout:
    """Who shares a network. Raises ConfigError for an unknown role and for a role whose agents see other shapes."""
    agents = tuple(game.possible_agents)
    known = list(dict.fromkeys(map(role_of, agents)))
    unknown = sorted(set(roles) - set(known))
    if unknown:
        raise ConfigError(f"there is no role {', '.join(unknown)}; choose from {', '.join(known)}")
    learners = [agent for agent in agents if not roles or role_of(agent) in roles]
    members: dict[str, list[str]] = {}
    for agent in learners:
        members.setdefault(role_of(agent) if share == "role" else agent, []).append(agent)
    groups = []
    for name, those in members.items():
        shapes = sorted({_shape(game, agent) for agent in those})
        if len(shapes) > 1:
            raise ConfigError(
                f"the agents of {name} see different shapes (vector, rows, columns, actions): {shapes}; "
                "pad their tables to the same rows, or train with share='none'"
            )
        groups.append(Group(name, tuple(those), *shapes[0]))
    return Layout(tuple(groups), _length(game.state_space), agents)


def _length(space: Any) -> int:
    return int(space.shape[0])


def _shape(game: Game, agent: str) -> tuple[int, int, int, int]:
    """(vector, rows, columns, actions)"""
    seen = game.observation_space(agent)["observation"]
    actions = int(game.action_space(agent).n)
    if not isinstance(seen, Dict):
        return _length(seen), 0, 0, actions
    rows, columns = getattr(seen.spaces.get("table"), "shape", None) or (0, 0)
    return _length(seen["vector"]), int(rows), int(columns), actions
