"""What holds for the real traces of jobs, when they are on this machine: they are never committed."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from clustersim.golden_dags import topcuoglu_2002
from clustersim.traces.catalog_entry import Trace
from clustersim.traces.dag_alibaba import read_alibaba
from clustersim.traces.dag_catalog import ALIBABA2018, SOC, TPCH, WFINSTANCES
from clustersim.traces.dag_check import check_dags
from clustersim.traces.dag_ds3_job import read_soc_job
from clustersim.traces.dag_ds3_soc import read_soc
from clustersim.traces.dag_files import json_files
from clustersim.traces.dag_load import dag_source
from clustersim.traces.dag_machines import ccr
from clustersim.traces.dag_tpch import read_tpch
from clustersim.traces.dag_wfformat import read_wfformat

TOP_EDGES = {"": 15, "2": 14, "3": 12, "4": 13, "5": 14, "6": 15, "7": 14, "8": 14, "9": 14, "10": 15}


@pytest.fixture
def root() -> Path:
    root = os.environ.get("CLUSTERSIM_TRACES")
    if not root:
        pytest.skip("no traces here; name their folder in CLUSTERSIM_TRACES")
    return Path(root)


def folder_of(trace: Trace, root: Path) -> Path:
    if not (root / trace.folder).is_dir():
        pytest.skip(f"{trace.name} is not in {root}")
    return root / trace.folder


@pytest.mark.parametrize("trace", [WFINSTANCES, TPCH, ALIBABA2018, SOC], ids=lambda trace: trace.name)
def test_the_files_have_the_checksums_of_the_catalogue(trace: Trace, root: Path) -> None:
    folder = folder_of(trace, root)
    for file in trace.files:
        plain, zipped = folder / file.name, folder / f"{file.name}.gz"
        content = plain.read_bytes() if plain.exists() else gzip.decompress(zipped.read_bytes())
        assert hashlib.sha256(content).hexdigest() == file.sha256, file.name


def test_every_workflow_has_the_published_tasks_edges_and_work(root: Path) -> None:
    folder = folder_of(WFINSTANCES, root)
    lines = (folder / "SOURCE.md").read_text().split("## Instances")[1].splitlines()
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    published = {
        row[0]: tuple(map(int, (row[1], row[2], row[5]))) for row in rows if len(row) == 7 and row[1].isdigit()
    }
    files = json_files(folder)
    assert len(files) == 55
    for file in files:
        job = read_wfformat(file)
        tasks, edges, work_s = published[file.relative_to(folder).as_posix()]
        assert (len(job), len(job.edges)) == (tasks, edges), file
        assert job.work_s == pytest.approx(work_s, abs=0.51), file


def test_run_times_of_zero_are_as_the_catalogue_says(root: Path) -> None:
    zeros = [int((read_wfformat(file).run_time_s == 0).sum()) for file in json_files(folder_of(WFINSTANCES, root))]
    assert (sum(zeros), sum(count > 0 for count in zeros)) == (254, 12)


@pytest.mark.parametrize(("size", "tasks"), [("2g", 20_065), ("10g", 21_188), ("50g", 27_157), ("100g", 34_660)])
def test_every_size_of_tpch_has_the_stages_of_22_queries(root: Path, size: str, tasks: int) -> None:
    queries = read_tpch(folder_of(TPCH, root) / "json" / f"tpch_{size}.json.gz")
    assert [query.name for query in queries] == [f"tpch-q{number}-{size}" for number in range(1, 23)]
    assert sum(len(query) for query in queries) == 202
    assert sum(len(query.edges) for query in queries) == 187
    assert sum(stage.instances for query in queries for stage in query.stages) == tasks
    in_doubt = [
        (query.name, stage.instances_seen)
        for query in queries
        for stage in query.stages
        if len(stage.instances_seen) > 1
    ]
    assert in_doubt == [(f"tpch-q15-{size}", (1, 2))]


def test_the_first_query_of_tpch_has_the_waves_of_its_file(root: Path) -> None:
    query = read_tpch(folder_of(TPCH, root) / "json" / "tpch_2g.json.gz")[0]
    job = query.job(executors=50)
    assert job.instances.tolist() == [12, 200, 200, 5]
    # Stage 0 was run by fresh executors only, and has a rest wave up to 10 executors (1,479 ms); at 50 all 12 tasks
    # are first: 4,465 ms. Stage 3 has 5 tasks and so a rest wave at 2 executors only.
    assert job.run_time_s[0] == pytest.approx(1.479, abs=5e-4)
    assert (job.run_time_s + job.warm_up_s)[0] == pytest.approx(4.465, abs=5e-4)
    assert job.run_time_s[3] == pytest.approx(0.0247, abs=5e-5)


def test_alibaba_has_the_published_jobs_and_tasks(root: Path) -> None:
    jobs = read_alibaba(folder_of(ALIBABA2018, root) / "medium_filtered.jsonl.gz")
    assert (len(jobs), sum(map(len, jobs))) == (3690, 22_409)
    assert sum(len(job.edges) for job in jobs) == 20_108
    assert {len(job) for job in jobs} == {5, 6, 7}
    assert (jobs[0].arrival_s, jobs[-1].arrival_s) == (85_660, 691_133)
    assert np.median([job.work_s for job in jobs]) / 3600 == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize("name", ["config_SoC/SoC.Top.txt", "socrates/DASH.SoC.Top.txt"])
def test_the_top_job_of_ds3_is_the_example_of_topcuoglu(root: Path, name: str) -> None:
    folder = folder_of(SOC, root)
    soc = read_soc(folder / name)
    (expected,) = topcuoglu_2002().jobs
    for file in ("config_Jobs/job_Top.txt", "socrates/job_Top.txt"):
        job = read_soc_job(folder / file).on(soc)
        np.testing.assert_allclose(job.run_time_s * 1e6, expected.run_time_s)
        edges, wanted = (
            sorted(zip(map(tuple, of.edges.tolist()), of.data_bytes.tolist(), strict=True)) for of in (job, expected)
        )
        assert edges == wanted
    np.testing.assert_allclose(soc.machines.s_per_byte * 1e6, topcuoglu_2002().machines.s_per_byte)


def test_every_soc_and_job_of_ds3_is_as_published(root: Path) -> None:
    folder = folder_of(SOC, root)
    for suffix, edges in TOP_EDGES.items():
        job = read_soc_job(folder / f"socrates/job_Top{suffix}.txt")
        assert (job.name, len(job), len(job.edges)) == (f"Top_{suffix or 1}", 10, edges)
    sizes = {"WIFI_5TXM": 27, "WIFI_5RXM": 34, "LAG": 7, "SCR": 8, "SCT": 8, "TEMP_MIT": 10}
    soc = read_soc(folder / "config_SoC/SoC.MULTIPLE_BAL.txt")
    for name, tasks in sizes.items():
        assert len(read_soc_job(folder / f"config_Jobs/job_{name}.txt").on(soc)) == tasks
    names = [f"A7-{core}" for core in range(4)] + [f"A15-{core}" for core in range(4)]
    names += ["MM-0", "MM-1", *(f"FFT-{core}" for core in range(4)), "VIT-0", "VIT-1"]
    assert soc.machines.names == tuple(names)
    assert [len(points) for points in soc.machines.operating_points] == [5] * 4 + [8] * 4 + [1] * 8
    np.testing.assert_allclose(soc.machines.busy_w[[0, 4, 8, 10, 14]], [0.2025, 1.7275, 0.05, 0.0913, 0.05885])
    np.testing.assert_allclose(soc.run_time_s["viterbi_decoder"][[0, 4, 14]] * 1e6, [1828, 739, 2])
    assert len(soc.repeated) == 4
    assert len(read_soc(folder / "config_SoC/SoC.MULTIPLE_BAL_NoC.txt").machines) == 16


@pytest.mark.parametrize("trace", [WFINSTANCES, TPCH, ALIBABA2018, SOC], ids=lambda trace: trace.name)
def test_every_real_file_keeps_the_rules(trace: Trace, root: Path) -> None:
    report = check_dags(folder_of(trace, root))
    assert report.count("keeps the rules of the format") == len(trace.files)


@pytest.mark.parametrize("trace", [WFINSTANCES, TPCH, ALIBABA2018, SOC], ids=lambda trace: trace.name)
def test_every_real_trace_gives_episodes(trace: Trace, root: Path) -> None:
    folder_of(trace, root)
    source = dag_source(trace.name)
    episodes = [source(seed) for seed in range(5)]
    assert len({tuple(job.name for job in episode.jobs) for episode in episodes}) > 1
    assert len({len(episode.machines) for episode in episodes}) == 1
    assert len(dag_source(trace.name, load=0.5, jobs=3)(0).jobs) == 3


def test_workflows_can_be_given_any_ccr(root: Path) -> None:
    folder_of(WFINSTANCES, root)
    episode = dag_source("wfinstances", ccr=2.0)(0)
    assert ccr(episode.machines, episode.jobs) == pytest.approx(2.0)
