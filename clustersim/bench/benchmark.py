"""A whole benchmark: execute, summarise, write the files, print the table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

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


class View(Protocol):
    """What a benchmark makes of its runs; `runs` and `series` are the tables of runs.parquet and series.parquet."""

    def require(self, experiment: Experiment, reference: str) -> None:
        """Raise for what cannot be shown: before hours of runs, not after."""

    def summary(self, experiment: Experiment, runs: pd.DataFrame, reference: str) -> dict[str, Any]:
        """What summary.json holds."""

    def page(
        self, summary: dict[str, Any], runs: pd.DataFrame, series: pd.DataFrame, command_line: str, written: datetime
    ) -> str:
        """What report.html holds."""

    def show(self, summary: dict[str, Any], console: Console) -> None:
        """Print the tables."""


@dataclass(frozen=True)
class Compared:
    """Every policy with its means, and its paired difference to a reference."""

    metrics: Sequence[MetricInfo]
    brief: Sequence[MetricInfo] | None = None
    """Those of the terminal, where there is less room; by default all."""

    def require(self, experiment: Experiment, reference: str) -> None:
        require_reference(experiment, reference)
        main_metrics(self.metrics)

    def summary(self, experiment: Experiment, runs: pd.DataFrame, reference: str) -> dict[str, Any]:
        return summary(experiment, runs, reference) | {"metrics": [asdict(info) for info in self.metrics]}

    def page(
        self, summary: dict[str, Any], runs: pd.DataFrame, series: pd.DataFrame, command_line: str, written: datetime
    ) -> str:
        return report_html(summary, runs, series, self.metrics, command_line, written)

    def show(self, summary: dict[str, Any], console: Console) -> None:
        print_table(summary, self.metrics if self.brief is None else self.brief, console)


def run_benchmark(
    experiment: Experiment,
    out: Path,
    jobs: int,
    reference: str,
    view: View | Sequence[MetricInfo],
    command_line: str,
    console: Console,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Do what is missing in `out`, write runs, series, summary and report there, print the table; the summary.

    `view` says how to show it; a list of metrics is short for `Compared` by them. `console` gets the results;
    `progress` defaults to a bar on stderr. Raises ConfigError, ResultsError or Interrupted.
    """
    if isinstance(view, Sequence):
        view = Compared(view)
    view.require(experiment, reference)
    runs = execute(experiment, RunStore(out, experiment), jobs, BarProgress() if progress is None else progress)
    result = write_results(experiment, runs, out, reference, view, command_line)
    view.show(result, console)
    console.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    return result


def write_results(
    experiment: Experiment, runs: pd.DataFrame, out: Path, reference: str, view: View, command_line: str
) -> dict[str, Any]:
    """Summary and report of a folder in which all runs are done; the summary."""
    result = view.summary(experiment, runs, reference)
    series = pd.read_parquet(out / "series.parquet")
    page = view.page(result, runs, series, command_line, datetime.now().astimezone())
    write_atomically(out / "summary.json", json.dumps(result, indent=1, allow_nan=False).encode())
    write_atomically(out / "report.html", page.encode())
    return result
