"""Live migration by pre-copy: traffic, duration and downtime."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import MANY

from clustersim.errors import ConfigError
from clustersim.live_migration import Migration, precopy


def test_each_round_copies_what_was_written_during_the_one_before() -> None:
    # 1024, 256, 64, 16 MiB; the last is at most 20 MiB and is copied while the pod stands still.
    assert precopy(1024, 25, 100, stop_mib=20) == Migration(1360.0, 13.6, 0.16, rounds=3)


def test_memory_that_nobody_writes_is_copied_once_and_the_pod_never_stands_still() -> None:
    assert precopy(1000, 0, 100, stop_mib=0) == Migration(1000.0, 10.0, 0.0, rounds=1)


def test_memory_below_the_threshold_is_copied_while_the_pod_stands_still() -> None:
    assert precopy(50, 25, 100, stop_mib=50) == Migration(50.0, 0.5, 0.5, rounds=0)


@pytest.mark.parametrize("dirty", [100, 101, 5000])
def test_a_pod_that_writes_faster_than_the_network_is_copied_again_and_again_then_stopped(dirty: float) -> None:
    # What was written is never more than the memory, however fast.
    assert precopy(200, dirty, 100, stop_mib=10) == Migration(31 * 200, 62.0, 2.0, rounds=30)
    assert precopy(200, dirty, 100, stop_mib=10, max_rounds=2) == Migration(600.0, 6.0, 2.0, rounds=2)


def test_without_rounds_everything_is_copied_while_the_pod_stands_still() -> None:
    assert precopy(200, 10, 100, stop_mib=10, max_rounds=0) == Migration(200.0, 2.0, 2.0, rounds=0)


@given(
    memory=st.floats(1.0, 1e6),
    share=st.floats(0.01, 0.99),
    bandwidth=st.floats(1.0, 1e4),
    stop=st.floats(0.0, 1e4),
    max_rounds=st.integers(0, 40),
)
@MANY
def test_the_rounds_add_up_to_the_geometric_series(
    memory: float, share: float, bandwidth: float, stop: float, max_rounds: int
) -> None:
    migration = precopy(memory, share * bandwidth, bandwidth, stop, max_rounds)
    k = migration.rounds
    assert migration.total_mib == pytest.approx(memory * (1 - share ** (k + 1)) / (1 - share))
    assert migration.downtime_s == pytest.approx(memory * share**k / bandwidth)
    assert migration.duration_s == pytest.approx(migration.total_mib / bandwidth)
    assert k == max_rounds or memory * share**k <= stop * (1 + 1e-9)
    assert k == 0 or memory * share ** (k - 1) >= stop * (1 - 1e-9)
    assert k <= max_rounds


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_bandwidth_is_refused(bandwidth: float) -> None:
    with pytest.raises(ConfigError, match="needs a bandwidth"):
        precopy(100, 1, bandwidth, 10)


@pytest.mark.parametrize("name", ["memory_mib", "dirty_mib_s", "stop_mib", "max_rounds"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_impossible_amounts_are_refused_by_name(name: str, value: float) -> None:
    amounts = {"memory_mib": 100, "dirty_mib_s": 1, "bandwidth_mib_s": 10, "stop_mib": 1, name: value}
    with pytest.raises(ConfigError, match=f"{name} of a migration is {value}"):
        precopy(**amounts)  # type: ignore[arg-type]
