"""What the calls of the packing benchmark add up to: outcomes per cell and per slice of the grid, and every player."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from scipy.special import ndtri

from clustersim.baselines.published import PRIORITY_MATTERS_SHARES, PRIORITY_MATTERS_WINDOWS_S
from clustersim.bench.packing_grid import Grid

OUTCOMES = ("improved_optimal", "improved", "certified", "failed")
"""Metrics that are 1 in calls which ended so; `improved` without `improved_optimal`."""

SHARES = ("improved", "improved_optimal", "certified", "failed")
"""The columns of the paper's table, in its order; there `improved` includes `improved_optimal`."""

PLACED = "placed_p"
"""Metric per priority: how many of its pods run."""

AXES = ("nodes", "pods_per_node", "priorities", "usage")
SLICED = ("nodes", "priorities", "usage")
"""The axes of the grid, and those that the paper's table tells apart."""

SOURCE = '"Priority Matters", arXiv 2511.08373: the table that the authors keep with their code'


def calls_table(runs: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """One row per policy and instance with a call: `policy`, `number`, the axes of its cell, every metric."""
    wide = runs.pivot(index=["policy", "seed"], columns="metric", values="value").reset_index()
    calls = wide[wide["called"] == 1].rename(columns={"seed": "number"}).reset_index(drop=True)
    of_number = [grid.cell(number) for number in calls["number"].tolist()]
    axes = pd.DataFrame([asdict(cell) for cell in of_number], columns=AXES, dtype=object)
    # A policy has no metrics for outcomes that cannot be its own.
    outcomes = {outcome: calls[outcome].fillna(0.0) if outcome in calls else 0.0 for outcome in OUTCOMES}
    return calls.assign(**outcomes).join(axes).rename_axis(columns=None)


def cells(calls: pd.DataFrame, grid: Grid, windows: Mapping[str, float]) -> list[dict[str, Any]]:
    """Counts of outcomes per cell and window, in grid order; `windows` maps the solver's policies to seconds."""
    found = []
    of_cell = calls["number"] % len(grid.cells)
    for number, cell in enumerate(grid.cells):
        for policy, window_s in windows.items():
            here = calls[(of_cell == number) & (calls["policy"] == policy)]
            counts = {outcome: int(here[outcome].sum()) for outcome in OUTCOMES}
            found.append({**asdict(cell), "window_s": window_s, "calls": len(here), **counts})
    return found


def totals(cells: list[dict[str, Any]], published: bool) -> list[dict[str, Any]]:
    """Per window the slices of the paper's table; `published`: with the paper's figures, where it has any."""
    table = pd.DataFrame(cells)
    found = []
    for window_s in table["window_s"].unique():
        of_window = table[table["window_s"] == window_s]
        slices = []
        for axis, value in [("all", None), *((a, v) for a in SLICED for v in _values(cells, a))]:
            rows = of_window if value is None else of_window[of_window[axis] == value]
            calls, counts = int(rows["calls"].sum()), {outcome: int(rows[outcome].sum()) for outcome in OUTCOMES}
            counts["improved"] += counts["improved_optimal"]
            shares = {name: share(counts[name], calls) for name in SHARES}
            slice_ = {"by": axis, "value": value, "calls": calls, **shares}
            slices.append(slice_ | ({"published": _published(axis, value, float(window_s))} if published else {}))
        found.append(
            {"window_s": float(window_s), "slices": slices} | ({"published_source": SOURCE} if published else {})
        )
    return found


def players(
    calls: pd.DataFrame, policies: Sequence[str], reference: str, windows: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Per policy: how often it improves, how much of what the reference reaches, what that takes and disrupts.

    `reached`: of the calls that the reference has improved, those whose placed vector is as good. `beyond`: how many of
    those that the reference has certified are improved all the same, at the price of disturbing more important pods.
    """
    vectors = _vectors(calls)
    at_reference = calls[calls["policy"] == reference]
    improved_there = at_reference.loc[_improved(at_reference), "number"].tolist()
    certified_there = at_reference.loc[at_reference["certified"] == 1, "number"]
    found = []
    for name in policies:
        rows = calls[calls["policy"] == name]
        better = rows[_improved(rows)]
        reached = sum(vectors[name][number] >= vectors[reference][number] for number in improved_there)
        found.append(
            {
                "policy": name,
                "window_s": windows.get(name),
                "calls": len(rows),
                "improved": share(len(better), len(rows)),
                "reached": share(reached, len(improved_there)),
                "call_s": _mean(rows, "call_s"),
                "build_s": _mean(rows, "build_s"),
                "solve_s": _mean(rows, "solve_s"),
                "within_window": share(_count(rows, "within_window"), len(rows)) if name in windows else None,
                "moves_per_improved": _mean(better, "moves"),
                "evictions_per_improved": _mean(better, "evictions"),
                "cpu_gain": _mean(better, "cpu_gain"),
                "memory_gain": _mean(better, "memory_gain"),
                "beyond": int(better["number"].isin(certified_there).sum()),
                "unknown": _count(rows, "unknown"),
                "decomposed": _count(rows, "decomposed"),
            }
        )
    return found


def share(count: int, of: int) -> dict[str, Any] | None:
    """A percentage with its Wilson 95 % interval; None where there is nothing to take a share of."""
    if of == 0:
        return None
    low, high = wilson(count, of)
    return {"percent": 100 * count / of, "ci95": [100 * low, 100 * high]}


def wilson(count: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a proportion. Source: Wilson 1927 (doi 10.1080/01621459.1927.10502953)."""
    z = float(ndtri((1 + confidence) / 2))
    p = count / of
    centre = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * (p * (1 - p) / of + z * z / (4 * of * of)) ** 0.5
    # At 0 and 1 the bound is exact, and rounding must not lead outside.
    return (0.0 if count == 0 else centre - half), (1.0 if count == of else centre + half)


def _published(axis: str, value: float | None, window_s: float) -> dict[str, float] | None:
    rows = PRIORITY_MATTERS_SHARES.get((axis, value))
    if rows is None or window_s not in PRIORITY_MATTERS_WINDOWS_S:
        return None
    return dict(zip(SHARES, rows[PRIORITY_MATTERS_WINDOWS_S.index(window_s)], strict=True))


def _values(cells: list[dict[str, Any]], axis: str) -> list[Any]:
    """The distinct values of an axis; none when it has no meaning."""
    return [value for value in dict.fromkeys(cell[axis] for cell in cells) if value is not None]


def placed_vector(metrics: Mapping[str, float]) -> tuple[float, ...]:
    """Placed pods per priority, the highest first; compare such tuples of one instance."""
    tiers = sorted((name for name in metrics if name.startswith(PLACED)), key=lambda name: -int(name[len(PLACED) :]))
    return tuple(metrics[name] for name in tiers)


def _vectors(calls: pd.DataFrame) -> dict[str, dict[int, tuple[float, ...]]]:
    """policy -> instance -> placed pods per priority, the highest first."""
    names = [name for name in map(str, calls.columns) if name.startswith(PLACED)]
    found: dict[str, dict[int, tuple[float, ...]]] = {}
    for policy, number, placed in zip(
        calls["policy"], calls["number"], calls[names].fillna(0.0).to_numpy(), strict=True
    ):
        found.setdefault(policy, {})[int(number)] = placed_vector(dict(zip(names, placed, strict=True)))
    return found


def _improved(rows: pd.DataFrame) -> pd.Series[bool]:
    return (rows["improved"] + rows["improved_optimal"]) > 0


def _count(rows: pd.DataFrame, metric: str) -> int:
    return int(rows[metric].sum()) if metric in rows else 0


def _mean(rows: pd.DataFrame, metric: str) -> float | None:
    """None where the metric is never defined."""
    values = rows[metric].dropna() if metric in rows else pd.Series(dtype=float)
    return float(values.mean()) if len(values) else None
