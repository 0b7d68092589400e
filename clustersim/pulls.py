"""Image pulls that share the bandwidth of their node: each is a Work, and whoever joins slows the rest."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import simpy

from clustersim.errors import ConfigError
from clustersim.images import ImageStore
from clustersim.work import Work


class _Pull:
    """An image on its way, and the pods that wait for it."""

    __slots__ = ("size_mib", "waiting", "work")

    def __init__(self, size_mib: int) -> None:
        self.size_mib = size_mib
        self.waiting: list[Callable[[], None]] = []
        self.work: Work


class SharedPulls:
    """Images of nodes as an `ImageStore` keeps them; k pulls at once on a node get bandwidth / k each.

    A second pod waits for a pull under way. A pull that nobody waits for any more is given up, and what it has
    brought is lost (D; the kubelet keeps complete layers).
    """

    def __init__(self, env: simpy.Environment, nodes: int, bandwidth_mib_s: float, budget_mib: float = inf) -> None:
        if not 0 < bandwidth_mib_s < inf:
            raise ConfigError(f"the pull bandwidth has to be positive and finite, not {bandwidth_mib_s} MiB/s")
        self._env = env
        self._bandwidth_mib_s = bandwidth_mib_s
        self._store = ImageStore(nodes, budget_mib)
        self._pulls: list[dict[str, _Pull]] = [{} for _ in range(nodes)]
        self.pulls = 0
        self.pulled_mib = 0.0
        """Of pulls that are over, with what the ones given up had brought."""

    def use(self, node: int, image: str, size_mib: int, ready: Callable[[], None]) -> bool:
        """A pod starts to need an image on a node; True when it is there, else `ready` is called once it is."""
        pulls = self._pulls[node]
        if self._store.use(node, image, size_mib):
            self.pulls += 1
            pull = _Pull(size_mib)
            pull.work = Work(self._env, size_mib, lambda: self._arrived(node, image), rate=0.0)
            pulls[image] = pull
            self._share(node)
        elif image not in pulls:
            return True
        pulls[image].waiting.append(ready)
        return False

    def hold(self, node: int, image: str, size_mib: int) -> None:
        """A pod came to a node together with its image."""
        self._store.use(node, image, size_mib)

    def leave(self, node: int, image: str, waiting: Callable[[], None] | None = None) -> None:
        """A pod no longer needs an image on a node; `waiting` is the `ready` of a pod that is still waiting for it."""
        pull = self._pulls[node].get(image)
        if waiting is not None and pull is not None:
            pull.waiting.remove(waiting)
        used = self._store.leave(node, image, complete=pull is None)
        if pull is not None and not used:
            del self._pulls[node][image]
            self.pulled_mib += pull.size_mib - pull.work.stop()
            self._share(node)

    def under_way(self, node: int) -> int:
        """Pulls that share the bandwidth of a node now."""
        return len(self._pulls[node])

    def held_mib(self, node: int) -> int:
        """MiB of images on a node, those on their way included."""
        return self._store.held_mib(node)

    def _arrived(self, node: int, image: str) -> None:
        pull = self._pulls[node].pop(image)
        self.pulled_mib += pull.size_mib
        self._share(node)
        for ready in pull.waiting:
            ready()

    def _share(self, node: int) -> None:
        pulls = self._pulls[node]
        for pull in pulls.values():
            pull.work.set_rate(self._bandwidth_mib_s / len(pulls))
