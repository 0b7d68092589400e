"""A sweep as a figure for papers and pages; the report has its own, interactive ones."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from clustersim.bench.dag_sweep_report import AXES, DOUBLING, Section, estimates_of
from clustersim.bench.palette import looks
from clustersim.bench.plots import LINES, MARKERS


def plot_sweep(ax: Axes, summary: dict[str, Any], section: Section) -> Axes:
    """One line per policy with the band of its 95 % confidence interval; `summary` is that of a sweep."""
    style = looks(summary["policies"])
    factor = section.info.factor if section.kind == "mean" else 1.0
    for policy in summary["policies"]:
        found = [
            (value, [factor * number for number in (estimate["mean"], *estimate["ci95"]) if number is not None])
            for value, estimate in zip(summary["values"], estimates_of(summary, section, policy), strict=True)
            if estimate is not None
        ]
        values, look = [value for value, _ in found], style[policy]
        means = [numbers[0] for _, numbers in found]
        ax.plot(values, means, LINES[look.dash], marker=MARKERS[look.symbol], color=look.colour, label=policy)
        if all(len(numbers) == 3 for _, numbers in found):
            low, high = ([numbers[at] for _, numbers in found] for at in (1, 2))
            ax.fill_between(values, low, high, color=look.colour, alpha=0.15, linewidth=0)
    if summary["sweep"] in DOUBLING and min(summary["values"]) > 0:
        ax.set_xscale("log")
        ax.set_xticks(summary["values"], [f"{value:g}" for value in summary["values"]])
        ax.minorticks_off()
    ax.set_xlabel(AXES[summary["sweep"]])
    ax.set_ylabel(section.axis)
    ax.set_title(section.heading, fontsize=10)
    ax.grid(alpha=0.25)
    return ax
