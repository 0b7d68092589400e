"""The pod table of an episode: the batch pods of the workload, and behind them room for the pods of every service."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from clustersim.control_workload import ControlWorkload
from clustersim.workload import GPU_MILLI, PodTable, PodWorkload


def with_replicas(workload: ControlWorkload, pool_most: int) -> tuple[PodWorkload, list[range]]:
    """The table, and the rows of each service.

    A service can have all its replicas and a full pool at once, and lend its pool to others while it fills it again.
    """
    tables, rows, at = [workload.pods], [], len(workload.pods)
    for service in workload.services:
        count = service.max_replicas + 2 * pool_most
        rows.append(range(at, at + count))
        at += count
        ints = np.ones(count, dtype=np.int64)
        tables.append(
            PodTable(
                name=tuple(f"service/{service.name}/{k}" for k in range(count)),
                cpu_milli=ints * service.cpu_milli,
                memory_mib=ints * service.memory_mib,
                num_gpu=ints * (service.gpu_milli > 0),
                gpu_milli=ints * min(service.gpu_milli, GPU_MILLI),
                gpu_spec=((),) * count,
                qos=("LS",) * count,
                priority=ints * service.priority,
                arrival_s=np.zeros(count),
                duration_s=np.full(count, np.nan),
                image=(service.image,) * count,
                image_mib=ints * service.image_mib,
            )
        )
    return PodWorkload(workload.name, workload.nodes, _joined(tables)), rows


def _joined(tables: list[PodTable]) -> PodTable:
    columns: dict[str, Any] = {}
    for column in fields(PodTable):
        parts = [getattr(table, column.name) for table in tables]
        columns[column.name] = np.concatenate(parts) if isinstance(parts[0], np.ndarray) else sum(parts, ())
    return PodTable(**columns)
