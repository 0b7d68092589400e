"""The published examples: ranks, tables, places and makespans as they are printed."""

from __future__ import annotations

import numpy as np
import pytest

from clustersim.baselines.cpop import critical_path, plan_cpop
from clustersim.baselines.heft import downward_rank, plan_heft, upward_rank
from clustersim.baselines.heft_kernel import in_order
from clustersim.baselines.lookahead_heft import plan_lookahead_heft
from clustersim.baselines.peft import optimistic_cost, plan_peft
from clustersim.dag_problem import DagProblem, problem_of
from clustersim.dag_schedule import Busy, Planner, Schedule, why_invalid
from clustersim.dags import DagWorkload
from clustersim.golden_dags import arabnejad_2014, insertion_5, topcuoglu_2002

P1, P2, P3 = 0, 1, 2


def problem_in(workload: DagWorkload) -> DagProblem:
    return problem_of(workload.machines, workload.jobs)


def planned(planner: Planner, workload: DagWorkload) -> tuple[Schedule, list[tuple[int, float, float]]]:
    problem = problem_in(workload)
    release_s, busy = np.zeros(1), Busy.nothing(problem.machines)
    plan = planner(problem, release_s, busy)
    assert why_invalid(problem, plan, release_s, busy) == ""
    return plan, list(zip(plan.machine.tolist(), plan.start_s.tolist(), plan.finish_s.tolist(), strict=True))


def test_the_ranks_of_the_heft_paper() -> None:
    problem = problem_in(topcuoglu_2002())
    upward = [108.000, 77.000, 80.000, 80.000, 69.000, 63.333, 42.667, 35.667, 44.333, 14.667]
    downward = [0.000, 31.000, 25.000, 22.000, 24.000, 27.000, 62.333, 66.667, 63.667, 93.333]
    assert upward_rank(problem).round(3).tolist() == upward
    assert downward_rank(problem).round(3).tolist() == downward


def test_the_order_of_the_heft_paper_with_the_tie_to_the_lower_task() -> None:
    problem = problem_in(topcuoglu_2002())
    assert (in_order(problem, upward_rank(problem)) + 1).tolist() == [1, 3, 4, 2, 5, 6, 9, 7, 8, 10]


def test_heft_takes_80_seconds_in_its_paper() -> None:
    plan, places = planned(plan_heft, topcuoglu_2002())
    assert plan.makespan_s == 80
    assert places == [
        (P3, 0, 9),
        (P1, 27, 40),
        (P3, 9, 28),
        (P2, 18, 26),
        (P3, 28, 38),
        (P2, 26, 42),
        (P3, 38, 49),
        (P1, 57, 62),
        (P2, 56, 68),
        (P2, 73, 80),
    ]


def test_cpop_takes_86_seconds_in_its_paper() -> None:
    problem = problem_in(topcuoglu_2002())
    assert (np.flatnonzero(critical_path(problem, upward_rank(problem))) + 1).tolist() == [1, 2, 9, 10]
    plan, places = planned(plan_cpop, topcuoglu_2002())
    assert plan.makespan_s == 86
    assert places == [
        (P2, 0, 16),
        (P2, 16, 35),
        (P1, 28, 39),
        (P3, 25, 42),
        (P2, 35, 48),
        (P3, 42, 51),
        (P1, 39, 46),
        (P3, 54, 68),
        (P2, 65, 77),
        (P2, 79, 86),
    ]


def test_heft_takes_6_seconds_with_insertion_and_10_without() -> None:
    problem = problem_in(insertion_5())
    assert upward_rank(problem).tolist() == [17, 12, 4, 8, 2.5]
    assert in_order(problem, upward_rank(problem)).tolist() == [0, 1, 3, 2, 4]
    plan, places = planned(plan_heft, insertion_5())
    assert plan.makespan_s == 6
    assert places == [(P2, 0, 1), (P1, 4, 5), (P2, 1, 5), (P1, 2, 4), (P1, 5, 6)]
    plan, places = planned(lambda *case: plan_heft(*case, insertion=False), insertion_5())
    assert plan.makespan_s == 10
    assert places == [(P2, 0, 1), (P1, 4, 5), (P1, 5, 9), (P2, 1, 6), (P1, 9, 10)]


def test_the_optimistic_cost_table_of_the_peft_paper() -> None:
    assert optimistic_cost(problem_in(arabnejad_2014())).tolist() == [
        [64, 68, 86],
        [42, 39, 42],
        [27, 41, 43],
        [42, 39, 50],
        [28, 37, 28],
        [42, 39, 44],
        [13, 16, 22],
        [13, 16, 33],
        [13, 16, 20],
        [0, 0, 0],
    ]


def test_peft_takes_122_seconds_in_its_paper() -> None:
    plan, places = planned(plan_peft, arabnejad_2014())
    assert plan.makespan_s == 122
    assert places == [
        (P1, 0, 22),
        (P1, 29, 51),
        (P1, 51, 83),
        (P1, 22, 29),
        (P3, 35, 70),
        (P2, 29, 46),
        (P1, 83, 97),
        (P2, 54, 77),
        (P3, 81, 89),
        (P2, 106, 122),
    ]


@pytest.mark.parametrize(("planner", "makespan_s"), [(plan_heft, 133), (plan_lookahead_heft, 127)])
def test_heft_and_lookahead_heft_take_longer_in_the_peft_paper(planner: Planner, makespan_s: float) -> None:
    assert planned(planner, arabnejad_2014())[0].makespan_s == makespan_s


@pytest.mark.parametrize("build", [topcuoglu_2002, insertion_5, arabnejad_2014])
def test_data_take_one_second_a_byte_between_any_two_processors(build: type[DagWorkload]) -> None:
    workload = build()
    assert workload.machines.latency_s.sum() == 0
    assert (workload.machines.s_per_byte == 1 - np.eye(len(workload.machines))).all()
    assert workload.name in {"topcuoglu-2002", "insertion-5", "arabnejad-2014"}
    assert workload.arrival_s.tolist() == [0]
