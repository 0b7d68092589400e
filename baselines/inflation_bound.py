"""How much GPU could have been allocated, had all pods been known beforehand: a bracket around the optimum.

Small clusters go to CP-SAT as they are. For larger ones the bound comes from a relaxation: nodes of one shape lend
their capacity to each other, so integers count how many pods of a kind run on a shape. Devices are not lent quite so
freely: of shares above 1 / (k + 1) of a device at most k go on one (dual feasible functions: Fekete and Schepers 2001,
doi 10.1007/s101070100243). The best plan known is that of a local search, or of CP-SAT where it finds a better one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model

from clustersim.baselines.constraint_fill import fill
from clustersim.baselines.constraint_model import PackingModel, variables_per_node
from clustersim.baselines.constraint_start import place_more
from clustersim.cluster import ACCEPTED, CPU, GPU_SHARE, MEMORY, NUM_GPU, ClusterView
from clustersim.packing import NOWHERE, Packing, stay
from clustersim.workload import GPU_MILLI

MOST_PER_DEVICE = 4
"""Up to how many equal shares per device the relaxation looks at."""

MOST_VARIABLES = 5_000
"""Up to this size the exact model is solved: about sixteen nodes of openb. Beyond it proves nothing in a minute."""

PROPOSALS_PER_POD = 10_000
"""Length of the local search."""

DETERMINISTIC_LIMIT = 2.0
"""Of either model, by CP-SAT's own clock: some five seconds."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """The best plan known and the proven bound, in GPU milli; the optimum lies between them."""

    known_milli: int
    bound_milli: int


def gpu_bracket(cluster: ClusterView, requests: NDArray[np.int64]) -> Bracket:
    """For pods with these requests (P, 5), any of which may be left out, on the empty cluster."""
    requests = requests[requests[:, NUM_GPU] > 0]
    bound_milli = relaxed_bound_milli(cluster, requests)
    packing = _packing(cluster, requests)
    demand = requests[:, NUM_GPU] * requests[:, GPU_SHARE]
    plan = place_more(packing, fill(packing, stay(packing), 0), 0, PROPOSALS_PER_POD * len(requests), 0, demand)
    known_milli = int(demand[plan.node != NOWHERE].sum())
    if known_milli < bound_milli and variables_per_node(packing).sum() <= MOST_VARIABLES:
        model = PackingModel(packing, "paper", never_fewer=False)
        objective = model.gpu_milli()
        model.aim(objective, True, model.values_of(plan))
        solver, status = _solve(model.model)
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            known_milli = max(known_milli, round(solver.objective_value))
        if status != cp_model.UNKNOWN:
            bound_milli = min(bound_milli, floor(solver.best_objective_bound + 1e-6))
    return Bracket(known_milli, bound_milli)


def _packing(cluster: ClusterView, requests: NDArray[np.int64]) -> Packing:
    """Everybody waits, all equally important."""
    zeros = np.zeros(len(requests), dtype=np.int64)
    return Packing(
        cluster.names,
        cluster.cpu_capacity,
        cluster.memory_capacity,
        cluster.gpu_count,
        cluster.model_bit,
        tuple(map(str, range(len(requests)))),
        requests,
        zeros,
        np.full(len(requests), NOWHERE),
        zeros,
        zeros.astype(np.bool_),
    )


def _solve(model: cp_model.CpModel) -> tuple[cp_model.CpSolver, Any]:
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_deterministic_time = DETERMINISTIC_LIMIT
    return solver, solver.solve(model)


def relaxed_bound_milli(cluster: ClusterView, requests: NDArray[np.int64]) -> int:
    """The most GPU milli that GPU pods with these requests (P, 5) can hold together on the empty cluster."""
    if not len(requests):
        return 0
    kinds, kind_counts = np.unique(requests, axis=0, return_counts=True)
    columns = (cluster.cpu_capacity, cluster.memory_capacity, cluster.gpu_count, cluster.model_bit)
    shapes, node_counts = np.unique(np.stack(columns, axis=1), axis=0, return_counts=True)
    model = cp_model.CpModel()
    held: list[cp_model.IntVar] = []
    weights: list[int] = []
    of_kind: list[list[cp_model.IntVar]] = [[] for _ in kinds]
    for shape, nodes in zip(shapes.tolist(), node_counts.tolist(), strict=True):
        here: dict[int, cp_model.IntVar] = {}
        for k, kind in enumerate(kinds.tolist()):
            most = min(int(kind_counts[k]), nodes * _most_on_node(kind, shape))
            if most:
                here[k] = model.new_int_var(0, most, "")
                of_kind[k].append(here[k])
                held.append(here[k])
                weights.append(kind[NUM_GPU] * kind[GPU_SHARE])
        for coefficients, limit in _limits(kinds, shape):
            terms = [k for k in here if coefficients[k]]
            expression = cp_model.LinearExpr.weighted_sum(
                [here[k] for k in terms], [int(coefficients[k]) for k in terms]
            )
            model.add(expression <= limit * nodes)
    for k, variables in enumerate(of_kind):
        model.add(cp_model.LinearExpr.sum(variables) <= int(kind_counts[k]))
    model.maximize(cp_model.LinearExpr.weighted_sum(held, weights))
    solver, status = _solve(model)
    demand = int((kinds[:, NUM_GPU] * kinds[:, GPU_SHARE]) @ kind_counts)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return min(demand, int(cluster.gpu_count.sum()) * GPU_MILLI)
    return min(demand, floor(solver.best_objective_bound + 1e-6))


def _most_on_node(kind: list[int], shape: list[int]) -> int:
    cpu, memory, gpus, model_bit = shape
    if not kind[ACCEPTED] & model_bit:
        return 0
    per_device = gpus * (GPU_MILLI // kind[GPU_SHARE]) if kind[GPU_SHARE] < GPU_MILLI else gpus // kind[NUM_GPU]
    limits = [per_device]
    limits += [capacity // kind[column] for column, capacity in ((CPU, cpu), (MEMORY, memory)) if kind[column]]
    return min(limits)


def _limits(kinds: NDArray[np.int64], shape: list[int]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Per rule of one node: what a pod of each kind takes, and how much there is."""
    cpu, memory, gpus, _ = shape
    yield kinds[:, CPU], cpu
    yield kinds[:, MEMORY], memory
    yield kinds[:, NUM_GPU] * kinds[:, GPU_SHARE], gpus * GPU_MILLI
    whole = np.where(kinds[:, GPU_SHARE] == GPU_MILLI, kinds[:, NUM_GPU], 0)
    for k in range(1, MOST_PER_DEVICE + 1):
        large = (kinds[:, GPU_SHARE] < GPU_MILLI) & (kinds[:, GPU_SHARE] * (k + 1) > GPU_MILLI)
        yield k * whole + large, k * gpus
