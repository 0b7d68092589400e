"""The hosts, VMs and anti-affinity sets in a file of the "VMR2L" format, each with its name in every error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from clustersim.traces.dag_json import Json
from clustersim.vm_fleet import NUMA_NODES, AntiAffinity

Pair = tuple[int, int]


class Named(NamedTuple):
    """A record; its place in the document is given by cluster and name instead of by numbers."""

    cluster: str
    name: str
    at: Json


class Shape(NamedTuple):
    """Cores and memory on each NUMA node that is used."""

    flavour: str
    double: bool
    cores: int
    memory_mib: int


class HostRecord(NamedTuple):
    """A machine; pairs are by NUMA node."""

    name: str
    active: bool
    rack: tuple[str, str]
    cores: Pair
    free_cores: Pair
    memory_mib: Pair
    free_memory_mib: Pair


class VmRecord(NamedTuple):
    """A VM; `host` is a row."""

    name: str
    shape: Shape
    host: int
    numa: int
    movable: bool


def named(what: str, key: str, clusters: Sequence[Named], field: str) -> list[Named]:
    """The records of a field of the clusters, in order."""
    return [
        Named(cluster.name, name, Json(record.file, f"cluster {cluster.name!r}, {what} {name!r}: ", record.value))
        for cluster in clusters
        for record in cluster.at[field].elements()
        for name in [_text(record[key])]
    ]


def host_record(host: Named) -> HostRecord:
    record = host.at
    nodes = record["numa"].elements()
    numbers = [node["node"].value for node in nodes]
    if numbers != list(range(NUMA_NODES)):
        raise record["numa"].wrong(f"lists NUMA nodes {numbers}; a host has 0 and 1, in this order")

    def both(key: str) -> Pair:
        return nodes[0][key].whole(), nodes[1][key].whole()

    return HostRecord(
        host.name,
        record["status"].text() == "ACTIVE",
        (host.cluster, _text(record["rack_id"])),
        both("total_cpu"),
        both("free_cpu"),
        both("memory_huge_total_mb"),
        both("memory_huge_free_mb"),
    )


def vm_record(vm: Named, flavours: Mapping[str, Pair], row_of_host: Mapping[str, int]) -> VmRecord:
    """`flavours`: cores and MiB of each, on both NUMA nodes together."""
    record = vm.at
    flavour, host, movable = record["instance_type"], record["host_id"], record["allow_migration"]
    if flavour.text() not in flavours:
        raise flavour.wrong(f"is {flavour.text()!r}, which vm_type_list does not have")
    if _text(host) not in row_of_host:
        raise host.wrong(f"is {_text(host)!r}, which no host_info has; name a host that is there")
    if not isinstance(movable.value, bool):
        raise movable.wrong(f"is {movable.value!r}; true or false is expected")
    shape, numa = _used(record["numa"], flavour.text(), flavours[flavour.text()])
    return VmRecord(vm.name, shape, row_of_host[_text(host)], numa, movable.value)


def anti_affinity(group: Json, row_of_vm: Mapping[str, int]) -> AntiAffinity:
    level = group["granularity"]
    if level.value not in ("host", "rack"):
        raise level.wrong(f"is {level.value!r}; it has to be 'host' or 'rack'")
    members = group["data"].elements()
    for member in members:
        if _text(member) not in row_of_vm:
            raise member.wrong(f"is {_text(member)!r}, which no vm_instance has; name a VM that is there")
    return AntiAffinity(
        "host" if level.value == "host" else "rack", tuple(row_of_vm[_text(member)] for member in members)
    )


def _used(numa: Json, flavour: str, asked: Pair) -> tuple[Shape, int]:
    """What a VM takes, and on which NUMA node.

    The list of types says of some flavours that they are double where their VMs are not, and the reverse: what counts
    is the entries of the VM. They have to add up, so that half of a double-NUMA VM is not taken for a single-NUMA one.
    """
    entries = [(each["node"].whole(), each["cpu"].whole(), each["mem_mb"].whole()) for each in numa.elements()]
    nodes = [node for node, _, _ in entries]
    if nodes not in ([0], [1], [0, 1], [1, 0]):
        raise numa.wrong(f"lists NUMA nodes {nodes}; a VM is on 0, on 1 or on both")
    double = len(entries) == NUMA_NODES
    if double and entries[0][1:] != entries[1][1:]:
        halves = " and ".join(f"{cores} cores, {mib} MiB on node {node}" for node, cores, mib in entries)
        raise numa.wrong(f"lists {halves}; the halves of a double-NUMA VM are equal")
    total = (sum(cores for _, cores, _ in entries), sum(mib for _, _, mib in entries))
    if total != asked:
        raise numa.wrong(
            f"has {len(entries)} of at most {NUMA_NODES} entries, with {total[0]} cores and {total[1]} MiB together, "
            f"but type {flavour!r} takes {asked[0]} and {asked[1]}; a double-NUMA VM has two equal entries"
        )
    return Shape(flavour, double, *entries[0][1:]), 0 if double else nodes[0]


def _text(name: Json) -> str:
    """A name; some files have numbers for it."""
    return str(name.value) if isinstance(name.value, int) and not isinstance(name.value, bool) else name.text()
