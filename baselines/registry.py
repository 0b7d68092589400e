"""The built-in policies by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import Any

from clustersim.baselines.batch_mode import max_min, min_min
from clustersim.baselines.cpop import plan_cpop
from clustersim.baselines.critical_path import critical_path
from clustersim.baselines.dot_product import dot_product
from clustersim.baselines.eft import EftAssign
from clustersim.baselines.etf import Etf
from clustersim.baselines.fair_share import FairShare
from clustersim.baselines.fgd import Fgd
from clustersim.baselines.fifo import Fifo
from clustersim.baselines.fits import FirstFit, best_fit, worst_fit
from clustersim.baselines.fixed_replicas import MANY, FixedReplicas
from clustersim.baselines.gpu_clustering import gpu_clustering
from clustersim.baselines.gpu_packing import gpu_packing
from clustersim.baselines.greedy_repair import GreedyRepair
from clustersim.baselines.heft import plan_heft
from clustersim.baselines.heft_rt import heft_rt
from clustersim.baselines.histogram import Histogram
from clustersim.baselines.hpa import Hpa
from clustersim.baselines.immediate_mode import MetAssign, OlbAssign
from clustersim.baselines.kpa import Kpa
from clustersim.baselines.kube import kube_default, kube_most_allocated
from clustersim.baselines.kube_preemption import KubePreemption
from clustersim.baselines.lookahead_heft import plan_lookahead_heft
from clustersim.baselines.migrate_consolidate import MigrateConsolidate
from clustersim.baselines.migrate_ha import MigrateHa
from clustersim.baselines.migrate_none import MigrateNone
from clustersim.baselines.peft import plan_peft
from clustersim.baselines.plan_policy import PlanPolicy
from clustersim.baselines.polca import Polca
from clustersim.baselines.random_fit import RandomFit
from clustersim.baselines.random_order import RandomOrder
from clustersim.baselines.sjf import ShortestJobFirst
from clustersim.baselines.stf import stf
from clustersim.baselines.threshold_caps import NoCap, OneThreshold
from clustersim.baselines.vm_planned import PlannedMoves
from clustersim.baselines.vm_planners import VM_PLACERS, VM_PLANNERS
from clustersim.dag_schedule import Planner
from clustersim.errors import ConfigError
from clustersim.policy import Policy, RandomPolicy, ScorePolicy
from clustersim.scenarios.control_roles import CAPPER, MIGRATOR, PLACER, SCALER
from clustersim.scenarios.dag_scheduling import ASSIGN, DISPATCH, ORDER
from clustersim.scenarios.pod_packing import REPAIR
from clustersim.scenarios.pod_world import PLACE, PREEMPT, REPLAN
from clustersim.scenarios.vm_rescheduling import PICK_PM, PICK_VM, PLACE_VM
from clustersim.vm_plan import Planner as MovePlanner

POLICIES: dict[str, dict[str, Callable[[], Policy]]] = {
    "pod-placement": {
        "random": RandomFit,
        "first-fit": FirstFit,
        "best-fit": lambda: ScorePolicy(best_fit),
        "worst-fit": lambda: ScorePolicy(worst_fit),
        "dot-product": lambda: ScorePolicy(dot_product),
        "gpu-packing": lambda: ScorePolicy(gpu_packing),
        "gpu-clustering": lambda: ScorePolicy(gpu_clustering),
        "fgd": Fgd,
        "kube-default": lambda: ScorePolicy(kube_default, ties="random"),
        "kube-most-allocated": lambda: ScorePolicy(kube_most_allocated, ties="random"),
    },
    "pod-packing": {
        "random": RandomPolicy,
        "greedy": GreedyRepair,
    },
}
"""Scenario -> name -> a fresh policy of its main role (`place` or `repair`), where it has one."""

CONTROL_POLICIES: dict[str, dict[str, Callable[[], Policy]]] = {
    PLACER: POLICIES["pod-placement"],
    SCALER: {
        "fixed": FixedReplicas,
        "fixed-peak": lambda: FixedReplicas(MANY),
        "hpa": Hpa,
        "kpa": Kpa,
        "histogram": Histogram,
        "random": RandomPolicy,
    },
    CAPPER: {
        "no-cap": NoCap,
        "1-threshold-low-priority": OneThreshold,
        "1-threshold-all": lambda: OneThreshold(everything=True),
        "polca": Polca,
        "random": RandomPolicy,
    },
    MIGRATOR: {"none": MigrateNone, "consolidate": MigrateConsolidate, "ha": MigrateHa, "random": RandomPolicy},
}
"""Role of a shared cluster -> name -> a fresh policy. `clustersim.baselines.joint` makes teams of them."""


@dataclass(frozen=True)
class Team:
    """Policies that play together, one per role, and the fields of the scenario without which some are never asked."""

    players: Callable[[], dict[str, Policy]]
    world: Mapping[str, Any] = field(default_factory=dict)


def _with_kube(role: str, player: Callable[[], Policy]) -> Callable[[], dict[str, Policy]]:
    """The default scheduler places pod by pod, ties to the first node; another policy plays one more role."""
    return lambda: {PLACE: ScorePolicy(kube_default), role: player()}


# Imported when wanted: OR-Tools brings pandas along, and no heuristic should take the half second that they need.


def _cp_sat_fallback(window_s: float) -> Policy:
    from clustersim.baselines.constraint_budget import Limits
    from clustersim.baselines.cp_sat import CpSatFallback

    return CpSatFallback(Limits(window_s), every_s=3600.0)


def _cp_sat_rolling() -> Policy:
    from clustersim.baselines.cp_sat import CpSatRolling

    return CpSatRolling()


def _ordered(order: Callable[[], Policy], assign: Callable[[], Policy] = EftAssign, binding: str = "late") -> Team:
    """One policy chooses the task, another its machine."""
    return Team(lambda: {ORDER: order(), ASSIGN: assign()}, {"decide": "order", "binding": binding})


def _open_first() -> EftAssign:
    """A share is of machines that are free now: to queue behind a busy one would count as holding it."""
    return EftAssign(open_only=True)


def _dispatched(player: Callable[[], Policy]) -> Team:
    """One policy chooses both, and again whenever something happens."""
    return Team(lambda: {DISPATCH: player()}, {"decide": "dispatch", "binding": "late"})


def _listed(player: Callable[[], Policy]) -> Team:
    """Every machine runs what a plan says, and waits for it."""
    return Team(lambda: {DISPATCH: player()}, {"decide": "dispatch", "binding": "firm", "linger": False})


def _planned(planner: Planner) -> Team:
    return _listed(lambda: PlanPolicy(planner))


def _dag_cp_sat() -> Policy:
    from clustersim.baselines.dag_cp_sat import CpSatPlan

    return CpSatPlan()


def _dag_cp_sat_rolling() -> Policy:
    from clustersim.baselines.dag_cp_sat import CpSatRolling

    return CpSatRolling()


def _rescheduled(planner: Callable[[], MovePlanner]) -> Team:
    """One planner picks VMs and machines; what arrives is placed at random."""

    def players() -> dict[str, Policy]:
        player = PlannedMoves(planner())
        return {PICK_VM: player, PICK_PM: player, PLACE_VM: VM_PLACERS["random"]()}

    return Team(players)


TEAMS: dict[str, dict[str, Team]] = {
    "pod-placement": {
        "kube-lexicographic": Team(lambda: {PLACE: ScorePolicy(kube_default)}),
        "kube-preemption": Team(_with_kube(PREEMPT, KubePreemption), {"preemption": True}),
        "cp-sat-fallback": Team(_with_kube(REPLAN, lambda: _cp_sat_fallback(1.0)), {"replan": "pending"}),
        "cp-sat-fallback-10s": Team(_with_kube(REPLAN, lambda: _cp_sat_fallback(10.0)), {"replan": "pending"}),
        "cp-sat-rolling": Team(_with_kube(REPLAN, _cp_sat_rolling), {"replan": "periodic", "replan_every_s": 60.0}),
    },
    "dag-scheduling": {
        "random": _ordered(RandomOrder, RandomPolicy),
        "random-order": _ordered(RandomOrder),
        "fifo": _ordered(Fifo),
        "stf": _ordered(stf),
        "sjf": _ordered(ShortestJobFirst),
        "critical-path": _ordered(critical_path),
        "fair": _ordered(FairShare, _open_first),
        "weighted-fair": _ordered(lambda: FairShare(alpha=-1.0), _open_first),
        "olb": _ordered(Fifo, OlbAssign, binding="firm"),
        "met": _ordered(Fifo, MetAssign, binding="firm"),
        "mct": _ordered(Fifo, binding="firm"),
        "min-min": _dispatched(min_min),
        "max-min": _dispatched(max_min),
        "etf": _dispatched(Etf),
        "heft-rt": _ordered(heft_rt),
        "heft-rt-firm": _ordered(heft_rt, binding="firm"),
        "heft": _planned(plan_heft),
        "lookahead-heft": _planned(plan_lookahead_heft),
        "cpop": _planned(plan_cpop),
        "peft": _planned(plan_peft),
        "cp-sat": _listed(_dag_cp_sat),
        "cp-sat-rolling": _listed(_dag_cp_sat_rolling),
    },
    "vm-rescheduling": {name: _rescheduled(partial(planner, None)) for name, planner in VM_PLANNERS.items()},
}
"""Scenario -> name -> a team, for what takes more than the scenario's main role."""


def team(scenario: str, name: str) -> Team:
    """A team by name; a policy is a team of one."""
    if name in TEAMS.get(scenario, {}):
        return TEAMS[scenario][name]
    if name not in POLICIES.get(scenario, {}):
        raise ConfigError(unknown_policy(scenario, name))
    player = POLICIES[scenario][name]
    return Team(_with_kube(REPAIR, player) if scenario == "pod-packing" else lambda: {PLACE: player()})


def policy(scenario: str, name: str) -> Policy:
    """A fresh policy; an unknown name is answered with the nearest one."""
    if name not in POLICIES.get(scenario, {}):
        raise ConfigError(unknown_policy(scenario, name))
    return POLICIES[scenario][name]()


def names(scenario: str) -> tuple[str, ...]:
    """All policies and teams of a scenario."""
    return (*POLICIES.get(scenario, {}), *TEAMS.get(scenario, {}))


def unknown_policy(scenario: str, name: str) -> str:
    """What to say of a name that no policy has."""
    known = names(scenario)
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{scenario} has no policy {name!r}; {hint}known are {', '.join(known)}"
