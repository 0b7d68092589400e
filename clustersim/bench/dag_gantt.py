"""Gantt charts: which machine ran which task when, kept as series of a run and drawn in the report.

A schedule is kept as series whose x are the starts: the node, the machine and the end of every execution. So it is
stored, resumed and written to series.parquet as any other line is. The names of tasks and jobs are not kept: they
follow from the seed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from clustersim.bench.charts import styled
from clustersim.bench.palette import COLOURS
from clustersim.bench.runs import Series
from clustersim.dags import DagWorkload
from clustersim.scenarios.dag_scheduling import END, LOST, START, DagSchedulingSimulation

PREFIX = "schedule "
NODE, MACHINE, FINISH, COUNT, KEPT = (PREFIX + what for what in ("node", "machine", "end", "count", "kept"))

MOST_BARS = 2000
"""What is kept, by start: more would make the page slow and the bars too thin to see."""

MOST_LABELS = 60
"""With more bars their names would only be in each other's way; they are shown on hover anyway."""


def schedule_of(simulation: DagSchedulingSimulation) -> Mapping[str, Series]:
    """The first bars of a finished run: instances of a task one right after another on a machine are one bar.

    `count`: how many instances, where some bar has several. `kept`: 0 for a bar that a failure has ended.
    """
    time_s, kind, node, machine, _ = simulation.log.columns()
    rows = np.flatnonzero(np.isin(kind, (START, END, LOST)))
    # A machine runs one task at a time, so what follows a start on the same machine is its end.
    rows = rows[np.argsort(machine[rows], kind="stable")]
    start, end = rows[::2], rows[1::2]
    goes_on = (
        (node[start[1:]] == node[start[:-1]])
        & (machine[start[1:]] == machine[start[:-1]])
        & (time_s[start[1:]] == time_s[end[:-1]])
    )
    begins = np.flatnonzero(np.concatenate(([True], ~goes_on)))
    count = np.diff(np.concatenate((begins, [len(start)])))
    start, end = start[begins], end[begins + count - 1]
    first = np.argsort(time_s[start], kind="stable")[:MOST_BARS]
    start, end, count = start[first], end[first], count[first]
    values = {NODE: node[start], MACHINE: machine[start], FINISH: time_s[end]}
    if (count > 1).any():
        values[COUNT] = count.astype(np.float64)
    if (kind[end] == LOST).any():
        values[KEPT] = (kind[end] == END).astype(np.float64)
    return {name: Series(time_s[start], y, "start [s]", name.removeprefix(PREFIX)) for name, y in values.items()}


def is_schedule(series: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of series.parquet are parts of a schedule and no line."""
    return series["series"].str.startswith(PREFIX)


def schedules(series: pd.DataFrame) -> dict[str, tuple[int, pd.DataFrame]]:
    """Of each policy that of the lowest seed that has one: columns start_s, node, machine, end_s, count, kept."""
    found = {}
    parts = series[is_schedule(series)]
    for policy, rows in parts.groupby("policy", sort=False):
        seed = int(rows["seed"].min())
        by_name = {str(name): run for name, run in rows[rows["seed"] == seed].groupby("series", sort=False)}
        node = by_name[NODE]
        found[str(policy)] = (
            seed,
            pd.DataFrame(
                {
                    "start_s": node["x"].to_numpy(),
                    "node": node["y"].to_numpy(dtype=np.int64),
                    "machine": by_name[MACHINE]["y"].to_numpy(dtype=np.int64),
                    "end_s": by_name[FINISH]["y"].to_numpy(),
                    "count": by_name[COUNT]["y"].to_numpy(dtype=np.int64) if COUNT in by_name else 1,
                    "kept": by_name[KEPT]["y"].to_numpy() > 0 if KEPT in by_name else True,
                }
            ),
        )
    return found


def gantt(schedule: pd.DataFrame, workload: DagWorkload, until_s: float) -> go.Figure:
    """One row per machine, the first on top, and a colour per job; `until_s` is the end of the time axis."""
    first_node = np.cumsum([0, *(len(job) for job in workload.jobs)])
    node = schedule["node"].to_numpy()
    job = np.searchsorted(first_node, node, side="right") - 1
    task = [workload.jobs[j].tasks[n - first_node[j]] for j, n in zip(job.tolist(), node.tolist(), strict=True)]
    names, machine = workload.machines.names, schedule["machine"].to_numpy()
    start_s, end_s = schedule["start_s"].to_numpy(), schedule["end_s"].to_numpy()
    count, kept = schedule["count"].to_numpy(), schedule["kept"].to_numpy()
    about = [
        f"{name} of {workload.jobs[j].name}"
        + (f", {instances} instances" if instances > 1 else "")
        + ("" if whole else ", the last one lost" if instances > 1 else ", lost")
        + f"<br>on {names[m]}"
        for name, j, m, instances, whole in zip(
            task, job.tolist(), machine.tolist(), count.tolist(), kept.tolist(), strict=True
        )
    ]
    figure = go.Figure(
        go.Bar(
            base=start_s,
            x=end_s - start_s,
            y=machine,
            orientation="h",
            width=0.9,
            marker={
                "color": [COLOURS[j % len(COLOURS)] if whole else "#bbb" for j, whole in zip(job, kept, strict=True)],
                "line": {"color": "#fff", "width": 0.5 if len(schedule) > MOST_LABELS else 1},
            },
            text=task if len(task) <= MOST_LABELS else None,
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            constraintext="inside",
            customdata=np.stack([start_s, end_s], axis=1),
            hovertext=about,
            hovertemplate="%{hovertext}<br>%{customdata[0]:.6~g} to %{customdata[1]:.6~g} s<extra></extra>",
        )
    )
    lines = len(names)
    step = max(1, round(lines / 25))  # more names than that would overlap
    figure.update_yaxes(
        tickvals=list(range(0, lines, step)), ticktext=names[::step], range=[lines - 0.5, -0.5], automargin=True
    )
    figure.update_xaxes(title="time [s]", range=[0, until_s], automargin=True)
    figure.update_layout(barmode="overlay", uniformtext={"minsize": 8, "mode": "hide"})
    return styled(figure, height=80 + min(26 * lines, 120 + 10 * lines), showlegend=False)
