"""Batch pods of the shared cluster: drawn from a library of pods, so that a cluster of that size stays busy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from clustersim.cluster import accepted_models, gpu_models
from clustersim.control_workload import BatchTraits
from clustersim.errors import ConfigError
from clustersim.interference import KINDS
from clustersim.traces.openb_like import openb_like
from clustersim.workload import GPU_MILLI, NodeTable, PodTable

PRIORITY_SHARE = {0: 0.35, 1: 0.35, 2: 0.30}
QOS = ("BE", "Burstable", "LS")

SHORTEST_S, LONGEST_S = 60.0, 8 * 3600.0
"""Lifetimes are cut to this: what is shorter or longer decides nothing within an episode (D)."""

IMAGE_MIB = (1024, 1536, 2048, 2048, 3072, 3072, 4096, 4096, 5120, 6144, 8192, 10_240)
"""Pods are made from these images by turns (D); openb does not say which it used."""

GPU_LOAD, CPU_LOAD, CLOCK_SENSITIVITY = (0.8, 1.0), (0.6, 1.0), (0.15, 1.0)
"""Ranges of what the traces do not tell (D). With these a row of `small` that is oversubscribed by 30 %, and packed
by priority, peaks at 1.00 to 1.03 of its budget. Sensitivity: .15 memory-bound, as the token phase of POLCA, 1
compute-bound."""


@dataclass(frozen=True, eq=False)
class BatchLoad:
    """A distribution of batch pods for nodes in zones; `draw` makes those of an episode.

    Pods arrive independently, in a wave with a random phase, each a copy of a row of `library` that fits a node. At
    time 0 those of before are there that would still run. Over a period they ask for `gpus` GPUs on average, a zone for
    its share (Z,) of what fits there.
    """

    library: PodTable
    nodes: NodeTable
    zone: NDArray[np.int64]
    gpus: float
    zone_share: NDArray[np.float64]
    duration_s: float
    period_s: float
    peak_to_trough: float

    def draw(self, rng: np.random.Generator) -> tuple[PodTable, BatchTraits]:
        """The pods by arrival."""
        work_s = self._lifetime_s * self.library.gpu_demand_milli[self._rows] / GPU_MILLI
        arrived_s = self._arrivals_s(rng, self.gpus / float(work_s.mean()))
        picked = rng.integers(len(self._rows), size=len(arrived_s))
        left_s = np.minimum(arrived_s, 0.0) + self._lifetime_s[picked]
        alive = left_s > 0
        picked, rows = picked[alive], self._rows[picked[alive]]
        pods = replace(
            self.library.take(rows),
            name=tuple(f"batch-{number:06d}" for number in range(len(rows))),
            arrival_s=np.maximum(arrived_s[alive], 0.0),
            duration_s=left_s[alive],
            image=tuple(f"batch-image-{k}" for k in rows % len(IMAGE_MIB)),
            image_mib=np.array(IMAGE_MIB, dtype=np.int64)[rows % len(IMAGE_MIB)],
        )
        return pods, self._traits(rng, picked)

    def _arrivals_s(self, rng: np.random.Generator, per_s: float) -> NDArray[np.float64]:
        """Sorted, from as long before time 0 as a pod can live; by thinning."""
        swing = (self.peak_to_trough - 1) / (self.peak_to_trough + 1)
        count = rng.poisson((1 + swing) * per_s * (LONGEST_S + self.duration_s))
        time_s = np.sort(rng.uniform(-LONGEST_S, self.duration_s, size=count))
        wave = 1 + swing * np.sin(2 * np.pi * (time_s / self.period_s + rng.random()))
        kept: NDArray[np.float64] = time_s[rng.random(count) * (1 + swing) < wave]
        return kept

    def _traits(self, rng: np.random.Generator, picked: NDArray[np.int64]) -> BatchTraits:
        count = len(picked)
        return BatchTraits(
            zone=(self._zone_edges[picked] <= rng.random(count)[:, None]).sum(axis=1),
            gpu_load=rng.uniform(*GPU_LOAD, size=count),
            cpu_load=rng.uniform(*CPU_LOAD, size=count),
            clock_sensitivity=rng.uniform(*CLOCK_SENSITIVITY, size=count),
            kind=rng.integers(len(KINDS), size=count),
        )

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        """The rows of the library that fit some node."""
        rows = np.flatnonzero(self._fits.any(axis=1))
        if len(rows) == 0 or not self.library.gpu_demand_milli[rows].any():
            raise ConfigError(f"none of {len(self.library)} pods asks for GPUs and fits a node; use other pods")
        return rows

    @cached_property
    def _lifetime_s(self) -> NDArray[np.float64]:
        known_s = np.nan_to_num(self.library.duration_s[self._rows], nan=LONGEST_S)
        return np.clip(known_s, SHORTEST_S, LONGEST_S)

    @cached_property
    def _zone_edges(self) -> NDArray[np.float64]:
        """(rows, Z - 1) cumulated chances of the zones in which a row fits."""
        chance = self._fits[self._rows] * self.zone_share
        edges: NDArray[np.float64] = np.cumsum(chance, axis=1)[:, :-1] / chance.sum(axis=1, keepdims=True)
        return edges

    @cached_property
    def _fits(self) -> NDArray[np.bool_]:
        """(P, Z) whether an empty node of the zone holds the pod."""
        pods, nodes, models = self.library, self.nodes, gpu_models(self.nodes)
        specs = {spec: accepted_models(spec, models) for spec in dict.fromkeys(pods.gpu_spec)}
        accepted = np.array([specs[spec] for spec in pods.gpu_spec], dtype=np.int64)
        fits = np.zeros((len(pods), len(self.zone_share)), dtype=np.bool_)
        shapes = zip(
            *(nodes.cpu_milli, nodes.memory_mib, nodes.gpu_count, nodes.gpu_model, self.zone.tolist()), strict=True
        )
        for cpu_milli, memory_mib, gpus, model, zone in sorted(set(shapes)):
            enough = (pods.cpu_milli <= cpu_milli) & (pods.memory_mib <= memory_mib) & (pods.num_gpu <= gpus)
            bit = 1 << models.index(model) if model else 0
            fits[:, zone] |= enough & ((pods.num_gpu == 0) | (accepted & bit != 0))
        return fits


@lru_cache(maxsize=8)
def generated_pods(median_s: float, sigma: float) -> PodTable:
    """A library of 8,152 pods that ask for what those of openb do, with lognormal lifetimes and our priorities.

    The lifetimes of openb (medians of 6 to 10 minutes, means of days) leave a cluster of its size nearly empty or, cut
    to an episode, full of pods that never end; ours are a declared stand-in.
    """
    library, rng = openb_like(0).pods, np.random.default_rng(0)
    count = len(library)
    priority = rng.choice(list(PRIORITY_SHARE), size=count, p=list(PRIORITY_SHARE.values()))
    return replace(
        library,
        qos=tuple(QOS[level] for level in priority),
        priority=priority.astype(np.int64),
        duration_s=median_s * np.exp(sigma * rng.standard_normal(count)),
    )
