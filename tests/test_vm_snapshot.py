"""The reader of VM snapshots: what it makes of a file, and how it says what is wrong with one."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustersim.errors import TraceError, TraceWarning
from clustersim.traces import check, load
from clustersim.traces.vm_catalog import VM_TRACES, VMR2L
from clustersim.traces.vm_snapshot import read_snapshot
from clustersim.vm_fleet import fragment_rate

MIB = 2048


def host(name: str, free: tuple[int, int], rack: int = 0, status: str = "ACTIVE") -> dict[str, Any]:
    """A machine of 2 x 16 cores with 2 GiB per core."""
    return {
        "node_id": name,
        "status": status,
        "rack_id": rack,
        "numa": [
            {
                "node": node,
                "total_cpu": 16,
                "free_cpu": float(free[node]),
                "memory_huge_total_mb": 16.0 * MIB,
                "memory_huge_free_mb": float(free[node] * MIB),
            }
            for node in (0, 1)
        ],
    }


def vm(name: str, host: str, flavour: str, *nodes: int, movable: bool = True) -> dict[str, Any]:
    cores = {"small": 4, "large": 16}[flavour] // len(nodes)
    return {
        "instance_id": name,
        "instance_type": flavour,
        "host_id": host,
        "allow_migration": movable,
        "numa": [{"node": node, "cpu": cores, "mem_mb": float(cores * MIB)} for node in nodes],
    }


def document() -> dict[str, Any]:
    """Two clusters. In the first, `a` has 4 + 8 and 8 cores taken, `b` 0 and 4; in the second `c` 16 and 0."""
    return {
        "cluster_list": [
            {
                "cluster_name": "east",
                "host_info": [host("a", (4, 8), rack=7), host("b", (16, 12), rack=3, status="DISABLED")],
                "vm_instance": [
                    vm("v0", "a", "small", 0),
                    vm("v1", "a", "large", 1, 0),
                    vm("v2", "b", "small", 1, movable=False),
                ],
                "other_requirement": {"deployment_set": [{"granularity": "rack", "data": ["v2", "v0"]}]},
            },
            {
                "cluster_name": "west",
                "host_info": [host("c", (0, 16), rack=3)],
                "vm_instance": [vm("v3", "c", "large", 0)],
                "other_requirement": {"deployment_set": []},
            },
        ],
        "vm_type_list": [
            {"vm_type": "small", "request_cpu": 4, "request_mem_mb": 4.0 * MIB, "numa": 1},
            {"vm_type": "large", "request_cpu": 16, "request_mem_mb": 16.0 * MIB, "numa": 2},
        ],
    }


def put(folder: Path, content: object) -> Path:
    file = folder / "fleet.json"
    file.write_text(json.dumps(content))
    return file


# --- what it reads


def test_a_cluster_becomes_a_snapshot(tmp_path: Path) -> None:
    fleet = read_snapshot(put(tmp_path, document()))
    assert fleet.name == "east"
    assert fleet.machines.name == ("a", "b")
    assert fleet.machines.active.tolist() == [True, False]
    assert fleet.machines.rack.tolist() == [0, 1]
    assert fleet.machines.cores.tolist() == [[16, 16], [16, 16]]
    assert fleet.free_cores.tolist() == [[4, 8], [16, 12]]
    assert fleet.free_memory_mib.tolist() == [[4 * MIB, 8 * MIB], [16 * MIB, 12 * MIB]]
    assert fleet.vm_name == ("v0", "v1", "v2")
    assert fleet.host.tolist() == [0, 0, 1]
    assert fleet.numa.tolist() == [0, 0, 1]
    assert fleet.movable.tolist() == [True, True, False]
    assert [(group.level, group.vms) for group in fleet.anti_affinity] == [("rack", (2, 0))]


def test_a_shape_is_what_its_vms_list_on_a_numa_node(tmp_path: Path) -> None:
    fleet = read_snapshot(put(tmp_path, document()), cluster=None)
    assert fleet.shapes.name == ("small", "large", "large double")
    assert fleet.shapes.cores.tolist() == [4, 16, 8]
    assert fleet.shapes.memory_mib.tolist() == [4 * MIB, 16 * MIB, 8 * MIB]
    assert fleet.shapes.double.tolist() == [False, False, True]
    assert fleet.shape.tolist() == [0, 2, 0, 1]


def test_all_clusters_make_one_fleet_whose_racks_are_apart(tmp_path: Path) -> None:
    fleet = read_snapshot(put(tmp_path, document()), cluster=None)
    assert fleet.name == "east + west"
    assert fleet.machines.name == ("a", "b", "c")
    assert fleet.machines.rack.tolist() == [0, 1, 2]


def test_a_gzipped_file_is_read_alike(tmp_path: Path) -> None:
    packed = tmp_path / "fleet.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(document()).encode()))
    assert read_snapshot(packed, 1).free_cores.tolist() == [[0, 16]]


# --- what it refuses


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "fleet.json").write_text("{")
    with pytest.raises(TraceError, match=r"fleet\.json: line 1, column 2 is not JSON"):
        read_snapshot(tmp_path / "fleet.json")


@pytest.mark.parametrize("cluster", [-1, 2])
def test_a_cluster_that_is_not_there_is_an_error(tmp_path: Path, cluster: int) -> None:
    with pytest.raises(
        TraceError, match=rf"fleet\.json: there is no cluster {cluster}; the file has 2, numbered from 0"
    ):
        read_snapshot(put(tmp_path, document()), cluster)


def free_cores_of_the_first_host(content: dict[str, Any]) -> None:
    content["cluster_list"][0]["host_info"][0]["numa"][0]["free_cpu"] = 5.0


def negative_memory(content: dict[str, Any]) -> None:
    content["cluster_list"][0]["host_info"][0]["numa"][1]["memory_huge_free_mb"] = -1.0


def no_free_cores(content: dict[str, Any]) -> None:
    del content["cluster_list"][0]["host_info"][1]["numa"][1]["free_cpu"]


def one_numa_node(content: dict[str, Any]) -> None:
    content["cluster_list"][0]["host_info"][1]["numa"].pop()


def unknown_host(content: dict[str, Any]) -> None:
    content["cluster_list"][0]["vm_instance"][2]["host_id"] = "c"


def half_of_a_double_vm(content: dict[str, Any]) -> None:
    content["cluster_list"][0]["vm_instance"][1]["numa"].pop()


def unequal_halves(content: dict[str, Any]) -> None:
    first, second = content["cluster_list"][0]["vm_instance"][1]["numa"]
    first["cpu"], second["cpu"] = 6, 10


def twice_on_a_node(content: dict[str, Any]) -> None:
    for entry in content["cluster_list"][0]["vm_instance"][1]["numa"]:
        entry["node"] = 1


def unknown_type(content: dict[str, Any]) -> None:
    content["cluster_list"][0]["vm_instance"][0]["instance_type"] = "huge"


def second_vm_of_a_name(content: dict[str, Any]) -> None:
    content["cluster_list"][0]["vm_instance"][2]["instance_id"] = "v0"


def second_host_of_a_name(content: dict[str, Any]) -> None:
    content["cluster_list"][0]["host_info"][1]["node_id"] = "a"


def unclear_permission(content: dict[str, Any]) -> None:
    content["cluster_list"][0]["vm_instance"][0]["allow_migration"] = "yes"


def unknown_member(content: dict[str, Any]) -> None:
    content["cluster_list"][0]["other_requirement"]["deployment_set"][0]["data"][1] = "v3"


def unknown_level(content: dict[str, Any]) -> None:
    content["cluster_list"][0]["other_requirement"]["deployment_set"][0]["granularity"] = "zone"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            free_cores_of_the_first_host,
            "machine 'a' of fleet 'east' is said to have 5 of 16 cores free on NUMA node 0, but its VMs take 12, "
            "which leaves 4",
        ),
        (negative_memory, "cluster 'east', host 'a': numa[1].memory_huge_free_mb is -1.0; it has to be at least 0"),
        (no_free_cores, "cluster 'east', host 'b': numa[1] has no 'free_cpu'; it has 'node', 'total_cpu'"),
        (one_numa_node, "cluster 'east', host 'b': numa lists NUMA nodes [0]; a host has 0 and 1, in this order"),
        (unknown_host, "cluster 'east', VM 'v2': host_id is 'c', which no host_info has"),
        (
            half_of_a_double_vm,
            "cluster 'east', VM 'v1': numa has 1 of at most 2 entries, with 8 cores and 16384 MiB together, but type "
            "'large' takes 16 and 32768; a double-NUMA VM has two equal entries",
        ),
        (
            unequal_halves,
            "cluster 'east', VM 'v1': numa lists 6 cores, 16384 MiB on node 1 and 10 cores, 16384 MiB on node 0; the "
            "halves of a double-NUMA VM are equal",
        ),
        (twice_on_a_node, "cluster 'east', VM 'v1': numa lists NUMA nodes [1, 1]; a VM is on 0, on 1 or on both"),
        (unknown_type, "cluster 'east', VM 'v0': instance_type is 'huge', which vm_type_list does not have"),
        (second_vm_of_a_name, "cluster 'east', VM 'v0': is there twice; every name is there once"),
        (second_host_of_a_name, "cluster 'east', host 'a': is there twice; every name is there once"),
        (unclear_permission, "cluster 'east', VM 'v0': allow_migration is 'yes'; true or false is expected"),
        (
            unknown_member,
            "cluster_list[0].other_requirement.deployment_set[0].data[1] is 'v3', which no vm_instance has",
        ),
        (
            unknown_level,
            "cluster_list[0].other_requirement.deployment_set[0].granularity is 'zone'; it has to be 'host' or 'rack'",
        ),
    ],
)
def test_a_broken_rule_is_named_with_file_place_and_values(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], None], message: str
) -> None:
    content = document()
    spoil(content)
    file = put(tmp_path, content)
    with pytest.raises(TraceError, match="^" + re.escape(f"{file}: {message}")):
        read_snapshot(file)


def test_two_clusters_with_a_vm_of_one_name_are_no_fleet(tmp_path: Path) -> None:
    content = document()
    content["cluster_list"][1]["vm_instance"][0]["instance_id"] = "v0"
    assert len(read_snapshot(put(tmp_path, content), 1)) == 1
    with pytest.raises(TraceError, match="cluster 'west', VM 'v0': is there twice"):
        read_snapshot(put(tmp_path, content), None)


def test_a_set_that_the_placement_violates_is_refused_unless_it_is_to_be_kept(tmp_path: Path) -> None:
    content = document()
    content["cluster_list"][0]["other_requirement"]["deployment_set"].append(
        {"granularity": "host", "data": ["v0", "v1"]}
    )
    file = put(tmp_path, content)
    with pytest.raises(
        TraceError, match=r"fleet\.json: anti-affinity set 1 of fleet 'east' .* 'v0', 'v1' are together"
    ):
        read_snapshot(file)
    assert len(read_snapshot(file, overlaps="keep").anti_affinity) == 2


# --- what it only warns of


def test_free_memory_that_contradicts_the_vms_is_counted_and_kept(tmp_path: Path) -> None:
    content = document()
    for node in content["cluster_list"][0]["host_info"][0]["numa"]:
        node["memory_huge_free_mb"] = 7.0
    file = put(tmp_path, content)
    with pytest.warns(TraceWarning, match=r"on 2 of 4 NUMA nodes of fleet 'east' free memory is not") as found:
        fleet = read_snapshot(file)
    assert len(found) == 1
    assert found[0].filename == __file__
    assert fleet.free_memory_mib.tolist() == [[7, 7], [16 * MIB, 12 * MIB]]
    assert "defects: free memory of 2 of 4 NUMA nodes" in check(file)


def test_the_check_reports_every_cluster(tmp_path: Path) -> None:
    put(tmp_path, document())
    report = check(tmp_path)
    assert "fleet.json: keeps the rules of the format" in report
    assert "east: 2 machines, 1 of them not active; 3 VMs of 2 shapes; 40 of 64 cores free" in report
    assert "west: 1 machines, 0 of them not active; 1 VMs of 1 shapes; 16 of 32 cores free" in report
    assert report.count("defects: none") == 2


@pytest.mark.parametrize("name", VM_TRACES)
def test_traces_of_vms_are_not_loaded_as_pods(name: str) -> None:
    with pytest.raises(TraceError, match=f"'{name}' is a trace of VMs, not of pods; use it with .* vm-rescheduling"):
        load(name)


# --- the real one


@pytest.fixture(scope="module")
def real() -> Path:
    root = Path(os.environ.get("CLUSTERSIM_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
    name = VMR2L.files[0].name
    for folder in (root / VMR2L.folder, root):
        for file in (folder / name, folder / f"{name}.gz"):
            if file.is_file():
                return file
    pytest.skip(f"the vmr2l trace is not in {root}; name its folder in CLUSTERSIM_TRACES")


@pytest.mark.parametrize(
    ("cluster", "machines", "vms", "rate", "wrong", "nodes"),
    [(0, 237, 1782, 0.5594, 132, 474), (1, 43, 307, 0.8431, 21, 86), (None, 280, 2089, 0.5789, 153, 560)],
)
def test_the_real_snapshot_has_the_known_figures(
    real: Path, cluster: int | None, machines: int, vms: int, rate: float, wrong: int, nodes: int
) -> None:
    with pytest.warns(TraceWarning, match=f"on {wrong} of {nodes} NUMA nodes"):
        fleet = read_snapshot(real, cluster)
    assert (len(fleet.machines), len(fleet)) == (machines, vms)
    assert fragment_rate(fleet.free_cores) == pytest.approx(rate, abs=5e-5)
    assert (fleet.machines.cores == 44).all()
    assert (fleet.machines.memory_mib == 184_388).all()
    # The total of a flavour is that of its name, whether or not it is split.
    assert np.unique(fleet.shapes.total_cores).tolist() == [2, 4, 8, 16, 32, 64, 88]
    assert fleet.movable.all()
    assert fleet.anti_affinity == ()
