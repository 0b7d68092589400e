"""Node failures and repairs: how often, how long, and independent of everything else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import simpy

from clustersim.errors import ConfigError
from clustersim.failures import DAY_S, FailureConfig, Failures

Transcript = list[tuple[float, int, str]]


def transcript(
    config: FailureConfig,
    nodes: int,
    days: float,
    seed: int = 0,
    meanwhile: Callable[[np.random.Generator], None] = lambda _rng: None,
) -> Transcript:
    """(time, node, "failed" or "repaired") in order; `meanwhile` is called with the parent generator at each."""
    env = simpy.Environment()
    rng = np.random.default_rng(seed)
    lines: Transcript = []

    def note(what: str) -> Callable[[int], None]:
        def happened(node: int) -> None:
            lines.append((env.now, node, what))
            meanwhile(rng)

        return happened

    failures = Failures(env, rng, nodes, config, note("failed"), note("repaired"))
    env.run(until=days * DAY_S)
    assert failures.failures == sum(what == "failed" for _, _, what in lines)
    return lines


def of_node(lines: Transcript, node: int) -> list[tuple[float, str]]:
    return [(time_s, what) for time_s, where, what in lines if where == node]


OFTEN = FailureConfig(multiplier=50.0)


def test_the_default_is_a_failure_per_node_in_154_days() -> None:
    assert FailureConfig().mean_up_s / DAY_S == pytest.approx(153.8, abs=0.1)
    assert FailureConfig(multiplier=3.7).mean_up_s / DAY_S == pytest.approx(41.6, abs=0.1)


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.0])
def test_from_the_start_nodes_fail_at_the_declared_rate_whatever_the_shape(shape: float) -> None:
    # In 8 days a node fails seldom, so what is counted are mostly first failures.
    lines = transcript(FailureConfig(weibull_shape=shape, repair_mean_s=60.0), nodes=8000, days=8.0)
    failures = sum(what == "failed" for _, _, what in lines)
    expected = 8000 * 8 * 6.5 / 1000
    assert failures == pytest.approx(expected, abs=4 * expected**0.5)
    early = sum(what == "failed" and time_s < 4 * DAY_S for time_s, _, what in lines)
    assert early == pytest.approx(expected / 2, abs=4 * (expected / 2) ** 0.5)


@pytest.mark.parametrize("shape", [0.7, 1.0])
def test_times_to_failure_after_a_repair_have_the_declared_mean_and_shape(shape: float) -> None:
    config = FailureConfig(multiplier=1000.0, weibull_shape=shape, repair_mean_s=1.0, repair_sigma=0.0)
    lines = transcript(config, nodes=40, days=40.0)
    times = []
    for node in range(40):
        at = [time_s for time_s, _ in of_node(lines, node)]
        times += [failed - repaired for repaired, failed in zip(at[1::2], at[2::2], strict=False)]
    times_s = np.array(times)
    deviation = times_s.std() / len(times_s) ** 0.5
    assert times_s.mean() == pytest.approx(config.mean_up_s, abs=4 * deviation)
    # P(T < mean) = 1 - exp(-gamma(1 + 1 / shape) ** shape)
    share = {0.7: 0.6926, 1.0: 0.6321}[shape]
    assert (times_s < config.mean_up_s).mean() == pytest.approx(share, abs=2 / len(times_s) ** 0.5)


def test_a_node_fails_and_is_repaired_in_turn() -> None:
    lines = transcript(OFTEN, nodes=20, days=30.0)
    for node in range(20):
        what = [event for _, event in of_node(lines, node)]
        assert len(what) > 4
        assert what == (["failed", "repaired"] * len(what))[: len(what)]


def test_repairs_take_the_declared_mean() -> None:
    config = FailureConfig(multiplier=300.0, repair_mean_s=7200.0, repair_sigma=0.5)
    lines = transcript(config, nodes=40, days=40.0)
    repairs = []
    for node in range(40):
        at = [time_s for time_s, _ in of_node(lines, node)]
        repairs += [up - down for down, up in zip(at[::2], at[1::2], strict=False)]
    assert len(repairs) > 1000
    assert np.mean(repairs) == pytest.approx(7200.0, abs=4 * np.std(repairs) / len(repairs) ** 0.5)
    assert np.std(np.log(repairs)) == pytest.approx(0.5, rel=0.1)


def test_repairs_without_spread_all_take_the_same() -> None:
    lines = transcript(FailureConfig(multiplier=50.0, repair_mean_s=600.0, repair_sigma=0.0), nodes=3, days=20.0)
    for node in range(3):
        at = [time_s for time_s, _ in of_node(lines, node)]
        assert [up - down for down, up in zip(at[::2], at[1::2], strict=False)] == pytest.approx(
            [600.0] * (len(at) // 2)
        )


def test_the_same_seed_brings_the_same_failures_and_another_one_does_not() -> None:
    assert transcript(OFTEN, 10, 20.0, seed=3) == transcript(OFTEN, 10, 20.0, seed=3)
    assert transcript(OFTEN, 10, 20.0, seed=3) != transcript(OFTEN, 10, 20.0, seed=4)


def test_a_node_fails_when_it_does_however_many_others_there_are_and_whatever_they_draw() -> None:
    few = transcript(OFTEN, 2, 20.0)
    many = transcript(OFTEN, 30, 20.0, meanwhile=lambda rng: rng.random(7))
    for node in range(2):
        assert of_node(few, node)
        assert of_node(few, node) == of_node(many, node)
    assert of_node(many, 0) != of_node(many, 1)


def test_without_a_rate_nothing_ever_fails_and_nothing_is_scheduled() -> None:
    env = simpy.Environment()
    Failures(env, np.random.default_rng(0), 5, FailureConfig(per_1000_node_days=0.0), print, print)
    assert env.peek() == float("inf")


@pytest.mark.parametrize("name", ["per_1000_node_days", "multiplier", "repair_sigma", "weibull_shape", "repair_mean_s"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_impossible_settings_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {value}"):
        FailureConfig(**{name: value})


@pytest.mark.parametrize("name", ["weibull_shape", "repair_mean_s"])
def test_a_shape_and_a_repair_of_nothing_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is 0"):
        FailureConfig(**{name: 0.0})
