"""POP: the machines are split at random into k parts, each part is solved by itself, and the plans are put together.

Source: Narayanan et al., "Solving Large-Scale Granular Resource Allocation Problems Efficiently with POP", SOSP 2021
(doi 10.1145/3477132.3483588), as a baseline in Ding et al., "Towards VM Rescheduling Optimization Through Deep
Reinforcement Learning", arXiv 2505.17359. How migrations are shared out, and k, are ours (D).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from clustersim.baselines.vm_exact import Exact
from clustersim.baselines.vm_gains import best_prefix
from clustersim.errors import ConfigError
from clustersim.vm_fleet import Ints, Machines, Snapshot, sets_among
from clustersim.vm_plan import Move, MovePlan, Task


@dataclass(frozen=True)
class Pop:
    """Every part has its share of the migrations, in proportion to its VMs, and of `budget_s` seconds of wall clock.

    A share that a part has no use for is lost. Parts have machines and VMs of their own, so plans do not get into each
    other's way, but for anti-affinity of racks: a move that another part has made illegal is left out. The same seed
    gives the same plan where the time is enough to prove the optimum of every part.
    """

    k: int = 8
    budget_s: float = 5.0

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k is {self.k}; a fleet has at least 1 part")
        if not self.budget_s > 0:
            raise ConfigError(f"budget_s is {self.budget_s}; a time limit has to be positive")

    def __call__(self, task: Task, rng: np.random.Generator) -> MovePlan:
        if task.mnl == 0:
            return MovePlan(())
        fleet = task.snapshot
        parts = [np.sort(pms) for pms in np.array_split(rng.permutation(len(fleet.machines)), self.k)]
        planner = Exact(self.budget_s / self.k)
        moves: list[Move] = []
        for pms, share in zip(parts, _shares(task.mnl, fleet, parts), strict=True):
            # Without a migration or a free core there is nothing to plan, and the latter is no fleet.
            if share and fleet.free_cores[pms].any():
                part, vms = _part(fleet, pms)
                plan = planner(Task(part, share, task.flavour_cores), rng)
                moves += [Move(int(vms[vm]), int(pms[pm]), numa) for vm, pm, numa in plan.moves]
        return MovePlan(best_prefix(task, moves), figures={"parts": float(self.k)})


def _shares(mnl: int, fleet: Snapshot, parts: list[Ints]) -> list[int]:
    """How many of the migrations each part gets: in proportion to its VMs, what is left to the largest remainders."""
    hosted = np.bincount(fleet.host, minlength=len(fleet.machines))
    vms = np.array([hosted[pms].sum() for pms in parts])
    shares, remainders = np.divmod(mnl * vms, vms.sum())
    largest_first = np.argsort(-remainders, kind="stable")
    shares[largest_first[: mnl - shares.sum()]] += 1
    return [int(share) for share in shares]


def _part(fleet: Snapshot, pms: Ints) -> tuple[Snapshot, Ints]:
    """Some of the machines with their VMs as a fleet, and which VMs they are; of sets, the members that are there."""
    machines = fleet.machines
    vms = np.flatnonzero(np.isin(fleet.host, pms))
    part = replace(
        fleet,
        machines=Machines(
            tuple(machines.name[pm] for pm in pms),
            machines.rack[pms],
            machines.cores[pms],
            machines.memory_mib[pms],
            machines.active[pms],
        ),
        vm_name=tuple(fleet.vm_name[vm] for vm in vms),
        shape=fleet.shape[vms],
        host=np.searchsorted(pms, fleet.host[vms]),
        numa=fleet.numa[vms],
        movable=fleet.movable[vms],
        free_cores=fleet.free_cores[pms],
        free_memory_mib=fleet.free_memory_mib[pms],
        anti_affinity=sets_among(fleet.anti_affinity, vms),
    )
    return part, vms
