"""The exact packing model against brute force, and what it promises on larger instances."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.baselines.constraint import Solution, solve
from clustersim.baselines.constraint_budget import Budget, Limits
from clustersim.baselines.constraint_model import COST, Disruption, PackingModel
from clustersim.baselines.constraint_start import place_more
from clustersim.errors import ConfigError
from clustersim.packing import NOWHERE, Packing, Plan, evicted, moved, placed_by_tier, stay
from clustersim.workload import GPU_MILLI

FORMS: tuple[Disruption, ...] = ("paper", "later-script", "earlier-script")


def snapshot(
    nodes: list[tuple[int, ...]], pods: list[dict[str, Any]], apart: tuple[tuple[int, ...], ...] = ()
) -> Packing:
    """Nodes are (CPU, memory, GPUs, model bit); pods are dictionaries of what differs from a small waiting one."""
    columns = np.array([(*node, 0, 0)[:4] for node in nodes], dtype=np.int64).T.copy()

    def column(name: str, default: int) -> np.ndarray:
        return np.array([pod.get(name, default) for pod in pods], dtype=np.int64)

    request = np.stack(
        [column("cpu", 1), column("memory", 1), column("gpus", 0), column("milli", 0), column("accepted", -1)], axis=1
    )
    return Packing(
        tuple(f"node-{n}" for n in range(len(nodes))),
        *columns,
        tuple(f"pod-{p}" for p in range(len(pods))),
        request,
        column("priority", 1),
        column("home", NOWHERE),
        column("devices", 0),
        column("protected", 0).astype(bool),
        apart,
    )


def random_snapshot(rng: np.random.Generator, gpus: bool) -> Packing:
    """Two or three nodes and up to five pods, some of them running where a random first fit has put them."""
    nodes = [
        (
            int(rng.integers(0, 9)),
            int(rng.integers(3, 9)),
            int(rng.integers(0, 3)) if gpus else 0,
            1 << int(rng.integers(2)),
        )
        for _ in range(int(rng.integers(2, 4)))
    ]
    nodes = [(*node[:3], node[3] if node[2] else 0) for node in nodes]
    if not any(node[0] for node in nodes):
        nodes[0] = (5, *nodes[0][1:])
    kinds = [
        {"cpu": int(rng.integers(0, 5)), "memory": int(rng.integers(0, 5)), "priority": int(rng.integers(1, 4))}
        for _ in range(3)
    ]
    if gpus:
        for kind in kinds:
            kind |= [
                {},
                {"gpus": 1, "milli": int(rng.choice([300, 500, 700]))},
                {"gpus": int(rng.integers(1, 3)), "milli": GPU_MILLI},
            ][int(rng.integers(3))]
            kind["accepted"] = int(rng.choice([-1, 1, 2]))
    pods: list[dict[str, Any]] = [dict(kinds[int(rng.integers(3))]) for _ in range(int(rng.integers(2, 6 - gpus)))]
    for pod in pods:
        for n in rng.permutation(len(nodes)).tolist() if rng.random() < 0.7 else ():
            for devices in _device_choices(pod, nodes[n][2]):
                trial = {**pod, "home": n, "devices": devices}
                try:
                    snapshot(nodes, [trial if other is pod else other for other in pods])
                except ConfigError:
                    continue
                pod |= trial
                break
            if "home" in pod:
                pod["protected"] = int(rng.random() < 0.2)
                break
    count = len(pods)
    apart = (tuple(sorted(rng.choice(count, 2, replace=False).tolist())),) if rng.random() < 0.3 else ()
    try:
        return snapshot(nodes, pods, apart)
    except ConfigError:
        return snapshot(nodes, pods)


def _device_choices(pod: dict[str, Any], gpus: int) -> list[int]:
    wanted = pod.get("gpus", 0)
    return [devices for devices in range(1 << gpus) if devices.bit_count() == wanted]


def every_plan(packing: Packing) -> Iterator[Plan]:
    """All that could be said; a pod with whole GPUs on its own node both stays and (-2) is restarted."""
    choices = []
    for pod in range(len(packing.pod_names)):
        options = [(NOWHERE, NOWHERE)]
        for n in np.flatnonzero(packing.accepts(pod)).tolist():
            if packing.shares[pod]:
                options += [(n, d) for d in range(int(packing.gpu_count[n]))]
            else:
                options.append((n, NOWHERE))
                if packing.request[pod, 2] and n == packing.home[pod]:
                    options.append((n, -2))
        choices.append(options)
    for choice in product(*choices):
        node, device = np.array(choice, dtype=np.int64).T
        yield Plan(node, device)


def value(packing: Packing, plan: Plan, form: Disruption) -> tuple[int, ...]:
    """Placed, minus disruption, per tier from the highest on: larger is better, lexicographically."""
    per_move, per_eviction = COST[form]
    found: list[int] = []
    for tier, placed in zip(packing.tiers, placed_by_tier(packing, plan.node), strict=True):
        above = packing.priority >= tier
        cost = per_move * (moved(packing, plan) & above).sum() + per_eviction * (evicted(packing, plan) & above).sum()
        found += [placed, -int(cost)]
    return tuple(found)


def best_by_brute_force(packing: Packing, form: Disruption, never_fewer: bool) -> tuple[int, ...]:
    now = placed_by_tier(packing, packing.home)
    return max(
        value(packing, plan, form)
        for plan in every_plan(packing)
        if packing.why_illegal(plan) is None
        and not (never_fewer and any(a < b for a, b in zip(placed_by_tier(packing, plan.node), now, strict=True)))
    )


def said(solution: Solution) -> tuple[int, ...]:
    """The objectives as reported, in the form of `value`."""
    return tuple(report.objective if report.stage == "place" else -report.objective for report in solution.stages)


@pytest.mark.parametrize("gpus", [False, True], ids=["cpu", "gpu"])
@pytest.mark.parametrize("block", range(4))
def test_every_tiny_instance_ends_at_the_optimum_that_brute_force_finds(block: int, gpus: bool) -> None:
    rng = np.random.default_rng([block, gpus])
    for number in range(60):
        packing = random_snapshot(rng, gpus)
        present_is_legal = packing.why_illegal(stay(packing)) is None
        if not present_is_legal:  # pods that have to be apart may share a node now
            continue
        form, never_fewer = FORMS[number % 3], number % 2 == 0
        solution = solve(packing, Limits(window_s=1), form, never_fewer)
        assert packing.why_illegal(solution.plan) is None
        assert {report.status for report in solution.stages} <= {"OPTIMAL"}
        best = best_by_brute_force(packing, form, never_fewer)
        assert said(solution) == best
        assert value(packing, solution.plan, form) == best


def test_a_present_placement_that_breaks_a_rule_is_mended() -> None:
    together = snapshot([(8, 8), (8, 8)], [{"home": 0}, {"home": 0}], apart=((0, 1),))
    solution = solve(together)
    assert together.why_illegal(solution.plan) is None
    assert sorted(solution.plan.node.tolist()) == [0, 1]
    assert solution.outcome == "improved-optimal"


def test_rules_that_cannot_all_be_kept_are_named() -> None:
    together = snapshot([(8, 8)], [{"home": 0}, {"home": 0}], apart=((0, 1),))
    with pytest.raises(ConfigError, match="contradict each other"):
        solve(together)
    assert solve(together, never_fewer=False).placed == (1,)


# --- larger instances


@st.composite
def packings(draw: st.DrawFn) -> Packing:
    """Four to eight equal nodes, filled by a random first fit, with priorities and protected pods."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nodes = [(1000, 1000)] * int(rng.integers(4, 9))
    free = np.array(nodes)
    pods = []
    for _ in range(int(rng.integers(10, 41))):
        cpu, memory = (int(asked) for asked in rng.integers(50, 500, 2))
        pod = {"cpu": cpu, "memory": memory, "priority": int(rng.integers(1, 4))}
        fitting = np.flatnonzero((free >= (cpu, memory)).all(axis=1))
        if len(fitting) and rng.random() < 0.9:
            pod["home"] = int(fitting[0] if rng.random() < 0.5 else rng.choice(fitting))
            pod["protected"] = int(rng.random() < 0.1)
            free[pod["home"]] -= (cpu, memory)
        pods.append(pod)
    return snapshot(nodes, pods)


SHORT = Limits(window_s=0.1)
SOME = settings(max_examples=25, deadline=None, derandomize=True)


@SOME
@given(packings())
def test_a_plan_is_legal_and_never_worse_than_what_is_there(packing: Packing) -> None:
    solution = solve(packing, SHORT)
    assert packing.why_illegal(solution.plan) is None
    assert (solution.plan.node == packing.home)[packing.protected].all()
    assert solution.placed == placed_by_tier(packing, solution.plan.node) >= placed_by_tier(packing, packing.home)


@SOME
@given(packings(), st.sampled_from(FORMS))
def test_frozen_tiers_never_degrade_and_less_disruption_never_costs_a_pod(packing: Packing, form: Disruption) -> None:
    solution = solve(packing, SHORT, form)
    final = value(packing, solution.plan, form)
    now = placed_by_tier(packing, packing.home)
    for tier, report in enumerate(solution.stages[::2]):
        assert final[2 * tier] >= report.objective >= now[tier]
    for tier, report in enumerate(solution.stages[1::2]):
        assert -final[2 * tier + 1] <= report.objective


@SOME
@given(packings())
def test_a_longer_search_keeps_what_a_shorter_one_has_proved(packing: Packing) -> None:
    short, long = solve(packing, SHORT), solve(packing, Limits(window_s=0.4))
    for a, b in zip(short.stages, long.stages, strict=True):
        if a.status != "OPTIMAL" or b.status != "OPTIMAL":
            break
        assert a.objective == b.objective == a.bound
    for report in (*short.stages, *long.stages):
        if report.bound is not None:
            better = report.bound - report.objective
            assert better >= 0 if report.stage == "place" else better <= 0
            assert (report.gap == 0) == (report.status == "OPTIMAL") or report.bound == report.objective


@SOME
@given(packings())
def test_the_local_search_keeps_every_rule(packing: Packing) -> None:
    for tier in packing.tiers:
        plan = place_more(packing, stay(packing), tier, 20_000, seed=3)
        assert packing.why_illegal(plan) is None
        above = packing.priority > tier
        assert (plan.node == packing.home)[above | packing.protected].all()
        now, then = placed_by_tier(packing, packing.home), placed_by_tier(packing, plan.node)
        assert all(a <= b for a, b in zip(now, then, strict=True))


@SOME
@given(packings())
def test_the_same_snapshot_gives_the_same_plan(packing: Packing) -> None:
    plans = [solve(packing, SHORT).plan.node.tolist() for _ in range(2)]
    assert plans[0] == plans[1]


def test_the_wall_clock_ends_a_search_in_time() -> None:
    rng = np.random.default_rng(5)
    pods = [{"cpu": int(c), "memory": int(m)} for c, m in rng.integers(100, 1000, (120, 2))]
    started = [{**pod, "home": p % 16} for p, pod in enumerate(pods[:16])]
    packing = snapshot([(2900, 2900)] * 16, started + pods[16:])
    solution = solve(packing, Limits(window_s=0.5, clock="wall", workers=2))
    assert packing.why_illegal(solution.plan) is None
    assert solution.build_s + solution.solve_s < 1.5
    assert solution.outcome in ("improved", "improved-optimal")


# --- golden: outcome classes of fixed instances


def test_two_halves_of_a_node_are_joined_for_a_pod_that_needs_a_whole_one() -> None:
    packing = snapshot([(10, 10), (10, 10)], [{"cpu": 5, "home": 0}, {"cpu": 5, "home": 1}, {"cpu": 10}])
    solution = solve(packing)
    assert solution.outcome == "improved-optimal"
    assert [(r.tier, r.stage, r.status, r.objective) for r in solution.stages] == [
        (1, "place", "OPTIMAL", 3),
        (1, "disrupt", "OPTIMAL", 1),
    ]


def test_a_running_pod_that_changes_its_device_is_not_evicted_for_an_equal_one_that_waits() -> None:
    share = {"gpus": 1, "milli": 700}
    packing = snapshot([(8, 8, 2, 1)], [{**share, "home": 0, "devices": 0b10}, share])
    model = PackingModel(packing, "paper", never_fewer=True)
    changed = Plan(np.array([0, NOWHERE]), np.array([0, NOWHERE]))
    plan = model.plan_of(model.values_of(changed))
    assert (plan.node.tolist(), plan.device.tolist()) == ([0, NOWHERE], [0, NOWHERE])


def test_where_there_is_nothing_to_place_nothing_is_to_be_improved() -> None:
    empty = snapshot([(8, 8)], [{}]).part(np.zeros(0, dtype=np.int64))
    assert (solve(empty).outcome, solve(empty).stages, solve(empty).placed) == ("certified", (), ())


def test_what_cannot_be_improved_is_certified() -> None:
    packing = snapshot([(10, 10)], [{"cpu": 6, "home": 0}, {"cpu": 6}])
    solution = solve(packing)
    assert (solution.outcome, solution.plan.node.tolist()) == ("certified", [0, NOWHERE])


def test_an_important_pod_takes_the_place_of_a_less_important_one_but_not_of_two() -> None:
    one = snapshot([(10, 10)], [{"cpu": 6, "home": 0}, {"cpu": 6, "priority": 2}])
    assert solve(one).plan.node.tolist() == [NOWHERE, 0]
    two = snapshot([(10, 10)], [{"cpu": 5, "home": 0}, {"cpu": 5, "home": 0}, {"cpu": 6, "priority": 2}])
    assert solve(two).outcome == "certified"
    assert solve(two, never_fewer=False).placed == (1, 1)


def test_only_the_form_of_the_paper_prefers_a_move_to_an_eviction() -> None:
    # A pod of 8 waits; on either node a running pod of 5 is in its way, and only one of the two has another place.
    packing = snapshot(
        [(10, 10), (9, 10), (5, 10)], [{"cpu": 5, "home": 0}, {"cpu": 4, "memory": 10, "home": 1}, {"cpu": 8}]
    )
    plan = solve(packing, disruption="paper").plan
    assert (int(moved(packing, plan).sum()), int(evicted(packing, plan).sum())) == (1, 0)


def test_a_pod_that_fits_on_no_empty_node_is_named_and_the_rest_is_planned() -> None:
    packing = snapshot([(10, 10), (8, 10)], [{"cpu": 11}, {"cpu": 2}])
    solution = solve(packing)
    assert solution.placed == (1,)
    assert "'pod-0' can never run: it asks for 11 CPU milli" in solution.note
    assert "'node-0' has 10 CPU milli" in solution.note


def test_a_search_that_found_nothing_keeps_the_plan_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from ortools.sat.python import cp_model

    monkeypatch.setattr(cp_model.CpSolver, "solve", lambda solver, model: _no_time(solver, model))
    packing = snapshot([(10, 10)], [{"cpu": 6, "home": 0}, {"cpu": 6}])
    solution = solve(packing)
    assert (solution.outcome, solution.plan.node.tolist()) == ("failed", [0, NOWHERE])
    assert "UNKNOWN for tier 1 place" in solution.note
    assert solution.stages[0].bound is None
    assert solution.stages[0].gap is None


_solve = __import__("ortools.sat.python.cp_model", fromlist=["CpSolver"]).CpSolver.solve


def _no_time(solver: Any, model: Any) -> Any:
    model.clear_hints()
    solver.parameters.max_deterministic_time = 0.0
    solver.parameters.cp_model_presolve = False
    solver.parameters.max_time_in_seconds = 0.0
    return _solve(solver, model)


def test_a_model_too_large_for_the_window_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    packing = snapshot([(10, 10), (10, 10)], [{"cpu": 5, "home": 0}, {"cpu": 5, "home": 1}, {"cpu": 10}, {"cpu": 9}])
    monkeypatch.setattr("clustersim.baselines.constraint.VARIABLES_PER_S", 1)
    monkeypatch.setattr("clustersim.baselines.constraint.PackingModel", None)
    solution = solve(packing)
    assert solution.outcome == "improved"  # by the local search alone
    assert [(r.status, r.objective, r.bound) for r in solution.stages] == [("UNKNOWN", 3, None), ("UNKNOWN", 1, None)]
    assert "UNKNOWN for tier 1 place, tier 1 disrupt" in solution.note


# --- limits


@pytest.mark.parametrize("window_s", [0, -1, float("inf"), float("nan")])
def test_a_time_limit_has_to_be_positive_and_finite(window_s: float) -> None:
    with pytest.raises(ConfigError, match="window_s is"):
        Limits(window_s=window_s)


def test_a_seed_that_the_solver_cannot_take_is_refused() -> None:
    with pytest.raises(ConfigError, match="the solver takes 0 to 2147483647"):
        Limits(seed=1 << 40)


def test_workers_that_race_need_the_wall_clock() -> None:
    with pytest.raises(ConfigError, match="several workers race"):
        Limits(workers=2)
    assert Limits(workers=2, clock="wall").workers == 2


def test_time_that_a_tier_leaves_over_flows_on() -> None:
    budget = Budget(Limits(window_s=10, guaranteed_share=0.6, disruption_share=0.5), tiers=3)
    budget.start_tier()
    assert budget.of_stage("place") == pytest.approx((2 + 4) / 2)
    budget.spend(1)
    assert budget.of_stage("disrupt") == pytest.approx(5)
    budget.start_tier()
    assert budget.of_stage("disrupt") == pytest.approx(2 + 5)
    budget.spend(7)
    budget.start_tier()
    assert budget.of_stage("disrupt") == pytest.approx(2)


def test_the_wall_clock_keeps_something_back_for_reading_the_plan_off() -> None:
    for window_s, left_s in ((1.0, 0.9), (0.1, 0.05)):
        budget = Budget(Limits(window_s, clock="wall"), tiers=1)
        budget.start_tier()
        assert budget.of_stage("disrupt") == pytest.approx(left_s)
