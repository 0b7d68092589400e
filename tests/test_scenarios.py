"""What every registered scenario promises: it has policies, and a seed plays the same episode again."""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np
import pytest

from clustersim import registry
from clustersim.baselines.joint import joint_name, joint_policies, parse_joint
from clustersim.baselines.registry import CONTROL_POLICIES, Team, names, team
from clustersim.dags import Dag, DagWorkload, uniform_machines
from clustersim.policy import run
from clustersim.power import PowerConfig
from clustersim.replica_sets import ReplicaSets
from clustersim.scenarios.control_roles import ROLES
from clustersim.traces import openb_like
from clustersim.traces.control_load import control_source
from clustersim.traces.vm_drift import Drifting
from clustersim.traces.vm_like import VmLike


def dags(seed: int) -> DagWorkload:
    """Four jobs of six tasks on three machines, with data to send, that arrive while others run."""
    rng = np.random.default_rng(seed)
    edges = np.array([(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5)])
    jobs = tuple(
        Dag(f"job-{j}", tuple("abcdef"), rng.uniform(1, 9, (6, 3)), edges, rng.uniform(0, 4, 6)) for j in range(4)
    )
    return DagWorkload("small", uniform_machines(3, bytes_per_s=1.0), jobs, np.array([0.0, 0.0, 5.0, 11.0]))


EXAMPLES: dict[str, tuple[Any, dict[str, Any]]] = {
    "pod-placement": (openb_like(1, nodes=10, days=1), {"mode": "replay"}),
    "pod-packing": (ReplicaSets(8, 4, usage=1.0), {}),
    "dag-scheduling": (dags, {}),
    "vm-rescheduling": (
        Drifting(VmLike(machines=10), turnover_s=300.0, horizon_s=120.0),
        {"mnl": 6, "delay_s": 5.0, "every_s": 60.0, "horizon_s": 120.0, "takes_time": True},
    ),
    "cluster-control": (control_source("small", duration_s=300.0), {"power": PowerConfig(oversubscription=0.25)}),
}
"""The first argument of each scenario, and the options that let all its policies and teams play."""


ORDINARY = parse_joint("placer=fgd,scaler=hpa,capper=polca,migrator=none")


def players_of(name: str) -> tuple[str, ...]:
    """Policies and teams of a scenario; of the shared cluster every policy of a role in an ordinary team."""
    if name != "cluster-control":
        return names(name)
    return tuple(joint_name(ORDINARY | {role: player}) for role in ROLES for player in CONTROL_POLICIES[role])


def team_of(name: str, player: str) -> Team:
    if name != "cluster-control":
        return team(name, player)
    return Team(lambda: {role: make() for role, make in joint_policies(player).items()})


def registered() -> list[tuple[str, str]]:
    return [(name, player) for name in registry.SCENARIOS for player in dict.fromkeys(players_of(name))]


def test_every_scenario_has_policies_and_every_policy_a_scenario() -> None:
    assert set(registry.SCENARIOS) == set(EXAMPLES)
    assert all(players_of(name) for name in registry.SCENARIOS)


@pytest.mark.parametrize(("name", "player"), registered())
def test_a_whole_episode_of_every_scenario_repeats(name: str, player: str) -> None:
    def transcript() -> tuple[list[str], dict[str, float], int]:
        (first_argument, options), chosen = EXAMPLES[name], team_of(name, player)
        simulation = registry.scenario(name)(first_argument, **options, **chosen.world).build(7)
        decisions = run(simulation, chosen.players())
        figures = {key: value for key, value in simulation.metrics().items() if not isnan(value)}
        assert simulation.control.advance() is None
        return simulation.log.lines(), figures, decisions

    first = transcript()
    assert first == transcript()
    assert first[2] > 10
