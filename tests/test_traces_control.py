"""Workloads of the shared cluster: the presets, what a seed may change, and recorded pods and calls in their place."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from clustersim.cluster import accepted_models, gpu_models
from clustersim.control_workload import ControlWorkload
from clustersim.errors import ConfigError, TraceError
from clustersim.hardware import servers_of
from clustersim.traces.catalog import AZURE2019
from clustersim.traces.control_load import TRACE_PEAK, ControlSource, control_source
from clustersim.traces.control_pods import IMAGE_MIB, LONGEST_S, BatchLoad
from clustersim.traces.control_presets import GPU_TYPE, PRESETS
from clustersim.workload import NodeTable, PodTable, PodWorkload

CALLS = np.array([[2, 3, 50, 4, 5, 40, 7, 8], [9, 9, 1, 9, 2, 9, 9, 3]])


def fingerprint(workload: ControlWorkload) -> str:
    digest = hashlib.sha256()
    for table in (workload.nodes, workload.pods, workload.traits, *(service.load for service in workload.services)):
        for field in fields(table):
            column = getattr(table, field.name)
            digest.update(column.tobytes() if isinstance(column, np.ndarray) else repr(column).encode())
    digest.update(repr([(service.name, service.initial_replicas) for service in workload.services]).encode())
    return digest.hexdigest()


def demand_gpus(workload: ControlWorkload) -> float:
    """GPUs that the batch pods ask for on average, if all run at once when they arrive."""
    pods = workload.pods
    runs_s = np.minimum(pods.duration_s, workload.duration_s - pods.arrival_s)
    return float((pods.gpu_demand_milli * runs_s).sum() / 1000 / workload.duration_s)


def wanted_gpus(workload: ControlWorkload, share: float) -> float:
    """That share of the GPUs that the services leave when their replicas are busy to 70 %."""
    used = (s.load.rate_rps.mean() / s.replica_rps / 0.7 * s.gpu_milli / 1000 for s in workload.services)
    return share * (float(workload.nodes.gpu_count.sum()) - sum(used))


def fits(workload: ControlWorkload, pod: int, zone: int) -> bool:
    """By hand: whether some empty node of the zone holds the pod."""
    pods, nodes = workload.pods, workload.nodes
    spec = pods.gpu_spec[pod]
    return any(
        nodes.cpu_milli[n] >= pods.cpu_milli[pod]
        and nodes.memory_mib[n] >= pods.memory_mib[pod]
        and nodes.gpu_count[n] >= pods.num_gpu[pod]
        and (not spec or pods.num_gpu[pod] == 0 or nodes.gpu_model[n] in spec)
        for n in np.flatnonzero(workload.zone == zone)
    )


def put_calls(folder: Path, calls: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Path:
    folder.mkdir()
    minutes = ",".join(str(minute) for minute in range(calls.shape[1]))
    keys = "HashOwner,HashApp,HashFunction"
    rows = "".join(f"o,a,f{k},http,{','.join(map(str, row))}\n" for k, row in enumerate(calls.tolist()))
    (folder / "invocations.csv").write_text(f"{keys},Trigger,{minutes}\n{rows}")
    for name, column in (("durations", "Average"), ("memory", "AverageAllocatedMb")):
        rows = "".join(f"o,a,f{k},1\n" for k in range(len(calls)))
        (folder / f"{name}.csv").write_text(f"{keys},{column}\n{rows}")
    return folder


@cache
def drawn(name: str, seed: int) -> ControlWorkload:
    return control_source(name)(seed)


presets = pytest.mark.parametrize("preset", PRESETS)


@pytest.fixture(scope="module")
def small() -> ControlSource:
    return control_source("small")


def test_the_presets_have_the_declared_sizes() -> None:
    made = {name: control_source(name, duration_s=600.0)(0) for name in PRESETS}
    assert {name: (len(w.nodes), w.zones, w.rows, len(w.services)) for name, w in made.items()} == {
        "small": (16, 1, 2, 2),
        "medium": (100, 4, 4, 8),
        "large": (1213, 4, 8, 16),
    }
    assert {name: control_source(name).preset.duration_s for name in PRESETS} == {
        "small": 7200,
        "medium": 86_400,
        "large": 86_400,
    }
    assert made["large"].nodes.gpu_count.sum() == 6212
    assert np.bincount(made["large"].zone).max() <= 310


@presets
def test_rows_of_a_preset_have_about_the_same_nameplate_power(preset: str) -> None:
    workload = drawn(preset, 0)
    nameplate_w = servers_of(workload.nodes, workload.gpu_type).nameplate_w
    by_row = np.bincount(workload.row, weights=nameplate_w)
    assert by_row.max() < 1.1 * by_row.min()


@presets
def test_every_gpu_model_has_a_type_and_zones_have_all_common_models(preset: str) -> None:
    workload = drawn(preset, 0)
    assert set(workload.gpu_type) == set(workload.nodes.gpu_model)
    for zone in range(workload.zones):
        models = {workload.nodes.gpu_model[node] for node in np.flatnonzero(workload.zone == zone)}
        assert {"G2", "T4", "P100"} <= models
    assert GPU_TYPE["G3"] == "A100-80"


def test_every_seed_has_the_same_nodes_and_its_own_pods_and_loads(small: ControlSource) -> None:
    a, b = small(1), small(2)
    assert a.nodes.name == b.nodes.name
    assert a.zone.tolist() == b.zone.tolist()
    assert a.row.tolist() == b.row.tolist()
    assert a.pods.duration_s.tolist() != b.pods.duration_s.tolist()
    for one, other in zip(a.services, b.services, strict=True):
        assert one.name == other.name
        assert one.max_replicas == other.max_replicas
        assert one.load.rate_rps.tolist() != other.load.rate_rps.tolist()


def test_a_workload_depends_on_its_seed_alone_in_any_process(small: ControlSource) -> None:
    first = fingerprint(small(5))
    small(6)
    np.random.default_rng(0)
    assert fingerprint(small(5)) == fingerprint(control_source("small")(5)) == first
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from test_traces_control import fingerprint; from clustersim.traces.control_load import control_source;"
        "print(fingerprint(control_source('small')(5)))"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    assert output.strip() == first


def test_pods_and_loads_do_not_shift_each_other(small: ControlSource) -> None:
    fewer_pods = replace(small, preset=replace(small.preset, batch_share=0.4))
    finer_loads = replace(small, preset=replace(small.preset, step_s=5.0))
    assert len(fewer_pods(3).pods) < 0.7 * len(small(3).pods)
    for one, other in zip(fewer_pods(3).services, small(3).services, strict=True):
        assert one.load.rate_rps.tolist() == other.load.rate_rps.tolist()
    assert finer_loads(3).pods.arrival_s.tolist() == small(3).pods.arrival_s.tolist()


@presets
def test_batch_pods_are_well_formed_fit_their_zone_and_come_in_order(preset: str) -> None:
    workload = drawn(preset, 0)
    pods, traits = workload.pods, workload.traits
    assert (np.diff(pods.arrival_s) >= 0).all()
    assert pods.arrival_s.min() == 0
    assert pods.arrival_s.max() < workload.duration_s
    assert pods.duration_s.min() > 0
    assert pods.duration_s.max() <= LONGEST_S
    assert len(set(pods.name)) == len(pods)
    assert set(pods.image_mib.tolist()) == set(IMAGE_MIB)
    for column in (traits.gpu_load, traits.cpu_load, traits.clock_sensitivity):
        assert len(column) == len(pods)
        assert column.min() > 0
        assert column.max() <= 1
    assert set(traits.zone.tolist()) == set(range(workload.zones))
    rows = np.random.default_rng(0).choice(len(pods), size=150)
    assert all(fits(workload, pod, int(traits.zone[pod])) for pod in rows.tolist())
    largest = np.argsort(-pods.cpu_milli, kind="stable")[:50]
    assert all(fits(workload, pod, int(traits.zone[pod])) for pod in largest.tolist())


@presets
def test_batch_pods_ask_for_the_declared_share_of_what_the_services_leave(preset: str) -> None:
    workloads = [drawn(preset, seed) for seed in range({"small": 24, "medium": 3, "large": 1}[preset])]
    wanted = [wanted_gpus(workload, PRESETS[preset].batch_share) for workload in workloads]
    assert np.mean([demand_gpus(workload) for workload in workloads]) == pytest.approx(np.mean(wanted), rel=0.05)


def test_what_the_services_leave_counts_their_bursts(small: ControlSource, tmp_path: Path) -> None:
    recorded = control_source("small", trace_services=put_calls(tmp_path / "calls", CALLS), duration_s=480.0)
    for source, seeds in ((small, 80), (recorded, 1)):
        wanted = [wanted_gpus(source(seed), source.preset.batch_share) for seed in range(seeds)]
        assert source.batch.gpus == pytest.approx(np.mean(wanted), rel=0.003)


NODES = NodeTable(
    ("n0", "n1", "n2"),
    np.array([8000, 8000, 64_000]),
    np.array([4096, 65_536, 65_536]),
    np.array([4, 1, 0]),
    ("T4", "G2", ""),
)


Asked = tuple[int, int, int, tuple[str, ...]]


def pod(cpu_milli: int, memory_mib: int, num_gpu: int, spec: tuple[str, ...] = ()) -> Asked:
    return cpu_milli, memory_mib, num_gpu, spec


def batch_load(asked: list[Asked], zone_share: tuple[float, float, float]) -> BatchLoad:
    """A zone for each of NODES."""
    cpu_milli, memory_mib, num_gpu, spec = zip(*asked, strict=True)
    count = len(asked)
    library = PodTable(
        name=tuple(map(str, range(count))),
        cpu_milli=np.array(cpu_milli),
        memory_mib=np.array(memory_mib),
        num_gpu=np.array(num_gpu),
        gpu_milli=1000 * (np.array(num_gpu) > 0),
        gpu_spec=spec,
        qos=("LS",) * count,
        priority=np.full(count, 2),
        arrival_s=np.zeros(count),
        duration_s=np.full(count, 600.0),
        image=("",) * count,
        image_mib=np.zeros(count, dtype=np.int64),
    )
    return BatchLoad(library, NODES, np.array([0, 1, 2]), 50.0, np.array(zone_share), 3600.0, 3600.0, 1.0)


@pytest.mark.parametrize(
    ("asked", "zones"),
    [
        (pod(1000, 1024, 0), {0, 1, 2}),
        (pod(9000, 1024, 0), {2}),
        (pod(1000, 8192, 0), {1, 2}),
        (pod(1000, 1024, 1), {0, 1}),
        (pod(1000, 1024, 2), {0}),
        (pod(1000, 1024, 1, ("G2",)), {1}),
        (pod(1000, 1024, 1, ("G2", "G3", "T4")), {0, 1}),
        (pod(1000, 1024, 0, ("G2",)), {0, 1, 2}),
        (pod(65_000, 1024, 0), set[int]()),
        (pod(1000, 1024, 1, ("G3",)), set[int]()),
    ],
)
def test_a_pod_belongs_to_a_zone_with_a_node_that_could_hold_it(asked: Asked, zones: set[int]) -> None:
    # Of two rows the first is in question, and the second keeps GPUs in demand.
    pods, traits = batch_load([asked, pod(500, 512, 1)], (1 / 3, 1 / 3, 1 / 3)).draw(np.random.default_rng(0))
    in_question = pods.cpu_milli == asked[0]
    assert set(traits.zone[in_question].tolist()) == zones
    assert set(traits.zone[~in_question].tolist()) == {0, 1}


def test_zones_get_their_share_of_what_fits_there() -> None:
    pods, traits = batch_load([pod(1000, 1024, 1), pod(500, 512, 0)], (0.6, 0.2, 0.2)).draw(np.random.default_rng(0))
    whole = np.bincount(traits.zone, minlength=3) / len(pods)
    on_gpu = np.bincount(traits.zone[pods.num_gpu == 1], minlength=3) / (pods.num_gpu == 1).sum()
    assert on_gpu == pytest.approx([0.75, 0.25, 0.0], abs=0.04)  # the last has no GPU
    assert whole == pytest.approx([0.675, 0.225, 0.1], abs=0.04)
    source = control_source("medium")
    workload = drawn("medium", 0)
    gpus = np.bincount(workload.zone, weights=workload.nodes.gpu_count)
    assert np.ptp(gpus) > 0
    # Services are alike in all zones.
    left = gpus - (gpus.sum() - source.batch.gpus / source.preset.batch_share) / workload.zones
    assert source.batch.zone_share == pytest.approx(left / left.sum())


def test_the_cluster_starts_as_full_as_it_goes_on(small: ControlSource) -> None:
    present, ahead = [], []
    for seed in range(60):
        pods = small(seed).pods
        present.append(pods.gpu_demand_milli[pods.arrival_s == 0].sum() / 1000)
        at_half = (pods.arrival_s <= 3600) & (pods.arrival_s + pods.duration_s > 3600)
        ahead.append(pods.gpu_demand_milli[at_half].sum() / 1000)
    assert np.mean(present) == pytest.approx(np.mean(ahead), rel=0.12)


def test_arrivals_come_in_a_wave_whose_phase_is_drawn(small: ControlSource) -> None:
    tops, swings = [], []
    for seed in range(40):
        arrival_s = small(seed).pods.arrival_s
        wave = np.exp(2j * np.pi * arrival_s[arrival_s > 0] / small.preset.period_s).mean()
        tops.append(np.angle(wave))
        swings.append(2 * abs(wave))
    assert np.mean(swings) == pytest.approx((3 - 1) / (3 + 1), abs=0.06)
    assert np.ptp(tops) > 4


def test_a_small_episode_sees_a_few_hundred_pods_of_minutes_to_an_hour(small: ControlSource) -> None:
    pods = small(0).pods
    assert 300 < len(pods) < 700
    later = pods.arrival_s > 0
    assert np.quantile(pods.duration_s[later], 0.1) > 120
    assert np.quantile(pods.duration_s[later], 0.9) < 3600
    assert np.mean(pods.priority == 2) == pytest.approx(0.3, abs=0.06)
    assert set(pods.priority.tolist()) == {0, 1, 2}


@presets
def test_services_peak_at_most_of_their_replicas_and_start_warm(preset: str) -> None:
    peaks = []
    for seed in range({"small": 8, "medium": 2, "large": 1}[preset]):
        for service in drawn(preset, seed).services:
            peaks.append(service.load.rate_rps.max() / service.replica_rps / service.max_replicas)
            needed = service.load.rate_rps[0] / service.replica_rps
            assert service.initial_replicas >= min(needed, service.max_replicas)
            assert service.initial_replicas <= needed / 0.7 + 1
            assert service.load.time_s[-1] < PRESETS[preset].duration_s
    assert 0.6 < np.median(peaks) < 1.0
    assert max(peaks) < 1.35


def test_the_large_preset_builds_in_seconds() -> None:
    started_s = time.process_time()
    workload = control_source("large")(1)
    assert len(workload.pods) > 50_000
    assert time.process_time() - started_s < 10


@pytest.mark.parametrize("bad", [0.0, -1.0, float("inf"), float("nan")])
def test_an_episode_without_a_length_is_refused(bad: float) -> None:
    with pytest.raises(ConfigError, match=f"duration_s is {bad}"):
        control_source("small", duration_s=bad)


def test_an_unknown_preset_or_trace_lists_what_there_is() -> None:
    with pytest.raises(ConfigError, match="no preset 'tiny'; there is small, medium, large"):
        control_source("tiny")
    with pytest.raises(TraceError, match=r"'nope' is neither a file or folder nor a trace .* openb, openb-like"):
        control_source("small", trace_pods="nope")
    with pytest.raises(TraceError, match="'azure2019' is a trace of calls, not of pods"):
        control_source("small", trace_pods="azure2019")
    with pytest.raises(TraceError, match="'nope', which is neither a folder of calls per minute nor 'azure2019'"):
        control_source("small", trace_services="nope")


def test_recorded_calls_that_are_not_on_this_machine_say_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    monkeypatch.delenv("CLUSTERSIM_TRACES", raising=False)
    with pytest.raises(TraceError, match=r"clustersim traces fetch azure2019.*CLUSTERSIM_TRACES.*are generated"):
        control_source("small", trace_services="azure2019")


def test_calls_that_are_recorded_for_too_short_name_the_longest_episode(tmp_path: Path) -> None:
    calls = put_calls(tmp_path / "calls", CALLS)
    with pytest.raises(TraceError, match=r"7200 s needs 120 minutes, .* has only 8 .* duration_s to at most 480"):
        control_source("small", trace_services=calls)


def test_recorded_calls_are_a_window_of_the_same_functions_scaled_to_the_replicas(tmp_path: Path) -> None:
    source = control_source("small", trace_services=put_calls(tmp_path / "calls", CALLS), duration_s=300.0)
    starts = set()
    for seed in range(30):
        services = source(seed).services
        calls_per_s = TRACE_PEAK * 16 * np.array([s.replica_rps for s in services]) / np.quantile(CALLS, 0.99, axis=1)
        # Sorted by calls, the first row is the busier one.
        windows = [
            start
            for start in range(4)
            if all(
                np.allclose(service.load.rate_rps, calls[start : start + 5] * factor)
                for service, calls, factor in zip(services, CALLS, calls_per_s, strict=True)
            )
        ]
        assert len(windows) == 1
        assert services[0].load.time_s.tolist() == [0.0, 60.0, 120.0, 180.0, 240.0]
        starts.update(windows)
    assert starts == {0, 1, 2, 3}


def test_recorded_pods_keep_their_requests_models_and_lifetimes(openb: Callable[[str], PodWorkload]) -> None:
    recorded = openb("default").pods
    root = Path(os.environ.get("CLUSTERSIM_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
    source = control_source("small", trace_pods=root / "gpu_openb_v2023")
    workload = source(0)
    shapes = requests(recorded)
    assert set(requests(workload.pods)) <= set(shapes)
    models = gpu_models(workload.nodes)
    assert all(accepted_models(spec, models) for spec in workload.pods.gpu_spec)
    known = set(np.clip(recorded.duration_s, 60.0, LONGEST_S).tolist())
    later = workload.pods.arrival_s > 0
    assert set(workload.pods.duration_s[later].tolist()) <= known
    workloads = [source(seed) for seed in range(60)]
    wanted = np.mean([wanted_gpus(workload, source.preset.batch_share) for workload in workloads])
    assert np.mean([demand_gpus(workload) for workload in workloads]) == pytest.approx(wanted, rel=0.12)


def requests(pods: PodTable) -> list[tuple[int, ...]]:
    return list(zip(pods.cpu_milli, pods.memory_mib, pods.num_gpu, pods.gpu_milli, pods.priority, strict=True))


def test_recorded_minutes_play_on_a_preset(openb: Callable[[str], PodWorkload]) -> None:
    root = Path(os.environ.get("CLUSTERSIM_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
    folder = root / AZURE2019.folder / "500"
    if not folder.is_dir():
        pytest.skip(f"there are no recorded functions: {folder} is no folder")
    workload = control_source("medium", trace_services=folder, duration_s=7200.0)(0)
    assert [len(service.load.time_s) for service in workload.services] == [120] * 8
    with pytest.raises(TraceError, match=r"needs 1440 minutes, .* has only 480 .* at most 28800"):
        control_source("medium", trace_services=folder)
