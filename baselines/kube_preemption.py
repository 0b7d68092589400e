"""The preemption of kube-scheduler: on which node less important pods make room, and which of them.

The victims on every node that could make room are those of `clustersim.preemption`; of the nodes one is picked whose
eviction hurts least. Every node is tried (kube-scheduler stops at a tenth of them, but not below 100). There are no
nominated nodes and no grace periods here: victims go at once, and the pod is bound.
Source: kubernetes/kubernetes, pkg/scheduler/framework/preemption (pickOneNodeForPreemption) and
plugins/defaultpreemption, Apache-2.0 (formulas only).
"""

from __future__ import annotations

import numpy as np

from clustersim.control import Decision
from clustersim.preemption import pick_node, victims_by_reprieve


class KubePreemption:
    """Plays `preempt` as kube-scheduler does; there are no disruption budgets in this world."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        view = decision.view
        victims = np.flatnonzero(
            victims_by_reprieve(decision.subject, decision.mask[: len(view.cluster)], view.cluster, view.running)
        )
        homes = view.running.home[victims]
        node = pick_node(homes, view.running.priority[victims], view.running.started_s[victims])
        decision.detail = tuple(victims[homes == node].tolist())
        return node
