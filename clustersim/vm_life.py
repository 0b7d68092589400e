"""The life of a fleet: the VMs that are there, when they exit, and which ones arrive. Drawn beforehand, by a seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError
from clustersim.vm_fleet import Ints, Snapshot

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FleetLife:
    """V VMs at the start and A arrivals. Arrivals have shapes of the snapshot, may be migrated and are in no set."""

    snapshot: Snapshot
    exit_s: Floats
    """(V,) when the VMs of the snapshot exit; inf for never."""
    arrival_s: Floats
    """(A,) ascending."""
    arrival_shape: Ints
    """(A,) index into the shapes of the snapshot."""
    lifetime_s: Floats
    """(A,) from being placed to exiting; inf for ever."""

    def __post_init__(self) -> None:
        name = self.snapshot.name
        for what, values, length in (
            ("exit_s", self.exit_s, len(self.snapshot)),
            ("arrival_shape", self.arrival_shape, len(self.arrival_s)),
            ("lifetime_s", self.lifetime_s, len(self.arrival_s)),
        ):
            if len(values) != length:
                raise ConfigError(f"{what} of the life of fleet {name!r} has {len(values)} values, not {length}")
        if not ((self.exit_s >= 0).all() and (self.lifetime_s > 0).all() and (self.arrival_s >= 0).all()):
            raise ConfigError(f"times in the life of fleet {name!r} are at least 0, and lifetimes longer than that")
        if (np.diff(self.arrival_s) < 0).any():
            late = int(np.argmax(np.diff(self.arrival_s) < 0)) + 1
            raise ConfigError(f"arrival {late} of the life of fleet {name!r} is before the one listed before it")
        shapes = len(self.snapshot.shapes)
        if ((self.arrival_shape < 0) | (self.arrival_shape >= shapes)).any():
            raise ConfigError(f"shapes in the life of fleet {name!r} have to be from 0 to {shapes - 1}")

    @cached_property
    def most_arrivals_at_once(self) -> int:
        """How many VMs that arrived are there at once, at most, if all are placed."""
        times_s = np.concatenate([self.arrival_s, self.arrival_s + self.lifetime_s])
        change = np.repeat([1, -1], len(self.arrival_s))
        # Those that come before those that go: an upper limit must not depend on the order of an instant.
        order = np.lexsort((-change, times_s))
        return int(np.cumsum(change[order]).max(initial=0))


def still(snapshot: Snapshot) -> FleetLife:
    """Nothing comes and nothing goes."""
    none = np.zeros(0)
    return FleetLife(snapshot, np.full(len(snapshot), np.inf), none, none.astype(np.int64), none)
