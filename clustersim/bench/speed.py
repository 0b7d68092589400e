"""How fast is it here: decisions and environment steps per second, as a ratio to bare SimPy timeouts."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, fields
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import simpy

from clustersim.baselines.eft import EftAssign
from clustersim.baselines.fair_share import FairShare
from clustersim.baselines.joint import joint_policies
from clustersim.baselines.registry import policy
from clustersim.envs.base import DecisionEnv
from clustersim.envs.dag_scheduling import DagSchedulingEnv
from clustersim.envs.pod_placement import PodPlacementEnv
from clustersim.envs.vm_joint import JointAction
from clustersim.envs.vm_rescheduling import VmReschedulingEnv
from clustersim.envs.vm_sources import Lives
from clustersim.policy import RandomPolicy, random_legal, run
from clustersim.scenarios.cluster_control import ClusterControl
from clustersim.scenarios.dag_scheduling import ASSIGN, ORDER, DagScheduling
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import PLACE
from clustersim.scenarios.vm_rescheduling import PICK_PM, PICK_VM, VmRescheduling
from clustersim.traces.dag_sources import DagSource
from clustersim.vm_fleet import Snapshot
from clustersim.workload import PodWorkload

SIZES = (16, 100, 1000)
TEAM = "placer=fgd,scaler=kpa,capper=polca,migrator=ha"
"""Plays cluster control: one of the more laborious choices of every role."""


@dataclass(frozen=True)
class Measurement:
    """`per_s` of `what` on a cluster of `nodes`; `ratio` is to the bare timeouts measured right before and after."""

    what: str
    nodes: int
    per_s: float
    ratio: float


def measure(workload: PodWorkload, seconds: float = 2.0) -> Iterator[Measurement]:
    """First-fit decisions of the simulation, then environment steps with a random legal action, at each size.

    The bare rate is taken around each measurement, because the clock of a shared machine changes while one runs.
    Building a simulation and resetting an environment are not counted.
    """
    for nodes in SIZES:
        for what, measurement in (("simulation", _decisions_per_s), ("environment", _steps_per_s)):
            measurement(workload, nodes, 0.0)  # compiles the kernels
            before = bare_timeouts_per_s()
            per_s = measurement(workload, nodes, seconds)
            bare = (before + bare_timeouts_per_s()) / 2
            yield Measurement(what, nodes, per_s, per_s / bare)


def measure_dags(instances: DagSource, seconds: float = 2.0) -> Iterator[Measurement]:
    """Decisions of DAG scheduling (fair shares, each machine to the task that claims it), then environment steps.

    An environment step is one choice of a task with a random legal action, observation and mask included; what is
    counted besides are the ends of all instances that a machine goes on with unasked.
    """
    machines = len(instances(0).machines)
    for what, measurement in (("dag simulation", _dag_decisions_per_s), ("dag environment", _dag_steps_per_s)):
        measurement(instances, 0.0)  # compiles the kernels
        before = bare_timeouts_per_s()
        per_s = measurement(instances, seconds)
        bare = (before + bare_timeouts_per_s()) / 2
        yield Measurement(what, machines, per_s, per_s / bare)


def measure_control(scenario: ClusterControl, seconds: float = 2.0) -> Iterator[Measurement]:
    """Decisions of all roles under published policies, then agent-steps of the ParallelEnv with random legal actions.

    An agent-step is the answer of one agent that was asked; observations of all agents and masks are included. The
    environment is left out where PettingZoo is not installed.
    """
    nodes = len(scenario.source(0).nodes)
    found = [("control simulation", _control_decisions_per_s)]
    if find_spec("pettingzoo") is not None:
        found.append(("control environment, all roles", _control_steps_per_s))
    for what, measurement in found:
        measurement(scenario, 0.0)  # compiles the kernels
        before = bare_timeouts_per_s()
        per_s = measurement(scenario, seconds)
        bare = (before + bare_timeouts_per_s()) / 2
        yield Measurement(what, nodes, per_s, per_s / bare)


def measure_rescheduling(fleet: Snapshot, mnl: int = 50, seconds: float = 2.0) -> Iterator[Measurement]:
    """Decisions of VM rescheduling at random, then environment steps, one decision each, then whole migrations.

    Other than above building a simulation and resetting the environment, every `mnl` migrations, are counted. A
    migration is a step of `JointAction`, after a look at both masks.
    """
    for what, measurement in (
        ("vm simulation", _picks_per_s),
        ("vm environment", _vm_steps_per_s),
        ("vm environment, copy=False", partial(_vm_steps_per_s, copy=False)),
        ("vm environment, migrations", _migrations_per_s),
    ):
        measurement(fleet, mnl, 0.0)  # compiles the kernels
        before = bare_timeouts_per_s()
        per_s = measurement(fleet, mnl, seconds)
        bare = (before + bare_timeouts_per_s()) / 2
        yield Measurement(what, len(fleet.machines), per_s, per_s / bare)


def bare_timeouts_per_s(count: int = 200_000) -> float:
    """Timeouts per second of a SimPy process that does nothing but wait."""
    env = simpy.Environment()

    def waiting() -> Generator[simpy.Event, None, None]:
        for _ in range(count):
            yield env.timeout(1)

    env.process(waiting())
    start_s = time.perf_counter()
    env.run()
    return count / (time.perf_counter() - start_s)


@dataclass(frozen=True)
class FullRun:
    """One whole run on all nodes."""

    nodes: int
    decisions: int
    build_s: float
    run_s: float
    peak_memory_mib: float


def full_fgd_run(workload: PodWorkload, seed: int = 42) -> FullRun:
    """Play it once; the memory is the peak of this process so far."""
    start_s = time.perf_counter()
    simulation = PodPlacement(workload).build(seed)
    built_s = time.perf_counter()
    decisions = run(simulation, {PLACE: policy("pod-placement", "fgd")})
    end_s = time.perf_counter()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return FullRun(len(workload.nodes), decisions, built_s - start_s, end_s - built_s, peak_mib)


def full_control_run(scenario: ClusterControl, seed: int = 42) -> FullRun:
    """Play a whole episode of cluster control; the memory is the peak of this process so far."""
    start_s = time.perf_counter()
    simulation = scenario.build(seed)
    built_s = time.perf_counter()
    decisions = run(simulation, {role: player() for role, player in joint_policies(TEAM).items()})
    end_s = time.perf_counter()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return FullRun(len(simulation.workload.nodes), decisions, built_s - start_s, end_s - built_s, peak_mib)


def _control_decisions_per_s(scenario: ClusterControl, seconds: float) -> float:
    decisions, busy_s, seed = 0, 0.0, 0
    while decisions == 0 or busy_s < seconds:
        simulation = scenario.build(seed)
        players = {role: player() for role, player in joint_policies(TEAM).items()}
        start_s = time.perf_counter()
        decisions += run(simulation, players)
        busy_s += time.perf_counter() - start_s
        seed += 1
    return decisions / busy_s


def _control_steps_per_s(scenario: ClusterControl, seconds: float) -> float:
    from clustersim.envs import cluster_control  # PettingZoo is not installed everywhere

    options = {field.name: getattr(scenario, field.name) for field in fields(scenario)}
    env = cluster_control.parallel_env(options.pop("source"), **options)
    rng = np.random.default_rng(0)
    steps, busy_s, seed = 0, 0.0, 0
    while steps == 0 or busy_s < seconds:
        _, infos = env.reset(seed=seed)
        start_s = time.perf_counter()
        while env.agents:
            steps += sum(info["asked"] for info in infos.values())
            actions = {a: random_legal(infos[a]["action_mask"], rng.random()) for a in env.agents}
            _, _, _, _, infos = env.step(actions)
        busy_s += time.perf_counter() - start_s
        seed += 1
    return steps / busy_s


def _decisions_per_s(workload: PodWorkload, nodes: int, seconds: float) -> float:
    scenario = PodPlacement(workload, nodes=nodes)
    first_fit = policy("pod-placement", "first-fit")
    decisions, busy_s, seed = 0, 0.0, 0
    while decisions == 0 or busy_s < seconds:
        simulation = scenario.build(seed)
        start_s = time.perf_counter()
        decisions += run(simulation, {PLACE: first_fit})
        busy_s += time.perf_counter() - start_s
        seed += 1
    return decisions / busy_s


def _dag_decisions_per_s(instances: DagSource, seconds: float) -> float:
    decisions, busy_s, seed = 0, 0.0, 0
    while decisions == 0 or busy_s < seconds:
        simulation = DagScheduling(instances).build(seed)
        start_s = time.perf_counter()
        decisions += run(simulation, {ORDER: FairShare(), ASSIGN: EftAssign(open_only=True)})
        busy_s += time.perf_counter() - start_s
        seed += 1
    return decisions / busy_s


def _steps_per_s(workload: PodWorkload, nodes: int, seconds: float) -> float:
    return _random_steps_per_s(PodPlacementEnv(workload, nodes=nodes), seconds)


def _dag_steps_per_s(instances: DagSource, seconds: float) -> float:
    return _random_steps_per_s(DagSchedulingEnv(instances, assign=EftAssign(open_only=True)), seconds)


def _picks_per_s(fleet: Snapshot, mnl: int, seconds: float) -> float:
    scenario = VmRescheduling(Lives([fleet]), mnl=mnl)
    player = RandomPolicy()
    decisions, seed = 0, 0
    start_s = time.perf_counter()
    while decisions == 0 or time.perf_counter() - start_s < seconds:
        decisions += run(scenario.build(seed), {PICK_VM: player, PICK_PM: player})
        seed += 1
    return decisions / (time.perf_counter() - start_s)


def _vm_steps_per_s(fleet: Snapshot, mnl: int, seconds: float, copy: bool = True) -> float:
    env, rng = VmReschedulingEnv([fleet], mnl=mnl, copy=copy), np.random.default_rng(0)
    return _steps_and_resets_per_s(env, lambda: random_legal(env.action_masks(), rng.random()), seconds)


def _migrations_per_s(fleet: Snapshot, mnl: int, seconds: float) -> float:
    env, rng = JointAction(VmReschedulingEnv([fleet], mnl=mnl)), np.random.default_rng(0)

    def pick() -> tuple[int, int]:
        vm = random_legal(env.vm_mask(), rng.random())
        return vm, random_legal(env.pm_mask(vm), rng.random())

    return _steps_and_resets_per_s(env, pick, seconds)


def _steps_and_resets_per_s(env: DecisionEnv | JointAction, pick: Callable[[], Any], seconds: float) -> float:
    """Steps of whole episodes per second, the time of resets included."""
    steps, seed = 0, 0
    start_s = time.perf_counter()
    while steps == 0 or time.perf_counter() - start_s < seconds:
        env.reset(seed=seed)
        over = False
        while not over:
            _, _, over, _, _ = env.step(pick())
            steps += 1
        seed += 1
    return steps / (time.perf_counter() - start_s)


def _random_steps_per_s(env: DecisionEnv, seconds: float) -> float:
    rng = np.random.default_rng(0)
    steps, busy_s, seed = 0, 0.0, 0
    while steps == 0 or busy_s < seconds:
        env.reset(seed=seed)
        over = False
        start_s = time.perf_counter()
        while not over:
            _, _, over, _, _ = env.step(random_legal(env.action_masks(), rng.random()))
            steps += 1
        busy_s += time.perf_counter() - start_s
        seed += 1
    return steps / busy_s
