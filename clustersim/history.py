"""How an episode of pods went: a row of quantities after every step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class History:
    """What was arrived, allocated and fragmented after every step of an episode."""

    COLUMNS = (
        "time_s",
        "arrived_gpu_milli",
        "allocated_gpu_milli",
        "fragmented_gpu_milli",
        "allocated_cpu_milli",
        "allocated_memory_mib",
    )

    def __init__(self) -> None:
        self._flat: list[float] = []

    def add(self, *step: float) -> None:
        """One value per column, in the order of COLUMNS."""
        self._flat += step

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """The columns by name, of equal length."""
        width = len(self.COLUMNS)
        table = np.array(self._flat, dtype=np.float64).reshape(-1, width)
        return dict(zip(self.COLUMNS, table.T, strict=True))

    def mean(self, column: str, now_s: float) -> float:
        """Time-weighted mean of a column from time 0 until now; a value holds until the next step."""
        columns = self.columns()
        if len(columns["time_s"]) == 0 or now_s == 0:
            return float(columns[column][-1]) if len(columns["time_s"]) else 0.0
        return float(columns[column] @ np.diff(columns["time_s"], append=now_s)) / now_s

    def at_mark(self, percent: int, gpu_capacity_milli: int) -> tuple[float, float]:
        """Allocated and fragmented share at an arrived demand: the mean over arrivals within half a point of it.

        That is how the published table reads its values off. On a small cluster no arrival may fall into that point;
        then it is the last arrival before it.
        """
        if gpu_capacity_milli == 0:
            return float("nan"), float("nan")
        columns = self.columns()
        arrived = 100 * columns["arrived_gpu_milli"] / gpu_capacity_milli
        at = np.rint(arrived) == percent
        if not at.any():
            before = np.flatnonzero(arrived <= percent)
            if before.size == 0:
                return 0.0, float("nan")
            at = before[-1:]
        allocated, fragmented = columns["allocated_gpu_milli"][at], columns["fragmented_gpu_milli"][at]
        return float(allocated.mean() / gpu_capacity_milli), float(fragmented.mean() / gpu_capacity_milli)
