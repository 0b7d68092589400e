"""Pods on heterogeneous GPU nodes: shared and whole GPUs, two workload modes, up to three roles.

The modes are told in `pod_inflation` and `pod_replay`, what they share in `pod_world`; what may be done to pods that
run is told in `pod_rescheduling`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf
from typing import Literal, get_args

from clustersim.errors import ConfigError
from clustersim.pending import Queue
from clustersim.scenarios.pod_inflation import PodInflation
from clustersim.scenarios.pod_replay import PodReplay
from clustersim.scenarios.pod_rescheduling import PodRescheduling
from clustersim.scenarios.pod_world import PodPlacementSimulation
from clustersim.workload import PodWorkload

Mode = Literal["inflation", "replay"]
Replan = Literal["off", "pending", "periodic"]

_ONLY_IN_REPLAY = (
    "queue",
    "arrival_speedup",
    "image_bandwidth_mib_s",
    "image_cache_mib",
    "image_mib",
    "preemption",
    "replan",
    "replan_every_s",
    "checkpoint_share",
)


@dataclass(frozen=True)
class PodPlacement:
    """The scenario: a workload and how it is played.

    The candidates of `place` are the nodes in the order of `view.cluster`, and in replay mode one more: wait. The
    order of the nodes is shuffled by the seed, because ties go to the lowest index. A policy may leave the index of a
    GPU device in `decision.detail` for a pod that shares one; otherwise the device is the tightest fit.

    `preempt` is asked about a pod that fits nowhere, but would if all pods of lower priority were gone from a node. Its
    candidates are the nodes (legal: those nodes) and nobody (the last). `decision.detail` may name the victims by their
    rows; None leaves them to `clustersim.preemption`. They go at once, and the pod is bound.

    `replan` is asked about a `Snapshot` of all pods that run or wait. Its candidates are KEEP and CARRY_OUT; the latter
    needs a `Plan` for the snapshot in `decision.detail`.
    """

    workload: PodWorkload
    mode: Mode = "inflation"
    demand_ratio: float = 1.3
    """inflation: GPU demand that arrives, as a multiple of the GPU capacity."""
    nodes: int | None = None
    """Play on a sample of this many nodes, drawn by the seed in proportion to the node shapes; None: on all."""
    queue: Queue = "backfill"
    """replay: `head` offers only the first pod of the queue, `backfill` every pod that fits."""
    arrival_speedup: float = 1.0
    """replay: arrival times are divided by this, durations stay; 10 loads the cluster ten times as much."""
    typical_share: float = 0.95
    """Share of the pod list that the typical pods of the fragmentation measure cover."""
    image_bandwidth_mib_s: float = inf
    """Speed of an image pull; infinite: starting a pod takes no time."""
    image_cache_mib: float = inf
    """Budget of a node's image cache."""
    image_mib: int = 0
    """Size of the image of pods whose trace names none; they then share one image per request shape."""
    preemption: bool = False
    """replay: a pod that fits nowhere may take the place of pods of lower priority."""
    replan: Replan = "off"
    """replay: ask for a plan for all pods: when a round of offers leaves pods pending, but once an instant (`pending`);
    or at times, instead of offering pods one by one (`periodic`)."""
    replan_every_s: float = 0.0
    """replan='periodic': plans are asked for at multiples of this, while pods are pending and something has changed."""
    checkpoint_share: float = 0.0
    """replay: the share of the work it has done since its start that a moved or evicted pod keeps."""

    def __post_init__(self) -> None:
        for name, choices in (("mode", get_args(Mode)), ("queue", get_args(Queue)), ("replan", get_args(Replan))):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}")
        if not 0 < self.demand_ratio < inf:
            raise ConfigError(f"demand_ratio is {self.demand_ratio}; it has to be positive and finite")
        if not self.image_bandwidth_mib_s > 0:
            raise ConfigError(f"image_bandwidth_mib_s is {self.image_bandwidth_mib_s}; it has to be positive")
        if not self.image_cache_mib >= 0:
            raise ConfigError(f"image_cache_mib is {self.image_cache_mib}; it has to be at least 0")
        if not 0 < self.arrival_speedup < inf:
            raise ConfigError(f"arrival_speedup is {self.arrival_speedup}; it has to be positive")
        if not 0 < self.typical_share <= 1:
            raise ConfigError(f"typical_share is {self.typical_share}; it has to be in (0, 1]")
        if self.image_mib < 0:
            raise ConfigError(f"image_mib is {self.image_mib}; it has to be at least 0")
        if not 0 <= self.replan_every_s < inf:
            raise ConfigError(f"replan_every_s is {self.replan_every_s}; it has to be at least 0 and finite")
        if not 0 <= self.checkpoint_share <= 1:
            raise ConfigError(f"checkpoint_share is {self.checkpoint_share}; it has to be in [0, 1]")
        self._reject_options_without_effect()
        self._reject_contradictory_rescheduling()
        if self.nodes is not None and self.nodes not in range(1, len(self.workload.nodes) + 1):
            raise ConfigError(
                f"nodes is {self.nodes}, but workload {self.workload.name!r} has {len(self.workload.nodes)}; "
                f"choose a number from 1 to {len(self.workload.nodes)}"
            )
        if len(self.workload.pods) == 0:
            raise ConfigError(f"workload {self.workload.name!r} has no pods")
        if self.mode == "inflation" and not self.workload.pods.gpu_demand_milli.any():
            raise ConfigError(
                f"no pod of workload {self.workload.name!r} asks for a GPU, so its GPU demand never reaches "
                f"{self.demand_ratio} x capacity; use mode='replay'"
            )
        if self.mode == "inflation" and not self.workload.nodes.gpu_count.any():
            raise ConfigError(f"no node of workload {self.workload.name!r} has a GPU; use mode='replay'")

    def _reject_options_without_effect(self) -> None:
        only_in = dict.fromkeys(_ONLY_IN_REPLAY, "replay") | {"demand_ratio": "inflation"}
        for option in fields(self):
            mode = only_in.get(option.name, self.mode)
            if mode != self.mode and getattr(self, option.name) != option.default:
                raise ConfigError(
                    f"{option.name} is {getattr(self, option.name)!r}, which has an effect only in mode {mode!r}; "
                    f"leave it away, or set mode={mode!r}"
                )
        for name, default in (("image_mib", 0), ("image_cache_mib", inf)):
            if self.image_bandwidth_mib_s == inf and getattr(self, name) != default:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}, which has no effect while pulls take no time; "
                    "set image_bandwidth_mib_s too"
                )

    def _reject_contradictory_rescheduling(self) -> None:
        if self.replan == "periodic" and self.replan_every_s == 0:
            raise ConfigError("replan is 'periodic', but replan_every_s is 0; set it to the seconds between plans")
        if self.replan != "periodic" and self.replan_every_s:
            raise ConfigError(
                f"replan_every_s is {self.replan_every_s}, which has an effect only with replan='periodic'; leave it "
                "away, or set that"
            )
        if self.replan == "periodic" and (self.preemption or self.queue == "head"):
            name = "preemption" if self.preemption else "queue"
            raise ConfigError(
                f"{name} is {getattr(self, name)!r}, which has no effect with replan='periodic', where no pod is "
                "offered a node; leave it away, or set replan='pending'"
            )
        if self.checkpoint_share and not self.reschedules:
            raise ConfigError(
                f"checkpoint_share is {self.checkpoint_share}, which has no effect while no pod is moved or evicted; "
                "set preemption or replan too"
            )

    @property
    def reschedules(self) -> bool:
        """Whether pods that run may be stopped."""
        return self.preemption or self.replan != "off"

    def build(self, seed: int) -> PodPlacementSimulation:
        """A simulation at time 0; the same seed builds the same one."""
        if self.mode == "inflation":
            return PodInflation(self, seed)
        return PodRescheduling(self, seed) if self.reschedules else PodReplay(self, seed)
