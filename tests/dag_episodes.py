"""Episodes of DAG scheduling for tests: builders of small worlds, strategies, players, and what was asked and done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import cycle
from math import inf
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from worlds import Scripted

from clustersim.control import Decision
from clustersim.dag_state import DagView, earliest_finish_s
from clustersim.dags import Dag, DagWorkload, Machines, uniform_machines
from clustersim.policy import Policy
from clustersim.scenarios.dag_scheduling import COSTS, DagScheduling, DagSchedulingSimulation

Event = tuple[float, str, int, int]
Edge = tuple[int, int] | tuple[int, int, float]


# --- builders


def job(
    run_time_s: Sequence[float | Sequence[float]],
    edges: Sequence[Edge] = (),
    instances: Sequence[int] = (),
    warm_up_s: Sequence[float] = (),
    machines: int = 1,
) -> Dag:
    """Tasks by their run times: one number for all machines, or one for each."""
    rows = [[float(row)] * machines if isinstance(row, int | float) else list(row) for row in run_time_s]
    return Dag(
        "job",
        tuple(f"t{index}" for index in range(len(rows))),
        np.array(rows, dtype=np.float64),
        np.array([edge[:2] for edge in edges], dtype=np.int64).reshape(-1, 2),
        np.array([edge[2] if len(edge) == 3 else 0.0 for edge in edges], dtype=np.float64),
        np.array(instances, dtype=np.int64),
        np.array(warm_up_s, dtype=np.float64),
    )


def world(
    jobs: Sequence[Dag], arrival_s: Sequence[float] = (), switch_s: float = 0.0, machines: Machines | None = None
) -> DagWorkload:
    """Machines without communication costs, unless others are given; all jobs at time 0, unless said otherwise."""
    if machines is None:
        machines = uniform_machines(jobs[0].run_time_s.shape[1])
    at_s = np.array(arrival_s, dtype=np.float64) if len(arrival_s) else np.zeros(len(jobs))
    return DagWorkload("tiny", machines, tuple(jobs), at_s, switch_s)


def scenario(workload: DagWorkload, **options: Any) -> DagScheduling:
    return DagScheduling(lambda _seed: workload, **options)


# --- players


class Eft:
    """The machine with the earliest finish time."""

    def reset(self, rng: np.random.Generator) -> None:
        pass

    def act(self, decision: Decision) -> int:
        return int(np.argmin(earliest_finishes_s(decision.view, decision.subject, decision.time_s)))


def earliest_finishes_s(view: DagView, node: int, now_s: float) -> NDArray[np.float64]:
    problem = view.problem
    finish_s = np.empty(problem.machines)
    earliest_finish_s(
        node,
        now_s,
        problem.run_time_s,
        problem.warm_up_s,
        problem.job_of,
        view.switch_s,
        view.data_at_s,
        view.free_at_s,
        view.tail_node,
        view.tail_job,
        view.up,
        finish_s,
    )
    return finish_s


def players(order: Policy | None = None, assign: Policy | None = None) -> dict[str, Policy]:
    """First task and earliest finish, unless said otherwise."""
    return {"order": order or Scripted([]), "assign": assign or Eft()}


class Choosing:
    """Takes the legal candidate with the place that the next of some numbers says, round and round; -1 is the last."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = cycle(numbers)

    def reset(self, rng: np.random.Generator) -> None:
        pass

    def act(self, decision: Decision) -> int:
        legal = np.flatnonzero(decision.mask)
        return int(legal[next(self.numbers) % len(legal)])


def choosing(numbers: Sequence[int], eft: bool = False) -> dict[str, Policy]:
    """All roles by the same numbers, or machines by their earliest finish."""
    policy = Choosing(numbers)
    return {"order": policy, "assign": Eft() if eft else policy, "dispatch": policy}


# --- what was asked and done


@dataclass(frozen=True)
class Asked:
    """A question with what could be seen, how many events had been logged before it, and its answer."""

    events_before: int
    time_s: float
    role: str
    subject: Any
    mask: list[bool]
    seen: dict[str, NDArray[Any]]
    costs: dict[str, float]
    answer: int


@dataclass(frozen=True)
class Episode:
    simulation: DagSchedulingSimulation
    seed: int
    asked: list[Asked]

    @property
    def events(self) -> list[Event]:
        """(time, kind, node or job, machine), in the order of the log."""
        log = self.simulation.log
        return [(t, log.kinds[int(k)], int(s), int(p)) for t, k, s, p, _ in zip(*log.columns(), strict=True)]

    def of_kind(self, *kinds: str) -> list[Event]:
        return [event for event in self.events if event[1] in kinds]

    def runs(self) -> list[tuple[int, int, float, float]]:
        """(node, machine, start, end) of what ran to its end, in the order of the ends."""
        running: dict[int, tuple[int, float]] = {}
        ended = []
        for time_s, kind, node, machine in self.of_kind("start", "end", "lost"):
            if kind == "start":
                running[machine] = (node, time_s)
            else:
                started, start_s = running.pop(machine)
                assert started == node
                if kind == "end":
                    ended.append((node, machine, start_s, time_s))
        return ended


LONG_AFTER_S = 2e4
"""When every episode has long been over: one that is not stops here instead of failing for ever."""


def play(played: DagScheduling, by: Mapping[str, Policy], seed: int = 0) -> Episode:
    simulation = played.build(seed)
    simulation.control.horizon_s = LONG_AFTER_S
    for role, policy in by.items():
        policy.reset(simulation.streams[f"policy/{role}"])
    asked = []
    while (decision := simulation.control.advance()) is not None:
        mask, seen = decision.mask.tolist(), _copied(decision.view)
        costs = {name: simulation.cost(name) for name in COSTS}
        answer = by[decision.role].act(decision)
        asked.append(
            Asked(len(simulation.log), decision.time_s, decision.role, decision.subject, mask, seen, costs, answer)
        )
        simulation.control.answer(decision, answer)
    assert not np.isnan(simulation.done_s).any(), "a job is not done"
    return Episode(simulation, seed, asked)


def _copied(view: DagView) -> dict[str, NDArray[Any]]:
    changing = [entry.name for entry in fields(view) if isinstance(getattr(view, entry.name), np.ndarray)]
    return {"ready": view.ready.copy(), **{name: getattr(view, name).copy() for name in changing}}


# --- hypothesis: whole worlds, small and full of ties, so that things go wrong often

# Thirds do not add up in floating point.
SHORT_AND_LONG_S = st.sampled_from([1 / 3, 1.0, 1.0, 2.0, 3.0, 5.0])


def _sized(of: st.SearchStrategy[Any], count: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, min_size=count, max_size=count)


@st.composite
def machine_sets(draw: st.DrawFn) -> Machines:
    count = draw(st.integers(1, 3))
    different = 1 - np.eye(count)
    latency_s, s_per_byte = (
        np.array(draw(_sized(_sized(st.sampled_from([0.0, 0.0, 0.5, 1.0]), count), count))) * different
        for _ in range(2)
    )
    busy_w, idle_w = (np.array(draw(_sized(st.sampled_from([0.0, 5.0, 20.0]), count))) for _ in range(2))
    return Machines(tuple(f"m{i}" for i in range(count)), ("",) * count, latency_s, s_per_byte, busy_w, idle_w)


@st.composite
def jobs_on(draw: st.DrawFn, machines: int, times_s: st.SearchStrategy[float]) -> Dag:
    tasks = draw(st.integers(1, 4))
    rows = draw(_sized(_sized(st.one_of(times_s, times_s, st.just(inf)), machines), tasks))
    for row in rows:
        row[draw(st.integers(0, machines - 1))] = draw(times_s)
    names = draw(st.permutations(range(tasks)))  # so that predecessors need not have the lower index
    edges = [
        (names[source], names[target], draw(st.sampled_from([0.0, 1.0, 4.0])))
        for target in range(tasks)
        for source in range(target)
        if draw(st.integers(0, 2)) == 0
    ]
    instances = draw(_sized(st.sampled_from([1, 1, 2, 5]), tasks))
    warm_up_s = draw(_sized(st.sampled_from([0.0, 0.0, 1.0]), tasks))
    return job(rows, edges, instances, warm_up_s)


@st.composite
def workloads(draw: st.DrawFn, may_take_no_time: bool | None = None) -> DagWorkload:
    """Where every instance takes time the simulation passes over some at a time; `may_take_no_time` None: either."""
    machines = draw(machine_sets())
    no_time = draw(st.booleans()) if may_take_no_time is None else may_take_no_time
    times_s = st.one_of(SHORT_AND_LONG_S, st.just(0.0)) if no_time else SHORT_AND_LONG_S
    jobs = draw(st.lists(jobs_on(len(machines), times_s), min_size=1, max_size=4))
    arrival_s = np.cumsum(draw(_sized(st.sampled_from([0.0, 0.0, 1.0, 2.5]), len(jobs))))
    return world(jobs, arrival_s.tolist(), draw(st.sampled_from([0.0, 0.0, 1.5])), machines)


rules = st.fixed_dictionaries(
    {
        "decide": st.sampled_from(["order", "dispatch"]),
        "binding": st.sampled_from(["late", "firm"]),
        "linger": st.booleans(),
        "max_jobs": st.sampled_from([None, None, 1, 2]),
    }
)
luck = st.fixed_dictionaries(
    {
        "noise": st.sampled_from([0.0, 0.3]),
        "slowdown_every_s": st.sampled_from([inf, 4.0]),
        "slowdown_s": st.just(3.0),
        "slowdown_rate": st.sampled_from([0.5, 0.25]),
        "failure_every_s": st.sampled_from([inf, 6.0]),
        "repair_s": st.just(2.0),
    }
)
# Far more places than there are candidates: mostly at random, and not seldom to wait.
answers = st.lists(st.integers(-2, 12), min_size=1, max_size=30)
choosers = st.builds(choosing, answers, st.booleans())
seeds = st.integers(0, 20)
