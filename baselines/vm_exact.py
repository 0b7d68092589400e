"""Exact: the optimum of the count model, carried out one migration at a time.

Source: the MIP of "VMR2L" (EuroSys'25, arXiv 2505.17359), made small by counting interchangeable VMs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from time import perf_counter
from typing import Literal

import numpy as np

from clustersim.baselines.vm_count_model import CountModel, Solution
from clustersim.baselines.vm_exact_highs import solve_with_highs
from clustersim.baselines.vm_executable import Search
from clustersim.errors import ConfigError
from clustersim.vm_plan import MovePlan, Task


@dataclass(frozen=True)
class Exact:
    """Plans within `budget_s` of wall clock. A plan that is proven in time is the same every time.

    With `clock="deterministic"` any plan is: CP-SAT counts its operations, on one worker, and HiGHS goes on until it
    has a proof or has looked at 1,000 nodes, however long that takes.

    Figures: `optimal`, 1 where the plan is proven to be best; `unordered`, the fragment rate that could be reached if
    order did not matter, and `price`, by how much the plan exceeds it; `detours`; `split_sets`, the anti-affinity sets
    that stood in the way; `models`, how many were solved; `build_s`, `solve_s` and `order_s`.
    """

    budget_s: float = 5.0
    solver: Literal["highs", "cp-sat"] = "highs"
    clock: Literal["wall", "deterministic"] = "wall"
    prove: bool = True
    """Whether to look at all machines, for a proof, or only at those where the optimum nearly always is."""

    def __post_init__(self) -> None:
        if not self.budget_s > 0:
            raise ConfigError(f"budget_s is {self.budget_s}; a time limit has to be positive")
        if self.solver not in ("highs", "cp-sat"):
            raise ConfigError(f"solver is {self.solver!r}; choose highs or cp-sat")
        if self.clock not in ("wall", "deterministic"):
            raise ConfigError(f"clock is {self.clock!r}; choose wall or deterministic")

    def __call__(self, task: Task, rng: np.random.Generator) -> MovePlan:
        started_s = perf_counter()
        wall = self.clock == "wall"

        def left_s() -> float:
            return self.budget_s - (perf_counter() - started_s) if wall else inf

        return Search(task, rng, self._solve, left_s).plan(self.prove)

    def _solve(self, model: CountModel, seconds: float) -> Solution:
        deterministic = self.clock == "deterministic"
        if self.solver == "highs":
            return solve_with_highs(model, seconds, deterministic)
        # Importing OR-Tools takes longer than many a plan.
        from clustersim.baselines.vm_exact_cp_sat import solve_with_cp_sat

        return solve_with_cp_sat(model, self.budget_s if deterministic else seconds, deterministic)
