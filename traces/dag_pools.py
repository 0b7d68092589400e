"""Collections of recorded jobs that an episode draws from: workflow files, TPC-H queries, jobs of Alibaba."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from clustersim.errors import ConfigError
from clustersim.traces.dag_alibaba import read_alibaba
from clustersim.traces.dag_job import RecordedJob
from clustersim.traces.dag_tpch import read_tpch
from clustersim.traces.dag_wfformat import read_wfformat


class JobPool(Protocol):
    """Jobs by index; `machines` is the size of the cluster that they will run on."""

    @property
    def files(self) -> tuple[Path, ...]: ...

    def __len__(self) -> int: ...

    def __hash__(self) -> int: ...

    def tasks(self, index: int) -> int:
        """How many tasks the job has."""

    def job(self, index: int, machines: int) -> RecordedJob: ...


@dataclass(frozen=True)
class WorkflowPool:
    """One workflow per file. A file is read when it is first asked for: all of them take a second."""

    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.files)

    def tasks(self, index: int) -> int:
        return len(read_wfformat(self.files[index]))

    def job(self, index: int, machines: int) -> RecordedJob:
        return read_wfformat(self.files[index])


@dataclass(frozen=True)
class TpchPool:
    """All queries of one file after another, one file per input size."""

    files: tuple[Path, ...]

    def __len__(self) -> int:
        return sum(len(read_tpch(file)) for file in self.files)

    def tasks(self, index: int) -> int:
        file, query = self._place(index)
        return len(read_tpch(file)[query])

    def job(self, index: int, machines: int) -> RecordedJob:
        file, query = self._place(index)
        return read_tpch(file)[query].job(executors=machines)

    def _place(self, index: int) -> tuple[Path, int]:
        for file in self.files:
            queries = len(read_tpch(file))
            if index < queries:
                return file, index
            index -= queries
        raise AssertionError("an index beyond the last query")


@dataclass(frozen=True)
class AlibabaPool:
    """The jobs of a file by arrival."""

    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self._jobs)

    def tasks(self, index: int) -> int:
        return len(self._jobs[index])

    def job(self, index: int, machines: int) -> RecordedJob:
        return self._jobs[index]

    @property
    def _jobs(self) -> tuple[RecordedJob, ...]:
        (file,) = self.files
        if file.name.removesuffix(".gz").endswith(".csv"):
            # pandas and pandera take more than half a second to import
            from clustersim.traces.dag_batch_task import read_batch_task

            return read_batch_task(file).jobs
        return read_alibaba(file)


@lru_cache(maxsize=64)
def of_size(pool: JobPool, least_tasks: int, most_tasks: int) -> tuple[int, ...]:
    """The indices of the jobs with that many tasks. Raises ConfigError when there is none."""
    chosen = tuple(index for index in range(len(pool)) if least_tasks <= pool.tasks(index) <= most_tasks)
    if not chosen:
        raise no_job_of_size(pool, least_tasks, most_tasks)
    return chosen


def no_job_of_size(pool: JobPool, least_tasks: int, most_tasks: int) -> ConfigError:
    sizes = [pool.tasks(index) for index in range(len(pool))]
    return ConfigError(
        f"none of the {len(pool)} jobs has {least_tasks} to {most_tasks} tasks; they have {min(sizes)} to {max(sizes)}"
    )
