"""Systems on a chip of the DS3 emulator: machines, run times by task name, links, clocks and power.

DS3: Arda et al., "DS3: A System-Level Domain-Specific System-on-Chip Simulation Framework", IEEE Transactions on
Computers 69(8), 2020 (arXiv 2003.09016). Times in the files are microseconds at the highest clock.

A resource of capacity c is a cluster of c machines (`A7-0`, `A7-1`, ...); one of capacity 1 is a machine of its name.
Memories and caches (types MEM and CAC) are no machines. There are two dialects of the line `add_new_resource`: words by
position (SoCRATES), and a keyword before each word (DS3, where we too go by position: one file misspells a keyword).

* Links: `comm_band i j b` is the bandwidth between two different machines of clusters i and j, both ways, in volume
  units per microsecond; a pair without such a line has 1, the value that DS3 fills its matrix with. The SoCs of the
  example of Topcuoglu et al. list only the ways to the memory: from machine to machine a volume takes as many
  microseconds as it has units, which are the costs of the example. Through the memory it would be the same: 2 units per
  microsecond there and 2 back. `comm_band_self` is not used: data on the same machine are there at once.
* A function that a resource lists twice counts the first time, as in DS3, which looks the name up in a list.
* `busy_w`: the last power of `power_profile` at the highest clock (all cores at work) divided by the capacity. The
  older dialect has no profiles but a power for each function, in a unit that it does not state: their mean, as if it
  were watts.
* `idle_w`: leakage at the voltage of the highest clock and 42 C, by the formula and coefficients of DS3 for the Odroid
  XU3: V * C1 * T^2 * exp(-C2 / T) + Igate * V for a cluster, a quarter of it for a core; a LITTLE core has a quarter of
  that (its area); accelerators have none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clustersim.dags import Machines, OperatingPoint
from clustersim.errors import TraceError
from clustersim.traces.dag_ds3_text import Line, read_lines

NO_MACHINES = ("MEM", "CAC")
IGNORED = ("trip_freq", "DTPM_trip_freq", "PG_profile", "mesh_information")
DEFAULT_BAND = 1.0

C1, C2, I_GATE, AMBIENT_K = 0.002488, 2660.0, 0.000519, 42 + 273.15
"""Coefficients of the leakage of the big cluster, and the ambient temperature."""


@dataclass(frozen=True, slots=True, eq=False)
class Soc:
    """`run_time_s[name]`, shape (M,): of the task of that name on each machine, inf where it cannot run.

    `repeated`: functions that a resource lists more than once, as `resource/function`.
    """

    name: str
    machines: Machines
    run_time_s: Mapping[str, NDArray[np.float64]]
    repeated: tuple[str, ...]


@dataclass(slots=True)
class _Resource:
    line: Line
    kind: str
    name: str
    identity: int
    capacity: int
    functions: int
    points: list[OperatingPoint] = field(default_factory=list)
    profiles: dict[float, float] = field(default_factory=dict)  # clock in MHz -> watts with all cores at work
    run_time_us: dict[str, float] = field(default_factory=dict)
    power: list[float] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)

    @property
    def machines(self) -> list[str]:
        if self.kind in NO_MACHINES:
            return []
        return [self.name] if self.capacity == 1 else [f"{self.name}-{core}" for core in range(self.capacity)]

    @property
    def busy_w(self) -> float:
        if self.profiles:
            return self.profiles[max(self.profiles)] / self.capacity
        return sum(self.power) / len(self.power) if self.power else 0.0

    @property
    def idle_w(self) -> float:
        if not self.points or self.kind.startswith("ACC"):
            return 0.0
        volt = max(self.points, key=lambda point: point.mhz).mv / 1e3
        cluster_w = volt * C1 * AMBIENT_K**2 * math.exp(-C2 / AMBIENT_K) + I_GATE * volt
        return cluster_w / (16 if self.kind == "LTL" else 4)


@lru_cache(maxsize=16)
def read_soc(file: Path) -> Soc:
    """Raises TraceError with file and line for whatever is missing, wrong or there twice."""
    resources: dict[int, _Resource] = {}
    bands: dict[tuple[int, int], float] = {}
    for line in read_lines(file):
        match line.words[0]:
            case "add_new_resource":
                resource = _resource(line)
                same = [r for r in resources.values() if r.identity == resource.identity or r.name == resource.name]
                if same:
                    raise line.wrong(f"line {same[0].line.number} has a resource of that name or ID already")
                resources[resource.identity] = resource
            case "comm_band":
                _add_band(bands, resources, line)
            case "comm_band_self":
                line.value(1, "the bandwidth")
            case _ if not resources:
                raise line.wrong("it comes before the first add_new_resource")
            case _:
                _describe(resource, line)
    for resource in resources.values():
        listed = len(resource.run_time_us) + len(resource.repeated)
        if listed != resource.functions:
            raise resource.line.wrong(f"{resource.functions} functions are announced, {listed} follow")
    clusters = [resource for resource in resources.values() for _ in resource.machines]
    if not clusters:
        raise TraceError(f"{file}: there is no resource that runs tasks; get a complete copy of the file")
    names = [name for resource in resources.values() for name in resource.machines]
    functions = dict.fromkeys(name for cluster in clusters for name in cluster.run_time_us)
    return Soc(
        file.name.split(".txt")[0],
        Machines(
            tuple(names),
            tuple(cluster.name for cluster in clusters),
            np.zeros((len(names), len(names))),
            _s_per_unit(clusters, bands),
            np.array([cluster.busy_w for cluster in clusters]),
            np.array([cluster.idle_w for cluster in clusters]),
            tuple(tuple(sorted(cluster.points, key=lambda point: point.mhz)) for cluster in clusters),
        ),
        {name: np.array([c.run_time_us.get(name, math.inf) for c in clusters]) * 1e-6 for name in functions},
        tuple(f"{r.name}/{name}" for r in resources.values() for name in r.repeated),
    )


def _resource(line: Line) -> _Resource:
    # The keyword of the newer dialect is misspelt in one file; no type of the older one ends like it.
    keywords = line.word(1, "the type").endswith("_type")
    position = [2, 4, 6, 8, 10] if keywords else [1, 2, 3, 4, 5]
    kind, name = line.word(position[0], "the type"), line.word(position[1], "the name")
    identity, capacity, functions = (
        line.whole(at, meaning)
        for at, meaning in zip(position[2:], ("the ID", "the capacity", "the number of functions"), strict=True)
    )
    if capacity < 1:
        raise line.wrong(f"the capacity is {capacity}; it has to be at least 1")
    return _Resource(line, kind, name, identity, capacity, functions)


def _describe(resource: _Resource, line: Line) -> None:
    match line.words[0]:
        case "opp":
            resource.points.append(OperatingPoint(line.value(1, "the clock"), line.value(2, "the voltage")))
        case "power_profile":
            resource.profiles[line.value(1, "the clock")] = line.value(max(2, len(line.words) - 1), "the power")
        case word if word in IGNORED:
            pass
        case function:
            run_time_us = line.value(1, "the run time")
            if function in resource.run_time_us:
                resource.repeated.append(function)
                return
            resource.run_time_us[function] = run_time_us
            if len(line.words) > 2:
                resource.power.append(line.value(2, "the power"))


def _add_band(bands: dict[tuple[int, int], float], resources: Mapping[int, _Resource], line: Line) -> None:
    ends = (line.whole(1, "the source"), line.whole(2, "the destination"))
    for end in ends:
        if end not in resources:
            raise line.wrong(f"there is no resource with the ID {end} above")
    band = line.value(3, "the bandwidth")
    if band == 0 and all(resources[end].machines for end in ends):
        raise line.wrong("the bandwidth between machines is 0; it has to be positive")
    pair = (min(ends), max(ends))
    if bands.setdefault(pair, band) != band:
        raise line.wrong(f"the bandwidth of this pair is {bands[pair]:g} in a line above")


def _s_per_unit(clusters: list[_Resource], bands: Mapping[tuple[int, int], float]) -> NDArray[np.float64]:
    identities = [cluster.identity for cluster in clusters]
    band = np.array([[bands.get((min(a, b), max(a, b)), DEFAULT_BAND) for b in identities] for a in identities])
    s_per_unit: NDArray[np.float64] = (1.0 - np.eye(len(clusters))) * 1e-6 / band
    return s_per_unit
