"""What a learner sees of dependent tasks: columns of tasks, of pairs of a ready task and a machine, and of the state.

Times are told as `squash(t / scale)`, where the scale is the mean run time of an instance in the episode: profiles in
microseconds and workflows in hours look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log1p
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.baselines.heft import upward_rank
from clustersim.dag_problem import DagProblem, tail_s
from clustersim.dag_state import DagView, expected_s
from clustersim.envs.encoding import Column

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MOST = 4.0
"""The largest value of a squashed time; exp(16) times the scale."""


@njit(cache=True, inline="always")
def squash(x: float) -> float:
    """A number of any size in [0, 4]: log1p(x) / 4, below 0 as 0."""
    return min(MOST, log1p(max(0.0, x)) / 4.0)


@njit(cache=True, inline="always")
def eighth(x: float) -> float:
    """A number of any size in [0, 4]: x / 8. Beside its logarithm it lets a network add times up."""
    return min(MOST, max(0.0, x) / 8.0)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of an episode from the start."""

    scale_s: float
    rank_s: Floats  # (N,) upward rank
    tail_s: Floats  # (N,) at best, with all instances
    constant: Float32s  # (N, 7) the columns of a task that never change


def known(problem: DagProblem) -> Known:
    """What is known of the tasks of an episode."""
    scale = float((problem.mean_run_time_s * problem.instances).sum() / problem.instances.sum()) or 1.0
    rank, tail = upward_rank(problem), tail_s(problem)
    times = (problem.mean_run_time_s, problem.run_time_s.min(axis=1), rank, tail, problem.warm_up_s)
    logs = [np.minimum(MOST, np.log1p(np.maximum(0.0, time / scale)) / 4) for time in times]
    parts = [np.minimum(MOST, np.log1p(problem.instances) / 4), *logs, np.minimum(MOST, rank / scale / 8)]
    return Known(scale, rank, tail, np.stack(parts, axis=1).astype(np.float32))


class Task(NamedTuple):
    """One task as its columns see it."""

    view: DagView
    known: Known
    now_s: float
    node: int

    @property
    def job(self) -> int:
        return int(self.view.problem.job_of[self.node])

    @property
    def siblings(self) -> Ints:
        """The unfinished tasks of its job."""
        first, end = self.view.problem.first_node[self.job : self.job + 2]
        nodes: Ints = np.flatnonzero(~self.view.finished[first:end]) + first
        return nodes

    @property
    def active_jobs(self) -> Ints:
        return np.flatnonzero(self.view.admitted & (self.view.unfinished > 0))

    def work_s(self) -> float:
        """What is left to do of the job, in mean run times; half of what is running."""
        view, nodes = self.view, self.siblings
        left = view.unstarted[nodes] + 0.5 * view.running[nodes]
        return float((left * view.problem.mean_run_time_s[nodes]).sum())


def _share_open_and_local(task: Task) -> float:
    is_open = task.view.open
    return float((is_open & (task.view.tail_job == task.job)).sum() / max(1, is_open.sum()))


TASK_COLUMNS = (
    Column("ready", "1 if an instance can be handed out now", 0, 1, lambda t: float(t.node in t.view.ready)),
    Column(
        "unstarted", "share of the instances not started", 0, 1,
        lambda t: t.view.unstarted[t.node] / t.view.problem.instances[t.node],
    ),
    Column(
        "running", "share of the instances that run", 0, 1,
        lambda t: t.view.running[t.node] / t.view.problem.instances[t.node],
    ),
    Column(
        "waiting", "share of the predecessors that are unfinished", 0, 1,
        lambda t: t.view.waiting_for[t.node] / max(1, np.diff(t.view.problem.pred_start)[t.node]),
    ),
    Column("instances", "squash(instances)", 0, MOST, lambda t: squash(float(t.view.problem.instances[t.node]))),
    Column(
        "run_time", "mean run time over the machines that can run it", 0, MOST,
        lambda t: squash(t.view.problem.mean_run_time_s[t.node] / t.known.scale_s),
    ),
    Column(
        "fastest", "run time on the fastest machine", 0, MOST,
        lambda t: squash(t.view.problem.run_time_s[t.node].min() / t.known.scale_s),
    ),
    Column("rank", "upward rank (HEFT)", 0, MOST, lambda t: squash(t.known.rank_s[t.node] / t.known.scale_s)),
    Column(
        "tail", "time to the end of the job at best, all instances included", 0, MOST,
        lambda t: squash(t.known.tail_s[t.node] / t.known.scale_s),
    ),
    Column("warm_up", "what its first instance on a machine takes longer", 0, MOST,
           lambda t: squash(t.view.problem.warm_up_s[t.node] / t.known.scale_s)),
    Column("job_work", "work left of its job", 0, MOST, lambda t: squash(t.work_s() / t.known.scale_s)),
    Column("job_path", "longest tail of its job's unfinished tasks", 0, MOST,
           lambda t: squash(t.known.tail_s[t.siblings].max() / t.known.scale_s)),
    Column("job_age", "time since its job arrived", 0, MOST,
           lambda t: squash((t.now_s - t.view.arrival_s[t.job]) / t.known.scale_s)),
    Column("job_machines", "squash(machines that serve its job)", 0, MOST,
           lambda t: squash(float(((t.view.tail_job == t.job) & ~t.view.open & t.view.up).sum()))),
    Column("job_place", "1 / (1 + jobs in the system that came before)", 0, 1,
           lambda t: 1.0 / (1 + int((t.active_jobs < t.job).sum()))),
    Column("work", "time of its instances not started", 0, MOST,
           lambda t: squash(t.view.unstarted[t.node] * t.view.problem.mean_run_time_s[t.node] / t.known.scale_s)),
    Column("machines", "squash(machines that run it)", 0, MOST, lambda t: squash(float(t.view.running[t.node]))),
    Column("local", "share of the open machines that served its job last", 0, 1, _share_open_and_local),
    Column("rank_plain", "upward rank, not as a logarithm", 0, MOST,
           lambda t: eighth(t.known.rank_s[t.node] / t.known.scale_s)),
    Column("job_work_plain", "work left of its job, per machine, not as a logarithm", 0, MOST,
           lambda t: eighth(t.work_s() / len(t.view.up) / t.known.scale_s)),
)  # fmt: skip

PAIR_COLUMNS = (
    Column("possible", "1 if the machine is up and can run the task", 0, 1, lambda p: 1.0),
    Column("run_time", "expected time on the machine", 0, MOST, lambda p: squash(p.run_s / p.scale_s)),
    Column("speed", "time on the fastest machine / time on this one", 0, 1, lambda p: p.ratio(p.fastest_s, p.run_s)),
    Column("data_wait", "until all its data are there", 0, MOST, lambda p: squash(p.data_wait_s / p.scale_s)),
    Column("machine_wait", "until the machine is free", 0, MOST, lambda p: squash(p.machine_wait_s / p.scale_s)),
    Column("finish", "until it would end", 0, MOST, lambda p: squash(p.finish_s / p.scale_s)),
    Column("earliest", "earliest end on any machine / end on this one", 0, 1,
           lambda p: p.ratio(p.earliest_s, p.finish_s)),
    Column("open", "1 if the machine is idle and unreserved", 0, 1, lambda p: float(p.is_open)),
    Column("queue", "run time of this machine's queue relative to the longest", 0, 1,
           lambda p: p.ratio(p.machine_wait_s, p.longest_wait_s)),
    Column("finish_plain", "until it would end, not as a logarithm", 0, MOST,
           lambda p: eighth(p.finish_s / p.scale_s)),
)  # fmt: skip


class Pair(NamedTuple):
    """A ready task on one machine as the columns see it; times from now on, in seconds."""

    scale_s: float
    run_s: float
    fastest_s: float
    data_wait_s: float
    machine_wait_s: float
    finish_s: float
    earliest_s: float
    longest_wait_s: float
    is_open: bool

    @staticmethod
    def ratio(smaller: float, larger: float) -> float:
        return smaller / larger if larger > 0 else 1.0


STATE_COLUMNS = (
    Column("jobs", "squash(jobs in the system and admitted)", 0, MOST, lambda s: squash(float(s.jobs))),
    Column("open", "share of the machines that are open", 0, 1, lambda s: s.open_share),
    Column("work", "work left of all of them, per machine", 0, MOST, lambda s: squash(s.work_s / s.scale_s)),
    Column("ready", "squash(ready tasks)", 0, MOST, lambda s: squash(float(s.ready))),
    Column("busy", "mean time until the machines are free", 0, MOST, lambda s: squash(s.mean_wait_s / s.scale_s)),
)


class State(NamedTuple):
    """The whole system as the columns see it."""

    jobs: int
    open_share: float
    work_s: float
    ready: int
    mean_wait_s: float
    scale_s: float


@njit(cache=True)
def choose_rows(  # type: ignore[no-untyped-def]
    job_of, first_node, admitted, unfinished, finished, ready, node_of_row, row_of_node
) -> int:
    """Give rows to the unfinished tasks of admitted jobs, ascending; ready ones first when there are too many.

    Writes both directions (`row_of_node` is -1 for the rest, and has to be so for all but the last rows) and returns
    the number of rows in use.
    """
    rows = len(node_of_row)
    for row in range(rows):
        if node_of_row[row] >= 0:
            row_of_node[node_of_row[row]] = -1
            node_of_row[row] = -1
    active = 0
    for job in range(len(admitted)):
        if admitted[job] and unfinished[job] > 0:
            active += unfinished[job]
    used = 0
    if active > rows:
        for index in range(min(len(ready), rows)):
            row_of_node[ready[index]] = used
            node_of_row[used] = ready[index]
            used += 1
    for job in range(len(admitted)):
        if not (admitted[job] and unfinished[job] > 0):
            continue
        for node in range(first_node[job], first_node[job + 1]):
            if used == rows:
                return used
            if not finished[node] and row_of_node[node] < 0:
                row_of_node[node] = used
                node_of_row[used] = node
                used += 1
    return used


@njit(cache=True)
def fill_tasks(  # type: ignore[no-untyped-def]
    now_s,
    scale_s,
    used,
    node_of_row,
    row_of_node,
    constant,
    tails,
    mean_run_time_s,
    instances,
    job_of,
    first_node,
    arrival_s,
    admitted,
    unfinished,
    unstarted,
    running,
    waiting_for,
    finished,
    pred_start,
    succ_start,
    succ,
    ready,
    tail_job,
    free_at_s,
    up,
    open_,
    tasks,
    task_mask,
    edges,
    edge_mask,
    state,
):
    """Write the table of tasks, the edges between them (predecessor's and successor's row), and the state."""
    jobs, machines = len(admitted), len(up)
    of_job = np.zeros((jobs, 7), dtype=np.float32)
    serving, local, opened, wait_s = np.zeros(jobs), np.zeros(jobs), 0, 0.0
    for machine in range(machines):
        job = tail_job[machine]
        wait_s += max(0.0, free_at_s[machine] - now_s)
        opened += open_[machine]
        if job >= 0:
            if open_[machine]:
                local[job] += 1
            elif up[machine]:
                serving[job] += 1
    place, total_s = 0, 0.0
    for job in range(jobs):
        if not (admitted[job] and unfinished[job] > 0):
            continue
        work_s, path_s = 0.0, 0.0
        for node in range(first_node[job], first_node[job + 1]):
            if not finished[node]:
                work_s += (unstarted[node] + 0.5 * running[node]) * mean_run_time_s[node]
                path_s = max(path_s, tails[node])
        total_s += work_s
        of_job[job, 0] = squash(work_s / scale_s)
        of_job[job, 1] = squash(path_s / scale_s)
        of_job[job, 2] = squash((now_s - arrival_s[job]) / scale_s)
        of_job[job, 3] = squash(serving[job])
        of_job[job, 4] = 1.0 / (1 + place)
        of_job[job, 5] = local[job] / max(1, opened)
        of_job[job, 6] = eighth(work_s / machines / scale_s)
        place += 1
    edge = 0
    for row in range(used):
        node = node_of_row[row]
        task_mask[row] = 1
        tasks[row, 1] = unstarted[node] / instances[node]
        tasks[row, 2] = running[node] / instances[node]
        tasks[row, 3] = waiting_for[node] / max(1, pred_start[node + 1] - pred_start[node])
        for column in range(6):
            tasks[row, 4 + column] = constant[node, column]
        for column in range(5):
            tasks[row, 10 + column] = of_job[job_of[node], column]
        tasks[row, 15] = squash(unstarted[node] * mean_run_time_s[node] / scale_s)
        tasks[row, 16] = squash(float(running[node]))
        tasks[row, 17] = of_job[job_of[node], 5]
        tasks[row, 18] = constant[node, 6]
        tasks[row, 19] = of_job[job_of[node], 6]
        for index in range(succ_start[node], succ_start[node + 1]):
            target = row_of_node[succ[index]]
            if target >= 0 and edge < len(edges):
                edges[edge, 0] = row
                edges[edge, 1] = target
                edge_mask[edge] = 1
                edge += 1
    for index in range(len(ready)):
        if row_of_node[ready[index]] >= 0:
            tasks[row_of_node[ready[index]], 0] = 1
    state[0] = squash(float(place))
    state[1] = opened / machines
    state[2] = squash(total_s / machines / scale_s)
    state[3] = squash(float(len(ready)))
    state[4] = squash(wait_s / machines / scale_s)


@njit(cache=True)
def fill_pairs(  # type: ignore[no-untyped-def]
    now_s,
    scale_s,
    slots,
    run_time_s,
    warm_up_s,
    job_of,
    switch_s,
    data_at_s,
    free_at_s,
    tail_node,
    tail_job,
    up,
    open_,
    pairs,
):
    """Write the table of pairs, row slot * machines + machine; `slots` are ready nodes. Impossible pairs stay 0."""
    machines = len(up)
    longest_s = 0.0
    for machine in range(machines):
        longest_s = max(longest_s, free_at_s[machine] - now_s)
    for slot in range(len(slots)):
        node = slots[slot]
        fastest_s, earliest_s = np.inf, np.inf
        for machine in range(machines):
            if up[machine] and run_time_s[node, machine] < np.inf:
                run_s = expected_s(node, machine, run_time_s, warm_up_s, job_of, switch_s, tail_node, tail_job)
                start_s = max(now_s, free_at_s[machine], data_at_s[node, machine]) - now_s
                fastest_s = min(fastest_s, run_s)
                earliest_s = min(earliest_s, start_s + run_s)
        for machine in range(machines):
            if up[machine] and run_time_s[node, machine] < np.inf:
                run_s = expected_s(node, machine, run_time_s, warm_up_s, job_of, switch_s, tail_node, tail_job)
                data_s = max(0.0, data_at_s[node, machine] - now_s)
                wait_s = max(0.0, free_at_s[machine] - now_s)
                finish_s = max(data_s, wait_s) + run_s
                out = pairs[slot * machines + machine]
                out[0] = 1
                out[1] = squash(run_s / scale_s)
                out[2] = fastest_s / run_s if run_s > 0 else 1.0
                out[3] = squash(data_s / scale_s)
                out[4] = squash(wait_s / scale_s)
                out[5] = squash(finish_s / scale_s)
                out[6] = earliest_s / finish_s if finish_s > 0 else 1.0
                out[7] = open_[machine]
                out[8] = wait_s / longest_s if longest_s > 0 else 1.0
                out[9] = eighth(finish_s / scale_s)
