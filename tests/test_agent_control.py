"""Teams for the shared cluster: how they are trained, kept in folders, and play."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `agents` is not installed")

import torch

from clustersim.agents.control_config import ControlTrainConfig
from clustersim.agents.control_policy import KIND, ControlPlayer, LearnedControlPolicy, columns, load_team
from clustersim.agents.control_task import ControlTask
from clustersim.agents.control_task import _Tutor as TaskTutor
from clustersim.agents.control_train import train_control
from clustersim.agents.marl_actor import Actor, torch_actor, weights_of
from clustersim.agents.marl_config import MarlConfig
from clustersim.agents.marl_rollout import Job, Manner, play, vector_and_table
from clustersim.agents.marl_task import layout_of, role_of
from clustersim.agents.marl_team import write_team
from clustersim.baselines.joint import joint_policies
from clustersim.errors import ClustersimError, ConfigError
from clustersim.policy import run
from clustersim.scenarios.control_roles import MIGRATOR, PLACER, ROLES, SCALER
from clustersim.traces.control_scenario import control_scenario

TUTORS = "placer=fgd,scaler=hpa,capper=polca,migrator=none"
SHORT = ControlTrainConfig(
    duration_s=150.0,
    tutors=TUTORS,
    marl=MarlConfig(
        updates=2,
        episodes=2,
        workers=1,
        hidden=8,
        imitation_updates=1,
        validation=1,
        validate_every=1,
        critic_updates=0,
    ),
)


def team_of(share: Any = "role", recurrent: bool = False) -> dict[str, Actor]:
    """Untrained, but with opinions."""
    torch.manual_seed(1)
    layout = layout_of(ControlTask(SHORT).make(), share)
    networks = {group.name: torch_actor(group, 8, recurrent) for group in layout.groups}
    with torch.no_grad():
        for network in networks.values():
            for parameter in network.parameters():
                parameter.normal_(0, 0.5)
    return {name: weights_of(network) for name, network in networks.items()}


def folder_of(path: Path, team: dict[str, Actor], temperature: float = 0.0) -> Path:
    write_team(path, {**KIND, "temperature": temperature}, columns(), team, {})
    return path


def played(players: Any, preset: Any = "small", seed: int = 3) -> Any:
    simulation = control_scenario(preset, duration_s=150.0).build(seed)
    run(simulation, players)
    return simulation


# --- playing


@pytest.mark.parametrize("recurrent", [False, True], ids=["plain", "gru"])
@pytest.mark.parametrize("share", ["role", "none"])
def test_a_team_answers_as_its_actors_do_in_the_environment(share: Any, recurrent: bool, tmp_path: Path) -> None:
    team = team_of(share, recurrent)
    players = load_team(folder_of(tmp_path / "team", team))
    for player in players.values():
        player.reset(np.random.default_rng(1))
    env = ControlTask(SHORT).make()
    seen, infos = env.reset(seed=3)
    memory = {agent: np.zeros((1, 8 * recurrent), dtype=np.float32) for agent in env.agents}
    answers = []
    while env.agents:
        actions = {agent: int(seen[agent]["action_mask"].argmax()) for agent in env.agents}
        for agent in [agent for agent in env.agents if infos[agent]["asked"]]:
            vector, table = vector_and_table(seen[agent]["observation"])
            actor = team[role_of(agent) if share == "role" else agent]
            mask = seen[agent]["action_mask"].astype(np.bool_)[None]
            logits, memory[agent] = actor.look(
                vector[None], None if table is None else table[None], mask, memory[agent]
            )
            actions[agent] = int(logits.argmax())
            question = env.episode.question(agent)
            k = players[question.role].act(question)
            answers.append((agent, k))
            assert k == min(actions[agent], len(question.mask) - 1)
        seen, *_, infos = env.step(actions)
    assert len(answers) > 80
    assert len(set(answers)) > 5


def test_a_team_plays_clusters_of_other_sizes(tmp_path: Path) -> None:
    players = load_team(folder_of(tmp_path / "team", team_of()))
    simulation = played(players, "medium")
    assert simulation.control.answers > 100


def test_an_episode_does_not_depend_on_the_one_before(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "team", team_of(recurrent=True), temperature=1.0)
    used = load_team(folder)
    played(used, seed=4)
    assert played(used).cost("team") == played(load_team(folder)).cost("team")


def test_a_team_that_draws_plays_another_episode_than_one_that_does_not(tmp_path: Path) -> None:
    team = team_of()
    firm, free = folder_of(tmp_path / "firm", team), folder_of(tmp_path / "free", team, temperature=1.0)
    assert played(load_team(firm)).cost("team") != played(load_team(free)).cost("team")


def test_trained_roles_and_published_ones_play_together(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "scalers", {SCALER: team_of()[SCALER]})
    assert list(load_team(folder)) == [SCALER]
    players = {role: make() for role, make in joint_policies(TUTORS).items()}
    without = played(players)
    assert played({**players, SCALER: LearnedControlPolicy(folder, SCALER)}).cost("team") != without.cost("team")
    with pytest.raises(ClustersimError, match="has learned scaler, but not the role placer"):
        LearnedControlPolicy(folder, PLACER)


def test_a_team_without_a_network_for_an_agent_says_how_to_train_one() -> None:
    player = ControlPlayer(MIGRATOR, {"migrator_7": team_of()[MIGRATOR]})
    players: dict[str, Any] = {role: make() for role, make in joint_policies(TUTORS).items()}
    with pytest.raises(ClustersimError, match=r"migrator_7 and has none for migrator_0.*share='role'"):
        played({**players, MIGRATOR: player})


def test_a_team_that_reads_other_columns_is_refused(tmp_path: Path) -> None:
    other = {**columns(), "placer table": ["fits"]}
    write_team(tmp_path / "old", {**KIND, "temperature": 0.0}, other, team_of(), {})
    with pytest.raises(ClustersimError, match="placer table columns"):
        load_team(tmp_path / "old")
    assert set(columns()) == {*ROLES, "placer table", "migrator table"}


# --- training


def test_tutors_play_in_training_what_they_play_in_benchmarks() -> None:
    task = ControlTask(replace(SHORT, tutors=TUTORS.replace("fgd", "best-fit")))
    game = task.make()
    layout = layout_of(game)
    (episode,) = play(task, [game], layout, team_of(), [Job(3, (1,))], Manner(follow=1.0, taught=True))
    players = {role: make() for role, make in joint_policies(task.config.tutors).items()}
    assert episode.cost == pytest.approx(played(players).cost("team"), rel=0.05)
    for each in episode.trajectories:
        assert each.action.tolist() == each.taught.tolist()
        assert each.mask[np.arange(len(each.action)), each.action].all()
    agents = {each.agent for each in episode.trajectories}
    assert agents == set(game.possible_agents)


class Waits:
    """Lets every pod wait."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget."""

    def act(self, decision: Any) -> int:
        return len(decision.mask) - 1


def test_zones_of_different_size_share_a_network_and_a_tutor() -> None:
    game = ControlTask(replace(SHORT, preset="large", duration_s=60.0)).make()
    placers = next(group for group in layout_of(game).groups if group.name == PLACER)
    sizes = [len(game.game.build(3).zones[zone].view.up) for zone in range(len(placers.agents))]
    assert len(set(sizes)) > 1
    assert placers.rows == max(sizes)
    game.reset(seed=3)
    tutor = TaskTutor(PLACER, Waits())
    asked = [agent for agent in placers.agents if game.episode.question(agent) is not None]
    assert asked
    assert {tutor.act(game, agent) for agent in asked} == {max(sizes)}


def test_advice_leaves_nothing_on_the_question() -> None:
    task = ControlTask(SHORT)
    game = task.make()
    tutor = task.tutors()[PLACER]
    seen, infos = game.reset(seed=3)
    tutor.reset(game, 3)
    devices = []
    while game.agents:
        if infos["placer_0"]["asked"]:
            tutor.act(game, "placer_0")
            devices.append(game.episode.question("placer_0").detail)
            assert tutor.advise(game, "placer_0") < game.action_space("placer_0").n
            assert game.episode.question("placer_0").detail is None
        seen, *_, infos = game.step({agent: int(seen[agent]["action_mask"].argmax()) for agent in game.agents})
    assert any(device is not None for device in devices)


@pytest.mark.long
def test_a_team_is_trained_and_plays(tmp_path: Path) -> None:
    out = train_control(SHORT, tmp_path / "team", "here", progress=(lines := []).append)
    assert [line.split(",")[0] for line in lines] == ["tutors", "imitation", "mappo", "mappo"]
    description = json.loads((out / "policy.json").read_text())
    assert description["scenario"] == "cluster-control"
    assert description["training"]["config"]["tutors"] == TUTORS
    assert (out / "weights.npz").stat().st_size < 2_000_000
    played(load_team(out))
    with pytest.raises(ConfigError, match=r"duration_s was 150\.0 and is now 200\.0"):
        train_control(replace(SHORT, duration_s=200.0), out, resume=True)


@pytest.mark.long
def test_one_role_learns_beside_a_trained_one(tmp_path: Path) -> None:
    first = train_control(SHORT, tmp_path / "first")
    config = replace(
        SHORT,
        tutors=f"placer={first},scaler=kpa,capper=polca,migrator=none",
        marl=replace(SHORT.marl, algo="ippo", roles=(SCALER,), workers=2),
    )
    second = train_control(config, tmp_path / "second")
    assert list(load_team(second)) == [SCALER]


def test_an_unknown_tutor_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'kpa'"):
        train_control(replace(SHORT, tutors=TUTORS.replace("hpa", "kpaa")), tmp_path / "team")
    assert not (tmp_path / "team").exists()
    with pytest.raises(ConfigError, match="local_share is 2"):
        replace(SHORT, local_share=2.0)


def test_workers_need_no_torch() -> None:
    task = pickle.dumps(ControlTask(SHORT))
    code = f"import pickle, sys; pickle.loads({task!r}).make(); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
