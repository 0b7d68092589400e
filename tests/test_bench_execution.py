"""Executing an experiment: in one process or several, again, and with failures."""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clustersim.bench import BarProgress, Experiment, Progress, RunResult, RunStore, Series, execute
from clustersim.bench.runs import TIMINGS
from clustersim.errors import ConfigError, ResultsError


class AwkwardError(Exception):
    """Can be raised but not unpickled: its arguments are not those of its constructor."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")


def play(log: Path, policy: str, seed: int) -> RunResult:
    """Deterministic in policy and seed; leaves a line per execution, and misbehaves for some policies."""
    with (log / f"{policy}-{seed}").open("a") as executions:
        executions.write("x")
    if policy == "fails" and seed == 1:
        raise AwkwardError(7, "no memory model")
    if policy == "dies":
        os._exit(3)
    rng = np.random.default_rng([seed, len(policy)])
    line = Series(np.arange(5.0), rng.random(5), "time [s]", "pods")
    return RunResult({"score": rng.random(), "jct_s": rng.random()}, {"pods": line}, decisions=3, wall_s=0.1)


class Recorder(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.ended: list[tuple[str, int]] = []
        self.started: tuple[int, int] | None = None
        self.stops = 0

    def start(self, total: int, kept: int) -> None:
        self.started = (total, kept)

    def advance(self, policy: str, seed: int) -> None:
        self.ended.append((policy, seed))

    def note(self, message: str) -> None:
        self.notes.append(message)

    def stop(self) -> None:
        self.stops += 1


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path / "log"


def experiment(log: Path, policies: tuple[str, ...] = ("a", "bb"), seeds: tuple[int, ...] = (1, 0)) -> Experiment:
    return Experiment("placement", "openb", {"nodes": 4}, policies, seeds, functools.partial(play, log))


def run(experiment: Experiment, out: Path, jobs: int = 1, progress: Progress | None = None) -> pd.DataFrame:
    return execute(experiment, RunStore(out, experiment), jobs, progress or Progress())


def executions(log: Path) -> dict[str, int]:
    return {path.name: len(path.read_text()) for path in sorted(log.iterdir())}


def test_the_number_of_jobs_changes_nothing(tmp_path: Path, log: Path) -> None:
    one = run(experiment(log), tmp_path / "one", jobs=1)
    two = run(experiment(log), tmp_path / "two", jobs=2)
    pd.testing.assert_frame_equal(one, two)
    for name in ("runs.parquet", "series.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert multiprocessing.active_children() == []


def test_the_table_has_a_row_per_run_and_metric_in_the_order_asked(tmp_path: Path, log: Path) -> None:
    table = run(experiment(log), tmp_path / "out")
    assert list(table.columns) == ["scenario", "trace", "policy", "seed", "metric", "value"]
    metrics = ("score", "jct_s", *TIMINGS)
    expected = [(policy, seed, metric) for policy in ("a", "bb") for seed in (1, 0) for metric in metrics]
    assert list(table[["policy", "seed", "metric"]].itertuples(index=False, name=None)) == expected
    assert set(table["scenario"]) == {"placement"}
    assert set(table["trace"]) == {"openb"}
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "runs.parquet"), table)


def test_the_series_of_every_run_are_kept(tmp_path: Path, log: Path) -> None:
    run(experiment(log), tmp_path / "out")
    series = pd.read_parquet(tmp_path / "out" / "series.parquet")
    assert len(series) == 2 * 2 * 5
    drawn = series[(series["policy"] == "bb") & (series["seed"] == 0)]
    np.testing.assert_array_equal(drawn["y"], np.random.default_rng([0, 2]).random(5))
    assert set(drawn["series"]) == {"pods"}
    assert set(drawn["x_label"]) == {"time [s]"}


def test_a_second_call_executes_nothing_and_gives_the_same_table(tmp_path: Path, log: Path) -> None:
    first = run(experiment(log), tmp_path / "out")
    progress = Recorder()
    pd.testing.assert_frame_equal(run(experiment(log), tmp_path / "out", progress=progress), first)
    assert executions(log) == {"a-0": 1, "a-1": 1, "bb-0": 1, "bb-1": 1}
    assert progress.started == (4, 4)
    assert (progress.ended, progress.stops) == ([], 1)


def test_only_added_policies_and_seeds_are_executed(tmp_path: Path, log: Path) -> None:
    run(experiment(log), tmp_path / "out")
    progress = Recorder()
    table = run(experiment(log, ("bb", "c"), (0, 1, 2)), tmp_path / "out", progress=progress)
    assert executions(log) == {"a-0": 1, "a-1": 1, "bb-0": 1, "bb-1": 1, "bb-2": 1, "c-0": 1, "c-1": 1, "c-2": 1}
    assert progress.started == (6, 2)
    assert progress.ended == [("bb", 2), ("c", 0), ("c", 1), ("c", 2)]
    assert list(table["policy"].unique()) == ["bb", "c"]


def test_a_damaged_run_is_reported_and_done_again(tmp_path: Path, log: Path) -> None:
    first = run(experiment(log), tmp_path / "out")
    path = RunStore(tmp_path / "out", experiment(log)).path("bb", 0)
    path.write_bytes(path.read_bytes()[:50])
    progress = Recorder()
    pd.testing.assert_frame_equal(run(experiment(log), tmp_path / "out", progress=progress), first)
    assert executions(log) == {"a-0": 1, "a-1": 1, "bb-0": 2, "bb-1": 1}
    assert len(progress.notes) == 1
    assert "policy 'bb' with seed 0 is damaged" in progress.notes[0]


def test_retrained_weights_are_run_again(tmp_path: Path, log: Path) -> None:
    for weights in ("old", "new", "new"):
        run(dataclasses.replace(experiment(log), policy_fingerprint={"a": weights}), tmp_path / "out")
    assert executions(log) == {"a-0": 2, "a-1": 2, "bb-0": 1, "bb-1": 1}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_run_is_named_and_the_others_are_kept(tmp_path: Path, log: Path, jobs: int) -> None:
    asked = experiment(log, ("fails", "a"))
    with pytest.raises(ResultsError) as failure:
        run(asked, tmp_path / "out", jobs)
    message = str(failure.value)
    assert "1 of 4 runs failed (policy 'fails', seed 1: AwkwardError: 7 no memory model)" in message
    assert "3 finished runs are kept" in message
    assert "raise AwkwardError" in (tmp_path / "out" / "failures.txt").read_text()
    store = RunStore(tmp_path / "out", asked)
    assert [store.load(*kept).decisions for kept in [("fails", 0), ("a", 1), ("a", 0)]] == [3, 3, 3]

    with pytest.raises(ResultsError):
        run(asked, tmp_path / "out")
    assert executions(log) == {"a-0": 1, "a-1": 1, "fails-0": 1, "fails-1": 2}


def test_the_failures_are_forgotten_once_all_runs_succeed(tmp_path: Path, log: Path) -> None:
    with pytest.raises(ResultsError):
        run(experiment(log, ("fails",)), tmp_path / "out")
    run(experiment(log, ("fails",), (0,)), tmp_path / "out")
    assert not (tmp_path / "out" / "failures.txt").exists()


def test_many_failures_are_summed_up(tmp_path: Path, log: Path) -> None:
    log.rmdir()
    with pytest.raises(ResultsError, match=r"6 of 6 runs failed .* and 3 more\)"):
        run(experiment(log, seeds=(0, 1, 2)), tmp_path / "out")


def test_a_worker_that_dies_is_reported_with_a_remedy(tmp_path: Path, log: Path) -> None:
    with pytest.raises(ResultsError, match=r"a worker process was killed.* use fewer --jobs"):
        run(experiment(log, ("dies",)), tmp_path / "out", jobs=2)


def test_a_play_that_cannot_be_sent_to_a_worker_is_reported(tmp_path: Path, log: Path) -> None:
    unpicklable = dataclasses.replace(experiment(log), play=lambda policy, seed: play(log, policy, seed))
    with pytest.raises(ResultsError, match=r"pickle|local object"):
        run(unpicklable, tmp_path / "out", jobs=2)


def test_no_jobs_is_no_option(tmp_path: Path, log: Path) -> None:
    with pytest.raises(ConfigError, match="jobs is 0; use 1 or more"):
        run(experiment(log), tmp_path / "out", jobs=0)


def test_the_bar_is_on_stderr_and_tells_what_was_kept(
    tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(experiment(log), tmp_path / "out")
    run(experiment(log, seeds=(0, 1, 2)), tmp_path / "out", progress=BarProgress())
    output, errors = capsys.readouterr()
    assert output == ""
    assert "4 of 6 runs were finished earlier and are kept" in errors
    assert "6/6" in errors
