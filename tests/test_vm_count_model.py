"""The count model: two solvers, its relaxation, and the order of its counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tiny_fleets import FLAVOUR, small_fleet, tiny_fleet

from clustersim.baselines.vm_classes import Flows, classes
from clustersim.baselines.vm_count_model import CountModel, Solution, count_model
from clustersim.baselines.vm_exact_cp_sat import solve_with_cp_sat
from clustersim.baselines.vm_exact_highs import relaxed, solve_with_highs
from clustersim.baselines.vm_order import Place, ordered
from clustersim.traces.vm_like import VmLike
from clustersim.vm_fleet import AntiAffinity, Ints, Snapshot
from clustersim.vm_plan import Task, carried_out


def model_of(task: Task) -> CountModel:
    """With every anti-affinity set minded, and migrations counted exactly."""
    kinds = classes(task.snapshot, range(len(task.snapshot.anti_affinity)), task.mnl)
    return count_model(task, kinds, range(len(kinds)))


def test_highs_and_cp_sat_prove_the_same_optimum_below_the_relaxation() -> None:
    tasks = [Task(tiny_fleet(seed, host_sets=2, rack_sets=1, machines=4, vms=9), 3, FLAVOUR) for seed in range(20)]
    tasks += [Task(VmLike(machines=8, host_sets=4)(seed), 4) for seed in range(3)]
    for task in tasks:
        model = model_of(task)
        highs, cp_sat = solve_with_highs(model, 60), solve_with_cp_sat(model, 60)
        relaxation = relaxed(model, 60)
        assert highs.values is not None
        assert cp_sat.values is not None
        assert relaxation is not None
        assert model.gain @ highs.values == model.gain @ cp_sat.values == highs.most == cp_sat.most <= relaxation[1]


@pytest.mark.parametrize("solve", [solve_with_highs, solve_with_cp_sat])
def test_counts_keep_every_row(solve: Callable[[CountModel, float], Solution]) -> None:
    model = model_of(Task(VmLike(machines=10, host_sets=5, immovable_share=0.1)(4), 5))
    values = solve(model, 60).values
    assert values is not None
    assert ((values >= 0) & (values <= model.most)).all()
    sums = model.matrix @ values
    assert ((sums >= model.low) & (sums <= model.high)).all()


def test_vms_in_different_sets_are_in_different_classes() -> None:
    vms = [("one", 0), ("one", 0), ("one", 1), ("two", 2)]
    fleet = small_fleet(
        [(8, 0), (8, 0), (8, 0)], vms, sets=(AntiAffinity("host", (0, 2)), AntiAffinity("rack", (2, 3)))
    )
    assert len(set(classes(fleet, (), 4).of_vm)) == 2
    assert len(set(classes(fleet, (0,), 4).of_vm)) == 3
    both = classes(fleet, (0, 1), 4)
    assert len(set(both.of_vm)) == 4
    assert both.sets[both.of_vm[2]] == (0, 1)


def counts(flows: Flows, wanted: dict[Place, int]) -> Ints:
    rows = zip(flows.kind.tolist(), flows.pm.tolist(), flows.numa.tolist(), strict=True)
    return np.array([wanted.get(Place(*row), 0) for row in rows])


ONE, THREE = 0, 2


def carry_out(fleet: Snapshot, mnl: int, outs: dict[Place, int], ins: dict[Place, int]) -> tuple[int, int, int]:
    """How many moves there are, how many of them detours, and how many places are stuck."""
    task = Task(fleet, mnl, FLAVOUR)
    kinds = classes(fleet, (), mnl)
    order = ordered(task, kinds, counts(kinds.outs, outs), counts(kinds.ins, ins))
    carried_out(task, order.moves)
    return len(order.moves), order.detours, len(order.stuck)


def test_nobody_is_left_with_only_his_own_machine_to_go_to() -> None:
    # If the first of the two went from pm-1 to pm-0, the second would be on pm-2 and wanted on pm-2.
    fleet = small_fleet([(4, 0), (3, 0), (4, 4)], [("one", 1), ("one", 2), ("three", 2)])
    outs = {Place(ONE, 1, 0): 1, Place(ONE, 2, 0): 1, Place(THREE, 2, 0): 1}
    ins = {Place(ONE, 0, 0): 1, Place(ONE, 2, 1): 1, Place(THREE, 1, 0): 1}
    assert carry_out(fleet, 3, outs, ins) == (3, 0, 0)


def test_what_cannot_be_ordered_is_said_to_be_stuck() -> None:
    fleet = small_fleet([(3, 0), (3, 0)], [("three", 0), ("one", 1), ("one", 1)])
    outs = {Place(THREE, 0, 0): 1, Place(ONE, 1, 0): 2}
    ins = {Place(THREE, 1, 0): 1, Place(ONE, 0, 0): 2}
    assert carry_out(fleet, 3, outs, ins) == (0, 0, 2)
