"""A grid as a page and on the terminal: the headroom, the best and worst combinations, the effect of each choice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any

import pandas as pd
from rich.console import Console

from clustersim.baselines.joint import parse_joint
from clustersim.bench.charts import dot_plot
from clustersim.bench.comparison import Cell, Column, difference_cells, main_metrics, mean_cells, ranked
from clustersim.bench.control_metrics import COMPONENTS, COST, METRICS
from clustersim.bench.metrics import MetricInfo
from clustersim.bench.page import facts, html_table, note, page, plot
from clustersim.bench.report import Drawing
from clustersim.bench.table import print_columns, print_lines
from clustersim.scenarios.control_roles import ROLES

BEST, WORST = 10, 5
"""Combinations shown of each end."""


def shown(summary: dict[str, Any]) -> list[str]:
    """The best and the worst teams, the reference and every trained one, the best first."""
    order = ranked(summary, METRICS)
    extra = {name for name in order if name == summary["reference"] or name not in summary["combinations"]}
    return [name for place, name in enumerate(order) if place < BEST or place >= len(order) - WORST or name in extra]


def print_grid(summary: dict[str, Any], console: Console) -> None:
    print_columns(team_columns(summary), console)
    for role in _open_roles(summary):
        print_columns(effect_columns(summary, role), console)
    print_lines("\n".join(texts(summary)), console)


def team_columns(summary: dict[str, Any]) -> list[Column]:
    """A row per team shown: its place, its policies, its cost, minus that of the reference, and what it is made of."""
    order, names, n = ranked(summary, METRICS), shown(summary), len(summary["seeds"])
    against = difference_cells(COST, [summary["paired"].get(name, {}).get(COST.name) for name in names], n)
    pairs = zip(names, against, strict=True)
    differences = tuple(Cell("reference") if name == summary["reference"] else cell for name, cell in pairs)

    def means(info: MetricInfo) -> Column:
        estimates = [summary["policies"][name].get(info.name) for name in names]
        return Column((info.label, ""), mean_cells(info, estimates, n))

    return [
        Column(("place", ""), tuple(Cell(f"{order.index(name) + 1:,}") for name in names)),
        *(Column((role, ""), tuple(Cell(_player(name, role)) for name in names)) for role in ROLES),
        means(COST),
        Column((COST.label, "minus the reference"), differences),
        *map(means, COMPONENTS),
    ]


def effect_columns(summary: dict[str, Any], role: str) -> list[Column]:
    """A row per policy of a role."""
    found, n = summary["effects"][role], len(summary["seeds"])
    names = sorted(found, key=lambda name: float(found[name]["mean"]))
    return [
        Column((role, ""), tuple(map(Cell, names))),
        Column(
            ("team cost of its combinations", "minus that of all"), difference_cells(COST, [*map(found.get, names)], n)
        ),
        Column(("the best of them", ""), tuple(Cell(f"{found[name]['best']:,.5g}") for name in names)),
    ]


def texts(summary: dict[str, Any]) -> list[str]:
    """What one should know, in lines."""
    found, seeds = summary["headroom"], len(summary["seeds"])
    lines = [
        f"{found['combinations']:,} combinations on {summary['trace']}, {seeds} seed{'s' if seeds > 1 else ''}. "
        f"Team cost from {found['best_team_cost']:,.5g} ({found['best']}) to {found['worst_team_cost']:,.5g} "
        f"({found['worst']}): the best is {100 * found['best_below_worst']:.0f} % below the worst.",
        "The best of many is chosen on these very seeds, which flatters it; compare it with others on other seeds.",
        f"Reference: {summary['reference']}. ± and [low, high] are 95 % confidence intervals (Student t), paired by "
        "seed; * excludes zero.",
    ]
    if found["best_known"] != found["best"]:
        lines.insert(1, f"Best known: {found['best_known']} with {found['best_known_team_cost']:,.5g}.")
    return lines


def grid_html(
    summary: dict[str, Any], runs: pd.DataFrame, command_line: str, written: datetime, stories: Sequence[Drawing]
) -> str:
    """The page of a grid; only some of the teams are drawn."""
    names = shown(summary)
    what = {
        "scenario": summary["scenario"],
        "preset": summary["trace"],
        "seeds": f"{len(summary['seeds'])}: {', '.join(map(str, summary['seeds']))}",
        "combinations": f"{len(summary['combinations']):,}",
        "reference": summary["reference"],
        "clustersim": summary["clustersim"],
        "written": written.strftime("%Y-%m-%d %H:%M %Z").strip(),
    }
    config = [f"{key} = {json.dumps(value)}" for key, value in summary["config"].items()]
    body = [facts(what, command_line, config), "<h2>Best and worst</h2>", html_table(team_columns(summary))]
    body += [*map(note, texts(summary)), "<h2>What each choice brings</h2>"]
    body += [html_table(effect_columns(summary, role)) for role in _open_roles(summary)]
    body.append("<h2>Figures</h2>")
    figures = [(info.label, "", dot_plot(info, summary, runs, names)) for info in main_metrics(METRICS)]
    for index, (heading, text, figure) in enumerate([*figures, *stories]):
        body.append(f"<h3>{escape(heading)}</h3>{note(text) if text else ''}{plot(figure, index)}")
    return page(f"{summary['scenario']} on {summary['trace']}: all combinations", body)


def _open_roles(summary: dict[str, Any]) -> list[str]:
    """The roles in which there is a choice."""
    return [role for role in ROLES if len(summary["effects"][role]) > 1]


def _player(name: str, role: str) -> str:
    return parse_joint(name)[role] if "=" in name else name
