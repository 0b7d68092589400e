"""Pictures of a shared cluster, without a plotting library: its nodes now; power, latency and queues until now."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.envs.rendering import heat_map, text_map
from clustersim.scenarios.control_world import ControlSimulation
from clustersim.workload import GPU_MILLI

Pixels = NDArray[np.uint8]

WIDTH_PX, HEIGHT_PX = 360, 48
"""Of a chart."""
GAP_PX = 4
FINE_RGB, CAPPED_RGB, BAD_RGB = (8, 64, 129), (230, 159, 0), (213, 94, 0)
"""Below the limit, while a cap acts, and above the limit or braked."""
LIMIT_RGB = (120, 120, 120)
_BAR = 20


def draw(simulation: ControlSimulation, mode: str) -> Any:
    """`ansi`: lines of text; `rgb_array`: the nodes, and below a chart per row, per service and of the queue."""
    return _text(simulation) if mode == "ansi" else _pixels(simulation)


def _fill(simulation: ControlSimulation, zone: int) -> NDArray[np.float64]:
    """Share of the GPUs that is allocated by node, NaN for a node without any."""
    cluster = simulation.zones[zone].view.cluster
    capacity = cluster.gpu_count * GPU_MILLI
    return np.where(capacity > 0, 1 - cluster.gpu_free_total / np.maximum(capacity, 1), np.nan)


def _text(simulation: ControlSimulation) -> str:
    lines = [f"t = {simulation.env.now:.0f} s, team cost {simulation.cost('team'):.1f}"]
    for z, zone in enumerate(simulation.zones):
        waiting = int(zone.view.waiting[0])
        lines += [
            f"zone {z}, {waiting} waiting",
            *(f"  {line}" for line in text_map(_fill(simulation, z)).splitlines()),
        ]
    for i in range(simulation.workload.rows):
        row = simulation.row(i)
        share = row.power_w / row.budget_w
        bar = "#" * round(_BAR * min(1.0, share))
        state = "braked" if row.braked else f"caps {row.low_acting}/{row.high_acting}"
        lines.append(f"row {i} [{bar:{_BAR}}] {share:4.0%} of {row.budget_w / 1000:.1f} kW, {state}")
    for group in simulation.services:
        lines.append(
            f"{group.service.name}: {group.ready} of {group.wanted} ready, {group.arrival_rps:.1f} of "
            f"{group.capacity_rps:.1f} requests/s, {group.latency_s:.2f} s of {group.service.slo_s:g} s"
        )
    return "\n".join(lines)


def _pixels(simulation: ControlSimulation) -> Pixels:
    history = simulation.history
    now, end_s = len(history.time_s), simulation.workload.duration_s
    columns = np.minimum((history.time_s / end_s * WIDTH_PX).astype(int), WIDTH_PX - 1)
    parts = [heat_map(np.concatenate([_fill(simulation, z) for z in range(len(simulation.zones))]))]
    if now:
        share = history.row_power_w / history.row_budget_w
        capped, braked = (history.row_low + history.row_high) > 0, history.row_braked > 0
        slo_s = np.array([group.service.slo_s for group in simulation.services])
        late = np.minimum(history.latency_s, 1e6) / slo_s
        calm = np.zeros(now, dtype=np.bool_)
        parts += [chart(share[:, i], columns, 1.0, capped[:, i], braked[:, i]) for i in range(share.shape[1])]
        parts += [chart(late[:, i], columns, 1.0, calm, calm) for i in range(late.shape[1])]
        queue = history.queue.sum(axis=1)
        parts.append(chart(queue / len(simulation.workload.nodes), columns, 1.0, calm, calm))
    else:
        charts = simulation.workload.rows + len(simulation.services) + 1
        parts += [chart(np.zeros(0), columns, 1.0, np.zeros(0, np.bool_), np.zeros(0, np.bool_))] * charts
    width = max(part.shape[1] for part in parts)
    gap = np.full((GAP_PX, width, 3), 255, dtype=np.uint8)
    padded = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in parts]
    return np.concatenate([piece for part in padded for piece in (part, gap)])


def chart(
    values: NDArray[np.float64],
    columns: NDArray[np.int64],
    limit: float,
    capped: NDArray[np.bool_],
    bad: NDArray[np.bool_],
) -> Pixels:
    """Bars of T values, up to twice the limit, each from its pixel column to the next, and a line at the limit.

    A column shows the largest of its values. Blue below the limit, orange while capped, red above it or where `bad`.
    """
    pixels = np.full((HEIGHT_PX, WIDTH_PX, 3), 245, dtype=np.uint8)
    ends = np.maximum(np.append(columns[1:], 0), columns + 1)
    for k in np.argsort(values, kind="stable").tolist():
        height = round(HEIGHT_PX * min(1.0, values[k] / (2 * limit)))
        colour = BAD_RGB if bad[k] or values[k] > limit else CAPPED_RGB if capped[k] else FINE_RGB
        pixels[HEIGHT_PX - height :, columns[k] : ends[k]] = colour
    pixels[HEIGHT_PX // 2] = LIMIT_RGB
    return pixels
