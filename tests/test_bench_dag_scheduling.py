"""The DAG scheduling benchmark: episodes, metrics that rank, bounds, schedules that are drawn, sweeps, resuming."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from rich.console import Console

from clustersim.baselines.registry import team
from clustersim.bench import Progress, dag_teams
from clustersim.bench.dag_benchmark import run_dag, steps
from clustersim.bench.dag_clock import Clocked
from clustersim.bench.dag_gantt import (
    COUNT,
    FINISH,
    KEPT,
    MACHINE,
    MOST_BARS,
    NODE,
    gantt,
    is_schedule,
    schedule_of,
    schedules,
)
from clustersim.bench.dag_gap import bound_of
from clustersim.bench.dag_scheduling import ARRIVING_JOBS, DagBench
from clustersim.bench.dag_sweep import DagSweep, sweep_of
from clustersim.bench.dag_sweep_benchmark import run_sweep
from clustersim.bench.dag_sweep_totals import totals
from clustersim.bench.dag_teams import default_policies, make_team
from clustersim.bench.metrics import MetricInfo
from clustersim.dags import Dag, DagWorkload, OperatingPoint, batch, uniform_machines
from clustersim.errors import ClustersimError, ConfigError, ResultsError, TraceError
from clustersim.policy import run
from clustersim.scenarios.dag_scheduling import DagScheduling
from clustersim.traces.dag_load import DagOptions

TIMINGS = ("decisions_per_s", "wall_s")
MAKESPAN = MetricInfo("makespan", "makespan", "s", "lower", main=True)


def bench(trace: str = "layered", **more: Any) -> DagBench:
    """Fields of DagBench, and all others as options of the trace."""
    fields = {name: more.pop(name) for name in list(more) if name in DagBench.__dataclass_fields__}
    return DagBench(trace, DagOptions(**more), **fields)


def benchmark(
    chosen: DagBench, out: Path, policies: tuple[str, ...] = ("heft", "fifo"), seeds: int = 2, jobs: int = 1
) -> tuple[dict[str, Any], str]:
    """The summary and what was printed."""
    stream = io.StringIO()
    console = Console(file=stream)
    result = run_dag(chosen, policies, seeds, out, jobs, policies[0], "clustersim bench", console, Progress())
    return result, stream.getvalue()


def swept(
    sweep: DagSweep, out: Path, policies: tuple[str, ...] = ("heft", "heft-rt"), seeds: int = 2, jobs: int = 1
) -> tuple[dict[str, Any], str]:
    stream = io.StringIO()
    console = Console(file=stream)
    result = run_sweep(sweep, policies, seeds, out, jobs, policies[0], "clustersim bench", console, Progress())
    return result, stream.getvalue()


def runs(out: Path) -> pd.DataFrame:
    """The table of runs without its timings."""
    table = pd.read_parquet(out / "runs.parquet")
    return table[~table["metric"].isin(TIMINGS)].reset_index(drop=True)


def workflow(path: Path, name: str, run_time_s: list[float]) -> None:
    """A chain of tasks as a WfFormat file."""
    tasks = [f"t{index}" for index in range(len(run_time_s))]
    specification = [
        {"id": task, "name": task, "parents": tasks[max(0, i - 1) : i], "children": tasks[i + 1 : i + 2]}
        | {"inputFiles": [], "outputFiles": []}
        for i, task in enumerate(tasks)
    ]
    execution = [{"id": task, "runtimeInSeconds": s} for task, s in zip(tasks, run_time_s, strict=True)]
    document = {
        "name": name,
        "schemaVersion": "1.5",
        "workflow": {"specification": {"tasks": specification, "files": []}, "execution": {"tasks": execution}},
    }
    path.write_text(json.dumps(document))


@pytest.fixture
def workflows(tmp_path: Path) -> Path:
    """Three chains of different length."""
    folder = tmp_path / "workflows"
    folder.mkdir()
    for index in range(3):
        workflow(folder / f"chain-{index}.json", f"chain-{index}", [10.0 * (index + 1)] * (index + 2))
    return folder


# --- what is played and how it is judged


@pytest.mark.parametrize(("trace", "makespans"), [("topcuoglu-2002", (80, 86)), ("insertion-5", (6, 8))])
def test_the_golden_instances_have_their_published_makespans(trace: str, makespans: tuple[float, float]) -> None:
    found = [bench(trace).play(policy, 42).metrics["makespan"] for policy in ("heft", "cpop")]
    assert tuple(found) == makespans


@pytest.mark.parametrize("policy", default_policies())
def test_every_built_in_policy_finishes_an_offline_and_an_online_episode(policy: str) -> None:
    for chosen in (bench(tasks=(8, 12)), bench(tasks=(8, 12), jobs=3, load=0.7, noise=0.2)):
        metrics = chosen.play(policy, 1).metrics
        assert metrics["jobs_done"] == chosen.source.arrivals.jobs
        assert metrics["slr"] >= (1 if chosen.noise == 0 else 0)


@pytest.mark.parametrize(
    ("options", "ranking"),
    [
        ({}, "makespan"),
        ({"jobs": 3}, "makespan"),
        ({"load": 0.5}, "jct_s_mean"),
        ({"arrivals": "poisson", "interarrival_s": 9.0}, "jct_s_mean"),
    ],
)
def test_what_is_there_at_once_is_ranked_by_makespan_and_what_arrives_by_completion_time(
    options: dict[str, Any], ranking: str
) -> None:
    assert next(info.name for info in bench(**options).metrics(("heft",)) if info.main) == ranking


def test_jobs_arrive_in_numbers_unless_somebody_says_how_many() -> None:
    assert bench(load=0.5).source.arrivals.jobs == ARRIVING_JOBS
    assert bench(load=0.5, jobs=1).source.arrivals.jobs == 1
    assert bench().source.arrivals.jobs == 1


def test_all_shown_metrics_are_reported_by_runs() -> None:
    for chosen in (
        bench(tasks=(8, 8), gap=True),
        bench(load=0.5, jobs=3, failure_every_s=40.0, repair_s=5.0),
        bench(jobs=2),
    ):
        assert {info.name for info in chosen.metrics(("heft-rt",))} <= set(chosen.play("heft-rt", 42).metrics)


def test_noise_is_the_same_luck_for_every_policy_and_other_luck_with_another_seed() -> None:
    chosen = bench("topcuoglu-2002", noise=0.3)
    busy = [chosen.play("met", seed).metrics["utilization"] for seed in (1, 1, 2)]
    assert busy[0] == busy[1] != busy[2]


# --- agents


@pytest.fixture(params=["order", "dispatch"])
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of an agent that has learned nothing."""
    pytest.importorskip("torch", reason="the extra `agents` is not installed")
    from clustersim.agents.dag_policy import write_agent
    from clustersim.agents.graph import torch_network, weights_of

    weights = weights_of(torch_network(8, request.param == "dispatch"))
    write_agent(tmp_path / "agent", weights, {"decide": request.param, "binding": "firm"}, True, {})
    return tmp_path / "agent"


def test_an_agent_plays_from_its_folder_and_is_told_apart_by_its_content(agent: Path) -> None:
    chosen = bench(tasks=(6, 6), jobs=2)
    assert chosen.play(str(agent), 1).metrics["jobs_done"] == 2
    assert make_team(str(agent)).world["binding"] == "firm"
    before = chosen.experiment((str(agent), "heft"), 1).policy_fingerprint
    assert list(before) == [str(agent)]
    description = json.loads((agent / "policy.json").read_text())
    (agent / "policy.json").write_text(json.dumps(description | {"training": "more"}))
    assert chosen.experiment((str(agent),), 1).policy_fingerprint != before


@pytest.mark.parametrize("open_only", [True, False])
def test_an_agent_that_orders_tasks_has_them_assigned_as_in_its_training(
    agent: Path, open_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    description = json.loads((agent / "policy.json").read_text())
    (agent / "policy.json").write_text(json.dumps(description | {"open_only": open_only}))
    made = []
    monkeypatch.setattr(dag_teams, "EftAssign", lambda open_only: made.append(open_only))
    make_team(str(agent)).players()
    assert made == ([open_only] if description["world"]["decide"] == "order" else [])


def test_a_damaged_agent_is_refused(agent: Path) -> None:
    description = json.loads((agent / "policy.json").read_text())
    (agent / "weights.npz").rename(agent / "elsewhere.npz")
    with pytest.raises(ClustersimError, match=r"weights.npz"):
        bench().experiment((str(agent),), 1)
    (agent / "elsewhere.npz").rename(agent / "weights.npz")
    del description["open_only"]
    (agent / "policy.json").write_text(json.dumps(description))
    with pytest.raises(ClustersimError, match=r"another version, it does not say 'open_only'"):
        bench().experiment((str(agent),), 1)


# --- every job of a trace


def test_every_job_is_played_alone_with_all_seeds(workflows: Path) -> None:
    chosen = bench(str(workflows), each=True, machines=2, first_seed=7)
    assert chosen.numbers(2) == (0, 1, 2, 3, 4, 5)
    drawn = [source(seed) for source, seed in map(chosen.instance, chosen.numbers(2))]
    assert [w.jobs[0].name for w in drawn] == ["chain-0", "chain-1", "chain-2"] * 2
    assert [seed for _, seed in map(chosen.instance, chosen.numbers(2))] == [7, 7, 7, 8, 8, 8]
    # A seed draws the same machines for every job.
    speeds = [w.jobs[0].run_time_s[0] / w.jobs[0].run_time_s[0, 0] for w in drawn]
    np.testing.assert_allclose(speeds[0], speeds[1])
    assert abs(speeds[0][1] - speeds[3][1]) > 1e-6


def test_intervals_are_over_jobs_and_not_over_their_seeds(workflows: Path, tmp_path: Path) -> None:
    chosen = bench(str(workflows), each=True, machines=2)
    result, said = benchmark(chosen, tmp_path / "out", ("heft", "random"), seeds=4)
    assert (result["seeds"], result["unit"], result["units"]) == (
        [42, 43, 44, 45],
        "job",
        ["chain-0", "chain-1", "chain-2"],
    )
    table = runs(tmp_path / "out")
    slr = table[(table["metric"] == "slr") & (table["policy"] == "random")]
    by_job = slr["value"].to_numpy().reshape(4, 3).mean(axis=0)
    found = result["policies"]["random"]["slr"]
    assert found["n"] == 3
    assert found["mean"] == pytest.approx(by_job.mean())
    expected = scipy.stats.t.interval(0.95, 2, by_job.mean(), scipy.stats.sem(by_job))
    assert found["ci95"] == pytest.approx(expected)
    assert "3 jobs." in said
    assert "(n=" not in said
    assert next(info.name for info in chosen.metrics(("heft",))) == "slr"


# --- the clock


@dataclass(frozen=True)
class TwoSpeeds:
    """A source of one job on two machines, one of which has a lower clock."""

    trace: str = "two"

    def checksum(self) -> str:
        return ""

    def __call__(self, seed: int) -> DagWorkload:
        return two_speeds()


def two_speeds() -> DagWorkload:
    points = ((OperatingPoint(500, 800), OperatingPoint(1000, 1000)), ())
    machines = replace(uniform_machines(2, busy_w=10.0, idle_w=2.0), operating_points=points)
    times = np.array([[4.0, 4.0]])
    return batch("two", machines, [Dag("job", ("t",), times, np.zeros((0, 2), dtype=np.int64), np.zeros(0))])


def test_a_clock_that_no_machine_has_is_refused() -> None:
    with pytest.raises(ConfigError, match="no machine of 'two' has an operating point"):
        Clocked(TwoSpeeds(), 0.6)(0)
    assert Clocked(TwoSpeeds(), 0.5)(0).jobs[0].run_time_s.tolist() == [[8.0, 4.0]]
    with pytest.raises(ConfigError, match=r"clock is 1.5; it is a share"):
        bench(clock=1.5).experiment(("heft",), 1)


# --- the bound


def test_every_policy_is_compared_with_the_same_bound_that_none_undercuts() -> None:
    chosen = bench("topcuoglu", tasks=(12, 20), gap=True, budget_s=1.0)
    for seed in (1, 2):
        bounds = set()
        for policy in ("heft", "random", "min-min"):
            metrics = chosen.play(policy, seed).metrics
            assert metrics["gap_to_bound"] >= -1e-9
            assert metrics["gap_to_bound"] == pytest.approx(metrics["makespan"] / metrics["bound_s"] - 1)
            bounds.add((metrics["bound_s"], metrics["bound_closed"]))
        assert len(bounds) == 1


def test_the_bound_of_the_golden_example_is_its_optimum() -> None:
    metrics = bench("topcuoglu-2002", gap=True).play("heft", 42).metrics
    assert (metrics["bound_s"], metrics["bound_closed"]) == (73, 1)
    assert metrics["gap_to_bound"] == pytest.approx(80 / 73 - 1)


def test_the_solver_plans_the_golden_example_and_says_so() -> None:
    metrics = bench("topcuoglu-2002", budget_s=5.0).play("cp-sat", 42).metrics
    assert (metrics["makespan"], metrics["searches"], metrics["searches_optimal"]) == (73, 1, 1)


def test_a_budget_is_the_time_that_a_solver_has() -> None:
    for policy in ("cp-sat", "cp-sat-rolling"):
        (player,) = make_team(policy, 3.0).players().values()
        assert player.limits.window_s == 3.0  # type: ignore[attr-defined]
        (player,) = make_team(policy).players().values()
        assert player.limits.window_s != 3.0  # type: ignore[attr-defined]


def test_tasks_of_several_instances_are_bounded_by_their_critical_path() -> None:
    def instances(seed: int) -> DagWorkload:
        edges, data = np.array([[0, 1]]), np.zeros(1)
        times = np.array([[2.0, 1.0], [3.0, 3.0]])
        return batch("wide", uniform_machines(2), [Dag("job", ("a", "b"), times, edges, data, np.array([4, 1]))])

    bound = bound_of(instances, 1, 1.0)  # type: ignore[arg-type]
    assert (bound.makespan_s, bound.closed) == (2 * 1.0 + 3.0, False)


def test_bounds_are_found_once_per_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    bound_of.cache_clear()
    chosen = bench("topcuoglu-2002", gap=True)
    for policy in ("heft", "cpop"):
        for seed in (1, 2):
            chosen.play(policy, seed)
    assert (bound_of.cache_info().misses, bound_of.cache_info().hits) == (2, 2)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"noise": 0.1}, "noise"),
        ({"load": 0.5}, "arrivals over time"),
        ({"max_jobs": 1}, "max_jobs"),
        ({"slowdown_every_s": 10.0}, "slow-downs"),
        ({"failure_every_s": 10.0}, "failures"),
    ],
)
def test_a_gap_is_for_what_can_be_planned(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=f"which contradicts {reason}"):
        bench(gap=True, **options).experiment(("heft",), 1)


# --- schedules


def stored(out: Path) -> dict[str, tuple[int, pd.DataFrame]]:
    return schedules(pd.read_parquet(out / "series.parquet"))


def test_the_schedule_that_is_drawn_is_the_published_one(tmp_path: Path) -> None:
    benchmark(bench("topcuoglu-2002"), tmp_path, ("heft",), seeds=2)
    seed, schedule = stored(tmp_path)["heft"]
    assert seed == 42
    rows = schedule.sort_values("node")[["machine", "start_s", "end_s"]].to_numpy().tolist()
    assert rows == [
        [2, 0, 9],
        [0, 27, 40],
        [2, 9, 28],
        [1, 18, 26],
        [2, 28, 38],
        [1, 26, 42],
        [2, 38, 49],
        [0, 57, 62],
        [1, 56, 68],
        [1, 73, 80],
    ]
    figure = gantt(schedule, bench("topcuoglu-2002").source(42), 90.0)
    bars = figure.data[0]
    assert sorted(bars.text, key=int) == [str(task) for task in range(1, 11)]
    assert max(start + length for start, length in zip(bars.base, bars.x, strict=True)) == 80


def test_only_the_first_seed_has_a_schedule(tmp_path: Path) -> None:
    chosen = bench(tasks=(5, 5))
    for policy in ("heft", "fifo"):
        assert {NODE, MACHINE, FINISH} <= set(chosen.play(policy, 42).series)
        assert not {NODE, MACHINE, FINISH} & set(chosen.play(policy, 43).series)


def test_a_schedule_is_cut_off_and_says_so(tmp_path: Path) -> None:
    chosen = bench(tasks=(50, 50), jobs=60)
    series = chosen.play("fifo", 42).series
    assert len(series[NODE].x) == MOST_BARS
    benchmark(chosen, tmp_path, ("fifo",), seeds=1)
    assert f"Only the first {MOST_BARS:,} bars are shown" in (tmp_path / "report.html").read_text()


def test_executions_that_a_failure_ended_are_told_apart() -> None:
    chosen = bench(tasks=(30, 30), failure_every_s=60.0, repair_s=5.0)
    result = chosen.play("heft-rt", 42)
    kept = result.series[KEPT].y
    assert result.metrics["lost_instances"] > 0
    assert (kept == 0).sum() == result.metrics["lost_instances"]
    assert sorted(result.series[NODE].y[kept == 1]) == list(range(30))
    ends = result.series[FINISH]
    assert (ends.y >= ends.x).all()
    busy = result.series["busy_machines_by_time"].y
    assert busy.mean() == pytest.approx(100 * result.metrics["utilization"])


def test_instances_one_after_another_on_a_machine_are_one_bar() -> None:
    edges = np.zeros((0, 2), dtype=np.int64)
    job = Dag("job", ("wide", "last"), np.array([[1.0], [2.0]]), edges, np.zeros(0), np.array([5, 1]))
    simulation = DagScheduling(lambda seed: batch("wide", uniform_machines(1), [job])).build(1)
    run(simulation, team("dag-scheduling", "fifo").players())
    series = schedule_of(simulation)
    columns = (series[NODE].y, series[NODE].x, series[FINISH].y, series[COUNT].y)
    assert [column.tolist() for column in columns] == [[0, 1], [0, 5], [5, 7], [5, 1]]
    assert KEPT not in series


def test_a_line_tells_how_many_machines_are_busy_at_a_time() -> None:
    series = bench("topcuoglu-2002").play("heft", 42).series
    busy, starts_s, ends_s = series["busy_machines_by_time"], series[NODE].x, series[FINISH].y
    half_s = (busy.x[1] - busy.x[0]) / 2
    changes_s = np.concatenate((starts_s, ends_s))
    compared = 0
    for middle_s, found in zip(busy.x, busy.y, strict=True):
        if np.abs(changes_s - middle_s).min() > half_s:
            assert found == pytest.approx(100 / 3 * ((starts_s < middle_s) & (ends_s > middle_s)).sum())
            compared += 1
    assert compared > 200


def test_lines_count_machines_and_jobs_over_time() -> None:
    result = bench(tasks=(20, 20), jobs=12, load=0.6).play("heft-rt", 42)
    busy = result.series["busy_machines_by_time"]
    span_s = busy.x[-1] - busy.x[0]
    width_s = span_s / (len(busy.x) - 1)
    assert width_s * len(busy.x) == pytest.approx(result.metrics["makespan"])
    assert busy.y.mean() == pytest.approx(100 * result.metrics["utilization"])
    there = result.series["jobs_in_system_by_time"]
    assert there.y.mean() * result.metrics["makespan"] == pytest.approx(12 * result.metrics["jct_s_mean"])
    assert result.series["jct_by_share_of_jobs"].y[-1] >= result.metrics["jct_s_p99"]


# --- files


def test_a_benchmark_leaves_exactly_the_promised_files_and_figures(tmp_path: Path) -> None:
    result, said = benchmark(bench(tasks=(10, 10)), tmp_path, ("heft", "fifo", "random"))
    names = [".runs", "experiment.json", "report.html", "runs.parquet", "series.parquet", "summary.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert json.loads((tmp_path / "summary.json").read_text()) == result
    page = (tmp_path / "report.html").read_text()
    for policy in ("heft", "fifo", "random"):
        assert f"<h3>schedule of {policy}</h3>" in page
    assert page.count("plotly.js v") == 1
    assert "<h3>schedule node</h3>" not in page
    assert "minus the one above" in said
    series = pd.read_parquet(tmp_path / "series.parquet")
    assert set(series[is_schedule(series)]["series"]) == {NODE, MACHINE, FINISH}


@pytest.mark.long
def test_the_same_numbers_for_any_number_of_processes_and_after_resuming(tmp_path: Path) -> None:
    chosen = bench(tasks=(10, 10), noise=0.2)
    benchmark(chosen, tmp_path / "one", seeds=1)
    grown, _ = benchmark(chosen, tmp_path / "one", seeds=2)
    at_once, _ = benchmark(chosen, tmp_path / "two", seeds=2, jobs=2)
    pd.testing.assert_frame_equal(runs(tmp_path / "one"), runs(tmp_path / "two"), check_exact=True)
    for name in ("series.parquet", "experiment.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert grown["policies"]["heft"]["makespan"] == at_once["policies"]["heft"]["makespan"]
    with pytest.raises(ResultsError, match=r"config.noise is 0.2 there and 0.3 now"):
        benchmark(replace(chosen, noise=0.3), tmp_path / "one")


def test_each_policy_is_compared_with_the_one_above() -> None:
    table = pd.DataFrame(
        [
            (policy, seed, "makespan", value)
            for policy, values in (("a", (1, 2, 3)), ("b", (2, 4, 6)))
            for seed, value in enumerate(values)
        ],
        columns=["policy", "seed", "metric", "value"],
    )
    found = steps(table, ["a", "b"], "makespan")
    assert list(found) == ["b"]
    assert found["b"]["mean"] == 2
    assert found["b"]["ci95"] == pytest.approx(scipy.stats.t.interval(0.95, 2, 2, scipy.stats.sem([1, 2, 3])))


# --- sweeps


def made_up(values: dict[tuple[float, str], list[float]]) -> dict[float, pd.DataFrame]:
    """(swept value, policy) -> makespan per seed."""
    tables = {}
    for at in dict.fromkeys(value for value, _ in values):
        rows = [
            (policy, seed, "makespan", number)
            for (value, policy), numbers in values.items()
            if value == at
            for seed, number in enumerate(numbers)
        ]
        tables[at] = pd.DataFrame(rows, columns=["policy", "seed", "metric", "value"])
    return tables


def test_degradation_and_ratios_are_paired_by_seed() -> None:
    tables = made_up(
        {
            (0, "heft"): [10, 20, 40],
            (0, "heft-rt"): [20, 20, 40],
            (0.5, "heft"): [20, 50, 80],
            (0.5, "heft-rt"): [30, 40, 50],
        }
    )
    found = totals(tables, ("heft", "heft-rt"), "heft", [MAKESPAN])
    worse, worse_rt = np.array([2, 2.5, 2]), np.array([1.5, 2, 1.25])
    for name, policy, expected in (
        ("degradation", "heft", worse),
        ("degradation", "heft-rt", worse_rt),
        ("degradation_paired", "heft-rt", worse_rt - worse),
        ("ratios", "heft-rt", np.array([1.5, 0.8, 0.625])),
    ):
        at_half = found[name][policy]["makespan"][1]
        assert at_half is not None
        assert at_half["mean"] == pytest.approx(expected.mean())
        assert at_half["ci95"] == pytest.approx(
            scipy.stats.t.interval(0.95, 2, expected.mean(), scipy.stats.sem(expected))
        )
    assert found["degradation"]["heft"]["makespan"][0] == {"mean": 1.0, "ci95": [1.0, 1.0], "n": 3}


def test_without_the_value_0_nothing_is_called_degradation() -> None:
    found = totals(made_up({(0.1, "a"): [1, 2], (0.2, "a"): [2, 3]}), ("a",), "a", [MAKESPAN])
    assert set(found) == {"ratios"}


def test_every_value_has_a_folder_of_its_own_and_the_whole_is_on_top(tmp_path: Path) -> None:
    sweep = sweep_of(bench(tasks=(10, 10)), "noise", "0.4,0")
    result, said = swept(sweep, tmp_path)
    parts = ["noise-0", "noise-0.4"]
    names = [".runs", "experiment.json", *parts, "report.html", "runs.parquet", "summary.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for part in parts:
        assert (tmp_path / part / "report.html").exists()
        assert f'href="{part}/report.html"' in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "summary.json").read_text()) == result
    assert (result["sweep"], result["values"]) == ("noise", [0, 0.4])
    assert [at["value"] for at in result["at"]] == [0, 0.4]
    alone, _ = benchmark(bench(tasks=(10, 10), noise=0.4), tmp_path / "alone", ("heft", "heft-rt"))
    assert result["at"][1]["policies"]["heft"]["makespan"] == alone["policies"]["heft"]["makespan"]
    table = pd.read_parquet(tmp_path / "runs.parquet")
    assert list(table.columns) == ["scenario", "trace", "noise", "policy", "seed", "metric", "value"]
    assert len(table[table["metric"] == "makespan"]) == 2 * 2 * 2
    assert "relative to no noise" in said


@pytest.mark.long
def test_a_sweep_resumes_and_grows_by_values_and_has_the_same_numbers_for_any_number_of_processes(
    tmp_path: Path,
) -> None:
    swept(sweep_of(bench(tasks=(8, 8)), "machines", "2"), tmp_path / "one")
    before = pd.read_parquet(tmp_path / "one" / "machines-2" / "runs.parquet")
    swept(sweep_of(bench(tasks=(8, 8)), "machines", "2,3"), tmp_path / "one")
    # Timings too: nothing was done again.
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "one" / "machines-2" / "runs.parquet"), before)
    swept(sweep_of(bench(tasks=(8, 8)), "machines", "2,3"), tmp_path / "two", jobs=2)
    pd.testing.assert_frame_equal(runs(tmp_path / "one"), runs(tmp_path / "two"), check_exact=True)
    with pytest.raises(ResultsError, match=r'config.sweep is "machines" there and "ccr" now'):
        swept(sweep_of(bench(tasks=(8, 8)), "ccr", None), tmp_path / "one")


def test_a_sweep_over_loads_is_judged_by_completion_times(tmp_path: Path) -> None:
    result, _ = swept(sweep_of(bench(tasks=(5, 5), jobs=8), "load", "0.2,0.9"), tmp_path)
    assert list(result["ratios"]["heft"]) == ["jct_s_mean", "slowdown_mean"]
    low, high = (at["policies"]["heft"]["jct_s_mean"]["mean"] for at in result["at"])
    assert low < high


@pytest.mark.parametrize(
    ("options", "values", "words"),
    [
        ({"noise": 0.2}, None, "noise is 0.2 and is swept as well"),
        ({}, "0,x", "'x', which is no number"),
        ({}, "0.1,0.1", "holds 0.1 more than once"),
        ({}, ",", "--sweep-values is empty"),
        ({}, "-1", r"noise is -1.0; it has to be at least 0"),
        ({"gap": True}, None, "which contradicts noise"),
    ],
)
def test_an_impossible_sweep_is_refused_before_anything_is_claimed(
    tmp_path: Path, options: dict[str, Any], values: str | None, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        swept(sweep_of(bench(**options), "noise", values), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- mistakes


@pytest.mark.parametrize(
    ("chosen", "policies", "words"),
    [
        (bench(), ("hefft",), "did you mean 'heft'"),
        (bench("layerd"), ("heft",), "did you mean 'layered'"),
        (bench(each=True), ("heft",), "layered has none"),
        (bench(each=True, load=0.5), ("heft",), "load has no effect"),
        (bench(arrivals="batch", load=0.5), ("heft",), "all jobs arrive at once"),
        (bench("topcuoglu-2002", machines=5), ("heft",), "topcuoglu-2002 has 3"),
        (bench(repair_s=5.0), ("heft",), "repair_s is 5.0, which has no effect without failure_every_s"),
        (bench(slowdown_rate=0.7), ("heft",), "has no effect without slowdown_every_s"),
        (bench(noise=math.nan), ("heft",), "noise is nan"),
        (bench(budget_s=0, gap=True), ("heft",), "budget is 0"),
        (bench(budget_s=3.0), ("heft",), "has no effect without gap or the policy cp-sat"),
    ],
)
def test_a_mistake_is_refused_with_a_remedy(chosen: DagBench, policies: tuple[str, ...], words: str) -> None:
    with pytest.raises((ConfigError, TraceError), match=words):
        chosen.experiment(policies, 1)


def test_a_damaged_file_is_named_before_anything_runs(workflows: Path) -> None:
    (workflows / "chain-2.json").write_text('{"workflow": {')
    with pytest.raises(TraceError, match=r"chain-2\.json"):
        bench(str(workflows)).experiment(("heft",), 10)
    with pytest.raises(TraceError, match=r"chain-2\.json"):
        bench(str(workflows), each=True).experiment(("heft",), 1)
