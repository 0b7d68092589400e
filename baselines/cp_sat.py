"""CP-SAT as a scheduler's second opinion: it re-plans a snapshot when the default scheduler leaves pods pending.

`CpSatFallback` re-plans everything that runs or waits, as the plug-in of "Priority Matters" does (arXiv 2511.08373).
`CpSatRolling` leaves alone what runs and plans a bounded batch of what waits. Both answer the role `replan`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clustersim.baselines.constraint import Solution
from clustersim.baselines.constraint_budget import Limits
from clustersim.baselines.constraint_parts import MOST_VARIABLES, solve_in_parts
from clustersim.control import Decision
from clustersim.packing import NOWHERE, Packing, Plan
from clustersim.scenarios.pod_world import CARRY_OUT, KEEP


class CpSatFallback:
    """Carries a plan out when it places more pods, the more important first; else nothing is touched."""

    def __init__(
        self, limits: Limits | None = None, every_s: float = 0.0, most_variables: int = MOST_VARIABLES
    ) -> None:
        """`every_s`: the least simulated time from one search to the next; 0 searches whenever it is asked."""
        self.limits = limits or Limits()
        self.solutions: list[Solution] = []
        self._every_s = every_s
        self._next_s = 0.0
        self._most_variables = most_variables

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing is left to chance but the solver's own seed, which the limits hold."""
        self.solutions = []
        self._next_s = 0.0

    def act(self, decision: Decision) -> int:
        if decision.time_s < self._next_s:
            return KEEP
        self._next_s = decision.time_s + self._every_s
        solution = solve_in_parts(decision.subject.packing, self.limits, self._most_variables)
        self.solutions.append(solution)
        if solution.outcome not in ("improved", "improved-optimal"):
            return KEEP
        decision.detail = solution.plan
        return CARRY_OUT


class CpSatRolling:
    """Plans at most `batch` waiting pods at a time, the most important and then the oldest first."""

    def __init__(self, limits: Limits | None = None, batch: int = 500, most_variables: int = MOST_VARIABLES) -> None:
        self.limits = limits or Limits()
        self.solutions: list[Solution] = []
        self._batch = batch
        self._most_variables = most_variables

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing is left to chance but the solver's own seed, which the limits hold."""
        self.solutions = []

    def act(self, decision: Decision) -> int:
        packing: Packing = decision.subject.packing
        waiting = np.flatnonzero(packing.home == NOWHERE)
        first = waiting[np.argsort(-packing.priority[waiting], kind="stable")][: self._batch]
        chosen = np.sort(np.concatenate([np.flatnonzero(packing.home != NOWHERE), first]))
        batch = packing.part(chosen)
        batch = replace(batch, protected=batch.home != NOWHERE)
        solution = solve_in_parts(batch, self.limits, self._most_variables)
        self.solutions.append(solution)
        if solution.outcome not in ("improved", "improved-optimal"):
            return KEEP
        node = np.full(len(packing.home), NOWHERE)
        device = node.copy()
        node[chosen], device[chosen] = solution.plan.node, solution.plan.device
        decision.detail = Plan(node, device)
        return CARRY_OUT
