"""DAG scheduling as environments: which ready task goes next, or which ready task goes next on which machine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from clustersim.baselines.eft import EftAssign
from clustersim.control import Decision
from clustersim.dags import DagWorkload
from clustersim.envs.base import DecisionEnv
from clustersim.envs.dag_observer import Arrays, DagObserver
from clustersim.envs.encoding import one_vector
from clustersim.envs.rendering import heat_map, text_map
from clustersim.errors import ConfigError
from clustersim.policy import Policy
from clustersim.scenarios.dag_scheduling import (
    ASSIGN,
    COSTS,
    DISPATCH,
    ORDER,
    DagScheduling,
    DagSchedulingSimulation,
)
from clustersim.traces.dag_load import dag_source

Instances = Callable[[int], DagWorkload]
Reward = Literal["job_time", "makespan", "energy"]


def default_instances() -> Instances:
    """Ten random jobs of 5 to 20 tasks that arrive one after another at four machines of different speed."""
    return dag_source("layered", machines=4, jobs=10, tasks=(5, 20), load=0.8)


class DagEnv(DecisionEnv):
    """What both environments share: the padded graph, and waiting as the last action."""

    def __init__(
        self,
        role: str,
        instances: Instances | None,
        options: dict[str, Any],
        sizes: tuple[int | None, int | None, int],
        *,
        reward: Reward,
        wait: bool,
        flat: bool,
        others: dict[str, Policy],
        render_mode: str | None,
    ) -> None:
        if reward not in COSTS:
            raise ConfigError(f"reward is {reward!r}; choose one of {', '.join(COSTS)}")
        super().__init__(role, reward, others, render_mode)
        self.scenario = DagScheduling(default_instances() if instances is None else instances, **options)
        example = self.scenario.instances(0)
        self.machines = len(example.machines)
        rows, edge_rows, slots = sizes
        rows = sum(map(len, example.jobs)) if rows is None else rows
        edge_rows = 2 * rows if edge_rows is None else edge_rows
        for name, value in (("node_rows", rows), ("edge_rows", edge_rows), ("slots", slots)):
            if value < (0 if name == "slots" else 1):
                raise ConfigError(f"{name} is {value}; it has to be at least 1")
        self.wait = wait
        self.flat = flat
        self._observer = DagObserver(rows, edge_rows, slots, self.machines)
        self._seen: Arrays = {}
        space = self._observer.space
        self._parts = tuple(space)  # in the order of the space, which sorts names
        self.observation_space: gymnasium.Space[Any] = one_vector(space.values()) if flat else space
        self.action_space = Discrete((slots * self.machines if slots else rows) + wait)

    def build(self, seed: int) -> DagSchedulingSimulation:
        simulation = self.scenario.build(seed)
        machines = len(simulation.workload.machines)
        if machines != self.machines:
            raise ConfigError(
                f"seed {seed} draws {machines} machines, but this environment was made for {self.machines}; "
                "use instances that always have the same number"
            )
        return simulation

    def wait_candidate(self) -> int | None:
        decision = self._decision
        return None if decision is None else len(decision.mask) - 1

    def to_action(self, decision: Decision) -> NDArray[np.bool_]:
        self._seen = self._observer.look(decision)
        actions = np.zeros(self.action_space.n, dtype=np.bool_)  # type: ignore[attr-defined]
        self._mark(decision, actions)
        if self.wait:
            actions[-1] = decision.mask[-1]
        return actions

    def encode(self, decision: Decision | None) -> Any:
        seen = self._observer.nothing() if decision is None else self._seen
        return np.concatenate([seen[name].ravel() for name in self._parts]) if self.flat else seen

    def render(self) -> Any:
        """`ansi`: one character per machine; `rgb_array`: one square per machine, darker while it serves a task."""
        view = self.simulation.state.view  # type: ignore[attr-defined]
        fill = np.where(view.up, np.where(view.open, 0.0, 1.0), np.nan)
        if self.render_mode == "ansi":
            return text_map(fill)
        if self.render_mode == "rgb_array":
            return heat_map(fill)
        return None

    @abstractmethod
    def from_candidate(self, candidate: int) -> int:
        """The action that means a candidate, the opposite of `to_candidate`; -1 for one that the tables do not show."""

    @abstractmethod
    def _mark(self, decision: Decision, actions: NDArray[np.bool_]) -> None:
        """Set the legal actions but for waiting."""


class DagSchedulingEnv(DagEnv):
    """Choose the next task; its machine is the one on which it is expected to end first, unless `assign` says other.

    Observation: `Dict(tasks, task_mask, edges, edge_mask, state)` of `DagObserver`, or with `flat=True` one vector.
    Action: the row of a ready task, or with `wait=True` also the last one: wait until something happens.
    """

    def __init__(
        self,
        instances: Instances | None = None,
        *,
        node_rows: int | None = None,
        edge_rows: int | None = None,
        reward: Reward = "job_time",
        wait: bool = False,
        binding: Literal["late", "firm"] = "late",
        linger: bool = True,
        noise: float = 0.0,
        max_jobs: int | None = None,
        assign: Policy | None = None,
        flat: bool = False,
        render_mode: str | None = None,
    ) -> None:
        """
        instances: draws machines and jobs by a seed; by default `default_instances()`.
        node_rows, edge_rows: rows of the tables; by default the tasks of seed 0, and two edges for each.
        reward: the decrease of the cost of that name, as `DagSchedulingSimulation.cost` declares it.
        binding, linger, noise, max_jobs: as in `DagScheduling`.
        """
        options = {"binding": binding, "linger": linger, "noise": noise, "max_jobs": max_jobs}
        super().__init__(
            ORDER,
            instances,
            options,
            (node_rows, edge_rows, 0),
            reward=reward,
            wait=wait,
            flat=flat,
            others={ASSIGN: EftAssign() if assign is None else assign},
            render_mode=render_mode,
        )

    def to_candidate(self, action: int) -> int:
        rows = self._observer.rows
        if self.wait and action == rows:
            wait = self.wait_candidate()
            return -1 if wait is None else wait
        return int(self._observer.node_of_row[action]) if 0 <= action < rows else -1

    def from_candidate(self, candidate: int) -> int:
        return _place(candidate, self._observer.node_of_row)

    def _mark(self, decision: Decision, actions: NDArray[np.bool_]) -> None:
        nodes = self._observer.node_of_row
        actions[: len(nodes)] = decision.mask[nodes] & (nodes >= 0)


class DagDispatchEnv(DagEnv):
    """Choose the next task and its machine at once.

    Observation: as in `DagSchedulingEnv`, with `slot_row` and `pairs` for the ready tasks in the slots. Action:
    slot * machines + machine, or with `wait=True` also the last one: wait until something happens.
    """

    def __init__(
        self,
        instances: Instances | None = None,
        *,
        slots: int = 16,
        node_rows: int | None = None,
        edge_rows: int | None = None,
        reward: Reward = "job_time",
        wait: bool = False,
        binding: Literal["late", "firm"] = "firm",
        linger: bool = True,
        noise: float = 0.0,
        max_jobs: int | None = None,
        flat: bool = False,
        render_mode: str | None = None,
    ) -> None:
        """
        slots: ready tasks that can be chosen from; further ones wait for a slot.
        The rest as in `DagSchedulingEnv`.
        """
        if slots < 1:
            raise ConfigError(f"slots is {slots}; it has to be at least 1")
        options = {"decide": "dispatch", "binding": binding, "linger": linger, "noise": noise, "max_jobs": max_jobs}
        super().__init__(
            DISPATCH,
            instances,
            options,
            (node_rows, edge_rows, slots),
            reward=reward,
            wait=wait,
            flat=flat,
            others={},
            render_mode=render_mode,
        )

    def to_candidate(self, action: int) -> int:
        slots = self._observer.slots
        if self.wait and action == slots * self.machines:
            wait = self.wait_candidate()
            return -1 if wait is None else wait
        slot, machine = divmod(action, self.machines)
        if not 0 <= slot < len(self._observer.slot_node):
            return -1
        return int(self._observer.slot_node[slot]) * self.machines + machine

    def from_candidate(self, candidate: int) -> int:
        node, machine = divmod(candidate, self.machines)
        slot = _place(node, self._observer.slot_node)
        return -1 if slot < 0 else slot * self.machines + machine

    def _mark(self, decision: Decision, actions: NDArray[np.bool_]) -> None:
        legal = decision.mask[:-1].reshape(-1, self.machines)[self._observer.slot_node]
        actions[: legal.size] = legal.ravel()


def _place(node: int, nodes: NDArray[np.int64]) -> int:
    found = np.flatnonzero(nodes == node)
    return int(found[0]) if len(found) else -1
