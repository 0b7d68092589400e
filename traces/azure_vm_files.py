"""The VM arrivals of Azure 2017 as published with "Generating Complex, Realistic Cloud Workloads" (SOSP'21).

Two files with the same tokens, one after the other: flavours, and how long the VMs stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from clustersim.errors import TraceError
from clustersim.traces.text_file import read_text
from clustersim.vm_fleet import Bools, Ints

BIN_S = 300
LIFETIMES = {"dev": "traces/v1.dev.c2100000.txt", "test": "traces/v1.test.c2591400.txt"}
"""Of the split "train" lifetimes are not published."""

_END_OF_BATCH = "|"


@dataclass(frozen=True, slots=True, eq=False)
class AzureArrivals:
    """V VMs in the order of the file. A batch is what one tenant asks for at once."""

    flavour_name: tuple[str, ...]
    cores: Ints
    """(F,) of a flavour."""
    memory_mib: Ints
    """(F,)"""
    lifetime_s: Ints
    """(B, 2) least and most seconds in a bin of lifetimes, multiples of 300; most is excluded."""
    bin_s: Ints
    """(V,) start of the 300 s in which the VM arrives, ascending."""
    batch: Ints
    """(V,) number of the batch, ascending from 0."""
    flavour: Ints
    """(V,)"""
    lifetime: Ints
    """(V,) bin of the lifetime."""
    censored: Bools
    """(V,) whether the VM was there still when the observation ended, so that the bin is only that of its age then."""

    def __len__(self) -> int:
        return len(self.bin_s)


@lru_cache(maxsize=2)
def read_azure_arrivals(folder: Path, split: str) -> AzureArrivals:
    """Raises TraceError for a file that is missing or broken, and where the two files contradict each other."""
    if split not in LIFETIMES:
        raise TraceError(f"there is no split {split!r} with lifetimes; choose one of {', '.join(LIFETIMES)}")
    flavours, ranges = _flavours(_plain_or_gz(folder, "maps/flav_map.txt")), _ranges(folder)
    row = {name: number for number, (name, _, _) in enumerate(flavours)}
    of_flavours = _plain_or_gz(folder, f"traces/v1.{split}.txt")
    of_lifetimes = _plain_or_gz(folder, LIFETIMES[split])
    first, second = _lines(of_flavours), _lines(of_lifetimes)
    if len(first) != len(second):
        raise TraceError(f"{of_flavours} has {len(first)} lines and {of_lifetimes} {len(second)}; get clean copies")
    bin_s: list[int] = []
    batch: list[int] = []
    flavour: list[int] = []
    lifetime: list[int] = []
    censored: list[bool] = []
    batches = 0
    for line, ((time_s, names), (same_time_s, stays)) in enumerate(zip(first, second, strict=True), start=1):
        where = f"line {line} of {of_flavours} and of {of_lifetimes}"
        if time_s != same_time_s or len(names) != len(stays):
            raise TraceError(
                f"{where}: {len(names)} entries at {time_s} s and {len(stays)} at {same_time_s} s; "
                "an entry of one is that of the other"
            )
        for name, stay in zip(names, stays, strict=True):
            if _END_OF_BATCH in (name, stay):
                if name != stay:
                    raise TraceError(f"{where}: {name!r} against {stay!r}; a batch ends in both at the same place")
                batches += 1
                continue
            number = stay[1:]
            if name not in row or stay[:1] not in ("U", "C") or not number.isdecimal() or int(number) >= len(ranges):
                raise TraceError(
                    f"{where}: {name!r} with {stay!r}; a flavour of {', '.join(row)} and U or C with a bin from 0 to "
                    f"{len(ranges) - 1} are expected"
                )
            bin_s.append(time_s)
            batch.append(batches)
            flavour.append(row[name])
            lifetime.append(int(number))
            censored.append(stay[0] == "C")
        batches += 1
    return AzureArrivals(
        tuple(name for name, _, _ in flavours),
        np.array([cores for _, cores, _ in flavours], dtype=np.int64),
        np.array([memory_mib for _, _, memory_mib in flavours], dtype=np.int64),
        ranges,
        np.array(bin_s, dtype=np.int64),
        np.array(batch, dtype=np.int64),
        np.array(flavour, dtype=np.int64),
        np.array(lifetime, dtype=np.int64),
        np.array(censored, dtype=np.bool_),
    )


def _flavours(file: Path) -> list[tuple[str, int, int]]:
    """Name, cores and MiB; a line is "16,112 d", with GB."""
    found = []
    for line, text in enumerate(read_text(file).splitlines(), start=1):
        try:
            size, name = text.split()
            cores, gib = size.split(",")
            found.append((name, int(cores), int(float(gib) * 1024)))
        except ValueError:
            raise TraceError(f"{file}: line {line} is {text!r}; '<cores>,<GB> <flavour>' is expected") from None
    return found


def _ranges(folder: Path) -> Ints:
    """Least and most seconds of every bin of lifetimes; a line is "3900 13", and lifetimes are rounded down."""
    file = _plain_or_gz(folder, "maps/v1.interval_map.txt")
    pairs = []
    for line, text in enumerate(read_text(file).splitlines(), start=1):
        try:
            seconds, number = text.split()
            pairs.append((int(seconds), int(number)))
        except ValueError:
            raise TraceError(f"{file}: line {line} is {text!r}; '<seconds> <bin>' is expected") from None
        if pairs[-1][0] != BIN_S * (line - 1) or pairs[-1][1] - (pairs[-2][1] if line > 1 else -1) not in (0, 1):
            raise TraceError(
                f"{file}: line {line} is {text!r}; seconds go up by {BIN_S} and bins by 0 or 1, both from 0"
            )
    seconds_of, bins = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    least = seconds_of[np.searchsorted(bins, np.arange(bins[-1] + 1 if len(bins) else 0))]
    return np.stack([least, np.append(least[1:], len(pairs) * BIN_S)], axis=1)


def _lines(file: Path) -> list[tuple[int, list[str]]]:
    """Seconds and entries of every line, "<seconds> b,b,|,g"."""
    found = []
    for line, text in enumerate(read_text(file).splitlines(), start=1):
        time_s, _, entries = text.partition(" ")
        if not time_s.isdecimal() or not entries:
            raise TraceError(f"{file}: line {line} is {text[:40]!r}; '<seconds> <entry>,<entry>,...' is expected")
        found.append((int(time_s), entries.strip().split(",")))
    late = next((line for line, (one, two) in enumerate(pairwise(found), start=2) if two[0] <= one[0]), None)
    if late is not None:
        raise TraceError(f"{file}: line {late} is not later than the one before it; lines are in order of time")
    if not found:
        raise TraceError(f"{file}: the file is empty; get a complete copy of it")
    return found


def _plain_or_gz(folder: Path, name: str) -> Path:
    plain = folder / name
    packed = folder / f"{name}.gz"
    return packed if packed.is_file() and not plain.is_file() else plain
