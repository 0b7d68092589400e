"""Container images on nodes: what has to be pulled before a pod can start, and what makes room for it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from math import inf

from clustersim.errors import ConfigError


@dataclass(slots=True, eq=False)
class _Held:
    size_mib: int
    users: int = 0


class ImageStore:
    """Per node, the images it holds, under a budget in MiB; the least recently used one that no pod uses goes first.

    As with the kubelet, images in use are never removed: they may exceed the budget for as long as they are used. An
    image counts with its full size from the moment somebody needs it. How long it takes to arrive is not decided here.
    """

    def __init__(self, nodes: int, budget_mib: float = inf) -> None:
        if not budget_mib >= 0:
            raise ConfigError(f"the image cache budget has to be at least 0, not {budget_mib} MiB")
        self._budget_mib = budget_mib
        self._images: list[OrderedDict[str, _Held]] = [OrderedDict() for _ in range(nodes)]

    def use(self, node: int, image: str, size_mib: int) -> bool:
        """A pod starts to need an image on a node; return whether it has to be pulled."""
        images = self._images[node]
        held = images.get(image)
        if new := held is None:
            held = images[image] = _Held(size_mib)
        images.move_to_end(image)
        held.users += 1
        self._make_room(images)
        return new

    def leave(self, node: int, image: str, complete: bool = True) -> bool:
        """A pod no longer needs an image on a node; return whether another one does.

        An image that is not complete goes with its last pod.
        """
        images = self._images[node]
        held = images[image]
        held.users -= 1
        if not held.users and not complete:
            del images[image]
        else:
            images.move_to_end(image)  # it was in use until now, so it is the most recently used
        self._make_room(images)
        return held.users > 0

    def held_mib(self, node: int) -> int:
        """MiB of images on a node."""
        return sum(held.size_mib for held in self._images[node].values())

    def _make_room(self, images: OrderedDict[str, _Held]) -> None:
        excess_mib = sum(held.size_mib for held in images.values()) - self._budget_mib
        for name in [name for name, held in images.items() if not held.users]:
            if excess_mib <= 0:
                return
            excess_mib -= images.pop(name).size_mib


class ImageCache:
    """An image store whose pulls do not slow each other, so that the wait is known when a pod starts to need one.

    A second pod waits for a pull under way; a pull goes on when its pod has left. `SharedPulls` is the one whose pulls
    share the bandwidth of a node.
    """

    def __init__(self, nodes: int, bandwidth_mib_s: float, budget_mib: float = inf) -> None:
        if not bandwidth_mib_s > 0:
            raise ConfigError(f"the pull bandwidth has to be positive, not {bandwidth_mib_s} MiB/s")
        self._bandwidth_mib_s = bandwidth_mib_s
        self._store = ImageStore(nodes, budget_mib)
        self._ready_s: dict[tuple[int, str], float] = {}
        self.pulls = 0
        self.pulled_mib = 0

    def use(self, node: int, image: str, size_mib: int, now_s: float) -> float:
        """A pod starts to need an image on a node; return the seconds until the image is there."""
        if self._store.use(node, image, size_mib):
            self.pulls += 1
            self.pulled_mib += size_mib
            self._ready_s[node, image] = now_s + size_mib / self._bandwidth_mib_s
        return max(0.0, self._ready_s[node, image] - now_s)

    def leave(self, node: int, image: str) -> None:
        """A pod no longer needs an image on a node."""
        self._store.leave(node, image)

    def held_mib(self, node: int) -> int:
        """MiB of images on a node."""
        return self._store.held_mib(node)
