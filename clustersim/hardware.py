"""The servers of a cluster as arrays: what each draws idle, busy and with the power brake on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError
from clustersim.hardware_catalogue import GpuType, catalogue, gpu, server
from clustersim.power_curves import clock_power, clock_speed, cpu_power_w, gpu_power_w
from clustersim.readonly import read_only
from clustersim.workload import NodeTable

Floats = NDArray[np.float64]

BRAKE_CLOCK = 288 / 1410
"""Where the power brake of an A100 drops its clock, as a share of the highest (arXiv 2308.12908) [S]."""

UNKNOWN_MIN_CLOCK = 210 / 1410
"""The lowest clock of a GPU whose own is not established: that of the A100, as a share of the highest [D]."""

__all__ = [
    "BRAKE_CLOCK",
    "GpuType",
    "ServerTable",
    "catalogue",
    "clock_power",
    "clock_speed",
    "cpu_power_w",
    "gpu",
    "gpu_power_w",
    "server",
    "servers_of",
]


@dataclass(frozen=True, slots=True, eq=False)
class ServerTable:
    """Power of N servers, read-only, (N,) each. `other` is all but the GPUs; it follows the load of the CPUs.

    `gpu_idle_w` and `gpu_tdp_w` are of one device, 0 without. `min_clock` is a share of the highest, 0 without GPUs.
    `nameplate_w` is what a server may be billed for, a little above its peak. `braked_w`: CPUs and GPUs all busy, the
    GPUs at the clock of the brake; no load draws more while the brake is on.
    """

    other_idle_w: Floats
    other_range_w: Floats
    gpu_idle_w: Floats
    gpu_tdp_w: Floats
    gpu_count: NDArray[np.int64]
    min_clock: Floats
    nameplate_w: Floats
    braked_w: Floats

    def __len__(self) -> int:
        return len(self.nameplate_w)


def servers_of(nodes: NodeTable, gpu_type: Mapping[str, str], brake_clock: float = BRAKE_CLOCK) -> ServerTable:
    """The power of nodes whose GPU model `m` is `gpu_type[m]` in the catalogue.

    The rest of a server is a DGX A100's, scaled [D]: half of what that draws beside its GPUs goes with the number of
    CPU threads (CPUs, memory), half with the TDP of all GPUs (fans, converters, switches). Nameplate over peak is as of
    the DGX A100. Raises ConfigError for a model without a type, a type that is not in the catalogue, and a brake
    below the lowest clock of a GPU.
    """
    missing = sorted({model for model in nodes.gpu_model if model} - set(gpu_type))
    if missing:
        raise ConfigError(f"gpu_type does not say what GPU model {', '.join(missing)} is")
    dgx = server("DGX-A100")
    dgx_gpu = gpu(dgx.gpu)
    assert dgx.busy_other_w is not None
    dgx_tdp_w = dgx.gpu_count * dgx_gpu.tdp_w
    dgx_other_idle_w = dgx.idle_w - dgx.gpu_count * dgx_gpu.idle_w

    types = {model: gpu(gpu_type[model]) for model in sorted(set(nodes.gpu_model)) if model}
    idle_w, tdp_w, min_clock = (
        np.array([by_model.get(model, 0.0) for model in nodes.gpu_model])
        for by_model in (
            {model: kind.idle_w for model, kind in types.items()},
            {model: kind.tdp_w for model, kind in types.items()},
            {model: _min_clock(kind) for model, kind in types.items()},
        )
    )
    if (too_high := min_clock.max(initial=0.0)) > brake_clock:
        model = nodes.gpu_model[int(min_clock.argmax())]
        raise ConfigError(
            f"the brake at {brake_clock:.3f} of the highest clock is below the lowest clock of GPU model {model!r} "
            f"({gpu_type[model]}), {too_high:.3f}; raise brake_clock"
        )
    size = (nodes.cpu_milli / 1000 / dgx.cpu_threads + nodes.gpu_count * tdp_w / dgx_tdp_w) / 2
    other_idle_w = dgx_other_idle_w * size
    other_range_w = (dgx.busy_other_w - dgx_other_idle_w) * size
    peak_w = other_idle_w + other_range_w + nodes.gpu_count * tdp_w
    braked_gpu_w = idle_w + (tdp_w - idle_w) * clock_power(brake_clock)
    columns = (
        other_idle_w,
        other_range_w,
        idle_w,
        tdp_w,
        nodes.gpu_count.copy(),
        min_clock,
        peak_w * (dgx.nameplate_w / (dgx.busy_other_w + dgx_tdp_w)),
        other_idle_w + other_range_w + nodes.gpu_count * braked_gpu_w,
    )
    return ServerTable(*map(read_only, columns))


def _min_clock(kind: GpuType) -> float:
    return UNKNOWN_MIN_CLOCK if kind.min_clock_mhz is None else kind.min_clock_mhz / kind.max_clock_mhz
