"""Blocks of columns, which the vectors of the agents of a shared cluster are made of; the block of time.

All are ratios, so that an agent that was trained on a small cluster can play a large one. A block is computed from its
facts, which are read from the simulation once; values beyond the range of a column are clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, inf, pi, sin
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.envs.encoding import Column, TableEncoder


def block(columns: Sequence[Column], rows: int | None = None) -> TableEncoder:
    """An encoder whose columns are functions of the same facts, clipped to their ranges.

    With `rows` it makes a table, and each function gives a column of it; all give one number otherwise.
    """
    functions = [column.function for column in columns]
    low = np.array([column.low for column in columns])
    high = np.array([column.high for column in columns])

    def fill(facts: Any, out: NDArray[np.float32]) -> None:
        values = np.array([function(facts) for function in functions], dtype=np.float64)
        np.clip(values.T, low, high, out=out, casting="same_kind")

    return TableEncoder(tuple(columns), fill, rows)


def ratio(part: float, whole: float) -> float:
    """part / whole; without a whole inf, or 0 when there is no part either."""
    return part / whole if whole > 0 else inf if part > 0 else 0.0


class TimeFacts(NamedTuple):
    """When it is, and how long the episode lasts."""

    now_s: float
    duration_s: float


TIME = block(
    (
        Column(
            "phase_sin",
            "sine of the elapsed share of the episode",
            -1,
            1,
            lambda t: sin(2 * pi * t.now_s / t.duration_s),
        ),
        Column("phase_cos", "cosine of it", -1, 1, lambda t: cos(2 * pi * t.now_s / t.duration_s)),
        Column("since_start", "time since the start, 1 from 10 minutes on", 0, 1, lambda t: t.now_s / 600),
        Column("to_end", "time to the end, 1 while 10 minutes or more", 0, 1, lambda t: (t.duration_s - t.now_s) / 600),
    )
)
