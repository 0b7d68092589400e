"""A trained agent tells `lns` where to look: on the machines that the agent would have a hand on next.

Source of learned neighbourhoods: Song, Lanka, Yue, Dilkina 2020 (arXiv 2004.00422).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clustersim.agents.two_stage import TwoStage, look_for_node, look_for_vm
from clustersim.agents.vm_player import load
from clustersim.vm_fleet import Ints
from clustersim.vm_plan import Move, Task

LIKELY_VMS = 8
"""Classes of VMs whose destinations are looked at."""


class LearnedChooser:
    """Draws `share` of the machines, at least two, by how likely the agent is to move a VM from or to them.

    A floor keeps every machine possible: `blind` is the share of the probability that is spread over all of them.
    """

    def __init__(self, agent: Path | TwoStage, share: float = 0.25, blind: float = 0.3) -> None:
        self.network = agent if isinstance(agent, TwoStage) else load(agent)
        self.share = share
        self.blind = blind
        self._task: Task | None = None

    def __call__(self, task: Task, plan: tuple[Move, ...], rng: np.random.Generator) -> Ints:
        if task is not self._task:  # a look costs as much as thousands of steps of the search
            self._task, self._chance = task, self._involved(task)
        machines = len(self._chance)
        count = min(machines, max(2, round(self.share * machines)))
        drawn = rng.choice(machines, count, replace=False, p=self._chance)
        of_plan = [move.pm for move in plan] + [int(task.snapshot.host[move.vm]) for move in plan]
        return np.unique(np.concatenate([drawn, np.array(of_plan, dtype=np.int64)]))

    def _involved(self, task: Task) -> NDArray[np.float64]:
        """(P,) chances that sum to 1."""
        state = task.state()
        machines = state.machines
        with torch.inference_mode():
            first = look_for_vm(self.network, [state], [0], [task.mnl])
            likely = first.vm_log_p[0].topk(min(LIKELY_VMS, first.vm_log_p.shape[1]))
            leaves = first.vm_log_p[0].exp().view(machines, -1).sum(1).double()
            arrives = torch.zeros(machines, dtype=torch.float64)
            for log_p, chosen in zip(likely.values, likely.indices, strict=True):
                if log_p.isfinite():
                    node = look_for_node(self.network, first, [state], chosen[None])
                    arrives += log_p.exp() * node.log_p[0].exp().view(machines, 2).sum(1)
        chance: NDArray[np.float64] = (leaves / leaves.sum() + arrives / arrives.sum()).numpy() / 2
        return (1 - self.blind) * chance + self.blind / machines
