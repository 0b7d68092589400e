"""The same workload on machines at a lower clock: longer run times, less power."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clustersim.dags import DagWorkload, OperatingPoint
from clustersim.errors import ConfigError


def at_clock(workload: DagWorkload, share: float) -> DagWorkload:
    """Every machine at the lowest of its operating points with at least `share` of its highest clock.

    At clock f and voltage V run times are those at the highest clock times f_max / f. What being busy adds to idle
    power is dynamic and goes with f * V^2; idle power is leakage and goes with V, the temperature being equal:
    V * C1 * T^2 * exp(-C2 / T) + Igate * V. Source: DS3, Arda et al. 2020 (doi 10.1109/TC.2020.2986963).

    A machine without operating points stays as it is, and so do warm-ups and switches, which no machine has of its
    own. Higher points are left out, so that the run times hold at the highest point of the result again.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"the share of the highest clock is {share}; it has to be above 0 and at most 1, such as 0.6")
    machines = workload.machines
    if not machines.operating_points:
        return workload
    points = tuple(_up_to(share, of_machine) for of_machine in machines.operating_points)
    clock, voltage = np.ones(len(machines)), np.ones(len(machines))
    for index, (kept, every) in enumerate(zip(points, machines.operating_points, strict=True)):
        if kept:
            clock[index], voltage[index] = kept[-1].mhz / every[-1].mhz, kept[-1].mv / every[-1].mv
    idle_w = machines.idle_w * voltage
    busy_w = idle_w + (machines.busy_w - machines.idle_w) * clock * voltage**2
    return replace(
        workload,
        machines=replace(machines, busy_w=busy_w, idle_w=idle_w, operating_points=points),
        jobs=tuple(replace(job, run_time_s=job.run_time_s / clock) for job in workload.jobs),
    )


def _up_to(share: float, points: tuple[OperatingPoint, ...]) -> tuple[OperatingPoint, ...]:
    """The points up to the lowest that is fast enough."""
    if not points:
        return points
    # 0.55 of 1400 MHz comes out a little above 770 MHz.
    enough_mhz = share * points[-1].mhz * (1 - 1e-9)
    return points[: 1 + next(index for index, point in enumerate(points) if point.mhz >= enough_mhz)]
