"""Passing over many instances at a time is the same as an event for each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stage_jobs import stages

from clustersim.baselines.eft import EftAssign
from clustersim.baselines.fair_share import FairShare
from clustersim.dags import Dag, DagWorkload, batch, uniform_machines
from clustersim.policy import Policy, RandomPolicy, run
from clustersim.scenarios.dag_scheduling import DagScheduling, DagSchedulingSimulation

WORLDS: dict[str, dict[str, Any]] = {
    "late": {},
    "firm": {"binding": "firm"},
    "late-noise": {"noise": 0.3},
    "firm-noise": {"noise": 0.3, "binding": "firm"},
    "dispatch": {"decide": "dispatch", "noise": 0.2},
    "dispatch-firm": {"decide": "dispatch", "binding": "firm", "max_jobs": 2},
}


def later(seed: int) -> DagWorkload:
    """The same jobs one after another, so that arrivals and data come between the ends of instances."""
    workload = stages(seed)
    arrival_s = np.sort(np.random.default_rng(seed).uniform(0, 20, len(workload.jobs)))
    return DagWorkload("later", workload.machines, workload.jobs, arrival_s, workload.switch_s)


def alike(seed: int) -> DagWorkload:
    """Equal machines and equal run times: many instances end at the same instant."""
    rng = np.random.default_rng(seed)
    jobs = [
        Dag(
            f"job-{number}",
            ("a", "b", "c"),
            np.full((3, 8), 2.0),
            np.array([[0, 1], [0, 2]]),
            np.zeros(2),
            rng.integers(1, 40, 3),
            np.ones(3),
        )
        for number in range(3)
    ]
    return batch("alike", uniform_machines(8), jobs, switch_s=1.0)


def played(scenario: DagScheduling, seed: int, order: Policy) -> tuple[DagSchedulingSimulation, int]:
    simulation = scenario.build(seed)
    return simulation, run(simulation, {"order": order, "assign": EftAssign(), "dispatch": RandomPolicy()})


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plays a scenario with an event for every instance."""

    def play(scenario: DagScheduling, seed: int, order: Policy) -> tuple[DagSchedulingSimulation, int]:
        with monkeypatch.context() as patched:
            patched.setattr(DagSchedulingSimulation, "_linger_many_at_a_time", lambda self: None)
            return played(scenario, seed, order)

    return play


@pytest.mark.parametrize("order", [RandomPolicy, FairShare])
@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize("workload", [stages, later, alike])
def test_passing_over_instances_changes_nothing(one_by_one: Any, workload: Any, world: Any, order: Any) -> None:
    scenario = DagScheduling(workload, **world)
    for seed in range(6):
        expected, decisions = one_by_one(scenario, seed, order())
        found, found_decisions = played(scenario, seed, order())
        assert expected._lingering is None
        assert found._lingering is not None
        assert found_decisions == decisions
        assert found.log.lines() == expected.log.lines()
        assert found.metrics() == pytest.approx(expected.metrics(), nan_ok=True)
        assert found.metrics()["jobs_done"] == len(found.workload.jobs)
        np.testing.assert_array_equal(found.state.ran_on, expected.state.ran_on)
        np.testing.assert_allclose(found.state.data_at_s, expected.state.data_at_s)


def test_what_a_policy_sees_on_the_way_is_the_same(one_by_one: Any) -> None:
    class Witness(RandomPolicy):
        def __init__(self) -> None:
            self.seen: list[tuple[float, ...]] = []

        def act(self, decision: Any) -> int:
            view = decision.view
            arrays = (view.unstarted, view.running, view.free_at_s, view.data_at_s, view.ready, view.open)
            self.seen.append((decision.time_s, *(float(np.sum(array)) for array in arrays)))
            return super().act(decision)

    for world in WORLDS.values():
        if world.get("decide") == "dispatch":
            continue
        first, second = Witness(), Witness()
        one_by_one(DagScheduling(later, **world), 3, first)
        played(DagScheduling(later, **world), 3, second)
        np.testing.assert_allclose(second.seen, first.seen)


def test_energy_and_job_time_are_the_same_at_every_decision(one_by_one: Any) -> None:
    class Meter(RandomPolicy):
        def __init__(self) -> None:
            self.simulation: DagSchedulingSimulation
            self.seen: list[tuple[float, float]] = []

        def act(self, decision: Any) -> int:
            self.seen.append((self.simulation.cost("energy"), self.simulation.cost("job_time")))
            return super().act(decision)

    meters = []
    for play_one_by_one in (True, False):
        with pytest.MonkeyPatch.context() as patched:
            if play_one_by_one:
                patched.setattr(DagSchedulingSimulation, "_linger_many_at_a_time", lambda self: None)
            meter = Meter()
            meter.simulation = DagScheduling(later, noise=0.2).build(2)
            run(meter.simulation, {"order": meter, "assign": EftAssign()})
        meters.append(meter.seen)
    np.testing.assert_allclose(meters[1], meters[0])


def test_every_instance_has_an_event_where_rates_may_change() -> None:
    for disturbance in ({"slowdown_every_s": 100.0}, {"failure_every_s": 100.0}, {"linger": False}):
        assert DagScheduling(stages, **disturbance).build(1)._lingering is None  # type: ignore[arg-type]
