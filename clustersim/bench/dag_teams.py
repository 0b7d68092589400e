"""Who plays DAG scheduling under a name: built-in policies, and trained agents in their folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from clustersim.agents import shipped
from clustersim.agents.dag_policy import LearnedDagPolicy
from clustersim.baselines.constraint_budget import Limits
from clustersim.baselines.eft import EftAssign
from clustersim.baselines.registry import Team, names, team, unknown_policy
from clustersim.errors import ConfigError
from clustersim.policy import Policy
from clustersim.scenarios.dag_scheduling import ASSIGN, DISPATCH, ORDER

SCENARIO = "dag-scheduling"
SHIPPED_AGENTS = ("ppo-dag-soc", "ppo-dag-tpch")
SOLVER = "cp-sat"


@runtime_checkable
class Solver(Protocol):
    """A policy that searches for a limited time."""

    limits: Limits


def default_policies() -> tuple[str, ...]:
    """All built-in ones but those that search for minutes."""
    return tuple(name for name in names(SCENARIO) if not name.startswith(SOLVER))


def make_team(name: str, budget_s: float | None = None) -> Team:
    """A built-in team or an agent; `budget_s` is how long a solver may search for one plan, None: as by default."""
    if name in names(SCENARIO):
        built_in = team(SCENARIO, name)
        if budget_s is None or not name.startswith(SOLVER):
            return built_in
        return Team(lambda: _within(built_in.players(), budget_s), built_in.world)
    folder = agent_folder(name)
    if folder is None:
        agents = ", ".join(SHIPPED_AGENTS)
        raise ConfigError(f"{unknown_policy(SCENARIO, name)}, {agents}, or the folder of a trained agent")
    return _agent(folder)


def agent_folder(name: str) -> Path | None:
    """The folder of a trained agent, or None when the name is none."""
    if name in names(SCENARIO):
        return None
    folder = Path(shipped.__path__[0]) / name if name in SHIPPED_AGENTS else Path(name)
    return folder if folder.is_dir() else None


def _within(players: dict[str, Policy], budget_s: float) -> dict[str, Policy]:
    for player in players.values():
        assert isinstance(player, Solver)
        player.limits = replace(player.limits, window_s=budget_s)
    return players


def _agent(folder: Path) -> Team:
    try:
        agent = LearnedDagPolicy(folder)
    except KeyError as key:
        raise ConfigError(
            f"the agent in {folder} is of another version, it does not say {key}; train it again"
        ) from None
    if agent.world.get("decide") == "dispatch":
        return Team(lambda: {DISPATCH: LearnedDagPolicy(folder)}, agent.world)
    return Team(
        lambda: {ORDER: LearnedDagPolicy(folder), ASSIGN: EftAssign(open_only=agent.open_only)},
        agent.world,
    )
