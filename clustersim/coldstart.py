"""Cold starts: the way of a pod from the moment it has its node until it works, part by part.

Source: Huawei's serverless platform, EuroSys 2025, arXiv 2410.06145.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from math import inf

import numpy as np
import simpy

from clustersim.coldstart_tables import (
    CODE_S,
    DEPENDENCY_S,
    RUNTIMES,
    SCHEDULING_S,
    known_runtime,
    quantile_s,
)
from clustersim.errors import ConfigError
from clustersim.pulls import SharedPulls
from clustersim.work import Work


class Stage(IntEnum):
    """Where the search for a pod ended: in the warm pool of its configuration, in a wider one, or nowhere."""

    POOL = 0
    WIDER = 1
    SCRATCH = 2


ALLOCATION_S = {Stage.POOL: 2e-4, Stage.WIDER: 1.3e-2, Stage.SCRATCH: 10.5}
"""Pod allocation by stage (Vf; the wider search takes 0.012 - 0.015 s)."""

PARTS = ("allocation_s", "pull_s", "code_s", "dependency_s", "scheduling_s")
"""In the order in which a start goes through them."""

_PULL, _SCHEDULING = PARTS.index("pull_s"), PARTS.index("scheduling_s")


@dataclass(frozen=True, slots=True)
class ColdStartConfig:
    """How nodes pull images, and how starts crowd each other out."""

    bandwidth_mib_s: float = 100.0
    """Of a node, shared by its pulls (D)."""
    cache_mib: float = inf
    """Budget for images on a node; those in use may exceed it."""
    crowding: float = 0.23
    """Scheduling takes this share longer per other start under way.

    C, weak: a line through the mean scheduling time of the paper's five regions over their mean number of starts under
    way (Little's law). The regions differ in more than that, and one of them decides the slope.
    """
    dependency_share: float = 0.287
    """Of the starts of a runtime that may have dependencies. C: mean over all starts (0.241 s) by mean of the part."""

    def __post_init__(self) -> None:
        if not 0 <= self.crowding < inf:
            raise ConfigError(f"crowding is {self.crowding}; it has to be finite and at least 0")
        if not 0 <= self.dependency_share <= 1:
            raise ConfigError(f"dependency_share is {self.dependency_share}; it has to be in [0, 1]")


class ColdStart:
    """A start under way. `parts` has the seconds of every part that is over; they add up to the time elapsed."""

    __slots__ = ("_drawn_s", "_part", "_ready", "_since_s", "_starts", "_work", "image", "image_mib", "node", "parts")

    def __init__(
        self,
        starts: ColdStarts,
        node: int,
        image: str,
        image_mib: int,
        drawn_s: tuple[float, ...],
        ready: Callable[[ColdStart], None],
    ) -> None:
        """`drawn_s`: a duration per part; that of the pull is not used, that of scheduling holds without crowding."""
        self.node = node
        self.image = image
        self.image_mib = image_mib
        self.parts = dict.fromkeys(PARTS, 0.0)
        self._starts = starts
        self._drawn_s = drawn_s
        self._ready = ready
        self._since_s = starts.env.now
        self._work: Work | None = None
        self._part = 0
        self._begin(0)

    @property
    def under_way(self) -> bool:
        """Neither ready nor cancelled."""
        return self._part < len(PARTS)

    @property
    def total_s(self) -> float:
        """Seconds of the parts that are over: of the whole start once it is ready, or until it was cancelled."""
        return sum(self.parts.values())

    def cancel(self) -> None:
        """The pod is gone: it lets go of its image as well, and `ready` is not called any more.

        A start that is ready or cancelled already stays as it is.
        """
        if not self.under_way:
            return
        if self._work is not None:
            self._work.stop()
        if self.image and self._part >= _PULL:
            waiting = self._end if self._part == _PULL else None
            self._starts.pulls.leave(self.node, self.image, waiting)
        self._close()
        self._part = len(PARTS)
        self._starts.under_way -= 1

    def _begin(self, part: int) -> None:
        self._part = part
        starts = self._starts
        if part == len(PARTS):
            starts.under_way -= 1
            self._ready(self)
        elif part == _PULL:
            if not self.image or starts.pulls.use(self.node, self.image, self.image_mib, self._end):
                self._end()
        else:
            duration_s = self._drawn_s[part]
            if part == _SCHEDULING:
                duration_s *= 1 + starts.config.crowding * (starts.under_way - 1)
            if duration_s:
                self._work = Work(starts.env, duration_s, self._end)
            else:
                self._end()

    def _end(self) -> None:
        self._close()
        self._begin(self._part + 1)

    def _close(self) -> None:
        now_s = self._starts.env.now
        self.parts[PARTS[self._part]] = now_s - self._since_s
        self._since_s = now_s


class ColdStarts:
    """Starts pods on nodes; the starts of one object crowd each other.

    Allocation follows from the stage of the search, the pull from the image cache of the node, and the other parts are
    drawn. Every runtime has a generator of its own and draws everything for a start at once, so that its k-th start is
    the same under every policy.
    """

    def __init__(self, env: simpy.Environment, rng: np.random.Generator, config: ColdStartConfig, nodes: int) -> None:
        self.env = env
        self.config = config
        self.pulls = SharedPulls(env, nodes, config.bandwidth_mib_s, config.cache_mib)
        self.under_way = 0
        self._rngs = dict(zip(RUNTIMES, rng.spawn(len(RUNTIMES)), strict=True))

    def start(
        self,
        node: int,
        runtime: str,
        stage: Stage,
        image: str,
        image_mib: int,
        ready: Callable[[ColdStart], None],
    ) -> ColdStart:
        """A pod got its node; `ready` is called when it can work. No image is pulled for a pod with image ""."""
        drawn_s = (ALLOCATION_S[stage], 0.0, *self._draw(known_runtime(runtime)))
        self.under_way += 1
        return ColdStart(self, node, image, image_mib, drawn_s, ready)

    def hold(self, node: int, image: str, image_mib: int) -> None:
        """A pod is on a node with its image, without a cold start: it migrated, or it was there from the start."""
        if image:
            self.pulls.hold(node, image, image_mib)

    def leave(self, node: int, image: str) -> None:
        """A pod that had become ready, or was held, is gone from its node."""
        if image:
            self.pulls.leave(node, image)

    def _draw(self, runtime: str) -> tuple[float, float, float]:
        code, dependency, scheduling, has_dependency = self._rngs[runtime].random(4).tolist()
        dependency_s = 0.0
        if runtime in DEPENDENCY_S and has_dependency < self.config.dependency_share:
            dependency_s = quantile_s(DEPENDENCY_S[runtime], dependency)
        return (
            quantile_s(CODE_S[runtime], code),
            dependency_s,
            quantile_s(SCHEDULING_S[runtime], scheduling),
        )
