"""Agents learn what each sanity environment asks of them: both algorithms come close to the known optimum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `agents` is not installed")

from zoo_checks import parallel_api_test

from clustersim.agents.marl_config import MarlConfig
from clustersim.agents.marl_rollout import Job, Manner, play
from clustersim.agents.marl_task import layout_of
from clustersim.agents.marl_team import read_team
from clustersim.agents.marl_train import train
from clustersim.agents.sanity import CapAhead, Name, SanityTask, TwoNodes, Yield
from clustersim.errors import ConfigError

NAMES: tuple[Name, ...] = ("two-nodes", "cap-ahead", "cap-ahead-memory", "yield")

every_game = pytest.mark.parametrize("name", NAMES)
both_algorithms = pytest.mark.parametrize("algo", ["ippo", "mappo"])


def learned_cost(tmp_path: Path, name: Name, **changes: Any) -> float:
    """Mean cost on held-out seeds of the team that training kept."""
    task = SanityTask(name)
    sizes: dict[str, Any] = {"updates": 20, "episodes": 16, "hidden": 32, "minibatch": 256}
    rates: dict[str, Any] = {"learning_rate": 2e-3, "critic_rate": 3e-3}
    out = train(task, MarlConfig(workers=1, **(sizes | rates | changes)), tmp_path / "team")
    team, description = read_team(out, task.columns())
    jobs = [Job(seed, (seed,)) for seed in range(16)]
    games = [task.make() for _ in jobs]
    layout = layout_of(games[0], changes.get("share", "role"))
    manner = Manner(description["temperature"], record=False)
    return float(np.mean([e.cost for e in play(task, games, layout, team, jobs, manner)]))


@both_algorithms
def test_the_better_of_two_nodes_is_found(algo: str, tmp_path: Path) -> None:
    # A third of the steps ask; at random it costs 1.3 per step.
    assert learned_cost(tmp_path, "two-nodes", algo=algo) < 0.02


@both_algorithms
def test_a_cap_is_commanded_before_it_is_needed(algo: str, tmp_path: Path) -> None:
    # Who commands by the load of now loses .3 per step.
    assert learned_cost(tmp_path, "cap-ahead", algo=algo) < 0.01


@both_algorithms
def test_two_agents_agree_on_who_yields(algo: str, tmp_path: Path) -> None:
    # Both after their own good lose 1.6 per step, a fixed order .2.
    assert learned_cost(tmp_path, "yield", algo=algo) < 0.01


@both_algorithms
def test_agents_that_share_nothing_agree_too(algo: str, tmp_path: Path) -> None:
    assert learned_cost(tmp_path, "yield", algo=algo, share="none", updates=40) < 0.05


@pytest.mark.long
@both_algorithms
def test_only_who_remembers_caps_in_time(algo: str, tmp_path: Path) -> None:
    rates = {"algo": algo, "updates": 30, "learning_rate": 4e-3, "gamma": 0.9, "gae_lambda": 0.9}
    assert learned_cost(tmp_path / "gru", "cap-ahead-memory", recurrent=True, chunk=8, **rates) < 0.08
    assert learned_cost(tmp_path / "plain", "cap-ahead-memory", **rates) > 0.15


# --- the environments are what they say


@every_game
def test_sanity_environments_are_parallel_environments(name: Name) -> None:
    game = SanityTask(name).make()
    parallel_api_test(game, num_cycles=100)
    seen, _ = game.reset(seed=1)
    while game.agents:
        for agent in game.agents:
            assert game.observation_space(agent).contains(seen[agent])
        assert game.state_space.contains(game.state())
        seen, *_ = game.step({agent: int(seen[agent]["action_mask"].argmax()) for agent in game.agents})


@every_game
def test_the_same_seed_plays_the_same_episode(name: Name) -> None:
    def transcript() -> list[Any]:
        game = SanityTask(name).make()
        game.reset(seed=5)
        lines = []
        while game.agents:
            _, rewards, *_ = game.step(dict.fromkeys(game.agents, 0))
            lines.append((game.state().tolist(), rewards, game.time_s))
        return lines

    assert transcript() == transcript()


def paid(game: Any, choose: Any) -> tuple[float, float]:
    """What a rule is paid in an episode, and the optimum."""
    seen, infos = game.reset(seed=3)
    while game.agents:
        actions = {}
        for agent in game.agents:
            asked = infos[agent]["asked"]
            actions[agent] = (
                choose(game, agent, seen[agent]["observation"]) if asked else game.action_space(agent).n - 1
            )
        seen, _, _, _, infos = game.step(actions)
    return game.paid, game.best()


def test_the_optimum_of_two_nodes_is_the_shorter_run_time_every_time() -> None:
    def shorter(game: Any, agent: str, seen: Any) -> int:
        return int(((1 + seen["table"][:, 1]) / seen["table"][:, 0]).argmin())

    reached, best = paid(TwoNodes(), shorter)
    assert reached == pytest.approx(best)
    assert paid(TwoNodes(), lambda *_: 0)[0] < best - 1


def test_the_optimum_of_capping_ahead_is_to_command_by_the_load_that_will_be() -> None:
    ahead = CapAhead.DELAY
    reached, best = paid(CapAhead(), lambda game, agent, seen: int(seen[ahead] > 0))
    assert reached == best
    assert paid(CapAhead(), lambda game, agent, seen: int(seen[0] > 0))[0] < best - 5


def test_the_optimum_of_yielding_is_that_the_better_slow_node_is_used() -> None:
    reached, best = paid(Yield(), lambda game, agent, seen: Yield.SLOW if seen[0] > seen[1] else Yield.FAST)
    assert reached == pytest.approx(best)
    greedy, _ = paid(Yield(), lambda *_: Yield.FAST)
    assert greedy == 0


def test_with_memory_only_the_load_far_ahead_is_shown() -> None:
    shown, hidden = CapAhead(), CapAhead(memory=True)
    everything = shown.reset(seed=1)[0]["capper_0"]["observation"]
    alone = hidden.reset(seed=1)[0]["capper_0"]["observation"]
    assert alone.tolist() == [everything[CapAhead.AHEAD]]


def test_an_unknown_sanity_environment_is_refused() -> None:
    with pytest.raises(ConfigError, match="two-nodes, cap-ahead"):
        SanityTask("maze")  # type: ignore[arg-type]
