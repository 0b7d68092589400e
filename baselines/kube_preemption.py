"""The preemption of kube-scheduler: on which node less important pods make room, and which of them.

The victims on every node that could make room are those of `clustersim.preemption`; of the nodes one is picked whose
eviction hurts least. Every node is tried (kube-scheduler stops at a tenth of them, but not below 100). There are no
nominated nodes and no grace periods here: victims go at once, and the pod is bound.
Source: kubernetes/kubernetes, pkg/scheduler/framework/preemption (pickOneNodeForPreemption) and
plugins/defaultpreemption, Apache-2.0 (formulas only).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.control import Decision
from clustersim.preemption import victims_by_reprieve

PRIORITY_OFFSET = 1 << 31
"""Added to each priority in a sum, so that fewer victims of negative priority make a smaller one."""


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


def pick_node(
    node: NDArray[np.int64],
    priority: NDArray[np.int64],
    started_s: NDArray[np.float64],
    violates: NDArray[np.bool_] | None = None,
) -> int:
    """The node whose victims hurt least; all arrays are (V,), one entry per victim on any node.

    In this order: the fewest victims that violate a disruption budget; the lowest highest priority; the smallest sum
    of priorities; the fewest victims; the latest start among the nodes' earliest of their highest priority; the
    lowest index.
    """
    nodes, at = np.unique(node, return_inverse=True)
    violations = np.zeros(len(nodes), dtype=np.int64)
    if violates is not None:
        np.add.at(violations, at, violates)
    highest = np.full(len(nodes), np.iinfo(np.int64).min)
    np.maximum.at(highest, at, priority)
    total = np.zeros(len(nodes), dtype=np.int64)
    np.add.at(total, at, priority + PRIORITY_OFFSET)
    count = np.bincount(at)
    earliest_s = np.full(len(nodes), np.inf)
    top = priority == highest[at]
    np.minimum.at(earliest_s, at[top], started_s[top])
    return int(nodes[np.lexsort((nodes, -earliest_s, count, total, highest, violations))[0]])
