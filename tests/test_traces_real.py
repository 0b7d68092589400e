"""What holds for the real openb trace, when it is on this machine: it is never committed."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from test_traces_openb_like import in_class, load_share

from clustersim.traces import check, openb_like
from clustersim.traces.catalog import OPENB
from clustersim.traces.openb import read_openb
from clustersim.traces.pod_classes import pod_counts
from clustersim.workload import NodeTable, PodTable, PodWorkload


@pytest.fixture(scope="module")
def openb_folder() -> Path:
    root = Path(os.environ.get("CLUSTERSIM_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
    for folder in (root / OPENB.folder, root):
        if any(folder.glob("openb_pod_list_default.csv*")):
            return folder
    pytest.skip(f"the openb trace is not in {root}; name its folder in CLUSTERSIM_TRACES")


@pytest.fixture(scope="module")
def real(openb_folder: Path) -> PodWorkload:
    return read_openb(openb_folder)


def test_the_default_list_has_the_published_figures(real: PodWorkload, openb_folder: Path) -> None:
    assert (len(real.nodes), int(real.nodes.gpu_count.sum())) == (1213, 6212)
    assert real.nodes.cpu_milli.sum() // 1000 == 107_018
    assert pod_counts(real.pods) == {
        "CPU only": 1088,
        "share of a GPU": 3078,
        "1 GPU": 3911,
        "2 GPUs": 16,
        "4 GPUs": 15,
        "8 GPUs": 44,
    }
    assert len(read_openb(openb_folder, nodes="all").nodes) == 1523


def test_every_list_keeps_the_rules(openb_folder: Path) -> None:
    report = check(openb_folder)
    lists = [*openb_folder.glob("openb_*_list_*.csv"), *openb_folder.glob("openb_*_list_*.csv.gz")]
    assert report.count("keeps the rules of the format") == len(lists)
    assert "897 pods without scheduled_time" in report


def test_the_files_have_the_checksums_of_the_catalogue(openb_folder: Path) -> None:
    compared = 0
    for file in OPENB.files:
        zipped = openb_folder / f"{file.name}.gz"
        if zipped.exists():
            assert hashlib.sha256(gzip.decompress(zipped.read_bytes())).hexdigest() == file.sha256, file.name
            compared += 1
    if not compared:
        pytest.skip(f"{openb_folder} has no .csv.gz")


def test_the_generated_nodes_are_the_real_ones_but_for_their_names(real: PodWorkload) -> None:
    def shapes(nodes: NodeTable) -> list[tuple[object, ...]]:
        return sorted(zip(nodes.gpu_model, nodes.gpu_count, nodes.cpu_milli, nodes.memory_mib, strict=True))

    assert shapes(openb_like(7).nodes) == shapes(real.nodes)


@pytest.mark.parametrize("name", ["CPU only", "share of a GPU", "1 GPU"])
def test_generated_pods_resemble_the_real_ones(real: PodWorkload, name: str) -> None:
    made = openb_like(7).pods
    ours, theirs = in_class(made, name), in_class(real.pods, name)
    assert ours.mean() == pytest.approx(theirs.mean(), abs=0.001)
    assert made.cpu_milli[ours].mean() == pytest.approx(real.pods.cpu_milli[theirs].mean(), rel=0.02)
    assert made.memory_mib[ours].mean() == pytest.approx(real.pods.memory_mib[theirs].mean(), rel=0.05)
    assert made.gpu_milli[ours].mean() == pytest.approx(real.pods.gpu_milli[theirs].mean(), rel=0.02)
    assert made.priority[ours].mean() == pytest.approx(real.pods.priority[theirs].mean(), abs=0.08)


@pytest.mark.parametrize("name", ["CPU only", "share of a GPU", "1 GPU"])
def test_generated_lifetimes_have_the_real_quartiles(real: PodWorkload, name: str) -> None:
    made = openb_like(7, pods=80_000).pods  # the upper quartile is steep: a list of the real size is off by 15 %
    levels = (0.25, 0.5, 0.75)
    ours_s = np.quantile(made.duration_s[in_class(made, name)], levels)
    theirs_s = np.quantile(real.pods.duration_s[in_class(real.pods, name)], levels)
    assert ours_s == pytest.approx(theirs_s, rel=0.1)


def test_generated_demand_and_cpu_per_gpu_are_the_real_ones(real: PodWorkload) -> None:
    def cpu_per_gpu(pods: PodTable) -> float:
        on_gpu = pods.num_gpu > 0
        return float(pods.cpu_milli[on_gpu].sum() / pods.gpu_demand_milli[on_gpu].sum())

    made = openb_like(7)
    assert load_share(made) == pytest.approx(load_share(real), abs=0.01)
    assert cpu_per_gpu(made.pods) == pytest.approx(cpu_per_gpu(real.pods), rel=0.01)
