"""Packing as a whole: a snapshot of nodes and pods, plans for it, and what makes one plan better than another.

A scheduler asks where one pod goes; an optimizer is given this snapshot and says where every pod goes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.cluster import ACCEPTED, CPU, GPU_SHARE, MEMORY, NUM_GPU
from clustersim.errors import ConfigError
from clustersim.workload import GPU_MILLI

Ints = NDArray[np.int64]

NOWHERE = -1
"""In place of a node: pending, or evicted."""

RESTART = -2
"""In place of a device: a pod with whole GPUs stays on its node, but is restarted to get other devices there."""

LARGEST_SUM = 1 << 53
"""Sums of requests stay below this, where doubles count exactly and no solver overflows."""


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """N nodes, P pods, and where the pods are now. Node columns are (N,) integers, pod columns (P,).

    `request` is (P, 5) as `clustersim.cluster` describes it. `home` is the node of a running pod, NOWHERE of a pending
    one; `home_devices` is the bit set of GPU devices that a running pod holds. A `protected` pod is not touched.
    `apart` lists sets of pods (anti-affinity): no two pods of a set may share a node.

    Raises ConfigError where the snapshot contradicts itself.
    """

    node_names: tuple[str, ...]
    cpu_milli: Ints
    memory_mib: Ints
    gpu_count: Ints
    model_bit: Ints
    pod_names: tuple[str, ...]
    request: Ints
    priority: Ints
    home: Ints
    home_devices: Ints
    protected: NDArray[np.bool_]
    apart: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        self._require_representable()
        self._require_consistent()

    @property
    def tiers(self) -> list[int]:
        """The distinct priorities, the highest first."""
        return [int(priority) for priority in np.unique(self.priority)[::-1]]

    @property
    def shares(self) -> NDArray[np.bool_]:
        """(P,) whether a pod shares a device."""
        return (self.request[:, NUM_GPU] > 0) & (self.request[:, GPU_SHARE] < GPU_MILLI)

    def accepts(self, pod: int) -> NDArray[np.bool_]:
        """(N,) on which nodes the pod could run if they were empty."""
        request = self.request[pod]
        fits = (self.cpu_milli >= request[CPU]) & (self.memory_mib >= request[MEMORY])
        if request[NUM_GPU]:
            fits &= (self.gpu_count >= request[NUM_GPU]) & (self.model_bit & request[ACCEPTED] != 0)
        return fits  # type: ignore[no-any-return]

    def why_hopeless(self, pod: int) -> str | None:
        """Why a pod fits on no node even if all were empty, and which nodes come nearest; None when it does fit."""
        if self.accepts(pod).any():
            return None
        request = self.request[pod]
        wanted = {"cpu_milli": request[CPU], "memory_mib": request[MEMORY], "gpu_count": request[NUM_GPU]}
        right_model = (self.model_bit & request[ACCEPTED] != 0) | (request[NUM_GPU] == 0)
        lacks = [name for name, amount in wanted.items() if amount > getattr(self, name).max(initial=0)]
        candidates = np.flatnonzero(right_model) if right_model.any() else np.arange(len(self.node_names))
        covered = np.mean(
            [np.minimum(1.0, getattr(self, name)[candidates] / max(1, amount)) for name, amount in wanted.items()],
            axis=0,
        )
        nearest = candidates[np.argsort(-covered, kind="stable")[:3]]
        nodes = "; ".join(
            f"{self.node_names[n]!r} has {self.cpu_milli[n]} CPU milli, {self.memory_mib[n]} MiB, "
            f"{self.gpu_count[n]} GPUs{'' if right_model[n] else ' of a model that it does not accept'}"
            for n in nearest
        )
        reason = (
            f"no node has as much {', '.join(lacks)}"
            if lacks
            else (
                "no node has a GPU model that it accepts" if not right_model.any() else "no node has all of it together"
            )
        )
        return (
            f"pod {self.pod_names[pod]!r} can never run: it asks for {request[CPU]} CPU milli, {request[MEMORY]} MiB "
            f"and {request[NUM_GPU]} x {request[GPU_SHARE]} GPU milli, and {reason}; the nearest: {nodes}. "
            "Lower the request, or add a larger node"
        )

    def part(self, pods: Ints, nodes: Ints | None = None) -> Packing:
        """Only these pods (and, of the nodes, only these, on which all that run have to be), in the given order."""
        nodes = np.arange(len(self.node_names)) if nodes is None else nodes
        new_node = np.full(len(self.node_names) + 1, NOWHERE)  # the last entry is what NOWHERE, -1, maps to
        new_node[nodes] = np.arange(len(nodes))
        new_pod = {int(pod): i for i, pod in enumerate(pods)}
        apart = [tuple(new_pod[pod] for pod in together if pod in new_pod) for together in self.apart]
        return Packing(
            tuple(self.node_names[n] for n in nodes),
            self.cpu_milli[nodes],
            self.memory_mib[nodes],
            self.gpu_count[nodes],
            self.model_bit[nodes],
            tuple(self.pod_names[pod] for pod in pods),
            self.request[pods],
            self.priority[pods],
            new_node[self.home[pods]],
            self.home_devices[pods],
            self.protected[pods],
            tuple(together for together in apart if len(together) > 1),
        )

    def _require_representable(self) -> None:
        for name in ("cpu_milli", "memory_mib", "gpu_count"):
            column = getattr(self, name)
            if len(column) and column.min() < 0:
                node = int(column.argmin())
                raise ConfigError(f"node {self.node_names[node]!r} has {name} {column[node]}; it has to be at least 0")
        columns = {
            "CPU milli": (self.cpu_milli, self.request[:, CPU]),
            "memory MiB": (self.memory_mib, self.request[:, MEMORY]),
        }
        for name, (capacity, asked) in columns.items():
            if len(asked) and asked.min() < 0:
                pod = int(asked.argmin())
                raise ConfigError(f"pod {self.pod_names[pod]!r} asks for {asked[pod]} {name}; it has to be at least 0")
            for what, amounts in (("capacities", capacity), ("requests", asked)):
                total = sum(amounts.tolist())  # of Python's integers: the sum itself must not overflow
                if total >= LARGEST_SUM:
                    raise ConfigError(
                        f"the {what} add up to {total} {name}, more than {LARGEST_SUM} that a solver can sum exactly; "
                        "give them in larger units (MiB, not bytes)"
                    )

    def _require_consistent(self) -> None:
        if len(self.node_names) == 0:
            raise ConfigError("there is nothing to pack on: the snapshot has no nodes")
        if not (self.cpu_milli.any() or self.memory_mib.any()):
            raise ConfigError(f"all {len(self.node_names)} nodes have no capacity at all; give them CPU and memory")
        idle = np.flatnonzero(self.protected & (self.home == NOWHERE))
        if len(idle):
            raise ConfigError(
                f"{len(idle)} pods are protected but run nowhere, the first is {self.pod_names[idle[0]]!r}; "
                "only a running pod can be protected"
            )
        if len(self.home) and not (self.home.min() >= NOWHERE and self.home.max() < len(self.node_names)):
            raise ConfigError(f"a pod runs on a node that is not among the {len(self.node_names)}")
        self._require_devices()
        for together in self.apart:
            strange = [pod for pod in together if not 0 <= pod < len(self.pod_names)]
            if strange or len(set(together)) < len(together):
                raise ConfigError(f"the pods {together} to be apart have to be different ones of {len(self.pod_names)}")
            held = [pod for pod in together if self.protected[pod]]
            homes = self.home[held].tolist()
            if len(set(homes)) < len(homes):
                names = ", ".join(repr(self.pod_names[pod]) for pod in held)
                raise ConfigError(
                    f"the constraints contradict each other: {names} are protected where they are and have to be "
                    "apart, but some share a node; lift one of the two"
                )
        problem = self.why_illegal(Plan(self.home, device_of(self.home_devices, self.shares)), apart=False)
        if problem:
            raise ConfigError(f"the pods as they run now do not fit: {problem}")

    def _require_devices(self) -> None:
        running = self.home != NOWHERE
        wanted = np.where(running, self.request[:, NUM_GPU], 0)
        there = np.where(running, (1 << self.gpu_count[self.home]) - 1, 0)
        odd = np.flatnonzero((np.bitwise_count(self.home_devices) != wanted) | (self.home_devices & ~there != 0))
        if len(odd):
            pod = int(odd[0])
            raise ConfigError(
                f"pod {self.pod_names[pod]!r} holds the devices {self.home_devices[pod]:#b} where it has to hold "
                f"{wanted[pod]} of {there[pod]:#b}; give as many of its node's devices as it asks for, none if it waits"
            )

    def why_illegal(self, plan: Plan, apart: bool = True) -> str | None:
        """The first rule that a plan breaks, or None."""
        placed = np.flatnonzero(plan.node != NOWHERE)
        node = plan.node[placed]
        request = self.request[placed]
        for column, capacity, unit in ((CPU, self.cpu_milli, "CPU milli"), (MEMORY, self.memory_mib, "MiB")):
            used = np.bincount(node, weights=request[:, column], minlength=len(capacity)).astype(np.int64)
            if (used > capacity).any():
                n = int(np.argmax(used - capacity))
                return f"node {self.node_names[n]!r} has {capacity[n]} {unit} and would hold {used[n]}"
        problem = self._why_illegal_on_gpus(plan, placed)
        if problem:
            return problem
        touched = np.flatnonzero(self.protected & (plan.node != self.home))
        if len(touched):
            return f"pod {self.pod_names[touched[0]]!r} is protected and would be moved"
        for together in self.apart if apart else ():
            nodes = [int(plan.node[pod]) for pod in together if plan.node[pod] != NOWHERE]
            if len(set(nodes)) < len(nodes):
                return f"pods {', '.join(repr(self.pod_names[pod]) for pod in together)} have to be apart"
        return None

    def _why_illegal_on_gpus(self, plan: Plan, placed: Ints) -> str | None:
        arriving: dict[int, int] = {}  # node -> whole devices that arriving pods take: any that are left
        held: dict[tuple[int, int], int] = {}  # node, device -> milli
        for pod in placed[self.request[placed, NUM_GPU] > 0].tolist():
            node, request = int(plan.node[pod]), self.request[pod]
            where = f"node {self.node_names[node]!r}"
            if not self.model_bit[node] & request[ACCEPTED]:
                return f"pod {self.pod_names[pod]!r} does not accept the GPU model of {where}"
            if request[GPU_SHARE] < GPU_MILLI:
                devices = [int(plan.device[pod])]
                if not 0 <= devices[0] < self.gpu_count[node]:
                    return f"pod {self.pod_names[pod]!r} shares device {devices[0]} of {where}, which has none such"
            elif node == self.home[pod] and plan.device[pod] != RESTART:
                devices = [d for d in range(int(self.gpu_count[node])) if self.home_devices[pod] >> d & 1]
            else:
                arriving[node] = arriving.get(node, 0) + int(request[NUM_GPU])
                continue
            for device in devices:
                held[node, device] = held.get((node, device), 0) + int(request[GPU_SHARE])
                if held[node, device] > GPU_MILLI:
                    return f"device {device} of {where} would hold {held[node, device]} milli of {GPU_MILLI}"
        for node, count in arriving.items():
            left = int(self.gpu_count[node]) - sum(at == node for at, _ in held)
            if count > left:
                return f"node {self.node_names[node]!r} has {left} whole GPUs left and would have to give {count}"
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Where every pod of a snapshot goes: `node` (P,), NOWHERE for one that runs nowhere.

    `device` (P,) is the GPU device of a pod that shares one. All others have NOWHERE there: a pod with whole GPUs that
    stays keeps its devices (or says RESTART), and one that arrives gets any that are left.
    """

    node: Ints
    device: Ints


def device_of(devices: Ints, shares: NDArray[np.bool_]) -> Ints:
    """The device index behind each one-device bit set of the pods that share one; NOWHERE for the others."""
    return np.where(shares & (devices > 0), np.log2(np.maximum(devices, 1)).astype(np.int64), NOWHERE)


def devices_of(packing: Packing, plan: Plan) -> Ints:
    """(P,) the bit set of GPU devices that each pod would hold; pods that arrive get the first whole ones left."""
    held = np.where(packing.shares & (plan.node != NOWHERE), 1 << np.maximum(plan.device, 0), 0)
    whole = (packing.request[:, NUM_GPU] > 0) & ~packing.shares & (plan.node != NOWHERE)
    stays = whole & (plan.node == packing.home) & (plan.device != RESTART)
    held[stays] = packing.home_devices[stays]
    busy = np.zeros(len(packing.node_names), dtype=np.int64)
    np.bitwise_or.at(busy, plan.node[held > 0], held[held > 0])
    for pod in np.flatnonzero(whole & ~stays).tolist():
        node, wanted = int(plan.node[pod]), int(packing.request[pod, NUM_GPU])
        free = [1 << d for d in range(int(packing.gpu_count[node])) if not busy[node] >> d & 1]
        held[pod] = sum(free[:wanted])
        busy[node] |= held[pod]
    return held


def stay(packing: Packing) -> Plan:
    """Everything as it is."""
    return Plan(packing.home, device_of(packing.home_devices, packing.shares))


def placed_by_tier(packing: Packing, node: Ints) -> tuple[int, ...]:
    """How many pods of each tier or above run, the highest tier first; compare such tuples to compare plans."""
    runs = node != NOWHERE
    return tuple(int((runs & (packing.priority >= tier)).sum()) for tier in packing.tiers)


def moved(packing: Packing, plan: Plan) -> NDArray[np.bool_]:
    """(P,) running pods that would run on another node or on other devices."""
    elsewhere: NDArray[np.bool_] = (plan.node != packing.home) | (
        packing.shares & (plan.device != stay(packing).device)
    )
    elsewhere |= plan.device == RESTART
    elsewhere &= (packing.home != NOWHERE) & (plan.node != NOWHERE)
    return elsewhere


def evicted(packing: Packing, plan: Plan) -> NDArray[np.bool_]:
    """(P,) running pods that would run nowhere."""
    gone: NDArray[np.bool_] = (packing.home != NOWHERE) & (plan.node == NOWHERE)
    return gone
