"""Priority packing by constraint programming: more important pods first, then as few moves and evictions as possible.

Lexicographic over the priorities, the highest first: (A) the most pods of this priority or above, (B) the least
disruption among those that run; each result is frozen before the next stage. Source: "Priority Matters: Optimising
Kubernetes Clusters Usage with Constraint-Based Pod Packing" (arXiv 2511.08373). Solved by CP-SAT of OR-Tools.

What makes it fast, compared with one Boolean per pod and node: pods that ask for the same at the same priority are
interchangeable, so integers count them (`constraint_model`); the model is built once and only grows; every stage starts
from a plan that a local search has improved (`constraint_start`), and is skipped when that plan is plainly best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from time import perf_counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model

from clustersim.baselines.constraint_budget import DETERMINISTIC_UNITS_PER_S, Budget, Limits
from clustersim.baselines.constraint_fill import fill
from clustersim.baselines.constraint_home import disturb_less
from clustersim.baselines.constraint_model import COST, Disruption, Objective, PackingModel, Values, variables_per_node
from clustersim.baselines.constraint_start import place_more
from clustersim.errors import ConfigError
from clustersim.packing import NOWHERE, Packing, Plan, evicted, moved, placed_by_tier, stay

Outcome = Literal["improved-optimal", "improved", "certified", "failed"]
Stage = Literal["place", "disrupt"]
Status = Literal["OPTIMAL", "FEASIBLE", "UNKNOWN"]

STAGES: tuple[Stage, ...] = ("place", "disrupt")

PROPOSALS_PER_S = 500_000
"""Length of the local search over all tiers, per second of the window: it then takes about a tenth of the time."""


VARIABLES_PER_S = 10_000
"""A model with more variables per second of the window is not built at all: building and presolving it would take
longer than the window (18,000 variables: 4 s), and no clock stops either. The local search then stands alone."""


@dataclass(frozen=True, slots=True)
class StageReport:
    """How one stage of one tier ended.

    `objective` is the value of the plan at hand: pods placed, or disruption. `bound` is the best value that is not
    excluded; None when the solver found out nothing (UNKNOWN) or the model is too large for the window, and
    then the plan at hand stays.
    """

    tier: int
    stage: Stage
    status: Status
    objective: int
    bound: int | None
    build_s: float
    solve_s: float

    @property
    def gap(self) -> float | None:
        """Distance to the bound, as a share of the larger of the two; 0 when proved."""
        if self.bound is None:
            return None
        return abs(self.bound - self.objective) / max(1, abs(self.bound), abs(self.objective))


@dataclass(frozen=True, slots=True)
class Solution:
    """A plan, never worse than what is there, and how far it is proved.

    `placed`: pods of each tier or above, the highest first. `note` says what a user should know; "" is the rule.
    """

    plan: Plan
    stages: tuple[StageReport, ...]
    outcome: Outcome
    placed: tuple[int, ...]
    build_s: float
    solve_s: float
    note: str = ""
    parts: int = 1
    """Groups of nodes that were solved one by one, because one model would have been too large."""


def solve(
    packing: Packing,
    limits: Limits | None = None,
    disruption: Disruption = "paper",
    never_fewer: bool = True,
) -> Solution:
    """Re-plan everything that runs or waits.

    `never_fewer`: no tier, counted with those above it, may end with fewer pods than now. Outcome: the placed vector is
    better (or pods that had to be apart were not), with every stage proved (`improved-optimal`) or not (`improved`);
    the present placement is proved to be best (`certified`); or neither (`failed`), and then nothing should be touched.
    """
    started_s = perf_counter()
    search = _Search(packing, limits or Limits(), disruption, never_fewer)
    plan = search.run()
    total_s = perf_counter() - started_s
    stages = tuple(search.reports)
    now, then = placed_by_tier(packing, packing.home), placed_by_tier(packing, plan.node)
    proved = all(report.status == "OPTIMAL" for report in stages)
    outcome: Outcome = "certified" if proved else "failed"
    if then > now or search.mended:
        outcome = "improved-optimal" if proved else "improved"
    return Solution(plan, stages, outcome, then, search.build_s, total_s - search.build_s, note_on(packing, stages))


class _Search:
    """The stages in their order, each from the plan that the one before has left.

    The model is built when the first stage needs it: most plans of a rolling scheduler are found without.
    """

    def __init__(self, packing: Packing, limits: Limits, disruption: Disruption, never_fewer: bool) -> None:
        self._packing = packing
        self._limits = limits
        self._form = disruption
        self._never_fewer = never_fewer
        self._model: PackingModel | None = None
        self._frozen: list[tuple[int, Stage, int]] = []
        self._budget = Budget(limits, len(packing.tiers))
        # Pods that have to be apart may be together now: then there is no plan at hand until the solver finds one.
        self._legal = self._was_legal = packing.why_illegal(stay(packing)) is None
        self._can_run = _can_run(packing)
        variables = int(variables_per_node(packing).sum())
        self._too_large = variables > VARIABLES_PER_S * limits.window_s
        self.reports: list[StageReport] = []
        self.build_s = 0.0

    @property
    def mended(self) -> bool:
        """Whether what runs now breaks a rule, and the plan does not."""
        return self._legal and not self._was_legal

    def run(self) -> Plan:
        plan = stay(self._packing)
        for tier in self._packing.tiers:
            self._budget.start_tier()
            for stage in STAGES:
                plan = self._run_stage(tier, stage, plan)
        return plan

    def _run_stage(self, tier: int, stage: Stage, plan: Plan) -> Plan:
        started_s = perf_counter()
        plan = self._start(tier, stage, plan)
        best = self._best_imaginable(tier, stage)
        status: Status = "OPTIMAL"
        bound: int | None = best
        found, build_s = best, 0.0
        at_hand = self._at_hand(tier, stage, plan)
        if self._legal and at_hand != best and self._too_large:
            status, bound, found = "UNKNOWN", None, at_hand
        elif not self._legal or at_hand != best:
            building_s = perf_counter()
            model = self._the_model()
            objective, upwards = _objective(model, tier, stage), stage == "place"
            values = model.values_of(plan)
            model.aim(objective, upwards, values)
            build_s = perf_counter() - building_s
            status, bound, values = self._ask(model, stage, objective, values, started_s)
            plan = model.plan_of(values)
            # Pods that the solver sent from a node to itself have stayed after all.
            found = objective.value(model.values_of(plan))
            model.freeze(objective, upwards, found, proved=status == "OPTIMAL")
        elif self._model is not None:
            self._model.freeze(_objective(self._model, tier, stage), stage == "place", found, proved=True)
        else:
            self._frozen.append((tier, stage, found))
        self.build_s += build_s
        solve_s = perf_counter() - started_s - build_s
        self.reports.append(StageReport(tier, stage, status, found, bound, build_s, solve_s))
        return plan

    def _best_imaginable(self, tier: int, stage: Stage) -> int:
        """What a stage cannot exceed: all pods that fit on an empty node run, or nothing is disturbed."""
        return int(self._can_run[self._packing.priority >= tier].sum()) if stage == "place" else 0

    def _at_hand(self, tier: int, stage: Stage, plan: Plan) -> int:
        above = self._packing.priority >= tier
        if stage == "place":
            return int((plan.node[above] != NOWHERE).sum())
        per_move, per_eviction = COST[self._form]
        moves, evictions = moved(self._packing, plan)[above].sum(), evicted(self._packing, plan)[above].sum()
        return int(per_move * moves + per_eviction * evictions)

    def _the_model(self) -> PackingModel:
        if self._model is None:
            self._model = PackingModel(self._packing, self._form, self._never_fewer)
            for tier, stage, value in self._frozen:
                self._model.freeze(_objective(self._model, tier, stage), stage == "place", value, proved=True)
        return self._model

    def _start(self, tier: int, stage: Stage, plan: Plan) -> Plan:
        if not self._legal:
            return plan
        proposals = int(PROPOSALS_PER_S * self._limits.window_s / len(self._packing.tiers))
        if stage == "disrupt":
            return disturb_less(self._packing, plan, tier, proposals, self._limits.seed)
        plan = fill(self._packing, plan, tier)
        return place_more(self._packing, plan, tier, proposals, self._limits.seed)

    def _ask(
        self, model: PackingModel, stage: Stage, objective: Objective, values: Values, started_s: float
    ) -> tuple[Status, int | None, Values]:
        """Status, bound, and the better of the values found and those at hand."""
        limits, solver = self._limits, cp_model.CpSolver()
        solver.parameters.num_workers = limits.workers
        solver.parameters.random_seed = limits.seed
        if limits.clock == "deterministic":
            solver.parameters.max_deterministic_time = self._budget.of_stage(stage) * DETERMINISTIC_UNITS_PER_S
        else:
            so_far_s = perf_counter() - started_s
            solver.parameters.max_time_in_seconds = max(0.001, self._budget.of_stage(stage) - so_far_s)
        status = solver.status_name(solver.solve(model.model))
        deterministic_s = solver.response_proto.deterministic_time / DETERMINISTIC_UNITS_PER_S
        self._budget.spend(deterministic_s if limits.clock == "deterministic" else perf_counter() - started_s)
        if status == "UNKNOWN":
            return "UNKNOWN", None, values
        if status == "INFEASIBLE":
            raise ConfigError(
                "the constraints contradict each other: no plan keeps protected pods in place, pods apart and as many "
                "pods as now; lift one of them (never_fewer=False drops the last)"
            )
        assert status in ("OPTIMAL", "FEASIBLE"), status
        found = [solver.value(variable) for variable in model.variables]
        sign = 1 if stage == "place" else -1
        if self._legal and sign * objective.value(found) < sign * objective.value(values):
            found = values
        self._legal = True
        if status == "OPTIMAL":
            return "OPTIMAL", objective.value(found), found
        bound = solver.best_objective_bound
        # What rounds to an integer from within rounding errors of it is that integer.
        return "FEASIBLE", floor(bound + 1e-6) if stage == "place" else ceil(bound - 1e-6), found


def _objective(model: PackingModel, tier: int, stage: Stage) -> Objective:
    return model.placed(tier) if stage == "place" else model.disruption(tier)


def _can_run(packing: Packing) -> NDArray[np.bool_]:
    """(P,) which pods fit on some node if all were empty; equal requests are looked at once."""
    if not len(packing.pod_names):
        return np.zeros(0, dtype=np.bool_)
    _, first, kind = np.unique(packing.request, axis=0, return_index=True, return_inverse=True)
    fits = np.array([packing.accepts(pod).any() for pod in first.tolist()], dtype=np.bool_)
    return fits[kind.ravel()]


def note_on(packing: Packing, reports: Sequence[StageReport]) -> str:
    """What a user should know about the search and about pods that can never run; "" where there is nothing."""
    notes = []
    unknown = dict.fromkeys(f"tier {report.tier} {report.stage}" for report in reports if report.status == "UNKNOWN")
    if unknown:
        notes.append(f"the solver returned UNKNOWN for {', '.join(unknown)}; the plan at hand stayed as it was there")
    hopeless = np.flatnonzero(~_can_run(packing))
    if len(hopeless):
        first = packing.why_hopeless(int(hopeless[0]))
        notes.append(f"{len(hopeless)} pods fit on no node even if all were empty; the first: {first}")
    return "; ".join(notes)
