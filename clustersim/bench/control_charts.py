"""The cluster over time as one figure: placement, power with its caps and brakes, latency, replicas, queue."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from clustersim.bench.charts import styled
from clustersim.bench.control_story import Story
from clustersim.bench.palette import COLOURS, DASHES
from clustersim.scenarios.control_roles import HIGH_CLOCKS, LOW_CLOCKS

PANELS = (
    "GPU allocated, node by node [%]",
    "power, as a share of the row's budget [%]",
    "latency of a request that arrives [s]",
    "replicas that are ready",
    "pods that wait for a node",
)
HEIGHTS = (0.28, 0.24, 0.18, 0.15, 0.15)
HOURS_FROM_S = 3 * 3600.0
"""Longer runs have their axis in hours, shorter ones in minutes."""


def story_chart(story: Story) -> go.Figure:
    """Five panels over the same time."""
    in_hours = story.time_s[-1] > HOURS_FROM_S
    time = story.time_s / (3600 if in_hours else 60)
    figure = make_subplots(
        rows=len(PANELS), shared_xaxes=True, vertical_spacing=0.045, row_heights=HEIGHTS, subplot_titles=PANELS
    )
    figure.add_trace(
        go.Heatmap(
            x=time,
            y=story.labels["node_gpu"],
            z=story.values["node_gpu"].T.round(1),
            zmin=0,
            zmax=100,
            colorscale="Blues",
            colorbar={"len": HEIGHTS[0], "y": 1, "yanchor": "top", "thickness": 12},
            hovertemplate="%{y}, %{x:.4~g}<br>%{z} % allocated<extra></extra>",
        ),
        row=1,
        col=1,
    )
    figure.update_yaxes(showticklabels=False, showgrid=False, autorange="reversed", row=1, col=1)
    _lines(figure, 2, time, story, "power")
    figure.add_hline(100, line={"color": "#000", "width": 1, "dash": "dot"}, row=2, col=1)
    _events(figure, time, story)
    _lines(figure, 3, time, story, "latency_s")
    _lines(figure, 4, time, story, "replicas")
    _lines(figure, 5, time, story, "queue")
    for row in (3, 4, 5):
        figure.update_yaxes(rangemode="tozero", row=row, col=1)
    figure.update_xaxes(title=f"time [{'h' if in_hours else 'min'}]", row=len(PANELS), col=1)
    styled(figure, height=1150, showlegend=True)
    return figure.update_layout(margin={"t": 40}, legend={"y": 0.7, "yanchor": "top", "font": {"size": 11}})


def _lines(figure: go.Figure, row: int, time: NDArray[np.float64], story: Story, what: str) -> None:
    for index, label in enumerate(story.labels[what]):
        # Services are drawn twice, over latency and over replicas; one entry of the legend is for both.
        figure.add_scatter(
            x=time,
            y=story.values[what][:, index],
            name=label,
            mode="lines",
            line=_look(index),
            legendgroup=f"{'service' if what != 'queue' and what != 'power' else what} {index}",
            showlegend=what != "replicas",
            hovertemplate=f"%{{y:.4~g}}<extra>{label}</extra>",
            row=row,
            col=1,
        )


def _events(figure: go.Figure, time: NDArray[np.float64], story: Story) -> None:
    """Marks where a stronger cap begins to act, and where a row brakes."""
    power = story.values["power"]
    for what, symbol, label, texts in (
        ("low_cap", "triangle-down", "low-priority work capped", _clock_texts(LOW_CLOCKS)),
        ("high_cap", "triangle-down-open", "high-priority work capped", _clock_texts(HIGH_CLOCKS)),
        ("brakes", "x", "power brake", []),
    ):
        values = story.values[what].astype(np.int64)
        at, row = np.nonzero(values)
        if len(at):
            marks = [
                f"row {r}: {texts[values[t, r]] if texts else f'brakes {values[t, r]} times'}"
                for t, r in zip(at.tolist(), row.tolist(), strict=True)
            ]
            figure.add_scatter(
                x=time[at],
                y=power[at, row],
                name=label,
                mode="markers",
                marker={"symbol": symbol, "size": 8, "color": "#444" if texts else "#a00000"},
                text=marks,
                hovertemplate="%{text}, %{x:.4~g}<extra></extra>",
                row=2,
                col=1,
            )


def _clock_texts(clocks: tuple[float, ...]) -> list[str]:
    return [f"clocks at most {100 * clock:.0f} %" for clock in clocks]


def _look(index: int) -> dict[str, str | float]:
    return {"color": COLOURS[index % len(COLOURS)], "dash": DASHES[index // len(COLOURS) % len(DASHES)], "width": 1.5}
