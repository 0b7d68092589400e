"""The tables of a benchmark in which one number is varied: one metric over its values, or all metrics at one value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clustersim.bench.comparison import Cell, Column, difference_cells, mean_cells, short_names
from clustersim.bench.metrics import MetricInfo
from clustersim.bench.vm_axes import AXES
from clustersim.bench.vm_names import name_of, names_of, value_of


def over_values(summary: dict[str, Any], info: MetricInfo) -> list[list[Column]]:
    """Tables of one metric, with a column per value: the means, and of a main metric the paired differences."""
    names, count = names_of(summary), len(summary["seeds"])
    short, axis = short_names(names), AXES[summary["axis"]]
    policies = tuple(Cell(short[name]) for name in names)
    means = [Column((info.label, f"[{info.shown_unit}]" if info.shown_unit else ""), policies)]
    points = " [points]" if info.percent else ""
    differences = [Column((info.label, f"minus {short[summary['reference']]}{points}"), policies)]
    reference = names.index(summary["reference"])
    for value in summary["values"]:
        found, header = part_of(summary, value), ("", axis.at(value))
        estimates = [found["policies"][name].get(info.name) for name in names]
        means.append(Column(header, mean_cells(info, estimates, count)))
        estimates = [found["paired"].get(name, {}).get(info.name) for name in names]
        cells = difference_cells(info, estimates, count)
        differences.append(Column(header, (*cells[:reference], Cell("reference"), *cells[reference + 1 :])))
    return [means, differences] if info.main and len(names) > 1 else [means]


def part_of(summary: dict[str, Any], value: float) -> dict[str, Any]:
    """The summary of one value, its policies named without it."""
    parts = {
        kind: {name_of(policy): found for policy, found in summary[kind].items() if value_of(policy) == value}
        for kind in ("policies", "paired")
    }
    return summary | parts | {"speeds": False}


def shown(summary: dict[str, Any], metrics: Sequence[MetricInfo]) -> list[MetricInfo]:
    """Those that any policy has a value of."""
    return [info for info in metrics if any(info.name in found for found in summary["policies"].values())]
