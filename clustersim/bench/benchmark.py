"""A whole benchmark: execute, summarise, write the files, print the table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from clustersim.bench.atomic import write_atomically
from clustersim.bench.comparison import main_metrics
from clustersim.bench.execution import execute
from clustersim.bench.metrics import MetricInfo
from clustersim.bench.progress import BarProgress, Progress
from clustersim.bench.report import report_html
from clustersim.bench.runs import Experiment
from clustersim.bench.statistics import require_reference, summary
from clustersim.bench.store import RunStore
from clustersim.bench.table import print_table


def run_benchmark(
    experiment: Experiment,
    out: Path,
    jobs: int,
    reference: str,
    metrics: Sequence[MetricInfo],
    command_line: str,
    console: Console,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Do what is missing in `out`, write runs, series, summary and report there, print the table; the summary.

    `console` gets the results; `progress` defaults to a bar on stderr. Raises ConfigError, ResultsError or Interrupted.
    """
    require_reference(experiment, reference)  # before hours of runs, not after
    main_metrics(metrics)
    store = RunStore(out, experiment)
    runs = execute(experiment, store, jobs, BarProgress() if progress is None else progress)
    series = pd.read_parquet(out / "series.parquet")
    result = summary(experiment, runs, reference)
    page = report_html(result, runs, series, metrics, command_line, datetime.now().astimezone())
    write_atomically(out / "summary.json", json.dumps(result, indent=1, allow_nan=False).encode())
    write_atomically(out / "report.html", page.encode())
    print_table(result, metrics, console)
    console.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    return result
