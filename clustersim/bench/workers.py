"""Runs in this process or in several, one outcome at a time, and no worker left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass

from clustersim.bench.runs import RunResult


@dataclass(frozen=True)
class Failure:
    """Why a run has no result, as text: an exception may not survive the way back from a worker process."""

    error: str
    traceback: str


def outcomes(
    play: Callable[[str, int], RunResult], runs: Sequence[tuple[str, int]], jobs: int
) -> Generator[tuple[str, int, RunResult | Failure], None, None]:
    """Yield (policy, seed, outcome) as runs end, in any order; closing the iterator ends all work at once."""
    if min(jobs, len(runs)) <= 1:
        for policy, seed in runs:
            yield policy, seed, _attempt(play, policy, seed)
        return
    strangers = multiprocessing.active_children()
    # Workers are spawned, never forked: the same on every platform, and safe with the threads of numba and torch.
    pool = ProcessPoolExecutor(
        max_workers=min(jobs, len(runs)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_die_with_parent,
    )
    try:
        with _interrupts_ignored():
            futures = {pool.submit(_attempt, play, policy, seed): (policy, seed) for policy, seed in runs}
        for future in as_completed(futures):
            policy, seed = futures[future]
            try:
                outcome = future.result()
            except BrokenProcessPool as error:
                remedy = "a worker process was killed, most often because memory ran out; use fewer --jobs"
                outcome = Failure(remedy, "".join(traceback.format_exception(error)))
            except Exception as error:  # the run or its result cannot be pickled
                outcome = _failure(error)
            yield policy, seed, outcome
    except BaseException:  # Ctrl-C, or the caller closes this iterator
        # Before Python 3.14 an executor has no public way to stop a worker that is busy.
        for process in multiprocessing.active_children():
            if process not in strangers:
                process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _attempt(play: Callable[[str, int], RunResult], policy: str, seed: int) -> RunResult | Failure:
    try:
        return play(policy, seed)
    except Exception as error:
        return _failure(error)


def _failure(error: Exception) -> Failure:
    return Failure(f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C for life: the parent alone decides, and no worker prints a traceback."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _die_with_parent() -> None:
    """End this worker when its parent is killed; an executor's worker would otherwise wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
