"""Pod packing as an environment: repair a failed placement one move at a time, first the pod, then its node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Dict, Discrete
from numpy.typing import NDArray

from clustersim.baselines.kube import kube_default
from clustersim.control import Decision
from clustersim.envs.base import DecisionEnv
from clustersim.envs.encoding import TableEncoder, one_vector
from clustersim.envs.packing_columns import NODES, PODS, ROWS_TOLD, STATE, look
from clustersim.envs.rendering import heat_map, text_map
from clustersim.errors import ConfigError
from clustersim.policy import ScorePolicy
from clustersim.repair import REPAIR_COSTS
from clustersim.scenarios.pod_packing import REPAIR, PodPacking, PodPackingSimulation
from clustersim.scenarios.pod_world import PLACE
from clustersim.workload import PodWorkload


class PodPackingEnv(DecisionEnv):
    """Repair what the default scheduler left pending, one move at a time.

    Observation: `Dict(pods: (pod_rows, 17), nodes: (node_rows, 12), state: (6,))`, or with `flat=True` all in one
    vector. Action: a row of the pods, to be done, a row of the nodes, or to evict, in this order.
    """

    def __init__(
        self,
        instances: Callable[[int], PodWorkload] | None = None,
        *,
        pod_rows: int | None = None,
        node_rows: int | None = None,
        reward: Literal["lexicographic", "shaped"] = "shaped",
        flat: bool = False,
        render_mode: str | None = None,
    ) -> None:
        """
        instances: draws a cluster and its pods by a seed; by default `ReplicaSets()`, 32 pods for 8 nodes.
        pod_rows, node_rows: rows of the tables, at least as many as pods and nodes; by default those of seed 0.
        reward: the decrease of the cost of that name, as `clustersim.repair.Repair.cost` declares it.
        """
        if reward not in REPAIR_COSTS:
            raise ConfigError(f"reward is {reward!r}; choose one of {', '.join(REPAIR_COSTS)}")
        super().__init__(REPAIR, reward, {PLACE: ScorePolicy(kube_default)}, render_mode)
        self.scenario = PodPacking() if instances is None else PodPacking(instances)
        example = self.scenario.instances(0)
        self.pod_rows = len(example.pods) if pod_rows is None else pod_rows
        self.node_rows = len(example.nodes) if node_rows is None else node_rows
        self._require_rows(example)
        if self.node_rows >= ROWS_TOLD:
            raise ConfigError(f"node_rows is {self.node_rows}; at most {ROWS_TOLD - 1} can be told apart")
        self.flat = flat
        self._pods = TableEncoder(PODS.columns, PODS.fill, self.pod_rows)
        self._nodes = TableEncoder(NODES.columns, NODES.fill, self.node_rows)
        parts = {"pods": self._pods.space, "nodes": self._nodes.space, "state": STATE.space}
        space = one_vector(parts.values()) if flat else Dict(parts)  # type: ignore[arg-type]
        self.observation_space: gymnasium.Space[Any] = space
        self.action_space = Discrete(self.pod_rows + 1 + self.node_rows + 1)

    def build(self, seed: int) -> PodPackingSimulation:
        simulation = self.scenario.build(seed)
        self._require_rows(simulation.workload)
        return simulation

    def wait_candidate(self) -> int | None:
        """To be done, where a pod is to be chosen; a chosen pod has to go somewhere."""
        done: int = self._game.done
        return done

    def to_action(self, decision: Decision) -> NDArray[np.bool_]:
        mask = decision.mask
        actions = np.zeros(self._actions, dtype=np.bool_)
        pods, done = self._game.done, self.pod_rows
        actions[:pods] = mask[:pods]
        actions[done] = mask[pods]
        actions[done + 1 : done + len(mask) - pods - 1] = mask[pods + 1 : -1]
        actions[-1] = mask[-1]
        return actions

    def to_candidate(self, action: int) -> int:
        """-1 for a row beyond the pods or the nodes, and for what is no action."""
        pods, evict = int(self._game.done), int(self._game.evict)
        if 0 <= action < self.pod_rows:
            return action if action < pods else -1
        if action == self._actions - 1:
            return evict
        candidate = pods + action - self.pod_rows
        return candidate if pods <= candidate < evict else -1

    def encode(self, decision: Decision | None) -> Any:
        """Fresh arrays: a rollout keeps observations past the next step."""
        pods, nodes, state = self._pods.buffer(), self._nodes.buffer(), STATE.buffer()
        if decision is not None:
            facts = look(decision.view, decision.subject)
            PODS.fill(facts, pods)
            NODES.fill(facts, nodes)
            STATE.fill(facts, state)
        if self.flat:
            return np.concatenate([pods.ravel(), nodes.ravel(), state])
        return {"pods": pods, "nodes": nodes, "state": state}

    def render(self) -> Any:
        """`ansi`: one character per node; `rgb_array`: one square per node, darker the fuller its CPU is."""
        view = self._game.view
        fill = np.where(view.cpu_milli > 0, 1 - view.cpu_free / np.maximum(view.cpu_milli, 1), np.nan)
        if self.render_mode == "ansi":
            return text_map(fill)
        if self.render_mode == "rgb_array":
            return heat_map(fill)
        return None

    @property
    def _game(self) -> Any:
        simulation: Any = self.simulation
        return simulation.repair

    def _require_rows(self, workload: PodWorkload) -> None:
        for what, rows, count in (
            ("pod", self.pod_rows, len(workload.pods)),
            ("node", self.node_rows, len(workload.nodes)),
        ):
            if rows < count:
                raise ConfigError(
                    f"{what}_rows is {rows}, but workload {workload.name!r} has {count} {what}s; "
                    f"set {what}_rows to at least {count}"
                )
