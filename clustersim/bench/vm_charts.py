"""Figures over a number that is varied: fragment rates with published ones behind them, and what they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from clustersim.bench.charts import LEGEND_ABOVE, interval_chart, styled
from clustersim.bench.comparison import short_names
from clustersim.bench.palette import looks
from clustersim.bench.vm_axes import AXES
from clustersim.bench.vm_metrics import FRAGMENT_RATE, SECONDS
from clustersim.bench.vm_names import at_value, names_of

CLOSE = 0.015
"""Fragment rates that are nearer than this to each other have no room for two labels."""


def rate_chart(summary: dict[str, Any]) -> go.Figure:
    """Fragment rates over the values, published ones as dotted lines behind ours."""
    axis, values = AXES[summary["axis"]], summary["values"]
    place = axis.places(values)
    lines = {
        name: [(place[value], summary["policies"][at_value(name, value)].get(FRAGMENT_RATE.name)) for value in values]
        for name in names_of(summary)
    }
    figure = interval_chart(lines, FRAGMENT_RATE.factor)
    curves = axis.curves(values)
    for number, (called, points) in enumerate(curves.items()):
        figure.add_scatter(
            x=[x for x, _ in points],
            y=[FRAGMENT_RATE.factor * rate for _, rate in points],
            mode="lines",
            line={"color": "#999", "width": 1.5, "dash": "dot"},
            name="published",
            legendgroup="published",
            showlegend=number == 0,
            hovertemplate=f"%{{y:.1f}}<extra>{called}, published</extra>",
        )
    for x, rate, text in ends(curves):
        figure.add_annotation(
            x=x,
            y=FRAGMENT_RATE.factor * rate,
            text=text,
            xanchor="left",
            xshift=6,
            showarrow=False,
            font={"size": 11, "color": "#777"},
        )
    figure.update_xaxes(
        title=axis.title, tickvals=list(place.values()), ticktext=[f"{value:g}" for value in values], automargin=True
    )
    return figure.update_yaxes(title=FRAGMENT_RATE.axis_label, automargin=True)


def ends(curves: Mapping[str, Sequence[tuple[float, float]]]) -> list[tuple[float, float, str]]:
    """Place, fragment rate and name for the end of each curve; those that end close to each other share a label."""
    found: list[tuple[float, float, str]] = []
    for called, points in curves.items():
        x, rate = points[-1]
        if found and x == found[-1][0] and rate - found[-1][1] < CLOSE:
            found[-1] = (x, found[-1][1], f"{found[-1][2]}, {called}")
        else:
            found.append((x, rate, called))
    return found


def seconds_chart(summary: dict[str, Any]) -> go.Figure:
    """Fragment rate over the seconds of planning, a line per policy through its values."""
    names = names_of(summary)
    style, short = looks(names), short_names(names)
    figure = go.Figure()
    for name in names:
        points, look = seconds_and_rates(summary, name), style[name]
        figure.add_scatter(
            x=[seconds for seconds, _, _ in points],
            y=[FRAGMENT_RATE.factor * rate for _, rate, _ in points],
            mode="lines+markers+text",
            text=[f"{value:g}" for _, _, value in points],
            textposition="top center",
            textfont={"size": 10, "color": "#666"},
            line={"color": look.colour, "width": 1, "dash": "dot"},
            marker={"color": look.colour, "symbol": look.symbol, "size": 10},
            name=short[name],
        )
    figure.update_xaxes(title="planning per call [s]", type="log", automargin=True)
    figure.update_yaxes(title=FRAGMENT_RATE.axis_label, automargin=True)
    figure.update_layout(legend=LEGEND_ABOVE)
    return styled(figure, height=440 + 8 * len(names), showlegend=True)


def seconds_and_rates(summary: dict[str, Any], name: str) -> list[tuple[float, float, float]]:
    """Mean seconds of planning, mean fragment rate and value, for every value at which a policy has planned."""
    found = [(summary["policies"][at_value(name, value)], value) for value in summary["values"]]
    return [
        (estimates[SECONDS.name]["mean"], estimates[FRAGMENT_RATE.name]["mean"], value)
        for estimates, value in found
        if SECONDS.name in estimates
    ]
