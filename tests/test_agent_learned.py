"""A trained agent as a policy: it plays in both modes, needs no torch, and refuses folders that do not fit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustersim.agents.folder import DESCRIPTION, WEIGHTS, read
from clustersim.agents.learned import LearnedPolicy, columns, write_agent
from clustersim.agents.nodewise import NodewiseWeights
from clustersim.control import Decision
from clustersim.envs.pod_placement import NODES, POD, PodPlacementEnv
from clustersim.errors import ClustersimError
from clustersim.policy import run
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import PLACE
from clustersim.traces import openb_like
from clustersim.workload import PodWorkload


def weights(seed: int = 0, wait_bias: float = 0.0) -> NodewiseWeights:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    nodes, pod, hidden = len(NODES.columns), len(POD.columns), 8
    return NodewiseWeights(
        first=normal(2 * nodes + pod, hidden),
        first_bias=normal(hidden),
        second=normal(hidden, hidden),
        second_bias=normal(hidden),
        logit=normal(hidden),
        wait=np.zeros(nodes + pod, dtype=np.float32),
        wait_bias=np.float32(wait_bias),
    )


def agent(folder: Path, **options: Any) -> LearnedPolicy:
    write_agent(folder, weights(**options), {"note": "made up"})
    return LearnedPolicy(folder)


@cache
def small() -> PodWorkload:
    return openb_like(1, nodes=24, pods=60)


class Watched:
    """Plays like an agent and checks that every answer is the best legal one by its logits."""

    def __init__(self, policy: LearnedPolicy) -> None:
        self.policy = policy
        self.answers: Counter[str] = Counter()

    def reset(self, rng: np.random.Generator) -> None:
        self.policy.reset(rng)

    def act(self, decision: Decision) -> int:
        k = self.policy.act(decision)
        count = len(decision.view.cluster)
        nodes, pod = np.zeros((count, len(NODES.columns)), dtype=np.float32), POD.buffer()
        NODES.fill(decision, nodes)
        POD.fill(decision, pod)
        fitting = np.flatnonzero(decision.mask[:count])
        may_wait = len(decision.mask) > count and bool(decision.mask[count])
        logits = self.policy._weights.logits(nodes[fitting], pod, may_wait)
        assert k == [*fitting, count][int(np.argmax(logits))]
        self.answers["wait" if k == count else "place"] += 1
        self.answers["may wait"] += may_wait
        return k


def test_an_agent_plays_inflation_and_repeats_itself(tmp_path: Path) -> None:
    policy = Watched(agent(tmp_path))
    scenario = PodPlacement(small(), nodes=12)
    metrics = []
    for _ in range(2):
        simulation = scenario.build(3)
        assert run(simulation, {PLACE: policy}) > 20
        metrics.append(simulation.metrics())
    assert repr(metrics[0]) == repr(metrics[1])
    assert policy.answers["wait"] == 0


@pytest.mark.parametrize(("wait_bias", "waits"), [(-1e9, "never"), (1e9, "always"), (0.0, "sometimes")])
def test_an_agent_plays_replay_and_waits_when_it_prefers_to(tmp_path: Path, wait_bias: float, waits: str) -> None:
    policy = Watched(agent(tmp_path, wait_bias=wait_bias))
    simulation = PodPlacement(small(), mode="replay", nodes=6, arrival_speedup=3000.0).build(3)
    run(simulation, {PLACE: policy})
    metrics = simulation.metrics()
    assert metrics["pods_placed"] + metrics["pods_pending"] == metrics["pods_arrived"] == 60
    assert policy.answers["may wait"] > 20
    found = policy.answers["wait"]
    assert {"never": found == 0, "always": found == policy.answers["may wait"], "sometimes": found > 0}[waits]
    if waits == "sometimes":
        assert found < policy.answers["may wait"]


def test_one_agent_plays_on_clusters_of_any_size_in_turn(tmp_path: Path) -> None:
    policy = Watched(agent(tmp_path))
    workload = openb_like(1, nodes=200, pods=300)
    for nodes in (16, 200, 1, 16):
        assert run(PodPlacement(workload, nodes=nodes).build(1), {PLACE: policy}) > 0


def test_an_agent_sees_what_the_environment_shows(tmp_path: Path) -> None:
    """The environment, driven by the same weights on its observations, plays the same episode."""
    policy = agent(tmp_path)
    env = PodPlacementEnv(small(), nodes=12, rows=15)
    observation, info = env.reset(seed=5)
    over = False
    while not over:
        legal = np.flatnonzero(info["action_mask"])
        logits = policy._weights.logits(observation["nodes"][legal], observation["pod"], False)
        observation, _, over, _, info = env.step(int(legal[logits.argmax()]))
    simulation = env.scenario.build(5)
    run(simulation, {PLACE: policy})
    assert repr(simulation.metrics()) == repr(info["metrics"])


# --- folders that do not fit


def test_the_description_says_how_the_agent_was_made(tmp_path: Path) -> None:
    agent(tmp_path / "new" / "folder")
    description = read(tmp_path / "new" / "folder", columns())
    assert description["training"] == {"note": "made up"}
    assert description["columns"] == columns()


@pytest.mark.parametrize("table", ["nodes", "pod"])
@pytest.mark.parametrize(
    "change", [lambda names: names[:-1], lambda names: names[::-1], lambda names: [*names, "more"]]
)
def test_an_agent_of_other_columns_is_refused(tmp_path: Path, table: str, change: Any) -> None:
    agent(tmp_path)
    description = json.loads((tmp_path / DESCRIPTION).read_text())
    description["columns"][table] = change(description["columns"][table])
    (tmp_path / DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(ClustersimError, match=f"other observations: its {table} columns .* train it again"):
        LearnedPolicy(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"columns": 3}', b'"text"', b"null", b"\xff\xfe\x00"])
def test_a_damaged_description_is_named(tmp_path: Path, content: bytes) -> None:
    agent(tmp_path)
    (tmp_path / DESCRIPTION).write_bytes(content)
    with pytest.raises(ClustersimError, match=r"policy\.json"):
        LearnedPolicy(tmp_path)


def test_a_folder_without_an_agent_is_no_agent(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent", Path(__file__)):
        with pytest.raises(ClustersimError, match="no trained agent"):
            LearnedPolicy(path)
    agent(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(ClustersimError, match=r"weights\.npz"):
        LearnedPolicy(tmp_path)


@pytest.mark.parametrize("module", ["clustersim.agents.learned", "clustersim.envs", "clustersim.cli"])
def test_playing_needs_no_learning_library(module: str) -> None:
    script = (
        f"import sys, {module}\n"
        "heavy = ('torch', 'stable_baselines3', 'sb3_contrib', 'ortools', 'tensorboard')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
