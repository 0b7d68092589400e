"""Where an environment takes its fleets from: a generator by seed, or a list of snapshots."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clustersim.errors import ConfigError
from clustersim.vm_fleet import Snapshot
from clustersim.vm_life import FleetLife, still

Source = Callable[[int], Snapshot | FleetLife] | Sequence[Snapshot | FleetLife]


class Lives:
    """Seed -> life. Of a list the seed takes one, counted round; a snapshot stands for a life in which time stands."""

    def __init__(self, source: Source) -> None:
        self._draw = source if callable(source) else None
        self._listed = () if callable(source) else tuple(map(_life, source))
        if self._draw is None and not self._listed:
            raise ConfigError("the list of snapshots is empty; give at least one, or a generator")

    def __call__(self, seed: int) -> FleetLife:
        return self._listed[seed % len(self._listed)] if self._draw is None else _life(self._draw(seed))

    def examples(self) -> Sequence[FleetLife]:
        """All of a list; of a generator that of seed 0."""
        return self._listed or (self(0),)


def _life(given: Snapshot | FleetLife) -> FleetLife:
    return still(given) if isinstance(given, Snapshot) else given
