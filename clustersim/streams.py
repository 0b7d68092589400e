"""Common random numbers: one generator per cause, all spawned from one seed."""

from __future__ import annotations

import zlib

import numpy as np


class Streams:
    """Random generators by cause ("arrivals", "failures", "policy/place", ...).

    What one cause draws never shifts what another one sees, so a policy cannot change the workload. The key of a
    stream is a checksum of its name: it depends neither on hash order nor on which stream was asked for first.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._generators: dict[str, np.random.Generator] = {}

    def __getitem__(self, cause: str) -> np.random.Generator:
        generator = self._generators.get(cause)
        if generator is None:
            sequence = np.random.SeedSequence(self.seed, spawn_key=(zlib.crc32(cause.encode()),))
            generator = self._generators[cause] = np.random.default_rng(sequence)
        return generator
