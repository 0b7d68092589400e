"""The world of dependent tasks: its rules, rounds of questions, costs and figures, chance, determinism."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields
from math import inf, isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dag_account import Account, figures
from dag_episodes import (
    Eft,
    Episode,
    answers,
    choosing,
    earliest_finishes_s,
    job,
    luck,
    play,
    players,
    rules,
    scenario,
    seeds,
    workloads,
    world,
)
from hypothesis import given
from hypothesis import strategies as st
from worlds import FEW, MANY, Calling, Scripted, Waiting

from clustersim.dags import DagWorkload, Machines, uniform_machines
from clustersim.errors import ConfigError
from clustersim.policy import RandomPolicy, run
from clustersim.scenarios import dag_scheduling
from clustersim.scenarios.dag_scheduling import COSTS, DagScheduling

GOLDEN = Path(__file__).parent / "golden"
NEVER_S = 1e300
"""Mean time to a slow-down that never comes: every end is an event of its own then."""


def starts(episode: Episode) -> list[tuple[float, int, int]]:
    return [(t, node, machine) for t, _, node, machine in episode.of_kind("start")]


def ends(episode: Episode) -> list[tuple[float, int, int]]:
    return [(t, node, machine) for t, _, node, machine in episode.of_kind("end")]


def times_s(episode: Episode) -> dict[tuple[str, int, int], list[float]]:
    """When each thing happened, again and again."""
    times: dict[tuple[str, int, int], list[float]] = defaultdict(list)
    for at_s, *event in episode.events:
        times[tuple(event)].append(at_s)  # type: ignore[index]
    return times


def linked(count: int, latency_s: float = 0.0, s_per_byte: float = 0.0) -> Machines:
    return uniform_machines(count, latency_s=latency_s, bytes_per_s=1 / s_per_byte if s_per_byte else inf)


# --- the rules, by playing every episode again in plain Python


@given(workloads(), rules, answers, st.booleans())
@MANY
def test_every_event_and_question_follows_the_rules_whatever_is_answered(
    workload: DagWorkload, rule: dict[str, Any], numbers: list[int], eft: bool
) -> None:
    Account(play(scenario(workload, **rule), choosing(numbers, eft)))


@given(workloads(), rules, luck, answers, st.booleans(), seeds)
@MANY
def test_with_noise_slow_downs_and_failures_too_and_the_figures_are_those_of_the_log(
    workload: DagWorkload, rule: dict[str, Any], chance: dict[str, Any], numbers: list[int], eft: bool, seed: int
) -> None:
    episode = play(scenario(workload, **rule, **chance), choosing(numbers, eft), seed)
    expected = figures(Account(episode))
    simulation = episode.simulation
    assert simulation.metrics() == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)
    jct_s = simulation.done_s - workload.arrival_s
    assert simulation.cost("job_time") == pytest.approx(jct_s.sum(), abs=1e-9)
    assert simulation.cost("makespan") == simulation.metrics()["makespan"]
    assert simulation.cost("energy") == simulation.metrics()["energy_j"]


@given(workloads(), rules, luck, answers, seeds)
@MANY
def test_costs_never_fall_between_questions(
    workload: DagWorkload, rule: dict[str, Any], chance: dict[str, Any], numbers: list[int], seed: int
) -> None:
    episode = play(scenario(workload, **rule, **chance), choosing(numbers), seed)
    for name in COSTS:
        costs = [question.costs[name] for question in episode.asked] + [episode.simulation.cost(name)]
        assert costs[0] >= 0
        assert (np.diff(costs) >= -1e-9).all(), name


@given(workloads(may_take_no_time=False), rules, st.sampled_from([0.0, 0.3]), answers, st.booleans(), seeds)
@MANY
def test_passing_over_instances_many_at_a_time_changes_nothing(
    workload: DagWorkload, rule: dict[str, Any], noise: float, numbers: list[int], eft: bool, seed: int
) -> None:
    at_a_time, one_by_one = (
        play(scenario(workload, **rule, noise=noise, slowdown_every_s=every_s), choosing(numbers, eft), seed)
        for every_s in (inf, NEVER_S)
    )

    # Within one instant an arrival may come before or after an end, and an instant may be off by a rounding.
    assert times_s(at_a_time) == {event: pytest.approx(at_s) for event, at_s in times_s(one_by_one).items()}
    assert [(q.role, q.subject, q.mask, q.answer) for q in at_a_time.asked] == [
        (q.role, q.subject, q.mask, q.answer) for q in one_by_one.asked
    ]
    for q, p in zip(at_a_time.asked, one_by_one.asked, strict=True):
        assert q.costs == pytest.approx(p.costs)
    assert at_a_time.simulation.metrics() == pytest.approx(one_by_one.simulation.metrics())


def test_time_does_not_go_back_where_adding_a_delay_to_now_rounds_down() -> None:
    # Machine 2 is free at 2.81... s + 2 * 2.51... s, and what is left at 2.81... s until then, rounded, is too little.
    run_time_s = [2.0948087834168185, 2.510874614247947]
    workload = world([job(run_time_s, [(0, 1)], [1, 8], machines=3)], [0.7225913830530272])
    times = [event[0] for event in play(scenario(workload), choosing([0], eft=True)).events]
    assert times == sorted(times)


@given(workloads(), st.sampled_from(["order", "dispatch"]), answers)
@MANY
def test_without_disturbance_a_firm_task_ends_when_its_earliest_finish_time_said(
    workload: DagWorkload, decide: Any, numbers: list[int]
) -> None:
    said: dict[int, list[float]] = defaultdict(list)

    def noting(decision: Any, node: int, machine: int) -> None:
        said[machine].append(float(earliest_finishes_s(decision.view, node, decision.time_s)[machine]))

    chosen = choosing(numbers)["assign"]

    def assign(decision: Any) -> int:
        machine = chosen.act(decision)
        noting(decision, decision.subject, machine)
        return machine

    def dispatch(decision: Any) -> int:
        pair = chosen.act(decision)
        if pair < len(decision.mask) - 1:
            noting(decision, *divmod(pair, len(workload.machines)))
        return pair

    by = {"order": choosing(numbers)["order"], "assign": Calling(assign), "dispatch": Calling(dispatch)}
    episode = play(scenario(workload, binding="firm", linger=False, decide=decide), by)
    for machine in range(len(workload.machines)):
        ended_s = [t for t, _, place in ends(episode) if place == machine]
        assert ended_s == pytest.approx(said[machine], abs=1e-9)


# --- rounds of questions


def test_firm_tasks_wait_in_the_queue_where_they_were_put_and_late_ones_are_offered_again() -> None:
    workload = world([job([4.0, 1.0, 1.0], machines=2)])
    to_machine_0 = Scripted([0, 0, 0])
    firm = play(scenario(workload, binding="firm"), players(assign=to_machine_0))
    assert starts(firm) == [(0.0, 0, 0), (4.0, 1, 0), (5.0, 2, 0)]
    assert len(firm.asked) == 6
    # Late: at 0 all three are put on machine 0, so the round ends; at 4 one goes to machine 1 and one behind it, ...
    late = play(scenario(workload, binding="late"), players(assign=Scripted([0, 0, 0, 1, 1, 0])))
    assert starts(late) == [(0.0, 0, 0), (4.0, 1, 1), (5.0, 2, 0)]
    assert [question.time_s for question in late.asked if question.role == "order"] == [0.0, 0.0, 0.0, 4.0, 4.0, 5.0]


def test_a_late_round_is_over_when_no_open_machine_could_run_a_ready_task() -> None:
    workload = world([job([[1.0, 1.0], [2.0, inf], [3.0, inf]])])
    episode = play(scenario(workload), players(assign=Scripted([0])))
    # Machine 1 stays open, but the tasks that are left cannot run there.
    assert [question.time_s for question in episode.asked] == [0.0, 0.0, 1.0, 1.0, 3.0, 3.0]


def test_a_late_task_that_waits_for_its_data_is_offered_again_when_something_happens() -> None:
    # Task 0 ends at 1 and sends task 2 data that are on machine 1 at 5; task 1 ends at 3 on machine 1.
    workload = world([job([1.0, 3.0, 1.0], [(0, 2, 4.0)], machines=2)], machines=linked(2, s_per_byte=1.0))
    moved = play(scenario(workload), players(assign=Scripted([0, 1, 1, 0])))
    assert starts(moved)[2:] == [(3.0, 2, 0)]
    assert [(q.time_s, q.subject) for q in moved.asked if q.role == "assign"] == [(0, 0), (0, 1), (1, 2), (3, 2)]
    firm = play(scenario(workload, binding="firm"), players(assign=Scripted([0, 1, 1])))
    assert starts(firm)[2:] == [(5.0, 2, 1)]


def test_a_late_machine_is_held_until_the_data_arrive_if_nothing_happens_before() -> None:
    workload = world([job([1.0, 1.0], [(0, 1, 4.0)], machines=2)], machines=linked(2, latency_s=0.5, s_per_byte=1.0))
    episode = play(scenario(workload), players(assign=Scripted([0, 1])))
    assert starts(episode) == [(0.0, 0, 0), (5.5, 1, 1)]
    assert len(episode.asked) == 4
    assert episode.simulation.transferred_bytes == 4.0


def test_waiting_ends_the_round_and_the_next_event_begins_another() -> None:
    workload = world([job([2.0]), job([1.0])], [0.0, 0.5])
    episode = play(scenario(workload), {"order": Scripted([2, 1]), "assign": Eft()})
    assert starts(episode) == [(0.5, 1, 0), (1.5, 0, 0)]
    assert [(q.time_s, q.mask) for q in episode.asked if q.role == "order"] == [
        (0.0, [True, False, True]),  # the second job is still to come
        (0.5, [True, True, False]),  # nothing else will happen
        (1.5, [True, False, False]),
    ]


@pytest.mark.parametrize("binding", ["late", "firm"])
def test_a_policy_that_waited_for_a_job_is_asked_again_even_if_the_job_has_to_stay_outside(binding: Any) -> None:
    workload = world([job([1.0]), job([1.0])], [0.0, 5.0])
    episode = play(scenario(workload, max_jobs=1, binding=binding), players(order=Waiting()))
    assert starts(episode) == [(5.0, 0, 0), (6.0, 1, 0)]


def test_waiting_is_legal_while_data_are_on_their_way_to_a_held_machine() -> None:
    workload = world([job([1.0, 1.0, 1.0], [(0, 1, 4.0)], machines=2)], machines=linked(2, s_per_byte=1.0))
    # Task 2 is passed over until task 1 is held for its data.
    episode = play(scenario(workload, binding="firm"), players(order=Scripted([0, 3, 1, 3]), assign=Scripted([0, 1])))
    assert starts(episode)[:2] == [(0.0, 0, 0), (5.0, 1, 1)]
    assert starts(episode)[2][0] == 6.0


def test_a_question_that_tasks_of_no_length_have_made_pointless_is_not_asked() -> None:
    # While the question after putting task 1 on machine 0 is open, its three instances pass there, and what is left,
    # task 2, can only run on machine 1, which is busy.
    workload = world([job([[inf, 5.0, inf], [0.0, inf, 0.0], [inf, 1.0, inf]], instances=[1, 3, 1])])
    episode = play(scenario(workload), players(order=Scripted([0, 1]), assign=Scripted([1, 0])))
    assert [q.time_s for q in episode.asked if q.role == "order"] == [0.0, 0.0, 5.0]
    assert starts(episode)[-1] == (5.0, 2, 1)


def test_tasks_of_no_length_may_follow_each_other_within_an_instant() -> None:
    chain = job([0.0, 0.0, 0.0], [(0, 1), (1, 2)])
    for binding in ("late", "firm"):
        episode = play(scenario(world([chain, job([0.0])]), binding=binding), players())
        assert {t for t, *_ in episode.events} == {0.0}
        assert len(episode.runs()) == 4
        assert episode.simulation.metrics()["makespan"] == 0.0
        assert isnan(episode.simulation.metrics()["slowdown_mean"])
        assert isnan(episode.simulation.metrics()["utilization"])


def test_both_decide_modes_play_the_same_episode() -> None:
    workload = world([job([2.0, 1.0, 3.0], [(0, 2, 1.0)], machines=2)], machines=linked(2, s_per_byte=1.0))
    ordered = play(scenario(workload), players(order=Scripted([0, 1, 2]), assign=Scripted([1, 0, 1])))
    dispatched = play(scenario(workload, decide="dispatch"), {"dispatch": Scripted([1, 2, 5])})
    assert ordered.events == dispatched.events
    assert [q.role for q in dispatched.asked] == ["dispatch"] * 3


def test_an_arrival_at_the_instant_of_an_end_is_seen_by_the_same_question() -> None:
    workload = world([job([2.0]), job([1.0, 1.0], [(0, 1)])], [0.0, 2.0])
    for every_s in (inf, NEVER_S):
        episode = play(scenario(workload, slowdown_every_s=every_s), players())
        (question,) = [q for q in episode.asked if q.role == "order" and q.time_s == 2.0]
        assert question.seen["open"].tolist() == [True]
        assert question.seen["ready"].tolist() == [1]


# --- machines: lingering, warm-up, switching


def test_a_lingering_machine_goes_on_with_its_task_and_others_ask_after_every_instance() -> None:
    workload = world([job([1.0, 1.0], instances=[3, 1])])
    lingering = play(scenario(workload), players(order=Scripted([0])))
    assert starts(lingering) == [(0.0, 0, 0), (1.0, 0, 0), (2.0, 0, 0), (3.0, 1, 0)]
    assert [q.time_s for q in lingering.asked] == [0.0, 0.0, 3.0, 3.0]
    asking = play(scenario(workload, linger=False), players(order=Scripted([0, 1, 0])))
    assert starts(asking) == [(0.0, 0, 0), (1.0, 1, 0), (2.0, 0, 0), (3.0, 0, 0)]


@pytest.mark.parametrize("slowdown_every_s", [inf, NEVER_S])
def test_of_machines_that_end_at_the_same_instant_the_one_that_began_first_takes_the_last_instance(
    slowdown_every_s: float,
) -> None:
    workload = world([job([1.0], instances=[3], machines=2)])
    episode = play(scenario(workload, slowdown_every_s=slowdown_every_s), players(assign=Scripted([1, 0])))
    assert starts(episode) == [(0.0, 0, 1), (0.0, 0, 0), (1.0, 0, 1)]


@pytest.mark.parametrize("slowdown_every_s", [inf, NEVER_S])
def test_a_lingering_machine_is_expected_to_be_free_after_its_present_instance(slowdown_every_s: float) -> None:
    one = job([1.0], machines=2)
    workload = world([job([2.0], instances=[5], machines=2), one, one], [0.0, 2.5, 3.0])
    # At 2.5 a task is put behind the second instance, which runs from 2 to 4, and is dropped when the round ends.
    by = players(order=Scripted([0, 3, 1, 3]), assign=Scripted([0, 0]))
    episode = play(scenario(workload, slowdown_every_s=slowdown_every_s), by)
    seen = {q.time_s: q.seen["free_at_s"][0] for q in reversed(episode.asked)}  # of each time the first
    assert (seen[2.5], seen[3.0]) == (4.0, 4.0)


def test_a_firm_machine_serves_its_queue_before_it_lingers() -> None:
    workload = world([job([1.0, 1.0], instances=[2, 1], machines=2)])
    # Instance 0/0 and task 1 go to machine 0; 0/1 waits, because the last answer was to wait.
    episode = play(scenario(workload, binding="firm"), players(order=Scripted([0, 1, 2]), assign=Scripted([0, 0])))
    assert starts(episode)[:2] == [(0.0, 0, 0), (1.0, 1, 0)]


def test_the_first_instance_of_a_task_on_a_machine_takes_its_warm_up_and_so_does_coming_back() -> None:
    workload = world([job([1.0, 1.0], instances=[3, 1], warm_up_s=[0.5, 0.25])])
    episode = play(scenario(workload, linger=False), players(order=Scripted([0, 0, 1, 0])))
    assert [end_s - start_s for _, _, start_s, end_s in episode.runs()] == [1.5, 1.0, 1.25, 1.5]


def test_a_machine_loses_the_switch_time_when_it_serves_another_job_but_not_at_first() -> None:
    two = job([1.0, 1.0])
    workload = world([two, two], switch_s=2.0)
    episode = play(scenario(workload), players(order=Scripted([0, 2, 3, 1])))
    assert [end_s - start_s for _, _, start_s, end_s in episode.runs()] == [1.0, 3.0, 1.0, 3.0]


def test_noise_scales_run_time_and_warm_up_but_no_switch_and_keeps_the_floor() -> None:
    single = job([1.0], warm_up_s=[1.0])
    episode = play(scenario(world([single, single], switch_s=5.0), noise=0.5, noise_floor_s=0.25), players(), seed=3)
    factors = 1 + 0.5 * dag_scheduling.Streams(3)["noise"].standard_normal(2)
    took_s = [end_s - start_s for _, _, start_s, end_s in episode.runs()]
    assert took_s == pytest.approx([max(0.25, 2 * factors[0]), 5 + max(0.25, 2 * factors[1])])
    very_noisy = play(scenario(world([single] * 30), noise=5.0, noise_floor_s=0.25), players())
    shortest_s = min(end_s - start_s for _, _, start_s, end_s in very_noisy.runs())
    assert shortest_s == pytest.approx(0.25)


# --- jobs from outside


def test_jobs_are_admitted_in_the_order_of_their_arrival_and_no_more_at_once_than_allowed() -> None:
    jobs = [job([2.0], machines=3) for _ in range(5)]
    episode = play(scenario(world(jobs, [0.0, 0.0, 0.5, 0.5, 9.0]), max_jobs=2), players())
    admitted = [(t, j) for t, _, j, _ in episode.of_kind("admit")]
    assert admitted == [(0.0, 0), (0.0, 1), (2.0, 2), (2.0, 3), (9.0, 4)]
    metrics = episode.simulation.metrics()
    assert metrics["jct_s_mean"] == pytest.approx((2 + 2 + 3.5 + 3.5 + 2) / 5)
    assert metrics["time_in_system_s_mean"] == 2.0


def test_figures_by_hand() -> None:
    # Job 0: 2 s on machine 0, then 1 s there. Job 1 arrives at 1: 4 s on machine 1, which waits for nothing.
    machines = Machines(
        ("a", "b"), ("", ""), np.zeros((2, 2)), np.zeros((2, 2)), np.array([10.0, 20.0]), np.array([1.0, 2.0])
    )
    jobs = [job([[2.0, 4.0], [1.0, 9.0]], [(0, 1, 7.0)]), job([[2.0, 4.0]])]
    episode = play(scenario(world(jobs, [1.0, 2.0], machines=machines)), players(assign=Scripted([0, 1, 0])))
    assert episode.runs() == [(0, 0, 1.0, 3.0), (1, 0, 3.0, 4.0), (2, 1, 2.0, 6.0)]
    metrics = episode.simulation.metrics()
    assert metrics["makespan"] == 5.0
    assert metrics["jct_s_mean"] == 3.5
    assert metrics["jct_s_p50"] == 3.5
    assert metrics["jct_s_p99"] == pytest.approx(3.99)
    assert metrics["slowdown_mean"] == (1.0 + 2.0) / 2  # 3 of 3 s, and 4 of 2 s
    assert metrics["slr"] == 5.0 / 3.0  # job 0 and job 1 could have ended at 4 at the earliest
    assert metrics["utilization"] == 7.0 / 10.0
    # Machine a: 3 s at 10 W and 2 s at 1 W; machine b: 4 s at 20 W and 1 s at 2 W.
    assert metrics["energy_j"] == 32.0 + 82.0
    assert metrics["edp_js"] == 114.0 * 5.0
    assert metrics["transferred_bytes"] == 0.0
    assert metrics["jobs_done"] == 2.0


def test_before_anything_has_ended_figures_of_jobs_are_missing_and_costs_are_those_so_far() -> None:
    simulation = scenario(world([job([2.0, 2.0])], [1.0])).build(0)
    control = simulation.control
    assert [simulation.cost(name) for name in COSTS] == [0.0, 0.0, 0.0]
    for answer in (0, 0):
        decision = control.advance()
        assert decision is not None
        control.answer(decision, answer)
    assert control.advance() is not None  # at 3, when task 0 has ended
    assert simulation.raw() == {"time_s": 3.0, "jobs_in_system": 1, "jobs_done": 0, "job_time_s": 2.0}
    assert simulation.cost("makespan") == 2.0
    assert simulation.cost("energy") == 200.0
    metrics = simulation.metrics()
    assert metrics["jobs_done"] == 0.0
    for name in ("jct_s_mean", "jct_s_p95", "slowdown_mean", "time_in_system_s_mean"):
        assert isnan(metrics[name]), name


def test_an_unknown_cost_is_refused() -> None:
    simulation = scenario(world([job([1.0])])).build(0)
    with pytest.raises(ConfigError, match="no cost 'time'; choose one of job_time, makespan, energy"):
        simulation.cost("time")


# --- slow-downs and failures


class ScriptedChance:
    """Every cause draws the times of a list, one after the other, and then a time that never comes."""

    def __init__(self, times_s: dict[str, Sequence[float]]) -> None:
        self.times_s = times_s

    def __call__(self, seed: int) -> ScriptedChance:
        return ScriptedChance({cause: list(times_s) for cause, times_s in self.times_s.items()})

    def __getitem__(self, cause: str) -> Any:
        times_s = list(self.times_s.get(cause, ()))

        class Generator:
            def exponential(self, mean: float) -> float:
                return times_s.pop(0) if times_s else NEVER_S

        return Generator()


def disturbed(
    patch: pytest.MonkeyPatch, workload: DagWorkload, times_s: dict[str, Sequence[float]], **options: Any
) -> Episode:
    patch.setattr(dag_scheduling, "Streams", ScriptedChance(times_s))
    return play(scenario(workload, failure_every_s=1.0, slowdown_every_s=1.0, **options), players())


def test_a_slowed_machine_works_at_its_rate_and_what_starts_on_it_does_too(monkeypatch: pytest.MonkeyPatch) -> None:
    # Slow from 1 to 11: of 2 s 1 s is done at 1, and the rest takes 4 s; the next 3 s: 1.5 s until 11, then 1.5 s.
    workload = world([job([2.0, 3.0])])
    episode = disturbed(monkeypatch, workload, {"slowdowns/0": [1.0, 10.0]}, slowdown_rate=0.25)
    assert ends(episode) == [(5.0, 0, 0), (12.5, 1, 0)]


def test_what_runs_on_a_failing_machine_is_lost_and_offered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = world([job([4.0], warm_up_s=[1.0], machines=2)])
    episode = disturbed(monkeypatch, workload, {"failures/0": [3.0, 5.0]})
    assert episode.events[2:] == [
        (0.0, "start", 0, 0),
        (3.0, "down", -1, 0),
        (3.0, "lost", 0, 0),
        (3.0, "start", 0, 1),
        (8.0, "up", -1, 0),
        (8.0, "end", 0, 1),
        (8.0, "done", 0, -1),
    ]
    metrics = episode.simulation.metrics()
    assert metrics["lost_instances"] == 1.0
    assert metrics["utilization"] == (3.0 + 5.0) / 16.0


def test_while_no_machine_is_up_nothing_is_asked_and_afterwards_the_task_warms_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workload = world([job([2.0], instances=[2], warm_up_s=[1.0])], switch_s=9.0)
    for binding in ("late", "firm"):
        episode = disturbed(monkeypatch, workload, {"failures/0": [4.0, 6.0]}, binding=binding)
        # One instance ends at 3; the second starts at 3 without warm-up, is lost at 4, and takes 3 s from 10 on.
        assert ends(episode) == [(3.0, 0, 0), (13.0, 0, 0)]
        assert not [q for q in episode.asked if 4.0 <= q.time_s < 10.0]


def test_the_queue_of_a_failing_machine_is_offered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = world([job([2.0, 2.0], machines=2)])
    monkeypatch.setattr(dag_scheduling, "Streams", ScriptedChance({"failures/0": [1.0, 9.0]}))
    firm = scenario(workload, binding="firm", failure_every_s=1.0)
    episode = play(firm, players(assign=Scripted([0, 0])))
    assert starts(episode) == [(0.0, 0, 0), (1.0, 0, 1), (3.0, 1, 1)]


def test_a_failure_at_the_instant_of_an_end_comes_first_because_it_was_drawn_before_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    episode = disturbed(monkeypatch, world([job([2.0, 2.0], [(0, 1)])]), {"failures/0": [2.0, 1.0]})
    kinds = ["arrive", "admit", "start", "down", "lost", "up", "start", "end", "start", "end", "done"]
    assert [kind for _, kind, _, _ in episode.events] == kinds


def test_a_failure_at_the_instant_of_an_arrival_leaves_the_job_to_the_other_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    episode = disturbed(monkeypatch, world([job([1.0], machines=2)], [3.0]), {"failures/0": [3.0, 9.0]})
    assert starts(episode) == [(3.0, 0, 1)]


def test_after_the_last_job_nothing_fails_any_more_and_costs_stand_still() -> None:
    workload = world([job([1.0, 2.0, 1.0], machines=2)])
    simulation = scenario(workload, failure_every_s=2.0, slowdown_every_s=2.0).build(5)
    run(simulation, players())
    last_s = simulation.done_s.max()
    assert simulation.env.now >= last_s
    assert all(t <= last_s for t, kind, *_ in zip(*simulation.log.columns()[:2], strict=True) if kind == 6)
    assert simulation.cost("makespan") == last_s
    assert simulation.cost("job_time") == last_s
    busy_s = simulation.busy_s
    assert simulation.energy_j() == pytest.approx(50 * busy_s.sum() + 100 * last_s)


# --- common random numbers


def test_policies_change_neither_arrivals_nor_the_time_that_a_task_takes() -> None:
    workload = world([job([3.0, 1.0, 2.0], [(0, 2)], machines=2) for _ in range(3)], [0.0, 1.0, 4.0])
    took_s, arrivals = [], []
    for by in (players(), players(RandomPolicy(), RandomPolicy()), players(Waiting(), Scripted([]))):
        episode = play(scenario(workload, noise=0.4), by, seed=7)
        took_s.append({node: round(end_s - start_s, 9) for node, _, start_s, end_s in episode.runs()})
        arrivals.append(episode.of_kind("arrive"))
    assert took_s[0] == took_s[1] == took_s[2]
    assert arrivals[0] == arrivals[1] == arrivals[2]
    assert len(set(took_s[0].values())) == 9


@pytest.mark.parametrize("binding", ["late", "firm"])
def test_an_instance_that_was_lost_takes_as_long_the_second_time(binding: Any) -> None:
    workload = world([job([4.0], instances=[6], machines=3)])

    def lengths(**fails: float) -> list[float]:
        episode = play(scenario(workload, noise=0.5, binding=binding, **fails), players(), seed=1)
        assert episode.simulation.lost_instances > 0 or not fails
        return sorted(round(end_s - start_s, 9) for _, _, start_s, end_s in episode.runs())

    assert lengths(failure_every_s=5.0, repair_s=1.0) == lengths()


def test_failures_and_slow_downs_come_at_the_same_times_whatever_is_decided() -> None:
    workload = world([job([3.0, 2.0, 1.0, 2.0], machines=2)])
    downs = []
    for by in (players(), players(Waiting(), Scripted([]))):
        episode = play(scenario(workload, failure_every_s=3.0, repair_s=1.0), by, seed=11)
        downs.append([(t, machine) for t, _, _, machine in episode.of_kind("down")])
    shorter = min(map(len, downs))
    assert shorter >= 1
    assert downs[0][:shorter] == downs[1][:shorter]


# --- determinism


@given(workloads(), rules, luck, answers, seeds)
@FEW
def test_the_same_seed_and_answers_give_the_same_transcript(
    workload: DagWorkload, rule: dict[str, Any], chance: dict[str, Any], numbers: list[int], seed: int
) -> None:
    first, second = (play(scenario(workload, **rule, **chance), choosing(numbers), seed) for _ in range(2))
    assert first.simulation.log.lines() == second.simulation.log.lines()
    assert [(q.time_s, q.mask, q.answer) for q in first.asked] == [(q.time_s, q.mask, q.answer) for q in second.asked]


TRANSCRIPTS = """
import hashlib
import numpy as np
from clustersim.dags import Dag, batch, uniform_machines
from clustersim.policy import RandomPolicy, run
from clustersim.scenarios.dag_scheduling import DagScheduling

def workload(seed):
    rng = np.random.default_rng(seed)
    jobs = [
        Dag(f"job-{j}", ("a", "b", "c"), rng.uniform(1, 3, (3, 4)), np.array([[0, 1], [0, 2]]), np.ones(2),
            np.array([1, 5, 3]), np.full(3, 0.5))
        for j in range(4)
    ]
    return batch("random", uniform_machines(4, latency_s=0.1, bytes_per_s=10.0), jobs, 0.5)

for decide in ("order", "dispatch"):
    for disturbed in ({}, {"failure_every_s": 5.0, "slowdown_every_s": 5.0}):
        simulation = DagScheduling(workload, decide=decide, noise=0.3, max_jobs=2, **disturbed).build(3)
        answers = run(simulation, {role: RandomPolicy() for role in ("order", "assign", "dispatch")})
        lines = "\\n".join(simulation.log.lines())
        print(decide, len(disturbed), answers, len(simulation.log), hashlib.sha256(lines.encode()).hexdigest())
"""


def test_a_seed_has_the_same_transcript_in_every_process_and_for_every_hash_seed() -> None:
    def transcripts(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-W", "error", "-c", TRANSCRIPTS]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    first = transcripts("1")
    assert len(first.splitlines()) == 4
    assert transcripts("2") == first


def golden_world() -> DagWorkload:
    """Three jobs with data, instances, warm-ups and a task that only one machine can run."""
    jobs = [
        job([[2.0, 3.0], [1.0, 1.5], [inf, 2.0]], [(0, 1, 4.0), (0, 2, 1.0)], [1, 4, 1], [0.0, 0.5, 0.0]),
        job([[1.0, 1.0], [2.0, 1.0]], [(0, 1, 2.0)]),
        job([[0.5, 1.0]], instances=[2]),
    ]
    return world(jobs, [0.0, 1.0, 1.0], 0.25, linked(2, latency_s=0.25, s_per_byte=0.5))


@pytest.mark.parametrize("binding", ["late", "firm"])
def test_golden_transcript(binding: Any) -> None:
    played = scenario(golden_world(), binding=binding, max_jobs=2, noise=0.3, failure_every_s=8.0, repair_s=1.0)
    episode = play(played, players(), seed=3)
    Account(episode)
    text = (GOLDEN / f"dag_scheduling_{binding}.txt").read_text()
    assert episode.simulation.log.lines() == text.splitlines()


# --- what a policy may do, and what it may ask for


def test_nothing_that_a_policy_sees_can_be_written_to() -> None:
    simulation = scenario(world([job([1.0, 2.0], [(0, 1, 1.0)])])).build(0)
    decision = simulation.control.advance()
    assert decision is not None
    view = decision.view
    arrays = [getattr(view, entry.name) for entry in fields(view)]
    arrays += [getattr(view.problem, entry.name) for entry in fields(view.problem)]
    arrays += [view.ready, decision.mask]
    arrays = [array for array in arrays if isinstance(array, np.ndarray)]
    assert len(arrays) > 25
    for array in arrays:
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array.flat[:1] = 1


def test_a_simulation_leaves_the_workload_as_it_was() -> None:
    workload = golden_world()

    def numbers(of: DagWorkload) -> list[Any]:
        return [of.arrival_s.tolist(), *(getattr(j, e.name) for j in of.jobs for e in fields(j) if e.name != "name")]

    before = [np.array(value).tolist() for value in numbers(workload)[1:]]
    play(scenario(workload, noise=0.3), players())
    assert [np.array(value).tolist() for value in numbers(workload)[1:]] == before


BAD = (
    ("decide", "both", "decide is 'both'; choose one of order, dispatch"),
    ("binding", "early", "binding is 'early'; choose one of late, firm"),
    ("noise", -0.1, "noise is -0.1; it has to be at least 0, such as 0.3"),
    ("noise", float("nan"), "noise is nan"),
    ("noise", inf, "noise is inf"),
    ("max_jobs", 0, "max_jobs is 0; it has to be at least 1, or None for no limit"),
    ("noise_floor_s", 0.0, "noise_floor_s is 0.0; it has to be above 0 and finite"),
    ("slowdown_every_s", 0.0, "slowdown_every_s is 0.0; it has to be above 0, or infinite for never"),
    ("failure_every_s", -1.0, "failure_every_s is -1.0; it has to be above 0, or infinite for never"),
    ("slowdown_s", inf, "slowdown_s is inf; it has to be above 0 and finite"),
    ("repair_s", inf, "repair_s is inf; it has to be above 0 and finite"),
    ("repair_s", float("nan"), "repair_s is nan"),
    ("slowdown_rate", 0.0, "slowdown_rate is 0.0; it has to be above 0 and at most 1"),
    ("slowdown_rate", 1.5, "slowdown_rate is 1.5"),
)


@pytest.mark.parametrize(("name", "value", "why"), BAD)
def test_an_impossible_option_is_named_with_its_remedy(name: str, value: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        DagScheduling(lambda _seed: golden_world(), **{name: value})
