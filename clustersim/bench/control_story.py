"""The cluster over time: what a run tells tick by tick, kept as series of a run for the report to draw.

Kept thinner than it is: at most so many moments and rows of nodes, each the mean, or the peak where peaks matter. As
series it is stored, resumed and written to series.parquet as any line is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.bench.runs import Series
from clustersim.scenarios.control_log import BRAKE

PREFIX = "cluster "
MOMENTS = 240
NODE_ROWS = 64

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Story:
    """Of one run: `time_s` (P,), and by quantity its values (P, n) and n labels."""

    seed: int
    time_s: Floats
    values: dict[str, Floats]
    labels: dict[str, list[str]]


def story_of(simulation: Any) -> Mapping[str, Series]:
    """The series of a finished run."""
    history, services = simulation.history, simulation.workload.services
    time_s = np.asarray(history.time_s, dtype=np.float64)
    starts = np.unique(np.linspace(0, len(time_s), MOMENTS, endpoint=False).astype(np.int64))
    budget_w = np.asarray(history.row_budget_w, dtype=np.float64)
    rows = [f"row {r}, budget {watts / 1000:,.1f} kW" for r, watts in enumerate(budget_w.tolist())]
    names = [service.name for service in services]
    quantities = (
        ("node_gpu", 100 * _node_groups(history.node_gpu), np.mean, _node_labels(history.node_gpu.shape[1])),
        ("power", 100 * history.row_power_w / budget_w, np.max, rows),
        ("low_cap", _begins(history.row_low), np.max, rows),
        ("high_cap", _begins(history.row_high), np.max, rows),
        ("brakes", _brakes(simulation, time_s, len(rows)), np.sum, rows),
        ("replicas", history.replicas, np.mean, names),
        ("latency_s", history.latency_s, np.max, names),
        ("arrival_rps", history.arrival_rps, np.mean, names),
        ("queue", history.queue, np.mean, [f"zone {z}" for z in range(history.queue.shape[1])]),
    )
    series = {}
    for what, values, reduce, labels in quantities:
        parts = np.split(np.asarray(values, dtype=np.float64), starts[1:])
        thin = np.stack([reduce(part, axis=0) for part in parts])
        thin[np.isinf(thin)] = np.nan  # the latency of a service without capacity
        for index, label in enumerate(labels):
            series[f"{PREFIX}{what} {index}"] = Series(time_s[starts], thin[:, index], "time [s]", label)
    return series


def is_story(series: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of series.parquet are parts of a story and no line."""
    return series["series"].str.startswith(PREFIX)


def stories(series: pd.DataFrame) -> dict[str, Story]:
    """Of each policy that of the lowest seed that has one."""
    found = {}
    for policy, rows in series[is_story(series)].groupby("policy", sort=False):
        seed = int(rows["seed"].min())
        parts = rows[rows["seed"] == seed].groupby("series", sort=False)
        of_run = {
            str(name): Series(part["x"].to_numpy(), part["y"].to_numpy(), "", str(part["y_label"].iloc[0]))
            for name, part in parts
        }
        found[str(policy)] = as_story(seed, of_run)
    return found


def as_story(seed: int, series: Mapping[str, Series]) -> Story:
    """Back from what `story_of` gives; other series are left out."""
    columns: dict[str, list[Series]] = {}
    for name, column in series.items():
        if name.startswith(PREFIX):
            columns.setdefault(name.removeprefix(PREFIX).rpartition(" ")[0], []).append(column)
    return Story(
        seed,
        next(iter(columns.values()))[0].x,
        {what: np.stack([column.y for column in found], axis=1) for what, found in columns.items()},
        {what: [column.y_label for column in found] for what, found in columns.items()},
    )


def _begins(level: Floats) -> Floats:
    """The level of a cap at the ticks by which a stronger one has begun to act, 0 elsewhere; (T, R)."""
    return np.where(np.diff(level, axis=0, prepend=0) > 0, level, 0.0)


def _brakes(simulation: Any, time_s: Floats, rows: int) -> Floats:
    """How often each row has begun to brake from each tick to the next, (T, R); a brake may last less than a tick."""
    when_s, kind, row, *_ = simulation.log.columns()
    brakes = kind == BRAKE
    count = np.zeros((len(time_s), rows))
    tick = np.maximum(np.searchsorted(time_s, when_s[brakes], side="right") - 1, 0)
    np.add.at(count, (tick, row[brakes].astype(np.int64)), 1)
    return count


def _groups(nodes: int) -> list[NDArray[np.int64]]:
    return np.array_split(np.arange(nodes), min(nodes, NODE_ROWS))


def _node_groups(node_gpu: Floats) -> Floats:
    return np.stack([node_gpu[:, group].mean(axis=1) for group in _groups(node_gpu.shape[1])], axis=1)


def _node_labels(nodes: int) -> list[str]:
    return [
        f"node {group[0]}" if len(group) == 1 else f"nodes {group[0]} to {group[-1]}, their mean"
        for group in _groups(nodes)
    ]
