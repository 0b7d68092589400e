"""Figures for papers and pages: functions from results to matplotlib axes. The report has its own, interactive ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clustersim.bench.metrics import MetricInfo
from clustersim.bench.palette import looks

GRID_POINTS = 200
LINES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^"}


def plot_series(ax: Axes, series: pd.DataFrame, name: str, policies: Sequence[str]) -> Axes:
    """Median over seeds with an interquartile band, one line per policy; `series` is the table of series.parquet."""
    rows = series[series["series"] == name]
    style = looks(policies)
    for policy in policies:
        runs = [run for _, run in rows[rows["policy"] == policy].groupby("seed")]
        grid = np.linspace(max(r["x"].iloc[0] for r in runs), min(r["x"].iloc[-1] for r in runs), GRID_POINTS)
        values = np.array([np.interp(grid, run["x"], run["y"]) for run in runs])
        low, median, high = np.percentile(values, (25, 50, 75), axis=0)
        look = style[policy]
        ax.plot(grid, median, LINES[look.dash], color=look.colour, label=f"{policy} (n={len(runs)})")
        ax.fill_between(grid, low, high, color=look.colour, alpha=0.2, linewidth=0)
    ax.set_xlabel(rows["x_label"].iloc[0])
    ax.set_ylabel(rows["y_label"].iloc[0])
    ax.grid(alpha=0.25)
    return ax


def plot_estimates(ax: Axes, policies: Mapping[str, Mapping[str, Any]], metric: MetricInfo) -> Axes:
    """One dot per policy, best on top, with its 95 % confidence interval; `policies` is that part of summary.json."""
    style = looks(policies)
    ranked = sorted(policies, key=lambda p: policies[p][metric.name]["mean"], reverse=metric.better == "lower")
    for place, policy in enumerate(ranked):
        found = policies[policy][metric.name]
        mean, (low, high) = found["mean"] * metric.factor, found["ci95"]
        look = style[policy]
        if low is not None:
            ax.plot([low * metric.factor, high * metric.factor], [place, place], color=look.colour, linewidth=2)
        ax.plot(mean, place, MARKERS[look.symbol], color=look.colour)
        shown = f"{mean:,.2f}" if abs(mean) < 100 else f"{mean:,.0f}"
        ax.annotate(shown, (mean, place), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8)
    ax.set_yticks(range(len(ranked)), ranked)
    ax.set_ylim(-0.6, len(ranked) - 0.2)
    ax.set_xlabel(f"{metric.axis_label}, {metric.better} is better")
    ax.grid(axis="x", alpha=0.25)
    return ax
