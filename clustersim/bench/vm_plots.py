"""The figures of the VM benchmarks for papers and pages; the report has its own, interactive ones."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from clustersim.bench.comparison import short_names
from clustersim.bench.palette import looks
from clustersim.bench.plots import LINES, MARKERS
from clustersim.bench.vm_axes import AXES
from clustersim.bench.vm_charts import ends, seconds_and_rates
from clustersim.bench.vm_metrics import FRAGMENT_RATE
from clustersim.bench.vm_names import at_value, names_of


def plot_rates(ax: Axes, summary: dict[str, Any]) -> Axes:
    """Fragment rates over the values with the bands of their 95 % confidence intervals, published ones dotted."""
    axis, values, factor = AXES[summary["axis"]], summary["values"], FRAGMENT_RATE.factor
    place, names = axis.places(values), names_of(summary)
    style, short = looks(names), short_names(names)
    curves = axis.curves(values)
    for points in curves.values():
        ax.plot([x for x, _ in points], [factor * rate for _, rate in points], ":", color="#999", linewidth=1.2)
    if curves:  # room for their names
        least, most = min(place.values()), max([*place.values(), *(points[-1][0] for points in curves.values())])
        ax.set_xlim(least - 0.04 * (most - least or 1), most + 0.26 * (most - least or 1))
    for at, rate, text in ends(curves):
        ax.annotate(
            text, (at, factor * rate), (4, 0), textcoords="offset points", va="center", fontsize=7, color="#777"
        )
    for name in names:
        found = [summary["policies"][at_value(name, value)][FRAGMENT_RATE.name] for value in values]
        x, look = [place[value] for value in values], style[name]
        means = [factor * estimate["mean"] for estimate in found]
        ax.plot(x, means, LINES[look.dash], marker=MARKERS[look.symbol], color=look.colour, label=short[name])
        if all(estimate["ci95"][0] is not None for estimate in found):
            low, high = ([factor * estimate["ci95"][at] for estimate in found] for at in (0, 1))
            ax.fill_between(x, low, high, color=look.colour, alpha=0.15, linewidth=0)
    ax.set_xticks(list(place.values()), [f"{value:g}" for value in values])
    ax.set_xlabel(axis.title)
    ax.set_ylabel(FRAGMENT_RATE.axis_label)
    ax.grid(alpha=0.25)
    return ax


def plot_seconds(ax: Axes, summary: dict[str, Any]) -> Axes:
    """Fragment rate over the seconds of planning, a line per policy through its values."""
    names = names_of(summary)
    style, short = looks(names), short_names(names)
    for name in names:
        points, look = seconds_and_rates(summary, name), style[name]
        seconds = [seconds for seconds, _, _ in points]
        rates = [FRAGMENT_RATE.factor * rate for _, rate, _ in points]
        ax.plot(seconds, rates, ":", marker=MARKERS[look.symbol], color=look.colour, label=short[name])
    ax.set_xscale("log")
    ax.set_xlabel("planning per call [s]")
    ax.set_ylabel(FRAGMENT_RATE.axis_label)
    ax.grid(alpha=0.25)
    return ax
