"""Nodes and what is free on them: bind and release against a cluster in plain Python."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import MANY, PlainCluster, node, node_table, node_tables, pod, pod_dicts, pod_table, requests_of

from clustersim.cluster import ANY_MODEL, Binding, Cluster, ClusterView, accepted_models, gpu_models
from clustersim.errors import ConfigError, DoesNotFit
from clustersim.workload import NodeTable, PodTable

pod_tables = st.lists(pod_dicts(), min_size=1, max_size=8).map(pod_table)
# (bind or release, which pod or binding, which node, which device)
step_lists = st.lists(
    st.tuples(st.booleans(), st.integers(0, 7), st.integers(0, 3), st.one_of(st.none(), st.integers(0, 3))), max_size=40
)
Steps = list[tuple[bool, int, int, int | None]]


def snapshot(cluster: Cluster) -> dict[str, list[int]]:
    view = cluster.view
    return {f.name: getattr(view, f.name).tolist() for f in fields(view) if f.name not in ("names", "models")}


def assert_same(cluster: Cluster, plain: PlainCluster) -> None:
    view = cluster.view
    for n, here in enumerate(plain.nodes):
        padding = view.gpu_free.shape[1] - len(here.gpu)
        assert view.cpu_free[n] == here.cpu
        assert view.memory_free[n] == here.memory
        assert view.gpu_free[n].tolist() == here.gpu + [0] * padding
        assert view.gpu_free_total[n] == sum(here.gpu)
        assert view.gpu_free_most[n] == max(here.gpu, default=0)
        assert view.gpu_free_whole[n] == here.gpu.count(1000)
        tenants = [0] * view.gpu_tenants.shape[1]
        for count, milli in here.tenants:
            tenants[0 if milli < 1000 else count] += 1
        assert view.gpu_tenants[n].tolist() == tenants


def assert_within_capacity(cluster: Cluster) -> None:
    view = cluster.view
    for free, capacity in ((view.cpu_free, view.cpu_capacity), (view.memory_free, view.memory_capacity)):
        assert (free >= 0).all()
        assert (free <= capacity).all()
    assert (view.gpu_free >= 0).all()
    assert (view.gpu_free <= 1000).all()
    assert (view.gpu_free.sum(axis=1) <= 1000 * view.gpu_count).all()
    assert (view.gpu_tenants >= 0).all()


@given(node_tables, pod_tables, step_lists)
@MANY
def test_bind_and_release_do_what_a_plain_cluster_does(nodes: NodeTable, pods: PodTable, steps: Steps) -> None:
    cluster, plain = Cluster(nodes), PlainCluster(nodes, pods)
    fresh = snapshot(cluster)
    requests = requests_of(pods, cluster.view.models)
    bound: list[tuple[int, Binding, list[int]]] = []
    for binds, which, where, device in steps:
        row, n = which % len(pods), where % len(nodes)
        mask = np.zeros(len(nodes), dtype=np.bool_)
        assert cluster.feasible(requests[row], mask) == any(plain.mask(row))
        assert mask.tolist() == plain.mask(row)
        if not binds:
            if bound:
                row, binding, devices = bound.pop(which % len(bound))
                cluster.release(binding)
                plain.release(row, binding.node, devices)
        else:
            shares = pods.num_gpu[row] == 1 and pods.gpu_milli[row] < 1000
            named = device if shares else None
            here = plain.nodes[n].gpu
            fits = plain.fits(row, n) and (named is None or (named < len(here) and here[named] >= pods.gpu_milli[row]))
            if fits:
                binding = cluster.bind(requests[row], n, device)
                devices = plain.bind(row, n, named)
                assert [d for d in range(8) if binding.devices >> d & 1] == sorted(devices)
                bound.append((row, binding, devices))
            else:
                before = snapshot(cluster)
                with pytest.raises(DoesNotFit):
                    cluster.bind(requests[row], n, device)
                assert snapshot(cluster) == before
        assert_same(cluster, plain)
        assert_within_capacity(cluster)
    for _row, binding, _devices in reversed(bound):
        cluster.release(binding)
    assert snapshot(cluster) == fresh


@given(node_tables, pod_tables, st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3)), max_size=10), st.data())
@MANY
def test_the_first_fitting_pod_is_the_first_that_fits_on_one_of_the_nodes(
    nodes: NodeTable, pods: PodTable, bound: list[tuple[int, int]], data: st.DataObject
) -> None:
    cluster, plain = Cluster(nodes), PlainCluster(nodes, pods)
    requests = requests_of(pods, cluster.view.models)
    for which, where in bound:
        row, n = which % len(pods), where % len(nodes)
        if plain.fits(row, n):
            plain.bind(row, n)
            cluster.bind(requests[row], n)
    candidates = data.draw(st.lists(st.integers(0, len(pods) - 1), max_size=6))
    released = data.draw(st.lists(st.integers(0, len(nodes) - 1), max_size=3))
    fitting = [i for i, row in enumerate(candidates) if any(plain.fits(row, n) for n in released)]
    found = cluster.first_fitting(requests, np.array(candidates, dtype=np.int64), np.array(released, dtype=np.int64))
    assert found == (fitting[0] if fitting else -1)


def share_of(milli: int) -> np.ndarray:
    return requests_of(pod_table([pod(cpu=0, memory=0, gpu_milli=milli)]), ())[0]


def test_a_share_goes_to_the_device_where_it_fits_most_tightly() -> None:
    cluster = Cluster(node_table([node(gpus=3)]))
    cluster.bind(share_of(300), 0, device=1)
    cluster.bind(share_of(600), 0, device=2)
    assert cluster.bind(share_of(400), 0).devices == 1 << 2
    assert cluster.bind(share_of(500), 0).devices == 1 << 1
    assert cluster.bind(share_of(300), 0).devices == 1 << 0
    assert cluster.view.gpu_free[0].tolist() == [700, 200, 0]


def test_equally_tight_devices_are_taken_from_the_lowest_index() -> None:
    cluster = Cluster(node_table([node(gpus=3)]))
    assert cluster.bind(share_of(500), 0).devices == 0b001
    assert cluster.bind(share_of(600), 0).devices == 0b010
    assert cluster.bind(share_of(500), 0).devices == 0b001


def test_a_share_goes_to_the_named_device_or_nowhere() -> None:
    cluster = Cluster(node_table([node(gpus=2), node(gpus=3)]))
    assert cluster.bind(share_of(700), 0, device=1).devices == 0b10
    with pytest.raises(DoesNotFit, match=r"node 'node-0', device 1: .* 1 x 400 GPU milli; .* \[1000, 300, 0\]"):
        cluster.bind(share_of(400), 0, device=1)
    with pytest.raises(DoesNotFit, match="device 2"):  # node-0 has two devices, the array has room for three
        cluster.bind(share_of(400), 0, device=2)
    with pytest.raises(DoesNotFit, match="device 99"):
        cluster.bind(share_of(400), 0, device=99)


def test_whole_devices_are_the_first_untouched_ones() -> None:
    cluster = Cluster(node_table([node(gpus=4)]))
    cluster.bind(share_of(100), 0, device=1)
    two = requests_of(pod_table([pod(cpu=0, memory=0, gpus=2)]), ())[0]
    assert cluster.bind(two, 0).devices == 0b0101
    with pytest.raises(DoesNotFit, match="2 x 1000 GPU milli"):
        cluster.bind(two, 0)


def test_what_does_not_fit_is_said_with_its_numbers() -> None:
    cluster = Cluster(node_table([node(cpu=500, memory=700)]))
    request = requests_of(pod_table([pod(cpu=600, memory=800)]), ())[0]
    with pytest.raises(DoesNotFit, match=r"asked 600 CPU milli, 800 MiB, .*; free 500 CPU milli, 700 MiB"):
        cluster.bind(request, 0)


def test_a_pod_that_needs_no_gpu_runs_on_any_node() -> None:
    nodes = node_table([node(), node(gpus=1, model="T4")])
    cluster = Cluster(nodes)
    request = requests_of(pod_table([pod(spec=("A10",))]), cluster.view.models)[0]
    out = np.zeros(2, dtype=np.bool_)
    assert cluster.feasible(request, out)
    assert out.tolist() == [True, True]


def test_a_bit_set_accepts_the_models_of_the_list_and_everything_when_it_is_empty() -> None:
    models = gpu_models(node_table([node(gpus=1, model="V100"), node(), node(gpus=1, model="A10")]))
    assert models == ("A10", "V100")
    assert accepted_models((), models) == ANY_MODEL
    assert accepted_models(("V100",), models) == 0b10
    assert accepted_models(("V100", "A10", "H100"), models) == 0b11
    assert accepted_models(("H100",), models) == 0


def test_every_array_of_the_view_is_read_only() -> None:
    view: ClusterView = Cluster(node_table([node(gpus=2)])).view
    arrays = [getattr(view, f.name) for f in fields(view) if f.name not in ("names", "models")]
    assert len(arrays) == 12
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_cluster_does_not_write_into_the_table_it_was_built_from() -> None:
    nodes = node_table([node(gpus=2)])
    cluster = Cluster(nodes)
    cluster.bind(requests_of(pod_table([pod(gpus=2)]), cluster.view.models)[0], 0)
    assert (nodes.cpu_milli.tolist(), nodes.memory_mib.tolist(), nodes.gpu_count.tolist()) == ([8000], [16384], [2])


def test_the_view_follows_the_cluster_but_its_capacities_do_not_change() -> None:
    cluster = Cluster(node_table([node(gpus=2)]))
    cluster.bind(requests_of(pod_table([pod(cpu=3000, gpus=2)]), cluster.view.models)[0], 0)
    view = cluster.view
    assert (view.cpu_free[0], view.cpu_capacity[0]) == (5000, 8000)
    assert (view.gpu_free_whole[0], view.gpu_count[0]) == (0, 2)


def test_an_empty_cluster_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs at least one node"):
        Cluster(node_table([]))


@pytest.mark.parametrize("where", [5, -1])
def test_a_node_that_does_not_exist_has_no_room(where: int) -> None:
    cluster = Cluster(node_table([node(gpus=2)]))
    with pytest.raises(DoesNotFit, match=f"there is no node {where}; the cluster has 1"):
        cluster.bind(share_of(100), where)


def test_a_binding_cannot_be_released_twice() -> None:
    cluster = Cluster(node_table([node(gpus=2)]))
    binding = cluster.bind(share_of(100), 0)
    cluster.release(binding)
    with pytest.raises((ValueError, AssertionError)):
        cluster.release(binding)


def test_a_negative_device_does_not_exist() -> None:
    cluster = Cluster(node_table([node(gpus=2)]))
    with pytest.raises(DoesNotFit):
        cluster.bind(share_of(100), 0, device=-1)
