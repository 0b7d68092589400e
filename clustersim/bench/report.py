"""report.html: the whole benchmark as one page that opens offline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from clustersim.bench.charts import dot_plot, line_chart
from clustersim.bench.comparison import Column, comparison, main_metrics, ranked, short_names
from clustersim.bench.metrics import MetricInfo

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

STYLE = """
body { margin: 0; background: #fff; color: #222; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid #ddd; padding-bottom: .25rem; }
h3 { font-size: 1rem; margin: 1.75rem 0 .25rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.25rem; margin: 0; }
dt { color: #666; }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: .875rem/1.5 ui-monospace, monospace; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #eee; }
th { vertical-align: bottom; font-weight: 600; border-bottom: 2px solid #bbb; }
th:first-child, td:first-child { text-align: left; padding-left: 0; position: sticky; left: 0; background: #fff; }
.better { color: #00664b; font-weight: 600; }
.worse { color: #a63d00; font-weight: 600; }
.note { color: #666; font-size: .875rem; }
@media (max-width: 600px) { dl { grid-template-columns: 1fr; } dt { margin-top: .5rem; } }
"""


def report_html(
    summary: dict[str, Any],
    runs: pd.DataFrame,
    series: pd.DataFrame,
    metrics: Sequence[MetricInfo],
    command_line: str,
    written: datetime,
) -> str:
    """The page; `runs` and `series` are the tables of runs.parquet and series.parquet."""
    policies = ranked(summary, metrics)
    title = f"{summary['scenario']} on {summary['trace']}"
    figures = [
        (info.label, _metric_note(info, summary), dot_plot(info, summary, runs, policies))
        for info in main_metrics(metrics)
    ]
    series_note = "Median over seeds; the band spans the quartiles." if len(summary["seeds"]) > 1 else "One run each."
    figures += [
        (str(name).replace("_", " "), series_note, line_chart(points, policies))
        for name, points in series.groupby("series", sort=False)
    ]
    body = [
        f"<h1>{escape(title)}</h1>",
        _what_was_run(summary, command_line, written),
        "<h2>Results</h2>",
        _html_table(comparison(summary, metrics)),
        f'<p class="note">{escape(_table_note(summary, metrics))}</p>',
        "<h2>Figures</h2>",
    ]
    for index, (heading, note, figure) in enumerate(figures):
        body.append(f'<h3>{escape(heading)}</h3><p class="note">{escape(note)}</p>{_div(figure, index)}')
    return PAGE.format(title=escape(title), style=STYLE, body="\n".join(body))


def _what_was_run(summary: dict[str, Any], command_line: str, written: datetime) -> str:
    facts = {
        "scenario": summary["scenario"],
        "trace": summary["trace"],
        "seeds": f"{len(summary['seeds'])}: {', '.join(map(str, summary['seeds']))}",
        "policies": ", ".join(summary["policies"]),
        "reference": summary["reference"],
        "clustersim": summary["clustersim"],
        "written": written.strftime("%Y-%m-%d %H:%M %Z").strip(),
    }
    entries = [(key, escape(value)) for key, value in facts.items()]
    entries.append(("command", f"<code>{escape(command_line)}</code>"))
    config = "<br>".join(escape(f"{key} = {json.dumps(value)}") for key, value in summary["config"].items())
    entries.append(("config", f"<code>{config or 'defaults'}</code>"))
    return "<dl>" + "".join(f"<dt>{key}</dt><dd>{value}</dd>" for key, value in entries) + "</dl>"


def _html_table(columns: Sequence[Column]) -> str:
    head = "".join(f"<th>{'<br>'.join(escape(line) for line in column.header if line)}</th>" for column in columns)
    rows = []
    for cells in zip(*(column.cells for column in columns), strict=True):
        data = (f'<td class="{cell.verdict}">{escape(cell.text)} {cell.verdict}</td>' for cell in cells)
        rows.append("<tr>" + "".join(data) + "</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def _table_note(summary: dict[str, Any], metrics: Sequence[MetricInfo]) -> str:
    ranking = main_metrics(metrics)[0]
    note = f"Best first by {ranking.label} ({ranking.better} is better). "
    if len(summary["seeds"]) == 1:
        return note + "One seed gives no confidence intervals."
    return note + (
        "± and [low, high] are 95 % Student-t confidence intervals. Differences are paired by seed; "
        "they are called better or worse where their interval excludes zero."
    )


def _metric_note(info: MetricInfo, summary: dict[str, Any]) -> str:
    line = f"the dotted line is {short_names(list(summary['policies']))[summary['reference']]}"
    if len(summary["seeds"]) == 1:
        return f"One run each; {line}."
    return (
        f"Mean with 95 % confidence interval above the single runs; {line}. "
        "Intervals may overlap although the paired difference in the table is clear."
    )


def _div(figure: go.Figure, index: int) -> str:
    return str(
        figure.to_html(
            full_html=False,
            include_plotlyjs=index == 0,  # once per page, and inline: the page has to work offline
            div_id=f"figure-{index}",  # not random, so that the same results give the same page
            config={"responsive": True, "displaylogo": False, "displayModeBar": False},
        )
    )
