"""Live migration by pre-copy: memory is copied while the pod works, and once more what it has written meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from clustersim.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Migration:
    """What a migration costs: MiB on the network, seconds in all, seconds at the end in which the pod stands still.

    `rounds` copies were made while the pod worked.
    """

    total_mib: float
    duration_s: float
    downtime_s: float
    rounds: int


@dataclass(frozen=True)
class MigrationConfig:
    """The network of live migrations: pre-copy of the memory of a pod or VM."""

    bandwidth_mib_s: float = 1250.0
    dirty_mib_s: float = 100.0
    """What it writes per second of its memory."""
    stop_mib: float = 64.0
    """It stands still for the last copy when no more than this is left."""

    def __post_init__(self) -> None:
        self.of(0.0)  # says what cannot be

    def of(self, memory_mib: float) -> Migration:
        """The migration of so much memory."""
        return precopy(memory_mib, self.dirty_mib_s, self.bandwidth_mib_s, self.stop_mib)


def precopy(
    memory_mib: float, dirty_mib_s: float, bandwidth_mib_s: float, stop_mib: float, max_rounds: int = 30
) -> Migration:
    """Copy until at most `stop_mib` are left to copy, or for `max_rounds` rounds; then stop the pod for what is left.

    Each round copies what was written during the one before: dirty rate over bandwidth times that one, and never more
    than the whole memory. At a dirty rate above the bandwidth the rounds therefore bring nothing and all are made.
    Source: the classical form of pre-copy (Clark et al., NSDI 2005).
    """
    if not 0 < bandwidth_mib_s < inf:
        raise ConfigError(f"a migration needs a bandwidth that is positive and finite, not {bandwidth_mib_s} MiB/s")
    for what, value in (
        ("memory_mib", memory_mib),
        ("dirty_mib_s", dirty_mib_s),
        ("stop_mib", stop_mib),
        ("max_rounds", max_rounds),
    ):
        if not 0 <= value < inf:
            raise ConfigError(f"{what} of a migration is {value}; it has to be finite and at least 0")
    growth = dirty_mib_s / bandwidth_mib_s
    left_mib, copied_mib, rounds = memory_mib, 0.0, 0
    while left_mib > stop_mib and rounds < max_rounds:
        copied_mib += left_mib
        left_mib = min(left_mib * growth, memory_mib)
        rounds += 1
    total_mib = copied_mib + left_mib
    return Migration(total_mib, total_mib / bandwidth_mib_s, left_mib / bandwidth_mib_s, rounds)
