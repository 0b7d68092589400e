"""The block of a power row: its power against its budget, its caps, and its brake."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from clustersim.envs.control_columns import block
from clustersim.envs.encoding import Column
from clustersim.scenarios.control_roles import HIGH_CLOCKS, LOW_CLOCKS, RowState


class RowFacts(NamedTuple):
    """A power row now; powers are shares of its budget."""

    row: RowState
    power: float
    newest: float
    mean: float
    highest: float
    rise_2: float
    rise_10: float
    rise_40: float
    settled_for_s: float


def row_facts(row: RowState) -> RowFacts:
    """Read a row. Before the first sample of telemetry its power now stands for all."""
    budget_w = row.budget_w
    power = row.power_w / budget_w
    samples = (row.samples_w / budget_w).tolist() or [power]
    newest = samples[-1]
    return RowFacts(
        row,
        power,
        newest,
        sum(samples) / len(samples),
        max(samples),
        newest - samples[max(-2, -len(samples))],
        newest - samples[max(-6, -len(samples))],
        newest - samples[0],
        row.now_s - row.settled_s,
    )


ROW = block(
    (
        Column("power", "power now over the budget", 0, 1.5, lambda r: r.power),
        Column("sample", "newest sample of telemetry over the budget", 0, 1.5, lambda r: r.newest),
        Column("mean_40s", "mean of the samples of 40 s", 0, 1.5, lambda r: r.mean),
        Column("highest_40s", "highest of them", 0, 1.5, lambda r: r.highest),
        Column("rise_2s", "newest sample minus the one before", -1, 1, lambda r: r.rise_2),
        Column("rise_10s", "newest sample minus the one 10 s before", -1, 1, lambda r: r.rise_10),
        Column("rise_40s", "newest sample minus the oldest of 40 s", -1, 1, lambda r: r.rise_40),
        Column(
            "low", "cap of low priority as commanded, 1: strongest", 0, 1, lambda r: r.row.low / (len(LOW_CLOCKS) - 1)
        ),
        Column("high", "the same of high priority", 0, 1, lambda r: r.row.high / (len(HIGH_CLOCKS) - 1)),
        Column(
            "low_acting", "cap of low priority as it acts", 0, 1, lambda r: r.row.low_acting / (len(LOW_CLOCKS) - 1)
        ),
        Column("high_acting", "the same of high priority", 0, 1, lambda r: r.row.high_acting / (len(HIGH_CLOCKS) - 1)),
        Column("on_its_way", "1 while a command does not act yet", 0, 1, lambda r: float(r.row.settled_s == inf)),
        Column(
            "settled", "time since the last command acted, 1 from 2 minutes on", 0, 1, lambda r: r.settled_for_s / 120
        ),
        Column("braked", "1 while the brake acts", 0, 1, lambda r: float(r.row.braked)),
        Column("brakes", "brakes so far, 1 from 5 on", 0, 1, lambda r: r.row.brakes / 5),
        Column("low_busy", "GPU load of low priority, share of the row's devices", 0, 1, lambda r: r.row.low_busy),
        Column("high_busy", "the same of high priority", 0, 1, lambda r: r.row.high_busy),
        Column("nameplate", "nameplate power over the budget", 0, 2, lambda r: r.row.nameplate_w / r.row.budget_w),
    )
)
