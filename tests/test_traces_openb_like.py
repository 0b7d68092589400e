"""The generated stand-in: it has the published shares and repeats with its seed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clustersim.errors import ConfigError
from clustersim.traces import openb_like
from clustersim.traces.pod_classes import pod_counts
from clustersim.workload import PodTable, PodWorkload

# Published (FGD, ATC'23), in per cent of the pods and of the GPU demand
PODS_PERCENT = {
    "CPU only": 13.3,
    "share of a GPU": 37.8,
    "1 GPU": 48.0,
    "2 GPUs": 0.2,
    "4 GPUs": 0.2,
    "8 GPUs": 0.5,
}
DEMAND_PERCENT = {"share of a GPU": 28.5, "1 GPU": 64.3, "8 GPUs": 5.8}
GPUS_BY_MODEL = {"G2": 4392, "T4": 842, "G3": 312, "P100": 265, "V100M32": 204, "V100M16": 195, "A10": 2}


def in_class(pods: PodTable, name: str) -> NDArray[np.bool_]:
    share = (pods.num_gpu == 1) & (pods.gpu_milli < 1000)
    if name == "share of a GPU":
        return share
    return (pods.num_gpu == (0 if name == "CPU only" else int(name[0]))) & ~share


def demand_percent(pods: PodTable, name: str) -> float:
    return 100 * float(pods.gpu_demand_milli[in_class(pods, name)].sum() / pods.gpu_demand_milli.sum())


def load_share(workload: PodWorkload) -> float:
    return float(workload.pods.gpu_demand_milli.sum() / (1000 * workload.nodes.gpu_count.sum()))


def fingerprint(workload: PodWorkload) -> str:
    digest = hashlib.sha256()
    for table in (workload.nodes, workload.pods):
        for field in fields(table):
            column = getattr(table, field.name)
            digest.update(column.tobytes() if isinstance(column, np.ndarray) else repr(column).encode())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def made() -> PodWorkload:
    return openb_like(seed_or_rng=7)


def test_the_pod_classes_have_the_published_shares(made: PodWorkload) -> None:
    assert len(made.pods) == 8152
    counts = pod_counts(made.pods)
    assert {name: round(100 * count / 8152, 1) for name, count in counts.items()} == PODS_PERCENT


def test_the_gpu_demand_has_the_published_shares(made: PodWorkload) -> None:
    for name, percent in DEMAND_PERCENT.items():
        assert demand_percent(made.pods, name) == pytest.approx(percent, abs=0.3)


def test_the_gpus_are_the_published_ones(made: PodWorkload) -> None:
    gpus = dict.fromkeys(GPUS_BY_MODEL, 0)
    for model, count in zip(made.nodes.gpu_model, made.nodes.gpu_count.tolist(), strict=True):
        gpus[model] += count
    assert len(made.nodes) == 1213
    assert gpus == GPUS_BY_MODEL
    assert made.nodes.cpu_milli.sum() == 107_018_000


def test_demand_meets_capacity_at_every_size() -> None:
    for nodes in (5, 12, 60, 121, 400, 1213, 3000):
        assert load_share(openb_like(1, nodes=nodes)) == pytest.approx(0.98, abs=0.05), nodes


def test_a_smaller_cluster_keeps_the_mix_of_models() -> None:
    small = openb_like(1, nodes=121).nodes
    for model, count in {"G2": 549, "T4": 404, "P100": 134, "V100M16": 55, "G3": 39, "V100M32": 30}.items():
        assert abs(small.gpu_model.count(model) - count * 121 / 1213) <= 2, model


def test_there_are_few_request_shapes_as_in_the_real_list(made: PodWorkload) -> None:
    pods = made.pods
    shapes = set(zip(pods.cpu_milli, pods.memory_mib, pods.num_gpu, pods.gpu_milli, strict=True))
    assert 60 <= len(shapes) <= 100


def test_every_pod_is_well_formed_and_fits_some_node(made: PodWorkload) -> None:
    pods, nodes = made.pods, made.nodes
    assert (pods.gpu_milli[pods.num_gpu == 0] == 0).all()
    assert (pods.gpu_milli[pods.num_gpu > 1] == 1000).all()
    assert pods.gpu_milli[pods.num_gpu == 1].min() >= 1
    assert pods.gpu_milli.max() == 1000
    for cpu, memory, gpus in set(zip(pods.cpu_milli, pods.memory_mib, pods.num_gpu, strict=True)):
        fits = (nodes.cpu_milli >= cpu) & (nodes.memory_mib >= memory) & (nodes.gpu_count >= gpus)
        assert fits.any(), (cpu, memory, gpus)
    for table in (pods, nodes):
        assert {len(getattr(table, field.name)) for field in fields(table)} == {len(table)}
        assert len(set(table.name)) == len(table)


def test_pods_arrive_sorted_within_the_span_and_more_by_day_than_at_the_quiet_hour(made: PodWorkload) -> None:
    arrival_s = made.pods.arrival_s
    assert (np.diff(arrival_s) >= 0).all()
    assert arrival_s[0] >= 0
    assert 33 * 86_400 < arrival_s[-1] < 34 * 86_400
    by_hour = np.bincount((arrival_s % 86_400 // 3600).astype(int), minlength=24)
    assert by_hour[18] > 2.5 * by_hour[14]
    assert openb_like(7, days=2).pods.arrival_s[-1] < 2 * 86_400


def test_lifetimes_have_the_measured_medians_and_a_heavy_tail() -> None:
    pods = openb_like(3, pods=60_000).pods
    for name, median_s in {"CPU only": 445, "share of a GPU": 357, "1 GPU": 587}.items():
        assert np.median(pods.duration_s[in_class(pods, name)]) == pytest.approx(median_s, rel=0.08)
    assert pods.duration_s.min() >= 1
    assert pods.duration_s.mean() > 20 * np.median(pods.duration_s)


def test_the_same_seed_gives_the_same_tables_and_another_seed_others() -> None:
    assert fingerprint(openb_like(5, nodes=30)) == fingerprint(openb_like(5, nodes=30))
    assert fingerprint(openb_like(5, nodes=30)) == fingerprint(openb_like(np.random.default_rng(5), nodes=30))
    assert fingerprint(openb_like(5, nodes=30)) != fingerprint(openb_like(6, nodes=30))


def test_the_tables_are_the_same_in_another_process_with_another_hash_seed() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from test_traces_openb_like import fingerprint; from clustersim.traces import openb_like;"
        "print(fingerprint(openb_like(5, nodes=30)))"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    assert output.strip() == fingerprint(openb_like(5, nodes=30))


@pytest.mark.parametrize("bad", [{"nodes": 0}, {"pods": 0}, {"days": 0}])
def test_an_empty_workload_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(bad))}=0"):
        openb_like(0, **bad)
