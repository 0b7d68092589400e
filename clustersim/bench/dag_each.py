"""Every job of a trace as an episode of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from clustersim.errors import ConfigError
from clustersim.traces.dag_job import RecordedJob
from clustersim.traces.dag_pools import JobPool, of_size
from clustersim.traces.dag_sources import DagSource, RecordedSource, SocSource


@dataclass(frozen=True)
class OneJob:
    """A pool with nothing else in it, so that it is what every seed draws; the seed still draws the machines."""

    pool: JobPool
    index: int

    @property
    def files(self) -> tuple[Path, ...]:
        return self.pool.files

    def __len__(self) -> int:
        return 1

    def tasks(self, index: int) -> int:
        return self.pool.tasks(self.index)

    def job(self, index: int, machines: int) -> RecordedJob:
        return self.pool.job(self.index, machines)


def one_by_one(source: DagSource) -> tuple[DagSource, ...]:
    """A source per job that the given one may draw. Raises ConfigError for a trace that has no jobs to go through."""
    if isinstance(source, RecordedSource):
        indices = of_size(source.pool, source.least_tasks, source.most_tasks)
        return tuple(replace(source, pool=OneJob(source.pool, index)) for index in indices)
    if isinstance(source, SocSource):
        return tuple(replace(source, files=(file,)) for file in source.files)
    raise ConfigError(f"each goes through the jobs of a recorded trace, and {source.trace} has none; leave it away")
