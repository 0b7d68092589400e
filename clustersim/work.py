"""Work: an amount left and a rate. Everything that runs is one; whatever slows it only changes the rate."""

from __future__ import annotations

from collections.abc import Callable

import simpy


class Work:
    """`amount` units of work done at `rate` units per second; `finished` is called when nothing is left.

    Changing the rate of work that has ended, by finishing or by `stop`, changes nothing: whoever slows a whole machine
    need not know what on it has ended.

    Changing the rate leaves the finish event of the old rate in SimPy's queue, where it is recognised as outdated by
    its version and ignored: searching the queue for it would cost more than letting it pass.
    """

    __slots__ = ("_ended", "_env", "_finished", "_left", "_rate", "_since_s", "_version")

    def __init__(self, env: simpy.Environment, amount: float, finished: Callable[[], None], rate: float = 1.0) -> None:
        if not amount >= 0:
            raise ValueError(f"an amount of work is at least 0, not {amount}")
        self._env = env
        self._left = amount
        self._finished = finished
        self._rate = 0.0
        self._since_s = env.now
        self._version = 0
        self._ended = False
        self.set_rate(rate)

    @property
    def rate(self) -> float:
        """Units per second; 0 while the work is stopped or finished."""
        return self._rate

    @property
    def left(self) -> float:
        """Units still to do now."""
        return max(0.0, self._left - self._rate * (self._env.now - self._since_s))

    def set_rate(self, rate: float) -> None:
        """Go on at another rate, from now on; 0 pauses."""
        if not rate >= 0:
            raise ValueError(f"a rate of work is at least 0, not {rate}")
        if self._ended:
            return
        self._left = self.left
        self._since_s = self._env.now
        self._rate = rate
        self._version += 1
        if rate > 0:
            finish = self._env.timeout(self._left / rate, self._version)
            finish.callbacks.append(self._on_finish)

    def stop(self) -> float:
        """Give the work up and return the units that were left; `finished` is not called any more."""
        self.set_rate(0.0)
        self._ended = True
        return self._left

    def _on_finish(self, event: simpy.Event) -> None:
        if event.value == self._version:
            self._left = 0.0
            self._rate = 0.0
            self._ended = True
            self._finished()
