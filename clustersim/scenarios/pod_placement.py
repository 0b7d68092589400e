"""Pods on heterogeneous GPU nodes: shared and whole GPUs, two workload modes, one role: `place`.

The modes are told in `pod_inflation` and `pod_replay`, what they share in `pod_world`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf
from typing import Literal, get_args

from clustersim.errors import ConfigError
from clustersim.pending import Queue
from clustersim.scenarios.pod_inflation import PodInflation
from clustersim.scenarios.pod_replay import PodReplay
from clustersim.scenarios.pod_world import PodPlacementSimulation
from clustersim.workload import PodWorkload

Mode = Literal["inflation", "replay"]


@dataclass(frozen=True)
class PodPlacement:
    """The scenario: a workload and how it is played.

    The candidates of `place` are the nodes in the order of `view.cluster`, and in replay mode one more: wait. The
    order of the nodes is shuffled by the seed, because ties go to the lowest index. A policy may leave the index of a
    GPU device in `decision.detail` for a pod that shares one; otherwise the device is the tightest fit.
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

    def __post_init__(self) -> None:
        for name, choices in (("mode", get_args(Mode)), ("queue", get_args(Queue))):
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
        self._reject_options_without_effect()
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
        only_in = dict.fromkeys(
            ("queue", "arrival_speedup", "image_bandwidth_mib_s", "image_cache_mib", "image_mib"), "replay"
        ) | {"demand_ratio": "inflation"}
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

    def build(self, seed: int) -> PodPlacementSimulation:
        """A simulation at time 0; the same seed builds the same one."""
        return PodInflation(self, seed) if self.mode == "inflation" else PodReplay(self, seed)
