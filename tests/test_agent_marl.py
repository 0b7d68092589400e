"""What IPPO and MAPPO share: networks, rollouts, advantages, critics, processes, checkpoints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `agents` is not installed")

import torch
from gymnasium.spaces import Box, Dict, Discrete

from clustersim.agents.ippo import OwnCritic
from clustersim.agents.mappo import CentralCritic
from clustersim.agents.marl_actor import Actor, torch_actor, weights_of
from clustersim.agents.marl_batch import NOTHING, Batch, advantages, batches_of, minibatches
from clustersim.agents.marl_config import MarlConfig
from clustersim.agents.marl_rollout import Episode, Job, Manner, Trajectory, chosen_actions, play
from clustersim.agents.marl_steps import improve, log_probabilities
from clustersim.agents.marl_task import Group, Layout, layout_of
from clustersim.agents.marl_team import read_team, write_team
from clustersim.agents.marl_train import train
from clustersim.agents.marl_value import ValueHead
from clustersim.agents.marl_workers import Workers
from clustersim.agents.sanity import SanityTask
from clustersim.errors import ClustersimError, ConfigError

# --- a game whose every number is known: "fast" is asked at each step, "slow" at every third


class Counting:
    """Steps 0, 1, 2, ... at 0, 10, 30, 60, ... seconds; step s pays everybody s + 1. `right` counts right actions."""

    def __init__(self, steps: int, cut: bool = False, slow_rows: int = 2) -> None:
        self.possible_agents = ["fast_0", "fast_1", "slow_0"]
        self.agents: list[str] = []
        self.state_space = Box(-1, 100, (3,), dtype=np.float32)
        self._steps, self._cut = steps, cut
        mask = Box(0, 1, (3,), dtype=np.int8)
        vector = Box(-1, 100, (2,), dtype=np.float32)
        table = Box(-1, 100, (slow_rows, 2), dtype=np.float32)
        self._fast = Dict(observation=vector, action_mask=mask)
        self._slow = Dict(observation=Dict(vector=vector, table=table), action_mask=mask)

    def observation_space(self, agent: str) -> Any:
        return self._slow if agent == "slow_0" else self._fast

    def action_space(self, agent: str) -> Any:
        return Discrete(3)

    def state(self) -> Any:
        return np.array([self.now, self.seed, 1], dtype=np.float32)

    def reset(self, seed: int) -> Any:
        self.seed, self.now, self.right = seed, 0, 0
        self.tutored: set[str] = set()
        self.agents = list(self.possible_agents)
        return self._show()

    def step(self, actions: Mapping[str, int]) -> Any:
        right = sum(actions[agent] == self.wanted(agent) for agent in self.agents if self._asks(agent))
        self.right += right
        self.now += 1
        over = self.now >= self._steps
        live = self.agents
        seen, infos = self._show()
        if over:
            self.agents = []
        ended = (dict.fromkeys(live, over and not self._cut), dict.fromkeys(live, over and self._cut))
        return seen, dict.fromkeys(live, float(self.now)), *ended, infos

    def wanted(self, agent: str) -> int:
        return (self.now + self.seed) % 3 if agent != "slow_0" else 2

    def _asks(self, agent: str) -> bool:
        return agent != "slow_0" or self.now % 3 == 1

    def _show(self) -> Any:
        vector = np.array([(self.now + self.seed) % 3 - 1, self.seed % 5], dtype=np.float32)
        seen: dict[str, Any] = {}
        infos = {}
        for agent in self.agents:
            asked = self.now < self._steps and self._asks(agent)
            observation = {"vector": vector, "table": np.eye(2, dtype=np.float32)} if agent == "slow_0" else vector
            mask = np.array([asked, asked, 1], dtype=np.int8)
            seen[agent] = {"observation": observation, "action_mask": mask}
            infos[agent] = {"asked": asked, "time_s": 5.0 * self.now * (self.now + 1)}
        return seen, infos


class Knowing:
    """A tutor that knows what is wanted."""

    def reset(self, game: Any, seed: int) -> None:
        self.seed = seed

    def act(self, game: Any, agent: str) -> int:
        game.tutored.add(agent)
        return self.advise(game, agent)

    def advise(self, game: Any, agent: str) -> int:
        assert self.seed == game.seed
        return int(game.wanted(agent))


@dataclass(frozen=True)
class CountingTask:
    steps: int = 7
    cut: bool = False
    taught: bool = True

    def make(self) -> Any:
        return Counting(self.steps, self.cut)

    def cost(self, game: Any) -> float:
        return float(-game.right)

    def tutors(self) -> Any:
        return {"fast": Knowing(), "slow": Knowing()} if self.taught else {}

    def kind(self) -> Any:
        return {"scenario": "counting"}

    def columns(self) -> Any:
        return {"fast": ["phase", "seed"]}


SMALL = MarlConfig(updates=4, episodes=4, workers=1, hidden=8, minibatch=32, validate_every=2, validation=2)


def actors_of(layout: Layout, recurrent: bool = False, hidden: int = 8) -> dict[str, Actor]:
    """Far from their start."""
    torch.manual_seed(3)
    networks = {group.name: torch_actor(group, hidden, recurrent) for group in layout.groups}
    with torch.no_grad():
        for network in networks.values():
            for parameter in network.parameters():
                parameter.normal_(0, 0.6)
    return {name: weights_of(network) for name, network in networks.items()}


def played(task: Any, seeds: list[int], recurrent: bool = False, manner: Manner | None = None) -> list[Episode]:
    games = [task.make() for _ in seeds]
    layout = layout_of(games[0])
    jobs = [Job(seed, (1, number)) for number, seed in enumerate(seeds)]
    return play(task, games, layout, actors_of(layout, recurrent), jobs, manner or Manner())


def counting_batches(seeds: list[int], cut: bool = False, recurrent: bool = False) -> list[Batch]:
    task = CountingTask(cut=cut)
    return batches_of(played(task, seeds, recurrent), layout_of(task.make()))


# --- who shares a network


def test_agents_of_a_role_share_a_network_or_nobody_does() -> None:
    shared, apart = layout_of(Counting(3)), layout_of(Counting(3), "none")
    assert [(g.name, g.agents) for g in shared.groups] == [("fast", ("fast_0", "fast_1")), ("slow", ("slow_0",))]
    assert [g.name for g in apart.groups] == ["fast_0", "fast_1", "slow_0"]
    assert shared.groups[1] == Group("slow", ("slow_0",), vector=2, rows=2, columns=2, actions=3)
    assert shared.groups[1].extras == 1
    assert shared.state == 3


def test_a_part_of_the_roles_can_learn_and_an_unknown_one_is_refused() -> None:
    assert [g.name for g in layout_of(Counting(3), roles=("slow",)).groups] == ["slow"]
    with pytest.raises(ConfigError, match="no role slwo; choose from fast, slow"):
        layout_of(Counting(3), roles=("slwo",))


def test_agents_of_other_shapes_cannot_share() -> None:
    game = Counting(3)
    game.possible_agents = ["fast_0", "fast_1"]
    spaces = {"fast_0": game._fast, "fast_1": game._slow}
    game.observation_space = lambda agent: spaces[agent]  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=r"fast see different shapes.*share='none'"):
        layout_of(game)
    assert len(layout_of(game, "none").groups) == 2


# --- actors


GROUPS = {
    "vector": Group("a", ("a_0",), vector=5, rows=0, columns=0, actions=4),
    "table": Group("a", ("a_0",), vector=5, rows=6, columns=3, actions=8),
    "rows alone": Group("a", ("a_0",), vector=5, rows=6, columns=3, actions=6),
}
every_group = pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS.keys())
with_or_without_memory = pytest.mark.parametrize("recurrent", [False, True], ids=["plain", "gru"])


def observed(group: Group, count: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(4)
    mask = rng.random((count, group.actions)) < 0.6
    mask[:, -1] |= ~mask.any(axis=1)
    table = rng.normal(size=(count, group.rows, group.columns)).astype(np.float32) if group.rows else None
    return rng.normal(size=(count, group.vector)).astype(np.float32), table, mask


def network_of(group: Group, recurrent: bool) -> torch.nn.Module:
    torch.manual_seed(2)
    network = torch_actor(group, 8, recurrent)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.7)
    return network


@every_group
@with_or_without_memory
def test_both_versions_of_an_actor_compute_the_same(group: Group, recurrent: bool) -> None:
    network = network_of(group, recurrent)
    actor = weights_of(network)
    steps, games = 5, 3
    vector, table, mask = observed(group, steps * games)
    memory = np.random.default_rng(1).normal(size=(games, actor.memory)).astype(np.float32)
    tensors = [None if part is None else torch.from_numpy(part) for part in (vector, table, mask, memory)]
    with torch.no_grad():
        expected = network(*tensors).numpy()
    for step in range(steps):  # rows of a step stand together
        rows = slice(step * games, (step + 1) * games)
        logits, memory = actor.look(vector[rows], None if table is None else table[rows], mask[rows], memory)
        assert logits.dtype == memory.dtype == np.float32
        np.testing.assert_array_equal(np.isfinite(logits), mask[rows])
        np.testing.assert_allclose(logits, expected[rows], rtol=1e-4, atol=1e-5)


@with_or_without_memory
def test_rows_that_are_not_legal_change_nothing(recurrent: bool) -> None:
    group = GROUPS["table"]
    actor = weights_of(network_of(group, recurrent))
    vector, table, mask = observed(group, 4)
    memory = np.zeros((4, actor.memory), dtype=np.float32)
    wider = np.concatenate([table, np.full((4, 5, 3), 9, dtype=np.float32)], axis=1)
    wider_mask = np.concatenate([mask[:, :6], np.zeros((4, 5), dtype=np.bool_), mask[:, 6:]], axis=1)
    logits, _ = actor.look(vector, table, mask, memory)
    wide, _ = actor.look(vector, wider, wider_mask, memory)
    np.testing.assert_array_equal(logits[:, :6], wide[:, :6])
    np.testing.assert_array_equal(logits[:, 6:], wide[:, 11:])


def test_actions_are_drawn_in_proportion_and_never_an_illegal_one() -> None:
    logits = np.tile(np.array([[-np.inf, 0.0, np.log(3.0), -np.inf]], dtype=np.float32), (1000, 1))
    uniform = (np.arange(1000) + 0.5) / 1000
    counts = np.bincount(chosen_actions(logits, 1.0, uniform), minlength=4)
    assert counts.tolist() == [0, 250, 750, 0]
    sharper = np.bincount(chosen_actions(logits, 0.5, uniform), minlength=4)
    assert sharper.tolist() == [0, 100, 900, 0]
    assert set(chosen_actions(logits, 0.0, uniform)) == {2}
    extremes = chosen_actions(logits[:2], 1.0, np.array([0.0, np.nextafter(1.0, 0.0)]))
    assert set(extremes) == {1, 2}


# --- rollouts


def test_a_decision_is_paid_until_the_next_one_of_the_same_agent() -> None:
    (episode,) = played(CountingTask(steps=7), [0])
    fast, _, slow = episode.trajectories
    assert fast.reward.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert fast.time_s.tolist() == [0, 10, 30, 60, 100, 150, 210, 280]
    # Asked at steps 1 and 4; what was paid for step 0 came before its first decision.
    assert slow.time_s.tolist() == [10, 100, 280]
    assert slow.reward.tolist() == [2 + 3 + 4, 5 + 6 + 7]
    assert slow.state[:, 0].tolist() == [1, 4, 7]
    assert (len(slow.mask), len(slow.action)) == (3, 2)
    assert episode.steps == 7 + 7 + 2
    assert episode.seed == 0


def test_an_end_of_the_world_and_a_cut_are_told_apart() -> None:
    assert all(each.over for each in played(CountingTask(), [0])[0].trajectories)
    assert not any(each.over for each in played(CountingTask(cut=True), [0])[0].trajectories)


def test_games_side_by_side_are_the_games_one_after_the_other() -> None:
    task = CountingTask()
    together = played(task, [3, 8])
    layout = layout_of(task.make())
    for number, (seed, episode) in enumerate(zip([3, 8], together, strict=True)):
        (alone,) = play(task, [task.make()], layout, actors_of(layout), [Job(seed, (1, number))], Manner())
        for one, other in zip(alone.trajectories, episode.trajectories, strict=True):
            assert one.action.tolist() == other.action.tolist()
            np.testing.assert_array_equal(one.vector, other.vector)


def test_the_memory_of_a_trajectory_is_that_before_each_look() -> None:
    (episode,) = played(CountingTask(), [1], recurrent=True)
    fast = episode.trajectories[0]
    actor = actors_of(layout_of(Counting(3)), recurrent=True)["fast"]
    memory = np.zeros((1, actor.memory), dtype=np.float32)
    for step in range(len(fast.action)):
        np.testing.assert_allclose(fast.memory[step], memory[0], atol=1e-6)
        _, memory = actor.look(fast.vector[step : step + 1], None, fast.mask[step : step + 1], memory)


def test_a_tutor_moves_as_often_as_it_is_followed_and_is_always_noted() -> None:
    task, game = CountingTask(), Counting(steps=30)
    layout = layout_of(game)
    for follow in (0.0, 0.5, 1.0):
        manner = Manner(follow=follow, taught=True)
        (episode,) = play(task, [game], layout, actors_of(layout), [Job(2, (1,))], manner)
        assert not game.tutored  # it is asked for advice, and leaves nothing behind
        fast = episode.trajectories[0]
        assert fast.taught.tolist() == [(step + 2) % 3 for step in range(30)]
        agreed = (fast.action == fast.taught).mean()
        assert agreed == 1 if follow == 1 else 0.1 < agreed < 0.95


def test_a_role_that_does_not_learn_is_played_by_its_tutor() -> None:
    task, game = CountingTask(), Counting(7)
    layout = layout_of(game, roles=("slow",))
    (episode,) = play(task, [game], layout, actors_of(layout), [Job(0, (1,))], Manner())
    assert [each.agent for each in episode.trajectories] == ["slow_0"]
    slow_right = int((episode.trajectories[0].action == 2).sum())
    assert game.right == 14 + slow_right
    assert game.tutored == {"fast_0", "fast_1"}
    with pytest.raises(ConfigError, match="nobody plays or teaches the role 'fast'"):
        play(CountingTask(taught=False), [game], layout, actors_of(layout), [Job(0, (1,))], Manner())


# --- advantages


def by_hand(each: Trajectory, values: Any, config: MarlConfig) -> list[float]:
    """Generalised advantages from their definition: the sum of all later surprises, each discounted by time."""
    steps = len(each.action)
    found = []
    for t in range(steps):
        advantage, weight = 0.0, 1.0
        for later in range(t, steps):
            discount = config.gamma ** ((each.time_s[later + 1] - each.time_s[later]) / config.tau_s)
            following = 0.0 if later == steps - 1 and each.over else values[later + 1]
            advantage += weight * (each.reward[later] + discount * following - values[later])
            weight *= discount * config.gae_lambda
        found.append(advantage)
    return found


@pytest.mark.parametrize("cut", [False, True], ids=["over", "cut"])
def test_advantages_are_those_of_the_own_decision_times(cut: bool) -> None:
    config = MarlConfig(gamma=0.9, tau_s=30.0, gae_lambda=0.8)
    for batch in counting_batches([1, 2], cut):
        values = np.random.default_rng(2).normal(size=len(batch.action)).astype(np.float32)
        advantage, target = advantages(batch, values, config)
        for first, each in zip(batch.first_row, batch.trajectories, strict=True):
            rows = slice(first, first + len(each.action))
            expected = np.array(by_hand(each, values[first:], config))
            np.testing.assert_allclose(advantage[rows], expected, rtol=1e-4)
            np.testing.assert_allclose(target[rows], expected + values[rows], rtol=1e-4)


def test_siblings_take_off_what_the_load_alone_brings() -> None:
    config = MarlConfig(gamma=0.9, tau_s=30.0)
    twins, strangers = counting_batches([5, 5])[0], counting_batches([5, 6])[0]
    for batch, is_left in ((twins, False), (strangers, True)):
        values = np.zeros(len(batch.action), dtype=np.float32)
        advantage, target = advantages(batch, values, config)
        assert bool(advantage[batch.decided].any()) is is_left  # both are paid alike, whatever they do
        assert bool(target[batch.decided].all())


def test_the_baseline_of_siblings_is_the_mean_of_the_others_at_that_time() -> None:
    batch = counting_batches([5, 5, 5, 6])[0]
    for number, each in enumerate(batch.trajectories):
        each.reward[:] = number
    config = MarlConfig(gamma=1.0, gae_lambda=1.0)
    advantage, _ = advantages(batch, np.zeros(len(batch.action), dtype=np.float32), config)
    # Trajectories 0, 2, 4 are of fast_0 with seed 5: left to be paid are 0, 2 and 4 per step.
    left = np.arange(7, 0, -1)
    for number, others in ((0, (2 + 4) / 2), (2, (0 + 4) / 2), (4, (0 + 2) / 2), (6, 0)):
        first = batch.first_row[number]
        np.testing.assert_allclose(advantage[first : first + 7], (number - others) * left, rtol=1e-5)


@pytest.mark.parametrize("chunk", [1, 3])
def test_minibatches_hold_every_decision_once_and_chunks_stay_in_their_trajectory(chunk: int) -> None:
    (batch, _) = counting_batches([1, 2])
    parts = list(minibatches(batch, 6, chunk, np.random.default_rng(1)))
    assert len(parts) > 2
    rows = np.concatenate([part.ravel() for part in parts])
    assert sorted(rows[rows != NOTHING].tolist()) == batch.decided.tolist()
    ends = set((batch.first_row + 7).tolist())
    for part in parts:
        assert len(part) == chunk
        for column in part.T.tolist():
            there = [row for row in column if row != NOTHING]
            assert there == list(range(there[0], there[0] + len(there)))
            assert not ends & set(there)
            assert column[len(there) :] == [NOTHING] * (chunk - len(there))


# --- learning steps


@with_or_without_memory
def test_the_learner_sees_the_probabilities_that_the_player_played_with(recurrent: bool) -> None:
    layout = layout_of(Counting(3))
    for group, batch in zip(layout.groups, counting_batches([1, 2], recurrent=recurrent), strict=True):
        network = torch_actor(group, 8, recurrent)
        actor = actors_of(layout, recurrent)[group.name]
        network.load_state_dict({name: torch.from_numpy(array) for name, array in actor.arrays.items()})
        chunk = 3 if recurrent else 1
        for rows in minibatches(batch, 6, chunk, np.random.default_rng(1)):
            with torch.no_grad():
                log_p, of = log_probabilities(network, batch, rows)
            table = None if batch.table is None else batch.table[of].numpy()
            logits, _ = actor.look(batch.vector[of].numpy(), table, batch.mask[of].numpy(), batch.memory[of].numpy())
            expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            np.testing.assert_allclose(log_p, expected, rtol=1e-3, atol=1e-5)


@with_or_without_memory
def test_ppo_makes_good_actions_more_probable_and_bad_ones_less(recurrent: bool) -> None:
    batch = counting_batches([1, 2], recurrent=recurrent)[0]
    network = network_of(batch.group, recurrent)
    config = replace(SMALL, recurrent=recurrent, chunk=3)
    is_good = (batch.action.numpy() == 0)[batch.decided]
    good, bad = batch.decided[is_good], batch.decided[~is_good]
    assert min(len(good), len(bad)) > 3
    advantage = torch.zeros(len(batch.action))
    advantage[good] = 1.0

    def probable() -> Any:
        found = torch.zeros(len(batch.action))
        with torch.no_grad():
            for rows in minibatches(batch, 64, 3 if recurrent else 1, np.random.default_rng(1)):
                log_p, of = log_probabilities(network, batch, rows)
                found[of] = log_p.gather(1, batch.action[of][:, None]).squeeze(1)
        return found

    before = probable()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    improve(network, optimizer, batch, advantage, config, 0.0, np.random.default_rng(1))
    change = (probable() - before).numpy()
    assert change[good].mean() > 0.02
    assert change[bad].mean() < -0.02


def test_an_update_ends_when_the_actor_has_moved_far_enough() -> None:
    batch = counting_batches([1, 2])[0]
    advantage = (batch.action == 0).float()
    far = {}
    for limit in (1e-6, 10.0):
        network = network_of(batch.group, recurrent=False)
        config = replace(SMALL, divergence=limit, epochs=10, minibatch=4)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
        log = improve(network, optimizer, batch, advantage, config, 0.0, np.random.default_rng(1))
        far[limit] = log["divergence"]
        steps = float(next(iter(optimizer.state.values()))["step"])
        assert steps == 7 * (1 if limit < 1 else 10)
    assert 0 < far[1e-6] < far[10.0]


def test_changing_the_units_of_a_critic_changes_no_value() -> None:
    torch.manual_seed(1)
    head = ValueHead(6, groups=2).double()
    hidden = torch.randn(20, 6, dtype=torch.float64)
    rng = np.random.default_rng(1)
    for scale, shift in ((100, 40), (3, -7)):
        before = [head.in_reward(head(hidden, group), group) for group in (0, 1)]
        target = torch.from_numpy(rng.normal(shift, scale, 500))
        head.take_in(target, 1)
        for group in (0, 1):
            after = head.in_reward(head(hidden, group), group)
            np.testing.assert_allclose(after.detach(), before[group].detach(), rtol=1e-4, atol=1e-4)
    assert head.mean[0] == 0
    assert float(head.mean[1]) == pytest.approx((40 - 7) / 2, abs=5)


def test_the_first_targets_become_the_unit() -> None:
    head = ValueHead(4, groups=1)
    target = torch.from_numpy(np.random.default_rng(1).normal(50, 10, 4000))
    head.take_in(target, 0)
    normalised = head.normalised(target, 0)
    assert float(normalised.mean()) == pytest.approx(0, abs=1e-4)
    assert float(normalised.std()) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(head.in_reward(normalised, 0), target, rtol=1e-4)


def test_who_sees_what_of_the_world() -> None:
    batch = counting_batches([1, 2])[1]
    rows = torch.arange(len(batch.action))
    layout = layout_of(Counting(3))
    own = OwnCritic(batch.group, 8)
    central, blind = CentralCritic(layout, 8, own_observation=True), CentralCritic(layout, 8, own_observation=False)
    other_state = replace(batch, state=batch.state + 1)
    other_view = replace(batch, vector=batch.vector + 1)

    def differs(critic: Any, other: Batch) -> bool:
        with torch.no_grad():
            return not torch.equal(critic(batch, rows), critic(other, rows))

    assert [differs(own, other_state), differs(own, other_view)] == [False, True]
    assert [differs(central, other_state), differs(central, other_view)] == [True, True]
    assert [differs(blind, other_state), differs(blind, other_view)] == [True, False]


def test_the_central_critic_knows_who_is_asked() -> None:
    batch = counting_batches([1, 2])[0]
    critic = CentralCritic(layout_of(Counting(3)), 8, own_observation=False)
    first, second = batch.first_row[0], batch.first_row[1]  # of fast_0 and fast_1, at the same time
    with torch.no_grad():
        values = critic(batch, torch.tensor([first, second]))
    assert batch.state[first].tolist() == batch.state[second].tolist()
    assert float(values[0]) != float(values[1])


# --- processes


def test_processes_play_what_one_plays() -> None:
    task = SanityTask("yield")
    layout = layout_of(task.make())
    actors, jobs = actors_of(layout), [Job(seed, (7, seed)) for seed in range(20)]
    with Workers(task, layout, 1) as here, Workers(task, layout, 2) as there:
        expected, found = here.play(actors, jobs, Manner()), there.play(actors, jobs, Manner())
        again = there.play(actors, jobs[:1], Manner(temperature=0.0, record=False))
    assert [e.seed for e in found] == [e.seed for e in expected] == list(range(20))
    assert [e.cost for e in found] == [e.cost for e in expected]
    assert found[3].trajectories[1].action.tolist() == expected[3].trajectories[1].action.tolist()
    assert again[0].trajectories == []


def test_a_failure_in_a_process_is_told() -> None:
    task = SanityTask("yield")
    jobs = [Job(seed, (1,)) for seed in range(2)]
    with (
        pytest.raises(ClustersimError, match="has failed: KeyError: 'player'"),
        Workers(task, layout_of(task.make()), 2) as workers,
    ):
        workers.play({}, jobs, Manner())


def test_the_death_of_a_process_is_told() -> None:
    task = SanityTask("yield")
    layout = layout_of(task.make())
    jobs = [Job(seed, (1,)) for seed in range(2)]
    with Workers(task, layout, 2) as workers:
        os.kill(workers._processes[1].pid, signal.SIGKILL)
        workers._processes[1].join()
        with pytest.raises(ClustersimError, match="has died"):
            workers.play(actors_of(layout), jobs, Manner())


# --- training


class Interrupted(Exception):
    pass


def interrupt_after(update: int) -> Any:
    def progress(line: str) -> None:
        if line.split(",")[1] == str(update):
            raise Interrupted

    return progress


def trained(task: Any, config: MarlConfig, out: Path, **options: Any) -> dict[str, Any]:
    """The last networks and optimizers, flat."""
    train(task, config, out, **options)
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    return dict(state["learner"]) | {
        f"{name}/{number}/{key}": value
        for name, optimizer in state["optimizers"].items()
        for number, parts in optimizer["state"].items()
        for key, value in parts.items()
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"algo": "ippo"},
        {"algo": "mappo", "siblings": 2},
        {"algo": "mappo", "recurrent": True, "share": "none", "own_observation": False},
        {"algo": "ippo", "imitation_updates": 2, "critic_updates": 1, "validate_every": 1},
    ],
    ids=str,
)
def test_a_training_that_was_interrupted_goes_on_to_the_same_weights(changes: Any, tmp_path: Path) -> None:
    task, config = CountingTask(), replace(SMALL, **changes)
    whole = trained(task, config, tmp_path / "whole")
    for update in (1, 3):  # before the checkpoint of that update is written, so it is made once more
        with pytest.raises(Interrupted):
            train(task, config, tmp_path / "parts", resume=update > 1, progress=interrupt_after(update))
    in_parts = trained(task, config, tmp_path / "parts", resume=True)
    assert whole.keys() == in_parts.keys()
    assert any("exp_avg" in name for name in whole)
    for name, value in whole.items():
        assert torch.equal(value, in_parts[name]), name

    def log(folder: str) -> list[list[str]]:
        lines = (tmp_path / folder / "log.csv").read_text().splitlines()
        return [[*line.split(",")[:3], *line.split(",")[4:7]] for line in lines]

    assert log("whole") == log("parts")
    team, description = read_team(tmp_path / "whole", {})
    other, again = read_team(tmp_path / "parts", {})
    assert description["training"]["update"] == again["training"]["update"]
    for name, actor in team.items():
        for key, array in actor.arrays.items():
            np.testing.assert_array_equal(array, other[name].arrays[key])


def test_siblings_share_a_seed_and_no_two_updates_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played_jobs: list[list[Job]] = []
    really_play = Workers.play

    def spy(self: Workers, actors: Any, jobs: Any, manner: Manner) -> list[Episode]:
        played_jobs.append(list(jobs))
        return really_play(self, actors, jobs, manner)

    monkeypatch.setattr(Workers, "play", spy)
    config = replace(SMALL, siblings=2, updates=2, validate_every=1, temperatures=(0.0,))
    train(CountingTask(), config, tmp_path / "team")
    first, look, second, look_again = [[job.seed for job in jobs] for jobs in played_jobs]
    assert first[0] == first[1] != first[2] == first[3]
    assert not set(first) & {*second, *look}
    assert look == look_again
    assert min(*first, *look) > 100_000  # benchmarks use small seeds
    chances = [job.chance for jobs in played_jobs[::2] for job in jobs]
    assert len(set(chances)) == 8


def test_another_seed_makes_another_team(tmp_path: Path) -> None:
    first = trained(CountingTask(), SMALL, tmp_path / "1")
    second = trained(CountingTask(), replace(SMALL, seed=2), tmp_path / "2")
    assert not torch.equal(first["actors.fast.logit.weight"], second["actors.fast.logit.weight"])


@pytest.mark.long
def test_a_training_that_was_killed_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    config = replace(SMALL, workers=2, updates=12, episodes=8)
    whole = trained(SanityTask("cap-ahead"), config, tmp_path / "whole")
    script = tmp_path / "script.py"
    script.write_text(
        "import json, sys\n"
        "from pathlib import Path\n"
        "from clustersim.agents.marl_config import MarlConfig\n"
        "from clustersim.agents.marl_train import train\n"
        "from clustersim.agents.sanity import SanityTask\n"
        "if __name__ == '__main__':\n"
        "    config = json.loads(sys.argv[2]) | {'roles': (), 'temperatures': (0.0, 1.0)}\n"
        "    train(SanityTask('cap-ahead'), MarlConfig(**config), Path(sys.argv[1]))\n"
    )
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, script, out, json.dumps(asdict(config))])
    log = out / "log.csv"
    while not log.exists() or log.read_text().count("\n") < 4:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert log.read_text().count("\n") < 13
    resumed = trained(SanityTask("cap-ahead"), config, out, resume=True)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_imitation_learns_what_the_tutor_does(tmp_path: Path) -> None:
    config = replace(SMALL, imitation_updates=12, updates=1, imitation_minibatch=32, imitation_rate=1e-2)
    train(CountingTask(), config, tmp_path / "team", progress=(lines := []).append)
    # 7 + 7 + 2 questions per episode; the tutors answer all of them as wanted.
    assert lines[0].startswith("tutors,0,0,")
    assert float(lines[0].split(",")[5]) == -16
    assert json.loads((tmp_path / "team" / "policy.json").read_text())["training"]["validation_cost"] == -16


@pytest.mark.parametrize("algo", ["ippo", "mappo"])
def test_in_the_first_updates_only_the_critic_learns(algo: Any, tmp_path: Path) -> None:
    config = replace(SMALL, algo=algo, updates=2, critic_updates=1)
    with pytest.raises(Interrupted):
        train(CountingTask(), config, tmp_path / "a", progress=interrupt_after(2))
    once = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)["learner"]
    twice = trained(CountingTask(), config, tmp_path / "a", resume=True)
    torch.manual_seed(config.seed)
    start = torch_actor(layout_of(Counting(3)).groups[0], 8, False).state_dict()
    assert torch.equal(start["first.weight"], once["actors.fast.first.weight"])
    assert not torch.equal(start["first.weight"], twice["actors.fast.first.weight"])


def test_the_team_with_the_lowest_cost_on_validation_seeds_is_kept(tmp_path: Path) -> None:
    config = replace(SMALL, updates=12, validate_every=1, learning_rate=3e-2, temperatures=(0.0, 50.0))
    train(CountingTask(steps=4), config, tmp_path / "team", command="here", settings={"preset": "tiny"})
    lines = [line.split(",") for line in (tmp_path / "team" / "log.csv").read_text().splitlines()[1:]]
    costs = [float(line[5]) for line in lines]
    best = costs.index(min(costs))
    _, description = read_team(tmp_path / "team", CountingTask().columns())
    assert costs[best] < costs[0]
    assert description["training"]["validation_cost"] == costs[best]
    assert description["training"]["update"] == best + 1
    assert description["temperature"] == float(lines[best][6]) == 0.0
    assert description["training"]["command"] == "here"
    assert description["training"]["config"]["preset"] == "tiny"
    assert list((tmp_path / "team" / "tensorboard").iterdir())


def test_training_stops_when_patience_ends(tmp_path: Path) -> None:
    config = replace(SMALL, updates=50, validate_every=1, patience=3, learning_rate=1e-9)
    train(CountingTask(steps=4), config, tmp_path / "team")
    lines = (tmp_path / "team" / "log.csv").read_text().splitlines()[1:]
    assert len(lines) < 20
    costs = [float(line.split(",")[5]) for line in lines]
    assert len(costs) == costs.index(min(costs)) + 1 + 3


def test_a_folder_is_not_trained_over(tmp_path: Path) -> None:
    out = tmp_path / "team"
    with pytest.raises(ConfigError, match="no training to resume"):
        train(CountingTask(), SMALL, out, resume=True)
    train(CountingTask(), SMALL, out, settings={"preset": "tiny"})
    with pytest.raises(ConfigError, match="add --resume"):
        train(CountingTask(), SMALL, out)
    with pytest.raises(ConfigError, match="preset was 'tiny' and is now 'huge', hidden was 8 and is now 16"):
        train(CountingTask(), replace(SMALL, hidden=16), out, resume=True, settings={"preset": "huge"})


def test_a_training_that_is_done_goes_on_when_more_updates_are_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "team"
    train(CountingTask(), SMALL, out)
    train(CountingTask(), replace(SMALL, updates=6), out, resume=True)
    assert (out / "log.csv").read_text().splitlines()[-1].startswith("mappo,6,")
    assert json.loads((out / "config.json").read_text())["updates"] == 6


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(ConfigError, match="holds no training"):
        train(CountingTask(), SMALL, tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"algo": "dqn"}, "algo is 'dqn'; choose one of ippo, mappo"),
        ({"share": "all"}, "choose one of role, none"),
        ({"episodes": 0}, "episodes is 0"),
        ({"episodes": 6, "siblings": 4}, "6 episodes .* groups of 4"),
        ({"gamma": 0.0}, "gamma is 0"),
        ({"gae_lambda": 1.1}, "gae_lambda is 1.1"),
        ({"tau_s": 0.0}, "tau_s is 0"),
        ({"patience": -1}, "patience is -1"),
        ({"temperatures": ()}, "give at least one"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(changes: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        replace(SMALL, **changes)


# --- folders


def test_a_team_survives_its_folder_and_damage_is_told(tmp_path: Path) -> None:
    layout = layout_of(Counting(3))
    team = actors_of(layout, recurrent=True)
    columns = {"fast": ["phase", "seed"]}
    write_team(tmp_path / "team", {"scenario": "counting"}, columns, team, {"update": 3})
    again, description = read_team(tmp_path / "team", columns)
    assert description["scenario"] == "counting"
    assert again.keys() == team.keys()
    for name, actor in team.items():
        assert again[name].memory == 8
        for key, array in actor.arrays.items():
            np.testing.assert_array_equal(array, again[name].arrays[key])
    with pytest.raises(ClustersimError, match="other observations"):
        read_team(tmp_path / "team", {"fast": ["phase"]})
    weights = tmp_path / "team" / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:300])
    with pytest.raises(ClustersimError, match="weights of a team"):
        read_team(tmp_path / "team", columns)
    np.savez(weights, a=np.zeros(2))
    with pytest.raises(ClustersimError, match="belong to no group"):
        read_team(tmp_path / "team", columns)


def test_playing_needs_no_torch() -> None:
    code = (
        "import sys, clustersim.agents.marl_workers, clustersim.agents.sanity, clustersim.agents.marl_team\n"
        "print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
