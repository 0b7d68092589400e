"""Jobs and systems on a chip of DS3, in both dialects, against the example of Topcuoglu et al."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clustersim.dags import OperatingPoint
from clustersim.errors import TraceError
from clustersim.golden_dags import topcuoglu_2002
from clustersim.traces import check
from clustersim.traces.dag_ds3_job import read_soc_job
from clustersim.traces.dag_ds3_soc import read_soc

EXAMPLE = topcuoglu_2002()

KEYWORDS = """\
# a comment, then a cluster of two little cores, an accelerator and the memory
add_new_resource resoruce_type LTL resource_name A7 resource_ID 0 capacity 2 num_supported_functionalities 4 DVFS_mode x
opp 1400 1300
opp 600 1000
trip_freq -1 -1 -1
power_profile 600 0.1 0.15
power_profile 1400 0.39 0.60
PG_profile 1400 0.27 0.46
work 20
pack 7.5
work 99
end 0

add_new_resource resource_type ACC_1 resource_name FFT resource_ID 1 capacity 1 num_supported_functionalities 1
opp 1000 900
power_profile 1000 0.05
mesh_information FFT 6 10.24 8.2 gold
work 4 22
add_new_resource resource_type MEM resource_name M resource_ID 2 capacity 1 num_supported_functionalities 1
None 0

comm_band_self 10000
comm_band 0 0 1000
comm_band 0 2 2
"""

JOB = """\
# a comment
job_name chain
add_new_tasks 3
pack 0
pack HEAD
pack earliest_start 0 deadline 2 input_vol 0 output_vol 0
work 4 0
end 9 4 0
end TAIL
comm_vol 0 4 3000
comm_vol 0 9 0
comm_vol 4 9 10
"""


def put(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def example_soc() -> str:
    """The processors of the example in the older dialect; as in SoCRATES, only the ways to the memory are listed."""
    (job,) = EXAMPLE.jobs
    lines = []
    for machine, name in enumerate(EXAMPLE.machines.names):
        lines += [f"add_new_resource CPU {name} {machine} 1 10 performance", "opp 600 900", "opp 2000 1362"]
        costs = job.run_time_s[:, machine].astype(int).tolist()
        lines += [f"task_{task} {cost} {cost}" for task, cost in enumerate(costs, start=1)]
    lines += ["add_new_resource MEM M1 3 1 1 none", "None 0 0"]
    lines += [f"comm_band {machine} {machine} 100\ncomm_band {machine} 3 2" for machine in range(3)]
    return "\n".join(lines)


def example_job() -> str:
    (job,) = EXAMPLE.jobs
    parents: list[list[int]] = [[] for _ in job.tasks]
    for source, target in job.edges.tolist():
        parents[target].append(source)
    lines = ["job_name Top", "add_new_tasks 10"]
    lines += [f"task_{task + 1} {task} {' '.join(map(str, before))}" for task, before in enumerate(parents)]
    lines += [
        f"comm_vol {source} {target} {int(volume)}"
        for (source, target), volume in zip(job.edges.tolist(), job.data_bytes.tolist(), strict=True)
    ]
    return "\n".join(lines)


def test_the_top_soc_and_job_are_the_example_of_topcuoglu_in_microseconds(tmp_path: Path) -> None:
    soc = read_soc(put(tmp_path, "SoC.txt", example_soc()))
    job = read_soc_job(put(tmp_path, "job.txt", example_job())).on(soc)
    (expected,) = EXAMPLE.jobs
    np.testing.assert_allclose(job.run_time_s * 1e6, expected.run_time_s)
    assert sorted(zip(map(tuple, job.edges.tolist()), job.data_bytes.tolist(), strict=True)) == sorted(
        zip(map(tuple, expected.edges.tolist()), expected.data_bytes.tolist(), strict=True)
    )
    # The costs of the example, because a pair without comm_band has the bandwidth 1.
    np.testing.assert_allclose(soc.machines.s_per_byte * 1e6, EXAMPLE.machines.s_per_byte)
    assert not soc.machines.latency_s.any()


def test_a_resource_is_as_many_machines_as_its_capacity_says(tmp_path: Path) -> None:
    soc = read_soc(put(tmp_path, "SoC.small.txt", KEYWORDS))
    assert soc.name == "SoC.small"
    assert soc.machines.names == ("A7-0", "A7-1", "FFT")
    assert soc.machines.kinds == ("A7", "A7", "FFT")
    np.testing.assert_allclose(soc.run_time_s["work"] * 1e6, [20, 20, 4])
    np.testing.assert_allclose(soc.run_time_s["pack"] * 1e6, [7.5, 7.5, np.inf])
    assert soc.repeated == ("A7/work",)
    little = (OperatingPoint(600, 1000), OperatingPoint(1400, 1300))
    assert soc.machines.operating_points == (little, little, (OperatingPoint(1000, 900),))


def test_links_are_those_between_the_clusters_and_one_unit_per_microsecond_elsewhere(tmp_path: Path) -> None:
    soc = read_soc(put(tmp_path, "SoC.small.txt", KEYWORDS))
    np.testing.assert_allclose(soc.machines.s_per_byte * 1e6, [[0, 0.001, 1], [0.001, 0, 1], [1, 1, 0]])


def test_power_is_that_of_a_core_of_a_busy_cluster_and_leakage_when_idle(tmp_path: Path) -> None:
    soc = read_soc(put(tmp_path, "SoC.small.txt", KEYWORDS))
    np.testing.assert_allclose(soc.machines.busy_w, [0.3, 0.3, 0.05])
    kelvin = 42 + 273.15
    cluster_w = 1.3 * 0.002488 * kelvin**2 * np.exp(-2660 / kelvin) + 0.000519 * 1.3
    np.testing.assert_allclose(soc.machines.idle_w, [cluster_w / 16, cluster_w / 16, 0])
    old = read_soc(put(tmp_path, "SoC.old.txt", example_soc()))
    (job,) = EXAMPLE.jobs
    np.testing.assert_allclose(old.machines.busy_w, job.run_time_s.mean(axis=0))  # its power column is the run time


def test_a_job_takes_its_run_times_from_the_soc(tmp_path: Path) -> None:
    job = read_soc_job(put(tmp_path, "job_chain.txt", JOB)).on(read_soc(put(tmp_path, "SoC.small.txt", KEYWORDS)))
    assert (job.name, job.tasks) == ("chain", ("pack", "work", "end"))
    np.testing.assert_allclose(job.run_time_s * 1e6, [[7.5, 7.5, np.inf], [20, 20, 4], [0, 0, np.inf]])
    edges = dict(zip(map(tuple, job.edges.tolist()), job.data_bytes.tolist(), strict=True))
    assert edges == {(0, 1): 3000, (0, 2): 0, (1, 2): 10}


def test_the_check_of_a_folder_names_machines_tasks_and_defects(tmp_path: Path) -> None:
    put(tmp_path / "config_Jobs", "job_chain.txt", JOB)
    put(tmp_path / "config_SoC", "SoC.small.txt", KEYWORDS)
    report = check(tmp_path)
    assert "DS3 job chain: 3 tasks, 3 edges" in report
    assert "SoCs beside it that can run it: SoC.small" in report
    assert "DS3 SoC: 3 machines (2 A7, 1 FFT), 3 functions" in report
    assert "listed twice, the first counts: A7/work" in report


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pack 7.5", "pack fast", r"line 10 \('pack fast'\): the run time is 'fast'; a number is expected"),
        ("pack 7.5", "pack -1", r"line 10 .*the run time is -1; it has to be at least 0"),
        ("pack 7.5", "pack", r"line 10 .*the run time is missing: word 2 of the line"),
        ("pack 7.5\n", "", r"line 2 .*4 functions are announced, 3 follow"),
        ("resource_name FFT resource_ID 1", "resource_name A7 resource_ID 1", r"line 2 has a resource of that name"),
        ("resource_name FFT resource_ID 1", "resource_name FFT resource_ID 0", r"line 2 has a resource of that name"),
        ("capacity 2", "capacity 0", r"line 2 .*the capacity is 0; it has to be at least 1"),
        ("capacity 2", "capacity 2.5", r"the capacity is 2.5; a whole number is expected"),
        ("resource_ID 0 capacity 2 num_supported_functionalities 4 DVFS_mode x", "", r"the ID is missing"),
        ("comm_band 0 2 2", "comm_band 0 7 2", r"there is no resource with the ID 7"),
        ("comm_band 0 2 2", "comm_band 0 1 0", r"the bandwidth between machines is 0; it has to be positive"),
        ("comm_band 0 2 2", "comm_band 0 0 5", r"the bandwidth of this pair is 1000 in a line above"),
        ("opp 600 1000", "opp 600 nan", r"line 4 .*the voltage is nan; it has to be at least 0"),
        ("# a comment", "opp 1 1\n# a comment", r"line 1 .*before the first add_new_resource"),
    ],
)
def test_a_broken_soc_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert KEYWORDS.count(old) == 1
    file = put(tmp_path, "SoC.txt", KEYWORDS.replace(old, new))
    with pytest.raises(TraceError, match=message) as error:
        read_soc(file)
    assert str(error.value).startswith(f"{file}: ")


def test_a_soc_without_machines_is_refused(tmp_path: Path) -> None:
    memory = KEYWORDS[KEYWORDS.index("add_new_resource resource_type MEM") : KEYWORDS.index("comm_band_self")]
    with pytest.raises(TraceError, match="there is no resource that runs tasks"):
        read_soc(put(tmp_path, "SoC.txt", memory))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("work 4 0", "work 4 0 7", r"line 7 \('work 4 0 7'\): it waits for task 7, which is missing"),
        ("work 4 0", "pack 4 0", r"line 7 .*two tasks are called 'pack'; names have to differ"),
        ("work 4 0", "work 0 0", r"line 7 .*line 4 has a task of that ID already"),
        ("work 4 0", "work four 0", r"line 7 .*the ID of the task is 'four'; a number is expected"),
        ("work 4 0", "work", r"line 7 .*the ID of the task is missing"),
        ("add_new_tasks 3", "add_new_tasks 4", r"line 3 .*3 tasks follow"),
        ("add_new_tasks 3\n", "", r"there is no add_new_tasks with tasks behind it"),
        ("add_new_tasks 3", "add_new_tasks 3\nadd_new_tasks 3", r"line 4 .*line 3 has announced the tasks already"),
        ("comm_vol 4 9 10\n", "", r"line 8 .*there is no comm_vol 4 9"),
        ("comm_vol 4 9 10", "comm_vol 4 9 10\ncomm_vol 9 4 1", r"line 13 .*task 4 does not wait for task 9"),
        ("comm_vol 4 9 10", "comm_vol 4 9 10\ncomm_vol 4 9 10", r"the volume of this edge is in line 12 already"),
        ("comm_vol 4 9 10", "comm_vol 4 9 -10", r"the volume is -10; it has to be at least 0"),
    ],
)
def test_a_broken_job_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert JOB.count(old) == 1
    file = put(tmp_path, "job.txt", JOB.replace(old, new))
    with pytest.raises(TraceError, match=message) as error:
        read_soc_job(file)
    assert str(error.value).startswith(f"{file}: ")


def test_a_job_whose_tasks_wait_for_each_other_is_refused(tmp_path: Path) -> None:
    circular = JOB.replace("pack 0\n", "pack 0 9\n") + "comm_vol 9 0 1\n"
    soc = read_soc(put(tmp_path, "SoC.small.txt", KEYWORDS))
    with pytest.raises(TraceError, match=r"job\.txt: job 'chain': .*in a cycle: pack -> work -> end -> pack"):
        read_soc_job(put(tmp_path, "job.txt", circular)).on(soc)


def test_a_task_that_no_machine_can_run_is_refused(tmp_path: Path) -> None:
    soc = read_soc(put(tmp_path, "SoC.small.txt", KEYWORDS.replace("pack 7.5", "wrap 7.5")))
    with pytest.raises(TraceError, match=r"job\.txt: no machine of SoC.small can run task 'pack' of job 'chain'"):
        read_soc_job(put(tmp_path, "job.txt", JOB)).on(soc)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="the file says nothing"):
        read_soc_job(put(tmp_path, "job.txt", "# only a comment\n"))
