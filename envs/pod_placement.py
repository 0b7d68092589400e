"""Pod placement as an environment: a table of nodes and a pod; the action is the node.

The rows of the table are the nodes in the order of the simulation; rows beyond the cluster are zero and masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Dict, Discrete
from numba import njit
from numpy.typing import NDArray

from clustersim.cluster import ACCEPTED, CPU, GPU_SHARE, MEMORY, NUM_GPU
from clustersim.control import Decision
from clustersim.envs.base import DecisionEnv
from clustersim.envs.encoding import Column, TableEncoder, one_vector
from clustersim.envs.rendering import heat_map, text_map
from clustersim.errors import ConfigError
from clustersim.policy import Policy
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import PLACE, REWARDS, PodPlacementSimulation
from clustersim.workload import GPU_MILLI, PodWorkload

MAX_CPU_MILLI = 128_000.0
MAX_MEMORY_MIB = 1_048_576.0
MAX_GPUS = 8
"""Features are shares of these, the largest node of openb, and are clipped at 1."""

# One function per column, of one node: (request, whether it fits, CPU milli free, memory MiB free, GPU milli free per
# device, devices of the node, F_n now, F_n after placing, the least change of F_n on any node that fits).
# They are inlined into the kernel below.


@njit(cache=True)
def _fits(request, fits, cpu, memory, gpu, gpus, now, after, least):  # type: ignore[no-untyped-def]
    return 1.0 if fits else 0.0


@njit(cache=True)
def _cpu_free(request, fits, cpu, memory, gpu, gpus, now, after, least):  # type: ignore[no-untyped-def]
    return min(1.0, cpu / MAX_CPU_MILLI)


@njit(cache=True)
def _cpu_free_after(request, fits, cpu, memory, gpu, gpus, now, after, least):  # type: ignore[no-untyped-def]
    return min(1.0, max(0, cpu - request[CPU]) / MAX_CPU_MILLI)


@njit(cache=True)
def _memory_free(request, fits, cpu, memory, gpu, gpus, now, after, least):  # type: ignore[no-untyped-def]
    return min(1.0, memory / MAX_MEMORY_MIB)


@njit(cache=True)
def _memory_free_after(request, fits, cpu, memory, gpu, gpus, now, after, least):  # type: ignore[no-untyped-def]
    return min(1.0, max(0, memory - request[MEMORY]) / MAX_MEMORY_MIB)


@njit(cache=True)
def _gpus(request, fits, cpu, memory, gpu, gpus, now, after, least):  # type: ignore[no-untyped-def]
    return min(1.0, gpus / MAX_GPUS)


@njit(cache=True)
def _gpus_whole(request, fits, cpu, memory, gpu, gpus, now, after, least):  # type: ignore[no-untyped-def]
    whole = 0
    for device in range(len(gpu)):
        whole += gpu[device] == GPU_MILLI
    return min(1.0, whole / MAX_GPUS)


@njit(cache=True)
def _gpu_shared_free(request, fits, cpu, memory, gpu, gpus, now, after, least):  # type: ignore[no-untyped-def]
    free = 0
    for device in range(len(gpu)):
        if gpu[device] < GPU_MILLI:
            free += gpu[device]
    return min(1.0, free / (MAX_GPUS * GPU_MILLI))


@njit(cache=True)
def _share_slack(request, fits, cpu, memory, gpu, gpus, now, after, least):  # type: ignore[no-untyped-def]
    slack = GPU_MILLI
    for device in range(len(gpu)):
        if 0 < request[GPU_SHARE] <= gpu[device] and gpu[device] - request[GPU_SHARE] < slack:
            slack = gpu[device] - request[GPU_SHARE]
    return slack / GPU_MILLI


@njit(cache=True)
def _fragmented(request, fits, cpu, memory, gpu, gpus, now, after, least):  # type: ignore[no-untyped-def]
    return min(1.0, now / (MAX_GPUS * GPU_MILLI))


@njit(cache=True)
def _fragmentation_change(request, fits, cpu, memory, gpu, gpus, now, after, least):  # type: ignore[no-untyped-def]
    return min(1.0, max(-1.0, (after - now) / GPU_MILLI)) if fits else 0.0


@njit(cache=True)
def _fragmentation_regret(request, fits, cpu, memory, gpu, gpus, now, after, least):  # type: ignore[no-untyped-def]
    return min(1.0, (after - now - least) / (GPU_MILLI / 4)) if fits else 1.0


NODE_COLUMNS = (
    Column("fits", "1 when the pod fits on the node", 0, 1, _fits),
    Column("cpu_free", "free CPU, share of 128 cores", 0, 1, _cpu_free),
    Column("cpu_free_after", "the same after placing the pod, at least 0", 0, 1, _cpu_free_after),
    Column("memory_free", "free memory, share of 1 TiB", 0, 1, _memory_free),
    Column("memory_free_after", "the same after placing the pod, at least 0", 0, 1, _memory_free_after),
    Column("gpus", "GPU devices, share of 8", 0, 1, _gpus),
    Column("gpus_whole", "untouched devices, share of 8", 0, 1, _gpus_whole),
    Column("gpu_shared_free", "free GPU on devices in use, share of 8 devices", 0, 1, _gpu_shared_free),
    Column(
        "share_slack",
        "left on the tightest device with room for the pod's share, share of a device; 1: none",
        0,
        1,
        _share_slack,
    ),
    Column("fragmented", "fragmented GPU F_n, share of 8 devices", 0, 1, _fragmented),
    Column(
        "fragmentation_change",
        "change of F_n by placing the pod, in devices, clipped; 0 where it does not fit",
        -1,
        1,
        _fragmentation_change,
    ),
    Column(
        "fragmentation_regret",
        "how much more F_n changes than on the best node, in quarters of a device, clipped; 1 where it does not fit",
        0,
        1,
        _fragmentation_regret,
    ),
)


@njit(cache=True)
def _encode_nodes(request, mask, cpu_free, memory_free, gpu_free, gpu_count, per_node, after, out):  # type: ignore[no-untyped-def]
    least = np.inf
    for i in range(len(cpu_free)):
        if mask[i]:
            least = min(least, after[i] - per_node[i])
    for i in range(len(cpu_free)):
        state = (request, mask[i], cpu_free[i], memory_free[i], gpu_free[i], gpu_count[i], per_node[i], after[i], least)
        out[i, 0] = _fits(*state)
        out[i, 1] = _cpu_free(*state)
        out[i, 2] = _cpu_free_after(*state)
        out[i, 3] = _memory_free(*state)
        out[i, 4] = _memory_free_after(*state)
        out[i, 5] = _gpus(*state)
        out[i, 6] = _gpus_whole(*state)
        out[i, 7] = _gpu_shared_free(*state)
        out[i, 8] = _share_slack(*state)
        out[i, 9] = _fragmented(*state)
        out[i, 10] = _fragmentation_change(*state)
        out[i, 11] = _fragmentation_regret(*state)


def _fill_nodes(decision: Decision, out: NDArray[np.float32]) -> None:
    cluster, fragmentation = decision.view.cluster, decision.view.fragmentation
    pod = decision.subject
    after, _ = fragmentation.after(pod.shape, decision.mask)
    _encode_nodes(
        pod.request,
        decision.mask,
        cluster.cpu_free,
        cluster.memory_free,
        cluster.gpu_free,
        cluster.gpu_count,
        fragmentation.per_node,
        after,
        out,
    )


POD_COLUMNS = (
    Column("cpu", "CPU asked for, share of 128 cores", 0, 1, lambda r: min(1.0, r[CPU] / MAX_CPU_MILLI)),
    Column("memory", "memory asked for, share of 1 TiB", 0, 1, lambda r: min(1.0, r[MEMORY] / MAX_MEMORY_MIB)),
    Column("num_gpu", "GPU devices asked for, share of 8", 0, 1, lambda r: min(1.0, r[NUM_GPU] / MAX_GPUS)),
    Column("gpu_share", "asked for on each device, share of a device", 0, 1, lambda r: r[GPU_SHARE] / GPU_MILLI),
    Column("is_share", "1 when the pod shares a device", 0, 1, lambda r: float(0 < r[GPU_SHARE] < GPU_MILLI)),
    Column("is_choosy", "1 when the pod accepts only some GPU models", 0, 1, lambda r: float(r[ACCEPTED] >= 0)),
)


@lru_cache(maxsize=4096)
def _pod_features(request: bytes) -> NDArray[np.float32]:
    # Pods have few distinct requests, so looking one up costs 0.3 us instead of 5 us.
    values = np.frombuffer(request, dtype=np.int64).tolist()
    return np.array([column.function(values) for column in POD_COLUMNS], dtype=np.float32)


def _fill_pod(decision: Decision, out: NDArray[np.float32]) -> None:
    out[:] = _pod_features(decision.subject.request.tobytes())


NODES = TableEncoder(NODE_COLUMNS, _fill_nodes)
POD = TableEncoder(POD_COLUMNS, _fill_pod)


class PodPlacementEnv(DecisionEnv):
    """Place the pods of a workload on the nodes of a cluster.

    Observation: `Dict(nodes: (rows, 12), pod: (6,))`, or with `flat=True` both in one vector. Action: the row of the
    node, and in replay mode one more, the last, to let the pod wait. The columns stand in `NODES` and `POD`.
    """

    def __init__(
        self,
        workload: PodWorkload | None = None,
        *,
        nodes: int | None = None,
        rows: int | None = None,
        reward: Literal["allocation", "fragmentation", "shaped"] = "allocation",
        flat: bool = False,
        others: Mapping[str, Policy] | None = None,
        render_mode: str | None = None,
        **scenario: Any,
    ) -> None:
        """
        workload: nodes and pods; by default the embedded `openb-like` workload on 64 nodes.
        nodes: play every episode on a random sample of this many nodes.
        rows: rows of the table, at least as many as nodes; by default exactly as many.
        reward: the decrease of the cost of that name, in percentage points of the GPU capacity: `allocation`,
            `fragmentation`, or `shaped`, which charges lost pods and fragmentation.
        others: who plays the roles that the scenario's options open, by role: `preempt`, `replan`.
        scenario: further fields of `clustersim.scenarios.pod_placement.PodPlacement`.
        """
        if reward not in REWARDS:
            raise ConfigError(f"reward is {reward!r}; choose one of {', '.join(REWARDS)}")
        if workload is not None and not isinstance(workload, PodWorkload):
            raise ConfigError(f"workload is {workload!r}; give a PodWorkload, as clustersim.traces.load returns one")
        super().__init__(PLACE, reward, others, render_mode)
        if workload is None:
            from clustersim.traces import load  # only for the default: reading traces needs pandas

            workload = load("openb-like")
            nodes = 64 if nodes is None else nodes
        self.scenario = PodPlacement(workload, nodes=nodes, **scenario)
        count = len(workload.nodes) if nodes is None else nodes
        self.rows = count if rows is None else rows
        if self.rows < count:
            raise ConfigError(f"rows is {rows}, but the cluster has {count} nodes; use at least {count} rows")
        self.flat = flat
        self._waits = self.scenario.mode == "replay"
        self._table = TableEncoder(NODE_COLUMNS, _fill_nodes, self.rows)
        parts = {"nodes": self._table.space, "pod": POD.space}
        space = one_vector(parts.values()) if flat else Dict(parts)  # type: ignore[arg-type]
        self.observation_space: gymnasium.Space[Any] = space
        self.action_space = Discrete(self.rows + self._waits)

    def build(self, seed: int) -> PodPlacementSimulation:
        return self.scenario.build(seed)

    def wait_candidate(self) -> int | None:
        simulation: Any = self.simulation
        wait: int | None = simulation.wait
        return wait

    def to_action(self, decision: Decision) -> NDArray[np.bool_]:
        mask = decision.mask
        if len(mask) == self._actions:
            return mask.copy()
        actions = np.zeros(self._actions, dtype=np.bool_)
        nodes = len(mask) - self._waits
        actions[:nodes] = mask[:nodes]
        if self._waits:
            actions[-1] = mask[-1]
        return actions

    def to_candidate(self, action: int) -> int:
        wait = self.wait_candidate()
        if wait is not None and action == self.rows:
            return wait
        # A row beyond the cluster must not be taken for the wait candidate, which comes right behind the nodes.
        return action if wait is None or action < wait else -1

    def encode(self, decision: Decision | None) -> Any:
        """Fresh arrays: a rollout keeps observations past the next step."""
        nodes, pod = self._table.buffer(), POD.buffer()
        if decision is not None:
            _fill_nodes(decision, nodes)
            _fill_pod(decision, pod)
        if self.flat:
            return np.concatenate([nodes.ravel(), pod])
        return {"nodes": nodes, "pod": pod}

    def render(self) -> Any:
        """`ansi`: one character per node; `rgb_array`: one square per node, darker the fuller its GPUs are."""
        cluster = self.simulation.view.cluster  # type: ignore[attr-defined]
        capacity = cluster.gpu_count * GPU_MILLI
        fill = np.where(capacity > 0, 1 - cluster.gpu_free_total / np.maximum(capacity, 1), np.nan)
        if self.render_mode == "ansi":
            return text_map(fill)
        if self.render_mode == "rgb_array":
            return heat_map(fill)
        return None
