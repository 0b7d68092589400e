"""The packing benchmark: numbering, outcomes that add up, the paper's layout, resuming."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from clustersim.baselines.constraint import Solution, StageReport
from clustersim.baselines.published import PRIORITY_MATTERS_CELLS, PRIORITY_MATTERS_SHARES
from clustersim.bench import Progress, pod_packing
from clustersim.bench.outcome_charts import stacks
from clustersim.bench.packing_benchmark import run_packing
from clustersim.bench.packing_grid import Cell, Grid, grid_of, number_list
from clustersim.bench.packing_table import cell_columns, notes, outcome_columns
from clustersim.bench.packing_totals import OUTCOMES, calls_table, cells, players, totals, wilson
from clustersim.bench.pod_packing import PodPackingBench, Repairer
from clustersim.control import Decision
from clustersim.errors import ConfigError, ResultsError
from clustersim.packing import placed_by_tier, stay
from clustersim.policy import ScorePolicy, run
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import KEEP

TIMINGS = ("wall_s", "decisions_per_s", "call_s", "build_s", "solve_s", "within_window")
SMALL = Grid((4,), (4,), (1, 4), (0.9, 1.0), first_seed=7)
WINDOW = "cp-sat-fallback 0.1 s"


def bench(grid: Grid = SMALL, windows_s: tuple[float, ...] = (0.1,), **more: Any) -> PodPackingBench:
    return PodPackingBench(grid, windows_s, **more)


def benchmark(out: Path, seeds: int = 2, jobs: int = 1, others: tuple[str, ...] = ()) -> tuple[dict[str, Any], str]:
    """The summary and what was printed."""
    stream = io.StringIO()
    summary = run_packing(bench(), others, seeds, out, jobs, "clustersim bench", Console(file=stream), Progress())
    return summary, stream.getvalue()


def made_up(outcomes: dict[str, list[str]], grid: Grid) -> pd.DataFrame:
    """A table of runs from policy -> outcome per instance; "" is no call."""
    rows = []
    for policy, of_policy in outcomes.items():
        for number, outcome in enumerate(of_policy):
            metrics = {"called": float(outcome != "")}
            if outcome:
                metrics |= {name: float(name == outcome) for name in OUTCOMES}
                metrics |= {"placed_p10": 3.0, "placed_p9": 5.0 + (outcome == "improved"), "call_s": 0.1}
            rows += [(policy, number, metric, value) for metric, value in metrics.items()]
    return pd.DataFrame(rows, columns=["policy", "seed", "metric", "value"])


# --- the grid


def test_more_seeds_only_add_instances() -> None:
    assert len(SMALL.cells) == 4
    assert SMALL.numbers(2) == SMALL.numbers(3)[:8]
    pairs = [(SMALL.cell(number), SMALL.seed(number)) for number in SMALL.numbers(3)]
    assert len(set(pairs)) == 12
    assert {seed for _, seed in pairs} == {7, 8, 9}
    assert pairs[5] == (Cell(4, 4, 1, 1.0), 8)


def test_the_default_grid_is_that_of_the_paper() -> None:
    grid = grid_of("replica-sets", None, None, None, "0.9,0.95,1.0,1.05", 42)
    assert len(grid.cells) == 4 * 2 * 3 * 4
    assert grid.cells[0] == Cell(4, 4, 1, 0.9)
    assert grid.cells[-1] == Cell(32, 8, 4, 1.05)
    assert {cell.nodes for cell in grid_of("openb", None, None, None, "1", 42).cells} == {64, 256}


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("", int, "--it is empty; give a comma-separated list such as 4,8,16"),
        (" , ", float, "--it is empty; give a comma-separated list such as 0.9,1.05"),
        ("4,x", int, "--it holds 'x', which is no whole number"),
        ("4.5", int, "--it holds '4.5', which is no whole number"),
        ("1,-1", float, "--it holds -1; every value has to be positive and finite"),
        ("0", int, "--it holds 0; every value has to be positive"),
        ("nan", float, "--it holds nan; every value has to be positive"),
        ("inf", float, "--it holds inf; every value has to be positive and finite"),
        ("4,8,4", int, "--it holds 4 more than once"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(text: str, kind: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        number_list("--it", text, kind)


def test_what_has_no_effect_on_a_trace_is_refused() -> None:
    with pytest.raises(ConfigError, match="--pods-per-node is '8', which has no effect on trace 'openb'"):
        grid_of("openb", "64", "8", None, "1", 42)
    with pytest.raises(ConfigError, match="--priorities is '4', which has no effect on trace 'openb'"):
        grid_of("openb", "64", None, "4", "1", 42)
    with pytest.raises(ConfigError, match=r"gap_s is 1.0, which has no effect on trace 'openb-like'"):
        bench(Grid((8,), (None,), (None,), (1.0,), 0), trace="openb-like", gap_s=1.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"windows_s": (0.0,)}, "window_s is 0.0; a time limit has to be positive"),
        ({"workers": 2}, "several workers race; set clock='wall'"),
        ({"workers": 0, "clock": "wall"}, "workers is 0"),
        ({"gap_s": -1.0}, "gap_s is -1.0"),
    ],
)
def test_a_benchmark_that_cannot_be_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        bench(**options)


def test_an_unknown_policy_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="no policy 'kube-preemtion'; did you mean 'kube-preemption'"):
        bench().experiment(("kube-preemtion",), 1)


# --- one instance


def test_an_instance_on_which_every_pod_fits_is_no_call() -> None:
    played = bench(Grid((4,), (4,), (1,), (0.3,), 0)).play(WINDOW, 0)
    assert played.metrics == {"called": 0.0}


def test_the_solver_is_classed_by_its_outcome_and_places_more_where_it_improves() -> None:
    both = [(bench().play(WINDOW, number), bench().play("default", number)) for number in SMALL.numbers(3)]
    called = [(solver.metrics, default.metrics) for solver, default in both if solver.metrics["called"]]
    assert len(called) > 3
    for solver, default in called:
        assert sum(solver[outcome] for outcome in OUTCOMES) == 1
        gains = pod_packing.placed_vector(solver) > pod_packing.placed_vector(default)
        assert gains == bool(solver["improved"] + solver["improved_optimal"])
        if gains:
            assert solver["cpu_gain"] + solver["memory_gain"] > 0
        else:
            assert (solver["moves"], solver["evictions"], solver["cpu_gain"]) == (0, 0, 0)
        assert (default["improved"], default["failed"], default["moves"]) == (0, 1, 0)
    assert any(solver["improved_optimal"] for solver, _ in called)


class Clueless:
    """In place of the solver: it never finds anything out."""

    def __init__(self, limits: object) -> None:
        self.solutions: list[Solution] = []

    def reset(self, rng: np.random.Generator) -> None:
        self.solutions = []

    def act(self, decision: Decision) -> int:
        packing = decision.subject.packing
        report = StageReport(1, "place", "UNKNOWN", 0, None, 0.0, 0.0)
        vector = placed_by_tier(packing, packing.home)
        self.solutions.append(Solution(stay(packing), (report,), "failed", vector, 0.0, 0.0))
        return KEEP


def test_a_solver_that_finds_nothing_out_leaves_the_placement_and_the_result_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    default = bench().play("default", 3).metrics
    monkeypatch.setattr(pod_packing, "CpSatFallback", Clueless)
    found = bench().play(WINDOW, 3).metrics
    assert (found["failed"], found["unknown"], found["moves"]) == (1, 1, 0)
    assert pod_packing.placed_vector(found) == pod_packing.placed_vector(default)
    summary, said = benchmark(tmp_path, seeds=1)
    calls = sum(cell["calls"] for cell in summary["cells"])
    assert calls == sum(cell["failed"] for cell in summary["cells"]) > 1
    assert f"In {calls} calls the solver found out nothing in some stage (UNKNOWN); what was at hand stayed." in said


def test_with_gaps_between_arrivals_the_repair_waits_for_the_last_pod() -> None:
    seen: list[int] = []

    class Watching:
        def reset(self, rng: np.random.Generator) -> None:
            pass

        def act(self, decision: Decision) -> int:
            seen.append(len(decision.subject.rows))
            return KEEP

    grid = Grid((4,), (8,), (4,), (1.05,), 1)
    workload = pod_packing._source("replica-sets", grid.cells[0], 10.0)(1)
    scenario = PodPlacement(workload, mode="replay", replan="pending")
    place = ScorePolicy(pod_packing.kube_default)
    run(scenario.build(0), {"place": place, "replan": Watching()})
    assert seen[0] < 32
    seen.clear()
    run(scenario.build(0), {"place": place, "replan": Repairer(Watching(), 32)})
    assert seen == [32]


def test_preemption_needs_pods_that_arrive_after_less_important_ones() -> None:
    grid = Grid((4,), (8,), (4,), (1.05,), 1)
    at_once = bench(grid).play("kube-preemption", 0).metrics
    one_by_one = bench(grid, gap_s=10.0).play("kube-preemption", 0).metrics
    assert (at_once["improved"], at_once["evictions"]) == (0, 0)
    assert one_by_one["improved"] == 1
    assert one_by_one["evictions"] > 0


# --- what the calls add up to


def test_outcomes_are_counted_per_cell_and_per_slice() -> None:
    grid = Grid((4, 8), (4,), (2,), (0.9, 1.0), 0)
    first, second = "cp-sat-fallback 1 s", "cp-sat-fallback 10 s"
    table = made_up(
        {
            first: ["improved", "", "certified", "failed", "improved_optimal", "failed", "improved", "failed"],
            second: [
                "improved_optimal",
                "",
                "certified",
                "failed",
                "improved_optimal",
                "failed",
                "improved",
                "improved",
            ],
        },
        grid,
    )
    windows = {first: 1.0, second: 10.0}
    found = cells(calls_table(table, grid), grid, windows)
    assert [(cell["nodes"], cell["usage"], cell["window_s"]) for cell in found[:4]] == [
        (4, 0.9, 1.0),
        (4, 0.9, 10.0),
        (4, 1.0, 1.0),
        (4, 1.0, 10.0),
    ]
    assert list(found[0]) == ["nodes", "pods_per_node", "priorities", "usage", "window_s", "calls", *OUTCOMES]
    assert [found[0][name] for name in ("calls", *OUTCOMES)] == [2, 1, 1, 0, 0]
    assert [found[2][name] for name in ("calls", *OUTCOMES)] == [1, 0, 0, 0, 1]
    assert all(cell["calls"] == sum(cell[outcome] for outcome in OUTCOMES) for cell in found)

    block = totals(found, published=True)[0]
    assert [(s["by"], s["value"], s["calls"]) for s in block["slices"]] == [
        ("all", None, 7),
        ("nodes", 4, 3),
        ("nodes", 8, 4),
        ("priorities", 2, 7),
        ("usage", 0.9, 4),
        ("usage", 1.0, 3),
    ]
    everything = block["slices"][0]
    assert everything["improved"]["percent"] == pytest.approx(100 * 3 / 7)  # with the optimal one
    assert everything["improved_optimal"]["percent"] == pytest.approx(100 / 7)
    assert everything["published"] == {"improved": 56.0, "improved_optimal": 25.1, "certified": 9.5, "failed": 34.5}
    assert totals(found, published=True)[1]["slices"][1]["published"]["certified"] == 26.7
    assert "published" not in totals(found, published=False)[0]["slices"][0]
    json.dumps(found)


def test_a_window_or_a_slice_that_the_paper_does_not_have_stands_alone() -> None:
    grid = Grid((5,), (4,), (2,), (0.9,), 0)
    table = made_up({"x": ["improved"]}, grid)
    found = cells(calls_table(table, grid), grid, {"x": 1.0})
    slices = {s["by"]: s["published"] for s in totals(found, published=True)[0]["slices"]}
    assert slices["nodes"] is None
    assert slices["usage"]["improved"] == 55.2
    other_window = totals([cell | {"window_s": 3.0} for cell in found], published=True)[0]
    assert {s["published"] for s in other_window["slices"]} == {None}


def test_players_are_compared_with_what_the_reference_reaches() -> None:
    grid = Grid((4,), (4,), (2,), (0.9,), 0)
    table = made_up(
        {
            "reference": ["improved", "improved", "improved", "certified", ""],
            "player": ["improved", "failed", "improved", "improved", ""],
        },
        grid,
    )
    reference, player = players(calls_table(table, grid), ["reference", "player"], "reference", {"reference": 1.0})
    assert (reference["calls"], reference["improved"]["percent"], reference["reached"]["percent"]) == (4, 75.0, 100.0)
    assert (player["calls"], player["improved"]["percent"]) == (4, 75.0)
    assert player["reached"]["percent"] == pytest.approx(200 / 3)
    assert (reference["beyond"], player["beyond"]) == (0, 1)
    assert (reference["window_s"], player["window_s"], player["call_s"]) == (1.0, None, pytest.approx(0.1))


def test_more_important_pods_count_more_whatever_the_spelling_of_the_priority() -> None:
    better = pod_packing.placed_vector({"placed_p9": 1.0, "placed_p10": 4.0, "other": 9.0})
    assert better == (4.0, 1.0)
    assert better > pod_packing.placed_vector({"placed_p9": 7.0, "placed_p10": 3.0})


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_interval_agrees_with_scipy(counts: tuple[int, int]) -> None:
    low, high = wilson(*counts)
    expected = scipy.stats.binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-12)
    assert high == pytest.approx(expected.high, abs=1e-12)
    assert 0 <= low <= counts[0] / counts[1] <= high <= 1


def test_the_published_shares_are_complete_and_match_the_published_cells() -> None:
    for windows in PRIORITY_MATTERS_SHARES.values():
        for improved, optimal, certified, failed in windows:
            assert improved + certified + failed == pytest.approx(100, abs=0.2)
            assert optimal <= improved
    for counts in PRIORITY_MATTERS_CELLS.values():
        assert all(sum(of_usage) <= 100 for of_usage in counts if of_usage is not None)


# --- tables and charts


def test_the_table_has_the_layout_of_the_paper() -> None:
    grid = Grid((4,), (4,), (1, 4), (0.9, 1.0), 0)
    table = made_up({"x": ["improved", "failed", "certified", "improved_optimal"]}, grid)
    found = cells(calls_table(table, grid), grid, {"x": 1.0})
    block = totals(found, published=True)[0]
    columns = outcome_columns(block, intervals_of=("improved",))
    assert [column.header[0] for column in columns] == [
        "",
        "calls",
        "improved",
        "of which optimal",
        "certified",
        "failed",
    ]
    rows = [[cell.text for cell in row] for row in zip(*(column.cells for column in columns), strict=True)]
    assert rows[0] == ["all", "4", "50.0 [15.0, 85.0] (56.0)", "25.0 (25.1)", "25.0 (9.5)", "25.0 (34.5)"]
    assert [row[0] for row in rows] == ["all", "4 nodes", "1 priority", "4 priorities", "usage 0.9", "usage 1.0"]

    per_cell = cell_columns({"cells": found, "totals": [block]}, "certified")
    rows = [[cell.text for cell in row] for row in zip(*(column.cells for column in per_cell), strict=True)]
    assert rows == [
        ["4", "4", "1", "1", "0 (0)", "-", "0 (11)", "-"],
        ["4", "4", "4", "1", "100 (62)", "-", "0 (58)", "-"],
    ]


def test_the_stacks_of_the_chart_fill_a_hundred_percent() -> None:
    grid = Grid((4, 8), (4,), (1,), (0.9,), 0)
    table = made_up({"x": ["improved", "failed", "improved_optimal", "certified"]}, grid)
    block = totals(cells(calls_table(table, grid), grid, {"x": 10.0}), published=True)[0]
    found = stacks(block)
    assert [(nodes, who) for nodes, who, _ in found] == [(4, "ours"), (4, "paper"), (8, "ours"), (8, "paper")]
    assert found[0][2] == {"improved, optimal": 50.0, "improved": 50.0, "certified": 0.0, "failed": 0.0}
    for _, _, shares in found:
        assert sum(shares.values()) == pytest.approx(100, abs=0.2)


def test_a_benchmark_without_any_call_says_so(tmp_path: Path) -> None:
    stream = io.StringIO()
    nothing = bench(Grid((4,), (4,), (1,), (0.3,), 0))
    summary = run_packing(nothing, ("default",), 1, tmp_path, 1, "", Console(file=stream), Progress())
    assert summary["cells"][0]["calls"] == 0
    assert summary["totals"][0]["slices"][0]["improved"] is None
    assert "There was no call at all" in stream.getvalue()
    assert "There was no call at all" in notes(summary)[-1]


# --- whole benchmarks


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    out = tmp_path_factory.mktemp("packing") / "out"
    return (out, *benchmark(out, others=("default", "kube-preemption")))


def test_the_summary_holds_everything(result: tuple[Path, dict[str, Any], str]) -> None:
    out, summary, _ = result
    assert json.loads((out / "summary.json").read_text()) == summary
    assert summary["seeds"] == list(range(8))
    assert (summary["seeds_per_cell"], summary["reference"]) == (2, WINDOW)
    assert len(summary["cells"]) == 4
    assert [row["policy"] for row in summary["players"]] == [WINDOW, "default", "kube-preemption"]
    assert {row["calls"] for row in summary["players"]} == {sum(cell["calls"] for cell in summary["cells"])}
    runs = pd.read_parquet(out / "runs.parquet")
    assert runs.loc[runs["metric"] == "called", "value"].sum() == 3 * summary["players"][0]["calls"]


def test_the_report_shows_tables_and_chart_and_loads_nothing(result: tuple[Path, dict[str, Any], str]) -> None:
    page = (result[0] / "report.html").read_text()
    for part in ("window 0.1 s, share of the calls", "of which optimal", "kube-preemption", 'id="figure-0"'):
        assert part in page
    assert "<link" not in page
    assert " src=" not in page[: page.index("<script")]


def test_the_printed_tables_fit_a_pipe(result: tuple[Path, dict[str, Any], str]) -> None:
    said = result[2]
    assert max(len(line) for line in said.splitlines()[:-6]) <= 100
    for part in ("share of the calls", "certified", "per call", "Wilson"):
        assert part in said
    assert said.splitlines()[-1].startswith("report: ")


def test_an_interrupted_benchmark_is_taken_up_where_it_ended(result: tuple[Path, dict[str, Any], str]) -> None:
    out, before, _ = result
    lost = sorted((out / ".runs").iterdir())[:5]
    for path in lost:
        path.unlink()
    kept = {path.name: path.read_bytes() for path in (out / ".runs").iterdir()}
    again, _ = benchmark(out, others=("default", "kube-preemption"))
    assert again["cells"] == before["cells"]
    assert all((out / ".runs" / name).read_bytes() == content for name, content in kept.items())
    with_more, _ = benchmark(out, seeds=3, others=("default", "kube-preemption"))
    assert with_more["seeds"] == list(range(12))
    assert all((out / ".runs" / name).read_bytes() == content for name, content in kept.items())


def test_a_folder_of_another_grid_is_not_mixed(result: tuple[Path, dict[str, Any], str]) -> None:
    other = bench(Grid((4,), (4,), (1, 4), (0.9, 1.05), first_seed=7))
    with pytest.raises(ResultsError, match=r"config\.usage is"):
        run_packing(other, (), 1, result[0], 1, "", Console(file=io.StringIO()), Progress())


@pytest.mark.long
def test_the_numbers_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    one, _ = benchmark(tmp_path / "one")
    two, _ = benchmark(tmp_path / "two", jobs=2)
    assert one["cells"] == two["cells"]
    tables = [pd.read_parquet(tmp_path / name / "runs.parquet") for name in ("one", "two")]
    first, second = (table[~table["metric"].isin(TIMINGS)].reset_index(drop=True) for table in tables)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_a_pool_of_a_trace_is_packed_too(tmp_path: Path) -> None:
    pool = bench(Grid((4,), (None,), (None,), (1.0,), 0), trace="openb-like")
    summary = run_packing(pool, ("default",), 2, tmp_path, 1, "", Console(file=io.StringIO()), Progress())
    assert summary["trace"] == "openb-like"
    assert (summary["cells"][0]["pods_per_node"], summary["cells"][0]["priorities"]) == (None, None)
    assert summary["cells"][0]["calls"] > 0
    assert [s["by"] for s in summary["totals"][0]["slices"]] == ["all", "nodes", "usage"]
    assert "published_source" not in summary["totals"][0]
