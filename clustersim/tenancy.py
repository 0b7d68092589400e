"""Who runs on which machine, how fast that lets everybody go, and how much power the machine draws.

A machine is looked at as a whole whenever something on it changes: one kernel turns loads, clocks and neighbours into
speeds and watts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.cluster import Binding
from clustersim.hardware import ServerTable, clock_speed, cpu_power_w, gpu_power_w
from clustersim.interference import PAIRS, SLOWEST, Interference, slowdown
from clustersim.readonly import read_only
from clustersim.workload import GPU_MILLI

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SHARE_BURST = 2.0
"""A tenant that holds a share of a device may keep it busy up to this multiple of the share, since nothing isolates it
(time slicing, MPS). Declared; that is why neighbours slow each other although shares never add up to more than one."""


def device_load(gpu_milli: int, load: float) -> float:
    """How busy a tenant keeps each device of which it holds so much, from how busy it keeps what it holds."""
    return load if gpu_milli == GPU_MILLI else min(1.0, SHARE_BURST * gpu_milli / GPU_MILLI * load)


class Tenancy:
    """P possible tenants, numbered by their rows in the pod table, on N machines with at most G devices.

    A tenant's load is what it asks of the CPUs that it holds, and of each device, as a share. It is 0 for one that
    holds its part without working. `speed` (P,) is relative to running alone at full clock. `power_w`, `cpu_pressure`,
    `gpu_pressure` (the fullest device), `low_busy`, `high_busy` (devices kept busy by low- and high-priority tenants)
    and `count` are (N,).
    """

    def __init__(
        self,
        tenants: int,
        cpu_capacity_milli: Ints,
        servers: ServerTable,
        interference: Interference,
        changed: Callable[[int, float], None],
        drew: Callable[[int, float, float], None],
    ) -> None:
        """`changed(row, speed)` is called for every tenant whose speed changes, `drew(node, before_w, after_w)`
        when the power of a machine does."""
        nodes, devices = len(cpu_capacity_milli), max(1, int(servers.gpu_count.max()))
        self._changed = changed
        self._drew = drew
        self._slots = np.full((nodes, 16), -1, dtype=np.int64)
        self._count = np.zeros(nodes, dtype=np.int64)
        self._devices = np.zeros(tenants, dtype=np.int64)
        self._gpu_load = np.zeros(tenants)
        self._cpu_load = np.zeros(tenants)
        self._sensitivity = np.zeros(tenants)
        self._high = np.zeros(tenants, dtype=np.bool_)
        self._kind = np.zeros(tenants, dtype=np.int64)
        self._speed = np.ones(tenants)
        self._up = np.ones(nodes)
        self._power_w = np.zeros(nodes)
        self._cpu_pressure = np.zeros(nodes)
        self._gpu_pressure = np.zeros(nodes)
        self._low_busy = np.zeros(nodes)
        self._high_busy = np.zeros(nodes)
        self._low_clock = np.ones(nodes)
        self._high_clock = np.ones(nodes)
        self._touched = np.zeros(tenants, dtype=np.int64)
        self._mode = get_args(Interference).index(interference)
        self._machines = (
            np.maximum(1, cpu_capacity_milli).astype(np.float64),
            servers.other_idle_w,
            servers.other_range_w,
            servers.gpu_idle_w,
            servers.gpu_tdp_w,
            servers.gpu_count,
            np.zeros(devices),
            np.zeros(devices),
            np.zeros(devices, dtype=np.int64),
            np.zeros(devices, dtype=np.bool_),
        )
        self.speed = read_only(self._speed)
        self.power_w = read_only(self._power_w)
        self.cpu_pressure = read_only(self._cpu_pressure)
        self.gpu_pressure = read_only(self._gpu_pressure)
        self.low_busy = read_only(self._low_busy)
        self.high_busy = read_only(self._high_busy)
        self.low_clock = read_only(self._low_clock)
        self.count = read_only(self._count)
        self.up = read_only(self._up)
        for node in range(nodes):
            self.refresh(node)

    def on(self, node: int) -> list[int]:
        """The rows of the tenants of a machine."""
        rows: list[int] = self._slots[node, : self._count[node]].tolist()
        return rows

    def enter(self, row: int, node: int, binding: Binding, sensitivity: float, high: bool, kind: int = 0) -> None:
        """A tenant comes, without a load yet. The machine is not looked at: `set_load` follows."""
        if self._count[node] == self._slots.shape[1]:
            self._slots = np.concatenate([self._slots, np.full_like(self._slots, -1)], axis=1)
        self._slots[node, self._count[node]] = row
        self._count[node] += 1
        self._devices[row] = binding.devices
        self._sensitivity[row] = sensitivity
        self._high[row] = high
        self._kind[row] = kind
        self._gpu_load[row] = self._cpu_load[row] = 0.0
        self._speed[row] = 1.0

    def set_load(self, rows: list[int], nodes: list[int], cpu_milli: float, gpu: float) -> None:
        """How busy some tenants keep their CPUs and each of their devices; the machines are looked at, once each."""
        self._cpu_load[rows] = cpu_milli
        self._gpu_load[rows] = gpu
        for node in sorted(set(nodes)):
            self.refresh(node)

    def leave(self, row: int, node: int) -> None:
        """A tenant goes; the machine is looked at."""
        slots, last = self._slots[node], self._count[node] - 1
        slots[slots[: last + 1].tolist().index(row)] = slots[last]
        slots[last] = -1
        self._count[node] = last
        self.refresh(node)

    def set_clocks(self, node: int, low: float, high: float) -> None:
        """Clocks of low- and high-priority work, as shares of the highest; the machine is looked at."""
        self._low_clock[node] = low
        self._high_clock[node] = high
        self.refresh(node)

    def set_up(self, node: int, up: bool) -> None:
        """A machine fails, and draws nothing until it is up again."""
        self._up[node] = up
        self.refresh(node)

    def refresh(self, node: int) -> None:
        """Bring speeds and power of a machine up to date, and tell what has changed."""
        before_w = self._power_w[node]
        changed = _refresh(
            node,
            self._mode,
            PAIRS,
            self._slots,
            self._count,
            self._devices,
            self._gpu_load,
            self._cpu_load,
            self._sensitivity,
            self._high,
            self._kind,
            self._speed,
            self._up,
            self._low_clock,
            self._high_clock,
            self._power_w,
            self._cpu_pressure,
            self._gpu_pressure,
            self._low_busy,
            self._high_busy,
            self._touched,
            *self._machines,
        )
        after_w = self._power_w[node]
        if after_w != before_w:
            self._drew(node, float(before_w), float(after_w))
        if changed:
            for row in self._touched[:changed].tolist():
                self._changed(row, float(self._speed[row]))


@njit(cache=True)
def _refresh(  # type: ignore[no-untyped-def]
    node,
    mode,
    pairs,
    slots,
    count,
    devices,
    gpu_load,
    cpu_load,
    sensitivity,
    high,
    kind,
    speed,
    up,
    low_clock,
    high_clock,
    power_w,
    cpu_pressure,
    gpu_pressure,
    low_busy,
    high_busy,
    touched,
    cpu_capacity,
    other_idle_w,
    other_range_w,
    gpu_idle_w,
    gpu_tdp_w,
    gpu_count,
    load,
    clock,
    sharers,
    any_high,
):
    """Number of tenants whose speed changed; their rows are in `touched`."""
    load[:] = 0.0
    sharers[:] = 0
    any_high[:] = False
    cpu, cpu_sharers = 0.0, 0
    low_busy[node] = high_busy[node] = 0.0
    for s in range(count[node]):
        row = slots[node, s]
        cpu += cpu_load[row]
        cpu_sharers += cpu_load[row] > 0
        if gpu_load[row] == 0.0:
            continue
        for d in range(gpu_count[node]):
            if devices[row] >> d & 1:
                load[d] += gpu_load[row]
                sharers[d] += 1
                any_high[d] |= high[row]
                if high[row]:
                    high_busy[node] += gpu_load[row]
                else:
                    low_busy[node] += gpu_load[row]
    cpu /= cpu_capacity[node]
    watts = cpu_power_w(other_idle_w[node], other_range_w[node], min(1.0, cpu))
    fullest = 0.0
    for d in range(gpu_count[node]):
        # A device has one clock, and its most important tenant's cap counts.
        clock[d] = high_clock[node] if any_high[d] else low_clock[node]
        fullest = max(fullest, load[d])
        watts += gpu_power_w(gpu_idle_w[node], gpu_tdp_w[node], min(1.0, load[d]), clock[d])
    power_w[node] = watts * up[node]
    cpu_pressure[node] = cpu
    gpu_pressure[node] = fullest
    changed = 0
    for s in range(count[node]):
        row = slots[node, s]
        pace = 1.0
        if mode != 0 and cpu_sharers > 1:
            pace = slowdown(cpu)
        slowest_clock = 1.0
        for d in range(gpu_count[node]):
            if not devices[row] >> d & 1:
                continue
            slowest_clock = min(slowest_clock, clock[d])
            if sharers[d] < 2:
                continue
            if mode == 1:
                pace = min(pace, slowdown(load[d]))
            elif mode == 2:
                pace = min(pace, _among_neighbours(row, d, node, slots, count, devices, gpu_load, kind, pairs))
        pace *= clock_speed(slowest_clock, sensitivity[row])
        if pace != speed[row]:
            speed[row] = pace
            touched[changed] = row
            changed += 1
    return changed


@njit(cache=True)
def _among_neighbours(row, device, node, slots, count, devices, gpu_load, kind, pairs):  # type: ignore[no-untyped-def]
    """The product of what each neighbour on the device leaves of the tenant's speed."""
    pace = 1.0
    for s in range(count[node]):
        other = slots[node, s]
        if other != row and gpu_load[other] > 0 and devices[other] >> device & 1:
            pace *= pairs[kind[row], kind[other]]
    return max(SLOWEST, pace)
