"""Some jobs of a problem as a problem of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.dag_problem import DagProblem, Ints


def jobs_alone(problem: DagProblem, first: int, end: int) -> DagProblem:
    """The jobs `first` to `end - 1`; its node n is the node `problem.first_node[first] + n` of the problem."""
    jobs = len(problem.first_node) - 1
    if first == 0 and end == jobs:
        return problem
    begin, stop = int(problem.first_node[first]), int(problem.first_node[end])
    pred = slice(int(problem.pred_start[begin]), int(problem.pred_start[stop]))
    succ = slice(int(problem.succ_start[begin]), int(problem.succ_start[stop]))
    return DagProblem(
        _shifted(problem.first_node[first : end + 1], begin),
        _shifted(problem.job_of[begin:stop], first),
        problem.run_time_s[begin:stop],
        problem.mean_run_time_s[begin:stop],
        problem.instances[begin:stop],
        problem.warm_up_s[begin:stop],
        _shifted(problem.pred_start[begin : stop + 1], pred.start),
        _shifted(problem.pred[pred], begin),
        problem.pred_bytes[pred],
        _shifted(problem.succ_start[begin : stop + 1], succ.start),
        _shifted(problem.succ[succ], begin),
        problem.succ_bytes[succ],
        # The lowest possible node comes next, so the jobs follow each other in the order as they do in the numbering.
        _shifted(problem.order[begin:stop], begin),
        problem.latency_s,
        problem.s_per_byte,
        problem.mean_latency_s,
        problem.mean_s_per_byte,
    )


def _shifted(values: Ints, by: int) -> NDArray[np.int64]:
    shifted = values - by
    shifted.flags.writeable = False
    return shifted
