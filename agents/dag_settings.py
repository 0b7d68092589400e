"""The two settings that DAG scheduling agents are trained in: a noisy system on a chip, and TPC-H queries on Spark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clustersim.agents.dag_policy import DagPlayer
from clustersim.baselines.eft import EftAssign
from clustersim.baselines.fair_share import FairShare
from clustersim.baselines.heft import upward_rank
from clustersim.baselines.heft_rt import heft_rt
from clustersim.control import Decision
from clustersim.dag_problem import DagProblem
from clustersim.dag_state import DagView
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
    open_only: bool = False
    """Tasks that the agent orders go to open machines: see EftAssign."""

    def env(self, index: int) -> DagEnv:
        return self.make(self.sources[index % len(self.sources)])

    def validation(self, reference: bool) -> list[DagScheduling]:
        world = self.reference_world if reference else self.world
        return [DagScheduling(source, **self.conditions, **world) for source in self.validation_sources]

    def players(self, player: DagPlayer | None) -> Mapping[str, Policy]:
        if player is None:
            return self.reference()
        return {DISPATCH: player} if self.dispatches else {ORDER: player, ASSIGN: EftAssign(self.open_only)}


class EarlyAndShort:
    """Teaches to dispatch: the pair that ends first, which jobs with little work left and tasks of high rank go before.

    The cost of a pair is the time until it would end (min-min's), plus 0.15 of the work left of its job, minus 0.15 of
    the task's upward rank.
    """

    def __init__(self) -> None:
        self._problem: DagProblem | None = None

    def reset(self, rng: Any) -> None:
        self._problem = None

    def act(self, decision: Decision) -> int:
        view: DagView = decision.view
        problem = view.problem
        if problem is not self._problem:
            self._problem = problem
            self._rank_s = upward_rank(problem)
        nodes, machines = view.ready, problem.machines
        wait_s = np.maximum(0.0, np.maximum(view.free_at_s, view.data_at_s[nodes]) - decision.time_s)
        work_s = (view.unstarted + 0.5 * view.running) * problem.mean_run_time_s
        left_s = np.add.reduceat(work_s, problem.first_node[:-1])[problem.job_of[nodes]]
        cost_s = problem.run_time_s[nodes] + wait_s + 0.15 * (left_s - self._rank_s[nodes])[:, None]
        row, machine = divmod(int(np.where(view.up, cost_s, np.inf).argmin()), machines)
        return int(nodes[row]) * machines + machine


class WorthwhileShare:
    """Teaches to order: small jobs first, machines spread over jobs, and no more on a stage than are worth warming up.

    The score of a ready task is log(efficiency) - 1.5 log(1 + work left of its job) - log(1 + machines of its job), and
    2 more for a job that an open machine served last. The efficiency is the machine's share of the stage's work over
    that share and what it loses before: warm-up and, on another job's machine, switching.
    """

    def reset(self, rng: Any) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        view: DagView = decision.view
        problem = view.problem
        nodes = view.ready[decision.mask[view.ready]]
        jobs = problem.job_of[nodes]
        started = problem.first_node[:-1]
        left_s = np.add.reduceat((view.unstarted + 0.5 * view.running) * problem.mean_run_time_s, started)
        held = np.add.reduceat(view.running + view.reserved, started)
        local = np.isin(jobs, view.tail_job[view.open])
        share_s = view.unstarted[nodes] * problem.mean_run_time_s[nodes] / (view.running[nodes] + 1)
        loses_s = problem.warm_up_s[nodes] + view.switch_s * ~local + 1e-2
        efficiency = share_s / (share_s + loses_s) + 1e-3
        score = np.log(efficiency) - 1.5 * np.log1p(left_s[jobs]) - np.log1p(held[jobs]) + 2.0 * local
        return int(nodes[score.argmax()])


SOC_NOISE = 0.3
SOC_LOADS = (0.4, 0.6, 0.8, 0.95)


def _soc() -> Setting:
    sources = tuple(dag_source("soc", jobs=60, arrivals="poisson", load=load) for load in SOC_LOADS)
    world = {"decide": "dispatch", "binding": "late"}
    return Setting(
        sources,
        tuple(dag_source("soc", jobs=100, arrivals="poisson", load=load) for load in (0.5, 0.95)),
        True,
        world,
        {"noise": SOC_NOISE},
        lambda source: DagDispatchEnv(source, slots=64, node_rows=192, edge_rows=256, noise=SOC_NOISE, binding="late"),
        EarlyAndShort,
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
        lambda source: DagSchedulingEnv(source, node_rows=360, edge_rows=400),
        WorthwhileShare,
        lambda: {ORDER: FairShare(), ASSIGN: EftAssign(open_only=True)},
    )


SETTINGS: dict[str, Callable[[], Setting]] = {"soc": _soc, "tpch": _tpch}


def setting_of(name: str) -> Setting:
    return SETTINGS[name]()
