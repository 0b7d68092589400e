"""The command line: exit statuses, messages without tracebacks, files that it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clustersim.agents.learned import LearnedPolicy
from clustersim.bench.pod_placement import INFLATION_METRICS, REPLAY_METRICS
from clustersim.cli import main

TIMINGS = ("decisions_per_s", "wall_s")
SMALL_BENCH = ["bench", "pod-placement", "--nodes", "16", "--seeds", "2", "--policies", "first-fit,fgd"]
SMALL_TRAINING = ["train", "pod-placement", "--nodes", "8", "--envs", "8", "--hidden", "8"]
SMALL_TRAINING += ["--evaluation-seeds", "2", "--evaluate", "first-fit"]


def ok(*arguments: str | Path) -> None:
    assert main([str(argument) for argument in arguments]) == 0


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The message of a command that ends with status 2."""
    capsys.readouterr()
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as end:  # what tyro finds wrong
        status = end.code  # type: ignore[assignment]
    assert status == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert said.out == ""
    return said.err


def strict_json(path: Path) -> Any:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{path} holds {name}, which is no JSON")

    return json.loads(path.read_text(), parse_constant=no_constant)


def command(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "clustersim", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# --- mistakes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--policies fdg", "no policy 'fdg'; did you mean 'fgd'? known are random, first-fit"),
        ("--policies ,", "at least one policy"),
        ("--policies fgd,fgd", "policy fgd is listed more than once"),
        ("--trace openb-lik", "did you mean 'openb-like'?"),
        ("--trace /nowhere/pods.csv", "'/nowhere/pods.csv' is neither a file or folder"),
        ("--workload gpushare40", "has only workload 'default'"),
        ("--seeds 0", "--seeds is 0; it has to be at least 1"),
        ("--first-seed -1", "--first-seed is -1; it has to be at least 0"),
        ("--jobs 0", "--jobs is 0; it has to be at least 1"),
        ("--nodes 0", "nodes is 0, but workload 'openb-like' has 1213"),
        ("--nodes 5000", "nodes is 5000, but workload 'openb-like' has 1213; choose a number from 1 to 1213"),
        ("--reference worst-fit", "'worst-fit' is not among the policies"),
        ("--arrival-speedup 0", "arrival_speedup is 0.0; it has to be positive"),
        ("--policies fgd,cp-sat-falback", "did you mean 'cp-sat-fallback'?"),
        ("--policies kube-preemption", "preemption is True, which has an effect only in mode 'replay'"),
        ("--preemption", "preemption is True, which has an effect only in mode 'replay'"),
        ("--mode replay --checkpoint-share 0.5", "has no effect while no pod is moved or evicted"),
        ("--mode replay --preemption --checkpoint-share 2", "checkpoint_share is 2.0; it has to be in [0, 1]"),
    ],
)
def test_a_mistake_ends_with_status_2_and_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, said: str
) -> None:
    chosen = arguments.split()
    defaults = [] if chosen[0] == "--policies" else ["--policies", "fgd,first-fit"]
    message = refused(capsys, "bench", "pod-placement", *defaults, *chosen, "--out", tmp_path / "out")
    assert said in message
    assert message.startswith("clustersim: ")
    assert message.count("\n") == 1
    assert not (tmp_path / "out" / "runs.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--nodes ,", "--nodes is empty; give a comma-separated list such as 4,8,16"),
        ("--nodes 4,many", "--nodes holds 'many', which is no whole number"),
        ("--pods-per-node 0", "--pods-per-node holds 0; every value has to be positive"),
        ("--priorities 1,1", "--priorities holds 1 more than once"),
        ("--usage 0.9,0", "--usage holds 0; every value has to be positive"),
        ("--window 0", "--window holds 0; every value has to be positive"),
        ("--window -1", "--window holds -1; every value has to be positive"),
        ("--seeds 0", "--seeds is 0; it has to be at least 1"),
        ("--first-seed -1", "--first-seed is -1; it has to be at least 0"),
        ("--jobs 0", "--jobs is 0; it has to be at least 1"),
        ("--workers 2", "several workers race; set clock='wall'"),
        ("--gap-s -1", "gap_s is -1.0; it has to be at least 0"),
        ("--policies kube-preemtion", "no policy 'kube-preemtion'; did you mean 'kube-preemption'?"),
        ("--policies default,default", "policy default is listed more than once"),
        ("--trace openb-like --priorities 4", "--priorities is '4', which has no effect on trace 'openb-like'"),
        ("--trace openb-like --gap-s 3", "gap_s is 3.0, which has no effect on trace 'openb-like'"),
        ("--trace openb-lik", "did you mean 'openb-like'?"),
    ],
)
def test_a_mistake_about_packing_ends_with_status_2_and_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, said: str
) -> None:
    message = refused(capsys, "bench", "pod-packing", *arguments.split(), "--out", tmp_path / "out")
    assert said in message
    assert message.startswith("clustersim: ")
    assert message.count("\n") == 1
    assert not (tmp_path / "out" / "runs.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--policies hefft", "no policy 'hefft'; did you mean 'heft'? known are random"),
        ("--policies runs/none", "or the folder of a trained agent"),
        ("--policies ,", "at least one policy"),
        ("--policies heft,heft", "policy heft is listed more than once"),
        ("--reference fifo --policies heft", "'fifo' is not among the policies"),
        ("--trace layerd", "did you mean 'layered'?"),
        ("--trace /nowhere/job.json", "'/nowhere/job.json' is neither a file or folder"),
        ("--seeds 0", "--seeds is 0; it has to be at least 1"),
        ("--jobs 0", "--jobs is 0; it has to be at least 1"),
        ("--job-count 0", "--job-count is 0; it has to be at least 1"),
        ("--machines 0", "machines is 0; at least one is needed"),
        ("--tasks many", "--tasks is 'many'; give a whole number such as 50, or two such as 10-500"),
        ("--tasks 9-3", "tasks is 9 to 3"),
        ("--noise -1", "noise is -1.0; it has to be at least 0"),
        ("--ccr nan", "ccr is nan; it has to be at least 0"),
        ("--load 0.8 --arrivals batch", "all jobs arrive at once"),
        ("--load 0.5 --interarrival-s 3", "interarrival_s and load contradict each other"),
        ("--gap --noise 0.1", "contradicts noise; leave one of them away"),
        ("--gap --load 0.5", "contradicts arrivals over time; leave one of them away"),
        ("--gap --budget 0", "budget is 0.0; it has to be a positive number of seconds"),
        ("--budget 5 --policies heft", "budget is 5.0, which has no effect without gap or the policy cp-sat"),
        ("--trace topcuoglu-2002 --machines 4", "machines is 4, but topcuoglu-2002 has 3"),
        ("--profile top", "layered has no option profile"),
        ("--clock 0.5", "no machine of 'layered' has an operating point"),
        ("--repair-s 5", "has no effect without failure_every_s"),
        ("--each", "layered has none"),
        ("--sweep-values 1,2", "--sweep-values is '1,2', which has no effect without --sweep"),
        ("--sweep noise --noise 0.3", "noise is 0.3 and is swept as well"),
        ("--sweep machines --sweep-values 2,4.5", "'4.5', which is no whole number for machines"),
    ],
)
def test_a_mistake_about_dags_ends_with_status_2_and_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, said: str
) -> None:
    message = refused(capsys, "bench", "dag-scheduling", *arguments.split(), "--out", tmp_path / "out")
    assert said in message
    assert message.startswith("clustersim: ")
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("bench pod-placement --bogus 3", "--bogus"),
        ("bench dag-scheduling --sweep colour", "colour"),
        ("bench dag-scheduling --machines some", "some"),
        ("bench pod-placment", "pod-placment"),
        ("bench", "pod-placement"),
        ("bench pod-packing --bogus 3", "--bogus"),
        ("bench pod-packing --seeds many", "many"),
        ("bench pod-packing --clock sun", "sun"),
        ("bench pod-placement --seeds many", "many"),
        ("benhc", "benhc"),
        ("traces", "list"),
        ("train pod-placement", "--out"),
    ],
)
def test_what_the_command_line_does_not_know_ends_with_status_2(
    capsys: pytest.CaptureFixture[str], arguments: str, said: str
) -> None:
    assert said in refused(capsys, *arguments.split())


def test_a_folder_that_is_no_agent_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ppo").mkdir()
    message = refused(
        capsys, "bench", "pod-placement", "--policies", f"fgd,{tmp_path / 'ppo'}", "--out", tmp_path / "out"
    )
    assert f"{tmp_path / 'ppo'} is no trained agent: it has no policy.json" in message


def test_a_folder_of_other_results_is_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ok(*SMALL_BENCH, "--out", tmp_path)
    before = (tmp_path / "runs.parquet").read_bytes()
    assert "config.nodes is 16 there and 8 now" in refused(capsys, *SMALL_BENCH, "--nodes", "8", "--out", tmp_path)
    assert (tmp_path / "runs.parquet").read_bytes() == before
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").touch()
    assert "thesis.tex" in refused(capsys, *SMALL_BENCH, "--out", tmp_path / "foreign")
    assert "cannot be used" in refused(capsys, *SMALL_BENCH, "--out", tmp_path / "foreign" / "thesis.tex")


# --- bench


def runs(out: Path) -> pd.DataFrame:
    """The table of runs without its timings."""
    table = pd.read_parquet(out / "runs.parquet")
    return table[~table["metric"].isin(TIMINGS)].reset_index(drop=True)


def test_bench_writes_runs_summary_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ok(*SMALL_BENCH, "--out", tmp_path)
    said = capsys.readouterr()
    assert "fgd" in said.out
    assert said.out.endswith(f"report: {tmp_path / 'report.html'}\n")

    table = pd.read_parquet(tmp_path / "runs.parquet")
    assert list(table.columns) == ["scenario", "trace", "policy", "seed", "metric", "value"]
    assert sorted(set(zip(table["policy"], table["seed"], strict=True))) == [
        (policy, seed) for policy in ("fgd", "first-fit") for seed in (42, 43)
    ]
    summary = strict_json(tmp_path / "summary.json")
    assert list(summary) == [
        "scenario",
        "trace",
        "config",
        "clustersim",
        "seeds",
        "policies",
        "reference",
        "paired",
        "metrics",
    ]
    assert (summary["scenario"], summary["trace"], summary["seeds"]) == ("pod-placement", "openb-like", [42, 43])
    assert (summary["reference"], list(summary["paired"])) == ("first-fit", ["fgd"])
    assert summary["config"]["nodes"] == 16
    for policy, figures in summary["policies"].items():
        assert {metric.name for metric in INFLATION_METRICS} <= set(figures)
        rows = table[(table["policy"] == policy) & (table["metric"] == "gpu_allocation_at_100")]["value"]
        found = figures["gpu_allocation_at_100"]
        assert found["mean"] == pytest.approx(rows.mean())
        assert 0.5 < found["mean"] <= 1
        assert found["ci95"][0] <= found["mean"] <= found["ci95"][1]
        assert found["n"] == 2
    page = (tmp_path / "report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "first-fit" in page


@pytest.mark.long
def test_the_numbers_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    arguments = [*SMALL_BENCH[:-1], "random,kube-default", "--out"]
    ok(*arguments, tmp_path / "one")
    ok(*arguments, tmp_path / "two", "--jobs", "2")
    pd.testing.assert_frame_equal(runs(tmp_path / "one"), runs(tmp_path / "two"), check_exact=True)
    for name in ("series.parquet", "experiment.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_same_command_resumes_and_more_seeds_add_to_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ok(*SMALL_BENCH, "--out", tmp_path)
    first = pd.read_parquet(tmp_path / "runs.parquet")
    ok(*SMALL_BENCH, "--out", tmp_path)
    # Timings too: nothing was done again.
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "runs.parquet"), first)
    capsys.readouterr()
    ok(*SMALL_BENCH, "--out", tmp_path, "--seeds", "3")
    assert "4 of 6 runs were finished earlier and are kept" in capsys.readouterr().err
    grown = pd.read_parquet(tmp_path / "runs.parquet")
    assert sorted(grown["seed"].unique()) == [42, 43, 44]
    pd.testing.assert_frame_equal(grown[grown["seed"] < 44].reset_index(drop=True), first)


def test_bench_replays(tmp_path: Path) -> None:
    replay = ["--mode", "replay", "--arrival-speedup", "50", "--image-mib", "500", "--image-bandwidth-mib-s", "100"]
    ok("bench", "pod-placement", "--nodes", "64", "--seeds", "1", "--policies", "first-fit", *replay, "--out", tmp_path)
    summary = strict_json(tmp_path / "summary.json")
    assert summary["config"]["mode"] == "replay"
    figures = summary["policies"]["first-fit"]
    assert {metric.name for metric in REPLAY_METRICS} <= set(figures)
    assert figures["image_pull_s"]["mean"] > 0
    assert figures["gpu_allocation"]["ci95"] == [None, None]


def test_bench_replays_teams_beside_policies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    busy = ["--mode", "replay", "--nodes", "16", "--arrival-speedup", "40", "--seeds", "1", "--checkpoint-share", "0.5"]
    ok("bench", "pod-placement", *busy, "--policies", "best-fit,kube-preemption", "--out", tmp_path)
    assert "pods evicted" in capsys.readouterr().out
    summary = strict_json(tmp_path / "summary.json")
    assert summary["policies"]["kube-preemption"]["evictions"]["mean"] > 0
    assert "evictions" not in summary["policies"]["best-fit"]
    assert (summary["config"]["checkpoint_share"], summary["config"]["preemption"]) == (0.5, False)


def test_with_preemption_every_policy_preempts(tmp_path: Path) -> None:
    busy = ["--mode", "replay", "--nodes", "16", "--arrival-speedup", "40", "--seeds", "1", "--preemption"]
    ok("bench", "pod-placement", *busy, "--policies", "best-fit", "--out", tmp_path)
    assert strict_json(tmp_path / "summary.json")["policies"]["best-fit"]["evictions"]["mean"] > 0


def test_bench_packs_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "pod-packing", "--nodes", "4", "--pods-per-node", "4", "--priorities", "1,4"]
    arguments += ["--usage", "1.0", "--window", "0.05,0.1", "--seeds", "2", "--policies", "default", "--out", tmp_path]
    ok(*arguments)
    said = capsys.readouterr()
    assert "window 0.05 s, share of the calls" in said.out
    assert said.out.endswith(f"report: {tmp_path / 'report.html'}\n")
    summary = strict_json(tmp_path / "summary.json")
    assert list(summary["cells"][0]) == [
        "nodes",
        "pods_per_node",
        "priorities",
        "usage",
        "window_s",
        "calls",
        "improved_optimal",
        "improved",
        "certified",
        "failed",
    ]
    assert [(cell["priorities"], cell["window_s"]) for cell in summary["cells"]] == [
        (1, 0.05),
        (1, 0.1),
        (4, 0.05),
        (4, 0.1),
    ]
    assert list(summary["policies"]) == ["cp-sat-fallback 0.05 s", "cp-sat-fallback 0.1 s", "default"]
    ok(*arguments, "--seeds", "3")
    assert "12 of 18 runs were finished earlier and are kept" in capsys.readouterr().err
    assert "config.first_seed is 42 there and 5 now" in refused(capsys, *arguments, "--first-seed", "5")


def test_bench_schedules_dags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "dag-scheduling", "--trace", "topcuoglu-2002", "--policies", "cpop,heft,heft-rt"]
    ok(*arguments, "--seeds", "2", "--out", tmp_path)
    said = capsys.readouterr().out
    assert "dag-scheduling on topcuoglu-2002, 2 seeds." in said
    assert said.endswith(f"report: {tmp_path / 'report.html'}\n")
    summary = strict_json(tmp_path / "summary.json")
    assert summary["reference"] == "heft"
    makespans = {policy: figures["makespan"]["mean"] for policy, figures in summary["policies"].items()}
    assert (makespans["heft"], makespans["cpop"]) == (80, 86)
    ok(*arguments, "--seeds", "3", "--out", tmp_path)
    assert "6 of 9 runs were finished earlier and are kept" in capsys.readouterr().err
    assert "config.noise is 0.0 there and 0.2 now" in refused(capsys, *arguments, "--noise", "0.2", "--out", tmp_path)


def test_bench_sweeps_the_noise_of_dags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["bench", "dag-scheduling", "--tasks", "8", "--machines", "3", "--policies", "heft,heft-rt"]
    ok(*arguments, "--seeds", "2", "--sweep", "noise", "--sweep-values", "0,0.5")
    assert "makespan, relative to no noise" in capsys.readouterr().out
    out = Path("results/dag-scheduling-layered-noise")
    assert strict_json(out / "summary.json")["values"] == [0, 0.5]
    assert strict_json(out / "noise-0.5" / "summary.json")["config"]["noise"] == 0.5


def test_results_go_to_a_folder_of_their_own_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ok("bench", "pod-placement", "--nodes", "8", "--seeds", "1", "--policies", "first-fit")
    assert [str(path) for path in Path("results").iterdir()] == ["results/pod-placement-openb-like-default-inflation-8"]


def test_ctrl_c_keeps_finished_runs_and_the_same_command_resumes(tmp_path: Path) -> None:
    arguments = ["bench", "pod-placement", "--nodes", "300", "--policies", "fgd", "--out", tmp_path]
    process = command(*arguments, "--seeds", "400", start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / ".runs").glob("fgd-*.json"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    kept = len(list((tmp_path / ".runs").glob("fgd-*.json")))
    assert process.returncode == 130
    assert f"clustersim: interrupted, {kept} of 400 runs kept in {tmp_path}; the same command resumes" in said
    assert "Traceback" not in said
    again = command(*arguments, "--seeds", str(kept + 1))
    out, said = again.communicate(timeout=60)
    assert again.returncode == 0, said
    assert f"{kept} of {kept + 1} runs were finished earlier and are kept" in said
    assert f"{kept + 1} seeds" in out


def test_piped_results_are_plain_text_that_is_never_cut(tmp_path: Path) -> None:
    process = command(*SMALL_BENCH, "--out", tmp_path / "out")
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "\x1b" not in out + said
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= 100
    assert len(said.splitlines()) <= 2


# --- traces


def test_traces_are_listed_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    ok("traces", "list")
    listed = capsys.readouterr().out
    assert "openb-like" in listed
    assert "Apache-2.0" in listed
    ok("traces", "info", "openb-like")
    described = capsys.readouterr().out
    assert described.startswith("openb-like: ")
    assert "known defects:" in described
    assert "did you mean 'openb-like'?" in refused(capsys, "traces", "info", "openb-lik")


def test_traces_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = (
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time"
    )
    path = tmp_path / "openb_pod_list_default.csv"
    path.write_text(f"{header}\nopenb-pod-0,6000,12288,1,1000,,LS,Running,0,100,0\n")
    ok("traces", "check", path)
    assert "1 pod" in capsys.readouterr().out
    path.write_text(f"{header}\nopenb-pod-0,-6000,12288,1,1000,,LS,Running,0,100,0\n")
    message = refused(capsys, "traces", "check", path)
    assert all(part in message for part in (path.name, "cpu_milli", "-6000"))
    assert "no such file" in refused(capsys, "traces", "check", tmp_path / "absent")


# --- train


def test_a_training_that_cannot_be_judged_does_not_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sb3_contrib")
    out = ["--out", tmp_path / "run"]
    assert "no policy 'fdg'; did you mean 'fgd'?" in refused(capsys, *SMALL_TRAINING, *out, "--evaluate", "fdg")
    assert "--evaluation-seeds is 0" in refused(capsys, *SMALL_TRAINING, *out, "--evaluation-seeds", "0")
    assert "choose a divisor of 384" in refused(capsys, *SMALL_TRAINING, *out, "--envs", "3")
    assert "steps is 0" in refused(capsys, *SMALL_TRAINING, *out, "--steps", "0")
    assert "nodes is 5000" in refused(capsys, *SMALL_TRAINING, *out, "--nodes", "5000")
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_train_evaluates_resumes_and_plays_in_benchmarks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sb3_contrib")
    out = tmp_path / "run"
    monkeypatch.setattr(sys, "argv", ["clustersim", *SMALL_TRAINING])  # what is noted as the command
    ok(*SMALL_TRAINING, "--steps", "2048", "--out", out)
    said = capsys.readouterr().out
    assert "first-fit" in said
    summary = strict_json(out / "evaluation-2048" / "summary.json")
    assert list(summary["policies"]) == ["first-fit", str(out)]
    description = LearnedPolicy(out).description["training"]
    assert (description["steps"], description["trace"], description["workload"]) == (2048, "openb-like", "default")
    assert description["command"].startswith("clustersim train pod-placement ")

    assert "already holds a training; add --resume" in refused(capsys, *SMALL_TRAINING, "--steps", "2048", "--out", out)
    assert "hidden was 8 and is now 4" in refused(
        capsys, *SMALL_TRAINING, "--steps", "2048", "--out", out, "--resume", "--hidden", "4"
    )
    ok(*SMALL_TRAINING, "--steps", "4096", "--out", out, "--resume")
    assert (out / "checkpoints" / "step-4096.zip").exists()
    assert (out / "evaluation-4096" / "report.html").exists()

    capsys.readouterr()
    ok(*SMALL_BENCH[:-1], f"first-fit,{out}", "--out", tmp_path / "results")
    said = capsys.readouterr().out
    assert str(out) not in said.replace(f"report: {tmp_path}", "")  # by its last part
    assert "run" in said
    # Other weights in the same folder are another agent: its runs are done again.
    ok(*SMALL_TRAINING, "--steps", "8192", "--out", out, "--resume", "--evaluation-seeds", "1")
    changed = (out / "policy.json").stat().st_mtime_ns > (tmp_path / "results" / "runs.parquet").stat().st_mtime_ns
    capsys.readouterr()
    ok(*SMALL_BENCH[:-1], f"first-fit,{out}", "--out", tmp_path / "results")
    assert ("has changed since its run" in capsys.readouterr().err) == changed


# --- speed, help


@pytest.mark.long
def test_speed_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    ok("speed", "--seconds", "0.05")
    said = capsys.readouterr().out
    for part in ("simulation", "environment", "1,000", "ratio", "peak memory"):
        assert part in said


@pytest.mark.parametrize("arguments", [[], ["bench"], ["train"], ["traces"], ["speed"]])
def test_help_explains_every_command(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert "usage: clustersim" in said
    if not arguments:
        assert all(name in said for name in ("bench", "train", "traces", "speed"))


def test_the_installed_command_says_what_is_wrong_and_returns_its_status() -> None:
    process = command("traces", "info", "openb-lik")
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert said.startswith("clustersim: unknown trace 'openb-lik'")


def test_a_reader_that_stops_reading_is_no_error() -> None:
    """As in `clustersim traces info openb | head -1`."""
    process = command("traces", "info", "openb")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert "Traceback" not in said
    assert "Exception" not in said
