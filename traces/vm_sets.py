"""Anti-affinity sets drawn at random among VMs that are apart already."""

from __future__ import annotations

from typing import Literal

import numpy as np

from clustersim.errors import ConfigError
from clustersim.vm_fleet import AntiAffinity, Ints


def drawn_sets(
    host: Ints, rack: Ints, host_sets: int, rack_sets: int, size: int, rng: np.random.Generator
) -> tuple[AntiAffinity, ...]:
    """Sets of `size` VMs each, those of hosts first. `host` and `rack` of the VMs, shape (V,).

    A VM may be in several sets. Raises ConfigError where there are too few hosts or racks.
    """
    return (*_sets("host", host, host_sets, size, rng), *_sets("rack", rack, rack_sets, size, rng))


def _sets(
    level: Literal["host", "rack"], place: Ints, count: int, size: int, rng: np.random.Generator
) -> list[AntiAffinity]:
    if count < 0:
        raise ConfigError(f"{level}_sets is {count}; it has to be at least 0")
    places = len(np.unique(place))
    if count and not 2 <= size <= places:
        raise ConfigError(
            f"{size} VMs cannot be on different {level}s: a set has at least 2, and VMs are on {places} {level}(s)"
        )
    sets = []
    for _ in range(count):
        members: dict[int, int] = {}
        while len(members) < size:
            vm = int(rng.integers(len(place)))
            members.setdefault(int(place[vm]), vm)
        sets.append(AntiAffinity(level, tuple(sorted(members.values()))))
    return sets
