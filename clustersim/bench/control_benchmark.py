"""A whole cluster control benchmark: the comparison of its teams, and what the cluster of the best ones was like."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from clustersim.bench.benchmark import Compared, run_benchmark
from clustersim.bench.comparison import ranked, short_names
from clustersim.bench.control_bench import ControlBench
from clustersim.bench.control_charts import story_chart
from clustersim.bench.control_metrics import METRICS, TERMINAL
from clustersim.bench.control_story import Story, is_story, stories
from clustersim.bench.control_teams import canonical
from clustersim.bench.progress import Progress
from clustersim.bench.report import Drawing, report_html

MOST_STORIES = 8
"""Teams whose cluster is drawn over time, the best first: a page with more of them would be slow."""


class ComparedTeams(Compared):
    """The comparison, with figures of the cluster over time."""

    def page(
        self, summary: dict[str, Any], runs: pd.DataFrame, series: pd.DataFrame, command_line: str, written: datetime
    ) -> str:
        drawings = story_drawings(stories(series), ranked(summary, self.metrics)[:MOST_STORIES])
        lines = series[~is_story(series)]
        return report_html(summary, runs, lines, self.metrics, command_line, written, drawings)


def run_control(
    bench: ControlBench,
    policies: tuple[str, ...],
    seeds: int,
    out: Path,
    jobs: int,
    reference: str,
    command_line: str,
    console: Console,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The benchmark of some teams, as `run_benchmark` does it."""
    experiment = bench.experiment(tuple(map(canonical, policies)), seeds)
    view = ComparedTeams(METRICS, TERMINAL)
    return run_benchmark(experiment, out, jobs, canonical(reference), view, command_line, console, progress)


def story_drawings(found: dict[str, Story], policies: list[str]) -> list[Drawing]:
    """A figure per policy that has a story, in the order given."""
    names = short_names(policies)
    return [
        (f"the cluster under {names[policy]}", _about(found[policy]), story_chart(found[policy]))
        for policy in policies
        if policy in found
    ]


def _about(story: Story) -> str:
    return (
        f"Seed {story.seed}. Power and latency are the peaks of each moment drawn, the rest are means. Triangles: a "
        "stronger clock cap begins to act; crosses: the brake does."
    )
