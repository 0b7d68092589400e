"""Snapshots too large for one model are solved node group by node group.

The nodes are sorted by shape and cut into groups whose models stay below a limit. The groups are solved one after the
other: each with the pods that run on it and those that still wait. That gives up proofs, and moves between groups, for
bounded memory; the note of the solution says so. The model is that of "Priority Matters" (arXiv 2511.08373).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clustersim.baselines.constraint import Outcome, Solution, note_on, solve
from clustersim.baselines.constraint_budget import Limits
from clustersim.baselines.constraint_model import variables_per_node
from clustersim.packing import NOWHERE, Packing, Plan, placed_by_tier, stay

MOST_VARIABLES = 40_000
"""Of one model: it takes about 100 MiB and is built in 0.3 s."""


def solve_in_parts(packing: Packing, limits: Limits, most_variables: int = MOST_VARIABLES) -> Solution:
    """As `solve`, in as many parts as the limit on variables makes necessary; the window is divided among them."""
    per_node = variables_per_node(packing)
    if per_node.sum() <= most_variables:
        return solve(packing, limits)
    groups = list(_groups(packing, per_node, most_variables))
    part_limits = replace(limits, window_s=limits.window_s / len(groups))
    plan = stay(packing)
    node, device = plan.node.copy(), plan.device.copy()
    solutions = []
    for nodes in groups:
        pods = np.flatnonzero(np.isin(packing.home, nodes) | ((packing.home == NOWHERE) & (node == NOWHERE)))
        found = solve(packing.part(pods, nodes), part_limits)
        node[pods] = np.where(found.plan.node == NOWHERE, NOWHERE, nodes[found.plan.node])
        device[pods] = found.plan.device
        solutions.append(found)
    placed = placed_by_tier(packing, node)
    outcome: Outcome = "improved" if placed > placed_by_tier(packing, packing.home) else "failed"
    largest = max(map(len, groups))
    stages = tuple(report for found in solutions for report in found.stages)
    how = (
        f"decomposed into {len(groups)} groups of up to {largest} nodes, because one model would have "
        f"{int(per_node.sum()):,} variables and {most_variables:,} are allowed"
    )
    return Solution(
        Plan(node, device),
        stages,
        outcome,
        placed,
        sum(found.build_s for found in solutions),
        sum(found.solve_s for found in solutions),
        # Not the notes of the parts: what fits on no node of a group may fit on one of another.
        "; ".join(filter(None, (how, note_on(packing, stages)))),
        len(groups),
    )


def _groups(packing: Packing, per_node: NDArray[np.int64], most: int) -> Iterator[NDArray[np.int64]]:
    """Nodes by shape, cut where the next one would exceed the limit; a node alone may exceed it."""
    shape = (packing.memory_mib, packing.cpu_milli, packing.gpu_count, packing.model_bit)
    order = np.lexsort((np.arange(len(per_node)), *shape))
    order = order[(packing.cpu_milli + packing.memory_mib)[order] > 0]  # a group without capacity is no packing
    start, total = 0, 0
    for position, n in enumerate(order.tolist()):
        if total + per_node[n] > most and position > start:
            yield order[start:position]
            start, total = position, 0
        total += int(per_node[n])
    yield order[start:]
