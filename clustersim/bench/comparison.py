"""The comparison of policies as columns of text, for the terminal and for the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from clustersim.bench.metrics import DECISIONS_PER_S, MetricInfo
from clustersim.errors import ConfigError

ABSENT = "-"


@dataclass(frozen=True)
class Cell:
    """A text, and for a difference whose interval excludes zero also its verdict."""

    text: str
    verdict: Literal["", "better", "worse"] = ""


@dataclass(frozen=True)
class Column:
    """A header of two lines and one cell per policy, in the order of `ranked`."""

    header: tuple[str, str]
    cells: tuple[Cell, ...]


def ranked(summary: dict[str, Any], metrics: Sequence[MetricInfo]) -> list[str]:
    """Policies, the best in the first main metric first; those without a value last; ties in the given order."""
    info = main_metrics(metrics)[0]
    sign = -1.0 if info.better == "higher" else 1.0

    def rank(policy: str) -> float:
        estimate = summary["policies"][policy].get(info.name)
        return math.inf if estimate is None else sign * float(estimate["mean"])

    return sorted(summary["policies"], key=rank)


def main_metrics(metrics: Sequence[MetricInfo]) -> list[MetricInfo]:
    main = [info for info in metrics if info.main]
    if not main:
        raise ConfigError("no metric is marked as main; set main=True on the one that ranks the policies")
    return main


def units(summary: dict[str, Any]) -> tuple[str, list[Any]]:
    """What a value is the value of, and all of these: seeds, or whatever a benchmark averages over the seeds of."""
    return summary.get("unit", "seed"), summary.get("units", summary["seeds"])


def comparison(summary: dict[str, Any], metrics: Sequence[MetricInfo]) -> list[Column]:
    """Policy | mean ± half interval per metric, main ones with their paired difference | decisions per second.

    Decisions per second are left away where the summary says `"speeds": false`. Where it has `steps`, the first
    main metric also shows each policy's paired difference to the one above.
    """
    policies = ranked(summary, metrics)
    names = short_names(policies)
    columns = [Column(("policy", ""), tuple(Cell(names[policy]) for policy in policies))]
    for info in metrics:
        columns.append(_means(info, summary, policies))
        if info.main and len(policies) > 1:
            columns.append(_differences(info, summary, policies, names[summary["reference"]]))
        if info == main_metrics(metrics)[0] and "steps" in summary:
            columns.append(_steps(info, summary, policies))
    if not summary.get("speeds", True):
        return columns
    speeds = [summary["policies"][policy].get(DECISIONS_PER_S.name) for policy in policies]
    texts = tuple(Cell(ABSENT if speed is None else f"{speed['mean']:,.0f}") for speed in speeds)
    return [*columns, Column((DECISIONS_PER_S.label, ""), texts)]


def short_names(policies: Sequence[str]) -> dict[str, str]:
    """Folders by their last part, or by as many parts as it takes to tell all policies apart.

    Of a joint policy, "role=policy,role=policy", only the policies are named, in the same way.
    """
    parts = {policy: _players(policy) or _path_parts(policy) for policy in policies}
    for depth in range(1, max(map(len, parts.values())) + 1):
        names = {policy: "/".join(parts[policy][-depth:]) for policy in policies}
        if len(set(names.values())) == len(policies):
            return names
    return {policy: policy for policy in policies}


def _path_parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part]


def _players(policy: str) -> list[str]:
    """The policies of a joint one as a single part; empty for any other."""
    if "=" not in policy:
        return []
    players = [part.partition("=")[2] for part in policy.split(",")]
    return [" ".join(_path_parts(player)[-1] for player in players if player)]


def _means(info: MetricInfo, summary: dict[str, Any], policies: Sequence[str]) -> Column:
    estimates = [summary["policies"][policy].get(info.name) for policy in policies]
    cells = mean_cells(info, estimates, len(units(summary)[1]))
    return Column((info.label, f"[{info.shown_unit}]" if info.shown_unit else ""), cells)


def _differences(info: MetricInfo, summary: dict[str, Any], policies: Sequence[str], reference: str) -> Column:
    estimates = [summary["paired"].get(policy, {}).get(info.name) for policy in policies]
    cells = difference_cells(info, estimates, len(units(summary)[1]))
    at_reference = Cell("reference")
    cells = tuple(at_reference if p == summary["reference"] else cell for p, cell in zip(policies, cells, strict=True))
    unit = _difference_unit(info)
    return Column((info.label, f"minus {reference}" + (f" [{unit}]" if unit else "")), cells)


def _steps(info: MetricInfo, summary: dict[str, Any], policies: Sequence[str]) -> Column:
    estimates = [summary["steps"].get(policy) for policy in policies]
    unit = _difference_unit(info)
    header = "minus the one above" + (f" [{unit}]" if unit else "")
    return Column((info.label, header), difference_cells(info, estimates, len(units(summary)[1])))


def _difference_unit(info: MetricInfo) -> str:
    return "points" if info.percent else info.unit


def mean_cells(info: MetricInfo, estimates: Sequence[dict[str, Any] | None], n: int) -> tuple[Cell, ...]:
    """Mean ± half interval; one that is over fewer than `n` values says so."""
    decimals = _decimals(info, estimates)
    cells = []
    for estimate in estimates:
        if estimate is None:
            cells.append(Cell(ABSENT))
            continue
        text = f"{estimate['mean'] * info.factor:,.{decimals}f}"
        half = half_width(estimate)
        if half is not None:
            text += f" ± {half * info.factor:,.{decimals}f}"
        cells.append(Cell(text + _n_if_fewer(estimate, n)))
    return tuple(cells)


def difference_cells(
    info: MetricInfo, estimates: Sequence[dict[str, Any] | None], n: int, neutral: float = 0.0
) -> tuple[Cell, ...]:
    """Mean [low, high], with a verdict where the interval excludes `neutral`: 0 for differences, 1 for ratios."""
    decimals, sign = _decimals(info, estimates), "" if neutral else "+"
    cells = []
    for estimate in estimates:
        if estimate is None:
            cells.append(Cell(ABSENT))
            continue
        low, high = estimate["ci95"]
        text = f"{estimate['mean'] * info.factor:{sign},.{decimals}f}"
        verdict: Literal["", "better", "worse"] = ""
        if low is not None:
            text += f" [{low * info.factor:{sign},.{decimals}f}, {high * info.factor:{sign},.{decimals}f}]"
            if low > neutral or high < neutral:
                verdict = "better" if (low > neutral) == (info.better == "higher") else "worse"
        cells.append(Cell(text + _n_if_fewer(estimate, n), verdict))
    return tuple(cells)


def half_width(estimate: dict[str, Any]) -> float | None:
    low, high = estimate["ci95"]
    return None if low is None else (high - low) / 2


def _n_if_fewer(estimate: dict[str, Any], n: int) -> str:
    return "" if estimate["n"] == n else f" (n={estimate['n']})"


def _decimals(info: MetricInfo, estimates: Sequence[dict[str, Any] | None]) -> int:
    """Decimals of a column: two significant digits of the narrowest interval, at most five of the largest mean."""
    present = [estimate for estimate in estimates if estimate is not None]
    largest = max((abs(estimate["mean"]) * info.factor for estimate in present), default=0.0)
    halves = [half * info.factor for half in map(half_width, present) if half]
    decimals = 4 - _magnitude(largest) if largest else 2
    if halves:
        decimals = min(decimals, 1 - _magnitude(min(halves)))
    return max(0, min(decimals, 12))


def _magnitude(value: float) -> int:
    return math.floor(math.log10(value))
