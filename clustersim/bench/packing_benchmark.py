"""A whole packing benchmark: execute, add up, write the files, print the tables."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from clustersim.bench.atomic import write_atomically
from clustersim.bench.execution import execute
from clustersim.bench.packing_grid import REPLICA_SETS
from clustersim.bench.packing_report import packing_html
from clustersim.bench.packing_table import print_packing
from clustersim.bench.packing_totals import calls_table, cells, players, totals
from clustersim.bench.pod_packing import PodPackingBench
from clustersim.bench.progress import BarProgress, Progress
from clustersim.bench.statistics import summary
from clustersim.bench.store import RunStore


def run_packing(
    bench: PodPackingBench,
    others: tuple[str, ...],
    seeds: int,
    out: Path,
    jobs: int,
    command_line: str,
    console: Console,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Do what is missing in `out`, write runs, summary and report there, print the tables; the summary.

    `console` gets the results; `progress` defaults to a bar on stderr. Raises ConfigError, ResultsError or Interrupted.
    """
    experiment = bench.experiment(others, seeds)
    store = RunStore(out, experiment)
    runs = execute(experiment, store, jobs, BarProgress() if progress is None else progress)
    windows = bench.windows
    reference = max(windows, key=lambda policy: windows[policy])
    calls = calls_table(runs, bench.grid)
    found = cells(calls, bench.grid, windows)
    result = summary(experiment, runs, reference) | {
        "seeds_per_cell": seeds,
        "cells": found,
        "totals": totals(found, published=bench.trace == REPLICA_SETS),
        "players": players(calls, experiment.policies, reference, windows),
    }
    write_atomically(out / "summary.json", json.dumps(result, indent=1, allow_nan=False).encode())
    page = packing_html(result, command_line, datetime.now().astimezone())
    write_atomically(out / "report.html", page.encode())
    print_packing(result, console)
    console.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    return result
