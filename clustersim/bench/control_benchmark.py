"""A whole cluster control benchmark: execute, summarise, write the files, print the table."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from clustersim.bench.atomic import write_atomically
from clustersim.bench.comparison import ranked, short_names
from clustersim.bench.control_bench import ControlBench
from clustersim.bench.control_charts import story_chart
from clustersim.bench.control_metrics import METRICS, TERMINAL
from clustersim.bench.control_story import Story, is_story, stories
from clustersim.bench.control_teams import canonical
from clustersim.bench.execution import execute
from clustersim.bench.progress import BarProgress, Progress
from clustersim.bench.report import Drawing, report_html
from clustersim.bench.statistics import require_reference, summary
from clustersim.bench.store import RunStore
from clustersim.bench.table import print_table

MOST_STORIES = 8
"""Teams whose cluster is drawn over time, the best first: a page with more of them would be slow."""


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
    """Do what is missing in `out`, write runs, series, summary and report there, print the table; the summary.

    `console` gets the results; `progress` defaults to a bar on stderr. Raises ConfigError, ResultsError or Interrupted.
    """
    experiment = bench.experiment(tuple(map(canonical, policies)), seeds)
    reference = canonical(reference)
    require_reference(experiment, reference)
    runs = execute(experiment, RunStore(out, experiment), jobs, BarProgress() if progress is None else progress)
    series = pd.read_parquet(out / "series.parquet")
    result = summary(experiment, runs, reference) | {"metrics": [asdict(info) for info in METRICS]}
    drawings = story_drawings(stories(series), ranked(result, METRICS)[:MOST_STORIES])
    page = report_html(
        result, runs, series[~is_story(series)], METRICS, command_line, datetime.now().astimezone(), drawings
    )
    write_atomically(out / "summary.json", json.dumps(result, indent=1, allow_nan=False).encode())
    write_atomically(out / "report.html", page.encode())
    print_table(result, TERMINAL, console)
    console.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    return result


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
