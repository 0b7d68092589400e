"""Experiments, runs and the folder that stores them."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

import clustersim
from clustersim.bench import Experiment, RunResult, RunStore, Series
from clustersim.bench.atomic import write_atomically
from clustersim.bench.store import UnusableRunError, slug
from clustersim.errors import ConfigError, ResultsError


def play(policy: str, seed: int) -> RunResult:
    raise NotImplementedError


EXPERIMENT = Experiment("placement", "openb", {"nodes": 4, "gpu": {"share": 0.5}}, ("a", "b"), (0, 1), play)
CURVE = Series(np.array([0.0, 1.0, 1.0]), np.array([0.1, np.nan, 1 / 3]), "time [s]", "pods")
RESULT = RunResult({"score": 0.1 + 0.2, "p99_s": math.nan}, {"curve": CURVE}, decisions=10, wall_s=0.5)


def test_a_run_is_read_back_exactly_as_it_was_saved(tmp_path: Path) -> None:
    RunStore(tmp_path, EXPERIMENT).save("a", 1, RESULT)
    found = RunStore(tmp_path, EXPERIMENT).load("a", 1)
    assert found.metrics["score"] == 0.1 + 0.2
    assert math.isnan(found.metrics["p99_s"])
    assert (found.decisions, found.wall_s) == (10, 0.5)
    np.testing.assert_array_equal(found.series["curve"].x, CURVE.x)
    np.testing.assert_array_equal(found.series["curve"].y, CURVE.y)
    assert (found.series["curve"].x_label, found.series["curve"].y_label) == ("time [s]", "pods")


def test_a_run_that_was_not_done_is_not_found(tmp_path: Path) -> None:
    store = RunStore(tmp_path, EXPERIMENT)
    store.save("a", 1, RESULT)
    with pytest.raises(FileNotFoundError):
        store.load("a", 0)
    with pytest.raises(FileNotFoundError):
        store.load("b", 1)


def test_a_run_counts_its_decisions_per_second() -> None:
    assert RESULT.rows["decisions_per_s"] == 20.0
    assert list(RESULT.rows) == ["score", "p99_s", "decisions", "decisions_per_s", "wall_s"]
    assert math.isnan(dataclasses.replace(RESULT, wall_s=0.0).rows["decisions_per_s"])


@pytest.mark.parametrize(
    ("metrics", "words"), [({"jct_s": math.inf}, "'jct_s' is inf"), ({"wall_s": 1.0}, "'wall_s' is added by")]
)
def test_a_metric_that_would_spoil_the_statistics_is_refused(metrics: dict[str, float], words: str) -> None:
    with pytest.raises(ResultsError, match=words):
        RunResult(metrics, {}, decisions=1, wall_s=1.0)


@pytest.mark.parametrize(
    ("x", "y"), [([0, 1], [0]), ([1, 0], [0, 0]), ([0, math.nan], [0, 0]), ([0, 1], [0, math.inf]), ([[0]], [[0]])]
)
def test_a_series_that_is_no_line_is_refused(x: list[float], y: list[float]) -> None:
    with pytest.raises(ResultsError, match="series 'pods'"):
        Series(np.array(x, dtype=float), np.array(y, dtype=float), "time [s]", "pods")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"policies": ()}, "at least one policy"),
        ({"seeds": (1, 2, 1)}, "seed 1 is listed more than once"),
        ({"config": {"folder": Path("x")}}, "config key 'folder'"),
        ({"config": {"timeout_s": math.inf}}, "config key 'timeout_s' holds inf"),
    ],
)
def test_an_impossible_experiment_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        dataclasses.replace(EXPERIMENT, **change)


def test_a_folder_of_another_experiment_is_refused_with_every_difference(tmp_path: Path) -> None:
    RunStore(tmp_path, EXPERIMENT)
    other = dataclasses.replace(EXPERIMENT, trace="philly", config={"gpu": {"share": 1.0}, "racks": 2})
    with pytest.raises(ResultsError) as refusal:
        RunStore(tmp_path, other)
    message = str(refusal.value)
    for part in (
        str(tmp_path),
        'trace is "openb" there and "philly" now',
        "config.nodes is 4 there and absent now",
        "config.gpu.share is 0.5 there and 1.0 now",
        "config.racks is absent there and 2 now",
        "choose another --out or delete the folder",
    ):
        assert part in message
    assert "scenario" not in message


def test_runs_of_another_version_are_not_mixed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RunStore(tmp_path, EXPERIMENT)
    monkeypatch.setattr(clustersim, "__version__", "99.0")
    with pytest.raises(ResultsError, match=r'clustersim is ".*" there and "99\.0" now'):
        RunStore(tmp_path, EXPERIMENT)


def test_a_config_given_as_tuples_is_the_one_read_back_as_lists(tmp_path: Path) -> None:
    with_tuple = dataclasses.replace(EXPERIMENT, config={"mix": (1, 2)})
    RunStore(tmp_path, with_tuple)
    RunStore(tmp_path, with_tuple)


def test_more_policies_and_seeds_may_use_the_same_folder(tmp_path: Path) -> None:
    RunStore(tmp_path, EXPERIMENT).save("a", 1, RESULT)
    grown = dataclasses.replace(EXPERIMENT, policies=("c", "a"), seeds=(1, 5), policy_fingerprint={"c": "f00"})
    assert RunStore(tmp_path, grown).load("a", 1).decisions == 10


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ResultsError, match=r"thesis\.tex.*choose another --out"):
        RunStore(tmp_path, EXPERIMENT)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ResultsError, match=r"out cannot be used.*choose another --out"):
        RunStore(tmp_path / "out", EXPERIMENT)


def test_a_crash_before_the_first_file_was_whole_leaves_a_usable_folder(tmp_path: Path) -> None:
    (tmp_path / ".experiment.json.4711.clustersim-tmp").write_text('{"scen')
    RunStore(tmp_path, EXPERIMENT).save("a", 0, RESULT)
    assert json.loads((tmp_path / "experiment.json").read_text())["trace"] == "openb"


def test_a_damaged_experiment_file_is_named(tmp_path: Path) -> None:
    RunStore(tmp_path, EXPERIMENT)
    (tmp_path / "experiment.json").write_text("{")
    with pytest.raises(ResultsError, match=r"experiment\.json is damaged"):
        RunStore(tmp_path, EXPERIMENT)


@pytest.mark.parametrize("keep", [0, 1, 60, -1])
def test_a_truncated_run_is_recognised(tmp_path: Path, keep: int) -> None:
    store = RunStore(tmp_path, EXPERIMENT)
    store.save("a", 0, RESULT)
    content = store.path("a", 0).read_bytes()
    store.path("a", 0).write_bytes(content[:keep])
    with pytest.raises(UnusableRunError, match="policy 'a' with seed 0 is damaged"):
        store.load("a", 0)


@pytest.mark.parametrize("content", [b"\0" * 100, b"\xff\xfe", b"[]", b"{}", b'{"metrics": 3}'])
def test_a_run_file_with_other_content_is_recognised(tmp_path: Path, content: bytes) -> None:
    store = RunStore(tmp_path, EXPERIMENT)
    store.path("a", 0).write_bytes(content)
    with pytest.raises(UnusableRunError, match="is damaged"):
        store.load("a", 0)


def test_runs_of_earlier_weights_are_not_used(tmp_path: Path) -> None:
    before = dataclasses.replace(EXPERIMENT, policy_fingerprint={"a": "old"})
    after = dataclasses.replace(EXPERIMENT, policy_fingerprint={"a": "new"})
    for policy in ("a", "b"):
        RunStore(tmp_path, before).save(policy, 0, RESULT)
    store = RunStore(tmp_path, after)
    with pytest.raises(UnusableRunError, match="policy 'a' has changed since its run with seed 0"):
        store.load("a", 0)
    assert store.load("b", 0).decisions == 10


def test_policies_that_are_paths_get_safe_and_distinct_file_names() -> None:
    policies = [
        "runs/ppo",
        "runs-ppo",
        "runs\\ppo",
        "../../runs/ppo",
        "/",
        "..",
        "ä b",
        "A" * 500,
        "A" * 501,
        "fgd",
        "FGD",
    ]
    slugs = [slug(policy) for policy in policies]
    assert len({name.lower() for name in slugs}) == len(policies)
    assert all(len(name) <= 60 and name.isascii() for name in slugs)
    assert not [name for name in slugs if set(name) & set("/\\: ") or name.startswith(".")]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomically(tmp_path / "file", b"old")

    def disk_is_full(source: Path, target: Path) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", disk_is_full)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(tmp_path / "file", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]
