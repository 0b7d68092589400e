"""A whole DAG scheduling benchmark: the comparison of its schedulers, by seed or by job, with Gantt charts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from clustersim.bench.benchmark import run_benchmark
from clustersim.bench.comparison import main_metrics, ranked, short_names
from clustersim.bench.dag_gantt import MOST_BARS, gantt, is_schedule, schedules
from clustersim.bench.dag_scheduling import DagBench
from clustersim.bench.metrics import MetricInfo
from clustersim.bench.progress import Progress
from clustersim.bench.report import Drawing, report_html
from clustersim.bench.runs import Experiment
from clustersim.bench.statistics import estimate, require_reference, summary
from clustersim.bench.table import print_table


@dataclass(frozen=True)
class ComparedSchedules:
    """The comparison, with Gantt charts."""

    bench: DagBench
    policies: tuple[str, ...]

    @property
    def metrics(self) -> tuple[MetricInfo, ...]:
        return self.bench.metrics(self.policies)

    def require(self, experiment: Experiment, reference: str) -> None:
        require_reference(experiment, reference)

    def summary(self, experiment: Experiment, runs: pd.DataFrame, reference: str) -> dict[str, Any]:
        judged = values_to_judge(self.bench, runs)
        result = summary_of(self.bench, experiment, judged, reference)
        if len(experiment.policies) > 2:
            ranking = main_metrics(self.metrics)[0]
            result["steps"] = steps(judged, ranked(result, self.metrics), ranking.name)
        return result | {"metrics": [asdict(info) for info in self.metrics]}

    def page(
        self, summary: dict[str, Any], runs: pd.DataFrame, series: pd.DataFrame, command_line: str, written: datetime
    ) -> str:
        judged, lines = values_to_judge(self.bench, runs), series[~is_schedule(series)]
        charts = _charts(self.bench, runs, series, ranked(summary, self.metrics))
        return report_html(summary, judged, lines, self.metrics, command_line, written, charts)

    def show(self, summary: dict[str, Any], console: Console) -> None:
        print_table(summary, self.metrics, console)


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
    """The benchmark of some schedulers, as `run_benchmark` does it."""
    experiment, view = bench.experiment(policies, seeds), ComparedSchedules(bench, policies)
    return run_benchmark(experiment, out, jobs, reference, view, command_line, console, progress)


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
