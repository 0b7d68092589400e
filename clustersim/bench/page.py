"""The parts of a report: one page with styles, tables and figures in it, which loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from clustersim.bench.comparison import Column

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
.wide { overflow-x: auto; margin-top: .75rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #eee; }
th { vertical-align: bottom; font-weight: 600; border-bottom: 2px solid #bbb; }
th:first-child, td:first-child { text-align: left; padding-left: 0; position: sticky; left: 0; background: #fff; }
.better { color: #00664b; font-weight: 600; }
.worse { color: #a63d00; font-weight: 600; }
.note { color: #666; font-size: .875rem; }
@media (max-width: 600px) { dl { grid-template-columns: 1fr; } dt { margin-top: .5rem; } }
"""


def page(title: str, body: Sequence[str]) -> str:
    """The whole page; `body` is HTML, the title is text."""
    return PAGE.format(title=escape(title), style=STYLE, body="\n".join([f"<h1>{escape(title)}</h1>", *body]))


def facts(texts: dict[str, str], command_line: str, config: Sequence[str]) -> str:
    """A list of what was run: named texts, the command, and the lines of the configuration."""
    entries = [(key, escape(value)) for key, value in texts.items()]
    entries.append(("command", f"<code>{escape(command_line)}</code>"))
    entries.append(("config", f"<code>{'<br>'.join(map(escape, config)) or 'defaults'}</code>"))
    return "<dl>" + "".join(f"<dt>{key}</dt><dd>{value}</dd>" for key, value in entries) + "</dl>"


def html_table(columns: Sequence[Column]) -> str:
    """Columns side by side; a verdict colours its cell."""
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


def note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def plot(figure: go.Figure, index: int) -> str:
    """A figure of the page, the first one with index 0."""
    return str(
        figure.to_html(
            full_html=False,
            include_plotlyjs=index == 0,  # once per page, and inline: the page has to work offline
            div_id=f"figure-{index}",  # not random, so that the same results give the same page
            config={"responsive": True, "displaylogo": False, "displayModeBar": False},
        )
    )
