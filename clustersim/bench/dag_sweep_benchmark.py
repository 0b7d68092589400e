"""A whole sweep: execute, add up, write the files, print the tables."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from clustersim.bench.atomic import write_atomically
from clustersim.bench.benchmark import write_results
from clustersim.bench.dag_benchmark import ComparedSchedules, values_to_judge
from clustersim.bench.dag_sweep import DagSweep, SweepStore
from clustersim.bench.dag_sweep_report import print_sweep, sweep_html
from clustersim.bench.dag_sweep_totals import totals
from clustersim.bench.execution import do_missing, execute
from clustersim.bench.metrics import MetricInfo
from clustersim.bench.progress import BarProgress, Progress
from clustersim.bench.statistics import require_reference


def run_sweep(
    sweep: DagSweep,
    policies: tuple[str, ...],
    seeds: int,
    out: Path,
    jobs: int,
    reference: str,
    command_line: str,
    console: Console,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Do what is missing in `out` and below, write the files of every value and of the whole, print; the summary.

    `console` gets the results; `progress` defaults to a bar on stderr. Raises ConfigError, ResultsError or Interrupted.
    """
    parts = sweep.experiments(policies, seeds)
    for part in parts.values():
        require_reference(part, reference)
    whole = sweep.whole(parts)
    store = SweepStore(out, whole, parts)
    do_missing(whole, store, jobs, BarProgress() if progress is None else progress)
    tables: dict[float, pd.DataFrame] = {}
    judged: dict[float, pd.DataFrame] = {}
    summaries = []
    for value, (label, part) in zip(sweep.values, parts.items(), strict=True):
        bench = sweep.benches[label]
        tables[value] = execute(part, store.parts[label], 1, Progress())
        judged[value] = values_to_judge(bench, tables[value])
        summaries.append(
            write_results(part, tables[value], out / label, reference, ComparedSchedules(bench, policies), command_line)
        )
    metrics = next(iter(sweep.benches.values())).metrics(policies)
    main = [info for info in metrics if info.main]
    result: dict[str, Any] = {
        **whole.identity,
        **{name: summaries[0][name] for name in ("seeds", "unit", "units") if name in summaries[0]},
        "sweep": sweep.name,
        "values": list(sweep.values),
        "policies": list(policies),
        "reference": reference,
        "at": [
            {"value": value, "policies": found["policies"], "paired": found["paired"]}
            for value, found in zip(sweep.values, summaries, strict=True)
        ],
        **totals(judged, policies, reference, main),
    }
    result["policies"] = _ranked(result, main[0])
    result["metrics"] = [asdict(info) for info in metrics]
    _write_runs(out, sweep.name, tables)
    write_atomically(out / "summary.json", json.dumps(result, indent=1, allow_nan=False).encode())
    page = sweep_html(result, metrics, list(parts), command_line, datetime.now().astimezone())
    write_atomically(out / "report.html", page.encode())
    print_sweep(result, metrics, console)
    console.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    return result


def _ranked(summary: dict[str, Any], info: MetricInfo) -> list[str]:
    """Policies, the best first by their mean ratio to the reference over all values; ties in the given order."""
    sign = -1.0 if info.better == "higher" else 1.0

    def rank(policy: str) -> float:
        ratios = [found["mean"] for found in summary["ratios"][policy][info.name] if found is not None]
        return sign * float(np.mean(ratios)) if ratios else np.inf

    return sorted(summary["policies"], key=rank)


def _write_runs(out: Path, name: str, tables: dict[float, pd.DataFrame]) -> None:
    """runs.parquet of the whole: the tables of all values, with one column more."""
    table = pd.concat([runs.assign(**{name: value}) for value, runs in tables.items()], ignore_index=True)
    columns = [*table.columns[:2], name, *table.columns[2:-1]]
    buffer = io.BytesIO()
    table[columns].to_parquet(buffer, index=False)
    write_atomically(out / "runs.parquet", buffer.getvalue())
