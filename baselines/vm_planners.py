"""The built-in policies of VM rescheduling by name: who plans the migrations, and who places what arrives.

The problem and most of the names are those of "VMR2L" (EuroSys'25, arXiv 2505.17359).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clustersim.baselines.fits import FirstFit
from clustersim.baselines.vm_alpha_vbpp import AlphaVbpp
from clustersim.baselines.vm_ha import Ha
from clustersim.baselines.vm_lns import Lns
from clustersim.baselines.vm_mcts import Mcts
from clustersim.baselines.vm_no_op import no_op
from clustersim.baselines.vm_place import RandomPlace, best_fit_place, fragment_place
from clustersim.baselines.vm_place_mixed import MixedPlace
from clustersim.baselines.vm_random import RandomMoves
from clustersim.policy import Policy, ScorePolicy
from clustersim.vm_plan import Planner

NO_OP = "no-op"

REPEATABLE_ITERATIONS = 400_000
"""What `lns` does where the same seed has to give the same plan: about 40 ms."""


# Imported when wanted: SciPy and OR-Tools take longer to import than a heuristic takes to plan.


def _exact(budget_s: float | None) -> Planner:
    from clustersim.baselines.vm_exact import Exact

    return Exact(clock="deterministic") if budget_s is None else Exact(budget_s)


def _cp_sat(budget_s: float | None) -> Planner:
    from clustersim.baselines.vm_exact import Exact

    if budget_s is None:
        return Exact(solver="cp-sat", clock="deterministic")
    return Exact(budget_s, solver="cp-sat")


def _pop(budget_s: float | None) -> Planner:
    from clustersim.baselines.vm_pop import Pop

    return Pop() if budget_s is None else Pop(budget_s=budget_s)


VM_PLANNERS: Mapping[str, Callable[[float | None], Planner]] = {
    NO_OP: lambda _budget_s: no_op,
    "random": lambda _budget_s: RandomMoves(),
    "ha": lambda _budget_s: Ha(),
    "alpha-vbpp": lambda _budget_s: AlphaVbpp(),
    "mcts": lambda budget_s: Mcts(budget_s=budget_s),
    "pop": _pop,
    "exact": _exact,
    "cp-sat": _cp_sat,
    "lns": lambda budget_s: Lns(iterations=REPEATABLE_ITERATIONS) if budget_s is None else Lns(budget_s),
}
"""Name -> a planner that may think for so many seconds of wall clock per call; None where its plans have to repeat."""

VM_PLACERS: Mapping[str, Callable[[], Policy]] = {
    "random": RandomPlace,
    "first-fit": FirstFit,
    "best-fit": lambda: ScorePolicy(best_fit_place),
    "fragment": lambda: ScorePolicy(fragment_place),
    "mixed": MixedPlace,
}
"""Name -> where a VM that arrives goes."""
