"""Tenants of machines: how fast neighbours and clocks let each go, and how much power the machine draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from control_worlds import GPU_TYPE, devices_of, plain_power_w, plain_speed
from hypothesis import given
from hypothesis import strategies as st
from worlds import MANY, node, node_table

from clustersim.cluster import Binding
from clustersim.hardware import clock_power, clock_speed, servers_of
from clustersim.interference import PAIRS, SLOWEST
from clustersim.tenancy import Tenancy, device_load

CPU, GPUS = 10_000, 3
SERVERS = servers_of(node_table([node(CPU, gpus=GPUS, model="A10"), node(CPU)]), GPU_TYPE)
A10_IDLE_W, A10_TDP_W = 20.0, 150.0


class Machines:
    """Two machines, and what they have told about speeds and power."""

    def __init__(self, interference: Any = "hinge", tenants: int = 40) -> None:
        self.speed = np.ones(tenants)
        self.power_w = np.zeros(2)
        self.told: list[int] = []
        self.tenancy = Tenancy(tenants, np.array([CPU, CPU]), SERVERS, interference, self._changed, self._drew)

    def _changed(self, row: int, speed: float) -> None:
        assert speed != self.speed[row]
        self.speed[row] = speed
        self.told.append(row)

    def _drew(self, n: int, before_w: float, after_w: float) -> None:
        assert before_w == self.power_w[n] != after_w
        self.power_w[n] = after_w

    def enter(
        self,
        row: int,
        devices: int = 0,
        gpu: float = 0.0,
        cpu_milli: float = 0.0,
        n: int = 0,
        sensitivity: float = 0.0,
        high: bool = False,
        kind: int = 0,
    ) -> None:
        self.speed[row] = 1.0
        binding = Binding(np.zeros(5, dtype=np.int64), n, devices)
        self.tenancy.enter(row, n, binding, sensitivity, high, kind)
        self.tenancy.set_load([row], [n], cpu_milli, gpu)


def test_a_tenant_alone_goes_at_full_speed_however_busy() -> None:
    machines = Machines()
    machines.enter(0, devices=0b1, gpu=1.0, cpu_milli=CPU)
    assert machines.tenancy.speed[0] == 1.0
    assert machines.told == []


def test_two_that_share_a_device_go_by_the_hinge() -> None:
    machines = Machines()
    machines.enter(0, devices=0b1, gpu=0.5)
    machines.enter(1, devices=0b1, gpu=0.4)
    assert machines.told == []  # .9 is where the hinge begins
    machines.tenancy.set_load([1], [0], 0.0, 0.8)
    assert machines.speed[:2] == pytest.approx(1 - 0.335 * (1.3 - 0.9))
    assert machines.tenancy.gpu_pressure[0] == pytest.approx(1.3)
    machines.tenancy.leave(0, 0)
    assert machines.speed[1] == 1.0


def test_who_holds_another_device_is_not_slowed() -> None:
    machines = Machines()
    for row, devices in enumerate((0b01, 0b01, 0b10, 0b11)):
        machines.enter(row, devices=devices, gpu=0.6)
    slow = 1 - 0.335 * (1.8 - 0.9)
    less = 1 - 0.335 * (1.2 - 0.9)
    # The last holds both and goes at the pace of the fuller one.
    assert machines.speed[:4] == pytest.approx([slow, slow, less, slow])


def test_who_only_holds_its_part_slows_nobody() -> None:
    machines = Machines()
    machines.enter(0, devices=0b1, gpu=1.0, cpu_milli=CPU)
    machines.enter(1, devices=0b1)
    assert machines.told == []


def test_busy_cpus_slow_everybody_on_the_machine() -> None:
    machines = Machines()
    machines.enter(0, cpu_milli=0.6 * CPU)
    machines.enter(1, cpu_milli=0.4 * CPU, devices=0b1, gpu=1.0)
    assert machines.speed[:2] == pytest.approx(1 - 0.335 * 0.1)
    assert machines.tenancy.cpu_pressure[0] == 1.0
    machines.enter(2, n=1, cpu_milli=0.1)
    assert machines.speed[2] == 1.0


def test_no_tenant_gets_slower_than_the_floor() -> None:
    machines = Machines()
    for row in range(20):
        machines.enter(row, devices=0b1, gpu=1.0)
    assert machines.speed[:20] == pytest.approx(SLOWEST)
    assert len(machines.tenancy.on(0)) == machines.tenancy.count[0] == 20


def test_pairs_slow_each_other_as_measured() -> None:
    machines = Machines("pairs")
    machines.enter(0, devices=0b1, gpu=0.1, kind=4)
    machines.enter(1, devices=0b1, gpu=0.1, kind=5)
    assert machines.speed[:2] == pytest.approx([PAIRS[4, 5], PAIRS[5, 4]])
    machines.enter(2, devices=0b1, gpu=0.1, kind=6)
    assert machines.speed[0] == pytest.approx(PAIRS[4, 5] * PAIRS[4, 6])
    machines.enter(3, devices=0b10, gpu=0.1, kind=5)
    assert machines.speed[3] == 1.0


def test_without_interference_nobody_slows_anybody() -> None:
    machines = Machines("off")
    for row in range(5):
        machines.enter(row, devices=0b1, gpu=1.0, cpu_milli=CPU)
    assert machines.told == []


def test_a_clock_slows_by_sensitivity_and_only_work_on_devices() -> None:
    machines = Machines("off")
    machines.enter(0, devices=0b1, gpu=1.0, sensitivity=1.0)
    machines.enter(1, devices=0b10, gpu=1.0, sensitivity=0.15)
    machines.enter(2, cpu_milli=100, sensitivity=1.0)
    machines.tenancy.set_clocks(0, 0.5, 1.0)
    assert machines.speed[:3] == pytest.approx([0.5, 1 / 1.15, 1.0])
    machines.tenancy.set_clocks(0, 1.0, 1.0)
    assert machines.speed[:3] == pytest.approx(1.0)


def test_a_device_has_the_clock_of_its_most_important_tenant() -> None:
    machines = Machines("off")
    machines.enter(0, devices=0b1, gpu=0.3, sensitivity=1.0)
    machines.enter(1, devices=0b10, gpu=0.3, sensitivity=1.0, high=True)
    machines.tenancy.set_clocks(0, 0.5, 0.8)
    assert machines.speed[:2] == pytest.approx([0.5, 0.8])
    machines.enter(2, devices=0b1, gpu=0.3, sensitivity=1.0, high=True)
    assert machines.speed[:3] == pytest.approx([0.8, 0.8, 0.8])
    machines.tenancy.set_load([2], [0], 0.0, 0.0)  # it stands still, so nobody needs that clock
    assert machines.speed[0] == pytest.approx(0.5)


@pytest.mark.parametrize("shared", [0b01, 0b10])
def test_one_that_holds_several_devices_goes_at_the_slowest_of_their_clocks(shared: int) -> None:
    machines = Machines("off")
    machines.enter(0, devices=0b11, gpu=0.3, sensitivity=1.0)
    machines.enter(1, devices=shared, gpu=0.3, sensitivity=1.0, high=True)
    machines.tenancy.set_clocks(0, 0.5, 1.0)
    assert machines.speed[:2] == pytest.approx([0.5, 1.0])


def test_power_follows_load_and_clock() -> None:
    machines = Machines("off")
    idle_w = float(SERVERS.other_idle_w[0] + GPUS * A10_IDLE_W)
    assert machines.power_w[0] == pytest.approx(idle_w)
    machines.enter(0, devices=0b1, gpu=0.6, cpu_milli=CPU / 2)
    cpu_w = float(SERVERS.other_range_w[0]) / 2
    assert machines.power_w[0] == pytest.approx(idle_w + cpu_w + 0.6 * (A10_TDP_W - A10_IDLE_W))
    machines.tenancy.set_clocks(0, 0.7, 1.0)
    gpu_w = 0.6 * (A10_TDP_W - A10_IDLE_W) * clock_power(0.7)
    assert machines.power_w[0] == pytest.approx(idle_w + cpu_w + gpu_w)
    machines.tenancy.set_up(0, False)
    assert machines.power_w[0] == machines.tenancy.power_w[0] == 0.0
    machines.tenancy.set_up(0, True)
    assert machines.power_w[0] == pytest.approx(idle_w + cpu_w + gpu_w)


def test_nothing_draws_more_than_its_nameplate_or_with_the_brake_on_more_than_that() -> None:
    machines = Machines("off")
    for row in range(6):
        machines.enter(row, devices=0b111, gpu=1.0, cpu_milli=CPU)
    assert machines.power_w[0] <= SERVERS.nameplate_w[0]
    brake = 288 / 1410
    machines.tenancy.set_clocks(0, brake, brake)
    assert machines.power_w[0] == pytest.approx(SERVERS.braked_w[0])


def test_busy_devices_are_told_apart_by_priority() -> None:
    machines = Machines("off")
    machines.enter(0, devices=0b11, gpu=0.3)
    machines.enter(1, devices=0b110, gpu=0.5, high=True)
    assert machines.tenancy.low_busy[0] == pytest.approx(0.6)
    assert machines.tenancy.high_busy[0] == pytest.approx(1.0)


def test_a_share_of_a_device_may_be_kept_busy_beyond_the_share() -> None:
    assert device_load(1000, 0.7) == 0.7
    assert device_load(300, 0.5) == pytest.approx(0.3)
    assert device_load(600, 0.9) == 1.0


def test_views_cannot_be_written() -> None:
    tenancy = Machines().tenancy
    for name in (
        *("speed", "power_w", "cpu_pressure", "gpu_pressure", "low_busy", "high_busy", "low_clock", "count", "up"),
    ):
        with pytest.raises(ValueError, match="read-only"):
            getattr(tenancy, name)[0] = 1


clocks = st.sampled_from([288 / 1410, 0.5, 0.8, 1.0])
steps = st.one_of(
    st.tuples(
        st.just("enter"),
        st.integers(0, 1),
        st.integers(0, 7),
        st.sampled_from([0.0, 0.3, 0.7, 1.0]),
        st.sampled_from([0.0, 800.0, 4000.0]),
        st.sampled_from([0.0, 0.15, 1.0]),
        st.booleans(),
        st.integers(0, 6),
    ),
    st.tuples(st.just("leave"), st.integers(0, 30)),
    st.tuples(st.just("load"), st.integers(0, 30), st.sampled_from([0.0, 0.5, 1.0])),
    st.tuples(st.just("clocks"), st.integers(0, 1), clocks, clocks),
    st.tuples(st.just("up"), st.integers(0, 1), st.booleans()),
)


@given(st.sampled_from(["off", "hinge", "pairs"]), st.lists(steps, max_size=25))
@MANY
def test_speeds_and_power_are_those_of_the_definition_and_every_change_is_told(
    interference: str, changes: list[tuple[Any, ...]]
) -> None:
    machines = Machines(interference)
    tenancy, home, rows = machines.tenancy, {}, iter(range(40))
    for what, *how in changes:
        if what == "enter":
            n, devices, gpu, cpu_milli, sensitivity, high, kind = how
            row = next(rows)
            home[row] = n
            devices = 0 if n == 1 else devices
            machines.enter(row, devices, gpu if devices else 0.0, cpu_milli, n, sensitivity, high, kind)
        elif what == "clocks":
            tenancy.set_clocks(*how)
        elif what == "up":
            tenancy.set_up(*how)
        elif home:
            row = sorted(home)[how[0] % len(home)]
            if what == "leave":
                tenancy.leave(row, home.pop(row))
            else:
                held = devices_of(int(tenancy._devices[row]))
                tenancy.set_load([row], [home[row]], 1000 * how[1], how[1] if held else 0.0)
        for n in range(2):
            assert sorted(tenancy.on(n)) == sorted(row for row, at in home.items() if at == n)
            assert machines.power_w[n] == tenancy.power_w[n] == pytest.approx(plain_power_w(tenancy, n))
        for row, n in home.items():
            assert machines.speed[row] == tenancy.speed[row] == pytest.approx(plain_speed(tenancy, n, row))
            assert SLOWEST * clock_speed(288 / 1410, 1.0) <= tenancy.speed[row] <= 1
