"""A short report on traces of VMs: how many machines and VMs, how much is free, and which known defects."""

from __future__ import annotations

import warnings
from pathlib import Path

from clustersim.errors import TraceError, TraceWarning
from clustersim.traces.azure_vm_files import LIFETIMES, read_azure_arrivals
from clustersim.traces.dag_json import read_json
from clustersim.traces.text_file import read_text
from clustersim.traces.vm_snapshot import nodes_with_other_memory, read_snapshot
from clustersim.vm_fleet import fragment_rate


def holds_vms(path: Path) -> bool:
    """Whether this is a snapshot of VMs, a folder of snapshots, or the folder of the Azure 2017 arrivals."""
    return bool(_snapshots(path)) or _holds_arrivals(path)


def check_vms(path: Path) -> str:
    """Validate a snapshot, every snapshot in a folder, or the Azure arrivals. Raises TraceError at the first breach."""
    if _holds_arrivals(path):
        reports = {f"{path}, split {split}": _arrivals(path, split) for split in _splits(path)}
    else:
        reports = {str(file): _clusters(file) for file in _snapshots(path)}
    return "\n".join("\n  ".join([f"{at}: keeps the rules of the format", *lines]) for at, lines in reports.items())


def _snapshots(path: Path) -> list[Path]:
    files = sorted(path.glob("*.json*")) if path.is_dir() else [path]
    return [file for file in files if file.match("*.json") or file.match("*.json.gz") if _is_snapshot(file)]


def _is_snapshot(file: Path) -> bool:
    try:
        return '"cluster_list"' in read_text(file)
    except TraceError:
        return False


def _clusters(file: Path) -> list[str]:
    lines = []
    for cluster in range(len(read_json(file)["cluster_list"].elements())):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TraceWarning)
            fleet = read_snapshot(file, cluster, overlaps="keep")
        wrong = nodes_with_other_memory(fleet)
        free = int(fleet.free_cores.sum())
        lines += [
            f"{fleet.name}: {len(fleet.machines):,} machines, {int((~fleet.machines.active).sum())} of them not "
            f"active; {len(fleet):,} VMs of {len(fleet.shapes)} shapes; {free:,} of {fleet.machines.cores.sum():,} "
            f"cores free, fragment rate {fragment_rate(fleet.free_cores):.4f}; "
            f"{len(fleet.anti_affinity)} anti-affinity sets",
            "defects: "
            + (
                f"free memory of {wrong} of {fleet.free_cores.size} NUMA nodes is not the total less that of the VMs"
                if wrong
                else "none"
            ),
        ]
    return lines


def _holds_arrivals(path: Path) -> bool:
    return bool(_splits(path))


def _splits(path: Path) -> list[str]:
    return [split for split, name in LIFETIMES.items() if any((path / f"{name}{end}").is_file() for end in ("", ".gz"))]


def _arrivals(path: Path, split: str) -> list[str]:
    trace = read_azure_arrivals(path, split)
    return [
        f"{len(trace):,} VMs in {int(trace.batch[-1]) + 1:,} batches, {trace.bin_s[0]:,} to {trace.bin_s[-1]:,} s",
        f"defects: {int(trace.censored.sum()):,} VMs outlive the split",
    ]
