"""The lines of a DAG scheduling run: how busy the machines are, how many jobs there are, how long jobs take."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clustersim.bench.runs import Series
from clustersim.scenarios.dag_scheduling import ARRIVE, DONE, END, LOST, START, DagSchedulingSimulation

POINTS = 260
"""Points of a line."""

FEWEST_JOBS = 10
"""With fewer jobs than this their completion times have no distribution to draw."""

Floats = NDArray[np.float64]


def lines_of(simulation: DagSchedulingSimulation) -> Mapping[str, Series]:
    """Series by name, of a finished run."""
    machines, jobs = len(simulation.workload.machines), len(simulation.workload.jobs)
    lines = {"busy_machines_by_time": _line(simulation, (START,), (END, LOST), 100 / machines, "busy machines [%]")}
    if jobs > 1:
        lines["jobs_in_system_by_time"] = _line(simulation, (ARRIVE,), (DONE,), 1.0, "jobs in the system")
    if jobs >= FEWEST_JOBS:
        share = np.linspace(0, 100, POINTS)
        jct_s = np.percentile(simulation.done_s - simulation.workload.arrival_s, share)
        lines["jct_by_share_of_jobs"] = Series(share, jct_s, "jobs that take at most so long [%]", "JCT [s]")
    return lines


def _line(
    simulation: DagSchedulingSimulation, up: tuple[int, ...], down: tuple[int, ...], factor: float, label: str
) -> Series:
    """How many of something there are over time: a mean per interval, as single moments would jump up and down."""
    time_s, kind, *_ = simulation.log.columns()
    change = np.isin(kind, up).astype(np.float64) - np.isin(kind, down)
    edges_s = np.linspace(simulation.workload.arrival_s[0], simulation.ended_s, POINTS + 1)
    middle_s = (edges_s[1:] + edges_s[:-1]) / 2
    return Series(middle_s, factor * _means(time_s, np.cumsum(change), edges_s), "time [s]", label)


def _means(time_s: Floats, level: Floats, edges_s: Floats) -> Floats:
    """Means over the intervals between the edges of a step function that has `level[i]` from `time_s[i]` on."""
    until_s = np.concatenate(([0.0], np.cumsum(np.diff(time_s) * level[:-1])))
    place = np.maximum(np.searchsorted(time_s, edges_s, side="right") - 1, 0)
    integral = until_s[place] + (edges_s - time_s[place]) * level[place]
    length_s = np.diff(edges_s)
    return np.divide(np.diff(integral), length_s, out=np.zeros(len(length_s)), where=length_s > 0)
