"""The lines of a cluster control run: cost, power, misses and queue over time, to be compared between policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clustersim.bench.runs import Series

POINTS = 240


def lines_of(simulation: Any) -> Mapping[str, Series]:
    """Series by name, of a finished run; each point is the mean over its share of the time, the cost its last value."""
    history = simulation.history
    time_s = np.asarray(history.time_s, dtype=np.float64)
    starts = np.unique(np.linspace(0, len(time_s), POINTS, endpoint=False).astype(np.int64))
    length = np.diff(starts, append=len(time_s))

    def mean(values: Any) -> Any:
        return np.add.reduceat(np.asarray(values, dtype=np.float64), starts) / length

    hours = time_s[starts] / 3600
    quantities = {
        "team_cost_by_time": (history.team_cost[starts + length - 1], "team cost so far"),
        "power_by_time": (
            mean(100 * history.row_power_w.sum(axis=1) / history.row_budget_w.sum()),
            "power [% of all budgets]",
        ),
        "capacity_by_time": (mean(history.capacity_rps.sum(axis=1)), "requests that the services can serve [1/s]"),
        "waiting_pods_by_time": (mean(history.queue.sum(axis=1)), "pods that wait for a node"),
    }
    return {name: Series(hours, np.asarray(y, float), "time [h]", label) for name, (y, label) in quantities.items()}
