"""The speed of VM rescheduling is measured for the simulation and for the environment."""

from __future__ import annotations

from clustersim.bench.speed import measure_rescheduling
from clustersim.traces.vm_like import VmLike


def test_speed_is_measured_per_decision_and_per_migration() -> None:
    found = list(measure_rescheduling(VmLike(machines=5)(0), mnl=3, seconds=0.0))
    assert [(figure.what, figure.nodes) for figure in found] == [
        ("vm simulation", 5),
        ("vm environment", 5),
        ("vm environment, copy=False", 5),
        ("vm environment, migrations", 5),
    ]
    assert all(0 < figure.ratio < 1 < figure.per_s for figure in found)
