"""Node pools drawn from a trace: one shape, just enough pods, none that another pool would have to serve."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import node, pod, workload

from clustersim.errors import ConfigError
from clustersim.traces import load
from clustersim.traces.openb_pool import OpenbPool
from clustersim.workload import PodWorkload

OPENB_LIKE = load("openb-like")


def asked(instance: PodWorkload) -> list[float]:
    """Share of CPU, memory and GPUs of the pool that its pods ask for."""
    nodes, pods = instance.nodes, instance.pods
    return [
        pods.cpu_milli.sum() / nodes.cpu_milli.sum(),
        pods.memory_mib.sum() / nodes.memory_mib.sum(),
        pods.gpu_demand_milli.sum() / (1000 * nodes.gpu_count.sum()),
    ]


@pytest.mark.parametrize("usage", [0.5, 0.95, 1.05])
def test_the_scarcest_resource_is_asked_for_just_as_much_as_wanted(usage: float) -> None:
    instance = OpenbPool(OPENB_LIKE, 64, usage)(7)
    assert usage <= max(asked(instance)) < usage + 0.02
    without_the_last = instance.pods.take(np.arange(len(instance.pods) - 1))
    assert max(asked(PodWorkload("", instance.nodes, without_the_last))) < usage


def test_all_nodes_have_the_most_frequent_shape_of_the_gpu_nodes() -> None:
    plain, small, large = node(cpu=9000), node(gpus=1), node(cpu=16000, gpus=2, model="V100")
    world = workload([plain, plain, plain, small, large, large], [pod(gpus=1)])
    nodes = OpenbPool(world, 5)(0).nodes
    assert len(nodes) == 5
    assert set(nodes.cpu_milli.tolist()) == {16000}
    assert (set(nodes.gpu_count.tolist()), set(nodes.gpu_model)) == ({2}, {"V100"})


def test_pods_that_no_node_of_the_pool_can_hold_run_elsewhere() -> None:
    here = node(cpu=4000, memory=4096, gpus=1, model="T4")
    fits = pod(cpu=1000, gpus=1, spec=("T4", "V100"))
    world = workload(
        [here, here],
        [pod(cpu=5000), pod(memory=5000), pod(gpus=2), pod(gpus=1, spec=("V100",)), fits, pod(cpu=10, gpu_milli=500)],
    )
    pool = OpenbPool(world, 3, usage=4.0)
    assert pool.served.tolist() == [4, 5]
    drawn = {name.split("-")[1] for name in pool(1).pods.name}
    assert drawn == {"4", "5"}


def test_pods_stand_in_the_queue_at_once_and_never_leave() -> None:
    pods = OpenbPool(OPENB_LIKE, 8)(0).pods
    assert not pods.arrival_s.any()
    assert np.isnan(pods.duration_s).all()
    assert set(pods.priority.tolist()) <= {0, 1, 2}


def test_a_list_that_is_too_short_is_drawn_on_again_under_new_names() -> None:
    world = workload([node(cpu=8000, gpus=1)], [pod(cpu=1000), pod(cpu=2000)])
    pods = OpenbPool(world, 2, usage=1.0)(0).pods
    assert pods.cpu_milli.sum() >= 16000
    assert len(set(pods.name)) == len(pods) > 2
    assert pods.name.count("pod-0") == pods.name.count("pod-1") == 1


def test_a_seed_draws_the_same_instance_again_and_another_seed_another_one() -> None:
    pool = OpenbPool(OPENB_LIKE, 8)
    assert pool(3).pods.name == pool(3).pods.name
    assert pool(3).pods.name != pool(4).pods.name


def test_a_pool_that_cannot_be_is_refused() -> None:
    world = workload([node(cpu=4000, gpus=1)], [pod(cpu=1000, gpus=1)])
    with pytest.raises(ConfigError, match="nodes is 0; it has to be at least 1"):
        OpenbPool(world, 0)
    with pytest.raises(ConfigError, match="usage is 0; it has to be positive"):
        OpenbPool(world, 1, 0)
    with pytest.raises(ConfigError, match="no node of workload 'tiny' has a GPU"):
        OpenbPool(workload([node()], [pod(cpu=1000)]), 1)
    with pytest.raises(ConfigError, match="none of the 1 pods of workload 'tiny' asks for anything that"):
        OpenbPool(workload([node(cpu=4000, gpus=1)], [pod(cpu=9000, gpus=1)]), 1)
