"""The count model solved by HiGHS: branch and cut on one thread, and its linear relaxation, through SciPy.

Source: Huangfu, Hall, "Parallelizing the dual revised simplex method" (doi 10.1007/s12532-017-0130-5).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from clustersim.baselines.vm_count_model import FREE, CountModel, Floats, Solution

NODES = 1_000
"""Of the search tree, where seconds must not count. Models of fleets were solved at its root so far."""

OPTIMAL = 0
"""Of the statuses of SciPy."""

FOREVER_S = 1e9


def solve_with_highs(model: CountModel, seconds: float, deterministic: bool = False) -> Solution:
    """The best counts within a limit of wall clock or, with `deterministic`, of NODES nodes.

    The same counts every time unless the clock stops it.
    """
    limit = {"node_limit": NODES} if deterministic else {"time_limit": max(seconds, 1e-3)}
    some = model.most > 0
    result = milp(
        -model.gain[some].astype(np.float64),
        integrality=np.ones(some.sum()),
        bounds=Bounds(0, model.most[some]),
        constraints=LinearConstraint(
            model.matrix[:, some],
            np.where(model.low > -FREE, model.low, -np.inf),
            np.where(model.high < FREE, model.high, np.inf),
        ),
        # Without columns that are fixed, presolving takes longer than it saves: 1.3 s in place of .9 s.
        options={"mip_rel_gap": 0.0, "presolve": False, **limit},
    )
    most = model.most_gain if result.mip_dual_bound is None else model.at_most(-result.mip_dual_bound)
    if result.x is None:
        return Solution(None, most)
    values = np.zeros(len(some), dtype=np.int64)
    values[some] = np.rint(result.x)
    return Solution(values, most)


def relaxed(model: CountModel, seconds: float) -> tuple[Floats, int] | None:
    """Values of the columns at the optimum if counts need not be whole, and the gain that it leaves possible.

    None where it isn't found within a limit of wall clock.
    """
    equal, limited = model.low == model.high, (model.low != model.high) & (model.high < FREE)
    result = linprog(
        -model.gain.astype(np.float64),
        A_ub=model.matrix[limited],
        b_ub=model.high[limited],
        A_eq=model.matrix[equal],
        b_eq=model.high[equal],
        bounds=np.column_stack([np.zeros(len(model.most)), model.most]),
        options={"time_limit": min(max(seconds, 1e-3), FOREVER_S)},
    )
    return None if result.status != OPTIMAL else (result.x, model.at_most(-result.fun))
