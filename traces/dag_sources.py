"""Sources of episodes: a seed in, machines and jobs with their arrival times out.

A source is configuration and nothing else: it can be compared, hashed and sent to another process. What it draws comes
from streams of their own (`dag/machines`, `dag/jobs`, `dag/arrivals`), so no policy can change it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clustersim.dags import Dag, DagWorkload, Machines
from clustersim.errors import ConfigError
from clustersim.golden_dags import arabnejad_2014, insertion_5, topcuoglu_2002
from clustersim.streams import Streams
from clustersim.traces.dag_arrivals import Arrivals
from clustersim.traces.dag_ds3_job import read_soc_job
from clustersim.traces.dag_ds3_soc import read_soc
from clustersim.traces.dag_job import RecordedJob
from clustersim.traces.dag_machines import related_machines, with_ccr, work_s
from clustersim.traces.dag_pools import JobPool, no_job_of_size, of_size
from clustersim.traces.dag_random import Generator

GOLDEN = {"topcuoglu-2002": topcuoglu_2002, "insertion-5": insertion_5, "arabnejad-2014": arabnejad_2014}


class DagSource(Protocol):
    """`trace`: what it was asked for by. Two calls with one seed give the same episode."""

    @property
    def trace(self) -> str: ...

    def __call__(self, seed: int) -> DagWorkload: ...

    def checksum(self) -> str:
        """Changes with the data behind the source, and with what is made of them."""


@dataclass(frozen=True)
class RecordedSource:
    """Jobs with one run time per task on machines of different speed (`dag_machines.related_machines`).

    Batch and Poisson: each job is drawn uniformly from those of the pool with a number of tasks in the range, and may
    come twice. Trace: jobs that came one after another, the first of them drawn uniformly.
    `ccr`: the links are slowed down or sped up until the jobs of the episode have this ratio.
    """

    trace: str
    pool: JobPool
    arrivals: Arrivals
    machines: int
    heterogeneity: float
    bytes_per_s: float
    latency_s: float
    switch_s: float = 0.0
    least_tasks: int = 1
    most_tasks: int = 2**31
    ccr: float | None = None

    def __call__(self, seed: int) -> DagWorkload:
        streams = Streams(seed)
        machines, slowness = related_machines(
            self.machines, self.heterogeneity, self.bytes_per_s, self.latency_s, streams["dag/machines"]
        )
        gap_s = self.arrivals.mean_gap_s(_mean_work_s(self) if self.arrivals.load else 0.0, self.machines)
        if self.arrivals.kind == "trace":
            recorded = self._consecutive(streams["dag/jobs"])
            came_s = np.array([job.arrival_s for job in recorded])
            arrival_s = (came_s - came_s[0]) * (1.0 if gap_s is None else gap_s / _recorded_gap_s(self))
        else:
            recorded = [self._drawn(streams["dag/jobs"]) for _ in range(self.arrivals.jobs)]
            arrival_s = self.arrivals.times_s(gap_s, streams["dag/arrivals"])
        jobs = [job.on(slowness) for job in recorded]
        return _episode(self.trace, machines, jobs, arrival_s, self.switch_s, self.ccr)

    def checksum(self) -> str:
        return _checksum(self, self.pool.files)

    def _drawn(self, rng: np.random.Generator) -> RecordedJob:
        # Reading only what is drawn: to know the sizes of all workflows, all files would have to be read.
        refused: set[int] = set()
        while len(refused) < len(self.pool):
            index = int(rng.integers(len(self.pool)))
            if self.least_tasks <= self.pool.tasks(index) <= self.most_tasks:
                return self.pool.job(index, self.machines)
            refused.add(index)
        raise no_job_of_size(self.pool, self.least_tasks, self.most_tasks)

    def _consecutive(self, rng: np.random.Generator) -> list[RecordedJob]:
        there = of_size(self.pool, self.least_tasks, self.most_tasks)
        if len(there) < self.arrivals.jobs:
            raise ConfigError(f"jobs is {self.arrivals.jobs}, but {self.trace} has only {len(there)} of that size")
        first = int(rng.integers(len(there) - self.arrivals.jobs + 1))
        return [self.pool.job(index, self.machines) for index in there[first : first + self.arrivals.jobs]]


@dataclass(frozen=True)
class SocSource:
    """Jobs of DS3 on a system on a chip, each drawn uniformly from the files."""

    trace: str
    soc: Path
    files: tuple[Path, ...]
    arrivals: Arrivals
    ccr: float | None = None

    def __call__(self, seed: int) -> DagWorkload:
        machines = read_soc(self.soc).machines
        return _from_pool(self.trace, machines, _soc_jobs(self.soc, self.files), self.arrivals, seed, self.ccr)

    def checksum(self) -> str:
        return _checksum(self, (self.soc, *self.files))


@dataclass(frozen=True)
class GoldenSource:
    """One of the built-in instances; several jobs are copies of it."""

    trace: str
    arrivals: Arrivals
    ccr: float | None = None

    def __call__(self, seed: int) -> DagWorkload:
        instance = GOLDEN[self.trace]()
        return _from_pool(self.trace, instance.machines, instance.jobs, self.arrivals, seed, self.ccr)

    def checksum(self) -> str:
        return _checksum(self, ())


@dataclass(frozen=True)
class GeneratedSource:
    """Jobs from a generator; its edges carry as many bytes as the ratio that it is given asks for.

    The offered load is that of the jobs of the episode, as there is no file that says what the mean job is.
    """

    trace: str
    generator: Generator
    arrivals: Arrivals
    machines: int
    heterogeneity: float
    bytes_per_s: float

    def __call__(self, seed: int) -> DagWorkload:
        streams = Streams(seed)
        machines, slowness = related_machines(
            self.machines, self.heterogeneity, self.bytes_per_s, 0.0, streams["dag/machines"]
        )
        rng = streams["dag/jobs"]
        jobs = [
            self.generator(f"{self.trace}-{index}", rng, slowness, self.bytes_per_s)
            for index in range(self.arrivals.jobs)
        ]
        gap_s = self.arrivals.mean_gap_s(float(np.mean([work_s(job) for job in jobs])), self.machines)
        return _episode(self.trace, machines, jobs, self.arrivals.times_s(gap_s, streams["dag/arrivals"]))

    def checksum(self) -> str:
        return _checksum(self, ())


def _from_pool(
    trace: str, machines: Machines, pool: Sequence[Dag], arrivals: Arrivals, seed: int, ccr: float | None
) -> DagWorkload:
    streams = Streams(seed)
    jobs = [pool[index] for index in streams["dag/jobs"].integers(len(pool), size=arrivals.jobs)]
    gap_s = arrivals.mean_gap_s(float(np.mean([work_s(job) for job in pool])), len(machines))
    return _episode(trace, machines, jobs, arrivals.times_s(gap_s, streams["dag/arrivals"]), 0.0, ccr)


def _episode(
    trace: str,
    machines: Machines,
    jobs: Sequence[Dag],
    arrival_s: NDArray[np.float64],
    switch_s: float = 0.0,
    ccr: float | None = None,
) -> DagWorkload:
    if ccr is not None:
        machines = with_ccr(machines, jobs, ccr)
    return DagWorkload(trace, machines, tuple(jobs), arrival_s, switch_s)


@lru_cache(maxsize=16)
def _soc_jobs(soc: Path, files: tuple[Path, ...]) -> tuple[Dag, ...]:
    return tuple(read_soc_job(file).on(read_soc(soc)) for file in files)


@lru_cache(maxsize=64)
def _mean_work_s(source: RecordedSource) -> float:
    """Over all jobs that the source may draw, all equally likely."""
    there = of_size(source.pool, source.least_tasks, source.most_tasks)
    return float(np.mean([source.pool.job(index, source.machines).work_s for index in there]))


def _recorded_gap_s(source: RecordedSource) -> float:
    """Mean time between two arrivals in the whole trace."""
    there = of_size(source.pool, source.least_tasks, source.most_tasks)
    first, last = (source.pool.job(index, source.machines).arrival_s for index in (there[0], there[-1]))
    if last <= first:
        raise ConfigError(f"the jobs of {source.trace} have no times of arrival; use arrivals 'poisson'")
    return (last - first) / (len(there) - 1)


def _checksum(source: DagSource, files: Sequence[Path]) -> str:
    """Of the names and bytes of the files, and of the episode of seed 0, which depends on what we make of them."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    episode = source(0)
    machines = episode.machines
    digest.update("\0".join(machines.names).encode())
    digest.update(np.array([episode.switch_s]).tobytes())
    arrays = [machines.latency_s, machines.s_per_byte, machines.busy_w, machines.idle_w, episode.arrival_s]
    for job in episode.jobs:
        digest.update("\0".join((job.name, *job.tasks)).encode())
        arrays += [job.run_time_s, job.data_bytes, job.warm_up_s, job.edges.astype(float), job.instances.astype(float)]
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()
