"""The cluster control benchmark: teams, the cluster over time, grids, resuming, and what is refused beforehand."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from clustersim.baselines.joint import EXAMPLE, joint_policies
from clustersim.bench import Progress
from clustersim.bench.control_bench import ControlBench, checksum
from clustersim.bench.control_benchmark import run_control
from clustersim.bench.control_charts import story_chart
from clustersim.bench.control_grid import DEFAULT_GRID, ControlGrid, effects, grid_of, headroom
from clustersim.bench.control_grid_benchmark import run_grid
from clustersim.bench.control_lines import lines_of
from clustersim.bench.control_metrics import COMPONENTS, COST, METRICS
from clustersim.bench.control_story import MOMENTS, NODE_ROWS, PREFIX, as_story, is_story, stories, story_of
from clustersim.bench.control_teams import DEFAULT_TEAMS, REFERENCE, canonical, make_team
from clustersim.bench.speed import measure_control
from clustersim.cli import main
from clustersim.errors import ClustersimError, ConfigError, TraceError
from clustersim.policy import run
from clustersim.scenarios.control_log import BRAKE, CAP, RELEASE
from clustersim.scenarios.control_roles import CAPPER, MIGRATOR, PLACER, ROLES, SCALER
from clustersim.traces.control_scenario import control_scenario
from clustersim.traces.locate import locate

TIMINGS = ("decisions_per_s", "wall_s")
OTHER = "placer=best-fit,scaler=fixed,capper=no-cap,migrator=none"
SHORT = ControlBench(duration_s=600.0)


def benchmark(
    out: Path, policies: tuple[str, ...] = (EXAMPLE, OTHER), seeds: int = 2, jobs: int = 1
) -> tuple[dict[str, Any], str]:
    """The summary and what was printed."""
    stream = io.StringIO()
    arguments = (policies, seeds, out, jobs, policies[0], "clustersim bench", Console(file=stream), Progress())
    return run_control(SHORT, *arguments), stream.getvalue()


def runs(out: Path) -> pd.DataFrame:
    """The table of runs without its timings."""
    table = pd.read_parquet(out / "runs.parquet")
    return table[~table["metric"].isin(TIMINGS)].reset_index(drop=True)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    out = tmp_path_factory.mktemp("bench") / "out"
    return out, *benchmark(out)


# --- a benchmark


def test_a_benchmark_leaves_its_tables_its_summary_and_its_page(played: tuple[Path, dict[str, Any], str]) -> None:
    out, summary, printed = played
    written = json.loads((out / "summary.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert written == summary
    assert summary["scenario"] == "cluster-control"
    assert summary["trace"] == "small"
    assert summary["reference"] == EXAMPLE
    assert summary["config"]["duration_s"] == 600
    assert set(summary["policies"]) == {EXAMPLE, OTHER}
    assert "fgd kpa polca none" in printed
    assert "minus fgd kpa polca none" in printed
    page = (out / "report.html").read_text()
    assert "the cluster under fgd kpa polca none" in page
    assert "the cluster under best-fit fixed no-cap none" in page


def test_the_components_add_up_to_the_team_cost_in_every_run(played: tuple[Path, dict[str, Any], str]) -> None:
    table = runs(played[0]).pivot_table(index=["policy", "seed"], columns="metric", values="value")
    parts = table[[info.name for info in COMPONENTS]]
    assert (parts >= 0).all().all()
    np.testing.assert_allclose(parts.sum(axis=1), table[COST.name])


def test_the_table_has_every_figure_that_the_simulation_tells(played: tuple[Path, dict[str, Any], str]) -> None:
    told = {info.name for info in METRICS}
    found = set(runs(played[0])["metric"])
    undefined = {"latency_s_p99", "latency_s_p50"}  # of requests that were turned away
    assert told - found <= undefined
    for values in played[1]["policies"].values():
        assert math.isfinite(values[COST.name]["mean"])


def test_the_first_run_is_what_playing_it_by_hand_gives(played: tuple[Path, dict[str, Any], str]) -> None:
    simulation = control_scenario("small", duration_s=600.0).build(42)
    run(simulation, {role: make() for role, make in joint_policies(EXAMPLE).items()})
    rows = runs(played[0])
    mine = rows[(rows["policy"] == EXAMPLE) & (rows["seed"] == 42)].set_index("metric")["value"]
    for name, value in simulation.metrics().items():
        if math.isfinite(value):
            assert mine[name] == value, name


@pytest.mark.long
def test_any_number_of_processes_and_a_second_start_give_the_same_numbers(
    played: tuple[Path, dict[str, Any], str], tmp_path: Path
) -> None:
    benchmark(tmp_path / "two", jobs=2)
    pd.testing.assert_frame_equal(runs(tmp_path / "two"), runs(played[0]))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "two" / ".runs").iterdir()}
    benchmark(tmp_path / "two", seeds=3)
    assert len(list((tmp_path / "two" / ".runs").iterdir())) == 6
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_options_change_what_is_played() -> None:
    def config(**options: Any) -> Any:
        return ControlBench(duration_s=300.0, **options).experiment((OTHER,), 1).config

    plain = config()
    assert config(tick_s=30.0) != plain
    assert config(oversubscription=0.1) != plain
    assert config(failure_multiplier=0.0) != plain
    bench = ControlBench(
        duration_s=300.0, oversubscription=0.1, failure_multiplier=0.0, tick_s=30.0, interference="off"
    )
    scenario = bench.scenario
    assert (scenario.power.oversubscription, scenario.failures.multiplier) == (0.1, 0.0)
    assert (scenario.tick_s, scenario.interference) == (30.0, "off")


def test_the_checksum_tells_workloads_apart() -> None:
    source = SHORT.scenario.source
    assert checksum(source(0)) == checksum(source(0))
    assert checksum(source(0)) != checksum(source(1))
    assert checksum(source(0)) != checksum(ControlBench(duration_s=900.0).scenario.source(0))


# --- teams


def test_teams_have_one_name_each() -> None:
    assert canonical("migrator=none, capper=polca,scaler=kpa,placer=fgd") == EXAMPLE
    assert canonical("team=runs/mappo-3") == "runs/mappo-3"
    assert canonical(" runs/mappo-3 ") == "runs/mappo-3"


def test_a_team_listed_in_two_spellings_is_refused() -> None:
    with pytest.raises(ConfigError, match="listed more than once"):
        run_control(
            SHORT,
            (EXAMPLE, "migrator=none,capper=polca,scaler=kpa,placer=fgd"),
            *(1, Path("never"), 1, EXAMPLE, "", Console(file=io.StringIO()), Progress()),
        )
    assert not Path("never").exists()


@pytest.mark.parametrize("name", [*DEFAULT_TEAMS, "placer=fgd,scaler=trend,capper=late-caps,migrator=ha"])
def test_default_teams_and_tutors_have_a_player_for_every_role(name: str) -> None:
    team = make_team(name)
    assert tuple(team.players) == ROLES
    assert team.fingerprint is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("runs/none-here", "no team 'runs/none-here'; a team is a joint policy such as 'placer=fgd"),
        (EXAMPLE.replace("kpa", "kpaa"), "scaler has no policy 'kpaa'; did you mean 'kpa'? known are fixed,"),
        (EXAMPLE.replace("kpa", "runs/none-here"), "mappo-cluster, or the folder of a trained team"),
        ("team=", "no team ''"),
        ("placer=fgd", "leaves nobody for scaler, capper, migrator"),
    ],
)
def test_what_is_no_team_is_answered_with_what_is_one(name: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        make_team(name)
    assert said in str(error.value)


def test_a_folder_without_a_team_says_so(tmp_path: Path) -> None:
    for name in (str(tmp_path), EXAMPLE.replace("kpa", str(tmp_path))):
        with pytest.raises(ClustersimError, match=r"is no trained agent: it has no policy\.json"):
            make_team(name)


def test_a_team_that_reads_other_columns_is_refused(tmp_path: Path) -> None:
    folder = untrained_team(tmp_path / "team", (SCALER,))
    description = tmp_path / "team" / "policy.json"
    told = json.loads(description.read_text())
    told["columns"]["scaler"].append("hour")
    description.write_text(json.dumps(told))
    with pytest.raises(ClustersimError, match="was trained on other observations"):
        make_team(EXAMPLE.replace("kpa", folder))


def untrained_team(folder: Path, roles: tuple[str, ...] = ()) -> str:
    """A team with random weights for these roles, as training would write it."""
    torch = pytest.importorskip("torch")
    from clustersim.agents.control_config import ControlTrainConfig
    from clustersim.agents.control_task import ControlTask
    from clustersim.agents.marl_actor import torch_actor, weights_of
    from clustersim.agents.marl_task import layout_of
    from clustersim.agents.marl_team import write_team

    torch.manual_seed(0)
    task = ControlTask(ControlTrainConfig(duration_s=300.0))
    groups = layout_of(task.make(), "role", roles).groups
    team = {group.name: weights_of(torch_actor(group, 8, recurrent=False)) for group in groups}
    write_team(folder, {**task.kind(), "temperature": 0.0}, task.columns(), team, {})
    return str(folder)


def test_a_trained_team_plays_alone_and_beside_published_policies(tmp_path: Path) -> None:
    folder = untrained_team(tmp_path / "team")
    mixture = f"placer=fgd,scaler={folder},capper=polca,migrator=none"
    for name in (folder, mixture):
        team = make_team(name)
        assert tuple(team.players) == ROLES
        assert team.fingerprint is not None
        first, second = (SHORT.play(name, 3).metrics for _ in range(2))
        assert first == second
    summary, printed = benchmark(tmp_path / "out", (EXAMPLE, mixture, folder), seeds=1)
    assert set(summary["policies"]) == {EXAMPLE, mixture, folder}
    assert "fgd team polca none" in printed
    assert make_team(f"team={folder}").fingerprint == make_team(folder).fingerprint


def test_a_team_that_has_learned_one_role_plays_that_one_only(tmp_path: Path) -> None:
    folder = untrained_team(tmp_path / "scaler", (SCALER,))
    make_team(EXAMPLE.replace("kpa", folder))
    with pytest.raises(ClustersimError, match="has learned scaler, but not the role"):
        make_team(EXAMPLE.replace("fgd", folder))


def test_new_weights_have_their_runs_done_again(tmp_path: Path) -> None:
    folder = untrained_team(tmp_path / "team", (SCALER,))
    name = EXAMPLE.replace("kpa", folder)
    before = SHORT.experiment((name,), 1).policy_fingerprint
    assert before == SHORT.experiment((name,), 1).policy_fingerprint
    weights = tmp_path / "team" / "weights.npz"
    with np.load(weights) as arrays:
        np.savez(weights, **{key: array + 0.5 for key, array in arrays.items()})
    assert SHORT.experiment((name,), 1).policy_fingerprint != before


# --- the cluster over time


def history(ticks: int, nodes: int = 3) -> SimpleNamespace:
    """A made-up finished simulation: two rows, one service, one zone."""
    t = np.arange(ticks, dtype=np.float64)
    arrays = {
        "time_s": 10 * t,
        "node_gpu": np.tile(np.linspace(0, 1, nodes), (ticks, 1)),
        "row_power_w": np.stack([1000 + t, np.full(ticks, 500.0)], axis=1),
        "row_budget_w": np.array([1000.0, 2000.0]),
        # A cap begins halfway; that it is weakened later is no beginning.
        "row_low": np.stack([2.0 * (t >= ticks / 2) - (t >= 3 * ticks / 4), 0 * t], axis=1),
        "row_high": np.zeros((ticks, 2)),
        "replicas": t[:, None],
        "latency_s": np.where(t == 1, np.inf, 0.1 + t / 100)[:, None],
        "arrival_rps": np.full((ticks, 1), 7.0),
        "capacity_rps": np.full((ticks, 1), 9.0),
        "queue": (t % 2)[:, None],
        "team_cost": t**2,
    }
    # Row 0 brakes twice within a tick, and other things happen.
    third_s = 10.0 * (ticks // 3)
    log = (
        np.array([5.0, third_s + 3, third_s + 9, third_s + 9]),
        np.array([CAP, BRAKE, BRAKE, RELEASE], dtype=np.float64),
        np.array([1.0, 0, 0, 0]),
        np.array([-1, -1, -1, -1]),
        np.zeros(4),
    )
    return SimpleNamespace(
        history=SimpleNamespace(**arrays),
        workload=SimpleNamespace(services=(SimpleNamespace(name="search"),)),
        log=SimpleNamespace(columns=lambda: log),
    )


def test_a_short_story_is_kept_as_it_is() -> None:
    simulation = history(20)
    story = as_story(5, story_of(simulation))
    found = simulation.history
    np.testing.assert_array_equal(story.time_s, found.time_s)
    np.testing.assert_allclose(story.values["node_gpu"], 100 * found.node_gpu)
    np.testing.assert_allclose(story.values["power"], 100 * found.row_power_w / found.row_budget_w)
    assert np.argwhere(story.values["low_cap"]).tolist() == [[10, 0]]
    assert np.argwhere(story.values["brakes"]).tolist() == [[6, 0]]
    assert story.values["brakes"].sum() == 2
    np.testing.assert_array_equal(story.values["replicas"], found.replicas)
    assert story.labels["power"] == ["row 0, budget 1.0 kW", "row 1, budget 2.0 kW"]
    assert story.labels["replicas"] == ["search"]
    assert story.labels["queue"] == ["zone 0"]


def test_a_moment_without_capacity_has_no_latency() -> None:
    latency_s = as_story(5, story_of(history(20))).values["latency_s"][:, 0]
    assert np.isnan(latency_s[1])
    assert np.isfinite(np.delete(latency_s, 1)).all()


def test_a_long_story_keeps_peaks_of_power_and_means_of_the_rest() -> None:
    per_moment = 10
    simulation = history(MOMENTS * per_moment, nodes=2 * NODE_ROWS)
    story = as_story(5, story_of(simulation))
    found = simulation.history
    assert len(story.time_s) == MOMENTS
    blocks = np.arange(MOMENTS * per_moment).reshape(MOMENTS, per_moment)
    np.testing.assert_array_equal(story.time_s, 10 * blocks[:, 0])
    np.testing.assert_allclose(story.values["power"][:, 0], found.row_power_w[blocks[:, -1], 0] / 10)
    np.testing.assert_allclose(story.values["replicas"][:, 0], blocks.mean(axis=1))
    np.testing.assert_allclose(story.values["queue"], 0.5)
    assert story.values["brakes"].sum() == 2
    assert story.values["low_cap"].sum() == 2
    assert story.values["node_gpu"].shape == (MOMENTS, NODE_ROWS)
    np.testing.assert_allclose(story.values["node_gpu"][0], 100 * found.node_gpu[0].reshape(NODE_ROWS, 2).mean(axis=1))
    assert story.labels["node_gpu"][:2] == ["nodes 0 to 1, their mean", "nodes 2 to 3, their mean"]


def test_stories_come_back_from_the_table_of_series(played: tuple[Path, dict[str, Any], str]) -> None:
    series = pd.read_parquet(played[0] / "series.parquet")
    found = stories(series)
    assert set(found) == {EXAMPLE, OTHER}
    simulation = control_scenario("small", duration_s=600.0).build(42)
    run(simulation, {role: make() for role, make in joint_policies(OTHER).items()})
    expected = as_story(42, story_of(simulation))
    assert found[OTHER].seed == 42
    assert found[OTHER].labels == expected.labels
    for what, values in expected.values.items():
        np.testing.assert_array_equal(found[OTHER].values[what], values, err_msg=what)
    lines = series[~is_story(series)]
    assert set(lines["series"]) == set(lines_of(simulation))
    assert set(lines["seed"]) == {42, 43}
    assert set(series[is_story(series)]["seed"]) == {42}


def test_every_brake_of_a_run_is_in_its_story() -> None:
    result = ControlBench(duration_s=1800.0, oversubscription=0.28, first_seed=44).play(REFERENCE, 44)
    assert as_story(44, result.series).values["brakes"].sum() == result.metrics["brakes"] > 0


def test_the_figure_marks_caps_and_brakes_where_they_begin() -> None:
    figure = story_chart(as_story(5, story_of(history(30))))
    marks = {trace.name: trace for trace in figure.data[1:] if trace.mode == "markers"}
    assert set(marks) == {"low-priority work capped", "power brake"}
    assert list(marks["low-priority work capped"].x) == [150 / 60]
    assert list(marks["power brake"].x) == [100 / 60]
    assert list(marks["power brake"].y) == [101.0]
    assert list(marks["power brake"].text) == ["row 0: brakes 2 times"]
    assert marks["low-priority work capped"].text[0] == "row 0: clocks at most 79 %"


def test_every_series_of_a_story_is_finite_or_missing() -> None:
    for name, series in story_of(history(700)).items():
        assert name.startswith(PREFIX)
        assert not np.isinf(series.y).any()


# --- grids


def test_the_default_grid_holds_every_published_controller() -> None:
    grid = grid_of(dict.fromkeys(ROLES))
    assert grid.choices == DEFAULT_GRID
    assert len(grid.teams) == 4 * 5 * 4 * 3
    assert len(set(grid.teams)) == len(grid.teams)
    assert not any("random" in team for team in grid.teams)


def test_a_smaller_grid_has_the_product_of_its_lists() -> None:
    lists = {PLACER: ("fgd",), SCALER: ("hpa", "kpa"), CAPPER: ("polca",), MIGRATOR: ("none", "ha")}
    assert grid_of(lists).teams == (
        "placer=fgd,scaler=hpa,capper=polca,migrator=none",
        "placer=fgd,scaler=hpa,capper=polca,migrator=ha",
        "placer=fgd,scaler=kpa,capper=polca,migrator=none",
        "placer=fgd,scaler=kpa,capper=polca,migrator=ha",
    )


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "the grid has no policy for scaler"),
        (("hpa", "hpa"), "lists 'hpa' for scaler more than once"),
        (("hpx",), "scaler has no policy 'hpx'; did you mean 'hpa'?"),
    ],
)
def test_a_bad_grid_is_refused(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        grid_of(dict.fromkeys(ROLES) | {SCALER: names})
    assert said in str(error.value)


def made_up(costs: dict[str, list[float]]) -> tuple[dict[str, Any], pd.DataFrame]:
    """A summary and a table of runs in which teams have these costs, seed by seed."""
    rows = [
        {"policy": team, "seed": seed, "metric": COST.name, "value": value}
        for team, values in costs.items()
        for seed, value in enumerate(values)
    ]
    means = {team: {COST.name: {"mean": float(np.mean(values))}} for team, values in costs.items()}
    return {"policies": means}, pd.DataFrame(rows)


def test_the_headroom_is_that_of_the_combinations_and_the_best_known_is_of_all() -> None:
    summary, _ = made_up({"a": [10, 20], "b": [30, 50], "trained": [4, 6], "c": [15, 13]})
    found = headroom(summary, ("a", "b", "c"))
    assert (found["best"], found["best_team_cost"]) == ("c", 14)
    assert (found["worst"], found["worst_team_cost"]) == ("b", 40)
    assert found["best_below_worst"] == pytest.approx(1 - 14 / 40)
    assert (found["best_known"], found["best_known_team_cost"]) == ("trained", 5)
    assert found["combinations"] == 3


def test_effects_are_paired_by_seed_and_add_up_to_nothing() -> None:
    lists = {PLACER: ("fgd", "best-fit"), SCALER: ("hpa",), CAPPER: ("polca", "no-cap"), MIGRATOR: ("none",)}
    teams = ControlGrid(lists).teams
    # Seeds differ by 100, cappers by 8, placers by 2 on one seed and 4 on the other.
    costs = {
        team: [
            100 * seed + (0 if "polca" in team else 8) + (0 if "fgd" in team else 2 * (seed + 1)) for seed in range(2)
        ]
        for team in teams
    }
    _, table = made_up({**costs, "trained": [0, 0]})
    found = effects(table, teams)
    assert found[CAPPER]["polca"]["mean"] == pytest.approx(-4)
    assert found[CAPPER]["polca"]["ci95"] == pytest.approx([-4, -4])
    assert found[CAPPER]["no-cap"]["mean"] == pytest.approx(4)
    assert found[PLACER]["fgd"]["mean"] == pytest.approx(-1.5)
    assert found[PLACER]["fgd"]["ci95"][0] < -1.5 < found[PLACER]["fgd"]["ci95"][1]
    assert found[SCALER]["hpa"]["mean"] == 0
    assert found[CAPPER]["polca"]["best"] == pytest.approx(50)


def test_a_grid_leaves_a_summary_with_its_headroom_and_a_page(tmp_path: Path) -> None:
    lists = {PLACER: ("fgd", "first-fit"), SCALER: ("fixed", "kpa"), CAPPER: ("polca",), MIGRATOR: ("none",)}
    stream = io.StringIO()
    bench = ControlBench(duration_s=300.0)
    result = run_grid(
        bench, grid_of(lists), (OTHER,), 2, tmp_path, 1, None, "clustersim bench", Console(file=stream), Progress()
    )
    assert json.loads((tmp_path / "summary.json").read_text()) == result
    assert len(result["policies"]) == 5
    assert len(result["combinations"]) == 4
    costs = {team: result["policies"][team][COST.name]["mean"] for team in result["combinations"]}
    assert result["headroom"]["best"] == min(costs, key=costs.__getitem__) == result["reference"]
    assert result["headroom"]["worst"] == max(costs, key=costs.__getitem__)
    printed = stream.getvalue()
    assert "4 combinations on small, 2 seeds." in printed
    assert "flatters" in printed
    page = (tmp_path / "report.html").read_text()
    assert "What each choice brings" in page
    assert "the cluster under" in page
    assert len(pd.read_parquet(tmp_path / "series.parquet")) == 0


# --- the command line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policies", "placer=fgd"], "leaves nobody for scaler, capper, migrator"),
        (["--policies", EXAMPLE.replace("fgd", "fdg")], "placer has no policy 'fdg'; did you mean 'fgd'?"),
        (["--policies", EXAMPLE, "nowhere"], "cluster-control has no team 'nowhere'"),
        (["--policies", EXAMPLE, "--reference", OTHER], "is not among the policies"),
        (["--preset", "smal"], "there is no preset 'smal'"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--jobs", "0"], "--jobs is 0"),
        (["--tick-s", "0"], "tick_s is 0"),
        (["--duration-s", "-5"], "duration_s is -5"),
        (["--oversubscription", "-1"], "oversubscription is -1"),
        (["--oversubscription", "5"], "so the brake could not keep it"),
        (["--failure-multiplier", "-1"], "multiplier is -1"),
        (["--trace-services", "/nowhere"], "'/nowhere', which is neither a folder"),
        (["--trace-pods", "/nowhere/pods.csv"], "/nowhere/pods.csv"),
        (["--scalers", "hpa"], "--scalers is 'hpa', which has no effect without --grid"),
        (["--grid", "--scalers", ","], "the grid has no policy for scaler"),
        (["--grid", "--cappers", "polka"], "capper has no policy 'polka'; did you mean 'polca'?"),
        (["--grid", "--reference", "nowhere"], "'nowhere' is not among the policies"),
    ],
)
def test_a_mistake_ends_with_status_2_and_leaves_nothing_behind(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["bench", "cluster-control", "--out", str(out), *arguments]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert not out.exists()


def test_the_command_plays_teams_that_are_separated_by_blanks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["bench", "cluster-control", "--duration-s", "200", "--seeds", "1", "--out", str(out)]
    backwards = ",".join(OTHER.split(",")[::-1])
    assert main([*words, "--policies", EXAMPLE, backwards, "--reference", backwards]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["policies"]) == [EXAMPLE, OTHER]
    assert summary["reference"] == OTHER
    assert "best-fit fixed no-cap none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tutors", "placer=fgd"], "leaves nobody for scaler, capper, migrator"),
        (["--tutors", EXAMPLE.replace("kpa", "kpx")], "scaler has no policy 'kpx'"),
        (["--evaluate", "nowhere"], "cluster-control has no team 'nowhere'"),
        (["--evaluation-seeds", "-1"], "--evaluation-seeds is -1"),
        (["--roles", "balancer"], "there is no role balancer"),
        (["--local-share", "2"], "local_share is 2.0"),
    ],
)
def test_a_training_that_cannot_be_ends_with_status_2_before_it_begins(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "out"
    try:
        status = main(["train", "cluster-control", "--out", str(out), *arguments])
    except SystemExit as end:  # what tyro finds wrong
        status = int(str(end.code))
    told = capsys.readouterr().err
    assert status == 2
    assert said in told
    assert "Traceback" not in told
    assert not (out / "policy.json").exists()


@pytest.mark.long
def test_a_trained_team_is_compared_with_its_tutors_and_others(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    words = ["train", "cluster-control", "--out", str(tmp_path), "--duration-s", "100", "--roles", "scaler"]
    words += ["--updates", "1", "--imitation-updates", "1", "--critic-updates", "0", "--episodes", "1"]
    words += ["--validation", "1", "--workers", "1", "--evaluation-seeds", "1", "--tutors", EXAMPLE]
    assert main([*words, "--evaluate", OTHER]) == 0
    summary = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    assert list(summary["policies"]) == [EXAMPLE, REFERENCE, OTHER, EXAMPLE.replace("kpa", str(tmp_path))]
    assert summary["reference"] == EXAMPLE


def test_speed_is_measured_for_the_simulation_and_for_the_environment() -> None:
    pytest.importorskip("pettingzoo")
    found = list(measure_control(ControlBench(duration_s=60.0).scenario, seconds=0.0))
    assert [(figure.what, figure.nodes) for figure in found] == [
        ("control simulation", 16),
        ("control environment, all roles", 16),
    ]
    assert all(0 < figure.ratio < 1 < figure.per_s for figure in found)


def test_a_grid_keeps_its_runs_apart_from_those_with_lines(tmp_path: Path) -> None:
    words = ["bench", "cluster-control", "--duration-s", "100", "--seeds", "1", "--out", str(tmp_path / "out")]
    assert main([*words, "--policies", EXAMPLE]) == 0
    assert main([*words, "--grid"]) == 2


def test_the_grid_of_a_zone_says_what_the_energy_emits() -> None:
    if locate("carbon") is None:
        pytest.skip("the trace carbon is not on this machine")
    plain, zone = (ControlBench(duration_s=300.0, carbon_zone=zone) for zone in (None, "DE-LU"))
    usual, there = (bench.play(EXAMPLE, 42).metrics for bench in (plain, zone))
    assert there["energy_kwh"] == usual["energy_kwh"]
    assert usual["carbon_g"] == pytest.approx(1.12 * 475 * usual["energy_kwh"])
    # Midnight of 1 January 2024 in Germany: a windy night.
    assert 0.1 * usual["carbon_g"] < there["carbon_g"] < 0.7 * usual["carbon_g"]
    with pytest.raises(TraceError, match="there is no XX_2024_hourly"):
        ControlBench(carbon_zone="XX").scenario  # noqa: B018  (looking at it reads the zone)
