"""The best counts of a rescheduling when order does not matter: build the model, solve it, add what was left out.

The optimum of the MIP of "VMR2L" (EuroSys'25, arXiv 2505.17359). Nearly always it is found among the machines that the
linear relaxation touches, a third of them or fewer, in a fraction of the time (the core of a problem: Balas, Zemel, "An
algorithm for large zero-one knapsack problems", doi 10.1287/opre.28.5.1130); all others serve the proof.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from clustersim.baselines.vm_classes import Classes, classes
from clustersim.baselines.vm_count_model import CountModel, Solution, count_model
from clustersim.baselines.vm_exact_highs import relaxed
from clustersim.baselines.vm_order import Place
from clustersim.vm_fleet import Bools, Ints
from clustersim.vm_plan import Task

Solve = Callable[[CountModel, float], Solution]
"""Solves a model within seconds."""

TOUCHED = 1e-6
"""A fraction of a VM that the relaxation moves, above its tolerance."""


@dataclass(frozen=True, slots=True, eq=False)
class Optimum:
    """How many VMs leave and come, for `gain` blocks, None where nothing was found; no counts have more than `most`."""

    classes: Classes
    counts: tuple[Ints, Ints] | None
    gain: int
    most: int
    build_s: float


def optimum(
    task: Task,
    split: Collection[int],
    solve: Solve,
    seconds: float,
    at_least: int,
    core: bool,
    banned: Collection[Place] = (),
) -> Optimum:
    """Counts of at least a gain. Anti-affinity holds for the sets in `split` alone; nothing comes to `banned` places.

    `core`: look only at the machines that the relaxation touches. `most` holds for all machines in any case.
    """
    until_s = perf_counter() + seconds
    kinds = classes(task.snapshot, split, task.mnl)
    nowhere = _at(kinds, banned)
    homebound: list[int] = []
    most = int(task.snapshot.free_cores.sum()) // task.flavour_cores
    build_s = 0.0
    while True:
        began_s = perf_counter()
        model = count_model(task, kinds, homebound).without(np.zeros(len(kinds.outs), dtype=np.bool_), nowhere)
        build_s += perf_counter() - began_s
        if core:
            model, possible = _core(task, model, until_s - perf_counter())
            most = min(most, possible)
            if most < at_least:
                return Optimum(kinds, None, 0, most, build_s)
        solution = solve(model, until_s - perf_counter())
        if not core:
            most = min(most, solution.most)
        gain = 0 if solution.values is None else int(model.gain @ solution.values)
        if solution.values is None or gain < at_least:
            return Optimum(kinds, None, 0, most, build_s)
        outs, ins = model.counts(solution.values)
        wrong = _homebound(task, kinds, outs, ins)
        if not wrong:
            return Optimum(kinds, (outs, ins), gain, most, build_s)
        homebound = sorted({*homebound, *wrong})


def _core(task: Task, model: CountModel, seconds: float) -> tuple[CountModel, int]:
    relaxation = relaxed(model, seconds)
    if relaxation is None:
        return model, model.most_gain
    values, possible = relaxation
    outs, ins = model.classes.outs, model.classes.ins
    leaving, coming = model.counts(values)
    touched = np.zeros(len(task.snapshot.machines), dtype=np.bool_)
    touched[outs.pm[leaving > TOUCHED]] = True
    touched[ins.pm[coming > TOUCHED]] = True
    return model.without(~touched[outs.pm], ~touched[ins.pm]), possible


def _at(kinds: Classes, places: Collection[Place]) -> Bools:
    """Which rows of `ins` are at these places."""
    ins = kinds.ins
    found = np.zeros(len(ins), dtype=np.bool_)
    for kind, pm, numa in places:
        found |= (ins.kind == kind) & (ins.pm == pm) & (ins.numa == numa)
    return found


def _homebound(task: Task, kinds: Classes, outs: Ints, ins: Ints) -> list[int]:
    """The classes of which more migrations are needed than VMs leave, if the limit is exceeded by that."""
    leaving = np.bincount(kinds.outs.kind, outs, minlength=len(kinds))
    at = np.zeros((len(kinds), len(task.snapshot.machines)))
    np.add.at(at, (kinds.outs.kind, kinds.outs.pm), outs)
    np.add.at(at, (kinds.ins.kind, kinds.ins.pm), ins)
    needed = np.maximum(leaving, at.max(axis=1))
    return [] if needed.sum() <= task.mnl else np.flatnonzero(needed > leaving).tolist()
