"""What is left to do at a moment, as a problem for a planner: the rolling horizon.

All instances that no machine has yet are planned anew, whatever was planned before; what runs keeps its machine until
it is expected to end. Rolling schedules: Baker, Peterson 1979 (doi 10.1287/mnsc.25.4.341).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.dag_problem import DagProblem, Floats, Ints, problem_of
from clustersim.dag_schedule import Busy, expanded
from clustersim.dag_state import NOBODY, DagView, send
from clustersim.dags import Dag, Machines


@dataclass(frozen=True, slots=True, eq=False)
class Remaining:
    """A problem of one node per instance; `origin`: the node of the simulation that each stands for, -1 for none.

    `data_at_s`, shape (N, M): when the data of what has started already are at each machine.
    """

    problem: DagProblem
    origin: Ints
    release_s: Floats
    busy: Busy
    data_at_s: Floats


def remaining(view: DagView, now_s: float, serves: Ints) -> Remaining | None:
    """Of the jobs that are there, None when all has been handed out. `serves`, shape (M,): what each machine has.

    Of a machine that is down nobody knows when it is back: it only gets what no other machine can run.
    """
    problem = view.problem
    left = np.where(view.admitted[problem.job_of], view.unstarted - view.reserved, 0)
    nodes = np.flatnonzero(left)
    if len(nodes) == 0:
        return None
    jobs, first = np.unique(problem.job_of[nodes], return_index=True)
    parts = np.split(nodes, first[1:])
    part = problem_of(_machines(problem), [_dag(problem, view, left, of_job) for of_job in parts])
    data_at_s = view.data_at_s.copy()
    free_s = np.maximum(view.free_at_s, now_s)
    for machine in np.flatnonzero(serves != NOBODY).tolist():
        send(
            serves[machine],
            machine,
            free_s[machine],
            problem.instances,
            problem.succ_start,
            problem.succ,
            problem.succ_bytes,
            problem.latency_s,
            problem.s_per_byte,
            data_at_s,
        )
    wide, origin = expanded(part)
    stands_for = np.where(origin >= 0, nodes[origin], -1)
    return Remaining(
        wide,
        stands_for,
        np.full(len(jobs), now_s),
        # From before now: at the very instant a task of no length would still find room in front.
        Busy(np.full((problem.machines, 1), now_s - 1.0), free_s[:, None], (serves != NOBODY).astype(np.int64)),
        np.where(stands_for[:, None] >= 0, data_at_s[stands_for], 0.0),
    )


def _dag(problem: DagProblem, view: DagView, left: Ints, nodes: Ints) -> Dag:
    """The tasks of a job of which something is left, with what is left of their instances."""
    run_time_s = problem.run_time_s[nodes]
    elsewhere = np.where(view.up, run_time_s, np.inf)
    run_time_s = np.where(elsewhere.min(axis=1, keepdims=True) < np.inf, elsewhere, run_time_s)
    place = {node: index for index, node in enumerate(nodes.tolist())}
    share = left / problem.instances
    edges, data_bytes = [], []
    for node in nodes.tolist():
        for edge in range(int(problem.pred_start[node]), int(problem.pred_start[node + 1])):
            source = int(problem.pred[edge])
            if source in place:
                edges.append((place[source], place[node]))
                data_bytes.append(float(problem.pred_bytes[edge] * share[source] * share[node]))
    return Dag(
        str(problem.job_of[nodes[0]]),
        tuple(map(str, nodes.tolist())),
        run_time_s,
        np.array(edges, dtype=np.int64).reshape(-1, 2),
        np.array(data_bytes, dtype=np.float64),
        left[nodes],
        problem.warm_up_s[nodes],
    )


def _machines(problem: DagProblem) -> Machines:
    count = problem.machines
    names = tuple(map(str, range(count)))
    return Machines(names, names, problem.latency_s, problem.s_per_byte, np.zeros(count), np.zeros(count))
