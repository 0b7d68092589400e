"""The comparison of policies on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from clustersim.bench.comparison import Column, comparison, main_metrics, short_names, units
from clustersim.bench.metrics import MetricInfo

PIPED_WIDTH = 100


def print_table(summary: dict[str, Any], metrics: Sequence[MetricInfo], console: Console) -> None:
    """Print policies, best first."""
    print_columns(comparison(summary, metrics), console)
    print_lines(_caption(summary, metrics), console)


def print_columns(columns: Sequence[Column], console: Console) -> None:
    """Print a table; columns that do not fit the width continue in a further table, never cut."""
    width = console.width if console.is_terminal else PIPED_WIDTH
    first, *rest = columns
    block = [first]
    for column in rest:
        if len(block) > 1 and _width(_table([*block, column]), console) > width:
            _print(_table(block), console)
            block = [first]
        block.append(column)
    _print(_table(block), console)


def print_lines(text: str, console: Console) -> None:
    """Print lines as they are: no markup, no wrapping."""
    _print(Text(text), console)


def _caption(summary: dict[str, Any], metrics: Sequence[MetricInfo]) -> str:
    unit, count = units(summary)[0], len(units(summary)[1])
    ranking = main_metrics(metrics)[0]
    lines = [f"{summary['scenario']} on {summary['trace']}, {count} {unit}{'s' if count > 1 else ''}."]
    lines.append(f"Best first by {ranking.label} ({ranking.better} is better).")
    if count == 1:
        lines.append(f"One {unit} gives no confidence intervals.")
    else:
        lines.append("± and [low, high] are 95 % confidence intervals (Student t).")
    if count > 1 and len(summary["policies"]) > 1:
        reference = short_names(list(summary["policies"]))[summary["reference"]]
        other = f"{reference}, or from the policy above" if "steps" in summary else reference
        lines.append(f"* differs from {other}: the interval of the paired difference excludes zero.")
    return "\n".join(lines)


def _table(columns: Sequence[Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        header = Text("\n".join(column.header))
        table.add_column(header, justify="left" if index == 0 else "right", no_wrap=True)
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(Text(cell.text + (" *" if cell.verdict else "")) for cell in cells))
    return table


def _width(table: Table, console: Console) -> int:
    unlimited = console.options.update(max_width=10_000)
    return Measurement.get(console, unlimited, table).maximum


def _print(content: Table | Text, console: Console) -> None:
    # A pipe counts as 80 columns wide; the natural width keeps rich from cutting numbers there.
    if isinstance(content, Table):
        content.width = _width(content, console)
    console.print(content, crop=False, no_wrap=True, overflow="ignore")
