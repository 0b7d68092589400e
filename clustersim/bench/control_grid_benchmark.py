"""A whole grid of joint policies: execute, find the best and the worst, write the files, print the tables."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from clustersim.bench.atomic import write_atomically
from clustersim.bench.control_bench import ControlBench
from clustersim.bench.control_benchmark import story_drawings
from clustersim.bench.control_grid import ControlGrid, effects, headroom
from clustersim.bench.control_grid_report import grid_html, print_grid
from clustersim.bench.control_metrics import METRICS
from clustersim.bench.control_story import as_story
from clustersim.bench.control_teams import canonical
from clustersim.bench.execution import execute
from clustersim.bench.progress import BarProgress, Progress
from clustersim.bench.statistics import require_reference, summary
from clustersim.bench.store import RunStore


def run_grid(
    bench: ControlBench,
    grid: ControlGrid,
    others: tuple[str, ...],
    seeds: int,
    out: Path,
    jobs: int,
    reference: str | None,
    command_line: str,
    console: Console,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Do what is missing in `out`, write runs, summary and report there, print the tables; the summary.

    `others` are teams besides the combinations, such as trained ones; by default the reference is the best combination.
    Runs keep no lines; the best and the worst are played once more for the figures of the report.
    """
    bench = replace(bench, lines=False)
    teams = grid.teams
    policies = tuple(dict.fromkeys((*teams, *map(canonical, others))))
    experiment = bench.experiment(policies, seeds)
    chosen = None if reference is None else canonical(reference)
    require_reference(experiment, teams[0] if chosen is None else chosen)
    runs = execute(experiment, RunStore(out, experiment), jobs, BarProgress() if progress is None else progress)
    found = headroom(summary(experiment, runs, teams[0]), teams)
    result = summary(experiment, runs, found["best"] if chosen is None else chosen) | {
        "metrics": [asdict(info) for info in METRICS],
        "combinations": list(teams),
        "headroom": found,
        "effects": effects(runs, teams),
    }
    drawn = list(dict.fromkeys((found["best_known"], found["best"], found["worst"])))
    seed = bench.first_seed
    told = {name: as_story(seed, replace(bench, lines=True).play(name, seed).series) for name in drawn}
    page = grid_html(result, runs, command_line, datetime.now().astimezone(), story_drawings(told, drawn))
    write_atomically(out / "summary.json", json.dumps(result, indent=1, allow_nan=False).encode())
    write_atomically(out / "report.html", page.encode())
    print_grid(result, console)
    console.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    return result
