"""The DAG scheduling agents: their network in two versions, their training, and how they play."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `agents` is not installed")

import torch

from clustersim.agents import dag_settings, shipped
from clustersim.agents.dag_config import DagTrainConfig
from clustersim.agents.dag_policy import DagPlayer, LearnedDagPolicy, columns, write_agent
from clustersim.agents.dag_settings import Setting
from clustersim.agents.dag_train import train
from clustersim.agents.graph import GraphWeights, torch_network, weights_of
from clustersim.agents.ppo_parts import gae
from clustersim.baselines.eft import EftAssign
from clustersim.baselines.fifo import Fifo
from clustersim.envs.dag_scheduling import DagDispatchEnv, DagSchedulingEnv, default_instances
from clustersim.errors import ClustersimError, ConfigError
from clustersim.policy import RandomPolicy, run
from clustersim.scenarios.dag_scheduling import ASSIGN, DISPATCH, ORDER, DagScheduling
from clustersim.traces.dag_load import dag_source

SHIPPED = {name: Path(next(iter(shipped.__path__))) / name for name in ("ppo-dag-soc", "ppo-dag-tpch")}


@cache
def network(dispatches: bool) -> Any:
    """The torch twin with weights far from their start."""
    torch.manual_seed(5)
    made = torch_network(12, dispatches)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.3)
    return made


def environment(dispatches: bool, **sizes: int) -> Any:
    make: Any = DagDispatchEnv if dispatches else DagSchedulingEnv
    return make(noise=0.3, **sizes)


def observations(dispatches: bool, **sizes: int) -> list[dict[str, np.ndarray]]:
    env = environment(dispatches, **sizes)
    rng = np.random.default_rng(1)
    seen, info = env.reset(seed=2)
    found = [seen]
    over = False
    while not over and len(found) < 40:
        seen, _, over, _, info = env.step(int(rng.choice(np.flatnonzero(info["action_mask"]))))
        if not over:
            found.append(seen)
    return found


def torch_logits(dispatches: bool, seen: dict[str, np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        logits, _ = network(dispatches)({name: torch.from_numpy(part[None]) for name, part in seen.items()})
    found: np.ndarray = logits[0].numpy()
    return found


every_kind = pytest.mark.parametrize("dispatches", [False, True], ids=["order", "dispatch"])

# --- network


@every_kind
def test_both_versions_compute_the_same_logits(dispatches: bool) -> None:
    weights = weights_of(network(dispatches))
    for seen in observations(dispatches):
        found, expected = weights.logits(seen), torch_logits(dispatches, seen)
        assert found.dtype == np.float32
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found.ravel(), expected[: found.size], rtol=1e-3, atol=1e-4 * scale)


@every_kind
def test_padding_changes_nothing(dispatches: bool) -> None:
    weights = weights_of(network(dispatches))
    narrow, wide = observations(dispatches), observations(dispatches, node_rows=300, edge_rows=900)
    for less, more in zip(narrow, wide, strict=True):
        assert len(less["tasks"]) < len(more["tasks"])
        np.testing.assert_allclose(weights.logits(less), weights.logits(more), rtol=1e-4, atol=1e-5)
        used = weights.logits(less).size
        wider = torch_logits(dispatches, more)[:used]
        np.testing.assert_allclose(torch_logits(dispatches, less)[:used], wider, rtol=1e-3, atol=1e-3)


def test_messages_go_from_successors_to_predecessors() -> None:
    weights = weights_of(network(False))
    seen = next(each for each in observations(False) if each["edge_mask"].sum() > 3)
    predecessor, successor = seen["edges"][0].astype(int)
    before = weights.logits(seen)
    changed = {name: part.copy() for name, part in seen.items()}
    changed["edge_mask"][:] = 0
    without = weights.logits(changed) - before
    source_rows = set(seen["edges"][: int(seen["edge_mask"].sum()), 0].astype(int).tolist())
    exits = [row for row in range(len(before)) if row not in source_rows]
    # What all tasks have in common shifts every logit; what a task hears from its successors only its own.
    shift = without[exits]
    assert np.ptp(shift) < 0.5 * np.ptp(without)
    assert predecessor in source_rows
    assert successor < len(before)


@every_kind
def test_weights_survive_a_file_and_damage_is_told(dispatches: bool, tmp_path: Path) -> None:
    weights = weights_of(network(dispatches))
    weights.save(tmp_path / "w.npz")
    again = GraphWeights.load(tmp_path / "w.npz")
    assert again.dispatches == dispatches
    seen = observations(dispatches)[0]
    np.testing.assert_array_equal(weights.logits(seen), again.logits(seen))
    (tmp_path / "broken.npz").write_bytes((tmp_path / "w.npz").read_bytes()[:200])
    with pytest.raises(ClustersimError, match=r"broken\.npz"):
        GraphWeights.load(tmp_path / "broken.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ClustersimError, match="it has no"):
        GraphWeights.load(tmp_path / "other.npz")


# --- playing


@every_kind
def test_a_player_does_what_its_logits_say(dispatches: bool) -> None:
    weights = weights_of(network(dispatches))
    env = environment(dispatches, node_rows=200, edge_rows=600)
    player = DagPlayer(weights)
    seen, info = env.reset(seed=4)
    over = False
    while not over:
        logits = weights.logits(seen).ravel()
        action = int(np.where(info["action_mask"][: len(logits)], logits, -np.inf).argmax())
        assert env.to_candidate(action) == player.act(env.decision)
        seen, _, over, _, info = env.step(action)


@every_kind
def test_a_player_plays_instances_of_any_size_with_failing_machines(dispatches: bool) -> None:
    player = DagPlayer(weights_of(network(dispatches)))
    for jobs, machines in ((1, 2), (30, 9)):
        source = dag_source("layered", machines=machines, jobs=jobs, tasks=(3, 30))
        world: dict[str, Any] = {"decide": "dispatch" if dispatches else "order"}
        scenario = DagScheduling(source, noise=0.2, failure_every_s=200.0, repair_s=20.0, **world)
        simulation = scenario.build(1)
        run(simulation, {DISPATCH: player, ORDER: player, ASSIGN: EftAssign()})
        assert simulation.metrics()["jobs_done"] == jobs


def test_an_agent_of_other_observations_is_refused(tmp_path: Path) -> None:
    write_agent(tmp_path, weights_of(network(False)), {"decide": "order"}, True, {"command": "none"})
    assert LearnedDagPolicy(tmp_path).world == {"decide": "order"}
    description = json.loads((tmp_path / "policy.json").read_text())
    description["columns"]["tasks"][0] = "colour"
    (tmp_path / "policy.json").write_text(json.dumps(description))
    with pytest.raises(ClustersimError, match="colour"):
        LearnedDagPolicy(tmp_path)


# --- training


def small_setting() -> Setting:
    """Two loads of random jobs; the reference is first in, first out."""
    sources = tuple(dag_source("layered", machines=3, jobs=6, tasks=(3, 8), load=load) for load in (0.5, 1.0))
    return Setting(
        sources,
        sources,
        True,
        {"decide": "dispatch", "binding": "firm"},
        {"noise": 0.3},
        lambda source: DagDispatchEnv(source, slots=8, node_rows=48, edge_rows=96, noise=0.3),
        dag_settings.EarlyAndShort,
        lambda: {ORDER: Fifo(), ASSIGN: EftAssign()},
        {"binding": "firm"},
    )


SMALL = DagTrainConfig(
    updates=4, imitation_updates=2, envs=3, steps=16, hidden=8, minibatch=24, validate_every=2, validation=2
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dag_settings.SETTINGS, "soc", small_setting)


@pytest.mark.usefixtures("small")
def test_training_writes_the_best_agent_and_a_log_and_repeats(tmp_path: Path) -> None:
    lines: list[str] = []
    train(SMALL, tmp_path / "a", "clustersim train", lines.append)
    train(SMALL, tmp_path / "b", "clustersim train")
    rows = [line.split(",") for line in (tmp_path / "a" / "log.csv").read_text().splitlines()]
    assert [",".join(row) for row in rows] == lines
    assert [(row[0], row[1]) for row in rows] == [("imitation", "2"), ("ppo", "2"), ("ppo", "4")]
    agent = LearnedDagPolicy(tmp_path / "a")
    assert agent.world == {"decide": "dispatch", "binding": "firm"}
    assert agent.description["training"]["validation_ratio"] == min(float(row[4]) for row in rows) or np.isclose(
        agent.description["training"]["validation_ratio"], min(float(row[4]) for row in rows), atol=1e-4
    )
    first, second = (np.load(tmp_path / name / "weights.npz") for name in ("a", "b"))
    assert all(np.array_equal(first[name], second[name]) for name in first.files)
    with pytest.raises(ConfigError, match="not empty"):
        train(SMALL, tmp_path / "a", "clustersim train")


@pytest.mark.long
@pytest.mark.usefixtures("small")
def test_learning_beats_chance(tmp_path: Path) -> None:
    config = DagTrainConfig(
        updates=30, imitation_updates=0, critic_updates=3, envs=8, steps=64, hidden=16, validate_every=30, validation=4
    )
    train(config, tmp_path / "agent", "clustersim train")
    agent = LearnedDagPolicy(tmp_path / "agent")
    ratios = []
    for seed in range(20):
        jct_s = []
        for player in (agent, RandomPolicy()):
            simulation = DagScheduling(small_setting().sources[1], noise=0.3, **agent.world).build(seed)
            run(simulation, {DISPATCH: player})
            jct_s.append(simulation.metrics()["jct_s_mean"])
        ratios.append(jct_s[0] / jct_s[1])
    mean, error = np.mean(ratios), np.std(ratios, ddof=1) / np.sqrt(len(ratios))
    assert mean + 2.1 * error < 1


def test_advantages_are_discounted_by_the_time_that_has_passed() -> None:
    rewards, values = np.float32([[1.0], [2.0]]), np.float32([[0.5], [0.25], [4.0]])
    discount, over = np.float32([[0.5], [0.1]]), np.array([[False], [False]])
    last = 2.0 + 0.1 * 4.0 - 0.25
    first = 1.0 + 0.5 * 0.25 - 0.5 + 0.9 * 0.5 * last
    np.testing.assert_allclose(gae(rewards, values, over, 0.9, discount)[:, 0], [first, last], rtol=1e-6)
    ended = np.array([[True], [False]])
    np.testing.assert_allclose(gae(rewards, values, ended, 0.9, discount)[0, 0], 1.0 - 0.5, rtol=1e-6)


def test_a_configuration_says_what_is_wrong_with_it() -> None:
    for change in ({"setting": "mars"}, {"updates": 0}, {"horizon": 0.0}, {"gae_lambda": 1.5}):
        with pytest.raises(ConfigError, match=next(iter(change))):
            DagTrainConfig(**change)  # type: ignore[arg-type]


# --- what is shipped


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_agent_plays_and_beats_chance(name: str) -> None:
    agent = LearnedDagPolicy(SHIPPED[name])
    assert agent.description["columns"] == columns()
    jct_s = {}
    for player in ("agent", "random"):
        simulation = DagScheduling(default_instances(), noise=0.3, **agent.world).build(1)
        players: dict[str, Any] = {DISPATCH: agent, ORDER: agent, ASSIGN: EftAssign()}
        if player == "random":
            players |= {DISPATCH: RandomPolicy(), ORDER: RandomPolicy()}
        run(simulation, players)
        jct_s[player] = simulation.metrics()["jct_s_mean"]
    assert jct_s["agent"] < jct_s["random"]
