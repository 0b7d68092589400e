"""What arrives and where it may run: the typed tables that every trace reader fills and every scenario replays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError

GPU_MILLI = 1000
"""Milli-units of one whole GPU device."""


@dataclass(frozen=True, slots=True, eq=False)
class NodeTable:
    """One row per node. `gpu_model` is "" exactly where `gpu_count` is 0."""

    name: tuple[str, ...]
    cpu_milli: NDArray[np.int64]
    memory_mib: NDArray[np.int64]
    gpu_count: NDArray[np.int64]
    gpu_model: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.name)

    def take(self, rows: NDArray[np.int64]) -> NodeTable:
        """The given rows, in the given order."""
        return NodeTable(**_taken(self, rows))


@dataclass(frozen=True, slots=True, eq=False)
class PodTable:
    """One row per pod.

    A pod asks for nothing on GPUs (`num_gpu` 0, `gpu_milli` 0), for a share of one device (1, below 1000) or for
    whole devices (n, 1000 each). `gpu_spec` names the models it accepts; the empty tuple accepts any.
    `duration_s` is NaN for a pod that never leaves; `priority` is higher for the more important.
    """

    name: tuple[str, ...]
    cpu_milli: NDArray[np.int64]
    memory_mib: NDArray[np.int64]
    num_gpu: NDArray[np.int64]
    gpu_milli: NDArray[np.int64]
    gpu_spec: tuple[tuple[str, ...], ...]
    qos: tuple[str, ...]
    priority: NDArray[np.int64]
    arrival_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    image: tuple[str, ...]
    image_mib: NDArray[np.int64]

    def __post_init__(self) -> None:
        whole = (self.num_gpu >= 1) & (self.gpu_milli == GPU_MILLI)
        share = (self.num_gpu == 1) & (self.gpu_milli > 0) & (self.gpu_milli < GPU_MILLI)
        odd = np.flatnonzero(~(whole | share | ((self.num_gpu == 0) & (self.gpu_milli == 0))))
        if len(odd):
            row = odd[0]
            raise ConfigError(
                f"{len(odd)} pods ask for GPUs in a way that does not exist, the first is {self.name[row]!r} with "
                f"{self.num_gpu[row]} x {self.gpu_milli[row]} milli; allowed are 0 x 0, 1 x (1 to 999) and n x 1000"
            )

    def __len__(self) -> int:
        return len(self.name)

    def take(self, rows: NDArray[np.int64]) -> PodTable:
        """The given rows, in the given order; a row may be taken more than once."""
        return PodTable(**_taken(self, rows))

    @property
    def gpu_demand_milli(self) -> NDArray[np.int64]:
        """GPU milli asked for on all devices together, shape (P,)."""
        return self.num_gpu * self.gpu_milli


@dataclass(frozen=True, slots=True, eq=False)
class PodWorkload:
    """A cluster and the pods that arrive at it."""

    name: str
    nodes: NodeTable
    pods: PodTable


def _taken(table: NodeTable | PodTable, rows: NDArray[np.int64]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for field in fields(table):
        column = getattr(table, field.name)
        columns[field.name] = column[rows] if isinstance(column, np.ndarray) else tuple(column[row] for row in rows)
    return columns
