"""The two settings that DAG scheduling agents are trained in: a noisy system on a chip, and TPC-H queries on Spark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clustersim.agents.dag_policy import DagPlayer
from clustersim.baselines.eft import EftAssign
from clustersim.baselines.fair_share import FairShare
from clustersim.baselines.heft_rt import heft_rt
from clustersim.dags import DagWorkload
from clustersim.envs.dag_scheduling import DagDispatchEnv, DagEnv, DagSchedulingEnv
from clustersim.policy import Policy
from clustersim.scenarios.dag_scheduling import ASSIGN, DISPATCH, ORDER, DagScheduling
from clustersim.traces.dag_load import dag_source

Instances = Callable[[int], DagWorkload]


@dataclass(frozen=True)
class Setting:
    """Episodes to train on, how the agent plays in them, who teaches it, and what it is measured by."""

    sources: tuple[Instances, ...]
    """Training games take them in turn."""
    validation_sources: tuple[Instances, ...]
    dispatches: bool
    world: dict[str, Any]
    """Fields of the scenario that the agent plays with."""
    conditions: dict[str, Any]
    """Fields of the scenario that are the same for everybody: noise."""
    make: Callable[[Instances], DagEnv]
    teacher: Callable[[], Policy]
    reference: Callable[[], dict[str, Policy]]
    """The policies that validation compares with."""
    reference_world: dict[str, Any] = field(default_factory=dict)
    assign: Callable[[], Policy] = EftAssign

    def env(self, index: int) -> DagEnv:
        return self.make(self.sources[index % len(self.sources)])

    def validation(self, reference: bool) -> list[DagScheduling]:
        world = self.reference_world if reference else self.world
        return [DagScheduling(source, **self.conditions, **world) for source in self.validation_sources]

    def players(self, player: DagPlayer | None) -> Mapping[str, Policy]:
        if player is None:
            return self.reference()
        return {DISPATCH: player} if self.dispatches else {ORDER: player, ASSIGN: self.assign()}


class FastestMachine:
    """Teaches to dispatch: the first ready task, to the machine that runs it fastest (MET)."""

    def reset(self, rng: Any) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Any) -> int:
        machines = decision.view.problem.machines
        node = int(decision.mask.argmax()) // machines
        return node * machines + int(decision.view.problem.run_time_s[node].argmin())


SOC_NOISE = 0.3
SOC_LOADS = (0.4, 0.6, 0.8, 0.95)


def _soc() -> Setting:
    sources = tuple(dag_source("soc", jobs=60, arrivals="poisson", load=load) for load in SOC_LOADS)
    world = {"decide": "dispatch", "binding": "firm"}
    return Setting(
        sources,
        tuple(dag_source("soc", jobs=100, arrivals="poisson", load=load) for load in (0.5, 0.95)),
        True,
        world,
        {"noise": SOC_NOISE},
        lambda source: DagDispatchEnv(source, slots=16, node_rows=128, edge_rows=256, noise=SOC_NOISE),
        FastestMachine,
        lambda: {ORDER: heft_rt(), ASSIGN: EftAssign()},
        {"binding": "firm"},
    )


def _tpch() -> Setting:
    source = dag_source("tpch", machines=50, jobs=20)
    return Setting(
        (source,),
        (source,),
        False,
        {"decide": "order", "binding": "late", "linger": True},
        {},
        lambda source: DagSchedulingEnv(source, node_rows=360, edge_rows=400, assign=EftAssign(open_only=True)),
        lambda: FairShare(-1.0),
        lambda: {ORDER: FairShare(), ASSIGN: EftAssign(open_only=True)},
        {},
        lambda: EftAssign(open_only=True),
    )


SETTINGS: dict[str, Callable[[], Setting]] = {"soc": _soc, "tpch": _tpch}


def setting_of(name: str) -> Setting:
    return SETTINGS[name]()
