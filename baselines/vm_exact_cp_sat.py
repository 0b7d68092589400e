"""The count model solved by CP-SAT, the twin of HiGHS: two ways, one answer.

Source: Perron, Didier, Gay, "The CP-SAT-LP solver" (doi 10.4230/LIPIcs.CP.2023.3).
"""

from __future__ import annotations

import numpy as np
from ortools.sat.python import cp_model

from clustersim.baselines.constraint_budget import DETERMINISTIC_UNITS_PER_S
from clustersim.baselines.vm_count_model import FREE, CountModel, Solution

WORKERS = 2


def solve_with_cp_sat(model: CountModel, seconds: float, deterministic: bool = False) -> Solution:
    """The best counts found within a limit.

    Two workers race for `seconds` of wall clock, so that only proven gains repeat; with `deterministic` one worker has
    the operations that take about so long, and the counts repeat as well.
    """
    problem = cp_model.CpModel()
    column = [problem.new_int_var(0, most, "") for most in model.most.tolist()]
    matrix = model.matrix
    for row, (low, high) in enumerate(zip(model.low.tolist(), model.high.tolist(), strict=True)):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        terms = cp_model.LinearExpr.weighted_sum(
            [column[at] for at in matrix.indices[part]], matrix.data[part].tolist()
        )
        problem.add_linear_constraint(
            terms, low if low > -FREE else cp_model.INT_MIN, high if high < FREE else cp_model.INT_MAX
        )
    gains = np.flatnonzero(model.gain)
    total = cp_model.LinearExpr.weighted_sum([column[at] for at in gains], model.gain[gains].tolist())
    problem.maximize(total)
    solver = cp_model.CpSolver()
    solver.parameters.random_seed = 0
    if deterministic:
        solver.parameters.num_workers = 1
        solver.parameters.max_deterministic_time = seconds * DETERMINISTIC_UNITS_PER_S
    else:
        solver.parameters.num_workers = WORKERS
        solver.parameters.max_time_in_seconds = max(seconds, 1e-3)
    status = solver.status_name(solver.solve(problem))
    if status not in ("OPTIMAL", "FEASIBLE"):
        return Solution(None, model.most_gain)
    values = np.array([solver.value(at) for at in column], dtype=np.int64)
    return Solution(values, model.at_most(solver.best_objective_bound))
