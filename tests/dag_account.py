"""The rules of DAG scheduling in plain Python: an episode's log is played again, question by question.

Nothing is taken over from the simulation but what happened, what was asked and what was answered. Every event has to be
allowed, everything that was due has to have happened, and every question has to show what there was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import ceil, floor, inf, nan
from statistics import mean
from typing import Any

import pytest
from dag_episodes import Asked, Episode, Event

from clustersim.streams import Streams

NEAR_S = 1e-9


@dataclass
class PlainMachine:
    down_s: list[tuple[float, float]]
    slow_s: list[tuple[float, float]]
    up: bool = True
    node: int | None = None
    draw: int = -1
    started_s: float = 0.0
    expected_end_s: float = 0.0
    end_s: float = inf
    last_node: int | None = None
    last_job: int | None = None
    queue: list[int] = field(default_factory=list)
    holds: bool = False
    due: int | None = None  # what has to start before anything else happens on the machine
    busy_s: float = 0.0

    @property
    def idle(self) -> bool:
        return self.up and self.node is None and self.due is None and not self.queue


class Account:
    """An episode played again; it is over and its figures are complete when this has been made."""

    def __init__(self, episode: Episode) -> None:
        simulation = episode.simulation
        self.rules = simulation.scenario
        self.workload = simulation.workload
        self.late = self.rules.binding == "late"
        self.links = self.workload.machines
        self.job_of, self.task_of, self.first_node = [], [], []
        for j, of_job in enumerate(self.workload.jobs):
            self.first_node.append(len(self.job_of))
            self.job_of += [j] * len(of_job)
            self.task_of += range(len(of_job))
        nodes = len(self.job_of)
        self.preds: list[dict[int, float]] = [{} for _ in range(nodes)]
        for j, of_job in enumerate(self.workload.jobs):
            for (source, target), amount in zip(of_job.edges.tolist(), of_job.data_bytes.tolist(), strict=True):
                self.preds[self.first_node[j] + target][self.first_node[j] + source] = amount
        self.instances = [int(self.of_task("instances", node)) for node in range(nodes)]
        self.ended_at: list[list[tuple[int, float]]] = [[] for _ in range(nodes)]
        self.running, self.reserved = [0] * nodes, [0] * nodes
        self.free_draws = [list(range(count)) for count in self.instances]
        self.draws_s = self._draws(episode.seed, nodes)
        until_s = episode.events[-1][0] + 1.0
        rules = self.rules
        self.machines = [
            PlainMachine(
                _alternating(episode.seed, f"failures/{m}", rules.failure_every_s, rules.repair_s, until_s),
                _alternating(episode.seed, f"slowdowns/{m}", rules.slowdown_every_s, rules.slowdown_s, until_s),
            )
            for m in range(len(self.links))
        ]
        jobs = len(self.workload.jobs)
        self.arrived_s, self.admitted_s, self.done_s = [inf] * jobs, [inf] * jobs, [inf] * jobs
        self.outside: list[int] = []
        self.now_s = 0.0
        self.stirred = self.asking = self.waited = False
        self.assigning: int | None = None
        self.bytes = 0.0
        self.lost = 0
        self._play(episode)

    # --- what is given

    def of_task(self, name: str, node: int) -> Any:
        return getattr(self.workload.jobs[self.job_of[node]], name)[self.task_of[node]]

    def _draws(self, seed: int, nodes: int) -> list[list[float]] | None:
        if not self.rules.noise:
            return None
        draws = iter(Streams(seed)["noise"].standard_normal(sum(self.instances)).tolist())
        return [[next(draws) for _ in range(self.instances[node])] for node in range(nodes)]

    def can_run(self, node: int, m: int) -> bool:
        return bool(self.of_task("run_time_s", node)[m] < inf)

    def finished(self, node: int) -> bool:
        return len(self.ended_at[node]) == self.instances[node]

    def unstarted(self, node: int) -> int:
        return self.instances[node] - len(self.ended_at[node]) - self.running[node]

    def waiting_for(self, node: int) -> int:
        admitted = self.admitted_s[self.job_of[node]] < inf
        return sum(not self.finished(source) for source in self.preds[node]) + (not admitted)

    def ready(self) -> list[int]:
        nodes = range(len(self.job_of))
        return [n for n in nodes if self.waiting_for(n) == 0 and self.unstarted(n) > self.reserved[n]]

    def data_at_s(self, node: int, m: int) -> float:
        """Every instance sends an equal share to every instance, the moment it ends."""
        at_s = 0.0
        for source, amount in self.preds[node].items():
            share = amount / (self.instances[source] * self.instances[node])
            for where, end_s in self.ended_at[source]:
                at_s = max(at_s, end_s + self.links.latency_s[where, m] + share * self.links.s_per_byte[where, m])
        return at_s

    def takes_s(self, node: int, m: int, last_node: int | None, last_job: int | None) -> tuple[float, float]:
        """(what noise scales, what it does not): run time with warm-up, and the switch to another job."""
        run_s = float(self.of_task("run_time_s", node)[m])
        if last_node == node:
            return run_s, 0.0
        switches = last_job is not None and last_job != self.job_of[node]
        return run_s + float(self.of_task("warm_up_s", node)), self.workload.switch_s if switches else 0.0

    # --- what happens

    def _play(self, episode: Episode) -> None:
        asked, events = list(episode.asked), episode.events
        for index, event in enumerate(events):
            while asked and asked[0].events_before == index:
                self._question(asked.pop(0))
            self._event(event)
        for question in asked:
            self._question(question)
        self._advance(inf)
        assert inf not in self.done_s, "a job is not done"

    def _advance(self, time_s: float) -> None:
        assert time_s >= self.now_s, "the log goes back in time"
        if time_s == self.now_s:
            return
        self._close_instant()
        for m, machine in enumerate(self.machines):
            if machine.node is not None:
                assert machine.end_s >= time_s - NEAR_S, f"node {machine.node} did not end on machine {m}"
            if machine.holds:
                assert self.data_at_s(machine.queue[0], m) >= time_s - NEAR_S, f"machine {m} went on waiting for data"
            if machine.down_s and inf in self.done_s:
                assert machine.down_s[0][not machine.up] >= time_s - NEAR_S, f"machine {m} did not fail or come back"
        for j, at_s in enumerate(self.workload.arrival_s.tolist()):
            assert self.arrived_s[j] < inf or at_s >= time_s, f"job {j} did not arrive"
        self.now_s = time_s

    def _close_instant(self) -> None:
        if self.stirred:
            self._begin_round()
        assert not self.asking, "a round ended although there was something to ask"
        assert self.assigning is None
        for m, machine in enumerate(self.machines):
            assert machine.due is None, f"node {machine.due} did not start on machine {m}"
            assert machine.node is not None or machine.holds or not machine.queue, f"machine {m} neglects its queue"
        full = self.rules.max_jobs is not None and self._inside() >= self.rules.max_jobs
        assert full or not self.outside, f"job {self.outside} was not admitted"
        for j, first in enumerate(self.first_node):
            nodes = range(first, first + len(self.workload.jobs[j]))
            assert (self.done_s[j] < inf) == all(self.finished(node) for node in nodes)

    def _inside(self) -> int:
        return sum(at_s < inf for at_s in self.admitted_s) - sum(at_s < inf for at_s in self.done_s)

    def _has_machine(self, node: int) -> bool:
        return any(machine.up and self.can_run(node, m) for m, machine in enumerate(self.machines))

    def _some_can_start(self) -> bool:
        ready = self.ready()
        return any(
            machine.idle and any(self.can_run(node, m) for node in ready) for m, machine in enumerate(self.machines)
        )

    def _begin_round(self) -> None:
        self.stirred = self.waited = False
        if self.late:
            for machine in self.machines:
                machine.holds = False
                self._dissolve(machine)
        self._go_on()

    def _go_on(self) -> None:
        """Ask again, or end the round."""
        self.asking = not self.waited and (
            self._some_can_start() if self.late else any(self._has_machine(node) for node in self.ready())
        )
        if self.late and not self.asking:
            for machine in self.machines:
                self._dissolve(machine, keep=machine.holds)

    def _dissolve(self, machine: PlainMachine, keep: int = 0) -> None:
        while len(machine.queue) > keep:
            self.reserved[machine.queue.pop()] -= 1

    def _event(self, event: Event) -> None:
        time_s, kind, subject, m = event
        self._advance(time_s)
        if kind in ("arrive", "admit", "done"):
            assert m == -1
            getattr(self, f"_{kind}")(subject)
            self.stirred = True
        elif kind in ("up", "down"):
            assert subject == -1
            self._turn(m, kind == "up")
        else:
            getattr(self, f"_{kind}")(subject, m, self.machines[m])

    def _arrive(self, j: int) -> None:
        assert self.now_s == self.workload.arrival_s[j]
        assert self.arrived_s[j] == inf
        assert all(at_s < inf for at_s in self.arrived_s[:j]), "a job arrived before an earlier one"
        self.arrived_s[j] = self.now_s
        self.outside.append(j)

    def _admit(self, j: int) -> None:
        assert self.outside[0] == j, "a job was admitted before an earlier one"
        assert self.rules.max_jobs is None or self._inside() < self.rules.max_jobs
        self.outside.pop(0)
        self.admitted_s[j] = self.now_s

    def _done(self, j: int) -> None:
        assert self.done_s[j] == inf
        self.done_s[j] = self.now_s

    def _turn(self, m: int, up: bool) -> None:
        machine = self.machines[m]
        assert machine.up != up
        down_s, up_s = machine.down_s[0]
        assert self.now_s == pytest.approx(up_s if up else down_s, abs=NEAR_S)
        machine.up = up
        self.stirred = True
        if up:
            machine.down_s.pop(0)
        else:
            machine.holds = False
            machine.last_node = machine.last_job = None
            self._dissolve(machine)

    def _lost(self, node: int, m: int, machine: PlainMachine) -> None:
        assert not machine.up
        assert machine.node == node
        self.lost += 1
        heappush(self.free_draws[node], machine.draw)
        self._leave(machine)

    def _leave(self, machine: PlainMachine) -> None:
        assert machine.node is not None
        self.running[machine.node] -= 1
        machine.busy_s += self.now_s - machine.started_s
        machine.node = None
        machine.end_s = inf

    def _start(self, node: int, m: int, machine: PlainMachine) -> None:
        assert machine.up, f"node {node} started on machine {m}, which is down"
        assert machine.node is None, f"node {node} started on machine {m} beside node {machine.node}"
        assert self.waiting_for(node) == 0, f"node {node} started before its predecessors ended"
        if machine.holds:
            assert self.now_s == pytest.approx(self.data_at_s(node, m), abs=NEAR_S)
            assert node == machine.queue.pop(0)
            machine.holds = False
        else:
            assert machine.due == node, f"node {node} started on machine {m} without a reason"
            assert self.data_at_s(node, m) <= self.now_s, f"node {node} started before its data were there"
            machine.due = None
        self.reserved[node] -= 1
        self.running[node] += 1
        machine.draw = heappop(self.free_draws[node])
        scaled_s, fixed_s = self.takes_s(node, m, machine.last_node, machine.last_job)
        machine.expected_end_s = self.now_s + scaled_s + fixed_s
        if self.draws_s is not None:
            factor = 1.0 + self.rules.noise * self.draws_s[node][machine.draw]
            scaled_s = max(self.rules.noise_floor_s, scaled_s * factor)
        machine.end_s = _end_s(self.now_s, scaled_s + fixed_s, machine.slow_s, self.rules.slowdown_rate)
        machine.node = machine.last_node = node
        machine.last_job = self.job_of[node]
        machine.started_s = self.now_s
        for source, amount in self.preds[node].items():
            share = amount / (self.instances[source] * self.instances[node])
            self.bytes += share * sum(where != m for where, _ in self.ended_at[source])

    def _end(self, node: int, m: int, machine: PlainMachine) -> None:
        assert machine.node == node, f"node {node} ended on machine {m}, which ran {machine.node}"
        assert self.now_s == pytest.approx(machine.end_s, abs=NEAR_S), f"node {node} took another time"
        self._leave(machine)
        self.ended_at[node].append((m, self.now_s))
        if self.rules.linger and not machine.queue and self.unstarted(node) > self.reserved[node]:
            self.reserved[node] += 1
            machine.due = node
            return
        self.stirred = True
        if machine.queue and not self.late:
            self._serve(m, machine)

    def _serve(self, m: int, machine: PlainMachine) -> None:
        if self.data_at_s(machine.queue[0], m) > self.now_s:
            machine.holds = True
        else:
            machine.due = machine.queue.pop(0)

    # --- what is asked

    def _question(self, asked: Asked) -> None:
        self._advance(asked.time_s)
        assert all(machine.due is None for machine in self.machines)
        if self.stirred:
            assert self.assigning is None, "something happened between the choice of a task and that of its machine"
            self._begin_round()
        assert self.asking, "a question was asked although the round was over"
        self._compare(asked)
        count, nodes = len(self.machines), len(self.job_of)
        ready = self.ready()
        pairs = [n in ready and self.machines[m].up and self.can_run(n, m) for n in range(nodes) for m in range(count)]
        if asked.role == "assign":
            node = asked.subject
            assert node == self.assigning
            assert asked.mask == pairs[node * count : (node + 1) * count]
            self.assigning = None
            self._put(node, asked.answer)
            return
        assert self.assigning is None
        assert asked.subject is None
        if asked.role == "order":
            offered = [any(pairs[node * count : (node + 1) * count]) for node in range(nodes)]
        else:
            offered = pairs
        assert asked.mask == [*offered, self._something_to_wait_for()]
        if asked.answer == len(offered):
            self.waited = True
            self._go_on()
        elif asked.role == "order":
            self.assigning = asked.answer
        else:
            self._put(*divmod(asked.answer, count))

    def _something_to_wait_for(self) -> bool:
        return any(at_s == inf for at_s in self.arrived_s) or any(
            machine.node is not None or machine.holds or not machine.up for machine in self.machines
        )

    def _put(self, node: int, m: int) -> None:
        machine = self.machines[m]
        self.reserved[node] += 1
        machine.queue.append(node)
        if machine.node is None and not machine.holds:
            self._serve(m, machine)
        self._go_on()

    def _compare(self, asked: Asked) -> None:
        seen, nodes, machines = asked.seen, range(len(self.job_of)), self.machines
        left = [
            sum(not self.finished(node) for node in nodes if self.job_of[node] == j)
            for j in range(len(self.workload.jobs))
        ]
        expected = {
            "arrival_s": self.workload.arrival_s.tolist(),
            "ready": self.ready(),
            "unstarted": [self.unstarted(node) for node in nodes],
            "reserved": self.reserved,
            "running": self.running,
            "waiting_for": [self.waiting_for(node) for node in nodes],
            "finished": [self.finished(node) for node in nodes],
            "up": [machine.up for machine in machines],
            "open": [machine.idle for machine in machines],
            "unfinished": left,
            "admitted": [at_s < inf for at_s in self.admitted_s],
            "tail_node": [
                _or_nobody(machine.queue[-1] if machine.queue else machine.last_node) for machine in machines
            ],
            "tail_job": [
                _or_nobody(self.job_of[machine.queue[-1]] if machine.queue else machine.last_job)
                for machine in machines
            ],
            "data_at_s": [[self.data_at_s(node, m) for m in range(len(machines))] for node in nodes],
        }
        for name, value in expected.items():
            assert seen[name].tolist() == value, f"{name} is not what it should be"
        for m, machine in enumerate(machines):
            if machine.node is None or machine.expected_end_s >= self.now_s:
                free_s = max(self.now_s, seen["free_at_s"][m])
                assert free_s == pytest.approx(self._free_at_s(m, machine), abs=NEAR_S), f"machine {m} is free when?"

    def _free_at_s(self, m: int, machine: PlainMachine) -> float:
        free_s = self.now_s if machine.node is None else machine.expected_end_s
        last_node, last_job = machine.last_node, machine.last_job
        for node in machine.queue:
            free_s = max(free_s, self.data_at_s(node, m)) + sum(self.takes_s(node, m, last_node, last_job))
            last_node, last_job = node, self.job_of[node]
        return free_s


def _or_nobody(value: int | None) -> int:
    return -1 if value is None else value


def _alternating(seed: int, cause: str, every_s: float, lasting_s: float, until_s: float) -> list[tuple[float, float]]:
    """(begin, end) of what happens again and again and lasts."""
    rng, times, now_s = Streams(seed)[cause], [], 0.0
    while every_s < inf and now_s < until_s:
        begin_s = now_s + rng.exponential(every_s)
        now_s = begin_s + rng.exponential(lasting_s)
        times.append((begin_s, now_s))
    return times


def _end_s(start_s: float, amount: float, slow_s: list[tuple[float, float]], rate: float) -> float:
    """When the integral of the rate since the start reaches the amount."""
    now_s = start_s
    for begin_s, end_s in slow_s:
        if now_s < begin_s:
            if amount <= begin_s - now_s:
                break
            amount -= begin_s - now_s
            now_s = begin_s
        if now_s < end_s:
            if amount <= (end_s - now_s) * rate:
                return now_s + amount / rate
            amount -= (end_s - now_s) * rate
            now_s = end_s
    return now_s + amount


def figures(account: Account) -> dict[str, float]:
    """The metrics of an episode that is over, from its account."""
    links, arrival_s = account.links, account.workload.arrival_s.tolist()
    jobs, count = range(len(arrival_s)), len(account.links)
    makespan_s = max(account.done_s) - arrival_s[0]
    ideal_s = [_critical_path_s(account, j) for j in jobs]
    jct_s = [account.done_s[j] - arrival_s[j] for j in jobs]
    slowdown = [jct_s[j] / ideal_s[j] for j in jobs if ideal_s[j] > 0]
    bound_s = max(arrival_s[j] + ideal_s[j] for j in jobs) - arrival_s[0]
    busy_s = [machine.busy_s for machine in account.machines]
    energy_j = sum(links.busy_w[m] * busy_s[m] + links.idle_w[m] * (makespan_s - busy_s[m]) for m in range(count))
    return {
        "makespan": makespan_s,
        "jct_s_mean": mean(jct_s),
        "slowdown_mean": mean(slowdown) if slowdown else nan,
        "slr": makespan_s / bound_s if bound_s else nan,
        "utilization": sum(busy_s) / (count * makespan_s) if makespan_s else nan,
        "energy_j": energy_j,
        "edp_js": energy_j * makespan_s,
        "transferred_bytes": account.bytes,
        "jobs_done": len(jobs),
        "lost_instances": account.lost,
        "time_in_system_s_mean": mean(account.done_s[j] - account.admitted_s[j] for j in jobs),
        **{f"jct_s_p{share}": _percentile(jct_s, share) for share in (50, 95, 99)},
    }


def _critical_path_s(account: Account, j: int) -> float:
    """Every instance on its fastest machine, as many at once as there are machines, and no data."""
    first = account.first_node[j]
    nodes = range(first, first + len(account.workload.jobs[j]))

    def after_s(node: int) -> float:
        rounds = ceil(account.instances[node] / len(account.machines))
        here_s = account.of_task("warm_up_s", node) + rounds * min(account.of_task("run_time_s", node))
        return float(here_s + max((after_s(child) for child in nodes if node in account.preds[child]), default=0.0))

    return max(after_s(node) for node in nodes)


def _percentile(values: list[float], share: float) -> float:
    """Between the two closest ranks, in proportion."""
    place = (len(values) - 1) * share / 100
    low, high = sorted(values)[floor(place)], sorted(values)[ceil(place)]
    return low + (high - low) * (place - floor(place))
