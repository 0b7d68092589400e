"""Machines for jobs whose file gives one run time per task, and links in proportion to the run times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clustersim.dags import Dag, Machines, uniform_machines
from clustersim.errors import ConfigError


def related_machines(
    count: int, heterogeneity: float, bytes_per_s: float, latency_s: float, rng: np.random.Generator
) -> tuple[Machines, NDArray[np.float64]]:
    """`count` machines and their slowness, shape (M,): how many times as long as recorded a task takes on each.

    Speeds are log-uniform on [1, heterogeneity], so the fastest machine is at most `heterogeneity` times as fast as the
    slowest; then all are scaled so that the slowness is 1 on average, and a task takes its recorded time on the mean
    machine. Speeds of the first machines do not depend on how many follow, but for that scale. Every two machines have
    the same link.
    """
    if count < 1:
        raise ConfigError(f"machines is {count}; at least one is needed")
    if not 1 <= heterogeneity < math.inf:
        raise ConfigError(f"heterogeneity is {heterogeneity}; it is the fastest over the slowest speed, at least 1")
    if not bytes_per_s > 0:
        raise ConfigError(f"bytes_per_s is {bytes_per_s}; it has to be positive")
    if not 0 <= latency_s < math.inf:
        raise ConfigError(f"latency_s is {latency_s}; it has to be at least 0")
    slowness = heterogeneity ** -rng.random(count)
    slowness /= slowness.mean()
    machines = uniform_machines(count, latency_s=latency_s, bytes_per_s=bytes_per_s)
    if heterogeneity > 1:
        machines = replace(machines, kinds=machines.names)
    return machines, slowness


def mean_run_time_s(job: Dag) -> NDArray[np.float64]:
    """Of one instance of each task, over the machines that can run it, shape (T,)."""
    can_run = np.isfinite(job.run_time_s)
    total: NDArray[np.float64] = np.where(can_run, job.run_time_s, 0.0).sum(axis=1)
    mean: NDArray[np.float64] = total / can_run.sum(axis=1)
    return mean


def work_s(job: Dag) -> float:
    """Seconds that the job takes of its mean machine: all instances, and one warm-up per task."""
    return float((job.instances * mean_run_time_s(job) + job.warm_up_s).sum())


def ccr(machines: Machines, jobs: Sequence[Dag]) -> float:
    """Communication to computation ratio: mean seconds of an edge over mean seconds of an instance.

    The mean of an edge is over all pairs of different machines, that of a task over the machines that can run it, and
    both are over all jobs together (Topcuoglu, Hariri, Wu 2002, doi 10.1109/71.993206, there for one job).
    """
    pairs = len(machines) * (len(machines) - 1)
    data_bytes = np.concatenate([job.data_bytes for job in jobs])
    run_s = float(np.concatenate([mean_run_time_s(job) for job in jobs]).mean())
    if not pairs or not len(data_bytes) or run_s == 0:
        return 0.0
    edge_s = (machines.latency_s.sum() + data_bytes.mean() * machines.s_per_byte.sum()) / pairs
    return float(edge_s / run_s)


def with_ccr(machines: Machines, jobs: Sequence[Dag], wanted: float) -> Machines:
    """The machines with all links slowed down or sped up by one factor, so that these jobs have that ratio."""
    if not 0 <= wanted < math.inf:
        raise ConfigError(f"ccr is {wanted}; it has to be at least 0")
    there = ccr(machines, jobs)
    if there == 0 and wanted > 0:
        raise ConfigError(f"ccr is {wanted}, but nothing is sent between machines here; leave ccr out")
    factor = wanted / there if there else 0.0
    return replace(machines, latency_s=machines.latency_s * factor, s_per_byte=machines.s_per_byte * factor)
