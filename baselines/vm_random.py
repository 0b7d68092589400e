"""Random rescheduling: a random VM that may be migrated, to a random machine that may take it, again and again.

What an agent of "VMR2L" (EuroSys'25, arXiv 2505.17359) does before it has learned anything but the rules.
"""

from __future__ import annotations

import numpy as np

from clustersim.vm_plan import Move, MovePlan, Task


class RandomMoves:
    """Uses the whole migration number limit, as long as anything may move; the landing rule picks the NUMA node."""

    def __call__(self, task: Task, rng: np.random.Generator) -> MovePlan:
        state = task.state()
        vms, machines = np.zeros(state.rows, dtype=np.bool_), np.zeros(state.machines, dtype=np.bool_)
        moves = []
        for _ in range(task.mnl):
            if not state.vm_mask(vms):
                break
            vm = int(rng.choice(np.flatnonzero(vms)))
            state.pm_mask(vm, machines)
            pm = int(rng.choice(np.flatnonzero(machines)))
            move = Move(vm, pm, state.landing(vm, pm))
            state.move(*move)
            moves.append(move)
        return MovePlan(tuple(moves))
