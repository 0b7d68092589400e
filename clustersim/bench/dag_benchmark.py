"""A whole DAG scheduling benchmark: execute, summarise, write the files, print the table."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from clustersim.bench.atomic import write_atomically
from clustersim.bench.comparison import main_metrics, ranked, short_names
from clustersim.bench.dag_gantt import MOST_BARS, gantt, is_schedule, schedules
from clustersim.bench.dag_scheduling import DagBench
from clustersim.bench.execution import execute
from clustersim.bench.progress import BarProgress, Progress
from clustersim.bench.report import Drawing, report_html
from clustersim.bench.runs import Experiment
from clustersim.bench.statistics import estimate, require_reference, summary
from clustersim.bench.store import RunStore
from clustersim.bench.table import print_table


def run_dag(
    bench: DagBench,
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
    experiment = bench.experiment(policies, seeds)
    require_reference(experiment, reference)
    runs = execute(experiment, RunStore(out, experiment), jobs, BarProgress() if progress is None else progress)
    result = write_results(bench, experiment, runs, out, reference, command_line)
    print_table(result, bench.metrics(policies), console)
    console.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    return result


def write_results(
    bench: DagBench, experiment: Experiment, runs: pd.DataFrame, out: Path, reference: str, command_line: str
) -> dict[str, Any]:
    """Summary and report of a folder in which all runs are done; the summary."""
    judged = values_to_judge(bench, runs)
    metrics = bench.metrics(experiment.policies)
    result = summary_of(bench, experiment, judged, reference)
    if len(experiment.policies) > 2:
        result["steps"] = steps(judged, ranked(result, metrics), main_metrics(metrics)[0].name)
    result["metrics"] = [asdict(info) for info in metrics]
    series = pd.read_parquet(out / "series.parquet")
    page = report_html(
        result,
        judged,
        series[~is_schedule(series)],
        metrics,
        command_line,
        datetime.now().astimezone(),
        _charts(bench, runs, series, ranked(result, metrics)),
    )
    write_atomically(out / "summary.json", json.dumps(result, indent=1, allow_nan=False).encode())
    write_atomically(out / "report.html", page.encode())
    return result


def values_to_judge(bench: DagBench, runs: pd.DataFrame) -> pd.DataFrame:
    """The values that means and intervals are taken of: runs, or with `each` the mean of every job over its seeds.

    Seeds of one job are no independent jobs; to count them as such would make the intervals too narrow.
    """
    if not bench.each:
        return runs
    by_job = runs.assign(seed=runs["seed"] % len(bench.sources))
    keys = [name for name in by_job.columns if name != "value"]
    return by_job.groupby(keys, sort=False)["value"].mean().reset_index()


def summary_of(bench: DagBench, experiment: Experiment, judged: pd.DataFrame, reference: str) -> dict[str, Any]:
    """What summary.json holds; with `each` also `units`, the jobs that the values are those of."""
    if not bench.each:
        return summary(experiment, judged, reference)
    jobs = range(len(bench.sources))
    result = summary(replace(experiment, seeds=tuple(jobs)), judged, reference)
    seeds = sorted({bench.instance(number)[1] for number in experiment.seeds})
    names = [bench.sources[job](seeds[0]).jobs[0].name for job in jobs]
    return result | {"seeds": seeds, "unit": "job", "units": names}


def steps(judged: pd.DataFrame, policies: list[str], metric: str) -> dict[str, Any]:
    """Each policy minus the one before it in the list, paired: whether the order of the list is more than chance."""
    rows = judged[judged["metric"] == metric]
    values = {policy: rows[rows["policy"] == policy].set_index("seed")["value"] for policy in policies}
    differences = {policy: (values[policy] - values[better]).dropna() for better, policy in pairwise(policies)}
    return {policy: estimate(found.to_numpy()).as_json() for policy, found in differences.items() if len(found)}


def _charts(bench: DagBench, runs: pd.DataFrame, series: pd.DataFrame, policies: list[str]) -> list[Drawing]:
    """A Gantt chart per policy, the best first, with the same time axis."""
    found, names = schedules(series), short_names(policies)
    until_s = max((float(schedule["end_s"].max()) for _, schedule in found.values()), default=0.0)
    drawings = []
    for policy in policies:
        if policy not in found:
            continue
        number, schedule = found[policy]
        source, seed = bench.instance(number)
        workload = source(seed)
        of_run = (runs["policy"] == policy) & (runs["seed"] == number)
        makespan_s = float(runs.loc[of_run & (runs["metric"] == "makespan"), "value"].iloc[0])
        note = f"Seed {seed}, makespan {makespan_s:,.6g} s. One colour per job; hover for names and times."
        if len(workload.jobs) == 1:
            note = f"Job {workload.jobs[0].name} with seed {seed}, makespan {makespan_s:,.6g} s."
        if len(schedule) == MOST_BARS:
            note += f" Only the first {MOST_BARS:,} bars are shown."
        drawings.append((f"schedule of {names[policy]}", note, gantt(schedule, workload, 1.02 * until_s)))
    return drawings
