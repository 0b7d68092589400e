"""Lessons come from the tutor: fleets that the learner plays for a while, and the exact plan from where it comes to.

That the learner itself decides which states are taught is what keeps it from drifting away from what it knows.
Source: Ross, Gordon, Bagnell 2011, "DAgger" (arXiv 1011.0686).
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from threading import Thread
from types import TracebackType

import numpy as np
import torch

from clustersim.agents.two_stage import NetworkShape, TwoStage
from clustersim.agents.vm_player import play
from clustersim.agents.vm_teacher import Lesson, begin, solved
from clustersim.vm_plan import Task

SIDE_BY_SIDE = 16
"""Fleets that the learner plays at once."""


@dataclass(frozen=True)
class Order:
    """What lessons are wanted: so many fleets of a size; in `played_share` of them the learner has made moves."""

    seed: tuple[int, ...]
    machines: int
    lessons: int
    played_share: float
    varied_share: float
    moves_per_machine: tuple[float, float]
    solver_s: float


def lessons(order: Order, shape: NetworkShape, weights: Mapping[str, torch.Tensor]) -> list[Lesson]:
    """All lessons of an order that have something to teach."""
    network = TwoStage(shape)
    network.load_state_dict(dict(weights))
    rng = np.random.default_rng(order.seed)
    fresh = [
        begin(order.machines, (*order.seed, number), order.varied_share, order.moves_per_machine)
        for number in range(order.lessons)
    ]
    made = [
        int(rng.integers(1, lesson.mnl)) if lesson.mnl > 1 and rng.random() < order.played_share else 0
        for lesson in fresh
    ]
    for start in range(0, len(fresh), SIDE_BY_SIDE):
        part = slice(start, start + SIDE_BY_SIDE)
        fresh[part] = _on_the_way(network, fresh[part], made[part], rng)
    taught = [solved(lesson, order.solver_s) for lesson in fresh]
    return [lesson for lesson in taught if lesson.plan]


def _on_the_way(network: TwoStage, fresh: list[Lesson], made: list[int], rng: np.random.Generator) -> list[Lesson]:
    """The lessons after so many moves of the learner, drawn by its probabilities."""
    states = [lesson.task.state() for lesson in fresh]
    played = play(network, states, [lesson.mnl for lesson in fresh], rng, None, made)
    return [
        Lesson(Task(state.freeze()[0], lesson.mnl - len(moves), lesson.task.flavour_cores), len(moves))
        if moves
        else lesson
        for lesson, state, moves in zip(fresh, states, played, strict=True)
    ]


class Tutor:
    """Prepares lessons in `workers` processes beside the training, or in this one where there are none.

    Use in a `with` statement. Lessons of an order are the same wherever and whenever they are prepared.
    """

    def __init__(self, workers: int) -> None:
        self._pool: Executor | None = None
        self._workers = workers
        self._coming: list[Future[list[Lesson]]] = []

    def __enter__(self) -> Tutor:
        if self._workers:
            spawn = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of torch and numba
            self._pool = ProcessPoolExecutor(self._workers, spawn, initializer=_start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def prepare(self, order: Order, shape: NetworkShape, weights: Mapping[str, torch.Tensor]) -> Future[list[Lesson]]:
        """Lessons for a learner with these weights; they are ready when the result is asked for."""
        if self._pool is not None:
            return self._pool.submit(lessons, order, shape, weights)
        future: Future[list[Lesson]] = Future()
        future.set_result(lessons(order, shape, weights))
        return future


def _start() -> None:
    torch.set_num_threads(1)
    # A parent that is killed cannot stop its processes.
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
