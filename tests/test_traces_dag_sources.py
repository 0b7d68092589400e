"""The front function for jobs: what a name or a path gives, how arrivals are paced, and what is refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import pytest
from test_traces_dag_ds3 import JOB, KEYWORDS, example_job, example_soc
from test_traces_dag_formats import alibaba, put, put_lines, tpch, workflow

from clustersim.dags import DagWorkload
from clustersim.errors import ConfigError, TraceError
from clustersim.traces.dag_arrivals import Arrivals
from clustersim.traces.dag_catalog import DAG_CATALOG, DAG_TRACES
from clustersim.traces.dag_load import DagOptions, dag_source
from clustersim.traces.dag_machines import ccr, work_s

EMBEDDED = [trace.name for trace in DAG_CATALOG if not trace.files]
RECORDED = [trace.name for trace in DAG_CATALOG if trace.files]


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty download cache and no CLUSTERSIM_TRACES."""
    monkeypatch.delenv("CLUSTERSIM_TRACES", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CLUSTERSIM_TRACES with small files under the names of the catalogue."""
    root = tmp_path / "traces"
    for folder in ("dag_wfinstances/helloworld", "dag_tpch_decima/json", "dag_alibaba2018"):
        (root / folder).mkdir(parents=True)
    put(root / "dag_wfinstances/helloworld", "helloworld-chain-5-chameleon.json", workflow())
    put(root / "dag_wfinstances/helloworld", "helloworld-forkjoin-10-chameleon.json.gz", longer(12))
    for size in ("2g", "10g"):
        put(root / "dag_tpch_decima/json", f"tpch_{size}.json.gz", tpch())
    put_lines(root / "dag_alibaba2018", [job_at(second) for second in (5, 1, 2, 9)], "medium_filtered.jsonl.gz")
    for name in ("LAG", "SCR", "SCT", "TEMP_MIT", "WIFI_5TXM", "WIFI_5RXM"):
        put_text(root / "dag_ds3_soc/config_Jobs", f"job_{name}.txt", JOB.replace("chain", name))
    put_text(root / "dag_ds3_soc/config_SoC", "SoC.MULTIPLE_BAL.txt", KEYWORDS)
    for name in ("job_Top.txt", "job_Top10.txt", "job_Top2.txt"):
        put_text(root / "dag_ds3_soc/socrates", name, example_job())
    put_text(root / "dag_ds3_soc/socrates", "DASH.SoC.Top.txt", example_soc())
    monkeypatch.setenv("CLUSTERSIM_TRACES", str(root))
    return root


def put_text(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def longer(tasks: int) -> dict[str, Any]:
    names = [f"t{task}" for task in range(tasks)]
    return {
        "workflow": {
            "specification": {
                "tasks": [{"id": name, "parents": [], "outputFiles": []} for name in names],
                "files": [],
            },
            "execution": {"tasks": [{"id": name, "runtimeInSeconds": 2} for name in names]},
        }
    }


def job_at(second: int) -> dict[str, Any]:
    return {"job": f"j{second}", "tasks": [{"name": "M1", "instances": 2, "start_time": second, "duration": second}]}


def transcript(episode: DagWorkload) -> list[Any]:
    machines = episode.machines
    jobs = [
        (job.name, job.tasks, job.run_time_s.tolist(), job.edges.tolist(), job.data_bytes.tolist())
        for job in episode.jobs
    ]
    return [jobs, episode.arrival_s.tolist(), machines.names, machines.s_per_byte.tolist(), machines.latency_s.tolist()]


def test_the_catalogue_has_recorded_and_embedded_traces_of_jobs() -> None:
    assert RECORDED == ["wfinstances", "tpch", "alibaba2018", "soc"]
    assert {"layered", "fork-join", "topcuoglu", "montage", "topcuoglu-2002", "insertion-5"} <= set(EMBEDDED)
    assert set(DAG_TRACES) == {*RECORDED, *EMBEDDED}


@pytest.mark.parametrize("trace", EMBEDDED)
def test_embedded_traces_need_no_files_and_repeat_by_seed(trace: str) -> None:
    source = dag_source(trace, jobs=3, load=0.5)
    assert source.trace == trace
    assert transcript(source(7)) == transcript(source(7))
    assert transcript(source(7)) != transcript(source(8))
    assert len(source(7).jobs) == 3
    assert len(dag_source(trace)(0).jobs) == 1


@pytest.mark.parametrize("trace", DAG_TRACES)
def test_a_source_is_configuration_that_can_be_sent_to_another_process(trace: str, root: Path) -> None:
    source = dag_source(trace)
    sent = pickle.loads(pickle.dumps(source))
    assert sent == source
    assert hash(sent) == hash(source)
    assert transcript(sent(3)) == transcript(source(3))
    assert sent.checksum() == source.checksum()


@pytest.mark.parametrize("trace", DAG_TRACES)
def test_poisson_arrivals_do_not_change_the_jobs(trace: str, root: Path) -> None:
    batch, online = dag_source(trace, jobs=4, arrivals="batch")(5), dag_source(trace, jobs=4, arrivals="poisson")(5)
    assert [job.name for job in batch.jobs] == [job.name for job in online.jobs]
    assert not batch.arrival_s.any()
    assert online.arrival_s[0] == 0
    assert (np.diff(online.arrival_s) > 0).all()


def test_episodes_do_not_depend_on_the_hash_seed(root: Path) -> None:
    program = (
        "import json; from clustersim.traces.dag_load import dag_source\n"
        "print([dag_source(t, jobs=2, load=0.5).checksum() for t in "
        "('wfinstances', 'tpch', 'soc', 'layered', 'topcuoglu', 'montage')])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "CLUSTERSIM_TRACES": str(root), "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_workflows_are_drawn_among_those_of_the_size(root: Path) -> None:
    names = {dag_source("wfinstances", tasks=(1, 500))(seed).jobs[0].name for seed in range(20)}
    assert names == {"helloworld-chain-5-chameleon", "helloworld-forkjoin-10-chameleon"}
    episode = dag_source("wfinstances")(0)  # by default 10 to 500 tasks
    assert [len(job) for job in episode.jobs] == [12]
    assert len(episode.machines) == 8
    with pytest.raises(ConfigError, match="none of the 2 jobs has 50 to 60 tasks; they have 3 to 12"):
        dag_source("wfinstances", tasks=(50, 60))(0)


def test_recorded_jobs_take_their_recorded_times_on_the_mean_machine(root: Path) -> None:
    episode = dag_source("wfinstances", machines=6, heterogeneity=3.0)(1)
    run_time_s = episode.jobs[0].run_time_s
    assert run_time_s.mean(axis=1) == pytest.approx(2.0)
    assert run_time_s[0].max() / run_time_s[0].min() <= 3
    assert episode.machines.s_per_byte[0, 1] == pytest.approx(1 / 125e6)
    assert episode.machines.latency_s[0, 1] == 0.5e-3
    alone = dag_source("wfinstances", machines=2, heterogeneity=1.0, bytes_per_s=10.0, latency_s=0.0)(1)
    assert alone.jobs[0].run_time_s.tolist() == [[2.0, 2.0]] * 12
    assert alone.machines.s_per_byte[0, 1] == 0.1
    assert not alone.machines.latency_s.any()


def test_tpch_is_a_batch_of_twenty_on_fifty_identical_machines(root: Path) -> None:
    episode = dag_source("tpch")(0)
    assert (len(episode.machines), len(episode.jobs), episode.switch_s) == (50, 20, 2.0)
    assert {job.name for job in episode.jobs} == {"tpch-q4-2g", "tpch-q4-10g"}
    assert episode.jobs[0].run_time_s.tolist() == [[0.6] * 50, [0.8] * 50]
    assert {job.name for job in dag_source("tpch", sizes=("2g",))(0).jobs} == {"tpch-q4-2g"}
    with pytest.raises(TraceError, match="no TPC-H file of size 5g; there is 2g, 10g"):
        dag_source("tpch", sizes=("5g",))


def test_tpch_streams_every_25_seconds_as_in_decima(root: Path) -> None:
    gaps_s = np.concatenate([np.diff(dag_source("tpch", arrivals="poisson")(seed).arrival_s) for seed in range(200)])
    assert gaps_s.mean() == pytest.approx(25, rel=0.05)


def test_recorded_arrivals_are_those_of_consecutive_jobs(root: Path) -> None:
    source = dag_source("alibaba2018", arrivals="trace", jobs=3)
    seen = {tuple(job.name for job in source(seed).jobs): source(seed).arrival_s.tolist() for seed in range(20)}
    assert seen == {("j1", "j2", "j5"): [0, 1, 4], ("j2", "j5", "j9"): [0, 3, 7]}
    # Mean gap of the whole trace: 8 / 3 s, stretched to 16 s.
    stretched = dag_source("alibaba2018", arrivals="trace", jobs=4, interarrival_s=16.0)(0)
    assert stretched.arrival_s.tolist() == pytest.approx([0, 6, 24, 48])
    with pytest.raises(ConfigError, match="jobs is 5, but alibaba2018 has only 4"):
        dag_source("alibaba2018", arrivals="trace", jobs=5)(0)


def test_the_load_sets_the_mean_gap(root: Path) -> None:
    # Work of a job: 2 instances of 5, 1, 2 or 9 s, so 8.5 s on average; on 5 machines at load 0.5 one every 3.4 s.
    source = dag_source("alibaba2018", machines=5, load=0.5, jobs=11)
    gaps_s = np.concatenate([np.diff(source(seed).arrival_s) for seed in range(300)])
    assert gaps_s.mean() == pytest.approx(3.4, rel=0.05)
    stretched = dag_source("alibaba2018", machines=5, load=0.5, arrivals="trace", jobs=4)(0)
    assert np.diff(stretched.arrival_s).mean() == pytest.approx(3.4)


def test_the_load_of_generated_jobs_is_that_of_the_episode() -> None:
    source = dag_source("layered", machines=4, load=0.25, jobs=1000, tasks=5)
    episode = source(0)
    mean_work_s = np.mean([work_s(job) for job in episode.jobs])
    assert np.diff(episode.arrival_s).mean() == pytest.approx(mean_work_s / 4 / 0.25, rel=0.1)


@pytest.mark.parametrize("profile", ["top", "wifi", "mixed"])
def test_the_profiles_of_soc(root: Path, profile: str) -> None:
    episode = dag_source("soc", profile=profile, jobs=200)(0)
    names = {job.name for job in episode.jobs}
    if profile == "top":
        assert len(episode.machines) == 3
        assert {job.tasks for job in episode.jobs} == {tuple(f"task_{task}" for task in range(1, 11))}
    else:
        wifi = {"WIFI_5TXM", "WIFI_5RXM"}
        assert names == (wifi if profile == "wifi" else wifi | {"LAG", "SCR", "SCT", "TEMP_MIT"})
        assert len(episode.machines) == 3
    assert (np.diff(episode.arrival_s) > 0).all()
    (root / "dag_ds3_soc/config_Jobs/job_WIFI_5RXM.txt").unlink()
    if profile != "top":
        with pytest.raises(TraceError, match=r"needs .*job_WIFI_5RXM\.txt; run `clustersim traces fetch soc`"):
            dag_source("soc", profile=profile)


def test_links_are_scaled_until_the_episode_has_the_ccr(root: Path) -> None:
    for trace in ("soc", "topcuoglu-2002", "layered"):
        episode = dag_source(trace, ccr=3.0)(2)
        assert ccr(episode.machines, episode.jobs) == pytest.approx(3.0)
    with pytest.raises(ConfigError, match="nothing is sent between machines here"):
        dag_source("tpch", ccr=1.0)(0)


def test_a_path_is_read_by_what_it_is(tmp_path: Path) -> None:
    put(tmp_path, "run.json.gz", workflow())
    put(tmp_path, "tpch_2g.json", tpch())
    put_lines(tmp_path, alibaba(), "jobs.jsonl")
    put(tmp_path, "part.csv.gz", "M1,2,j,1,Terminated,100,110,100,0.5\n")
    put(tmp_path, "job.txt", JOB)
    put(tmp_path, "SoC.small.txt", KEYWORDS)
    for name, jobs, machines in (
        ("run.json.gz", {"run"}, 8),
        ("tpch_2g.json", {"tpch-q4-2g"}, 50),
        ("jobs.jsonl", {"j", "early"}, 50),
        ("part.csv.gz", {"j"}, 50),
        ("job.txt", {"chain"}, 3),
    ):
        episode = dag_source(str(tmp_path / name))(0)
        assert ({job.name for job in episode.jobs}, len(episode.machines)) == (jobs, machines)


def test_a_folder_is_read_by_its_first_file(tmp_path: Path) -> None:
    put(tmp_path, "b.json", workflow())
    put(tmp_path, "a.json.gz", longer(2))
    put(tmp_path, "a.json", longer(4))  # the plain file goes before the compressed one
    assert {len(dag_source(str(tmp_path))(seed).jobs[0]) for seed in range(20)} == {3, 4}
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(TraceError, match=r"no \.json or \.json\.gz file is below this folder"):
        dag_source(str(empty))


def test_a_ds3_job_asks_for_its_soc_unless_there_is_only_one(tmp_path: Path) -> None:
    job = put(tmp_path, "job.txt", JOB)
    with pytest.raises(TraceError, match=r"which SoC runs this job.* none can; name one as `soc`"):
        dag_source(str(job))
    soc = put(tmp_path, "SoC.a.txt", KEYWORDS)
    put(tmp_path, "SoC.b.txt", KEYWORDS)
    with pytest.raises(TraceError, match=r"SoC\.a\.txt, SoC\.b\.txt can; name one"):
        dag_source(str(job))
    assert len(dag_source(str(job), soc=str(soc))(0).machines) == 3
    with pytest.raises(TraceError, match="this is a SoC; name a job"):
        dag_source(str(soc))


def test_a_checksum_changes_with_the_data_and_with_the_options(tmp_path: Path) -> None:
    file = put(tmp_path, "run.json", workflow())
    before = dag_source(str(file)).checksum()
    assert dag_source(str(file)).checksum() == before
    assert dag_source(str(file), machines=3).checksum() != before
    file.write_text(json.dumps(workflow(), indent=1))
    assert dag_source(str(file)).checksum() != before


@pytest.mark.parametrize("trace", RECORDED)
def test_a_trace_that_is_not_here_says_how_to_get_it_and_what_needs_no_files(trace: str) -> None:
    missing = rf"trace '{trace}' is not on this machine; .*CLUSTERSIM_TRACES.* layered"
    with pytest.raises(TraceError, match=missing) as error:
        dag_source(trace)
    assert ("traces fetch" in str(error.value)) == (trace in ("wfinstances", "soc"))


def test_a_name_that_is_neither_trace_nor_path_gets_the_nearest_trace() -> None:
    with pytest.raises(TraceError, match=r"'topcuoglo' is neither .* did you mean 'topcuoglu'\?"):
        dag_source("topcuoglo")


@pytest.mark.parametrize(
    ("trace", "options", "message"),
    [
        ("layered", {"profile": "top"}, "layered has no option profile; it has machines, tasks"),
        ("topcuoglu", {"heterogeneity": 2.0}, "topcuoglu has no option heterogeneity"),
        ("topcuoglu-2002", {"tasks": 5}, "topcuoglu-2002 has no option tasks"),
        ("topcuoglu-2002", {"machines": 4}, "machines is 4, but topcuoglu-2002 has 3; leave machines out"),
        ("layered", {"shap": 5}, "unknown option 'shap'; did you mean 'shape'"),
        ("layered", {"load": 0.5, "interarrival_s": 3.0}, "interarrival_s and load contradict each other"),
        ("layered", {"load": 0.5, "arrivals": "batch"}, "load is 0.5, but all jobs arrive at once"),
        ("layered", {"load": 0.0}, "load is 0.0; it has to be positive"),
        ("layered", {"arrivals": "trace"}, "layered has no recorded times of arrival"),
        ("layered", {"arrivals": "bursts"}, "arrivals is 'bursts'; there is batch, poisson, trace"),
        ("layered", {"jobs": 0}, "jobs is 0; at least one is needed"),
        ("tpch", {"bytes_per_s": 1.0}, "tpch has no option bytes_per_s"),
        ("wfinstances", {"switch_s": 1.0}, "wfinstances has no option switch_s"),
        ("soc", {"profile": "radar"}, "profile is 'radar'; soc has top, wifi and mixed"),
        ("soc", {"machines": 4}, "machines is 4, but soc has 3"),
    ],
)
def test_options_that_cannot_be_met_are_refused(root: Path, trace: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dag_source(trace, **options)


def test_options_may_come_as_one_object_and_be_changed() -> None:
    options = DagOptions(machines=3, tasks=(5, 5))
    episode = dag_source("layered", options, machines=2)(0)
    assert (len(episode.machines), len(episode.jobs[0])) == (2, 5)
    assert len(dag_source("topcuoglu-2002", machines=3)(0).machines) == 3


def test_poisson_arrivals_without_a_pace_are_refused() -> None:
    with pytest.raises(ConfigError, match="Poisson arrivals need a mean gap"):
        Arrivals("poisson", 3)


def test_importing_the_front_function_does_not_import_pandas() -> None:
    heavy = "pandas pandera networkx requests simpy gymnasium torch ortools rich scipy"
    program = f"import sys, clustersim.traces.dag_load; print([n for n in '{heavy}'.split() if n in sys.modules])"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip() == "[]"
