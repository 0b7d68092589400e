"""The VM benchmarks: names, gaps, drift, what is kept, and bad input through the command line."""

from __future__ import annotations

import copy
import io
import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from clustersim.baselines.published_vm import FRAGMENT_RATE_BY_MNL
from clustersim.baselines.vm_place_mixed import MixedPlace
from clustersim.baselines.vm_planners import VM_PLACERS, VM_PLANNERS
from clustersim.bench import Progress, run_benchmark
from clustersim.bench.vm_axes import AXES
from clustersim.bench.vm_call import Call, rate_when_carried_out
from clustersim.bench.vm_charts import ends, rate_chart, seconds_chart
from clustersim.bench.vm_delay import DelayBench
from clustersim.bench.vm_fleet import FleetBench
from clustersim.bench.vm_fleets import Fleets
from clustersim.bench.vm_lives import DriftingLives
from clustersim.bench.vm_metrics import FRAGMENT_RATE, with_gap
from clustersim.bench.vm_plots import plot_rates, plot_seconds
from clustersim.bench.vm_policies import SHIPPED_AGENT, placer, rescheduler
from clustersim.bench.vm_rescheduling import VmBench
from clustersim.bench.vm_tables import over_values, part_of
from clustersim.cli import main
from clustersim.errors import ConfigError
from clustersim.policy import run
from clustersim.scenarios.vm_rescheduling import VmRescheduling
from clustersim.traces.locate import locate
from clustersim.traces.vm_drift import Drifting
from clustersim.traces.vm_like import VmLike
from clustersim.vm_fleet import fragment_rate
from clustersim.vm_life import still
from clustersim.vm_plan import MovePlan, Task

WALL_CLOCK = ("seconds", "wall_s", "decisions_per_s")
TINY = Fleets(machines=16)
SEEDS = (7, 8, 9)


def small(**more: Any) -> VmBench:
    return VmBench(Call(TINY, **more), (1, 4))


def benchmark(
    bench: VmBench | DelayBench,
    out: Path,
    policies: tuple[str, ...] = ("ha", "no-op", "random"),
    jobs: int = 1,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], str]:
    """The summary and what was printed."""
    stream = io.StringIO()
    result = run_benchmark(
        bench.experiment(policies, SEEDS), out, jobs, policies[0], bench.view(), "clustersim bench",
        Console(file=stream), progress or Progress(),
    )  # fmt: skip
    return result, stream.getvalue()


def repeated(folder: Path) -> pd.DataFrame:
    """What does not depend on the clock."""
    runs = pd.read_parquet(folder / "runs.parquet")
    return runs[~runs["metric"].isin(WALL_CLOCK)].reset_index(drop=True)


# --- policies and limits


def test_every_policy_stands_at_every_limit_with_the_metrics_of_the_issue(tmp_path: Path) -> None:
    summary, said = benchmark(small(), tmp_path)
    assert list(summary["policies"]) == ["ha@1", "no-op@1", "random@1", "ha@4", "no-op@4", "random@4"]
    assert set(summary["paired"]) == {"no-op@1", "random@1", "no-op@4", "random@4"}
    for found in summary["policies"].values():
        assert {"fragment_rate", "initial_fragment_rate", "moves", "seconds", "migrated_mib", "downtime_s"} <= set(
            found
        )
    assert summary["policies"]["no-op@4"]["moves"]["mean"] == 0
    assert summary["policies"]["ha@4"]["moves"]["mean"] <= 4
    assert summary["axis"] == "mnl"
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert "vm-rescheduling on generated, 3 seeds." in said


def test_differences_are_to_the_reference_at_the_same_limit(tmp_path: Path) -> None:
    summary, _ = benchmark(small(), tmp_path)
    runs = pd.read_parquet(tmp_path / "runs.parquet")
    rates = runs[runs["metric"] == "fragment_rate"].pivot_table(index="seed", columns="policy", values="value")
    for limit in (1, 4):
        expected = (rates[f"no-op@{limit}"] - rates[f"ha@{limit}"]).mean()
        assert summary["paired"][f"no-op@{limit}"]["fragment_rate"]["mean"] == pytest.approx(expected)
    assert (rates["ha@1"] >= rates["ha@4"]).all()
    assert rates["ha@1"].mean() > rates["ha@4"].mean()


def test_tables_tell_every_limit_apart(tmp_path: Path) -> None:
    summary, said = benchmark(small(), tmp_path)
    for limit in (1, 4):
        found = part_of(summary, limit)
        assert list(found["policies"]) == ["ha", "no-op", "random"]
        assert found["policies"]["ha"] == summary["policies"][f"ha@{limit}"]
        assert found["paired"]["random"] == summary["paired"][f"random@{limit}"]
    means, differences = over_values(summary, FRAGMENT_RATE)
    assert [column.header for column in means] == [("fragment rate", "[%]"), ("", "MNL 1"), ("", "MNL 4")]
    for column, limit in zip(means[1:], (1, 4), strict=True):
        shown = float(column.cells[0].text.split()[0])
        assert shown == pytest.approx(100 * summary["policies"][f"ha@{limit}"]["fragment_rate"]["mean"], abs=0.5)
    assert [column.cells[0].text for column in differences[1:]] == ["reference", "reference"]
    assert means[1].cells[0].text in said


def test_a_run_is_the_planner_on_the_fleet_of_the_seed() -> None:
    metrics = small().play("ha@4", 8).metrics
    snapshot = VmLike(machines=16)(8)
    task = Task(snapshot, 4)
    state = task.state()
    plan = VM_PLANNERS["ha"](1.0)(task, np.random.default_rng(0))
    for move in plan.moves:
        state.move(*move)
    assert metrics["fragment_rate"] == pytest.approx(fragment_rate(state.free_cores))
    assert metrics["initial_fragment_rate"] == pytest.approx(fragment_rate(snapshot.free_cores))
    assert metrics["moves"] == len(plan.moves) > 0


class Counting(Progress):
    def __init__(self) -> None:
        self.played: list[str] = []

    def advance(self, policy: str, seed: int) -> None:
        self.played.append(f"{policy} {seed}")


def test_a_folder_grows_by_limits_and_policies_and_plays_nothing_twice(tmp_path: Path) -> None:
    benchmark(replace(small(), limits=(1,)), tmp_path, ("ha",))
    counting = Counting()
    summary, _ = benchmark(small(), tmp_path, ("ha", "no-op"), progress=counting)
    assert len(counting.played) == 9
    assert not [run for run in counting.played if run.startswith("ha@1")]
    assert list(summary["policies"]) == ["ha@1", "no-op@1", "ha@4", "no-op@4"]


def test_what_a_planner_says_of_its_plan_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = MovePlan((), 0.25, {"build_s": 1.5, "unordered": math.nan})
    # The type says that nobody writes to it; monkeypatch does, and takes it back.
    monkeypatch.setitem(VM_PLANNERS, "told", lambda _budget_s: lambda _task, _rng: plan)  # type: ignore[index]
    metrics = small().play("told@4", 7).metrics
    assert (metrics["bound"], metrics["plan_build_s"]) == (0.25, 1.5)
    assert "plan_unordered" not in metrics
    assert "bound" not in small().play("no-op@4", 7).metrics


def test_the_gap_is_to_the_best_bound_of_the_same_limit_and_seed() -> None:
    rows = [
        ("a@1", 1, 0.30, 0.20), ("b@1", 1, 0.25, 0.24), ("c@1", 1, 0.36, None),
        ("a@4", 1, 0.30, 0.10), ("b@4", 1, 0.10, None), ("a@1", 2, 0.50, None),
    ]  # fmt: skip
    runs = pd.DataFrame(
        [
            ("s", "t", policy, seed, metric, value)
            for policy, seed, rate, bound in rows
            for metric, value in (("planned_fragment_rate", rate), ("bound", bound))
            if value is not None
        ],
        columns=["scenario", "trace", "policy", "seed", "metric", "value"],
    )
    found = with_gap(runs)
    gaps = found[found["metric"] == "gap"].set_index(["policy", "seed"])["value"].to_dict()
    expected = {("a@1", 1): 0.25, ("b@1", 1): 1 / 24, ("c@1", 1): 0.5, ("a@4", 1): 2.0, ("b@4", 1): 0.0}
    assert gaps == pytest.approx(expected)
    assert found["metric"].isin(["planned_fragment_rate", "bound"]).sum() == len(runs)


def test_without_any_bound_there_is_no_gap_and_no_column_of_it(tmp_path: Path) -> None:
    summary, said = benchmark(small(), tmp_path)
    assert all("gap" not in found for found in summary["policies"].values())
    assert "above the best bound" not in said


def test_the_page_has_the_published_curves_and_a_table_for_each_limit(tmp_path: Path) -> None:
    benchmark(small(), tmp_path)
    page = (tmp_path / "report.html").read_text()
    for text in ("VMR2L", "read off its figure", "<h2>MNL 1</h2>", "<h2>MNL 4</h2>", "planning per call"):
        assert text in page


def test_every_policy_and_every_published_curve_is_in_the_figures(tmp_path: Path) -> None:
    summary, _ = benchmark(small(), tmp_path)
    rates, seconds = Figure().subplots(1, 2)
    plot_rates(rates, summary)
    plot_seconds(seconds, summary)
    assert [line.get_label() for line in seconds.lines] == ["ha", "no-op", "random"]
    drawn = {str(line.get_label()): line for line in rates.lines}
    assert {"ha", "no-op", "random"} <= set(drawn)
    assert len(rates.lines) == 3 + len(FRAGMENT_RATE_BY_MNL)
    expected = [100 * summary["policies"][f"ha@{at}"]["fragment_rate"]["mean"] for at in (1, 4)]
    assert list(drawn["ha"].get_ydata()) == pytest.approx(expected)
    assert list(drawn["ha"].get_xdata()) == [1, 4]
    assert len(rate_chart(summary).data) >= 3 + len(FRAGMENT_RATE_BY_MNL)
    assert [trace.name for trace in seconds_chart(summary).data] == ["ha", "no-op", "random"]


def test_curves_that_end_close_to_each_other_share_a_label() -> None:
    curves = {"a": [(20.0, 0.2), (50.0, 0.29)], "b": [(50.0, 0.30)], "c": [(50.0, 0.40)], "d": [(45.0, 0.401)]}
    assert ends(curves) == [(50.0, 0.29, "a, b"), (50.0, 0.40, "c"), (45.0, 0.401, "d")]


def test_values_that_span_decades_stand_at_equal_distances() -> None:
    axis = AXES["delay_s"]
    assert axis.places((0.0, 5.0, 600.0)) == {0.0: 0.0, 5.0: 1.0, 600.0: 2.0}
    assert axis.curves((0.0, 5.0, 600.0)) == {"VMR2L": [(0.0, 0.316), (1.0, 0.316), (2.0, 0.52)]}
    assert AXES["mnl"].places((10.0, 50.0)) == {10.0: 10.0, 50.0: 50.0}


# --- one snapshot


def document(machines: int = 4, vms_per_machine: int = 3) -> dict[str, Any]:
    """A small file in the format of VMR2L: VMs of 8 cores, all on NUMA node 0, and one of 2 x 4 per machine."""
    hosts = [
        {
            "node_id": f"pm_{i}", "status": "ACTIVE", "node_cpu": 88, "node_mem_mb": 200.0, "rack_id": i,
            "numa": [
                {
                    "node": k, "total_cpu": 44, "free_cpu": 44 - 4 - (8 * vms_per_machine if k == 0 else 0),
                    "memory_huge_total_mb": 100.0,
                    "memory_huge_free_mb": 100.0 - 4 - (8 * vms_per_machine if k == 0 else 0),
                }
                for k in (0, 1)
            ],
        }
        for i in range(machines)
    ]  # fmt: skip
    vms = [
        {
            "instance_id": f"vm_{i}_{j}", "instance_type": "xl", "host_id": f"pm_{i}", "allow_migration": True,
            "numa": [{"node": 0, "cpu": 8, "mem_mb": 8.0}],
        }
        for i in range(machines)
        for j in range(vms_per_machine)
    ]  # fmt: skip
    vms += [
        {
            "instance_id": f"double_{i}", "instance_type": "2x", "host_id": f"pm_{i}", "allow_migration": True,
            "numa": [{"node": k, "cpu": 4, "mem_mb": 4.0} for k in (0, 1)],
        }
        for i in range(machines)
    ]  # fmt: skip
    cluster = {
        "cluster_name": "c", "host_info": hosts, "vm_type_info": [], "vm_instance": vms,
        "other_requirement": {"deployment_set": [{"granularity": "host", "data": ["vm_0_0", "vm_1_0"]}]},
    }  # fmt: skip
    types = [
        {"vm_type": "xl", "request_cpu": 8, "request_mem_mb": 8, "numa": 1},
        {"vm_type": "2x", "request_cpu": 8, "request_mem_mb": 8, "numa": 2},
    ]
    return {"cluster_list": [cluster], "vm_type_list": types, "general_requirement": {}}


def written(folder: Path, changed: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
    """The file, with a change."""
    content = copy.deepcopy(document())
    changed(content["cluster_list"][0])
    path = folder / "snapshot.json"
    path.write_text(json.dumps(content))
    return path


def played(trace: Path, folder: Path, *more: str) -> int:
    arguments = ["bench", "vm-rescheduling", "--trace", str(trace), "--policies", "ha,no-op", "--mnl", "3"]
    return main([*arguments, *more, "--out", str(folder / "out")])


def lose_memory(cluster: dict[str, Any]) -> None:
    cluster["host_info"][0]["numa"][1]["memory_huge_free_mb"] -= 7


def test_any_number_of_jobs_gives_the_same_numbers_and_tells_a_documented_defect_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trace = written(tmp_path, lose_memory)
    for jobs in ("1", "2"):
        options = ["--policies", "ha,random", "--host-sets", "2", "--seeds", "2", "--jobs", jobs]
        assert played(trace, tmp_path / jobs, *options) == 0
        said = capfd.readouterr()
        assert said.err.count("clustersim: warning: ") == 1
        assert said.err.count("on 1 of 8 NUMA nodes of fleet 'c' free memory is not the total less") == 1
        assert "on 1 of 8 NUMA nodes" in (tmp_path / jobs / "out" / "report.html").read_text()
    pd.testing.assert_frame_equal(repeated(tmp_path / "1" / "out"), repeated(tmp_path / "2" / "out"))


def test_a_snapshot_is_played_with_one_seed_and_the_report_says_what_seeds_are_worth(tmp_path: Path) -> None:
    assert played(written(tmp_path), tmp_path) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["seeds"] == [42]
    assert summary["notes"] == [
        "Every seed plays the same snapshot. It only changes what policies leave to chance, so that intervals over "
        "seeds tell nothing about other fleets."
    ]


def test_sets_on_a_snapshot_are_drawn_by_the_seed_among_vms_that_are_apart(tmp_path: Path) -> None:
    fleets = Fleets(str(written(tmp_path)), host_sets=2, rack_sets=1)
    one, other = fleets(1), fleets(2)
    assert [group.level for group in one.anti_affinity] == ["host", "host", "host", "rack"]
    assert one.anti_affinity[0].vms == other.anti_affinity[0].vms  # that of the file
    assert [group.vms for group in one.anti_affinity[1:]] != [group.vms for group in other.anti_affinity[1:]]
    assert fleets(1).anti_affinity[2].vms == one.anti_affinity[2].vms
    assert fleets.one_fleet is False


def contradict(cluster: dict[str, Any]) -> None:
    cluster["host_info"][1]["numa"][0]["free_cpu"] = 30


def misplace(cluster: dict[str, Any]) -> None:
    cluster["vm_instance"][2]["host_id"] = "pm_77"


def halve(cluster: dict[str, Any]) -> None:
    cluster["vm_instance"][-1]["numa"].pop()


def overlap(cluster: dict[str, Any]) -> None:
    cluster["other_requirement"]["deployment_set"][0]["data"] = ["vm_0_0", "vm_0_1"]


def fill(cluster: dict[str, Any]) -> None:
    for host in cluster["host_info"]:
        for node in host["numa"]:
            node["total_cpu"] -= node["free_cpu"]
            node["free_cpu"] = 0


@pytest.mark.parametrize(
    ("changed", "more", "said"),
    [
        (contradict, "", "said to have 30 of 44 cores free on NUMA node 0, but its VMs take 28, which leaves 16"),
        (misplace, "", "pm_77"),
        (halve, "", "VM 'double_3'"),
        (overlap, "", "keeps VMs on different hosts, but 'vm_0_0', 'vm_0_1' are together in machine 'pm_0' already"),
        (fill, "", "has not a single free core"),
        (lambda _: None, "--mnl -1", "the migration number limit (mnl) is -1; it has to be at least 0"),
        (lambda _: None, "--mnl 17", "(mnl) is 17; for fleet 'c' it has to be from 0 to 16, the number of VMs"),
        (lambda _: None, "--mnl many", "--mnl holds 'many', which is no whole number"),
        (lambda _: None, "--cluster 3", "there is no cluster 3; the file has 1"),
        (lambda _: None, "--machines 9", "machines is 9, which has no effect on"),
        (lambda _: None, "--policies haa", "vm-rescheduling has no policy 'haa'; did you mean 'ha'? known are no-op"),
        (lambda _: None, "--policies ,", "at least one policy"),
        (lambda _: None, "--reference exact", "'exact' is not among the policies of this benchmark (ha, no-op)"),
        (lambda _: None, "--host-sets -1", "host_sets is -1; it has to be at least 0"),
        (lambda _: None, "--budget 0", "budget is 0.0; it has to be a positive number of seconds"),
        (lambda _: None, "--flavour-cores 0", "flavour_cores is 0; a flavour has at least 1 core"),
        (lambda _: None, "--turnover-s 9", "--turnover-s is 9.0, which has no effect without --delay-s"),
        (lambda _: None, "--delay-s 1 --placement bestfit", "no placement policy 'bestfit'; did you mean 'best-fit'?"),
        (lambda _: None, "--delay-s -1", "delay_s is -1.0; it has to be at least 0"),
        (lambda _: None, "--delay-s 4000", "fleets drift for 3600 s"),
        (lambda _: None, "--seeds 0", "--seeds is 0; it has to be at least 1"),
        (lambda _: None, "--trace generatd", "'generatd' is no file; did you mean 'generated'?"),
        (lambda _: None, "--trace generated --cluster 1", "cluster is 1, but a generated fleet has only one"),
    ],
)
def test_bad_input_ends_with_status_2_and_a_remedy(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changed: Callable[[dict[str, Any]], object],
    more: str,
    said: str,
) -> None:
    assert played(written(tmp_path, changed), tmp_path, *more.split()) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.startswith("clustersim: ")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert not (tmp_path / "out" / "runs.parquet").exists()


def test_overlaps_that_are_allowed_are_played(tmp_path: Path) -> None:
    assert played(written(tmp_path, overlap), tmp_path, "--overlaps", "keep") == 0


# --- delays


def delays(*delays_s: float, **more: Any) -> DelayBench:
    return DelayBench(Call(Fleets(machines=20), mnl=10, turnover_s=600.0, **more), delays_s)


def test_a_plan_that_is_there_at_once_is_that_of_a_fleet_in_which_time_stands() -> None:
    at_once, standing = delays(0).play("ha@0", 7), Call(Fleets(machines=20), mnl=10).play("ha", 7)
    for name in ("fragment_rate", "moves", "migrated_mib", "planned_fragment_rate"):
        assert at_once.metrics[name] == standing.metrics[name]


def test_no_op_tells_the_rate_without_a_plan_at_the_moment_of_the_plan() -> None:
    life = Drifting(Fleets(machines=20), 600.0, 3600.0)
    simulation = VmRescheduling(life, mnl=10, every_s=1e9, horizon_s=100.0).build(7)
    nobody = rescheduler("no-op", 1.0)
    run(simulation, {"vm": nobody, "pm": nobody, "place": placer("mixed")})
    for delay_s in (20.0, 100.0):
        expected = [rate for at_s, rate in simulation.history if at_s <= delay_s][-1]
        assert delays(delay_s).play(f"no-op@{delay_s:g}", 7).metrics["fragment_rate"] == pytest.approx(expected)


def test_a_long_delay_spoils_a_plan(tmp_path: Path) -> None:
    summary, said = benchmark(delays(0, 300), tmp_path, ("no-op", "ha"))
    gain = {at: -summary["paired"][f"ha@{at}"]["fragment_rate"]["mean"] for at in (0, 300)}
    assert gain[0] > 0.1 > gain[300]
    dropped = summary["policies"]["ha@300"]
    assert dropped["dropped_gone"]["mean"] + dropped["dropped_full"]["mean"] > 1
    assert "delay 300 s" in said
    assert "planning per call" not in (tmp_path / "report.html").read_text()


def test_a_measured_delay_is_carried_out_before_much_has_changed() -> None:
    found = Call(TINY, mnl=4, delay_s="measured", turnover_s=1e6).play("ha", 7).metrics
    assert found["fragment_rate"] == Call(TINY, mnl=4).play("ha", 7).metrics["fragment_rate"]


def test_a_plan_that_comes_after_the_end_has_no_effect() -> None:
    scenario = VmRescheduling(lambda seed: still(VmLike(machines=16)(seed)), mnl=4, delay_s=9.0, horizon_s=5.0)
    simulation, player = scenario.build(7), rescheduler("ha", 1.0)
    run(simulation, {"vm": player, "pm": player})
    assert rate_when_carried_out(simulation) == simulation.initial_fragment_rate


# --- the life of a fleet


def lives(**more: Any) -> FleetBench:
    drift = DriftingLives(Fleets(machines=10), turnover_s=300.0, duration_s=more.pop("duration_s", 900.0))
    return FleetBench(drift, every_s=100.0, mnl=10, **more)


def lived(out: Path, jobs: int = 1) -> dict[str, Any]:
    bench = lives()
    experiment = bench.experiment(("mixed", "best-fit"), ("no-op", "ha"), (7, 8))
    console = Console(file=io.StringIO())
    return run_benchmark(experiment, out, jobs, "mixed+no-op", bench.view(), "", console, Progress())


def test_every_placement_lives_with_every_rescheduler(tmp_path: Path) -> None:
    summary = lived(tmp_path)
    assert list(summary["policies"]) == ["mixed+no-op", "mixed+ha", "best-fit+no-op", "best-fit+ha"]
    for found in summary["policies"].values():
        metrics = ("fragment_rate_mean", "rejected_share", "moves", "migrated_mib", "downtime_s", "seconds", "calls")
        assert set(metrics) <= set(found)
    series = pd.read_parquet(tmp_path / "series.parquet")
    assert set(series["series"]) == {"fragment_rate_by_time"}
    assert series["y"].between(0, 100).all()
    assert summary["policies"]["mixed+ha"]["moves"]["mean"] > summary["policies"]["mixed+no-op"]["moves"]["mean"] == 0


def test_a_life_tells_its_rejections_and_its_rate_over_time() -> None:
    bench = lives()
    player, simulation = rescheduler("ha", 1.0), bench.scenario().build(7)
    run(simulation, {"vm": player, "pm": player, "place": placer("mixed")})
    found = bench.play("mixed+ha", 7)
    assert simulation.rejected > 0
    assert found.metrics["rejected_share"] == simulation.rejected / simulation.arrivals
    assert found.metrics["fragment_rate_mean"] == simulation.metrics()["fragment_rate_mean"]
    line = found.series["fragment_rate_by_time"]
    for x, y in ((line.x[at], line.y[at]) for at in (0, 60, 239)):
        assert y == pytest.approx(100 * [rate for at_s, rate in simulation.history if at_s <= 3600 * x][-1])


def test_a_rescheduler_changes_neither_arrivals_nor_the_first_call() -> None:
    one, other = lives().play("mixed+no-op", 7).metrics, lives().play("mixed+ha", 7).metrics
    assert one["arrivals"] == other["arrivals"]
    assert one["initial_fragment_rate"] == other["initial_fragment_rate"]
    assert one["calls"] + one["skipped_calls"] == other["calls"] + other["skipped_calls"] == 10


@pytest.mark.long
def test_lives_are_the_same_for_any_number_of_jobs(tmp_path: Path) -> None:
    lived(tmp_path / "one")
    lived(tmp_path / "two", jobs=2)
    pd.testing.assert_frame_equal(repeated(tmp_path / "one"), repeated(tmp_path / "two"))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("vm-fleet --every-s 0", "every_s is 0.0; it has to be positive and finite"),
        ("vm-fleet --duration-s inf", "duration_s is inf; it has to be a positive number of seconds"),
        ("vm-fleet --at-once 0", "at_once is 0; at least one migration is under way at a time"),
        ("vm-fleet --placements tight", "there is no placement policy 'tight'"),
        ("vm-fleet --placements ,", "at least one policy"),
        ("vm-fleet --policies ,", "at least one policy"),
        ("vm-fleet --policies no-opp", "did you mean 'no-op'?"),
        ("vm-fleet --turnover-s 0", "turnover_s is 0.0; it has to be positive"),
        ("vm-fleet --load-share 0.5", "--load-share is 0.5, which has no effect on trace 'generated'"),
        ("vm-fleet --trace azure2017 --turnover-s 9", "--turnover-s is 9.0, which has no effect on trace 'azure2017'"),
        ("vm-fleet --trace azure2017 --host-sets 3", "--host-sets is 3, which has no effect on trace 'azure2017'"),
        ("vm-fleet --budget -1", "budget is -1.0; it has to be a positive number of seconds"),
        ("vm-fleet --reference ha", "'ha' is not among the policies of this benchmark (mixed+no-op, mixed+ha"),
        ("vm-delay --delays-s 1,-2", "delay_s is -2.0; it has to be at least 0"),
        ("vm-delay --delays-s 1,1", "--delays-s holds 1.0 more than once"),
        ("vm-delay --delays-s ,", "--delays-s is empty"),
        ("vm-delay --delays-s nan", "delay_s is nan; it has to be at least 0 and finite"),
        ("vm-delay --turnover-s -1", "turnover_s is -1.0; it has to be a positive number of seconds"),
        ("vm-delay --mnl 999999", "for fleet 'vm-like-280-42' it has to be from 0 to"),
    ],
)
def test_a_mistake_about_lives_and_delays_ends_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, said: str
) -> None:
    assert main(["bench", *command.split(), "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out" / "runs.parquet").exists()


# --- who plays


@pytest.mark.parametrize("name", sorted(VM_PLANNERS))
def test_every_name_is_a_planner_whose_plan_is_legal_and_repeats_without_a_clock(name: str) -> None:
    call = Call(TINY, mnl=3, budget_s=None)
    found = call.play(name, 7).metrics
    assert found["fragment_rate"] == found["planned_fragment_rate"]
    assert found["moves"] <= 3
    again = call.play(name, 7).metrics
    assert all(again[at] == found[at] for at in ("fragment_rate", "migrated_mib", "downtime_s"))


@pytest.mark.parametrize("name", sorted(VM_PLACERS))
def test_every_placement_policy_keeps_a_fleet_going(name: str) -> None:
    bench = lives(duration_s=200.0)
    found = bench.play(f"{name}+no-op", 7).metrics
    assert found["vms"] > 0
    assert found["arrivals"] > 20


def test_the_time_of_compiling_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def planner(task: Task, _rng: np.random.Generator) -> MovePlan:
        asked.append(len(task.snapshot.machines))
        return MovePlan(())

    # The type says that nobody writes to it; monkeypatch does, and takes it back.
    monkeypatch.setitem(VM_PLANNERS, "slow-to-start", lambda _budget_s: planner)  # type: ignore[index]
    for _ in range(2):
        small().play("slow-to-start@1", 7)
    assert asked == [4, 16, 16]


def test_the_shipped_agent_plays_and_its_weights_are_part_of_its_runs(tmp_path: Path) -> None:
    experiment = small().experiment(("ha", SHIPPED_AGENT), (7,))
    assert set(experiment.policy_fingerprint) == {f"{SHIPPED_AGENT}@1", f"{SHIPPED_AGENT}@4"}
    found = Call(TINY, mnl=4, budget_s=None).play(SHIPPED_AGENT, 7).metrics
    assert found["fragment_rate"] <= found["initial_fragment_rate"]
    assert found["plan_games"] == 1


@pytest.mark.parametrize("trace", ["vmr2l", "azure2017"])
def test_the_real_traces_are_played_by_name(
    trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(os.environ.get("CLUSTERSIM_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
    if root.is_dir():
        monkeypatch.setenv("CLUSTERSIM_TRACES", str(root))
    if locate(trace) is None:
        pytest.skip(f"the trace {trace} is not on this machine")
    if trace == "vmr2l":
        assert main(f"bench vm-rescheduling --trace vmr2l --policies ha --mnl 50 --out {tmp_path / 'o'}".split()) == 0
        said = capsys.readouterr()
        assert "on 132 of 474 NUMA nodes" in said.err
        found = json.loads((tmp_path / "o" / "summary.json").read_text())["policies"]["ha@50"]
        assert found["initial_fragment_rate"]["mean"] == pytest.approx(0.5594, abs=5e-5)
        assert str(root) not in (tmp_path / "o" / "summary.json").read_text()
    else:
        options = "--machines 30 --duration-s 1800 --placements best-fit --policies no-op --seeds 1"
        assert main(f"bench vm-fleet --trace azure2017 {options} --out {tmp_path / 'o'}".split()) == 0
        found = json.loads((tmp_path / "o" / "summary.json").read_text())["policies"]["best-fit+no-op"]
        assert found["arrivals"]["mean"] > 50


class Spy:
    """A decision about where a VM goes, as a placement policy sees it."""

    def __init__(self, seed: int, shape: int) -> None:
        self.state = VmLike(machines=8, free_share=0.4, fragment_rate=None)(seed)
        self.view = type("View", (), {"state": Task(self.state, 0).state()})
        self.subject = type("Subject", (), {"shape": shape})
        self.mask = self.view.state.fits[shape] > 0
        self.detail: int | None = None


def test_the_mixed_placement_takes_the_tightest_place_or_any(monkeypatch: pytest.MonkeyPatch) -> None:
    tightest, anywhere = MixedPlace(1.0), MixedPlace(0.0)
    for player in (tightest, anywhere):
        player.reset(np.random.default_rng(1))
    seen = set()
    for seed in range(40):
        spy = Spy(seed, shape=seed % 7)
        if not spy.mask.any():
            continue
        state, double = spy.view.state, bool(spy.state.shapes.double[spy.subject.shape])
        bits = state.fits[spy.subject.shape]
        nodes = (0,) if double else (0, 1)
        room = {
            (pm, k): int(state.free_cores[pm].min() if double else state.free_cores[pm, k])
            for pm in range(8)
            for k in nodes
            if (bits[pm] >> k) & 1
        }
        # A stand-in with what a placer reads of a decision, and no more.
        pm = tightest.act(spy)  # type: ignore[arg-type]
        assert room[pm, spy.detail] == min(room.values())
        pm = anywhere.act(spy)  # type: ignore[arg-type]
        assert (pm, spy.detail) in room
        seen.add(room[pm, spy.detail] > min(room.values()))
    assert seen == {True, False}
    with pytest.raises(ConfigError, match=r"best_fit_share is 1.5; it has to be from 0 to 1"):
        MixedPlace(1.5)
