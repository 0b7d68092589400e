"""A sweep as a page and on the terminal: every metric over the swept value, and the same relative to a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Literal

import plotly.graph_objects as go
from rich.console import Console

from clustersim.bench.charts import interval_chart
from clustersim.bench.comparison import Cell, Column, difference_cells, mean_cells, short_names, units
from clustersim.bench.metrics import MetricInfo
from clustersim.bench.page import html_table, note, page, plot
from clustersim.bench.report import what_was_run
from clustersim.bench.table import print_columns, print_lines

AXES = {
    "noise": "noise: standard deviation of a run time, as a share of it",
    "load": "offered load",
    "ccr": "communication to computation ratio",
    "machines": "machines",
}
DOUBLING = ("ccr", "machines")
"""Options whose axis is logarithmic."""

Kind = Literal["mean", "ratios", "degradation", "degradation_paired"]


@dataclass(frozen=True)
class Section:
    """One figure and its table: a metric, seen in one way; `axis` says in which."""

    info: MetricInfo
    kind: Kind
    heading: str
    axis: str
    note: str


def sections(summary: dict[str, Any], metrics: Sequence[MetricInfo]) -> list[Section]:
    """Main metrics in their order; noise also asks by how much it makes each policy worse."""
    reference = short_names(_policies(summary))[summary["reference"]]
    unit, values = units(summary)
    found = []
    for info in (metric for metric in metrics if metric.main):
        found.append(Section(info, "mean", info.label, info.axis_label, f"Mean over {len(values)} {unit}s."))
        if len(_policies(summary)) > 1:
            text = f"Paired by {unit}; below 1 is {'better' if info.better == 'lower' else 'worse'} than {reference}."
            heading = f"{info.label}, relative to {reference}"
            found.append(Section(info, "ratios", heading, f"ratio to {reference}", text))
        if "degradation" in summary:
            text = f"Paired by {unit}: what a policy has at that noise over what the same policy has without noise."
            heading = f"{info.label}, relative to no noise"
            found.append(Section(info, "degradation", heading, "ratio to no noise", text))
            if len(_policies(summary)) > 1:
                text = f"Paired by {unit}; below 0 a policy suffers less from noise than {reference} does."
                heading = f"{info.label} relative to no noise, minus that of {reference}"
                found.append(Section(info, "degradation_paired", heading, "difference of the ratios", text))
    return found


def sweep_columns(summary: dict[str, Any], section: Section) -> list[Column]:
    """Policies, and a column per value."""
    policies, n = _policies(summary), len(units(summary)[1])
    names = short_names(policies)
    columns = [Column(("policy", ""), tuple(Cell(names[policy]) for policy in policies))]
    relative = section.kind in ("ratios", "degradation_paired")
    for place, value in enumerate(summary["values"]):
        if section.kind.startswith("degradation") and value == 0:
            continue  # what all others are relative to
        estimates = [estimates_of(summary, section, policy)[place] for policy in policies]
        if section.kind == "mean":
            cells = mean_cells(section.info, estimates, n)
        else:
            info = MetricInfo(section.info.name, "", "", section.info.better)
            cells = difference_cells(info, estimates, n, neutral=0.0 if section.kind == "degradation_paired" else 1.0)
        if relative:
            cells = _named(cells, policies.index(summary["reference"]))
        unit = f"[{section.info.shown_unit}]" if section.kind == "mean" and section.info.shown_unit else ""
        columns.append(Column((f"{summary['sweep']} {value:g}", unit), cells))
    return columns


def sweep_chart(summary: dict[str, Any], section: Section) -> go.Figure:
    """One line per policy with the band of its 95 % confidence interval."""
    lines = {
        policy: list(zip(summary["values"], estimates_of(summary, section, policy), strict=True))
        for policy in _policies(summary)
    }
    figure = interval_chart(lines, section.info.factor if section.kind == "mean" else 1.0)
    axis = {"title": AXES[summary["sweep"]], "tickvals": summary["values"], "automargin": True}
    if summary["sweep"] in DOUBLING and min(summary["values"]) > 0:
        axis |= {"type": "log", "ticktext": [f"{value:g}" for value in summary["values"]]}
    figure.update_xaxes(**axis)
    return figure.update_yaxes(title=section.axis, automargin=True)


def sweep_html(
    summary: dict[str, Any], metrics: Sequence[MetricInfo], labels: Sequence[str], command_line: str, written: datetime
) -> str:
    """The page; `labels` are the folders of the single values, whose reports it links to."""
    values = f"{summary['sweep']}: {', '.join(f'{value:g}' for value in summary['values'])}"
    links = ", ".join(f'<a href="{escape(label)}/report.html">{escape(label)}</a>' for label in labels)
    body = [
        what_was_run(summary, command_line, written, {"sweep": values}),
        f'<p class="note">Tables of all metrics and Gantt charts for each value: {links}</p>',
        note("Bands, ± and [low, high] are 95 % Student-t confidence intervals."),
    ]
    for index, section in enumerate(sections(summary, metrics)):
        body += [
            f"<h2>{escape(section.heading)}</h2>",
            note(section.note),
            plot(sweep_chart(summary, section), index),
            html_table(sweep_columns(summary, section)),
        ]
    return page(f"{summary['scenario']} on {summary['trace']}: {summary['sweep']}", body)


def print_sweep(summary: dict[str, Any], metrics: Sequence[MetricInfo], console: Console) -> None:
    """The tables of the ranking metric; the others are on the page."""
    found = sections(summary, metrics)
    for section in (section for section in found if section.info == found[0].info):
        print_lines(f"{section.heading}. {section.note}", console)
        print_columns(sweep_columns(summary, section), console)
    unit, values = units(summary)
    lines = [f"{summary['scenario']} on {summary['trace']}, {len(values)} {unit}{'s' if len(values) > 1 else ''}."]
    if len(values) > 1:
        lines.append(
            "± and [low, high] are 95 % confidence intervals (Student t); * excludes 1 or, for differences, 0."
        )
    print_lines("\n".join(lines), console)


def estimates_of(summary: dict[str, Any], section: Section, policy: str) -> list[dict[str, Any] | None]:
    """Of a policy, one per swept value."""
    if section.kind == "mean":
        return [at["policies"][policy].get(section.info.name) for at in summary["at"]]
    found: list[dict[str, Any] | None] = summary[section.kind][policy][section.info.name]
    return found


def _named(cells: tuple[Cell, ...], reference: int) -> tuple[Cell, ...]:
    return (*cells[:reference], Cell("reference"), *cells[reference + 1 :])


def _policies(summary: dict[str, Any]) -> list[str]:
    return list(summary["policies"])
