"""From the optimum without order to the best plan that can be carried out one migration at a time.

Where the optimum has no order, counts are looked for that leave migrations for detours, and counts that do without the
places where it got stuck. The MIP of "VMR2L" (EuroSys'25, arXiv 2505.17359) stops at the optimum.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from time import perf_counter

import numpy as np

from clustersim.baselines.vm_ha import Ha
from clustersim.baselines.vm_optimum import Optimum, Solve, optimum
from clustersim.baselines.vm_order import Ordered, Place, ordered
from clustersim.vm_plan import Move, MovePlan, Task, carried_out
from clustersim.vm_state import FleetState

ORDERS = 8
"""How many orders are tried for the same counts: the first by rule, the others by chance."""

MODELS = 32
"""How many models are solved at most."""

SOLVING_SHARE = 0.9
"""Part of the seconds left that solving may use; finding an order takes the rest."""


class Search:
    """The best plan so far and what is known of others. Plans are compared by the blocks that are free in the end."""

    def __init__(self, task: Task, rng: np.random.Generator, solve: Solve, left_s: Callable[[], float]) -> None:
        """`left_s`: the seconds that are left."""
        self.task = task
        self.rng = rng
        self.solve = solve
        self.left_s = left_s
        self.moves: tuple[Move, ...] = ()
        self.detours = 0
        self.blocks = _blocks(task.state())
        self.unordered = self.blocks
        self.most = int(task.snapshot.free_cores.sum()) // task.flavour_cores
        self.in_the_way: frozenset[int] = frozenset()
        """The anti-affinity sets that were, so far."""
        self.models = 0
        self.build_s = self.solve_s = self.order_s = 0.0

    def plan(self, prove: bool) -> MovePlan:
        for core in (True, False) if prove else (True,):
            if self.blocks < self.most and not self._is_over():
                self._search(core)
        if self.blocks < self.most:
            self._greedily()
        unordered = self._rate(max(self.unordered, self.blocks))
        figures = {
            "optimal": float(self.blocks == self.most),
            "unordered": unordered,
            "price": self._rate(self.blocks) - unordered,
            "detours": float(self.detours),
            "split_sets": float(len(self.in_the_way)),
            "models": float(self.models),
            "build_s": self.build_s,
            "solve_s": self.solve_s,
            "order_s": self.order_s,
        }
        return MovePlan(self.moves, self._rate(self.most), figures)

    def _search(self, core: bool) -> None:
        """Look for a better plan among some machines, or among all.

        Anti-affinity sets are left out at first. Once some are in the way, their VMs stay where they are in the core,
        which keeps the model small, and are in classes of their own where a proof is wanted.
        """
        minded: frozenset[int] = frozenset()
        while True:
            task, split = (self._staying(minded), frozenset()) if core else (self.task, minded)
            counts = self._optimum(task, split, core)
            if task is self.task:
                self.most = min(self.most, counts.most)
            if counts.counts is None:
                return
            order = self._order(counts)
            self.in_the_way |= order.apart
            if self.in_the_way == minded or not order.stuck or self._is_over():
                break
            minded = self.in_the_way
        if order.apart <= minded:
            self.unordered = max(self.unordered, counts.gain)
        if self.blocks < counts.gain:
            self._with_room_for_detours(task, split, core)
            self._without(order.stuck, task, split, core)

    def _staying(self, sets: frozenset[int]) -> Task:
        if not sets:
            return self.task
        snapshot = self.task.snapshot
        movable = snapshot.movable.copy()
        movable[[vm for number in sets for vm in snapshot.anti_affinity[number].vms]] = False
        return replace(self.task, snapshot=replace(snapshot, movable=movable))

    def _with_room_for_detours(self, task: Task, split: frozenset[int], core: bool) -> None:
        """Plan fewer and fewer changes, until an order with detours is found or a plan is better already."""
        for mnl in range(self.task.mnl - 1, 0, -1):
            if self._is_over():
                return
            counts = self._optimum(replace(task, mnl=mnl), split, core)
            if counts.counts is None or not self._order(counts).stuck:
                return

    def _without(self, stuck: tuple[Place, ...], task: Task, split: frozenset[int], core: bool) -> None:
        """Let nothing come to the places where it got stuck, until it no longer does or a plan is better already."""
        banned: set[Place] = set()
        while stuck and not self._is_over():
            banned |= set(stuck)
            counts = self._optimum(task, split, core, banned)
            if counts.counts is None:
                return
            stuck = self._order(counts).stuck

    def _greedily(self) -> None:
        """Spend what is left by HA, after the best plan or from the start."""
        for moves in (self.moves, ()):
            state = carried_out(self.task, moves)
            rest = Task(state.freeze()[0], self.task.mnl - len(moves), self.task.flavour_cores)
            self._keep((*moves, *Ha()(rest, self.rng).moves), self.detours if moves else 0)

    def _optimum(self, task: Task, split: frozenset[int], core: bool, banned: Collection[Place] = ()) -> Optimum:
        """Counts that are better than the best plan."""
        started_s = perf_counter()
        seconds = self.left_s() * SOLVING_SHARE
        counts = optimum(task, split, self.solve, seconds, self.blocks + 1, core, banned)
        self.models += 1
        self.build_s += counts.build_s
        self.solve_s += perf_counter() - started_s - counts.build_s
        return counts

    def _order(self, counts: Optimum) -> Ordered:
        """Try orders until one is complete; return the last."""
        started_s = perf_counter()
        assert counts.counts is not None
        for number in range(ORDERS):
            order = ordered(self.task, counts.classes, *counts.counts, self.rng if number else None)
            self._keep(order.moves, order.detours)
            if not order.stuck or self.left_s() < 0:
                break
        self.order_s += perf_counter() - started_s
        return order

    def _keep(self, moves: tuple[Move, ...], detours: int) -> None:
        """Keep a plan, up to where it is best, if it is better."""
        state = self.task.state()
        for number, move in enumerate(moves, start=1):
            state.move(*move)
            if (blocks := _blocks(state)) > self.blocks:
                self.blocks, self.moves, self.detours = blocks, moves[:number], detours

    def _is_over(self) -> bool:
        return self.left_s() < 0 or self.models >= MODELS

    def _rate(self, blocks: int) -> float:
        free = int(self.task.snapshot.free_cores.sum())
        return (free - self.task.flavour_cores * blocks) / free


def _blocks(state: FleetState) -> int:
    return int((state.free_cores // state.flavour_cores).sum())
