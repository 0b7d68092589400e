"""Replay in which pods that run may be stopped: preempted one by one, or moved and evicted by a plan for all."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf
from typing import TYPE_CHECKING

import numpy as np
import simpy
from numpy.typing import NDArray

from clustersim.cluster import ClusterView
from clustersim.control import NO_CANDIDATE, Role
from clustersim.errors import IllegalAnswer
from clustersim.fragmentation import FragmentationView
from clustersim.packing import NOWHERE, Plan, evicted, moved, placed_by_tier
from clustersim.pods import Pod
from clustersim.preemption import first_with_hope, nodes_that_could_make_room, victims_by_reprieve, why_no_victims
from clustersim.running_pods import RunningView
from clustersim.scenarios.pod_replay import PodReplay
from clustersim.scenarios.pod_snapshot import Snapshot, take_snapshot, why_no_plan
from clustersim.scenarios.pod_world import CARRY_OUT, EVICT, MOVE, PREEMPT, PREEMPTED, REPLAN

if TYPE_CHECKING:
    from clustersim.scenarios.pod_placement import PodPlacement


@dataclass(frozen=True, slots=True, eq=False)
class ReschedulingView:
    """What a policy of `preempt` or `replan` may read: what a placement policy reads, and the running pods."""

    cluster: ClusterView
    fragmentation: FragmentationView
    running: RunningView


class PodRescheduling(PodReplay):
    """An episode in which a pod may get its node more than once.

    A pod that is stopped goes at once: there is no grace period. Evicted, it is pending again, with its old place in
    the queue; moved, it starts on its new node at the same instant. Either way it pays its start-up again.
    """

    def __init__(self, scenario: PodPlacement, seed: int) -> None:
        super().__init__(scenario, seed)
        view = ReschedulingView(self.view.cluster, self.view.fragmentation, self.running.view)
        self._nobody = len(self.cluster)
        self._preempt_role = Role(PREEMPT, "cluster", len(self.cluster) + 1, view, self._legal_preemption)
        self._replan_role = Role(REPLAN, "cluster", 2, view, _both)
        self.evictions = 0
        self.moves = 0
        self.preemptions = 0
        self.plans_carried_out = 0
        self.plans_kept = 0
        self._asked_for_plan_s = -inf
        self._tick = -1  # number of the last tick that was scheduled
        self._tick_ahead = False

    # --- stopping

    def _stop(self, pod: Pod, kind: int) -> None:
        binding = self.running.stop(pod)
        self.cluster.release(binding)
        self.placed_pods -= 1
        self._account(binding, -1)
        self.log.add(self.env.now, kind, pod.row, binding.node)
        self._released.append(binding.node)

    def _evict(self, pod: Pod) -> None:
        self._stop(pod, EVICT)
        self.evictions += 1
        self._leaving -= pod.duration_s < inf
        self._enqueue(pod)

    # --- preemption

    def _first_fitting(self, rows: NDArray[np.int64], nodes: NDArray[np.int64]) -> int:
        if self.scenario.preemption:
            return first_with_hope(rows, nodes, self.cluster.view, self.running.view)
        return super()._first_fitting(rows, nodes)

    def _legal_preemption(self, pod: Pod, out: NDArray[np.bool_]) -> bool:
        found = nodes_that_could_make_room(pod, self.cluster.view, self.running.view, out)
        out[-1] = found
        return found

    def _fits_nowhere(self, pod: Pod) -> None:
        if self.scenario.preemption:
            self.control.ask(self._preempt_role, pod, self._answer_preemption)
        else:
            super()._fits_nowhere(pod)

    def _answer_preemption(self, node: int, victims: tuple[int, ...] | None) -> None:
        if node in (NO_CANDIDATE, self._nobody):
            self._keep_pending(waited=node == self._nobody)
            return
        pod = self._subject
        rows = self._victims(pod, node, victims)
        self._pending.remove()
        self.preemptions += 1
        self.log.add(self.env.now, PREEMPTED, pod.row, node, len(rows))
        for row in rows:
            self._evict(self._pods.pods[row])
        self._place(pod, node, None)
        self._remember()
        self._want_round()  # the victims are pending, and others may fit on what is left of their node
        self.control.settle(self._offer_next)

    def _victims(self, pod: Pod, node: int, named: tuple[int, ...] | None) -> list[int]:
        cluster, running = self.cluster.view, self.running.view
        if named is None:
            victims = victims_by_reprieve(pod, np.arange(len(self.cluster)) == node, cluster, running)
            return np.flatnonzero(victims).tolist()
        problem = why_no_victims(pod, node, named, cluster, running)
        if problem:
            raise IllegalAnswer(f"{pod} cannot preempt {named} on node {cluster.names[node]!r}: {problem}")
        return list(named)

    # --- plans

    def _want_round(self) -> None:
        if self.scenario.replan == "periodic":
            self._want_tick()
        else:
            super()._want_round()

    def _want_tick(self) -> None:
        """Ask for a plan at the next multiple of the period at which nobody was asked yet, which may be now."""
        if self._tick_ahead:
            return
        self._tick_ahead = True
        period_s = self.scenario.replan_every_s
        self._tick = max(self._tick + 1, ceil(self.env.now / period_s))
        # max: the division may have rounded down.
        delay_s = max(0.0, self._tick * period_s - self.env.now)
        self.env.timeout(delay_s).callbacks.append(self._on_tick)

    def _on_tick(self, _event: simpy.Event) -> None:
        self.control.settle(self._plan_at_tick)

    def _plan_at_tick(self) -> None:
        self._tick_ahead = False
        self._released.clear()  # nobody is offered a node
        self._ask_for_plan()

    def _round_over(self) -> None:
        # A round is due to an arrival or a departure, or to a plan of this instant, which must not lead to another.
        if self.scenario.replan == "pending" and len(self._pending) and self.env.now > self._asked_for_plan_s:
            self._ask_for_plan()

    def _ask_for_plan(self) -> None:
        self._asked_for_plan_s = self.env.now
        snapshot = take_snapshot(
            self.cluster.view, self.running.view, self.scenario.workload.pods.name, self._pending.rows
        )
        self.control.ask(self._replan_role, snapshot, lambda k, plan: self._answer_plan(snapshot, k, plan))

    def _answer_plan(self, snapshot: Snapshot, choice: int, plan: Plan | None) -> None:
        if choice != CARRY_OUT:
            self.plans_kept += 1
            return
        problem = why_no_plan(snapshot, plan)
        if plan is None or problem:
            raise IllegalAnswer(f"the plan at t={self.env.now} s cannot be carried out: {problem}")
        self.plans_carried_out += 1
        self._carry_out(snapshot, plan)
        packing = snapshot.packing
        # A period without arrivals and departures is worth another plan only if this one has placed more important
        # pods than before; that cannot go on for ever.
        better = placed_by_tier(packing, plan.node) > placed_by_tier(packing, packing.home)
        if len(self._pending) and (better or self.scenario.replan == "pending"):
            self._want_round()

    def _carry_out(self, snapshot: Snapshot, plan: Plan) -> None:
        """Everything that goes goes first, then everything that comes is bound, so that pods can change places."""
        packing, pods = snapshot.packing, [self._pods.pods[row] for row in snapshot.rows.tolist()]
        moves, evictions = moved(packing, plan), evicted(packing, plan)
        placements = (packing.home == NOWHERE) & (plan.node != NOWHERE)
        for i in np.flatnonzero(moves | evictions):
            if evictions[i]:
                self._evict(pods[i])
            else:
                self._stop(pods[i], MOVE)
                self.moves += 1
        self._pending.take(snapshot.rows[placements])
        # Shares first: their devices are planned, whereas whole GPUs are those that nobody has touched.
        coming = np.flatnonzero(moves | placements)
        for i in coming[np.argsort(~packing.shares[coming], kind="stable")]:
            node, device = int(plan.node[i]), int(plan.device[i]) if packing.shares[i] else None
            if placements[i]:
                self._place(pods[i], node, device)
            else:
                self.running.start(pods[i], self._bind(pods[i], node, device))
        self._remember()

    def metrics(self) -> dict[str, float]:
        """As in replay, and what was disturbed; `placed_p3` is the number of pods of priority 3 that run or have run.

        `lost_work_s`: seconds of work that stopped pods have to do again. `pending_p3`: pods of it that wait now.
        """
        figures = super().metrics()
        for name in ("evictions", "moves", "preemptions", "plans_carried_out", "plans_kept"):
            figures[name] = float(getattr(self, name))
        figures["lost_work_s"] = self.running.lost_work_s
        priority = self.scenario.workload.pods.priority
        for tier in np.unique(priority)[::-1]:
            arrived = int((priority[self.arrivals[: self.arrived_pods]] == tier).sum())
            pending = int((priority[self._pending.rows] == tier).sum())
            figures[f"placed_p{tier}"] = float(arrived - pending)
            figures[f"pending_p{tier}"] = float(pending)
        return figures


def _both(_snapshot: Snapshot, out: NDArray[np.bool_]) -> bool:
    out[:] = True
    return True
