"""What the readers make of small files of jobs, and what they say about broken ones."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustersim.errors import TraceError
from clustersim.traces import check
from clustersim.traces.dag_alibaba import read_alibaba
from clustersim.traces.dag_alibaba_names import TaskName, parse_task_name
from clustersim.traces.dag_batch_task import read_batch_task
from clustersim.traces.dag_json import read_json
from clustersim.traces.dag_tpch import read_tpch
from clustersim.traces.dag_wfformat import read_wfformat


def workflow() -> dict[str, Any]:
    """a writes x (100 bytes) and y (20); b reads x; c reads both, and z, which is there from the start."""
    specified = [
        {
            "id": "a",
            "name": "split",
            "parents": [],
            "children": ["b", "c"],
            "inputFiles": [],
            "outputFiles": ["x", "y"],
        },
        {"id": "b", "name": "work", "parents": ["a"], "children": ["c"], "inputFiles": ["x"], "outputFiles": ["w"]},
        {"id": "c", "name": "work", "parents": ["a", "b"], "children": [], "inputFiles": ["x", "y", "z"]},
    ]
    sizes = {"x": 100, "y": 20, "z": 7, "w": 3}
    return {
        "schemaVersion": "1.5",
        "workflow": {
            "specification": {
                "tasks": specified,
                "files": [{"id": name, "sizeInBytes": size} for name, size in sizes.items()],
            },
            "execution": {
                "tasks": [
                    {"id": "c", "runtimeInSeconds": 3},
                    {"id": "a", "runtimeInSeconds": 1.5},
                    {"id": "b", "runtimeInSeconds": 0},
                ]
            },
        },
    }


def older_workflow() -> dict[str, Any]:
    """The same in the shape of WfFormat 1.3; b and c go by their names."""

    def file(link: str, name: str, size: int) -> dict[str, Any]:
        return {"link": link, "name": name, "size": size}

    return {
        "workflow": {
            "tasks": [
                {"id": "a", "name": "split", "parents": [], "runtime": 1.5, "files": [file("output", "x", 100)]},
                {"name": "b", "parents": ["split"], "runtimeInSeconds": 0, "files": [file("input", "x", 100)]},
                {"name": "c", "parents": ["a", "b"], "runtime": 3, "children": []},
            ]
        }
    }


def tpch() -> dict[str, Any]:
    """Stage 0 before stage 1, measured at 2 and 50 executors."""
    return {
        "4": {
            "adj_mat": [[0.0, 1.0], [0.0, 0.0]],
            "stage_id_to_node_idx_map": {"0": 0, "1": 1},
            "task_duration": {
                "0": {
                    "fresh_durations": {"2": [9000, 9000], "50": [7000]},
                    "first_wave": {"2": [9000, 9000], "50": [7000, 4000, 2000]},
                    "rest_wave": {"2": [1000, 1000], "50": [600]},
                },
                "1": {
                    "fresh_durations": {"2": [], "50": []},
                    "first_wave": {"2": [500], "50": [800]},
                    "rest_wave": {"2": [], "50": []},
                },
            },
        }
    }


def alibaba() -> list[dict[str, Any]]:
    def task(name: str, start: int, instances: float = 1.0, **duration: float) -> dict[str, Any]:
        return {
            "name": name,
            "job": "j",
            "instances": instances,
            "start_time": start,
            "end_time": start + 9,
            **duration,
        }

    return [
        {
            "job": "j",
            "tasks": [
                task("R3_1_2", 30, 4.0, actual_duration=2.5, expected_duration=9),
                task("M1", 20, duration=3),
                task("M2_Stg1", 25, duration=1),
                task("task_NzE4", 40, duration=7),
            ],
        },
        {"job": "early", "tasks": [{"name": "M1", "instances": 1, "start_time": 5, "duration": 1}]},
    ]


BATCH = """\
R2_1,3,j,1,Terminated,110,140,100,0.5
M1,2,j,1,Terminated,100,110,100,0.5
task_x,1,other,1,Terminated,50,51,100,0.5
M1,1,failed,1,Failed,60,61,100,0.5
M1,1,endless,1,Terminated,60,0,100,0.5
R3_9,1,cut,1,Terminated,60,61,100,0.5
M1,1,twin,1,Terminated,60,61,100,0.5
R1,1,twin,1,Terminated,60,61,100,0.5
"""


def put(folder: Path, name: str, content: object) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    file = folder / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return file


def put_lines(folder: Path, documents: list[dict[str, Any]], name: str = "jobs.jsonl") -> Path:
    return put(folder, name, "\n".join(map(json.dumps, documents)) + "\n\n")


@pytest.mark.parametrize("name", ["run.json", "run.json.gz"])
def test_a_workflow_has_its_run_times_and_the_files_on_its_edges(tmp_path: Path, name: str) -> None:
    job = read_wfformat(put(tmp_path, name, workflow()))
    assert (job.name, job.tasks) == ("run", ("a", "b", "c"))
    assert job.run_time_s.tolist() == [1.5, 0, 3]
    edges = dict(zip(map(tuple, job.edges.tolist()), job.data_bytes.tolist(), strict=True))
    assert edges == {(0, 1): 100, (0, 2): 120, (1, 2): 0}
    assert job.work_s == 4.5


def test_an_older_workflow_is_read_by_id_and_by_name(tmp_path: Path) -> None:
    job = read_wfformat(put(tmp_path, "old.json", older_workflow()))
    assert job.tasks == ("a", "b", "c")
    assert job.run_time_s.tolist() == [1.5, 0, 3]
    edges = dict(zip(map(tuple, job.edges.tolist()), job.data_bytes.tolist(), strict=True))
    assert edges == {(0, 1): 100, (0, 2): 0, (1, 2): 0}


def test_a_stage_runs_as_long_as_its_rest_wave_and_warms_up_as_long_as_its_first(tmp_path: Path) -> None:
    (query,) = read_tpch(put(tmp_path, "tpch_3g.json", tpch()))
    job = query.job(executors=40)
    assert (job.name, job.tasks) == ("tpch-q4-3g", ("stage-0", "stage-1"))
    # At 50 executors, the nearest to 40: rest 600 ms, first wave without the fresh executor (4000 + 2000) / 2.
    assert job.run_time_s.tolist() == pytest.approx([0.6, 0.8])
    assert job.warm_up_s.tolist() == pytest.approx([2.4, 0.0])
    assert job.instances.tolist() == [4, 1]
    assert job.edges.tolist() == [[0, 1]]
    assert job.data_bytes.tolist() == [0]


def test_a_wave_that_is_all_fresh_is_taken_at_the_next_executor_count(tmp_path: Path) -> None:
    (query,) = read_tpch(put(tmp_path, "tpch_3g.json", tpch()))
    job = query.job(executors=2)
    # At 2 executors the whole first wave is fresh: the one at 50 stands in for it.
    assert job.run_time_s.tolist() == pytest.approx([1.0, 0.5])
    assert job.warm_up_s.tolist() == pytest.approx([2.0, 0.0])


def test_a_stage_that_only_fresh_executors_have_run_warms_up_like_them(tmp_path: Path) -> None:
    document = tpch()
    document["4"]["task_duration"]["0"]["first_wave"]["50"] = [7000]
    (query,) = read_tpch(put(tmp_path, "tpch_3g.json", document))
    assert query.job(executors=2).warm_up_s.tolist() == pytest.approx([8.0, 0.0])


def test_the_graph_of_an_alibaba_job_is_in_the_names_of_its_tasks(tmp_path: Path) -> None:
    early, job = read_alibaba(put_lines(tmp_path, alibaba()))
    assert (early.name, early.arrival_s, job.arrival_s) == ("early", 5, 20)
    assert job.tasks == ("R3_1_2", "M1", "M2_Stg1", "task_NzE4")
    assert sorted(job.edges.tolist()) == [[1, 0], [2, 0]]
    assert job.run_time_s.tolist() == [2.5, 3, 1, 7]
    assert job.instances.tolist() == [4, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("M1", TaskName(1, (), ())),
        ("R5_4_2", TaskName(5, (4, 2), ())),
        ("J12_10_11_10", TaskName(12, (10, 11), ())),
        ("R2_1_Stg9", TaskName(2, (1,), ("Stg9",))),
        ("J4_2_3_", TaskName(4, (2, 3), ())),
        ("task_NzE4MDI0", TaskName(None, (), ())),
        ("MergeTask", TaskName(None, (), ())),
        ("task_", TaskName(None, (), ())),
    ],
)
def test_a_task_name_says_its_number_and_whom_it_waits_for(name: str, expected: TaskName) -> None:
    assert parse_task_name(name) == expected


def test_rows_of_batch_task_become_jobs_and_what_cannot_be_played_is_counted(tmp_path: Path) -> None:
    batch = read_batch_task(put(tmp_path, "batch_task.csv.gz", BATCH))
    assert [job.name for job in batch.jobs] == ["other", "j"]
    job = batch.jobs[1]
    assert (job.tasks, job.arrival_s) == (("R2_1", "M1"), 100)
    assert job.run_time_s.tolist() == [30, 10]
    assert job.instances.tolist() == [3, 2]
    assert job.edges.tolist() == [[1, 0]]
    assert batch.left_out == {
        "a task that has not terminated": 1,
        "a task without start or end": 1,
        "a task that waits for a missing one": 1,
        "two tasks of one number": 1,
    }


def test_the_check_says_what_is_in_a_folder_of_jobs(tmp_path: Path) -> None:
    put(tmp_path, "run.json.gz", workflow())
    put(tmp_path, "tpch_3g.json", tpch())
    put_lines(tmp_path, alibaba(), "jobs.jsonl.gz")
    put(tmp_path, "batch_task.csv", BATCH)
    report = check(tmp_path)
    assert report.count("keeps the rules of the format") == 4
    assert "workflow: 3 tasks, 3 edges; 4 s of run time" in report
    assert "1 task with a run time of 0" in report
    assert "TPC-H: 1 job, 2 stages, 1 edge, 5 tasks" in report
    assert "Alibaba: 2 jobs, 5 tasks, 2 edges, 8 instances; arrivals 5 to 20 s" in report
    assert "1 part of names that are no number" in report
    assert "1 job left out with a task that has not terminated" in report


def test_a_stage_whose_number_of_tasks_is_in_doubt_is_reported(tmp_path: Path) -> None:
    document = tpch()
    document["4"]["task_duration"]["1"]["first_wave"]["50"] = [800, 900]
    file = put(tmp_path, "tpch_3g.json", document)
    assert "stage 1 of tpch-q4-3g has (1, 2) tasks by executor count, taken as 1" in check(file)


Edit = Callable[[Any], None]


def edits(**by_name: tuple[Edit, str]) -> list[Any]:
    return [pytest.param(edit, message, id=name) for name, (edit, message) in by_name.items()]


def specified(document: Any) -> Any:
    return document["workflow"]["specification"]["tasks"]


def executed(document: Any) -> Any:
    return document["workflow"]["execution"]["tasks"]


def make_cycle(document: Any) -> None:
    specified(document)[0].update(parents=["c"])
    specified(document)[2].update(children=["a"])


@pytest.mark.parametrize(
    ("edit", "message"),
    edits(
        cycle=(make_cycle, r"workflow.specification.tasks\[0\] .*wait for each other in a cycle: a -> b -> c -> a"),
        missing_parent=(
            lambda d: specified(d)[1].update(parents=["a", "ghost"]),
            r"workflow.specification.tasks\[1\] task 'b' waits for 'ghost', which is missing",
        ),
        missing_child=(
            lambda d: specified(d)[1].update(children=["c", "ghost"]),
            r"tasks\[1\] task 'b' has the child 'ghost', which is missing",
        ),
        one_sided_child=(
            lambda d: specified(d)[2].update(parents=["a"]),
            r"tasks\[1\] task 'b' has the child 'c', which does not name it as parent",
        ),
        one_sided_parent=(
            lambda d: specified(d)[1].update(children=[]),
            r"tasks\[2\] task 'c' has the parent 'b', which does not name it as child",
        ),
        parent_twice=(
            lambda d: specified(d)[2].update(parents=["a", "b", "a"]),
            r"the edge from 'a' to 'c' is listed twice",
        ),
        name_twice=(
            lambda d: specified(d)[1].update(id="a"),
            r"specification.tasks\[1\] is a second task called 'a'; names have to differ",
        ),
        no_run_time=(lambda d: executed(d).pop(0), r"tasks\[2\] task 'c' has no run time"),
        two_run_times=(
            lambda d: executed(d).append(executed(d)[0]),
            r"workflow.execution.tasks\[3\] is the second execution of task 'c'",
        ),
        surplus_run_time=(
            lambda d: executed(d).append({"id": "ghost", "runtimeInSeconds": 1}),
            r"workflow.execution has a run time of task 'ghost', which is missing",
        ),
        negative_time=(
            lambda d: executed(d)[0].update(runtimeInSeconds=-1),
            r"workflow.execution.tasks\[0\].runtimeInSeconds is -1; it has to be at least 0",
        ),
        time_without_number=(
            lambda d: executed(d)[0].update(runtimeInSeconds="3"),
            r"tasks\[0\].runtimeInSeconds is '3'; a number is expected",
        ),
        missing_time=(
            lambda d: executed(d)[0].pop("runtimeInSeconds"),
            r"workflow.execution.tasks\[0\] has no 'runtimeInSeconds'; it has 'id'",
        ),
        unknown_file=(
            lambda d: specified(d)[1].update(inputFiles=["ghost"]),
            r"tasks\[1\].inputFiles\[0\] file 'ghost' is missing in workflow.specification.files",
        ),
        file_twice=(
            lambda d: d["workflow"]["specification"]["files"].append({"id": "x", "sizeInBytes": 1}),
            r"specification.files\[4\].id is a second file called 'x'",
        ),
        parents_no_list=(
            lambda d: specified(d)[1].update(parents="a"),
            r"tasks\[1\].parents is 'a'; a list is expected",
        ),
        no_tasks=(
            lambda d: (specified(d).clear(), executed(d).clear()),
            r"workflow has no tasks; get a complete copy",
        ),
    ),
)
def test_a_broken_workflow_is_refused_with_its_place(tmp_path: Path, edit: Edit, message: str) -> None:
    document = workflow()
    edit(document)
    file = put(tmp_path, "broken.json", document)
    with pytest.raises(TraceError, match=message) as error:
        read_wfformat(file)
    assert str(error.value).startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("edit", "message"),
    edits(
        link=(
            lambda d: d["workflow"]["tasks"][0]["files"][0].update(link="inout"),
            r"workflow.tasks\[0\].files\[0\].link is 'inout'; it has to be 'input' or 'output'",
        ),
        sizes_differ=(
            lambda d: d["workflow"]["tasks"][1]["files"][0].update(size=99),
            r"workflow.tasks\[1\].files\[0\] file 'x' has 99 bytes here and 100 above",
        ),
        ambiguous_name=(
            lambda d: d["workflow"]["tasks"].append({"id": "s", "name": "split", "parents": [], "runtime": 1}),
            r"workflow.tasks\[1\] task 'b' waits for 'split', which is missing",
        ),
        no_time=(lambda d: d["workflow"]["tasks"][0].pop("runtime"), r"workflow.tasks\[0\] has no 'runtimeInSeconds'"),
    ),
)
def test_a_broken_older_workflow_is_refused_with_its_place(tmp_path: Path, edit: Edit, message: str) -> None:
    document = older_workflow()
    edit(document)
    with pytest.raises(TraceError, match=message):
        read_wfformat(put(tmp_path, "broken.json", document))


@pytest.mark.parametrize(
    ("edit", "message"),
    edits(
        cycle=(
            lambda q: q["adj_mat"][1].__setitem__(0, 1),
            r"4.adj_mat is no acyclic graph: .* in a cycle: stage-0 -> stage-1 -> stage-0",
        ),
        edge_to_missing=(
            lambda q: q["adj_mat"][0].append(1),
            r"4.adj_mat\[0\] has 3 entries; a matrix of 2 stages needs 2",
        ),
        weight=(lambda q: q["adj_mat"][0].__setitem__(1, 0.5), r"4.adj_mat\[0\] .*entries have to be 0 or 1"),
        negative=(
            lambda q: q["task_duration"]["1"]["first_wave"]["2"].append(-5),
            r"4.task_duration.1.first_wave.2\[1\] is -5; it has to be at least 0",
        ),
        no_number=(
            lambda q: q["task_duration"]["1"]["rest_wave"]["2"].append(None),
            r"4.task_duration.1.rest_wave.2\[0\] is null; a number is expected",
        ),
        missing_stage=(lambda q: q["task_duration"].pop("1"), r"durations of stage 1 is missing"),
        surplus_stage=(
            lambda q: q["task_duration"].update({"7": q["task_duration"]["1"]}),
            r"stage '7' of the durations is missing",
        ),
        no_wave=(
            lambda q: q["task_duration"]["1"]["first_wave"].update({"2": []}),
            r"4.task_duration.1 has neither a first nor a rest wave at 2 executors",
        ),
        no_counts=(lambda q: q["task_duration"]["1"].update(first_wave={}), r"first_wave has no executor counts"),
        count=(
            lambda q: q["task_duration"]["1"]["first_wave"].update({"many": [1]}),
            r"first_wave.many is filed under 'many'; a number of executors is expected",
        ),
        no_matrix=(lambda q: q.pop("adj_mat"), r"4 has no 'adj_mat'; it has 'stage_id_to_node_idx_map'"),
    ),
)
def test_a_broken_query_is_refused_with_its_place(tmp_path: Path, edit: Edit, message: str) -> None:
    document = tpch()
    edit(document["4"])
    file = put(tmp_path, "tpch_3g.json", document)
    with pytest.raises(TraceError, match=message) as error:
        read_tpch(file)
    assert str(error.value).startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("edit", "message"),
    edits(
        cycle=(
            lambda d: d[0]["tasks"][1].update(name="M1_3"),
            r"line 1: tasks\[0\] .*in a cycle: R3_1_2 -> M1_3 -> R3_1_2",
        ),
        missing_parent=(
            lambda d: d[0]["tasks"][0].update(name="R3_1_8"),
            r"line 1: tasks\[0\] task 'R3_1_8' waits for 'task 8', which is missing",
        ),
        own_parent=(lambda d: d[0]["tasks"][1].update(name="M1_1"), r"in a cycle: M1_1 -> M1_1"),
        number_twice=(
            lambda d: d[0]["tasks"][2].update(name="M1_Stg2"),
            r"line 1: tasks\[2\] tasks 'M1' and 'M1_Stg2' of job 'j' have the same number 1",
        ),
        name_twice=(
            lambda d: d[0]["tasks"].append(d[0]["tasks"][3]),
            r"line 1: tasks\[4\] two tasks are called 'task_NzE4'",
        ),
        job_twice=(lambda d: d.append(d[0]), r"line 3: job is 'j' once more"),
        negative=(
            lambda d: d[0]["tasks"][1].update(duration=-3),
            r"line 1: tasks\[1\].duration is -3; it has to be at least 0",
        ),
        no_time=(
            lambda d: d[0]["tasks"][0].pop("actual_duration"),
            r"line 1: tasks\[0\] has no 'actual_duration'; it has 'name'",
        ),
        half_an_instance=(
            lambda d: d[0]["tasks"][0].update(instances=1.5),
            r"tasks\[0\].instances is 1.5; a whole number is expected",
        ),
        no_instance=(lambda d: d[0]["tasks"][0].update(instances=0), r"tasks\[0\].instances is 0; .* at least one"),
        other_job=(lambda d: d[0]["tasks"][2].update(job="k"), r"tasks\[2\].job is 'k' in a task of job 'j'"),
        no_tasks=(lambda d: d[1].update(tasks=[]), r"line 2: tasks is empty"),
        no_job=(lambda d: d[1].pop("job"), r"line 2: has no 'job'"),
        wrong_type=(lambda d: d[1].update(tasks={}), r"line 2: tasks is an object; a list is expected"),
    ),
)
def test_a_broken_alibaba_line_is_refused_with_its_place(tmp_path: Path, edit: Edit, message: str) -> None:
    documents = alibaba()
    edit(documents)
    file = put_lines(tmp_path, documents)
    with pytest.raises(TraceError, match=message) as error:
        read_alibaba(file)
    assert str(error.value).startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("M1,2,j", "M1,two,j", r"line 2, column 'instance_num': 'two' is not a whole number"),
        ("M1,2,j", "M1,0,j", r"line 2, column 'instance_num': '0' is 0; a task has at least one instance"),
        ("110,140", "-1,140", r"line 1, column 'start_time': '-1' is neither empty nor a whole number"),
        ("110,140", "110,100", r"line 1, column 'end_time': '100' is before start_time"),
        ("M1,2,j", ",2,j", r"line 2, column 'task_name': '' is empty"),
        (",100,0.5\nM1,2", ",100\nM1,2", r"line 1: 8 fields, but a row has 9"),
        ("R2_1,3,j", "R2_3,3,j,", r"line 1: 10 fields"),
        ("M1,2,j", "R2_1,2,j", r"line 2: job 'j' has a second task called 'R2_1'"),
        ("M1,2,j", "M1_2,2,j", r"line 1: .*in a cycle: R2_1 -> M1_2 -> R2_1"),
    ],
)
def test_a_broken_row_of_batch_task_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert BATCH.count(old) == 1
    with pytest.raises(TraceError, match=message):
        read_batch_task(put(tmp_path, "batch_task.csv", BATCH.replace(old, new)))


def test_a_batch_task_with_nothing_to_play_is_an_error(tmp_path: Path) -> None:
    row = "M1,1,failed,1,Failed,60,61,100,0.5\n"
    with pytest.raises(TraceError, match="no job can be played back: 1 with a task that has not terminated"):
        read_batch_task(put(tmp_path, "batch_task.csv", row))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": [1,\n 2', "line 2, column 3 is not JSON: .*; get a clean copy"),
        (b"", "line 1, column 1 is not JSON"),
        (b'{"a": 1,\n "a": 2}', "an object has two entries called 'a'"),
        (b'{"a": NaN}', "a number is NaN; it has to be finite"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number cannot be read"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
    ],
)
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    with pytest.raises(TraceError, match=message):
        read_json(file)


@pytest.mark.parametrize("reader", [read_wfformat, read_tpch, read_alibaba, read_batch_task])
def test_a_cut_off_gzip_file_is_refused_by_every_reader(tmp_path: Path, reader: Callable[[Path], object]) -> None:
    whole = gzip.compress(json.dumps(workflow()).encode())
    file = tmp_path / "cut.json.gz"
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TraceError, match=r"cut\.json\.gz: the gzip stream is cut off or damaged"):
        reader(file)
    with pytest.raises(TraceError, match=r"nowhere.*cannot be read: No such file"):
        reader(tmp_path / "nowhere.json")


def test_numbers_that_are_no_numbers_are_named_in_a_long_list(tmp_path: Path) -> None:
    document = read_json(put(tmp_path, "list.json", [1, 2.5, True]))
    with pytest.raises(TraceError, match=r"\[2\] is True; a number is expected"):
        document.numbers()
    assert read_json(put(tmp_path, "good.json", [1, 2.5])).numbers().tolist() == [1, 2.5]
    assert read_json(put(tmp_path, "none.json", [])).numbers().dtype == np.float64
