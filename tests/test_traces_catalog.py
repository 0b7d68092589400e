"""The catalogue, where its traces are found, and the front function that loads them."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pooch
import pytest

from clustersim.errors import ConfigError, TraceError
from clustersim.traces import CATALOG, check, describe, find, list_traces, load, locate
from clustersim.traces.catalog import OPENB

NODES = "sn,cpu_milli,memory_mib,gpu,model\nn-0,96000,393216,8,G2\n"
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np-0,12000,16384,1,1000\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty download cache and no CLUSTERSIM_TRACES."""
    monkeypatch.delenv("CLUSTERSIM_TRACES", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "clustersim" / "gpu_openb_v2023"


def put_openb(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "openb_node_list_gpu_node.csv.gz").write_bytes(gzip.compress(NODES.encode()))
    (folder / "openb_pod_list_default.csv").write_text(PODS)
    return folder


def test_every_entry_can_be_told_apart_fetched_and_cited() -> None:
    assert len({trace.name for trace in CATALOG}) == len(CATALOG)
    for trace in CATALOG:
        assert trace.licence
        assert trace.redistribution
        assert trace.schema
        assert trace.defects
        assert len({file.name for file in trace.files}) == len(trace.files)
        for file in trace.files:
            assert len(bytes.fromhex(file.sha256)) == 32
            if trace.can_be_fetched:
                assert trace.url(file).startswith("https://")
                assert trace.url(file).endswith("/" + (Path(file.name).name if file.url else file.name))


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(TraceError, match=r"unknown trace 'openb_like'; did you mean 'openb-like'\? There is openb, "):
        find("openb_like")


def test_a_trace_is_found_in_a_subfolder_then_in_the_folder_itself_then_in_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert locate("openb") is None
    put_openb(cache)
    assert locate("openb") == cache
    root = put_openb(tmp_path / "traces")
    monkeypatch.setenv("CLUSTERSIM_TRACES", str(root))
    assert locate("openb") == root
    put_openb(root / "gpu_openb_v2023")
    assert locate("openb") == root / "gpu_openb_v2023"


def test_an_empty_traces_folder_does_not_hide_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTERSIM_TRACES", str(tmp_path))
    put_openb(cache)
    assert locate("openb") == cache


def test_a_traces_variable_that_names_no_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTERSIM_TRACES", str(tmp_path / "typo"))
    with pytest.raises(TraceError, match=r"CLUSTERSIM_TRACES is '.*typo', which is not a folder"):
        locate("openb")


def test_a_description_says_all_there_is_to_know(cache: Path) -> None:
    text = describe("openb")
    for part in (OPENB.title, OPENB.upstream, OPENB.licence, *OPENB.schema, *OPENB.defects):
        assert part in text
    for file in OPENB.files:
        assert f"{file.sha256} {OPENB.base_url}{file.name}" in text
    assert "where: not on this machine; run `clustersim traces fetch openb` or name its folder" in text
    put_openb(cache)
    assert f"where: {cache}" in describe("openb")


def test_the_list_names_every_trace_and_its_place(cache: Path) -> None:
    put_openb(cache)
    where = {listed.name: listed.where for listed in list_traces()}
    assert list(where) == [trace.name for trace in CATALOG]
    assert where["openb"] == str(cache)
    assert where["openb-like"] == where["layered"] == "generated, nothing to fetch"
    assert where["soc"].startswith("not on this machine; run `clustersim traces fetch soc`")
    assert where["tpch"].startswith("not on this machine; put a copy into dag_tpch_decima/")


def test_load_takes_a_name_a_folder_or_a_pod_list(cache: Path, tmp_path: Path) -> None:
    put_openb(cache)
    for trace in ("openb", cache, str(cache), cache / "openb_pod_list_default.csv"):
        workload = load(trace)
        assert (workload.name, len(workload.pods), len(workload.nodes)) == ("openb-default", 1, 1)


def test_load_passes_workload_and_nodes_on(cache: Path) -> None:
    put_openb(cache)
    with pytest.raises(TraceError, match="no pod list of workload 'cpu250'"):
        load("openb", workload="cpu250")
    with pytest.raises(TraceError, match="no node list"):
        load("openb", nodes="all")


def test_load_makes_the_generated_trace_from_its_seed() -> None:
    assert load("openb-like", seed=1).pods.duration_s.tolist() == load("openb-like", seed=1).pods.duration_s.tolist()
    assert load("openb-like", seed=1).pods.duration_s.tolist() != load("openb-like", seed=2).pods.duration_s.tolist()


def test_load_refuses_options_that_the_generated_trace_has_not() -> None:
    with pytest.raises(
        ConfigError, match="openb-like has only workload 'default' and nodes 'gpu', not 'cpu250' and 'gpu'"
    ):
        load("openb-like", workload="cpu250")
    with pytest.raises(ConfigError, match="not 'default' and 'all'"):
        load("openb-like", nodes="all")


def test_a_trace_that_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(
        TraceError, match=r"run `clustersim traces fetch openb`, .* CLUSTERSIM_TRACES, or use 'openb-like'"
    ):
        load("openb")


def test_a_name_that_is_neither_trace_nor_path_gets_the_nearest_trace() -> None:
    with pytest.raises(TraceError, match=r"'openlb' is neither .* did you mean 'openb'\?"):
        load("openlb")


def test_a_trace_of_jobs_is_not_loaded_as_pods() -> None:
    with pytest.raises(TraceError, match=r"'montage' is a trace of jobs, not of pods; .* dag-scheduling"):
        load("montage")


def test_a_path_to_check_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"nowhere\.csv: no such file or folder"):
        check(tmp_path / "nowhere.csv")


def test_importing_traces_does_not_import_pandas_or_anything_of_another_layer() -> None:
    heavy = "pandas pandera requests simpy gymnasium torch ortools rich scipy"
    program = f"import sys, clustersim.traces; print([name for name in '{heavy}'.split() if name in sys.modules])"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip() == "[]"
