"""The machines: a struct of arrays in integer milli-units, changed by `bind` and `release` and by nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.errors import ConfigError, DoesNotFit
from clustersim.readonly import read_only
from clustersim.workload import GPU_MILLI, NodeTable

CPU, MEMORY, NUM_GPU, GPU_SHARE, ACCEPTED = range(5)
"""Columns of a request: CPU milli, memory MiB, number of GPUs, milli per GPU, bit set of accepted GPU models."""

ANY_MODEL = -1
"""The bit set that accepts every GPU model."""

Ints = NDArray[np.int64]

_TIGHTEST = 1 << 32
"""In place of a device index: wherever the share fits most tightly."""


@dataclass(frozen=True, slots=True, eq=False)
class ClusterView:
    """The state of N nodes with at most G devices each, read-only; all arrays are (N,) integers unless noted.

    `gpu_free`: (N, G) milli left per device, 0 where a node has no such device. Derived, kept up to date:
    `gpu_free_total` milli, `gpu_free_most` milli on the emptiest device, `gpu_free_whole` number of untouched devices.
    `gpu_tenants`: (N, G + 1) number of pods on the node that hold a share (column 0) or n whole devices (column n).
    `gpu_model` indexes `models`, -1 without GPU; `model_bit` is that model as a bit set, 0 without GPU.
    """

    names: tuple[str, ...]
    models: tuple[str, ...]
    cpu_capacity: Ints
    cpu_free: Ints
    memory_capacity: Ints
    memory_free: Ints
    gpu_count: Ints
    gpu_model: Ints
    model_bit: Ints
    gpu_free: Ints
    gpu_free_total: Ints
    gpu_free_most: Ints
    gpu_free_whole: Ints
    gpu_tenants: Ints

    def __len__(self) -> int:
        return len(self.names)


def gpu_models(nodes: NodeTable) -> tuple[str, ...]:
    """The GPU models of a cluster in their canonical order."""
    return tuple(sorted({model for model in nodes.gpu_model if model}))


def accepted_models(gpu_spec: tuple[str, ...], models: tuple[str, ...]) -> int:
    """The bit set for a pod's list of acceptable models; models that no node has cannot be met."""
    if not gpu_spec:
        return ANY_MODEL
    return sum(1 << i for i, model in enumerate(models) if model in gpu_spec)


@dataclass(slots=True, eq=False)
class Binding:
    """A request that holds its part of a node: what `release` gives back."""

    request: Ints
    node: int
    devices: int  # bit set of device indices
    held: bool = True


class Cluster:
    """Nodes and what is free on them. Sums are integers, so what was released is gone without a trace."""

    def __init__(self, nodes: NodeTable, models: tuple[str, ...] | None = None) -> None:
        """`models` orders the GPU models that bit sets speak of; by default those of the nodes."""
        if len(nodes) == 0:
            raise ConfigError("a cluster needs at least one node; the node table is empty")
        models = gpu_models(nodes) if models is None else models
        most_devices = max(1, int(nodes.gpu_count.max()))
        has_device = np.arange(most_devices) < nodes.gpu_count[:, None]
        index = {model: i for i, model in enumerate(models)}
        gpu_model = np.array([index.get(model, -1) for model in nodes.gpu_model], dtype=np.int64)

        self._cpu_free = nodes.cpu_milli.astype(np.int64)
        self._memory_free = nodes.memory_mib.astype(np.int64)
        self._model_bit = np.where(gpu_model >= 0, 1 << np.maximum(gpu_model, 0), 0).astype(np.int64)
        self._gpu_free = np.where(has_device, GPU_MILLI, 0).astype(np.int64)
        self._gpu_free_total = self._gpu_free.sum(axis=1)
        self._gpu_free_most = self._gpu_free.max(axis=1)
        self._gpu_free_whole = nodes.gpu_count.astype(np.int64)
        self._gpu_tenants = np.zeros((len(nodes), most_devices + 1), dtype=np.int64)
        self.view = ClusterView(
            names=nodes.name,
            models=models,
            cpu_capacity=read_only(self._cpu_free.copy()),
            cpu_free=read_only(self._cpu_free),
            memory_capacity=read_only(self._memory_free.copy()),
            memory_free=read_only(self._memory_free),
            gpu_count=read_only(self._gpu_free_whole.copy()),
            gpu_model=read_only(gpu_model),
            model_bit=read_only(self._model_bit),
            gpu_free=read_only(self._gpu_free),
            gpu_free_total=read_only(self._gpu_free_total),
            gpu_free_most=read_only(self._gpu_free_most),
            gpu_free_whole=read_only(self._gpu_free_whole),
            gpu_tenants=read_only(self._gpu_tenants),
        )

    def __len__(self) -> int:
        return len(self._cpu_free)

    def feasible(self, request: Ints, out: NDArray[np.bool_]) -> bool:
        """Write into out[:N] which nodes have room for the request; return whether any has."""
        return _feasible(  # type: ignore[no-any-return]
            request,
            self._cpu_free,
            self._memory_free,
            self._model_bit,
            self._gpu_free_most,
            self._gpu_free_whole,
            out,
        )

    def first_fitting(self, requests: Ints, candidates: Ints, nodes: Ints) -> int:
        """The first position in `candidates` (rows of `requests`) that fits on one of `nodes`; -1 when none does."""
        return _first_fitting(  # type: ignore[no-any-return]
            requests,
            candidates,
            nodes,
            self._cpu_free,
            self._memory_free,
            self._model_bit,
            self._gpu_free_most,
            self._gpu_free_whole,
        )

    def bind(self, request: Ints, node: int, device: int | None = None) -> Binding:
        """Give a request its part of a node.

        A share goes to `device`, or to the device where it fits most tightly; whole devices are the first untouched
        ones. Raises DoesNotFit, and changes nothing, when the node or the device has no room.
        """
        devices = _bind(
            request,
            node,
            _TIGHTEST if device is None else device,
            self._cpu_free,
            self._memory_free,
            self._model_bit,
            self._gpu_free,
            self._gpu_free_total,
            self._gpu_free_most,
            self._gpu_free_whole,
            self._gpu_tenants,
        )
        if devices < 0:
            raise DoesNotFit(self._why_not(request, node, device))
        return Binding(request, node, devices)

    def release(self, binding: Binding) -> None:
        """Take back what a binding holds. Raises ValueError when it was released before."""
        if not binding.held:
            raise ValueError(f"a binding on node {self.view.names[binding.node]!r} is released twice; release it once")
        binding.held = False
        _release(
            binding.request,
            binding.node,
            binding.devices,
            self._cpu_free,
            self._memory_free,
            self._gpu_free,
            self._gpu_free_total,
            self._gpu_free_most,
            self._gpu_free_whole,
            self._gpu_tenants,
        )

    def _why_not(self, request: Ints, node: int, device: int | None) -> str:
        if not 0 <= node < len(self):
            return f"there is no node {node}; the cluster has {len(self)}, and the mask says which are legal"
        where = f"node {self.view.names[node]!r}" + ("" if device is None else f", device {device}")
        return (
            f"the request does not fit on {where}: asked {request[CPU]} CPU milli, {request[MEMORY]} MiB, "
            f"{request[NUM_GPU]} x {request[GPU_SHARE]} GPU milli; free {self._cpu_free[node]} CPU milli, "
            f"{self._memory_free[node]} MiB, GPU milli {self._gpu_free[node].tolist()}; choose one that the mask allows"
        )


# The kernels take arrays one by one: unboxing one costs about 0.1 us, an attribute of an object would not compile.


@njit(cache=True)
def _fits(request, cpu_free, memory_free, model_bit, gpu_free_most, gpu_free_whole, node):  # type: ignore[no-untyped-def]
    if cpu_free[node] < request[CPU] or memory_free[node] < request[MEMORY]:
        return False
    if request[NUM_GPU] == 0:
        return True
    if request[ACCEPTED] & model_bit[node] == 0:
        return False
    if request[GPU_SHARE] < GPU_MILLI:
        return gpu_free_most[node] >= request[GPU_SHARE]
    return gpu_free_whole[node] >= request[NUM_GPU]


@njit(cache=True)
def _feasible(request, cpu_free, memory_free, model_bit, gpu_free_most, gpu_free_whole, out):  # type: ignore[no-untyped-def]
    # `_fits` for all nodes, without branches inside the loops: that compiles to vector code (1,000 nodes in 0.9 us,
    # node by node in 24 us).
    cpu, memory, count, share, accepted = request[0], request[1], request[2], request[3], request[4]
    found = 0
    if count == 0:
        for node in range(len(cpu_free)):
            fits = (cpu_free[node] >= cpu) & (memory_free[node] >= memory)
            out[node] = fits
            found += fits
        return found > 0
    room, wanted = (gpu_free_most, share) if share < GPU_MILLI else (gpu_free_whole, count)
    for node in range(len(cpu_free)):
        fits = (
            (cpu_free[node] >= cpu)
            & (memory_free[node] >= memory)
            & (room[node] >= wanted)
            & (model_bit[node] & accepted != 0)
        )
        out[node] = fits
        found += fits
    return found > 0


@njit(cache=True)
def _first_fitting(  # type: ignore[no-untyped-def]
    requests, candidates, nodes, cpu_free, memory_free, model_bit, gpu_free_most, gpu_free_whole
):
    for position in range(len(candidates)):
        request = requests[candidates[position]]
        for node in nodes:
            if _fits(request, cpu_free, memory_free, model_bit, gpu_free_most, gpu_free_whole, node):
                return position
    return -1


@njit(cache=True)
def _tightest_device(gpu_free, node, share):  # type: ignore[no-untyped-def]
    best = -1
    for device in range(gpu_free.shape[1]):
        if gpu_free[node, device] >= share and (best < 0 or gpu_free[node, device] < gpu_free[node, best]):
            best = device
    return best


@njit(cache=True)
def _refresh(gpu_free, gpu_free_total, gpu_free_most, gpu_free_whole, node):  # type: ignore[no-untyped-def]
    total, most, whole = 0, 0, 0
    for device in range(gpu_free.shape[1]):
        free = gpu_free[node, device]
        total += free
        most = max(most, free)
        whole += free == GPU_MILLI
    gpu_free_total[node], gpu_free_most[node], gpu_free_whole[node] = total, most, whole


@njit(cache=True)
def _bind(  # type: ignore[no-untyped-def]
    request,
    node,
    device,
    cpu_free,
    memory_free,
    model_bit,
    gpu_free,
    gpu_free_total,
    gpu_free_most,
    gpu_free_whole,
    gpu_tenants,
):
    """The bit set of devices that the request got; -1, and nothing changed, when there is no room."""
    if not 0 <= node < len(cpu_free):
        return -1
    if not _fits(request, cpu_free, memory_free, model_bit, gpu_free_most, gpu_free_whole, node):
        return -1
    devices = 0
    count, share = request[NUM_GPU], request[GPU_SHARE]
    if count > 0 and share < GPU_MILLI:
        if device == _TIGHTEST:
            device = _tightest_device(gpu_free, node, share)
        if not 0 <= device < gpu_free.shape[1] or gpu_free[node, device] < share:
            return -1
        gpu_free[node, device] -= share
        gpu_tenants[node, 0] += 1
        devices = 1 << device
    elif count > 0:
        gpu_tenants[node, count] += 1
        for whole in range(gpu_free.shape[1]):
            if count > 0 and gpu_free[node, whole] == GPU_MILLI:
                gpu_free[node, whole] = 0
                devices |= 1 << whole
                count -= 1
    cpu_free[node] -= request[CPU]
    memory_free[node] -= request[MEMORY]
    if devices:
        _refresh(gpu_free, gpu_free_total, gpu_free_most, gpu_free_whole, node)
    return devices


@njit(cache=True)
def _release(  # type: ignore[no-untyped-def]
    request,
    node,
    devices,
    cpu_free,
    memory_free,
    gpu_free,
    gpu_free_total,
    gpu_free_most,
    gpu_free_whole,
    gpu_tenants,
):
    cpu_free[node] += request[CPU]
    memory_free[node] += request[MEMORY]
    if not devices:
        return
    share = request[GPU_SHARE]
    for device in range(gpu_free.shape[1]):
        if devices >> device & 1:
            gpu_free[node, device] += share
    gpu_tenants[node, 0 if share < GPU_MILLI else request[NUM_GPU]] -= 1
    _refresh(gpu_free, gpu_free_total, gpu_free_most, gpu_free_whole, node)
