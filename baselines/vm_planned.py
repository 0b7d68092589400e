"""A planner as a policy: it plans once per call and answers the questions `vm` and `pm` move by move.

The interface of "VMR2L" (EuroSys'25, arXiv 2505.17359): a plan of at most MNL migrations, made on a snapshot.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter

import numpy as np

from clustersim.control import Decision
from clustersim.scenarios.vm_rescheduling import PICK_VM
from clustersim.vm_draft import Draft
from clustersim.vm_plan import Move, MovePlan, Planner


class PlannedMoves:
    """Plays both roles of a call. When its moves are at an end, VMs are picked that stay at home.

    `plans` and `seconds`: what every call of the episode led to, and how long the planner took.
    """

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.plans: list[MovePlan] = []
        self.seconds: list[float] = []
        self._left: deque[Move] = deque()

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.plans, self.seconds = [], []
        self._left.clear()

    def act(self, decision: Decision) -> int:
        draft: Draft = decision.subject
        if decision.role == PICK_VM:
            if draft.steps == 0:
                self._plan(draft)
            return self._left[0].vm if self._left else int(decision.mask.argmax())
        if not self._left:
            return int(draft.state.host[draft.chosen])
        move = self._left.popleft()
        decision.detail = move.numa
        return move.pm

    def _plan(self, draft: Draft) -> None:
        started_s = perf_counter()
        task, rows = draft.task()
        plan = self.planner(task, self._rng)
        self.seconds.append(perf_counter() - started_s)
        self.plans.append(plan)
        self._left = deque(Move(int(rows[vm]), pm, numa) for vm, pm, numa in plan.moves)
