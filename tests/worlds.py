"""Small worlds for tests: builders of nodes, pods and workloads, and a cluster in plain Python to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clustersim.cluster import accepted_models, gpu_models
from clustersim.control import Decision
from clustersim.policy import Policy, run
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import PLACE, PodPlacementSimulation
from clustersim.workload import NodeTable, PodTable, PodWorkload

# No deadline, because the first example compiles kernels. The same examples every time: a red test means the code.
FEW = settings(max_examples=30, deadline=None, derandomize=True)
MANY = settings(max_examples=100, deadline=None, derandomize=True)

MODELS = ("A10", "T4", "V100")


def node(cpu: int = 8000, memory: int = 16384, gpus: int = 0, model: str = "T4") -> dict[str, Any]:
    return {"cpu_milli": cpu, "memory_mib": memory, "gpu_count": gpus, "gpu_model": model if gpus else ""}


def pod(
    cpu: int = 1000,
    memory: int = 1024,
    gpus: int = 0,
    gpu_milli: int | None = None,
    spec: tuple[str, ...] = (),
    arrival: float = 0.0,
    duration: float = nan,
    priority: int = 0,
    image: str = "",
    image_mib: int = 0,
) -> dict[str, Any]:
    """`gpu_milli` makes it a pod that shares one device."""
    return {
        "cpu_milli": cpu,
        "memory_mib": memory,
        "num_gpu": gpus if gpu_milli is None else 1,
        "gpu_milli": (1000 if gpus else 0) if gpu_milli is None else gpu_milli,
        "gpu_spec": spec,
        "qos": "LS",
        "priority": priority,
        "arrival_s": arrival,
        "duration_s": duration,
        "image": image,
        "image_mib": image_mib,
    }


def node_table(nodes: Sequence[Mapping[str, Any]]) -> NodeTable:
    return NodeTable(name=tuple(f"node-{i}" for i in range(len(nodes))), **_columns(nodes, node()))


def pod_table(pods: Sequence[Mapping[str, Any]]) -> PodTable:
    return PodTable(name=tuple(f"pod-{i}" for i in range(len(pods))), **_columns(pods, pod()))


def workload(nodes: Sequence[Mapping[str, Any]], pods: Sequence[Mapping[str, Any]]) -> PodWorkload:
    return PodWorkload("tiny", node_table(nodes), pod_table(pods))


def _columns(rows: Sequence[Mapping[str, Any]], example: Mapping[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, value in example.items():
        column = [row[name] for row in rows]
        if isinstance(value, int | float):
            columns[name] = np.array(column, dtype=np.float64 if isinstance(value, float) else np.int64)
        else:
            columns[name] = tuple(column)
    return columns


def requests_of(pods: PodTable, models: tuple[str, ...]) -> NDArray[np.int64]:
    """(P, 5) as `clustersim.cluster` describes it."""
    accepted = np.array([accepted_models(spec, models) for spec in pods.gpu_spec], dtype=np.int64)
    return np.stack([pods.cpu_milli, pods.memory_mib, pods.num_gpu, pods.gpu_milli, accepted], axis=1)


# --- hypothesis: whole worlds, small enough that things go wrong often

node_dicts = st.builds(
    node,
    cpu=st.sampled_from([2000, 4000, 8000]),
    memory=st.sampled_from([2048, 8192]),
    gpus=st.sampled_from([0, 1, 2, 3]),
    model=st.sampled_from(MODELS),
)
gpu_node_dicts = st.builds(
    node, cpu=st.sampled_from([4000, 8000]), gpus=st.integers(1, 3), model=st.sampled_from(MODELS)
)
specs = st.sampled_from([(), (), ("T4",), ("T4", "V100"), ("H100",)])
cpu_amounts = st.sampled_from([0, 500, 1000, 2500])
memory_amounts = st.sampled_from([0, 512, 2000])


def pod_dicts(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Pods without GPU, with a share of one, with whole ones."""
    common = {"cpu": cpu_amounts, "memory": memory_amounts, **more}
    return st.one_of(
        st.builds(pod, **common),
        st.builds(pod, gpu_milli=st.sampled_from([100, 300, 500, 900]), spec=specs, **common),
        st.builds(pod, gpus=st.integers(1, 3), spec=specs, **common),
    )


timed_pod_dicts = pod_dicts(
    arrival=st.integers(0, 6).map(float),
    duration=st.sampled_from([0.0, 1.0, 2.0, 5.0, nan]),
    priority=st.integers(0, 2),
)
node_tables = st.lists(node_dicts, min_size=1, max_size=4).map(node_table)
replay_workloads = st.builds(
    workload, st.lists(node_dicts, min_size=1, max_size=3), st.lists(timed_pod_dicts, min_size=1, max_size=10)
)
crowding: dict[str, st.SearchStrategy[Any]] = {
    "cpu": st.sampled_from([700, 1500, 2200]),
    "arrival": st.integers(0, 4).map(float),
    "duration": st.sampled_from([0.0, 2.0, 5.0, 9.0, nan]),
    "priority": st.integers(0, 3),
    "image": st.sampled_from(["", "a", "b"]),
    "image_mib": st.just(10),
}
# More pods than there is room for, of many priorities: most of these worlds have something to preempt or to plan.
crowded_workloads = st.builds(
    workload,
    st.lists(
        st.builds(
            node, cpu=st.sampled_from([3000, 4000]), gpus=st.integers(1, 3), model=st.sampled_from(["T4", "V100"])
        ),
        min_size=1,
        max_size=3,
    ),
    st.lists(
        st.one_of(
            st.builds(pod, gpu_milli=st.sampled_from([300, 600]), spec=st.sampled_from([(), ("T4",)]), **crowding),
            st.builds(pod, gpus=st.integers(1, 2), **crowding),
            st.builds(pod, **crowding),
        ),
        min_size=8,
        max_size=14,
    ),
)
inflation_workloads = st.builds(
    lambda nodes, first, rest: workload(nodes, [first, *rest]),
    st.lists(gpu_node_dicts, min_size=1, max_size=4),
    st.builds(pod, gpu_milli=st.sampled_from([100, 300, 500])),
    st.lists(pod_dicts(), max_size=12),
)


# --- a cluster in plain Python


@dataclass
class PlainNode:
    cpu: int
    memory: int
    model: str
    gpu: list[int]  # milli left per device
    tenants: list[tuple[int, int]] = field(default_factory=list)  # (num_gpu, gpu_milli) of the pods with GPU


class PlainCluster:
    """What `clustersim.cluster.Cluster` does, written for reading: pods are rows of a PodTable."""

    def __init__(self, nodes: NodeTable, pods: PodTable) -> None:
        self.pods = pods
        self.nodes = [
            PlainNode(int(cpu), int(memory), model, [1000] * int(gpus))
            for cpu, memory, gpus, model in zip(
                nodes.cpu_milli, nodes.memory_mib, nodes.gpu_count, nodes.gpu_model, strict=True
            )
        ]

    def fits(self, row: int, n: int) -> bool:
        pods, here = self.pods, self.nodes[n]
        if here.cpu < pods.cpu_milli[row] or here.memory < pods.memory_mib[row]:
            return False
        count, milli = int(pods.num_gpu[row]), int(pods.gpu_milli[row])
        if count == 0:
            return True
        if pods.gpu_spec[row] and here.model not in pods.gpu_spec[row]:
            return False
        return sum(left >= milli for left in here.gpu) >= count

    def mask(self, row: int) -> list[bool]:
        return [self.fits(row, n) for n in range(len(self.nodes))]

    def bind(self, row: int, n: int, device: int | None = None) -> list[int]:
        pods, here = self.pods, self.nodes[n]
        count, milli = int(pods.num_gpu[row]), int(pods.gpu_milli[row])
        big_enough = [d for d, left in enumerate(here.gpu) if left >= milli]
        if count == 0:
            devices = []
        elif milli < 1000:
            devices = [min(big_enough, key=lambda d: (here.gpu[d], d)) if device is None else device]
        else:
            devices = big_enough[:count]
        here.cpu -= int(pods.cpu_milli[row])
        here.memory -= int(pods.memory_mib[row])
        for d in devices:
            here.gpu[d] -= milli
        if count:
            here.tenants.append((count, milli))
        return devices

    def release(self, row: int, n: int, devices: Iterable[int]) -> None:
        pods, here = self.pods, self.nodes[n]
        count, milli = int(pods.num_gpu[row]), int(pods.gpu_milli[row])
        here.cpu += int(pods.cpu_milli[row])
        here.memory += int(pods.memory_mib[row])
        for d in devices:
            here.gpu[d] += milli
        if count:
            here.tenants.remove((count, milli))


def plain_fragmentation(
    here: PlainNode, typical: Sequence[tuple[int, int, int, tuple[str, ...] | None]], frequency: Sequence[float]
) -> float:
    """F_n of one node, from the definition. A typical pod is (cpu, num_gpu, gpu_milli, accepted models or None)."""
    idle = sum(here.gpu)
    total = 0.0
    for (cpu, count, milli, accepted), p in zip(typical, frequency, strict=True):
        could_be_placed = (
            count > 0
            and here.cpu >= cpu
            and (accepted is None or here.model in accepted)
            and sum(left >= milli for left in here.gpu) >= count
        )
        total += p * (sum(left for left in here.gpu if left < milli) if could_be_placed else idle)
    return total


def plain_typical(requests: NDArray[np.int64], models: tuple[str, ...]) -> list[tuple[int, int, int, Any]]:
    """Rows of `TypicalPods.requests` as `plain_fragmentation` takes them."""
    return [
        (int(cpu), int(count), int(milli), _models_in(int(accepted), models))
        for cpu, _, count, milli, accepted in requests
    ]


def _models_in(accepted: int, models: tuple[str, ...]) -> tuple[str, ...] | None:
    return None if accepted == -1 else tuple(model for i, model in enumerate(models) if accepted >> i & 1)


# --- playing


class Recording:
    """Plays like another policy and keeps what it was asked and what it answered."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.asked: list[tuple[float, int, list[bool]]] = []
        self.answers: list[int] = []

    def reset(self, rng: np.random.Generator) -> None:
        self.policy.reset(rng)

    def act(self, decision: Decision) -> int:
        self.asked.append((decision.time_s, decision.subject.row, decision.mask.tolist()))
        k = self.policy.act(decision)
        self.answers.append(k)
        return k


class Waiting:
    """Waits whenever it may, else takes the first node."""

    def reset(self, rng: np.random.Generator) -> None:
        pass

    def act(self, decision: Decision) -> int:
        return len(decision.mask) - 1 if decision.mask[-1] else int(decision.mask.argmax())


class Scripted:
    """Gives the answers of a list, one after the other, then plays first-fit."""

    def __init__(self, answers: Sequence[int]) -> None:
        self.answers = list(answers)

    def reset(self, rng: np.random.Generator) -> None:
        pass

    def act(self, decision: Decision) -> int:
        return self.answers.pop(0) if self.answers else int(decision.mask.argmax())


def play(scenario: PodPlacement, policy: Policy, seed: int = 0, **others: Policy) -> PodPlacementSimulation:
    """`others` play roles beside `place`."""
    simulation = scenario.build(seed)
    run(simulation, {PLACE: policy, **others})
    return simulation


class Calling:
    """Answers with whatever a function of the decision returns."""

    def __init__(self, answer: Callable[[Decision], int]) -> None:
        self.answer = answer

    def reset(self, rng: np.random.Generator) -> None:
        pass

    def act(self, decision: Decision) -> int:
        return self.answer(decision)


Event = tuple[float, str, int, int, int]


def events(simulation: PodPlacementSimulation) -> list[Event]:
    """(time, kind, pod row, node, value), in the order of the log."""
    log = simulation.log
    return [(t, log.kinds[int(k)], int(s), int(p), int(v)) for t, k, s, p, v in zip(*log.columns(), strict=True)]


def models_of(world: PodWorkload) -> tuple[str, ...]:
    return gpu_models(world.nodes)
