"""Container images on nodes: what has to be pulled before a pod can start, and what makes room for it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from math import inf

from clustersim.errors import ConfigError


@dataclass(slots=True, eq=False)
class _Cached:
    size_mib: int
    ready_s: float
    users: int = 0


class ImageCache:
    """Per node, a cache of images with a budget in MiB; the least recently used image that no pod uses goes first.

    As with the kubelet, images in use are never removed: they may exceed the budget for as long as they are used.
    Pulls of different images on a node do not slow each other; a second pod waits for a pull under way.
    """

    def __init__(self, nodes: int, bandwidth_mib_s: float, budget_mib: float = inf) -> None:
        if not bandwidth_mib_s > 0:
            raise ConfigError(f"the pull bandwidth has to be positive, not {bandwidth_mib_s} MiB/s")
        if not budget_mib >= 0:
            raise ConfigError(f"the image cache budget has to be at least 0, not {budget_mib} MiB")
        self._bandwidth_mib_s = bandwidth_mib_s
        self._budget_mib = budget_mib
        self._images: list[OrderedDict[str, _Cached]] = [OrderedDict() for _ in range(nodes)]
        self.pulls = 0
        self.pulled_mib = 0

    def use(self, node: int, image: str, size_mib: int, now_s: float) -> float:
        """A pod starts to need an image on a node; return the seconds until the image is there."""
        images = self._images[node]
        cached = images.get(image)
        if cached is None:
            self.pulls += 1
            self.pulled_mib += size_mib
            cached = images[image] = _Cached(size_mib, now_s + size_mib / self._bandwidth_mib_s)
        images.move_to_end(image)
        cached.users += 1
        self._make_room(images)
        return max(0.0, cached.ready_s - now_s)

    def leave(self, node: int, image: str) -> None:
        """A pod no longer needs an image on a node."""
        images = self._images[node]
        images[image].users -= 1
        images.move_to_end(image)  # it was in use until now, so it is the most recently used
        self._make_room(images)

    def held_mib(self, node: int) -> int:
        """MiB of images on a node."""
        return sum(cached.size_mib for cached in self._images[node].values())

    def _make_room(self, images: OrderedDict[str, _Cached]) -> None:
        excess_mib = sum(cached.size_mib for cached in images.values()) - self._budget_mib
        for name in [name for name, cached in images.items() if not cached.users]:
            if excess_mib <= 0:
                return
            excess_mib -= images.pop(name).size_mib
