"""What every registered scenario promises: it has policies, and a seed plays the same episode again."""

from __future__ import annotations

from math import isnan
from typing import Any

import pytest

from clustersim import registry
from clustersim.baselines.kube import kube_default
from clustersim.baselines.registry import POLICIES, policy
from clustersim.policy import Policy, ScorePolicy, run
from clustersim.replica_sets import ReplicaSets
from clustersim.scenarios.pod_packing import REPAIR
from clustersim.scenarios.pod_world import PLACE
from clustersim.traces import openb_like

EXAMPLES: dict[str, tuple[Any, str]] = {
    "pod-placement": (openb_like(1, nodes=10, days=1), PLACE),
    "pod-packing": (ReplicaSets(8, 4, usage=1.0), REPAIR),
}
"""The first argument of each scenario, and its main role: the one that its policies play."""


def registered() -> list[tuple[str, str]]:
    return [(name, player) for name in registry.SCENARIOS for player in POLICIES.get(name, ())]


def test_every_scenario_has_policies_and_every_policy_a_scenario() -> None:
    assert set(registry.SCENARIOS) == set(POLICIES) == set(EXAMPLES)
    assert all(POLICIES.values())


@pytest.mark.parametrize(("name", "player"), registered())
def test_a_whole_episode_of_every_scenario_repeats(name: str, player: str) -> None:
    example, role = EXAMPLES[name]

    def transcript() -> tuple[list[str], dict[str, float], int]:
        simulation = registry.scenario(name)(example).build(7)
        players: dict[str, Policy] = {PLACE: ScorePolicy(kube_default)}
        decisions = run(simulation, {**players, role: policy(name, player)})
        figures = {key: value for key, value in simulation.metrics().items() if not isnan(value)}
        assert simulation.control.advance() is None
        return simulation.log.lines(), figures, decisions

    first = transcript()
    assert first == transcript()
    assert first[2] > 10
