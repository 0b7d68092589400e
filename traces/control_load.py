"""Workloads of the shared cluster: a preset in, a source out that makes the workload of a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clustersim.control_workload import ControlWorkload, Service, ServiceLoad
from clustersim.errors import ConfigError, TraceError
from clustersim.streams import Streams
from clustersim.traces.catalog import AZURE2019, OPENB_LIKE
from clustersim.traces.control_pods import BatchLoad, generated_pods
from clustersim.traces.control_presets import GPU_TYPE, SERVICES, Preset, ServiceShape, find_preset, nodes_of
from clustersim.traces.load import load
from clustersim.traces.locate import VARIABLE, locate
from clustersim.workload import GPU_MILLI, PodTable

UTILIZATION = 0.7
"""Of the replicas that a service starts with, and of those that are set aside for it when batch pods are counted."""

TRACE_PEAK = 0.75
"""A recorded load is scaled so that only 1 % of its minutes need more than this share of all replicas."""


@dataclass(frozen=True, eq=False)
class ControlSource:
    """A distribution of workloads; calling it with a seed draws one. Nodes, zones and rows are always the same.

    The seed draws the pods (cause "pods") and the loads of the services (cause "loads").
    `minutes`: (services, M) recorded calls per minute, of which an episode gets a window; None: generated loads.
    """

    preset: Preset
    library: PodTable
    minutes: NDArray[np.int64] | None = None

    def __call__(self, seed: int) -> ControlWorkload:
        nodes, zone, row = nodes_of(self.preset)
        streams = Streams(seed)
        pods, traits = self.batch.draw(streams["pods"])
        return ControlWorkload(
            name=f"{self.preset.name}-{seed}",
            nodes=nodes,
            zone=zone,
            row=row,
            gpu_type={model: GPU_TYPE[model] for model in dict.fromkeys(nodes.gpu_model) if model},
            pods=pods,
            traits=traits,
            services=self._services(streams["loads"]),
            duration_s=self.preset.duration_s,
        )

    def _services(self, rng: np.random.Generator) -> tuple[Service, ...]:
        most = self.preset.max_replicas
        return tuple(
            _service(f"{shape.name}-{number}", zone, shape, load, most)
            for number, ((zone, shape), load) in enumerate(zip(self._shapes, self._loads(rng), strict=True))
        )

    def _loads(self, rng: np.random.Generator) -> list[ServiceLoad]:
        size = self.preset
        most_rps = [size.max_replicas * shape.replica_rps for _, shape in self._shapes]
        if self.minutes is None:
            return [
                shape.diurnal.load(rng, shape.calm_share * most, size.duration_s, size.step_s, size.period_s)
                for (_, shape), most in zip(self._shapes, most_rps, strict=True)
            ]
        needed = ceil(size.duration_s / 60)
        first = int(rng.integers(self.minutes.shape[1] - needed + 1))
        per_call = TRACE_PEAK * np.array(most_rps) / np.quantile(self.minutes, 0.99, axis=1)
        time_s = 60.0 * np.arange(needed, dtype=np.float64)
        return [
            ServiceLoad(time_s, rate_rps) for rate_rps in self.minutes[:, first : first + needed] * per_call[:, None]
        ]

    @property
    def _shapes(self) -> list[tuple[int, ServiceShape]]:
        """Zone and shape of every service."""
        each = range(self.preset.services_per_zone)
        return [(zone, SERVICES[k % len(SERVICES)]) for zone in range(self.preset.zones) for k in each]

    @cached_property
    def batch(self) -> BatchLoad:
        """What the batch pods are drawn from."""
        size = self.preset
        nodes, zone, _ = nodes_of(size)
        gpus = np.bincount(zone, weights=nodes.gpu_count)
        for number, (at, shape) in enumerate(self._shapes):
            gpus[at] -= self._mean_share(number) * size.max_replicas / UTILIZATION * shape.gpu_milli / GPU_MILLI
        return BatchLoad(
            library=self.library,
            nodes=nodes,
            zone=zone,
            gpus=size.batch_share * float(gpus.sum()),
            zone_share=gpus / gpus.sum(),
            duration_s=size.duration_s,
            period_s=size.period_s,
            peak_to_trough=size.batch_peak_to_trough,
        )

    def _mean_share(self, number: int) -> float:
        """Mean load of a service, as a share of what all its replicas can serve."""
        if self.minutes is None:
            shape = self._shapes[number][1]
            return shape.calm_share * shape.diurnal.mean
        minutes = self.minutes[number]
        return float(minutes.mean() / np.quantile(minutes, 0.99)) * TRACE_PEAK


def control_source(
    preset: str = "small",
    trace_pods: str | Path | None = None,
    trace_services: str | Path | None = None,
    duration_s: float | None = None,
) -> ControlSource:
    """The source of a preset: small, medium or large.

    `trace_pods`: where the batch pods come from, a name or path as in `clustersim.traces.load` (default: generated,
    with lifetimes that fit the episode; recorded ones are cut to 8 hours). `trace_services`: recorded calls per minute
    for the services, "azure2019" or a folder as `clustersim.traces.faas` reads it (default: generated). `duration_s`:
    another length of the episode. Raises ConfigError, or TraceError for a trace that is not there or too short.
    """
    size = find_preset(preset)
    if duration_s is not None:
        if not 0 < duration_s < inf:
            raise ConfigError(f"duration_s is {duration_s}; an episode has a positive, finite length")
        size = replace(size, duration_s=duration_s)
    if trace_pods is None or trace_pods == OPENB_LIKE.name:
        library = generated_pods(size.batch_median_s, size.batch_sigma)
    else:
        library = load(trace_pods).pods
    return ControlSource(size, library, None if trace_services is None else _minutes(trace_services, size))


def _minutes(trace: str | Path, size: Preset) -> NDArray[np.int64]:
    """(services, M) calls per minute."""
    # pandas and pandera, which the reader needs, take more than half a second to import
    from clustersim.traces.faas import read_faas

    folder = Path(trace)
    if trace == AZURE2019.name:
        root = locate(AZURE2019.name)
        if root is None:
            raise TraceError(
                f"trace {AZURE2019.name!r} is not on this machine; run `clustersim traces fetch {AZURE2019.name}`, "
                f"name its folder in {VARIABLE}, or leave trace_services out: loads are generated then"
            )
        folder = root / "500"
    elif not folder.is_dir():
        raise TraceError(
            f"trace_services is {str(trace)!r}, which is neither a folder of calls per minute nor {AZURE2019.name!r}"
        )
    recorded = read_faas(folder)
    needed = ceil(size.duration_s / 60)
    if recorded.minutes < needed:
        raise TraceError(
            f"an episode of {size.duration_s:g} s needs {needed} minutes, but {folder} has only {recorded.minutes} "
            f"(from minute {recorded.first_minute}); set duration_s to at most {60 * recorded.minutes}"
        )
    return recorded.services(size.zones * size.services_per_zone)


def _service(name: str, zone: int, shape: ServiceShape, rates: ServiceLoad, max_replicas: int) -> Service:
    initial = ceil(float(rates.rate_rps[0]) / shape.replica_rps / UTILIZATION)
    return Service(
        name=name,
        zone=zone,
        load=rates,
        cpu_milli=shape.cpu_milli,
        memory_mib=shape.memory_mib,
        gpu_milli=shape.gpu_milli,
        service_time_s=shape.service_time_s,
        concurrency=shape.concurrency,
        slo_s=shape.slo_s,
        initial_replicas=min(max(initial, 1), max_replicas),
        max_replicas=max_replicas,
        # it turns away what would miss the SLO even if all replicas were there
        queue_limit=shape.slo_s * max_replicas * shape.replica_rps,
        clock_sensitivity=shape.clock_sensitivity,
        image=f"{shape.name}-image",
        image_mib=shape.image_mib,
    )
