"""A preset of the shared cluster as a scenario: its workloads, and how its cluster behaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from clustersim.failures import FailureConfig
from clustersim.power import PowerConfig
from clustersim.scenarios.cluster_control import ClusterControl
from clustersim.traces.control_load import control_source

OVERSUBSCRIPTION = 0.25
"""Of the presets. POLCA's 30 % is for rows of GPU servers only; among openb's nodes GPUs are a smaller part of what a
row draws, and a brake that acts on GPUs could not keep its budget."""

FAILURES = {"small": 100.0, "medium": 20.0, "large": 5.0}
"""Multiples of the failure rate of RSC-1, so that an episode of any size sees some: about 1, 13 and 40 [D]."""


def control_scenario(
    preset: str = "small",
    trace_pods: str | Path | None = None,
    trace_services: str | Path | None = None,
    duration_s: float | None = None,
    **changes: Any,
) -> ClusterControl:
    """A preset; `changes` are fields of ClusterControl. Traces are as in `control_source`, which raises if bad."""
    scenario = ClusterControl(
        control_source(preset, trace_pods, trace_services, duration_s),
        power=PowerConfig(oversubscription=OVERSUBSCRIPTION),
        failures=FailureConfig(multiplier=FAILURES[preset]),
    )
    return replace(scenario, **changes)
