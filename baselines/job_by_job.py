"""Jobs one behind another, the one with the least work first: a plan for short job times.

That order is the best one where one machine runs one task per job (Smith 1956, doi 10.1002/nav.3800030106). Within a
job it is HEFT (Topcuoglu, Hariri, Wu 2002, doi 10.1109/71.993206); later jobs fill the gaps that earlier ones leave.
"""

from __future__ import annotations

import numpy as np

from clustersim.baselines.heft import upward_rank
from clustersim.baselines.heft_kernel import in_order, place_in_order
from clustersim.dag_problem import DagProblem, Floats
from clustersim.dag_schedule import Busy, Schedule, check_plannable


def plan_job_by_job(problem: DagProblem, release_s: Floats, busy: Busy) -> Schedule:
    """Equal jobs in their order."""
    check_plannable(problem)
    work_s = np.add.reduceat(problem.mean_run_time_s, problem.first_node[:-1])
    turn = np.argsort(np.argsort(work_s, kind="stable"))
    order = in_order(problem, upward_rank(problem))
    order = order[np.argsort(turn[problem.job_of[order]], kind="stable")]
    return place_in_order(problem, order, release_s, busy)
