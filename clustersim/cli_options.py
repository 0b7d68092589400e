"""What subcommands share: options that all benchmarks have, and lists as text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clustersim.errors import ConfigError

FIRST_SEED = 42


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Which runs are made, where they are kept, and what they are compared with."""

    seeds: int | None = None
    """Number of seeds, from the first seed on; by default 5, of a snapshot whose fleet no seed changes 1."""
    first_seed: int = FIRST_SEED
    jobs: int = 1
    """Processes; the numbers are the same for any number of them, but for what wall-clock limits and delays decide."""
    reference: str | None = None
    """The policy that the others are compared with; by default ha or, for vm-delay, no-op, if among them, else the
    first."""
    out: Path | None = None
    """Folder for the results; the same command resumes there. By default below results/."""

    def chosen_seeds(self, default: int) -> tuple[int, ...]:
        """Raises before anything is claimed or written."""
        count = default if self.seeds is None else self.seeds
        require_counts(count, self.first_seed, self.jobs)
        return tuple(range(self.first_seed, self.first_seed + count))


def require_counts(seeds: int, first_seed: int, jobs: int) -> None:
    """Before anything is claimed or written."""
    if jobs < 1:
        raise ConfigError(f"--jobs is {jobs}; it has to be at least 1")
    if seeds < 1:
        raise ConfigError(f"--seeds is {seeds}; it has to be at least 1")
    if first_seed < 0:
        raise ConfigError(f"--first-seed is {first_seed}; it has to be at least 0")


def names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
