"""The Gymnasium ids, registered by string: nothing heavy is imported until an environment is made."""

from __future__ import annotations

import gymnasium

ENVIRONMENTS: dict[str, str] = {
    "clustersim/PodPlacement-v0": "clustersim.envs.pod_placement:PodPlacementEnv",
    "clustersim/PodPacking-v0": "clustersim.envs.pod_packing:PodPackingEnv",
    "clustersim/DagScheduling-v0": "clustersim.envs.dag_scheduling:DagSchedulingEnv",
    "clustersim/DagDispatch-v0": "clustersim.envs.dag_scheduling:DagDispatchEnv",
    "clustersim/VmRescheduling-v0": "clustersim.envs.vm_rescheduling:VmReschedulingEnv",
    "clustersim/ClusterControl-v0": "clustersim.envs.control_role:ClusterControlEnv",
}
"""Gymnasium id -> entry point. The version goes up when rewards, observations or dynamics change."""


def register_all() -> None:
    """Register every environment that is not registered yet."""
    for name, entry_point in ENVIRONMENTS.items():
        if name not in gymnasium.registry:
            gymnasium.register(id=name, entry_point=entry_point)
