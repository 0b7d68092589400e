"""Jobs of dependent tasks on heterogeneous machines: which ready task goes next, and on which machine.

Data are sent the moment a task ends, to wherever they will be needed, as in Topcuoglu, Hariri, Wu 2002 and in DS3: a
task on machine m can start when the machine is free and all its data have arrived there. A machine runs one task at a
time, without preemption.

Whenever something happens a round of questions begins: tasks are put into the queues of machines until the round is
over. With `binding="firm"` a place in a queue is kept (every ready task is offered until it has one). With "late"
only tasks that start right away, or as soon as their data arrive, stay where they are; the others are offered again
in the next round, and a round is over when no open machine could run a ready task.

Roles, by `decide`: "order" asks `order` (the next task: a node, or N to wait for the next event) and then `assign`
(its machine). "dispatch" asks `dispatch` for both at once (node * M + machine, or N * M to wait).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from math import nextafter
from typing import Any, Literal

import numpy as np
import simpy
from numpy.typing import NDArray

from clustersim.control import NO_CANDIDATE, ControlPlane, Role
from clustersim.dag_figures import episode_metrics
from clustersim.dag_linger import Clocks, Lingering
from clustersim.dag_problem import problem_of
from clustersim.dag_state import NOBODY, DagState, can_start, mark_pairs, mark_ready, some_machine
from clustersim.dags import DagWorkload
from clustersim.errors import ConfigError
from clustersim.eventlog import EventLog
from clustersim.streams import Streams
from clustersim.work import Work

ORDER, ASSIGN, DISPATCH = "order", "assign", "dispatch"

EVENTS = ("arrive", "admit", "start", "end", "lost", "done", "down", "up")
ARRIVE, ADMIT, START, END, LOST, DONE, DOWN, UP = range(len(EVENTS))

COSTS = ("job_time", "makespan", "energy")


@dataclass(frozen=True)
class DagScheduling:
    """The scenario: a distribution of workloads, of which a seed draws one, and how it is played."""

    instances: Callable[[int], DagWorkload]
    decide: Literal["order", "dispatch"] = "order"
    binding: Literal["late", "firm"] = "late"
    linger: bool = True
    """A machine goes on with the next instance of its task without asking, as Spark's executors do."""
    noise: float = 0.0
    """Run times are max(noise_floor_s, Normal(t, noise * t)), as in DS3."""
    noise_floor_s: float = 1e-6
    max_jobs: int | None = None
    """Jobs admitted at once; further ones wait outside in the order of their arrival. None: no limit."""
    slowdown_every_s: float = float("inf")
    """Mean time until a machine is slowed down (exponential); infinite: never."""
    slowdown_s: float = 60.0
    """Mean duration of a slow-down (exponential)."""
    slowdown_rate: float = 0.5
    """Rate of work while slowed down."""
    failure_every_s: float = float("inf")
    """Mean time until a machine fails (exponential); what runs on it has to start again. Infinite: never."""
    repair_s: float = 60.0
    """Mean time to repair (exponential)."""

    def __post_init__(self) -> None:
        for name, allowed in (("decide", ("order", "dispatch")), ("binding", ("late", "firm"))):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}")
        if not 0 <= self.noise < np.inf:
            raise ConfigError(f"noise is {self.noise}; it has to be at least 0, such as 0.3")
        if self.max_jobs is not None and self.max_jobs < 1:
            raise ConfigError(f"max_jobs is {self.max_jobs}; it has to be at least 1, or None for no limit")
        for name in ("slowdown_every_s", "failure_every_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be above 0, or infinite for never")
        for name in ("noise_floor_s", "slowdown_s", "repair_s"):
            if not 0 < getattr(self, name) < np.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be above 0 and finite")
        if not 0 < self.slowdown_rate <= 1:
            raise ConfigError(f"slowdown_rate is {self.slowdown_rate}; it has to be above 0 and at most 1")

    def build(self, seed: int) -> DagSchedulingSimulation:
        """A simulation at time 0; the same seed builds the same one."""
        return DagSchedulingSimulation(self, self.instances(seed), seed)


class _Machine:
    """What one machine is doing. `node` is NOBODY while it is idle or holds its queue's first task for its data."""

    __slots__ = (
        "draw",
        "holds",
        "last_job",
        "last_node",
        "node",
        "on_end",
        "queue",
        "rate",
        "version",
        "work",
    )

    def __init__(self, on_end: Callable[[], None]) -> None:
        self.on_end = on_end
        self.node = self.last_node = self.last_job = NOBODY
        self.work: Work | None = None
        self.draw = 0
        self.queue: deque[int] = deque()
        self.rate = 1.0
        self.holds = False
        self.version = 0


class DagSchedulingSimulation:
    """One episode. `control` is driven from outside; everything else is to be read."""

    def __init__(self, scenario: DagScheduling, workload: DagWorkload, seed: int) -> None:
        self.scenario = scenario
        self.workload = workload
        self.streams = Streams(seed)
        self.env = simpy.Environment()
        self.control = ControlPlane(self.env)
        self.log = EventLog(EVENTS)
        self.problem = problem_of(workload.machines, workload.jobs)
        self.state = DagState(self.problem, workload.arrival_s, workload.switch_s)
        self.done_s = np.full(len(workload.jobs), np.nan)
        self.admitted_s = np.full(len(workload.jobs), np.nan)
        self._clocks = Clocks.of(len(workload.machines))
        self.lost_instances = 0
        self._machines = [_Machine(partial(self._on_end, index)) for index in range(len(workload.machines))]
        self._late = scenario.binding == "late"
        self._all_capable = bool(np.isfinite(self.problem.run_time_s).all())
        self._all_up = True
        self._sends_data = bool(self.problem.pred_bytes.any())
        self._outside: deque[int] = deque()
        self._inside = 0
        self._in_system = 0
        self._job_time_s = 0.0
        self._job_time_until_s = 0.0
        self._left = len(workload.jobs)
        self._pending_wakes = len(workload.jobs)  # arrivals, running instances, held tasks and repairs: all that wakes
        self._settling = False
        self._asking = False
        self._overtaken = False  # a task of no length has ended since the question was raised
        self._waited = False
        self._waiting = 0  # tasks in the queues of machines
        self._queued = np.zeros(len(workload.machines), dtype=np.bool_)  # which machines have any
        self._draw_noise()
        self._lingering = self._linger_many_at_a_time()
        self._next_end = 0
        nodes, machines = len(self.problem), len(workload.machines)
        view = self.state.view
        self._order = Role(ORDER, "scheduler", nodes + 1, view, self._legal_nodes)
        self._assign = Role(ASSIGN, "scheduler", machines, view, self._legal_machines)
        self._dispatch = Role(DISPATCH, "scheduler", nodes * machines + 1, view, self._legal_pairs)
        self._schedule_arrivals()
        self._disturb()

    # --- arrivals

    def _schedule_arrivals(self) -> None:
        for job, at_s in enumerate(self.workload.arrival_s.tolist()):
            arrival = self.env.timeout(at_s, job)
            arrival.callbacks.append(self._on_arrival)

    def _on_arrival(self, event: simpy.Event) -> None:
        job: Any = event.value
        self._catch_up()
        self._pending_wakes -= 1
        self._count_job_time(+1)
        self.log.add(self.env.now, ARRIVE, job)
        self._outside.append(job)
        self._admit()
        # Even if the job stays outside: a policy may have waited for it.
        self._wake()

    def _admit(self) -> None:
        most = self.scenario.max_jobs
        while self._outside and (most is None or self._inside < most):
            job = self._outside.popleft()
            self._inside += 1
            self.admitted_s[job] = self.env.now
            self.state.admit(job)
            self.log.add(self.env.now, ADMIT, job)
            self._wake()

    def _count_job_time(self, change: int) -> None:
        now_s = self.env.now
        self._job_time_s += self._in_system * (now_s - self._job_time_until_s)
        self._job_time_until_s = now_s
        self._in_system += change

    # --- rounds of questions

    def _wake(self) -> None:
        if not self._settling:
            self._settling = True
            self.control.settle(self._begin_round)

    def _begin_round(self) -> None:
        self._settling = False
        self._waited = False
        self._catch_up()
        if self._late and self._waiting:
            for index, machine in enumerate(self._machines):
                if machine.queue:
                    self._dissolve(index, machine)
        if self._asking:
            self._overtaken = True
        else:
            self._ask()

    def _ask(self) -> None:
        if self._waited or self._is_over():
            self._end_round()
            return
        self._asking, self._overtaken = True, False
        if self.scenario.decide == "order":
            self.control.ask(self._order, None, self._ordered)
        else:
            self.control.ask(self._dispatch, None, self._dispatched)

    def _is_over(self) -> bool:
        state = self.state
        if not self._late:
            return bool(state.ready_count[0] == 0)
        return not can_start(state.ready, state.ready_count, state.open, self.problem.run_time_s, self._all_capable)

    def _end_round(self) -> None:
        if self._late and self._waiting:
            self._drop_estimates()
        self._schedule_next_end()

    def _drop_estimates(self) -> None:
        # What is queued behind a running or held task was only an estimate for the rest of the round.
        for index, machine in enumerate(self._machines):
            if machine.queue and not (machine.holds and len(machine.queue) == 1):
                self._dissolve(index, machine, keep=1 if machine.holds else 0)

    def _legal_nodes(self, _subject: None, out: NDArray[np.bool_]) -> bool:
        state = self.state
        if self._overtaken and self._is_over():
            return False
        found = mark_ready(state.ready, state.ready_count, self.problem.run_time_s, state.up, self._all_up, out)
        out[-1] = found and self._pending_wakes > 0
        return bool(found)

    def _legal_machines(self, node: int, out: NDArray[np.bool_]) -> bool:
        return bool(some_machine(node, self.problem.run_time_s, self.state.up, out))

    def _legal_pairs(self, _subject: None, out: NDArray[np.bool_]) -> bool:
        state = self.state
        if self._overtaken and self._is_over():
            return False
        found = mark_pairs(state.ready, state.ready_count, self.problem.run_time_s, state.up, out)
        out[-1] = found and self._pending_wakes > 0
        return bool(found)

    def _ordered(self, node: int, _detail: Any) -> None:
        if node == NO_CANDIDATE or node == len(self.problem):
            self._close_round()
        else:
            self.control.ask(self._assign, node, partial(self._assigned, node))

    def _assigned(self, node: int, machine: int, _detail: Any) -> None:
        if machine == NO_CANDIDATE:
            self._close_round()
        else:
            self._put(node, machine)

    def _dispatched(self, pair: int, _detail: Any) -> None:
        machines = len(self._machines)
        if pair == NO_CANDIDATE or pair == len(self.problem) * machines:
            self._close_round()
        else:
            self._put(*divmod(pair, machines))

    def _close_round(self) -> None:
        self._asking = False
        self._waited = True
        self._end_round()

    # --- machines

    def _put(self, node: int, index: int) -> None:
        """Queue an instance on a machine, and go on with the round."""
        machine, state = self._machines[index], self.state
        self._asking = False
        state.reserve(node)
        state.extend(index, np.array([node]), self.env.now)
        state.open[index] = False
        machine.queue.append(node)
        self._waiting += 1
        self._queued[index] = True
        if machine.node < 0 and not machine.holds:
            self._serve(index, machine)
        self._ask()

    def _serve(self, index: int, machine: _Machine) -> None:
        """Start the first task of an idle machine's queue, or hold the machine until its data arrive."""
        data_at_s = self.state.data_at_s.item(machine.queue[0], index)
        if data_at_s > self.env.now:
            machine.holds = True
            machine.version += 1
            self._pending_wakes += 1
            arrival = self.env.timeout(_delay_s(self.env.now, data_at_s), (index, machine.version))
            arrival.callbacks.append(self._on_data)
        else:
            self._start(index, machine, self._next_of(index, machine))

    def _on_data(self, event: simpy.Event) -> None:
        arrival: Any = event.value
        index, version = arrival
        machine = self._machines[index]
        if machine.version == version:
            self._catch_up()
            machine.holds = False
            self._pending_wakes -= 1
            self._start(index, machine, self._next_of(index, machine))
            if not (self._asking or self._settling):
                self._schedule_next_end()

    def _next_of(self, index: int, machine: _Machine) -> int:
        node = machine.queue.popleft()
        self._waiting -= 1
        self._queued[index] = bool(machine.queue)
        return node

    def _start(self, index: int, machine: _Machine, node: int) -> None:
        problem, state, env = self.problem, self.state, self.env
        state.start(node)
        if self._sends_data:
            self._clocks.transferred_bytes[0] += state.incoming_bytes(node, index)
        seconds = problem.run_time_s.item(node, index)
        switch_s = 0.0
        if machine.last_node != node:
            seconds += problem.warm_up_s.item(node)
            job = problem.job_of.item(node)
            if machine.last_job != job:
                switch_s = self.workload.switch_s if machine.last_job >= 0 else 0.0
                machine.last_job = job
            machine.last_node = node
        machine.node = node
        self._clocks.since_s[index] = env.now
        self._clocks.expected_end_s[index] = env.now + seconds + switch_s
        if self._factor is not None:
            machine.draw = self._next_draw(node)
            seconds = max(self.scenario.noise_floor_s, seconds * self._factor.item(machine.draw))
        self._pending_wakes += 1
        self.log.add(env.now, START, node, index)
        if self._lingering is None:
            machine.work = Work(env, seconds + switch_s, machine.on_end, machine.rate)
        else:
            self._lingering.start(index, node, env.now, seconds + switch_s)

    def _on_end(self, index: int) -> None:
        machine, state, now_s = self._machines[index], self.state, self.env.now
        node = machine.node
        machine.node = NOBODY
        machine.work = None
        self._pending_wakes -= 1
        self.busy_s[index] += now_s - self._clocks.since_s.item(index)
        self.log.add(now_s, END, node, index)
        if state.end(node, index, now_s):
            self._task_ended(node)
        elif self.scenario.linger and not machine.queue and state.unstarted.item(node) > state.reserved.item(node):
            state.reserve(node)
            self._start(index, machine, node)
            state.free_at_s[index] = self._clocks.expected_end_s[index]
            return
        if not machine.queue:
            state.free_at_s[index] = now_s
            state.open[index] = True
        elif not self._late:
            if now_s != self._clocks.expected_end_s[index]:
                self._expect_again(index, machine)
            self._serve(index, machine)
        self._wake()

    # --- many instances at a time

    def _linger_many_at_a_time(self) -> Lingering | None:
        """Where nothing changes the rate of work, and every instance takes time."""
        scenario, run_time_s = self.scenario, self.problem.run_time_s
        disturbed = min(scenario.slowdown_every_s, scenario.failure_every_s) < np.inf
        if not scenario.linger or disturbed or self.problem.instances.max() == 1 or run_time_s.min() == 0:
            return None
        nothing = np.zeros(0, dtype=np.int64)
        noise = (nothing, np.zeros(0)) if self._factor is None else (self._first_draw, self._factor)
        return Lingering(self.state, self._clocks, self._queued, (*noise, scenario.noise_floor_s), (END, START))

    def _schedule_next_end(self) -> None:
        """Make an event of the next end that frees a machine."""
        if self._lingering is None:
            return
        at_s = self._lingering.next_free_s()
        self._next_end += 1
        if at_s < np.inf:
            end = self.env.timeout(_delay_s(self.env.now, at_s), self._next_end)
            end.callbacks.append(self._on_next_end)

    def _on_next_end(self, event: simpy.Event) -> None:
        if event.value == self._next_end:
            self._catch_up()

    def _catch_up(self) -> None:
        """Let everything end that has ended by now."""
        while self._lingering is not None and self._lingering.next_end_s <= self.env.now:
            index, passed = self._lingering.pass_until(self.env.now)
            if len(passed):
                self.log.extend(passed)
            if index >= 0:
                self._on_end(index)

    def _task_ended(self, node: int) -> None:
        job = self.problem.job_of.item(node)
        self.state.unfinished[job] -= 1
        if self.state.unfinished[job] == 0:
            self._count_job_time(-1)
            self.done_s[job] = self.env.now
            self._left -= 1
            self._inside -= 1
            self.log.add(self.env.now, DONE, job)
            self._admit()

    def _dissolve(self, index: int, machine: _Machine, keep: int = 0) -> None:
        """Offer again what waits in a machine's queue, but for the first `keep` tasks."""
        state = self.state
        while len(machine.queue) > keep:
            state.unreserve(machine.queue.pop())
            self._waiting -= 1
        self._queued[index] = bool(machine.queue)
        if keep == 0 and machine.holds:
            machine.holds = False
            machine.version += 1
            self._pending_wakes -= 1
        self._expect_again(index, machine)
        state.open[index] = bool(state.up[index] and machine.node < 0 and not machine.queue)

    def _expect_again(self, index: int, machine: _Machine) -> None:
        """When the machine will be free, by what it serves and by what is in its queue."""
        state = self.state
        state.free_at_s[index] = self._clocks.expected_end_s[index] if machine.node >= 0 else self.env.now
        state.tail_node[index], state.tail_job[index] = machine.last_node, machine.last_job
        if machine.queue:
            state.extend(index, np.fromiter(machine.queue, np.int64, len(machine.queue)), self.env.now)

    # --- noise, slow-downs and failures

    def _draw_noise(self) -> None:
        """One factor per instance, whatever machine it will run on, so that every policy meets the same luck."""
        self._factor: NDArray[np.float64] | None = None
        self._lost_draws: dict[int, list[int]] = {}
        if self.scenario.noise > 0:
            instances = self.problem.instances
            self._first_draw = np.cumsum(instances) - instances
            draws = self.streams["noise"].standard_normal(int(instances.sum()))
            self._factor = 1.0 + self.scenario.noise * draws

    def _next_draw(self, node: int) -> int:
        """The lowest instance that neither runs nor has ended; one that was lost keeps its factor."""
        lost = self._lost_draws.get(node)
        if lost:
            return heappop(lost)
        started = self.problem.instances.item(node) - self.state.unstarted.item(node) - 1
        return self._first_draw.item(node) + started

    def _disturb(self) -> None:
        scenario = self.scenario
        for index in range(len(self._machines)):
            if scenario.slowdown_every_s < np.inf:
                self.env.process(self._slow_down(index))
            if scenario.failure_every_s < np.inf:
                self.env.process(self._fail(index))

    def _slow_down(self, index: int) -> Generator[simpy.Event, Any, None]:
        scenario, rng = self.scenario, self.streams[f"slowdowns/{index}"]
        while self._left:
            yield self.env.timeout(rng.exponential(scenario.slowdown_every_s))
            self._set_rate(index, scenario.slowdown_rate)
            yield self.env.timeout(rng.exponential(scenario.slowdown_s))
            self._set_rate(index, 1.0)

    def _set_rate(self, index: int, rate: float) -> None:
        machine = self._machines[index]
        machine.rate = rate
        if machine.work is not None:
            machine.work.set_rate(rate)

    def _fail(self, index: int) -> Generator[simpy.Event, Any, None]:
        scenario, rng = self.scenario, self.streams[f"failures/{index}"]
        while self._left:
            yield self.env.timeout(rng.exponential(scenario.failure_every_s))
            if self._left:
                self._take_down(index)
                yield self.env.timeout(rng.exponential(scenario.repair_s))
                self._bring_up(index)

    def _take_down(self, index: int) -> None:
        machine, state = self._machines[index], self.state
        self.log.add(self.env.now, DOWN, -1, index)
        if machine.work is not None:
            machine.work.stop()
            machine.work = None
            self.busy_s[index] += self.env.now - self._clocks.since_s.item(index)
            self.lost_instances += 1
            self.log.add(self.env.now, LOST, machine.node, index)
            state.lose(machine.node)
            heappush(self._lost_draws.setdefault(machine.node, []), machine.draw)
            machine.node = NOBODY
            self._pending_wakes -= 1
        state.up[index] = False
        machine.last_node = machine.last_job = NOBODY
        self._dissolve(index, machine)
        self._all_up = False
        self._pending_wakes += 1
        self._wake()

    def _bring_up(self, index: int) -> None:
        state = self.state
        self.log.add(self.env.now, UP, -1, index)
        state.up[index] = True
        state.open[index] = True
        state.free_at_s[index] = self.env.now
        self._all_up = bool(state.up.all())
        self._pending_wakes -= 1
        self._wake()

    # --- costs and metrics

    @property
    def busy_s(self) -> NDArray[np.float64]:
        """Seconds that each machine has spent on instances that have ended or were lost, shape (M,)."""
        return self._clocks.busy_s

    @property
    def transferred_bytes(self) -> float:
        """What has been sent from one machine to another."""
        return float(self._clocks.transferred_bytes[0])

    @property
    def ended_s(self) -> float:
        """When the last job ended; now, while any is unfinished."""
        return self.env.now if self._left else float(self.done_s.max())

    def cost(self, name: str) -> float:
        """A cost so far, which only grows.

        job_time: seconds that jobs have spent in the system, waiting outside included, summed over jobs.
        makespan: seconds since the first arrival, until the last job has ended.
        energy: joules of all machines since then.
        """
        if name == "job_time":
            return self._job_time_s + self._in_system * (self.env.now - self._job_time_until_s)
        if name == "makespan":
            return max(0.0, self.ended_s - float(self.workload.arrival_s[0]))
        if name == "energy":
            return self.energy_j()
        raise ConfigError(f"there is no cost {name!r}; choose one of {', '.join(COSTS)}")

    def energy_j(self) -> float:
        """Joules since the first arrival: idle power all the time, and what busy adds to it."""
        machines, now_s = self.workload.machines, self.env.now
        runs = np.array([machine.node >= 0 for machine in self._machines])
        busy_s = self.busy_s + np.where(runs, now_s - self._clocks.since_s, 0.0)
        return float(
            (busy_s * (machines.busy_w - machines.idle_w)).sum() + self.cost("makespan") * machines.idle_w.sum()
        )

    def raw(self) -> dict[str, Any]:
        """The plain quantities now, from which any other reward can be computed."""
        return {
            "time_s": self.env.now,
            "jobs_in_system": self._in_system,
            "jobs_done": len(self.done_s) - self._left,
            "job_time_s": self.cost("job_time"),
        }

    def metrics(self) -> dict[str, float]:
        """The figures of the episode so far; see `clustersim.dag_figures`."""
        return episode_metrics(self)


def _delay_s(now_s: float, at_s: float) -> float:
    """What to wait for so that a time is reached: the plain difference, added to now, may round to just before it."""
    delay_s = max(0.0, at_s - now_s)
    while now_s + delay_s < at_s:
        delay_s = nextafter(delay_s, np.inf)
    return delay_s
