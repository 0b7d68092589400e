"""Snapshots of VM fleets in the format of "VMR2L" (EuroSys'25, arXiv 2505.17359), `.json` or `.json.gz`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from clustersim.errors import ConfigError, TraceError, TraceWarning
from clustersim.traces.dag_json import read_json
from clustersim.traces.vm_records import HostRecord, Named, VmRecord, anti_affinity, host_record, named, vm_record
from clustersim.vm_fleet import AntiAffinity, Ints, Machines, Shapes, Snapshot


def read_snapshot(
    path: str | Path, cluster: int | None = 0, overlaps: Literal["reject", "keep"] = "reject"
) -> Snapshot:
    """One cluster of the file, numbered from 0, or all of them as one fleet (None). No rack is in two clusters.

    `overlaps`: whether to refuse anti-affinity sets that the placement violates already, or to keep them.
    Raises TraceError for a file that breaks a rule of the format. Warns (TraceWarning) where free memory is not the
    total less that of the VMs, as in the published files, and leaves it as it is.
    """
    file = Path(path)
    document = read_json(file)
    clusters = document["cluster_list"].elements()
    if cluster is not None and not 0 <= cluster < len(clusters):
        raise TraceError(
            f"{file}: there is no cluster {cluster}; the file has {len(clusters)}, numbered from 0; "
            "None takes them all (--cluster all)"
        )
    chosen = [Named("", each["cluster_name"].text(), each) for each in clusters]
    chosen = chosen if cluster is None else [chosen[cluster]]
    flavours = {
        each["vm_type"].text(): (each["request_cpu"].whole(), each["request_mem_mb"].whole())
        for each in document["vm_type_list"].elements()
    }
    hosts = named("host", "node_id", chosen, "host_info")
    vms = named("VM", "instance_id", chosen, "vm_instance")
    row_of_host, row_of_vm = _rows(hosts), _rows(vms)
    sets = [
        anti_affinity(group, row_of_vm)
        for each in chosen
        for group in each.at["other_requirement"]["deployment_set"].elements()
    ]
    try:
        snapshot = _snapshot(
            " + ".join(each.name for each in chosen),
            [host_record(host) for host in hosts],
            [vm_record(vm, flavours, row_of_host) for vm in vms],
            tuple(sets),
            overlaps,
        )
    except ConfigError as error:
        raise TraceError(f"{file}: {error}") from None
    _warn_of_memory(snapshot, file)
    return snapshot


def nodes_with_other_memory(fleet: Snapshot) -> int:
    """On how many NUMA nodes free memory is not the total less that of the VMs."""
    used = np.zeros_like(fleet.machines.memory_mib)
    memory_mib, double = fleet.shapes.memory_mib[fleet.shape], fleet.shapes.double[fleet.shape]
    np.add.at(used, (fleet.host, fleet.numa), memory_mib)
    np.add.at(used[:, 1], fleet.host[double], memory_mib[double])
    return int((fleet.free_memory_mib != fleet.machines.memory_mib - used).sum())


def _warn_of_memory(fleet: Snapshot, file: Path) -> None:
    if wrong := nodes_with_other_memory(fleet):
        warnings.warn(
            f"{file}: on {wrong} of {fleet.free_memory_mib.size} NUMA nodes of fleet {fleet.name!r} free memory is not "
            "the total less that of the VMs; it is left as it is",
            TraceWarning,
            stacklevel=3,
        )


def _snapshot(
    name: str,
    hosts: Sequence[HostRecord],
    vms: Sequence[VmRecord],
    sets: tuple[AntiAffinity, ...],
    overlaps: Literal["reject", "keep"],
) -> Snapshot:
    number_of_rack = {rack: number for number, rack in enumerate(dict.fromkeys(host.rack for host in hosts))}
    shapes = sorted({vm.shape for vm in vms}, key=lambda shape: (shape.cores * (1 + shape.double), shape))
    row_of_shape = {shape: row for row, shape in enumerate(shapes)}
    return Snapshot(
        name,
        Machines(
            tuple(host.name for host in hosts),
            _ints(number_of_rack[host.rack] for host in hosts),
            _ints(host.cores for host in hosts),
            _ints(host.memory_mib for host in hosts),
            np.array([host.active for host in hosts], dtype=np.bool_),
        ),
        Shapes(
            tuple(f"{shape.flavour}{' double' if shape.double else ''}" for shape in shapes),
            _ints(shape.cores for shape in shapes),
            _ints(shape.memory_mib for shape in shapes),
            np.array([shape.double for shape in shapes], dtype=np.bool_),
        ),
        tuple(vm.name for vm in vms),
        _ints(row_of_shape[vm.shape] for vm in vms),
        _ints(vm.host for vm in vms),
        _ints(vm.numa for vm in vms),
        np.array([vm.movable for vm in vms], dtype=np.bool_),
        _ints(host.free_cores for host in hosts),
        _ints(host.free_memory_mib for host in hosts),
        sets,
        overlaps,
    )


def _rows(records: Sequence[Named]) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, record in enumerate(records):
        if record.name in rows:
            raise record.at.wrong("is there twice; every name is there once")
        rows[record.name] = row
    return rows


def _ints(values: Iterable[int | tuple[int, int]]) -> Ints:
    return np.array(list(values), dtype=np.int64)
