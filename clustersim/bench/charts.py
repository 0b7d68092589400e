"""The figures of reports: a dot plot per main metric, a line chart per series, means over a number that is varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from clustersim.bench.comparison import half_width, short_names
from clustersim.bench.metrics import MetricInfo
from clustersim.bench.palette import looks

GRID_POINTS = 201


def dot_plot(info: MetricInfo, summary: dict[str, Any], runs: pd.DataFrame, policies: Sequence[str]) -> go.Figure:
    """Mean and 95 % interval per policy above faint dots of single runs, the first policy on top.

    Dots, not bars: the axis need not start at zero, so that 0.91 and 0.93 can be told apart.
    """
    present = [policy for policy in policies if info.name in summary["policies"][policy]]
    names, style = short_names(policies), looks(policies)
    figure = go.Figure()
    for row, policy in enumerate(present):
        estimate = summary["policies"][policy][info.name]
        look = style[policy]
        values = runs.loc[(runs["policy"] == policy) & (runs["metric"] == info.name), "value"].dropna() * info.factor
        if len(values) > 1:
            figure.add_scatter(
                x=values,
                y=[row + 0.28] * len(values),  # below the interval, which would hide them
                mode="markers",
                marker={"color": look.translucent(0.4), "size": 5},
                hovertemplate="%{x}<extra>one run</extra>",
            )
        half = half_width(estimate)
        figure.add_scatter(
            x=[estimate["mean"] * info.factor],
            y=[row],
            error_x=None if half is None else {"array": [half * info.factor], "thickness": 2, "width": 6},
            mode="markers",
            marker={"color": look.colour, "symbol": look.symbol, "size": 11},
            hovertemplate=f"%{{x}}<extra>{names[policy]}, n={estimate['n']}</extra>",
        )
    at_reference = summary["policies"][summary["reference"]].get(info.name)
    if at_reference is not None:
        figure.add_vline(x=at_reference["mean"] * info.factor, line={"color": "#888", "width": 1, "dash": "dot"})
    figure.update_yaxes(
        tickvals=list(range(len(present))),
        ticktext=[names[policy] for policy in present],
        range=[len(present) - 0.4, -0.6],
        automargin=True,
    )
    figure.update_xaxes(title=f"{info.axis_label}, {info.better} is better", automargin=True)
    return styled(figure, height=110 + 38 * len(present), showlegend=False)


Line = Sequence[float] | NDArray[np.float64]

LEGEND_ABOVE = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
"""Above the plot, where it covers no data and grows by rows on a narrow screen."""


def line_chart(points: pd.DataFrame, policies: Sequence[str]) -> go.Figure:
    """Median over seeds with the band between the quartiles, for the points of one series."""
    names, style = short_names(policies), looks(policies)
    figure = go.Figure()
    for policy in policies:
        of_policy = points[points["policy"] == policy]
        lines = [(run["x"].to_numpy(), run["y"].to_numpy()) for _, run in of_policy.groupby("seed")]
        if not lines:
            continue
        grid, quartiles = quartiles_on_common_grid(lines)
        low, median, high = quartiles
        look = style[policy]
        if len(lines) > 1:
            inside = ~np.isnan(median)
            _add_band(figure, policy, look.translucent(0.18), grid[inside], low[inside], high[inside])
        figure.add_scatter(
            x=grid,
            y=median,
            mode="lines",
            line={"color": look.colour, "dash": look.dash, "width": 2},
            name=f"{names[policy]} (n={len(lines)})",
            legendgroup=policy,
        )
    figure.update_xaxes(title=points["x_label"].iloc[0], automargin=True)
    figure.update_yaxes(title=points["y_label"].iloc[0], automargin=True)
    figure.update_layout(legend=LEGEND_ABOVE)
    return styled(figure, height=420 + 8 * len(policies), showlegend=True)


def interval_chart(
    lines: Mapping[str, Sequence[tuple[float, dict[str, Any] | None]]], factor: float = 1.0
) -> go.Figure:
    """Means over a number, with their 95 % intervals as bands; policy -> (number, estimate), None where undefined."""
    names, style = short_names(list(lines)), looks(lines)
    figure = go.Figure()
    for policy, line in lines.items():
        points = [
            (value, found["mean"] * factor, [end if end is None else end * factor for end in found["ci95"]])
            for value, found in line
            if found is not None
        ]
        x, look = [value for value, _, _ in points], style[policy]
        if points and all(low is not None for _, _, (low, _) in points):
            low, high = zip(*(ends for _, _, ends in points), strict=True)
            _add_band(figure, policy, look.translucent(0.15), x, low, high)
        figure.add_scatter(
            x=x,
            y=[mean for _, mean, _ in points],
            mode="lines+markers",
            line={"color": look.colour, "dash": look.dash, "width": 2},
            marker={"symbol": look.symbol, "size": 7},
            name=names[policy],
            legendgroup=policy,
        )
    figure.update_layout(legend=LEGEND_ABOVE)
    return styled(figure, height=440 + 8 * len(lines), showlegend=True)


def _add_band(figure: go.Figure, policy: str, colour: str, x: Line, low: Line, high: Line) -> None:
    """An area between two lines, shown and hidden with its policy."""
    figure.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=colour,
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        legendgroup=policy,
        showlegend=False,
    )


def quartiles_on_common_grid(
    lines: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interpolate lines (x, y) linearly where all of them are defined; grid (G,) and quartiles 1 to 3, (3, G).

    Both are empty when the lines have no x in common.
    """
    low = max(float(x[0]) for x, _ in lines)
    high = min(float(x[-1]) for x, _ in lines)
    grid = np.linspace(low, high, GRID_POINTS) if low <= high else np.empty(0)
    on_grid = np.stack([np.interp(grid, x, y) for x, y in lines])
    return grid, np.percentile(on_grid, [25, 50, 75], axis=0)


def styled(figure: go.Figure, height: int, showlegend: bool) -> go.Figure:
    """The look that all figures have."""
    figure.update_xaxes(exponentformat="none", separatethousands=True)
    figure.update_yaxes(exponentformat="none", separatethousands=True)
    return figure.update_layout(
        template="plotly_white",
        font={"family": "system-ui, sans-serif", "size": 14, "color": "#222"},
        margin={"l": 10, "r": 20, "t": 20, "b": 10},
        height=height,
        showlegend=showlegend,
        hovermode="closest",
    )
