"""Reading and checking openb files: what a good file becomes, and what a bad one is told."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from clustersim.errors import ConfigError, TraceError
from clustersim.traces import check
from clustersim.traces.openb import read_openb

GPU_NODES = """\
sn,cpu_milli,memory_mib,gpu,model
n-0,64000,262144,2,P100
n-1,96000,393216,8,G2
"""
ALL_NODES = GPU_NODES + "n-2,32000,65536,0,\n"
PODS = """\
name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
p-0,12000,16384,1,1000,,LS,Running,0,100,40
p-1,6000,12288,1,460,P100|G2|P100,BE,Pending,10,70,
p-2,8000,30517,0,0,,Burstable,Failed,20,20,20
p-3,64000,0,8,1000,G2,Guaranteed,Succeeded,30,130,30
"""
REQUESTS_ONLY = """\
name,cpu_milli,memory_mib,num_gpu,gpu_milli
p-0,12000,16384,1,1000
p-1,16000,65536,2,1000
"""
LISTS = {
    "openb_node_list_gpu_node.csv": GPU_NODES,
    "openb_node_list_all_node.csv": ALL_NODES,
    "openb_pod_list_default.csv": PODS,
    "openb_pod_list_multigpu50.csv": REQUESTS_ONLY,
}
POD_LIST = "openb_pod_list_default.csv"
NODE_LIST = "openb_node_list_gpu_node.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in LISTS.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def replace(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert text.count(old) == 1
    (folder / name).write_text(text.replace(old, new))


def test_every_column_of_a_pod_list_arrives_in_file_order(folder: Path) -> None:
    workload = read_openb(folder)
    pods = workload.pods
    assert workload.name == "openb-default"
    assert pods.name == ("p-0", "p-1", "p-2", "p-3")
    assert pods.cpu_milli.tolist() == [12000, 6000, 8000, 64000]
    assert pods.memory_mib.tolist() == [16384, 12288, 30517, 0]
    assert pods.num_gpu.tolist() == [1, 1, 0, 8]
    assert pods.gpu_milli.tolist() == [1000, 460, 0, 1000]
    assert pods.qos == ("LS", "BE", "Burstable", "Guaranteed")
    assert pods.priority.tolist() == [2, 0, 1, 2]
    assert pods.arrival_s.tolist() == [0, 10, 20, 30]
    assert pods.image == ("",) * 4
    assert pods.image_mib.tolist() == [0] * 4


def test_a_pod_runs_from_its_scheduling_and_one_never_scheduled_from_its_creation(folder: Path) -> None:
    assert read_openb(folder).pods.duration_s.tolist() == [60, 60, 0, 100]


def test_gpu_spec_becomes_the_sorted_distinct_models(folder: Path) -> None:
    assert read_openb(folder).pods.gpu_spec == ((), ("G2", "P100"), (), ("G2",))


def test_a_list_without_history_arrives_at_once_and_never_leaves(folder: Path) -> None:
    pods = read_openb(folder, "multigpu50").pods
    assert pods.arrival_s.tolist() == [0, 0]
    assert np.isnan(pods.duration_s).all()
    assert pods.qos == ("LS", "LS")
    assert pods.gpu_spec == ((), ())


def test_nodes_are_those_with_a_gpu_or_all(folder: Path) -> None:
    assert read_openb(folder).nodes.name == ("n-0", "n-1")
    everything = read_openb(folder, nodes="all").nodes
    assert everything.gpu_count.tolist() == [2, 8, 0]
    assert everything.gpu_model == ("P100", "G2", "")
    assert everything.cpu_milli.tolist() == [64000, 96000, 32000]
    assert everything.memory_mib.tolist() == [262144, 393216, 65536]


def test_the_all_node_list_stands_in_for_a_missing_gpu_node_list(folder: Path) -> None:
    (folder / NODE_LIST).unlink()
    assert read_openb(folder).nodes.name == ("n-0", "n-1")


@pytest.mark.parametrize("below", ["data/csv", "csv"])
def test_the_upstream_repository_root_is_read_as_it_is(folder: Path, tmp_path: Path, below: str) -> None:
    lists = tmp_path / "checkout" / below
    lists.mkdir(parents=True)
    for name in LISTS:
        (folder / name).rename(lists / name)
    assert len(read_openb(tmp_path / "checkout").pods) == 4


def test_gzipped_lists_read_like_plain_ones(folder: Path) -> None:
    plain = read_openb(folder)
    for name in LISTS:
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    zipped = read_openb(folder)
    assert zipped.name == plain.name
    assert zipped.pods.name == plain.pods.name
    assert zipped.pods.duration_s.tolist() == plain.pods.duration_s.tolist()


def test_a_single_pod_list_takes_the_node_lists_beside_it(folder: Path) -> None:
    (folder / POD_LIST).rename(folder / "mine.csv")
    workload = read_openb(folder / "mine.csv")
    assert (workload.name, len(workload.pods), len(workload.nodes)) == ("mine", 4, 2)


def test_blank_lines_hold_no_pod_and_do_not_shift_line_numbers(folder: Path) -> None:
    replace(folder, POD_LIST, "p-1,", "\np-1,")
    assert len(read_openb(folder).pods) == 4
    replace(folder, POD_LIST, "p-2,8000", "p-2,-8000")
    with pytest.raises(TraceError, match="line 5, column 'cpu_milli': '-8000'"):
        read_openb(folder)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (POD_LIST, "p-0,12000", "p-0,twelve", "line 2, column 'cpu_milli': 'twelve' must be a whole number, 0 or more"),
        (POD_LIST, "p-0,12000", "p-0,-12000", "line 2, column 'cpu_milli': '-12000' must be a whole number, 0 or more"),
        (POD_LIST, "p-0,12000", "p-0,", "line 2, column 'cpu_milli': '' must be a whole number, 0 or more"),
        (POD_LIST, "p-0,12000", "p-0,NaN", "line 2, column 'cpu_milli': 'NaN' must be a whole number, 0 or more"),
        (POD_LIST, "p-0,12000", "p-0,12000.5", "line 2, column 'cpu_milli': '12000.5' must be a whole number"),
        (POD_LIST, "p-0,12000", "p-0,9" + "9" * 30, "line 2, column 'cpu_milli': '9999"),
        (POD_LIST, "p-0,12000", 'p-0,"12000\n"', "line 3, column 'cpu_milli': '12000\\n' must be a whole number"),
        (POD_LIST, "p-0,12000", "p-0, 12000", "line 2, column 'cpu_milli': ' 12000' must be a whole number"),
        (POD_LIST, "p-0,", ",", "line 2, column 'name': '' must not be empty"),
        (POD_LIST, "p-2,", "p-0,", "line 4, column 'name': 'p-0' repeats an earlier line"),
        (
            POD_LIST,
            "P100|G2|P100",
            "P100|H100",
            "line 3, column 'gpu_spec': 'P100|H100' must be empty or name models of",
        ),
        (POD_LIST, "P100|G2|P100", "P100||G2", "line 3, column 'gpu_spec': 'P100||G2' must be empty or name models of"),
        (
            POD_LIST,
            ",0,0,,Burstable",
            ",0,500,,Burstable",
            "line 4, column 'gpu_milli': 500 must be 0 where `num_gpu` is 0",
        ),
        (POD_LIST, ",1,460,", ",1,1001,", "line 3, column 'gpu_milli': 1001 must be 1 to 1000 where `num_gpu` is 1"),
        (POD_LIST, ",1,460,", ",1,0,", "line 3, column 'gpu_milli': 0 must be 1 to 1000 where `num_gpu` is 1"),
        (POD_LIST, ",8,1000,", ",8,500,", "line 5, column 'gpu_milli': 500 must be 1000 where `num_gpu` is above 1"),
        (POD_LIST, ",BE,", ",VIP,", "line 3, column 'qos': 'VIP' must be one of LS, Guaranteed, Burstable, BE"),
        (
            POD_LIST,
            ",30,130,30",
            ",30,29,30",
            "line 5, column 'deletion_time': 29.0 must not be before `creation_time`",
        ),
        (POD_LIST, ",10,70,", ",10,9,", "line 3, column 'deletion_time': 9.0 must not be before `creation_time`"),
        (
            POD_LIST,
            ",0,100,40",
            ",0,100,101",
            "line 2, column 'deletion_time': 100.0 must not be before `scheduled_time`",
        ),
        (
            POD_LIST,
            ",30,130,30",
            ",30,130,29",
            "line 5, column 'scheduled_time': 29.0 must not be before `creation_time`",
        ),
        (POD_LIST, ",0,100,40", ",soon,100,40", "line 2, column 'creation_time': 'soon' must be a number of seconds"),
        (POD_LIST, ",0,100,40", ",0,,40", "line 2, column 'deletion_time': '' must be a number of seconds, 0 or more"),
        (
            POD_LIST,
            ",0,100,40",
            ",0,100,-1",
            "line 2, column 'scheduled_time': '-1' must be a number of seconds, 0 or more",
        ),
        (POD_LIST, ",qos,", ",class,", "line 1: column 'qos' is missing (there is name, cpu_milli,"),
        (POD_LIST, ",num_gpu,", ",gpus,", "line 1: column 'num_gpu' is missing"),
        (POD_LIST, ",pod_phase,", ",qos,", "line 1: column 'qos' appears twice"),
        (POD_LIST, ",0,100,40", ",0,100", "line 2: 10 fields, but the header has 11"),
        (POD_LIST, ",0,100,40", ",0,100,40,50", "line 2: 12 fields, but the header has 11"),
        (POD_LIST, "p-2,", '"p-2,', "is not CSV: unexpected end of data"),
        (NODE_LIST, "n-1,96000", "n-1,0", "line 3, column 'cpu_milli': 0 must be above 0"),
        (NODE_LIST, "n-1,96000", "n-1,96k", "line 3, column 'cpu_milli': '96k' must be a whole number, 0 or more"),
        (NODE_LIST, "n-1,", "n-0,", "line 3, column 'sn': 'n-0' repeats an earlier line"),
        (NODE_LIST, ",8,G2", ",8,", "line 3, column 'model': '' must name the GPU model where `gpu` is above 0"),
        (NODE_LIST, ",8,G2", ",0,G2", "line 3, column 'model': 'G2' must name the GPU model where `gpu` is above 0"),
        (NODE_LIST, ",gpu,", ",gpus,", "line 1: column 'gpu' is missing"),
    ],
)
def test_a_breach_is_named_by_file_line_column_value_and_rule(
    folder: Path, name: str, old: str, new: str, message: str
) -> None:
    replace(folder, name, old, new)
    with pytest.raises(TraceError) as caught:
        read_openb(folder)
    assert str(folder / name) in str(caught.value)
    assert message in str(caught.value)


def test_many_breaches_are_counted_and_the_first_five_shown(folder: Path) -> None:
    rows = "".join(f"q-{row},{'x' if row % 2 else 1},1,0,-1\n" for row in range(8))
    (folder / "openb_pod_list_multigpu50.csv").write_text("name,cpu_milli,memory_mib,num_gpu,gpu_milli\n" + rows)
    with pytest.raises(TraceError) as caught:
        read_openb(folder, "multigpu50")
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("12 breaches of the rules of the format:")
    assert [line.split(":")[0].strip() for line in lines[1:6]] == [
        "line 2, column 'gpu_milli'",
        "line 3, column 'cpu_milli'",
        "line 3, column 'gpu_milli'",
        "line 4, column 'gpu_milli'",
        "line 5, column 'cpu_milli'",
    ]
    assert lines[6].strip() == "... and 7 more"


def test_a_breach_of_a_rule_over_several_columns_counts_once(folder: Path) -> None:
    replace(folder, POD_LIST, ",1,460,", ",1,1001,")
    with pytest.raises(TraceError, match="1 breach of the rules"):
        read_openb(folder)


def test_an_empty_file_and_a_bare_header_are_told_apart(folder: Path) -> None:
    (folder / POD_LIST).write_text("")
    with pytest.raises(TraceError, match=r"default\.csv: the file is empty"):
        read_openb(folder)
    (folder / POD_LIST).write_text(PODS.splitlines()[0] + "\n")
    with pytest.raises(TraceError, match=r"default\.csv: the file has a header but no rows"):
        read_openb(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(PODS.encode())[:-20], "cut off or damaged"),
        (gzip.compress(PODS.encode())[:20] + b"\xff" * 40, "cut off or damaged"),
        (PODS.encode(), "the name says gzip, the content is not"),
        (gzip.compress(PODS.encode("utf-16")), "is not UTF-8 text"),
    ],
    ids=("cut off", "damaged", "no gzip", "no UTF-8"),
)
def test_a_damaged_gzip_is_named(folder: Path, content: bytes, message: str) -> None:
    (folder / POD_LIST).unlink()
    (folder / f"{POD_LIST}.gz").write_bytes(content)
    with pytest.raises(TraceError, match=message) as caught:
        read_openb(folder)
    assert f"{POD_LIST}.gz" in str(caught.value)


def test_a_folder_in_the_place_of_a_file_is_named(folder: Path) -> None:
    (folder / POD_LIST).unlink()
    (folder / POD_LIST).mkdir()
    with pytest.raises(TraceError, match=r"default\.csv: this is a folder"):
        read_openb(folder)


def test_a_missing_path_is_told_how_to_get_the_files(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"nowhere: no such file or folder; `clustersim traces fetch openb`"):
        read_openb(tmp_path / "nowhere")


def test_a_folder_without_lists_says_which_files_belong_there(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"no openb_pod_list_\*\.csv or openb_node_list_\*\.csv"):
        read_openb(tmp_path)


def test_missing_node_lists_are_named(folder: Path) -> None:
    (folder / "openb_node_list_all_node.csv").unlink()
    with pytest.raises(TraceError, match=r"no node list \(openb_node_list_all_node\.csv"):
        read_openb(folder, nodes="all")
    (folder / NODE_LIST).unlink()
    with pytest.raises(TraceError, match=r"no node list \(openb_node_list_gpu_node\.csv"):
        read_openb(folder)


def test_a_cluster_without_gpus_is_read_only_with_all_nodes(folder: Path) -> None:
    (folder / NODE_LIST).unlink()
    (folder / "openb_node_list_all_node.csv").write_text("sn,cpu_milli,memory_mib,gpu,model\nn-2,32000,65536,0,\n")
    with pytest.raises(TraceError, match="no node has a GPU; read it with nodes='all'"):
        read_openb(folder, "multigpu50")
    assert len(read_openb(folder, "multigpu50", nodes="all").nodes) == 1


def test_an_unknown_workload_gets_the_nearest_one_present(folder: Path) -> None:
    with pytest.raises(TraceError, match=r"'multigpu5' .*did you mean 'multigpu50'\? There is default, multigpu50"):
        read_openb(folder, "multigpu5")


def test_an_unknown_kind_of_nodes_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="nodes is 'cpu'; it must be one of gpu, all"):
        read_openb(folder, nodes="cpu")  # type: ignore[arg-type]


def test_the_check_reports_rows_classes_demand_and_defects(folder: Path) -> None:
    replace(folder, POD_LIST, "p-2,8000,30517,0,0,,Burstable,Failed,20", "p-2,8000,30517,0,0,,Burstable,Failed,5")
    report = check(folder / POD_LIST)
    assert "4 pods: CPU only 1 (25.0%), share of a GPU 1 (25.0%), 1 GPU 1 (25.0%), 8 GPUs 1 (25.0%)" in report
    assert "GPU demand 9.5 GPUs, 94.6% of the 10 in openb_node_list_gpu_node.csv" in report
    assert (
        "defects: 1 pod with 0 MiB of memory; 1 pod without scheduled_time (never scheduled); "
        "1 pod with a model twice in gpu_spec; not sorted by creation_time"
    ) in report


def test_the_check_knows_a_node_list_by_its_header(folder: Path) -> None:
    report = check(folder / "openb_node_list_all_node.csv")
    assert "3 nodes, 1 of them without GPU; 192 cores" in report
    assert "10 GPUs: 8 G2, 2 P100" in report


def test_the_check_of_a_folder_covers_every_list(folder: Path) -> None:
    assert check(folder).count("keeps the rules of the format") == 4
    replace(folder, "openb_pod_list_multigpu50.csv", "p-1,16000", "p-1,many")
    with pytest.raises(TraceError, match=r"multigpu50\.csv: 1 breach"):
        check(folder)


def test_the_check_says_when_gpu_spec_had_no_node_list_to_compare_with(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(PODS)
    assert "no node list beside it" in check(tmp_path / "mine.csv")


def test_the_check_refuses_a_header_of_neither_list(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TraceError, match=r"header of neither a node list .* nor a pod list .*; it is a, b"):
        check(tmp_path / "other.csv")
