"""Figures of merit: integrals over time, percentiles, shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class TimeIntegral:
    """A quantity that changes in steps, and its integral over time."""

    __slots__ = ("_integral", "_since_s", "_start_s", "value")

    def __init__(self, now_s: float, value: float = 0.0) -> None:
        self.value = value
        self._start_s = now_s
        self._since_s = now_s
        self._integral = 0.0

    def add(self, now_s: float, change: float) -> None:
        """The quantity changes by `change` now."""
        self._integral += self.value * (now_s - self._since_s)
        self._since_s = now_s
        self.value += change

    def integral(self, now_s: float) -> float:
        """Value times seconds, from the start until now."""
        return self._integral + self.value * (now_s - self._since_s)

    def mean(self, now_s: float) -> float:
        """Time-weighted mean from the start until now; the value itself when no time has passed."""
        elapsed_s = now_s - self._start_s
        return self.integral(now_s) / elapsed_s if elapsed_s > 0 else self.value


def share(part: float, whole: float) -> float:
    """part / whole, and 0 when there is no whole."""
    return part / whole if whole else 0.0


def mean_and_percentiles(name: str, values: Sequence[float] | NDArray[np.float64]) -> dict[str, float]:
    """`name`_mean, _p50, _p95 and _p99; NaN when there are no values."""
    if len(values) == 0:
        return dict.fromkeys((f"{name}_{what}" for what in ("mean", "p50", "p95", "p99")), float("nan"))
    array = np.asarray(values, dtype=np.float64)
    p50, p95, p99 = np.percentile(array, (50, 95, 99))
    return {
        f"{name}_mean": float(array.mean()),
        f"{name}_p50": float(p50),
        f"{name}_p95": float(p95),
        f"{name}_p99": float(p99),
    }
