"""The table on the terminal."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from clustersim.bench import MetricInfo
from clustersim.bench.comparison import short_names
from clustersim.bench.statistics import estimate
from clustersim.bench.table import print_table
from clustersim.errors import ConfigError

ALLOCATION = MetricInfo("allocated", "GPU allocation", "", "higher", main=True, percent=True)
JCT = MetricInfo("jct_s", "mean JCT", "s", "lower", main=True)
P99 = MetricInfo("p99_s", "p99 JCT", "s", "lower")
LONG = "runs/2026/pod-placement/ppo-large-17"


def summary_of(values: dict[str, dict[str, list[float]]], reference: str) -> dict[str, Any]:
    def estimates(columns: dict[str, np.ndarray]) -> dict[str, Any]:
        return {metric: estimate(column).as_json() for metric, column in columns.items()}

    arrays = {policy: {m: np.array(column) for m, column in metrics.items()} for policy, metrics in values.items()}
    at_reference = arrays[reference]
    return {
        "scenario": "pod-placement",
        "trace": "openb",
        "seeds": list(range(len(next(iter(at_reference.values()))))),
        "policies": {policy: estimates(columns) for policy, columns in arrays.items()},
        "reference": reference,
        "paired": {
            policy: estimates({m: column - at_reference[m] for m, column in columns.items()})
            for policy, columns in arrays.items()
            if policy != reference
        },
    }


VALUES = {
    "first-fit": {"allocated": [0.861, 0.859, 0.860], "jct_s": [3480.0, 3470.0, 3490.0], "p99_s": [9e3, 9e3, 9e3]},
    "best-fit": {"allocated": [0.905, 0.904, 0.906], "jct_s": [3320.0, 3310.0, 3333.0], "p99_s": [8e3, 8e3, 8e3]},
    LONG: {"allocated": [0.930, 0.932, 0.931], "jct_s": [3325.0, 3300.0, 3330.0], "p99_s": [7e3, 7e3, 7e3]},
}
SUMMARY = summary_of(
    {name: {**metrics, "decisions_per_s": [1e5, 1e5, 1e5]} for name, metrics in VALUES.items()}, "best-fit"
)


def printed(summary: dict[str, Any], *metrics: MetricInfo, width: int | None = None) -> str:
    stream = io.StringIO()
    terminal = width is not None
    print_table(summary, metrics, Console(file=stream, width=width, force_terminal=terminal, no_color=True))
    return stream.getvalue()


def line_of(name: str, text: str) -> str:
    return next(line for line in text.splitlines() if line.strip().startswith(name))


def test_the_best_policy_stands_first() -> None:
    for better, best, worst in (("higher", "ppo-large-17", "first-fit"), ("lower", "first-fit", "ppo-large-17")):
        lines = printed(SUMMARY, dataclasses.replace(ALLOCATION, better=better)).splitlines()
        order = [line.split()[0] for line in lines if line.strip().startswith(("ppo-", "best-", "first-"))]
        assert order == [best, "best-fit", worst]


def test_ranking_needs_a_main_metric() -> None:
    with pytest.raises(ConfigError, match="no metric is marked as main"):
        printed(SUMMARY, P99)


def test_every_number_is_shown_with_its_interval() -> None:
    text = printed(SUMMARY, ALLOCATION)
    assert "GPU allocation" in text
    assert "[%]" in text
    assert "minus best-fit [points]" in text
    row = line_of("first-fit", text)
    assert "86.00 ± 0.25" in row
    assert "-4.50 [-4.75, -4.25] *" in row
    assert "100,000" in row
    assert "reference" in line_of("best-fit", text)
    assert "openb, 3 seeds" in text


def test_only_a_difference_whose_interval_excludes_zero_is_marked() -> None:
    text = printed(SUMMARY, JCT)
    assert "*" in line_of("first-fit", text)
    assert "*" not in line_of("ppo-large-17", text)
    assert "* differs from best-fit" in text


def test_a_pipe_gets_plain_lines_of_at_most_100_columns_with_every_number() -> None:
    text = printed(SUMMARY, ALLOCATION, JCT, P99)
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert "…" not in text
    for part in ("93.10 ±", "3,318 ± 40", "7,000", "100,000", "minus best-fit [s]"):
        assert part in text


@pytest.mark.parametrize("width", [30, 60, 100, 240])
def test_a_narrow_terminal_gets_more_tables_and_no_cut_number(width: int) -> None:
    text = printed(SUMMARY, ALLOCATION, JCT, P99, width=width)
    for number in ("93.10 ±", "3,318 ± 40", "7,000", "100,000", "+159.0 [+154.7, +163.3] *"):
        assert number in text
    assert ("p99" in text.splitlines()[1]) == (width == 240)


def test_a_metric_that_a_policy_lacks_is_a_dash_and_ranks_last() -> None:
    values = {"none": {"p99_s": [1.0, 2.0]}, "some": {"jct_s": [3.0, 4.0], "p99_s": [1.0, 2.0]}}
    text = printed(summary_of(values, "some"), JCT)
    assert text.index("some") < text.index("none")
    assert line_of("none", text).split() == ["none", "-", "-", "-"]


def test_fewer_values_than_seeds_are_told() -> None:
    summary = summary_of({"a": {"jct_s": [3.0, 4.0]}}, "a")
    summary["seeds"] = [0, 1, 2]
    assert "(n=2)" in printed(summary, JCT)


def test_one_seed_has_no_intervals() -> None:
    text = printed(summary_of({"a": {"jct_s": [3.0]}, "b": {"jct_s": [4.5]}}, "a"), JCT)
    assert "±" not in text
    assert "+1.5" in line_of("b", text)
    assert "1 seed." in text


def test_markup_in_a_name_is_just_text() -> None:
    assert "[bold]x" in printed(summary_of({"[bold]x": {"jct_s": [3.0, 4.0]}}, "[bold]x"), JCT)


@pytest.mark.parametrize(
    ("policies", "names"),
    [
        (["fgd", "runs/ppo-3", "/home/me/runs/dqn/"], ["fgd", "ppo-3", "dqn"]),
        (["a/ppo", "b/ppo", "fgd"], ["a/ppo", "b/ppo", "fgd"]),
        (["x/a/ppo", "x/b/ppo"], ["a/ppo", "b/ppo"]),
        (["runs/ppo", "runs/ppo/"], ["runs/ppo", "runs/ppo/"]),
    ],
)
def test_folders_are_called_by_their_last_part_unless_that_is_ambiguous(policies: list[str], names: list[str]) -> None:
    assert list(short_names(policies).values()) == names
