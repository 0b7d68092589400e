"""report.html: the whole benchmark as one page that opens offline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from clustersim.bench.charts import dot_plot, line_chart
from clustersim.bench.comparison import comparison, main_metrics, ranked, short_names, units
from clustersim.bench.metrics import MetricInfo
from clustersim.bench.page import facts, html_table, note, page, plot

Drawing = tuple[str, str, go.Figure]
"""Heading, note, figure."""


def report_html(
    summary: dict[str, Any],
    runs: pd.DataFrame,
    series: pd.DataFrame,
    metrics: Sequence[MetricInfo],
    command_line: str,
    written: datetime,
    more: Sequence[Drawing] = (),
) -> str:
    """The page; `runs` and `series` are the tables of runs.parquet and series.parquet, `more` follows their figures."""
    policies = ranked(summary, metrics)
    figures = [
        (info.label, _metric_note(info, summary), dot_plot(info, summary, runs, policies))
        for info in main_metrics(metrics)
    ]
    several = len(units(summary)[1]) > 1
    series_note = "Median over runs; the band spans the quartiles." if several else "One run each."
    figures += [
        (str(name).replace("_", " "), series_note, line_chart(points, policies))
        for name, points in series.groupby("series", sort=False)
    ]
    figures += more
    body = [
        what_was_run(summary, command_line, written),
        "<h2>Results</h2>",
        html_table(comparison(summary, metrics)),
        note(table_note(summary, metrics)),
        "<h2>Figures</h2>",
    ]
    for index, (heading, text, figure) in enumerate(figures):
        body.append(f"<h3>{escape(heading)}</h3>{note(text)}{plot(figure, index)}")
    return page(f"{summary['scenario']} on {summary['trace']}", body)


def what_was_run(
    summary: dict[str, Any], command_line: str, written: datetime, more: Mapping[str, str] | None = None
) -> str:
    """The list at the top of a page; `more` adds entries, or says one in other words."""
    unit, values = units(summary)
    texts = {
        "scenario": summary["scenario"],
        "trace": summary["trace"],
        f"{unit}s": f"{len(values)}: {', '.join(map(str, values))}",
        "policies": ", ".join(summary["policies"]),
        "reference": summary["reference"],
        **(more or {}),
        "clustersim": summary["clustersim"],
        "written": written.strftime("%Y-%m-%d %H:%M %Z").strip(),
    }
    return facts(texts, command_line, [f"{key} = {json.dumps(value)}" for key, value in summary["config"].items()])


def table_note(summary: dict[str, Any], metrics: Sequence[MetricInfo]) -> str:
    ranking = main_metrics(metrics)[0]
    text = f"Best first by {ranking.label} ({ranking.better} is better). "
    unit, values = units(summary)
    if len(values) == 1:
        return text + f"One {unit} gives no confidence intervals."
    return text + (
        f"± and [low, high] are 95 % Student-t confidence intervals. Differences are paired by {unit}; "
        "they are called better or worse where their interval excludes zero."
    )


def _metric_note(info: MetricInfo, summary: dict[str, Any]) -> str:
    line = f"the dotted line is {short_names(list(summary['policies']))[summary['reference']]}"
    if len(units(summary)[1]) == 1:
        return f"One run each; {line}."
    return (
        f"Mean with 95 % confidence interval above the single runs; {line}. "
        "Intervals may overlap although the paired difference in the table is clear."
    )
