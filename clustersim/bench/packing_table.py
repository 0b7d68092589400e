"""The tables of the packing benchmark, in the layout of "Priority Matters", for the terminal and for the report."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from clustersim.baselines.published import PRIORITY_MATTERS_CELLS, PRIORITY_MATTERS_USAGE
from clustersim.bench.comparison import ABSENT, Cell, Column, short_names
from clustersim.bench.packing_totals import OUTCOMES, SHARES
from clustersim.bench.table import print_columns, print_lines

HEADINGS = {
    "improved": "improved",
    "improved_optimal": "of which optimal",
    "certified": "certified",
    "failed": "failed",
}


def print_packing(summary: dict[str, Any], console: Console) -> None:
    """One block per window, then the players, then what one should know."""
    for block in summary["totals"]:
        print_lines(window_heading(block["window_s"]), console)
        print_columns(outcome_columns(block, intervals_of=("improved",)), console)
    print_columns(player_columns(summary), console)
    print_lines("\n".join(notes(summary)), console)


def window_heading(window_s: float) -> str:
    return f"window {window_s:g} s, share of the calls"


def outcome_columns(block: dict[str, Any], intervals_of: tuple[str, ...] = SHARES) -> list[Column]:
    """A row per slice: each share, with its interval if asked for, and the paper's figure in parentheses."""
    slices = block["slices"]
    unit = "[%] (paper)" if any(s.get("published") for s in slices) else "[%]"
    columns = [
        Column(("", ""), tuple(Cell(_slice_name(s["by"], s["value"])) for s in slices)),
        Column(("calls", ""), tuple(Cell(f"{s['calls']:,}") for s in slices)),
    ]
    for name in SHARES:
        texts = (_share(s[name], name in intervals_of) + _beside(s.get("published"), name) for s in slices)
        columns.append(Column((HEADINGS[name], unit), tuple(map(Cell, texts))))
    return columns


def cell_columns(summary: dict[str, Any], name: str) -> list[Column]:
    """A row per cell and window that the paper tells, a column per usage: ours, and the paper's in parentheses.

    Empty when there is none.
    """
    if "published_source" not in summary["totals"][0]:
        return []
    ours: dict[tuple[Any, ...], dict[float, str]] = {}
    for cell in summary["cells"]:
        key = (cell["nodes"], cell["pods_per_node"], cell["priorities"], cell["window_s"])
        theirs = dict(zip(PRIORITY_MATTERS_USAGE, PRIORITY_MATTERS_CELLS.get(key, ()), strict=False)).get(cell["usage"])
        if theirs is None or not cell["calls"]:
            continue
        published = dict(zip(OUTCOMES, theirs, strict=True))
        shares = (_percent(cell, name, cell["calls"]), _percent(published, name, sum(theirs)))
        ours.setdefault(key, {})[cell["usage"]] = "{:.0f} ({:.0f})".format(*shares)
    if not ours:
        return []
    axes = [
        Column((heading, ""), tuple(Cell(f"{key[i]:g}") for key in ours))
        for i, heading in enumerate(("nodes", "pods per node", "priorities", "window [s]"))
    ]
    by_usage = [
        Column((f"usage {usage}", "[%] (paper)"), tuple(Cell(row.get(usage, ABSENT)) for row in ours.values()))
        for usage in PRIORITY_MATTERS_USAGE
    ]
    return [*axes, *by_usage]


def player_columns(summary: dict[str, Any]) -> list[Column]:
    """A row per policy."""
    rows = summary["players"]
    names = short_names([row["policy"] for row in rows])

    def amounts(form: str, *keys: str, factor: float = 1.0) -> tuple[Cell, ...]:
        texts = (", ".join(form.format(factor * row[key]) for key in keys if row[key] is not None) for row in rows)
        return tuple(Cell(text or ABSENT) for text in texts)

    def shares(key: str) -> tuple[Cell, ...]:
        return tuple(Cell(_share(row[key], interval=False)) for row in rows)

    return [
        Column(("policy", ""), tuple(Cell(names[row["policy"]]) for row in rows)),
        Column(("improved", "[%]"), shares("improved")),
        Column(("reached", "[%]"), shares("reached")),
        Column(("per call", "[ms]"), amounts("{:,.1f}", "call_s", factor=1000)),
        Column(("in window", "[%]"), shares("within_window")),
        Column(("moved,", "evicted *"), amounts("{:.2f}", "moves_per_improved", "evictions_per_improved")),
        Column(("CPU, memory", "[points] *"), amounts("{:+.1f}", "cpu_gain", "memory_gain", factor=100)),
    ]


def notes(summary: dict[str, Any]) -> list[str]:
    """What the tables mean, a line each."""
    lines = [
        "A call: the default scheduler left pods pending. [low, high] are Wilson 95 % intervals.",
        f"Reached: of the calls that {summary['reference']} improves, those with as good a placed vector.",
        "*: per improved call; CPU and memory are what is placed more, in points of the capacity.",
    ]
    if any("published_source" in block for block in summary["totals"]):
        lines.insert(1, f"Paper: {summary['totals'][0]['published_source']}; over its whole grid.")
    beyond = [f"{row['policy']} {row['beyond']}" for row in summary["players"] if row["beyond"]]
    if beyond:
        lines.append(
            f"Certified by {summary['reference']}, whose model disturbs no pod for a less important one, and improved "
            f"all the same: {', '.join(beyond)}."
        )
    unknown = sum(row["unknown"] for row in summary["players"])
    if unknown:
        lines.append(
            f"In {unknown} call{'s' if unknown > 1 else ''} the solver found out nothing in some stage (UNKNOWN); "
            "what was at hand stayed."
        )
    decomposed = sum(row["decomposed"] for row in summary["players"])
    if decomposed:
        lines.append(f"{decomposed} calls were solved in parts of the cluster, because one model would be too large.")
    if not any(row["calls"] for row in summary["players"]):
        lines.append("There was no call at all: the default scheduler placed every pod of every instance.")
    return lines


def _percent(counts: dict[str, int], name: str, calls: int) -> float:
    """As in the tables, `improved` includes what is proved optimal."""
    return 100 * (counts[name] + (counts["improved_optimal"] if name == "improved" else 0)) / calls


def _slice_name(axis: str, value: float | None) -> str:
    if axis == "priorities":
        return f"{value} priorit{'y' if value == 1 else 'ies'}"
    return {"all": "all", "nodes": f"{value} nodes", "usage": f"usage {value}"}[axis]


def _beside(published: dict[str, float] | None, name: str) -> str:
    return "" if published is None else f" ({published[name]:.1f})"


def _share(found: dict[str, Any] | None, interval: bool) -> str:
    if found is None:
        return ABSENT
    low, high = found["ci95"]
    return f"{found['percent']:.1f}" + (f" [{low:.1f}, {high:.1f}]" if interval else "")
