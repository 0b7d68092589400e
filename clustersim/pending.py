"""Pods that wait for a node, in the order in which they are offered one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Fitting = Callable[[NDArray[np.int64], NDArray[np.int64]], int]
"""The first position in (Q,) rows, the first of the queue first, that there is hope for on (M,) nodes; -1: none."""

Queue = Literal["head", "backfill"]


class PendingPods:
    """Waiting pods by priority, then arrival, and a cursor for one round of offers.

    A pod that fitted nowhere is offered again only when there is hope for it on a node that was released since;
    looking at those few nodes instead of at all of them is what keeps a long queue cheap. A pod whose policy preferred
    to wait is offered again after any release.
    """

    BLOCKED, WAITED, FRESH = range(3)

    def __init__(self, rank: NDArray[np.int64], fitting: Fitting) -> None:
        self._rank = rank
        self._fitting = fitting
        self._rows = np.empty(0, dtype=np.int64)
        self._status = np.full(len(rank), self.BLOCKED, dtype=np.int8)
        self._cursor = 0
        self._offered = -1

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> NDArray[np.int64]:
        """(Q,) the waiting pods, the first of the queue first."""
        return self._rows

    def add(self, row: int) -> None:
        """A pod waits, perhaps while another one is offered."""
        position = int(np.searchsorted(self._rank[self._rows], self._rank[row]))
        self._rows = np.insert(self._rows, position, row)
        self._offered += position <= self._offered
        self._status[row] = self.FRESH

    def rewind(self) -> None:
        self._cursor = 0

    def next(self, released: list[int], queue: Queue) -> int | None:
        """The next pod to offer in this round; None when the round is over."""
        if self._cursor >= len(self._rows):
            return None
        if queue == "head":
            # A pod behind the head was never offered, so it is still fresh when it becomes the head.
            worth_it = self._cursor == 0 and (released or self._status[self._rows[0]] == self.FRESH)
            self._offered = 0 if worth_it else -1
        else:
            self._offered = self._next_hopeful(released)
        return None if self._offered < 0 else int(self._rows[self._offered])

    def keep(self, waited: bool) -> None:
        """The offered pod stays pending."""
        self._status[self._rows[self._offered]] = self.WAITED if waited else self.BLOCKED
        self._cursor = self._offered + 1

    def remove(self) -> None:
        """The offered pod was placed."""
        self._rows = np.delete(self._rows, self._offered)
        self._cursor = self._offered

    def take(self, rows: NDArray[np.int64]) -> None:
        """These pods no longer wait; `rewind` before the next offer."""
        gone = np.isin(self._rows, rows)
        self._offered -= int(gone[: max(0, self._offered)].sum())
        self._rows = self._rows[~gone]

    def _next_hopeful(self, released: list[int]) -> int:
        ahead = self._rows[self._cursor :]
        hopeful = np.flatnonzero(self._status[ahead] >= (self.WAITED if released else self.FRESH))
        nearest = int(hopeful[0]) if len(hopeful) else len(ahead)
        if released:
            fitting = self._fitting(ahead[:nearest], np.array(released, dtype=np.int64))
            nearest = nearest if fitting < 0 else fitting
        return self._cursor + nearest if nearest < len(ahead) else -1
