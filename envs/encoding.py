"""One declaration of the features yields the bounds, the array and the table in the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray


@dataclass(frozen=True)
class Column:
    """One feature: its name, what it means, its range, and the function that computes it for one row."""

    name: str
    meaning: str
    low: float
    high: float
    function: Callable[..., float]


def one_vector(boxes: Iterable[Any]) -> Box:
    """The space of what these boxes hold, row by row and box after box."""
    boxes = list(boxes)
    low, high = (np.concatenate([getattr(box, side).ravel() for box in boxes]) for side in ("low", "high"))
    return Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


Fill = Callable[[Any, NDArray[np.float32]], None]
"""Writes all columns of a decision into the array that it is given."""


@dataclass(frozen=True)
class TableEncoder:
    """Columns, and the kernel that fills them for all rows at once.

    The kernel calls each column's `function` in the order of `columns`; a test compares the two for every column.
    `rows` is None for a single vector of features.
    """

    columns: Sequence[Column]
    fill: Fill
    rows: int | None = None

    @property
    def space(self) -> Box:
        """float32 bounds, shape (rows, columns) or (columns,)."""
        low = np.array([column.low for column in self.columns], dtype=np.float32)
        high = np.array([column.high for column in self.columns], dtype=np.float32)
        if self.rows is None:
            return Box(low, high, dtype=np.float32)
        return Box(np.tile(low, (self.rows, 1)), np.tile(high, (self.rows, 1)), dtype=np.float32)

    def buffer(self) -> NDArray[np.float32]:
        """An array of zeros to encode into."""
        columns = len(self.columns)
        return np.zeros(columns if self.rows is None else (self.rows, columns), dtype=np.float32)

    def describe(self) -> str:
        """The columns as a Markdown table."""
        return table(self.columns)


def table(columns: Sequence[Column]) -> str:
    """Columns as a Markdown table."""
    lines = ["| column | range | meaning |", "|---|---|---|"]
    lines += [f"| `{c.name}` | {c.low:g} .. {c.high:g} | {c.meaning} |" for c in columns]
    return "\n".join(lines)
