"""Means, paired differences and confidence intervals, against hand-made numbers and scipy."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from clustersim.bench import Experiment, RunResult, summary
from clustersim.bench.statistics import estimate
from clustersim.errors import ConfigError


def play(policy: str, seed: int) -> RunResult:
    raise NotImplementedError


def summarise(values: dict[str, dict[str, list[float]]], reference: str = "a") -> dict[str, Any]:
    """From policy -> metric -> value per seed."""
    seeds = tuple(range(max(len(column) for metrics in values.values() for column in metrics.values())))
    rows = [
        (policy, seed, metric, value)
        for policy, metrics in values.items()
        for metric, column in metrics.items()
        for seed, value in enumerate(column)
    ]
    table = pd.DataFrame(rows, columns=["policy", "seed", "metric", "value"])
    return summary(Experiment("s", "t", {"n": 1}, tuple(values), seeds, play), table, reference)


def test_the_interval_is_the_one_of_the_textbook() -> None:
    # Mean 3, standard deviation sqrt(2.5), t(0.975, 4) = 2.776445.
    found = estimate(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert (found.mean, found.n) == (3.0, 5)
    assert found.half_width == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30, unique=True))
def test_the_interval_agrees_with_scipy(values: list[float]) -> None:
    interval = scipy.stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    low, high = estimate(np.array(values)).as_json()["ci95"]
    assert low == pytest.approx(interval.low, rel=1e-9, abs=1e-6)
    assert high == pytest.approx(interval.high, rel=1e-9, abs=1e-6)


def test_what_differs_by_rounding_alone_does_not_differ() -> None:
    thirds = [0.1 + 0.2, 0.3 + 0.6, 0.1]
    found = summarise({"a": {"m": [0.3, 0.9, 0.1]}, "b": {"m": thirds}})["paired"]["b"]["m"]
    assert (found["mean"], found["ci95"]) == (0.0, [0.0, 0.0])


def test_the_paired_difference_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(5, 1, 8), rng.normal(4, 1, 8)
    found = summarise({"a": {"score": list(a)}, "b": {"score": list(b)}})["paired"]
    expected = scipy.stats.ttest_rel(b, a).confidence_interval(0.95)
    assert list(found) == ["b"]
    assert found["b"]["score"]["mean"] == pytest.approx(np.mean(b) - np.mean(a))
    assert found["b"]["score"]["ci95"] == pytest.approx([expected.low, expected.high])


def test_pairing_removes_what_the_seeds_have_in_common() -> None:
    found = summarise({"a": {"score": [1.0, 100.0, 10000.0]}, "b": {"score": [2.0, 101.0, 10001.0]}})
    assert found["paired"]["b"]["score"] == {"mean": 1.0, "ci95": [1.0, 1.0], "n": 3}
    low, high = found["policies"]["b"]["score"]["ci95"]
    assert high - low > 10000


def test_a_single_seed_has_no_interval_and_still_makes_valid_json() -> None:
    found = summarise({"a": {"score": [1.0]}, "b": {"score": [3.0]}})
    assert found["policies"]["a"]["score"] == {"mean": 1.0, "ci95": [None, None], "n": 1}
    assert found["paired"]["b"]["score"] == {"mean": 2.0, "ci95": [None, None], "n": 1}
    json.dumps(found, allow_nan=False)


def test_identical_values_have_an_interval_of_no_width() -> None:
    assert estimate(np.array([2.0, 2.0, 2.0])).as_json() == {"mean": 2.0, "ci95": [2.0, 2.0], "n": 3}


def test_undefined_values_only_lower_n() -> None:
    nan = math.nan
    found = summarise({"a": {"p99": [1.0, nan, 3.0, 5.0]}, "b": {"p99": [2.0, 9.0, nan, 8.0]}})
    assert (found["policies"]["a"]["p99"]["mean"], found["policies"]["a"]["p99"]["n"]) == (3.0, 3)
    assert (found["paired"]["b"]["p99"]["mean"], found["paired"]["b"]["p99"]["n"]) == (2.0, 2)
    json.dumps(found, allow_nan=False)


def test_a_metric_that_is_never_defined_is_left_out() -> None:
    nan = math.nan
    found = summarise(
        {"a": {"x": [nan, 1.0], "y": [nan, nan]}, "b": {"x": [1.0, nan], "z": [1.0, 2.0]}, "c": {"y": [nan]}}
    )
    assert list(found["policies"]["a"]) == ["x"]
    assert list(found["policies"]["b"]) == ["x", "z"]
    assert found["policies"]["c"] == {}
    assert found["paired"] == {"b": {}, "c": {}}  # no common seed for x, no reference value for z


def test_the_summary_says_what_was_run() -> None:
    found = summarise({"b": {"score": [1.0, 2.0]}, "a": {"score": [1.0, 2.0]}}, reference="b")
    assert (found["scenario"], found["trace"], found["config"]) == ("s", "t", {"n": 1})
    assert (found["seeds"], found["reference"], list(found["policies"])) == ([0, 1], "b", ["b", "a"])


def test_an_unknown_reference_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'best-fit' is not among the policies of this benchmark \(a\)"):
        summarise({"a": {"score": [1.0]}}, reference="best-fit")
