"""The traces of jobs in the catalogue: the recorded ones, and those that clustersim makes itself."""

from __future__ import annotations

from clustersim.traces.catalog_entry import Trace
from clustersim.traces.dag_checksums import ALIBABA2018 as ALIBABA2018_FILES
from clustersim.traces.dag_checksums import SOC as SOC_FILES
from clustersim.traces.dag_checksums import TPCH as TPCH_FILES
from clustersim.traces.dag_checksums import WFINSTANCES as WFINSTANCES_FILES

_WFINSTANCES_COMMIT = "f085867f2f9d0b266835295605a6db2c434fe69b"
_DECIMA_COMMIT = "c010dd74ff4b7566bd0ac989c90a32cfbc630d84"
_ERDOS_COMMIT = "62c1480fe2494e6c69b0c22d505b5c5ff5b45125"
_DS3_COMMIT = "056c9300c304ba9c4ad7363c14dd47ac2c15a507"

WFINSTANCES = Trace(
    name="wfinstances",
    title="WfCommons WfInstances: 55 recorded runs of workflows (Pegasus, Makeflow, Nextflow), 5 to 2,122 tasks each",
    licence="LGPL-3.0 (the data repository; Zenodo 10.5281/zenodo.12510982)",
    redistribution="allowed under that licence; clustersim ships no copy",
    schema=(
        "WfFormat 1.5 JSON, one workflow a file, plain or gzipped",
        "workflow.specification.tasks[]: id, name, parents[], children[], inputFiles[], outputFiles[]; files[]: id, "
        "sizeInBytes",
        "workflow.execution.tasks[]: id, runtimeInSeconds; recorded machines and commands are not used",
        "read as well: WfFormat 1.3 and 1.4, with run time and files in workflow.tasks[]",
    ),
    defects=(
        "one run time per task, from one machine: what the task takes elsewhere is our rule (machine speeds by seed)",
        "no bandwidth between machines: links are our rule as well",
        "254 tasks of 12 workflows (eleven of Nextflow) have a run time of 0",
        "Nextflow tasks share names; only their ids differ",
        "the recorded makespan is that of machines with many cores and of a queue; nothing here compares with it",
    ),
    upstream=f"https://github.com/wfcommons/WfInstances at commit {_WFINSTANCES_COMMIT}",
    base_url=f"https://raw.githubusercontent.com/wfcommons/WfInstances/{_WFINSTANCES_COMMIT}/",
    folder="dag_wfinstances",
    files=WFINSTANCES_FILES,
)

TPCH = Trace(
    name="tpch",
    title="Decima (SIGCOMM'19): 22 TPC-H queries on Spark, stages with task durations measured at 2 to 100 executors",
    licence="none stated in hongzimao/decima-sim; the same files are in erdos-project/erdos-scheduling-simulator (MIT)",
    redistribution="through the MIT repository; cite Mao et al. 2019 (doi 10.1145/3341302.3342080)",
    schema=(
        "tpch_SIZE.json: query number -> adj_mat (n x n, 1 where stage i comes before j), task_duration, "
        "stage_id_to_node_idx_map (not used)",
        "task_duration: stage -> fresh_durations, first_wave, rest_wave -> number of executors -> milliseconds",
    ),
    defects=(
        "upstream has NumPy pickles; these JSON files hold the same and are made from them, so there is no URL",
        "stage 6 of query 15 has 1 or 2 tasks, depending on the number of executors; the first one listed counts",
        "query 6 was measured at other executor counts where its stages have few tasks (2g: up to 13; 10g: up to 59)",
        "many waves are empty (a stage with fewer tasks than executors has no rest wave): the nearest count is taken",
        "no data volumes on the edges: durations include reading the input",
    ),
    upstream=f"https://github.com/hongzimao/decima-sim at commit {_DECIMA_COMMIT}",
    folder="dag_tpch_decima",
    files=TPCH_FILES,
)

ALIBABA2018 = Trace(
    name="alibaba2018",
    title="Alibaba cluster-trace-v2018: 3,690 batch jobs of 5 to 7 tasks, sampled by the erdos simulator",
    licence="MIT (the carrier, Copyright 2024 DAGSched); Alibaba offers the origin for research or study purposes",
    redistribution="under the MIT licence of the carrier, for research or study",
    schema=(
        "medium_filtered.jsonl: one job a line: job, tasks[]: name (R3_1_2 waits for tasks 1 and 2), instances, "
        "start_time, actual_duration or duration (s, mean of an instance)",
        "read as well: batch_task.csv of the published trace, 9 columns without a header",
    ),
    defects=(
        "upstream has pickles; these lines hold the same and are made from them, so there is no URL",
        "jobs are not in the order of their arrival: they are sorted here",
        "no data volumes on the edges, and start_time is that of the first task, not of submission",
        "tasks of one job that wait for each other may have the same start_time: only the earliest is used",
        "work is heavy-tailed: the median job takes 0.7 h of one machine, the longest 419 h",
    ),
    upstream=f"https://github.com/erdos-project/erdos-scheduling-simulator at commit {_ERDOS_COMMIT}",
    folder="dag_alibaba2018",
    files=ALIBABA2018_FILES,
)

SOC = Trace(
    name="soc",
    title="DS3 and SoCRATES: jobs of signal processing (WiFi, radar, ...) and systems on a chip with run times in us",
    licence="DS3 (config_*) GPL-3.0; SoCRATES (socrates/) MIT",
    redistribution="allowed under those licences; clustersim ships no copy",
    schema=(
        "job_*.txt: job_name, add_new_tasks, 'TASK ID PREDECESSORS', comm_vol SOURCE DESTINATION VOLUME",
        "SoC.*.txt: add_new_resource (two dialects), opp (MHz, mV), power_profile (W), 'TASK MICROSECONDS', "
        "comm_band (volume units per us)",
    ),
    defects=(
        "viterbi_decoder and descrambler are listed twice for A7 and A15; the first time counts, as in DS3",
        "a pair of resources without comm_band has the bandwidth 1 (as in DS3): that is every pair of the Top SoCs",
        "the power column of the SoCRATES dialect states no unit and equals the run time; read as watts",
        "SoC.Top.txt misspells a keyword (resoruce_type): keywords are read by position",
        "the bandwidth on one machine (comm_band_self, 10000) is not used: data there are free",
    ),
    upstream=f"https://github.com/segemena/DS3 at commit {_DS3_COMMIT}; socrates/ from EpiSci/SoCRATES",
    base_url=f"https://raw.githubusercontent.com/segemena/DS3/{_DS3_COMMIT}/",
    folder="dag_ds3_soc",
    files=SOC_FILES,
)


def _made(name: str, title: str, where: str, defect: str) -> Trace:
    return Trace(
        name=name,
        title=title,
        licence="Apache-2.0 (part of clustersim)",
        redistribution="allowed",
        schema=(f"generated in memory: see {where}",),
        defects=(defect,),
    )


_RANDOM = "clustersim.traces.dag_random"
_GOLDEN = "clustersim.golden_dags"
_MODEL = "a model: no recorded job is behind it"
_ONE = "one instance: the seed changes nothing but arrivals"

DAG_CATALOG = (
    WFINSTANCES,
    TPCH,
    ALIBABA2018,
    SOC,
    _made("layered", "generated jobs: layers of tasks, parents in the layer above", _RANDOM, _MODEL),
    _made("fork-join", "generated jobs: fork, parallel tasks, join, again and again", _RANDOM, _MODEL),
    _made("topcuoglu", "generated jobs by shape, out-degree, CCR and heterogeneity", _RANDOM, _MODEL),
    _made("montage", "generated jobs in the shape of the Montage workflow", "clustersim.traces.dag_montage", _MODEL),
    _made("topcuoglu-2002", "the ten tasks on three processors of the HEFT paper", _GOLDEN, _ONE),
    _made("insertion-5", "five tasks on two processors that need a gap to be filled", _GOLDEN, _ONE),
    _made("arabnejad-2014", "the ten tasks on three processors of the PEFT paper", _GOLDEN, _ONE),
)

DAG_TRACES = tuple(trace.name for trace in DAG_CATALOG)
"""Every name that `clustersim.traces.dag_load.dag_source` knows."""
