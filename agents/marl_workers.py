"""Processes that play episodes, each with several games and one thread; they never import torch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from clustersim.agents.marl_actor import Actor
from clustersim.agents.marl_rollout import Episode, Job, Manner, play
from clustersim.agents.marl_task import Game, Layout, Task
from clustersim.errors import ClustersimError

SIDE_BY_SIDE = 16
"""Games per process that are played at once."""


class Workers:
    """`count` processes; with one, this process plays itself. Use in a `with` statement."""

    def __init__(self, task: Task, layout: Layout, count: int) -> None:
        self._here = _Player(task, layout) if count == 1 else None
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        if count == 1:
            return
        spawn = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of torch and numba
        with _one_thread():
            for _ in range(count):
                ours, theirs = spawn.Pipe()
                process = spawn.Process(target=_serve, args=(theirs, task, layout), daemon=True)
                process.start()
                theirs.close()
                self._pipes.append(ours)
                self._processes.append(process)

    def play(self, actors: Mapping[str, Actor], jobs: Sequence[Job], manner: Manner) -> list[Episode]:
        """The episodes of all jobs, in their order."""
        if self._here is not None:
            return self._here.play(actors, jobs, manner)
        count = len(self._pipes)
        shares = [jobs[worker * len(jobs) // count : (worker + 1) * len(jobs) // count] for worker in range(count)]
        try:
            for pipe, share in zip(self._pipes, shares, strict=True):
                pipe.send((dict(actors), share, manner))
            answers = [pipe.recv() for pipe in self._pipes]
        except (EOFError, OSError):
            raise ClustersimError(
                f"one of the {count} processes that play has died; is there memory for as many? Try fewer workers"
            ) from None
        for answer in answers:
            if isinstance(answer, str):
                raise ClustersimError(f"a process that plays has failed: {answer}")
        return [episode for answer in answers for episode in answer]

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            if kind is not None:
                process.terminate()  # it may be in the middle of long episodes that nobody waits for
            process.join()
            process.close()


class _Player:
    """The games of one process; they are made when they are first needed, and kept."""

    def __init__(self, task: Task, layout: Layout) -> None:
        self._task = task
        self._layout = layout
        self._games: list[Game] = []

    def play(self, actors: Mapping[str, Actor], jobs: Sequence[Job], manner: Manner) -> list[Episode]:
        episodes = []
        for first in range(0, len(jobs), SIDE_BY_SIDE):
            part = jobs[first : first + SIDE_BY_SIDE]
            while len(self._games) < len(part):
                self._games.append(self._task.make())
            episodes += play(self._task, self._games, self._layout, actors, part, manner)
        return episodes


def _serve(pipe: Connection, task: Task, layout: Layout) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the learner, which then closes the pipe
    player = _Player(task, layout)
    while True:
        try:
            actors, jobs, manner = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer: Any = player.play(actors, jobs, manner)
        except Exception as error:
            answer = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
        pipe.send(answer)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started in here compute with one thread each: more would fight over the cores."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
