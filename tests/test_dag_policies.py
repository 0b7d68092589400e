"""The policies of DAG scheduling: each against its rule in plain Python, and what all of them promise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from dag_worlds import runs_of, workloads
from hypothesis import given, settings
from hypothesis import strategies as st
from random_dags import dag_of, machines_of

from clustersim.baselines.registry import TEAMS, names, policy, team
from clustersim.control import Decision
from clustersim.dag_state import DagView
from clustersim.dags import Dag, DagWorkload, batch, uniform_machines
from clustersim.errors import ConfigError
from clustersim.policy import Policy, run
from clustersim.scenarios.dag_scheduling import DagScheduling, DagSchedulingSimulation

NAMES = names("dag-scheduling")
SWIFT = tuple(name for name in NAMES if not name.startswith("cp-sat"))
"""Those that do not search; see test_dag_rolling.py for the others."""
ONLINE = tuple(name for name in NAMES if "linger" not in TEAMS["dag-scheduling"][name].world)
SOME = settings(max_examples=12, deadline=None, derandomize=True)
"""Few, because there are many policies."""
TROUBLE = {"noise": 0.5, "failure_every_s": 4.0, "repair_s": 2.0, "slowdown_every_s": 5.0, "slowdown_s": 2.0}


def play(workload: DagWorkload, name: str, seed: int = 0, **options: Any) -> DagSchedulingSimulation:
    chosen = team("dag-scheduling", name)
    simulation = DagScheduling(lambda _: workload, **{**chosen.world, **options}).build(seed)
    run(simulation, chosen.players())
    return simulation


def order_of(workload: DagWorkload, name: str) -> list[tuple[int, int, float]]:
    """Node, machine and start of everything that ran, in the order of starting, then of machines."""
    runs = runs_of(play(workload, name))
    rows = zip(runs.node.tolist(), runs.machine.tolist(), runs.start_s.tolist(), strict=True)
    return sorted(rows, key=lambda row: (row[2], row[1]))


def independent(run_time_s: list[list[float]]) -> DagWorkload:
    """Tasks without edges on machines that send for nothing."""
    return batch("independent", uniform_machines(len(run_time_s[0])), [dag_of(np.array(run_time_s), [])])


# --- the rules in plain Python


def takes_s(view: DagView, node: int, machine: int) -> float:
    problem = view.problem
    seconds = problem.run_time_s[node, machine]
    if view.tail_node[machine] != node:
        seconds += problem.warm_up_s[node]
        if view.tail_job[machine] not in (-1, problem.job_of[node]):
            seconds += view.switch_s
    return float(seconds)


def start_s(decision: Decision, node: int, machine: int) -> float:
    view: DagView = decision.view
    return float(max(decision.time_s, view.free_at_s[machine], view.data_at_s[node, machine]))


def end_s(decision: Decision, node: int, machine: int) -> float:
    return start_s(decision, node, machine) + takes_s(decision.view, node, machine)


def legal(decision: Decision) -> list[int]:
    return [k for k in np.flatnonzero(decision.mask).tolist() if not waits(decision, k)]


def waits(decision: Decision, k: int) -> bool:
    return decision.role != "assign" and k == len(decision.mask) - 1


def pairs(decision: Decision) -> dict[int, list[tuple[int, int]]]:
    """The possible machines of each ready node."""
    machines = decision.view.problem.machines
    found: dict[int, list[tuple[int, int]]] = {}
    for k in legal(decision):
        found.setdefault(k // machines, []).append(divmod(k, machines))
    return found


def path_s(view: DagView, node: int) -> float:
    problem = view.problem
    successors = problem.succ[problem.succ_start[node] : problem.succ_start[node + 1]]
    own = problem.instances[node] * problem.mean_run_time_s[node] + problem.warm_up_s[node]
    return float(own + max((path_s(view, after) for after in successors), default=0.0))


def rank_s(view: DagView, node: int) -> float:
    problem = view.problem
    edges = range(problem.succ_start[node], problem.succ_start[node + 1])
    after_s = [
        problem.mean_latency_s + problem.succ_bytes[e] * problem.mean_s_per_byte + rank_s(view, problem.succ[e])
        for e in edges
    ]
    return float(problem.mean_run_time_s[node] + max(after_s, default=0.0))


def nodes_of(view: DagView, job: int) -> range:
    return range(*view.problem.first_node[job : job + 2])


def weight(view: DagView, job: int, alpha: float) -> float:
    work = [view.problem.instances[n] * view.problem.mean_run_time_s[n] for n in nodes_of(view, job)]
    return max(float(sum(work)), 1e-12) ** alpha


def claim(view: DagView, node: int, alpha: float) -> float:
    job = int(view.problem.job_of[node])
    return weight(view, job, alpha) / (1 + sum(int(view.running[n] + view.reserved[n]) for n in nodes_of(view, job)))


def left_s(view: DagView, node: int) -> float:
    mine = nodes_of(view, int(view.problem.job_of[node]))
    return sum(float((view.unstarted[n] + view.running[n]) * view.problem.mean_run_time_s[n]) for n in mine)


def open_first(decision: Decision, machine: int) -> tuple[bool, float]:
    return not decision.view.open[machine], end_s(decision, decision.subject, machine)


SMALLEST: dict[tuple[str, str], Callable[[Decision, int], Any]] = {
    ("fifo", "order"): lambda d, n: n,
    ("stf", "order"): lambda d, n: d.view.problem.run_time_s[n].min(),
    ("sjf", "order"): lambda d, n: (left_s(d.view, n), d.view.problem.job_of[n], -path_s(d.view, n)),
    ("critical-path", "order"): lambda d, n: -path_s(d.view, n),
    ("heft-rt", "order"): lambda d, n: -rank_s(d.view, n),
    ("fair", "order"): lambda d, n: (-claim(d.view, n, 0.0), d.view.problem.job_of[n], -path_s(d.view, n)),
    ("weighted-fair", "order"): lambda d, n: (-claim(d.view, n, -1.0), d.view.problem.job_of[n], -path_s(d.view, n)),
    ("heft-rt", "assign"): lambda d, m: end_s(d, d.subject, m),
    ("mct", "assign"): lambda d, m: end_s(d, d.subject, m),
    ("fair", "assign"): open_first,
    ("met", "assign"): lambda d, m: (
        d.view.problem.run_time_s[d.subject, m],
        max(d.time_s, d.view.free_at_s[m]),
    ),
    ("olb", "assign"): lambda d, m: max(d.time_s, d.view.free_at_s[m]),
    ("etf", "dispatch"): lambda d, k: (
        start_s(d, *divmod(k, d.view.problem.machines)),
        -path_s(d.view, k // d.view.problem.machines),
        takes_s(d.view, *divmod(k, d.view.problem.machines)),
    ),
    ("min-min", "dispatch"): lambda d, k: end_s(d, *divmod(k, d.view.problem.machines)),
    ("max-min", "dispatch"): lambda d, k: (
        -min(end_s(d, n, m) for n, m in pairs(d)[k // d.view.problem.machines]),
        k // d.view.problem.machines,
        end_s(d, *divmod(k, d.view.problem.machines)),
    ),
}
"""Of which candidates each policy takes the smallest, and of equal ones the lowest."""


class Compared:
    """Plays on, while a rule in plain Python looks over the shoulder."""

    def __init__(self, policy: Policy, key: Callable[[Decision, int], Any]) -> None:
        self.policy, self.key, self.compared = policy, key, 0

    def reset(self, rng: np.random.Generator) -> None:
        self.policy.reset(rng)

    def act(self, decision: Decision) -> int:
        chosen = self.policy.act(decision)
        candidates = legal(decision)
        smallest = min(candidates, key=lambda k: (self.key(decision, k), k))
        # Sums in another order may differ in the last bit, and then either of two may be the smaller one.
        assert chosen in candidates
        assert chosen == smallest or almost(self.key(decision, chosen), self.key(decision, smallest))
        self.compared += len(candidates) > 1
        return chosen


def almost(one: Any, other: Any) -> bool:
    """Equal but for rounding, and rounding there was: exactly equal keys go to the lowest candidate."""
    return one != other and np.asarray(one, dtype=float) == pytest.approx(np.asarray(other, dtype=float), rel=1e-12)


@pytest.mark.parametrize(("name", "role"), SMALLEST)
def test_every_policy_follows_its_rule(name: str, role: str) -> None:
    compared = 0

    @given(workload=workloads(most_instances=3), seed=st.integers(0, 99))
    @SOME
    def whatever_happens(workload: DagWorkload, seed: int) -> None:
        nonlocal compared
        chosen = team("dag-scheduling", name)
        simulation = DagScheduling(lambda _: workload, **chosen.world, **TROUBLE).build(seed)
        players = chosen.players()
        looked_at = Compared(players[role], SMALLEST[name, role])
        run(simulation, {**players, role: looked_at})
        compared += looked_at.compared

    whatever_happens()
    assert compared > 20


# --- what all of them promise


class NeverWaits:
    """Plays on, while somebody sees to it that no answer is to wait."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def reset(self, rng: np.random.Generator) -> None:
        self.policy.reset(rng)

    def act(self, decision: Decision) -> int:
        chosen = self.policy.act(decision)
        assert not waits(decision, chosen)
        return chosen


@pytest.mark.parametrize("name", SWIFT)
@given(workload=workloads(most_instances=3), seed=st.integers(0, 99), linger=st.booleans())
@SOME
def test_every_team_ends_every_job_whatever_happens_and_heuristics_never_wait(
    name: str, workload: DagWorkload, seed: int, linger: bool
) -> None:
    chosen = team("dag-scheduling", name)
    players, world = chosen.players(), dict(chosen.world)
    if name in ONLINE:
        players = {role: NeverWaits(player) for role, player in players.items()}
        world["linger"] = linger
    simulation = DagScheduling(lambda _: workload, **world, **TROUBLE).build(seed)
    run(simulation, players)
    ended = np.bincount(runs_of(simulation).node, minlength=len(simulation.problem))
    assert ended.tolist() == simulation.problem.instances.tolist()


@pytest.mark.parametrize("name", ONLINE)
@given(workload=workloads(), factor=st.sampled_from([0.25, 4.0]))
@SOME
def test_in_another_unit_of_time_the_same_happens(name: str, workload: DagWorkload, factor: float) -> None:
    """The factors are powers of two, so that nothing is rounded."""
    machines = workload.machines
    scaled = DagWorkload(
        "scaled",
        machines_of(machines.latency_s * factor, machines.s_per_byte * factor),
        tuple(Dag(job.name, job.tasks, job.run_time_s * factor, job.edges, job.data_bytes) for job in workload.jobs),
        workload.arrival_s * factor,
    )
    before, after = runs_of(play(workload, name)), runs_of(play(scaled, name))
    assert before.node.tolist() == after.node.tolist()
    assert before.machine.tolist() == after.machine.tolist()
    assert (before.finish_s * factor).tolist() == after.finish_s.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_a_team_that_played_before_plays_like_a_fresh_one(name: str) -> None:
    chosen = team("dag-scheduling", name)
    players = chosen.players()
    lines = []
    for workload in (independent([[3.0, 4.0]] * 5), independent([[1.0, 9.0]] * 3), independent([[3.0, 4.0]] * 5)):
        simulation = DagScheduling(lambda _, w=workload: w, **chosen.world).build(0)
        run(simulation, players)
        lines.append(simulation.log.lines())
    assert lines[0] == lines[2]


@pytest.mark.long
def test_no_choice_depends_on_the_hash_seed() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_dag_policies import NAMES, play\n"
        "from test_scenarios import dags\n"
        "print([play(dags(5), name, 5, noise=0.3).log.lines() for name in NAMES])\n"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert len(said[0]) > 1000


def test_an_unknown_team_is_answered_with_the_nearest_name() -> None:
    for unknown in (team, policy):
        with pytest.raises(ConfigError, match=r"dag-scheduling has no policy 'heff'; did you mean 'heft'\? known are"):
            unknown("dag-scheduling", "heff")


# --- small examples by hand


def test_min_min_starts_with_the_short_tasks_and_max_min_with_the_long_one() -> None:
    workload = independent([[2.0, 3.0], [8.0, 9.0], [3.0, 4.0]])
    assert order_of(workload, "min-min") == [(0, 0, 0.0), (2, 1, 0.0), (1, 0, 2.0)]
    assert order_of(workload, "max-min") == [(1, 0, 0.0), (2, 1, 0.0), (0, 1, 4.0)]
    assert play(workload, "min-min").cost("makespan") == 10
    assert play(workload, "max-min").cost("makespan") == 8


def test_met_queues_at_the_fastest_machine_olb_at_the_first_free_one_and_mct_weighs_both() -> None:
    workload = independent([[2.0, 5.0], [2.0, 5.0], [2.0, 5.0]])
    assert order_of(workload, "met") == [(0, 0, 0.0), (1, 0, 2.0), (2, 0, 4.0)]
    assert order_of(workload, "olb") == [(0, 0, 0.0), (1, 1, 0.0), (2, 0, 2.0)]
    assert order_of(workload, "mct") == [(0, 0, 0.0), (2, 1, 0.0), (1, 0, 2.0)]


def test_met_spreads_tasks_over_equally_fast_machines() -> None:
    assert order_of(independent([[2.0, 2.0, 9.0]] * 3), "met") == [(0, 0, 0.0), (1, 1, 0.0), (2, 0, 2.0)]


def test_etf_takes_the_pair_that_starts_first_and_the_higher_level_of_equal_ones() -> None:
    # 0 -> 3 is the longer chain, so 0 goes first; then 3 would have to wait for data on machine 1, but not on 0.
    chain = dag_of(np.array([[2.0, 2.0], [3.0, 3.0], [1.0, 1.0], [5.0, 5.0]]), [(0, 3, 4.0)])
    workload = batch("chain", uniform_machines(2, bytes_per_s=1.0), [chain])
    assert order_of(workload, "etf") == [(0, 0, 0.0), (1, 1, 0.0), (3, 0, 2.0), (2, 1, 3.0)]


def test_the_critical_path_goes_before_the_shortest_task_and_the_first_one() -> None:
    chain = dag_of(np.array([[4.0], [1.0], [2.0], [5.0]]), [(2, 3, 0.0)])
    workload = batch("chain", uniform_machines(1), [chain])
    first = {name: [node for node, *_ in order_of(workload, name)] for name in ("fifo", "stf", "critical-path")}
    assert first == {"fifo": [0, 1, 2, 3], "stf": [1, 2, 0, 3], "critical-path": [2, 3, 0, 1]}


def two_jobs() -> DagWorkload:
    """Twelve tasks of 1 s, and twelve of 2 s."""
    jobs = [dag_of(np.full((12, 6), seconds), []) for seconds in (1.0, 2.0)]
    return batch("two jobs", uniform_machines(6), jobs)


@pytest.mark.parametrize(("name", "shares"), [("fifo", (6, 0)), ("fair", (3, 3)), ("weighted-fair", (4, 2))])
def test_machines_are_shared_by_weight(name: str, shares: tuple[int, int]) -> None:
    at_once = Counter(node // 12 for node, _, start in order_of(two_jobs(), name) if start == 0)
    assert (at_once[0], at_once[1]) == shares


def test_what_one_job_cannot_use_goes_to_the_others() -> None:
    jobs = [dag_of(np.full((tasks, 6), 1.0), []) for tasks in (1, 12)]
    workload = batch("narrow and wide", uniform_machines(6), jobs)
    assert len([node for node, _, start in order_of(workload, "fair") if start == 0]) == 6


def test_the_job_with_the_least_work_left_goes_first() -> None:
    jobs = [dag_of(np.full((tasks, 1), seconds), []) for tasks, seconds in ((3, 2.0), (1, 5.0), (2, 2.0))]
    workload = DagWorkload("three jobs", uniform_machines(1), tuple(jobs), np.array([0.0, 1.0, 1.0]))
    # At 2 s there are 4, 5 and 4 s left: the first job goes on, and the long single task comes last.
    assert [node for node, *_ in order_of(workload, "sjf")] == [0, 1, 2, 4, 5, 3]


def test_firm_queues_keep_what_late_binding_would_take_back() -> None:
    # At 0 both tasks go to the fast machine. The third task comes while the second still waits there.
    first = dag_of(np.array([[4.0, 9.0], [4.0, 9.0]]), [])
    urgent = dag_of(np.array([[4.0, 99.0], [50.0, 50.0]]), [(0, 1, 0.0)])
    workload = DagWorkload("urgent", uniform_machines(2), (first, urgent), np.array([0.0, 1.0]))
    assert [node for node, *_ in order_of(workload, "heft-rt-firm")][:3] == [0, 1, 2]
    assert [node for node, machine, _ in order_of(workload, "heft-rt") if machine == 0][:2] == [0, 2]


def test_random_takes_every_task_and_every_machine_with_the_same_probability() -> None:
    workload = independent([[1.0, 1.0]] * 3)
    seen: Counter[tuple[int, int]] = Counter()
    for seed in range(600):
        runs = runs_of(play(workload, "random", seed))
        seen.update((node, machine) for node, machine, start, _ in zip(*runs, strict=True) if start == 0)
    assert len(seen) == 6
    assert all(count == pytest.approx(200, abs=45) for count in seen.values())
