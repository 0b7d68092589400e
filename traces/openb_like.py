"""The embedded default trace: a generator whose nodes and pods have the shares and marginals of openb."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError
from clustersim.traces.openb_figures import (
    ARRIVALS_BY_HOUR,
    CLASSES,
    DAYS,
    GPUS,
    LIFETIME_QUANTILES,
    NODE_SHAPES,
    NODES,
    PODS,
)
from clustersim.traces.qos import PRIORITY
from clustersim.traces.sampling import largest_remainder, systematic_sample
from clustersim.workload import NodeTable, PodTable, PodWorkload


def openb_like(
    seed_or_rng: int | np.random.Generator = 0, nodes: int = NODES, pods: int | None = None, days: int = DAYS
) -> PodWorkload:
    """A workload like openb, the same for the same seed.

    Nodes keep the mix of shapes (largest remainder). `pods` defaults to as many as keep GPU demand at 98 % of the GPU
    capacity, as in openb. They arrive over `days` in the trace's daily rhythm, sorted by arrival.
    """
    if nodes < 1 or (pods is not None and pods < 1) or days < 1:
        raise ConfigError(f"openb-like needs at least one node, one pod and one day, got {nodes=}, {pods=}, {days=}")
    rng = np.random.default_rng(seed_or_rng)
    node_table = _nodes(nodes)
    if pods is None:
        pods = max(1, round(PODS * int(node_table.gpu_count.sum()) / GPUS))
    return PodWorkload("openb-like", node_table, _pods(pods, days, rng))


def _nodes(count: int) -> NodeTable:
    weight, model, gpus, cores, gib = zip(*NODE_SHAPES, strict=True)
    shape = np.repeat(np.arange(len(NODE_SHAPES)), largest_remainder(np.array(weight), count))
    return NodeTable(
        name=_names("node", count),
        cpu_milli=np.array(cores, dtype=np.int64)[shape] * 1000,
        memory_mib=np.array(gib, dtype=np.int64)[shape] * 1024,
        gpu_count=np.array(gpus, dtype=np.int64)[shape],
        gpu_model=tuple(model[row] for row in shape),
    )


def _pods(count: int, days: int, rng: np.random.Generator) -> PodTable:
    shapes = [(kind, *shape) for kind, pod_class in enumerate(CLASSES) for shape in pod_class.shapes]
    kind, weight, gpu_milli, cores, gib = (np.array(column) for column in zip(*shapes, strict=True))
    share = np.array([pod_class.share for pod_class in CLASSES])
    within = weight / np.bincount(kind, weights=weight)[kind]
    shape = systematic_sample(share[kind] * within, count, rng)
    kind = kind[shape]
    qos = _qos(kind, rng)
    return PodTable(
        name=_names("pod", count),
        cpu_milli=np.rint(cores[shape] * 1000).astype(np.int64),
        memory_mib=gib[shape].astype(np.int64) * 1024,
        num_gpu=np.array([pod_class.num_gpu for pod_class in CLASSES], dtype=np.int64)[kind],
        gpu_milli=gpu_milli[shape].astype(np.int64),
        gpu_spec=((),) * count,
        qos=qos,
        priority=np.array([PRIORITY[name] for name in qos], dtype=np.int64),
        arrival_s=_arrivals_s(count, days, rng),
        duration_s=_lifetimes_s(kind, rng),
        image=("",) * count,
        image_mib=np.zeros(count, dtype=np.int64),
    )


def _arrivals_s(count: int, days: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Independent arrivals in whole seconds, sorted: every day alike, the hours of a day by their weight."""
    by_hour = np.array(ARRIVALS_BY_HOUR) / sum(ARRIVALS_BY_HOUR)
    hour = 24 * rng.integers(days, size=count) + rng.choice(24, size=count, p=by_hour)
    return np.sort(3600.0 * hour + rng.integers(3600, size=count))


def _lifetimes_s(kind: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Whole seconds, drawn by inverting each class's quantile function."""
    level = rng.random(len(kind))
    log_s = np.empty(len(kind))
    for k, pod_class in enumerate(CLASSES):
        rows = kind == k
        log_s[rows] = np.interp(level[rows], LIFETIME_QUANTILES, np.log(pod_class.lifetime_s))
    return np.rint(np.exp(log_s))


def _qos(kind: NDArray[np.int64], rng: np.random.Generator) -> tuple[str, ...]:
    qos = np.empty(len(kind), dtype=object)
    for k, pod_class in enumerate(CLASSES):
        rows = kind == k
        weight = np.array(list(pod_class.qos.values()))
        qos[rows] = rng.choice(list(pod_class.qos), size=int(rows.sum()), p=weight / weight.sum())
    return tuple(qos)


def _names(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}-{row:04d}" for row in range(count))
