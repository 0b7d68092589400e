"""The agents that come with clustersim can be loaded, are small, hold no pickles and say how they were trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustersim.agents import shipped
from clustersim.agents.folder import DESCRIPTION, WEIGHTS
from clustersim.agents.learned import LearnedPolicy
from clustersim.bench.control_teams import SHIPPED_TEAMS, make_team
from clustersim.bench.pod_placement import SHIPPED_AGENT, make_policy
from clustersim.policy import run
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import PLACE
from clustersim.traces import openb_like
from clustersim.traces.control_scenario import control_scenario

AGENTS = sorted(
    path for path in Path(next(iter(shipped.__path__))).iterdir() if path.is_dir() and not path.name.startswith("__")
)
every_agent = pytest.mark.parametrize("folder", AGENTS, ids=[path.name for path in AGENTS])


def of_placement(folder: Path) -> bool:
    return bool(json.loads((folder / DESCRIPTION).read_text())["scenario"] == "pod-placement")


PLACEMENT_AGENTS = [path for path in AGENTS if of_placement(path)]
every_placement_agent = pytest.mark.parametrize(
    "folder", PLACEMENT_AGENTS, ids=[path.name for path in PLACEMENT_AGENTS]
)


def test_an_agent_is_shipped_and_found_by_name() -> None:
    assert SHIPPED_AGENT in [path.name for path in AGENTS]
    policy = make_policy(SHIPPED_AGENT)
    assert isinstance(policy, LearnedPolicy)
    assert policy.folder.name == SHIPPED_AGENT


@every_agent
def test_its_files_are_small_and_hold_no_pickles(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {DESCRIPTION, WEIGHTS} <= {path.name for path in files}
    assert all(path.stat().st_size < 2_000_000 for path in files)
    assert not [path.name for path in files if path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".zip")]
    with np.load(folder / WEIGHTS, allow_pickle=False) as arrays:
        assert all(np.issubdtype(arrays[name].dtype, np.floating) for name in arrays)
        assert not any(np.isnan(arrays[name]).any() for name in arrays)


@every_agent
def test_it_says_how_it_was_trained(folder: Path) -> None:
    text = (folder / DESCRIPTION).read_text()
    training = json.loads(text)["training"]
    assert training["command"].startswith(("clustersim train ", "python -m clustersim.agents."))
    assert training["config"]["seed"] >= 0
    assert "/work/" not in text  # no path of somebody's machine


@every_placement_agent
@pytest.mark.parametrize("mode", ["inflation", "replay"])
def test_it_plays(folder: Path, mode: str) -> None:
    workload = openb_like(3, nodes=64)
    options: dict[str, Any] = {"arrival_speedup": 500.0} if mode == "replay" else {}
    simulation = PodPlacement(workload, mode=mode, nodes=32, **options).build(1)  # type: ignore[arg-type]
    assert run(simulation, {PLACE: LearnedPolicy(folder)}) > 100
    metrics = simulation.metrics()
    if mode == "inflation":
        assert metrics["gpu_allocation_at_100"] > 0.8
    else:
        assert metrics["pods_pending"] == 0


@pytest.mark.parametrize("name", SHIPPED_TEAMS)
@pytest.mark.parametrize("preset", ["small", "medium"])
def test_a_team_plays_the_cluster_it_was_trained_on_and_a_larger_one(name: str, preset: str) -> None:
    simulation = control_scenario(preset, duration_s=300.0).build(1)
    decisions = run(simulation, {role: player() for role, player in make_team(name).players.items()})
    assert decisions > 100
    metrics = simulation.metrics()
    assert metrics["pods_arrived"] > metrics["pods_waiting"]
    assert metrics["slo_miss_share"] < 0.5
