"""The optimality gap in the placement benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from clustersim.baselines import inflation_bound
from clustersim.bench.placement_gap import GAP_METRICS
from clustersim.bench.pod_placement import PodPlacementBench
from clustersim.cli import main
from clustersim.errors import ConfigError


def test_every_policy_gets_its_share_of_the_same_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflation_bound, "DETERMINISTIC_LIMIT", 0.2)
    bench = PodPlacementBench("openb-like", nodes=8, gap=True)
    for policy in ("best-fit", "random"):
        found = bench.play(policy, 42).metrics
        bound, known = (found[info.name] for info in GAP_METRICS)
        assert 0 < found["gpu_allocation_at_100"] <= bound <= min(1, known)
        assert found["gpu_allocation_at_100"] / bound == pytest.approx(
            bench.play("first-fit", 42).metrics["gpu_allocation_at_100"]
            / bench.play("first-fit", 42).metrics["share_of_bound_at_100"]
        )
    assert set(GAP_METRICS) <= set(bench.metrics(("best-fit",)))


def test_without_the_option_nothing_is_solved() -> None:
    bench = PodPlacementBench("openb-like", nodes=8)
    assert not {info.name for info in GAP_METRICS} & set(bench.play("best-fit", 42).metrics)


def test_a_gap_is_only_for_inflation() -> None:
    with pytest.raises(ConfigError, match="gap has no effect in mode 'replay'"):
        PodPlacementBench("openb-like", mode="replay", gap=True).experiment(("best-fit",), (1,))


def test_the_command_line_prints_the_gap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ["bench", "pod-placement", "--nodes", "6", "--gap", "--policies", "best-fit,random", "--seeds", "1"]
    assert main([*arguments, "--out", str(out)]) == 0
    assert "share_of_bound_at_100" in (out / "summary.json").read_text()
