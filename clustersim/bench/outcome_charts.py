"""The outcomes of the packing benchmark as stacked shares, ours and the paper's: for the page and for the docs."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from matplotlib.axes import Axes
from plotly.subplots import make_subplots

LAYERS = {
    "improved, optimal": "#0072B2",
    "improved": "#56B4E9",
    "certified": "#009E73",
    "failed": "#D55E00",
}
"""The outcomes from the bottom up, in colours of Okabe and Ito (2008)."""

OPACITY = {"ours": 1.0, "paper": 0.5}

Stack = tuple[int, str, dict[str, float]]
"""Nodes, whose result, and percent per layer."""


def stacks(block: dict[str, Any]) -> list[Stack]:
    """One stack per number of nodes that has calls, and the paper's where it has one; `block` is one of the totals."""
    found = []
    for slice_ in block["slices"]:
        if slice_["by"] != "nodes" or slice_["calls"] == 0:
            continue
        ours = {name: slice_[name]["percent"] for name in ("improved", "improved_optimal", "certified", "failed")}
        found.append((slice_["value"], "ours", _layers(ours)))
        if slice_.get("published"):
            found.append((slice_["value"], "paper", _layers(slice_["published"])))
    return found


def outcome_figure(blocks: list[dict[str, Any]]) -> go.Figure:
    """A panel per window."""
    titles = [f"window {block['window_s']:g} s" for block in blocks]
    figure = make_subplots(cols=len(blocks), shared_yaxes=True, subplot_titles=titles)
    for column, block in enumerate(blocks, start=1):
        found = stacks(block)
        where = [[f"{nodes} nodes" for nodes, _, _ in found], [who for _, who, _ in found]]
        for layer, colour in LAYERS.items():
            figure.add_bar(
                x=where,
                y=[shares[layer] for _, _, shares in found],
                name=layer,
                marker={"color": colour, "opacity": [OPACITY[who] for _, who, _ in found]},
                hovertemplate="%{y:.1f} %<extra>" + layer + "</extra>",
                legendgroup=layer,
                showlegend=column == 1,
                row=1,
                col=column,
            )
    figure.update_yaxes(range=[0, 100])
    figure.update_yaxes(title="share of the calls [%]", col=1)
    return figure.update_layout(
        barmode="stack",
        bargap=0.15,
        template="plotly_white",
        font={"family": "system-ui, sans-serif", "size": 14, "color": "#222"},
        legend={"orientation": "h", "x": 0, "y": 1.12, "yanchor": "bottom"},
        margin={"l": 10, "r": 20, "t": 20, "b": 10},
        height=480,
    )


def plot_outcomes(ax: Axes, block: dict[str, Any]) -> Axes:
    """The panel of one window."""
    found = stacks(block)
    below = [0.0] * len(found)
    for layer, colour in LAYERS.items():
        for place, (_, who, shares) in enumerate(found):
            ax.bar(place, shares[layer], 0.85, below[place], color=colour, alpha=OPACITY[who])
            below[place] += shares[layer]
        ax.bar(0, 0, color=colour, label=layer)  # for the legend, where no layer is pale
    ax.set_xticks(range(len(found)), [f"{nodes} nodes\n{who}" for nodes, who, _ in found], fontsize=8)
    ax.set_ylim(0, 100)
    ax.set_ylabel("share of the calls [%]")
    ax.set_title(f"window {block['window_s']:g} s")
    return ax


def _layers(shares: dict[str, float]) -> dict[str, float]:
    """Where a table's `improved` includes what is proved optimal, a stack shows the two apart."""
    only_improved = shares["improved"] - shares["improved_optimal"]
    values = (shares["improved_optimal"], only_improved, shares["certified"], shares["failed"])
    return dict(zip(LAYERS, values, strict=True))
