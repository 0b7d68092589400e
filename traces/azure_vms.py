"""The full life of a fleet: the VMs of Azure 2017 come and go, thinned to what a fleet of the wanted size can hold."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal

import numpy as np
from numba import njit

from clustersim.errors import ConfigError, TraceError
from clustersim.streams import Streams
from clustersim.traces.azure_vm_files import BIN_S, AzureArrivals, read_azure_arrivals
from clustersim.traces.locate import VARIABLE, locate
from clustersim.traces.vm_catalog import AZURE2017
from clustersim.traces.vm_like import standard_machines
from clustersim.traces.vm_room import somewhere, take
from clustersim.vm_fleet import Bools, Ints, Machines, Shapes, Snapshot
from clustersim.vm_life import FleetLife, Floats

LARGEST_BATCH_SHARE = 0.1
"""Of the cores of the fleet: a tenant that asks for more at once is not for a fleet of this size."""


@dataclass(frozen=True)
class AzureFleet:
    """A life for each seed, of standard machines of 2 x 44 cores; calling it with a seed gives the life.

    Time 0 is `start_s` after the beginning of the split. What arrived before is placed already, on any NUMA node with
    room ("random") or on the fullest ("best-fit"), or has found none and is gone; what is there at time 0 stays for the
    rest of its lifetime. Whole batches are kept or left out, by chance, so that those that are kept ask for
    `load_share` of the cores on average from 0 to `horizon_s`; batches that alone ask for more than a tenth of the
    cores are left out. A batch arrives at a random instant of its 300 s, at once. Lifetimes are equally likely within
    their bin, and endless where the end was not observed.
    `folder` is that of the trace, by default where the catalogue finds it. Chance is in what is kept, in the instants
    and lifetimes, and in the first placement.
    """

    folder: str | None = None
    split: Literal["dev", "test"] = "test"
    machines: int = 280
    load_share: float = 0.85
    start_s: float = 172_800.0
    horizon_s: float = 86_400.0
    placement: Literal["random", "best-fit"] = "random"

    def __post_init__(self) -> None:
        if self.machines < 1:
            raise ConfigError(f"machines is {self.machines}; a fleet has at least 1")
        if not 0 < self.load_share <= 1:
            raise ConfigError(f"load_share is {self.load_share}; it has to be above 0 and at most 1")
        if not (0 <= self.start_s < inf and 0 < self.horizon_s < inf):
            raise ConfigError(
                f"start_s is {self.start_s} and horizon_s {self.horizon_s}; they have to be finite, the first at "
                "least 0 and the second above"
            )
        if self.placement not in ("random", "best-fit"):
            raise ConfigError(f"placement is {self.placement!r}; choose random or best-fit")

    def __call__(self, seed: int) -> FleetLife:
        return azure_life(self, read_azure_arrivals(self._folder(), self.split), Streams(seed))

    def _folder(self) -> Path:
        if self.folder is not None:
            return Path(self.folder)
        found = locate(AZURE2017.name)
        if found is None:
            raise TraceError(
                f"trace {AZURE2017.name!r} is not on this machine; run `clustersim traces fetch {AZURE2017.name}` or "
                f"name its folder in {VARIABLE}"
            )
        return found


def azure_life(fleet: AzureFleet, trace: AzureArrivals, streams: Streams) -> FleetLife:
    """Raises ConfigError where the trace is too short, or too small for the load."""
    machines = standard_machines(fleet.machines)
    shapes = Shapes(trace.flavour_name, trace.cores, trace.memory_mib, np.zeros(len(trace.cores), dtype=np.bool_))
    arrival_s, exit_s = _times(trace, fleet.start_s, streams["times"])
    _require_long_enough(fleet, trace)
    kept = _kept(fleet, trace, arrival_s, exit_s, int(machines.cores.sum()), streams["kept"])
    order = np.flatnonzero(kept)[np.argsort(arrival_s[kept], kind="stable")]
    arrival_s, exit_s, shape = arrival_s[order], exit_s[order], trace.flavour[order]
    before = arrival_s < 0
    later = ~before & (arrival_s < fleet.horizon_s)
    snapshot, rows = _warmed_up(fleet, machines, shapes, arrival_s, exit_s, shape, before, streams["placement"])
    return FleetLife(snapshot, exit_s[rows], arrival_s[later], shape[later], (exit_s - arrival_s)[later])


def _times(trace: AzureArrivals, start_s: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """When every VM arrives and exits, counted from the start; shape (V,) each."""
    within_s = rng.uniform(0, BIN_S, int(trace.batch[-1]) + 1)
    arrival_s = trace.bin_s - trace.bin_s[0] - start_s + within_s[trace.batch]
    least_s, most_s = trace.lifetime_s[trace.lifetime].T
    # From above the least, as no VM has a lifetime of 0.
    lifetime_s = most_s - (most_s - least_s) * rng.random(len(trace))
    return arrival_s, np.where(trace.censored, inf, arrival_s + lifetime_s)


def _require_long_enough(fleet: AzureFleet, trace: AzureArrivals) -> None:
    length_s = int(trace.bin_s[-1] - trace.bin_s[0]) + BIN_S
    if fleet.start_s + fleet.horizon_s > length_s:
        raise ConfigError(
            f"start_s + horizon_s is {fleet.start_s:g} + {fleet.horizon_s:g} s, but split {fleet.split!r} has only "
            f"{length_s} s; take less"
        )


def _kept(
    fleet: AzureFleet, trace: AzureArrivals, arrival_s: Floats, exit_s: Floats, capacity: int, rng: np.random.Generator
) -> Bools:
    """Which VMs are kept, shape (V,).

    Batches have a random order. Those before a place in it are kept, as many as ask for no more than the load.
    """
    cores = trace.cores[trace.flavour].astype(np.float64)
    batches = int(trace.batch[-1]) + 1
    overlap_s = np.clip(np.minimum(exit_s, fleet.horizon_s) - np.maximum(arrival_s, 0), 0, None)
    load = np.bincount(trace.batch, weights=cores * overlap_s / fleet.horizon_s, minlength=batches)
    small = np.bincount(trace.batch, weights=cores, minlength=batches) <= LARGEST_BATCH_SHARE * capacity
    order = rng.permutation(np.flatnonzero(small))
    asked = np.cumsum(load[order])
    wanted = fleet.load_share * capacity
    if not len(asked) or asked[-1] < wanted:
        most = asked[-1] if len(asked) else 0.0
        raise ConfigError(
            f"the VMs of split {fleet.split!r} ask for {most:,.0f} cores on average, {fleet.machines} machines at load "
            f"{fleet.load_share} for {wanted:,.0f}; take fewer machines or a lower load_share"
        )
    keep = np.zeros(batches, dtype=np.bool_)
    keep[order[: int(np.searchsorted(asked, wanted, side="right"))]] = True
    return keep[trace.batch]


def _warmed_up(
    fleet: AzureFleet,
    machines: Machines,
    shapes: Shapes,
    arrival_s: Floats,
    exit_s: Floats,
    shape: Ints,
    before: Bools,
    rng: np.random.Generator,
) -> tuple[Snapshot, Ints]:
    """The fleet at time 0, and which VMs are in it."""
    early = np.flatnonzero(before)
    free_cores, free_memory_mib = machines.cores.copy(), machines.memory_mib.copy()
    # Exits and arrivals before 0 in order of time; of the same instant exits come first.
    gone = early[exit_s[early] < 0]
    time_s = np.concatenate([exit_s[gone], arrival_s[early]])
    arrives = np.repeat([0, 1], [len(gone), len(early)])
    order = np.lexsort((arrives, time_s))
    host, numa = _play(
        rng, np.concatenate([gone, early])[order], arrives[order], shape, shapes.cores, shapes.memory_mib,
        free_cores, free_memory_mib, fleet.placement == "best-fit",
    )  # fmt: skip
    rows = np.flatnonzero(host >= 0)
    snapshot = Snapshot(
        f"azure2017-{fleet.split}-{fleet.machines}",
        machines,
        shapes,
        tuple(f"vm-{row}" for row in rows),
        shape[rows],
        host[rows],
        numa[rows],
        np.ones(len(rows), dtype=np.bool_),
        free_cores,
        free_memory_mib,
    )
    return snapshot, rows


@njit(cache=True)
def _play(rng, vms, arrives, shape, cores, memory, free_cores, free_memory, best_fit):  # type: ignore[no-untyped-def]
    """Host and NUMA node of every VM after these arrivals and exits, shape (V,); -1 for one that is not there."""
    host, numa = np.full(len(shape), -1), np.zeros(len(shape), np.int64)
    for event in range(len(vms)):
        vm = vms[event]
        s = shape[vm]
        if arrives[event]:
            host[vm], numa[vm] = somewhere(rng, free_cores, free_memory, cores[s], memory[s], False, best_fit)
            if host[vm] >= 0:
                take(free_cores, free_memory, host[vm], numa[vm], 1, cores[s], memory[s], False)
        elif host[vm] >= 0:
            take(free_cores, free_memory, host[vm], numa[vm], -1, cores[s], memory[s], False)
            host[vm] = -1
    return host, numa
