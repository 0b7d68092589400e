"""The scenarios by name, so that tests, environments and the command line find each without naming it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

SCENARIOS: dict[str, str] = {
    "pod-placement": "clustersim.scenarios.pod_placement:PodPlacement",
    "pod-packing": "clustersim.scenarios.pod_packing:PodPacking",
    "dag-scheduling": "clustersim.scenarios.dag_scheduling:DagScheduling",
    "vm-rescheduling": "clustersim.scenarios.vm_rescheduling:VmRescheduling",
    "cluster-control": "clustersim.scenarios.cluster_control:ClusterControl",
}
"""Name to "module:class". Strings, because importing a scenario compiles its kernels."""


def scenario(name: str) -> Callable[..., Any]:
    """The configuration class of a scenario."""
    module, _, attribute = SCENARIOS[name].partition(":")
    return getattr(import_module(module), attribute)  # type: ignore[no-any-return]
