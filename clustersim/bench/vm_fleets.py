"""Which fleets a VM benchmark plays: one of a snapshot file, or one per seed that is generated; sets may be added."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Literal

from clustersim.bench.checksum import checksum
from clustersim.bench.runs import JSON
from clustersim.errors import ConfigError, TraceError, TraceWarning
from clustersim.streams import Streams
from clustersim.traces.locate import VARIABLE, locate
from clustersim.traces.vm_catalog import VM_LIKE, VMR2L
from clustersim.traces.vm_like import ROOMY, VmLike
from clustersim.traces.vm_sets import drawn_sets
from clustersim.traces.vm_snapshot import read_snapshot
from clustersim.vm_fleet import Snapshot

GENERATED = {"generated": VmLike(), VM_LIKE.name: VmLike(), "generated-roomy": ROOMY}
"""Names of fleets that are made, for any seed; the first also by the name that it has in the catalogue."""

SET_SIZE = 3
"""VMs of an anti-affinity set that is drawn."""


@dataclass(frozen=True)
class Fleets:
    """A fleet for each seed; calling it with a seed gives the snapshot.

    A snapshot that is read is the same for all seeds but for the sets that are drawn.
    """

    trace: str = "generated"
    """One of GENERATED, the snapshot of the catalogue, or a file in its format."""
    cluster: int | Literal["all"] = 0
    """Which cluster of the file."""
    overlaps: Literal["reject", "keep"] = "reject"
    """What to do about sets of the file that its placement violates already."""
    machines: int | None = None
    """Of a generated fleet; None: as many as it usually has."""
    host_sets: int = 0
    """Anti-affinity sets that are drawn, besides those that the fleet has."""
    rack_sets: int = 0

    def __post_init__(self) -> None:
        if self.like is not None:
            if self.cluster != 0:
                raise ConfigError(f"cluster is {self.cluster}, but a generated fleet has only one; leave it away")
        elif self.machines is not None:
            raise ConfigError(
                f"machines is {self.machines}, which has no effect on {self.trace!r}; leave it away, or use "
                "--trace generated"
            )
        for name, sets in (("host_sets", self.host_sets), ("rack_sets", self.rack_sets)):
            if sets < 0:
                raise ConfigError(f"{name} is {sets}; it has to be at least 0")
        if self.like is None:
            self._read()

    def __call__(self, seed: int) -> Snapshot:
        if self.like is not None:
            return self.like(seed)
        snapshot, _ = self._read()
        if self.one_fleet:
            return snapshot
        rng, rack = Streams(seed)["anti-affinity"], snapshot.machines.rack[snapshot.host]
        drawn = drawn_sets(snapshot.host, rack, self.host_sets, self.rack_sets, SET_SIZE, rng)
        return replace(snapshot, anti_affinity=(*snapshot.anti_affinity, *drawn))

    @property
    def name(self) -> str:
        return self.trace if self.like is not None else Path(self.trace).name

    @property
    def like(self) -> VmLike | None:
        """The generator, where there is one."""
        usual = GENERATED.get(self.trace)
        if usual is None:
            return None
        return replace(
            usual,
            machines=usual.machines if self.machines is None else self.machines,
            host_sets=usual.host_sets + self.host_sets,
            rack_sets=usual.rack_sets + self.rack_sets,
            set_size=SET_SIZE,
        )

    @property
    def one_fleet(self) -> bool:
        """Whether a seed changes nothing about the fleet."""
        return not (self.like or self.host_sets or self.rack_sets)

    @property
    def defects(self) -> tuple[str, ...]:
        """What the reader warns of."""
        return self._read()[1] if self.like is None else ()

    def config(self) -> dict[str, JSON]:
        """What determines the fleets; the checksum is that of one of them."""
        told: dict[str, JSON] = {"host_sets": self.host_sets, "rack_sets": self.rack_sets}
        if self.like is not None:
            told["machines"] = self.like.machines
        else:
            told |= {"cluster": self.cluster, "overlaps": self.overlaps}
        return told | {"trace_sha256": checksum(self(0))}

    def _read(self) -> tuple[Snapshot, tuple[str, ...]]:
        return _read(self.trace, self.cluster, self.overlaps)


@lru_cache(maxsize=2)
def _read(
    trace: str, cluster: int | Literal["all"], overlaps: Literal["reject", "keep"]
) -> tuple[Snapshot, tuple[str, ...]]:
    """The snapshot and its known defects, which every process that reads it would warn of; they name no folder."""
    path = _path(trace)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TraceWarning)
        snapshot = read_snapshot(path, None if cluster == "all" else cluster, overlaps)
    return snapshot, tuple(str(warning.message).replace(str(path), path.name) for warning in caught)


def _path(trace: str) -> Path:
    """The file of a snapshot; the name of the catalogue goes before a path."""
    if trace == VMR2L.name:
        folder = locate(VMR2L.name)
        if folder is None:
            raise TraceError(
                f"trace {VMR2L.name!r} is not on this machine; name its folder in {VARIABLE}, or use generated fleets"
            )
        name = VMR2L.files[0].name
        return next(path for path in (folder / name, folder / f"{name}.gz") if path.is_file())
    if Path(trace).is_file():
        return Path(trace)
    known = (*GENERATED, VMR2L.name)
    near = get_close_matches(trace, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise TraceError(f'{trace!r} is no file; {hint}name one in the format of "VMR2L", or one of {", ".join(known)}')
