"""The sizes of the shared cluster: nodes, zones, power rows, and what its services and batch pods are like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError
from clustersim.traces.diurnal import SPIKY, STEADY, Diurnal
from clustersim.traces.openb_figures import NODE_SHAPES
from clustersim.traces.sampling import largest_remainder
from clustersim.workload import NodeTable

GPU_TYPE = {
    "T4": "T4",
    "P100": "P100",
    "V100M16": "V100",
    "V100M32": "V100",
    "A10": "A10",
    "G1": "T4",
    "G2": "A10",
    "G3": "A100-80",
}
"""What the GPU models of openb are in the hardware catalogue. G1, G2 and G3 are undisclosed: stand-ins of ours (D)."""


@dataclass(frozen=True, slots=True)
class ServiceShape:
    """A service but for its size: what a replica asks for and can do, its promise, and how its load moves."""

    name: str
    diurnal: Diurnal
    calm_share: float
    """Load without bursts, on average, as a share of what all replicas together can serve."""
    gpu_milli: int
    cpu_milli: int
    memory_mib: int
    service_time_s: float
    concurrency: int
    slo_s: float
    clock_sensitivity: float
    image_mib: int

    @property
    def replica_rps(self) -> float:
        return self.concurrency / self.service_time_s


SEARCH = ServiceShape(
    "search",
    STEADY,
    calm_share=0.28,
    gpu_milli=500,
    cpu_milli=4000,
    memory_mib=16 * 1024,
    service_time_s=0.2,
    concurrency=4,
    slo_s=1.0,
    clock_sensitivity=0.6,
    image_mib=4096,
)
VISION = ServiceShape(
    "vision",
    SPIKY,
    calm_share=0.12,
    gpu_milli=250,
    cpu_milli=2000,
    memory_mib=8 * 1024,
    service_time_s=0.5,
    concurrency=2,
    slo_s=2.0,
    clock_sensitivity=0.9,
    image_mib=2048,
)
SERVICES = (SEARCH, VISION)
"""The services of a zone take these shapes by turns. All their figures are ours (D)."""


Shape = tuple[str, int, int, int]
"""Of a node: GPU model, GPUs, cores, memory GiB. Below: shapes of openb."""

G3: Shape = ("G3", 8, 128, 768)
G2: Shape = ("G2", 8, 96, 384)
V100M32: Shape = ("V100M32", 8, 96, 768)
V100M16: Shape = ("V100M16", 4, 32, 128)
T4: Shape = ("T4", 2, 104, 512)
P100: Shape = ("P100", 2, 64, 256)
P100_SMALL: Shape = ("P100", 2, 16, 120)


@dataclass(frozen=True, slots=True)
class Preset:
    """A size of the cluster. `nodes`: those of each power row, or a number of nodes of the openb mix."""

    name: str
    zones: int
    rows_per_zone: int
    duration_s: float
    step_s: float
    """Of the load."""
    period_s: float
    """Of the daily wave: compressed into the episode where that is shorter than a day."""
    services_per_zone: int
    max_replicas: int
    batch_share: float
    """GPU demand of the batch pods, as a share of what the services leave at their mean load."""
    batch_peak_to_trough: float
    """Of their arrivals within a period; by the hours of openb's day it is 4 (C)."""
    batch_median_s: float
    batch_sigma: float
    nodes: tuple[tuple[Shape, ...], ...] | int


PRESETS = {
    "small": Preset(
        "small",
        zones=1,
        rows_per_zone=2,
        duration_s=7200.0,
        step_s=10.0,
        period_s=7200.0,
        services_per_zone=2,
        max_replicas=16,
        batch_share=0.75,
        batch_peak_to_trough=3.0,
        batch_median_s=720.0,
        batch_sigma=1.0,
        nodes=(
            (G3, G2, V100M16, T4, T4, T4, P100, P100_SMALL),
            (G2, G2, V100M32, V100M16, T4, T4, P100, P100_SMALL),
        ),
    ),
    "medium": Preset(
        "medium",
        zones=4,
        rows_per_zone=1,
        duration_s=86_400.0,
        step_s=20.0,
        period_s=86_400.0,
        services_per_zone=2,
        max_replicas=20,
        batch_share=0.75,
        batch_peak_to_trough=2.0,
        batch_median_s=2400.0,
        batch_sigma=1.2,
        nodes=100,
    ),
    "large": Preset(
        "large",
        zones=4,
        rows_per_zone=2,
        duration_s=86_400.0,
        step_s=30.0,
        period_s=86_400.0,
        services_per_zone=4,
        max_replicas=64,
        batch_share=0.75,
        batch_peak_to_trough=2.0,
        batch_median_s=2400.0,
        batch_sigma=1.2,
        nodes=1213,
    ),
}


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises ConfigError that lists all."""
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; there is {', '.join(PRESETS)}")
    return PRESETS[name]


def nodes_of(size: Preset) -> tuple[NodeTable, NDArray[np.int64], NDArray[np.int64]]:
    """The nodes of a preset, their zones (N,) and their power rows (N,).

    Nodes of the openb mix are dealt like cards, shape by shape, so that rows and zones are alike.
    """
    if isinstance(size.nodes, int):
        numbers = largest_remainder(np.array([shape[0] for shape in NODE_SHAPES]), size.nodes)
        shapes = [shape for (_, *shape), number in zip(NODE_SHAPES, numbers, strict=True) for _ in range(number)]
        row = np.arange(len(shapes)) % (size.zones * size.rows_per_zone)
        order = np.argsort(row, kind="stable")  # the nodes of a row, and so of a zone, stand together
        shapes, row = [shapes[node] for node in order], row[order]
    else:
        shapes = [list(shape) for shapes in size.nodes for shape in shapes]
        row = np.repeat(np.arange(len(size.nodes)), [len(shapes) for shapes in size.nodes])
    model, gpus, cores, gib = zip(*shapes, strict=True)
    nodes = NodeTable(
        name=tuple(f"node-{n:04d}" for n in range(len(shapes))),
        cpu_milli=np.array(cores, dtype=np.int64) * 1000,
        memory_mib=np.array(gib, dtype=np.int64) * 1024,
        gpu_count=np.array(gpus, dtype=np.int64),
        gpu_model=model,
    )
    return nodes, row // size.rows_per_zone, row
